/* recurrent_bwd.c: the backward form of recurrent.c.
 *
 *   (x, w_ih, w_hh, b_ih, b_hh, y, kept, dy) -> dx, dw_ih, dw_hh, db_ih, db_hh
 *
 * First the walk back through time leaves dgx and dgh of every packed position in the layer's dtype, and each row's
 * own sums of them in f32 (the biases' gradients); then one product each for dx, dw_ih and dw_hh. */
#include "base/parallel.h"
#include "base/wide.h"
#include "kernels/dnnl/recurrent.h"

enum { DX, DW_IH, DW_HH, DB_IH, DB_HH };
typedef struct state {
    sn_recurrent_state base;
    sn_ladder back, out[3];
    bool wanted[5];
    size_t order_at, x_at, dx_at, dgx_at, dgh_at, past_at, dh_at, dc_at, flow_at, row_at, sums_at, zeros_at;
    int64_t row_floats; /* of one slot in row_at */
} state;

static void release(void *p) {
    state *s = p;
    sn_ladder_free(&s->back);
    for (int k = 0; k < 3; k++) sn_ladder_free(&s->out[k]);
    sn_free(s);
}

static sn_status pack_hh(void *p, const void *from, void *to) {
    const state *s = p;
    return sn_reorder_run(&s->back.full.move, from, to, NULL, s->base.what);
}

typedef struct job {
    const state *s;
    const sn_kernel_args *args;
    sn_packing order;
    char *dgx, *dgh, *past;             /* packed */
    float *dh, *dc, *flow, *row, *sums; /* [slot, …] */
    const float *kept, *zeros;
    int64_t t;
} job;

SN_WIDE static void add(float *to, const float *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

/* One row at position t: row holds dgx, dgh, and room for the h before and dy as f32. */
static void cell_row(void *context, int64_t slot) {
    const job *j = context;
    const sn_recurrence *r = &j->s->base.shape;
    int64_t H = r->width, G = r->gates, position = j->order.row[slot] * r->steps + j->t;
    int64_t packed = j->order.start[j->t] + slot, packed_before = j->t ? j->order.start[j->t - 1] + slot : 0;
    float *gx = j->row + slot * j->s->row_floats, *gh = r->cell->shares ? gx : gx + G, *room = gx + 2 * G;
    float *dh = j->dh + slot * H, *sums = j->sums + slot * 2 * G;
    const float *before = j->t ? sn_floats_get(r->dtype, j->args->in[5], (position - 1) * H, H, room) : j->zeros;
    const float *gates = j->kept + packed * G, *extras = j->kept + r->rows * r->steps * G;
    if (slot < j->order.active[j->t + 1]) add(dh, j->flow + slot * H, H);
    add(dh, sn_floats_get(r->dtype, j->args->in[7], position * H, H, room + H), H);
    r->cell->backward(H, before, gates, extras + packed * H, j->t ? extras + packed_before * H : j->zeros, dh,
                      j->dc + slot * H, gx, gh);
    add(sums, gx, G);
    sn_floats_put(r->dtype, gx, j->dgx, packed * G, G);
    if (!r->cell->shares) {
        add(sums + G, gh, G);
        sn_floats_put(r->dtype, gh, j->dgh, packed * G, G);
    }
    sn_floats_put(r->dtype, before, j->past, packed * H, H);
}

/* The rows' sums in the order of the slots, so that threads do not matter. */
static void bias_gradients(const job *j) {
    const sn_recurrence *r = &j->s->base.shape;
    size_t bytes = (size_t)r->gates * sizeof(float);
    for (int k = 0; k < 2; k++) {
        float *out = j->args->out[DB_IH + k];
        if (!j->s->wanted[DB_IH + k]) continue;
        const float *from = j->sums + (k && !r->cell->shares ? r->gates : 0);
        memcpy(out, from, bytes);
        for (int64_t n = 1; n < r->rows; n++) add(out, from + n * 2 * r->gates, r->gates);
    }
}

static sn_status walk(const sn_kernel_plan *plan, job *j) {
    const state *s = j->s;
    const sn_recurrence *r = &s->base.shape;
    char *scratch = j->args->scratch;
    const void *w_hh;
    size_t position = (size_t)r->gates * sn_dtype_size(r->dtype);
    SN_TRY(sn_product_weights(&s->back.full, j->args->in[2], scratch, &w_hh, s->base.what));
    for (j->t = r->steps - 1; j->t >= 0; j->t--) {
        int64_t active = j->order.active[j->t];
        if (!active) continue;
        sn_parallel(plan->threads, active, cell_row, j);
        const char *now = j->dgh + (size_t)j->order.start[j->t] * position;
        const sn_product *back = sn_ladder_for(&s->back, active, NULL);
        if (j->t) SN_TRY(sn_product_run(back, now, w_hh, NULL, j->flow, scratch, s->base.what));
    }
    return SN_OK;
}

static float *floats(char *scratch, size_t at) { return (float *)(void *)(scratch + at); }

/* dx, dw_ih, dw_hh. What stands behind the last position must be zero for the latter two. */
static sn_status products(const job *j) {
    const state *s = j->s;
    const sn_recurrence *r = &s->base.shape;
    char *scratch = j->args->scratch, *x = scratch + s->x_at, *dx = scratch + s->dx_at;
    int64_t count = j->order.start[r->steps], total = count;
    for (int k = 1; k < 3; k++)
        if (s->wanted[k]) (void)sn_ladder_for(&s->out[k], count, &total);
    sn_recurrent_clear(r, j->dgx, r->gates, count, total);
    if (j->dgh != j->dgx) sn_recurrent_clear(r, j->dgh, r->gates, count, total);
    sn_recurrent_clear(r, j->past, r->width, count, total);
    if (s->wanted[DW_IH]) sn_recurrent_pack(r, &j->order, j->args->in[0], r->inputs, x, total);
    const void *a[3] = {j->dgx, j->dgx, j->dgh}, *b[3] = {j->args->in[1], x, j->past};
    void *c[3] = {dx, j->args->out[DW_IH], j->args->out[DW_HH]};
    for (int k = 0; k < 3; k++) {
        const void *laid;
        if (!s->wanted[k]) continue;
        SN_TRY(sn_product_weights(&s->out[k].full, b[k], scratch, &laid, s->base.what));
        SN_TRY(sn_product_run(sn_ladder_for(&s->out[k], count, NULL), a[k], laid, NULL, c[k], scratch, s->base.what));
    }
    if (s->wanted[DX]) sn_recurrent_unpack(r, &j->order, dx, r->inputs, j->args->out[DX]);
    return SN_OK;
}

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    const state *s = plan->state;
    const sn_recurrence *r = &s->base.shape;
    char *scratch = args->scratch;
    job j = {.s = s, .args = args, .dgx = scratch + s->dgx_at, .dgh = scratch + s->dgh_at, .past = scratch + s->past_at,
             .dh = floats(scratch, s->dh_at), .dc = floats(scratch, s->dc_at), .flow = floats(scratch, s->flow_at),
             .row = floats(scratch, s->row_at), .sums = floats(scratch, s->sums_at), .kept = args->in[6],
             .zeros = floats(scratch, s->zeros_at)};
    size_t state_bytes = (size_t)(r->rows * r->width) * sizeof(float);
    j.order = sn_packing_make(r, plan->n_in > 8 ? args->in[8] : NULL, scratch + s->order_at);
    memset(j.dh, 0, state_bytes);
    memset(j.dc, 0, state_bytes);
    memset(j.sums, 0, (size_t)(r->rows * 2 * r->gates) * sizeof(float));
    memset(scratch + s->zeros_at, 0, (size_t)r->width * sizeof(float));
    SN_TRY(walk(plan, &j));
    bias_gradients(&j);
    return products(&j);
}

