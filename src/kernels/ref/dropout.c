/* dropout.c: DROPOUT: (x [N, ...], rows int64 [N]) -> y; the mask is drawn, never stored (kernels/dropout.h). */
#include "kernels/dropout.h"

#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    int64_t width, pieces; /* elements of a row; chunks of SN_CHUNK in it */
} job;

static void dropout_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t row = chunk / j->pieces, from = chunk % j->pieces * SN_CHUNK, to = sn_min64(from + SN_CHUNK, j->width);
    int64_t id = ((const int64_t *)j->args->in[1])[row];
    uint32_t least = sn_dropout_threshold(p->attr.dropout.rate);
    float scale = 1.0f / (1.0f - p->attr.dropout.rate);
    float a[SN_BLOCK], b[SN_BLOCK];
    uint32_t words[SN_BLOCK];
    for (int64_t i = from; i < to; i += SN_BLOCK) {
        int n = sn_block_size(to - i);
        int64_t at = row * j->width + i;
        sn_dropout_words(j->args->info->seed, p->stream, j->args->info->step, id, i, SN_BLOCK, words);
        const float *x = sn_block_in(p->in[0], j->args->in[0], at, n, a);
        float *y = sn_block_out(p->out[0], j->args->out[0], at, b);
        SN_INDEPENDENT for (int k = 0; k < n; k++) y[k] = words[k] >= least ? x[k] * scale : 0.0f;
        sn_block_put(p->out[0], j->args->out[0], at, n, y);
    }
}

static sn_status run_dropout(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_shape s = plan->in[0].shape;
    job j = {plan, args, sn_shape_span(s, 1, s.rank), 0};
    j.pieces = sn_pieces(j.width, SN_CHUNK);
    sn_parallel(plan->threads, s.dim[0] * j.pieces, dropout_chunk, &j);
    return SN_OK;
}

static bool accepts_dropout(const sn_kernel_request *r) {
    return r->in[0].shape.rank > 0 && r->in[1].dtype == SN_I64 && r->attr->dropout.rate >= 0 && r->attr->dropout.rate < 1
           && sn_ref_accepts_float(r);
}
SN_REF(dropout, accepts_dropout, run_dropout)
