/* The parameter store: layout, sealing, filling, shadow, packed copies, failing allocations. */
#include "test.h"

#include <math.h>

#include "params/params.h"

static const sn_init zeros = {SN_INIT_ZEROS, 0, 0};

static sn_params *store(void) {
    sn_params *p;
    int i;
    assert_ok(sn_params_create(&p));
    assert_ok(sn_params_declare(p, "weight", SN_SHAPE(3, 5), (sn_init){SN_INIT_UNIFORM, 0.5f, 0}, &i));
    assert_int_equal(i, 0);
    assert_ok(sn_params_declare(p, "bias", SN_SHAPE(17), (sn_init){SN_INIT_ONES, 0, SN_PARAM_NO_DECAY}, &i));
    assert_ok(sn_params_declare(p, "mean", SN_SHAPE(16), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_STATE}, &i));
    assert_ok(sn_params_declare(p, "scalar", sn_shape_of(NULL, 0), (sn_init){SN_INIT_NORMAL, 2, 0}, &i));
    assert_int_equal(i, 3);
    return p;
}

static void layout_is_in_order_and_aligned(void **state) {
    (void)state;
    sn_params *p = store();
    const size_t offsets[] = {0, 16, 48, 64};
    assert_int_equal(sn_params_count(p), 4);
    assert_int_equal(sn_params_total(p), 80);
    for (int i = 0; i < 4; i++) assert_int_equal(sn_params_offset(p, i), offsets[i]);
    assert_int_equal(sn_params_find(p, "mean"), 2);
    assert_int_equal(sn_params_find(p, "mea"), -1);
    assert_string_equal(sn_params_name(p, 1), "bias");
    assert_int_equal(sn_params_shape(p, 0).dim[1], 5);
    assert_int_equal(sn_params_init_of(p, 1).flags, SN_PARAM_NO_DECAY);
    assert_int_equal(sn_params_at(p, 0), 0);
    assert_int_equal(sn_params_at(p, 47), 1);
    assert_int_equal(sn_params_at(p, 48), 2);
    assert_int_equal(sn_params_at(p, 79), 3);
    assert_ok(sn_params_seal(p));
    assert_true(sn_params_sealed(p));
    assert_ptr_equal(sn_params_data(p, 3), sn_params_flat(p) + 64);
    assert_int_equal((uintptr_t)sn_params_flat(p) % 64, 0);
    sn_params_free(p);
    sn_params_free(NULL);
}

static void declaring_again_must_agree(void **state) {
    (void)state;
    sn_params *p = store();
    int i;
    assert_ok(sn_params_declare(p, "bias", SN_SHAPE(17), zeros, &i));
    assert_int_equal(i, 1);
    assert_fails(sn_params_declare(p, "bias", SN_SHAPE(17, 1), zeros, &i), SN_ERR_SHAPE,
                 "\"bias\": expected shape [17], found [17, 1]");
    assert_fails(sn_params_declare(p, "", SN_SHAPE(1), zeros, &i), SN_ERR_USAGE, "name");
    assert_fails(sn_params_declare(p, "wide", SN_SHAPE(1LL << 40, 1LL << 40), zeros, &i), SN_ERR_SHAPE, "\"wide\"");
    assert_fails(sn_params_declare(p, "negative", SN_SHAPE(2, -1), zeros, &i), SN_ERR_SHAPE, "\"negative\"");
    float *flat;
    sn_packed *packed;
    assert_fails(sn_params_gradients(p, &flat), SN_ERR_STATE, "before");
    assert_fails(sn_params_packed(p, 0, 1, 8, &packed), SN_ERR_STATE, "before");
    assert_ok(sn_params_seal(p));
    assert_fails(sn_params_seal(p), SN_ERR_STATE, "sealed already");
    assert_ok(sn_params_declare(p, "weight", SN_SHAPE(3, 5), zeros, &i));
    assert_int_equal(i, 0);
    assert_fails(sn_params_declare(p, "weight", SN_SHAPE(5, 3), zeros, &i), SN_ERR_SHAPE, "expected shape [3, 5], found [5, 3]");
    assert_fails(sn_params_declare(p, "other", SN_SHAPE(5, 3), zeros, &i), SN_ERR_SHAPE, "found a new one of shape [5, 3]");
    assert_int_equal(sn_params_count(p), 4);
    sn_params_free(p);
}

