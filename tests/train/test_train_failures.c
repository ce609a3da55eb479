/* test_train_failures.c: what goes wrong while training: numbers that are not finite, disks that are full. The error
 * says what and where, and what was good before is still there. Runs are child processes (train_world.h). */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "params/safetensors.h"
#include "train_world.h"

/* ---- files ---- */

/* How many weights of a file are not finite; it must be there and be whole. */
static int64_t not_finite(const char *path) {
    sn_safetensors *file;
    int64_t bad = 0, seen = 0;
    assert_ok(sn_safetensors_open(path, &file));
    for (int i = 0; i < sn_safetensors_count(file); i++) {
        const sn_tensor_view *view = sn_safetensors_at(file, i);
        for (size_t k = 0; k < view->bytes / sizeof(float); k++) {
            float x;
            memcpy(&x, (const char *)view->data + k * sizeof x, sizeof x);
            seen++;
            if (isfinite(x)) continue;
            if (!bad++) print_error("%s: \"%s\" is not finite\n", path, view->name);
        }
    }
    sn_safetensors_free(file);
    assert_true(seen > 1000);
    return bad;
}

static json_t *checkpoint_of(const world *w, const char *output) {
    char name[64], *path;
    (void)snprintf(name, sizeof name, "%s.training", output);
    path = world_path(w, name, "trainer.json");
    json_t *tree = json_load_file(path, 0, NULL);
    if (!tree) fail_msg("%s is missing or broken", path);
    free(path);
    return tree;
}

/* The checkpoint of an unfinished run names whole files with finite weights; gives its step. */
static int64_t check_checkpoint(const world *w, const char *output) {
    char name[64];
    json_t *tree = checkpoint_of(w, output);
    (void)snprintf(name, sizeof name, "%s.training", output);
    char *path = world_path(w, name, json_string_value(json_object_get(tree, "weights")));
    assert_int_equal(not_finite(path), 0);
    int64_t step = json_integer_value(json_object_get(json_object_get(tree, "progress"), "step"));
    free(path);
    json_decref(tree);
    return step;
}

/* No file in the folder is a part of one. */
static bool no_parts(const char *folder) {
    DIR *dir = opendir(folder);
    bool none = true;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strstr(e->d_name, ".part-") || strstr(e->d_name, ".tmp")) {
            print_error("%s/%s is left\n", folder, e->d_name);
            none = false;
        }
    if (dir) (void)closedir(dir);
    return none;
}

/* ---- numbers that are not finite ---- */

static void test_rate_too_high(void **state) {
    const world *w = *state;
    assert_int_equal(finish_run(w, &(job){.output = "wild", .more = "\"learning_rate\": 1e30", .says = "op "}), NUMERIC);
    assert_false(model_exists(w, "wild"));
    assert_true(check_checkpoint(w, "wild") > 0);
    static const char *const more = "\"exclude\": [\"note\", \"size\"], \"learning_rate\": 1e7";
    assert_int_equal(finish_run(w, &(job){.output = "wild2", .more = more, .says = "op SQUARE in \"tasks.price\""}), NUMERIC);
    assert_int_equal(finish_run(w, &(job){.output = "wild2", .resume = true, .says = "the last good weights are kept"}), NUMERIC);
    assert_int_equal(finish_run(w, &(job){.output = "wild3", .more = "\"learning_rate\": 1e39", .says = "learning rate"}), FAILED);
}

/* The failure comes after good epochs: the best of them is the model. */
static void test_rate_too_high_later(void **state) {
    const world *w = *state;
    assert_int_equal(finish_run(w, &(job){.output = "later", .stop_at_epoch = 2}), STOPPED);
    json_t *tree = checkpoint_of(w, "later");
    char *path = world_path(w, "later.training", "trainer.json"), *best, *model = world_path(w, "later", "model.safetensors");
    best = world_path(w, "later.training", json_string_value(json_object_get(tree, "best")));
    assert_true(same_files(best, model) || not_finite(model) == 0); /* stopped: the best so far can be used */
    (void)json_object_set_new(json_object_get(tree, "config"), "learning_rate", json_real(1e30));
    assert_int_equal(json_dump_file(tree, path, 0), 0);
    assert_ok(sn_remove_tree(model));
    assert_int_equal(finish_run(w, &(job){.output = "later", .resume = true, .says = "epoch 3, step "}), NUMERIC);
    assert_int_equal(not_finite(model), 0);
    assert_true(model_exists(w, "later"));
    assert_true(check_checkpoint(w, "later") > 0);
    json_decref(tree);
    free(path);
    free(best);
    free(model);
}

/* ---- disks ---- */

/* No file may be larger than what the weights need: as if the disk were full at the first of them. Nothing is left,
 * so that the next run can begin; a folder of that name with no run in it is not called one, and not removed. */
static void test_file_too_large(void **state) {
    const world *w = *state;
    assert_int_equal(finish_run(w, &(job){.output = "large", .file_bytes = 4096, .says = "cannot write"}), FAILED);
    assert_false(model_exists(w, "large"));
    assert_true(no_parts(w->folder));
    char *work = world_path(w, "large.training", NULL);
    assert_false(sn_file_exists(work));
    assert_int_equal(mkdir(work, 0700), 0);
    assert_int_equal(finish_run(w, &(job){.output = "large", .says = "exists and holds no run"}), FAILED);
    assert_true(sn_file_exists(work));
    assert_int_equal(finish_run(w, &(job){.output = "large", .overwrite = true}), DONE);
    free(work);
}

/* Fills a file of the folder until `room` bytes are free. */
static void fill(const char *path, size_t size) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < size; i++) (void)fputc('x', f);
    (void)fclose(f);
}

/* A disk that becomes full in the middle of the run, and is emptied again: the run goes on to the same bytes. */
static void test_full_disk(void **state) {
    const world *w = *state;
    char *disk = world_path(w, "disk", NULL), *ballast = world_path(w, "disk", "ballast"), *work = world_path(w, "disk", "m.training");
    if (mkdir(disk, 0700) || mount("tmpfs", disk, "tmpfs", 0, "size=448k")) skip();
    assert_int_equal(finish_run(w, &(job){.output = "roomy"}), DONE);
    assert_int_equal(finish_run(w, &(job){.output = "disk/m", .stop_at_epoch = 1}), STOPPED);
    fill(ballast, 512 << 10);
    assert_int_equal(finish_run(w, &(job){.output = "disk/m", .resume = true, .says = "No space left on device"}), FAILED);
    assert_true(no_parts(disk) && no_parts(work));
    assert_true(check_checkpoint(w, "disk/m") > 0);
    assert_int_equal(unlink(ballast), 0);
    int code = finish_run(w, &(job){.output = "disk/m", .resume = true});
    char *a = world_path(w, "roomy", "model.safetensors"), *b = world_path(w, "disk", "m/model.safetensors");
    bool same = same_files(a, b);
    assert_int_equal(umount(disk), 0);
    assert_int_equal(code, DONE);
    assert_true(same);
    free(a);
    free(b);
    free(disk);
    free(work);
    free(ballast);
}

static int begin(void **state) {
    *state = world_create();
    return *state ? 0 : -1;
}

static int end(void **state) {
    char *disk = world_path(*state, "disk", NULL);
    (void)umount(disk); /* after a failure */
    free(disk);
    world_free(*state);
    return 0;
}

int main(int argc, char **argv) {
    (void)argc;
    polite(argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rate_too_high), cmocka_unit_test(test_rate_too_high_later),
                                       cmocka_unit_test(test_file_too_large), cmocka_unit_test(test_full_disk)};
    return cmocka_run_group_tests(tests, begin, end);
}
