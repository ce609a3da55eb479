/* rnn.c: one recurrent layer, left to right, forward; and the turning of weights for both directions.
 *
 *   x [N, T, I], weights, biases -> y [N, T, H], workspace (only where attr.rnn.saves) */
#include "kernels/dnnl/rnn.h"

static const int same_order[] = {0, 1, 2, 3}, gru_order[] = {1, 0, 2};

static const struct {
    sn_cell cell;
    int gates, biases;
    const int *order;
} cells[] = {
    [SN_CELL_RNN] = {SN_CELL_RNN, 1, 1, same_order},
    [SN_CELL_LSTM] = {SN_CELL_LSTM, 4, 4, same_order},
    [SN_CELL_LBR_GRU] = {SN_CELL_LBR_GRU, 3, 4, gru_order},
};

/* The cell follows from the parameters' shapes: w_ih has gates * H rows, w_hh H columns. */
void sn_rnn_measure(const sn_kernel_request *r, sn_rnn_shape *s) {
    sn_shape x = r->in[0].shape, w_hh = r->in[2].shape;
    int64_t h = w_hh.dim[1], gates = w_hh.dim[0] / h;
    int kind = gates == 1 ? SN_CELL_RNN : gates == 4 ? SN_CELL_LSTM : SN_CELL_LBR_GRU;
    *s = (sn_rnn_shape){cells[kind].cell, x.dim[0], x.dim[1], x.dim[2], h, gates, cells[kind].biases,
                        cells[kind].order};
}

bool sn_rnn_accepts(const sn_kernel_request *r) {
    if (!sn_request_nonempty(r)) return false;
    for (int k = 0; k < 5; k++)
        if (r->in[k].dtype != SN_F32) return false;
    return true;
}

sn_const_md sn_rnn_weights(sn_descs *d, const sn_rnn_shape *s, int64_t inputs, dnnl_format_tag_t tag) {
    return sn_desc_tag(d, SN_F32, 5, (dnnl_dims_t){1, 1, inputs, s->gates, s->h}, tag);
}

void sn_rnn_describe(sn_descs *d, const sn_rnn_shape *s, sn_rnn_mds *m) {
    *m = (sn_rnn_mds){.src = sn_desc_tag(d, SN_F32, 3, (dnnl_dims_t){s->t, s->n, s->i}, dnnl_ntc),
                      .dst = sn_desc_tag(d, SN_F32, 3, (dnnl_dims_t){s->t, s->n, s->h}, dnnl_ntc),
                      .bias = sn_desc_tag(d, SN_F32, 4, (dnnl_dims_t){1, 1, s->biases, s->h}, dnnl_ldgo),
                      .weights_layer = sn_rnn_weights(d, s, s->i, dnnl_ldigo),
                      .weights_iter = sn_rnn_weights(d, s, s->h, dnnl_ldigo)};
}

sn_status sn_turn_create(sn_turn *turn, const sn_rnn_shape *s, int64_t inputs, bool back, const char *what) {
    *turn = (sn_turn){.inputs = inputs, .back = back};
    sn_descs d;
    sn_descs_init(&d, SN_ACT_NONE);
    dnnl_dims_t dims = {inputs, s->h}, in_ours = {1, inputs}, in_theirs = {s->gates * s->h, 1};
    sn_const_md ours = sn_desc_strided(&d, SN_F32, 2, dims, in_ours);
    sn_const_md theirs = sn_desc_strided(&d, SN_F32, 2, dims, in_theirs);
    sn_status status = d.status ? sn_dnnl_fail(d.status, what, "describing the weights")
                                : sn_reorder_create(&turn->gate, back ? theirs : ours, back ? ours : theirs, what);
    sn_descs_free(&d);
    return status;
}

sn_status sn_turn_run(const sn_turn *turn, const sn_rnn_shape *s, const float *from, float *to, void *scratch,
                      const char *what) {
    for (int64_t g = 0; g < s->gates; g++) {
        int64_t ours = s->order[g] * s->h * turn->inputs, theirs = g * s->h;
        SN_TRY(sn_reorder_run(&turn->gate, from + (turn->back ? theirs : ours), to + (turn->back ? ours : theirs),
                              scratch, what));
    }
    return SN_OK;
}

void sn_rnn_merge_bias(const sn_rnn_shape *s, const float *b_ih, const float *b_hh, float *merged) {
    bool apart = s->biases > s->gates; /* LBR-GRU: the last gate's two biases stay two */
    for (int64_t g = 0; g < s->gates; g++) {
        const float *ih = b_ih + s->order[g] * s->h, *hh = b_hh + s->order[g] * s->h;
        bool alone = apart && g == s->gates - 1;
        for (int64_t j = 0; j < s->h; j++) merged[g * s->h + j] = alone ? ih[j] : ih[j] + hh[j];
        if (alone) memcpy(merged + s->gates * s->h, hh, (size_t)s->h * sizeof *hh);
    }
}

