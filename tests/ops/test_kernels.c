/* test_kernels.c: every case through every column: against ref in f32 and bf16, with packed parameters, with
 * outputs nobody reads, in place, on one and two threads; and every op has a case. */
#include <math.h>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/dropout.h"
#include "kernels/ref/vmath.h"
#include "ops/cases.h"
#include "test.h"

enum { THREADS = 2 };
static const double F32_MOST = 5e-5, BF16_MOST = 2e-2; /* between columns, of the largest value */

typedef struct run {
    sn_buffer in[SN_MAX_IN];
    int n;
    sn_result before, result;
    sn_status status;
} run;

typedef struct how {
    unsigned backends, unused, params;
    sn_case_dtype dtype;
    int threads;
    bool in_place;
} how;

static void run_case(const sn_case *c, how h, run *r) {
    *r = (run){.n = 0};
    r->status = sn_case_prepare(c, h.dtype, h.backends, h.threads, r->in, &r->n, &r->before);
    if (r->status != SN_OK) return;
    sn_call call = {.op = c->op, .attr = c->attr, .n_in = r->n, .threads = h.threads, .in = r->in, .backends = h.backends,
                    .unused = h.unused, .params = h.params, .in_place = h.in_place, .out = r->n ? NULL : &c->out,
                    .forward = c->forward ? &r->before.plan : NULL};
    r->status = sn_call_run(&call, &r->result);
}

static void end_case(run *r) {
    for (int k = 0; k < SN_MAX_IN; k++) sn_buffer_free(&r->in[k]);
    sn_result_free(&r->before);
    sn_result_free(&r->result);
}

/* Counts a failure where an output of `got` is further than `most` from that of `want`. */
static int compare(const sn_case *c, const char *mode, const run *got, const run *want, double most, unsigned unused) {
    int failures = 0;
    for (int k = 0; k < want->result.n_out; k++) {
        if (want->result.out[k].type.dtype == SN_OPAQUE || unused & 1u << k) continue;
        double d = sn_buffer_distance(&got->result.out[k], &want->result.out[k]);
        if (d <= most) continue;
        print_error("%s (%s), %s: output %d differs by %g (allowed %g)\n", sn_ops[c->op].name, c->what, mode, k, d, most);
        failures++;
    }
    return failures;
}

static int report(const sn_case *c, const char *mode, const run *r) {
    if (r->status == SN_OK) return 0;
    print_error("%s (%s), %s: %s\n", sn_ops[c->op].name, c->what, mode, sn_error_message());
    return 1;
}

/* Runs a case two ways and compares; a refusal of the first is counted in *refused, if given. */
static int versus(const sn_case *c, const char *mode, how a, how b, double most, int *refused) {
    run got, want;
    int failures = 0;
    run_case(c, a, &got);
    if (refused && got.status == SN_ERR_UNSUPPORTED && !strncmp(sn_error_message(), "no kernel", 9)) {
        ++*refused;
    } else {
        failures += report(c, mode, &got);
        run_case(c, b, &want);
        failures += report(c, "the reference", &want);
        if (!failures) failures += compare(c, mode, &got, &want, most, a.unused | b.unused);
        end_case(&want);
    }
    end_case(&got);
    return failures;
}

static bool follows_bf16(sn_op op) {
    sn_precision_rule rule = sn_ops[op].precision;
    return rule == SN_RULE_BF16 || rule == SN_RULE_FOLLOW;
}

static const how ref_f32 = {.backends = SN_USE_REF, .threads = THREADS};

static void columns_agree(void **state) {
    (void)state;
    int failures = 0, ran = 0;
    static const unsigned others[] = {SN_USE_DNNL, SN_USE_SIMD};
    for (int i = 0; i < sn_case_count; i++)
        for (int b = 0; b < 2; b++) {
            const sn_case *c = &sn_cases[i];
            int refused = 0;
            how h = {.backends = others[b], .threads = THREADS}, packed = h;
            packed.params = sn_ops[c->op].precision == SN_RULE_BF16 ? (c->op == SN_CONV_BWD_DATA ? 1u : 2u) : 0;
            failures += versus(c, "f32", h, ref_f32, F32_MOST, &refused);
            if (packed.params) failures += versus(c, "f32 packed", packed, ref_f32, F32_MOST, &refused);
            ran += !refused;
            if (!follows_bf16(c->op)) continue;
            how narrow = packed, ref = ref_f32;
            narrow.dtype = ref.dtype = SN_CASE_BF16;
            failures += versus(c, "bf16", narrow, ref, BF16_MOST, &refused);
        }
#ifdef SN_DNNL
    enum { LEAST = 40 };
#else
    enum { LEAST = 0 };
#endif
    if (ran < LEAST) fail_msg("only %d cases ran in another column", ran);
    assert_int_equal(failures, 0);
}

