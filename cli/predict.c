/* predict.c: `sensorium predict MODEL DATA` and `sensorium predict MODEL COL=VALUE...`.
 *
 *   the library's answer per row -> one of four forms: a table for people, JSON lines, a CSV file, or, for a
 *   row from the command line, the likeliest classes
 *
 * Rows come one at a time and leave at once (a table for people in blocks, for its alignment), so DATA may be
 * longer than memory. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

enum { BLOCK_ROWS = 200, SHOWN_COLUMNS = 6 };

typedef struct form {
    const cli_args *args;
    const sn_table *table;
    json_t *targets; /* names */
    int shown[SHOWN_COLUMNS], shown_count; /* columns of the table that people see */
    cli_file file;   /* -o */
    cli_grid *grid;
    bool cells;      /* the row comes from the command line */
    int64_t rows, failed;
} form;

/* ---- CSV ------------------------------------------------------------------------------------ */

static void put_csv(FILE *to, const char *cell, bool first) {
    if (!first) fputc(',', to);
    if (!strpbrk(cell, ",\"\r\n") && cell[0] != ' ') {
        fputs(cell, to);
        return;
    }
    fputc('"', to);
    for (; *cell; cell++) {
        if (*cell == '"') fputc('"', to);
        fputc(*cell, to);
    }
    fputc('"', to);
}

static int csv_heading(form *f) {
    int columns = sn_table_columns(f->table);
    for (int c = 0; c < columns; c++) put_csv(f->file.stream, sn_table_column_name(f->table, c), c == 0);
    size_t i;
    json_t *target;
    json_array_foreach(f->targets, i, target) {
        static const char *const ends[] = {"_predicted", "_probability"};
        for (int e = 0; e < 2; e++) {
            char name[512];
            (void)snprintf(name, sizeof name, "%s%s", json_string_value(target), ends[e]);
            for (int c = 0; c < columns; c++)
                if (strcmp(sn_table_column_name(f->table, c), name) == 0)
                    return cli_usage("the table already has a column %s", name);
            put_csv(f->file.stream, name, false);
        }
    }
    fputc('\n', f->file.stream);
    return CLI_DONE;
}

/* A value as text that reads back as the same; "" for none. */
static void value_text(const json_t *value, char *text, size_t size) {
    if (json_is_string(value)) (void)snprintf(text, size, "%s", json_string_value(value));
    else if (json_is_integer(value)) (void)snprintf(text, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) (void)snprintf(text, size, "%.9g", json_real_value(value));
    else if (json_is_boolean(value)) (void)snprintf(text, size, "%s", json_is_true(value) ? "true" : "false");
    else *text = '\0';
}

static void csv_row(form *f, const json_t *answer) {
    int columns = sn_table_columns(f->table);
    for (int c = 0; c < columns; c++) put_csv(f->file.stream, sn_table_cell(f->table, f->rows, c), c == 0);
    size_t i;
    json_t *target;
    json_array_foreach(f->targets, i, target) {
        const json_t *one = json_object_get(json_object_get(answer, "targets"), json_string_value(target));
        char text[1024];
        value_text(json_object_get(one, "value"), text, sizeof text);
        put_csv(f->file.stream, text, false);
        value_text(json_object_get(one, "probability"), text, sizeof text);
        put_csv(f->file.stream, text, false);
    }
    fputc('\n', f->file.stream);
}

/* ---- a table for people --------------------------------------------------------------------- */

static void grid_start(form *f) {
    int targets = (int)json_array_size(f->targets), columns = 1 + f->shown_count + 2 * targets;
    f->grid = cli_grid_new(columns);
    cli_grid_right(f->grid, 0);
    cli_grid_add(f->grid, "row");
    for (int c = 0; c < f->shown_count; c++)
        cli_grid_add(f->grid, sn_table_column_name(f->table, f->shown[c]));
    for (int t = 0; t < targets; t++) {
        cli_grid_addf(f->grid, "%s_predicted", json_string_value(json_array_get(f->targets, (size_t)t)));
        cli_grid_add(f->grid, "probability");
        cli_grid_right(f->grid, 2 + f->shown_count + 2 * t);
    }
}

static void grid_row(form *f, const json_t *answer) {
    if (!f->grid) grid_start(f);
    cli_grid_addf(f->grid, "%lld", (long long)f->rows + 1);
    for (int c = 0; c < f->shown_count; c++) cli_grid_add(f->grid, sn_table_cell(f->table, f->rows, f->shown[c]));
    size_t i;
    json_t *target;
    json_array_foreach(f->targets, i, target) {
        const json_t *one = json_object_get(json_object_get(answer, "targets"), json_string_value(target));
        if (json_object_get(answer, "error")) cli_grid_add(f->grid, "(failed)");
        else cli_grid_value(f->grid, json_object_get(one, "value"));
        cli_grid_value(f->grid, json_object_get(one, "probability"));
    }
    if ((f->rows + 1) % BLOCK_ROWS == 0) {
        cli_grid_print(f->grid, stdout, true);
        f->grid = NULL;
    }
}

/* ---- one row from the command line ---------------------------------------------------------- */

static void print_one(const json_t *answer) {
    const char *name;
    json_t *one, *pair;
    json_object_foreach(json_object_get(answer, "targets"), name, one) {
        size_t i;
        char text[1024];
        value_text(json_object_get(one, "value"), text, sizeof text);
        cli_put(stdout, name, 0);
        fputs(": ", stdout);
        cli_put(stdout, text, 0);
        putchar('\n');
        const json_t *top = json_object_get(one, "top");
        if (!json_array_size(top)) continue;
        cli_grid *grid = cli_grid_new(3);
        cli_grid_right(grid, 2);
        json_array_foreach(top, i, pair) {
            cli_grid_add(grid, "");
            cli_grid_value(grid, json_array_get(pair, 0));
            cli_grid_value(grid, json_array_get(pair, 1));
        }
        cli_grid_print(grid, stdout, false);
    }
}

