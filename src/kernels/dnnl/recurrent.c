/* recurrent.c: one recurrent layer, left to right, forward; and the products that both directions use.
 *
 *   x [N,T,I], weights, biases -> y [N,T,H], and where attr.rnn.saves what the cell keeps: gates [N,T,G*H], which
 *   take the place of gx, and extra [N,T,H] after all of them
 *
 * oneDNN's fast products want their matrices dense, so the state that enters a step is copied out of y. */
#include "kernels/dnnl/recurrent.h"

#include "base/parallel.h"
#include "base/wide.h"

/* ---- products ---- */

static sn_const_md lay(sn_descs *d, const sn_matrix *m, int64_t rows, int64_t columns) {
    return sn_desc_strided(d, m->dtype, 2, (dnnl_dims_t){rows, columns}, (dnnl_dims_t){m->row, m->column});
}

static dnnl_status_t describe(sn_product *p, const sn_product_shape *s, sn_descs *d, sn_const_md *given) {
    sn_const_md a = lay(d, &s->a, s->m, s->k), c = lay(d, &s->c, s->m, s->n);
    *given = lay(d, &s->b, s->k, s->n);
    sn_const_md b = s->any ? sn_desc_tag(d, s->b.dtype, 2, (dnnl_dims_t){s->k, s->n}, dnnl_format_tag_any) : *given;
    sn_const_md bias = s->bias ? sn_desc_tag(d, SN_F32, 2, (dnnl_dims_t){1, s->n}, dnnl_ab) : NULL;
    if (d->status) return d->status;
    return dnnl_matmul_primitive_desc_create(&p->main.pd, sn_dnnl_engine(), a, b, bias, c, d->attr);
}

sn_status sn_product_create(sn_product *p, const sn_product_shape *s, size_t *scratch, const char *what) {
    sn_descs d;
    sn_const_md given = NULL;
    sn_descs_init(&d, SN_ACT_NONE);
    dnnl_status_t described = describe(p, s, &d, &given);
    sn_status status;
    if (described) {
        p->main.pd = NULL;
        status = sn_dnnl_fail(described, what, "describing a product");
    } else {
        status = sn_prim_create(&p->main, what);
    }
    if (status == SN_OK && !dnnl_memory_desc_equal(given, sn_prim_md(&p->main, DNNL_ARG_WEIGHTS))) {
        p->moved = true;
        status = sn_reorder_create(&p->move, given, sn_prim_md(&p->main, DNNL_ARG_WEIGHTS), what);
        p->b_at = sn_scratch_take(scratch, status == SN_OK ? sn_prim_bytes(&p->main, DNNL_ARG_WEIGHTS) : 0);
    }
    sn_descs_free(&d);
    p->pad_at = sn_scratch_take(scratch, p->main.scratch);
    p->move_at = sn_scratch_take(scratch, p->move.scratch);
    return status;
}

void sn_product_free(sn_product *p) {
    sn_prim_free(&p->main);
    sn_prim_free(&p->move);
}

void sn_product_pack(sn_product *p, const sn_kernel_request *r, sn_kernel_plan *plan, int slot, bool turned,
                     sn_status (*pack)(void *state, const void *from, void *to)) {
    if (!p->moved || p->move.scratch || !(r->params >> slot & 1u)) return;
    uint64_t key = sn_md_key(sn_prim_md(&p->main, DNNL_ARG_WEIGHTS));
    if (!key) return;
    if (turned) key ^= 0x5eed0f6a7e500001u; /* a square one looks the same both ways */
    plan->pack[slot] = (sn_pack){sn_prim_bytes(&p->main, DNNL_ARG_WEIGHTS), key, pack};
    p->packed = true;
}

sn_status sn_product_weights(const sn_product *p, const void *b, char *scratch, const void **laid, const char *what) {
    *laid = b;
    if (!p->moved || p->packed) return SN_OK;
    *laid = scratch + p->b_at;
    return sn_reorder_run(&p->move, b, scratch + p->b_at, scratch + p->move_at, what);
}

sn_status sn_product_run(const sn_product *p, const void *a, const void *laid, const float *bias, void *c, char *scratch,
                         const char *what) {
    sn_prim_arg args[] = {{DNNL_ARG_SRC, (void *)(uintptr_t)a},
                          {DNNL_ARG_WEIGHTS, (void *)(uintptr_t)laid},
                          {DNNL_ARG_DST, c},
                          {DNNL_ARG_BIAS, (void *)(uintptr_t)bias}};
    return sn_prim_run(&p->main, args, bias ? 4 : 3, scratch + p->pad_at, what);
}

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

SN_WIDE void sn_recurrent_put(sn_dtype dtype, const float *from, void *to, int64_t at, int64_t n) {
    if (dtype == SN_F32) {
        if (from != (float *)to + at) memcpy((float *)to + at, from, (size_t)n * sizeof *from);
        return;
    }
    uint16_t *y = (uint16_t *)to + at;
    for (int64_t i = 0; i < n; i++) y[i] = sn_to_bf16(from[i]);
}

