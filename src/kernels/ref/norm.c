/* norm.c: LAYERNORM and its backward form.
 *
 *   x [rows, D], gamma [D], beta [D] -> y, mean [rows], rstd [rows]
 *   backward, with h = (x - mean) rstd and g = dy gamma:
 *     dx = rstd (g - mean(g) - h mean(g h)), dgamma = sum over rows of dy h, dbeta = sum over rows of dy */
#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    int64_t rows, width, per;
} job;

static job job_of(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, sn_rows(plan->in[0].shape), sn_last(plan->in[0].shape), 0};
    j.per = sn_max64(1, SN_CHUNK / sn_max64(1, j.width));
    return j;
}

SN_WIDE static void statistics(sn_type type, const void *x, int64_t at, int64_t n, double *mean, double *variance) {
    float a[SN_BLOCK], b[SN_BLOCK];
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i += SN_BLOCK) {
        int m = sn_block_size(n - i);
        sum += sn_sum(sn_block_in(type, x, at + i, m, a), m);
    }
    *mean = sum / (double)n;
    float centre = (float)*mean;
    for (int64_t i = 0; i < n; i += SN_BLOCK) {
        int m = sn_block_size(n - i);
        const float *v = sn_block_in(type, x, at + i, m, a);
        for (int k = 0; k < m; k++) b[k] = (v[k] - centre) * (v[k] - centre);
        squares += sn_sum(b, m);
    }
    *variance = squares / (double)n;
}

SN_WIDE static void forward_row(const job *j, int64_t row) {
    const sn_kernel_plan *p = j->plan;
    void *const *in = j->args->in, *const *out = j->args->out;
    float a[SN_BLOCK], b[SN_BLOCK], c[SN_BLOCK], d[SN_BLOCK];
    double mean, variance;
    statistics(p->in[0], in[0], row * j->width, j->width, &mean, &variance);
    float centre = (float)mean, rstd = (float)(1.0 / sqrt(variance + (double)p->attr.norm.eps));
    for (int64_t i = 0; i < j->width && out[0]; i += SN_BLOCK) {
        int n = sn_block_size(j->width - i);
        int64_t at = row * j->width + i;
        const float *x = sn_block_in(p->in[0], in[0], at, n, a);
        const float *gamma = sn_block_in(p->in[1], in[1], i, n, b), *beta = sn_block_in(p->in[2], in[2], i, n, c);
        float *y = sn_block_out(p->out[0], out[0], at, d);
        SN_INDEPENDENT for (int k = 0; k < n; k++) y[k] = (x[k] - centre) * rstd * gamma[k] + beta[k];
        sn_block_put(p->out[0], out[0], at, n, y);
    }
    if (out[1]) ((float *)out[1])[row] = centre;
    if (out[2]) ((float *)out[2])[row] = rstd;
}

static void forward_chunk(void *context, int64_t chunk) {
    const job *j = context;
    int64_t end = sn_min64((chunk + 1) * j->per, j->rows);
    for (int64_t row = chunk * j->per; row < end; row++) forward_row(j, row);
}

static sn_status run_layernorm(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args);
    sn_parallel(plan->threads, sn_pieces(j.rows, j.per), forward_chunk, &j);
    return SN_OK;
}
SN_REF(layernorm, sn_ref_accepts_norm, run_layernorm)

/* ---- backward: in = x, gamma, mean, rstd, dy ---- */

SN_WIDE static void dx_row(const job *j, int64_t row) {
    const sn_kernel_plan *p = j->plan;
    void *const *in = j->args->in;
    float a[SN_BLOCK], b[SN_BLOCK], c[SN_BLOCK], g[SN_BLOCK], gh[SN_BLOCK];
    float mean = ((const float *)in[2])[row], rstd = ((const float *)in[3])[row];
    double sum_g = 0, sum_gh = 0;
    for (int64_t i = 0; i < j->width; i += SN_BLOCK) {
        int n = sn_block_size(j->width - i);
        int64_t at = row * j->width + i;
        const float *x = sn_block_in(p->in[0], in[0], at, n, a), *gamma = sn_block_in(p->in[1], in[1], i, n, b);
        const float *dy = sn_block_in(p->in[4], in[4], at, n, c);
        for (int k = 0; k < n; k++) {
            g[k] = dy[k] * gamma[k];
            gh[k] = g[k] * ((x[k] - mean) * rstd);
        }
        sum_g += sn_sum(g, n);
        sum_gh += sn_sum(gh, n);
    }
    float mean_g = (float)(sum_g / (double)j->width), mean_gh = (float)(sum_gh / (double)j->width);
    for (int64_t i = 0; i < j->width; i += SN_BLOCK) {
        int n = sn_block_size(j->width - i);
        int64_t at = row * j->width + i;
        const float *x = sn_block_in(p->in[0], in[0], at, n, a), *gamma = sn_block_in(p->in[1], in[1], i, n, b);
        const float *dy = sn_block_in(p->in[4], in[4], at, n, c);
        float *dx = sn_block_out(p->out[0], j->args->out[0], at, g);
        SN_INDEPENDENT for (int k = 0; k < n; k++)
            dx[k] = rstd * (dy[k] * gamma[k] - mean_g - (x[k] - mean) * rstd * mean_gh);
        sn_block_put(p->out[0], j->args->out[0], at, n, dx);
    }
}

static void dx_chunk(void *context, int64_t chunk) {
    const job *j = context;
    int64_t end = sn_min64((chunk + 1) * j->per, j->rows);
    for (int64_t row = chunk * j->per; row < end; row++) dx_row(j, row);
}

/* Terms: 0 dy h (dgamma), 1 dy (dbeta). */
SN_WIDE static void add_rows(const void *context, int64_t outer, int64_t from, int64_t to, int64_t at, int n, float *acc) {
    const job *j = context;
    (void)outer;
    const float *mean = j->args->in[2], *rstd = j->args->in[3];
    float a[SN_BLOCK], b[SN_BLOCK], *gamma = acc, *beta = acc + SN_BLOCK;
    for (int64_t row = from; row < to; row++) {
        const float *x = sn_block_in(j->plan->in[0], j->args->in[0], row * j->width + at, n, a);
        const float *dy = sn_block_in(j->plan->in[4], j->args->in[4], row * j->width + at, n, b);
        float m = mean[row], r = rstd[row];
        for (int k = 0; k < n; k++) {
            gamma[k] += dy[k] * ((x[k] - m) * r);
            beta[k] += dy[k];
        }
    }
}

static sn_status run_layernorm_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args);
    if (args->out[0]) sn_parallel(plan->threads, sn_pieces(j.rows, j.per), dx_chunk, &j);
    if (!args->out[1] && !args->out[2]) return SN_OK;
    sn_columns c = {1, j.rows, j.width, 2, add_rows, &j};
    const double *sums = sn_columns_run(&c, plan->threads, args->scratch);
    for (int term = 0; term < 2; term++)
        for (int64_t i = 0; i < j.width && args->out[1 + term]; i++)
            ((float *)args->out[1 + term])[i] = (float)sums[term * j.width + i];
    return SN_OK;
}

static sn_status scratch_columns(const sn_kernel_request *request, sn_kernel_plan *plan) {
    sn_shape s = request->in[0].shape;
    plan->scratch = sn_columns_scratch(1, sn_rows(s), sn_last(s), 2);
    return SN_OK;
}
SN_REF_SCRATCH(layernorm_bwd, sn_ref_accepts_norm, run_layernorm_bwd, scratch_columns)
