/* attention.c: attention in tiles that lie in the nearest caches: a softmax that is corrected as keys come by, so
 * that no more scores exist at a time than [48, 240] a thread (Milakov & Gimelshein 2018; Dao et al. 2022).
 *
 *   for 48 query rows:  O = 0, top = -inf, sum = 0
 *     for 240 keys:     S = Q Kᵀ;  new top;  P = e^(S scale - top);  sum and O shrink by e^(old - new top);  O += P V
 *     y = O / sum,  log-sum-exp = top + log sum */
#include <math.h>

#include "base/parallel.h"
#include "kernels/ref/ref.h"
#include "kernels/simd/attention.h"

enum { ROWS = SN_ATT_ROWS, KEYS = SN_ATT_KEYS };

typedef struct room {
    uint32_t *keys, *values, *q, *p; /* keys turned, values interleaved */
    float *s, *o;
    float top[ROWS], sum[ROWS];
} room;

static room room_of(const sn_att *a, char *scratch, size_t *bytes) {
    room m = {.top = {0}};
    size_t at = 0;
    m.keys = sn_att_take(scratch, &at, a->words * a->room);
    m.values = sn_att_take(scratch, &at, (a->t->pairs ? a->room / 2 : a->room) * a->columns);
    m.q = sn_att_take(scratch, &at, ROWS * a->words);
    m.p = sn_att_take(scratch, &at, ROWS * KEYS);
    m.s = sn_att_take(scratch, &at, ROWS * KEYS);
    m.o = sn_att_take(scratch, &at, ROWS * a->columns);
    *bytes = at;
    return m;
}

/* Parts the query rows of an item are cut into where items alone are few; a function of the shape. */
static int64_t parts_of(const sn_att *a) {
    enum { ENOUGH = 16 };
    int64_t items = a->s.rows * a->s.kv_heads, tiles = sn_att_up(a->rows, ROWS) / ROWS;
    if (items >= ENOUGH || a->rows < SN_ATT_DIRECT) return 1;
    int64_t wanted = (ENOUGH + items - 1) / items;
    return wanted < tiles ? wanted : tiles;
}

/* Scores of a row of the tile become words of P. */
static void weigh(const sn_att *a, const sn_attention_row *row, room *m, int64_t r0, int64_t i, int64_t k0, int64_t n) {
    const sn_tile *t = a->t;
    float *s = m->s + i * KEYS;
    int64_t padded = sn_att_up(n, t->lanes), words = sn_tile_words(t, padded);
    uint32_t *p = m->p + i * words;
    sn_att_hide(a, row, r0 + i, k0, n, padded, s);
    float top = t->top(s, padded, a->s.scale), before = m->top[i];
    if (top < before) top = before;
    if (top == -INFINITY) {
        memset(p, 0, (size_t)words * sizeof *p);
        return;
    }
    float shrink = expf(before - top);
    if (shrink != 1 && m->sum[i] != 0)
        for (int64_t c = 0; c < a->columns; c++) m->o[i * a->columns + c] *= shrink;
    m->sum[i] = m->sum[i] * shrink + t->exps(s, padded, a->s.scale, top, p);
    m->top[i] = top;
}

static void finish(const sn_att *a, const room *m, int64_t n, int64_t kv, int64_t r0, int64_t rows) {
    float *lse = a->plan->n_out > 1 ? a->args->out[1] : NULL;
    for (int64_t i = 0; i < rows; i++) {
        bool any = m->top[i] != -INFINITY;
        int64_t at = sn_att_query_at(a, n, kv, r0 + i);
        if (lse) lse[sn_att_lse_at(a, n, kv, r0 + i)] = any ? m->top[i] + logf(m->sum[i]) : 0;
        if (a->args->out[0])
            a->t->store(m->o + i * a->columns, any ? 1 / m->sum[i] : 0, a->s.d, a->narrow,
                        (char *)a->args->out[0] + at * (a->narrow ? 2 : 4));
    }
}

static void tile(const sn_att *a, const sn_attention_row *row, int64_t kv, int64_t r0, int64_t r1, room *m) {
    const sn_tile *t = a->t;
    int64_t rows = r1 - r0, padded = sn_att_up(rows, SN_TILE_ROWS), sees = sn_att_sees(a, row, r0, r1);
    sn_att_queries(a, a->args->in[0], row->row, kv, r0, r1, m->q);
    memset(m->o, 0, (size_t)(padded * a->columns) * sizeof *m->o);
    for (int i = 0; i < ROWS; i++) {
        m->top[i] = -INFINITY;
        m->sum[i] = 0;
    }
    for (int64_t k0 = 0; k0 < sees; k0 += KEYS) {
        int64_t n = sees - k0 < KEYS ? sees - k0 : KEYS, wide = sn_att_up(n, t->lanes), words = sn_tile_words(t, wide);
        t->product(m->q, a->words, 1, m->keys + k0, a->room, m->s, KEYS, padded, wide, a->words, false);
        for (int64_t i = 0; i < rows; i++) weigh(a, row, m, r0, i, k0, n);
        memset(m->p + rows * words, 0, (size_t)((padded - rows) * words) * sizeof *m->p);
        t->product(m->p, words, 1, m->values + (t->pairs ? k0 / 2 : k0) * a->columns, a->columns, m->o, a->columns, padded,
                   a->columns, words, true);
    }
    finish(a, m, row->row, kv, r0, rows);
}

