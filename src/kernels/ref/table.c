/* table.c: the reference column of the op table. */
#include "kernels/kernel.h"

#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl)                         \
    extern const sn_kernel sn_ref_##ref;
#include "ops/ops.def"
#undef SN_OP

const sn_kernel *const sn_ref_kernels[SN_OP_COUNT] = {
#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl) [SN_##id] = &sn_ref_##ref,
#include "ops/ops.def"
#undef SN_OP
};
