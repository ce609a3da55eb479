/* conv.c: convolution by its definition, forward and both gradients; sums in double.
 *
 *   x [N,H,W,C], weight [O, C/groups, kh, kw], bias [O] -> y [N,H',W',O]; group g joins input channels
 *   [g C/groups, ...) with output channels [g O/groups, ...). Position (y, ky) reads row y stride + ky dilation - pad. */
#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    sn_shape x, w, y;
    int64_t stride[2], pad[2], dilation[2], groups;
} job;

static job job_of(const sn_kernel_plan *plan, const sn_kernel_args *args, sn_shape x, sn_shape w, sn_shape y) {
    job j = {.plan = plan, .args = args, .x = x, .w = w, .y = y, .groups = sn_max64(1, plan->attr.conv.groups)};
    for (int i = 0; i < 2; i++) {
        j.stride[i] = sn_max64(1, plan->attr.conv.stride[i]);
        j.dilation[i] = sn_max64(1, plan->attr.conv.dilation[i]);
        j.pad[i] = plan->attr.conv.pad[i];
    }
    return j;
}

/* The input position that output position `out` sees through tap `tap` of axis i (0: rows); may be outside. */
static int64_t seen(const job *j, int i, int64_t out, int64_t tap) {
    return out * j->stride[i] + tap * j->dilation[i] - j->pad[i];
}
static int64_t at4(sn_shape s, int64_t a, int64_t b, int64_t c, int64_t d) {
    return ((a * s.dim[1] + b) * s.dim[2] + c) * s.dim[3] + d;
}

/* ---- forward: a chunk is one row of the output picture ---- */

static double forward_sum(const job *j, int64_t n, int64_t oy, int64_t ox, int64_t o) {
    int64_t channels = j->w.dim[1], first = o / (j->w.dim[0] / j->groups) * channels;
    double sum = 0;
    for (int64_t ky = 0; ky < j->w.dim[2]; ky++)
        for (int64_t kx = 0; kx < j->w.dim[3]; kx++) {
            int64_t iy = seen(j, 0, oy, ky), ix = seen(j, 1, ox, kx);
            if (iy < 0 || iy >= j->x.dim[1] || ix < 0 || ix >= j->x.dim[2]) continue;
            for (int64_t c = 0; c < channels; c++)
                sum += (double)sn_load(j->plan->in[0], j->args->in[0], at4(j->x, n, iy, ix, first + c))
                       * (double)sn_load(j->plan->in[1], j->args->in[1], at4(j->w, o, c, ky, kx));
        }
    return sum;
}

static void forward_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t n = chunk / j->y.dim[1], oy = chunk % j->y.dim[1];
    for (int64_t ox = 0; ox < j->y.dim[2]; ox++)
        for (int64_t o = 0; o < j->y.dim[3]; o++) {
            double sum = forward_sum(j, n, oy, ox, o);
            if (p->n_in > 2) sum += (double)sn_load(p->in[2], j->args->in[2], o);
            float y = (float)sum;
            sn_activate((sn_act)p->attr.conv.act, &y, 1);
            sn_store(p->out[0], j->args->out[0], at4(j->y, n, oy, ox, o), y);
        }
}

static sn_status run_conv(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args, plan->in[0].shape, plan->in[1].shape, plan->out[0].shape);
    sn_parallel(plan->threads, j.y.dim[0] * j.y.dim[1], forward_chunk, &j);
    return SN_OK;
}
SN_REF(conv, sn_ref_accepts_float, run_conv)

/* ---- data gradient: in = weight, dy; a chunk is one row of the input picture ---- */

/* The output position whose tap `tap` reads input position `in`, or -1. */
static int64_t reader(const job *j, int i, int64_t in, int64_t tap) {
    int64_t v = in + j->pad[i] - tap * j->dilation[i];
    return v < 0 || v % j->stride[i] || v / j->stride[i] >= j->y.dim[1 + i] ? -1 : v / j->stride[i];
}

