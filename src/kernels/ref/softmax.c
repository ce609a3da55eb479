/* softmax.c: SOFTMAX and LOG_SOFTMAX over the last axis, and their backward forms.
 *
 *   x [..., K] -> y [..., K]; one row at a time: maximum, exponentials and their sum, scaling. With lengths
 *   int32 [N] (axis 0 of x) positions at or beyond the length get 0, so a row of length 0 is all 0. */
#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    int64_t rows, width, per, rows_each; /* rows_each: rows that share one length */
    bool logarithm;
} job;

static job job_of(const sn_kernel_plan *plan, const sn_kernel_args *args, bool logarithm) {
    sn_shape s = plan->in[0].shape;
    job j = {plan, args, sn_rows(s), sn_last(s), 0, 1, logarithm};
    j.per = sn_max64(1, SN_CHUNK / sn_max64(1, j.width));
    if (s.rank && s.dim[0]) j.rows_each = sn_max64(1, j.rows / s.dim[0]);
    return j;
}

static void softmax_row(const job *j, int64_t row, int64_t valid) {
    const sn_kernel_plan *p = j->plan;
    const void *x = j->args->in[0];
    void *y = j->args->out[0];
    float a[SN_BLOCK], b[SN_BLOCK];
    int64_t at = row * j->width;
    float top = sn_max_of(p->in[0], x, at, valid);
    double sum = 0;
    for (int64_t i = 0; i < valid; i += SN_BLOCK) {
        int n = sn_block_size(valid - i);
        const float *v = sn_block_in(p->in[0], x, at + i, n, a);
        float *e = j->logarithm ? b : sn_block_out(p->out[0], y, at + i, b);
        sn_exp_shifted(v, top, e, n);
        sum += sn_sum(e, n);
        if (!j->logarithm) sn_block_put(p->out[0], y, at + i, n, e);
    }
    float scale = (float)(1.0 / sum), shift = top + (float)log(sum);
    sn_type from = j->logarithm ? p->in[0] : p->out[0];
    for (int64_t i = 0; i < valid; i += SN_BLOCK) {
        int n = sn_block_size(valid - i);
        const float *v = sn_block_in(from, j->logarithm ? x : y, at + i, n, a);
        float *out = sn_block_out(p->out[0], y, at + i, b);
        if (j->logarithm) {
            SN_INDEPENDENT for (int c = 0; c < n; c++) out[c] = v[c] - shift;
        } else {
            SN_INDEPENDENT for (int c = 0; c < n; c++) out[c] = v[c] * scale;
        }
        sn_block_put(p->out[0], y, at + i, n, out);
    }
}

static void softmax_chunk(void *context, int64_t chunk) {
    const job *j = context;
    int64_t end = sn_min64((chunk + 1) * j->per, j->rows);
    size_t size = sn_dtype_size(j->plan->out[0].dtype);
    for (int64_t row = chunk * j->per; row < end; row++) {
        int64_t valid = j->plan->n_in > 1 ? sn_length(j->args->in[1], row / j->rows_each, j->width) : j->width;
        if (valid) softmax_row(j, row, valid);
        memset((char *)j->args->out[0] + (size_t)(row * j->width + valid) * size, 0, (size_t)(j->width - valid) * size);
    }
}

static sn_status run_softmax(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args, plan->op == SN_LOG_SOFTMAX);
    sn_parallel(plan->threads, sn_pieces(j.rows, j.per), softmax_chunk, &j);
    return SN_OK;
}
SN_REF(softmax, sn_ref_accepts_float, run_softmax)

/* ---- backward: softmax dx = y (dy - sum(y dy)); log-softmax dx = dy - e^y sum(dy) ---- */

static double row_dot(const job *j, int64_t at) {
    float a[SN_BLOCK], b[SN_BLOCK], c[SN_BLOCK];
    double sum = 0;
    for (int64_t i = 0; i < j->width; i += SN_BLOCK) {
        int n = sn_block_size(j->width - i);
        const float *d = sn_block_in(j->plan->in[1], j->args->in[1], at + i, n, b);
        if (!j->logarithm) {
            const float *y = sn_block_in(j->plan->in[0], j->args->in[0], at + i, n, a);
            for (int k = 0; k < n; k++) c[k] = y[k] * d[k];
        }
        sum += sn_sum(j->logarithm ? d : c, n);
    }
    return sum;
}

static void backward_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t end = sn_min64((chunk + 1) * j->per, j->rows);
    float a[SN_BLOCK], b[SN_BLOCK], c[SN_BLOCK], e[SN_BLOCK];
    for (int64_t row = chunk * j->per; row < end; row++) {
        int64_t at = row * j->width;
        float dot = (float)row_dot(j, at);
        for (int64_t i = 0; i < j->width; i += SN_BLOCK) {
            int n = sn_block_size(j->width - i);
            const float *y = sn_block_in(p->in[0], j->args->in[0], at + i, n, a);
            const float *d = sn_block_in(p->in[1], j->args->in[1], at + i, n, b);
            float *dx = sn_block_out(p->out[0], j->args->out[0], at + i, c);
            if (j->logarithm) {
                sn_exp_shifted(y, 0, e, n);
                SN_INDEPENDENT for (int k = 0; k < n; k++) dx[k] = d[k] - e[k] * dot;
            } else {
                SN_INDEPENDENT for (int k = 0; k < n; k++) dx[k] = y[k] * (d[k] - dot);
            }
            sn_block_put(p->out[0], j->args->out[0], at + i, n, dx);
        }
    }
}

static sn_status run_softmax_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = job_of(plan, args, plan->op == SN_LOG_SOFTMAX_BWD);
    sn_parallel(plan->threads, sn_pieces(j.rows, j.per), backward_chunk, &j);
    return SN_OK;
}
SN_REF(softmax_bwd, sn_ref_accepts_float, run_softmax_bwd)
