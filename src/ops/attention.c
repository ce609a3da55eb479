/* attention.c: shapes, gradient and cost of attention (nn/attention.h says what it computes). */
#include "ops/op.h"

static sn_status check_mask(const sn_type *in, const sn_type *mask) {
    sn_shape m = mask->shape, k = in[1].shape;
    bool lengths = m.rank == 1 && m.dim[0] == k.dim[0], keys = m.rank == 2 && m.dim[0] == k.dim[0] && m.dim[1] == k.dim[1];
    char text[SN_SHAPE_TEXT];
    if (mask->dtype != SN_I32 || (!lengths && !keys))
        SN_FAIL(SN_ERR_SHAPE, "a mask is int32 [%lld] or [%lld, %lld], not %s %s", (long long)k.dim[0], (long long)k.dim[0],
                (long long)k.dim[1], sn_dtype_name(mask->dtype), sn_shape_text(m, text));
    return SN_OK;
}

/* q, k and v of all three ops. */
static sn_status check(const sn_type *in, const sn_attr *attr) {
    sn_shape q = in[0].shape, k = in[1].shape;
    int64_t heads = attr->attention.heads, kv_heads = attr->attention.kv_heads;
    char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
    if (heads < 1 || kv_heads < 1 || heads % kv_heads)
        SN_FAIL(SN_ERR_SHAPE, "%lld heads over %lld key/value heads", (long long)heads, (long long)kv_heads);
    if (q.rank != 3 || q.dim[2] % heads)
        SN_FAIL(SN_ERR_SHAPE, "needs q [N, T, width], width a multiple of %lld heads; q is %s", (long long)heads,
                sn_shape_text(q, a));
    if (k.rank != 3 || k.dim[0] != q.dim[0] || k.dim[2] != q.dim[2] / heads * kv_heads || !sn_shape_equal(k, in[2].shape))
        SN_FAIL(SN_ERR_SHAPE, "q %s with %lld heads over %lld does not fit k %s and v %s", sn_shape_text(q, a),
                (long long)heads, (long long)kv_heads, sn_shape_text(k, b), sn_shape_text(in[2].shape, (char[SN_SHAPE_TEXT]){0}));
    return SN_OK;
}

sn_status sn_shape_attention(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out) {
    SN_TRY(check(in, attr));
    if (n_in > 3) SN_TRY(check_mask(in, &in[3]));
    out[0] = in[0];
    out[1] = (sn_type){SN_SHAPE(in[0].shape.dim[0], attr->attention.heads, in[0].shape.dim[1]), SN_F32};
    return SN_OK;
}

sn_status sn_shape_attention_bwd(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out) {
    SN_TRY(check(in, attr));
    if (n_in > 6) SN_TRY(check_mask(in, &in[6]));
    for (int k = 0; k < 3; k++) out[k] = in[k];
    return SN_OK;
}

sn_status sn_shape_attention_cached(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out) {
    SN_TRY(check(in, attr));
    sn_shape k = in[1].shape, c = in[3].shape;
    char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
    bool ancestry = attr->attention.ancestry;
    if (c.rank != 3 || c.dim[2] != k.dim[2] || !sn_shape_equal(c, in[4].shape) || (!ancestry && c.dim[0] < k.dim[0]))
        SN_FAIL(SN_ERR_SHAPE, "k %s does not fit the caches %s and %s", sn_shape_text(k, a), sn_shape_text(c, b),
                sn_shape_text(in[4].shape, (char[SN_SHAPE_TEXT]){0}));
    if (in[5].dtype != SN_I32 || !sn_shape_equal(in[5].shape, SN_SHAPE(k.dim[0])))
        SN_FAIL(SN_ERR_SHAPE, "filled is int32 [%lld], not %s", (long long)k.dim[0], sn_shape_text(in[5].shape, a));
    if (n_in < 6 + ancestry) SN_FAIL(SN_ERR_SHAPE, "the ancestry is missing");
    if (ancestry && (in[6].dtype != SN_I32 || !sn_shape_equal(in[6].shape, SN_SHAPE(k.dim[0], c.dim[1]))))
        SN_FAIL(SN_ERR_SHAPE, "ancestry is int32 [%lld, %lld], not %s", (long long)k.dim[0], (long long)c.dim[1],
                sn_shape_text(in[6].shape, a));
    if (n_in > 7 + ancestry) SN_FAIL(SN_ERR_SHAPE, "takes %d inputs here, not %d", 7 + ancestry, n_in);
    if (n_in > 6 + ancestry) SN_TRY(check_mask(in, &in[6 + ancestry]));
    out[0] = in[0];
    return SN_OK;
}

void sn_gradient_attention(sn_graph *g, const sn_instr *node, const sn_node *dy, sn_node *dx) {
    sn_node in[7] = {sn_in(node, 0), sn_in(node, 1), sn_in(node, 2), sn_out(node, 0), sn_out(node, 1), dy[0]};
    in[6] = node->n_in > 3 ? sn_in(node, 3) : SN_NO_NODE;
    sn_node first = sn_emit(g, SN_ATTENTION_BWD, in, 7, &node->attr);
    for (int k = 0; k < 3; k++) dx[k] = sn_output(g, first, k);
}

/* Two products of [Tq, Tk] and d for each head. */
static double products(const sn_type *in, const sn_attr *attr, double past) {
    double q = (double)sn_shape_count(in[0].shape), tk = (double)in[1].shape.dim[1];
    return 4 * q * (attr->attention.causal ? past + tk / 2 : past + tk);
}
double sn_cost_attention(const sn_type *in, int n_in, const sn_attr *attr, const sn_type *out) {
    (void)out;
    return products(in, attr, n_in > 5 ? (double)in[3].shape.dim[1] : 0);
}
double sn_cost_attention_bwd(const sn_type *in, int n_in, const sn_attr *attr, const sn_type *out) {
    (void)n_in;
    (void)out;
    return 2.5 * products(in, attr, 0);
}
