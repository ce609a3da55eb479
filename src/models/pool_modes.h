/* pool_modes.h: how one vector comes of a text's tokens: the modes of sentence-transformers, one row each.
 *
 *   hidden [T,D] -> [D]          numbers, after the model has run (pipelines/pooling.h)
 *   x [N,T,D], lengths -> [N,D]  in the graph, where the model learns as an encoder (backbone.h)
 *
 * Several modes at once are joined in the table's order. */
#ifndef SN_POOL_MODES_H
#define SN_POOL_MODES_H
#include "base/json.h"
#include "graph/graph.h"

typedef struct sn_pool_mode {
    const char *name, *key, *other; /* key, other: in 1_Pooling/config.json, as its own key and as a value of "pooling_mode" */
    void (*pool)(const float *x, int64_t tokens, int64_t width, float *out); /* tokens >= 1 */
    sn_node (*build)(sn_graph *g, sn_node x, sn_node lengths);               /* NULL: not in a graph */
} sn_pool_mode;
enum { SN_POOL_MODES = 6, SN_POOL_MEAN = 1 << 2 };
extern const sn_pool_mode sn_pool_modes[SN_POOL_MODES];

/* The bit of the mode of this name; the error lists them. */
sn_status sn_pool_mode_find(const char *name, unsigned *modes);
/* 1_Pooling/config.json -> bits, at least one. */
sn_status sn_pool_modes_read(const json_t *config, unsigned *modes);
/* "cls+mean" into text. */
void sn_pool_modes_text(unsigned modes, char *text, size_t size);
/* x [N,T,D], lengths int32 [N] -> [N, D * modes]. A mode that no graph computes is refused by name. */
sn_node sn_pool_modes_build(sn_graph *g, unsigned modes, sn_node x, sn_node lengths);
#endif
