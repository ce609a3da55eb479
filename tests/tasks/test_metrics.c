/* Scores: against scikit-learn (tools/golden_metrics.py), by hand, and where they are undefined. */
#include "test.h"

#include <math.h>

#include "tasks/metrics.h"
#include "tasks/ranking.h"

static const char *const names[] = {"a", "b", "c", "d", "e"};

static void compare(const char *what, size_t row, const json_t *expected, const json_t *found) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)expected, key, value) {
        const json_t *have = json_object_get(found, key);
        if (!have) fail_msg("%s %zu: %s is not there", what, row, key);
        if (json_is_real(value)) {
            double e = json_real_value(value), f = json_number_value(have);
            if (!json_is_number(have) || !(fabs(e - f) <= 1e-12 * fmax(1, fabs(e))))
                fail_msg("%s %zu: %s: expected %.17g, found %.17g", what, row, key, e, f);
        } else if (!json_equal(value, have)) {
            fail_msg("%s %zu: %s differs", what, row, key);
        }
    }
}

static float *floats(const json_t *list) {
    float *x = calloc(json_array_size(list) + 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        x[i] = json_is_null(item) ? NAN : (float)json_number_value(item);
    }
    return x;
}

static void categories_are_scikit_learns(const json_t *cases) {
    size_t i;
    json_t *c;
    assert_true(json_array_size(cases) >= 4);
    json_array_foreach((json_t *)(uintptr_t)cases, i, c) {
        const json_t *list = json_object_get(c, "labels");
        size_t rows = json_array_size(list);
        int32_t *labels = calloc(rows, sizeof *labels);
        float *p = floats(json_object_get(c, "probabilities"));
        json_t *found;
        for (size_t k = 0; k < rows; k++) labels[k] = (int32_t)json_integer_value(json_array_get(list, k));
        assert_ok(sn_metrics_category(labels, p, (int64_t)rows, (int)json_integer_value(json_object_get(c, "classes")), names, &found));
        compare("category", i, json_object_get(c, "expected"), found);
        json_decref(found);
        free(labels);
        free(p);
    }
}

static void numbers_are_scikit_learns(const json_t *cases) {
    size_t i;
    json_t *c;
    assert_true(json_array_size(cases) >= 4);
    json_array_foreach((json_t *)(uintptr_t)cases, i, c) {
        const json_t *list = json_object_get(c, "targets");
        float *y = floats(list), *x = floats(json_object_get(c, "predictions"));
        json_t *found;
        assert_ok(sn_metrics_number(y, x, (int64_t)json_array_size(list), &found));
        compare("number", i, json_object_get(c, "expected"), found);
        json_decref(found);
        free(x);
        free(y);
    }
}

static void scores_are_scikit_learns(void **state) {
    (void)state;
    json_t *golden;
    assert_ok(sn_json_read(SN_TEST_ROOT "/golden/metrics.json", &golden));
    categories_are_scikit_learns(json_object_get(golden, "category"));
    numbers_are_scikit_learns(json_object_get(golden, "number"));
    json_decref(golden);
}

static double at(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void by_hand(void **state) {
    (void)state;
    /* predicted: a b b b (a tie); targets: a b a c, and one row without */
    const int32_t labels[] = {0, 1, 0, 2, -1};
    const float p[] = {0.5f, 0.25f, 0.25f, 0, 1, 0, 0.25f, 0.5f, 0.25f, 0, 0.5f, 0.5f, 1, 0, 0};
    json_t *found;
    assert_ok(sn_metrics_category(labels, p, 5, 3, names, &found));
    assert_int_equal(json_integer_value(json_object_get(found, "rows")), 4);
    assert_int_equal(json_integer_value(json_object_get(found, "unlabelled")), 1);
    assert_true(at(found, "accuracy") == 0.5); /* the last one's tie goes to b: wrong */
    assert_true(fabs(at(found, "loss") - (log(2) + log(4) + log(2) - log(1 - 0x1p-23)) / 4) < 1e-15);
    const json_t *classes = json_object_get(found, "classes"), *b = json_object_get(classes, "b"), *c = json_object_get(classes, "c");
    assert_true(fabs(at(b, "precision") - 1.0 / 3) < 1e-15 && at(b, "recall") == 1 && at(b, "f1") == 0.5);
    assert_true(json_is_null(json_object_get(c, "precision"))); /* never predicted */
    assert_true(at(c, "recall") == 0 && at(c, "f1") == 0);
    assert_true(fabs(at(found, "precision_macro") - 4.0 / 9) < 1e-15);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(json_object_get(found, "confusion"), 2), 1)), 1);
    json_decref(found);
}

