/* sequence.c: ops over x [N, T, D] with lengths int32 [N]; positions at or beyond a row's length are not valid.
 * Lengths are clipped to 0..T. A chunk is one row of the batch. */
#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    const int32_t *lengths;
    int64_t steps, width, run; /* run: bytes of one position */
} job;

static sn_status start(const sn_kernel_plan *plan, const sn_kernel_args *args, sn_shape x,
                       void (*row)(void *context, int64_t n)) {
    int64_t width = sn_shape_span(x, 2, x.rank);
    job j = {plan, args, args->in[1], x.dim[1], width, width * (int64_t)sn_dtype_size(plan->out[0].dtype)};
    sn_parallel(plan->threads, x.dim[0], row, &j);
    return SN_OK;
}

/* ---- moves: any dtype ---- */

static void mask_row(void *context, int64_t n) {
    const job *j = context;
    size_t valid = (size_t)(sn_length(j->lengths, n, j->steps) * j->run), all = (size_t)(j->steps * j->run);
    const char *x = (const char *)j->args->in[0] + (size_t)n * all;
    char *y = (char *)j->args->out[0] + (size_t)n * all;
    if (x != y) memcpy(y, x, valid);
    memset(y + valid, 0, all - valid);
}
static sn_status run_mask(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    return start(plan, args, plan->in[0].shape, mask_row);
}
SN_REF(seq_mask, sn_ref_accepts_alike, run_mask)

static void reverse_row(void *context, int64_t n) {
    const job *j = context;
    int64_t valid = sn_length(j->lengths, n, j->steps);
    const char *x = (const char *)j->args->in[0] + n * j->steps * j->run;
    char *y = (char *)j->args->out[0] + n * j->steps * j->run;
    for (int64_t t = 0; t < valid; t++) memcpy(y + t * j->run, x + (valid - 1 - t) * j->run, (size_t)j->run);
    memcpy(y + valid * j->run, x + valid * j->run, (size_t)((j->steps - valid) * j->run));
}
static sn_status run_reverse(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    return start(plan, args, plan->in[0].shape, reverse_row);
}
SN_REF(seq_reverse, sn_ref_accepts_alike, run_reverse)

static void last_row(void *context, int64_t n) {
    const job *j = context;
    int64_t valid = sn_length(j->lengths, n, j->steps);
    char *y = (char *)j->args->out[0] + n * j->run;
    if (valid) memcpy(y, (const char *)j->args->in[0] + (n * j->steps + valid - 1) * j->run, (size_t)j->run);
    else memset(y, 0, (size_t)j->run);
}
static sn_status run_last(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    return start(plan, args, plan->in[0].shape, last_row);
}
SN_REF(seq_last, sn_ref_accepts_alike, run_last)

static void last_bwd_row(void *context, int64_t n) {
    const job *j = context;
    int64_t valid = sn_length(j->lengths, n, j->steps);
    char *dx = (char *)j->args->out[0] + n * j->steps * j->run;
    memset(dx, 0, (size_t)(j->steps * j->run));
    if (valid) memcpy(dx + (valid - 1) * j->run, (const char *)j->args->in[0] + n * j->run, (size_t)j->run);
}
static sn_status run_last_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    return start(plan, args, plan->out[0].shape, last_bwd_row);
}
SN_REF(seq_last_bwd, sn_ref_accepts_alike, run_last_bwd)

/* ---- mean ---- */

/* acc[0..n) = sum over the valid positions of columns [at, at + n) of row `row`. */
static void sum_valid(const job *j, int64_t row, int64_t valid, int64_t at, int n, double *acc) {
    float buffer[SN_BLOCK];
    for (int k = 0; k < n; k++) acc[k] = 0;
    for (int64_t t = 0; t < valid; t++) {
        const float *x = sn_block_in(j->plan->in[0], j->args->in[0], (row * j->steps + t) * j->width + at, n, buffer);
        for (int k = 0; k < n; k++) acc[k] += (double)x[k];
    }
}

