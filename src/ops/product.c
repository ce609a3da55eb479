/* product.c: matrix product, convolution, pooling, softmax, layer and batch norm: shapes and gradients. */
#include "ops/op.h"

#define RULE(name) void sn_gradient_##name(sn_graph *g, const sn_instr *node, const sn_node *dy, sn_node *dx)
#define SHAPE(name) sn_status sn_shape_##name(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out)
#define COST(name) double sn_cost_##name(const sn_type *in, int n_in, const sn_attr *attr, const sn_type *out)

/* ---- matrix product ---- */

static sn_status no_product(sn_shape a, sn_shape b) {
    char ta[SN_SHAPE_TEXT], tb[SN_SHAPE_TEXT];
    SN_FAIL(SN_ERR_SHAPE, "cannot multiply %s and %s", sn_shape_text(a, ta), sn_shape_text(b, tb));
}

SHAPE(matmul) {
    sn_shape a = in[0].shape, b = in[1].shape;
    bool ta = attr->matmul.trans_a, tb = attr->matmul.trans_b;
    if (a.rank < 2 || b.rank < 2 || (b.rank != 2 && b.rank != a.rank) || (b.rank == 2 && a.rank > 2 && ta))
        return no_product(a, b);
    for (int i = 0; b.rank > 2 && i < a.rank - 2; i++)
        if (a.dim[i] != b.dim[i]) return no_product(a, b);
    int64_t m = a.dim[a.rank - (ta ? 1 : 2)], k = a.dim[a.rank - (ta ? 2 : 1)];
    int64_t n = b.dim[b.rank - (tb ? 2 : 1)];
    if (k != b.dim[b.rank - (tb ? 1 : 2)]) return no_product(a, b);
    if (n_in == 3 && (in[2].shape.rank != 1 || in[2].shape.dim[0] != n)) return no_product(b, in[2].shape);
    out[0] = in[0];
    out[0].shape.dim[a.rank - 2] = m;
    out[0].shape.dim[a.rank - 1] = n;
    if (attr->matmul.out_f32) out[0].dtype = SN_F32;
    return SN_OK;
}

/* [..., D] -> [rows, D] */
static sn_node flat(sn_graph *g, sn_node x) {
    return x.id < 0 ? x : sn_reshape(g, x, SN_SHAPE(-1, sn_dim(g, x, -1)));
}

RULE(matmul) {
    sn_node a = sn_in(node, 0), b = sn_in(node, 1), d = dy[0];
    bool ta = node->attr.matmul.trans_a, tb = node->attr.matmul.trans_b;
    bool flattened = sn_shape_at(g, b).rank == 2 && sn_shape_at(g, a).rank > 2;
    if (node->n_in == 3) dx[2] = sn_reduce_sum(g, flat(g, d), 1, false);
    dx[0] = ta ? sn_matmul(g, b, d, tb, true) : sn_matmul(g, d, b, false, !tb);
    if (flattened) {
        a = flat(g, a);
        d = flat(g, d);
    }
    dx[1] = tb ? sn_matmul(g, d, a, true, ta) : sn_matmul(g, a, d, !ta, false);
}

COST(matmul) {
    (void)n_in;
    int64_t k = in[0].shape.dim[in[0].shape.rank - (attr->matmul.trans_a ? 2 : 1)];
    return 2.0 * (double)sn_shape_count(out[0].shape) * (double)k;
}

/* ---- convolution ---- */

static int64_t conv_size(const sn_attr *a, int axis) {
    int64_t reach = (int64_t)(a->conv.kernel[axis] - 1) * a->conv.dilation[axis] + 1;
    int64_t room = a->conv.in_size[axis] + a->conv.pad[axis] + a->conv.pad[axis + 2] - reach;
    return room < 0 ? 0 : room / a->conv.stride[axis] + 1;
}

SHAPE(conv) {
    sn_shape x = in[0].shape, w = in[1].shape;
    if (x.rank != 4 || w.rank != 4 || x.dim[3] != w.dim[1] * attr->conv.groups || w.dim[0] % attr->conv.groups
        || conv_size(attr, 0) < 1 || conv_size(attr, 1) < 1 || (n_in == 3 && in[2].shape.dim[0] != w.dim[0])) {
        char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
        SN_FAIL(SN_ERR_SHAPE, "a picture %s [N, H, W, C] does not fit weights %s [O, C, h, w]", sn_shape_text(x, a),
                sn_shape_text(w, b));
    }
    out[0] = (sn_type){SN_SHAPE(x.dim[0], conv_size(attr, 0), conv_size(attr, 1), w.dim[0]), in[0].dtype};
    return SN_OK;
}
SHAPE(conv_bwd_data) {
    (void)n_in;
    sn_shape w = in[0].shape, dy = in[1].shape;
    out[0] = (sn_type){SN_SHAPE(dy.dim[0], attr->conv.in_size[0], attr->conv.in_size[1], w.dim[1] * attr->conv.groups),
                       in[1].dtype};
    return SN_OK;
}
SHAPE(conv_bwd_weights) {
    (void)n_in;
    int64_t c = in[0].shape.dim[3], o = in[1].shape.dim[3];
    out[0] = (sn_type){SN_SHAPE(o, c / attr->conv.groups, attr->conv.kernel[0], attr->conv.kernel[1]), SN_F32};
    out[1] = (sn_type){SN_SHAPE(o), SN_F32};
    return SN_OK;
}
RULE(conv) {
    sn_attr attr = node->attr;
    attr.conv.act = SN_ACT_NONE;
    dx[0] = sn_emit(g, SN_CONV_BWD_DATA, (sn_node[]){sn_in(node, 1), dy[0]}, 2, &attr);
    dx[1] = sn_emit(g, SN_CONV_BWD_WEIGHTS, (sn_node[]){sn_in(node, 0), dy[0]}, 2, &attr);
    if (node->n_in == 3) dx[2] = sn_output(g, dx[1], 1);
}
static double conv_cost(sn_shape picture, sn_shape weights) {
    return 2.0 * (double)sn_shape_span(picture, 0, 3) * (double)sn_shape_count(weights);
}
COST(conv) {
    (void)n_in;
    (void)attr;
    return conv_cost(out[0].shape, in[1].shape);
}
COST(conv_bwd_data) {
    (void)n_in;
    (void)attr;
    (void)out;
    return conv_cost(in[1].shape, in[0].shape);
}
COST(conv_bwd_weights) {
    (void)n_in;
    (void)attr;
    return conv_cost(in[1].shape, out[0].shape);
}

