/* table_mlp.c: numbers and categories of a row together.
 *
 *   numbers [N,n] (standardised; a missing one is 0 and its flag 1) and embedded categories [N, m * E]
 *       -> side by side -> (Dense + ReLU + Dropout) per entry of `widths` -> [N, last width] */
#include <stdio.h>

#include "models/encoder.h"

static sn_node categories(sn_graph *g, const sn_encoder_input *in, int k) {
    char name[32];
    int64_t size = in->category_sizes[k], width = size < 4 ? size : size < 64 ? 4 + size / 4 : 24;
    (void)snprintf(name, sizeof name, "category%d", k);
    sn_node ids = sn_reshape(g, sn_slice(g, in->categories, 1, k, 1), SN_SHAPE(-1));
    return sn_embedding(g, ids, name, size, width, 0.5f);
}

static sn_node build(sn_graph *g, const json_t *options, const sn_encoder_input *in) {
    static const int64_t defaults[] = {256};
    int64_t widths[8];
    int n = sn_option_ints(g, options, "widths", defaults, 1, widths, 8);
    float dropout = sn_option_float(g, options, "dropout", 0.3);
    sn_node x = in->x;
    for (int k = 0; k < in->n_categories && g->failed == SN_OK; k++) {
        sn_node e = categories(g, in, k);
        x = x.id < 0 ? e : sn_concat(g, (sn_node[]){x, e}, 2, 1);
    }
    for (int i = 0; i < n; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "dense%d", i + 1);
        x = sn_linear(g, x, name, widths[i], true, SN_ACT_RELU);
        (void)snprintf(name, sizeof name, "dropout%d", i + 1);
        x = sn_dropout(g, x, in->rows, dropout, name);
    }
    return x;
}

static const char *const keys[] = {"type", "widths", "dropout", NULL};
const sn_encoder sn_encoder_mlp = {"mlp", SN_MOD_TABLE, keys, build};