static void mean_row(void *context, int64_t row) {
    const job *j = context;
    int64_t valid = sn_length(j->lengths, row, j->steps);
    double acc[SN_BLOCK], scale = valid ? 1.0 / (double)valid : 0;
    float y[SN_BLOCK];
    for (int64_t at = 0; at < j->width; at += SN_BLOCK) {
        int n = sn_block_size(j->width - at);
        sum_valid(j, row, valid, at, n, acc);
        for (int k = 0; k < n; k++) y[k] = (float)(acc[k] * scale);
        sn_block_put(j->plan->out[0], j->args->out[0], row * j->width + at, n, y);
    }
}
static sn_status run_mean(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    return start(plan, args, plan->in[0].shape, mean_row);
}
SN_REF(seq_mean, sn_ref_accepts_float, run_mean)

static void mean_bwd_row(void *context, int64_t row) {
    const job *j = context;
    int64_t valid = sn_length(j->lengths, row, j->steps);
    float buffer[SN_BLOCK], dx[SN_BLOCK], scale = valid ? 1.0f / (float)valid : 0.0f;
    for (int64_t at = 0; at < j->width; at += SN_BLOCK) {
        int n = sn_block_size(j->width - at);
        const float *dy = sn_block_in(j->plan->in[0], j->args->in[0], row * j->width + at, n, buffer);
        for (int k = 0; k < n; k++) dx[k] = dy[k] * scale;
        for (int64_t t = 0; t < j->steps; t++) {
            if (t == valid) memset(dx, 0, sizeof dx);
            sn_block_put(j->plan->out[0], j->args->out[0], (row * j->steps + t) * j->width + at, n, dx);
        }
    }
}
static sn_status run_mean_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    return start(plan, args, plan->out[0].shape, mean_bwd_row);
}
SN_REF(seq_mean_bwd, sn_ref_accepts_float, run_mean_bwd)

/* ---- maximum: y [N, D] and the position it came from (-1: none, y is 0) ---- */

static void max_row(void *context, int64_t row) {
    const job *j = context;
    int64_t valid = sn_length(j->lengths, row, j->steps);
    float buffer[SN_BLOCK], best[SN_BLOCK];
    int32_t where[SN_BLOCK], *out = j->args->out[1];
    for (int64_t at = 0; at < j->width; at += SN_BLOCK) {
        int n = sn_block_size(j->width - at);
        for (int k = 0; k < n; k++) best[k] = valid ? -INFINITY : 0.0f;
        for (int k = 0; k < n; k++) where[k] = valid ? 0 : -1;
        for (int64_t t = 0; t < valid; t++) {
            const float *x = sn_block_in(j->plan->in[0], j->args->in[0], (row * j->steps + t) * j->width + at, n, buffer);
            for (int k = 0; k < n; k++) {
                bool more = x[k] > best[k];
                best[k] = more ? x[k] : best[k];
                where[k] = more ? (int32_t)t : where[k];
            }
        }
        if (j->args->out[0]) sn_block_put(j->plan->out[0], j->args->out[0], row * j->width + at, n, best);
        if (out) memcpy(out + row * j->width + at, where, (size_t)n * sizeof *where);
    }
}
static sn_status run_max(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    return start(plan, args, plan->in[0].shape, max_row);
}
SN_REF(seq_max, sn_ref_accepts_float, run_max)

/* in = dy [N, D], where int32 [N, D] */
static void max_bwd_row(void *context, int64_t row) {
    const job *j = context;
    const int32_t *where = (const int32_t *)j->args->in[1] + row * j->width;
    memset((char *)j->args->out[0] + row * j->steps * j->run, 0, (size_t)(j->steps * j->run));
    for (int64_t k = 0; k < j->width; k++)
        if (where[k] >= 0 && where[k] < j->steps)
            sn_store(j->plan->out[0], j->args->out[0], (row * j->steps + where[k]) * j->width + k,
                     sn_load(j->plan->in[0], j->args->in[0], row * j->width + k));
}
static sn_status run_max_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    return start(plan, args, plan->out[0].shape, max_bwd_row);
}
SN_REF(seq_max_bwd, sn_ref_accepts_float, run_max_bwd)
