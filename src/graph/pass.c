/* pass.c: the frame of all passes. */
#include "graph/pass.h"

static void mark_live(sn_rewrite *w) {
    const sn_graph *g = w->from;
    for (int i = 0; i < w->n_outputs; i++) {
        w->readers[w->outputs[i].id]++;
        w->live[g->values[w->outputs[i].id].maker] = true;
    }
    for (size_t i = g->n_instrs; i-- > 0;) {
        const sn_instr *in = &g->instrs[i];
        if (in->op == SN_INPUT) w->live[i] = true; /* inputs keep their numbers */
        for (int k = 0; w->live[i] && k < in->n_in; k++) {
            w->readers[in->in[k]]++;
            w->live[g->values[in->in[k]].maker] = true;
        }
    }
}

int32_t sn_rewrite_emit(sn_rewrite *w, const sn_instr *like, const sn_node *in, int n_in, const sn_attr *attr) {
    const sn_graph *g = w->from;
    sn_node out;
    sn_type type = g->values[like->out[0]].type;
    if (like->op == SN_INPUT) out = sn_input(w->to, type.dtype, type.shape);
    else if (like->op == SN_FILL) out = sn_fill(w->to, type.shape, like->attr.fill.value);
    else if (like->op == SN_PARAM)
        out = sn_param_as(w->to, sn_params_name(g->params, like->attr.leaf.index), type.shape, (sn_init){0}, type.dtype);
    else out = sn_emit(w->to, like->op, in, n_in, attr);
    if (out.id < 0) return -1;
    int32_t index = w->to->values[out.id].maker;
    sn_instr *made = &w->to->instrs[index];
    made->stream = like->stream;
    if (like->forward >= 0) {
        sn_node forward = w->map[g->instrs[like->forward].out[0]];
        made->forward = forward.id < 0 ? -1 : w->to->values[forward.id].maker;
    }
    char *name = sn_arena_strdup(&w->to->arena, like->name);
    if (name) made->name = name;
    for (int k = 0; k < like->n_out; k++) w->map[like->out[k]] = (sn_node){made->out[k]};
    return index;
}

void sn_rewrite_copy(sn_rewrite *w, size_t index) {
    const sn_instr *instr = &w->from->instrs[index];
    sn_node in[SN_MAX_IN];
    for (int k = 0; k < instr->n_in; k++) in[k] = w->map[instr->in[k]];
    (void)sn_rewrite_emit(w, instr, in, instr->n_in, &instr->attr);
}

sn_status sn_rewrite_run(sn_graph **graph, int n_outputs, sn_node *outputs, sn_rewrite_fn *rule) {
    const sn_graph *from = *graph;
    sn_rewrite w = {.from = from, .n_outputs = n_outputs, .outputs = outputs};
    sn_status status = sn_graph_create(from->params, from->training, &w.to);
    w.map = sn_alloc(from->n_values, sizeof *w.map);
    w.readers = sn_alloc(from->n_values, sizeof *w.readers);
    w.live = sn_alloc(from->n_instrs, sizeof *w.live);
    if (status != SN_OK || !w.map || !w.readers || !w.live) {
        status = SN_ERR_MEMORY;
    } else {
        for (size_t i = 0; i < from->n_values; i++) w.map[i] = SN_NO_NODE;
        mark_live(&w);
        for (size_t i = 0; i < from->n_instrs && w.to->failed == SN_OK; i++)
            if (w.live[i]) rule(&w, i);
        status = sn_graph_check(w.to);
    }
    if (status == SN_OK) {
        for (int i = 0; i < n_outputs; i++) outputs[i] = w.map[outputs[i].id];
        sn_graph_free(*graph);
        *graph = w.to;
    } else {
        sn_graph_free(w.to);
    }
    sn_free(w.map);
    sn_free(w.readers);
    sn_free(w.live);
    return status;
}

sn_status sn_pass_own_outputs(sn_graph *g, int n_outputs, sn_node *outputs) {
    for (int i = 0; i < n_outputs; i++) {
        if (outputs[i].id < 0) return sn_graph_check(g);
        unsigned flags = sn_ops[g->instrs[g->values[outputs[i].id].maker].op].flags;
        bool copy = flags & (SN_OPF_VIEW | SN_OPF_LEAF);
        for (int j = 0; j < i; j++) copy |= outputs[j].id == outputs[i].id;
        if (copy) outputs[i] = sn_emit(g, SN_COPY, &outputs[i], 1, NULL);
    }
    return sn_graph_check(g);
}
