/* table.c: ops.def as data, and what several families share. */
#include "ops/op.h"

#define LIMITS(n) (n) >= 100 ? (n) / 100 : (n), (n) >= 100 ? (n) % 100 : (n)
const sn_op_info sn_ops[SN_OP_COUNT] = {
#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl)                         \
    [SN_##id] = {#id, LIMITS(in), out, SN_OPF_##flags, SN_RULE_##precision, sn_shape_##shape,                \
                 sn_gradient_##gradient, sn_cost_##cost},
#include "ops/ops.def"
#undef SN_OP
};

sn_node sn_in(const sn_instr *node, int k) { return (sn_node){node->in[k]}; }
sn_node sn_out(const sn_instr *node, int k) { return (sn_node){node->out[k]}; }

void sn_gradient_none(sn_graph *g, const sn_instr *node, const sn_node *dy, sn_node *dx) {
    (void)g;
    (void)node;
    (void)dy;
    (void)dx;
}

sn_status sn_shape_leaf(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out) {
    (void)in;
    (void)n_in;
    (void)attr;
    (void)out;
    SN_FAIL(SN_ERR_STATE, "a leaf is made by its own builder");
}

sn_status sn_shape_same(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out) {
    (void)n_in;
    (void)attr;
    out[0] = in[0];
    return SN_OK;
}

double sn_cost_none(const sn_type *in, int n_in, const sn_attr *attr, const sn_type *out) {
    (void)in;
    (void)n_in;
    (void)attr;
    (void)out;
    return 0;
}

double sn_cost_elem(const sn_type *in, int n_in, const sn_attr *attr, const sn_type *out) {
    (void)attr;
    double n = (double)sn_shape_count(out[0].shape);
    for (int i = 0; i < n_in; i++) {
        double m = (double)sn_shape_count(in[i].shape);
        if (m > n) n = m;
    }
    return n;
}

double sn_cost_softmax(const sn_type *in, int n_in, const sn_attr *attr, const sn_type *out) {
    return 5 * sn_cost_elem(in, n_in, attr, out);
}
