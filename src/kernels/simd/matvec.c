/* matvec.c: see matvec.h. */
#include "kernels/simd/matvec.h"

#include "base/parallel.h"
#include "kernels/ref/ref.h"

/* Elements of a block of columns. */
static size_t block_size(sn_dtype dtype, int64_t k) {
    int64_t multiple = dtype == SN_BF16 ? 32 : 16;
    return (size_t)((k + multiple - 1) / multiple * multiple * SN_MATVEC_COLUMNS);
}

sn_status sn_matvec_read(sn_type matrix, const void *w, int64_t row, int64_t from, int64_t count, void *out) {
    size_t block = (size_t)(row / SN_MATVEC_COLUMNS) * block_size(matrix.dtype, matrix.shape.dim[1]);
    int64_t column = row % SN_MATVEC_COLUMNS;
    if (matrix.dtype == SN_F32) {
        const float *at = (const float *)w + block + column;
        for (int64_t i = 0; i < count; i++) ((float *)out)[i] = at[(from + i) * SN_MATVEC_COLUMNS];
    } else {
        const uint16_t *at = (const uint16_t *)w + block + 2 * column;
        for (int64_t i = from; i < from + count; i++) ((uint16_t *)out)[i - from] = at[i / 2 * 2 * SN_MATVEC_COLUMNS + i % 2];
    }
    return SN_OK;
}

#ifdef __x86_64__
#include <immintrin.h>
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define TARGET_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
enum { LANES = 16, WIDE = SN_MATVEC_COLUMNS / LANES, AHEAD = 2048 }; /* AHEAD: bytes, of the prefetch */

/* sums [M][64] of one block of columns. M is a constant at each call, so that the sums stay in registers. */
TARGET static inline __attribute__((always_inline)) void block_f32(int M, const float *x, int64_t k, const float *w, float *sums) {
    __m512 acc[SN_MATVEC_ROWS][WIDE];
    for (int r = 0; r < M; r++)
        for (int c = 0; c < WIDE; c++) acc[r][c] = _mm512_setzero_ps();
    for (int64_t i = 0; i < k; i++, w += SN_MATVEC_COLUMNS) {
        for (int c = 0; c < WIDE; c++) _mm_prefetch((const char *)(w + c * LANES) + AHEAD, _MM_HINT_T0);
        for (int r = 0; r < M; r++) {
            __m512 v = _mm512_set1_ps(x[r * k + i]);
            for (int c = 0; c < WIDE; c++) acc[r][c] = _mm512_fmadd_ps(v, _mm512_loadu_ps(w + c * LANES), acc[r][c]);
        }
    }
    for (int r = 0; r < M; r++)
        for (int c = 0; c < WIDE; c++) _mm512_storeu_ps(sums + r * SN_MATVEC_COLUMNS + c * LANES, acc[r][c]);
}

TARGET_BF16 static inline __attribute__((always_inline)) void block_bf16(int M, const uint16_t *x, int64_t k, const uint16_t *w,
                                                                         float *sums) {
    __m512 acc[SN_MATVEC_ROWS][WIDE];
    for (int r = 0; r < M; r++)
        for (int c = 0; c < WIDE; c++) acc[r][c] = _mm512_setzero_ps();
    for (int64_t i = 0; i < k; i += 2, w += 2 * SN_MATVEC_COLUMNS) {
        for (int c = 0; c < WIDE; c++) _mm_prefetch((const char *)(w + c * 2 * LANES) + AHEAD, _MM_HINT_T0);
        for (int r = 0; r < M; r++) {
            const uint16_t *at = x + r * k + i;
            unsigned pair = at[0] | (i + 1 < k ? (unsigned)at[1] << 16 : 0u); /* behind an odd last row w has zeros */
            __m512i v = _mm512_set1_epi32((int)pair);
            for (int c = 0; c < WIDE; c++)
                acc[r][c] = _mm512_dpbf16_ps(acc[r][c], (__m512bh)v, (__m512bh)_mm512_loadu_si512(w + c * 2 * LANES));
        }
    }
    for (int r = 0; r < M; r++)
        for (int c = 0; c < WIDE; c++) _mm512_storeu_ps(sums + r * SN_MATVEC_COLUMNS + c * LANES, acc[r][c]);
}

