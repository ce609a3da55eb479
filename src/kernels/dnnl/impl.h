/* impl.h: what the rest of the house may ask of this folder beyond the kernel table. */
#ifndef SN_DNNL_IMPL_H
#define SN_DNNL_IMPL_H
#include "kernels/kernel.h"

/* Name of the implementation oneDNN chose ("brgconv:avx512_core_bf16"); for `bench`. The plan must be one of
 * this folder's. */
const char *sn_dnnl_impl(const sn_kernel_plan *plan);
#endif
