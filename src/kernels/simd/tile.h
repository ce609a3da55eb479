/* tile.h: the arithmetic of small tiles that lie in the nearest caches, compiled once for each instruction set.
 *
 * Operands of a product are made of words of 32 bits: one f32, or (where the processor multiplies pairs of bf16)
 * two neighbours along the summed axis. Everything else about a product is then the same for both.
 *
 *   natural      row of x                ->  words [words(d)]        neighbours are columns
 *   interleave   rows r0, r1 of x        ->  words [d]               neighbours are rows; r0 alone where words are f32
 *   turn         rows of x               ->  words [words(d)][rows]  natural words, transposed
 *
 *   product      c [m, n] (+)= a [m, k words] b [k words, n]         m a multiple of SN_TILE_ROWS, n of lanes */
#ifndef SN_SIMD_TILE_H
#define SN_SIMD_TILE_H
#include "kernels/kernel.h"

enum { SN_TILE_ROWS = 6, SN_TILE_LANES = 16 /* the most */, SN_TILE_TURN = 16 };

typedef struct sn_tile {
    int lanes;  /* floats in a vector */
    bool pairs; /* words hold two bf16 */
    /* Steps in words. add: c is added to. */
    void (*product)(const uint32_t *a, int64_t a_row, int64_t a_k, const uint32_t *b, int64_t b_k, float *c, int64_t c_row,
                    int64_t m, int64_t n, int64_t k, bool add);
    /* Rows of d elements, f32 or (narrow) bf16. */
    void (*natural)(const void *row, bool narrow, int64_t d, uint32_t *to);
    void (*interleave)(const void *r0, const void *r1, bool narrow, int64_t d, uint32_t *to); /* r1 NULL: zeros */
    /* n rows in words already (at most SN_TILE_TURN): word c of row r goes to to[c * step + r]. */
    void (*turn)(const uint32_t *rows, int64_t row, int n, int64_t words, uint32_t *to, int64_t step);

    /* Softmax over n (a multiple of lanes) scores s * scale, masked ones -infinity. */
    float (*top)(const float *s, int64_t n, float scale);
    /* p = e^(s scale - top), as natural words; the sum of p before rounding. */
    float (*exps)(const float *s, int64_t n, float scale, float top, uint32_t *p);
    /* s becomes p = e^(s scale - lse), dp becomes p (dp - delta) scale. */
    void (*slopes)(float *s, float *dp, int64_t n, float scale, float lse, float delta);

    /* A few queries against elements [from, from + d) of keys that lie anywhere: s[r * s_row + j] = q[r * d ..] · rows[j][from ..]. */
    void (*dots)(const float *q, int64_t n_q, const void *const *rows, int64_t from, int64_t n, bool narrow, int64_t d, float *s,
                 int64_t s_row);
    /* acc[r * d ..] += sum over j of p[r * p_row + j] rows[j][from ..] */
    void (*mix)(const float *p, int64_t p_row, int64_t n_q, const void *const *rows, int64_t from, int64_t n, bool narrow, int64_t d,
                float *acc);
    /* to = from * factor, rounded where narrow */
    void (*store)(const float *from, float factor, int64_t d, bool narrow, void *to);
} sn_tile;

/* The fastest of this processor for numbers of this dtype. */
const sn_tile *sn_tile_of(sn_isa isa, sn_dtype dtype);
static inline int64_t sn_tile_words(const sn_tile *t, int64_t d) { return t->pairs ? (d + 1) / 2 : d; }

extern const sn_tile sn_tile_base;
#ifdef __x86_64__
extern const sn_tile sn_tile_avx2, sn_tile_avx512, sn_tile_avx512_bf16;
#endif
#endif
