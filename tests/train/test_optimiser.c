/* Optimisers: against torch.optim (tools/golden_optim.py), thread counts, instruction sets, norm, saving. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "params/safetensors.h"
#include "train/optimiser_kind.h"

static const sn_init uniform = {SN_INIT_UNIFORM, 1.0f, 0};

/* ---- torch ---- */

typedef struct golden_case {
    const char *name;
    sn_optimiser_options options; /* only what differs from the kind's defaults; see change() */
} golden_case;

static const golden_case golden_cases[] = {
    {"sgd", {.kind = "sgd", .weight_decay = 0.01}},
    {"sgd_momentum", {.kind = "sgd", .momentum = 0.9, .weight_decay = 0.01}},
    {"sgd_nesterov", {.kind = "sgd", .momentum = 0.8, .nesterov = true}},
    {"rmsprop", {.kind = "rmsprop"}},
    {"rmsprop_momentum", {.kind = "rmsprop", .alpha = 0.9, .eps = 1e-6, .momentum = 0.5, .weight_decay = 0.1}},
    {"adam", {.kind = "adam", .weight_decay = 0.1}},
    {"adamw", {.kind = "adamw"}},
    {"adamw_other", {.kind = "adamw", .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.2}},
};

static sn_optimiser_options change(const sn_optimiser_options *by) {
    sn_optimiser_options o;
    assert_ok(sn_optimiser_defaults(by->kind, &o));
    if (by->momentum > 0) o.momentum = by->momentum;
    if (by->beta1 > 0) o.beta1 = by->beta1;
    if (by->beta2 > 0) o.beta2 = by->beta2;
    if (by->eps > 0) o.eps = by->eps;
    if (by->alpha > 0) o.alpha = by->alpha;
    if (by->weight_decay > 0) o.weight_decay = by->weight_decay;
    o.nesterov = by->nesterov;
    return o;
}

static const float *golden(const sn_safetensors *file, const char *a, const char *b) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s%s", a, b);
    const sn_tensor_view *view = sn_safetensors_find(file, name);
    if (!view) fail_msg("no golden %s", name);
    return view->data; /* written by us at multiples of 4: safe to read as floats */
}

static void compare(const char *what, int step, const float *expected, const float *found, int n) {
    for (int i = 0; i < n; i++)
        if (!(fabsf(expected[i] - found[i]) <= 1e-6f * fmaxf(1.0f, fabsf(expected[i]))))
            fail_msg("%s, step %d, element %d: torch %.9g, here %.9g", what, step, i, (double)expected[i], (double)found[i]);
}

static void run_case(const sn_safetensors *file, const golden_case *c, bool shadowed, double divisor) {
    sn_params *p;
    sn_optimiser *o;
    int a, b;
    assert_ok(sn_params_create(&p));
    assert_ok(sn_params_declare(p, "a", SN_SHAPE(5, 7), uniform, &a));
    assert_ok(sn_params_declare(p, "b", SN_SHAPE(3), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY}, &b));
    assert_ok(sn_params_seal(p));
    sn_params_set_rate(p, b, 0.5f);
    memcpy(sn_params_data(p, a), golden(file, "a", ""), 35 * sizeof(float));
    memcpy(sn_params_data(p, b), golden(file, "b", ""), 3 * sizeof(float));
    uint16_t *shadow = NULL;
    if (shadowed) assert_ok(sn_params_shadow(p, &shadow));
    float *gradients;
    assert_ok(sn_params_gradients(p, &gradients));
    sn_optimiser_options options = change(&c->options);
    assert_ok(sn_optimiser_create(&options, p, 1, &o));
    for (int step = 0; step < 10; step++) {
        for (int i = 0; i < 35; i++) gradients[i] = golden(file, "g.a", "")[step * 35 + i] * (float)divisor;
        for (int i = 0; i < 3; i++)
            gradients[sn_params_offset(p, b) + (size_t)i] = golden(file, "g.b", "")[step * 3 + i] * (float)divisor;
        sn_optimiser_commit(o, (double)golden(file, "rate", "")[step], 1 / divisor);
        compare(c->name, step, golden(file, c->name, ".a") + step * 35, sn_params_data(p, a), 35);
        compare(c->name, step, golden(file, c->name, ".b") + step * 3, sn_params_data(p, b), 3);
        for (size_t i = 0; shadowed && i < sn_params_total(p); i++)
            assert_int_equal(shadow[i], sn_to_bf16(sn_params_flat(p)[i]));
    }
    assert_int_equal(sn_optimiser_steps(o), 10);
    sn_optimiser_free(o);
    sn_params_free(p);
}

