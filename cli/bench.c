/* bench.c: `sensorium bench MODEL DATA` and `sensorium bench DATA --target COL`: speed in this process, through
 * the public interface; numbers for comparing machines and settings, in wall-clock time. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct timing {
    double start, first, last; /* seconds */
    int64_t rows, failed;
    double epoch_seconds; /* of the fastest epoch */
    int64_t steps;
} timing;

static int on_row(void *context, const char *text) {
    timing *t = context;
    t->last = cli_seconds();
    if (!t->rows++) t->first = t->last;
    json_t *row = json_loads(text, 0, NULL);
    if (json_object_get(row, "error")) t->failed++;
    json_decref(row);
    return 0;
}

static void print_result(const cli_args *args, json_t *result) {
    if (cli_given(args, OPT_JSON)) {
        cli_print_json(result);
    } else {
        const char *name;
        json_t *value;
        cli_grid *grid = cli_grid_new(2);
        cli_grid_right(grid, 1);
        json_object_foreach(result, name, value) {
            cli_grid_add(grid, name);
            cli_grid_value(grid, value);
        }
        cli_grid_print(grid, stdout, false);
    }
    json_decref(result);
}

/* The first row of DATA. */
static sn_status open_one(const cli_args *args, sn_table **out) {
    json_t *options = cli_pick(args, BIT(ENCODING) | BIT(MEDIA_ROOT));
    json_object_set_new(options, "limit", json_integer(1));
    char *text = json_dumps(options, JSON_COMPACT);
    sn_status status = sn_table_open(args->items[1], text, out);
    free(text);
    json_decref(options);
    return status;
}

/* Loads, answers one row (which builds the programs), then all rows. */
static int bench_model(const cli_args *args) {
    sn_model *model = NULL;
    sn_table *one = NULL, *table = NULL;
    double begin = cli_seconds();
    int code = cli_open_model(args, args->items[0], &model);
    double loaded = cli_seconds();
    if (!code) code = cli_open_table(args, args->items[1], &table);
    sn_status status = code ? SN_OK : open_one(args, &one);
    timing single = {0}, all = {0};
    char *options = cli_pick_text(args, BIT(BATCH_SIZE));
    if (!code && !status) {
        single.start = cli_seconds();
        status = sn_model_predict(model, one, NULL, on_row, &single);
    }
    if (!code && !status) {
        all.start = cli_seconds();
        status = sn_model_predict(model, table, options, on_row, &all);
    }
    if (!code && status) code = cli_fail(status);
    if (!code)
        print_result(args, json_pack("{s:f,s:f,s:I,s:f}", "load_ms", (loaded - begin) * 1e3, "first_answer_ms",
                                     (single.first - single.start) * 1e3, "rows", (json_int_t)all.rows,
                                     "rows_per_second", (double)all.rows / (all.last - all.start)));
    free(options);
    sn_table_free(one);
    sn_table_free(table);
    sn_model_free(model);
    return code;
}

static int on_event(void *context, const char *text) {
    timing *t = context;
    json_t *event = json_loads(text, 0, NULL);
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (kind && strcmp(kind, "progress") == 0) {
        t->steps = json_integer_value(json_object_get(event, "steps"));
    } else if (kind && strcmp(kind, "epoch") == 0) {
        double now = cli_seconds(), seconds = now - t->last;
        if (t->epoch_seconds <= 0 || seconds < t->epoch_seconds) t->epoch_seconds = seconds;
        t->last = now;
    }
    json_decref(event);
    return 0;
}

static int bench_training(const cli_args *args) {
    sn_table *table = NULL;
    sn_trainer *trainer = NULL;
    int code = cli_open_table(args, args->items[0], &table);
    if (code) return code;
    json_t *config = cli_pick(args, args->command->options & ~(CLI_TABLE_OPTIONS | CLI_COMMON_OPTIONS));
    if (!cli_given(args, OPT_EPOCHS)) json_object_set_new(config, "epochs", json_integer(1));
    json_object_set_new(config, "output", json_string(""));
    char *text = json_dumps(config, JSON_COMPACT);
    timing t = {.start = cli_seconds()};
    sn_status status = sn_trainer_create(table, NULL, text, &trainer);
    double created = t.last = cli_seconds();
    if (!status) status = sn_trainer_run(trainer, on_event, &t);
    if (status) code = cli_fail(status);
    else
        print_result(args, json_pack("{s:f,s:I,s:I,s:f,s:f}", "prepare_seconds", created - t.start, "rows",
                                     (json_int_t)sn_table_rows(table), "steps_per_epoch", (json_int_t)t.steps,
                                     "fastest_epoch_seconds", t.epoch_seconds, "rows_per_second",
                                     (double)sn_table_rows(table) / t.epoch_seconds));
    free(text);
    json_decref(config);
    sn_trainer_free(trainer);
    sn_table_free(table);
    return code;
}

int cli_bench(const cli_args *args) {
    if (cli_given(args, OPT_TARGET)) {
        if (args->count != 1) return cli_usage("with --target, bench takes DATA alone");
        return bench_training(args);
    }
    if (args->count != 2) return cli_usage("bench needs MODEL DATA, or DATA --target COL");
    return bench_model(args);
}
