/* matmul.c: the plain matrix product, in double, one output row a chunk.
 *
 *   a [..., M, K] or (trans_a) [..., K, M], b [K, N] or (trans_b) [N, K], or with a's leading axes; bias [N]
 *   -> act(a b + bias) [..., M, N] */
#include "kernels/ref/ref.h"

enum { TILE = 256 };

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    int64_t m, n, k;
    int64_t a_row, a_k, a_batch; /* steps in a, in elements */
    int64_t b_k, b_column, b_batch;
} job;

/* acc[0..n) = row `row` of a times columns [at, at + n) of b. */
static void products(const job *j, int64_t a0, int64_t b0, int64_t at, int n, double *acc) {
    sn_type ta = j->plan->in[0], tb = j->plan->in[1];
    float buffer[SN_BLOCK], other[SN_BLOCK];
    for (int c = 0; c < n; c++) acc[c] = 0;
    if (j->b_column == 1) {
        for (int64_t k = 0; k < j->k; k++) {
            double v = (double)sn_load(ta, j->args->in[0], a0 + k * j->a_k);
            const float *b = sn_block_in(tb, j->args->in[1], b0 + k * j->b_k + at, n, buffer);
            for (int c = 0; c < n; c++) acc[c] += v * (double)b[c];
        }
        return;
    }
    for (int64_t k = 0; k < j->k; k += SN_BLOCK) { /* b is [N, K]: dot products */
        int stretch = sn_block_size(j->k - k);
        for (int i = 0; i < stretch; i++) other[i] = sn_load(ta, j->args->in[0], a0 + (k + i) * j->a_k);
        for (int c = 0; c < n; c++) {
            const float *b = sn_block_in(tb, j->args->in[1], b0 + (at + c) * j->b_column + k, stretch, buffer);
            double sum = 0;
            for (int i = 0; i < stretch; i++) sum += (double)other[i] * (double)b[i];
            acc[c] += sum;
        }
    }
}

static void row_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t batch = chunk / j->m, row = chunk % j->m;
    int64_t a0 = batch * j->a_batch + row * j->a_row, b0 = batch * j->b_batch;
    double acc[TILE];
    float y[TILE];
    for (int64_t at = 0; at < j->n; at += TILE) {
        int n = (int)sn_min64(TILE, j->n - at);
        products(j, a0, b0, at, n, acc);
        for (int c = 0; c < n; c++) {
            double bias = p->n_in > 2 ? (double)sn_load(p->in[2], j->args->in[2], at + c) : 0;
            y[c] = (float)(acc[c] + bias);
        }
        sn_activate((sn_act)p->attr.matmul.act, y, n);
        sn_block_put(p->out[0], j->args->out[0], chunk * j->n + at, n, y);
    }
}

static sn_status run_matmul(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_shape a = plan->in[0].shape, b = plan->in[1].shape, y = plan->out[0].shape;
    bool ta = plan->attr.matmul.trans_a, tb = plan->attr.matmul.trans_b;
    job j = {.plan = plan, .args = args, .m = y.dim[y.rank - 2], .n = y.dim[y.rank - 1]};
    j.k = a.dim[a.rank - (ta ? 2 : 1)];
    j.a_row = ta ? 1 : j.k;
    j.a_k = ta ? j.m : 1;
    j.a_batch = j.m * j.k;
    j.b_k = tb ? 1 : j.n;
    j.b_column = tb ? j.k : 1;
    j.b_batch = b.rank > 2 ? j.n * j.k : 0;
    sn_parallel(plan->threads, sn_shape_span(y, 0, y.rank - 2) * j.m, row_chunk, &j);
    return SN_OK;
}
SN_REF(matmul, sn_ref_accepts_float, run_matmul)
