/* harness.c: buffers, fills, and one op run through sn_kernel_select on plain memory. */
#include <math.h>

#include "base/rng.h"
#include "base/text.h"
#include "ops/cases.h"
#include "test.h"

/* ---- buffers ---- */

static void *aligned(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes ? bytes : 1)) fail_msg("no memory");
    memset(p, 0xFF, bytes);
    return p;
}

void sn_buffer_make(sn_buffer *b, sn_type type, size_t opaque_bytes) {
    b->type = type;
    b->bytes = opaque_bytes;
    if (type.dtype != SN_OPAQUE) assert_ok(sn_type_bytes(type, &b->bytes));
    b->data = aligned(b->bytes);
}

void sn_buffer_free(sn_buffer *b) {
    free(b->data);
    *b = (sn_buffer){.data = NULL};
}

static float value_of(int fill, sn_rng_key key, uint64_t i) {
    double u = sn_rng_uniform(key, i, 1);
    switch (fill) {
    case SN_FILL_WIDE: return (float)(6 * sn_rng_normal(key, i, 0));
    case SN_FILL_POSITIVE:
    case SN_FILL_SCALE: return (float)(0.5 + 1.5 * u);
    case SN_FILL_AWAY: return (float)((0.2 + 1.3 * u) * (sn_rng_below(key, i, 2, 2) ? 1 : -1));
    case SN_FILL_UNIT: return (float)(0.05 + 0.9 * u);
    default: return (float)sn_rng_normal(key, i, 0);
    }
}

static void fill_distinct(float *x, int64_t n, sn_rng_key key) {
    int64_t *order = calloc((size_t)n, sizeof *order);
    for (int64_t i = 0; i < n; i++) order[i] = i;
    sn_rng_shuffle(key, 0, order, n);
    for (int64_t i = 0; i < n; i++) x[i] = 0.1f * (float)(order[i] - n / 2);
    free(order);
}

static int32_t integer_of(int fill, int limit, sn_rng_key key, int64_t i) {
    int64_t at = (int64_t)sn_rng_below(key, (uint64_t)i, 0, (uint64_t)limit + (fill == SN_FILL_IDS ? 0 : 1));
    if (fill == SN_FILL_LENGTHS) return i == 0 ? limit : i == 1 ? 0 : (int32_t)at;
    if (fill == SN_FILL_LABELS) return i == 1 ? -1 : (int32_t)at - 1;
    return (int32_t)at;
}

void sn_buffer_fill(sn_buffer *b, int fill, int limit, uint64_t seed) {
    sn_rng_key key = {seed, (uint64_t)fill};
    int64_t n = sn_shape_count(b->type.shape);
    if (fill == SN_FILL_DISTINCT) {
        fill_distinct(b->data, n, key);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (b->type.dtype == SN_I32) ((int32_t *)b->data)[i] = integer_of(fill, limit, key, i);
        else if (b->type.dtype == SN_I64) ((int64_t *)b->data)[i] = (int64_t)(seed % 1000) + 7 * i;
        else ((float *)b->data)[i] = value_of(fill, key, (uint64_t)i);
    }
}

float sn_buffer_get(const sn_buffer *b, int64_t i) {
    switch (b->type.dtype) {
    case SN_F32: return ((const float *)b->data)[i];
    case SN_BF16: return sn_from_bf16(((const uint16_t *)b->data)[i]);
    case SN_I32: return (float)((const int32_t *)b->data)[i];
    case SN_I64: return (float)((const int64_t *)b->data)[i];
    default: return 0;
    }
}

void sn_buffer_to_bf16(sn_buffer *b) {
    sn_buffer narrow;
    sn_buffer_make(&narrow, (sn_type){b->type.shape, SN_BF16}, 0);
    for (int64_t i = 0; i < sn_shape_count(b->type.shape); i++) ((uint16_t *)narrow.data)[i] = sn_to_bf16(((float *)b->data)[i]);
    sn_buffer_free(b);
    *b = narrow;
}

void sn_buffer_round(sn_buffer *b) {
    float *x = b->data;
    for (int64_t i = 0; i < sn_shape_count(b->type.shape); i++) x[i] = sn_from_bf16(sn_to_bf16(x[i]));
}

double sn_buffer_distance(const sn_buffer *a, const sn_buffer *b) {
    if (!sn_shape_equal(a->type.shape, b->type.shape)) return INFINITY;
    double most = 0, scale = 1e-3;
    for (int64_t i = 0; i < sn_shape_count(b->type.shape); i++) {
        double x = (double)sn_buffer_get(a, i), y = (double)sn_buffer_get(b, i);
        if (isnan(x) != isnan(y)) return INFINITY;
        if (isnan(x) || x == y) continue;
        most = fmax(most, fabs(x - y));
        if (isfinite(y)) scale = fmax(scale, fabs(y));
    }
    for (int64_t i = 0; i < sn_shape_count(b->type.shape); i++) {
        double y = fabs((double)sn_buffer_get(b, i));
        if (isfinite(y)) scale = fmax(scale, y);
    }
    return most / scale;
}

/* ---- one op ---- */

