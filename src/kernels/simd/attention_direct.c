/* attention_direct.c: decoding: a few queries against a long cache, every key and value read once from where it lies.
 *
 *   q [rows, d] * scale in f32, s = q·key for all keys, softmax, y = sum of weights times values */
#include <math.h>

#include "kernels/simd/attention.h"

enum { BLOCK = 64 };

int64_t sn_att_direct_words(const sn_att *a) { return a->rows * (a->room + 2 * sn_att_up(a->s.d, 16)) + 16 * 3; }

/* Pointers to keys [key, end) of one kind; gives the end. They lie a whole width apart, too far for the processor to
 * guess: they are asked for here, while the block before is worked on. */
static int64_t gather(const sn_att *a, const sn_attention_row *row, int64_t key, int64_t kv, int slot, const void **rows,
                      bool *narrow) {
    int64_t end = key < row->past ? row->past : row->keys;
    if (end > key + BLOCK) end = key + BLOCK;
    for (int64_t j = key; j < end; j++) {
        sn_att_key k = sn_att_key_of(a, row, j, kv, slot);
        rows[j - key] = k.data;
        *narrow = k.narrow;
        for (int64_t at = 0; at < a->s.d * (k.narrow ? 2 : 4); at += 64) __builtin_prefetch((const char *)k.data + at, 0, 2);
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

static bool begin(walk *w, const sn_att *a, const sn_attention_row *row, int64_t kv, int slot) {
    w->now = 0;
    w->key = 0;
    w->end = w->next = row->keys > 0 ? gather(a, row, 0, kv, slot, w->rows[0], &w->narrow[0]) : 0;
    if (w->end < row->keys) w->next = gather(a, row, w->end, kv, slot, w->rows[1], &w->narrow[1]);
    return w->end > 0;
}

static bool on(walk *w, const sn_att *a, const sn_attention_row *row, int64_t kv, int slot) {
    w->key = w->end;
    w->end = w->next;
    w->now ^= 1;
    if (w->end < row->keys) w->next = gather(a, row, w->end, kv, slot, w->rows[w->now ^ 1], &w->narrow[w->now ^ 1]);
    return w->key < row->keys;
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

void sn_att_direct(const sn_att *a, const sn_attention_row *row, int64_t kv, char *scratch) {
    const sn_tile *t = a->t;
    size_t at = 0;
    int64_t d = a->s.d;
    float *q = sn_att_take(scratch, &at, a->rows * d), *acc = sn_att_take(scratch, &at, a->rows * d);
    float *s = sn_att_take(scratch, &at, a->rows * a->room);
    walk w;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0, from = sn_att_query_at(a, row->row, kv, r); i < d; i++) {
            float x = a->narrow ? sn_from_bf16(((const uint16_t *)a->args->in[0])[from + i]) : ((const float *)a->args->in[0])[from + i];
            q[r * d + i] = x * a->s.scale;
            acc[r * d + i] = 0;
        }
    for (bool more = begin(&w, a, row, kv, 0); more; more = on(&w, a, row, kv, 0))
        t->dots(q, a->rows, w.rows[w.now], w.end - w.key, w.narrow[w.now], d, s + w.key, a->room);
    float factor[SN_ATT_DIRECT];
    for (int64_t r = 0; r < a->rows; r++) factor[r] = weigh(a, t, row, kv, r, s + r * a->room);
    if (!a->args->out[0]) return;
    for (bool more = begin(&w, a, row, kv, 1); more; more = on(&w, a, row, kv, 1))
        t->mix(s + w.key, a->room, a->rows, w.rows[w.now], w.end - w.key, w.narrow[w.now], d, acc);
    for (int64_t r = 0; r < a->rows; r++) {
        int64_t to = sn_att_query_at(a, row->row, kv, r);
        t->store(acc + r * d, factor[r], d, a->narrow, (char *)a->args->out[0] + to * (a->narrow ? 2 : 4));
    }
}
