/* test_api_memory.c: the n-th allocation fails, for every n, in each call of the public interface that uses a model
 * or reads data: the error is "memory" and nothing else, the object goes on to work, and under the address sanitizer
 * nothing leaks. Where memory was only for something better (a block made smaller, a folder synced) the call may
 * succeed, and its result must then be the same to the byte.
 *
 * A model compiles its programs at first use; calls marked `fresh` get a new one for every n, so that the graph, its
 * passes, the kernels and the arena fail too; with SN_TEST_SMALL=1 (the thread sanitizer, which is slow) for a sample of
 * the n. (Training is in tests/train, loading and saving in tests/models.) */
#include "models/model_test.h"

enum { SAMPLED = 7 };

typedef struct place {
    const world *w;
    const sn_model *model;
    char *output, *config;
    char *result; /* malloc: what the call gave, as text */
    size_t size;
} place;

/* Not by sn_alloc: the test's own memory does not fail. */
static void keep(place *p, const void *bytes, size_t size) {
    p->result = realloc(p->result, p->size + size + 1);
    assert_non_null(p->result);
    memcpy(p->result + p->size, bytes, size);
    p->size += size;
}

static int keep_row(void *context, const char *json) {
    keep(context, json, strlen(json));
    return 0;
}

/* The text of a call is there exactly where the call succeeded. */
static sn_status keep_text(place *p, sn_status status, char **text) {
    if (status == SN_OK) keep(p, *text, strlen(*text));
    else assert_null(*text);
    sn_string_free(*text);
    return status;
}

static sn_status inspect(place *p) {
    char *text;
    sn_status status = sn_table_inspect(p->w->table, "{\"types\": {\"size\": \"number\"}, \"threads\": 1}", &text);
    return keep_text(p, status, &text);
}

static sn_status predict(place *p) { return sn_model_predict(p->model, p->w->table, "{\"batch_size\": 24, \"top\": 2}", keep_row, p); }

static sn_status evaluate(place *p) {
    char *text;
    sn_status status = sn_model_evaluate(p->model, p->w->table, "{\"subsets\": true, \"batch_size\": 24}", &text);
    return keep_text(p, status, &text);
}

static sn_status features(place *p) {
    SN_TRY(sn_model_features(p->model, p->w->table, NULL, p->output));
    FILE *file = fopen(p->output, "rb");
    char block[4096];
    assert_non_null(file);
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;) keep(p, block, n);
    (void)fclose(file);
    return SN_OK;
}

static sn_status describe(place *p) {
    char *text;
    sn_status status = sn_model_describe(p->model, &text);
    return keep_text(p, status, &text);
}

static sn_status config(place *p) {
    char *text;
    sn_status status = sn_config_read(p->config, &text);
    return keep_text(p, status, &text);
}

static sn_status use_session(place *p, sn_session *s) {
    unsigned char rgb[WORLD_SIDE * WORLD_SIDE * 3];
    char picture[128];
    const float *values;
    size_t count;
    world_pixels(3, rgb);
    (void)snprintf(picture, sizeof picture, "%s/p2.bmp", p->w->folder);
    SN_TRY(sn_input_set_image(s, "photo", rgb, WORLD_SIDE, WORLD_SIDE, WORLD_SIDE * 3));
    SN_TRY(sn_input_set_file(s, "photo", picture));
    SN_TRY(sn_input_set_text(s, "note", "old bridge", 10));
    SN_TRY(sn_input_set_number(s, "size", 2.5));
    SN_TRY(sn_input_set_text(s, "place", "north", 5));
    SN_TRY(sn_session_run(s));
    SN_TRY(sn_output_vector(s, "label", &values, &count));
    keep(p, values, count * sizeof *values);
    return SN_OK;
}

static sn_status session(place *p) {
    sn_session *s;
    SN_TRY(sn_session_create(p->model, &s));
    sn_status status = use_session(p, s);
    sn_session_free(s);
    return status;
}

static sn_status cells(place *p) {
    static const char *const names[] = {"note", "size"}, *const values[] = {"red water", "3"};
    sn_table *table;
    SN_TRY(sn_table_from_cells(2, names, values, p->w->folder, &table));
    sn_status status = sn_model_predict(p->model, table, NULL, keep_row, p);
    sn_table_free(table);
    return status;
}

typedef struct call {
    const char *name;
    sn_status (*run)(place *);
    bool fresh;
    long least; /* allocations there must be at least, or the test has lost its object */
} call;

static const call calls[] = {
    {"predict", predict, true, 400},  {"session", session, true, 200}, {"evaluate", evaluate, false, 100}, {"features", features, false, 30},
    {"inspect", inspect, false, 30},  {"cells", cells, false, 20},      {"describe", describe, false, 0},   {"config", config, false, 2},
};

/* What the call gives when nothing fails. */
static void run_whole(const call *c, place *p) {
    p->size = 0;
    assert_ok(c->run(p));
    assert_true(p->size > 0);
}

/* Runs the call with its n-th allocation failing; false when there were fewer. */
static bool fails_at(const call *c, place *p, const place *whole, long n) {
    world fresh = *p->w;
    if (c->fresh) world_model(&fresh);
    fresh.model->threads = 1;
    p->model = fresh.model;
    p->size = 0;
    sn_error_clear();
    sn_alloc_fail_after(n);
    sn_status status = c->run(p);
    bool reached = sn_alloc_count() >= n;
    sn_alloc_fail_after(0);
    if (status != SN_ERR_MEMORY && status != SN_OK)
        fail_msg("%s, allocation %ld failed: %s: %s", c->name, n, sn_status_name(status), sn_error_message());
    if (!reached) assert_ok(status);
    if (status != SN_OK && n % 16 == 0) run_whole(c, p); /* what failed once works the next time */
    if ((status == SN_OK || n % 16 == 0) && (p->size != whole->size || memcmp(p->result, whole->result, p->size)))
        fail_msg("%s, allocation %ld failed: success, and another result", c->name, n);
    if (c->fresh) sn_model_free(fresh.model);
    return reached;
}

static void test_every_allocation(void **state) {
    const world *w = *state;
    static const char yaml[] = "targets: [label]\ninput_features:\n  - {name: note, type: text}\ntrainer: {epochs: 2}\n";
    place p = {.w = w, .output = in_folder(w, "memory.safetensors"), .config = in_folder(w, "memory.yaml")}, whole = p;
    put_file(w, "memory.yaml", yaml, sizeof yaml - 1);
    w->model->threads = 1; /* the hundreds of runs are short: a team of threads would mostly wait */
    whole.model = w->model;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        long n = 1, step = calls[i].fresh && getenv("SN_TEST_SMALL") ? SAMPLED : 1;
        run_whole(&calls[i], &whole);
        while (fails_at(&calls[i], &p, &whole, n)) n += step;
        print_message("%s: %ld allocations fail, one in %ld\n", calls[i].name, n - step, step);
        assert_true(n > calls[i].least);
    }
    free(p.result);
    free(whole.result);
    sn_free(p.output);
    sn_free(p.config);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
