/* tile.c: which instruction set the tiles are computed with; and tiles in plain vectors of four, for any processor. */
#define TILE sn_tile_base
#define LANES 4
#define TARGET
#define V_SET(x) ((vf){0} + (x))
#define V_FMA(a, b, c) ((a) * (b) + (c))
#include "kernels/simd/tile_body.h"

const sn_tile *sn_tile_of(sn_isa isa, sn_dtype dtype) {
#ifdef __x86_64__
    if (isa >= SN_ISA_AVX512_BF16 && dtype == SN_BF16) return &sn_tile_avx512_bf16;
    if (isa >= SN_ISA_AVX512) return &sn_tile_avx512;
    if (isa >= SN_ISA_AVX2) return &sn_tile_avx2;
#endif
    (void)isa;
    (void)dtype;
    return &sn_tile_base;
}
