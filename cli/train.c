/* train.c: `sensorium train DATA --target COL -o MODEL`.
 *
 *   --config FILE, then the options over it -> config -> trainer -> events (progress.c or JSON lines)
 *   -> model in -o -> verdict -> the predict command for a real row
 *
 * Ctrl-C and SIGTERM only ask the trainer to stop: it finishes its step, saves, and the command exits with
 * 130. A second signal kills. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

enum { PREDICT_CELLS_MOST = 12 };

/* The one thing a signal handler can reach. */
static _Atomic(sn_trainer *) running;

static void on_signal(int number) {
    sn_trainer *trainer = atomic_load(&running);
    (void)number;
    if (trainer) sn_trainer_stop(trainer);
}

static void catch_signals(sn_trainer *trainer) {
    struct sigaction action = {.sa_handler = trainer ? on_signal : SIG_DFL};
    sigemptyset(&action.sa_mask);
    action.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
    atomic_store(&running, trainer);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* ---- config --------------------------------------------------------------------------------- */

/* What is not the library's business, or goes to sn_table_open. */
#define OWN_OPTIONS                                                                                              \
    (CLI_TABLE_OPTIONS | CLI_COMMON_OPTIONS | BIT(CONFIG) | BIT(VALID) | BIT(RESUME) | BIT(VERBOSE))

/* Options over config file: a column's entry in "types", "encoders", "tasks" replaces that column's only. */
static void merge(json_t *config, json_t *given) {
    const char *key;
    json_t *value;
    json_object_foreach(given, key, value) {
        json_t *old = json_object_get(config, key);
        if (json_is_object(old) && json_is_object(value)) json_object_update(old, value);
        else json_object_set(config, key, value);
    }
}

static int read_config(const cli_args *args, json_t **out) {
    const char *path = cli_text(args, OPT_CONFIG);
    json_t *config = NULL, *given;
    if (path) {
        char *text = NULL;
        sn_status status = sn_config_read(path, &text);
        if (status) return cli_fail(status);
        config = cli_take_json(text);
        if (!config) return CLI_FAILED;
        if (!json_is_object(config)) {
            json_decref(config);
            return cli_failed(SN_ERR_FORMAT, path, "%s: a config file is a list of KEY: VALUE", path);
        }
    } else {
        config = json_object();
    }
    given = cli_pick(args, args->command->options & ~OWN_OPTIONS);
    merge(config, given);
    json_decref(given);
    *out = config;
    return CLI_DONE;
}

/* Says that `key` is not what the resumed run has; `old` is NULL when it was left open there. */
static int differs(const char *key, const json_t *old, const json_t *value) {
    char *given = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    char *kept = old ? json_dumps(old, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
    int code = cli_usage("--resume keeps the settings of the run: %s is %s there, not %s", key, kept ? kept : "not given",
                         given ? given : "");
    free(kept);
    free(given);
    return code;
}

/* A resumed run keeps its settings, so options may be repeated but not changed. */
static int check_resumed(const sn_trainer *trainer, json_t *config) {
    char *text = NULL;
    sn_status status = sn_trainer_config(trainer, &text);
    if (status) return cli_fail(status);
    json_t *kept = cli_take_json(text), *value;
    if (!kept) return CLI_FAILED;
    const char *key;
    int code = CLI_DONE;
    json_object_foreach(config, key, value) {
        if (code || strcmp(key, "output") == 0) continue;
        const json_t *old = json_object_get(json_object_get(kept, "config"), key);
        if (!old) old = json_object_get(json_object_get(kept, "trainer"), key); /* what was inferred */
        bool same = json_is_number(old) && json_is_number(value) ? json_number_value(old) == json_number_value(value)
                                                                   : json_equal(old, value) != 0;
        if (!same) code = differs(key, old, value);
    }
    json_decref(kept);
    return code;
}

/* ---- after training ------------------------------------------------------------------------- */

static void print_parts(cli_grid *grid, const char *how, json_t *parts) {
    const char *part;
    json_t *score;
    json_object_foreach(parts, part, score) {
        cli_grid_addf(grid, "%s %s", how, part);
        const json_t *value = json_is_object(score) ? json_object_get(score, "value") : score;
        const json_t *error = json_object_get(score, "error"), *difference = json_object_get(score, "difference");
        cli_grid_value(grid, value);
        if (!json_is_number(difference)) cli_grid_add(grid, "");
        else if (!json_is_number(error)) cli_grid_addf(grid, "%+.4f", json_number_value(difference));
        else cli_grid_addf(grid, "%+.4f ± %.4f", json_number_value(difference), json_number_value(error));
    }
}

static void print_verdict(const json_t *verdict) {
    const char *target;
    json_t *one, *line;
    size_t i;
    json_object_foreach(json_object_get(verdict, "targets"), target, one) {
        const char *metric = json_string_value(json_object_get(one, "metric"));
        const json_t *all = json_object_get(one, "all");
        cli_grid *grid = cli_grid_new(3);
        cli_grid_right(grid, 1);
        cli_grid_right(grid, 2);
        cli_grid_addf(grid, "%s, held-out rows", target);
        cli_grid_add(grid, metric);
        cli_grid_add(grid, "it adds");
        cli_grid_add(grid, "all inputs");
        cli_grid_value(grid, json_is_object(all) ? json_object_get(all, "value") : all);
        cli_grid_add(grid, "");
        print_parts(grid, "without", json_object_get(one, "without"));
        print_parts(grid, "learned from only", json_object_get(one, "solo"));
        cli_grid_print(grid, stdout, true);
        putchar('\n');
    }
    json_array_foreach(json_object_get(verdict, "advice"), i, line) {
        cli_put(stdout, json_is_string(line) ? json_string_value(line) : "", 0);
        putchar('\n');
    }
    if (i) putchar('\n');
}

static bool is_media(const char *kind) {
    return kind && (strcmp(kind, "image") == 0 || strcmp(kind, "audio") == 0 || strcmp(kind, "video") == 0);
}

/* Where the table's relative media paths start: --media-root, the folder itself, or the file's folder. */
static char *media_root(const cli_args *args, const char *data) {
    const char *given = cli_text(args, OPT_MEDIA_ROOT);
    struct stat status;
    if (given) return strdup(given);
    if (stat(data, &status) == 0 && S_ISDIR(status.st_mode)) return strdup(data);
    const char *slash = strrchr(data, '/');
    return slash ? strndup(data, slash == data ? 1 : (size_t)(slash - data)) : strdup(".");
}

/* COL=CELL (or CELL), quoted, its path starting where the command does. */
static bool put_cell(const char *name, const char *kind, const char *cell, const char *root) {
    bool joined = is_media(kind) && cell[0] != '/' && strcmp(root, ".") != 0;
    size_t size = (name ? strlen(name) : 0) + strlen(cell) + strlen(root) + 3;
    char *word = malloc(size);
    if (!word) return false;
    (void)snprintf(word, size, "%s%s%s%s%s", name ? name : "", name ? "=" : "", joined ? root : "", joined ? "/" : "", cell);
    putchar(' ');
    cli_put_quoted(word);
    free(word);
    return true;
}

/* The command that answers the first held-out row; with many inputs, the first rows of the file. Of a model that writes
 * the cells stand alone: caption MODEL photo.jpg. */
static void print_use(const cli_args *args, const sn_table *table, const json_t *about, const char *model) {
    const char *data = cli_text(args, OPT_VALID), *command = json_string_value(json_object_get(about, "command"));
    const json_t *inputs = json_object_get(about, "inputs");
    bool named = strcmp(command, "predict") == 0;
    if (!data) data = args->items[0];
    printf("Use it:\n  ");
    cli_put_quoted(args->program);
    printf(" %s ", command);
    cli_put_quoted(model);
    if (!named && json_array_size(inputs) == 0) printf(" \"The first words\"");
    if (json_array_size(inputs) > PREDICT_CELLS_MOST) {
        putchar(' ');
        cli_put_quoted(data);
        printf(" --limit 3\n");
        return;
    }
    char *root = media_root(args, data);
    size_t i;
    json_t *input;
    json_array_foreach(inputs, i, input) {
        const char *name = json_string_value(json_object_get(input, "name"));
        for (int c = 0; root && name && c < sn_table_columns(table); c++) {
            const char *cell = sn_table_cell(table, 0, c);
            if (strcmp(sn_table_column_name(table, c), name) == 0 && *cell)
                (void)put_cell(named ? name : NULL, json_string_value(json_object_get(input, "kind")), cell, root);
        }
    }
    free(root);
    putchar('\n');
}

/* ---- running -------------------------------------------------------------------------------- */

typedef struct watcher {
    const cli_args *args;
    cli_progress progress;
} watcher;

static int on_event(void *context, const char *text) {
    watcher *w = context;
    json_t *event = json_loads(text, 0, NULL);
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (!cli_given(w->args, OPT_JSON)) {
        cli_progress_event(&w->progress, event);
    } else if (kind && strcmp(kind, "progress") != 0) {
        cli_print_json(event);
        fflush(stdout);
    }
    json_decref(event);
    return ferror(stdout);
}

/* The verdict; without held-out rows there is none, and the library says so. */
static int print_judgement(const cli_args *args, sn_trainer *trainer) {
    char *text = NULL;
    sn_status status = sn_trainer_verdict(trainer, &text);
    if (status == SN_ERR_STATE) {
        if (!cli_given(args, OPT_QUIET)) fprintf(stderr, "%s\n", sn_error_message());
        return CLI_DONE;
    }
    if (status) return cli_fail(status);
    json_t *verdict = cli_take_json(text);
    if (!verdict) return CLI_FAILED;
    if (cli_given(args, OPT_JSON)) {
        json_object_set_new(verdict, "event", json_string("verdict"));
        cli_print_json(verdict);
    } else {
        print_verdict(verdict);
    }
    json_decref(verdict);
    return CLI_DONE;
}

static int print_result(const cli_args *args, sn_trainer *trainer, const sn_table *table, const char *output) {
    char *text = NULL;
    int code = print_judgement(args, trainer);
    if (code || cli_given(args, OPT_JSON)) return code;
    sn_status status = sn_model_describe(sn_trainer_model(trainer), &text);
    if (status) return cli_fail(status);
    json_t *about = cli_take_json(text);
    if (!about) return CLI_FAILED;
    print_use(args, table, about, output);
    json_decref(about);
    return CLI_DONE;
}

static int run(const cli_args *args, sn_trainer *trainer, const sn_table *example, const char *output) {
    watcher w = {.args = args};
    cli_progress_start(&w.progress, cli_given(args, OPT_QUIET) || cli_given(args, OPT_JSON));
    catch_signals(trainer);
    sn_status status = sn_trainer_run(trainer, on_event, &w);
    catch_signals(NULL);
    cli_progress_end(&w.progress);
    if (status == SN_OK) return print_result(args, trainer, example, output);
    if (status != SN_ERR_CANCELLED) return cli_fail(status);
    if (!cli_given(args, OPT_JSON)) fprintf(stderr, "stopped and saved; the same command with --resume goes on\n");
    return CLI_STOPPED;
}

/* The directory of the model: -o, or the config file's "output". */
static int find_output(const cli_args *args, json_t *config, const char **output) {
    if (!cli_given(args, OPT_TARGET) && !cli_given(args, OPT_CONFIG) && !cli_given(args, OPT_RESUME))
        return cli_usage("train needs --target COL (or --config FILE): which column is to be learned?");
    *output = json_string_value(json_object_get(config, "output"));
    if (!*output || !**output) return cli_usage("train needs -o MODEL: where the model goes");
    if (!cli_given(args, OPT_RESUME)) return cli_check_output(args, *output);
    if (cli_given(args, OPT_OVERWRITE)) return cli_usage("--resume and --overwrite exclude each other");
    return CLI_DONE;
}

static int create(const cli_args *args, json_t *config, const sn_table *table, const sn_table *valid,
                  const char *output, sn_trainer **trainer) {
    if (cli_given(args, OPT_RESUME)) {
        sn_status status = sn_trainer_resume(table, valid, output, trainer);
        return status ? cli_fail(status) : check_resumed(*trainer, config);
    }
    char *text = json_dumps(config, JSON_COMPACT | JSON_REAL_PRECISION(15));
    sn_status status = sn_trainer_create(table, valid, text, trainer);
    free(text);
    return status ? cli_fail(status) : CLI_DONE;
}

/* The held-out file is read as DATA is, but whole. */
static int open_valid(const cli_args *args, sn_table **valid) {
    const char *path = cli_text(args, OPT_VALID);
    if (!path) return CLI_DONE;
    char *options = cli_pick_text(args, BIT(ENCODING) | BIT(MEDIA_ROOT));
    sn_status status = sn_table_open(path, options, valid);
    free(options);
    return status ? cli_fail(status) : CLI_DONE;
}

/* GNU OpenMP's threads wait for each other by spinning for milliseconds, which costs a few per cent less on an idle
 * machine and several times more on a busy one, where the spinner keeps the other thread from its core. It reads its
 * settings before main, so a long run starts itself again with a shorter spin, unless the user has chosen one. */
static void wait_politely(const cli_args *args) {
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY") || setenv("GOMP_SPINCOUNT", "10000", 0)) return;
    (void)execv("/proc/self/exe", args->argv); /* if that is not possible, all works the same, only less politely */
}

int cli_train(const cli_args *args) {
    json_t *config = NULL;
    sn_table *table = NULL, *valid = NULL;
    sn_trainer *trainer = NULL;
    const char *output = NULL;
    wait_politely(args);
    int code = read_config(args, &config);
    if (!code) code = find_output(args, config, &output);
    if (!code) code = cli_open_table(args, args->items[0], &table);
    if (!code) code = open_valid(args, &valid);
    if (!code) code = create(args, config, table, valid, output, &trainer);
    if (!code) code = run(args, trainer, valid ? valid : table, output);
    sn_trainer_free(trainer);
    sn_table_free(valid);
    sn_table_free(table);
    json_decref(config);
    return code;
}