static void state_never_trains(void **state) {
    (void)state;
    sn_params *p = store();
    assert_true(sn_params_trainable(p, 0));
    assert_false(sn_params_trainable(p, 2));
    sn_params_set_trainable(p, 2, true);
    assert_false(sn_params_trainable(p, 2));
    sn_params_set_trainable(p, 0, false);
    assert_false(sn_params_trainable(p, 0));
    assert_true(sn_params_rate(p, 1) == 1.0f);
    sn_params_set_rate(p, 1, 0.1f);
    assert_true(sn_params_rate(p, 1) == 0.1f);
    sn_params_free(p);
}

static void initialising_depends_on_seed_and_name_only(void **state) {
    (void)state;
    sn_params *a = store(), *b;
    int first, weight;
    assert_ok(sn_params_create(&b));
    assert_ok(sn_params_declare(b, "first", SN_SHAPE(70000), (sn_init){SN_INIT_UNIFORM, 1, 0}, &first));
    assert_ok(sn_params_declare(b, "weight", SN_SHAPE(3, 5), (sn_init){SN_INIT_UNIFORM, 0.5f, 0}, &weight));
    assert_ok(sn_params_seal(a));
    assert_ok(sn_params_seal(b));
    sn_params_initialise(a, 11);
    sn_params_initialise(b, 11);
    assert_memory_equal(sn_params_data(a, 0), sn_params_data(b, weight), 15 * sizeof(float));
    assert_memory_not_equal(sn_params_data(b, first), sn_params_data(b, weight), 15 * sizeof(float));
    assert_true(sn_params_data(a, 0)[15] == 0.0f); /* padding */
    assert_true(sn_params_data(a, 1)[16] == 1.0f && sn_params_data(a, 1)[17] == 0.0f);
    float before = sn_params_data(a, 0)[7];
    sn_params_initialise(a, 12);
    assert_true(sn_params_data(a, 0)[7] != before);
    sn_params_free(a);
    sn_params_free(b);
}

/* Mean, variance, reach and lag-1 correlation of a large parameter. */
static void check_spread(sn_init init, double variance, double reach) {
    enum { N = 300001 };
    sn_params *p;
    int i;
    assert_ok(sn_params_create(&p));
    assert_ok(sn_params_declare(p, "x", SN_SHAPE(N), init, &i));
    assert_ok(sn_params_seal(p));
    sn_params_initialise(p, 3);
    const float *x = sn_params_flat(p);
    double sum = 0, squares = 0, lag = 0, most = 0;
    for (int k = 0; k < N; k++) {
        sum += (double)x[k];
        squares += (double)x[k] * (double)x[k];
        if (k) lag += (double)x[k] * (double)x[k - 1];
        most = fmax(most, fabs((double)x[k]));
    }
    assert_true(fabs(sum / N) < 4 * sqrt(variance / N));
    assert_true(fabs(squares / N / variance - 1) < 0.01);
    assert_true(fabs(lag / N / variance) < 0.01);
    assert_true(most > 0.9 * reach && most < 1.6 * reach);
    sn_params_free(p);
}

static void numbers_are_spread_as_asked(void **state) {
    (void)state;
    check_spread((sn_init){SN_INIT_UNIFORM, 0.3f, 0}, 0.03, 0.3);
    check_spread((sn_init){SN_INIT_NORMAL, 0.02f, 0}, 0.0004, 0.09); /* 4.5 deviations among 300,000 */
}

