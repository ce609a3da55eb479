/* pool.c: MAXPOOL, AVGPOOL and their backward forms over x [N,H,W,C] -> y [N,H',W',C].
 *
 * A chunk is one row of a picture; inner loops run over the channels. Padding is never the maximum and is not
 * counted in an average. MAXPOOL's workspace holds for each output the tap (ky * kw + kx) of its maximum;
 * backward gathers: an input position sums over the windows that see it. */
#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    sn_shape x, y;
} job;

typedef struct range {
    int64_t from, to;
} range;

/* Input positions of axis i that window `out` covers, inside the picture. */
static range window(const job *j, int i, int64_t out) {
    int64_t first = out * j->plan->attr.pool.stride[i] - j->plan->attr.pool.pad[i];
    return (range){sn_max64(0, first), sn_min64(j->x.dim[1 + i], first + j->plan->attr.pool.kernel[i])};
}
/* Windows of axis i that cover input position `in`. */
static range readers(const job *j, int i, int64_t in) {
    int64_t stride = j->plan->attr.pool.stride[i], reach = in + j->plan->attr.pool.pad[i];
    int64_t before = reach - j->plan->attr.pool.kernel[i]; /* windows up to this start end before `in` */
    return (range){before < 0 ? 0 : before / stride + 1, sn_min64(j->y.dim[1 + i], reach / stride + 1)};
}
/* The tap of axis i through which window `out` sees `in`. */
static int64_t tap(const job *j, int i, int64_t out, int64_t in) {
    return in - (out * j->plan->attr.pool.stride[i] - j->plan->attr.pool.pad[i]);
}
static int64_t at4(sn_shape s, int64_t a, int64_t b, int64_t c, int64_t d) {
    return ((a * s.dim[1] + b) * s.dim[2] + c) * s.dim[3] + d;
}

/* ---- maximum ---- */

static void max_cell(const job *j, int64_t n, int64_t oy, int64_t ox, int64_t at, int count) {
    const sn_kernel_plan *p = j->plan;
    range rows = window(j, 0, oy), columns = window(j, 1, ox);
    float buffer[SN_BLOCK], best[SN_BLOCK];
    int32_t where[SN_BLOCK];
    for (int k = 0; k < count; k++) best[k] = -INFINITY;
    for (int k = 0; k < count; k++) where[k] = -1;
    for (int64_t iy = rows.from; iy < rows.to; iy++)
        for (int64_t ix = columns.from; ix < columns.to; ix++) {
            int32_t here = (int32_t)(tap(j, 0, oy, iy) * p->attr.pool.kernel[1] + tap(j, 1, ox, ix));
            const float *x = sn_block_in(p->in[0], j->args->in[0], at4(j->x, n, iy, ix, at), count, buffer);
            for (int k = 0; k < count; k++) {
                bool more = (x[k] > best[k]) | (where[k] < 0) | (x[k] != x[k]);
                best[k] = more ? x[k] : best[k];
                where[k] = more ? here : where[k];
            }
        }
    if (j->args->out[0]) sn_block_put(p->out[0], j->args->out[0], at4(j->y, n, oy, ox, at), count, best);
    int32_t *taps = j->args->out[1];
    if (p->opaque[1]) memcpy(taps + at4(j->y, n, oy, ox, at), where, (size_t)count * sizeof *where);
}

static void max_chunk(void *context, int64_t chunk) {
    const job *j = context;
    int64_t n = chunk / j->y.dim[1], oy = chunk % j->y.dim[1], channels = j->y.dim[3];
    for (int64_t ox = 0; ox < j->y.dim[2]; ox++)
        for (int64_t at = 0; at < channels; at += SN_BLOCK) max_cell(j, n, oy, ox, at, sn_block_size(channels - at));
}

static sn_status run_maxpool(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, plan->in[0].shape, plan->out[0].shape};
    sn_parallel(plan->threads, j.y.dim[0] * j.y.dim[1], max_chunk, &j);
    return SN_OK;
}
static sn_status workspace(const sn_kernel_request *request, sn_kernel_plan *plan) {
    if (!(request->unused & 2u)) plan->opaque[1] = (size_t)sn_shape_count(request->out[0].shape) * sizeof(int32_t);
    return SN_OK;
}
SN_REF_SCRATCH(maxpool, sn_ref_accepts_float, run_maxpool, workspace)

