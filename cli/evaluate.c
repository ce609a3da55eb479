/* evaluate.c: `sensorium evaluate MODEL DATA`: the scores as one table per target; then the subsets of the
 * inputs; with -v each class. What the scores are called and how many there are is the library's affair: every
 * plain number is a line. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { SUBSET_METRICS = 3 };

static void print_scores(const char *target, const json_t *scores) {
    cli_grid *grid = cli_grid_new(2);
    cli_grid_right(grid, 1);
    cli_grid_add(grid, target);
    cli_grid_add(grid, "");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)scores, name, value) {
        if (json_is_object(value) || json_is_array(value)) continue;
        cli_grid_add(grid, name);
        cli_grid_value(grid, value);
    }
    cli_grid_print(grid, stdout, true);
    putchar('\n');
}

/* {"class": {"precision": x, ...}, ...}: one line per class. */
static void print_classes(const char *target, json_t *classes) {
    json_t *first = json_object_iter_value(json_object_iter(classes)), *value, *scores;
    if (!json_is_object(first)) return;
    int columns = 1 + (int)json_object_size(first);
    cli_grid *grid = cli_grid_new(columns);
    cli_grid_add(grid, target);
    const char *name, *metric;
    json_object_foreach(first, metric, value) cli_grid_add(grid, metric);
    for (int i = 1; i < columns; i++) cli_grid_right(grid, i);
    json_object_foreach(classes, name, scores) {
        cli_grid_add(grid, name);
        json_object_foreach(first, metric, value) cli_grid_value(grid, json_object_get(scores, metric));
    }
    cli_grid_print(grid, stdout, true);
    putchar('\n');
}

/* The first few plain numbers of every target: the columns of the subsets' table. */
static int add_metrics(cli_grid *grid, json_t *targets, bool names) {
    int count = 0;
    const char *target, *metric;
    json_t *scores, *value;
    json_object_foreach(targets, target, scores) {
        int taken = 0;
        json_object_foreach(scores, metric, value) {
            if (!json_is_number(value) || taken == SUBSET_METRICS) continue;
            taken++;
            count++;
            if (!grid) continue;
            if (!names) cli_grid_value(grid, value);
            else if (json_object_size(targets) > 1) cli_grid_addf(grid, "%s %s", target, metric);
            else cli_grid_add(grid, metric);
        }
    }
    return count;
}

static void print_subsets(const json_t *subsets) {
    size_t i, j;
    json_t *subset, *input;
    json_t *targets = json_object_get(json_array_get(subsets, 0), "targets");
    int columns = 1 + add_metrics(NULL, targets, false);
    cli_grid *grid = cli_grid_new(columns);
    cli_grid_add(grid, "inputs present");
    add_metrics(grid, targets, true);
    for (int c = 1; c < columns; c++) cli_grid_right(grid, c);
    json_array_foreach(subsets, i, subset) {
        char text[256] = "";
        json_t *inputs = json_object_get(subset, "inputs");
        json_array_foreach(inputs, j, input) {
            size_t used = strlen(text);
            (void)snprintf(text + used, sizeof text - used, "%s%s", j ? " + " : "", json_string_value(input));
        }
        cli_grid_add(grid, *text ? text : "(none)");
        add_metrics(grid, json_object_get(subset, "targets"), false);
    }
    cli_grid_print(grid, stdout, true);
}

/* Counts beside "rows" (rows without a target, rows left out) are said when they are not 0. */
static void print_counts(json_t *answer) {
    const char *name;
    json_t *value;
    printf("%lld rows", (long long)json_integer_value(json_object_get(answer, "rows")));
    json_object_foreach(answer, name, value) {
        if (!json_is_integer(value) || !json_integer_value(value)) continue;
        if (strcmp(name, "rows") == 0 || strcmp(name, "schema") == 0) continue;
        printf(", %lld ", (long long)json_integer_value(value));
        for (const char *c = name; *c; c++) putchar(*c == '_' ? ' ' : *c); /* the loop goes on from `name` */
    }
    printf("\n\n");
}

static void print_all(json_t *answer, bool verbose) {
    const char *target;
    json_t *scores;
    print_counts(answer);
    json_object_foreach(json_object_get(answer, "targets"), target, scores) {
        print_scores(target, scores);
        if (verbose) print_classes(target, json_object_get(scores, "classes"));
    }
    if (json_array_size(json_object_get(answer, "subsets"))) print_subsets(json_object_get(answer, "subsets"));
}

int cli_evaluate(const cli_args *args) {
    sn_model *model = NULL;
    sn_table *table = NULL;
    int code = cli_open_model(args, args->items[0], &model);
    if (!code) code = cli_open_table(args, args->items[1], &table);
    if (!code) {
        char *options = cli_pick_text(args, BIT(BATCH_SIZE) | BIT(SUBSETS) | BIT(SKIP_BROKEN)), *text = NULL;
        sn_status status = sn_model_evaluate(model, table, options, &text);
        free(options);
        json_t *answer = status ? NULL : cli_take_json(text);
        if (status) code = cli_fail(status);
        else if (!answer) code = CLI_FAILED;
        else if (cli_given(args, OPT_JSON)) cli_print_json(answer);
        else print_all(answer, cli_given(args, OPT_VERBOSE));
        json_decref(answer);
    }
    sn_table_free(table);
    sn_model_free(model);
    return code;
}
