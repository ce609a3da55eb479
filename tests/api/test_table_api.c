/* test_table_api.c: inspecting tables, broken rows in predictions and scores, and the encoders' arrays as a file. */
#include "models/model_test.h"

static json_t *parse(char *text) {
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    sn_string_free(text);
    return o;
}

/* A table in which row 2's picture is cut off, row 4's size is no number and row 5's picture is not there. */
static sn_table *broken_table(const world *w) {
    static const char csv[] = "photo,note,size,place,label,price\n"
                              "p0.bmp,red bridge,1,north,arch,1000\n"
                              "cut.bmp,old,2,south,beam,1100\n"
                              "p2.bmp,,3,north,cable,1200\n"
                              "p3.bmp,water,wide,south,arch,1000\n"
                              "gone.bmp,water,5,south,arch,1000\n"
                              "cut.bmp,small,6,,beam,1100\n"
                              "p6.bmp,red,7,north,,\n";
    char *whole = in_folder(w, "p1.bmp"), *path = in_folder(w, "broken.csv");
    sn_bytes bytes;
    sn_table *table;
    assert_ok(sn_file_read(whole, 1 << 20, &bytes));
    put_file(w, "cut.bmp", bytes.data, bytes.size / 2);
    sn_bytes_free(&bytes);
    put_file(w, "broken.csv", csv, sizeof csv - 1);
    assert_ok(sn_table_open(path, NULL, &table));
    sn_free(whole);
    sn_free(path);
    return table;
}

static json_t *column_named(json_t *report, const char *name) {
    size_t i;
    json_t *column;
    json_array_foreach(json_object_get(report, "columns"), i, column)
        if (!strcmp(json_string_value(json_object_get(column, "name")), name)) return column;
    fail_msg("no column %s", name);
    return NULL;
}

static void expect_broken(json_t *column, const int *rows, size_t n, const char *why) {
    json_t *list = json_object_get(column, "broken");
    assert_int_equal(json_array_size(list), n);
    for (size_t i = 0; i < n; i++) {
        json_t *item = json_array_get(list, i);
        assert_int_equal(json_integer_value(json_object_get(item, "row")), rows[i]);
        assert_int_equal(json_integer_value(json_object_get(item, "line")), rows[i] + 1);
        if (!strstr(json_string_value(json_object_get(item, "why")), why)) fail_msg("why: %s", json_string_value(json_object_get(item, "why")));
    }
}

static void test_inspect(void **state) {
    const world *w = *state;
    sn_table *table = broken_table(w);
    char *text;
    assert_ok(sn_table_inspect(table, "{\"types\": {\"size\": \"number\"}, \"threads\": 2}", &text));
    json_t *o = parse(text), *photo = column_named(o, "photo"), *size = column_named(o, "size");
    assert_int_equal(json_integer_value(json_object_get(o, "schema")), 1);
    assert_int_equal(json_integer_value(json_object_get(o, "rows")), 7);
    assert_int_equal(json_array_size(json_object_get(o, "columns")), 6);
    assert_string_equal(json_string_value(json_object_get(photo, "kind")), "image");
    assert_int_equal(json_integer_value(json_object_get(photo, "distinct")), 6);
    expect_broken(photo, (const int[]){2, 5, 6}, 3, ".bmp");
    assert_string_equal(json_string_value(json_object_get(size, "kind")), "number");
    expect_broken(size, (const int[]){4}, 1, "\"wide\" is not a number");
    expect_broken(column_named(o, "note"), NULL, 0, "");
    assert_int_equal(json_integer_value(json_object_get(column_named(o, "note"), "missing")), 1);
    json_decref(o);
    assert_fails(sn_table_inspect(table, "{\"types\": {\"foto\": \"image\"}}", &text), SN_ERR_USAGE, "did you mean \"photo\"");
    assert_fails(sn_table_inspect(table, "{\"types\": {\"photo\": \"painting\"}}", &text), SN_ERR_USAGE, "painting");
    assert_fails(sn_table_inspect(table, "{\"type\": {}}", &text), SN_ERR_USAGE, "did you mean \"types\"");
    assert_null(text);
    sn_table_free(table);
}