/* A parameter in the layout the kernel asked for. */
static sn_status pack_inputs(const sn_kernel_plan *plan, int n_in, void **in, void **packed) {
    for (int k = 0; k < n_in; k++) {
        if (!plan->pack[k].bytes) continue;
        packed[k] = aligned(plan->pack[k].bytes);
        SN_TRY(plan->pack[k].pack(plan->state, in[k], packed[k]));
        in[k] = packed[k];
    }
    return SN_OK;
}

static sn_status execute(const sn_call *c, sn_result *r) {
    void *in[SN_MAX_IN], *out[SN_MAX_OUT] = {NULL}, *packed[SN_MAX_IN] = {NULL};
    for (int k = 0; k < c->n_in; k++) in[k] = c->in[k].data;
    for (int k = 0; k < r->n_out; k++)
        if (!(c->unused & 1u << k)) out[k] = r->out[k].data;
    if (c->in_place) {
        memcpy(out[0], in[0], r->out[0].bytes);
        in[0] = out[0];
    }
    void *scratch = aligned(r->plan.scratch);
    sn_run_info info = {11, 5};
    sn_kernel_args args = {in, out, scratch, &info};
    sn_status status = pack_inputs(&r->plan, c->n_in, in, packed);
    if (status == SN_OK) status = r->plan.run(&r->plan, &args);
    for (int k = 0; k < c->n_in; k++) free(packed[k]);
    free(scratch);
    return status;
}

sn_status sn_call_run(const sn_call *c, sn_result *r) {
    sn_type in[SN_MAX_IN], out[SN_MAX_OUT] = {{{{0}, 0}, SN_F32}};
    *r = (sn_result){.n_out = sn_ops[c->op].n_out};
    for (int k = 0; k < c->n_in; k++) in[k] = c->in[k].type;
    if (c->out) out[0] = c->out[0];
    else SN_TRY(sn_ops[c->op].shape(in, c->n_in, &c->attr, out));
    sn_kernel_request request = {.op = c->op, .attr = &c->attr, .n_in = c->n_in, .n_out = r->n_out, .in = in, .out = out,
                                 .params = c->params, .unused = c->unused, .threads = c->threads, .isa = sn_isa_detect(),
                                 .stream = 77, .forward = c->forward};
    SN_TRY(sn_kernel_select(&request, c->backends, &r->plan));
    for (int k = 0; k < r->n_out; k++) sn_buffer_make(&r->out[k], out[k], r->plan.opaque[k]);
    return execute(c, r);
}

void sn_result_free(sn_result *r) {
    for (int k = 0; k < SN_MAX_OUT; k++) sn_buffer_free(&r->out[k]);
    sn_kernel_release(&r->plan);
}

/* ---- the inputs of a case ---- */

/* Inputs that stay f32 when the op runs in bf16: biases, statistics. */
static bool stays_f32(sn_op op, int k) {
    unsigned flags = sn_ops[op].flags;
    return (flags & SN_OPF_BIAS_2 && k == 2) || (flags & SN_OPF_BIAS_3 && (k == 3 || k == 4)) || (flags & SN_OPF_STATS_4 && k == 4);
}

static void make_input(sn_buffer *b, sn_type type, int fill, int limit, uint64_t seed, sn_case_dtype dtype, bool stays) {
    sn_buffer_make(b, type, 0);
    sn_buffer_fill(b, fill, limit, seed);
    if (type.dtype != SN_F32 || stays) return;
    if (dtype == SN_CASE_BF16) sn_buffer_to_bf16(b);
    if (dtype == SN_CASE_ROUNDED) sn_buffer_round(b);
}

static void move(sn_buffer *to, sn_buffer *from) {
    *to = *from;
    *from = (sn_buffer){.data = NULL};
}

sn_status sn_case_prepare(const sn_case *c, sn_case_dtype dtype, unsigned backends, int threads, sn_buffer in[SN_MAX_IN],
                          int *n, sn_result *before) {
    uint64_t seed = sn_hash(c->what, strlen(c->what)) + (uint64_t)c->op;
    *n = sn_case_inputs(c);
    *before = (sn_result){.n_out = 0};
    for (int k = 0; k < *n; k++)
        make_input(&in[k], c->in[k].type, c->in[k].fill, c->in[k].limit, seed + 1000u * (uint64_t)k, dtype,
                   stays_f32(c->op, k));
    if (!c->forward) return SN_OK;
    sn_call call = {.op = c->forward, .attr = c->attr, .n_in = *n, .threads = threads, .in = in, .backends = backends};
    SN_TRY(sn_call_run(&call, before));
    sn_buffer dy, y, workspace;
    make_input(&dy, (sn_type){before->out[0].type.shape, SN_F32}, SN_FILL_NORMAL, 0, seed + 99, dtype, false);
    move(&y, &before->out[0]);
    move(&workspace, &before->out[1]);
    if (*n == 1) { /* MAXPOOL_BWD: (dy, workspace) */
        sn_buffer_free(&in[0]);
        sn_buffer_free(&y);
        in[0] = dy;
        in[1] = workspace;
        *n = 2;
        return SN_OK;
    }
    if (*n == 6) move(&in[8], &in[5]); /* recurrent: lengths come last */
    *n = *n == 6 ? 9 : 8;
    in[5] = y;
    in[6] = workspace;
    in[7] = dy;
    return SN_OK;
}
