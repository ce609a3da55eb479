/* test_model_files.c: model directories that are broken, are in the way, or for which memory runs out. */
#include <sys/stat.h>
#include <unistd.h>

#include "model_test.h"
#include "models/goldens.h"

/* A saved model with goldens, and its config as a tree. */
typedef struct saved {
    char *path, *config_path;
    json_t *config;
} saved;

static saved save_one(const world *w, const char *name) {
    saved s = {.path = in_folder(w, name)};
    assert_ok(sn_model_save(w->model, s.path, 1));
    s.config_path = sn_path_join(s.path, "config.json");
    assert_ok(sn_json_read(s.config_path, &s.config));
    return s;
}

static void saved_free(saved *s) {
    json_decref(s->config);
    sn_free(s->path);
    sn_free(s->config_path);
}

/* Follows "a/0/b" to the owner of the last step. */
static json_t *owner_of(json_t *root, const char *where, char last[64]) {
    char steps[256];
    json_t *at = root;
    (void)snprintf(steps, sizeof steps, "%s", where);
    char *step = strtok(steps, "/");
    for (char *next; (next = strtok(NULL, "/")) != NULL; step = next)
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(step)) : json_object_get(at, step);
    (void)snprintf(last, 64, "%s", step);
    assert_non_null(at);
    return at;
}

/* Loads the model with one value of its config set to `text` (JSON; NULL: removed), then puts the config back. */
static sn_status load_with(const saved *s, const char *where, const char *text, sn_model **out) {
    char last[64];
    json_t *copy = json_deep_copy(s->config), *owner = owner_of(copy, where, last);
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (!text) json_is_array(owner) ? json_array_remove(owner, (size_t)atoi(last)) : json_object_del(owner, last);
    else if (json_is_array(owner)) (void)json_array_set_new(owner, (size_t)atoi(last), value);
    else (void)json_object_set_new(owner, last, value);
    assert_ok(sn_json_write(s->config_path, copy));
    json_decref(copy);
    *out = NULL;
    sn_error_clear();
    sn_status status = sn_model_load(s->path, NULL, out);
    char *kept = strdup(sn_error_message());
    assert_ok(sn_json_write(s->config_path, s->config));
    if (status != SN_OK) { /* writing cleared nothing, but be sure that the message is the load's */
        assert_null(*out);
        assert_string_equal(kept, sn_error_message());
        if (!strstr(kept, s->path)) fail_msg("%s = %s: the message names no file: %s", where, text ? text : "(removed)", kept);
    }
    free(kept);
    return status;
}

