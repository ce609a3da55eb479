/* test_session.c: inputs from memory: the same answers as from a table, from several threads, and past the number of
 * programs a model keeps. */
#include <math.h>
#include <pthread.h>

#include "models/exec.h"
#include "models/model_test.h"

/* Puts row r of the world's table into the session, each input by its own call. */
static void set_row(const world *w, sn_session *s, int64_t r) {
    unsigned char rgb[WORLD_SIDE * (WORLD_SIDE * 3 + 5)], tight[WORLD_SIDE * WORLD_SIDE * 3];
    double size;
    assert_ok(sn_session_clear(s));
    if (sn_table_cell(w->table, r, 0)[0]) { /* rows five bytes longer than they need to be */
        world_pixels((int)r, tight);
        memset(rgb, 0xee, sizeof rgb);
        for (int y = 0; y < WORLD_SIDE; y++) memcpy(rgb + y * (WORLD_SIDE * 3 + 5), tight + y * WORLD_SIDE * 3, WORLD_SIDE * 3);
        assert_ok(sn_input_set_image(s, "photo", rgb, WORLD_SIDE, WORLD_SIDE, WORLD_SIDE * 3 + 5));
    }
    const char *note = sn_table_cell(w->table, r, 1), *place = sn_table_cell(w->table, r, 3);
    assert_ok(sn_input_set_text(s, "note", note, strlen(note)));
    if (sn_cell_number(sn_table_cell(w->table, r, 2), &size)) assert_ok(sn_input_set_number(s, "size", size));
    assert_ok(sn_input_set_text(s, "place", place, strlen(place)));
}

typedef struct one {
    json_t *targets;
} one;
static int keep_one(void *context, const char *json) {
    one *o = context;
    json_t *line = json_loads(json, 0, NULL);
    o->targets = json_incref(json_object_get(line, "targets"));
    json_decref(line);
    return 0;
}

/* The row as a table of its own, so that both sides run the same programs. */
static void expect_row(const world *w, int64_t r, json_t **targets) {
    const char *names[8], *cells[8];
    sn_table *table;
    one o = {0};
    for (int c = 0; c < 4; c++) {
        names[c] = sn_table_column_name(w->table, c);
        cells[c] = sn_table_cell(w->table, r, c);
    }
    assert_ok(sn_table_from_cells(4, names, cells, w->folder, &table));
    assert_ok(sn_model_predict(w->model, table, NULL, keep_one, &o));
    sn_table_free(table);
    *targets = o.targets;
}

static void test_same_as_table(void **state) {
    const world *w = *state;
    sn_session *s;
    assert_ok(sn_session_create(w->model, &s));
    for (int64_t r = 0; r < WORLD_ROWS; r++) {
        json_t *expected;
        const char *label;
        const float *vector;
        size_t count;
        double p, price;
        expect_row(w, r, &expected);
        set_row(w, s, r);
        assert_ok(sn_session_run(s));
        assert_ok(sn_output_category(s, "label", &label, &p));
        assert_ok(sn_output_number(s, "price", &price));
        assert_ok(sn_output_vector(s, "label", &vector, &count));
        const json_t *of_label = json_object_get(expected, "label");
        assert_string_equal(label, json_string_value(json_object_get(of_label, "value")));
        assert_true((float)p == (float)json_number_value(json_object_get(of_label, "probability"))); /* 9 digits tell floats apart */
        assert_true((float)price == (float)json_number_value(json_object_get(json_object_get(expected, "price"), "value")));
        assert_int_equal(count, 3);
        float sum = vector[0] + vector[1] + vector[2];
        assert_true(sum > 0.999f && sum < 1.001f);
        json_decref(expected);
    }
    sn_session_free(s);
}

