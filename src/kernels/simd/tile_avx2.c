/* tile_avx2.c: tiles in vectors of eight. */
#ifdef __x86_64__
#include <immintrin.h>

#define TILE sn_tile_avx2
#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#define V_SET(x) ((vf)_mm256_set1_ps(x))
#define V_FMA(a, b, c) ((vf)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define V_MAX(a, b) ((vf)_mm256_max_ps((__m256)(a), (__m256)(b)))
#include "kernels/simd/tile_body.h"
#endif
