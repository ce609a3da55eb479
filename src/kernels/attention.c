/* attention.c: sizes and masks of attention, for every column. */
#include "kernels/attention.h"

sn_attention_shape sn_attention_shape_of(sn_op op, const sn_attr *attr, const sn_type *in, int n_in) {
    sn_shape q = in[0].shape, k = in[1].shape;
    sn_attention_shape s = {.rows = q.dim[0], .tq = q.dim[1], .tk = k.dim[1], .heads = attr->attention.heads,
                            .kv_heads = attr->attention.kv_heads, .causal = attr->attention.causal != 0,
                            .scale = attr->attention.scale};
    s.d = q.dim[2] / s.heads;
    s.group = s.heads / s.kv_heads;
    int mask = op == SN_ATTENTION ? 3 : 6;
    if (op == SN_ATTENTION_CACHED) {
        s.cache_rows = in[3].shape.dim[0];
        s.cache_steps = in[3].shape.dim[1];
        if (attr->attention.ancestry) s.ancestry = mask++;
    }
    if (n_in > mask) s.mask = mask;
    if (s.mask && in[mask].shape.rank == 1) s.mask = -mask; /* lengths */
    return s;
}

sn_attention_row sn_attention_row_of(const sn_attention_shape *s, const sn_kernel_args *args, int64_t row) {
    sn_attention_row r = {.row = row, .keys = s->tk};
    if (s->mask > 0) r.mask = (const int32_t *)args->in[s->mask] + row * s->tk;
    if (s->mask < 0) {
        int32_t length = ((const int32_t *)args->in[-s->mask])[row];
        r.keys = length < 0 ? 0 : length < s->tk ? length : s->tk;
    }
    if (s->cache_steps) r.past = ((const int32_t *)args->in[5])[row];
    if (s->ancestry) r.ancestry = (const int32_t *)args->in[s->ancestry] + row * s->cache_steps;
    r.keys += r.past;
    return r;
}

sn_status sn_attention_check(const sn_attention_shape *s, const sn_kernel_args *args) {
    for (int64_t n = 0; n < s->rows && s->cache_steps; n++) {
        int32_t filled = ((const int32_t *)args->in[5])[n];
        if (filled < 0 || filled > s->cache_steps)
            SN_FAIL(SN_ERR_SHAPE, "row %lld: %d positions filled of a cache of %lld", (long long)n, (int)filled,
                    (long long)s->cache_steps);
        const int32_t *from = s->ancestry ? (const int32_t *)args->in[s->ancestry] + n * s->cache_steps : NULL;
        for (int32_t t = 0; from && t < filled; t++)
            if (from[t] < 0 || from[t] >= s->cache_rows)
                SN_FAIL(SN_ERR_SHAPE, "row %lld: position %d lies in row %d of a cache of %lld rows", (long long)n, (int)t,
                        (int)from[t], (long long)s->cache_rows);
    }
    return SN_OK;
}
