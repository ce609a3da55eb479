/* recurrent_bwd.c: backward through time.
 *
 *   (x, w_ih, w_hh, b_ih, b_hh, y, workspace, dy) -> dx, dw_ih, dw_hh, db_ih, db_hh
 *
 * First every row of the batch walks backwards and leaves dgx and dgh [N,T,G*H] in scratch; then
 *   dx = dgx W_ih,  dW_ih = sum dgx xᵀ,  dW_hh = sum dgh h(t-1)ᵀ,  biases: sums of dgx and dgh. */
#include "kernels/ref/recurrent.h"

typedef struct job {
    const sn_cell *cell;
    const int32_t *lengths; /* or NULL */
    const float *x, *w_ih, *w_hh, *y, *kept, *dy, *zeros;
    float *dx, *out[5];
    int64_t rows, steps, inputs, width, gates;
    float *dgx, *dgh, *state; /* state: dh and dc of each row */
} job;

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
    int64_t H = j->width, size = j->gates + H;
    const float *y = j->y + row * j->steps * H, *dy = j->dy + row * j->steps * H;
    const float *kept = j->kept + row * j->steps * size;
    float *dh = j->state + row * 2 * H, *dc = dh + H;
    memset(dh, 0, 2 * (size_t)H * sizeof *dh);
    int64_t valid = j->lengths ? sn_length(j->lengths, row, j->steps) : j->steps, beyond = j->steps - valid;
    int64_t first = (row * j->steps + valid) * j->gates;
    memset(j->dgx + first, 0, (size_t)(beyond * j->gates) * sizeof(float));
    memset(j->dgh + first, 0, (size_t)(beyond * j->gates) * sizeof(float));
    if (j->dx) memset(j->dx + (row * j->steps + valid) * j->inputs, 0, (size_t)(beyond * j->inputs) * sizeof(float));
    for (int64_t t = valid - 1; t >= 0; t--) {
        int64_t at = (row * j->steps + t) * j->gates;
        for (int64_t k = 0; k < H; k++) dh[k] += dy[t * H + k];
        const float *gates = kept + t * size, *extra = gates + j->gates;
        j->cell->backward(H, t ? y + (t - 1) * H : j->zeros, gates, extra, t ? extra - size : j->zeros, dh, dc,
                          j->dgx + at, j->dgh + at);
        add_transposed(j->gates, H, j->w_hh, j->dgh + at, dh);
        if (!j->dx) continue;
        float *dx = j->dx + (row * j->steps + t) * j->inputs;
        memset(dx, 0, (size_t)j->inputs * sizeof *dx);
        add_transposed(j->gates, j->inputs, j->w_ih, j->dgx + at, dx);
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
    float *const *out = j->out;
    if (out[1]) weight_row(j, j->dgx, gate, j->x, j->inputs, 0, out[1] + gate * j->inputs);
    if (out[2]) weight_row(j, j->dgh, gate, j->y, j->width, 1, out[2] + gate * j->width);
    if (out[3]) out[3][gate] = bias_sum(j, j->dgx, gate);
    if (out[4]) out[4][gate] = bias_sum(j, j->dgh, gate);
}

static int64_t grad_floats(const sn_kernel_request *r) {
    sn_shape x = r->in[0].shape, w = r->in[2].shape;
    return 2 * x.dim[0] * (x.dim[1] * w.dim[0] + w.dim[1]) + w.dim[1];
}

static sn_status run_backward(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_shape x = plan->in[0].shape, w = plan->in[2].shape;
    job j = {.cell = sn_cell_of(plan->op), .rows = x.dim[0], .steps = x.dim[1], .inputs = x.dim[2], .width = w.dim[1],
             .gates = w.dim[0]};
    int64_t positions = j.rows * j.steps * j.gates, zeros = j.width;
    float *room = args->scratch;
    j.dgx = room;
    j.dgh = j.cell->shares ? j.dgx : j.dgx + positions;
    j.state = j.dgx + 2 * positions;
    room = j.state + 2 * j.rows * j.width;
    j.zeros = memset(room, 0, (size_t)zeros * sizeof *room);
    room += zeros;
    j.x = sn_ref_widen(plan->in[0], args->in[0], &room);
    j.w_ih = sn_ref_widen(plan->in[1], args->in[1], &room);
    j.w_hh = sn_ref_widen(plan->in[2], args->in[2], &room);
    j.y = sn_ref_widen(plan->in[5], args->in[5], &room);
    j.dy = sn_ref_widen(plan->in[7], args->in[7], &room);
    j.kept = args->in[6];
    j.lengths = plan->n_in > 8 ? args->in[8] : NULL;
    for (int k = 1; k < 5; k++) j.out[k] = args->out[k];
    bool narrow = plan->out[0].dtype != SN_F32 && args->out[0];
    j.dx = narrow ? room : args->out[0];
    sn_parallel(plan->threads, j.rows, walk_row, &j);
    sn_parallel(plan->threads, j.gates, gate_chunk, &j);
    if (narrow) sn_ref_narrow(plan->out[0], j.dx, args->out[0]);
    return SN_OK;
}

static sn_status sizes(const sn_kernel_request *request, sn_kernel_plan *plan) {
    int64_t floats = grad_floats(request) + sn_ref_widened(request->in, 8) + sn_ref_widened(request->out, 1);
    plan->scratch = (size_t)floats * sizeof(float);
    return SN_OK;
}
SN_REF_SCRATCH(rnn_bwd, sn_ref_accepts_float, run_backward, sizes)
SN_REF_SCRATCH(lstm_bwd, sn_ref_accepts_float, run_backward, sizes)
SN_REF_SCRATCH(gru_bwd, sn_ref_accepts_float, run_backward, sizes)
