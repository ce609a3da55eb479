/* pass.c: the vector of the only part as it is, where nothing is to be joined. */
#include "fusion/fusion.h"

static sn_node build(sn_graph *g, const json_t *options, int n, const sn_node *parts, sn_node rows) {
    (void)options;
    (void)rows;
    if (n != 1) return sn_graph_fail(g, SN_ERR_USAGE, "the fusion \"pass\" joins nothing; there are %d parts", n);
    return parts[0];
}

static const char *const keys[] = {"type", NULL};
const sn_fusion sn_fusion_pass = {"pass", keys, build};