static void test_absent(void **state) {
    const world *w = *state;
    sn_session *s;
    double none, some, again;
    assert_ok(sn_session_create(w->model, &s));
    assert_ok(sn_session_run(s)); /* nothing is set: every part is absent */
    assert_ok(sn_output_number(s, "price", &none));
    assert_ok(sn_input_set_text(s, "note", "old bridge", 10));
    assert_ok(sn_session_run(s));
    assert_ok(sn_output_number(s, "price", &some));
    assert_true(some != none);
    assert_ok(sn_input_set_text(s, "note", "  ", 2)); /* as an empty cell */
    assert_ok(sn_session_run(s));
    assert_ok(sn_output_number(s, "price", &again));
    assert_true(again == none);
    sn_session_free(s);
}

static void test_files(void **state) {
    const world *w = *state;
    sn_session *s;
    double a, b;
    char *photo = in_folder(w, "p5.bmp"), *note = in_folder(w, "note.txt"), *missing = in_folder(w, "missing.bmp");
    put_file(w, "note.txt", "small bridge\n", 13);
    assert_ok(sn_session_create(w->model, &s));
    assert_ok(sn_input_set_file(s, "photo", photo));
    assert_ok(sn_input_set_file(s, "note", note));
    assert_ok(sn_session_run(s));
    assert_ok(sn_output_number(s, "price", &a));
    unsigned char rgb[WORLD_SIDE * WORLD_SIDE * 3];
    world_pixels(5, rgb);
    assert_ok(sn_input_set_image(s, "photo", rgb, WORLD_SIDE, WORLD_SIDE, WORLD_SIDE * 3));
    assert_ok(sn_input_set_text(s, "note", "small bridge", 12));
    assert_ok(sn_session_run(s));
    assert_ok(sn_output_number(s, "price", &b));
    assert_true(a == b);
    assert_fails(sn_input_set_file(s, "photo", missing), SN_ERR_IO, "missing.bmp");
    assert_string_equal(sn_error_column(), "photo");
    sn_session_free(s);
    sn_free(photo);
    sn_free(note);
    sn_free(missing);
}

static void test_misuse(void **state) {
    const world *w = *state;
    sn_session *s;
    const char *label;
    double x;
    unsigned char rgb[12] = {0};
    float pcm[4] = {0};
    assert_ok(sn_session_create(w->model, &s));
    assert_fails(sn_output_number(s, "price", &x), SN_ERR_STATE, "sn_session_run comes first");
    assert_fails(sn_input_set_text(s, "nothing", "a", 1), SN_ERR_USAGE, "photo, note, size, place");
    assert_fails(sn_input_set_text(s, "photo", "a", 1), SN_ERR_USAGE, "of kind image");
    assert_fails(sn_input_set_number(s, "photo", 1), SN_ERR_USAGE, "of kind image");
    assert_fails(sn_input_set_image(s, "note", rgb, 2, 2, 6), SN_ERR_USAGE, "of kind text");
    assert_fails(sn_input_set_audio(s, "photo", pcm, 4, 1, 8000), SN_ERR_USAGE, "of kind image");
    assert_fails(sn_input_set_image(s, "photo", rgb, 2, 2, 5), SN_ERR_USAGE, "5 bytes a row");
    assert_fails(sn_input_set_image(s, "photo", rgb, 0, 2, 6), SN_ERR_USAGE, "0 x 2");
    assert_fails(sn_input_set_image(s, "photo", NULL, 2, 2, 6), SN_ERR_USAGE, "not possible");
    assert_fails(sn_input_set_text(s, "note", "a\xff", 2), SN_ERR_FORMAT, "UTF-8");
    assert_fails(sn_input_set_text(s, "note", "a\0b", 3), SN_ERR_FORMAT, "at byte 1");
    assert_fails(sn_input_set_text(s, "size", "wide", 4), SN_ERR_FORMAT, "\"wide\" is not a number");
    assert_fails(sn_input_set_number(s, "size", (double)NAN), SN_ERR_USAGE, "not finite");
    assert_ok(sn_session_run(s));
    assert_fails(sn_output_category(s, "price", &label, NULL), SN_ERR_USAGE, "it has no class");
    assert_fails(sn_output_number(s, "label", &x), SN_ERR_USAGE, "it has no number");
    assert_fails(sn_output_number(s, "cost", &x), SN_ERR_USAGE, "label, price");
    assert_ok(sn_input_set_number(s, "size", 2));
    assert_fails(sn_output_number(s, "price", &x), SN_ERR_STATE, "again after every change"); /* no stale answers */
    sn_session_free(s);
}

