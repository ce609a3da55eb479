/* test_narrow.c: a position of a transformer's output that is computed alone equals the one taken from the whole, and so
 * do the gradients of every parameter; and it is less work. */
#include <math.h>

#include "base/parallel.h"
#include "graph/program.h"
#include "nn/blocks.h"
#include "test.h"

enum { N = 3, T = 9, D = 8, LAYERS = 2, MOST = 64 };

typedef struct variant {
    bool post_norm, causal, last;
    float dropout;
} variant;

typedef struct result {
    double flops;
    int n;
    float *values[MOST]; /* the loss's part [N, D], then the gradients */
    int64_t counts[MOST];
} result;

/* Position 0, or the last: SEQ_LAST looks a length up at run time, so that it cannot be computed alone. */
static sn_node position(sn_graph *g, const variant *v, sn_node x, sn_node lengths, bool whole) {
    if (whole) return sn_emit(g, SN_SEQ_LAST, (sn_node[]){x, lengths}, 2, NULL);
    return sn_reshape(g, sn_slice(g, x, 1, v->last ? T - 1 : 0, 1), SN_SHAPE(N, D));
}

static void build(sn_graph *g, const variant *v, bool whole, result *r, sn_node *outputs) {
    const sn_blocks_spec spec = {.layer = "layer.%d",
                                 .self = {.q = "q", .k = "k", .v = "v", .out = "out", .norm = "norm1"},
                                 .up = "up", .down = "down", .norm = "norm2",
                                 .post_norm = v->post_norm, .causal = v->causal};
    const sn_blocks_size size = {.layers = LAYERS, .width = D, .heads = 2, .hidden = 4 * D, .act = SN_ACT_GELU, .eps = 1e-5f,
                                 .dropout = v->dropout};
    sn_node x = sn_input(g, SN_F32, SN_SHAPE(N, T, D)), lengths = sn_input(g, SN_I32, SN_SHAPE(N));
    sn_blocks_io io = {.mask = SN_NO_NODE, .encoder = SN_NO_NODE, .encoder_mask = SN_NO_NODE};
    io.rows = sn_input(g, SN_I64, SN_SHAPE(N));
    sn_node dy = sn_input(g, SN_F32, SN_SHAPE(N, D)), wrt[MOST];
    x = sn_add(g, x, sn_param(g, "bias", SN_SHAPE(D), (sn_init){SN_INIT_NORMAL, 0.1f, 0}));
    x = sn_layernorm(g, sn_blocks(g, &spec, &size, x, &io), "norm", 1e-5f);
    outputs[0] = position(g, v, x, lengths, whole);
    for (r->n = 1; r->n <= sn_params_count(g->params); r->n++) wrt[r->n - 1] = sn_graph_param(g, r->n - 1);
    assert_in_range(r->n, 10, MOST - 1);
    assert_ok(sn_grad(g, 1, outputs, &dy, r->n - 1, wrt, outputs + 1));
    for (int i = 0; i < r->n; i++) r->counts[i] = sn_shape_count(sn_shape_at(g, outputs[i]));
}

static result run(const variant *v, bool whole) {
    static float x[N * T * D], dy[N * D];
    int32_t lengths[N];
    int64_t rows[N];
    for (int i = 0; i < N * T * D; i++) x[i] = sinf((float)(i * 37 % 101));
    for (int i = 0; i < N * D; i++) dy[i] = cosf((float)(i * 13 % 29));
    for (int i = 0; i < N; i++) lengths[i] = v->last ? T : 1, rows[i] = 5 * i + 1;
    result r = {0};
    sn_params *params;
    sn_graph *g;
    sn_program *program;
    sn_runner *runner;
    sn_node outputs[MOST];
    assert_ok(sn_params_create(&params));
    assert_ok(sn_graph_create(params, true, &g));
    build(g, v, whole, &r, outputs);
    assert_ok(sn_params_seal(params));
    sn_params_initialise(params, 3);
    sn_compile_options options = {.threads = 1, .isa = sn_isa_detect(), .backends = SN_USE_ALL};
    assert_ok(sn_program_compile(g, &options, r.n, outputs, r.n, &program));
    r.flops = sn_program_flops(program);
    assert_ok(sn_runner_create(program, params, &runner));
    void *memory = sn_pages(sn_program_bytes(program));
    const void *in[] = {x, lengths, rows, dy};
    sn_runner_lend(runner, memory);
    for (int i = 0; i < 4; i++) sn_runner_bind_input(runner, i, in[i]);
    assert_ok(sn_runner_run(runner, SN_RUN_ALL | SN_RUN_CHECK, &(sn_run_info){11, 7}));
    for (int i = 0; i < r.n; i++) {
        r.values[i] = sn_alloc((size_t)r.counts[i], sizeof(float));
        memcpy(r.values[i], sn_runner_output(runner, i), (size_t)r.counts[i] * sizeof(float));
    }
    sn_pages_free(memory, sn_program_bytes(program));
    sn_runner_free(runner);
    sn_program_free(program);
    sn_params_free(params);
    return r;
}

static void compare(const variant *v) {
    result a = run(v, false), b = run(v, true);
    assert_int_equal(a.n, b.n);
    for (int i = 0; i < a.n; i++) {
        assert_int_equal(a.counts[i], b.counts[i]);
        for (int64_t k = 0; k < a.counts[i]; k++)
            if (!(fabsf(a.values[i][k] - b.values[i][k]) <= 1e-5f + 1e-4f * fabsf(b.values[i][k])))
                fail_msg("output %d [%d]: %g alone, %g from the whole", i, (int)k, (double)a.values[i][k], (double)b.values[i][k]);
        sn_free(a.values[i]);
        sn_free(b.values[i]);
    }
    /* dropout between attention and the last position keeps it from being computed alone */
    if (v->last && (v->dropout > 0)) assert_true(a.flops <= b.flops);
    else assert_true(a.flops < 0.8 * b.flops);
}

static void first_alone(void **state) {
    (void)state;
    compare(&(variant){.post_norm = false});
    compare(&(variant){.post_norm = true});
}
static void first_alone_with_dropout(void **state) {
    (void)state;
    compare(&(variant){.post_norm = true, .dropout = 0.5f});
}
static void last_alone(void **state) {
    (void)state;
    compare(&(variant){.last = true, .causal = true});
    compare(&(variant){.last = true, .causal = true, .post_norm = true});
    compare(&(variant){.last = true});
    compare(&(variant){.last = true, .dropout = 0.5f});
}

/* A causal first position must not be computed as if it were the last. */
static void causal_first_is_taken_afterwards(void **state) {
    (void)state;
    variant v = {.causal = true};
    result a = run(&v, false), b = run(&v, true);
    for (int i = 0; i < a.n; i++) {
        for (int64_t k = 0; k < a.counts[i]; k++)
            assert_true(fabsf(a.values[i][k] - b.values[i][k]) <= 1e-5f + 1e-4f * fabsf(b.values[i][k]));
        sn_free(a.values[i]);
        sn_free(b.values[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_alone), cmocka_unit_test(first_alone_with_dropout),
                                       cmocka_unit_test(last_alone), cmocka_unit_test(causal_first_is_taken_afterwards)};
    return sn_threads_enter(1) == SN_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