#define OF(kind, type, mark)                                                                                              \
    mark static void kind##_1(const void *x, int64_t k, const void *w, float *sums) { block_##kind(1, x, k, w, sums); } \
    mark static void kind##_2(const void *x, int64_t k, const void *w, float *sums) { block_##kind(2, x, k, w, sums); } \
    mark static void kind##_3(const void *x, int64_t k, const void *w, float *sums) { block_##kind(3, x, k, w, sums); } \
    mark static void kind##_4(const void *x, int64_t k, const void *w, float *sums) { block_##kind(4, x, k, w, sums); }
OF(f32, float, TARGET)
OF(bf16, uint16_t, TARGET_BF16)

typedef void block_fn(const void *x, int64_t k, const void *w, float *sums);
static block_fn *const blocks[2][SN_MATVEC_ROWS] = {{f32_1, f32_2, f32_3, f32_4}, {bf16_1, bf16_2, bf16_3, bf16_4}};

bool sn_matvec_fits(sn_isa isa, sn_dtype dtype, int64_t m) {
    if (m < 1 || m > SN_MATVEC_ROWS) return false;
    return dtype == SN_F32 ? isa >= SN_ISA_AVX512 : dtype == SN_BF16 && isa >= SN_ISA_AVX512_BF16;
}

typedef struct job {
    const sn_matvec *s;
    const void *x, *w, *bias;
    void *y;
    block_fn *block;
    size_t stride; /* bytes of a block */
} job;

static void finish(const job *j, int64_t row, int64_t from, int64_t n, float *sums) {
    const sn_matvec *s = j->s;
    if (j->bias && s->bias_type == SN_F32)
        for (int64_t c = 0; c < n; c++) sums[c] += ((const float *)j->bias)[from + c];
    else if (j->bias)
        for (int64_t c = 0; c < n; c++) sums[c] += sn_from_bf16(((const uint16_t *)j->bias)[from + c]);
    if (s->act != SN_ACT_NONE) sn_activate(s->act, sums, n);
    if (s->out == SN_F32) {
        memcpy((float *)j->y + row * s->n + from, sums, (size_t)n * sizeof *sums);
        return;
    }
    uint16_t *y = (uint16_t *)j->y + row * s->n + from;
    for (int64_t c = 0; c < n; c++) y[c] = sn_to_bf16(sums[c]);
}

static void one_block(void *context, int64_t index) {
    const job *j = context;
    float sums[SN_MATVEC_ROWS * SN_MATVEC_COLUMNS];
    int64_t from = index * SN_MATVEC_COLUMNS, n = j->s->n - from < SN_MATVEC_COLUMNS ? j->s->n - from : SN_MATVEC_COLUMNS;
    j->block(j->x, j->s->k, (const char *)j->w + (size_t)index * j->stride, sums);
    for (int64_t r = 0; r < j->s->m; r++) finish(j, r, from, n, sums + r * SN_MATVEC_COLUMNS);
}

void sn_matvec_run(const sn_matvec *s, const void *x, const void *w, const void *bias, void *y) {
    job j = {s, x, w, bias, y, blocks[s->dtype == SN_BF16][s->m - 1], sn_dtype_size(s->dtype) * block_size(s->dtype, s->k)};
    sn_parallel(s->threads, (s->n + SN_MATVEC_COLUMNS - 1) / SN_MATVEC_COLUMNS, one_block, &j);
}
#else
bool sn_matvec_fits(sn_isa isa, sn_dtype dtype, int64_t m) {
    (void)isa, (void)dtype, (void)m;
    return false;
}
void sn_matvec_run(const sn_matvec *s, const void *x, const void *w, const void *bias, void *y) {
    (void)s, (void)x, (void)w, (void)bias, (void)y;
}
#endif