static void test_broken_rows(void **state) {
    const world *w = *state;
    static const int bad[] = {0, 1, 0, 1, 1, 1, 0};
    sn_table *table = broken_table(w);
    sn_buf lines = {0};
    assert_fails(sn_model_predict(w->model, table, "{\"batch_size\": 2, \"top\": 1}", world_collect, &lines), SN_ERR_FORMAT,
                 "4 of 7 rows could not be read; the first is row 2, column \"photo\"");
    assert_int_equal(sn_error_row(), 2);
    assert_string_equal(sn_error_column(), "photo");
    int row = 0;
    for (char *line = strtok(lines.data, "\n"); line; line = strtok(NULL, "\n"), row++) {
        json_t *o = json_loads(line, 0, NULL), *error = json_object_get(o, "error"), *targets = json_object_get(o, "targets");
        assert_int_equal(json_integer_value(json_object_get(o, "row")), row + 1);
        assert_int_equal(json_integer_value(json_object_get(o, "line")), row + 2);
        assert_int_equal(error != NULL, bad[row]);
        assert_int_equal(targets != NULL, !bad[row]);
        if (targets) assert_int_equal(json_array_size(json_object_get(json_object_get(targets, "label"), "top")), 1);
        if (error) assert_string_equal(json_string_value(json_object_get(error, "column")), row == 3 ? "size" : "photo");
        json_decref(o);
    }
    assert_int_equal(row, 7);
    sn_buf_free(&lines);
    char *text;
    assert_fails(sn_model_evaluate(w->model, table, NULL, &text), SN_ERR_FORMAT, "4 broken cells");
    assert_ok(sn_model_evaluate(w->model, table, "{\"skip_broken\": true}", &text));
    json_t *o = parse(text);
    assert_int_equal(json_integer_value(json_object_get(o, "rows")), 2);
    assert_int_equal(json_integer_value(json_object_get(o, "broken_rows")), 4);
    assert_int_equal(json_integer_value(json_object_get(o, "unlabelled_rows")), 1);
    assert_null(json_object_get(o, "subsets"));
    json_decref(o);
    sn_table_free(table);
}

static int stop_at_three(void *context, const char *json) {
    (void)json;
    return ++*(int *)context == 3;
}

static void test_cancel_and_columns(void **state) {
    const world *w = *state;
    int seen = 0;
    assert_fails(sn_model_predict(w->model, w->table, NULL, stop_at_three, &seen), SN_ERR_CANCELLED, "row 3");
    assert_int_equal(seen, 3);
    const char *names[] = {"foto", "note", "label"}, *cells[] = {"x.jpg", "old bridge", ""};
    sn_table *table;
    char *text;
    sn_buf lines = {0};
    assert_ok(sn_table_from_cells(1, names, cells, NULL, &table));
    assert_fails(sn_model_predict(w->model, table, NULL, world_collect, &lines), SN_ERR_USAGE, "no column \"photo\"");
    assert_fails(sn_model_evaluate(w->model, table, NULL, &text), SN_ERR_USAGE, "no column \"label\"");
    sn_table_free(table);
    assert_ok(sn_table_from_cells(2, names + 1, cells + 1, NULL, &table)); /* one input is enough; the others are absent */
    assert_ok(sn_model_predict(w->model, table, NULL, world_collect, &lines));
    assert_non_null(strstr(lines.data, "\"targets\""));
    assert_null(strstr(lines.data, "\"line\"")); /* no file, no line */
    assert_fails(sn_model_evaluate(w->model, table, NULL, &text), SN_ERR_FORMAT, "no row has a target");
    sn_buf_free(&lines);
    sn_table_free(table);
}

static void test_open(void **state) {
    const world *w = *state;
    char *path = in_folder(w, "data.csv");
    sn_table *table;
    assert_ok(sn_table_open(path, "{\"limit\": 4}", &table));
    assert_int_equal(sn_table_rows(table), 4);
    sn_table_free(table);
    assert_fails(sn_table_open(path, "{\"limit\": -1}", &table), SN_ERR_USAGE, "limit");
    assert_fails(sn_table_open(path, "{\"media\": \".\"}", &table), SN_ERR_USAGE, "unknown key \"media\"");
    assert_fails(sn_table_open(path, "[]", &table), SN_ERR_USAGE, "expected an object");
    assert_null(table);
    sn_free(path);
}

