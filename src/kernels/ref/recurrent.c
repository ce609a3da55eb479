/* recurrent.c: RNN, LSTM, GRU forward. One row of the batch is a chunk; it walks the time axis with its state in
 * scratch. x [N,T,I] -> y [N,T,H], workspace [N,T, G*H gates and H extra]. bf16 operands are turned to f32 first. */
#include "kernels/ref/recurrent.h"

const float *sn_ref_widen(sn_type type, const void *from, float **room) {
    if (type.dtype == SN_F32) return from;
    float *to = *room;
    int64_t n = sn_shape_count(type.shape);
    for (int64_t i = 0; i < n; i += SN_BLOCK) (void)sn_block_in(type, from, i, sn_block_size(n - i), to + i);
    *room += n;
    return to;
}

void sn_ref_narrow(sn_type type, const float *from, void *to) {
    int64_t n = sn_shape_count(type.shape);
    for (int64_t i = 0; i < n; i += SN_BLOCK) sn_block_put(type, to, i, sn_block_size(n - i), from + i);
}

int64_t sn_ref_widened(const sn_type *types, int n) {
    int64_t sum = 0;
    for (int k = 0; k < n; k++)
        if (types[k].dtype == SN_BF16) sum += sn_shape_count(types[k].shape);
    return sum;
}

typedef struct job {
    const sn_cell *cell;
    sn_type type; /* of x and y: the state enters its product as y shows it */
    const int32_t *lengths; /* or NULL */
    const float *x, *w_ih, *w_hh, *b_ih, *b_hh;
    float *y, *work, *workspace;         /* work: for each row gx, extra, gh, h, c, h as it enters (twice) */
    int64_t steps, inputs, width, gates; /* T, I, H, G*H */
} job;

/* y = w v + b for w [rows, n] */
static void affine(int64_t rows, int64_t n, const float *w, const float *v, const float *b, float *y) {
    for (int64_t r = 0; r < rows; r++) {
        double sum = (double)b[r];
        for (int64_t i = 0; i < n; i++) sum += (double)w[r * n + i] * (double)v[i];
        y[r] = (float)sum;
    }
}

static int64_t work_of(const sn_cell *cell, int64_t width) { return (2 * cell->gates + 5) * width; }

static void row_chunk(void *context, int64_t row) {
    const job *j = context;
    float *gx = j->work + row * work_of(j->cell, j->width), *extra = gx + j->gates, *gh = extra + j->width;
    float *h = gh + j->gates, *c = h + j->width, *entering = c + j->width, *shown = entering + j->width;
    int64_t kept = j->gates + j->width;
    memset(h, 0, 2 * (size_t)j->width * sizeof *h);
    int64_t valid = j->lengths ? sn_length(j->lengths, row, j->steps) : j->steps;
    if (j->y) memset(j->y + (row * j->steps + valid) * j->width, 0, (size_t)((j->steps - valid) * j->width) * sizeof *j->y);
    for (int64_t t = 0; t < valid; t++) {
        int64_t at = row * j->steps + t;
        affine(j->gates, j->inputs, j->w_ih, j->x + at * j->inputs, j->b_ih, gx);
        for (int64_t k = 0; k < j->width; k += SN_BLOCK) sn_block_put(j->type, shown, k, sn_block_size(j->width - k), h + k);
        for (int64_t k = 0; k < j->width; k++) entering[k] = sn_load(j->type, shown, k);
        affine(j->gates, j->width, j->w_hh, entering, j->b_hh, gh);
        j->cell->forward(j->width, gx, gh, h, c, extra);
        if (j->workspace) memcpy(j->workspace + at * kept, gx, (size_t)kept * sizeof *gx);
        if (j->y) memcpy(j->y + at * j->width, h, (size_t)j->width * sizeof *h);
    }
}

static sn_status run_recurrent(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_shape x = plan->in[0].shape, w = plan->in[2].shape;
    job j = {.cell = sn_cell_of(plan->op), .steps = x.dim[1], .inputs = x.dim[2], .width = w.dim[1], .gates = w.dim[0]};
    j.work = args->scratch;
    float *room = j.work + x.dim[0] * work_of(j.cell, j.width);
    j.x = sn_ref_widen(plan->in[0], args->in[0], &room);
    j.w_ih = sn_ref_widen(plan->in[1], args->in[1], &room);
    j.w_hh = sn_ref_widen(plan->in[2], args->in[2], &room);
    j.lengths = plan->n_in > 5 ? args->in[5] : NULL;
    j.b_ih = args->in[3];
    j.b_hh = args->in[4];
    j.workspace = plan->opaque[1] ? args->out[1] : NULL;
    bool narrow = plan->out[0].dtype != SN_F32 && args->out[0];
    j.y = narrow ? room : args->out[0];
    j.type = plan->in[0];
    sn_parallel(plan->threads, x.dim[0], row_chunk, &j);
    if (narrow) sn_ref_narrow(plan->out[0], j.y, args->out[0]);
    return SN_OK;
}

static sn_status sizes(const sn_kernel_request *request, sn_kernel_plan *plan) {
    sn_shape x = request->in[0].shape, w = request->in[2].shape;
    const sn_cell *cell = sn_cell_of(request->op);
    int64_t floats = x.dim[0] * work_of(cell, w.dim[1]) + sn_ref_widened(request->in, 3) + sn_ref_widened(request->out, 1);
    plan->scratch = (size_t)floats * sizeof(float);
    if (request->attr->rnn.saves && !(request->unused & 2u))
        plan->opaque[1] = (size_t)(x.dim[0] * x.dim[1] * (w.dim[0] + w.dim[1])) * sizeof(float);
    return SN_OK;
}
SN_REF_SCRATCH(rnn, sn_ref_accepts_float, run_recurrent, sizes)
SN_REF_SCRATCH(lstm, sn_ref_accepts_float, run_recurrent, sizes)
SN_REF_SCRATCH(gru, sn_ref_accepts_float, run_recurrent, sizes)