/* ---- all forms ------------------------------------------------------------------------------ */

static int take_row(void *context, const char *text) {
    form *f = context;
    json_t *answer = json_loads(text, 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    if (error) f->failed++;
    if (f->file.stream) csv_row(f, answer);
    else if (cli_given(f->args, OPT_JSON)) cli_print_json(answer);
    else if (!f->cells) grid_row(f, answer);
    else if (!error) print_one(answer);
    if (error && (f->file.stream || !cli_given(f->args, OPT_JSON))) cli_row_error(answer, error);
    f->rows++;
    json_decref(answer);
    return ferror(stdout) || (f->file.stream && ferror(f->file.stream)); /* a full disk or a closed pipe: no use going on */
}

/* Learns from the model what its targets are, and which columns people want to see beside the answers. */
static int read_model(form *f, const sn_model *model) {
    char *text = NULL;
    sn_status status = sn_model_describe(model, &text);
    if (status) return cli_fail(status);
    json_t *about = cli_take_json(text), *one;
    if (!about) return CLI_FAILED;
    f->targets = json_array();
    static const char *const groups[] = {"inputs", "targets"};
    for (int g = 0; g < 2; g++) {
        size_t i;
        json_array_foreach(json_object_get(about, groups[g]), i, one) {
            const char *name = json_string_value(json_object_get(one, "name"));
            if (g == 1) json_array_append(f->targets, json_object_get(one, "name"));
            for (int c = 0; name && c < sn_table_columns(f->table) && f->shown_count < SHOWN_COLUMNS; c++)
                if (strcmp(sn_table_column_name(f->table, c), name) == 0) f->shown[f->shown_count++] = c;
        }
    }
    json_decref(about);
    return CLI_DONE;
}

static int predict_all(form *f, const sn_model *model) {
    const char *output = cli_text(f->args, OPT_OUTPUT);
    int code = read_model(f, model);
    if (!code && output) code = cli_file_open(output, &f->file);
    if (!code && output) code = csv_heading(f);
    if (!code) {
        char *options = cli_pick_text(f->args, BIT(BATCH_SIZE) | BIT(TOP));
        sn_status status = sn_model_predict(model, f->table, options, take_row, f);
        free(options);
        bool write_failed = f->file.stream ? ferror(f->file.stream) != 0 : ferror(stdout) != 0;
        bool all_rows = f->rows == sn_table_rows(f->table);
        if (f->grid) cli_grid_print(f->grid, stdout, true);
        f->grid = NULL;
        if (status && !write_failed && !(all_rows && f->failed)) code = cli_fail(status);
        if (!code && output) code = cli_file_commit(&f->file);
        if (!code && (f->failed || write_failed)) code = CLI_FAILED;
    }
    if (!code && output && !cli_given(f->args, OPT_JSON) && !cli_given(f->args, OPT_QUIET))
        fprintf(stderr, "%lld rows written to %s\n", (long long)f->rows, output);
    if (f->failed && !cli_given(f->args, OPT_JSON))
        fprintf(stderr, "%lld of %lld rows failed\n", (long long)f->failed, (long long)f->rows);
    cli_file_abandon(&f->file);
    json_decref(f->targets);
    return code;
}

/* COL=VALUE...: a table of one row. Relative paths start here, unless --media-root says otherwise. */
static int table_of_cells(const cli_args *args, sn_table **out) {
    int count = args->count - 1;
    char **names = calloc((size_t)count, sizeof *names);
    const char **cells = calloc((size_t)count, sizeof *cells);
    int code = names && cells ? CLI_DONE : cli_failed(SN_ERR_MEMORY, NULL, "out of memory");
    for (int i = 0; i < count && !code; i++) {
        const char *item = args->items[i + 1], *equals = strchr(item, '=');
        if (!equals || equals == item) code = cli_usage("'%s' is not COL=VALUE", item);
        else if (!(names[i] = strndup(item, (size_t)(equals - item)))) code = cli_failed(SN_ERR_MEMORY, NULL, "out of memory");
        else cells[i] = equals + 1;
    }
    if (!code) {
        const char *root = cli_text(args, OPT_MEDIA_ROOT);
        sn_status status = sn_table_from_cells(count, (const char *const *)names, cells, root ? root : ".", out);
        if (status) code = cli_fail(status);
    }
    for (int i = 0; names && i < count; i++) free(names[i]);
    free(names);
    free(cells);
    return code;
}

int cli_predict(const cli_args *args) {
    const char *output = cli_text(args, OPT_OUTPUT), *data = args->items[1];
    struct stat status;
    bool cells = args->count > 2 || (strchr(data, '=') && stat(data, &status) != 0);
    int code = output ? cli_check_output(args, output) : CLI_DONE;
    if (code) return code;
    form f = {.args = args, .cells = cells};
    sn_model *model = NULL;
    sn_table *table = NULL;
    code = cells ? table_of_cells(args, &table) : cli_open_table(args, data, &table);
    if (!code) code = cli_open_model(args, args->items[0], &model);
    f.table = table;
    if (!code) code = predict_all(&f, model);
    sn_model_free(model);
    sn_table_free(table);
    return code;
}
