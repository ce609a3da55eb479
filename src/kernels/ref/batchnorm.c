/* batchnorm.c: BATCHNORM and its backward form, over all axes but the last.
 *
 *   x [rows, C], gamma, beta, running mean, running variance [C] -> y, mean [C], variance [C] (biased)
 *   training: the batch's statistics; else the running ones, which are also returned.
 *   backward, with h = (x - mean) rstd: dgamma = sum dy h, dbeta = sum dy,
 *     dx = gamma rstd (dy - dbeta / rows - h dgamma / rows) in training, gamma rstd dy else */
#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    int64_t rows, width, per;
    const float *mean;
    float *a, *b, *c; /* factors per column, see scale_chunk */
} job;

static job job_of(const sn_kernel_plan *plan, const sn_kernel_args *args, size_t factors_at) {
    job j = {.plan = plan, .args = args, .rows = sn_rows(plan->in[0].shape), .width = sn_last(plan->in[0].shape)};
    j.per = sn_max64(1, SN_CHUNK / sn_max64(1, j.width));
    j.a = (float *)(void *)((char *)args->scratch + factors_at);
    j.b = j.a + j.width;
    j.c = j.b + j.width;
    return j;
}

static size_t sums_bytes(sn_shape s, int terms) {
    return (sn_columns_scratch(1, sn_rows(s), sn_last(s), terms) + 63) & ~(size_t)63;
}

SN_WIDE static void add_values(const void *context, int64_t outer, int64_t from, int64_t to, int64_t at, int n, float *acc) {
    const job *j = context;
    (void)outer;
    float buffer[SN_BLOCK];
    for (int64_t row = from; row < to; row++) {
        const float *x = sn_block_in(j->plan->in[0], j->args->in[0], row * j->width + at, n, buffer);
        for (int k = 0; k < n; k++) acc[k] += x[k];
    }
}

SN_WIDE static void add_squares(const void *context, int64_t outer, int64_t from, int64_t to, int64_t at, int n, float *acc) {
    const job *j = context;
    (void)outer;
    float buffer[SN_BLOCK];
    const float *mean = j->mean + at;
    for (int64_t row = from; row < to; row++) {
        const float *x = sn_block_in(j->plan->in[0], j->args->in[0], row * j->width + at, n, buffer);
        for (int k = 0; k < n; k++) acc[k] += (x[k] - mean[k]) * (x[k] - mean[k]);
    }
}

/* By column: forward y = (x - mean) a + b, backward dx = dy a + (x - mean) b + c. */
SN_WIDE static void scale_chunk(void *context, int64_t chunk) {
    const job *j = context;
    bool backward = j->plan->op == SN_BATCHNORM_BWD;
    int first = backward ? 4 : 0;
    int64_t end = sn_min64((chunk + 1) * j->per, j->rows);
    float s[SN_BLOCK], t[SN_BLOCK], u[SN_BLOCK];
    for (int64_t row = chunk * j->per; row < end; row++)
        for (int64_t i = 0; i < j->width; i += SN_BLOCK) {
            int n = sn_block_size(j->width - i);
            int64_t at = row * j->width + i;
            const float *p = sn_block_in(j->plan->in[first], j->args->in[first], at, n, s);
            float *y = sn_block_out(j->plan->out[0], j->args->out[0], at, u);
            const float *a = j->a + i, *b = j->b + i, *c = j->c + i, *mean = j->mean + i;
            if (backward) {
                const float *x = sn_block_in(j->plan->in[0], j->args->in[0], at, n, t);
                SN_INDEPENDENT for (int k = 0; k < n; k++) y[k] = p[k] * a[k] + (x[k] - mean[k]) * b[k] + c[k];
            } else {
                SN_INDEPENDENT for (int k = 0; k < n; k++) y[k] = (p[k] - mean[k]) * a[k] + b[k];
            }
            sn_block_put(j->plan->out[0], j->args->out[0], at, n, y);
        }
}

