/* table.c: the column of our own vector kernels. */
#include "kernels/kernel.h"

#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl)                         \
    extern const sn_kernel sn_simd_##simd;
#include "ops/ops.def"
#undef SN_OP

const sn_kernel sn_simd_none = {"none", NULL, NULL};

const sn_kernel *const sn_simd_kernels[SN_OP_COUNT] = {
#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl) [SN_##id] = &sn_simd_##simd,
#include "ops/ops.def"
#undef SN_OP
};