static void test_hostile_config(void **state) {
    static const struct {
        const char *where, *text, *message;
        sn_status status;
    } cases[] = {
        {"model_type", NULL, "\"model_type\" is missing", SN_ERR_FORMAT},
        {"model_type", "\"bert\"", "\"model_type\" is \"bert\"", SN_ERR_UNSUPPORTED},
        {"model_type", "3", "\"model_type\": expected a string, found a whole number", SN_ERR_FORMAT},
        {"schema", NULL, "\"schema\" is 0", SN_ERR_UNSUPPORTED},
        {"schema", "2", "\"schema\" is 2; this version reads schema 1", SN_ERR_UNSUPPORTED},
        {"shema", "2", "unknown key \"shema\"; did you mean \"schema\"", SN_ERR_FORMAT},
        {"input_features", NULL, "\"input_features\" is missing", SN_ERR_FORMAT},
        {"input_features", "[]", "\"input_features\" is missing or empty", SN_ERR_FORMAT},
        {"input_features", "{}", "\"input_features\": expected a list", SN_ERR_FORMAT},
        {"input_features/0", "7", "\"input_features\"[0]: expected an object", SN_ERR_FORMAT},
        {"input_features/1/name", NULL, "\"input_features\"[1]: \"name\" is missing", SN_ERR_FORMAT},
        {"input_features/1/name", "\"photo\"", "two are named \"photo\"", SN_ERR_FORMAT},
        {"input_features/1/type", NULL, "\"note\": \"type\" is missing", SN_ERR_FORMAT},
        {"input_features/1/type", "\"poem\"", "unknown kind of column \"poem\"", SN_ERR_FORMAT},
        {"input_features/1/encoder", NULL, "\"note\": \"encoder\" is missing", SN_ERR_FORMAT},
        {"input_features/1/encoder/type", "\"mamba\"", "unknown text encoder \"mamba\"; known: ", SN_ERR_FORMAT},
        {"input_features/1/encoder/width", "\"wide\"", "\"width\": expected a whole number", SN_ERR_FORMAT},
        {"input_features/1/encoder/widht", "8", "did you mean \"width\"", SN_ERR_FORMAT},
        {"input_features/1/encoder/layers", "2000000000", "", SN_ERR_UNSUPPORTED},
        {"input_features/1/encoder/width", "24", "tensor \"encoders.note", SN_ERR_SHAPE},
        {"input_features/1/preprocessing/vocabulary", NULL, "\"vocabulary\" is missing", SN_ERR_FORMAT},
        {"input_features/1/preprocessing/max_length", "-1", "\"max_length\" must be 1", SN_ERR_FORMAT},
        {"input_features/0/preprocessing/width", "100000", "not possible", SN_ERR_FORMAT},
        {"input_features/0/preprocessing/width", "16", "tensor \"encoders.photo", SN_ERR_SHAPE},
        {"input_features/0/preprocessing/mean", "[0.5]", "\"mean\" must list 3 numbers", SN_ERR_FORMAT},
        {"input_features/0/preprocessing/mean/1", "\"x\"", "\"mean\" must list 3 numbers", SN_ERR_FORMAT},
        {"input_features/0/preprocessing/std/2", "0", "\"std\" must be above 0", SN_ERR_FORMAT},
        {"input_features/0/preprocessing/resample", "\"magic\"", "magic", SN_ERR_FORMAT},
        {"input_features/2/preprocessing/std", NULL, "\"size\": \"std\" is missing", SN_ERR_FORMAT},
        {"input_features/3/preprocessing/classes", "[1, 2]", "\"classes\": entry 1 is not a string", SN_ERR_FORMAT},
        {"table", NULL, "\"table\" is missing", SN_ERR_FORMAT},
        {"table/encoder/widths", "[16, \"a\"]", "\"widths\"", SN_ERR_FORMAT},
        {"combiner", NULL, "\"combiner\" is missing", SN_ERR_FORMAT},
        {"combiner/type", "\"blender\"", "unknown fusion \"blender\"", SN_ERR_FORMAT},
        {"output_features", NULL, "\"output_features\" is missing", SN_ERR_FORMAT},
        {"output_features/0/type", "\"image\"", "label: unknown key \"classes\"", SN_ERR_FORMAT},
        {"output_features/0/type", "\"set\"", "columns of kind set cannot be learned", SN_ERR_UNSUPPORTED},
        {"output_features/0/type", "\"binary\"", "3 different values", SN_ERR_FORMAT},
        {"output_features/1/name", "\"label\"", "second output of this name", SN_ERR_FORMAT},
        {"output_features/0/task", "\"number\"", "cannot be predicted as \"number\"", SN_ERR_FORMAT},
        {"output_features/0/preprocessing/classes", NULL, "\"classes\" is missing", SN_ERR_FORMAT},
        {"output_features/0/preprocessing/classes", "[\"a\", \"b\"]", "tensor \"tasks.label.head", SN_ERR_SHAPE},
        {"output_features/1/loss/weight", "-1", "at least 0", SN_ERR_FORMAT},
        {"recipe/threads", "0", "\"threads\" must be 1", SN_ERR_FORMAT},
        {"recipe/threads", "1e9", "\"threads\": expected a whole number", SN_ERR_FORMAT},
        {"recipe/precision", "\"f8\"", "precision must be", SN_ERR_FORMAT},
        {"trained", "[]", "\"trained\": expected an object", SN_ERR_FORMAT},
        {"goldens/rows", "0", "\"goldens\": \"rows\"", SN_ERR_FORMAT},
        {"goldens/rows", "5", "goldens.safetensors", SN_ERR_SHAPE},
    };
    saved s = save_one(*state, "hostile");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sn_model *m;
        sn_status status = load_with(&s, cases[i].where, cases[i].text, &m);
        if (status != cases[i].status || !strstr(sn_error_message(), cases[i].message))
            fail_msg("%s = %s: expected %s with \"%s\", got %s: %s", cases[i].where, cases[i].text ? cases[i].text : "(removed)",
                     sn_status_name(cases[i].status), cases[i].message, sn_status_name(status), sn_error_message());
    }
    saved_free(&s);
}