uint64_t sn_rnn_key(const sn_rnn_shape *s, sn_const_md md) {
    uint64_t key = sn_md_key(md);
    return key && s->order != same_order ? key ^ 0x5eed0f6a7e500001u : key;
}

/* ---- the kernel ---- */
typedef struct state {
    sn_prim_state base;
    sn_rnn_shape shape;
    sn_turn turn[2]; /* of w_ih and w_hh */
    bool packed[2], saves;
    size_t at[2], bias_at;
} state;

static void release(void *p) {
    state *s = p;
    for (int k = 0; k < 2; k++) sn_prim_free(&s->turn[k].gate);
    sn_prim_state_free(s);
}

static sn_status pack(const state *s, int k, const void *from, void *to) {
    return sn_turn_run(&s->turn[k], &s->shape, from, to, NULL, s->base.what);
}
static sn_status pack_ih(void *p, const void *from, void *to) { return pack(p, 0, from, to); }
static sn_status pack_hh(void *p, const void *from, void *to) { return pack(p, 1, from, to); }

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    const state *s = plan->state;
    char *scratch = args->scratch;
    void *weights[2];
    for (int k = 0; k < 2; k++) {
        weights[k] = s->packed[k] ? args->in[1 + k] : scratch + s->at[k];
        if (!s->packed[k])
            SN_TRY(sn_turn_run(&s->turn[k], &s->shape, args->in[1 + k], weights[k], scratch + s->base.move_at,
                               s->base.what));
    }
    float *bias = (float *)(void *)(scratch + s->bias_at);
    sn_rnn_merge_bias(&s->shape, args->in[3], args->in[4], bias);
    sn_prim_arg bound[] = {{DNNL_ARG_SRC_LAYER, args->in[0]},      {DNNL_ARG_WEIGHTS_LAYER, weights[0]},
                           {DNNL_ARG_WEIGHTS_ITER, weights[1]},    {DNNL_ARG_BIAS, bias},
                           {DNNL_ARG_DST_LAYER, args->out[0]},     {DNNL_ARG_WORKSPACE, args->out[1]}};
    return sn_prim_run(&s->base.main, bound, s->saves ? 6 : 5, scratch + s->base.main_at, s->base.what);
}

static sn_status build(const sn_kernel_request *r, sn_prim_state *base, sn_kernel_plan *plan, sn_descs *d) {
    state *s = (state *)base;
    plan->run = run;
    plan->release = release;
    sn_rnn_measure(r, &s->shape);
    s->saves = r->attr->rnn.saves && !(r->unused & 2u);
    sn_rnn_mds m;
    sn_rnn_describe(d, &s->shape, &m);
    dnnl_status_t status = d->status;
    dnnl_prop_kind_t prop = s->saves ? dnnl_forward_training : dnnl_forward_inference;
    if (!status) status = sn_rnn_forward_pd(s->shape.cell, &base->main.pd, sn_dnnl_engine(), prop, &m, d->attr);
    SN_TRY(sn_prim_built(base, status));
    for (int k = 0; k < 2; k++) {
        sn_const_md md = k ? m.weights_iter : m.weights_layer;
        SN_TRY(sn_turn_create(&s->turn[k], &s->shape, k ? s->shape.h : s->shape.i, false, base->what));
        uint64_t key = sn_rnn_key(&s->shape, md);
        size_t bytes = dnnl_memory_desc_get_size(md);
        s->packed[k] = (r->params >> (1 + k) & 1u) && key && !s->turn[k].gate.scratch;
        if (s->packed[k])
            plan->pack[1 + k] = (sn_pack){bytes, key, k ? pack_hh : pack_ih};
        else
            s->at[k] = sn_scratch_take(&plan->scratch, bytes);
        if (s->turn[k].gate.scratch > base->move_bytes) base->move_bytes = s->turn[k].gate.scratch;
    }
    s->bias_at = sn_scratch_take(&plan->scratch, dnnl_memory_desc_get_size(m.bias));
    plan->opaque[1] = s->saves ? sn_prim_bytes(&base->main, DNNL_ARG_WORKSPACE) : 0;
    return SN_OK;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(state), SN_ACT_NONE, build);
}
const sn_kernel sn_dnnl_rnn = {"dnnl:rnn", sn_rnn_accepts, prepare};
