/* embed.c: EMBED (rows of a table by id; the table may be the packed copy of a product, or lie in a file) and
 * EMBED_BWD (their gradient, summed in the order of the rows). */
#include <stdatomic.h>

#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    const int32_t *ids;
    int64_t count, width, rows, per;
    atomic_bool failed;
} job;

static sn_status check_ids(const int32_t *ids, int64_t count, int64_t rows) {
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= rows)
            SN_FAIL(SN_ERR_SHAPE, "id %d at position %lld is outside a table of %lld rows", (int)ids[i], (long long)i,
                    (long long)rows);
    return SN_OK;
}

/* Word i of a table that lies in memory. */
static void embed_here(const job *j, int64_t i) {
    sn_type from = j->plan->in[0], to = j->plan->out[0];
    size_t bytes = (size_t)j->width * sn_dtype_size(to.dtype);
    float buffer[SN_BLOCK];
    if (from.dtype == to.dtype) {
        memcpy((char *)j->args->out[0] + (size_t)i * bytes, (const char *)j->args->in[0] + (size_t)j->ids[i] * bytes, bytes);
        return;
    }
    for (int64_t at = 0; at < j->width; at += SN_BLOCK) {
        int n = sn_block_size(j->width - at);
        sn_block_put(to, j->args->out[0], i * j->width + at, n, sn_block_in(from, j->args->in[0], j->ids[i] * j->width + at, n, buffer));
    }
}

/* Word i of another table: straight to its place, or by way of `piece` where it gets another dtype. */
static sn_status embed_read(const job *j, int64_t i) {
    enum { PIECE = 8 * SN_BLOCK }; /* a call may be one of the system */
    const sn_pack *pack = &j->plan->pack[0];
    sn_type from = j->plan->in[0], to = j->plan->out[0];
    char *out = (char *)j->args->out[0] + (size_t)(i * j->width) * sn_dtype_size(to.dtype);
    if (from.dtype == to.dtype) return pack->read(from, j->args->in[0], j->ids[i], 0, j->width, out);
    union { float f32[PIECE]; uint16_t two[PIECE]; } piece;
    float buffer[SN_BLOCK];
    for (int64_t at = 0; at < j->width; at += PIECE) {
        int64_t some = sn_min64(j->width - at, PIECE);
        SN_TRY(pack->read(from, j->args->in[0], j->ids[i], at, some, &piece));
        for (int64_t k = 0; k < some; k += SN_BLOCK) {
            int n = sn_block_size(some - k);
            sn_block_put(to, out, at + k, n, sn_block_in(from, &piece, k, n, buffer));
        }
    }
    return SN_OK;
}

static sn_status embed_words(const job *j, int64_t from, int64_t end) {
    if (!j->plan->pack[0].read)
        for (int64_t i = from; i < end; i++) embed_here(j, i);
    else
        for (int64_t i = from; i < end; i++) SN_TRY(embed_read(j, i));
    return SN_OK;
}

static void embed_chunk(void *context, int64_t chunk) {
    job *j = context;
    if (embed_words(j, chunk * j->per, sn_min64((chunk + 1) * j->per, j->count)) != SN_OK) atomic_store(&j->failed, true);
}

static sn_status run_embed(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {.plan = plan, .args = args, .ids = args->in[1], .count = sn_shape_count(plan->in[1].shape),
             .width = sn_last(plan->in[0].shape), .rows = plan->in[0].shape.dim[0]};
    SN_TRY(check_ids(j.ids, j.count, j.rows));
    j.per = sn_max64(1, SN_CHUNK / sn_max64(1, j.width));
    sn_parallel(plan->threads, sn_pieces(j.count, j.per), embed_chunk, &j);
    return atomic_load(&j.failed) ? embed_words(&j, 0, j.count) : SN_OK; /* whose error is this thread's */
}

/* The table in any float dtype that is stored. */
static bool accepts(const sn_kernel_request *r) {
    sn_dtype table = r->in[0].dtype, y = r->out[0].dtype;
    return (table == SN_F32 || table == SN_BF16 || table == SN_F16) && r->in[1].dtype == SN_I32 && (y == SN_F32 || y == SN_BF16);
}
static sn_status reads_rows(const sn_kernel_request *r, sn_kernel_plan *plan) {
    plan->reads_rows = 1;
    return sn_ref_no_scratch(r, plan);
}
SN_REF_SCRATCH(embed, accepts, run_embed, reads_rows)

/* Chunk: a range of the table; it looks at every id and takes those that are its own, so the order of
 * summation is that of the rows. */
static void embed_bwd_chunk(void *context, int64_t chunk) {
    const job *j = context;
    sn_type type = j->plan->in[1];
    int64_t from = chunk * j->per, to = sn_min64(from + j->per, j->rows);
    float *table = j->args->out[0], buffer[SN_BLOCK];
    memset(table + from * j->width, 0, (size_t)((to - from) * j->width) * sizeof(float));
    for (int64_t i = 0; i < j->count; i++) {
        if (j->ids[i] < from || j->ids[i] >= to) continue;
        for (int64_t at = 0; at < j->width; at += SN_BLOCK) {
            int n = sn_block_size(j->width - at);
            const float *d = sn_block_in(type, j->args->in[1], i * j->width + at, n, buffer);
            float *sum = table + j->ids[i] * j->width + at;
            for (int k = 0; k < n; k++) sum[k] += d[k];
        }
    }
}

static bool accepts_bwd(const sn_kernel_request *r) { return r->out[0].dtype == SN_F32 && sn_ref_accepts_float(r); }

static sn_status run_embed_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    enum { RANGES = 16 };
    job j = {.plan = plan, .args = args, .ids = args->in[0], .count = sn_shape_count(plan->in[0].shape),
             .width = sn_last(plan->out[0].shape), .rows = plan->out[0].shape.dim[0]};
    SN_TRY(check_ids(j.ids, j.count, j.rows));
    j.per = sn_max64(1, sn_pieces(j.rows, RANGES));
    sn_parallel(plan->threads, sn_pieces(j.rows, j.per), embed_bwd_chunk, &j);
    return SN_OK;
}
SN_REF(embed_bwd, accepts_bwd, run_embed_bwd)
