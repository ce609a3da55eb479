/* tile_body.h: tile.h's functions in terms of one vector type; included by a file for each instruction set, which
 * defines TILE (the table's name), LANES, TARGET (an attribute), V_SET(x) and V_FMA(a, b, c) = a b + c on floats. Where there
 * are such instructions also V_MAX(a, b), b where a is no number, V_ROUND(v), V_SCALE(v, k) = v 2^k, V_WIDEN(p) = the floats
 * of bf16 at p, and V_SUM(v), the sum of a vector; for words of two bf16 PAIRS with V_DOT(a, b, c) on words and
 * V_NARROW(float vector, where) = bf16 stored. */
#include <string.h>

#include "kernels/simd/tile.h"

typedef float vf __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint16_t vh __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

#define FN TARGET static
#define INLINE TARGET static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#ifndef V_DOT
#define V_DOT(a, b, c) V_FMA(a, b, c)
#endif
#ifdef PAIRS
enum { IS_PAIRS = 1 };
#else
enum { IS_PAIRS = 0 };
#endif

INLINE vf load(const float *p) { return *(const vf *)p; }
#ifndef V_WIDEN
#define V_WIDEN(p) ((vf)(__builtin_convertvector(*(const vh *)(p), vi) << 16))
#endif
INLINE float word_as_float(uint32_t w) {
    float x;
    memcpy(&x, &w, 4);
    return x;
}

/* ---- products: 6 rows of up to 4 vectors in registers ---- */

INLINE void block(const int nv, const uint32_t *a, int64_t a_row, int64_t a_k, const uint32_t *b, int64_t b_k, float *c,
                  int64_t c_row, int64_t k, bool add) {
    vf acc[SN_TILE_ROWS][4];
    UNROLL for (int i = 0; i < SN_TILE_ROWS; i++)
        UNROLL for (int v = 0; v < nv; v++) acc[i][v] = add ? load(c + i * c_row + v * LANES) : (vf){0};
    for (int64_t q = 0; q < k; q++) {
        vf row[4];
        UNROLL for (int v = 0; v < nv; v++) row[v] = *(const vf *)(const void *)(b + q * b_k + v * LANES);
        UNROLL for (int i = 0; i < SN_TILE_ROWS; i++) {
            vf x = V_SET(word_as_float(a[i * a_row + q * a_k]));
            UNROLL for (int v = 0; v < nv; v++) acc[i][v] = V_DOT(x, row[v], acc[i][v]);
        }
    }
    UNROLL for (int i = 0; i < SN_TILE_ROWS; i++)
        UNROLL for (int v = 0; v < nv; v++) *(vf *)(c + i * c_row + v * LANES) = acc[i][v];
}

FN void product(const uint32_t *a, int64_t a_row, int64_t a_k, const uint32_t *b, int64_t b_k, float *c, int64_t c_row,
                int64_t m, int64_t n, int64_t k, bool add) {
    int64_t j = 0;
#if LANES == 16
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        for (int64_t i = 0; i < m; i += SN_TILE_ROWS)
            block(4, a + i * a_row, a_row, a_k, b + j, b_k, c + i * c_row + j, c_row, k, add);
#endif
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        for (int64_t i = 0; i < m; i += SN_TILE_ROWS)
            block(2, a + i * a_row, a_row, a_k, b + j, b_k, c + i * c_row + j, c_row, k, add);
    for (; j < n; j += LANES)
        for (int64_t i = 0; i < m; i += SN_TILE_ROWS)
            block(1, a + i * a_row, a_row, a_k, b + j, b_k, c + i * c_row + j, c_row, k, add);
}

/* ---- words ---- */

INLINE uint16_t half_of(const void *row, bool narrow, int64_t i) {
    return narrow ? ((const uint16_t *)row)[i] : sn_to_bf16(((const float *)row)[i]);
}

FN void natural(const void *row, bool narrow, int64_t d, uint32_t *to) {
    if (IS_PAIRS) {
        uint16_t *h = (uint16_t *)(void *)to;
        if (narrow) memcpy(h, row, (size_t)d * 2);
        else
            for (int64_t i = 0; i < d; i++) h[i] = sn_to_bf16(((const float *)row)[i]);
        if (d % 2) h[d] = 0;
    } else if (narrow) {
        for (int64_t i = 0; i < d; i++) to[i] = (uint32_t)((const uint16_t *)row)[i] << 16;
    } else {
        memcpy(to, row, (size_t)d * 4);
    }
}

