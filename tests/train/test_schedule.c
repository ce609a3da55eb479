/* Schedules: against torch's (tools/golden_optim.py), warm-up, the edges, and what is refused. */
#include "test.h"

#include <math.h>

#include "params/safetensors.h"
#include "train/optimiser.h"

static void assert_near(double expected, double found, double tolerance) {
    if (!(fabs(expected - found) <= tolerance)) fail_msg("expected %.12g, found %.12g", expected, found);
}

typedef struct schedule_case {
    const char *golden;
    sn_schedule_options options;
    int64_t total, steps_per_epoch;
    int64_t rows;
} schedule_case;

static void rates_are_torchs(void **state) {
    (void)state;
    const schedule_case cases[] = {
        {"schedule.one_cycle", {.kind = "one_cycle", .learning_rate = 0.02, .rise = 0.3}, 41, 10, 40},
        {"schedule.one_cycle_rise", {.kind = "one_cycle", .learning_rate = 1, .rise = 0.5}, 31, 10, 30},
        {"schedule.cosine", {.kind = "cosine", .learning_rate = 0.1}, 30, 10, 30},
        {"schedule.step", {.kind = "step", .learning_rate = 0.1, .decay = 0.3, .every = 2}, 30, 3, 30},
    };
    sn_safetensors *file;
    assert_ok(sn_safetensors_open(SN_TEST_ROOT "/golden/optim.safetensors", &file));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const schedule_case *c = &cases[i];
        const sn_tensor_view *view = sn_safetensors_find(file, c->golden);
        assert_non_null(view);
        assert_int_equal(sn_shape_count(view->type.shape), c->rows);
        assert_ok(sn_schedule_check(&c->options));
        for (int64_t step = 0; step < c->rows; step++) {
            double expected = (double)((const float *)view->data)[step];
            assert_near(expected, sn_schedule_rate(&c->options, step, c->total, c->steps_per_epoch, 0), 1e-7 * c->options.learning_rate);
        }
    }
    sn_safetensors_free(file);
}

static void one_cycle_reaches_its_ends(void **state) {
    (void)state;
    sn_schedule_options o = {.kind = "one_cycle", .learning_rate = 0.5, .rise = 0.25};
    assert_near(0.02, sn_schedule_rate(&o, 0, 100, 10, 0), 1e-15);
    assert_near(0.5, sn_schedule_rate(&o, 24, 100, 10, 0), 1e-15);
    assert_near(0.02e-4, sn_schedule_rate(&o, 99, 100, 10, 0), 1e-15);
    o.rise = 1;
    assert_near(0.5, sn_schedule_rate(&o, 99, 100, 10, 0), 1e-15);
    for (int64_t total = 1; total < 6; total++) /* few steps: never a division by zero */
        for (int64_t step = 0; step < total; step++)
            for (o.rise = 0; o.rise <= 1; o.rise += 0.25) {
                double rate = sn_schedule_rate(&o, step, total, 1, 0);
                assert_true(rate > 0 && rate <= 0.5);
            }
}

static void warm_up_is_linear_from_zero(void **state) {
    (void)state;
    const char *kinds[] = {"constant", "step", "cosine", "plateau"};
    for (int i = 0; i < 4; i++) {
        sn_schedule_options o = {.kind = kinds[i], .learning_rate = 2, .warmup_fraction = 0.1, .decay = 0.5, .every = 100};
        assert_ok(sn_schedule_check(&o));
        for (int64_t step = 0; step <= 10; step++)
            assert_near(0.2 * (double)step, sn_schedule_rate(&o, step, 100, 10, 0), 1e-12);
    }
    sn_schedule_options o = {.kind = "cosine", .learning_rate = 2, .warmup_fraction = 0.1};
    assert_near(1, sn_schedule_rate(&o, 55, 100, 10, 0), 1e-12); /* half of the steps that remain */
    assert_near(0, sn_schedule_rate(&o, 100, 100, 10, 0), 1e-12);
}

static void plateau_cuts(void **state) {
    (void)state;
    sn_schedule_options o = {.kind = "plateau", .learning_rate = 0.8, .decay = 0.5, .every = 3};
    assert_near(0.8, sn_schedule_rate(&o, 50, 100, 10, 0), 1e-15);
    assert_near(0.1, sn_schedule_rate(&o, 50, 100, 10, 3), 1e-15);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    sn_schedule_options o = {.kind = "sine", .learning_rate = 1};
    assert_fails(sn_schedule_check(&o), SN_ERR_USAGE, "constant, step, cosine, one_cycle, plateau");
    o.kind = "constant";
    assert_ok(sn_schedule_check(&o));
    o.learning_rate = NAN;
    assert_fails(sn_schedule_check(&o), SN_ERR_USAGE, "learning rate");
    o = (sn_schedule_options){.kind = "constant", .learning_rate = 1, .warmup_fraction = 1};
    assert_fails(sn_schedule_check(&o), SN_ERR_USAGE, "warm-up");
    o = (sn_schedule_options){.kind = "step", .learning_rate = 1, .every = 1};
    assert_fails(sn_schedule_check(&o), SN_ERR_USAGE, "decay");
    o = (sn_schedule_options){.kind = "plateau", .learning_rate = 1, .decay = 0.1};
    assert_fails(sn_schedule_check(&o), SN_ERR_USAGE, "every");
    o = (sn_schedule_options){.kind = "one_cycle", .learning_rate = 1, .rise = 1.5};
    assert_fails(sn_schedule_check(&o), SN_ERR_USAGE, "rise");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_torchs),
        cmocka_unit_test(one_cycle_reaches_its_ends),
        cmocka_unit_test(warm_up_is_linear_from_zero),
        cmocka_unit_test(plateau_cuts),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
