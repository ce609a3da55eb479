/* matvec.h: a few rows times a large matrix: each weight is read once, so memory sets the pace (decoding a token at a time).
 * oneDNN's products of 1 row read 15-23 GB/s where memory gives 25-33 (measured); from 5 rows on they win.
 *
 *   y [m, n] = act(x [m, k] w [k, n] + bias)
 *
 * w lies as oneDNN packs it for AVX-512 (its tags BA16a64b and BA16a64b2a), so that one packed copy serves both: blocks
 * of 64 columns, one after the other; in a block the rows, each 64 f32, or pairs of rows, each 64 pairs of bf16; rows
 * up to a multiple of 16 (32) and columns up to one of 64 are zeros. */
#ifndef SN_SIMD_MATVEC_H
#define SN_SIMD_MATVEC_H
#include "kernels/kernel.h"

enum { SN_MATVEC_ROWS = 4, SN_MATVEC_COLUMNS = 64 };
/* Is there a kernel for so many rows of this dtype? */
bool sn_matvec_fits(sn_isa isa, sn_dtype dtype, int64_t m);
/* x and w are of `dtype`, y of `out`; bias (NULL: none) of `bias_type`: F32 or BF16. */
typedef struct sn_matvec {
    int64_t m, k, n;
    sn_dtype dtype, out, bias_type;
    sn_act act;
    int threads;
} sn_matvec;
void sn_matvec_run(const sn_matvec *s, const void *x, const void *w, const void *bias, void *y);
/* The way back, for a w that is `matrix` [n, k] turned: elements [from, from + count) of its row. Any processor. */
sn_status sn_matvec_read(sn_type matrix, const void *w, int64_t row, int64_t from, int64_t count, void *out);
#endif
