/* recurrent.c: RNN, LSTM, GRU: the cells and the forward pass. One row of the batch is a chunk; it walks the
 * time axis with its state in scratch. x [N,T,I] -> y [N,T,H], workspace [N,T,saved,H]. */
#include "kernels/ref/recurrent.h"

#include "kernels/ref/vmath.h"

/* ---- RNN: h = tanh(gx + gh) ---- */

static void rnn_forward(int64_t width, const float *gx, const float *gh, float *h, float *c, float *keep) {
    (void)c;
    (void)keep;
    for (int64_t i = 0; i < width; i++) h[i] = sn_vtanh(gx[i] + gh[i]);
}
static void rnn_backward(int64_t width, const float *h, const float *before, const float *kept, const float *kept_before,
                         float *dh, float *dc, float *dgx, float *dgh) {
    (void)before;
    (void)kept;
    (void)kept_before;
    (void)dc;
    for (int64_t i = 0; i < width; i++) {
        dgx[i] = dgh[i] = dh[i] * (1.0f - h[i] * h[i]);
        dh[i] = 0.0f;
    }
}

/* ---- LSTM: c = f c + i g, h = o tanh(c) ---- */

static void lstm_forward(int64_t width, const float *gx, const float *gh, float *h, float *c, float *keep) {
    for (int64_t k = 0; k < width; k++) {
        float i = sn_vsigmoid(gx[k] + gh[k]), f = sn_vsigmoid(gx[width + k] + gh[width + k]);
        float g = sn_vtanh(gx[2 * width + k] + gh[2 * width + k]);
        float o = sn_vsigmoid(gx[3 * width + k] + gh[3 * width + k]);
        c[k] = f * c[k] + i * g;
        h[k] = o * sn_vtanh(c[k]);
        if (!keep) continue;
        keep[k] = i;
        keep[width + k] = f;
        keep[2 * width + k] = g;
        keep[3 * width + k] = o;
        keep[4 * width + k] = c[k];
    }
}
static void lstm_backward(int64_t width, const float *h, const float *before, const float *kept, const float *kept_before,
                          float *dh, float *dc, float *dgx, float *dgh) {
    (void)h;
    (void)before;
    for (int64_t k = 0; k < width; k++) {
        float i = kept[k], f = kept[width + k], g = kept[2 * width + k], o = kept[3 * width + k];
        float t = sn_vtanh(kept[4 * width + k]), c0 = kept_before ? kept_before[4 * width + k] : 0.0f;
        float d = dc[k] + dh[k] * o * (1.0f - t * t);
        dgx[k] = d * g * i * (1.0f - i);
        dgx[width + k] = d * c0 * f * (1.0f - f);
        dgx[2 * width + k] = d * i * (1.0f - g * g);
        dgx[3 * width + k] = dh[k] * t * o * (1.0f - o);
        dc[k] = d * f;
        dh[k] = 0.0f;
    }
    memcpy(dgh, dgx, 4 * (size_t)width * sizeof *dgh);
}

/* ---- GRU: n = tanh(gx_n + r gh_n), h = (1-z) n + z h ---- */

static void gru_forward(int64_t width, const float *gx, const float *gh, float *h, float *c, float *keep) {
    (void)c;
    for (int64_t k = 0; k < width; k++) {
        float r = sn_vsigmoid(gx[k] + gh[k]), z = sn_vsigmoid(gx[width + k] + gh[width + k]);
        float n = sn_vtanh(gx[2 * width + k] + r * gh[2 * width + k]);
        h[k] = (1.0f - z) * n + z * h[k];
        if (!keep) continue;
        keep[k] = r;
        keep[width + k] = z;
        keep[2 * width + k] = n;
        keep[3 * width + k] = gh[2 * width + k];
    }
}
static void gru_backward(int64_t width, const float *h, const float *before, const float *kept, const float *kept_before,
                         float *dh, float *dc, float *dgx, float *dgh) {
    (void)h;
    (void)kept_before;
    (void)dc;
    for (int64_t k = 0; k < width; k++) {
        float r = kept[k], z = kept[width + k], n = kept[2 * width + k], hn = kept[3 * width + k];
        float h0 = before ? before[k] : 0.0f;
        float dn = dh[k] * (1.0f - z) * (1.0f - n * n);
        dgx[k] = dgh[k] = dn * hn * r * (1.0f - r);
        dgx[width + k] = dgh[width + k] = dh[k] * (h0 - n) * z * (1.0f - z);
        dgx[2 * width + k] = dn;
        dgh[2 * width + k] = dn * r;
        dh[k] *= z;
    }
}

