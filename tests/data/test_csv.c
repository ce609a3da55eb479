/* CSV and TSV: what is read, what is refused and how it is told. */
#include "data_test.h"

static void assert_cell(const sn_table *t, int64_t row, int column, const char *expected) {
    assert_string_equal(sn_table_cell(t, row, column), expected);
}

static void plain_rows(void **state) {
    (void)state;
    sn_table *t;
    assert_ok(parse("a.csv", "image,text\na.png,what is it?\nb.png,", &t)); /* no newline at the end */
    assert_int_equal(sn_table_rows(t), 2);
    assert_int_equal(sn_table_columns(t), 2);
    assert_string_equal(sn_table_column_name(t, 1), "text");
    assert_cell(t, 0, 0, "a.png");
    assert_cell(t, 0, 1, "what is it?");
    assert_cell(t, 1, 1, "");
    assert_int_equal(sn_table_line(t, 1), 3);
    sn_table_free(t);
}

static void quotes_commas_and_lines_in_cells(void **state) {
    (void)state;
    sn_table *t;
    assert_ok(parse("a.csv", "\"a\",\"b\"\"c\"\r\n\"x,\"\"y\"\"\",\"two\r\nlines\"\r\n5\" disk,\"\"\r\n\"\"\"\",z\r\n", &t));
    assert_int_equal(sn_table_rows(t), 3);
    assert_string_equal(sn_table_column_name(t, 1), "b\"c");
    assert_cell(t, 0, 0, "x,\"y\"");
    assert_cell(t, 0, 1, "two\r\nlines");
    assert_cell(t, 1, 0, "5\" disk");
    assert_cell(t, 1, 1, "");
    assert_cell(t, 2, 0, "\"");
    assert_int_equal(sn_table_line(t, 0), 2);
    assert_int_equal(sn_table_line(t, 1), 4); /* the quoted line end counts */
    sn_table_free(t);
}

static void marks_blank_lines_and_line_ends(void **state) {
    (void)state;
    sn_table *t;
    assert_ok(parse("a.csv", "\xEF\xBB\xBF" "a, b \n\n1,2\r3,4\r\n\n\n", &t));
    assert_string_equal(sn_table_column_name(t, 0), "a"); /* no BOM in it */
    assert_string_equal(sn_table_column_name(t, 1), "b");
    assert_int_equal(sn_table_rows(t), 2);
    assert_int_equal(sn_table_line(t, 0), 3);
    assert_int_equal(sn_table_line(t, 1), 4);
    assert_cell(t, 1, 1, "4");
    sn_table_free(t);
}

static void delimiter_is_found(void **state) {
    (void)state;
    sn_table *t;
    assert_ok(parse("a.csv", "a;b\n1,5;2\n", &t));
    assert_cell(t, 0, 0, "1,5");
    sn_table_free(t);
    assert_ok(parse("a.csv", "a\tb\nx;y\t2\n", &t));
    assert_cell(t, 0, 0, "x;y");
    sn_table_free(t);
    assert_ok(parse("a.csv", "\"a,x\";b\n1;2\n", &t)); /* the comma is inside quotation marks */
    assert_int_equal(sn_table_columns(t), 2);
    sn_table_free(t);
    assert_ok(parse("a.csv", "text\nhello; world\n", &t)); /* one column: the rows do not decide */
    assert_cell(t, 0, 0, "hello; world");
    sn_table_free(t);
    assert_ok(parse("a.tsv", "a,b\tc\n1,2\t3\n", &t));
    assert_string_equal(sn_table_column_name(t, 0), "a,b");
    sn_table_free(t);
}

/* Twenty-two more than the first: twenty are named, and with a limit no row beyond it is looked at. */
static void many_ragged_rows(void) {
    char text[200] = "a,b\n";
    sn_table *t;
    for (int i = 0; i < 23; i++) strcat(text, "1\n");
    assert_fails(parse_bytes("a.csv", text, strlen(text), &t), SN_ERR_FORMAT, "line 2 (row 1): expected 2 cells as in the header, found 1; the same in line 3, 4, 5,");
    assert_non_null(strstr(sn_error_message(), ", 21, 22 and 2 more"));
    assert_fails(sn_table_parse("a.csv", text, strlen(text), &(sn_table_options){.limit = 2}, &t), SN_ERR_FORMAT, "; the same in line 3");
    assert_null(strstr(sn_error_message(), "4"));
}

