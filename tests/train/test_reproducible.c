/* test_reproducible.c: the same seed gives the same bytes: twice, on one core, under load, with threads left open,
 * after kills at any instant, after stops at any step.
 *
 * Every training runs in a child process (a team of threads does not survive fork, and a child can be killed), by the
 * public interface only; the parent compares files. */
#include <signal.h>
#include <unistd.h>

#include "train_world.h"

enum { KILLS = 10, STOPS = 3 };

static char *reference, *reference_goldens; /* files of the run that nothing disturbed */
static double whole_seconds;               /* how long it took */

static void assert_same_files(const world *w, const char *output) {
    char *weights = world_path(w, output, "model.safetensors"), *goldens = world_path(w, output, "goldens.safetensors");
    if (!same_files(weights, reference)) fail_msg("%s is not the model of the undisturbed run", weights);
    if (!same_files(goldens, reference_goldens)) fail_msg("%s: the predictions are not those of the undisturbed run", goldens);
    free(weights);
    free(goldens);
}

static void assert_same(const world *w, const char *output) {
    assert_same_files(w, output);
    assert_true(no_rest(w, output));
}

/* ---- runs that nothing stops ---- */

static void test_twice(void **state) {
    const world *w = *state;
    assert_int_equal(finish_run(w, &(job){.output = "twice"}), DONE);
    assert_same(w, "twice");
}

static void test_other_seed(void **state) {
    const world *w = *state;
    assert_int_equal(finish_run(w, &(job){.output = "other", .more = "\"seed\": 8"}), DONE);
    char *weights = world_path(w, "other", "model.safetensors");
    assert_false(same_files(weights, reference));
    free(weights);
}

static void test_one_core(void **state) {
    const world *w = *state;
    assert_int_equal(finish_run(w, &(job){.output = "one_core", .cores = 1}), DONE);
    assert_same(w, "one_core");
}

static void test_checkpoints_off(void **state) {
    const world *w = *state;
    assert_int_equal(finish_run(w, &(job){.output = "rare", .checkpoint_seconds = 1000}), DONE);
    assert_same(w, "rare");
}

static pid_t spin(void) {
    pid_t pid = fork();
    if (pid) return pid;
    for (volatile unsigned n = 0;; n = n + 1) {}
}

static void test_load(void **state) {
    const world *w = *state;
    pid_t busy[2] = {spin(), spin()};
    int code = finish_run(w, &(job){.output = "busy"});
    for (int i = 0; i < 2; i++) {
        (void)kill(busy[i], SIGKILL);
        (void)waitpid(busy[i], NULL, 0);
    }
    assert_int_equal(code, DONE);
    assert_same(w, "busy");
}

/* ---- kills (in the middle of writing, too: what was being written beside its place may stay there) ---- */

/* Goes on with the run in `output` until it has ended; a run killed before its first checkpoint starts anew. */
static void go_on(const world *w, const char *output) {
    int code = finish_run(w, &(job){.output = output, .resume = true});
    if (code == NOTHING_TO_RESUME && !model_exists(w, output)) code = finish_run(w, &(job){.output = output, .overwrite = true});
    else if (code == NOTHING_TO_RESUME) code = DONE; /* killed after the model was in its place */
    assert_int_equal(code, DONE);
}

static void test_killed(void **state) {
    const world *w = *state;
    int killed = 0;
    double within = whole_seconds;
    for (int k = 0; killed < KILLS && k < 4 * KILLS; k++) {
        char output[32];
        (void)snprintf(output, sizeof output, "killed%d", k);
        pid_t pid = start_run(w, &(job){.output = output});
        wait_seconds(chance() * within);
        (void)kill(pid, SIGKILL);
        bool hit = outcome(pid) == KILLED;
        if (hit) go_on(w, output);
        else within *= 0.8; /* it had ended: the machine is less busy than it was */
        killed += hit;
        assert_same_files(w, output);
    }
    assert_int_equal(killed, KILLS);
}

