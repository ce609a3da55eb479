/* product.c: every vector projected to one width, then multiplied element by element (a low-rank bilinear form;
 * Kim et al. 2017), then an MLP.   [B, D_i] -> tanh Dense -> product -> Dense + ReLU -> [B, width] */
#include <stdio.h>

#include "fusion/fusion.h"

static sn_node build(sn_graph *g, const json_t *options, int n, const sn_node *parts, sn_node rows) {
    int64_t width = sn_option_int(g, options, "width", 256);
    sn_node x = SN_NO_NODE;
    for (int i = 0; i < n && g->failed == SN_OK; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "project%d", i);
        sn_node y = sn_linear(g, parts[i], name, width, true, SN_ACT_TANH);
        x = i ? sn_mul(g, x, y) : y;
    }
    x = sn_linear(g, x, "dense", width, true, SN_ACT_RELU);
    return sn_dropout(g, x, rows, sn_option_float(g, options, "dropout", 0), "dropout");
}

static const char *const keys[] = {"type", "width", "dropout", NULL};
const sn_fusion sn_fusion_product = {"product", keys, build};