static void broken_rows_are_named(void **state) {
    (void)state;
    assert_refused("d/a.csv", "a,b\n1,2\n\"x\ny\",2\n1\n", "d/a.csv: line 5 (row 3): expected 2 cells as in the header, found 1");
    assert_int_equal(sn_error_row(), 3);
    assert_string_equal(sn_error_file(), "d/a.csv");
    assert_null(strstr(sn_error_message(), "the same"));
    assert_refused("a.csv", "a,b\n1\n2,3\n4,5,6\n\"7\n\",8\n9\n", "line 2 (row 1): expected 2 cells as in the header, found 1; the same in line 4, 7");
    assert_int_equal(sn_error_row(), 1);
    many_ragged_rows();
    assert_refused("a.csv", "a,b\n1\n2\n3,\"x\n", "found 1; the same in line 3"); /* as far as the rest can be read */
    assert_refused("a.csv", "a,b\n1,2,3\n", "found 3; a cell that holds a ',' must stand in quotation marks");
    assert_refused("a.csv", "a,b\n1,\"2\n3,4\n", "line 2: a quotation mark is opened here and never closed");
    assert_refused("a.csv", "a,b\n1,\"2\"x\n", "line 2: text after a closing quotation mark: x");
    assert_refused("a.csv", "", "a.csv: is empty");
    assert_refused("a.csv", "\n\n", "is empty");
    assert_refused("a.csv", "a,b\n", "has a header but no rows");
    assert_refused("a.csv", "a,b,a\n1,2,3\n", "columns 1 and 3 are both named \"a\"");
    assert_refused("a.csv", ",b\n1,2\n", "column 1 has no name");
    assert_refused("a.csv", "0.5,1\n1,2\n", "the header seems to be missing");
}

static void header_that_names_a_file(void **state) {
    (void)state;
    char dir[] = "/tmp/sn-csv-XXXXXX";
    assert_non_null(mkdtemp(dir));
    put_file(dir, "cat.png", "x");
    put_file(dir, "t.csv", "cat.png,cat\ndog.png,dog\n");
    put_file(dir, "u.csv", "lion.png,cat\ndog.png,dog\n");
    char *path = sn_path_join(dir, "t.csv"), *other = sn_path_join(dir, "u.csv");
    sn_table *t;
    assert_fails(sn_table_read(path, NULL, &t), SN_ERR_FORMAT, "the header seems to be missing");
    assert_ok(sn_table_read(other, NULL, &t)); /* no such file: an odd name, but a name */
    sn_table_free(t);
    sn_free(path);
    sn_free(other);
    assert_ok(sn_remove_tree(dir));
}

static void encodings(void **state) {
    (void)state;
    sn_table *t;
    const char gb[] = "text,label\n\xC4\xE3\xBA\xC3,1\n"; /* 你好 */
    assert_refused("a.csv", gb, "line 2 is not UTF-8; it looks like GB18030; use --encoding gb18030");
    sn_table_options o = {.encoding = "gb18030"};
    assert_ok(sn_table_parse("a.csv", gb, sizeof gb - 1, &o, &t));
    assert_cell(t, 0, 0, "你好");
    sn_table_free(t);
    const char latin[] = "text\nok\nM\xFCller caf\xE9\n";
    assert_refused("a.csv", latin, "line 3 is not UTF-8 (byte 0xfc); name its encoding, such as --encoding latin1");
    assert_refused("a.csv", "text\nM\xFCller\n", "such as --encoding latin1"); /* would decode as GB18030 */
    o.encoding = "latin1";
    assert_ok(sn_table_parse("a.csv", latin, sizeof latin - 1, &o, &t));
    assert_cell(t, 1, 0, "Müller café");
    sn_table_free(t);
    assert_refused("a.csv", "\xFF\xFE" "a\0\n\0b\0\n\0", "mark of UTF-16; use --encoding utf-16");
    assert_refused("a.csv", "a,b\n1,\0\n", "line 2 has a NUL byte");
    const char utf16[] = "\xFF\xFE" "a\0\n\0\xE9\0\n\0";
    o.encoding = "utf-16";
    assert_ok(sn_table_parse("a.csv", utf16, sizeof utf16 - 1, &o, &t));
    assert_cell(t, 0, 0, "é");
    sn_table_free(t);
    o.encoding = "ebcdic-of-mars";
    assert_fails(sn_table_parse("a.csv", latin, sizeof latin - 1, &o, &t), SN_ERR_USAGE, "unknown encoding");
    o.encoding = "ascii";
    assert_fails(sn_table_parse("a.csv", latin, sizeof latin - 1, &o, &t), SN_ERR_FORMAT, "line 3 is not ascii");
    assert_refused("a.csv", "a\n\xC0\xAF\n", "line 2 is not UTF-8"); /* overlong */
    assert_refused("a.csv", "a\n\xED\xA0\x80\n", "line 2 is not UTF-8"); /* surrogate */
}

static void columns_by_name(void **state) {
    (void)state;
    sn_table *t;
    int column;
    assert_ok(parse("a.csv", "image,Text,label\n1,2,3\n", &t));
    assert_ok(sn_table_column(t, "label", &column));
    assert_int_equal(column, 2);
    assert_fails(sn_table_column(t, "lable", &column), SN_ERR_USAGE, "no column \"lable\"; did you mean \"label\"? There are: image, Text, label");
    assert_fails(sn_table_column(t, "TEXT", &column), SN_ERR_USAGE, "did you mean \"Text\"");
    assert_fails(sn_table_column(t, "weight", &column), SN_ERR_USAGE, "no column \"weight\"; there are: image");
    sn_table_free(t);
}

