/* concat.c: side by side, then an MLP.   [B, sum D_i] -> Dense `width` + ReLU -> Dropout -> [B, width] */
#include "fusion/fusion.h"

static sn_node build(sn_graph *g, const json_t *options, int n, const sn_node *parts, sn_node rows) {
    sn_node x = sn_concat(g, parts, n, 1);
    x = sn_linear(g, x, "dense", sn_option_int(g, options, "width", 256), true, SN_ACT_RELU);
    return sn_dropout(g, x, rows, sn_option_float(g, options, "dropout", 0), "dropout");
}

static const char *const keys[] = {"type", "width", "dropout", NULL};
const sn_fusion sn_fusion_concat = {"concat", keys, build};
