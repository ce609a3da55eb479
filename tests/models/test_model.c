/* test_model.c: a model of three parts and two targets: parameters, prediction, files, scores. */
#include "model_test.h"
#include "models/goldens.h"

static void test_parameters(void **state) {
    const world *w = *state;
    const sn_params *p = w->model->params;
    static const char *const names[] = {"absent.photo", "absent.note", "absent.table", "tasks.label.head.weight", "tasks.price.head.bias"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sn_params_find(p, names[i]) < 0) fail_msg("no parameter \"%s\"", names[i]);
    int end = 0;
    for (int k = 0; k < w->model->n_parts; k++) { /* parts, then the joint program: ranges side by side */
        assert_int_equal(w->model->parts[k].first_param, end);
        assert_true(w->model->parts[k].end_param > end);
        end = w->model->parts[k].end_param;
    }
    assert_int_equal(w->model->joint_first, end);
    assert_int_equal(w->model->joint_end, sn_params_count(p));
    assert_int_equal(w->model->parts[0].width, 16);
    assert_int_equal(w->model->parts[2].width, 16);
}

static void test_predict(void **state) {
    const world *w = *state;
    char *a = world_predict(w->model, w->table), *b = world_predict(w->model, w->table);
    assert_string_equal(a, b);
    sn_free(b);
    int64_t row = 0;
    for (char *line = strtok(a, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *o = json_loads(line, 0, NULL), *label = json_object_get(json_object_get(o, "targets"), "label");
        assert_int_equal(json_integer_value(json_object_get(o, "row")), ++row);
        assert_int_equal(json_integer_value(json_object_get(o, "line")), row + 1);
        assert_int_equal(json_array_size(json_object_get(label, "top")), 3);
        double sum = 0;
        for (size_t k = 0; k < 3; k++) sum += json_number_value(json_array_get(json_array_get(json_object_get(label, "top"), k), 1));
        assert_true(sum > 0.999 && sum < 1.001);
        assert_true(json_is_number(json_object_get(json_object_get(json_object_get(o, "targets"), "price"), "value")));
        json_decref(o);
    }
    assert_int_equal(row, WORLD_ROWS);
    sn_free(a);
}

static void test_save_load(void **state) {
    const world *w = *state;
    char *path = in_folder(w, "model"), *before = world_predict(w->model, w->table);
    assert_ok(sn_model_save(w->model, path, 0));
    sn_model *m;
    assert_ok(sn_model_load(path, NULL, &m));
    assert_int_equal(m->threads, 2);
    assert_string_equal(m->precision, "f32");
    assert_int_equal(sn_params_total(m->params), sn_params_total(w->model->params));
    assert_memory_equal(sn_params_flat(m->params), sn_params_flat(w->model->params), sn_params_total(m->params) * sizeof(float));
    char *after = world_predict(m, w->table);
    assert_string_equal(before, after);
    sn_free(after);
    sn_free(before);
    sn_model_free(m);
    sn_free(path);
}

static void test_evaluate(void **state) {
    const world *w = *state;
    char *text;
    assert_ok(sn_model_evaluate(w->model, w->table, "{\"subsets\": true}", &text));
    json_t *o = json_loads(text, 0, NULL), *subsets = json_object_get(o, "subsets"), *first = json_array_get(subsets, 0);
    sn_string_free(text);
    assert_int_equal(json_integer_value(json_object_get(o, "rows")), WORLD_ROWS - 1); /* row 21 has neither target */
    assert_int_equal(json_integer_value(json_object_get(o, "unlabelled_rows")), 1);
    json_t *targets = json_object_get(o, "targets");
    assert_true(json_is_number(json_object_get(json_object_get(targets, "label"), "accuracy")));
    assert_true(json_is_object(json_object_get(json_object_get(targets, "label"), "classes")));
    assert_true(json_is_number(json_object_get(json_object_get(targets, "price"), "rmse")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(targets, "price"), "rows")), WORLD_ROWS - 2);
    assert_int_equal(json_array_size(subsets), 7);
    assert_int_equal(json_array_size(json_object_get(first, "inputs")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(first, "inputs"), 0)), "photo");
    json_t *last = json_object_get(json_object_get(json_array_get(subsets, 6), "targets"), "price"); /* all parts: the full score */
    assert_true(json_number_value(json_object_get(last, "rmse")) == json_number_value(json_object_get(json_object_get(targets, "price"), "rmse")));
    double alone = json_number_value(json_object_get(json_object_get(json_object_get(first, "targets"), "price"), "rmse"));
    assert_true(alone != json_number_value(json_object_get(last, "rmse")));
    json_decref(o);
    assert_fails(sn_model_evaluate(w->model, w->table, "{\"subset\": true}", &text), SN_ERR_USAGE, "did you mean \"subsets\"");
    assert_fails(sn_model_evaluate(w->model, w->table, "{\"batch_size\": 0}", &text), SN_ERR_USAGE, "batch_size");
}

static double number_at(const char *text, const char *key) {
    json_t *o = json_loads(text, 0, NULL);
    double x = json_is_boolean(json_object_get(o, key)) ? json_is_true(json_object_get(o, key)) : json_number_value(json_object_get(o, key));
    json_decref(o);
    return x;
}

static void test_verify(void **state) {
    const world *w = *state;
    static const int64_t rows[] = {3, 5, 9, 4, 11, 12};
    char *text, *path = in_folder(w, "golden");
    sn_dataset *d;
    sn_model *m;
    assert_fails(sn_model_verify(w->model, &text), SN_ERR_STATE, "no goldens");
    assert_ok(sn_dataset_create(w->model, w->table, &(sn_dataset_options){.threads = 1}, &d));
    assert_ok(sn_goldens_make(w->model, d, rows, 6));
    sn_dataset_free(d);
    assert_ok(sn_model_save(w->model, path, 0));
    assert_ok(sn_model_load(path, NULL, &m));
    assert_ok(sn_model_verify(m, &text));
    assert_true(number_at(text, "same") == 1 && number_at(text, "bit_identical") == 1 && number_at(text, "largest_difference") == 0);
    assert_int_equal((int)number_at(text, "rows"), 4);
    sn_string_free(text);
    int bias = sn_params_find(m->params, "tasks.price.head.bias");
    sn_params_data(m->params, bias)[0] += 2e-5f; /* in standard deviations (some 140): seen, and within bounds by relation */
    sn_params_changed(m->params, false);
    assert_ok(sn_model_verify(m, &text));
    assert_true(number_at(text, "same") == 1 && number_at(text, "bit_identical") == 0);
    sn_string_free(text);
    sn_params_data(m->params, bias)[0] += 0.1f;
    sn_params_changed(m->params, false);
    assert_ok(sn_model_verify(m, &text));
    assert_true(number_at(text, "same") == 0 && number_at(text, "largest_difference") > 1e-3);
    sn_string_free(text);
    sn_model_free(m);
    char *file = sn_path_join(path, "goldens.safetensors"); /* a model without the file is one without goldens */
    assert_ok(sn_remove_tree(file));
    assert_ok(sn_model_load(path, NULL, &m));
    assert_fails(sn_model_verify(m, &text), SN_ERR_STATE, "no goldens");
    sn_model_free(m);
    sn_free(file);
    sn_free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parameters), cmocka_unit_test(test_predict), cmocka_unit_test(test_save_load),
                                       cmocka_unit_test(test_evaluate), cmocka_unit_test(test_verify)};
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
