/* compat.c: version 3's calls over version 2's "op_desc" structs, and the few calls whose form differs. */
#include "kernels/dnnl/compat.h"

#include <string.h>

#include "base/text.h"

#if DNNL_VERSION_MAJOR < 3

/* Version 2 wants the descriptor initialised, then made into a primitive descriptor. */
#define THEN_CREATE(init, hint)                                                                             \
    do {                                                                                                    \
        dnnl_status_t status_ = (init);                                                                     \
        return status_ ? status_ : dnnl_primitive_desc_create(pd, &desc, attr, engine, (hint));             \
    } while (0)

static dnnl_status_t keep(sn_md *md, const dnnl_memory_desc_t *made) {
    *md = sn_alloc(1, sizeof **md);
    if (!*md) return dnnl_out_of_memory;
    **md = *made;
    return dnnl_success;
}

dnnl_status_t dnnl_memory_desc_create_with_strides(sn_md *md, int rank, const int64_t *dims, dnnl_data_type_t type,
                                                   const int64_t *strides) {
    dnnl_memory_desc_t made;
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(&made, rank, dims, type, strides);
    return status ? status : keep(md, &made);
}

dnnl_status_t dnnl_memory_desc_create_with_tag(sn_md *md, int rank, const int64_t *dims, dnnl_data_type_t type,
                                               dnnl_format_tag_t tag) {
    dnnl_memory_desc_t made;
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&made, rank, dims, type, tag);
    return status ? status : keep(md, &made);
}

dnnl_status_t dnnl_memory_desc_destroy(sn_md md) {
    sn_free(md);
    return dnnl_success;
}

dnnl_status_t dnnl_matmul_primitive_desc_create(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, sn_const_md src,
                                                sn_const_md weights, sn_const_md bias, sn_const_md dst,
                                                const_dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t desc;
    THEN_CREATE(dnnl_matmul_desc_init(&desc, src, weights, bias, dst), NULL);
}

dnnl_status_t dnnl_convolution_forward_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_prop_kind_t prop, dnnl_alg_kind_t alg, sn_const_md src,
    sn_const_md weights, sn_const_md bias, sn_const_md dst, const int64_t *strides, const int64_t *dilates,
    const int64_t *pad_l, const int64_t *pad_r, const_dnnl_primitive_attr_t attr) {
    dnnl_convolution_desc_t desc;
    THEN_CREATE(dnnl_dilated_convolution_forward_desc_init(&desc, prop, alg, src, weights, bias, dst, strides,
                                                           dilates, pad_l, pad_r),
                NULL);
}

dnnl_status_t dnnl_convolution_backward_data_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t alg, sn_const_md diff_src, sn_const_md weights,
    sn_const_md diff_dst, const int64_t *strides, const int64_t *dilates, const int64_t *pad_l,
    const int64_t *pad_r, const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr) {
    dnnl_convolution_desc_t desc;
    THEN_CREATE(dnnl_dilated_convolution_backward_data_desc_init(&desc, alg, diff_src, weights, diff_dst, strides,
                                                                 dilates, pad_l, pad_r),
                hint);
}

dnnl_status_t dnnl_convolution_backward_weights_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t alg, sn_const_md src, sn_const_md diff_weights,
    sn_const_md diff_bias, sn_const_md diff_dst, const int64_t *strides, const int64_t *dilates,
    const int64_t *pad_l, const int64_t *pad_r, const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr) {
    dnnl_convolution_desc_t desc;
    THEN_CREATE(dnnl_dilated_convolution_backward_weights_desc_init(&desc, alg, src, diff_weights, diff_bias,
                                                                    diff_dst, strides, dilates, pad_l, pad_r),
                hint);
}

dnnl_status_t dnnl_pooling_forward_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_prop_kind_t prop, dnnl_alg_kind_t alg, sn_const_md src,
    sn_const_md dst, const int64_t *strides, const int64_t *kernel, const int64_t *dilates, const int64_t *pad_l,
    const int64_t *pad_r, const_dnnl_primitive_attr_t attr) {
    dnnl_pooling_v2_desc_t desc;
    THEN_CREATE(dnnl_pooling_v2_forward_desc_init(&desc, prop, alg, src, dst, strides, kernel, dilates, pad_l, pad_r),
                NULL);
}

