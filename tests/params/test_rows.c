/* test_rows.c: the rows of a large table that no product packs are read from its file, in whatever dtype it is stored; what
 * is small, changed or of a file that could not stay open is read where it lies, with the same numbers. */
#include <dirent.h>
#include <unistd.h>

#include "base/parallel.h"
#include "graph/program_internal.h"
#include "params/safetensors.h"
#include "params/weights.h"
#include "test.h"

enum { WORDS = 4201, WIDTH = 515, FEW = 100, IDS = 200 }; /* WORDS * WIDTH is just large in two bytes each; several chunks of words */
static const sn_dtype dtypes[] = {SN_F32, SN_BF16, SN_F16};
static char folder[] = "/tmp/sn-rows-XXXXXX";
static float *table;
static int32_t ids[IDS];

static float rounded(float x, sn_dtype dtype) {
    return dtype == SN_BF16 ? sn_from_bf16(sn_to_bf16(x)) : dtype == SN_F16 ? sn_from_f16(sn_to_f16(x)) : x;
}

static char *file_of(sn_dtype dtype) {
    char name[64];
    (void)snprintf(name, sizeof name, "%s.safetensors", sn_dtype_name(dtype));
    return sn_path_join(folder, name);
}

static void write_table(const char *path, sn_dtype dtype) {
    sn_tensor_view views[] = {{"few", {SN_SHAPE(FEW, WIDTH), SN_F32}, table, FEW * WIDTH * sizeof *table},
                              {"many", {SN_SHAPE(WORDS, WIDTH), SN_F32}, table, WORDS * WIDTH * sizeof *table}};
    assert_ok(sn_safetensors_write_as(path, views, (sn_dtype[]){dtype, dtype}, 2, NULL, NULL));
}

static int begin(void **state) {
    (void)state;
    table = sn_alloc(WORDS * WIDTH, sizeof *table);
    if (!table || !mkdtemp(folder) || sn_threads_enter(2) != SN_OK) return -1;
    for (int i = 0; i < WORDS * WIDTH; i++) table[i] = (float)(i % 9973) / 4096 - 1; /* more digits than two bytes hold */
    for (int i = 0; i < IDS; i++) ids[i] = (i * 37 + 11) % FEW;
    for (int i = 0; i < IDS; i += 2) ids[i] = WORDS - 1 - (i * 41) % WORDS;
    for (int d = 0; d < 3; d++) {
        char *path = file_of(dtypes[d]);
        write_table(path, dtypes[d]);
        sn_free(path);
    }
    return 0;
}

static int end(void **state) {
    (void)state;
    sn_free(table);
    return sn_remove_tree(folder) == SN_OK ? 0 : -1;
}

static sn_params *declared(void) {
    sn_params *p;
    int i;
    assert_ok(sn_params_create(&p));
    assert_ok(sn_params_declare(p, "few", SN_SHAPE(FEW, WIDTH), (sn_init){0}, &i));
    assert_ok(sn_params_declare(p, "many", SN_SHAPE(WORDS, WIDTH), (sn_init){0}, &i));
    assert_ok(sn_params_seal_for_inference(p));
    return p;
}

static sn_params *lent(sn_weights *w) {
    sn_params *p = declared();
    assert_ok(sn_params_borrow_all(p, w, "", NULL, NULL));
    return p;
}

static sn_params *opened(const char *path) {
    sn_weights *w;
    assert_ok(sn_weights_open_to_lend(path, &w));
    return lent(w);
}

static bool from_file(sn_params *p, const char *name, sn_dtype dtype) {
    sn_row_source rows;
    assert_ok(sn_params_rows(p, sn_params_find(p, name), dtype, &rows));
    return !rows.data;
}

/* ---- a program that looks ids up, in two ops (the second: ids from the last to the first), and has a product ---- */

typedef struct looker {
    sn_program *program;
    sn_runner *runner;
    void *arena;
    int32_t turned[IDS];
} looker;

static void make(looker *l, sn_params *p, bool bf16, const char *factor) {
    sn_graph *g;
    assert_ok(sn_graph_create(p, false, &g));
    sn_node many = sn_param(g, "many", SN_SHAPE(WORDS, WIDTH), (sn_init){0}), y[3];
    for (int i = 0; i < 2; i++) y[i] = sn_emit(g, SN_EMBED, (sn_node[]){many, sn_input(g, SN_I32, SN_SHAPE(IDS))}, 2, NULL);
    sn_node by = sn_param(g, factor, SN_SHAPE(strcmp(factor, "few") ? WORDS : FEW, WIDTH), (sn_init){0});
    y[2] = sn_matmul(g, y[0], by, false, true);
    sn_compile_options o = {.threads = 2, .isa = sn_isa_detect(), .backends = SN_USE_ALL, .bf16 = bf16, .inference = true};
    assert_ok(sn_program_compile(g, &o, 3, y, 3, &l->program));
    assert_ok(sn_runner_create(l->program, p, &l->runner));
    l->arena = sn_pages(sn_program_bytes(l->program));
    sn_runner_lend(l->runner, l->arena);
    for (int i = 0; i < IDS; i++) l->turned[i] = ids[IDS - 1 - i];
    sn_runner_bind_input(l->runner, 0, ids);
    sn_runner_bind_input(l->runner, 1, l->turned);
}

