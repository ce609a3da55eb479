/* attention_bwd.c: gradients of attention in the tiles of attention.c; the scores are computed again.
 *
 *   for 48 query rows, delta = sum of dy y along a row:
 *     for 240 keys:  S = Q Kᵀ, dP = dY Vᵀ;  P = e^(S scale - lse), dS = P (dP - delta) scale
 *                    dQ += dS K,  dK += dSᵀ Q,  dV += Pᵀ dY
 *
 * An item owns its key/value head, so sums over queries are added in one order. */
#include <math.h>

#include "base/parallel.h"
#include "base/wide.h"
#include "kernels/simd/attention.h"

enum { ROWS = SN_ATT_ROWS, KEYS = SN_ATT_KEYS };

typedef struct room {
    uint32_t *keys, *values;    /* turned */
    uint32_t *key_rows;         /* interleaved */
    uint32_t *q, *dy;           /* natural */
    uint32_t *q_rows, *dy_rows; /* interleaved along the queries */
    uint32_t *ds, *turned;      /* dS natural; dS or P interleaved along the queries */
    float *s, *dp, *dq, *dk, *dv;
} room;

static room room_of(const sn_att *a, char *scratch, size_t *bytes) {
    room m;
    size_t at = 0;
    m.keys = sn_att_take(scratch, &at, a->words * a->room);
    m.values = sn_att_take(scratch, &at, a->words * a->room);
    m.key_rows = sn_att_take(scratch, &at, (a->t->pairs ? a->room / 2 : a->room) * a->columns);
    m.q = sn_att_take(scratch, &at, ROWS * a->words);
    m.dy = sn_att_take(scratch, &at, ROWS * a->words);
    m.q_rows = sn_att_take(scratch, &at, ROWS * a->columns);
    m.dy_rows = sn_att_take(scratch, &at, ROWS * a->columns);
    m.ds = sn_att_take(scratch, &at, ROWS * KEYS);
    m.turned = sn_att_take(scratch, &at, ROWS * KEYS);
    m.s = sn_att_take(scratch, &at, ROWS * KEYS);
    m.dp = sn_att_take(scratch, &at, ROWS * KEYS);
    m.dq = sn_att_take(scratch, &at, ROWS * a->columns);
    m.dk = sn_att_take(scratch, &at, a->room * a->columns);
    m.dv = sn_att_take(scratch, &at, a->room * a->columns);
    *bytes = at;
    return m;
}

/* sum of dy y along query row r */
SN_WIDE static float delta_of(const sn_att *a, int64_t at) {
    enum { LANES = 16 };
    float lane[LANES] = {0}, x[SN_ATT_WIDTH], z[SN_ATT_WIDTH];
    const void *y = sn_att_at(a->args->in[3], a->narrow, at), *dy = sn_att_at(a->args->in[5], a->narrow, at);
    const float *u = y, *v = dy;
    int64_t i = 0, d = a->s.d;
    if (a->narrow) {
        for (int64_t k = 0; k < d; k++) x[k] = sn_from_bf16(((const uint16_t *)y)[k]);
        for (int64_t k = 0; k < d; k++) z[k] = sn_from_bf16(((const uint16_t *)dy)[k]);
        u = x;
        v = z;
    }
    for (; i + LANES <= d; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] += u[i + k] * v[i + k];
    for (; i < d; i++) lane[0] += u[i] * v[i];
    float sum = 0;
    for (int k = 0; k < LANES; k++) sum += lane[k];
    return sum;
}

/* Query rows [r0, r1) of q or dy, interleaved two by two, zeros up to `padded` rows. */
static void query_rows(const sn_att *a, const void *base, int64_t n, int64_t kv, int64_t r0, int64_t r1, uint32_t *to) {
    int64_t each = a->t->pairs ? 2 : 1;
    for (int64_t r = r0; r < r1; r += each, to += a->columns) {
        const void *x0 = sn_att_at(base, a->narrow, sn_att_query_at(a, n, kv, r)), *x1 = NULL;
        if (each == 2 && r + 1 < r1) x1 = sn_att_at(base, a->narrow, sn_att_query_at(a, n, kv, r + 1));
        a->t->interleave(x0, x1, a->narrow, a->s.d, to);
        for (int64_t c = a->s.d; c < a->columns; c++) to[c] = 0;
    }
}

/* to [keys, columns] += xᵀ rows, keys a multiple of a product's rows, x [rows, keys] in f32. */
static void add_turned(const sn_att *a, room *m, const float *x, const uint32_t *query_words, int64_t rows, int64_t keys,
                       float *to) {
    const sn_tile *t = a->t;
    const uint32_t *words = (const uint32_t *)(const void *)x;
    int64_t n = rows;
    if (t->pairs) {
        for (int64_t i = 0; i < rows; i += 2)
            t->interleave(x + i * KEYS, i + 1 < rows ? x + (i + 1) * KEYS : NULL, false, keys, m->turned + i / 2 * KEYS);
        words = m->turned;
        n = (rows + 1) / 2;
    }
    t->product(words, 1, KEYS, query_words, a->columns, to, a->columns, keys, a->columns, n, true);
}

typedef struct rows_of {
    int64_t r0, r1;
    float lse[ROWS], delta[ROWS];
} rows_of;