static void steps_are_torchs(void **state) {
    (void)state;
    sn_safetensors *file;
    assert_ok(sn_safetensors_open(SN_TEST_ROOT "/golden/optim.safetensors", &file));
    for (size_t i = 0; i < sizeof golden_cases / sizeof golden_cases[0]; i++) {
        run_case(file, &golden_cases[i], false, 1);
        run_case(file, &golden_cases[i], true, 1);
        run_case(file, &golden_cases[i], false, 8); /* sums of 8 examples, divided at the commit */
    }
    sn_safetensors_free(file);
}

/* ---- a store over several chunks, with every kind of parameter ---- */

enum { FIRST, FROZEN, STATE, SLOW, EMPTY, LAST };

static sn_params *big_store(void) {
    sn_params *p;
    int i;
    assert_ok(sn_params_create(&p));
    assert_ok(sn_params_declare(p, "first", SN_SHAPE(100, 701), uniform, &i));
    assert_ok(sn_params_declare(p, "frozen", SN_SHAPE(70001), uniform, &i));
    assert_ok(sn_params_declare(p, "state", SN_SHAPE(33), (sn_init){SN_INIT_ONES, 0, SN_PARAM_STATE}, &i));
    assert_ok(sn_params_declare(p, "slow", SN_SHAPE(17), (sn_init){SN_INIT_NORMAL, 0.1f, SN_PARAM_NO_DECAY}, &i));
    assert_ok(sn_params_declare(p, "empty", SN_SHAPE(0, 4), uniform, &i));
    assert_ok(sn_params_declare(p, "last", SN_SHAPE(90003), uniform, &i));
    assert_ok(sn_params_seal(p));
    sn_params_set_trainable(p, FROZEN, false);
    sn_params_set_rate(p, SLOW, 0.25f);
    sn_params_initialise(p, 5);
    return p;
}

static void some_gradient(sn_params *p, int step) {
    float *g;
    assert_ok(sn_params_gradients(p, &g));
    for (int i = 0; i < sn_params_count(p); i++) {
        size_t from = sn_params_offset(p, i), n = (size_t)sn_shape_count(sn_params_shape(p, i));
        for (size_t k = 0; k < n; k++) g[from + k] = sinf((float)(from + k) * 0.7f + (float)step) * 0.3f;
    }
}

static sn_params *trained(const char *kind, double momentum, int threads, int isa, int steps) {
    sn_params *p = big_store();
    uint16_t *shadow;
    assert_ok(sn_params_shadow(p, &shadow));
    assert_ok(sn_params_fresh(p, threads));
    sn_optimiser_options options;
    sn_optimiser *o;
    assert_ok(sn_optimiser_defaults(kind, &options));
    options.momentum = momentum;
    options.weight_decay = 0.05;
    assert_ok(sn_optimiser_create(&options, p, threads, &o));
    if (isa < o->isa) o->isa = isa;
    for (int step = 0; step < steps; step++) {
        some_gradient(p, step);
        sn_optimiser_commit(o, 0.01, 0.5);
    }
    sn_optimiser_free(o);
    return p;
}

static void assert_same(sn_params *a, sn_params *b) {
    uint16_t *sa = sn_params_shadow_if_any(a), *sb = sn_params_shadow_if_any(b);
    assert_memory_equal(sn_params_flat(a), sn_params_flat(b), sn_params_total(a) * sizeof(float));
    assert_memory_equal(sa, sb, sn_params_total(a) * sizeof *sa);
}

