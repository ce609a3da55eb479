/* transformer.c: pre-norm encoder blocks (Vaswani et al. 2017; normalisation first as in Xiong et al. 2020).
 *
 *   x [N,T,D] -> norm -> q k v [N,T,D] -> heads [N,h,T,d] -> softmax(q kᵀ / sqrt d) v -> out -> + x
 *             -> norm -> D -> hidden -> D -> + x */
#include <math.h>
#include <stdio.h>

#include "nn/layers.h"

static sn_node heads_of(sn_graph *g, sn_node x, int64_t heads) {
    int64_t n = sn_dim(g, x, 0), t = sn_dim(g, x, 1), d = sn_dim(g, x, 2);
    return sn_transpose(g, sn_reshape(g, x, SN_SHAPE(n, t, heads, d / heads)), (int[]){0, 2, 1, 3});
}

static sn_node attention(sn_graph *g, sn_node x, sn_node lengths, int64_t heads) {
    int64_t n = sn_dim(g, x, 0), t = sn_dim(g, x, 1), d = sn_dim(g, x, 2);
    sn_node q = heads_of(g, sn_linear(g, x, "query", d, true, SN_ACT_NONE), heads);
    sn_node k = heads_of(g, sn_linear(g, x, "key", d, true, SN_ACT_NONE), heads);
    sn_node v = heads_of(g, sn_linear(g, x, "value", d, true, SN_ACT_NONE), heads);
    sn_node scores = sn_affine(g, sn_matmul(g, q, k, false, true), (float)(1.0 / sqrt((double)d / (double)heads)), 0);
    sn_node weights = sn_emit(g, SN_SOFTMAX, (sn_node[]){scores, lengths}, 2, NULL);
    sn_node mixed = sn_transpose(g, sn_matmul(g, weights, v, false, false), (int[]){0, 2, 1, 3});
    return sn_linear(g, sn_reshape(g, mixed, SN_SHAPE(n, t, d)), "output", d, true, SN_ACT_NONE);
}

sn_node sn_transformer(sn_graph *g, sn_node x, sn_node lengths, sn_node rows, const char *name,
                       const sn_transformer_options *o) {
    if (x.id >= 0 && (o->heads < 1 || sn_dim(g, x, 2) % o->heads))
        return sn_graph_fail(g, SN_ERR_USAGE, "width %lld is not a multiple of %lld heads", (long long)sn_dim(g, x, 2),
                             (long long)o->heads);
    sn_scope_push(g, name);
    for (int i = 0; i < o->layers && x.id >= 0; i++) {
        char layer[32];
        (void)snprintf(layer, sizeof layer, "layers.%d", i);
        sn_scope_push(g, layer);
        sn_node a = attention(g, sn_layernorm(g, x, "norm1", 1e-5f), lengths, o->heads);
        x = sn_add(g, x, sn_dropout(g, a, rows, o->dropout, "dropout1"));
        sn_node f = sn_linear(g, sn_layernorm(g, x, "norm2", 1e-5f), "linear1", o->hidden, true, SN_ACT_GELU);
        f = sn_linear(g, f, "linear2", sn_dim(g, x, 2), true, SN_ACT_NONE);
        x = sn_add(g, x, sn_dropout(g, f, rows, o->dropout, "dropout2"));
        sn_scope_pop(g);
    }
    x = sn_layernorm(g, x, "norm", 1e-5f);
    sn_scope_pop(g);
    return x;
}