/* ---- pooling ---- */

static sn_status pool_shape(const sn_type *in, const sn_attr *attr, sn_type *out) {
    out[0] = in[0];
    for (int i = 0; i < 2; i++) {
        int64_t room = attr->pool.in_size[i] + attr->pool.pad[i] + attr->pool.pad[i + 2] - attr->pool.kernel[i];
        if (in[0].shape.rank != 4 || room < 0 || attr->pool.stride[i] < 1) {
            char text[SN_SHAPE_TEXT];
            SN_FAIL(SN_ERR_SHAPE, "a %dx%d window does not fit %s", attr->pool.kernel[0], attr->pool.kernel[1],
                    sn_shape_text(in[0].shape, text));
        }
        out[0].shape.dim[1 + i] = room / attr->pool.stride[i] + 1;
    }
    return SN_OK;
}
SHAPE(avgpool) {
    (void)n_in;
    return pool_shape(in, attr, out);
}
SHAPE(maxpool) {
    (void)n_in;
    out[1] = (sn_type){SN_SHAPE(0), SN_OPAQUE};
    return pool_shape(in, attr, out);
}
SHAPE(pool_bwd) {
    (void)n_in;
    out[0] = in[0];
    for (int i = 0; i < 2; i++) out[0].shape.dim[1 + i] = attr->pool.in_size[i];
    return SN_OK;
}
/* Behind a ReLU the pooled value is positive exactly where the chosen one was, so the ReLU's gradient is taken here, on
 * the small side of the window; the ReLU's own rule sees that and passes its cotangent on. */
RULE(maxpool) {
    sn_node d = dy[0];
    if (g->instrs[g->values[node->in[0]].maker].op == SN_RELU)
        d = sn_emit(g, SN_RELU_BWD, (sn_node[]){sn_out(node, 0), d}, 2, NULL);
    dx[0] = sn_emit(g, SN_MAXPOOL_BWD, (sn_node[]){d, sn_out(node, 1)}, 2, &node->attr);
}
RULE(avgpool) { dx[0] = sn_emit(g, SN_AVGPOOL_BWD, dy, 1, &node->attr); }

/* ---- softmax and norms ---- */

static sn_node emit_y_dy(sn_graph *g, sn_op op, const sn_instr *node, sn_node dy) {
    return sn_emit(g, op, (sn_node[]){sn_out(node, 0), dy}, 2, NULL);
}
RULE(softmax) { dx[0] = emit_y_dy(g, SN_SOFTMAX_BWD, node, dy[0]); }
RULE(log_softmax) { dx[0] = emit_y_dy(g, SN_LOG_SOFTMAX_BWD, node, dy[0]); }

static sn_status norm_check(const sn_type *in, int upto) {
    int64_t d = in[0].shape.rank ? in[0].shape.dim[in[0].shape.rank - 1] : 0;
    for (int k = 1; k < upto; k++)
        if (in[k].shape.rank != 1 || in[k].shape.dim[0] != d) SN_FAIL(SN_ERR_SHAPE, "input %d is not [%lld]", k, (long long)d);
    return SN_OK;
}
SHAPE(layernorm) {
    (void)n_in;
    (void)attr;
    SN_TRY(norm_check(in, 3));
    out[0] = in[0];
    out[1] = out[2] = (sn_type){SN_SHAPE(sn_shape_span(in[0].shape, 0, in[0].shape.rank - 1)), SN_F32};
    return SN_OK;
}
SHAPE(batchnorm) {
    (void)n_in;
    (void)attr;
    SN_TRY(norm_check(in, 5));
    out[0] = in[0];
    out[1] = out[2] = (sn_type){in[1].shape, SN_F32};
    return SN_OK;
}
SHAPE(layernorm_bwd) {
    (void)n_in;
    (void)attr;
    out[0] = in[0];
    out[1] = out[2] = (sn_type){in[1].shape, SN_F32};
    return SN_OK;
}
SHAPE(batchnorm_bwd) { return sn_shape_layernorm_bwd(in, n_in, attr, out); }

static void norm_gradient(sn_graph *g, sn_op op, const sn_instr *node, sn_node dy, sn_node *dx) {
    sn_node in[5] = {sn_in(node, 0), sn_in(node, 1), sn_out(node, 1), sn_out(node, 2), dy};
    sn_node first = sn_emit(g, op, in, 5, &node->attr);
    for (int k = 0; k < 3; k++) dx[k] = sn_output(g, first, k);
}
RULE(layernorm) { norm_gradient(g, SN_LAYERNORM_BWD, node, dy[0], dx); }
RULE(batchnorm) { norm_gradient(g, SN_BATCHNORM_BWD, node, dy[0], dx); }