static void threads_and_instructions_change_nothing(void **state) {
    (void)state;
    const struct {
        const char *kind;
        double momentum;
    } kinds[] = {{"sgd", 0}, {"sgd", 0.9}, {"rmsprop", 0}, {"rmsprop", 0.9}, {"adam", 0}, {"adamw", 0}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        sn_params *one = trained(kinds[i].kind, kinds[i].momentum, 1, SN_ISA_AVX512, 3);
        const int others[][2] = {{2, SN_ISA_AVX512}, {1, SN_ISA_AVX2}, {2, SN_ISA_BASE}};
        for (size_t k = 0; k < 3; k++) {
            sn_params *other = trained(kinds[i].kind, kinds[i].momentum, others[k][0], others[k][1], 3);
            assert_same(one, other);
            sn_params_free(other);
        }
        sn_params_free(one);
    }
}

static bool moved(sn_params *a, sn_params *b, int i) {
    size_t bytes = (size_t)sn_shape_count(sn_params_shape(a, i)) * sizeof(float);
    return memcmp(sn_params_data(a, i), sn_params_data(b, i), bytes) != 0;
}

static void only_trainable_parameters_move(void **state) {
    (void)state;
    sn_params *before = big_store(), *after = trained("adamw", 0, 2, SN_ISA_AVX512, 2);
    assert_true(moved(before, after, FIRST));
    assert_false(moved(before, after, FROZEN));
    assert_false(moved(before, after, STATE));
    assert_true(moved(before, after, SLOW));
    assert_true(moved(before, after, LAST));
    const float *x = sn_params_flat(after);
    for (int i = 0; i < sn_params_count(after); i++) { /* padding stays zero */
        size_t end = i + 1 < sn_params_count(after) ? sn_params_offset(after, i + 1) : sn_params_total(after);
        for (size_t k = sn_params_offset(after, i) + (size_t)sn_shape_count(sn_params_shape(after, i)); k < end; k++)
            assert_true(x[k] == 0.0f);
    }
    sn_params_free(before);
    sn_params_free(after);
}

static void a_stale_shadow_stays_stale(void **state) {
    (void)state;
    sn_params *p = big_store();
    uint16_t *shadow;
    sn_optimiser_options options;
    sn_optimiser *o;
    assert_ok(sn_params_shadow(p, &shadow));
    assert_ok(sn_optimiser_defaults("adamw", &options));
    assert_ok(sn_optimiser_create(&options, p, 1, &o));
    some_gradient(p, 0);
    sn_optimiser_commit(o, 0.01, 1); /* writes what trains; the frozen part was never converted */
    assert_ok(sn_params_fresh(p, 1));
    for (size_t i = 0; i < sn_params_total(p); i++) assert_int_equal(shadow[i], sn_to_bf16(sn_params_flat(p)[i]));
    sn_optimiser_free(o);
    sn_params_free(p);
}

/* ---- norm ---- */

static void norm_counts_what_trains(void **state) {
    (void)state;
    double norms[2];
    for (int threads = 1; threads <= 2; threads++) {
        sn_params *p = big_store();
        sn_optimiser_options options;
        sn_optimiser *o;
        float *g;
        int bad = 7;
        assert_ok(sn_optimiser_defaults("sgd", &options));
        assert_ok(sn_optimiser_create(&options, p, threads, &o));
        some_gradient(p, 1);
        assert_ok(sn_params_gradients(p, &g));
        double expected = 0;
        for (int i = 0; i < sn_params_count(p); i++)
            for (int64_t k = 0; sn_params_trainable(p, i) && k < sn_shape_count(sn_params_shape(p, i)); k++)
                expected += pow((double)g[sn_params_offset(p, i) + (size_t)k] * 0.25, 2);
        norms[threads - 1] = sn_optimiser_norm(o, 0.25, &bad);
        assert_int_equal(bad, -1);
        assert_true(fabs(norms[threads - 1] - sqrt(expected)) < 1e-9 * sqrt(expected));
        g[sn_params_offset(p, FROZEN) + 3] = NAN; /* frozen: of no interest */
        assert_true(isfinite(sn_optimiser_norm(o, 1, &bad)));
        g[sn_params_offset(p, LAST) + 90002] = INFINITY;
        assert_true(!isfinite(sn_optimiser_norm(o, 1, &bad)));
        assert_true(bad == LAST);
        g[sn_params_offset(p, SLOW) + 16] = NAN;
        assert_true(!isfinite(sn_optimiser_norm(o, 1, &bad)));
        assert_true(bad == SLOW);
        sn_optimiser_free(o);
        sn_params_free(p);
    }
    assert_true(norms[0] == norms[1]);
}

