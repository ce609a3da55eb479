/* narrow.h: slices that are taken as early as the ops before them allow; see narrow.c. */
#ifndef SN_NARROW_H
#define SN_NARROW_H
#include "graph/graph.h"

/* Positions [start, start + size) of x [N, T, D], computed from as few positions as the graph allows. */
sn_node sn_slice_early(sn_graph *g, sn_node x, int64_t start, int64_t size);
/* The plain op, for any axis: sn_slice chooses. */
sn_node sn_slice_after(sn_graph *g, sn_node x, int axis, int64_t start, int64_t size);
#endif
