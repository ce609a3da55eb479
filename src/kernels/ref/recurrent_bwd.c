/* recurrent_bwd.c: backward through time.
 *
 *   (x, w_ih, w_hh, b_ih, b_hh, y, workspace, dy) -> dx, dw_ih, dw_hh, db_ih, db_hh
 *
 * First every row of the batch walks backwards and leaves dgx and dgh [N,T,G*H] in scratch; then
 *   dx = dgx W_ih,  dW_ih = sum dgx xᵀ,  dW_hh = sum dgh h(t-1)ᵀ,  biases: sums of dgx and dgh. */
#include "kernels/ref/recurrent.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    const sn_ref_cell *cell;
    int64_t rows, steps, inputs, width, gates;
    float *dgx, *dgh, *state; /* state: dh and dc of each row */
} job;

static job job_of(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_shape x = plan->in[0].shape, w = plan->in[2].shape;
    job j = {.plan = plan, .args = args, .cell = sn_ref_cell_of(plan->op), .rows = x.dim[0], .steps = x.dim[1],
             .inputs = x.dim[2], .width = w.dim[1], .gates = w.dim[0]};
    j.dgx = args->scratch;
    j.dgh = j.dgx + j.rows * j.steps * j.gates;
    j.state = j.dgh + j.rows * j.steps * j.gates;
    return j;
}

/* y[i] += sum over r of w[r, i] d[r] */
static void add_transposed(int64_t rows, int64_t n, const float *w, const float *d, float *y) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) sum += (double)w[r * n + i] * (double)d[r];
        y[i] += (float)sum;
    }
}

static void walk_row(void *context, int64_t row) {
    const job *j = context;
    const float *const *in = (const float *const *)j->args->in;
    int64_t saved = j->cell->saved * j->width, H = j->width;
    const float *y = in[5] + row * j->steps * H, *dy = in[7] + row * j->steps * H;
    const float *kept = saved ? in[6] + row * j->steps * saved : NULL;
    float *dh = j->state + row * 2 * H, *dc = dh + H;
    memset(dh, 0, 2 * (size_t)H * sizeof *dh);
    for (int64_t t = j->steps - 1; t >= 0; t--) {
        int64_t at = (row * j->steps + t) * j->gates;
        for (int64_t k = 0; k < H; k++) dh[k] += dy[t * H + k];
        j->cell->backward(H, y + t * H, t ? y + (t - 1) * H : NULL, kept ? kept + t * saved : NULL,
                          kept && t ? kept + (t - 1) * saved : NULL, dh, dc, j->dgx + at, j->dgh + at);
        add_transposed(j->gates, H, in[2], j->dgh + at, dh);
        if (!j->args->out[0]) continue;
        float *dx = (float *)j->args->out[0] + (row * j->steps + t) * j->inputs;
        memset(dx, 0, (size_t)j->inputs * sizeof *dx);
        add_transposed(j->gates, j->inputs, in[1], j->dgx + at, dx);
    }
}

/* dw[i] = sum over positions of d[position, gate] v[position, i]; lag 1: v of the position before, 0 at the first. */
static void weight_row(const job *j, const float *d, int64_t gate, const float *v, int64_t n, int64_t lag, float *dw) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t row = 0; row < j->rows; row++)
            for (int64_t t = lag; t < j->steps; t++) {
                int64_t p = row * j->steps + t;
                sum += (double)d[p * j->gates + gate] * (double)v[(p - lag) * n + i];
            }
        dw[i] = (float)sum;
    }
}
static float bias_sum(const job *j, const float *d, int64_t gate) {
    double sum = 0;
    for (int64_t p = 0; p < j->rows * j->steps; p++) sum += (double)d[p * j->gates + gate];
    return (float)sum;
}

static void gate_chunk(void *context, int64_t gate) {
    const job *j = context;
    float *const *out = (float *const *)j->args->out;
    const float *const *in = (const float *const *)j->args->in;
    if (out[1]) weight_row(j, j->dgx, gate, in[0], j->inputs, 0, out[1] + gate * j->inputs);
    if (out[2]) weight_row(j, j->dgh, gate, in[5], j->width, 1, out[2] + gate * j->width);
    if (out[3]) out[3][gate] = bias_sum(j, j->dgx, gate);
    if (out[4]) out[4][gate] = bias_sum(j, j->dgh, gate);
}

static sn_status run_backward(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args);
    sn_parallel(plan->threads, j.rows, walk_row, &j);
    sn_parallel(plan->threads, j.gates, gate_chunk, &j);
    return SN_OK;
}

static sn_status sizes(const sn_kernel_request *request, sn_kernel_plan *plan) {
    sn_shape x = request->in[0].shape, w = request->in[2].shape;
    plan->scratch = (size_t)(2 * x.dim[0] * (x.dim[1] * w.dim[0] + w.dim[1])) * sizeof(float);
    return SN_OK;
}
SN_REF_SCRATCH(rnn_bwd, sn_ref_accepts_f32, run_backward, sizes)
SN_REF_SCRATCH(lstm_bwd, sn_ref_accepts_f32, run_backward, sizes)
SN_REF_SCRATCH(gru_bwd, sn_ref_accepts_f32, run_backward, sizes)