FN void interleave(const void *r0, const void *r1, bool narrow, int64_t d, uint32_t *to) {
    if (!IS_PAIRS) {
        natural(r0, narrow, d, to);
    } else if (!r1) {
        for (int64_t i = 0; i < d; i++) to[i] = half_of(r0, narrow, i);
    } else if (narrow) {
        const uint16_t *low = r0, *high = r1;
        for (int64_t i = 0; i < d; i++) to[i] = (uint32_t)low[i] | (uint32_t)high[i] << 16;
    } else {
        const float *low = r0, *high = r1;
        for (int64_t i = 0; i < d; i++) to[i] = (uint32_t)sn_to_bf16(low[i]) | (uint32_t)sn_to_bf16(high[i]) << 16;
    }
}

FN void turn(const uint32_t *rows, int64_t row, int n, int64_t words, uint32_t *to, int64_t step) {
    if (n == SN_TILE_TURN) {
        for (int64_t c = 0; c < words; c++)
            UNROLL for (int r = 0; r < SN_TILE_TURN; r++) to[c * step + r] = rows[r * row + c];
        return;
    }
    for (int64_t c = 0; c < words; c++)
        for (int r = 0; r < n; r++) to[c * step + r] = rows[r * row + c];
}

/* ---- softmax ---- */

#ifndef V_MAX
INLINE vf larger(vf a, vf b) {
    vi m = a > b;
    return (vf)(((vi)a & m) | ((vi)b & ~m));
}
#define V_MAX(a, b) larger(a, b)
#endif

/* 2^t for t up to 127, 0 far below -126: a polynomial on [-1/2, 1/2] (fits made for this file, relative errors 8e-8, and
 * 3e-6 where the result becomes bf16), scaled by a power of two. */
INLINE vf power(vf t) {
#ifdef V_SCALE
    t = V_MAX(V_SET(-150.0f), t); /* minus infinity has no fraction; a NaN stays one */
    vf k = V_ROUND(t);
#else
    vf shifted = t + V_SET(12582912.0f), k = shifted - V_SET(12582912.0f);
#endif
    vf r = t - k;
#ifdef PAIRS
    vf p = V_FMA(V_SET(9.570101698e-03f), r, V_SET(5.591786030e-02f));
    p = V_FMA(p, r, V_SET(2.402474483e-01f));
    p = V_FMA(p, r, V_SET(6.931218147e-01f));
    p = V_FMA(p, r, V_SET(9.999992614e-01f));
#else
    vf p = V_FMA(V_SET(1.327647178e-03f), r, V_SET(9.675541333e-03f));
    p = V_FMA(p, r, V_SET(5.550713274e-02f));
    p = V_FMA(p, r, V_SET(2.402211972e-01f));
    p = V_FMA(p, r, V_SET(6.931469671e-01f));
    p = V_FMA(p, r, V_SET(1.000000072e+00f));
#endif
#ifdef V_SCALE
    return V_SCALE(p, k);
#else
    vf y = p * (vf)(((vi)shifted + 127) << 23);
    return (vf)((vi)y & ~(t < V_SET(-126.0f)));
#endif
}
static const float LOG2E = 1.44269504f;

#ifndef V_SUM
INLINE float sum_of(vf v) {
    float lane[LANES];
    memcpy(lane, &v, sizeof lane);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) lane[i] += lane[i + width];
    return lane[0];
}
#define V_SUM(v) sum_of(v)
#endif

FN float top(const float *s, int64_t n, float scale) {
    vf best = V_SET(-__builtin_inff());
    for (int64_t i = 0; i < n; i += LANES) best = V_MAX(load(s + i), best);
    float lane[LANES], most = -__builtin_inff();
    memcpy(lane, &best, sizeof lane);
    for (int i = 0; i < LANES; i++) most = lane[i] > most ? lane[i] : most;
    return most * scale;
}

INLINE void put(vf v, uint32_t *words, int64_t at) {
#ifdef PAIRS
    V_NARROW(v, (uint16_t *)(void *)words + at);
#else
    *(vf *)(void *)(words + at) = v;
#endif
}

FN float exps(const float *s, int64_t n, float scale, float most, uint32_t *p) {
    vf factor = V_SET(scale * LOG2E), shift = V_SET(-most * LOG2E), sum = {0};
    for (int64_t i = 0; i < n; i += LANES) {
        vf e = power(V_FMA(load(s + i), factor, shift));
        sum += e;
        put(e, p, i);
    }
    return V_SUM(sum);
}