/* ---- saving ---- */

static const char *scratch(void) {
    static char path[64];
    (void)snprintf(path, sizeof path, "optimiser-test-%ld.safetensors", (long)getpid());
    return path;
}

static void resumed_is_unbroken(void **state) {
    (void)state;
    const char *kinds[] = {"sgd", "rmsprop", "adam", "adamw"};
    for (int k = 0; k < 4; k++) {
        sn_params *unbroken = trained(kinds[k], 0.9, 1, SN_ISA_AVX512, 5), *p = big_store(), *q = big_store();
        sn_optimiser_options options;
        sn_optimiser *first, *second;
        uint16_t *shadow;
        assert_ok(sn_optimiser_defaults(kinds[k], &options));
        options.momentum = 0.9;
        options.weight_decay = 0.05;
        assert_ok(sn_optimiser_create(&options, p, 1, &first));
        assert_ok(sn_optimiser_create(&options, q, 1, &second));
        for (int step = 0; step < 3; step++) {
            some_gradient(p, step);
            sn_optimiser_commit(first, 0.01, 0.5);
        }
        assert_ok(sn_optimiser_save(first, scratch()));
        memcpy(sn_params_flat(q), sn_params_flat(p), sn_params_total(p) * sizeof(float));
        some_gradient(q, 9);
        if (k == 3) sn_optimiser_commit(second, 0, 0); /* moments that the load must replace */
        assert_ok(sn_optimiser_load(second, scratch()));
        assert_int_equal(sn_optimiser_steps(second), 3);
        sn_bytes saved, again; /* what was never updated is in neither file */
        assert_ok(sn_file_read(scratch(), 1 << 24, &saved));
        assert_ok(sn_optimiser_save(second, scratch()));
        assert_ok(sn_file_read(scratch(), 1 << 24, &again));
        assert_int_equal(saved.size, again.size);
        assert_memory_equal(saved.data, again.data, saved.size);
        sn_bytes_free(&saved);
        sn_bytes_free(&again);
        for (int step = 3; step < 5; step++) {
            some_gradient(q, step);
            sn_optimiser_commit(second, 0.01, 0.5);
        }
        assert_ok(sn_params_shadow(q, &shadow));
        assert_ok(sn_params_fresh(q, 1));
        assert_same(unbroken, q);
        sn_optimiser_free(first);
        sn_optimiser_free(second);
        sn_params_free(p);
        sn_params_free(q);
        sn_params_free(unbroken);
    }
    (void)unlink(scratch());
}