static sn_status run(looker *l) { return sn_runner_run(l->runner, SN_RUN_ALL, &(sn_run_info){0, 0}); }

static void check_rows(const looker *l, sn_dtype dtype, float scale) {
    const float *rows = sn_runner_output(l->runner, 0), *turned = sn_runner_output(l->runner, 1);
    for (int i = 0; i < IDS; i++)
        for (int k = 0; k < WIDTH; k++) {
            float want = rounded(table[ids[i] * WIDTH + k], dtype) * scale;
            assert_true(rows[i * WIDTH + k] == want && turned[(IDS - 1 - i) * WIDTH + k] == want);
        }
}

static void done(looker *l) {
    sn_runner_free(l->runner);
    size_t bytes = sn_program_bytes(l->program);
    sn_program_free(l->program);
    sn_pages_free(l->arena, bytes);
}

static void check_all(sn_params *p, sn_dtype dtype, float scale) {
    for (int bf16 = 0; bf16 < 2; bf16++) {
        looker l;
        make(&l, p, bf16, "few");
        assert_ok(run(&l));
        check_rows(&l, dtype, scale);
        done(&l);
    }
}

static void rows_come_from_the_file(void **state) {
    (void)state;
    for (int d = 0; d < 3; d++) {
        char *path = file_of(dtypes[d]);
        sn_params *p = opened(path);
        assert_true(from_file(p, "many", dtypes[d]));
        assert_false(from_file(p, "few", dtypes[d]));
        assert_false(from_file(p, "many", dtypes[(d + 1) % 3])); /* another dtype: a copy */
        check_all(p, dtypes[d], 1);
        sn_params_free(p);
        sn_free(path);
    }
}

static void what_was_changed_is_not_read_from_the_file(void **state) {
    (void)state;
    char *path = file_of(SN_F32);
    sn_params *p = opened(path);
    int many = sn_params_find(p, "many");
    double *scale = sn_alloc(WORDS, sizeof *scale);
    for (int i = 0; i < WORDS; i++) scale[i] = 0.5;
    sn_params_scale_rows(p, many, scale);
    assert_false(from_file(p, "many", SN_F32));
    check_all(p, SN_F32, 0.5f);
    sn_params_free(p);

    p = opened(path);
    float *numbers = sn_alloc(WORDS * WIDTH, sizeof *numbers);
    for (int i = 0; i < WORDS * WIDTH; i++) numbers[i] = 4 * table[i];
    sn_params_replace(p, many, numbers);
    assert_false(from_file(p, "many", SN_F32));
    check_all(p, SN_F32, 4);
    sn_params_free(p);
    sn_free(path);
}

/* Neither a file that did not stay open nor content that somebody else holds in memory. */
static void without_a_file_rows_are_read_in_their_place(void **state) {
    (void)state;
    char *path = file_of(SN_F32);
    sn_bytes bytes;
    sn_weights *w;
    assert_ok(sn_weights_open(path, &w));
    sn_params *p = lent(w);
    assert_false(from_file(p, "many", SN_F32));
    check_all(p, SN_F32, 1);
    sn_params_free(p);
    assert_ok(sn_file_read(path, SIZE_MAX, &bytes));
    assert_ok(sn_weights_parse("lent", bytes.data, bytes.size, &w));
    p = lent(w);
    assert_false(from_file(p, "many", SN_F32));
    check_all(p, SN_F32, 1);
    sn_params_free(p);
    sn_bytes_free(&bytes);
    sn_free(path);
}

static bool any(void *context, const char *name) {
    (void)context, (void)name;
    return true;
}