/* in = x, gamma, beta, running mean, running variance */
static sn_status run_batchnorm(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args, sums_bytes(plan->in[0].shape, 1));
    float *mean = j.c, *variance = j.c + j.width;
    double rows = (double)sn_max64(1, j.rows);
    j.mean = mean;
    if (plan->attr.norm.training) {
        sn_columns c = {1, j.rows, j.width, 1, add_values, &j};
        const double *sums = sn_columns_run(&c, plan->threads, args->scratch);
        for (int64_t i = 0; i < j.width; i++) mean[i] = (float)(sums[i] / rows);
        c.add = add_squares;
        sums = sn_columns_run(&c, plan->threads, args->scratch);
        for (int64_t i = 0; i < j.width; i++) variance[i] = (float)(sums[i] / rows);
    }
    for (int64_t i = 0; i < j.width; i++) {
        if (!plan->attr.norm.training) {
            mean[i] = sn_load(plan->in[3], args->in[3], i);
            variance[i] = sn_load(plan->in[4], args->in[4], i);
        }
        double rstd = 1.0 / sqrt((double)variance[i] + (double)plan->attr.norm.eps);
        j.a[i] = (float)((double)sn_load(plan->in[1], args->in[1], i) * rstd);
        j.b[i] = sn_load(plan->in[2], args->in[2], i);
        if (args->out[1]) ((float *)args->out[1])[i] = mean[i];
        if (args->out[2]) ((float *)args->out[2])[i] = variance[i];
    }
    if (args->out[0]) sn_parallel(plan->threads, sn_pieces(j.rows, j.per), scale_chunk, &j);
    return SN_OK;
}
static sn_status scratch_forward(const sn_kernel_request *request, sn_kernel_plan *plan) {
    sn_shape s = request->in[0].shape;
    plan->scratch = sums_bytes(s, 1) + 4 * (size_t)sn_last(s) * sizeof(float);
    return SN_OK;
}
SN_REF_SCRATCH(batchnorm, sn_ref_accepts_norm, run_batchnorm, scratch_forward)

/* ---- backward: in = x, gamma, mean, variance, dy ---- */

/* Terms: 0 dy (x - mean), 1 dy. */
SN_WIDE static void add_gradients(const void *context, int64_t outer, int64_t from, int64_t to, int64_t at, int n, float *acc) {
    const job *j = context;
    (void)outer;
    const float *mean = (const float *)j->args->in[2] + at;
    float s[SN_BLOCK], t[SN_BLOCK], *gamma = acc, *beta = acc + SN_BLOCK;
    for (int64_t row = from; row < to; row++) {
        const float *x = sn_block_in(j->plan->in[0], j->args->in[0], row * j->width + at, n, s);
        const float *dy = sn_block_in(j->plan->in[4], j->args->in[4], row * j->width + at, n, t);
        for (int k = 0; k < n; k++) {
            gamma[k] += dy[k] * (x[k] - mean[k]);
            beta[k] += dy[k];
        }
    }
}

static sn_status run_batchnorm_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args, sums_bytes(plan->in[0].shape, 2));
    sn_columns columns = {1, j.rows, j.width, 2, add_gradients, &j};
    const double *sums = sn_columns_run(&columns, plan->threads, args->scratch);
    const float *variance = args->in[3];
    double rows = (double)sn_max64(1, j.rows);
    j.mean = args->in[2];
    for (int64_t i = 0; i < j.width; i++) {
        double rstd = 1.0 / sqrt((double)variance[i] + (double)plan->attr.norm.eps);
        double dgamma = sums[i] * rstd, dbeta = sums[j.width + i];
        double a = (double)sn_load(plan->in[1], args->in[1], i) * rstd, b = -a * rstd * dgamma / rows;
        if (!plan->attr.norm.training) b = 0;
        j.a[i] = (float)a;
        j.b[i] = (float)b;
        j.c[i] = plan->attr.norm.training ? (float)(-a * dbeta / rows) : 0.0f;
        if (args->out[1]) ((float *)args->out[1])[i] = (float)dgamma;
        if (args->out[2]) ((float *)args->out[2])[i] = (float)dbeta;
    }
    if (args->out[0]) sn_parallel(plan->threads, sn_pieces(j.rows, j.per), scale_chunk, &j);
    return SN_OK;
}
static sn_status scratch_backward(const sn_kernel_request *request, sn_kernel_plan *plan) {
    sn_shape s = request->in[0].shape;
    plan->scratch = sums_bytes(s, 2) + 3 * (size_t)sn_last(s) * sizeof(float);
    return SN_OK;
}
SN_REF_SCRATCH(batchnorm_bwd, sn_ref_accepts_norm, run_batchnorm_bwd, scratch_backward)
