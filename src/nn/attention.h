/* attention.h: multi-head scaled dot-product attention (Vaswani et al. 2017) as one op, forward and backward.
 *
 *   q [N,Tq,heads*d], k, v [N,Tk,kv_heads*d]  ->  y [N,Tq,heads*d]
 *
 * Head h of a row is columns [h*d, (h+1)*d); with fewer key/value heads than query heads, neighbours share one.
 * Scores are q·k * scale; masked keys get weight 0; a query with no valid key gives 0.
 *
 * Beams that share keys (cross-attention of a decoder) need no copies of them: as [N, beams, heads*d], the
 * queries of one position are the Tq of one row. */
#ifndef SN_NN_ATTENTION_H
#define SN_NN_ATTENTION_H
#include "graph/graph.h"

typedef struct sn_attention_options {
    int64_t heads, kv_heads; /* kv_heads 0: as heads */
    bool causal;             /* query i sees keys up to i + (Tk - Tq), and all of a cache */
    float scale;             /* 0: 1/sqrt(d) */
} sn_attention_options;

/* mask: SN_NO_NODE; int32 [N]: keys at or beyond it are masked; or int32 [N,Tk]: keys with 0 are masked. */
sn_node sn_attention(sn_graph *g, sn_node q, sn_node k, sn_node v, sn_node mask, const sn_attention_options *o);

/* Decoding, inference only: the keys are those of the cache, then k. The cache belongs to the caller.
 *   k_cache, v_cache [C,M,kv_heads*d]   C rows of M positions, in the graph's float dtype or f32
 *   filled   int32 [N]     positions of the cache that row n sees
 *   ancestry int32 [N,M]   the cache row that holds position t of row n's past (beams share it); SN_NO_NODE: row n
 *   mask     as above, over k alone (a padded prompt); SN_NO_NODE: none */
typedef struct sn_attention_cache { sn_node keys, values, filled, ancestry; } sn_attention_cache;
sn_node sn_attention_cached(sn_graph *g, sn_node q, sn_node k, sn_node v, sn_node mask, const sn_attention_cache *cache,
                            const sn_attention_options *o);
#endif
