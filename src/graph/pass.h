/* pass.h: graph -> graph rewriting. A pass reads one graph and emits another through a map of values; only
 * what the outputs need is carried over, so every pass removes dead code. */
#ifndef SN_PASS_H
#define SN_PASS_H
#include "ops/op.h"

typedef struct sn_rewrite {
    const sn_graph *from;
    sn_graph *to;
    sn_node *map;      /* value of `from` -> handle in `to` */
    int32_t *readers;  /* how many live instructions and outputs read each value */
    bool *live;        /* per instruction */
    int n_outputs;
    const sn_node *outputs; /* in `from` */
} sn_rewrite;

/* Emits the counterpart of `instr`; fills w->map for its outputs. */
typedef void sn_rewrite_fn(sn_rewrite *w, size_t index);
/* Runs one pass; on success outputs[] are handles of the new graph, and the old graph is freed. */
sn_status sn_rewrite_run(sn_graph **graph, int n_outputs, sn_node *outputs, sn_rewrite_fn *rule);
/* The rule for an instruction that a pass leaves alone. */
void sn_rewrite_copy(sn_rewrite *w, size_t index);
/* Emits like sn_emit but with given output types (for what shape rules do not say: dtype changes). Gives the
 * index of the new instruction, or -1. */
int32_t sn_rewrite_emit(sn_rewrite *w, const sn_instr *like, const sn_node *in, int n_in, const sn_attr *attr);

/* `auto` precision: matrix products and convolutions in bf16; see precision.c. */
void sn_pass_precision(sn_rewrite *w, size_t index);
/* Activations folded into the product before them where nobody else reads that product. */
void sn_pass_fuse(sn_rewrite *w, size_t index);
/* Each output becomes a value of its own: not a view, not a leaf, not listed twice. */
sn_status sn_pass_own_outputs(sn_graph *g, int n_outputs, sn_node *outputs);
#endif