static void shadow_follows_masters(void **state) {
    (void)state;
    sn_params *p = store();
    uint16_t *shadow;
    assert_ok(sn_params_seal(p));
    assert_null(sn_params_shadow_if_any(p));
    assert_ok(sn_params_fresh(p, 1)); /* nothing to do */
    assert_null(sn_params_shadow_if_any(p));
    uint64_t version = sn_params_version(p);
    sn_params_initialise(p, 1);
    assert_true(sn_params_version(p) > version);
    assert_ok(sn_params_shadow(p, &shadow));
    assert_ok(sn_params_fresh(p, 2));
    for (size_t i = 0; i < 80; i++) assert_int_equal(shadow[i], sn_to_bf16(sn_params_flat(p)[i]));
    float *x = sn_params_flat(p);
    const float hard[] = {NAN, -INFINITY, 1e-40f, -0.0f, 3.4028235e38f, 1.00390625f, 1.01171875f};
    memcpy(x, hard, sizeof hard);
    assert_ok(sn_params_fresh(p, 1)); /* nobody said that they changed */
    assert_int_not_equal(shadow[1], sn_to_bf16(x[1]));
    sn_params_changed(p, false);
    sn_params_changed(p, true); /* who wrote its own part does not make the rest fresh */
    assert_ok(sn_params_fresh(p, 1));
    for (size_t i = 0; i < 80; i++) assert_int_equal(shadow[i], sn_to_bf16(x[i]));
    sn_params_free(p);
}

static void packed_copies_are_kept_by_key(void **state) {
    (void)state;
    sn_params *p = store();
    sn_packed *a, *b, *again;
    assert_ok(sn_params_seal(p));
    assert_ok(sn_params_packed(p, 0, 7, 100, &a));
    assert_ok(sn_params_packed(p, 0, 8, 50, &b));
    assert_true(a != b && a->version == 0 && a->bytes == 100 && a->param == 0);
    a->version = sn_params_version(p);
    assert_ok(sn_params_packed(p, 0, 7, 100, &again));
    assert_ptr_equal(a, again);
    assert_int_equal(again->version, sn_params_version(p));
    assert_ok(sn_params_packed(p, 0, 7, 200, &again)); /* another size: to be packed anew, at the same place */
    assert_ptr_equal(a, again);
    assert_int_equal(a->version, 0);
    memset(a->data, 1, 200);
    assert_ok(sn_params_packed(p, 1, 7, 100, &again));
    assert_ptr_not_equal(a, again);
    assert_fails(sn_params_packed(p, 4, 7, 100, &again), SN_ERR_USAGE, "the store has 4");
    sn_params_free(p);
}

static sn_status whole_life(sn_params **p) {
    int i;
    float *gradients;
    uint16_t *shadow;
    sn_packed *packed;
    SN_TRY(sn_params_create(p));
    for (int k = 0; k < 40; k++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%d", k);
        SN_TRY(sn_params_declare(*p, name, SN_SHAPE(k, 3), zeros, &i));
    }
    SN_TRY(sn_params_seal(*p));
    SN_TRY(sn_params_gradients(*p, &gradients));
    SN_TRY(sn_params_shadow(*p, &shadow));
    SN_TRY(sn_params_packed(*p, 3, 1, 64, &packed));
    return sn_params_packed(*p, 3, 1, 128, &packed);
}

static void allocations_may_fail(void **state) {
    (void)state;
    bool done = false;
    long n = 0;
    while (!done && n++ < 1000) {
        sn_params *p = NULL;
        sn_alloc_fail_after(n);
        sn_status status = whole_life(&p);
        done = status == SN_OK;
        sn_alloc_fail_after(0);
        if (!done) assert_int_equal(status, SN_ERR_MEMORY);
        sn_params_free(p);
    }
    assert_true(done && n > 80);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_is_in_order_and_aligned),
        cmocka_unit_test(declaring_again_must_agree),
        cmocka_unit_test(state_never_trains),
        cmocka_unit_test(initialising_depends_on_seed_and_name_only),
        cmocka_unit_test(numbers_are_spread_as_asked),
        cmocka_unit_test(shadow_follows_masters),
        cmocka_unit_test(packed_copies_are_kept_by_key),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
