/* rnn_bwd.c: the backward form of rnn.c.
 *
 *   (x, w_ih, w_hh, b_ih, b_hh, y, workspace, dy) -> dx, dw_ih, dw_hh, db_ih, db_hh
 *
 * Weights are wanted as "ldgoi", which is PyTorch's layout: only the GRU's, whose gates change places, are
 * copied. Gradients of weights and bias come as "ldigo" in scratch; oneDNN adds to them, so they are zeroed first. */
#include "kernels/dnnl/rnn.h"

enum { DX, DW_IH, DW_HH, OUTS };
typedef struct state {
    sn_prim_state base;
    sn_rnn_shape shape;
    sn_turn turn[2];             /* of dw_ih and dw_hh, back to ours */
    bool swaps, packed[2];       /* gates change places; done by the store */
    size_t w_at[2], dw_at[2], dw_bytes[2], dx_at, bias_at, dbias_at, dbias_bytes;
} state;

static void release(void *p) {
    state *s = p;
    for (int k = 0; k < 2; k++) sn_prim_free(&s->turn[k].gate);
    sn_prim_state_free(s);
}

static int64_t inputs_of(const state *s, int k) { return k ? s->shape.h : s->shape.i; }

static void swap_gates(const state *s, int k, const float *from, float *to) {
    int64_t gate = s->shape.h * inputs_of(s, k);
    for (int64_t g = 0; g < s->shape.gates; g++)
        memcpy(to + g * gate, from + s->shape.order[g] * gate, (size_t)gate * sizeof *to);
}
static sn_status pack_ih(void *p, const void *from, void *to) { return swap_gates(p, 0, from, to), SN_OK; }
static sn_status pack_hh(void *p, const void *from, void *to) { return swap_gates(p, 1, from, to), SN_OK; }

/* oneDNN's bias gradient to our two. */
static void split_bias(const sn_rnn_shape *s, const float *db, float *db_ih, float *db_hh) {
    size_t gate = (size_t)s->h * sizeof *db;
    for (int64_t g = 0; g < s->gates; g++) {
        bool alone = s->biases > s->gates && g == s->gates - 1;
        if (db_ih) memcpy(db_ih + s->order[g] * s->h, db + g * s->h, gate);
        if (db_hh) memcpy(db_hh + s->order[g] * s->h, db + (g + alone) * s->h, gate);
    }
}

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    const state *s = plan->state;
    char *scratch = args->scratch;
    void *weights[2], *dw[2];
    for (int k = 0; k < 2; k++) {
        bool copies = s->swaps && !s->packed[k];
        weights[k] = copies ? scratch + s->w_at[k] : args->in[1 + k];
        if (copies) swap_gates(s, k, args->in[1 + k], weights[k]);
        dw[k] = memset(scratch + s->dw_at[k], 0, s->dw_bytes[k]);
    }
    float *bias = (float *)(void *)(scratch + s->bias_at);
    float *dbias = memset(scratch + s->dbias_at, 0, s->dbias_bytes);
    sn_rnn_merge_bias(&s->shape, args->in[3], args->in[4], bias);
    void *dx = plan->unused >> DX & 1u ? scratch + s->dx_at : args->out[DX];
    sn_prim_arg bound[] = {{DNNL_ARG_SRC_LAYER, args->in[0]},       {DNNL_ARG_WEIGHTS_LAYER, weights[0]},
                           {DNNL_ARG_WEIGHTS_ITER, weights[1]},     {DNNL_ARG_BIAS, bias},
                           {DNNL_ARG_DST_LAYER, args->in[5]},       {DNNL_ARG_WORKSPACE, args->in[6]},
                           {DNNL_ARG_DIFF_DST_LAYER, args->in[7]},  {DNNL_ARG_DIFF_SRC_LAYER, dx},
                           {DNNL_ARG_DIFF_WEIGHTS_LAYER, dw[0]},    {DNNL_ARG_DIFF_WEIGHTS_ITER, dw[1]},
                           {DNNL_ARG_DIFF_BIAS, dbias}};
    SN_TRY(sn_prim_run(&s->base.main, bound, sizeof bound / sizeof *bound, scratch + s->base.main_at, s->base.what));
    for (int k = 0; k < 2; k++)
        if (!(plan->unused >> (DW_IH + k) & 1u))
            SN_TRY(sn_turn_run(&s->turn[k], &s->shape, dw[k], args->out[DW_IH + k], scratch + s->base.move_at,
                               s->base.what));
    split_bias(&s->shape, dbias, plan->unused >> OUTS & 1u ? NULL : args->out[OUTS],
               plan->unused >> (OUTS + 1) & 1u ? NULL : args->out[OUTS + 1]);
    return SN_OK;
}