static void test_describe(void **state) {
    const world *w = *state;
    char *text;
    assert_ok(sn_model_describe(w->model, &text));
    json_t *o = parse(text), *inputs = json_object_get(o, "inputs"), *targets = json_object_get(o, "targets");
    assert_int_equal(json_array_size(inputs), 4);
    assert_string_equal(json_string_value(json_object_get(json_array_get(inputs, 1), "encoder")), "gru");
    assert_int_equal(json_array_size(json_object_get(json_array_get(targets, 0), "classes")), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(targets, 1), "task")), "number");
    json_int_t count = json_integer_value(json_object_get(o, "parameters")), padded = (json_int_t)sn_params_total(w->model->params);
    assert_true(count > 0 && count <= padded && count > padded - 16 * sn_params_count(w->model->params));
    assert_int_equal(json_integer_value(json_object_get(o, "bytes")), 4 * count);
    json_decref(o);
}

/* ---- features ---- */

static const sn_tensor_view *need(const sn_safetensors *file, const char *name, sn_dtype dtype, sn_shape shape) {
    const sn_tensor_view *v = sn_safetensors_find(file, name);
    char text[SN_SHAPE_TEXT];
    if (!v) fail_msg("no tensor %s", name);
    if (v->type.dtype != dtype || !sn_shape_equal(v->type.shape, shape)) fail_msg("%s is %s", name, sn_shape_text(v->type.shape, text));
    return v;
}

static void test_features(void **state) {
    const world *w = *state;
    char *path = in_folder(w, "f.safetensors");
    sn_safetensors *file;
    assert_ok(sn_model_features(w->model, w->table, NULL, path));
    assert_ok(sn_safetensors_open(path, &file));
    int photos = 0;
    for (int i = 0; i < WORLD_ROWS; i++) photos += i % 7 != 3;
    const sn_tensor_view *photo = need(file, "photo", SN_F32, SN_SHAPE(photos, WORLD_SIDE, WORLD_SIDE, 3));
    const sn_tensor_view *rows = need(file, "photo.rows", SN_I64, SN_SHAPE(photos));
    int64_t third, fourth;
    memcpy(&third, (const char *)rows->data + 16, 8);
    memcpy(&fourth, (const char *)rows->data + 24, 8);
    assert_true(third == 3 && fourth == 5); /* row 4 has no picture */
    unsigned char rgb[WORLD_SIDE * WORLD_SIDE * 3];
    const json_t *options = w->model->inputs[0]->options;
    float first;
    memcpy(&first, photo->data, 4);
    world_pixels(0, rgb);
    double mean = json_number_value(json_array_get(json_object_get(options, "mean"), 0)), std = json_number_value(json_array_get(json_object_get(options, "std"), 0));
    double expected = (rgb[0] / 255.0 - mean) / std;
    assert_true((double)first > expected - 1e-5 && (double)first < expected + 1e-5);
    const sn_tensor_view *lengths = sn_safetensors_find(file, "note.lengths");
    int32_t words;
    memcpy(&words, (const char *)lengths->data + 4, 4);
    assert_int_equal(words, 2); /* row 2 has two words */
    const sn_tensor_view *ids = sn_safetensors_find(file, "note");
    assert_true(ids && ids->type.dtype == SN_I32 && ids->type.shape.dim[0] == lengths->type.shape.dim[0]);
    int64_t grouped = 0;
    for (int i = 0; i < WORLD_ROWS; i++) grouped += i % 4 != 1;
    (void)need(file, "table", SN_F32, SN_SHAPE(grouped, 2));
    (void)need(file, "table.categories", SN_I32, SN_SHAPE(grouped, 1));
    sn_safetensors_free(file);
    sn_table *table = broken_table(w);
    assert_fails(sn_model_features(w->model, table, NULL, path), SN_ERR_FORMAT, "broken cells");
    assert_ok(sn_model_features(w->model, table, "{\"skip_broken\": true}", path));
    sn_table_free(table);
    sn_free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_inspect), cmocka_unit_test(test_broken_rows), cmocka_unit_test(test_cancel_and_columns),
                                       cmocka_unit_test(test_open),    cmocka_unit_test(test_describe),    cmocka_unit_test(test_features)};
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