static void key_tile(const sn_att *a, const sn_attention_row *row, const rows_of *q, int64_t k0, int64_t n, room *m) {
    const sn_tile *t = a->t;
    int64_t rows = q->r1 - q->r0, padded = sn_att_up(rows, SN_TILE_ROWS);
    int64_t keys = sn_att_up(n, SN_TILE_ROWS), wide = sn_att_up(keys, t->lanes);
    int64_t words = sn_tile_words(t, wide);
    t->product(m->q, a->words, 1, m->keys + k0, a->room, m->s, KEYS, padded, wide, a->words, false);
    t->product(m->dy, a->words, 1, m->values + k0, a->room, m->dp, KEYS, padded, wide, a->words, false);
    for (int64_t i = 0; i < rows; i++) {
        sn_att_hide(a, row, q->r0 + i, k0, n, wide, m->s + i * KEYS);
        t->slopes(m->s + i * KEYS, m->dp + i * KEYS, wide, a->s.scale, q->lse[i], q->delta[i]);
    }
    if (a->args->out[0]) {
        const uint32_t *ds = (const uint32_t *)(const void *)m->dp;
        memset(m->dp + rows * KEYS, 0, (size_t)((padded - rows) * KEYS) * sizeof *m->dp);
        for (int64_t i = 0; i < padded && t->pairs; i++) t->natural(m->dp + i * KEYS, false, wide, m->ds + i * words);
        t->product(t->pairs ? m->ds : ds, t->pairs ? words : KEYS, 1, m->key_rows + (t->pairs ? k0 / 2 : k0) * a->columns,
                   a->columns, m->dq, a->columns, padded, a->columns, words, true);
    }
    if (a->args->out[1]) add_turned(a, m, m->dp, m->q_rows, rows, keys, m->dk + k0 * a->columns);
    if (a->args->out[2]) add_turned(a, m, m->s, m->dy_rows, rows, keys, m->dv + k0 * a->columns);
}

static void store_rows(const sn_att *a, int slot, const float *from, int64_t at, int64_t step, int64_t n) {
    size_t size = a->narrow ? 2 : 4;
    for (int64_t i = 0; i < n; i++)
        a->t->store(from + i * a->columns, 1, a->s.d, a->narrow, (char *)a->args->out[slot] + (size_t)(at + i * step) * size);
}

static void query_tile(const sn_att *a, const sn_attention_row *row, int64_t kv, int64_t r0, int64_t r1, room *m) {
    void *const *in = a->args->in;
    int64_t n = row->row, sees = sn_att_sees(a, row, r0, r1);
    rows_of q = {.r0 = r0, .r1 = r1};
    for (int64_t r = r0; r < r1; r++) {
        q.lse[r - r0] = ((const float *)in[4])[sn_att_lse_at(a, n, kv, r)];
        q.delta[r - r0] = delta_of(a, sn_att_query_at(a, n, kv, r));
    }
    sn_att_queries(a, in[0], n, kv, r0, r1, m->q);
    sn_att_queries(a, in[5], n, kv, r0, r1, m->dy);
    query_rows(a, in[0], n, kv, r0, r1, m->q_rows);
    query_rows(a, in[5], n, kv, r0, r1, m->dy_rows);
    memset(m->dq, 0, (size_t)(ROWS * a->columns) * sizeof *m->dq);
    for (int64_t k0 = 0; k0 < sees; k0 += KEYS) key_tile(a, row, &q, k0, sees - k0 < KEYS ? sees - k0 : KEYS, m);
    for (int64_t r = r0; r < r1 && a->args->out[0]; r++)
        store_rows(a, 0, m->dq + (r - r0) * a->columns, sn_att_query_at(a, n, kv, r), 0, 1);
}

typedef struct job {
    sn_att a;
    int64_t lanes;
} job;

static void item(const sn_att *a, int64_t index, char *scratch) {
    int64_t kv = index % a->s.kv_heads, n = index / a->s.kv_heads, width = a->s.kv_heads * a->s.d;
    sn_attention_row row = sn_attention_row_of(&a->s, a->args, n);
    size_t bytes;
    room m = room_of(a, scratch, &bytes);
    sn_att_turn(a, &row, kv, 0, m.keys);
    sn_att_turn(a, &row, kv, 1, m.values);
    sn_att_interleave(a, &row, kv, 0, m.key_rows);
    memset(m.dk, 0, (size_t)(a->room * a->columns) * sizeof *m.dk);
    memset(m.dv, 0, (size_t)(a->room * a->columns) * sizeof *m.dv);
    for (int64_t r = 0; r < a->rows; r += ROWS) query_tile(a, &row, kv, r, r + ROWS < a->rows ? r + ROWS : a->rows, &m);
    int64_t at = n * a->s.tk * width + kv * a->s.d;
    if (a->args->out[1]) store_rows(a, 1, m.dk, at, width, a->s.tk);
    if (a->args->out[2]) store_rows(a, 2, m.dv, at, width, a->s.tk);
}

static void lane(void *context, int64_t index) {
    const job *j = context;
    char *scratch = (char *)j->a.args->scratch + (size_t)index * j->a.lane;
    for (int64_t i = index; i < j->a.s.rows * j->a.s.kv_heads; i += j->lanes) item(&j->a, i, scratch);
}

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {sn_att_of(plan, args), plan->threads};
    (void)room_of(&j.a, NULL, &j.a.lane);
    sn_parallel(plan->threads, j.lanes, lane, &j);
    return SN_OK;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    plan->run = run;
    plan->state = (void *)(uintptr_t)sn_tile_of(r->isa, r->in[0].dtype);
    sn_att a = sn_att_of(plan, NULL);
    size_t bytes;
    (void)room_of(&a, NULL, &bytes);
    plan->scratch = bytes * (size_t)r->threads;
    return SN_OK;
}

static bool accepts(const sn_kernel_request *r) {
    if (!sn_att_accepts(r) || r->in[4].dtype != SN_F32) return false;
    sn_dtype dtype = r->in[0].dtype;
    return r->in[3].dtype == dtype && r->in[5].dtype == dtype && r->out[1].dtype == dtype && r->out[2].dtype == dtype;
}

const sn_kernel sn_simd_attention_bwd = {"simd:attention", accepts, prepare};