/* ---- threads ---- */

typedef struct worker {
    const world *w;
    double prices[WORLD_ROWS];
    bool failed;
} worker;

static void *run_rows(void *context) {
    worker *me = context;
    sn_session *s = NULL;
    me->failed = sn_session_create(me->w->model, &s) != SN_OK;
    for (int64_t r = 0; !me->failed && r < WORLD_ROWS; r++) {
        unsigned char rgb[WORLD_SIDE * WORLD_SIDE * 3];
        const char *note = sn_table_cell(me->w->table, r, 1);
        world_pixels((int)r, rgb);
        me->failed = sn_session_clear(s) != SN_OK || sn_input_set_image(s, "photo", rgb, WORLD_SIDE, WORLD_SIDE, WORLD_SIDE * 3) != SN_OK
            || sn_input_set_text(s, "note", note, strlen(note)) != SN_OK || sn_session_run(s) != SN_OK
            || sn_output_number(s, "price", &me->prices[r]) != SN_OK;
    }
    sn_session_free(s);
    return NULL;
}

/* Two sessions meet at a model that has neither programs nor packed copies yet. */
static void test_two_threads(void **state) {
    world fresh = *(const world *)*state;
    for (int round = 0; round < 5; round++) {
        static worker workers[3];
        pthread_t threads[2];
        world_model(&fresh);
        for (int i = 0; i < 3; i++) workers[i] = (worker){.w = &fresh};
        for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_rows, &workers[i]), 0);
        for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
        (void)run_rows(&workers[2]);
        for (int i = 0; i < 3; i++) {
            assert_false(workers[i].failed);
            assert_memory_equal(workers[i].prices, workers[2].prices, sizeof workers[i].prices);
        }
        sn_model_free(fresh.model);
    }
}

/* ---- eviction ---- */

static double price_of(sn_exec *e, const sn_batch *batch) {
    const float *values[2];
    assert_ok(sn_exec_predict(e, batch, values));
    return (double)values[1][0];
}

static void test_eviction(void **state) {
    world w = *(const world *)*state;
    enum { SIZES = SN_PROGRAMS_KEPT + 10 };
    sn_exec *e, *other;
    sn_batch *batches[SIZES];
    world_model(&w);
    assert_ok(sn_exec_create(w.model, &e));
    assert_ok(sn_exec_create(w.model, &other));
    for (int n = 0; n < SIZES; n++) assert_ok(sn_batch_blank(w.model, n + 1, &batches[n])); /* all parts absent: joint programs only */
    double first = price_of(e, batches[0]);
    assert_true(price_of(other, batches[0]) == first);
    for (int n = 1; n < SIZES; n++) {
        assert_true(fabs(price_of(e, batches[n]) - first) < 1e-3);
        if (n % 8 == 0) assert_true(price_of(other, batches[0]) == first); /* used again and again: it stays */
    }
    assert_int_equal(w.model->n_slots, SN_PROGRAMS_KEPT);
    size_t found = 0;
    for (size_t i = 0; i < w.model->n_slots; i++) found += w.model->slots[i].rows == 1;
    assert_int_equal(found, 1);
    for (int n = SIZES - 1; n >= 0; n--) { /* and backwards: what went is compiled anew, other's runners are let go */
        assert_true(fabs(price_of(other, batches[n]) - first) < 1e-3);
        assert_true(fabs(price_of(e, batches[n]) - first) < 1e-3);
    }
    assert_int_equal(w.model->n_slots, SN_PROGRAMS_KEPT);
    for (int n = 0; n < SIZES; n++) sn_batch_free(batches[n]);
    sn_exec_free(e);
    sn_exec_free(other);
    sn_model_free(w.model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_as_table), cmocka_unit_test(test_absent), cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_misuse),        cmocka_unit_test(test_two_threads),
                                       cmocka_unit_test(test_eviction)};
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
