/* fusion.h: how the encoders' vectors become one. Rows are a table (fusions.def), one file each.
 *
 *   parts [B, D_i]  ->  [B, width]; an absent part has already been replaced by its learned embedding. */
#ifndef SN_FUSION_H
#define SN_FUSION_H
#include <jansson.h>

#include "nn/layers.h"

enum { SN_MAX_PARTS = 16 };

typedef struct sn_fusion {
    const char *name;
    const char *const *keys;
    sn_node (*build)(sn_graph *g, const json_t *options, int n, const sn_node *parts, sn_node rows);
} sn_fusion;

/* Row by name; the error lists what is known. NULL or "" gives the default: the first row. */
sn_status sn_fusion_find(const char *name, const sn_fusion **out);
#endif