static void wrong_state_is_refused(void **state) {
    (void)state;
    sn_params *p = big_store();
    sn_optimiser_options options;
    sn_optimiser *adamw, *sgd;
    assert_ok(sn_optimiser_defaults("adamw", &options));
    assert_ok(sn_optimiser_create(&options, p, 1, &adamw));
    assert_ok(sn_optimiser_defaults("sgd", &options));
    assert_ok(sn_optimiser_create(&options, p, 1, &sgd));
    assert_ok(sn_optimiser_save(sgd, scratch()));
    assert_fails(sn_optimiser_load(adamw, scratch()), SN_ERR_FORMAT, "expected adamw, found sgd");
    const float zeros[17] = {0};
    json_t *metadata = json_pack("{s:s, s:s}", "kind", "adamw", "step", "4");
    sn_tensor_view slow[2] = {{"exp_avg.slow", {SN_SHAPE(17), SN_F32}, zeros, sizeof zeros},
                              {"exp_avg_sq.slow", {SN_SHAPE(17), SN_F32}, zeros, sizeof zeros}};
    assert_ok(sn_safetensors_write(scratch(), slow, 1, metadata));
    assert_fails(sn_optimiser_load(adamw, scratch()), SN_ERR_SHAPE, "\"exp_avg_sq.slow\" is missing");
    slow[1].type.shape = SN_SHAPE(1, 17);
    assert_ok(sn_safetensors_write(scratch(), slow, 2, metadata));
    assert_fails(sn_optimiser_load(adamw, scratch()), SN_ERR_SHAPE, "expected shape [17] of F32, found [1, 17]");
    slow[1] = slow[0];
    slow[1].name = "exp_avg.other";
    assert_ok(sn_safetensors_write(scratch(), slow, 2, metadata));
    assert_fails(sn_optimiser_load(adamw, scratch()), SN_ERR_SHAPE, "\"exp_avg.other\" is no moment");
    assert_int_equal(sn_optimiser_steps(adamw), 0);
    assert_ok(sn_safetensors_write(scratch(), slow, 1, NULL));
    assert_fails(sn_optimiser_load(adamw, scratch()), SN_ERR_FORMAT, "not the state of an optimiser");
    json_decref(metadata);
    sn_optimiser_free(adamw);
    sn_optimiser_free(sgd);
    sn_params_free(p);
    (void)unlink(scratch());
}

static void options_are_checked(void **state) {
    (void)state;
    sn_params *p = big_store();
    sn_optimiser_options options;
    sn_optimiser *o;
    assert_fails(sn_optimiser_defaults("adamx", &options), SN_ERR_USAGE, "sgd, rmsprop, adam, adamw");
    assert_ok(sn_optimiser_defaults("adamw", &options));
    assert_true(options.weight_decay == 0.01 && options.beta2 == 0.999);
    options.beta2 = 1;
    assert_fails(sn_optimiser_create(&options, p, 1, &o), SN_ERR_USAGE, "beta2");
    assert_ok(sn_optimiser_defaults("sgd", &options));
    options.nesterov = true;
    assert_fails(sn_optimiser_create(&options, p, 1, &o), SN_ERR_USAGE, "nesterov needs a momentum");
    sn_params_free(p);
}

/* Every allocation of create, save and load fails once: the right error, and (under ASan) no leak. */
static void allocations_may_fail(void **state) {
    (void)state;
    sn_params *p = big_store();
    sn_optimiser_options options;
    assert_ok(sn_optimiser_defaults("adamw", &options));
    bool done = false;
    for (long n = 1; !done && n < 1000; n++) {
        sn_optimiser *o = NULL;
        sn_alloc_fail_after(n);
        sn_status status = sn_optimiser_create(&options, p, 1, &o);
        if (status == SN_OK) {
            some_gradient(p, 0);
            sn_optimiser_commit(o, 0.1, 1);
            status = sn_optimiser_save(o, scratch());
        }
        if (status == SN_OK) status = sn_optimiser_load(o, scratch());
        done = status == SN_OK && sn_alloc_count() < n;
        sn_alloc_fail_after(0);
        if (!done && status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
        sn_optimiser_free(o);
    }
    assert_true(done);
    sn_params_free(p);
    (void)unlink(scratch());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_torchs),
        cmocka_unit_test(threads_and_instructions_change_nothing),
        cmocka_unit_test(only_trainable_parameters_move),
        cmocka_unit_test(a_stale_shadow_stays_stale),
        cmocka_unit_test(norm_counts_what_trains),
        cmocka_unit_test(resumed_is_unbroken),
        cmocka_unit_test(wrong_state_is_refused),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
