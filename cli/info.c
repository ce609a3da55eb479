/* info.c: `sensorium info MODEL`: what the model directory says about itself. */
#include <string.h>

#include "cli.h"

enum { CLASSES_SHOWN = 8 };

/* "a, b, c and 5 more" */
static void join(const json_t *names, char *text, size_t size) {
    size_t i, used = 0, count = json_array_size(names);
    json_t *name;
    *text = '\0';
    json_array_foreach(names, i, name) {
        if (i == CLASSES_SHOWN || used + 1 >= size) break;
        int add = snprintf(text + used, size - used, "%s%s", i ? ", " : "", json_string_value(name));
        used += add > 0 ? (size_t)add : 0;
    }
    if (count > CLASSES_SHOWN && used + 1 < size)
        (void)snprintf(text + used, size - used, " and %zu more", count - CLASSES_SHOWN);
}

/* One line per input or target: its name, kind, and every other word the library says about it. */
static void print_columns(const char *heading, const json_t *columns) {
    size_t i;
    json_t *column, *value;
    cli_grid *grid = cli_grid_new(3);
    cli_grid_add(grid, heading);
    cli_grid_add(grid, "kind");
    cli_grid_add(grid, "");
    json_array_foreach(columns, i, column) {
        char text[1024] = "", part[512];
        const char *key;
        cli_grid_value(grid, json_object_get(column, "name"));
        cli_grid_value(grid, json_object_get(column, "kind"));
        json_object_foreach(column, key, value) {
            if (strcmp(key, "name") == 0 || strcmp(key, "kind") == 0) continue;
            if (json_is_array(value)) join(value, part, sizeof part);
            else if (json_is_string(value)) (void)snprintf(part, sizeof part, "%s", json_string_value(value));
            else if (json_is_integer(value))
                (void)snprintf(part, sizeof part, "%lld", (long long)json_integer_value(value));
            else continue;
            size_t used = strlen(text);
            (void)snprintf(text + used, sizeof text - used, "%s%s: %s", used ? "; " : "", key, part);
        }
        cli_grid_add(grid, text);
    }
    cli_grid_print(grid, stdout, true);
    putchar('\n');
}

static void add_plain(cli_grid *grid, json_t *object) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        if (json_is_object(value) || json_is_array(value) || strcmp(key, "schema") == 0) continue;
        cli_grid_add(grid, key);
        cli_grid_value(grid, value);
    }
}

static void print_all(json_t *about) {
    cli_grid *grid = cli_grid_new(2);
    add_plain(grid, about);
    cli_grid_print(grid, stdout, false);
    putchar('\n');
    print_columns("input", json_object_get(about, "inputs"));
    print_columns("target", json_object_get(about, "targets"));
    json_t *trained = json_object_get(about, "trained");
    if (!json_object_size(trained)) return;
    grid = cli_grid_new(2);
    cli_grid_add(grid, "trained");
    cli_grid_add(grid, "");
    add_plain(grid, trained);
    cli_grid_print(grid, stdout, true);
}

/* A published model: plain facts, then lists in words. */
static void print_published(json_t *about) {
    static const char *const lists[] = {"accepts", "tasks"};
    cli_grid *grid = cli_grid_new(2);
    add_plain(grid, about);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char text[512];
        join(json_object_get(about, lists[i]), text, sizeof text);
        cli_grid_add(grid, lists[i]);
        cli_grid_add(grid, text);
    }
    cli_grid_print(grid, stdout, false);
}

int cli_info(const cli_args *args) {
    char *text = NULL;
    sn_status status = sn_path_describe(args->items[0], NULL, &text);
    if (status) return cli_fail(status);
    json_t *about = cli_take_json(text);
    if (!about) return CLI_FAILED;
    if (cli_given(args, OPT_JSON)) cli_print_json(about);
    else if (json_object_get(about, "model_type")) print_published(about);
    else print_all(about);
    json_decref(about);
    return CLI_DONE;
}
