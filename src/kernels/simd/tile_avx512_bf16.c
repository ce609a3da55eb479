/* tile_avx512_bf16.c: tiles in vectors of sixteen words of two bf16, summed in f32. */
#ifdef __x86_64__
#include <immintrin.h>

#define TILE sn_tile_avx512_bf16
#define LANES 16
#define PAIRS
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define V_SET(x) ((vf)_mm512_set1_ps(x))
#define V_FMA(a, b, c) ((vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define V_DOT(a, b, c) ((vf)_mm512_dpbf16_ps((__m512)(c), (__m512bh)(a), (__m512bh)(b)))
#define V_NARROW(v, to) _mm256_storeu_si256((__m256i *)(void *)(to), (__m256i)_mm512_cvtneps_pbh((__m512)(v)))
#define V_MAX(a, b) ((vf)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define V_ROUND(v) ((vf)_mm512_roundscale_ps((__m512)(v), 0))
#define V_SCALE(v, k) ((vf)_mm512_scalef_ps((__m512)(v), (__m512)(k)))
#define V_WIDEN(p) ((vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p))), 16))
#define V_SUM(v) _mm512_reduce_add_ps((__m512)(v))
#include "kernels/simd/tile_body.h"
#endif