static void take_scratch(state *s, size_t *total) {
    const sn_recurrence *r = &s->base.shape;
    size_t rows = (size_t)r->rows, positions = rows * (size_t)r->steps, width = (size_t)r->width, gates = (size_t)r->gates;
    size_t size = sn_dtype_size(r->dtype), dg = (positions + rows) * gates * size; /* a step's product may read on */
    s->row_floats = 2 * r->gates + 2 * r->width;
    s->order_at = sn_scratch_take(total, sn_packing_bytes(r));
    s->x_at = sn_scratch_take(total, s->wanted[DW_IH] ? positions * (size_t)r->inputs * size : 0);
    s->dx_at = sn_scratch_take(total, s->wanted[DX] ? positions * (size_t)r->inputs * size : 0);
    s->dgx_at = sn_scratch_take(total, dg);
    s->dgh_at = r->cell->shares ? s->dgx_at : sn_scratch_take(total, dg);
    s->past_at = sn_scratch_take(total, positions * width * size);
    s->dh_at = sn_scratch_take(total, rows * width * sizeof(float));
    s->dc_at = sn_scratch_take(total, rows * width * sizeof(float));
    s->flow_at = sn_scratch_take(total, rows * width * sizeof(float));
    s->row_at = sn_scratch_take(total, rows * (size_t)s->row_floats * sizeof(float));
    s->sums_at = sn_scratch_take(total, rows * 2 * gates * sizeof(float));
    s->zeros_at = sn_scratch_take(total, width * sizeof(float));
}

static sn_status build(void *made, const sn_kernel_request *q, sn_kernel_plan *plan) {
    state *s = made;
    const sn_recurrence *r = &s->base.shape;
    int64_t positions = r->rows * r->steps, G = r->gates, H = r->width, I = r->inputs;
    const sn_product_shape back = {r->rows, G, H, {r->dtype, G, 1}, {r->dtype, H, 1}, {SN_F32, H, 1}, false, true};
    const sn_product_shape out[3] = {
        {positions, G, I, {r->dtype, G, 1}, {r->dtype, I, 1}, {r->dtype, I, 1}, false, false},
        {G, positions, I, {r->dtype, 1, G}, {r->dtype, I, 1}, {SN_F32, I, 1}, false, false},
        {G, positions, H, {r->dtype, 1, G}, {r->dtype, H, 1}, {SN_F32, H, 1}, false, false}};
    bool packs = q->n_in > 8;
    for (int k = 0; k < 5; k++) s->wanted[k] = !(q->unused >> k & 1u);
    take_scratch(s, &plan->scratch);
    SN_TRY(sn_ladder_create(&s->back, &back, false, packs ? SN_ROW_STEPS : 1, &plan->scratch, s->base.what));
    sn_product_pack(&s->back.full, q, plan, 2, false, pack_hh);
    for (int k = 0; k < 3; k++)
        if (s->wanted[k])
            SN_TRY(sn_ladder_create(&s->out[k], &out[k], k > 0, packs ? SN_POSITION_STEPS : 1, &plan->scratch, s->base.what));
    return SN_OK;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    plan->run = run;
    plan->release = release;
    return sn_recurrent_prepare(r, plan, sizeof(state), build);
}
const sn_kernel sn_dnnl_recurrent_bwd = {"dnnl:recurrent_bwd", sn_recurrent_accepts, prepare};