/* ref in bf16 against ref in f32 on the same (rounded) values. */
static void bf16_is_f32_rounded(void **state) {
    (void)state;
    int failures = 0;
    for (int i = 0; i < sn_case_count; i++) {
        if (!follows_bf16(sn_cases[i].op)) continue;
        how narrow = ref_f32, wide = ref_f32;
        narrow.dtype = SN_CASE_BF16;
        wide.dtype = SN_CASE_ROUNDED;
        bool recurrent = sn_ops[sn_cases[i].op].flags & SN_OPF_BIAS_3; /* each step rounds the state it hands on */
        failures += versus(&sn_cases[i], "bf16", narrow, wide, recurrent ? 1e-1 : 1e-2, NULL);
    }
    assert_int_equal(failures, 0);
}

static void threads_do_not_matter(void **state) {
    (void)state;
    int failures = 0;
    for (int i = 0; i < sn_case_count; i++) {
        how one = ref_f32;
        one.threads = 1;
        failures += versus(&sn_cases[i], "one thread", one, ref_f32, 0, NULL);
    }
    assert_int_equal(failures, 0);
}

static bool is_attention(sn_op op) { return op == SN_ATTENTION || op == SN_ATTENTION_BWD || op == SN_ATTENTION_CACHED; }

/* Our vector kernels: the same bytes on any number of threads, and right with every instruction set there is. */
static void vector_kernels_of_every_isa(void **state) {
    (void)state;
    static const char *const caps[] = {"SSE41", "AVX2", "AVX512_CORE", "ALL"};
    const char *old = getenv("ONEDNN_MAX_CPU_ISA");
    char *saved = old ? strdup(old) : NULL;
    int failures = 0, ran = 0;
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < sn_case_count; i++) {
            const sn_case *c = &sn_cases[i];
            if (!is_attention(c->op)) continue;
            setenv("ONEDNN_MAX_CPU_ISA", caps[k], 1);
            how one = {.backends = SN_USE_SIMD, .threads = 1}, two = {.backends = SN_USE_SIMD, .threads = 2};
            int refused = 0;
            for (int narrow = 0; narrow < 2; narrow++) {
                how ref = ref_f32;
                one.dtype = two.dtype = ref.dtype = narrow ? SN_CASE_BF16 : SN_CASE_F32;
                failures += versus(c, caps[k], two, ref, narrow ? BF16_MOST : F32_MOST, &refused);
                failures += versus(c, "one thread", one, two, 0, &refused);
            }
            ran += !refused;
        }
    if (saved) setenv("ONEDNN_MAX_CPU_ISA", saved, 1);
    else unsetenv("ONEDNN_MAX_CPU_ISA");
    free(saved);
    assert_true(ran >= 4 * 24);
    assert_int_equal(failures, 0);
}

/* A recurrent layer's y is always read: its backward op reads it too. */
static bool always_read(sn_op op, int k) { return k == 0 && (op == SN_RNN || op == SN_LSTM || op == SN_GRU); }

static void outputs_may_be_absent(void **state) {
    (void)state;
    int failures = 0;
    for (int i = 0; i < sn_case_count; i++)
        for (int k = 0; k < sn_ops[sn_cases[i].op].n_out && sn_ops[sn_cases[i].op].n_out > 1; k++)
            for (int b = 0; b < 2; b++) {
                if (always_read(sn_cases[i].op, k)) continue;
                how h = {.backends = b ? SN_USE_ALL : SN_USE_REF, .threads = THREADS, .unused = 1u << k};
                failures += versus(&sn_cases[i], "an output unread", h, ref_f32, b ? F32_MOST : 0, NULL);
            }
    assert_int_equal(failures, 0);
}

static void in_place_is_the_same(void **state) {
    (void)state;
    int failures = 0, ran = 0;
    for (int i = 0; i < sn_case_count; i++) {
        const sn_case *c = &sn_cases[i];
        if (!(sn_ops[c->op].flags & SN_OPF_INPLACE)) continue;
        sn_type in[SN_MAX_IN], out[SN_MAX_OUT];
        int n = sn_case_inputs(c);
        for (int k = 0; k < n; k++) in[k] = c->in[k].type;
        assert_ok(sn_ops[c->op].shape(in, n, &c->attr, out));
        if (!sn_shape_equal(in[0].shape, out[0].shape)) continue;
        how over = ref_f32;
        over.in_place = true;
        failures += versus(c, "in place", over, ref_f32, 0, NULL);
        over.backends = SN_USE_ALL;
        failures += versus(c, "in place, any column", over, ref_f32, F32_MOST, NULL);
        ran++;
    }
    assert_true(ran > 50);
    assert_int_equal(failures, 0);
}

