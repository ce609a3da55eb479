/* dropout.c: DROPOUT in AVX-512: 16 Philox blocks side by side give 64 neighbours' words, whose comparisons are spread into
 * one mask of 64 bits; no word is stored. The mask is that of kernels/dropout.h, bit for bit.
 *
 *   block i of 16, word w -> element 4 i + w -> bit 4 i + w */
#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/dropout.h"
#include "kernels/kernel.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi2")))
#define INLINE TARGET static inline __attribute__((always_inline))
enum { CHUNK = 1 << 14, STRIDE = 64 };

typedef struct words {
    __m512i c[4];
} words;

/* high and low halves of x * by */
INLINE void multiply(__m512i x, __m512i by, __m512i *high, __m512i *low) {
    __m512i even = _mm512_mul_epu32(x, by), odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), by);
    *high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
    *low = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}
INLINE __m512i xor3(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }
INLINE __m512i all(uint32_t x) { return _mm512_set1_epi32((int32_t)x); }

/* Philox4x32-10 of counters (row, first + 0 … 15, step), as base/rng.c. */
INLINE words draw(uint64_t key, uint64_t row, uint32_t first, uint32_t step) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    words w = {{all((uint32_t)row), all((uint32_t)(row >> 32)), _mm512_add_epi32(all(first), lanes), all(step)}};
    for (int r = 0; r < 10; r++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        __m512i h0, l0, h1, l1;
        multiply(w.c[0], all(0xD2511F53u), &h0, &l0);
        multiply(w.c[2], all(0xCD9E8D57u), &h1, &l1);
        w.c[0] = xor3(h1, w.c[1], all(k0));
        w.c[1] = l1;
        w.c[2] = xor3(h0, w.c[3], all(k1));
        w.c[3] = l0;
    }
    return w;
}

INLINE uint64_t kept(const words *w, __m512i least) {
    uint64_t mask = 0;
    for (int k = 0; k < 4; k++)
        mask |= _pdep_u64(_mm512_cmpge_epu32_mask(w->c[k], least), 0x1111111111111111u << k);
    return mask;
}

INLINE __m512 get(const void *x, bool narrow, int64_t at, __mmask16 valid) {
    if (!narrow) return _mm512_maskz_loadu_ps(valid, (const float *)x + at);
    __m256i h = _mm256_maskz_loadu_epi16(valid, (const uint16_t *)x + at);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* As sn_to_bf16: to nearest even, NaN stays NaN. */
INLINE void put(void *y, bool narrow, int64_t at, __mmask16 valid, __m512 v) {
    if (!narrow) {
        _mm512_mask_storeu_ps((float *)y + at, valid, v);
        return;
    }
    __m512i u = _mm512_castps_si512(v), high = _mm512_srli_epi32(u, 16);
    __m512i up = _mm512_add_epi32(_mm512_and_si512(high, all(1)), all(0x7fff));
    __m512i near = _mm512_srli_epi32(_mm512_add_epi32(u, up), 16);
    __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    near = _mm512_mask_or_epi32(near, nan, high, all(0x40));
    _mm256_mask_storeu_epi16((uint16_t *)y + at, valid, _mm512_cvtepi32_epi16(near));
}

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    uint64_t key;
    int64_t width, pieces; /* elements of a row; chunks in it */
} job;

INLINE void stretch(const job *j, int64_t row, int64_t from, int64_t to, bool x16, bool y16) {
    float rate = j->plan->attr.dropout.rate;
    uint64_t id = (uint64_t)((const int64_t *)j->args->in[1])[row];
    __m512i least = all(sn_dropout_threshold(rate));
    __m512 scale = _mm512_set1_ps(1.0f / (1.0f - rate));
    for (int64_t i = from; i < to; i += STRIDE) {
        words w = draw(j->key, id, (uint32_t)(i / 4), (uint32_t)j->args->info->step);
        uint64_t mask = kept(&w, least), valid = to - i < STRIDE ? ((uint64_t)1 << (to - i)) - 1 : ~(uint64_t)0;
        for (int k = 0; k < STRIDE; k += 16) {
            __mmask16 part = (__mmask16)(valid >> k);
            int64_t at = row * j->width + i + k;
            if (part) put(j->args->out[0], y16, at, part, _mm512_maskz_mul_ps((__mmask16)(mask >> k), get(j->args->in[0], x16, at, part), scale));
        }
    }
}

TARGET static void chunk(void *context, int64_t index) {
    const job *j = context;
    int64_t row = index / j->pieces, from = index % j->pieces * CHUNK, to = from + CHUNK < j->width ? from + CHUNK : j->width;
    bool x16 = j->plan->in[0].dtype == SN_BF16, y16 = j->plan->out[0].dtype == SN_BF16;
    if (x16 && y16) stretch(j, row, from, to, true, true);
    else if (x16) stretch(j, row, from, to, true, false);
    else if (y16) stretch(j, row, from, to, false, true);
    else stretch(j, row, from, to, false, false);
}

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_shape s = plan->in[0].shape;
    job j = {plan, args, sn_rng_mix((sn_rng_key){args->info->seed, plan->stream}), sn_shape_span(s, 1, s.rank), 0};
    j.pieces = (j.width + CHUNK - 1) / CHUNK;
    sn_parallel(plan->threads, s.dim[0] * j.pieces, chunk, &j);
    return SN_OK;
}

static bool is_float(sn_dtype d) { return d == SN_F32 || d == SN_BF16; }
static bool accepts(const sn_kernel_request *r) {
    return r->isa >= SN_ISA_AVX512 && __builtin_cpu_supports("bmi2") && r->in[0].shape.rank > 0 && r->in[1].dtype == SN_I64
           && is_float(r->in[0].dtype) && is_float(r->out[0].dtype) && r->attr->dropout.rate >= 0 && r->attr->dropout.rate < 1
           && sn_shape_span(r->in[0].shape, 1, r->in[0].shape.rank) < (int64_t)1 << 32; /* a block's number has 32 bits */
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    (void)r;
    plan->run = run;
    return SN_OK;
}
const sn_kernel sn_simd_dropout = {"simd:dropout", accepts, prepare};

#else
const sn_kernel sn_simd_dropout = {"none", NULL, NULL};
#endif
