/* compat.h: the only page that knows which oneDNN it is. All the rest of this folder is written against the
 * calls of version 3; for 2.6 and 2.7, which describe an operation in a struct first ("op_desc"), the same
 * calls are declared here and defined in compat.c.
 *
 * One name differs in kind: a memory descriptor is a struct in version 2 and an opaque pointer in version 3.
 * Here it is a pointer in both: sn_md, created and destroyed. */
#ifndef SN_DNNL_COMPAT_H
#define SN_DNNL_COMPAT_H
#include <oneapi/dnnl/dnnl.h>
#include <stddef.h>
#include <stdint.h>

#if DNNL_VERSION_MAJOR < 2 || (DNNL_VERSION_MAJOR == 2 && DNNL_VERSION_MINOR < 6)
#error "oneDNN 2.6 or newer is needed"
#endif

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t sn_md;
typedef const_dnnl_memory_desc_t sn_const_md;
#else
typedef dnnl_memory_desc_t *sn_md;
typedef const dnnl_memory_desc_t *sn_const_md;

dnnl_status_t dnnl_memory_desc_create_with_strides(sn_md *md, int rank, const int64_t *dims, dnnl_data_type_t type,
                                                   const int64_t *strides);
dnnl_status_t dnnl_memory_desc_create_with_tag(sn_md *md, int rank, const int64_t *dims, dnnl_data_type_t type,
                                               dnnl_format_tag_t tag);
dnnl_status_t dnnl_memory_desc_destroy(sn_md md);

dnnl_status_t dnnl_matmul_primitive_desc_create(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, sn_const_md src,
                                                sn_const_md weights, sn_const_md bias, sn_const_md dst,
                                                const_dnnl_primitive_attr_t attr);
dnnl_status_t dnnl_convolution_forward_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_prop_kind_t prop, dnnl_alg_kind_t alg, sn_const_md src,
    sn_const_md weights, sn_const_md bias, sn_const_md dst, const int64_t *strides, const int64_t *dilates,
    const int64_t *pad_l, const int64_t *pad_r, const_dnnl_primitive_attr_t attr);
dnnl_status_t dnnl_convolution_backward_data_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t alg, sn_const_md diff_src, sn_const_md weights,
    sn_const_md diff_dst, const int64_t *strides, const int64_t *dilates, const int64_t *pad_l,
    const int64_t *pad_r, const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr);
dnnl_status_t dnnl_convolution_backward_weights_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t alg, sn_const_md src, sn_const_md diff_weights,
    sn_const_md diff_bias, sn_const_md diff_dst, const int64_t *strides, const int64_t *dilates,
    const int64_t *pad_l, const int64_t *pad_r, const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr);
dnnl_status_t dnnl_pooling_forward_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_prop_kind_t prop, dnnl_alg_kind_t alg, sn_const_md src,
    sn_const_md dst, const int64_t *strides, const int64_t *kernel, const int64_t *dilates, const int64_t *pad_l,
    const int64_t *pad_r, const_dnnl_primitive_attr_t attr);
dnnl_status_t dnnl_pooling_backward_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t alg, sn_const_md diff_src, sn_const_md diff_dst,
    const int64_t *strides, const int64_t *kernel, const int64_t *dilates, const int64_t *pad_l,
    const int64_t *pad_r, const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr);
dnnl_status_t dnnl_softmax_forward_primitive_desc_create(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                         dnnl_prop_kind_t prop, dnnl_alg_kind_t alg, sn_const_md src,
                                                         sn_const_md dst, int axis, const_dnnl_primitive_attr_t attr);
#endif

/* A post-op that multiplies by nothing (version 2 has a scale that version 3 dropped). */
dnnl_status_t sn_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta);

/* A number that is equal for equal descriptors (rank, dims, dtype, strides, blocks); 0 when the layout is
 * private to oneDNN and so cannot be shared. */
uint64_t sn_md_key(sn_const_md md);
/* The part [first, first + n) along `axis` of what `whole` describes, in the same memory; to be destroyed. Fails where it
 * would begin or end within a block. */
dnnl_status_t sn_md_part(sn_md *part, sn_const_md whole, int axis, int64_t first, int64_t n);
#endif
