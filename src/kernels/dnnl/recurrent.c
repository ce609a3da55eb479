/* recurrent.c: one recurrent layer, left to right, forward; and what both directions share.
 *
 *   x [N,T,I], weights, biases -> y [N,T,H], and where attr.rnn.saves what the cell keeps, packed: gates [P,G*H],
 *   which take the place of gx, and extra [P,H] after room for N*T of them
 *
 * oneDNN's fast products want their matrices dense, so the state that enters a step is copied out of y. */
#include "kernels/dnnl/recurrent.h"

#include "base/parallel.h"

/* ---- both directions ---- */

sn_recurrence sn_recurrence_of(const sn_kernel_request *r) {
    sn_shape x = r->in[0].shape, w = r->in[2].shape;
    return (sn_recurrence){sn_cell_of(r->op), r->in[0].dtype, x.dim[0], x.dim[1], x.dim[2], w.dim[1], w.dim[0]};
}

bool sn_recurrent_accepts(const sn_kernel_request *r) {
    sn_dtype dtype = r->in[0].dtype;
    if (!sn_request_nonempty(r) || !sn_dnnl_float(r, dtype) || r->out[0].dtype != dtype) return false;
    for (int k = 1; k < r->n_in; k++) {
        bool bias = k == 3 || k == 4, other = r->in[k].dtype == SN_OPAQUE || r->in[k].dtype == SN_I32;
        if (!other && r->in[k].dtype != (bias ? SN_F32 : dtype)) return false;
    }
    for (int k = 1; k < r->n_out; k++)
        if (r->out[k].dtype != SN_F32 && r->out[k].dtype != SN_OPAQUE) return false;
    return true;
}

/* ---- packing ---- */

size_t sn_packing_bytes(const sn_recurrence *r) {
    return (size_t)(r->rows + 3 * (r->steps + 1)) * sizeof(int64_t);
}

static int64_t steps_of(const sn_recurrence *r, const int32_t *lengths, int64_t row) {
    if (!lengths || lengths[row] > r->steps) return r->steps;
    return lengths[row] < 0 ? 0 : lengths[row];
}

sn_packing sn_packing_make(const sn_recurrence *r, const int32_t *lengths, void *memory) {
    int64_t T = r->steps, *at = memory;
    sn_packing p = {at, at + r->rows, at + r->rows + T + 1, at + r->rows + 2 * (T + 1)};
    memset(p.active, 0, (size_t)(T + 1) * sizeof(int64_t));
    for (int64_t n = 0; n < r->rows; n++) p.active[steps_of(r, lengths, n)]++; /* rows of exactly this length */
    int64_t longer = 0;
    for (int64_t t = T; t >= 0; t--) {
        int64_t these = p.active[t];
        p.active[t] = p.place[t] = longer; /* rows longer than t come before those of length t */
        longer += these;
    }
    p.start[0] = 0;
    for (int64_t t = 0; t < T; t++) p.start[t + 1] = p.start[t] + p.active[t];
    for (int64_t n = 0; n < r->rows; n++) p.row[p.place[steps_of(r, lengths, n)]++] = n;
    return p;
}

void sn_recurrent_clear(const sn_recurrence *r, void *of, int64_t width, int64_t from, int64_t to) {
    size_t row = (size_t)width * sn_dtype_size(r->dtype);
    if (to > from) memset((char *)of + (size_t)from * row, 0, (size_t)(to - from) * row);
}

void sn_recurrent_pack(const sn_recurrence *r, const sn_packing *p, const void *from, int64_t width, void *to,
                       int64_t total) {
    size_t bytes = (size_t)width * sn_dtype_size(r->dtype);
    char *at = to;
    for (int64_t t = 0; t < r->steps; t++)
        for (int64_t slot = 0; slot < p->active[t]; slot++, at += bytes)
            memcpy(at, (const char *)from + (size_t)(p->row[slot] * r->steps + t) * bytes, bytes);
    sn_recurrent_clear(r, to, width, p->start[r->steps], total);
}