/* More shards than stay open: those after them are mapped alone. */
static void shards_beyond_the_most_are_read_in_their_place(void **state) {
    (void)state;
    enum { SHARDS = 70 };
    for (int last = 0; last < 2; last++) { /* the large table: in the first, in the last */
        char *path = sn_path_join(folder, "many.index.json"), name[64];
        sn_buf index = {0};
        for (int s = 0; s < SHARDS; s++) {
            (void)snprintf(name, sizeof name, "%03d.safetensors", s);
            const char *tensor = s == (last ? SHARDS - 1 : 0) ? "many" : s == SHARDS / 2 ? "few" : name;
            int64_t words = !strcmp(tensor, "many") ? WORDS : FEW;
            sn_tensor_view view = {tensor, {SN_SHAPE(words, WIDTH), SN_F32}, table, (size_t)(words * WIDTH) * sizeof *table};
            sn_buf_printf(&index, "%s\"%s\": \"%s\"", s ? ", " : "{\"weight_map\": {", tensor, name);
            char *shard = sn_path_join(folder, name);
            assert_ok(sn_safetensors_write_as(shard, &view, (sn_dtype[]){SN_F32}, 1, NULL, NULL));
            sn_free(shard);
        }
        sn_buf_printf(&index, "}}");
        assert_ok(sn_file_write(path, index.data, index.size));
        sn_weights *w;
        assert_ok(sn_weights_open_to_lend(path, &w));
        sn_params *p = declared();
        assert_ok(sn_params_borrow_all(p, w, "", any, NULL));
        assert_true(from_file(p, "many", SN_F32) == !last);
        check_all(p, SN_F32, 1);
        sn_params_free(p);
        sn_buf_free(&index);
        sn_free(path);
    }
}

/* A file that somebody shortens meanwhile: an error that names it, where reading its mapping would end the process. */
static void a_file_cut_short_is_an_error(void **state) {
    (void)state;
    char *path = sn_path_join(folder, "cut.safetensors");
    write_table(path, SN_F32);
    sn_params *p = opened(path);
    looker l;
    make(&l, p, false, "few");
    assert_ok(run(&l));
    check_rows(&l, SN_F32, 1);
    assert_true(l.program->n_packed > 0 || !TEST_DNNL);
    assert_int_equal(truncate(path, WORDS * WIDTH * 2), 0);
    if (l.program->n_packed) assert_fails(run(&l), SN_ERR_IO, "cut.safetensors: the file ends before byte");
    done(&l);
    sn_row_source rows;
    float row[WIDTH];
    sn_type type = {SN_SHAPE(WORDS, WIDTH), SN_F32};
    assert_ok(sn_params_rows(p, sn_params_find(p, "many"), SN_F32, &rows));
    assert_ok(sn_row_read(type, &rows, 1, 0, WIDTH, row));
    assert_memory_equal(row, table + WIDTH, sizeof row);
    assert_fails(sn_row_read(type, &rows, WORDS - 1, 0, WIDTH, row), SN_ERR_IO, "cut.safetensors: the file ends before byte");
    sn_params_free(p);
    sn_free(path);
}

/* A product's packed copy serves the rows too: once it is made, nobody needs the file. */
static void rows_of_a_packed_table_need_no_file(void **state) {
    (void)state;
    if (!TEST_DNNL || sn_isa_detect() < SN_ISA_AVX512) skip();
    char *path = sn_path_join(folder, "cut.safetensors");
    write_table(path, SN_F32);
    sn_params *p = opened(path);
    looker l;
    make(&l, p, false, "many");
    for (int again = 0; again < 2; again++) {
        assert_ok(run(&l));
        check_rows(&l, SN_F32, 1);
        assert_int_equal(truncate(path, 4096), 0);
    }
    done(&l);
    sn_params_free(p);
    sn_free(path);
}

/* ---- open files ---- */

static int open_files(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir)) n++;
    (void)closedir(dir);
    return n;
}

static void files_are_closed_again(void **state) {
    (void)state;
    char *path = file_of(SN_F32), *broken = sn_path_join(folder, "broken.safetensors"), *index = sn_path_join(folder, "half.index.json");
    const char *text = "{\"weight_map\": {\"many\": \"F32.safetensors\", \"x\": \"broken.safetensors\"}}";
    assert_ok(sn_file_write(broken, "no weights", 10));
    assert_ok(sn_file_write(index, text, strlen(text)));
    sn_weights *w;
    int before = open_files();
    assert_ok(sn_weights_open(path, &w));
    assert_int_equal(open_files(), before);
    sn_weights_free(w);
    assert_ok(sn_weights_open_to_lend(path, &w));
    assert_int_equal(open_files(), before + 1);
    sn_weights_free(w);
    assert_int_equal(sn_weights_open_to_lend(broken, &w), SN_ERR_FORMAT);
    assert_fails(sn_weights_open_to_lend(index, &w), SN_ERR_FORMAT, "broken.safetensors");
    assert_int_equal(sn_weights_open_to_lend(folder, &w), SN_ERR_IO);
    assert_int_equal(open_files(), before);
    sn_free(path);
    sn_free(broken);
    sn_free(index);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_from_the_file), cmocka_unit_test(what_was_changed_is_not_read_from_the_file),
        cmocka_unit_test(without_a_file_rows_are_read_in_their_place), cmocka_unit_test(shards_beyond_the_most_are_read_in_their_place),
        cmocka_unit_test(a_file_cut_short_is_an_error), cmocka_unit_test(rows_of_a_packed_table_need_no_file),
        cmocka_unit_test(files_are_closed_again)};
    return cmocka_run_group_tests(tests, begin, end);
}
