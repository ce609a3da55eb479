/* shape.c: ops that move or sum elements: reshape, transpose, slice, concat, broadcast, reduce, embed. */
#include "ops/op.h"

#define RULE(name) void sn_gradient_##name(sn_graph *g, const sn_instr *node, const sn_node *dy, sn_node *dx)
#define SHAPE(name) sn_status sn_shape_##name(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out)

SHAPE(reshape) {
    (void)n_in;
    if (sn_shape_count(in[0].shape) != sn_shape_count(attr->reshape.to)) {
        char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
        SN_FAIL(SN_ERR_SHAPE, "cannot view %s as %s", sn_shape_text(in[0].shape, a), sn_shape_text(attr->reshape.to, b));
    }
    out[0] = (sn_type){attr->reshape.to, in[0].dtype};
    return SN_OK;
}
RULE(reshape) { dx[0] = sn_reshape(g, dy[0], sn_shape_at(g, sn_in(node, 0))); }

SHAPE(transpose) {
    (void)n_in;
    out[0] = in[0];
    int seen = 0;
    for (int i = 0; i < in[0].shape.rank; i++) {
        int from = attr->transpose.perm[i];
        if (from < 0 || from >= in[0].shape.rank || seen & 1 << from) SN_FAIL(SN_ERR_SHAPE, "bad permutation");
        seen |= 1 << from;
        out[0].shape.dim[i] = in[0].shape.dim[from];
    }
    return SN_OK;
}
RULE(transpose) {
    int inverse[SN_MAX_RANK];
    int rank = sn_shape_at(g, sn_in(node, 0)).rank;
    for (int i = 0; i < rank; i++) inverse[node->attr.transpose.perm[i]] = i;
    dx[0] = sn_transpose(g, dy[0], inverse);
}

SHAPE(slice) {
    (void)n_in;
    int axis = attr->slice.axis;
    out[0] = in[0];
    if (axis < 0 || axis >= in[0].shape.rank || attr->slice.start < 0 || attr->slice.size < 0
        || attr->slice.start + attr->slice.size > in[0].shape.dim[axis]) {
        char text[SN_SHAPE_TEXT];
        SN_FAIL(SN_ERR_SHAPE, "cannot take %lld from %lld of axis %d of %s", (long long)attr->slice.size,
                (long long)attr->slice.start, axis, sn_shape_text(in[0].shape, text));
    }
    out[0].shape.dim[axis] = attr->slice.size;
    return SN_OK;
}
RULE(slice) {
    sn_attr attr = node->attr;
    attr.slice.size = sn_dim(g, sn_in(node, 0), attr.slice.axis);
    dx[0] = sn_emit(g, SN_PAD, dy, 1, &attr);
}

SHAPE(pad) {
    (void)n_in;
    int axis = attr->slice.axis;
    out[0] = in[0];
    if (axis < 0 || axis >= in[0].shape.rank || attr->slice.start < 0
        || attr->slice.start + in[0].shape.dim[axis] > attr->slice.size)
        SN_FAIL(SN_ERR_SHAPE, "does not fit into %lld", (long long)attr->slice.size);
    out[0].shape.dim[axis] = attr->slice.size;
    return SN_OK;
}
RULE(pad) {
    dx[0] = sn_slice(g, dy[0], node->attr.slice.axis, node->attr.slice.start,
                     sn_dim(g, sn_in(node, 0), node->attr.slice.axis));
}