static void limit_and_kinds_of_file(void **state) {
    (void)state;
    sn_table *t;
    sn_table_options o = {.limit = 2};
    assert_ok(sn_table_parse("a.csv", "a\n1\n2\n3\n4,5\n", 12, &o, &t));
    assert_int_equal(sn_table_rows(t), 2);
    sn_table_free(t);
    assert_fails(parse("a.xlsx", "x", &t), SN_ERR_UNSUPPORTED, "a spreadsheet; save it as CSV");
    assert_fails(parse("a.dat", "x", &t), SN_ERR_UNSUPPORTED, "known endings: .csv");
    assert_fails(sn_table_read("/nowhere/a.csv", NULL, &t), SN_ERR_IO, "/nowhere/a.csv: cannot open");
}

static void cells_from_the_command_line(void **state) {
    (void)state;
    sn_table *t;
    const char *names[] = {"image", "text"}, *cells[] = {"a.png", NULL}, *bad[] = {"a.png", "\xFF"};
    assert_ok(sn_table_from_cells(2, names, cells, NULL, &t));
    assert_int_equal(sn_table_rows(t), 1);
    assert_cell(t, 0, 0, "a.png");
    assert_cell(t, 0, 1, "");
    char *path;
    assert_ok(sn_table_media_path(t, 0, 0, &path));
    assert_string_equal(path, "a.png");
    sn_free(path);
    sn_table_free(t);
    assert_fails(sn_table_from_cells(2, names, bad, NULL, &t), SN_ERR_FORMAT, "the value of \"text\" is not UTF-8");
}

static void media_paths(void **state) {
    (void)state;
    sn_table *t;
    char *path;
    assert_ok(parse("/d/a.csv", "image\n x/a.png \nC:\\p\\a.png\nhttps://x.org/a.png\na.jpg;b.jpg\n/abs/a.png\n\" \"\n", &t));
    assert_ok(sn_table_media_path(t, 0, 0, &path));
    assert_string_equal(path, "/d/x/a.png");
    sn_free(path);
    assert_fails(sn_table_media_path(t, 1, 0, &path), SN_ERR_FORMAT, "is a Windows path");
    assert_int_equal(sn_error_row(), 2);
    assert_string_equal(sn_error_column(), "image");
    assert_fails(sn_table_media_path(t, 2, 0, &path), SN_ERR_FORMAT, "is an internet address");
    assert_fails(sn_table_media_path(t, 3, 0, &path), SN_ERR_FORMAT, "names several files");
    assert_ok(sn_table_media_path(t, 4, 0, &path));
    assert_string_equal(path, "/abs/a.png");
    sn_free(path);
    assert_fails(sn_table_media_path(t, 5, 0, &path), SN_ERR_FORMAT, "the cell is empty");
    sn_table_free(t);
}

static void many_rows(void **state) {
    (void)state;
    sn_buf text = {0};
    sn_buf_puts(&text, "id,text\n");
    for (int i = 0; i < 200000; i++) sn_buf_printf(&text, "%d,\"row, %d\"\n", i, i);
    sn_table *t;
    assert_ok(parse_bytes("a.csv", text.data, text.size, &t));
    assert_int_equal(sn_table_rows(t), 200000);
    assert_cell(t, 199999, 1, "row, 199999");
    assert_int_equal(sn_table_line(t, 199999), 200001);
    sn_table_free(t);
    sn_buf_free(&text);
}

static sn_status read_some(void *context) {
    sn_table *t;
    sn_table_options o = {.encoding = context};
    static const char text[] = "a,\"b\"\"c\"\n1,\"x\"\"y\"\nphoto.png,q\n";
    SN_TRY(sn_table_parse("d/a.csv", text, sizeof text - 1, &o, &t));
    char *path = NULL;
    sn_status status = sn_table_media_path(t, 1, 0, &path);
    sn_free(path);
    sn_table_free(t);
    return status;
}

static sn_status make_one(void *context) {
    (void)context;
    const char *names[] = {"image", "text"}, *cells[] = {"a.png", "x"};
    sn_table *t;
    SN_TRY(sn_table_from_cells(2, names, cells, "/d", &t));
    sn_table_free(t);
    return SN_OK;
}

static void failing_allocations(void **state) {
    (void)state;
    every_allocation_fails(read_some, NULL);
    every_allocation_fails(read_some, (void *)(uintptr_t)"latin1");
    every_allocation_fails(make_one, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_rows),            cmocka_unit_test(quotes_commas_and_lines_in_cells),
        cmocka_unit_test(delimiter_is_found),    cmocka_unit_test(marks_blank_lines_and_line_ends),
        cmocka_unit_test(broken_rows_are_named), cmocka_unit_test(header_that_names_a_file),
        cmocka_unit_test(encodings),             cmocka_unit_test(columns_by_name),
        cmocka_unit_test(media_paths),           cmocka_unit_test(limit_and_kinds_of_file),
        cmocka_unit_test(many_rows),             cmocka_unit_test(cells_from_the_command_line),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