SN_WIDE const float *sn_recurrent_get(sn_dtype dtype, const void *from, int64_t at, int64_t n, float *room) {
    if (dtype == SN_F32) return (const float *)from + at;
    const uint16_t *x = (const uint16_t *)from + at;
    for (int64_t i = 0; i < n; i++) room[i] = sn_from_bf16(x[i]);
    return room;
}

void sn_recurrent_zero(sn_dtype dtype, void *to, int64_t at, int64_t n) {
    size_t size = dtype == SN_F32 ? 4 : 2;
    memset((char *)to + (size_t)at * size, 0, (size_t)n * size);
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
    sn_product inputs, step;
    bool saves;
    size_t kept_at, gh_at, h_at, c_at, before_at;
} state;

static void release(void *p) {
    state *s = p;
    sn_product_free(&s->inputs);
    sn_product_free(&s->step);
    sn_free(s);
}

static sn_status pack_hh(void *p, const void *from, void *to) {
    const state *s = p;
    return sn_reorder_run(&s->step.move, from, to, NULL, s->base.what);
}

typedef struct job {
    const state *s;
    const sn_kernel_args *args;
    float *gates, *extra, *gh, *h, *c;
    const int32_t *lengths; /* or NULL */
    void *before; /* h of all rows in the layer's dtype */
    int64_t t;
} job;

static void cell_row(void *context, int64_t row) {
    const job *j = context;
    const sn_recurrence *r = &j->s->base.shape;
    int64_t position = row * r->steps + j->t;
    float *gx = j->gates + position * r->gates, *gh = j->gh + row * r->gates, *h = j->h + row * r->width;
    if (j->lengths && j->t >= j->lengths[row]) {
        sn_recurrent_zero(r->dtype, j->args->out[0], position * r->width, r->width);
        return;
    }
    float *extra = j->extra + (j->s->saves ? position : row) * r->width;
    if (!j->t) memcpy(gh, j->args->in[4], (size_t)r->gates * sizeof *gh); /* the state before the first is zero */
    r->cell->forward(r->width, gx, gh, h, j->c + row * r->width, extra);
    sn_recurrent_put(r->dtype, h, j->args->out[0], position * r->width, r->width);
    if (j->before != j->h) sn_recurrent_put(r->dtype, h, j->before, row * r->width, r->width);
}

static float *floats(char *scratch, size_t at) { return (float *)(void *)(scratch + at); }

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    const state *s = plan->state;
    const sn_recurrence *r = &s->base.shape;
    char *scratch = args->scratch;
    const void *w_ih, *w_hh;
    job j = {.s = s, .args = args, .gh = floats(scratch, s->gh_at), .h = floats(scratch, s->h_at),
             .c = floats(scratch, s->c_at), .lengths = plan->n_in > 5 ? args->in[5] : NULL, .before = scratch + s->before_at};
    j.gates = s->saves ? args->out[1] : floats(scratch, s->kept_at);
    j.extra = j.gates + r->rows * r->steps * r->gates;
    SN_TRY(sn_product_weights(&s->inputs, args->in[1], scratch, &w_ih, s->base.what));
    SN_TRY(sn_product_weights(&s->step, args->in[2], scratch, &w_hh, s->base.what));
    SN_TRY(sn_product_run(&s->inputs, args->in[0], w_ih, args->in[3], j.gates, scratch, s->base.what));
    memset(j.h, 0, (size_t)(r->rows * r->width) * sizeof *j.h);
    memset(j.c, 0, (size_t)(r->rows * r->width) * sizeof *j.c);
    for (j.t = 0; j.t < r->steps; j.t++) {
        if (j.t) SN_TRY(sn_product_run(&s->step, j.before, w_hh, args->in[4], j.gh, scratch, s->base.what));
        sn_parallel(plan->threads, r->rows, cell_row, &j);
    }
    return SN_OK;
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
    size_t row = (size_t)r->rows * sizeof(float), gates = (size_t)(positions * r->gates) * sizeof(float);
    if (s->saves) plan->opaque[1] = gates + row * (size_t)(r->steps * r->width);
    s->kept_at = sn_scratch_take(&plan->scratch, s->saves ? 0 : gates + row * (size_t)r->width);
    s->gh_at = sn_scratch_take(&plan->scratch, row * (size_t)r->gates);
    s->h_at = sn_scratch_take(&plan->scratch, row * (size_t)r->width);
    s->c_at = sn_scratch_take(&plan->scratch, row * (size_t)r->width);
    s->before_at = r->dtype == SN_F32 ? s->h_at : sn_scratch_take(&plan->scratch, row * (size_t)r->width);
    SN_TRY(sn_product_create(&s->inputs, &inputs, &plan->scratch, s->base.what));
    SN_TRY(sn_product_create(&s->step, &step, &plan->scratch, s->base.what));
    sn_product_pack(&s->step, q, plan, 2, true, pack_hh);
    return SN_OK;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    plan->run = run;
    plan->release = release;
    return sn_recurrent_prepare(r, plan, sizeof(state), build);
}
const sn_kernel sn_dnnl_recurrent = {"dnnl:recurrent", sn_recurrent_accepts, prepare};
