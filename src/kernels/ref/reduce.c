/* reduce.c: REDUCE_SUM, REDUCE_MEAN, ARGMAX.
 *
 * Axes of size 1 vanish and neighbours of one kind merge; then
 *   [outer, reduced, kept]  -> column sums (bias gradients, global pooling)
 *   [outer, reduced]        -> row sums
 *   anything else           -> one double per output element over the reduced positions. */
#include "kernels/ref/ref.h"

typedef struct plan_of {
    int rank;
    int64_t dim[SN_MAX_RANK];
    bool gone[SN_MAX_RANK];
} plan_of;

static plan_of simplify(sn_shape s, int axes) {
    plan_of r = {0};
    for (int i = 0; i < s.rank; i++) {
        bool gone = axes & 1 << i;
        if (s.dim[i] == 1) continue;
        if (r.rank && r.gone[r.rank - 1] == gone) {
            r.dim[r.rank - 1] *= s.dim[i];
            continue;
        }
        r.dim[r.rank] = s.dim[i];
        r.gone[r.rank++] = gone;
    }
    return r;
}

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    plan_of shape;
    int64_t outer, reduced, kept, out_count;
    double scale;
} job;

/* ---- row sums ---- */

static double row_sum(sn_type type, const void *x, int64_t at, int64_t n) {
    if (type.dtype == SN_F32) return sn_sum((const float *)x + at, n);
    float buffer[SN_BLOCK];
    double sum = 0;
    for (int64_t i = 0; i < n; i += SN_BLOCK) {
        int m = sn_block_size(n - i);
        sum += sn_sum(sn_block_in(type, x, at + i, m, buffer), m);
    }
    return sum;
}

static void rows_chunk(void *context, int64_t chunk) {
    const job *j = context;
    int64_t per = sn_max64(1, SN_CHUNK / j->reduced), end = sn_min64((chunk + 1) * per, j->outer);
    for (int64_t row = chunk * per; row < end; row++) {
        double sum = row_sum(j->plan->in[0], j->args->in[0], row * j->reduced, j->reduced);
        sn_store(j->plan->out[0], j->args->out[0], row, (float)(sum * j->scale));
    }
}

/* ---- column sums ---- */

SN_WIDE static void add_rows(const void *context, int64_t outer, int64_t from, int64_t to, int64_t at, int n, float *acc) {
    const job *j = context;
    float buffer[SN_BLOCK];
    for (int64_t row = from; row < to; row++) {
        const float *x = sn_block_in(j->plan->in[0], j->args->in[0], (outer * j->reduced + row) * j->kept + at, n, buffer);
        for (int i = 0; i < n; i++) acc[i] += x[i];
    }
}

static void run_columns(const job *j) {
    sn_columns c = {j->outer, j->reduced, j->kept, 1, add_rows, j};
    const double *sums = sn_columns_run(&c, j->plan->threads, j->args->scratch);
    float block[SN_BLOCK];
    for (int64_t at = 0; at < j->out_count; at += SN_BLOCK) {
        int n = sn_block_size(j->out_count - at);
        for (int i = 0; i < n; i++) block[i] = (float)(sums[at + i] * j->scale);
        sn_block_put(j->plan->out[0], j->args->out[0], at, n, block);
    }
}

/* ---- any other pattern ---- */

static void general_chunk(void *context, int64_t at) {
    const job *j = context;
    const plan_of *s = &j->shape;
    int64_t step[SN_MAX_RANK], size = 1, start = 0, rest = at;
    for (int i = s->rank - 1; i >= 0; i--) {
        step[i] = size;
        size *= s->dim[i];
    }
    for (int i = s->rank - 1; i >= 0; i--) {
        if (s->gone[i]) continue;
        start += rest % s->dim[i] * step[i];
        rest /= s->dim[i];
    }
    double sum = 0;
    for (int64_t k = 0; k < j->reduced; k++) {
        int64_t offset = start;
        rest = k;
        for (int i = s->rank - 1; i >= 0; i--) {
            if (!s->gone[i]) continue;
            offset += rest % s->dim[i] * step[i];
            rest /= s->dim[i];
        }
        sum += (double)sn_load(j->plan->in[0], j->args->in[0], offset);
    }
    sn_store(j->plan->out[0], j->args->out[0], at, (float)(sum * j->scale));
}

/* Fills outer, reduced, kept; true where the pattern is [outer, reduced, kept] (each may be 1). */
static bool split(job *j, sn_shape in, int axes) {
    j->shape = simplify(in, axes);
    const plan_of *s = &j->shape;
    int i = 0;
    j->outer = j->reduced = j->kept = 1;
    if (i < s->rank && !s->gone[i]) j->outer = s->dim[i++];
    if (i < s->rank) j->reduced = s->dim[i++];
    if (i < s->rank) j->kept = s->dim[i++];
    if (i == s->rank) return true;
    j->reduced = 1;
    for (i = 0; i < s->rank; i++)
        if (s->gone[i]) j->reduced *= s->dim[i];
    return false;
}

static sn_status run_reduce(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {.plan = plan, .args = args, .scale = 1};
    j.out_count = sn_shape_count(plan->out[0].shape);
    bool simple = split(&j, plan->in[0].shape, plan->attr.reduce.axes);
    if (plan->op == SN_REDUCE_MEAN && j.reduced) j.scale = 1.0 / (double)j.reduced;
    if (!simple) sn_parallel(plan->threads, j.out_count, general_chunk, &j);
    else if (j.kept > 1) run_columns(&j);
    else sn_parallel(plan->threads, sn_pieces(j.outer, sn_max64(1, SN_CHUNK / sn_max64(1, j.reduced))), rows_chunk, &j);
    return SN_OK;
}

static sn_status scratch_reduce(const sn_kernel_request *request, sn_kernel_plan *plan) {
    job j = {0};
    if (split(&j, request->in[0].shape, request->attr->reduce.axes) && j.kept > 1)
        plan->scratch = sn_columns_scratch(j.outer, j.reduced, j.kept, 1);
    return SN_OK;
}
SN_REF_SCRATCH(reduce, sn_ref_accepts_float, run_reduce, scratch_reduce)

/* ---- argmax of the last axis, the first of equals ---- */

static void argmax_chunk(void *context, int64_t row) {
    const job *j = context;
    float buffer[SN_BLOCK], best = -INFINITY;
    int32_t where = 0;
    for (int64_t at = 0; at < j->reduced; at += SN_BLOCK) {
        int n = sn_block_size(j->reduced - at);
        const float *x = sn_block_in(j->plan->in[0], j->args->in[0], row * j->reduced + at, n, buffer);
        for (int i = 0; i < n; i++)
            if (x[i] > best) {
                best = x[i];
                where = (int32_t)(at + i);
            }
    }
    ((int32_t *)j->args->out[0])[row] = where;
}

static sn_status run_argmax(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {.plan = plan, .args = args, .reduced = sn_last(plan->in[0].shape)};
    sn_parallel(plan->threads, sn_rows(plan->in[0].shape), argmax_chunk, &j);
    return SN_OK;
}
SN_REF(argmax, sn_ref_accepts_float, run_argmax)
