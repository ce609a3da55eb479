/* train_world.c: see train_world.h. */
#define _GNU_SOURCE
#include "train_world.h"

#include <dirent.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"

enum { ROWS = 44, SIDE = 8, HEAD = 54, BODY = SIDE * SIDE * 3 };

/* ---- the data ---- */

/* A 24-bit BMP whose brightness tells the class. */
static bool put_picture(const world *w, int k) {
    unsigned char file[HEAD + BODY] = {'B', 'M', HEAD + BODY, 0, 0, 0, 0, 0, 0, 0, HEAD, 0, 0, 0, 40, 0, 0, 0,
                                       SIDE, 0, 0, 0, SIDE, 0, 0, 0, 1, 0, 24};
    char name[16];
    for (int i = 0; i < BODY; i++)
        file[HEAD + i] = (unsigned char)((k % 3) * 70 + (int)sn_rng_below((sn_rng_key){5, 1}, (uint64_t)k, (uint64_t)i, 90));
    (void)snprintf(name, sizeof name, "p%d.bmp", k);
    char *path = sn_path_join(w->folder, name);
    sn_status status = path ? sn_file_write(path, file, sizeof file) : SN_ERR_MEMORY;
    sn_free(path);
    return status == SN_OK;
}

static bool put_table(const world *w) {
    static const char *const words[] = {"red", "small", "bridge", "over", "water", "old", "house", "tower"};
    static const char *const labels[] = {"arch", "beam", "cable"};
    sn_buf csv = {0};
    sn_buf_puts(&csv, "photo,note,size,label,price\n");
    for (int i = 0; i < ROWS; i++) {
        if (!put_picture(w, i)) return false;
        if (i % 22 != 4) sn_buf_printf(&csv, "p%d.bmp", i);
        sn_buf_puts(&csv, ",");
        for (int k = 0; k <= i % 4; k++) sn_buf_printf(&csv, "%s%s", k ? " " : "", words[(i * 3 + k * k) % 8]);
        sn_buf_printf(&csv, ",%d.25,%s,%d\n", (i * 7) % 11, i % 13 == 6 ? "" : labels[i % 3], 100 + 30 * (i % 3) + i % 5);
    }
    char *path = sn_path_join(w->folder, "data.csv");
    bool done = path && sn_buf_check(&csv) == SN_OK && sn_file_write(path, csv.data, csv.size) == SN_OK;
    sn_free(path);
    sn_buf_free(&csv);
    return done;
}

world *world_create(void) {
    world *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    (void)snprintf(w->folder, sizeof w->folder, "/tmp/sn_train_XXXXXX");
    if (mkdtemp(w->folder) && put_table(w)) return w;
    world_free(w);
    return NULL;
}

void world_free(world *w) {
    if (w && w->folder[0]) (void)sn_remove_tree(w->folder);
    free(w);
}

char *world_path(const world *w, const char *output, const char *file) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s%s", w->folder, output, file ? "/" : "", file ? file : "") < 0) path = NULL;
    assert_non_null(path);
    return path;
}

/* ---- a child ---- */

static sn_trainer *running;
static volatile sig_atomic_t asked;

static void on_term(int number) {
    (void)number;
    asked = 1;
    if (running) sn_trainer_stop(running);
}

static int on_event(void *context, const char *text) {
    const job *j = context;
    json_t *event = json_loads(text, 0, NULL);
    const char *kind = json_string_value(json_object_get(event, "event"));
    int epoch = (int)json_integer_value(json_object_get(event, "epoch"));
    bool here = kind && !strcmp(kind, "epoch");
    json_decref(event);
    if (here && epoch == j->kill_at_epoch) (void)raise(SIGKILL);
    return here && epoch == j->stop_at_epoch;
}

static void limit(const job *j) {
    if (j->cores == 1) {
        cpu_set_t all, one;
        size_t cpu = 0;
        CPU_ZERO(&one);
        if (sched_getaffinity(0, sizeof all, &all)) return;
        while (!CPU_ISSET(cpu, &all)) cpu++;
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(0, sizeof one, &one);
    }
    if (j->file_bytes) {
        struct rlimit most = {(rlim_t)j->file_bytes, (rlim_t)j->file_bytes};
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &most);
    }
}

static int report(const job *j, sn_status status) {
    const char *message = sn_error_message();
    if (status == SN_OK) return DONE;
    if (status == SN_ERR_CANCELLED) return STOPPED;
    if (status == SN_ERR_USAGE && strstr(message, "no unfinished run")) return NOTHING_TO_RESUME;
    if (!j->says) (void)fprintf(stderr, "%s: %s: %s\n", j->output, sn_status_name(status), message);
    if (j->says && !strstr(message, j->says)) {
        (void)fprintf(stderr, "%s: \"%s\" does not say \"%s\"\n", j->output, message, j->says);
        return BROKEN_PROMISE;
    }
    return status == SN_ERR_NUMERIC ? NUMERIC : FAILED;
}