/* Every number in the blocks of encoders, fusion and losses set to absurd ones: refused or harmless, never a crash. */
static void test_absurd_numbers(void **state) {
    static const char *const absurd[] = {"-1", "0", "1", "3", "4294967297", "1099511627776", "9223372036854775807", "-0.5", "1e300", "\"x\"", "[]", "null"};
    static const struct {
        const char *encoder;
        const char *keys[8];
    } encoders[] = {{"gru", {"embedding", "width", "layers", "bidirectional", "dropout"}},
                    {"lstm", {"embedding", "width", "layers", "bidirectional", "dropout"}},
                    {"bag", {"width", "scale", "word_dropout", "dropout"}},
                    {"cnn", {"embedding", "widths", "filters", "dropout"}},
                    {"transformer", {"width", "max_length", "heads", "hidden", "layers", "dropout"}}};
    static const char *const others[] = {"input_features/0/encoder/channels/0", "input_features/0/encoder/kernel", "input_features/0/encoder/norm",
                                         "input_features/0/encoder/width", "table/encoder/widths/0", "table/encoder/dropout",
                                         "combiner/width", "combiner/dropout", "output_features/1/loss/delta", "recipe/threads",
                                         "input_features/0/preprocessing/height", "input_features/0/preprocessing/channels"};
    saved s = save_one(*state, "absurd");
    char where[128], type[32];
    sn_model *m;
    int refused = 0;
    for (size_t a = 0; a < sizeof absurd / sizeof *absurd; a++) {
        for (size_t e = 0; e < sizeof encoders / sizeof *encoders; e++)
            for (const char *const *key = encoders[e].keys; *key; key++) {
                json_t *encoder = json_object_get(json_array_get(json_object_get(s.config, "input_features"), 1), "encoder");
                json_t *before = json_copy(encoder);
                (void)json_object_clear(encoder);
                (void)snprintf(type, sizeof type, "%s", encoders[e].encoder);
                (void)json_object_set_new(encoder, "type", json_string(type));
                (void)snprintf(where, sizeof where, "input_features/1/encoder/%s", *key);
                refused += load_with(&s, where, absurd[a], &m) != SN_OK;
                sn_model_free(m);
                (void)json_object_clear(encoder);
                (void)json_object_update(encoder, before);
                json_decref(before);
            }
        for (size_t o = 0; o < sizeof others / sizeof *others; o++) {
            refused += load_with(&s, others[o], absurd[a], &m) != SN_OK;
            sn_model_free(m);
        }
    }
    assert_true(refused > 300);
    saved_free(&s);
}

static void truncate_file(const char *directory, const char *name, long keep, sn_status expected, const char *message) {
    char *path = sn_path_join(directory, name);
    sn_bytes bytes;
    sn_model *m;
    assert_ok(sn_file_read(path, (size_t)1 << 30, &bytes));
    long size = (long)bytes.size;
    assert_ok(sn_file_write(path, bytes.data, (size_t)(keep < 0 ? size + keep : keep)));
    assert_fails(sn_model_load(directory, NULL, &m), expected, message);
    if (!strstr(sn_error_message(), name)) fail_msg("the message does not name %s: %s", name, sn_error_message());
    assert_null(m);
    assert_ok(sn_file_write(path, bytes.data, bytes.size));
    sn_bytes_free(&bytes);
    sn_free(path);
}