/* ---- backward of both: sum over the windows that see (iy, ix) ---- */

static void add_window(const job *j, int64_t n, int64_t oy, int64_t ox, int64_t iy, int64_t ix, int64_t at, int count,
                       float *acc) {
    const sn_kernel_plan *p = j->plan;
    float buffer[SN_BLOCK];
    int64_t cell = at4(j->y, n, oy, ox, at);
    const float *dy = sn_block_in(p->in[0], j->args->in[0], cell, count, buffer);
    if (p->n_in > 1) { /* maximum */
        int32_t here = (int32_t)(tap(j, 0, oy, iy) * p->attr.pool.kernel[1] + tap(j, 1, ox, ix));
        const int32_t *where = (const int32_t *)j->args->in[1] + cell;
        for (int k = 0; k < count; k++) acc[k] += where[k] == here ? dy[k] : 0.0f;
    } else {
        range rows = window(j, 0, oy), columns = window(j, 1, ox);
        float share = 1.0f / (float)((rows.to - rows.from) * (columns.to - columns.from));
        for (int k = 0; k < count; k++) acc[k] += dy[k] * share;
    }
}

static void backward_chunk(void *context, int64_t chunk) {
    const job *j = context;
    int64_t n = chunk / j->x.dim[1], iy = chunk % j->x.dim[1], channels = j->x.dim[3];
    range rows = readers(j, 0, iy);
    for (int64_t ix = 0; ix < j->x.dim[2]; ix++) {
        range columns = readers(j, 1, ix);
        for (int64_t at = 0; at < channels; at += SN_BLOCK) {
            int count = sn_block_size(channels - at);
            float acc[SN_BLOCK] = {0};
            for (int64_t oy = rows.from; oy < rows.to; oy++)
                for (int64_t ox = columns.from; ox < columns.to; ox++) add_window(j, n, oy, ox, iy, ix, at, count, acc);
            sn_block_put(j->plan->out[0], j->args->out[0], at4(j->x, n, iy, ix, at), count, acc);
        }
    }
}

static sn_status run_pool_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, plan->out[0].shape, plan->in[0].shape};
    sn_parallel(plan->threads, j.x.dim[0] * j.x.dim[1], backward_chunk, &j);
    return SN_OK;
}
SN_REF(maxpool_bwd, sn_ref_accepts_float, run_pool_bwd)
SN_REF(avgpool_bwd, sn_ref_accepts_float, run_pool_bwd)

/* ---- average ---- */

static void average_cell(const job *j, int64_t n, int64_t oy, int64_t ox, int64_t at, int count) {
    const sn_kernel_plan *p = j->plan;
    range rows = window(j, 0, oy), columns = window(j, 1, ox);
    int64_t seen = sn_max64(1, (rows.to - rows.from) * (columns.to - columns.from));
    float buffer[SN_BLOCK], acc[SN_BLOCK] = {0};
    for (int64_t iy = rows.from; iy < rows.to; iy++)
        for (int64_t ix = columns.from; ix < columns.to; ix++) {
            const float *x = sn_block_in(p->in[0], j->args->in[0], at4(j->x, n, iy, ix, at), count, buffer);
            for (int k = 0; k < count; k++) acc[k] += x[k];
        }
    for (int k = 0; k < count; k++) acc[k] /= (float)seen;
    sn_block_put(p->out[0], j->args->out[0], at4(j->y, n, oy, ox, at), count, acc);
}

static void average_chunk(void *context, int64_t chunk) {
    const job *j = context;
    int64_t n = chunk / j->y.dim[1], oy = chunk % j->y.dim[1], channels = j->y.dim[3];
    for (int64_t ox = 0; ox < j->y.dim[2]; ox++)
        for (int64_t at = 0; at < channels; at += SN_BLOCK) average_cell(j, n, oy, ox, at, sn_block_size(channels - at));
}

static sn_status run_avgpool(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, plan->in[0].shape, plan->out[0].shape};
    sn_parallel(plan->threads, j.y.dim[0] * j.y.dim[1], average_chunk, &j);
    return SN_OK;
}
SN_REF(avgpool, sn_ref_accepts_float, run_avgpool)
