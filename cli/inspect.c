/* inspect.c: `sensorium inspect DATA`: one line per column, then every broken cell. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void print_columns(const json_t *columns) {
    static const char *const headings[] = {"column", "kind", "missing", "distinct", "broken", "why"};
    cli_grid *grid = cli_grid_new(6);
    for (int i = 0; i < 6; i++) cli_grid_add(grid, headings[i]);
    for (int i = 2; i < 5; i++) cli_grid_right(grid, i);
    size_t i;
    json_t *column;
    json_array_foreach(columns, i, column) {
        const char *kind = json_string_value(json_object_get(column, "kind"));
        bool sure = !json_is_false(json_object_get(column, "sure"));
        cli_grid_value(grid, json_object_get(column, "name"));
        cli_grid_addf(grid, "%s%s", kind ? kind : "", sure ? "" : " ?");
        cli_grid_value(grid, json_object_get(column, "missing"));
        cli_grid_value(grid, json_object_get(column, "distinct"));
        cli_grid_addf(grid, "%zu", json_array_size(json_object_get(column, "broken")));
        cli_grid_value(grid, json_object_get(column, "why"));
    }
    cli_grid_print(grid, stdout, true);
}

static size_t count_broken(const json_t *columns) {
    size_t i, count = 0;
    json_t *column;
    json_array_foreach(columns, i, column) count += json_array_size(json_object_get(column, "broken"));
    return count;
}

static void print_broken(const json_t *columns) {
    size_t i, j, count = count_broken(columns);
    json_t *column, *broken;
    if (!count) return;
    cli_grid *grid = cli_grid_new(4);
    static const char *const headings[] = {"row", "line", "column", "what is broken"};
    for (int k = 0; k < 4; k++) cli_grid_add(grid, headings[k]);
    cli_grid_right(grid, 0);
    cli_grid_right(grid, 1);
    json_array_foreach(columns, i, column) {
        json_array_foreach(json_object_get(column, "broken"), j, broken) {
            cli_grid_value(grid, json_object_get(broken, "row"));
            cli_grid_value(grid, json_object_get(broken, "line"));
            cli_grid_value(grid, json_object_get(column, "name"));
            cli_grid_value(grid, json_object_get(broken, "why"));
        }
    }
    printf("\n%zu broken cell%s\n\n", count, count == 1 ? "" : "s");
    cli_grid_print(grid, stdout, true);
}

static void print_all(const json_t *answer) {
    const json_t *columns = json_object_get(answer, "columns");
    json_int_t rows = json_integer_value(json_object_get(answer, "rows"));
    printf("%lld row%s, %zu columns\n\n", (long long)rows, rows == 1 ? "" : "s", json_array_size(columns));
    print_columns(columns);
    print_broken(columns);
}

int cli_inspect(const cli_args *args) {
    sn_table *table = NULL;
    int code = cli_open_table(args, args->items[0], &table);
    if (code) return code;
    char *options = cli_pick_text(args, BIT(TYPE) | BIT(THREADS)), *text = NULL;
    sn_status status = sn_table_inspect(table, options, &text);
    free(options);
    json_t *answer = status ? NULL : cli_take_json(text);
    if (status) code = cli_fail(status);
    else if (!answer) code = CLI_FAILED;
    else if (cli_given(args, OPT_JSON)) cli_print_json(answer);
    else print_all(answer);
    if (!code && count_broken(json_object_get(answer, "columns"))) code = CLI_FAILED;
    json_decref(answer);
    sn_table_free(table);
    return code;
}