static void test_broken_files(void **state) {
    const world *w = *state;
    saved s = save_one(w, "broken");
    sn_model *m;
    truncate_file(s.path, "model.safetensors", -8, SN_ERR_FORMAT, "");
    truncate_file(s.path, "model.safetensors", 5, SN_ERR_FORMAT, "");
    truncate_file(s.path, "model.safetensors", 0, SN_ERR_FORMAT, "");
    truncate_file(s.path, "goldens.safetensors", -4, SN_ERR_FORMAT, "");
    truncate_file(s.path, "config.json", 40, SN_ERR_FORMAT, "line ");
    assert_ok(sn_model_load(s.path, NULL, &m)); /* all put back: it was the truncation */
    sn_model_free(m);
    char *missing = in_folder(w, "nowhere"), *table = in_folder(w, "data.csv"), *weights = sn_path_join(s.path, "model.safetensors");
    assert_fails(sn_model_load(missing, NULL, &m), SN_ERR_IO, "no such model");
    assert_fails(sn_model_load(table, NULL, &m), SN_ERR_FORMAT, "is a directory, this is a file");
    assert_fails(sn_model_load(w->folder, NULL, &m), SN_ERR_FORMAT, "holds no config.json");
    assert_ok(sn_remove_tree(weights));
    assert_fails(sn_model_load(s.path, NULL, &m), SN_ERR_IO, "model.safetensors");
    assert_fails(sn_model_load(s.path, "{\"thread\": 1}", &m), SN_ERR_USAGE, "did you mean \"threads\"");
    assert_fails(sn_model_load(s.path, "{\"threads\": \"two\"}", &m), SN_ERR_FORMAT, "whole number");
    assert_fails(sn_model_load(s.path, "{threads}", &m), SN_ERR_USAGE, "line 1");
    sn_free(missing);
    sn_free(table);
    sn_free(weights);
    saved_free(&s);
}

static void test_wrong_tensors(void **state) {
    saved s = save_one(*state, "tensors");
    sn_safetensors *file;
    char *path = sn_path_join(s.path, "model.safetensors");
    sn_model *m;
    assert_ok(sn_safetensors_open(path, &file));
    int n = sn_safetensors_count(file);
    sn_tensor_view *views = calloc((size_t)n + 1, sizeof *views);
    for (int i = 0; i < n; i++) views[i] = *sn_safetensors_at(file, i);
    assert_ok(sn_safetensors_write(path, views + 1, n - 1, NULL)); /* the mapping of the old file lives on */
    assert_fails(sn_model_load(s.path, NULL, &m), SN_ERR_SHAPE, "is missing: expected shape");
    assert_non_null(strstr(sn_error_message(), views[0].name));
    views[n] = (sn_tensor_view){"stowaway", {SN_SHAPE(1), SN_F32}, views[0].data, 4};
    assert_ok(sn_safetensors_write(path, views, n + 1, NULL));
    assert_fails(sn_model_load(s.path, NULL, &m), SN_ERR_SHAPE, "tensor \"stowaway\" of shape [1] is not used");
    int64_t count = sn_shape_count(views[0].type.shape);
    views[0].type.shape = SN_SHAPE(1, count, 1);
    assert_ok(sn_safetensors_write(path, views, n, NULL));
    assert_fails(sn_model_load(s.path, NULL, &m), SN_ERR_SHAPE, "expected shape");
    free(views);
    sn_safetensors_free(file);
    sn_free(path);
    saved_free(&s);
}

/* ---- what stands in the way ---- */

static int entries(const world *w, const char *part) { /* names in the folder that hold `part` */
    char command[160];
    int n = -1;
    (void)snprintf(command, sizeof command, "ls -a %s | grep -c '%s'", w->folder, part);
    FILE *pipe = popen(command, "r");
    if (fscanf(pipe, "%d", &n) != 1) n = -1;
    (void)pclose(pipe);
    return n;
}

