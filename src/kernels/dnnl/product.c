/* product.c: products as primitives of their own, and ladders of them. */
#include "kernels/dnnl/product.h"

static sn_const_md lay(sn_descs *d, const sn_matrix *m, int64_t rows, int64_t columns) {
    return sn_desc_strided(d, m->dtype, 2, (dnnl_dims_t){rows, columns}, (dnnl_dims_t){m->row, m->column});
}

/* laid: the layout b already has, or NULL. */
static dnnl_status_t describe(sn_product *p, const sn_product_shape *s, sn_const_md laid, sn_descs *d, sn_const_md *given) {
    sn_const_md a = lay(d, &s->a, s->m, s->k), c = lay(d, &s->c, s->m, s->n);
    *given = laid ? laid : lay(d, &s->b, s->k, s->n);
    bool any = s->any && !laid;
    sn_const_md b = any ? sn_desc_tag(d, s->b.dtype, 2, (dnnl_dims_t){s->k, s->n}, dnnl_format_tag_any) : *given;
    sn_const_md bias = s->bias ? sn_desc_tag(d, SN_F32, 2, (dnnl_dims_t){1, s->n}, dnnl_ab) : NULL;
    if (d->status) return d->status;
    return dnnl_matmul_primitive_desc_create(&p->main.pd, sn_dnnl_engine(), a, b, bias, c, d->attr);
}

static sn_status create(sn_product *p, const sn_product_shape *s, sn_const_md laid, size_t *scratch, const char *what) {
    sn_descs d;
    sn_const_md given = NULL;
    sn_descs_init(&d, SN_ACT_NONE);
    dnnl_status_t described = describe(p, s, laid, &d, &given);
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

sn_status sn_product_create(sn_product *p, const sn_product_shape *s, size_t *scratch, const char *what) {
    return create(p, s, NULL, scratch, what);
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
    plan->pack[slot] = (sn_pack){.bytes = sn_prim_bytes(&p->main, DNNL_ARG_WEIGHTS), .key = key, .pack = pack};
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

/* ---- ladders ---- */

enum { ROUND = 16 }; /* rows that oneDNN's products take in one go */

/* A smaller product reads b as the full one has it, or is left out. Their scratch is never in use together. */
static sn_status less(sn_ladder *l, sn_product_shape s, int64_t rows, bool reduces, size_t base, size_t *most,
                      const char *what) {
    sn_const_md laid = reduces ? NULL : sn_prim_md(&l->full.main, DNNL_ARG_WEIGHTS);
    sn_product *p = &l->less[l->n];
    size_t scratch = base;
    if (reduces) s.k = rows;
    else s.m = rows;
    SN_TRY(create(p, &s, laid, &scratch, what));
    if (p->moved) {
        sn_product_free(p);
        *p = (sn_product){0};
        return SN_OK;
    }
    if (scratch > *most) *most = scratch;
    l->rows[l->n++] = rows;
    return SN_OK;
}

sn_status sn_ladder_create(sn_ladder *l, const sn_product_shape *s, bool reduces, int steps, size_t *scratch,
                           const char *what) {
    int64_t full = reduces ? s->k : s->m, last = 0;
    l->n = 0;
    l->rows[0] = full;
    SN_TRY(sn_product_create(&l->full, s, scratch, what));
    size_t base = *scratch, most = base;
    for (int k = 1; k < steps; k++) {
        int64_t rows = (full * k / steps + ROUND - 1) / ROUND * ROUND;
        if (rows <= last || rows >= full) continue;
        SN_TRY(less(l, *s, last = rows, reduces, base, &most, what));
    }
    l->rows[l->n] = full;
    *scratch = most;
    return SN_OK;
}

void sn_ladder_free(sn_ladder *l) {
    sn_product_free(&l->full);
    for (int k = 0; k < SN_LADDER - 1; k++) sn_product_free(&l->less[k]);
}

const sn_product *sn_ladder_for(const sn_ladder *l, int64_t count, int64_t *rows) {
    int k = 0;
    while (k < l->n && l->rows[k] < count) k++;
    if (rows) *rows = l->rows[k];
    return k < l->n ? &l->less[k] : &l->full;
}
