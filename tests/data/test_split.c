/* Splits: shares, classes, groups, given sides, determinism. */
#include "data_test.h"

#include "data/split.h"

/* `rows` rows; class i % classes, group i / 10. */
static sn_table *make(int rows, int classes) {
    sn_buf text = {0};
    sn_buf_puts(&text, "label,group\n");
    for (int i = 0; i < rows; i++) sn_buf_printf(&text, "c%d,g%d\n", i % classes, i / 10);
    sn_table *t;
    assert_ok(parse_bytes("a.csv", text.data, text.size, &t));
    sn_buf_free(&text);
    return t;
}

static const sn_split_options plain = {.valid_fraction = 0.2, .seed = 1, .target = -1, .group = -1, .split = -1};

static void assert_partition(const sn_split *s, int64_t rows) {
    unsigned char *seen = calloc((size_t)rows, 1);
    const int64_t *lists[] = {s->train, s->valid, s->test}, counts[] = {s->trains, s->valids, s->tests};
    for (int l = 0; l < 3; l++) {
        for (int64_t i = 0; i < counts[l]; i++) {
            assert_in_range(lists[l][i], 0, rows - 1);
            assert_true(!i || lists[l][i] > lists[l][i - 1]);
            seen[lists[l][i]]++;
        }
    }
    for (int64_t i = 0; i < rows; i++) assert_int_equal(seen[i], 1);
    free(seen);
}

static void shares_and_seeds(void **state) {
    (void)state;
    sn_table *t = make(100, 3);
    sn_split a, b, c;
    sn_split_options other = plain;
    other.seed = 2;
    assert_ok(sn_split_make(t, &plain, &a));
    assert_ok(sn_split_make(t, &plain, &b));
    assert_ok(sn_split_make(t, &other, &c));
    assert_partition(&a, 100);
    assert_int_equal(a.valids, 20);
    assert_memory_equal(a.valid, b.valid, 20 * sizeof *a.valid);
    assert_memory_not_equal(a.valid, c.valid, 20 * sizeof *a.valid);
    sn_split_free(&a);
    sn_split_free(&b);
    sn_split_free(&c);
    sn_table_free(t);
}

static void each_class_gives_its_share(void **state) {
    (void)state;
    sn_table *t = make(400, 100); /* 4 rows a class: 0.8 of a row each */
    sn_split s;
    sn_split_options o = plain;
    o.target = 0;
    assert_ok(sn_split_make(t, &o, &s));
    assert_partition(&s, 400);
    assert_int_equal(s.valids, 80);
    int held[100] = {0};
    for (int64_t i = 0; i < s.valids; i++) held[s.valid[i] % 100]++;
    for (int i = 0; i < 100; i++) assert_in_range(held[i], 0, 1);
    sn_split_free(&s);
    sn_table_free(t);
    t = make(3, 3); /* one row a class: nothing can be held out */
    assert_fails(sn_split_make(t, &o, &s), SN_ERR_FORMAT, "no row is left for validation");
    sn_table_free(t);
}

static void groups_stay_together(void **state) {
    (void)state;
    sn_table *t = make(200, 7);
    sn_split s;
    sn_split_options o = plain;
    o.group = 1;
    assert_ok(sn_split_make(t, &o, &s));
    assert_partition(&s, 200);
    assert_int_equal(s.valids, 40);
    int side[20] = {0};
    for (int64_t i = 0; i < s.valids; i++) side[s.valid[i] / 10]++;
    for (int g = 0; g < 20; g++) assert_true(side[g] == 0 || side[g] == 10);
    sn_split_free(&s);
    sn_table_free(t);
    t = make(20, 2); /* two groups of ten: one is held out though it is more than a fifth */
    assert_ok(sn_split_make(t, &o, &s));
    assert_int_equal(s.valids, 10);
    sn_split_free(&s);
    sn_table_free(t);
    t = make(10, 2);
    assert_fails(sn_split_make(t, &o, &s), SN_ERR_FORMAT, "column \"group\" has one value only");
    sn_table_free(t);
}

static void the_table_says(void **state) {
    (void)state;
    sn_table *t;
    sn_split s;
    sn_split_options o = plain;
    o.split = 0;
    assert_ok(parse("a.csv", "split\ntrain\nVAL\ntest\n0\n1\n2\ndev\n", &t));
    assert_ok(sn_split_make(t, &o, &s));
    assert_partition(&s, 7);
    assert_int_equal(s.trains, 2);
    assert_int_equal(s.valids, 3);
    assert_int_equal(s.tests, 2);
    assert_int_equal(s.valid[0], 1);
    sn_split_free(&s);
    sn_table_free(t);
    assert_ok(parse("a.csv", "split\ntrain\ntrain\ntrain\ntrain\ntrain\ntest\n", &t)); /* no validation: a share of train */
    assert_ok(sn_split_make(t, &o, &s));
    assert_int_equal(s.trains, 4);
    assert_int_equal(s.valids, 1);
    assert_int_equal(s.tests, 1);
    assert_int_equal(s.test[0], 5);
    sn_split_free(&s);
    sn_table_free(t);
    assert_ok(parse("a.csv", "split\ntrain\nholdout\n", &t));
    assert_fails(sn_split_make(t, &o, &s), SN_ERR_FORMAT, "row 2: \"holdout\" in the split column");
    assert_int_equal(sn_error_row(), 2);
    sn_table_free(t);
    assert_ok(parse("a.csv", "split\nvalid\ntest\n", &t));
    assert_fails(sn_split_make(t, &o, &s), SN_ERR_FORMAT, "no row is left for training");
    sn_table_free(t);
}

static void odd_shares(void **state) {
    (void)state;
    sn_table *t = make(10, 2);
    sn_split s;
    static const double shares[] = {0, 1, -0.1, 1.5};
    for (size_t i = 0; i < 4; i++) {
        sn_split_options o = plain;
        o.valid_fraction = shares[i];
        assert_fails(sn_split_make(t, &o, &s), SN_ERR_USAGE, "expected more than 0 and less than 1");
    }
    sn_table_free(t);
}

static sn_status split_some(void *context) {
    sn_split s;
    sn_split_options by_class = plain, by_group = plain;
    by_class.target = 0;
    by_group.group = 1;
    SN_TRY(sn_split_make(context, &by_class, &s));
    sn_split_free(&s);
    SN_TRY(sn_split_make(context, &by_group, &s));
    sn_split_free(&s);
    return SN_OK;
}

static void failing_allocations(void **state) {
    (void)state;
    sn_table *t = make(40, 3);
    every_allocation_fails(split_some, t);
    sn_table_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_and_seeds), cmocka_unit_test(each_class_gives_its_share),
        cmocka_unit_test(groups_stay_together), cmocka_unit_test(the_table_says),
        cmocka_unit_test(odd_shares), cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
