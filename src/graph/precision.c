/* precision.c: the `auto` precision: which values are bf16.
 *
 *   rule BF16     float inputs become bf16 (a parameter by its shadow, others by a CAST); the output too, but a
 *                 product that leaves the graph or is read only in f32 is written in f32 (weight gradients)
 *   rule F32      bf16 inputs are cast back
 *   rule FOLLOW   one float input: its dtype. Several: bf16 if all are, else the dtype of the largest
 *                 (f32 where sizes are equal)
 *   rule KEEP     bf16 inputs are cast back, but for COPY and CAST */
#include "graph/pass.h"

static bool is_float(sn_dtype dtype) { return dtype == SN_F32 || dtype == SN_BF16; }

static sn_node to_dtype(sn_rewrite *w, sn_node x, sn_dtype dtype) {
    sn_type type = sn_type_of(w->to, x);
    if (x.id < 0 || !is_float(type.dtype) || type.dtype == dtype) return x;
    const sn_instr *maker = &w->to->instrs[w->to->values[x.id].maker];
    if (maker->op == SN_PARAM && dtype == SN_BF16)
        return sn_param_as(w->to, sn_params_name(w->to->params, maker->attr.leaf.index), type.shape, (sn_init){0}, SN_BF16);
    if (maker->op == SN_CAST) { /* back to what it came from */
        sn_node origin = {maker->in[0]};
        if (sn_type_of(w->to, origin).dtype == dtype && dtype == SN_F32) return origin;
    }
    if (sn_ops[maker->op].flags & SN_OPF_VIEW) /* views of one value share its cast */
        return sn_reshape(w->to, to_dtype(w, (sn_node){maker->in[0]}, dtype), type.shape);
    for (size_t i = w->to->n_instrs; i-- > 0;) { /* the same cast once */
        const sn_instr *cast = &w->to->instrs[i];
        if (cast->op == SN_CAST && cast->in[0] == x.id && cast->attr.cast.to == (int32_t)dtype) return (sn_node){cast->out[0]};
    }
    return sn_cast(w->to, x, dtype);
}

/* Do all readers of a value want f32? */
static bool read_in_f32(const sn_rewrite *w, int32_t value) {
    for (int i = 0; i < w->n_outputs; i++)
        if (w->outputs[i].id == value) return true;
    const sn_graph *g = w->from;
    for (size_t i = (size_t)g->values[value].maker + 1; i < g->n_instrs; i++) {
        const sn_instr *reader = &g->instrs[i];
        sn_precision_rule rule = sn_ops[reader->op].precision;
        for (int k = 0; w->live[i] && k < reader->n_in; k++) {
            if (reader->in[k] != value) continue;
            bool view = sn_ops[reader->op].flags & SN_OPF_VIEW;
            bool narrows = reader->op == SN_CAST && reader->attr.cast.to == SN_BF16;
            if (view ? !read_in_f32(w, reader->out[0]) : narrows || rule == SN_RULE_BF16 || rule == SN_RULE_FOLLOW) return false;
        }
    }
    return true;
}

static sn_dtype follow(const sn_rewrite *w, const sn_node *in, int n_in) {
    int64_t largest = -1;
    sn_dtype dtype = SN_F32;
    for (int k = 0; k < n_in; k++) {
        sn_type type = sn_type_of(w->to, in[k]);
        int64_t count = sn_shape_count(type.shape);
        if (!is_float(type.dtype)) continue;
        if (count > largest || (count == largest && type.dtype == SN_F32)) dtype = type.dtype;
        if (count > largest) largest = count;
    }
    return dtype;
}

/* Bit k: input k is f32 whatever the op computes in. */
static unsigned f32_inputs(unsigned flags) {
    return (flags & SN_OPF_BIAS_2 ? 1u << 2 : 0) | (flags & SN_OPF_BIAS_3 ? 3u << 3 : 0) | (flags & SN_OPF_STATS_4 ? 1u << 4 : 0);
}

void sn_pass_precision(sn_rewrite *w, size_t index) {
    const sn_instr *instr = &w->from->instrs[index];
    const sn_op_info *info = &sn_ops[instr->op];
    sn_node in[SN_MAX_IN];
    for (int k = 0; k < instr->n_in; k++) in[k] = w->map[instr->in[k]];
    sn_attr attr = instr->attr;
    sn_dtype want = SN_F32;
    if (info->precision == SN_RULE_BF16) want = SN_BF16;
    if (info->precision == SN_RULE_FOLLOW) want = follow(w, in, instr->n_in);
    bool keeps = instr->op == SN_CAST || instr->op == SN_COPY;
    unsigned f32 = f32_inputs(info->flags), kept = info->flags & SN_OPF_CACHE_3 ? 3u << 3 : 0;
    for (int k = 0; k < instr->n_in && !keeps; k++)
        if (!(kept >> k & 1u)) in[k] = to_dtype(w, in[k], f32 >> k & 1u ? SN_F32 : want);
    if (instr->op == SN_CAST && is_float(sn_type_of(w->to, in[0]).dtype)) {
        w->map[instr->out[0]] = to_dtype(w, in[0], (sn_dtype)attr.cast.to);
        return;
    }
    if (instr->op == SN_MATMUL && read_in_f32(w, instr->out[0])) attr.matmul.out_f32 = 1;
    (void)sn_rewrite_emit(w, instr, in, instr->n_in, &attr);
}