static void assert_null_at(const json_t *object, const char *key) {
    if (!json_is_null(json_object_get(object, key))) fail_msg("%s is not null", key);
}

static void undefined_is_null(void **state) {
    (void)state;
    const int32_t none[] = {-1, -1}, ones[] = {1, 1}, wrong[] = {2, 0};
    const float p[] = {0.25f, 0.75f, 0.5f, 0.5f}, broken[] = {NAN, 0.75f, NAN, NAN};
    const char *keys[] = {"accuracy", "loss", "precision_macro", "recall_micro", "f1_weighted", "roc_auc", "average_precision"};
    json_t *found;
    assert_ok(sn_metrics_category(none, p, 2, 2, names, &found));
    for (int i = 0; i < 7; i++) assert_null_at(found, keys[i]);
    json_decref(found);
    assert_ok(sn_metrics_category(ones, p, 2, 2, names, &found));
    assert_null_at(found, "roc_auc"); /* no negative */
    assert_true(at(found, "average_precision") == 1);
    json_decref(found);
    assert_ok(sn_metrics_category(ones, broken, 2, 2, names, &found));
    assert_null_at(found, "loss");
    assert_null_at(found, "roc_auc");
    assert_true(at(found, "accuracy") == 1.0 || at(found, "accuracy") == 0.5);
    json_decref(found);
    assert_fails(sn_metrics_category(wrong, p, 2, 2, names, &found), SN_ERR_USAGE, "label 2 of row 0");
    const float nothing[] = {NAN}, x[] = {1};
    assert_ok(sn_metrics_number(nothing, x, 1, &found));
    assert_null_at(found, "mae");
    assert_null_at(found, "r2");
    assert_null_at(found, "median_ae");
    json_decref(found);
    assert_ok(sn_metrics_number(x, nothing, 1, &found));
    assert_null_at(found, "rmse");
    assert_int_equal(json_integer_value(json_object_get(found, "rows")), 1);
    json_decref(found);
}

/* Area and precision from their definitions, over all pairs and thresholds, of scores of any sign and size. */
static void ranking_agrees_with_its_definition(void **state) {
    (void)state;
    enum { N = 200 };
    const float scores[] = {-INFINITY, -3e8f, -1, -1e-40f, -0.0f, 0, 1e-40f, 0.25f, 0.5f, 3e8f};
    float score[N];
    bool positive[N];
    sn_ranking *r;
    assert_ok(sn_ranking_create(N, &r));
    for (int repeat = 0; repeat < 2; repeat++) {
        double pairs = 0, all = 0, precision = 0;
        sn_ranking_clear(r);
        for (int i = 0; i < N; i++) {
            score[i] = scores[(i * 7 + i * i + repeat) % 10];
            positive[i] = i % 3 == repeat;
            all += positive[i];
            sn_ranking_add(r, score[i], positive[i]);
        }
        for (int i = 0; i < N; i++) {
            double above = 0, hits = 0;
            for (int k = 0; k < N; k++) {
                if (positive[i] && !positive[k]) pairs += score[i] > score[k] ? 1 : score[i] < score[k] ? 0 : 0.5;
                above += score[k] >= score[i];
                hits += positive[k] && score[k] >= score[i];
            }
            if (positive[i]) precision += hits / above / all;
        }
        sn_ranking_sort(r);
        assert_true(fabs(sn_ranking_roc_auc(r) - pairs / all / (N - all)) < 1e-12);
        assert_true(fabs(sn_ranking_average_precision(r) - precision) < 1e-12);
    }
    sn_ranking_free(r);
}

static void allocations_may_fail(void **state) {
    (void)state;
    const int32_t labels[] = {0, 1, 2};
    const float p[] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    sn_status status = SN_ERR_MEMORY;
    long n = 0;
    while (status != SN_OK && n++ < 100) {
        json_t *found = NULL, *number = NULL;
        sn_alloc_fail_after(n);
        status = sn_metrics_category(labels, p, 3, 3, names, &found);
        if (status == SN_OK) status = sn_metrics_number(p, p, 3, &number);
        sn_alloc_fail_after(0);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
        json_decref(found);
        json_decref(number);
    }
    assert_true(n == 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_scikit_learns),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(undefined_is_null),
        cmocka_unit_test(ranking_agrees_with_its_definition),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