static void every_op_has_a_case(void **state) {
    (void)state;
    int missing = 0;
    for (int op = 0; op < SN_OP_COUNT; op++) {
        if (sn_ops[op].flags & (SN_OPF_LEAF | SN_OPF_VIEW)) continue;
        bool found = false;
        for (int i = 0; i < sn_case_count; i++) found |= (int)sn_cases[i].op == op;
        if (!found) print_error("%s has no case\n", sn_ops[op].name);
        missing += !found;
    }
    assert_int_equal(missing, 0);
}

/* ---- what the cases do not say ---- */

static void ids_and_labels_are_checked(void **state) {
    (void)state;
    sn_buffer in[4];
    sn_result r;
    sn_buffer_make(&in[0], (sn_type){SN_SHAPE(5, 3), SN_F32}, 0);
    sn_buffer_fill(&in[0], 'n', 0, 1);
    sn_buffer_make(&in[1], (sn_type){SN_SHAPE(2), SN_I32}, 0);
    sn_buffer_make(&in[2], (sn_type){SN_SHAPE(3), SN_F32}, 0);
    sn_buffer_fill(&in[2], 'n', 0, 2);
    sn_call call = {.op = SN_EMBED, .n_in = 2, .threads = 1, .in = in, .backends = SN_USE_REF};
    memcpy(in[1].data, (int32_t[]){4, 5}, 8);
    assert_fails(sn_call_run(&call, &r), SN_ERR_SHAPE, "id 5 at position 1 is outside a table of 5 rows");
    sn_result_free(&r);
    memcpy(in[1].data, (int32_t[]){-1, 0}, 8);
    assert_fails(sn_call_run(&call, &r), SN_ERR_SHAPE, "id -1");
    sn_result_free(&r);
    sn_buffer_free(&in[0]);
    sn_buffer_make(&in[0], (sn_type){SN_SHAPE(2, 3), SN_F32}, 0);
    sn_buffer_fill(&in[0], 'n', 0, 1);
    memcpy(in[1].data, (int32_t[]){0, 3}, 8);
    call.op = SN_SOFTMAX_XENT;
    call.n_in = 3;
    assert_fails(sn_call_run(&call, &r), SN_ERR_SHAPE, "label 3 of row 1 is outside 0..2");
    sn_result_free(&r);
    for (int k = 0; k < 3; k++) sn_buffer_free(&in[k]);
}

static void refusal_names_the_request(void **state) {
    (void)state;
    sn_buffer in[2];
    sn_result r;
    for (int k = 0; k < 2; k++) sn_buffer_make(&in[k], (sn_type){SN_SHAPE(2, 3), SN_U8}, 0);
    sn_call call = {.op = SN_ADD, .n_in = 2, .threads = 1, .in = in, .backends = SN_USE_ALL};
    assert_fails(sn_call_run(&call, &r), SN_ERR_UNSUPPORTED, "ADD");
    assert_non_null(strstr(sn_error_message(), "[2, 3]"));
    sn_result_free(&r);
    for (int k = 0; k < 2; k++) sn_buffer_free(&in[k]);
}

static void check_dropout(unsigned backends) {
    enum { N = 2, WIDTH = 4001 };
    sn_buffer in[2];
    sn_result r;
    sn_buffer_make(&in[0], (sn_type){SN_SHAPE(N, WIDTH), SN_F32}, 0);
    for (int i = 0; i < N * WIDTH; i++) ((float *)in[0].data)[i] = 1;
    sn_buffer_make(&in[1], (sn_type){SN_SHAPE(N), SN_I64}, 0);
    memcpy(in[1].data, (int64_t[]){40, INT64_MAX}, 16);
    sn_call call = {.op = SN_DROPOUT, .attr = {.dropout = {0.25f}}, .n_in = 2, .threads = 2, .in = in, .backends = backends};
    assert_ok(sn_call_run(&call, &r));
    int kept = 0;
    for (int row = 0; row < N; row++)
        for (int j = 0; j < WIDTH; j++) {
            bool keep = sn_dropout_keep(11, 77, 5, ((int64_t *)in[1].data)[row], j, 0.25f);
            assert_true(sn_buffer_get(&r.out[0], row * WIDTH + j) == (keep ? 1.0f / 0.75f : 0.0f));
            kept += keep;
        }
    assert_in_range(kept, 5800, 6200); /* 6000 expected, deviation 39 */
    sn_result_free(&r);
    for (int k = 0; k < 2; k++) sn_buffer_free(&in[k]);
}

