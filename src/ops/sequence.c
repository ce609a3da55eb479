/* sequence.c: ops over (x [N, T, D], lengths [N]) and the recurrent layers. */
#include "ops/op.h"

#define RULE(name) void sn_gradient_##name(sn_graph *g, const sn_instr *node, const sn_node *dy, sn_node *dx)
#define SHAPE(name) sn_status sn_shape_##name(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out)

static sn_status check(const sn_type *in) {
    if (in[0].shape.rank == 3 && in[1].shape.rank == 1 && in[1].dtype == SN_I32 && in[1].shape.dim[0] == in[0].shape.dim[0])
        return SN_OK;
    char text[SN_SHAPE_TEXT];
    SN_FAIL(SN_ERR_SHAPE, "needs x [N, T, D] and int32 lengths [N]; x is %s", sn_shape_text(in[0].shape, text));
}

SHAPE(seq_pool) {
    (void)n_in;
    (void)attr;
    SN_TRY(check(in));
    out[0] = (sn_type){SN_SHAPE(in[0].shape.dim[0], in[0].shape.dim[2]), in[0].dtype};
    return SN_OK;
}
SHAPE(seq_max) {
    SN_TRY(sn_shape_seq_pool(in, n_in, attr, out));
    out[1] = (sn_type){out[0].shape, SN_I32};
    return SN_OK;
}
SHAPE(seq_pool_bwd) {
    (void)n_in;
    out[0] = (sn_type){SN_SHAPE(in[0].shape.dim[0], attr->seq.steps, in[0].shape.dim[1]), in[0].dtype};
    return SN_OK;
}

static sn_node with_lengths(sn_graph *g, sn_op op, const sn_instr *node, sn_node dy) {
    return sn_emit(g, op, (sn_node[]){dy, sn_in(node, 1)}, 2, NULL);
}
static sn_node spread(sn_graph *g, sn_op op, const sn_instr *node, sn_node dy, sn_node second) {
    sn_attr attr = {.seq = {sn_dim(g, sn_in(node, 0), 1)}};
    return sn_emit(g, op, (sn_node[]){dy, second}, 2, &attr);
}
RULE(seq_mask) { dx[0] = with_lengths(g, SN_SEQ_MASK, node, dy[0]); }
RULE(seq_reverse) { dx[0] = with_lengths(g, SN_SEQ_REVERSE, node, dy[0]); }
RULE(seq_last) { dx[0] = spread(g, SN_SEQ_LAST_BWD, node, dy[0], sn_in(node, 1)); }
RULE(seq_mean) { dx[0] = spread(g, SN_SEQ_MEAN_BWD, node, dy[0], sn_in(node, 1)); }
RULE(seq_max) { dx[0] = spread(g, SN_SEQ_MAX_BWD, node, dy[0], sn_out(node, 1)); }

SHAPE(recurrent) {
    (void)attr;
    if (n_in > 5) SN_TRY(check((const sn_type[]){in[0], in[5]}));
    sn_shape x = in[0].shape, ih = in[1].shape, hh = in[2].shape;
    int64_t h = hh.dim[1];
    if (x.rank != 3 || ih.rank != 2 || hh.rank != 2 || ih.dim[1] != x.dim[2] || ih.dim[0] != hh.dim[0] || h < 1
        || hh.dim[0] % h || in[3].shape.dim[0] != hh.dim[0] || in[4].shape.dim[0] != hh.dim[0]) {
        char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
        SN_FAIL(SN_ERR_SHAPE, "x %s does not fit w_ih %s", sn_shape_text(x, a), sn_shape_text(ih, b));
    }
    out[0] = (sn_type){SN_SHAPE(x.dim[0], x.dim[1], h), in[0].dtype};
    out[1] = (sn_type){SN_SHAPE(0), SN_OPAQUE};
    return SN_OK;
}
SHAPE(recurrent_bwd) {
    (void)n_in;
    (void)attr;
    out[0] = in[0];
    for (int k = 1; k < 5; k++) out[k] = (sn_type){in[k].shape, SN_F32};
    return SN_OK;
}
RULE(recurrent) {
    sn_op op = node->op == SN_RNN ? SN_RNN_BWD : node->op == SN_LSTM ? SN_LSTM_BWD : SN_GRU_BWD;
    sn_node in[9];
    for (int k = 0; k < 5; k++) in[k] = sn_in(node, k);
    in[8] = node->n_in > 5 ? sn_in(node, 5) : SN_NO_NODE;
    in[5] = sn_out(node, 0);
    in[6] = sn_out(node, 1);
    in[7] = dy[0];
    sn_node first = sn_emit(g, op, in, 9, &node->attr);
    for (int k = 0; k < 5; k++) dx[k] = sn_output(g, first, k);
}

double sn_cost_recurrent(const sn_type *in, int n_in, const sn_attr *attr, const sn_type *out) {
    (void)attr;
    (void)out;
    double steps = (double)(in[0].shape.dim[0] * in[0].shape.dim[1]);
    double weights = (double)(sn_shape_count(in[1].shape) + sn_shape_count(in[2].shape));
    return (n_in >= 8 ? 4 : 2) * steps * weights;
}
