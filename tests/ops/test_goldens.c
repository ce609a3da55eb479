/* test_goldens.c: single ops against PyTorch: tests/golden/ops.safetensors, written by tools/golden_ops.py. */
#include <math.h>

#include "base/parallel.h"
#include "ops/cases.h"
#include "params/safetensors.h"
#include "test.h"

typedef struct golden {
    const char *name;
    sn_op op;
    sn_attr attr;
    sn_op forward; /* run first; then "<name>/dy" is the cotangent */
} golden;

#define CONV(s, p, d, g, h, w, kh, kw) \
    {.conv = {.stride = {s, s}, .pad = {p, p, p, p}, .dilation = {d, d}, .groups = g, .in_size = {h, w}, .kernel = {kh, kw}}}
#define CONVS(n, ...)                                                                                       \
    {.name = n, .op = SN_CONV, .attr = CONV(__VA_ARGS__)},                                                  \
    {.name = n "_bwd_data", .op = SN_CONV_BWD_DATA, .attr = CONV(__VA_ARGS__)},                             \
    {.name = n "_bwd_weights", .op = SN_CONV_BWD_WEIGHTS, .attr = CONV(__VA_ARGS__)}
#define PLAIN(n, o) {.name = n, .op = SN_##o}
#define POOL {.pool = {.kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}, .in_size = {7, 9}}}
#define NORM(t) {.norm = {1e-5f, t}}
#define CELL(n, o)                                                                                          \
    {.name = n, .op = SN_##o, .attr = {.rnn = {1}}},                                                        \
    {.name = n "_bwd", .op = SN_##o##_BWD, .attr = {.rnn = {1}}, .forward = SN_##o}

#define HEADS(h, g, causal, ancestry) {.attention = {h, g, causal, ancestry, 0.35355339f}} /* heads of 8 */
#define ATTEND(n, h, g, causal)                                                                             \
    {.name = n, .op = SN_ATTENTION, .attr = HEADS(h, g, causal, 0)},                                        \
    {.name = n "_bwd", .op = SN_ATTENTION_BWD, .attr = HEADS(h, g, causal, 0)}

static const golden goldens[] = {
    CONVS("conv", 1, 1, 1, 1, 7, 8, 3, 3),
    CONVS("conv_stride_groups", 2, 1, 1, 2, 7, 9, 3, 3),
    CONVS("conv_dilated", 1, 0, 2, 1, 9, 8, 3, 2),
    {.name = "linear", .op = SN_MATMUL, .attr = {.matmul = {0, 1, SN_ACT_NONE, 0}}},
    {.name = "linear_gelu", .op = SN_MATMUL, .attr = {.matmul = {0, 1, SN_ACT_GELU, 0}}},
    {.name = "scores", .op = SN_MATMUL, .attr = {.matmul = {0, 1, SN_ACT_NONE, 0}}},
    {.name = "layernorm", .op = SN_LAYERNORM, .attr = NORM(1)},
    {.name = "layernorm_bwd", .op = SN_LAYERNORM_BWD, .attr = NORM(1)},
    {.name = "batchnorm", .op = SN_BATCHNORM, .attr = NORM(1)},
    {.name = "batchnorm_bwd", .op = SN_BATCHNORM_BWD, .attr = NORM(1)},
    {.name = "batchnorm_running", .op = SN_BATCHNORM, .attr = NORM(0)},
    {.name = "batchnorm_running_bwd", .op = SN_BATCHNORM_BWD, .attr = NORM(0)},
    PLAIN("softmax", SOFTMAX), PLAIN("softmax_bwd", SOFTMAX_BWD),
    PLAIN("log_softmax", LOG_SOFTMAX), PLAIN("log_softmax_bwd", LOG_SOFTMAX_BWD),
    {.name = "maxpool", .op = SN_MAXPOOL, .attr = POOL},
    {.name = "maxpool_bwd", .op = SN_MAXPOOL_BWD, .attr = POOL, .forward = SN_MAXPOOL},
    {.name = "avgpool", .op = SN_AVGPOOL, .attr = POOL},
    {.name = "avgpool_bwd", .op = SN_AVGPOOL_BWD, .attr = POOL},
    CELL("rnn", RNN), CELL("lstm", LSTM), CELL("gru", GRU),
    {.name = "xent", .op = SN_SOFTMAX_XENT, .attr = {.loss = {0}}},
    {.name = "xent_bwd", .op = SN_SOFTMAX_XENT_BWD, .attr = {.loss = {0}}},
    {.name = "xent_smoothed", .op = SN_SOFTMAX_XENT, .attr = {.loss = {0.1f}}},
    {.name = "xent_smoothed_bwd", .op = SN_SOFTMAX_XENT_BWD, .attr = {.loss = {0.1f}}},
    PLAIN("bce", BCE_LOGITS),
    {.name = "huber", .op = SN_HUBER, .attr = {.huber = {1.5f}}},
    PLAIN("gelu", GELU), PLAIN("gelu_bwd", GELU_BWD), PLAIN("gelu_tanh", GELU_TANH), PLAIN("gelu_tanh_bwd", GELU_TANH_BWD),
    PLAIN("silu", SILU), PLAIN("silu_bwd", SILU_BWD), PLAIN("relu", RELU), PLAIN("relu_bwd", RELU_BWD),
    PLAIN("tanh", TANH), PLAIN("tanh_bwd", TANH_BWD), PLAIN("sigmoid", SIGMOID), PLAIN("sigmoid_bwd", SIGMOID_BWD),
    PLAIN("softplus", SOFTPLUS), PLAIN("exp", EXP),
    ATTEND("attention", 3, 3, 0), ATTEND("attention_causal", 2, 2, 1), ATTEND("attention_lengths", 2, 2, 0),
    ATTEND("attention_mask", 2, 2, 0), ATTEND("attention_groups", 4, 2, 1), ATTEND("attention_tiles", 2, 2, 0),
    {.name = "attention_cached", .op = SN_ATTENTION_CACHED, .attr = HEADS(4, 2, 1, 1)},
    PLAIN("embed", EMBED), {.name = "embed_bwd", .op = SN_EMBED_BWD, .attr = {.embed = {9}}},
    {.name = "sum_columns", .op = SN_REDUCE_SUM, .attr = {.reduce = {3, 0}}},
    {.name = "mean_rows", .op = SN_REDUCE_MEAN, .attr = {.reduce = {4, 0}}},
    PLAIN("add", ADD), PLAIN("sub", SUB), PLAIN("mul", MUL), PLAIN("div", DIV), PLAIN("maximum", MAXIMUM),
    {.name = "affine", .op = SN_AFFINE, .attr = {.affine = {-1.5f, 0.25f}}},
    {.name = "clamp", .op = SN_CLAMP, .attr = {.clamp = {-0.5f, 0.75f}}},
    PLAIN("square", SQUARE), PLAIN("abs", ABS), PLAIN("sign", SIGN), PLAIN("log", LOG), PLAIN("sqrt", SQRT),
    PLAIN("quick_gelu", QUICK_GELU), PLAIN("quick_gelu_bwd", QUICK_GELU_BWD),
    {.name = "transpose", .op = SN_TRANSPOSE, .attr = {.transpose = {{0, 2, 3, 1}}}},
    {.name = "slice", .op = SN_SLICE, .attr = {.slice = {1, 1, 2}}},
    {.name = "pad", .op = SN_PAD, .attr = {.slice = {1, 2, 7}}},
    {.name = "broadcast", .op = SN_BROADCAST, .attr = {.reshape = {{{2, 6, 4, 5}, 4}}}},
    {.name = "concat", .op = SN_CONCAT, .attr = {.concat = {1}}},
    PLAIN("argmax", ARGMAX), PLAIN("copy", COPY),
    PLAIN("seq_mask", SEQ_MASK), PLAIN("seq_reverse", SEQ_REVERSE), PLAIN("seq_last", SEQ_LAST), PLAIN("seq_mean", SEQ_MEAN),
    PLAIN("seq_max", SEQ_MAX), {.name = "seq_last_bwd", .op = SN_SEQ_LAST_BWD, .attr = {.seq = {4}}},
    {.name = "seq_mean_bwd", .op = SN_SEQ_MEAN_BWD, .attr = {.seq = {4}}},
    {.name = "seq_max_bwd", .op = SN_SEQ_MAX_BWD, .attr = {.seq = {4}}},
};
enum { GOLDENS = sizeof goldens / sizeof *goldens };

/* "<name>/<role><k>" as a buffer; false where the file has none. k < 0: without a number. */
static bool find(const sn_safetensors *file, const char *name, const char *role, int k, sn_buffer *b) {
    char key[96];
    if (k < 0) (void)snprintf(key, sizeof key, "%s/%s", name, role);
    else (void)snprintf(key, sizeof key, "%s/%s%d", name, role, k);
    const sn_tensor_view *view = sn_safetensors_find(file, key);
    if (!view) return false;
    sn_buffer_make(b, view->type, 0);
    memcpy(b->data, view->data, view->bytes);
    return true;
}

/* Inputs of the op; a backward op's forward op runs first and its workspace is handed on. */
static sn_status inputs(const sn_safetensors *file, const golden *c, unsigned backends, sn_buffer *in, int *n,
                        sn_result *before) {
    *n = 0;
    while (find(file, c->name, "in", *n, &in[*n])) ++*n;
    if (!c->forward) return SN_OK;
    sn_call call = {.op = c->forward, .attr = c->attr, .n_in = *n, .threads = 2, .in = in, .backends = backends};
    SN_TRY(sn_call_run(&call, before));
    if (*n == 1) { /* MAXPOOL_BWD: (dy, workspace) */
        sn_buffer_free(&in[0]);
        assert_true(find(file, c->name, "dy", -1, &in[0]));
    } else { /* a recurrent layer: (..., y, workspace, dy) */
        in[5] = before->out[0];
        before->out[0] = (sn_buffer){.data = NULL};
        assert_true(find(file, c->name, "dy", -1, &in[7]));
    }
    in[*n == 1 ? 1 : 6] = before->out[1];
    before->out[1] = (sn_buffer){.data = NULL};
    *n = *n == 1 ? 2 : 8;
    return SN_OK;
}

static int compare(const sn_safetensors *file, const golden *c, const sn_result *r, double most) {
    int failures = 0, compared = 0;
    for (int k = 0; k < r->n_out; k++) {
        sn_buffer want;
        if (!find(file, c->name, "out", k, &want)) continue;
        double d = sn_buffer_distance(&r->out[k], &want);
        if (!(d <= most)) {
            print_error("%s in column %s: output %d differs from PyTorch by %g\n", c->name, r->plan.kernel->name, k, d);
            failures++;
        }
        compared++;
        sn_buffer_free(&want);
    }
    if (!compared) print_error("%s: nothing to compare with\n", c->name);
    return failures + !compared;
}

/* Returns failures; *ran counts the cases that the columns accepted. */
static int run_all(unsigned backends, double most, int *ran) {
    sn_safetensors *file;
    int failures = 0;
    assert_ok(sn_safetensors_open(SN_TEST_ROOT "/golden/ops.safetensors", &file));
    for (int i = 0; i < GOLDENS; i++) {
        const golden *c = &goldens[i];
        sn_buffer in[SN_MAX_IN] = {{.data = NULL}};
        sn_result before = {.n_out = 0}, result = {.n_out = 0};
        int n;
        sn_status status = inputs(file, c, backends, in, &n, &before);
        sn_call call = {.op = c->op, .attr = c->attr, .n_in = n, .threads = 2, .in = in, .backends = backends,
                        .forward = c->forward ? &before.plan : NULL};
        if (status == SN_OK) status = sn_call_run(&call, &result);
        if (status == SN_OK) {
            failures += compare(file, c, &result, most);
            ++*ran;
        } else if (strncmp(sn_error_message(), "no kernel", 9) != 0) {
            print_error("%s: %s\n", c->name, sn_error_message());
            failures++;
        }
        for (int k = 0; k < SN_MAX_IN; k++) sn_buffer_free(&in[k]);
        sn_result_free(&before);
        sn_result_free(&result);
    }
    sn_safetensors_free(file);
    return failures;
}

static void ref_is_pytorch(void **state) {
    (void)state;
    int ran = 0;
    assert_int_equal(run_all(SN_USE_REF, 1e-5, &ran), 0);
    assert_int_equal(ran, GOLDENS);
}

#ifdef SN_DNNL
static void dnnl_is_pytorch(void **state) {
    (void)state;
    int ran = 0;
    assert_int_equal(run_all(SN_USE_DNNL, 1e-4, &ran), 0);
    assert_true(ran >= 20);
}
#endif

/* A tensor of the file that no case reads would be a check that never happens. */
static void every_golden_is_read(void **state) {
    (void)state;
    sn_safetensors *file;
    assert_ok(sn_safetensors_open(SN_TEST_ROOT "/golden/ops.safetensors", &file));
    for (int i = 0; i < sn_safetensors_count(file); i++) {
        const char *name = sn_safetensors_at(file, i)->name, *slash = strchr(name, '/');
        bool known = false;
        for (int k = 0; k < GOLDENS && slash; k++)
            known |= strlen(goldens[k].name) == (size_t)(slash - name) && !strncmp(goldens[k].name, name, (size_t)(slash - name));
        if (!known) fail_msg("no case reads %s", name);
    }
    sn_safetensors_free(file);
}

static int enter(void **state) {
    (void)state;
    return sn_threads_enter(2) == SN_OK ? 0 : -1;
}

/* An op without a golden is one that computes nothing, or draws random numbers. */
static void every_op_has_a_golden(void **state) {
    (void)state;
    bool has[SN_OP_COUNT] = {[SN_INPUT] = true, [SN_PARAM] = true, [SN_FILL] = true, [SN_CAST] = true, [SN_RESHAPE] = true,
                             [SN_DROPOUT] = true};
    for (int i = 0; i < GOLDENS; i++) has[goldens[i].op] = true;
    for (int op = 0; op < SN_OP_COUNT; op++)
        if (!has[op]) fail_msg("%s has no golden", sn_ops[op].name);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op_has_a_golden), 
        cmocka_unit_test(ref_is_pytorch), cmocka_unit_test(every_golden_is_read),
#ifdef SN_DNNL
        cmocka_unit_test(dnnl_is_pytorch),
#endif
    };
    return cmocka_run_group_tests(tests, enter, NULL);
}
