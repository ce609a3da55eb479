/* attention.h: what the columns share of attention: sizes, and which keys a query sees.
 *
 *   keys of row n:  0 .. past-1        positions of the cache (ATTENTION_CACHED), in the cache row that ancestry names
 *                   past .. keys-1     positions of k; those a length masks are left out of `keys` */
#ifndef SN_KERNELS_ATTENTION_H
#define SN_KERNELS_ATTENTION_H
#include "kernels/kernel.h"

typedef struct sn_attention_shape {
    int64_t rows, tq, tk, heads, kv_heads, d;
    int64_t group;                   /* query heads that share a key/value head */
    int64_t cache_rows, cache_steps; /* 0: no cache */
    int mask, ancestry;              /* which input; 0: none; mask < 0: input -mask has lengths */
    bool causal;
    float scale;
} sn_attention_shape;
sn_attention_shape sn_attention_shape_of(sn_op op, const sn_attr *attr, const sn_type *in, int n_in);

/* What the queries of one row may see. */
typedef struct sn_attention_row {
    int64_t row, past, keys;
    const int32_t *mask;     /* [tk], 0: masked; or NULL */
    const int32_t *ancestry; /* [cache_steps], or NULL */
} sn_attention_row;
sn_attention_row sn_attention_row_of(const sn_attention_shape *s, const sn_kernel_args *args, int64_t row);
/* filled and ancestry are numbers of the caller: within the cache, or an error. */
sn_status sn_attention_check(const sn_attention_shape *s, const sn_kernel_args *args);

/* Query i sees keys [0, this), the masked ones among them excepted. */
static inline int64_t sn_attention_sees(const sn_attention_shape *s, const sn_attention_row *r, int64_t i) {
    int64_t most = s->causal ? r->past + i + s->tk - s->tq + 1 : r->keys;
    return most < 0 ? 0 : most < r->keys ? most : r->keys;
}
static inline bool sn_attention_masked(const sn_attention_row *r, int64_t key) {
    return r->mask && key >= r->past && !r->mask[key - r->past];
}
/* Where key (or value) `key` of head kv_head begins, in elements; in the cache where key < past, else in k. */
static inline int64_t sn_attention_key_at(const sn_attention_shape *s, const sn_attention_row *r, int64_t key, int64_t kv_head) {
    int64_t width = s->kv_heads * s->d, row = r->row;
    if (key >= r->past) return (row * s->tk + key - r->past) * width + kv_head * s->d;
    if (r->ancestry) row = r->ancestry[key];
    return (row * s->cache_steps + key) * width + kv_head * s->d;
}
#endif
