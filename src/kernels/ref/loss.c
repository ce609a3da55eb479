/* loss.c: SOFTMAX_XENT (with class weights and label smoothing) per row, its backward form, BCE_LOGITS.
 *
 *   logits [N, C], labels int32 [N], w [C] -> loss [N]
 *   loss = w[l] (1-s) (-log p[l]) - s/C sum_c w[c] log p[c];  label -1: 0 */
#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    int64_t classes;
} job;

/* log of the sum of exponentials of row `at`. */
static double log_sum(sn_type type, const void *x, int64_t at, int64_t n) {
    float a[SN_BLOCK], e[SN_BLOCK], top = sn_max_of(type, x, at, n);
    double sum = 0;
    for (int64_t i = 0; i < n; i += SN_BLOCK) {
        int m = sn_block_size(n - i);
        sn_exp_shifted(sn_block_in(type, x, at + i, m, a), top, e, m);
        sum += sn_sum(e, m);
    }
    return (double)top + log(sum);
}

/* sum_c w[c] (norm - x[c]), or sum_c w[c] where x is NULL. */
static double weighted(sn_type wtype, const void *weights, sn_type type, const void *x, int64_t at, int64_t n, double norm) {
    float a[SN_BLOCK], b[SN_BLOCK];
    double sum = 0;
    for (int64_t i = 0; i < n; i += SN_BLOCK) {
        int m = sn_block_size(n - i);
        const float *w = sn_block_in(wtype, weights, i, m, a), *v = x ? sn_block_in(type, x, at + i, m, b) : NULL;
        for (int c = 0; c < m; c++) sum += (double)w[c] * (v ? norm - (double)v[c] : 1.0);
    }
    return sum;
}

static sn_status check_labels(const sn_kernel_plan *plan, const int32_t *labels) {
    int64_t n = plan->in[0].shape.dim[0], classes = plan->in[0].shape.dim[1];
    for (int64_t i = 0; i < n; i++)
        if (labels[i] < -1 || labels[i] >= classes)
            SN_FAIL(SN_ERR_SHAPE, "%s: label %d of row %lld is outside 0..%lld", "SOFTMAX_XENT", (int)labels[i],
                    (long long)i, (long long)classes - 1);
    return SN_OK;
}

static void xent_row(void *context, int64_t row) {
    const job *j = context;
    sn_type type = j->plan->in[0], wtype = j->plan->in[2];
    const void *x = j->args->in[0], *weights = j->args->in[2];
    int32_t label = ((const int32_t *)j->args->in[1])[row];
    double loss = 0;
    if (label >= 0) {
        int64_t at = row * j->classes;
        double norm = log_sum(type, x, at, j->classes), s = (double)j->plan->attr.loss.smoothing;
        loss = (1 - s) * (double)sn_load(wtype, weights, label) * (norm - (double)sn_load(type, x, at + label));
        if (s != 0) loss += s / (double)j->classes * weighted(wtype, weights, type, x, at, j->classes, norm);
    }
    sn_store(j->plan->out[0], j->args->out[0], row, (float)loss);
}

static sn_status run_xent(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    SN_TRY(check_labels(plan, args->in[1]));
    job j = {plan, args, plan->in[0].shape.dim[1]};
    sn_parallel(plan->threads, plan->in[0].shape.dim[0], xent_row, &j);
    return SN_OK;
}
SN_REF(xent, sn_ref_accepts_float, run_xent)

/* d loss / d x[k] = (1-s) w[l] (p[k] - [k = l]) + s/C (p[k] sum_c w[c] - w[k]) */
static void xent_bwd_row(void *context, int64_t row) {
    const job *j = context;
    sn_type type = j->plan->in[0], wtype = j->plan->in[2], to = j->plan->out[0];
    const void *x = j->args->in[0], *weights = j->args->in[2];
    int32_t label = ((const int32_t *)j->args->in[1])[row];
    int64_t at = row * j->classes, n = j->classes;
    float a[SN_BLOCK], p[SN_BLOCK], dx[SN_BLOCK];
    float slope = 0, smooth = 0, norm = 0, own = 0; /* dx = p slope - w smooth - [k = l] own */
    if (label >= 0) {
        double s = (double)j->plan->attr.loss.smoothing, d = (double)sn_load(j->plan->in[3], j->args->in[3], row);
        double share = (1 - s) * (double)sn_load(wtype, weights, label);
        double total = s != 0 ? s / (double)n * weighted(wtype, weights, type, NULL, 0, n, 0) : 0;
        norm = (float)log_sum(type, x, at, n);
        own = (float)(d * share);
        slope = (float)(d * (share + total));
        smooth = (float)(d * s / (double)n);
    }
    for (int64_t i = 0; i < n; i += SN_BLOCK) {
        int m = sn_block_size(n - i);
        memset(dx, 0, sizeof dx);
        if (label >= 0) {
            sn_exp_shifted(sn_block_in(type, x, at + i, m, a), norm, p, m);
            const float *w = sn_block_in(wtype, weights, i, m, a);
            for (int c = 0; c < m; c++) dx[c] = p[c] * slope - w[c] * smooth;
            if (label >= i && label < i + m) dx[label - i] -= own;
        }
        sn_block_put(to, j->args->out[0], at + i, m, dx);
    }
}

static sn_status run_xent_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    SN_TRY(check_labels(plan, args->in[1]));
    job j = {plan, args, plan->in[0].shape.dim[1]};
    sn_parallel(plan->threads, plan->in[0].shape.dim[0], xent_bwd_row, &j);
    return SN_OK;
}
SN_REF(xent_bwd, sn_ref_accepts_float, run_xent_bwd)

/* ---- max(x, 0) - x t + log(1 + e^-|x|) ---- */

static void bce_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t count = sn_shape_count(p->out[0].shape), end = sn_min64((chunk + 1) * SN_CHUNK, count);
    float a[SN_BLOCK], b[SN_BLOCK], y[SN_BLOCK];
    for (int64_t at = chunk * SN_CHUNK; at < end; at += SN_BLOCK) {
        int n = sn_block_size(end - at);
        const float *x = sn_block_in(p->in[0], j->args->in[0], at, n, a);
        const float *t = sn_block_in(p->in[1], j->args->in[1], at, n, b);
        for (int i = 0; i < n; i++) y[i] = (x[i] > 0.0f ? x[i] : 0.0f) - x[i] * t[i] + log1pf(expf(-fabsf(x[i])));
        sn_block_put(p->out[0], j->args->out[0], at, n, y);
    }
}

static sn_status run_bce(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, 0};
    sn_parallel(plan->threads, sn_pieces(sn_shape_count(plan->out[0].shape), SN_CHUNK), bce_chunk, &j);
    return SN_OK;
}
SN_REF(bce, sn_ref_accepts_float, run_bce)
