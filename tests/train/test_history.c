/* History: the exact file, reading it back for a resume, names and numbers at their worst. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "train/history.h"

static const char *scratch(void) {
    static char path[64];
    (void)snprintf(path, sizeof path, "history-test-%ld.csv", (long)getpid());
    return path;
}

static void assert_file(const char *expected) {
    sn_bytes bytes;
    assert_ok(sn_file_read(scratch(), 10000, &bytes));
    assert_string_equal((const char *)bytes.data, expected);
    sn_bytes_free(&bytes);
}

static int clear(void **state) {
    (void)state;
    (void)unlink(scratch());
    return 0;
}

static void file_grows_by_rows_and_columns(void **state) {
    (void)state;
    sn_history *h;
    const char *one[] = {"answer.accuracy"}, *two[] = {"a,\"b\"", "answer.accuracy"};
    const double first[] = {0.5}, second[] = {INFINITY, 0.75};
    assert_ok(sn_history_create(scratch(), &h));
    assert_false(sn_file_exists(scratch()));
    assert_ok(sn_history_add(h, &(sn_epoch){1, 2.5, 0.1, NAN, 1e-3}, NULL, NULL, 0));
    assert_file("epoch,seconds,train_loss,valid_loss,learning_rate\n1,2.5,0.1,,0.001\n");
    assert_ok(sn_history_add(h, &(sn_epoch){2, 5, 1.0 / 3, 0.25, 1e-3}, one, first, 1));
    assert_ok(sn_history_add(h, &(sn_epoch){3, 7, 0.03, 0.2, 1e-4}, two, second, 2));
    assert_file("epoch,seconds,train_loss,valid_loss,learning_rate,answer.accuracy,\"a,\"\"b\"\"\"\n"
                "1,2.5,0.1,,0.001,,\n"
                "2,5,0.33333333333333331,0.25,0.001,0.5,\n"
                "3,7,0.03,0.2,0.0001,0.75,inf\n");
    assert_int_equal(sn_history_rows(h), 3);
    assert_true(sn_history_metric(h, 2, 0) == 0.75 && isnan(sn_history_metric(h, 0, 0)));
    sn_history_free(h);
    sn_history_free(NULL);
}

static void resumed_file_is_the_unbroken_one(void **state) {
    (void)state;
    sn_history *h, *again;
    const char *names[] = {"a,\"b\"", "m"};
    assert_ok(sn_history_load(scratch(), 9, &h)); /* no file yet */
    for (int64_t i = 1; i <= 3; i++) {
        const double values[] = {sqrt((double)i), i == 1 ? NAN : -(double)i};
        assert_ok(sn_history_add(h, &(sn_epoch){i, exp((double)i), 1e-9 / (double)i, i == 2 ? NAN : 1e300, 0.1}, names, values, 2));
    }
    sn_bytes whole;
    assert_ok(sn_file_read(scratch(), 10000, &whole));
    assert_ok(sn_history_load(scratch(), 2, &again));
    assert_int_equal(sn_history_rows(again), 2);
    assert_int_equal(sn_history_metrics(again), 2);
    assert_string_equal(sn_history_metric_name(again, 0), "a,\"b\"");
    assert_true(sn_history_metric(again, 1, 0) == sqrt(2) && sn_history_metric(again, 1, 1) == -2);
    assert_true(isnan(sn_history_metric(again, 0, 1)));
    assert_true(sn_history_epoch(again, 1)->seconds == exp(2) && isnan(sn_history_epoch(again, 1)->valid_loss));
    const double values[] = {sqrt(3), -3};
    assert_ok(sn_history_add(again, sn_history_epoch(h, 2), names, values, 2));
    assert_file((const char *)whole.data);
    sn_bytes_free(&whole);
    sn_history_free(h);
    sn_history_free(again);
}

static void other_files_are_refused(void **state) {
    (void)state;
    sn_history *h;
    const char other[] = "epoch,seconds,loss\n1,2,3\n", broken[] = "epoch,seconds,train_loss,valid_loss,learning_rate\n1,2,x,4,5\n";
    assert_ok(sn_file_write(scratch(), other, sizeof other - 1));
    assert_fails(sn_history_load(scratch(), 9, &h), SN_ERR_FORMAT, "expected column 3 to be \"train_loss\"");
    assert_null(h);
    assert_ok(sn_file_write(scratch(), broken, sizeof broken - 1));
    assert_fails(sn_history_load(scratch(), 9, &h), SN_ERR_FORMAT, "\"x\" is not a number");
    assert_int_equal(sn_error_row(), 1);
    assert_string_equal(sn_error_column(), "train_loss");
    const char *name[] = {"seconds"};
    const double x[] = {1};
    assert_ok(sn_history_create(NULL, &h));
    assert_fails(sn_history_add(h, &(sn_epoch){1, 1, 1, 1, 1}, name, x, 1), SN_ERR_USAGE, "\"seconds\"");
    assert_int_equal(sn_history_rows(h), 0);
    assert_ok(sn_history_add(h, &(sn_epoch){1, 1, 1, 1, 1}, NULL, NULL, 0));
    sn_history_free(h);
}

static void allocations_may_fail(void **state) {
    (void)state;
    const char *names[] = {"a", "b"};
    const double values[] = {1, 2};
    bool done = false;
    long n = 0;
    while (!done && n++ < 200) {
        sn_history *h = NULL;
        sn_alloc_fail_after(n);
        sn_status status = sn_history_create(scratch(), &h);
        if (status == SN_OK) status = sn_history_add(h, &(sn_epoch){1, 1, 1, 1, 1}, names, values, 2);
        done = sn_alloc_count() < n;
        sn_alloc_fail_after(0);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
        if (done) assert_ok(status);
        sn_history_free(h);
    }
    assert_true(done && n > 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(file_grows_by_rows_and_columns, clear),
        cmocka_unit_test_teardown(resumed_file_is_the_unbroken_one, clear),
        cmocka_unit_test_teardown(other_files_are_refused, clear),
        cmocka_unit_test_teardown(allocations_may_fail, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
