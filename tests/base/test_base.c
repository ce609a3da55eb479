/* Base: errors, memory, strings, map, random numbers, files, JSON. */
#include "test.h"

#include <unistd.h>

#include "base/json.h"
#include "base/parallel.h"
#include "base/rng.h"

static sn_status inner(void) { SN_FAIL(SN_ERR_FORMAT, "not a %s", "JPEG"); }
static sn_status outer(void) {
    SN_TRY(inner());
    return SN_OK;
}

static void errors_carry_their_place(void **state) {
    (void)state;
    assert_int_equal(outer(), SN_ERR_FORMAT);
    (void)sn_fail_at("a.jpg", 3, "photo");
    (void)sn_fail_at("b.jpg", 4, "voice"); /* the innermost place stays */
    (void)sn_fail_in("row %d", 3);
    assert_string_equal(sn_error_message(), "row 3: not a JPEG");
    assert_string_equal(sn_error_file(), "a.jpg");
    assert_int_equal(sn_error_row(), 3);
    assert_string_equal(sn_error_column(), "photo");
}

static void sizes_are_checked(void **state) {
    (void)state;
    assert_null(sn_alloc(SIZE_MAX / 2, 3));
    assert_int_equal(sn_error_code(), SN_ERR_MEMORY);
    sn_alloc_fail_after(1);
    assert_null(sn_alloc(1, 1));
    sn_alloc_fail_after(0);
}

static void map_finds_what_was_put(void **state) {
    (void)state;
    sn_map map = {0};
    char key[32];
    for (int i = 0; i < 1000; i++) {
        int n = snprintf(key, sizeof key, "k%d", i);
        assert_ok(sn_map_put(&map, key, (size_t)n, i));
    }
    assert_int_equal(sn_map_get(&map, "k777", 4), 777);
    assert_int_equal(sn_map_get(&map, "k1000", 5), -1);
    assert_int_equal(map.count, 1000);
    sn_map_free(&map);
}

static void random_numbers_are_pure_and_spread(void **state) {
    (void)state;
    /* the generator itself is fixed by its use; what must hold: pure, spread, independent of order */
    sn_rng_key key = {1, 2};
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        double x = sn_rng_normal(key, 7, i);
        sum += x;
        squares += x * x;
    }
    assert_true(sum / 20000 < 0.03 && sum / 20000 > -0.03);
    assert_true(squares / 20000 < 1.05 && squares / 20000 > 0.95);
    assert_true(sn_rng_uniform(key, 1, 5) == sn_rng_uniform(key, 1, 5));
    assert_true(sn_rng_uniform(key, 1, 5) != sn_rng_uniform((sn_rng_key){1, 3}, 1, 5));
    int64_t items[100], seen[100] = {0};
    for (int i = 0; i < 100; i++) items[i] = i;
    sn_rng_shuffle(key, 0, items, 100);
    for (int i = 0; i < 100; i++) seen[items[i]]++;
    for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
}

static void writer_replaces_whole_files_only(void **state) {
    (void)state;
    char dir[] = "/tmp/sn-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = sn_path_join(dir, "x");
    assert_ok(sn_file_write(path, "old", 3));
    sn_writer *w;
    assert_ok(sn_writer_open(path, &w));
    assert_ok(sn_writer_add(w, "new", 3));
    sn_writer_abandon(w);
    sn_bytes b;
    assert_ok(sn_file_read(path, 100, &b));
    assert_string_equal((const char *)b.data, "old");
    sn_bytes_free(&b);
    assert_fails(sn_file_read(path, 2, &b), SN_ERR_FORMAT, "more than the 2 allowed");
    assert_fails(sn_file_read("/nowhere/x", 2, &b), SN_ERR_IO, "/nowhere/x: cannot open");
    assert_ok(sn_remove_tree(dir));
    assert_false(sn_file_exists(dir));
    sn_free(path);
}

/* Bytes of files that are in this process's memory. */
static size_t resident(void) {
    unsigned long of_files = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %*u %lu", &of_files), 1);
    assert_int_equal(fclose(file), 0);
    return of_files * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t sum_of(const sn_bytes *b) {
    size_t sum = 0;
    for (size_t i = 0; i < b->size; i++) sum += b->data[i];
    return sum;
}

static void forgotten_pages_go_and_come_back(void **state) {
    (void)state;
    enum { SIZE = 16 << 20 };
    char dir[] = "/tmp/sn-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = sn_path_join(dir, "x"), *ones = sn_alloc(SIZE, 1);
    memset(ones, 1, SIZE);
    assert_ok(sn_file_write(path, ones, SIZE));
    sn_bytes b;
    assert_ok(sn_file_map(path, &b));
    assert_int_equal(sum_of(&b), SIZE);
    size_t most = resident();
    sn_bytes_forget(&b, b.data, SIZE);
    assert_true(resident() + SIZE * 3 / 4 < most);
    assert_int_equal(sum_of(&b), SIZE);
    assert_true(resident() + SIZE / 4 > most);
    sn_bytes_forget(&b, b.data + SIZE / 2, SIZE); /* as far as it goes */
    assert_true(resident() + SIZE / 4 < most && resident() + SIZE * 3 / 4 > most);
    sn_bytes_forget(&b, b.data + SIZE, 1); /* not its own */
    sn_bytes_forget(&b, ones, SIZE);
    assert_int_equal(sum_of(&b), SIZE);
    sn_bytes_free(&b);
    assert_ok(sn_file_read(path, SIZE, &b));
    sn_bytes_forget(&b, b.data, SIZE);
    assert_int_equal(sum_of(&b), SIZE); /* a heap copy stays */
    sn_bytes_free(&b);
    assert_ok(sn_remove_tree(dir));
    sn_free(ones);
    sn_free(path);
}

static void json_errors_name_the_key(void **state) {
    (void)state;
    json_t *j;
    const char text[] = "{\"epochs\": \"many\", \"seed\": 3}";
    assert_ok(sn_json_parse("c.json", text, sizeof text - 1, &j));
    int64_t n;
    assert_ok(sn_json_int(j, "seed", 0, &n));
    assert_int_equal(n, 3);
    assert_fails(sn_json_int(j, "epochs", 0, &n), SN_ERR_FORMAT, "\"epochs\": expected a whole number, found a string");
    const char *known[] = {"epoch", "seed", NULL};
    assert_fails(sn_json_known_keys(j, "c.json", known), SN_ERR_USAGE, "did you mean \"epoch\"");
    json_decref(j);
    assert_fails(sn_json_parse("c.json", "{", 1, &j), SN_ERR_FORMAT, "c.json: line 1");
}

static void add_one(void *context, int64_t chunk) { ((int *)context)[chunk]++; }
static void parallel_runs_each_chunk_once(void **state) {
    (void)state;
    int hits[100] = {0};
    assert_ok(sn_threads_enter(2));
    sn_parallel(2, 100, add_one, hits);
    for (int i = 0; i < 100; i++) assert_int_equal(hits[i], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_carry_their_place),         cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(map_finds_what_was_put),           cmocka_unit_test(random_numbers_are_pure_and_spread),
        cmocka_unit_test(writer_replaces_whole_files_only), cmocka_unit_test(json_errors_name_the_key),
        cmocka_unit_test(parallel_runs_each_chunk_once),    cmocka_unit_test(forgotten_pages_go_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