SHAPE(concat) {
    int axis = attr->concat.axis;
    out[0] = in[0];
    for (int i = 1; i < n_in; i++) {
        sn_shape a = in[0].shape, b = in[i].shape;
        if (axis < a.rank && axis < b.rank) a.dim[axis] = b.dim[axis] = 0;
        if (!sn_shape_equal(a, b) || in[i].dtype != in[0].dtype) {
            char ta[SN_SHAPE_TEXT], tb[SN_SHAPE_TEXT];
            SN_FAIL(SN_ERR_SHAPE, "cannot join %s and %s along axis %d", sn_shape_text(in[0].shape, ta),
                    sn_shape_text(in[i].shape, tb), axis);
        }
        out[0].shape.dim[axis] += in[i].shape.dim[axis];
    }
    return SN_OK;
}
RULE(concat) {
    int64_t start = 0;
    for (int i = 0; i < node->n_in; i++) {
        int64_t size = sn_dim(g, sn_in(node, i), node->attr.concat.axis);
        dx[i] = sn_slice(g, dy[0], node->attr.concat.axis, start, size);
        start += size;
    }
}

SHAPE(broadcast) {
    (void)n_in;
    sn_type pair[2] = {in[0], {attr->reshape.to, in[0].dtype}};
    SN_TRY(sn_shape_broadcast2(pair, 2, attr, out));
    if (!sn_shape_equal(out[0].shape, attr->reshape.to)) SN_FAIL(SN_ERR_SHAPE, "the target is narrower than its source");
    return SN_OK;
}
RULE(broadcast) { dx[0] = sn_unbroadcast(g, dy[0], sn_shape_at(g, sn_in(node, 0))); }

SHAPE(reduce) {
    (void)n_in;
    out[0] = (sn_type){{.rank = 0}, in[0].dtype};
    for (int i = 0; i < in[0].shape.rank; i++) {
        bool gone = attr->reduce.axes & 1 << i;
        if (gone && !attr->reduce.keep) continue;
        out[0].shape.dim[out[0].shape.rank++] = gone ? 1 : in[0].shape.dim[i];
    }
    return SN_OK;
}

/* dy with the summed axes put back as ones, widened to the input. */
static sn_node widen(sn_graph *g, const sn_instr *node, sn_node dy) {
    sn_shape x = sn_shape_at(g, sn_in(node, 0)), ones = x;
    for (int i = 0; i < x.rank; i++)
        if (node->attr.reduce.axes & 1 << i) ones.dim[i] = 1;
    return sn_broadcast(g, sn_reshape(g, dy, ones), x);
}
RULE(reduce_sum) { dx[0] = widen(g, node, dy[0]); }
RULE(reduce_mean) {
    int64_t all = sn_shape_count(sn_shape_at(g, sn_in(node, 0))), left = sn_shape_count(sn_shape_at(g, sn_out(node, 0)));
    dx[0] = widen(g, node, sn_affine(g, dy[0], (float)left / (float)all, 0));
}

SHAPE(argmax) {
    (void)n_in;
    (void)attr;
    if (in[0].shape.rank < 1) SN_FAIL(SN_ERR_SHAPE, "needs at least one axis");
    out[0] = (sn_type){in[0].shape, SN_I32};
    out[0].shape.rank--;
    return SN_OK;
}

SHAPE(embed) {
    (void)n_in;
    (void)attr;
    sn_shape ids = in[1].shape;
    if (in[0].shape.rank != 2 || in[1].dtype != SN_I32 || ids.rank >= SN_MAX_RANK)
        SN_FAIL(SN_ERR_SHAPE, "needs a table [V, D] and int32 ids");
    out[0] = (sn_type){ids, in[0].dtype};
    out[0].shape.dim[out[0].shape.rank++] = in[0].shape.dim[1];
    return SN_OK;
}
RULE(embed) {
    sn_attr attr = {.embed = {sn_dim(g, sn_in(node, 0), 0)}};
    dx[0] = sn_emit(g, SN_EMBED_BWD, (sn_node[]){sn_in(node, 1), dy[0]}, 2, &attr);
}
SHAPE(embed_bwd) {
    (void)n_in;
    out[0] = (sn_type){SN_SHAPE(attr->embed.rows, in[1].shape.dim[in[1].shape.rank - 1]), in[1].dtype};
    return SN_OK;
}
