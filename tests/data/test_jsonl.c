/* JSON Lines and lists of objects. */
#include "data_test.h"

static void assert_cell(const sn_table *t, int64_t row, const char *column, const char *expected) {
    int c;
    assert_ok(sn_table_column(t, column, &c));
    assert_string_equal(sn_table_cell(t, row, c), expected);
}

static void lines(void **state) {
    (void)state;
    sn_table *t;
    assert_ok(parse("a.jsonl", "{\"text\": \"a \\\"b\\\"\\n\", \"n\": 3, \"x\": 0.1}\r\n\n"
                               "{\"n\": null, \"tags\": [\"p\", 2], \"ok\": true}\n"
                               "{\"text\": \"你好\", \"x\": 1e-7, \"o\": {\"k\": [1, 2]}}", &t));
    assert_int_equal(sn_table_rows(t), 3);
    assert_int_equal(sn_table_columns(t), 6);
    assert_string_equal(sn_table_column_name(t, 3), "tags");
    assert_cell(t, 0, "text", "a \"b\"\n");
    assert_cell(t, 0, "n", "3");
    assert_cell(t, 0, "x", "0.1");
    assert_cell(t, 0, "tags", ""); /* a column found later */
    assert_cell(t, 1, "text", "");
    assert_cell(t, 1, "n", "");
    assert_cell(t, 1, "tags", "[\"p\",2]");
    assert_cell(t, 1, "ok", "true");
    assert_cell(t, 2, "text", "你好");
    assert_cell(t, 2, "o", "{\"k\":[1,2]}");
    assert_int_equal(sn_table_line(t, 1), 3);
    int c;
    double x;
    assert_ok(sn_table_column(t, "x", &c));
    assert_true(sn_cell_number(sn_table_cell(t, 2, c), &x) && x == 1e-7);
    sn_table_free(t);
}

static void numbers_come_back(void **state) {
    (void)state;
    static const char *const values[] = {"0.30000000000000004", "1.7976931348623157e308", "5e-324", "-2.5", "123456789.125"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[80];
        int n = snprintf(text, sizeof text, "{\"x\": %s}", values[i]);
        sn_table *t;
        double x;
        assert_ok(parse_bytes("a.ndjson", text, (size_t)n, &t));
        assert_true(sn_cell_number(sn_table_cell(t, 0, 0), &x) && x == strtod(values[i], NULL));
        sn_table_free(t);
    }
}

static void list_of_objects(void **state) {
    (void)state;
    sn_table *t;
    assert_ok(parse("a.json", "[\n {\"a\": 1},\n {\"b\": \"x\"}\n]\n", &t));
    assert_int_equal(sn_table_rows(t), 2);
    assert_cell(t, 1, "b", "x");
    assert_cell(t, 1, "a", "");
    assert_int_equal(sn_table_line(t, 1), 0);
    sn_table_free(t);
    assert_ok(parse("a.json", "{\"a\": 1}\n{\"a\": 2}\n", &t));
    assert_int_equal(sn_table_rows(t), 2);
    sn_table_free(t);
    sn_table_options o = {.limit = 1};
    assert_ok(sn_table_parse("a.json", "[{\"a\": 1}, {\"a\": 2}]", 20, &o, &t));
    assert_int_equal(sn_table_rows(t), 1);
    sn_table_free(t);
}

static void many_columns(void **state) {
    (void)state;
    sn_buf text = {0};
    for (int row = 0; row < 40; row++) { /* each row brings columns of its own */
        sn_buf_puts(&text, "{");
        for (int i = 0; i < 25; i++) sn_buf_printf(&text, "%s\"c%d\": %d", i ? "," : "", row * 25 + i, i);
        sn_buf_puts(&text, "}\n");
    }
    sn_table *t;
    assert_ok(parse_bytes("a.jsonl", text.data, text.size, &t));
    assert_int_equal(sn_table_columns(t), 1000);
    assert_cell(t, 39, "c999", "24");
    assert_cell(t, 39, "c0", "");
    assert_cell(t, 0, "c999", "");
    sn_table_free(t);
    sn_buf_free(&text);
}

static void broken_lines_are_named(void **state) {
    (void)state;
    assert_refused("d/a.jsonl", "{\"a\": 1}\n\n{\"a\": }\n", "d/a.jsonl: line 3 (row 2): column 7:");
    assert_int_equal(sn_error_row(), 2);
    assert_string_equal(sn_error_file(), "d/a.jsonl");
    assert_refused("a.jsonl", "{\"a\": 1, \"a\": 2}\n", "duplicate");
    assert_refused("a.jsonl", "{\"a\": 1}\n[1]\n", "line 2 (row 2): expected an object");
    assert_refused("a.jsonl", "{\"\": 1}\n", "line 1 (row 1): column 1 has no name");
    assert_refused("a.jsonl", "{\" a\": 1}\n", "begins or ends with space");
    assert_refused("a.json", "[{\"a\": 1}, 5]", "a.json: row 2: expected an object");
    assert_refused("a.json", "[{\"a\": 1}", "a.json: line 1");
    assert_refused("a.json", "[]", "has no rows");
    assert_refused("a.jsonl", " \n\n", "is empty");
    assert_refused("a.jsonl", "{}\n\xFF\n", "line 2 is not UTF-8");
}

static sn_status read_some(void *context) {
    (void)context;
    sn_table *t;
    SN_TRY(parse("a.jsonl", "{\"a\": \"x\", \"b\": 0.1}\n{\"c\": [1]}\n", &t));
    sn_table_free(t);
    SN_TRY(parse("a.json", "[{\"a\": \"x\"}]", &t));
    sn_table_free(t);
    return SN_OK;
}

static void failing_allocations(void **state) {
    (void)state;
    every_allocation_fails(read_some, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),        cmocka_unit_test(numbers_come_back),      cmocka_unit_test(list_of_objects),
        cmocka_unit_test(many_columns), cmocka_unit_test(broken_lines_are_named), cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
