/* test_train_memory.c: the n-th allocation of a training fails: creating it, its steps, its checkpoints, its model.
 * The error is "memory", nothing crashes, and under the address sanitizer nothing leaks. With
 * SN_TEST_SMALL=1 (the thread sanitizer, which is slow) only the first ones and a sample of the others fail. */
#include "base/file.h"
#include "base/memory.h"
#include "train_world.h"

enum { SAMPLE = 200 };

/* A whole training of two steps; gives its status. */
static sn_status train(const sn_table *table, const char *config) {
    sn_trainer *t;
    SN_TRY(sn_trainer_create(table, NULL, config, &t));
    sn_status status = sn_trainer_run(t, NULL, NULL);
    sn_trainer_free(t);
    return status;
}

static void check(const sn_table *table, const char *config, const char *output, long n) {
    sn_alloc_fail_after(n);
    sn_status status = train(table, config);
    bool reached = sn_alloc_count() >= n;
    sn_alloc_fail_after(0);
    char *path = sn_path_join(output, "config.json");
    sn_model *m = NULL;
    assert_non_null(path);
    /* syncing folders and clearing up are best effort, so a failure there may still be a success */
    if (status != SN_ERR_MEMORY && status != SN_OK)
        fail_msg("allocation %ld failed: %s: %s", n, sn_status_name(status), sn_error_message());
    if (status == SN_OK && !sn_file_exists(path)) fail_msg("allocation %ld failed: success, and no model", n);
    if (!reached) assert_int_equal(status, SN_OK);
    if (sn_file_exists(path)) assert_ok(sn_model_load(output, NULL, &m)); /* there is a model: it is whole */
    sn_model_free(m);
    sn_free(path);
}

static void test_every_allocation(void **state) {
    const world *w = *state;
    char config[512], *data = world_path(w, "data.csv", NULL), *output = world_path(w, "model", NULL);
    sn_table *table;
    (void)snprintf(config, sizeof config,
                   "{\"targets\": [\"label\"], \"types\": {\"note\": \"text\"}, \"threads\": 1, \"batch_size\": 24, \"epochs\": 1, \"overwrite\": true, \"output\": \"%s\", "
                   "\"encoders\": {\"photo\": {\"type\": \"cnn\", \"channels\": [2], \"width\": 4, \"norm\": true}, \"note\": \"bag\"}, "
                   "\"trainer\": {\"checkpoint_seconds\": 0}}",
                   output);
    assert_ok(sn_table_open(data, NULL, &table));
    sn_alloc_fail_after(0);
    assert_ok(train(table, config));
    long total = sn_alloc_count(), stride = getenv("SN_TEST_SMALL") ? total / SAMPLE + 1 : 1;
    assert_true(total > 500);
    print_message("%ld allocations fail, one in %ld\n", total, stride);
    for (long n = 1; n <= total + stride; n += n < 60 ? 1 : stride) check(table, config, output, n);
    assert_ok(train(table, config));
    sn_table_free(table);
    free(data);
    free(output);
}

static int begin(void **state) {
    *state = world_create();
    return *state ? 0 : -1;
}

static int end(void **state) {
    world_free(*state);
    return 0;
}

int main(int argc, char **argv) {
    (void)argc;
    polite(argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, begin, end);
}