static sn_status make(const world *w, const job *j, const sn_table *table, sn_trainer **t) {
    char config[2048], *output = world_path(w, j->output, NULL);
    (void)snprintf(config, sizeof config,
                   "{\"targets\": [\"label\", \"price\"], \"types\": {\"size\": \"number\", \"price\": \"number\", \"note\": \"text\"}, "
                   "\"output\": \"%s\", \"overwrite\": %s, %s \"batch_size\": 8, \"epochs\": 12, \"encoders\": {\"photo\": "
                   "{\"type\": \"cnn\", \"channels\": [4, 8], \"width\": 16, \"norm\": true, \"dropout\": 0.3}, \"note\": {\"type\": "
                   "\"gru\", \"embedding\": 8, \"width\": 12, \"dropout\": 0.2}}, \"combiner\": {\"width\": 24, \"dropout\": 0.2}, "
                   "\"preprocessing\": {\"split\": {\"fraction\": 0.25}}, \"trainer\": {\"checkpoint_seconds\": %g, \"early_stop\": 2, "
                   "\"modality_dropout\": 0.3, \"learning_rate\": 0.02}%s%s}",
                   output, j->overwrite ? "true" : "false", j->open_threads ? "" : "\"threads\": 2,", j->checkpoint_seconds,
                   j->more ? ", " : "", j->more ? j->more : "");
    sn_status status = j->resume ? sn_trainer_resume(table, NULL, output, t) : sn_trainer_create(table, NULL, config, t);
    if (j->resume && j->overwrite && status == SN_ERR_USAGE && !sn_file_exists(output)) status = sn_trainer_create(table, NULL, config, t);
    free(output);
    return status;
}

static int child(const world *w, const job *j) {
    char *path = world_path(w, "data.csv", NULL);
    sn_table *table = NULL;
    sn_trainer *t = NULL;
    limit(j);
    sn_status status = sn_table_open(path, NULL, &table);
    if (status == SN_OK) status = make(w, j, table, &t);
    running = t;
    if (t && asked) sn_trainer_stop(t); /* asked before there was a trainer */
    if (status == SN_OK) status = sn_trainer_run(t, on_event, (void *)(uintptr_t)j);
    running = NULL;
    int code = report(j, status);
    /* a run that has ended or was stopped does not begin again by itself */
    if ((code == DONE || code == STOPPED) && sn_trainer_run(t, NULL, NULL) != SN_ERR_STATE) code = BROKEN_PROMISE;
    sn_trainer_free(t);
    sn_table_free(table);
    free(path);
    return code;
}

pid_t start_run(const world *w, const job *j) {
    sigset_t term, before;
    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, &before); /* a stop that comes before the handler is there waits for it */
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGTERM, on_term);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        int code = child(w, j);
        (void)fflush(NULL);
        _exit(code);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(pid > 0);
    return pid;
}

int outcome(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return KILLED;
    if (!WIFEXITED(status)) fail_msg("the child died of signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

int finish_run(const world *w, const job *j) { return outcome(start_run(w, j)); }

/* ---- files ---- */

bool same_files(const char *a, const char *b) {
    sn_bytes x, y;
    if (sn_file_read(a, 1 << 26, &x) != SN_OK) return false;
    bool same = sn_file_read(b, 1 << 26, &y) == SN_OK;
    if (!same) y = (sn_bytes){0};
    same = same && x.size > 0 && x.size == y.size && !memcmp(x.data, y.data, x.size);
    sn_bytes_free(&x);
    sn_bytes_free(&y);
    return same;
}

bool model_exists(const world *w, const char *output) {
    char *path = world_path(w, output, "config.json");
    bool there = sn_file_exists(path);
    free(path);
    return there;
}

int model_threads(const world *w, const char *output) {
    char *path = world_path(w, output, "config.json");
    json_t *config = json_load_file(path, 0, NULL);
    int threads = (int)json_integer_value(json_object_get(json_object_get(config, "recipe"), "threads"));
    json_decref(config);
    free(path);
    return threads;
}

bool no_rest(const world *w, const char *output) {
    DIR *dir = opendir(w->folder);
    bool none = dir != NULL;
    size_t n = strlen(output);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (!strncmp(e->d_name, output, n) && e->d_name[n]) {
            print_error("%s is left\n", e->d_name);
            none = false;
        }
    if (dir) (void)closedir(dir);
    return none;
}

/* ---- time and chance ---- */

double now_seconds(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void wait_seconds(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&t, NULL);
}

double chance(void) {
    static uint64_t counter, seed;
    if (!seed) seed = (uint64_t)(now_seconds() * 1e9) | 1;
    return sn_rng_uniform((sn_rng_key){seed, 3}, counter++, 0);
}

void polite(char **argv) {
    if (getenv("OMP_WAIT_POLICY") || setenv("OMP_WAIT_POLICY", "passive", 0)) return;
    (void)execv("/proc/self/exe", argv);
}
