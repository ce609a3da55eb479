/* elementwise.c: binary ops with numpy broadcasting, unary ops, dropout, casts: shapes and gradients. */
#include "ops/op.h"

#define RULE(name) void sn_gradient_##name(sn_graph *g, const sn_instr *node, const sn_node *dy, sn_node *dx)

static sn_node bwd(sn_graph *g, sn_op op, sn_node a, sn_node dy) { return sn_emit(g, op, (sn_node[]){a, dy}, 2, NULL); }

sn_status sn_shape_broadcast2(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out) {
    (void)n_in;
    (void)attr;
    sn_shape a = in[0].shape, b = in[1].shape, c = {.rank = a.rank > b.rank ? a.rank : b.rank};
    for (int i = 1; i <= c.rank; i++) {
        int64_t x = i <= a.rank ? a.dim[a.rank - i] : 1, y = i <= b.rank ? b.dim[b.rank - i] : 1;
        if (x != y && x != 1 && y != 1) {
            char ta[SN_SHAPE_TEXT], tb[SN_SHAPE_TEXT];
            SN_FAIL(SN_ERR_SHAPE, "shapes %s and %s do not broadcast", sn_shape_text(a, ta), sn_shape_text(b, tb));
        }
        c.dim[c.rank - i] = x == 1 ? y : x;
    }
    if (in[0].dtype != in[1].dtype)
        SN_FAIL(SN_ERR_SHAPE, "dtypes %s and %s differ", sn_dtype_name(in[0].dtype), sn_dtype_name(in[1].dtype));
    out[0] = (sn_type){c, in[0].dtype};
    return SN_OK;
}

sn_node sn_unbroadcast(sn_graph *g, sn_node dy, sn_shape to) {
    if (dy.id < 0) return dy;
    sn_shape from = sn_shape_at(g, dy);
    if (sn_shape_equal(from, to)) return dy;
    int axes = 0, lead = from.rank - to.rank;
    for (int i = 0; i < from.rank; i++)
        if (i < lead || (to.dim[i - lead] == 1 && from.dim[i] != 1)) axes |= 1 << i;
    if (axes) dy = sn_reduce_sum(g, dy, axes, true);
    return sn_reshape(g, dy, to);
}

static sn_node to_input(sn_graph *g, const sn_instr *node, int k, sn_node dy) {
    return sn_unbroadcast(g, dy, sn_shape_at(g, sn_in(node, k)));
}

RULE(add) {
    dx[0] = to_input(g, node, 0, dy[0]);
    dx[1] = to_input(g, node, 1, dy[0]);
}
RULE(sub) {
    dx[0] = to_input(g, node, 0, dy[0]);
    dx[1] = to_input(g, node, 1, sn_affine(g, dy[0], -1, 0));
}
RULE(mul) {
    dx[0] = to_input(g, node, 0, sn_mul(g, dy[0], sn_in(node, 1)));
    dx[1] = to_input(g, node, 1, sn_mul(g, dy[0], sn_in(node, 0)));
}
RULE(div) { /* d(a/b) = da/b - (a/b) db/b */
    sn_node by = sn_div(g, dy[0], sn_in(node, 1));
    dx[0] = to_input(g, node, 0, by);
    dx[1] = to_input(g, node, 1, sn_affine(g, sn_mul(g, by, sn_out(node, 0)), -1, 0));
}
RULE(affine) { dx[0] = sn_affine(g, dy[0], node->attr.affine.scale, 0); }

