/* attention.h: what the vector kernels of attention share: rows of queries, keys as words, room in scratch.
 *
 * An item of work is a row and a key/value head; the query heads that share it are one list of rows
 * r = head in the group * Tq + position. Keys and values become words once an item. Lanes (as many as threads)
 * take items in turn; each has its own part of scratch, and no result depends on which lane made it. */
#ifndef SN_SIMD_ATTENTION_H
#define SN_SIMD_ATTENTION_H
#include "kernels/attention.h"
#include "kernels/simd/tile.h"

/* Query rows and keys of a tile; KEYS a multiple of rows of a product, of lanes and of two. */
enum { SN_ATT_ROWS = 48, SN_ATT_KEYS = 240, SN_ATT_STEP = 48, SN_ATT_WIDTH = 512 /* the widest head */ };

typedef struct sn_att {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    sn_attention_shape s;
    const sn_tile *t;
    bool narrow;             /* q, k, v, y and their gradients are bf16 */
    int64_t rows;            /* query rows of an item */
    int64_t room;            /* keys of an item at most, padded to SN_ATT_STEP */
    int64_t words, columns;  /* words of d; d padded to lanes */
    size_t lane;             /* bytes of scratch a lane has */
} sn_att;
sn_att sn_att_of(const sn_kernel_plan *plan, const sn_kernel_args *args);
bool sn_att_accepts(const sn_kernel_request *r);

static inline int64_t sn_att_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }
/* Takes `count` words of 4 bytes at *at, which moves on; 64-byte aligned. base NULL: only counts. */
void *sn_att_take(char *base, size_t *at, int64_t count);

/* Where row r of an item begins in q, y and their gradients. */
static inline int64_t sn_att_query_at(const sn_att *a, int64_t n, int64_t kv, int64_t r) {
    return ((n * a->s.tq + r % a->s.tq) * a->s.heads + kv * a->s.group + r / a->s.tq) * a->s.d;
}
/* ... and in the log-sum-exp. */
static inline int64_t sn_att_lse_at(const sn_att *a, int64_t n, int64_t kv, int64_t r) {
    return (n * a->s.heads + kv * a->s.group + r / a->s.tq) * a->s.tq + r % a->s.tq;
}
static inline const void *sn_att_at(const void *base, bool narrow, int64_t at) {
    return (const char *)base + at * (narrow ? 2 : 4);
}

/* The bytes of a key (slot 0) or value (slot 1). */
typedef struct sn_att_key {
    const void *data;
    bool narrow;
} sn_att_key;
sn_att_key sn_att_key_of(const sn_att *a, const sn_attention_row *row, int64_t key, int64_t kv, int slot);

/* Words of all keys of an item, zeros behind them up to `room` columns: turned [words][room] or
 * interleaved [words of room][columns]. */
void sn_att_turn(const sn_att *a, const sn_attention_row *row, int64_t kv, int slot, uint32_t *to);
void sn_att_interleave(const sn_att *a, const sn_attention_row *row, int64_t kv, int slot, uint32_t *to);
/* Natural words [SN_ATT_ROWS][words] of query rows [r0, r1), zeros behind them. */
void sn_att_queries(const sn_att *a, const void *base, int64_t n, int64_t kv, int64_t r0, int64_t r1, uint32_t *to);
/* Scores of keys [k0, k0 + n) that row r may not see become -infinity, and so does the rest up to `padded`. */
void sn_att_hide(const sn_att *a, const sn_attention_row *row, int64_t r, int64_t k0, int64_t n, int64_t padded, float *s);
/* Keys that any of the rows [r0, r1) sees. */
int64_t sn_att_sees(const sn_att *a, const sn_attention_row *row, int64_t r0, int64_t r1);

/* Attention of so few query rows that turning the keys into words would not pay, of `heads` key/value heads from kv on, at most
 * SN_ATT_DIRECT_HEADS; see attention_direct.c. */
enum { SN_ATT_DIRECT = 8, SN_ATT_DIRECT_HEADS = 8 };
int64_t sn_att_direct_words(const sn_att *a, int64_t heads);
void sn_att_direct(const sn_att *a, const sn_attention_row *row, int64_t kv, int64_t heads, char *scratch);
#endif
