/* autodiff.c: reverse mode, graph to graph. Walks the instructions backwards from the outputs, asks each op's
 * rule for the cotangents of its inputs and sums where several flow into one value. */
#include "ops/op.h"

typedef struct walk {
    sn_graph *g;
    sn_node *cotangent; /* per value that existed before */
    bool *wanted;       /* does a wrt value lie at or before it? */
} walk;

static void flow(walk *w, int32_t value, sn_node dy) {
    if (dy.id < 0 || !w->wanted[value]) return;
    sn_node before = w->cotangent[value];
    w->cotangent[value] = before.id < 0 ? dy : sn_add(w->g, before, dy);
}

static void mark_wanted(walk *w, size_t instrs, int n_wrt, const sn_node *wrt) {
    for (int i = 0; i < n_wrt; i++) w->wanted[wrt[i].id] = true;
    for (size_t i = 0; i < instrs; i++) {
        const sn_instr *in = &w->g->instrs[i];
        bool any = false;
        for (int k = 0; k < in->n_in; k++) any |= w->wanted[in->in[k]];
        if (any)
            for (int k = 0; k < in->n_out; k++) w->wanted[in->out[k]] = true;
    }
}

static bool reads_workspace(const sn_graph *g, const sn_instr *instr) {
    for (int k = 0; k < instr->n_in; k++)
        if (g->values[instr->in[k]].type.dtype == SN_OPAQUE) return true;
    return false;
}

static void back_through(walk *w, size_t index) {
    sn_graph *g = w->g;
    sn_instr node = g->instrs[index]; /* a copy: emission moves the array */
    sn_node dy[SN_MAX_OUT], dx[SN_MAX_IN];
    bool any = false, need = false;
    for (int k = 0; k < node.n_out; k++) {
        dy[k] = w->cotangent[node.out[k]];
        any |= dy[k].id >= 0;
    }
    for (int k = 0; k < node.n_in; k++) need |= w->wanted[node.in[k]];
    if (!any || !need) return;
    const sn_op_info *info = &sn_ops[node.op];
    if (info->flags & SN_OPF_NO_GRADIENT) {
        (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "%s has no gradient", info->name);
        return;
    }
    for (int k = 0; k < SN_MAX_IN; k++) dx[k] = SN_NO_NODE;
    size_t first = g->n_instrs;
    info->gradient(g, &node, dy, dx);
    for (size_t i = first; i < g->n_instrs; i++) {
        g->instrs[i].name = node.name;
        if (reads_workspace(g, &g->instrs[i])) g->instrs[i].forward = (int32_t)index;
    }
    for (int k = 0; k < node.n_in; k++) flow(w, node.in[k], dx[k]);
}

sn_status sn_grad(sn_graph *g, int n, const sn_node *outputs, const sn_node *cotangents, int n_wrt, const sn_node *wrt,
                  sn_node *dx) {
    SN_TRY(sn_graph_check(g));
    size_t values = g->n_values, instrs = g->n_instrs;
    walk w = {g, sn_alloc(values, sizeof(sn_node)), sn_alloc(values, sizeof(bool))};
    if (!w.cotangent || !w.wanted) {
        sn_free(w.cotangent);
        sn_free(w.wanted);
        return SN_ERR_MEMORY;
    }
    for (size_t i = 0; i < values; i++) w.cotangent[i] = SN_NO_NODE;
    mark_wanted(&w, instrs, n_wrt, wrt);
    for (int i = 0; i < n; i++) {
        if (!sn_shape_equal(sn_shape_at(g, outputs[i]), sn_shape_at(g, cotangents[i])))
            (void)sn_graph_fail(g, SN_ERR_SHAPE, "cotangent %d has another shape than its output", i);
        flow(&w, outputs[i].id, cotangents[i]);
    }
    for (size_t i = instrs; i-- > 0 && g->failed == SN_OK;) back_through(&w, i);
    for (int i = 0; i < n_wrt; i++) {
        dx[i] = w.cotangent[wrt[i].id];
        if (dx[i].id < 0) dx[i] = sn_fill(g, sn_shape_at(g, wrt[i]), 0.0f);
    }
    sn_free(w.cotangent);
    sn_free(w.wanted);
    return sn_graph_check(g);
}