/* One run killed again and again. */
static void test_killed_often(void **state) {
    const world *w = *state;
    for (int k = 0, code = KILLED; k < 40 && code == KILLED; k++) {
        pid_t pid = start_run(w, &(job){.output = "often", .resume = k > 0, .overwrite = k > 0});
        wait_seconds(whole_seconds * (0.2 + 0.4 * chance()));
        (void)kill(pid, SIGKILL);
        code = outcome(pid);
        if (code == NOTHING_TO_RESUME) code = model_exists(w, "often") ? DONE : KILLED;
    }
    go_on(w, "often");
    assert_same_files(w, "often");
}

/* Killed by itself right after the event of each epoch, when that epoch's checkpoint is not yet written. */
static void test_killed_at_epochs(void **state) {
    const world *w = *state;
    int code = finish_run(w, &(job){.output = "epochs", .checkpoint_seconds = 1000, .kill_at_epoch = 1});
    for (int epoch = 2; code == KILLED && epoch < 20; epoch++)
        code = finish_run(w, &(job){.output = "epochs", .resume = true, .kill_at_epoch = epoch});
    assert_int_equal(code, DONE);
    assert_same(w, "epochs");
}

/* ---- stops ---- */

static void test_stopped(void **state) {
    const world *w = *state;
    int stopped = 0;
    double within = whole_seconds;
    for (int k = 0; stopped < STOPS && k < 10 * STOPS; k++) {
        char output[32];
        (void)snprintf(output, sizeof output, "stopped%d", k);
        pid_t pid = start_run(w, &(job){.output = output});
        wait_seconds(chance() * within);
        (void)kill(pid, SIGTERM); /* the child's handler calls sn_trainer_stop */
        int code = outcome(pid);
        stopped += code == STOPPED;
        if (code == STOPPED) code = finish_run(w, &(job){.output = output, .resume = true});
        else within *= 0.8;
        assert_int_equal(code, DONE);
        assert_same(w, output);
    }
    assert_int_equal(stopped, STOPS);
}

/* Stopped by the answer to the event of every epoch in turn: the last of them is the one that ends the run early. */
static void test_stopped_at_epochs(void **state) {
    const world *w = *state;
    int code = STOPPED, epoch = 0;
    while (code == STOPPED && epoch < 50) {
        code = finish_run(w, &(job){.output = "by_event", .resume = epoch > 0, .stop_at_epoch = epoch + 1});
        epoch++;
    }
    assert_int_equal(code, DONE);
    assert_same(w, "by_event");
}

/* Threads are part of the recipe: left open, they are what the machine had at the start, on whatever it goes on. */
static void test_threads_kept(void **state) {
    const world *w = *state;
    assert_int_equal(finish_run(w, &(job){.output = "open", .open_threads = true}), DONE);
    assert_int_equal(finish_run(w, &(job){.output = "moved", .open_threads = true, .stop_at_epoch = 2}), STOPPED);
    assert_int_equal(finish_run(w, &(job){.output = "moved", .resume = true, .cores = 1}), DONE);
    char *a = world_path(w, "open", "model.safetensors"), *b = world_path(w, "moved", "model.safetensors");
    assert_true(same_files(a, b));
    free(a);
    free(b);
    assert_int_equal(model_threads(w, "moved"), model_threads(w, "open"));
}

/* ---- the frame ---- */

static int begin(void **state) {
    world *w = world_create();
    if (!w) return -1;
    *state = w;
    double started = now_seconds();
    if (finish_run(w, &(job){.output = "whole"}) != DONE) return -1;
    whole_seconds = now_seconds() - started;
    reference = world_path(w, "whole", "model.safetensors");
    reference_goldens = world_path(w, "whole", "goldens.safetensors");
    return 0;
}

static int end(void **state) {
    free(reference);
    free(reference_goldens);
    world_free(*state);
    return 0;
}

int main(int argc, char **argv) {
    (void)argc;
    polite(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twice),        cmocka_unit_test(test_other_seed),   cmocka_unit_test(test_one_core),
        cmocka_unit_test(test_checkpoints_off), cmocka_unit_test(test_load),      cmocka_unit_test(test_killed),
        cmocka_unit_test(test_killed_often), cmocka_unit_test(test_killed_at_epochs), cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_stopped_at_epochs), cmocka_unit_test(test_threads_kept)};
    return cmocka_run_group_tests(tests, begin, end);
}