/* Did a max-pool over this ReLU's output make dy? Its rule has then masked it already. */
static bool masked_by_pool(const sn_graph *g, const sn_instr *relu, sn_node dy) {
    if (dy.id < 0) return false;
    const sn_instr *maker = &g->instrs[g->values[dy.id].maker];
    return maker->op == SN_MAXPOOL_BWD && g->instrs[g->values[maker->in[1]].maker].in[0] == relu->out[0];
}
RULE(relu) { dx[0] = masked_by_pool(g, node, dy[0]) ? dy[0] : bwd(g, SN_RELU_BWD, sn_out(node, 0), dy[0]); }
RULE(tanh) { dx[0] = bwd(g, SN_TANH_BWD, sn_out(node, 0), dy[0]); }
RULE(sigmoid) { dx[0] = bwd(g, SN_SIGMOID_BWD, sn_out(node, 0), dy[0]); }
RULE(gelu) { dx[0] = bwd(g, SN_GELU_BWD, sn_in(node, 0), dy[0]); }
RULE(gelu_tanh) { dx[0] = bwd(g, SN_GELU_TANH_BWD, sn_in(node, 0), dy[0]); }
RULE(silu) { dx[0] = bwd(g, SN_SILU_BWD, sn_in(node, 0), dy[0]); }
RULE(quick_gelu) { dx[0] = bwd(g, SN_QUICK_GELU_BWD, sn_in(node, 0), dy[0]); }
RULE(exp) { dx[0] = sn_mul(g, dy[0], sn_out(node, 0)); }
RULE(log) { dx[0] = sn_div(g, dy[0], sn_in(node, 0)); }
RULE(sqrt) { dx[0] = sn_div(g, sn_affine(g, dy[0], 0.5f, 0), sn_out(node, 0)); }
RULE(square) { dx[0] = sn_mul(g, sn_affine(g, sn_in(node, 0), 2, 0), dy[0]); }
RULE(abs) { dx[0] = sn_mul(g, sn_unary(g, SN_SIGN, sn_in(node, 0)), dy[0]); }
RULE(softplus) { dx[0] = sn_mul(g, sn_unary(g, SN_SIGMOID, sn_in(node, 0)), dy[0]); }
RULE(huber) {
    sn_attr attr = {.clamp = {-node->attr.huber.delta, node->attr.huber.delta}};
    sn_node d = sn_in(node, 0);
    dx[0] = sn_mul(g, sn_emit(g, SN_CLAMP, &d, 1, &attr), dy[0]);
}

RULE(dropout) { /* the mask is drawn again from the same stream */
    sn_node x = sn_emit(g, SN_DROPOUT, (sn_node[]){dy[0], sn_in(node, 1)}, 2, &node->attr);
    if (x.id >= 0) g->instrs[g->values[x.id].maker].stream = node->stream;
    dx[0] = x;
}

sn_status sn_shape_cast(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out) {
    (void)n_in;
    out[0] = (sn_type){in[0].shape, (sn_dtype)attr->cast.to};
    return SN_OK;
}
RULE(cast) { dx[0] = sn_cast(g, dy[0], sn_type_of(g, sn_in(node, 0)).dtype); }
RULE(copy) {
    (void)g;
    (void)node;
    dx[0] = dy[0];
}

/* ---- losses ---- */

sn_status sn_shape_xent(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out) {
    (void)n_in;
    (void)attr;
    sn_shape x = in[0].shape;
    if (x.rank != 2 || in[1].shape.rank != 1 || in[1].shape.dim[0] != x.dim[0] || in[2].shape.dim[0] != x.dim[1]) {
        char text[SN_SHAPE_TEXT];
        SN_FAIL(SN_ERR_SHAPE, "needs logits [N, C], labels [N], weights [C]; logits are %s", sn_shape_text(x, text));
    }
    out[0] = (sn_type){in[1].shape, SN_F32};
    return SN_OK;
}
RULE(xent) {
    dx[0] = sn_emit(g, SN_SOFTMAX_XENT_BWD, (sn_node[]){sn_in(node, 0), sn_in(node, 1), sn_in(node, 2), dy[0]}, 4,
                    &node->attr);
}
RULE(bce) {
    sn_node p = sn_unary(g, SN_SIGMOID, sn_in(node, 0));
    dx[0] = sn_mul(g, sn_sub(g, p, sn_in(node, 1)), dy[0]);
}