static const sn_ref_cell rnn = {1, 0, rnn_forward, rnn_backward}, lstm = {4, 5, lstm_forward, lstm_backward},
                     gru = {3, 4, gru_forward, gru_backward};
static const sn_ref_cell *const cell_of[SN_OP_COUNT] = {[SN_RNN] = &rnn,       [SN_LSTM] = &lstm,       [SN_GRU] = &gru,
                                                    [SN_RNN_BWD] = &rnn,   [SN_LSTM_BWD] = &lstm,   [SN_GRU_BWD] = &gru};
const sn_ref_cell *sn_ref_cell_of(sn_op op) { return cell_of[op]; }

/* ---- forward ---- */

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    const sn_ref_cell *cell;
    int64_t steps, inputs, width, gates; /* T, I, H, G*H */
} job;

static job job_of(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_shape x = plan->in[0].shape, w = plan->in[2].shape;
    return (job){plan, args, sn_ref_cell_of(plan->op), x.dim[1], x.dim[2], w.dim[1], w.dim[0]};
}

/* y = w v + b for w [rows, n] */
static void affine(int64_t rows, int64_t n, const float *w, const float *v, const float *b, float *y) {
    for (int64_t r = 0; r < rows; r++) {
        double sum = (double)b[r];
        for (int64_t i = 0; i < n; i++) sum += (double)w[r * n + i] * (double)v[i];
        y[r] = (float)sum;
    }
}

static void row_chunk(void *context, int64_t row) {
    const job *j = context;
    const float *const *in = (const float *const *)j->args->in;
    float *gx = (float *)j->args->scratch + row * 2 * (j->gates + j->width), *gh = gx + j->gates;
    float *h = gh + j->gates, *c = h + j->width;
    float *y = j->args->out[0] ? (float *)j->args->out[0] + row * j->steps * j->width : NULL;
    int64_t saved = j->cell->saved * j->width;
    float *keep = j->plan->opaque[1] ? (float *)j->args->out[1] + row * j->steps * saved : NULL;
    memset(h, 0, 2 * (size_t)j->width * sizeof *h);
    for (int64_t t = 0; t < j->steps; t++) {
        affine(j->gates, j->inputs, in[1], in[0] + (row * j->steps + t) * j->inputs, in[3], gx);
        affine(j->gates, j->width, in[2], h, in[4], gh);
        j->cell->forward(j->width, gx, gh, h, c, keep ? keep + t * saved : NULL);
        if (y) memcpy(y + t * j->width, h, (size_t)j->width * sizeof *h);
    }
}

static sn_status run_recurrent(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args);
    sn_parallel(plan->threads, plan->in[0].shape.dim[0], row_chunk, &j);
    return SN_OK;
}

static sn_status sizes(const sn_kernel_request *request, sn_kernel_plan *plan) {
    sn_shape x = request->in[0].shape, w = request->in[2].shape;
    plan->scratch = (size_t)(x.dim[0] * 2 * (w.dim[0] + w.dim[1])) * sizeof(float);
    if (request->attr->rnn.saves && !(request->unused & 2u))
        plan->opaque[1] = (size_t)(x.dim[0] * x.dim[1] * sn_ref_cell_of(request->op)->saved * w.dim[1]) * sizeof(float);
    return SN_OK;
}
SN_REF_SCRATCH(rnn, sn_ref_accepts_f32, run_recurrent, sizes)
SN_REF_SCRATCH(lstm, sn_ref_accepts_f32, run_recurrent, sizes)
SN_REF_SCRATCH(gru, sn_ref_accepts_f32, run_recurrent, sizes)