void sn_recurrent_unpack(const sn_recurrence *r, const sn_packing *p, const void *from, int64_t width, void *to) {
    size_t bytes = (size_t)width * sn_dtype_size(r->dtype);
    const char *at = from;
    for (int64_t t = 0; t < r->steps; t++) {
        for (int64_t slot = 0; slot < r->rows; slot++) {
            char *place = (char *)to + (size_t)(p->row[slot] * r->steps + t) * bytes;
            if (slot >= p->active[t]) {
                memset(place, 0, bytes);
                continue;
            }
            memcpy(place, at, bytes);
            at += bytes;
        }
    }
}

sn_status sn_recurrent_prepare(const sn_kernel_request *r, sn_kernel_plan *plan, size_t bytes,
                               sn_status (*build)(void *state, const sn_kernel_request *r, sn_kernel_plan *plan)) {
    SN_TRY(sn_threads_enter(r->threads));
    if (!sn_dnnl_engine()) return plan->release = NULL, SN_ERR_BACKEND;
    sn_recurrent_state *s = sn_alloc(1, bytes);
    if (!s) return plan->release = NULL, SN_ERR_MEMORY;
    sn_request_text(r, s->what);
    s->shape = sn_recurrence_of(r);
    plan->state = s;
    return build(s, r, plan);
}

/* ---- the kernel ---- */

typedef struct state {
    sn_recurrent_state base;
    sn_ladder inputs, step;
    bool saves;
    size_t order_at, x_at, kept_at, gh_at, h_at, c_at, before_at;
} state;

static void release(void *p) {
    state *s = p;
    sn_ladder_free(&s->inputs);
    sn_ladder_free(&s->step);
    sn_free(s);
}

static sn_status pack_hh(void *p, const void *from, void *to) {
    const state *s = p;
    return sn_reorder_run(&s->step.full.move, from, to, NULL, s->base.what);
}

typedef struct job {
    const state *s;
    const sn_kernel_args *args;
    sn_packing order;
    float *gates, *extra, *gh, *h, *c; /* gh, h, c [slot, …] */
    void *before; /* h of all slots in the layer's dtype */
    int64_t t;
} job;

static void cell_row(void *context, int64_t slot) {
    const job *j = context;
    const sn_recurrence *r = &j->s->base.shape;
    int64_t packed = j->order.start[j->t] + slot, position = j->order.row[slot] * r->steps + j->t;
    float *gx = j->gates + packed * r->gates, *gh = j->gh + slot * r->gates, *h = j->h + slot * r->width;
    float *extra = j->extra + (j->s->saves ? packed : slot) * r->width;
    if (!j->t) memcpy(gh, j->args->in[4], (size_t)r->gates * sizeof *gh); /* the state before the first is zero */
    r->cell->forward(r->width, gx, gh, h, j->c + slot * r->width, extra);
    sn_floats_put(r->dtype, h, j->args->out[0], position * r->width, r->width);
    if (j->before != j->h) sn_floats_put(r->dtype, h, j->before, slot * r->width, r->width);
}

/* Nothing comes after a row's end. */
static void blank_row(void *context, int64_t slot) {
    const job *j = context;
    const sn_recurrence *r = &j->s->base.shape;
    int64_t row = j->order.row[slot], end = 0;
    while (end < r->steps && j->order.active[end] > slot) end++;
    sn_recurrent_clear(r, j->args->out[0], r->width, row * r->steps + end, (row + 1) * r->steps);
}

static float *floats(char *scratch, size_t at) { return (float *)(void *)(scratch + at); }

