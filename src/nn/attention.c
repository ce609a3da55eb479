/* attention.c: the builders of attention. */
#include "nn/attention.h"

#include <math.h>

static sn_node attention(sn_graph *g, sn_op op, const sn_node *in, int n_in, bool ancestry, const sn_attention_options *o) {
    if (in[0].id < 0) return SN_NO_NODE;
    if (o->heads < 1 || o->heads > INT32_MAX || o->kv_heads < 0 || o->kv_heads > o->heads)
        return sn_graph_fail(g, SN_ERR_SHAPE, "attention of %lld heads over %lld key/value heads", (long long)o->heads,
                             (long long)o->kv_heads);
    sn_attr attr = {0};
    attr.attention.heads = (int32_t)o->heads;
    attr.attention.kv_heads = (int32_t)(o->kv_heads ? o->kv_heads : o->heads);
    attr.attention.causal = o->causal;
    attr.attention.ancestry = ancestry;
    attr.attention.scale = o->scale != 0 ? o->scale : (float)(1.0 / sqrt((double)sn_dim(g, in[0], -1) / (double)o->heads));
    return sn_emit(g, op, in, n_in, &attr);
}

sn_node sn_attention(sn_graph *g, sn_node q, sn_node k, sn_node v, sn_node mask, const sn_attention_options *o) {
    return attention(g, SN_ATTENTION, (sn_node[]){q, k, v, mask}, 4, false, o);
}

sn_node sn_attention_cached(sn_graph *g, sn_node q, sn_node k, sn_node v, sn_node mask, const sn_attention_cache *cache,
                            const sn_attention_options *o) {
    bool ancestry = cache->ancestry.id >= 0;
    sn_node in[8] = {q, k, v, cache->keys, cache->values, cache->filled};
    in[6] = ancestry ? cache->ancestry : mask;
    in[7] = ancestry ? mask : SN_NO_NODE;
    return attention(g, SN_ATTENTION_CACHED, in, 8, ancestry, o);
}
