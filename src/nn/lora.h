/* lora.h: low-rank adapters (Hu et al. 2021) beside linear layers, as the Python package PEFT defines them.
 *
 *   y = x W^T + b + (alpha / rank) * dropout(x) A^T B^T        A [rank, in] random, B [out, rank] zero at first
 *
 * While a graph's `lora` is set, every linear layer whose module name matches a target gets one, under its own scope:
 * "<module>.lora_A.weight", "<module>.lora_B.weight". */
#ifndef SN_NN_LORA_H
#define SN_NN_LORA_H
#include <jansson.h>

#include "graph/graph.h"

typedef struct sn_lora {
    int64_t rank;
    float alpha, dropout;
    const json_t *targets; /* list of names, each a module or the end of one; NULL: queries and values of attention */
    size_t skip;           /* the scope's first characters that are not the module's name */
    sn_node rows;          /* for dropout */
} sn_lora;

/* y, with the adapter of the layer whose scope the graph is in, if it has one. */
sn_node sn_lora_add(sn_graph *g, sn_node x, sn_node y);
/* Is this parameter part of an adapter? */
bool sn_lora_is(const char *name);
#endif
