/* relu_bwd.c: ReLU's gradient in bf16 on the bits themselves: no number is computed, only kept or dropped.
 * (y, dy) -> dy where y > 0, else 0. */
#include "base/parallel.h"
#include "base/wide.h"
#include "kernels/kernel.h"

enum { CHUNK = 1 << 15 };

typedef struct job {
    const uint16_t *y, *dy;
    uint16_t *dx;
    int64_t count;
} job;

SN_WIDE static void keep(const uint16_t *y, const uint16_t *dy, uint16_t *dx, int64_t n) {
    SN_INDEPENDENT for (int64_t i = 0; i < n; i++) {
        uint16_t d = dy[i], above = (uint16_t)(y[i] - 1u); /* y of 1 … 0x7f80: above zero, infinity included, NaN not */
        dx[i] = (uint16_t)(above < 0x7f80u ? d : 0u);
    }
}

static void chunk(void *context, int64_t index) {
    const job *j = context;
    int64_t from = index * CHUNK, n = j->count - from < CHUNK ? j->count - from : CHUNK;
    keep(j->y + from, j->dy + from, j->dx + from, n);
}

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {args->in[0], args->in[1], args->out[0], sn_shape_count(plan->out[0].shape)};
    sn_parallel(plan->threads, (j.count + CHUNK - 1) / CHUNK, chunk, &j);
    return SN_OK;
}

static bool accepts(const sn_kernel_request *r) {
    return r->in[0].dtype == SN_BF16 && r->in[1].dtype == SN_BF16 && r->out[0].dtype == SN_BF16
           && sn_shape_equal(r->in[0].shape, r->in[1].shape);
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    (void)r;
    plan->run = run;
    return SN_OK;
}
const sn_kernel sn_simd_relu_bwd = {"simd:relu_bwd", accepts, prepare};