FN void slopes(float *s, float *dp, int64_t n, float scale, float lse, float delta) {
    vf factor = V_SET(scale), to_power = V_SET(scale * LOG2E), shift = V_SET(-lse * LOG2E), minus = V_SET(delta);
    for (int64_t i = 0; i < n; i += LANES) {
        vf p = power(V_FMA(load(s + i), to_power, shift));
        *(vf *)(s + i) = p;
        *(vf *)(dp + i) = p * (load(dp + i) - minus) * factor;
    }
}

/* ---- a few queries ---- */

INLINE vf row_at(const void *row, bool narrow, int64_t i) {
    return narrow ? V_WIDEN((const uint16_t *)row + i) : load((const float *)row + i);
}
INLINE float one_at(const void *row, bool narrow, int64_t i) {
    return narrow ? sn_from_bf16(((const uint16_t *)row)[i]) : ((const float *)row)[i];
}

INLINE void dots_of(const float *q, int64_t n_q, const void *const *rows, int64_t from, int64_t n, bool narrow, int64_t d,
                    float *s, int64_t s_row) {
    int64_t whole = d / LANES * LANES;
    for (int64_t j = 0; j < n; j++)
        for (int64_t r = 0; r < n_q; r++) {
            const float *x = q + r * d;
            vf sum[2] = {{0}, {0}};
            int64_t i = 0;
            for (; i + 2 * LANES <= whole; i += 2 * LANES) {
                sum[0] = V_FMA(load(x + i), row_at(rows[j], narrow, from + i), sum[0]);
                sum[1] = V_FMA(load(x + i + LANES), row_at(rows[j], narrow, from + i + LANES), sum[1]);
            }
            for (; i < whole; i += LANES) sum[0] = V_FMA(load(x + i), row_at(rows[j], narrow, from + i), sum[0]);
            float all = V_SUM(sum[0] + sum[1]);
            for (; i < d; i++) all += x[i] * one_at(rows[j], narrow, from + i);
            s[r * s_row + j] = all;
        }
}
FN void dots(const float *q, int64_t n_q, const void *const *rows, int64_t from, int64_t n, bool narrow, int64_t d, float *s,
             int64_t s_row) {
    if (narrow) dots_of(q, n_q, rows, from, n, true, d, s, s_row);
    else dots_of(q, n_q, rows, from, n, false, d, s, s_row);
}

INLINE void mix_columns(const int nv, const float *p, const void *const *rows, int64_t from, int64_t n, bool narrow, float *acc) {
    vf sum[4];
    UNROLL for (int v = 0; v < nv; v++) sum[v] = load(acc + v * LANES);
    for (int64_t j = 0; j < n; j++) {
        vf x = V_SET(p[j]);
        UNROLL for (int v = 0; v < nv; v++) sum[v] = V_FMA(x, row_at(rows[j], narrow, from + v * LANES), sum[v]);
    }
    UNROLL for (int v = 0; v < nv; v++) *(vf *)(acc + v * LANES) = sum[v];
}
INLINE void mix_of(const float *p, int64_t p_row, int64_t n_q, const void *const *rows, int64_t from, int64_t n, bool narrow,
                   int64_t d, float *acc) {
    for (int64_t r = 0; r < n_q; r++, p += p_row, acc += d) {
        int64_t i = 0;
        for (; i + 4 * LANES <= d; i += 4 * LANES) mix_columns(4, p, rows, from + i, n, narrow, acc + i);
        for (; i + LANES <= d; i += LANES) mix_columns(1, p, rows, from + i, n, narrow, acc + i);
        for (; i < d; i++)
            for (int64_t j = 0; j < n; j++) acc[i] += p[j] * one_at(rows[j], narrow, from + i);
    }
}
FN void mix(const float *p, int64_t p_row, int64_t n_q, const void *const *rows, int64_t from, int64_t n, bool narrow, int64_t d,
            float *acc) {
    if (narrow) mix_of(p, p_row, n_q, rows, from, n, true, d, acc);
    else mix_of(p, p_row, n_q, rows, from, n, false, d, acc);
}

FN void store(const float *from, float factor, int64_t d, bool narrow, void *to) {
    if (narrow)
        for (int64_t i = 0; i < d; i++) ((uint16_t *)to)[i] = sn_to_bf16(from[i] * factor);
    else
        for (int64_t i = 0; i < d; i++) ((float *)to)[i] = from[i] * factor;
}

const sn_tile TILE = {.lanes = LANES, .pairs = IS_PAIRS, .product = product, .natural = natural, .interleave = interleave,
                      .turn = turn, .top = top, .exps = exps, .slopes = slopes, .dots = dots, .mix = mix, .store = store};