static void test_overwrite(void **state) {
    const world *w = *state;
    char *path = in_folder(w, "over"), *slash = in_folder(w, "over///"), *other = in_folder(w, "others"), *kept = in_folder(w, "others/diary.txt");
    char *deep = in_folder(w, "a/b/model"), *empty = in_folder(w, "empty"), *file = in_folder(w, "data.csv");
    sn_model *m;
    assert_ok(sn_model_save(w->model, path, 0));
    assert_fails(sn_model_save(w->model, path, 0), SN_ERR_USAGE, "exists already");
    float *bias = sn_params_data(w->model->params, sn_params_find(w->model->params, "tasks.price.head.bias")), before = *bias;
    *bias = 0.25f;
    assert_ok(sn_model_save(w->model, slash, 1));
    *bias = before;
    assert_ok(sn_model_load(path, NULL, &m));
    assert_true(*sn_params_data(m->params, sn_params_find(m->params, "tasks.price.head.bias")) == 0.25f);
    sn_model_free(m);
    assert_ok(sn_make_directory(other));
    assert_ok(sn_file_write(kept, "mine", 4));
    assert_fails(sn_model_save(w->model, other, 1), SN_ERR_USAGE, "directory without a model");
    assert_true(sn_file_exists(kept));
    assert_fails(sn_model_save(w->model, file, 1), SN_ERR_USAGE, "is a file");
    assert_ok(sn_make_directory(empty));
    assert_ok(sn_model_save(w->model, empty, 1));
    assert_ok(sn_model_save(w->model, deep, 0));
    assert_int_equal(entries(w, ".tmp"), 0);
    char *all[] = {path, slash, other, kept, deep, empty, file};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) sn_free(all[i]);
}

static void test_save_refused(void **state) { /* a folder that cannot be written: the old model stays */
    const world *w = *state;
    if (geteuid() == 0) skip(); /* root may write everywhere */
    char *folder = in_folder(w, "locked"), *path = in_folder(w, "locked/model");
    sn_model *m;
    assert_ok(sn_model_save(w->model, path, 0));
    assert_int_equal(chmod(folder, 0555), 0);
    assert_fails(sn_model_save(w->model, path, 1), SN_ERR_IO, "cannot create the directory");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_ok(sn_model_load(path, NULL, &m));
    sn_model_free(m);
    sn_free(folder);
    sn_free(path);
}

/* ---- memory ---- */

static void test_allocations(void **state) {
    const world *w = *state;
    char *path = in_folder(w, "memory");
    sn_model *m;
    assert_ok(sn_model_save(w->model, path, 0));
    for (int what = 0; what < 2; what++)
        for (long n = 1;; n++) {
            sn_error_clear();
            sn_alloc_fail_after(n);
            sn_status status = what ? sn_model_load(path, NULL, &m) : sn_model_save(w->model, path, 1);
            bool reached = sn_alloc_count() >= n;
            sn_alloc_fail_after(0);
            if (what && status == SN_OK) sn_model_free(m);
            if (!reached) {
                assert_ok(status);
                assert_true(n > 20);
                break;
            }
            if (!what && status == SN_OK) { /* syncing the folder of a file is best effort: without it the save is done */
                assert_ok(sn_model_load(path, NULL, &m));
                sn_model_free(m);
                continue;
            }
            if (status != SN_ERR_MEMORY) fail_msg("%s, allocation %ld failed: %s: %s", what ? "load" : "save", n, sn_status_name(status), sn_error_message());
            if (what) assert_null(m);
        }
    assert_ok(sn_model_load(path, NULL, &m)); /* whole after every failed save */
    sn_model_free(m);
    assert_true(entries(w, "memory.*tmp") <= 4); /* of the dozens of failures only those of the removal itself leave a folder */
    sn_free(path);
}

static int begin(void **state) {
    if (world_begin(state)) return -1;
    const world *w = *state;
    static const int64_t rows[] = {0, 1, 2};
    sn_dataset *d;
    assert_ok(sn_dataset_create(w->model, w->table, &(sn_dataset_options){.threads = 1}, &d));
    assert_ok(sn_goldens_make(w->model, d, rows, 3));
    sn_dataset_free(d);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hostile_config), cmocka_unit_test(test_absurd_numbers), cmocka_unit_test(test_broken_files),
                                       cmocka_unit_test(test_wrong_tensors),  cmocka_unit_test(test_overwrite), cmocka_unit_test(test_save_refused),
                                       cmocka_unit_test(test_allocations)};
    return cmocka_run_group_tests(tests, begin, world_end);
}
