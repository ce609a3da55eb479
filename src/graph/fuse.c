/* fuse.c: an activation behind a matrix product or a convolution becomes part of it. Legal only if nobody else,
 * a backward node included, reads the value before the activation: rules of RELU, TANH and SIGMOID read their
 * output, so those fuse in training too; GELU and SILU read their input and then do not. */
#include "graph/pass.h"

static sn_act act_of(sn_op op) {
    switch ((int)op) {
#define SN_ACT(id) case SN_##id: return SN_ACT_##id;
#include "graph/acts.def"
#undef SN_ACT
    default: return SN_ACT_NONE;
    }
}

void sn_pass_fuse(sn_rewrite *w, size_t index) {
    const sn_instr *instr = &w->from->instrs[index];
    sn_act act = act_of(instr->op);
    int32_t before = act == SN_ACT_NONE ? -1 : instr->in[0];
    sn_op op = before < 0 ? SN_OP_COUNT : w->from->instrs[w->from->values[before].maker].op;
    if (before < 0 || w->readers[before] != 1 || (op != SN_MATMUL && op != SN_CONV)
        || w->from->values[before].type.dtype != w->from->values[instr->out[0]].type.dtype) {
        sn_rewrite_copy(w, index);
        return;
    }
    sn_instr *product = &w->to->instrs[w->to->values[w->map[before].id].maker];
    int32_t *slot = op == SN_CONV ? &product->attr.conv.act : &product->attr.matmul.act;
    if (*slot != SN_ACT_NONE) {
        sn_rewrite_copy(w, index);
        return;
    }
    *slot = (int32_t)act;
    w->map[instr->out[0]] = w->map[before];
}