typedef struct job {
    sn_att a;
    int64_t parts, lanes;
} job;

static void item(const job *j, int64_t index, char *scratch) {
    const sn_att *a = &j->a;
    int64_t part = index % j->parts, kv = index / j->parts % a->s.kv_heads, n = index / j->parts / a->s.kv_heads;
    sn_attention_row row = sn_attention_row_of(&a->s, a->args, n);
    size_t bytes;
    room m = room_of(a, scratch, &bytes);
    sn_att_turn(a, &row, kv, 0, m.keys);
    sn_att_interleave(a, &row, kv, 1, m.values);
    int64_t tiles = sn_att_up(a->rows, ROWS) / ROWS, last = tiles * (part + 1) / j->parts;
    for (int64_t i = tiles * part / j->parts; i < last; i++)
        tile(a, &row, kv, i * ROWS, (i + 1) * ROWS < a->rows ? (i + 1) * ROWS : a->rows, &m);
}

static void lane(void *context, int64_t index) {
    const job *j = context;
    int64_t items = j->a.s.rows * j->a.s.kv_heads * j->parts;
    char *scratch = (char *)j->a.args->scratch + (size_t)index * j->a.lane;
    for (int64_t i = index; i < items; i += j->lanes) item(j, i, scratch);
}

/* Heads of a row that a lane takes together at most, where it has a stretch of the list of all rows' heads: as many as lie in
 * 384 bytes of a key (measured on Whisper and GPT-2: in more of them, keys no longer fit the nearest cache). */
static int64_t heads_together(const sn_att *a) {
    enum { STRETCH = 384 };
    int64_t lanes = a->plan->threads, share = (a->s.rows * a->s.kv_heads + lanes - 1) / lanes, bytes = a->s.d * (a->narrow ? 2 : 4);
    int64_t most = sn_min64(bytes < STRETCH ? STRETCH / bytes : 1, SN_ATT_DIRECT_HEADS);
    return sn_min64(sn_min64(share, a->s.kv_heads), most);
}

static void direct_lane(void *context, int64_t index) {
    const job *j = context;
    const sn_att *a = &j->a;
    int64_t all = a->s.rows * a->s.kv_heads, end = all * (index + 1) / j->lanes, most = heads_together(a);
    char *scratch = (char *)a->args->scratch + (size_t)index * a->lane;
    for (int64_t i = all * index / j->lanes, heads; i < end; i += heads) {
        int64_t kv = i % a->s.kv_heads;
        sn_attention_row row = sn_attention_row_of(&a->s, a->args, i / a->s.kv_heads);
        heads = sn_min64(sn_min64(end - i, a->s.kv_heads - kv), most);
        sn_att_direct(a, &row, kv, heads, scratch);
    }
}

static size_t lane_bytes(const sn_att *a) {
    size_t bytes;
    if (a->rows < SN_ATT_DIRECT) return (size_t)sn_att_direct_words(a, heads_together(a)) * 4 + 64;
    (void)room_of(a, NULL, &bytes);
    return bytes;
}

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {.a = sn_att_of(plan, args), .lanes = plan->threads};
    SN_TRY(sn_attention_check(&j.a.s, args));
    j.parts = parts_of(&j.a);
    j.a.lane = lane_bytes(&j.a);
    sn_parallel(plan->threads, j.lanes, j.a.rows < SN_ATT_DIRECT ? direct_lane : lane, &j);
    return SN_OK;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    plan->run = run;
    bool direct = r->attr->attention.heads / r->attr->attention.kv_heads * r->in[0].shape.dim[1] < SN_ATT_DIRECT;
    plan->state = (void *)(uintptr_t)sn_tile_of(r->isa, direct ? SN_F32 : r->in[0].dtype);
    sn_att a = sn_att_of(plan, NULL);
    plan->scratch = lane_bytes(&a) * (size_t)r->threads;
    return SN_OK;
}

static bool accepts(const sn_kernel_request *r) {
    if (!sn_att_accepts(r)) return false;
    for (int k = 3; r->op == SN_ATTENTION_CACHED && k < 5; k++)
        if (r->in[k].dtype != SN_F32 && r->in[k].dtype != SN_BF16) return false;
    return r->n_out < 2 || r->out[1].dtype == SN_F32;
}

const sn_kernel sn_simd_attention = {"simd:attention", accepts, prepare};