static sn_status walk(const sn_kernel_plan *plan, job *j, const void *w_hh) {
    const state *s = j->s;
    const sn_recurrence *r = &s->base.shape;
    char *scratch = j->args->scratch;
    size_t state_bytes = (size_t)(r->rows * r->width) * sizeof(float);
    memset(j->h, 0, state_bytes);
    memset(j->c, 0, state_bytes);
    sn_recurrent_clear(r, j->before, r->width, 0, r->rows);
    for (j->t = 0; j->t < r->steps && j->order.active[j->t]; j->t++) {
        int64_t active = j->order.active[j->t];
        const sn_product *step = sn_ladder_for(&s->step, active, NULL);
        if (j->t) SN_TRY(sn_product_run(step, j->before, w_hh, j->args->in[4], j->gh, scratch, s->base.what));
        sn_parallel(plan->threads, active, cell_row, j);
    }
    if (j->order.start[r->steps] < r->rows * r->steps) sn_parallel(plan->threads, r->rows, blank_row, j);
    return SN_OK;
}

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    const state *s = plan->state;
    const sn_recurrence *r = &s->base.shape;
    char *scratch = args->scratch;
    const char *what = s->base.what;
    const void *w_ih, *w_hh, *x = args->in[0];
    job j = {.s = s, .args = args, .gh = floats(scratch, s->gh_at), .h = floats(scratch, s->h_at),
             .c = floats(scratch, s->c_at), .before = scratch + s->before_at};
    j.order = sn_packing_make(r, plan->n_in > 5 ? args->in[5] : NULL, scratch + s->order_at);
    j.gates = s->saves ? args->out[1] : floats(scratch, s->kept_at);
    j.extra = j.gates + r->rows * r->steps * r->gates;
    int64_t total;
    const sn_product *inputs = sn_ladder_for(&s->inputs, j.order.start[r->steps], &total);
    if (r->rows > 1) sn_recurrent_pack(r, &j.order, x, r->inputs, scratch + s->x_at, total);
    if (r->rows > 1) x = scratch + s->x_at;
    SN_TRY(sn_product_weights(&s->inputs.full, args->in[1], scratch, &w_ih, what));
    SN_TRY(sn_product_weights(&s->step.full, args->in[2], scratch, &w_hh, what));
    SN_TRY(sn_product_run(inputs, x, w_ih, args->in[3], j.gates, scratch, what));
    return walk(plan, &j, w_hh);
}

static void take_scratch(state *s, size_t *total) {
    const sn_recurrence *r = &s->base.shape;
    size_t row = (size_t)r->rows * sizeof(float), positions = (size_t)(r->rows * r->steps);
    size_t gates = positions * (size_t)r->gates * sizeof(float), size = sn_dtype_size(r->dtype);
    s->order_at = sn_scratch_take(total, sn_packing_bytes(r));
    s->x_at = sn_scratch_take(total, r->rows > 1 ? positions * (size_t)r->inputs * size : 0);
    s->kept_at = sn_scratch_take(total, s->saves ? 0 : gates + row * (size_t)r->width);
    s->gh_at = sn_scratch_take(total, row * (size_t)r->gates);
    s->h_at = sn_scratch_take(total, row * (size_t)r->width);
    s->c_at = sn_scratch_take(total, row * (size_t)r->width);
    s->before_at = r->dtype == SN_F32 ? s->h_at : sn_scratch_take(total, row * (size_t)r->width);
}

static sn_status build(void *made, const sn_kernel_request *q, sn_kernel_plan *plan) {
    state *s = made;
    const sn_recurrence *r = &s->base.shape;
    int64_t positions = r->rows * r->steps;
    s->saves = q->attr->rnn.saves && !(q->unused & 2u);
    sn_product_shape inputs = {positions, r->inputs, r->gates, {r->dtype, r->inputs, 1}, {r->dtype, 1, r->inputs},
                               {SN_F32, r->gates, 1}, true, false};
    sn_product_shape step = {r->rows, r->width, r->gates, {r->dtype, r->width, 1}, {r->dtype, 1, r->width},
                             {SN_F32, r->gates, 1}, true, true};
    bool packs = q->n_in > 5;
    if (s->saves) plan->opaque[1] = (size_t)(positions * (r->gates + r->width)) * sizeof(float);
    take_scratch(s, &plan->scratch);
    SN_TRY(sn_ladder_create(&s->inputs, &inputs, false, packs ? SN_POSITION_STEPS : 1, &plan->scratch, s->base.what));
    SN_TRY(sn_ladder_create(&s->step, &step, false, packs ? SN_ROW_STEPS : 1, &plan->scratch, s->base.what));
    sn_product_pack(&s->step.full, q, plan, 2, true, pack_hh);
    return SN_OK;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    plan->run = run;
    plan->release = release;
    return sn_recurrent_prepare(r, plan, sizeof(state), build);
}
const sn_kernel sn_dnnl_recurrent = {"dnnl:recurrent", sn_recurrent_accepts, prepare};