static dnnl_status_t make_pd(sn_descs *d, const sn_rnn_shape *shape, dnnl_primitive_desc_t *pd, sn_rnn_mds *m) {
    sn_rnn_describe(d, shape, m);
    if (d->status) return d->status;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t status =
        sn_rnn_forward_pd(shape->cell, &hint, sn_dnnl_engine(), dnnl_forward_training, m, d->attr);
    m->diff_src = m->src;
    m->diff_dst = m->dst;
    m->diff_bias = m->bias;
    m->diff_weights_layer = m->weights_layer;
    m->diff_weights_iter = m->weights_iter;
    m->weights_layer = sn_rnn_weights(d, shape, shape->i, dnnl_ldgoi);
    m->weights_iter = sn_rnn_weights(d, shape, shape->h, dnnl_ldgoi);
    if (!status) status = d->status;
    if (!status) status = sn_rnn_backward_pd(shape->cell, pd, sn_dnnl_engine(), m, hint, d->attr);
    if (hint) (void)dnnl_primitive_desc_destroy(hint);
    return status;
}

/* Where weights and their gradients lie. */
static sn_status place(const sn_kernel_request *r, state *s, sn_kernel_plan *plan, const sn_rnn_mds *m, int k) {
    sn_const_md w = k ? m->weights_iter : m->weights_layer;
    size_t bytes = dnnl_memory_desc_get_size(w);
    uint64_t key = sn_rnn_key(&s->shape, w);
    s->packed[k] = s->swaps && (r->params >> (1 + k) & 1u) && key;
    if (s->packed[k])
        plan->pack[1 + k] = (sn_pack){bytes, key, k ? pack_hh : pack_ih};
    else if (s->swaps)
        s->w_at[k] = sn_scratch_take(&plan->scratch, bytes);
    s->dw_bytes[k] = bytes;
    s->dw_at[k] = sn_scratch_take(&plan->scratch, bytes);
    SN_TRY(sn_turn_create(&s->turn[k], &s->shape, inputs_of(s, k), true, s->base.what));
    if (s->turn[k].gate.scratch > s->base.move_bytes) s->base.move_bytes = s->turn[k].gate.scratch;
    return SN_OK;
}

static sn_status build(const sn_kernel_request *r, sn_prim_state *base, sn_kernel_plan *plan, sn_descs *d) {
    state *s = (state *)base;
    plan->run = run;
    plan->release = release;
    sn_rnn_measure(r, &s->shape);
    s->swaps = s->shape.cell == SN_CELL_LBR_GRU;
    sn_rnn_mds m;
    SN_TRY(sn_prim_built(base, make_pd(d, &s->shape, &base->main.pd, &m)));
    for (int k = 0; k < 2; k++) SN_TRY(place(r, s, plan, &m, k));
    if (r->unused >> DX & 1u) s->dx_at = sn_scratch_take(&plan->scratch, dnnl_memory_desc_get_size(m.src));
    s->dbias_bytes = dnnl_memory_desc_get_size(m.bias);
    s->bias_at = sn_scratch_take(&plan->scratch, s->dbias_bytes);
    s->dbias_at = sn_scratch_take(&plan->scratch, s->dbias_bytes);
    return SN_OK;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(state), SN_ACT_NONE, build);
}
const sn_kernel sn_dnnl_rnn_bwd = {"dnnl:rnn_bwd", sn_rnn_accepts, prepare};
