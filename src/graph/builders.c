/* builders.c: one call for each thing a model page writes; each emits one op or a few. */
#include "graph/narrow.h"
#include "ops/op.h"

static sn_node emit1(sn_graph *g, sn_op op, sn_node x, const sn_attr *attr) { return sn_emit(g, op, &x, 1, attr); }
static sn_node emit2(sn_graph *g, sn_op op, sn_node a, sn_node b, const sn_attr *attr) {
    return sn_emit(g, op, (sn_node[]){a, b}, 2, attr);
}

sn_node sn_add(sn_graph *g, sn_node a, sn_node b) { return emit2(g, SN_ADD, a, b, NULL); }
sn_node sn_sub(sn_graph *g, sn_node a, sn_node b) { return emit2(g, SN_SUB, a, b, NULL); }
sn_node sn_mul(sn_graph *g, sn_node a, sn_node b) { return emit2(g, SN_MUL, a, b, NULL); }
sn_node sn_div(sn_graph *g, sn_node a, sn_node b) { return emit2(g, SN_DIV, a, b, NULL); }
sn_node sn_unary(sn_graph *g, sn_op op, sn_node x) { return emit1(g, op, x, NULL); }

sn_node sn_affine(sn_graph *g, sn_node x, float scale, float shift) {
    sn_attr attr = {.affine = {scale, shift}};
    return emit1(g, SN_AFFINE, x, &attr);
}

sn_op sn_act_op(sn_act act) {
    static const sn_op ops[] = {
        SN_COPY,
#define SN_ACT(id) SN_##id,
#include "graph/acts.def"
#undef SN_ACT
    };
    return ops[act];
}

sn_node sn_activation(sn_graph *g, sn_act act, sn_node x) {
    return act == SN_ACT_NONE ? x : sn_unary(g, sn_act_op(act), x);
}

sn_node sn_cast(sn_graph *g, sn_node x, sn_dtype to) {
    if (x.id >= 0 && sn_type_of(g, x).dtype == to) return x;
    sn_attr attr = {.cast = {(int32_t)to}};
    return emit1(g, SN_CAST, x, &attr);
}

sn_node sn_reshape(sn_graph *g, sn_node x, sn_shape to) {
    if (x.id < 0) return SN_NO_NODE;
    sn_shape from = sn_shape_at(g, x);
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < to.rank; i++) {
        if (to.dim[i] < 0) open = i;
        else known *= to.dim[i];
    }
    if (open >= 0) to.dim[open] = known ? sn_shape_count(from) / known : 0;
    if (sn_shape_equal(from, to)) return x;
    sn_attr attr = {.reshape = {to}};
    return emit1(g, SN_RESHAPE, x, &attr);
}

sn_node sn_transpose(sn_graph *g, sn_node x, const int *perm) {
    if (x.id < 0) return SN_NO_NODE;
    sn_attr attr = {0};
    for (int i = 0; i < sn_shape_at(g, x).rank; i++) attr.transpose.perm[i] = perm[i];
    return emit1(g, SN_TRANSPOSE, x, &attr);
}

sn_node sn_slice_after(sn_graph *g, sn_node x, int axis, int64_t start, int64_t size) {
    sn_attr attr = {0};
    attr.slice.axis = axis;
    attr.slice.start = start;
    attr.slice.size = size;
    return emit1(g, SN_SLICE, x, &attr);
}

sn_node sn_slice(sn_graph *g, sn_node x, int axis, int64_t start, int64_t size) {
    enum { FEW = 4 }; /* one position in so many */
    if (x.id < 0) return SN_NO_NODE;
    sn_shape s = sn_shape_at(g, x);
    if (axis < 0) axis += s.rank;
    bool few = s.rank == 3 && axis == 1 && start >= 0 && size > 0 && size <= s.dim[1] / FEW && start <= s.dim[1] - size;
    return few ? sn_slice_early(g, x, start, size) : sn_slice_after(g, x, axis, start, size);
}

sn_node sn_concat(sn_graph *g, const sn_node *x, int n, int axis) {
    if (n == 1) return x[0];
    for (int i = 0; i < n; i++)
        if (x[i].id < 0) return SN_NO_NODE;
    sn_attr attr = {0};
    attr.concat.axis = axis < 0 ? sn_shape_at(g, x[0]).rank + axis : axis;
    if (n <= SN_MAX_IN) return sn_emit(g, SN_CONCAT, x, n, &attr);
    sn_node parts[SN_MAX_IN];
    int share = (n + SN_MAX_IN - 1) / SN_MAX_IN, used = 0;
    for (int from = 0; from < n; from += share) {
        int size = n - from < share ? n - from : share;
        parts[used++] = sn_concat(g, x + from, size, attr.concat.axis);
    }
    return sn_concat(g, parts, used, attr.concat.axis);
}

