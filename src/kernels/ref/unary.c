/* unary.c: element-wise ops of one input, their backward forms (which take y or x beside dy), casts, fills.
 *
 *   x [any] -> y [any], in chunks of SN_CHUNK elements, inside in blocks through `sn_unary_fn`. */
#include "kernels/ref/ref.h"
#include "kernels/ref/vmath.h"

#define UNARY(name, expression)                                                                             \
    SN_WIDE static void name(const float *x, float *y, int n, const sn_attr *attr) {                                \
        (void)attr;                                                                                         \
        SN_INDEPENDENT for (int i = 0; i < n; i++) {                                                        \
            float v = x[i];                                                                                 \
            y[i] = (expression);                                                                            \
        }                                                                                                   \
    }

/* The same for expressions that call libm: nothing to vectorise. */
#define UNARY_CALL(name, expression)                                                                        \
    static void name(const float *x, float *y, int n, const sn_attr *attr) {                                \
        (void)attr;                                                                                         \
        for (int i = 0; i < n; i++) {                                                                       \
            float v = x[i];                                                                                 \
            y[i] = (expression);                                                                            \
        }                                                                                                   \
    }

static const float SQRT_HALF = 0.70710678f;    /* 1/sqrt(2) */
static const float GELU_TANH_K = 0.79788456f;  /* sqrt(2/pi) */
static const float GELU_TANH_C = 0.044715f;
static const float QUICK_GELU_K = 1.702f;

UNARY(do_affine, v * attr->affine.scale + attr->affine.shift)
UNARY(do_relu, v < 0.0f ? 0.0f : v)
UNARY(do_gelu, 0.5f * v * (1.0f + sn_verf(v * SQRT_HALF)))
UNARY(do_gelu_tanh, 0.5f * v * (1.0f + sn_vtanh(GELU_TANH_K * (v + GELU_TANH_C * v * v * v))))
UNARY(do_tanh, sn_vtanh(v))
UNARY(do_sigmoid, sn_vsigmoid(v))
UNARY(do_silu, v * sn_vsigmoid(v))
UNARY(do_quick_gelu, v * sn_vsigmoid(QUICK_GELU_K * v))
UNARY(do_exp, sn_vexp(v))
UNARY_CALL(do_log, logf(v))
UNARY(do_sqrt, sqrtf(v))
UNARY(do_square, v * v)
UNARY(do_abs, fabsf(v))
UNARY(do_sign, v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : v)
UNARY_CALL(do_softplus, (v > 0.0f ? v : 0.0f) + log1pf(expf(-fabsf(v))))
UNARY(do_clamp, v < attr->clamp.low ? attr->clamp.low : v > attr->clamp.high ? attr->clamp.high : v)
UNARY(do_huber, fabsf(v) <= attr->huber.delta ? 0.5f * v * v : attr->huber.delta * (fabsf(v) - 0.5f * attr->huber.delta))

SN_WIDE void sn_exp_shifted(const float *x, float shift, float *y, int n) {
    SN_INDEPENDENT for (int i = 0; i < n; i++) y[i] = sn_vexp(x[i] - shift);
}

static sn_unary_fn *const forward_of[SN_OP_COUNT] = {
    [SN_AFFINE] = do_affine, [SN_RELU] = do_relu,   [SN_GELU] = do_gelu,         [SN_GELU_TANH] = do_gelu_tanh,
    [SN_TANH] = do_tanh,     [SN_SIGMOID] = do_sigmoid, [SN_SILU] = do_silu,     [SN_EXP] = do_exp,
    [SN_LOG] = do_log,       [SN_SQRT] = do_sqrt,   [SN_SQUARE] = do_square,     [SN_ABS] = do_abs,
    [SN_QUICK_GELU] = do_quick_gelu, [SN_SIGN] = do_sign,     [SN_SOFTPLUS] = do_softplus, [SN_CLAMP] = do_clamp, [SN_HUBER] = do_huber};

void sn_activate(sn_act act, float *y, int64_t n) {
    if (act == SN_ACT_NONE) return;
    sn_unary_fn *forward = forward_of[sn_act_op(act)];
    for (int64_t at = 0; at < n; at += SN_BLOCK) forward(y + at, y + at, sn_block_size(n - at), NULL);
}

/* ---- one input ---- */

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    int64_t count;
} job;

static void unary_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t end = sn_min64((chunk + 1) * SN_CHUNK, j->count);
    float a[SN_BLOCK], b[SN_BLOCK];
    for (int64_t at = chunk * SN_CHUNK; at < end; at += SN_BLOCK) {
        int n = sn_block_size(end - at);
        const float *x = sn_block_in(p->in[0], j->args->in[0], at, n, a);
        float *y = sn_block_out(p->out[0], j->args->out[0], at, b);
        forward_of[p->op](x, y, n, &p->attr);
        sn_block_put(p->out[0], j->args->out[0], at, n, y);
    }
}

static sn_status run_unary(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, sn_shape_count(plan->out[0].shape)};
    sn_parallel(plan->threads, sn_pieces(j.count, SN_CHUNK), unary_chunk, &j);
    return SN_OK;
}
SN_REF(unary, sn_ref_accepts_float, run_unary)

/* ---- backward: a is y or x, d is dy ---- */

typedef void unary_bwd_fn(const float *a, const float *d, float *y, int n);