dnnl_status_t dnnl_pooling_backward_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t alg, sn_const_md diff_src, sn_const_md diff_dst,
    const int64_t *strides, const int64_t *kernel, const int64_t *dilates, const int64_t *pad_l,
    const int64_t *pad_r, const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr) {
    dnnl_pooling_v2_desc_t desc;
    THEN_CREATE(dnnl_pooling_v2_backward_desc_init(&desc, alg, diff_src, diff_dst, strides, kernel, dilates, pad_l,
                                                   pad_r),
                hint);
}

dnnl_status_t dnnl_softmax_forward_primitive_desc_create(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                         dnnl_prop_kind_t prop, dnnl_alg_kind_t alg, sn_const_md src,
                                                         sn_const_md dst, int axis, const_dnnl_primitive_attr_t attr) {
    dnnl_softmax_v2_desc_t desc;
    THEN_CREATE(dnnl_softmax_v2_forward_desc_init(&desc, prop, alg, src, dst, axis), NULL);
}

dnnl_status_t sn_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta) {
    return dnnl_post_ops_append_eltwise(ops, 1.0f, alg, alpha, beta);
}

dnnl_status_t sn_md_part(sn_md *part, sn_const_md whole, int axis, int64_t first, int64_t n) {
    dnnl_memory_desc_t made;
    dnnl_dims_t dims, offsets = {0};
    memcpy(dims, whole->dims, sizeof dims);
    dims[axis] = n;
    offsets[axis] = first;
    dnnl_status_t status = dnnl_memory_desc_init_submemory(&made, whole, dims, offsets);
    return status ? status : keep(part, &made);
}

uint64_t sn_md_key(sn_const_md md) {
    if (md->format_kind != dnnl_blocked || md->extra.flags) return 0;
    size_t rank = (size_t)md->ndims, blocks = (size_t)md->format_desc.blocking.inner_nblks;
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    uint64_t part[7] = {rank,
                        (uint64_t)md->data_type,
                        sn_hash(md->dims, rank * sizeof *md->dims),
                        sn_hash(md->padded_dims, rank * sizeof *md->dims),
                        sn_hash(b->strides, rank * sizeof *md->dims),
                        sn_hash(b->inner_blks, blocks * sizeof *md->dims),
                        sn_hash(b->inner_idxs, blocks * sizeof *md->dims)};
    return sn_hash(part, sizeof part);
}

#else

dnnl_status_t sn_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta) {
    return dnnl_post_ops_append_eltwise(ops, alg, alpha, beta);
}

dnnl_status_t sn_md_part(sn_md *part, sn_const_md whole, int axis, int64_t first, int64_t n) {
    const dnnl_dims_t *all = NULL;
    dnnl_dims_t dims, offsets = {0};
    dnnl_status_t status = dnnl_memory_desc_query(whole, dnnl_query_dims, (void *)&all);
    if (status || !all) return status ? status : dnnl_invalid_arguments;
    memcpy(dims, *all, sizeof dims);
    dims[axis] = n;
    offsets[axis] = first;
    return dnnl_memory_desc_create_submemory(part, whole, dims, offsets);
}

static uint64_t hash_dims(sn_const_md md, dnnl_query_t what, int n) {
    const dnnl_dims_t *dims = NULL;
    if (dnnl_memory_desc_query(md, what, (void *)&dims) || !dims) return 0;
    return sn_hash(*dims, (size_t)n * sizeof **dims);
}

uint64_t sn_md_key(sn_const_md md) {
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    dnnl_data_type_t type = dnnl_data_type_undef;
    int rank = 0, blocks = 0;
    if (dnnl_memory_desc_query(md, dnnl_query_format_kind, &kind) || kind != dnnl_blocked
        || dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &rank)
        || dnnl_memory_desc_query(md, dnnl_query_data_type, &type)
        || dnnl_memory_desc_query(md, dnnl_query_inner_nblks_s32, &blocks))
        return 0;
    uint64_t part[7] = {(uint64_t)rank,
                        (uint64_t)type,
                        hash_dims(md, dnnl_query_dims, rank),
                        hash_dims(md, dnnl_query_padded_dims, rank),
                        hash_dims(md, dnnl_query_strides, rank),
                        hash_dims(md, dnnl_query_inner_blks, blocks),
                        hash_dims(md, dnnl_query_inner_idxs, blocks)};
    return sn_hash(part, sizeof part);
}
#endif