sn_node sn_broadcast(sn_graph *g, sn_node x, sn_shape to) {
    if (x.id >= 0 && sn_shape_equal(sn_shape_at(g, x), to)) return x;
    sn_attr attr = {.reshape = {to}};
    return emit1(g, SN_BROADCAST, x, &attr);
}

sn_node sn_reduce_sum(sn_graph *g, sn_node x, int axes, bool keep) {
    sn_attr attr = {.reduce = {axes, keep}};
    return emit1(g, SN_REDUCE_SUM, x, &attr);
}

sn_node sn_reduce_mean(sn_graph *g, sn_node x, int axes, bool keep) {
    sn_attr attr = {.reduce = {axes, keep}};
    return emit1(g, SN_REDUCE_MEAN, x, &attr);
}

sn_node sn_matmul(sn_graph *g, sn_node a, sn_node b, bool trans_a, bool trans_b) {
    sn_attr attr = {.matmul = {.trans_a = trans_a, .trans_b = trans_b}};
    return emit2(g, SN_MATMUL, a, b, &attr);
}

sn_node sn_linear_op(sn_graph *g, sn_node x, sn_node weight, sn_node bias) {
    sn_attr attr = {.matmul = {.trans_b = 1}};
    return sn_emit(g, SN_MATMUL, (sn_node[]){x, weight, bias}, 3, &attr);
}

sn_node sn_conv_op(sn_graph *g, sn_node x, sn_node weight, sn_node bias, const sn_conv *conv) {
    if (x.id < 0 || weight.id < 0) return SN_NO_NODE;
    sn_attr attr = {0};
    for (int i = 0; i < 2; i++) {
        attr.conv.stride[i] = conv->stride[i] ? conv->stride[i] : 1;
        attr.conv.dilation[i] = conv->dilation[i] ? conv->dilation[i] : 1;
        attr.conv.in_size[i] = (int32_t)sn_dim(g, x, 1 + i);
        attr.conv.kernel[i] = (int32_t)sn_dim(g, weight, 2 + i);
    }
    for (int i = 0; i < 4; i++) attr.conv.pad[i] = conv->pad[i];
    attr.conv.groups = conv->groups ? conv->groups : 1;
    return sn_emit(g, SN_CONV, (sn_node[]){x, weight, bias}, 3, &attr);
}

static sn_node pool(sn_graph *g, sn_op op, sn_node x, int kernel_h, int kernel_w, int stride_h, int stride_w, int pad) {
    if (x.id < 0) return SN_NO_NODE;
    sn_attr attr = {0};
    attr.pool.kernel[0] = kernel_h;
    attr.pool.kernel[1] = kernel_w;
    attr.pool.stride[0] = stride_h;
    attr.pool.stride[1] = stride_w;
    for (int i = 0; i < 4; i++) attr.pool.pad[i] = pad;
    for (int i = 0; i < 2; i++) attr.pool.in_size[i] = (int32_t)sn_dim(g, x, 1 + i);
    return emit1(g, op, x, &attr);
}

sn_node sn_maxpool(sn_graph *g, sn_node x, int kernel_h, int kernel_w, int stride_h, int stride_w) {
    return pool(g, SN_MAXPOOL, x, kernel_h, kernel_w, stride_h, stride_w, 0);
}

sn_node sn_maxpool_padded(sn_graph *g, sn_node x, int kernel, int stride, int pad) {
    return pool(g, SN_MAXPOOL, x, kernel, kernel, stride, stride, pad);
}

sn_node sn_avgpool(sn_graph *g, sn_node x, int kernel_h, int kernel_w, int stride_h, int stride_w) {
    return pool(g, SN_AVGPOOL, x, kernel_h, kernel_w, stride_h, stride_w, 0);
}

sn_node sn_recurrent(sn_graph *g, sn_op kind, sn_node x, sn_node lengths, sn_node w_ih, sn_node w_hh, sn_node b_ih,
                     sn_node b_hh) {
    sn_attr attr = {.rnn = {g->training}};
    return sn_emit(g, kind, (sn_node[]){x, w_ih, w_hh, b_ih, b_hh, lengths}, lengths.id < 0 ? 5 : 6, &attr);
}
