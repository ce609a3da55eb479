/* fuse.c: an activation behind a matrix product or a convolution becomes part of it. Legal only if nobody else,
 * a backward node included, reads the value before the activation: rules of RELU, TANH and SIGMOID read their
 * output, so those fuse in training too; GELU and SILU read their input and then do not.
 *
 * And casts melt into what stands beside them: an op whose kernels take f32 and bf16 in any mixture reads the bf16 value
 * before a cast to f32, and writes bf16 itself where a cast to it is the only reader. The numbers stay the same. */
#include "graph/pass.h"

static sn_act act_of(sn_op op) {
    switch ((int)op) {
#define SN_ACT(id) case SN_##id: return SN_ACT_##id;
#include "graph/acts.def"
#undef SN_ACT
    default: return SN_ACT_NONE;
    }
}

static bool is_mixed(const sn_instr *instr) { return sn_ops[instr->op].flags & SN_OPF_MIXED; }

/* What a cast from bf16 to f32 reads, seen through views; x itself where it is no such cast. */
static sn_node before_widening(sn_graph *g, sn_node x) {
    sn_type type = sn_type_of(g, x);
    if (x.id < 0 || type.dtype != SN_F32 || type.shape.rank < 2) return x;
    sn_instr maker = g->instrs[g->values[x.id].maker];
    sn_node from = {maker.n_in ? maker.in[0] : -1};
    if (maker.op == SN_CAST) return sn_type_of(g, from).dtype == SN_BF16 ? from : x;
    if (!(sn_ops[maker.op].flags & SN_OPF_VIEW)) return x;
    sn_node seen = before_widening(g, from);
    return seen.id == from.id ? x : sn_reshape(g, seen, type.shape);
}

/* The copy's inputs are set anew, behind the shape rules: what it gives keeps its dtype. Casts nobody reads are dead. */
static void read_mixed(sn_rewrite *w, size_t index) {
    const sn_instr *instr = &w->from->instrs[index];
    sn_node in[SN_MAX_IN];
    for (int k = 0; k < instr->n_in; k++) in[k] = before_widening(w->to, w->map[instr->in[k]]);
    sn_rewrite_copy(w, index);
    sn_node y = w->map[instr->out[0]];
    if (y.id < 0) return;
    sn_instr *made = &w->to->instrs[w->to->values[y.id].maker];
    for (int k = 0; k < made->n_in; k++) made->in[k] = in[k].id;
}

/* A cast to bf16 that alone reads output 0 of an instruction which can write that itself. */
static bool write_mixed(sn_rewrite *w, const sn_instr *cast) {
    if (cast->op != SN_CAST || cast->attr.cast.to != SN_BF16 || w->readers[cast->in[0]] != 1) return false;
    sn_value *value = &w->to->values[w->map[cast->in[0]].id];
    if (value->slot || value->type.dtype != SN_F32 || value->type.shape.rank < 2 || !is_mixed(&w->to->instrs[value->maker])) return false;
    value->type.dtype = SN_BF16;
    w->map[cast->out[0]] = w->map[cast->in[0]];
    return true;
}

static void copy(sn_rewrite *w, size_t index) {
    const sn_instr *instr = &w->from->instrs[index];
    if (is_mixed(instr)) read_mixed(w, index);
    else if (!write_mixed(w, instr)) sn_rewrite_copy(w, index);
}

void sn_pass_fuse(sn_rewrite *w, size_t index) {
    const sn_instr *instr = &w->from->instrs[index];
    sn_act act = act_of(instr->op);
    int32_t before = act == SN_ACT_NONE ? -1 : instr->in[0];
    sn_op op = before < 0 ? SN_OP_COUNT : w->from->instrs[w->from->values[before].maker].op;
    if (before < 0 || w->readers[before] != 1 || (op != SN_MATMUL && op != SN_CONV)
        || w->from->values[before].type.dtype != w->from->values[instr->out[0]].type.dtype) {
        copy(w, index);
        return;
    }
    sn_instr *product = &w->to->instrs[w->to->values[w->map[before].id].maker];
    int32_t *slot = op == SN_CONV ? &product->attr.conv.act : &product->attr.matmul.act;
    if (*slot != SN_ACT_NONE) {
        copy(w, index);
        return;
    }
    *slot = (int32_t)act;
    w->map[instr->out[0]] = w->map[before];
}