#define UNARY_BWD(name, expression)                                                                         \
    SN_WIDE static void name(const float *a, const float *d, float *y, int n) {                                     \
        SN_INDEPENDENT for (int i = 0; i < n; i++) {                                                        \
            float v = a[i];                                                                                 \
            y[i] = (expression);                                                                            \
        }                                                                                                   \
    }

static inline float gelu_slope(float v) { /* Phi(v) + v phi(v) */
    return 0.5f * (1.0f + sn_verf(v * SQRT_HALF)) + v * 0.39894228f * sn_vexp(-0.5f * v * v);
}
static inline float gelu_tanh_slope(float v) {
    float t = sn_vtanh(GELU_TANH_K * (v + GELU_TANH_C * v * v * v));
    return 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * GELU_TANH_K * (1.0f + 3.0f * GELU_TANH_C * v * v);
}
static inline float silu_slope(float v) {
    float s = sn_vsigmoid(v);
    return s * (1.0f + v * (1.0f - s));
}

static inline float quick_gelu_slope(float v) {
    float s = sn_vsigmoid(QUICK_GELU_K * v);
    return s * (1.0f + QUICK_GELU_K * v * (1.0f - s));
}

UNARY_BWD(do_relu_bwd, v > 0.0f ? d[i] : 0.0f)
UNARY_BWD(do_tanh_bwd, d[i] * (1.0f - v * v))
UNARY_BWD(do_sigmoid_bwd, d[i] * v * (1.0f - v))
UNARY_BWD(do_gelu_bwd, d[i] * gelu_slope(v))
UNARY_BWD(do_gelu_tanh_bwd, d[i] * gelu_tanh_slope(v))
UNARY_BWD(do_silu_bwd, d[i] * silu_slope(v))
UNARY_BWD(do_quick_gelu_bwd, d[i] * quick_gelu_slope(v))

static unary_bwd_fn *const backward_of[SN_OP_COUNT] = {
    [SN_RELU_BWD] = do_relu_bwd, [SN_TANH_BWD] = do_tanh_bwd,           [SN_SIGMOID_BWD] = do_sigmoid_bwd,
    [SN_GELU_BWD] = do_gelu_bwd, [SN_GELU_TANH_BWD] = do_gelu_tanh_bwd, [SN_SILU_BWD] = do_silu_bwd,
    [SN_QUICK_GELU_BWD] = do_quick_gelu_bwd};

static void unary_bwd_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t end = sn_min64((chunk + 1) * SN_CHUNK, j->count);
    float a[SN_BLOCK], b[SN_BLOCK], c[SN_BLOCK];
    for (int64_t at = chunk * SN_CHUNK; at < end; at += SN_BLOCK) {
        int n = sn_block_size(end - at);
        const float *x = sn_block_in(p->in[0], j->args->in[0], at, n, a);
        const float *d = sn_block_in(p->in[1], j->args->in[1], at, n, b);
        float *y = sn_block_out(p->out[0], j->args->out[0], at, c);
        backward_of[p->op](x, d, y, n);
        sn_block_put(p->out[0], j->args->out[0], at, n, y);
    }
}

static sn_status run_unary_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, sn_shape_count(plan->out[0].shape)};
    sn_parallel(plan->threads, sn_pieces(j.count, SN_CHUNK), unary_bwd_chunk, &j);
    return SN_OK;
}
SN_REF(unary_bwd, sn_ref_accepts_float, run_unary_bwd)

/* ---- casts, copies, fills ---- */

static void cast_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    int64_t end = sn_min64((chunk + 1) * SN_CHUNK, j->count);
    float a[SN_BLOCK];
    for (int64_t at = chunk * SN_CHUNK; at < end; at += SN_BLOCK) {
        int n = sn_block_size(end - at);
        sn_block_put(p->out[0], j->args->out[0], at, n, sn_block_in(p->in[0], j->args->in[0], at, n, a));
    }
}

static sn_status run_cast(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, sn_shape_count(plan->out[0].shape)};
    sn_parallel(plan->threads, sn_pieces(j.count, SN_CHUNK), cast_chunk, &j);
    return SN_OK;
}
static bool accepts_cast(const sn_kernel_request *r) {
    sn_dtype to = r->out[0].dtype;
    return r->in[0].dtype != SN_OPAQUE && (to == SN_F32 || to == SN_BF16 || to == SN_F16);
}
SN_REF(cast, accepts_cast, run_cast)

static sn_status run_copy(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    int64_t bytes = sn_shape_count(plan->out[0].shape) * (int64_t)sn_dtype_size(plan->out[0].dtype);
    sn_copy_runs(plan->threads, args->in[0], 0, args->out[0], 0, 1, bytes);
    return SN_OK;
}
SN_REF(copy, sn_ref_accepts_alike, run_copy)

static sn_status run_fill(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    int64_t count = sn_shape_count(plan->out[0].shape);
    float block[SN_BLOCK];
    for (int i = 0; i < SN_BLOCK; i++) block[i] = plan->attr.fill.value;
    for (int64_t at = 0; at < count; at += SN_BLOCK)
        sn_block_put(plan->out[0], args->out[0], at, sn_block_size(count - at), block);
    return SN_OK;
}
static bool accepts_fill(const sn_kernel_request *r) {
    sn_dtype to = r->out[0].dtype;
    return to == SN_F32 || to == SN_BF16 || to == SN_F16 || to == SN_I32;
}
SN_REF(fill, accepts_fill, run_fill)
