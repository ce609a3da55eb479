/* table.c: this backend's column of ops.def. */
#include "kernels/kernel.h"

#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl)                         \
    extern const sn_kernel sn_dnnl_##dnnl;
#include "ops/ops.def"
#undef SN_OP

const sn_kernel sn_dnnl_none = {"none", NULL, NULL};

const sn_kernel *const sn_dnnl_kernels[SN_OP_COUNT] = {
#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl) [SN_##id] = &sn_dnnl_##dnnl,
#include "ops/ops.def"
#undef SN_OP
};
