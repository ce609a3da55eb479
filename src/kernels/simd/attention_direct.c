/* attention_direct.c: decoding: a few queries against a long cache, every key and value read once from where it lies.
 *
 *   q [heads, rows, d] * scale in f32, s = q·key for all keys, softmax, y = sum of weights times values
 *
 * Heads that are neighbours go together, since their parts of a key do: memory is read in longer stretches. */
#include <math.h>

#include "kernels/simd/attention.h"

enum { BLOCK = 32 }; /* keys: with the next ones, of all heads that go together, they fit the nearest cache */

int64_t sn_att_direct_words(const sn_att *a, int64_t heads) {
    return heads * a->rows * (a->room + 2 * a->s.d) + 16 * 3;
}

/* Key/value heads [kv, kv + heads) of a row. */
typedef struct part {
    const sn_att *a;
    const sn_attention_row *row;
    int64_t kv, heads;
} part;

/* Pointers to keys [key, end) of one kind; gives the end. They lie a whole width apart, too far for the processor to
 * guess: they are asked for here, while the block before is worked on. */
static int64_t gather(const part *p, int64_t key, int slot, const void **rows, bool *narrow) {
    int64_t end = key < p->row->past ? p->row->past : p->row->keys, width = p->heads * p->a->s.d;
    if (end > key + BLOCK) end = key + BLOCK;
    for (int64_t j = key; j < end; j++) {
        sn_att_key k = sn_att_key_of(p->a, p->row, j, p->kv, slot);
        rows[j - key] = k.data;
        *narrow = k.narrow;
        for (int64_t at = 0; at < width * (k.narrow ? 2 : 4); at += 64) __builtin_prefetch((const char *)k.data + at, 0, 2);
    }
    return end;
}

/* Keys or values in blocks, each with the next one on its way. */
typedef struct walk {
    const void *rows[2][BLOCK];
    bool narrow[2];
    int64_t key, end, next;
    int now;
} walk;

static bool begin(walk *w, const part *p, int slot) {
    int64_t keys = p->row->keys;
    w->now = 0;
    w->key = 0;
    w->end = w->next = keys > 0 ? gather(p, 0, slot, w->rows[0], &w->narrow[0]) : 0;
    if (w->end < keys) w->next = gather(p, w->end, slot, w->rows[1], &w->narrow[1]);
    return w->end > 0;
}

static bool on(walk *w, const part *p, int slot) {
    int64_t keys = p->row->keys;
    w->key = w->end;
    w->end = w->next;
    w->now ^= 1;
    if (w->end < keys) w->next = gather(p, w->end, slot, w->rows[w->now ^ 1], &w->narrow[w->now ^ 1]);
    return w->key < keys;
}

/* Scores of one row become weights; gives 1 / sum, or 0 where it sees nothing. */
static float weigh(const sn_att *a, const sn_tile *t, const sn_attention_row *row, int64_t kv, int64_t r, float *s) {
    int64_t padded = sn_att_up(row->keys, t->lanes);
    sn_att_hide(a, row, r, 0, row->keys, padded, s);
    float top = padded ? t->top(s, padded, 1) : -INFINITY, sum = 0;
    bool any = top != -INFINITY;
    if (any) sum = t->exps(s, padded, 1, top, (uint32_t *)(void *)s);
    else memset(s, 0, (size_t)padded * sizeof *s);
    float *lse = a->plan->n_out > 1 ? a->args->out[1] : NULL;
    if (lse) lse[sn_att_lse_at(a, row->row, kv, r)] = any ? top + logf(sum) : 0;
    return any ? 1 / sum : 0;
}

/* The queries of a head, scaled. */
static void queries(const part *p, int64_t kv, float *q) {
    const sn_att *a = p->a;
    int64_t d = a->s.d;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0, from = sn_att_query_at(a, p->row->row, kv, r); i < d; i++) {
            float x = a->narrow ? sn_from_bf16(((const uint16_t *)a->args->in[0])[from + i]) : ((const float *)a->args->in[0])[from + i];
            q[r * d + i] = x * a->s.scale;
        }
}

void sn_att_direct(const sn_att *a, const sn_attention_row *row, int64_t kv, int64_t heads, char *scratch) {
    const sn_tile *t = a->t;
    const part p = {a, row, kv, heads};
    size_t at = 0;
    int64_t d = a->s.d, each = a->rows * d, scores = a->rows * a->room;
    float *q = sn_att_take(scratch, &at, heads * each), *acc = sn_att_take(scratch, &at, heads * each);
    float *s = sn_att_take(scratch, &at, heads * scores), factor[SN_ATT_DIRECT_HEADS][SN_ATT_DIRECT];
    walk w;
    for (int64_t h = 0; h < heads; h++) queries(&p, kv + h, q + h * each);
    for (bool more = begin(&w, &p, 0); more; more = on(&w, &p, 0))
        for (int64_t h = 0; h < heads; h++)
            t->dots(q + h * each, a->rows, w.rows[w.now], h * d, w.end - w.key, w.narrow[w.now], d, s + h * scores + w.key, a->room);
    for (int64_t h = 0; h < heads; h++)
        for (int64_t r = 0; r < a->rows; r++) factor[h][r] = weigh(a, t, row, kv + h, r, s + h * scores + r * a->room);
    if (!a->args->out[0]) return;
    memset(acc, 0, (size_t)(heads * each) * sizeof *acc);
    for (bool more = begin(&w, &p, 1); more; more = on(&w, &p, 1))
        for (int64_t h = 0; h < heads; h++)
            t->mix(s + h * scores + w.key, a->room, a->rows, w.rows[w.now], h * d, w.end - w.key, w.narrow[w.now], d, acc + h * each);
    for (int64_t h = 0; h < heads; h++)
        for (int64_t r = 0; r < a->rows; r++) {
            int64_t to = sn_att_query_at(a, row->row, kv + h, r);
            t->store(acc + h * each + r * d, factor[h][r], d, a->narrow, (char *)a->args->out[0] + to * (a->narrow ? 2 : 4));
        }
}
