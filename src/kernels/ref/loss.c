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
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < n; c++) top = fmax(top, (double)sn_load(type, x, at + c));
    for (int64_t c = 0; c < n; c++) sum += exp((double)sn_load(type, x, at + c) - top);
    return top + log(sum);
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
        for (int64_t c = 0; c < j->classes && s != 0; c++)
            loss += s / (double)j->classes * (double)sn_load(wtype, weights, c) * (norm - (double)sn_load(type, x, at + c));
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
    sn_type type = j->plan->in[0], wtype = j->plan->in[2];
    const void *x = j->args->in[0], *weights = j->args->in[2];
    int32_t label = ((const int32_t *)j->args->in[1])[row];
    int64_t at = row * j->classes;
    double norm = 0, total = 0, s = (double)j->plan->attr.loss.smoothing, own = 0, dloss = 0;
    if (label >= 0) {
        norm = log_sum(type, x, at, j->classes);
        own = (1 - s) * (double)sn_load(wtype, weights, label);
        dloss = (double)sn_load(j->plan->in[3], j->args->in[3], row);
        for (int64_t c = 0; c < j->classes && s != 0; c++) total += (double)sn_load(wtype, weights, c);
    }
    for (int64_t c = 0; c < j->classes; c++) {
        double d = 0;
        if (label >= 0) {
            double p = exp((double)sn_load(type, x, at + c) - norm);
            d = own * (p - (c == label ? 1 : 0));
            if (s != 0) d += s / (double)j->classes * (p * total - (double)sn_load(wtype, weights, c));
        }
        sn_store(j->plan->out[0], j->args->out[0], at + c, (float)(d * dloss));
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