static double data_sum(const job *j, int64_t n, int64_t iy, int64_t ix, int64_t channel) {
    int64_t outputs = j->w.dim[0] / j->groups, group = channel / j->w.dim[1], c = channel % j->w.dim[1];
    double sum = 0;
    for (int64_t ky = 0; ky < j->w.dim[2]; ky++)
        for (int64_t kx = 0; kx < j->w.dim[3]; kx++) {
            int64_t oy = reader(j, 0, iy, ky), ox = reader(j, 1, ix, kx);
            if (oy < 0 || ox < 0) continue;
            for (int64_t o = group * outputs; o < (group + 1) * outputs; o++)
                sum += (double)sn_load(j->plan->in[1], j->args->in[1], at4(j->y, n, oy, ox, o))
                       * (double)sn_load(j->plan->in[0], j->args->in[0], at4(j->w, o, c, ky, kx));
        }
    return sum;
}

static void data_chunk(void *context, int64_t chunk) {
    const job *j = context;
    int64_t n = chunk / j->x.dim[1], iy = chunk % j->x.dim[1];
    for (int64_t ix = 0; ix < j->x.dim[2]; ix++)
        for (int64_t c = 0; c < j->x.dim[3]; c++)
            sn_store(j->plan->out[0], j->args->out[0], at4(j->x, n, iy, ix, c), (float)data_sum(j, n, iy, ix, c));
}

static sn_status run_data(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args, plan->out[0].shape, plan->in[0].shape, plan->in[1].shape);
    sn_parallel(plan->threads, j.x.dim[0] * j.x.dim[1], data_chunk, &j);
    return SN_OK;
}
SN_REF(conv_bwd_data, sn_ref_accepts_float, run_data)

/* ---- weight and bias gradients: in = x, dy; a chunk is one output channel ---- */

static double weight_sum(const job *j, int64_t o, int64_t c, int64_t ky, int64_t kx) {
    int64_t channel = o / (j->w.dim[0] / j->groups) * j->w.dim[1] + c;
    double sum = 0;
    for (int64_t n = 0; n < j->y.dim[0]; n++)
        for (int64_t oy = 0; oy < j->y.dim[1]; oy++) {
            int64_t iy = seen(j, 0, oy, ky);
            if (iy < 0 || iy >= j->x.dim[1]) continue;
            for (int64_t ox = 0; ox < j->y.dim[2]; ox++) {
                int64_t ix = seen(j, 1, ox, kx);
                if (ix < 0 || ix >= j->x.dim[2]) continue;
                sum += (double)sn_load(j->plan->in[0], j->args->in[0], at4(j->x, n, iy, ix, channel))
                       * (double)sn_load(j->plan->in[1], j->args->in[1], at4(j->y, n, oy, ox, o));
            }
        }
    return sum;
}

static void weights_chunk(void *context, int64_t o) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    if (j->args->out[0])
        for (int64_t c = 0; c < j->w.dim[1]; c++)
            for (int64_t ky = 0; ky < j->w.dim[2]; ky++)
                for (int64_t kx = 0; kx < j->w.dim[3]; kx++)
                    sn_store(p->out[0], j->args->out[0], at4(j->w, o, c, ky, kx), (float)weight_sum(j, o, c, ky, kx));
    if (!j->args->out[1]) return;
    double sum = 0;
    int64_t positions = sn_shape_span(j->y, 0, 3);
    for (int64_t i = 0; i < positions; i++) sum += (double)sn_load(p->in[1], j->args->in[1], i * j->y.dim[3] + o);
    sn_store(p->out[1], j->args->out[1], o, (float)sum);
}

static sn_status run_weights(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args, plan->in[0].shape, plan->out[0].shape, plan->in[1].shape);
    sn_parallel(plan->threads, j.w.dim[0], weights_chunk, &j);
    return SN_OK;
}
SN_REF(conv_bwd_weights, sn_ref_accepts_float, run_weights)