static void dropout_has_one_definition(void **state) {
    (void)state;
    check_dropout(SN_USE_REF);
    check_dropout(SN_USE_ALL);
    uint32_t many[12], one[4];
    sn_rng_blocks((sn_rng_key){1, 2}, 3, 0xFFFFFFFFu, 3, many);
    sn_rng_block((sn_rng_key){1, 2}, 3, 0x100000001u, one);
    assert_memory_equal(many + 8, one, sizeof one);
}

static void functions_are_exact_enough(void **state) {
    (void)state;
    double worst[4] = {0};
    for (int i = -200000; i <= 200000; i++) {
        float x = (float)i * 5e-4f; /* -100 .. 100 */
        double e = exp((double)x), t = tanh((double)x), s = 1 / (1 + exp(-(double)x));
        if (x > -86.6f && x < 88.7228f) worst[0] = fmax(worst[0], fabs((double)sn_vexp(x) - e) / e);
        if (i) worst[1] = fmax(worst[1], fabs(((double)sn_vtanh(x) - t) / t));
        if (x > -86.6f) worst[2] = fmax(worst[2], fabs((double)sn_vsigmoid(x) - s) / s);
        worst[3] = fmax(worst[3], fabs((double)sn_verf(x) - erf((double)x)));
    }
    static const double most[4] = {2e-7, 3e-7, 3e-7, 2e-7};
    for (int k = 0; k < 4; k++)
        if (!(worst[k] <= most[k])) fail_msg("function %d is wrong by %g", k, worst[k]);
    assert_true(isnan(sn_vexp(NAN)) && isnan(sn_vtanh(NAN)) && isnan(sn_vsigmoid(NAN)) && isnan(sn_verf(NAN)));
    assert_true(isinf(sn_vexp(89)) && sn_vexp(-INFINITY) == 0 && isinf(sn_vexp(INFINITY)));
    assert_true(fabs((double)sn_vexp(88.7225f) / exp((double)88.7225f) - 1) < 1e-5);
    assert_true(sn_vtanh(INFINITY) == 1 && sn_vtanh(-INFINITY) == -1 && sn_verf(-INFINITY) == -1);
}

static void isa_is_capped(void **state) {
    (void)state;
    char *old = getenv("ONEDNN_MAX_CPU_ISA");
    char *saved = old ? strdup(old) : NULL;
    unsetenv("ONEDNN_MAX_CPU_ISA");
    sn_isa whole = sn_isa_detect();
    setenv("ONEDNN_MAX_CPU_ISA", "SSE41", 1);
    assert_int_equal(sn_isa_detect(), SN_ISA_BASE);
    setenv("ONEDNN_MAX_CPU_ISA", "avx512_core", 1);
    assert_int_equal(sn_isa_detect(), whole < SN_ISA_AVX512 ? whole : SN_ISA_AVX512);
    setenv("ONEDNN_MAX_CPU_ISA", "ALL", 1);
    assert_int_equal(sn_isa_detect(), whole);
    for (int isa = SN_ISA_BASE; isa <= SN_ISA_AMX; isa++) assert_true(strlen(sn_isa_name((sn_isa)isa)) > 2);
    if (saved) setenv("ONEDNN_MAX_CPU_ISA", saved, 1);
    else unsetenv("ONEDNN_MAX_CPU_ISA");
    free(saved);
}

static int enter(void **state) {
    (void)state;
    return sn_threads_enter(THREADS) == SN_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_a_case),      cmocka_unit_test(columns_agree),
        cmocka_unit_test(bf16_is_f32_rounded),      cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(outputs_may_be_absent),    cmocka_unit_test(in_place_is_the_same),
        cmocka_unit_test(ids_and_labels_are_checked), cmocka_unit_test(refusal_names_the_request),
        cmocka_unit_test(dropout_has_one_definition), cmocka_unit_test(functions_are_exact_enough),
        cmocka_unit_test(isa_is_capped),            cmocka_unit_test(vector_kernels_of_every_isa)};
    return cmocka_run_group_tests(tests, enter, NULL);
}
