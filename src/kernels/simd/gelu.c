/* gelu.c: GELU (erf form) and its gradient, f32 or bf16 in and out in any mixture, in one pass without a buffer.
 *
 *   y  = x Phi(x)                 Phi(x) = 1 - E/2 for x >= 0, E/2 below, with
 *   dx = dy (Phi(x) + x phi(x))   E = erfc(|x|/sqrt 2) = (a1 t + … + a5 t^5) e^(-x²/2),  t = 1 / (1 + p |x|/sqrt 2)
 *
 * (Abramowitz and Stegun 7.1.26, error 1.5e-7): Phi and phi share one exponential. */
#include <math.h>

#include "base/parallel.h"
#include "base/wide.h"
#include "kernels/kernel.h"

#ifdef __x86_64__

#define INLINE static inline __attribute__((always_inline))
#define FMA __builtin_fmaf
enum { CHUNK = 1 << 14 };

typedef struct parts {
    float cdf, density; /* Phi and x phi */
} parts;

INLINE parts parts_of(float x) {
    float c = x > 13.0f ? 13.0f : x; /* a NaN stays one */
    c = c < -13.0f ? -13.0f : c;
    float z = c * c * -0.5f; /* 0 … -84.5: e^z = 2^k e^r, as kernels/ref/vmath.h */
    float shifted = FMA(z, 1.44269504f, 12582912.0f), k = shifted - 12582912.0f;
    float r = FMA(k, -0.693359375f, z);
    r = FMA(k, 2.12194440e-4f, r);
    float e = FMA(1.98756915e-4f, r, 1.39819994e-3f);
    e = FMA(e, r, 8.33345205e-3f);
    e = FMA(e, r, 4.16657962e-2f);
    e = FMA(e, r, 1.66666654e-1f);
    e = FMA(e, r, 5.00000000e-1f);
    e = FMA(e * r, r, r) + 1.0f;
    uint32_t bits;
    float scale;
    memcpy(&bits, &shifted, 4);
    bits = (bits + 127u) << 23;
    memcpy(&scale, &bits, 4);
    e *= scale;
    float t = 1.0f / FMA(fabsf(c), 0.3275911f * 0.70710678f, 1.0f);
    float p = FMA(1.061405429f, t, -1.453152027f);
    p = FMA(p, t, 1.421413741f);
    p = FMA(p, t, -0.284496736f);
    p = FMA(p, t, 0.254829592f);
    float half = 0.5f * p * t * e;
    return (parts){c < 0.0f ? half : 1.0f - half, c * 0.39894228f * e};
}

INLINE float get(const void *x, bool narrow, int64_t i) {
    return narrow ? sn_from_bf16(((const uint16_t *)x)[i]) : ((const float *)x)[i];
}
INLINE void put(void *y, bool narrow, int64_t i, float v) {
    if (narrow) ((uint16_t *)y)[i] = sn_to_bf16(v);
    else ((float *)y)[i] = v;
}

typedef void pass(const void *x, const void *dy, void *to, int64_t n);

/* In place is one element after the other, so iterations are independent even then. */
INLINE void forward(const void *x, bool x16, void *y, bool y16, int64_t n) {
    SN_INDEPENDENT for (int64_t i = 0; i < n; i++) {
        float v = get(x, x16, i);
        put(y, y16, i, v * parts_of(v).cdf);
    }
}
INLINE void backward(const void *x, bool x16, const void *dy, bool d16, void *dx, bool y16, int64_t n) {
    SN_INDEPENDENT for (int64_t i = 0; i < n; i++) {
        parts s = parts_of(get(x, x16, i));
        put(dx, y16, i, get(dy, d16, i) * (s.cdf + s.density));
    }
}

/* [dtypes]: bit 0 x, bit 1 dy (backward), bit 2 the output is bf16 */
#define ONE(isa, features, d)                                                                               \
    __attribute__((target(features))) static void forward_##isa##_##d(const void *x, const void *dy, void *to, int64_t n) { \
        (void)dy;                                                                                           \
        forward(x, (d) & 1, to, (d) & 4, n);                                                                \
    }                                                                                                       \
    __attribute__((target(features))) static void backward_##isa##_##d(const void *x, const void *dy, void *to, int64_t n) { \
        backward(x, (d) & 1, dy, (d) & 2, to, (d) & 4, n);                                                  \
    }
#define ALL(isa, features)                                                                                  \
    ONE(isa, features, 0) ONE(isa, features, 1) ONE(isa, features, 2) ONE(isa, features, 3)                 \
    ONE(isa, features, 4) ONE(isa, features, 5) ONE(isa, features, 6) ONE(isa, features, 7)                 \
    static pass *const isa[2][8] = {                                                                        \
        {forward_##isa##_0, forward_##isa##_1, forward_##isa##_2, forward_##isa##_3, forward_##isa##_4,     \
         forward_##isa##_5, forward_##isa##_6, forward_##isa##_7},                                          \
        {backward_##isa##_0, backward_##isa##_1, backward_##isa##_2, backward_##isa##_3, backward_##isa##_4, \
         backward_##isa##_5, backward_##isa##_6, backward_##isa##_7}};
ALL(avx2, "avx2,fma")
ALL(avx512, "avx512f,avx512bw,avx512vl,avx512dq,avx512cd,fma")

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    pass *run;
    int64_t count;
} job;

static void chunk(void *context, int64_t index) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t from = index * CHUNK, n = j->count - from < CHUNK ? j->count - from : CHUNK;
    const char *x = j->args->in[0], *dy = p->n_in > 1 ? j->args->in[1] : NULL;
    char *to = j->args->out[0];
    if (dy) dy += from * (int64_t)sn_dtype_size(p->in[1].dtype);
    j->run(x + from * (int64_t)sn_dtype_size(p->in[0].dtype), dy, to + from * (int64_t)sn_dtype_size(p->out[0].dtype), n);
}

static sn_status run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    pass *const *table = plan->state;
    int which = (plan->in[0].dtype == SN_BF16) | (plan->n_in > 1 && plan->in[1].dtype == SN_BF16) << 1
                | (plan->out[0].dtype == SN_BF16) << 2;
    job j = {plan, args, table[which], sn_shape_count(plan->out[0].shape)};
    sn_parallel(plan->threads, (j.count + CHUNK - 1) / CHUNK, chunk, &j);
    return SN_OK;
}

static bool is_float(sn_dtype d) { return d == SN_F32 || d == SN_BF16; }
static bool accepts(const sn_kernel_request *r) {
    bool fits = r->isa >= SN_ISA_AVX2 && is_float(r->out[0].dtype);
    for (int k = 0; k < r->n_in; k++)
        fits = fits && is_float(r->in[k].dtype) && sn_shape_equal(r->in[k].shape, r->out[0].shape);
    return fits;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    plan->run = run;
    plan->state = (void *)(uintptr_t)(r->isa >= SN_ISA_AVX512 ? avx512 : avx2)[r->n_in > 1];
    return SN_OK;
}
const sn_kernel sn_simd_gelu = {"simd:gelu", accepts, prepare};

#else
const sn_kernel sn_simd_gelu = {"none", NULL, NULL};
#endif
