/* attention_words.c: keys, values and queries of attention as words for products of tiles. */
#include <math.h>

#include "kernels/simd/attention.h"

sn_att sn_att_of(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_att a = {.plan = plan, .args = args, .t = plan->state, .narrow = plan->in[0].dtype == SN_BF16};
    a.s = sn_attention_shape_of(plan->op, &plan->attr, plan->in, plan->n_in);
    a.rows = a.s.group * a.s.tq;
    a.room = sn_att_up(a.s.tk + a.s.cache_steps, SN_ATT_STEP);
    a.words = sn_tile_words(a.t, a.s.d);
    a.columns = sn_att_up(a.s.d, a.t->lanes);
    return a;
}

bool sn_att_accepts(const sn_kernel_request *r) {
    for (int k = 0; k < r->n_in; k++)
        if (!sn_shape_count(r->in[k].shape)) return false;
    sn_dtype dtype = r->in[0].dtype;
    if ((dtype != SN_F32 && dtype != SN_BF16) || r->in[1].dtype != dtype || r->in[2].dtype != dtype) return false;
    return r->out[0].dtype == dtype && r->attr->attention.scale > 0
           && r->in[0].shape.dim[2] / r->attr->attention.heads <= SN_ATT_WIDTH;
}

void *sn_att_take(char *base, size_t *at, int64_t count) {
    void *here = base ? base + *at : NULL;
    *at += ((size_t)count * 4 + 63) & ~(size_t)63;
    return here;
}

sn_att_key sn_att_key_of(const sn_att *a, const sn_attention_row *row, int64_t key, int64_t kv, int slot) {
    int in = key < row->past ? 3 + slot : 1 + slot;
    bool narrow = a->plan->in[in].dtype == SN_BF16;
    return (sn_att_key){sn_att_at(a->args->in[in], narrow, sn_attention_key_at(&a->s, row, key, kv)), narrow};
}

void sn_att_turn(const sn_att *a, const sn_attention_row *row, int64_t kv, int slot, uint32_t *to) {
    uint32_t rows[SN_TILE_TURN * SN_ATT_WIDTH];
    for (int64_t at = 0; at < a->room; at += SN_TILE_TURN) {
        if (at >= row->keys) memset(rows, 0, SN_TILE_TURN * (size_t)a->words * sizeof *rows);
        for (int64_t i = 0; i < SN_TILE_TURN && at < row->keys; i++) {
            uint32_t *words = rows + i * a->words;
            if (at + i < row->keys) {
                sn_att_key k = sn_att_key_of(a, row, at + i, kv, slot);
                a->t->natural(k.data, k.narrow, a->s.d, words);
            } else {
                memset(words, 0, (size_t)a->words * sizeof *words);
            }
        }
        a->t->turn(rows, a->words, SN_TILE_TURN, a->words, to + at, a->room);
    }
}

/* The element-wise way, for two rows of different dtypes (the last of a cache and the first behind it). */
static void interleave_mixed(const sn_att *a, sn_att_key k0, sn_att_key k1, uint32_t *to) {
    for (int64_t i = 0; i < a->s.d; i++) {
        uint32_t low = k0.narrow ? ((const uint16_t *)k0.data)[i] : sn_to_bf16(((const float *)k0.data)[i]);
        uint32_t high = k1.narrow ? ((const uint16_t *)k1.data)[i] : sn_to_bf16(((const float *)k1.data)[i]);
        to[i] = low | high << 16;
    }
}

void sn_att_interleave(const sn_att *a, const sn_attention_row *row, int64_t kv, int slot, uint32_t *to) {
    int64_t each = a->t->pairs ? 2 : 1, d = a->s.d;
    for (int64_t key = 0; key < row->keys; key += each, to += a->columns) {
        sn_att_key k0 = sn_att_key_of(a, row, key, kv, slot), k1 = {NULL, k0.narrow};
        if (each == 2 && key + 1 < row->keys) k1 = sn_att_key_of(a, row, key + 1, kv, slot);
        if (k0.narrow == k1.narrow) a->t->interleave(k0.data, k1.data, k0.narrow, d, to);
        else interleave_mixed(a, k0, k1, to);
        for (int64_t c = d; c < a->columns; c++) to[c] = 0;
    }
    int64_t done = (row->keys + each - 1) / each, all = a->room / each;
    memset(to, 0, (size_t)((all - done) * a->columns) * sizeof *to);
}

void sn_att_queries(const sn_att *a, const void *base, int64_t n, int64_t kv, int64_t r0, int64_t r1, uint32_t *to) {
    int64_t padded = sn_att_up(r1 - r0, SN_TILE_ROWS);
    for (int64_t r = r0; r < r1; r++, to += a->words)
        a->t->natural(sn_att_at(base, a->narrow, sn_att_query_at(a, n, kv, r)), a->narrow, a->s.d, to);
    memset(to, 0, (size_t)((padded - (r1 - r0)) * a->words) * sizeof *to);
}

void sn_att_hide(const sn_att *a, const sn_attention_row *row, int64_t r, int64_t k0, int64_t n, int64_t padded, float *s) {
    int64_t sees = sn_attention_sees(&a->s, row, r % a->s.tq) - k0;
    if (sees > n) sees = n;
    if (sees < 0) sees = 0;
    for (int64_t j = sees; j < padded; j++) s[j] = -INFINITY;
    if (!row->mask) return;
    int64_t first = row->past > k0 ? row->past - k0 : 0;
    const int32_t *mask = row->mask + k0 - row->past;
    for (int64_t j = first; j < sees; j++) s[j] = mask[j] ? s[j] : -INFINITY;
}

int64_t sn_att_sees(const sn_att *a, const sn_attention_row *row, int64_t r0, int64_t r1) {
    int64_t last = r1 - 1;
    bool wraps = r0 / a->s.tq != last / a->s.tq; /* the last position of a head is among them */
    return sn_attention_sees(&a->s, row, wraps ? a->s.tq - 1 : last % a->s.tq);
}
