/* print.c: text on a terminal: tables whose columns stand under each other, whatever the script, and the
 * JSON lines for programs.
 *
 * A cell's width is counted in terminal columns (Chinese takes two, a combining accent none). Control
 * characters, which a data file could use to fool a terminal, are shown as a space or '?'. */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "cli.h"

enum { CELL_MOST = 48, COLUMNS_MOST = 64 };

/* One character of UTF-8 at text[0..bytes): its length in bytes, and the columns it takes. Broken bytes are
 * one '?' each. */
static size_t character(const char *text, size_t bytes, int *columns, bool *control) {
    const unsigned char *s = (const unsigned char *)text;
    size_t size = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    wchar_t code = (wchar_t)(size <= 1 ? s[0] : s[0] & (0xff >> (size + 1)));
    for (size_t i = 1; i < size; i++) {
        if (i >= bytes || (s[i] & 0xc0) != 0x80) { size = 0; break; }
        code = (wchar_t)(code << 6 | (s[i] & 0x3f));
    }
    int width = size ? wcwidth(code) : -1;
    *control = width < 0;
    *columns = width < 0 ? 1 : width;
    return size ? size : 1;
}

int cli_width(const char *text, size_t bytes) {
    int total = 0, columns;
    bool control;
    for (size_t i = 0; i < bytes; total += columns) i += character(text + i, bytes - i, &columns, &control);
    return total;
}

int cli_put(FILE *to, const char *text, int most) {
    size_t bytes = strlen(text);
    bool cut = most > 0 && cli_width(text, bytes) > most;
    int total = 0, columns;
    bool control;
    for (size_t i = 0; i < bytes;) {
        size_t size = character(text + i, bytes - i, &columns, &control);
        if (cut && total + columns > most - 1) {
            fputs("…", to);
            return total + 1;
        }
        if (control) fputc(text[i] == '\n' || text[i] == '\t' || text[i] == '\r' ? ' ' : '?', to);
        else fwrite(text + i, 1, size, to);
        i += size;
        total += columns;
    }
    return total;
}

struct cli_grid {
    int columns;
    bool right[COLUMNS_MOST];
    char **cells;
    size_t count, capacity;
};

cli_grid *cli_grid_new(int columns) {
    cli_grid *grid = calloc(1, sizeof *grid);
    if (grid) grid->columns = columns < COLUMNS_MOST ? columns : COLUMNS_MOST;
    return grid;
}

void cli_grid_right(cli_grid *grid, int column) {
    if (grid && column < grid->columns) grid->right[column] = true;
}

void cli_grid_add(cli_grid *grid, const char *cell) {
    if (!grid) return;
    if (grid->count == grid->capacity) {
        size_t capacity = grid->capacity ? grid->capacity * 2 : 64;
        char **cells = realloc(grid->cells, capacity * sizeof *cells);
        if (!cells) return;
        grid->cells = cells;
        grid->capacity = capacity;
    }
    grid->cells[grid->count++] = strdup(cell ? cell : "");
}

void cli_grid_addf(cli_grid *grid, const char *format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    cli_grid_add(grid, text);
}

void cli_grid_value(cli_grid *grid, const json_t *value) {
    if (json_is_string(value)) cli_grid_add(grid, json_string_value(value));
    else if (json_is_integer(value)) cli_grid_addf(grid, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value)) {
        double x = json_real_value(value), size = fabs(x);
        cli_grid_addf(grid, size != 0 && (size < 0.001 || size >= 1e6) ? "%.3e" : size < 100 ? "%.4f" : "%.2f", x);
    } else if (json_is_boolean(value)) cli_grid_add(grid, json_is_true(value) ? "yes" : "no");
    else cli_grid_add(grid, "");
}

static int cell_width(const char *cell) {
    int width = cell ? cli_width(cell, strlen(cell)) : 0;
    return width < CELL_MOST ? width : CELL_MOST;
}

static const char *cell_at(const cli_grid *grid, size_t row, int column) {
    size_t i = row * (size_t)grid->columns + (size_t)column;
    return i < grid->count && grid->cells[i] ? grid->cells[i] : "";
}

static void print_row(const cli_grid *grid, size_t row, const int *widths, FILE *to) {
    int last = grid->columns - 1;
    while (last > 0 && !*cell_at(grid, row, last)) last--; /* no spaces at the line's end */
    for (int c = 0; c <= last; c++) {
        const char *cell = cell_at(grid, row, c);
        int pad = widths[c] - cell_width(cell);
        if (grid->right[c]) fprintf(to, "%*s", pad, "");
        /* Behind the last column stands nothing, so it is shown whole. */
        cli_put(to, cell, c + 1 == grid->columns && !grid->right[c] ? 0 : CELL_MOST);
        if (c < last) fprintf(to, "%*s", (grid->right[c] ? 0 : pad) + 2, "");
    }
    fputc('\n', to);
}

void cli_grid_print(cli_grid *grid, FILE *to, bool heading) {
    if (!grid) return;
    int widths[COLUMNS_MOST] = {0}, total = -2;
    for (size_t i = 0; i < grid->count; i++) {
        int *width = &widths[i % (size_t)grid->columns], cell = cell_width(grid->cells[i]);
        if (cell > *width) *width = cell;
    }
    for (int c = 0; c < grid->columns; c++) total += widths[c] + 2;
    size_t rows = (grid->count + (size_t)grid->columns - 1) / (size_t)grid->columns;
    for (size_t row = 0; row < rows; row++) {
        print_row(grid, row, widths, to);
        if (row == 0 && heading) {
            for (int i = 0; i < total; i++) fputs("─", to);
            fputc('\n', to);
        }
    }
    for (size_t i = 0; i < grid->count; i++) free(grid->cells[i]);
    free(grid->cells);
    free(grid);
}

void cli_print_json(const json_t *value) {
    json_t *line = json_object();
    json_object_set_new(line, "schema", json_integer(1));
    json_object_update(line, (json_t *)(uintptr_t)value);
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (text) printf("%s\n", text);
    free(text);
    json_decref(line);
}

void cli_put_quoted(const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,@%+-";
    if (*text && strspn(text, plain) == strlen(text)) {
        fputs(text, stdout);
        return;
    }
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'') fputs("'\\''", stdout);
        else putchar(*text);
    }
    putchar('\'');
}

int cli_flush(int exit_code) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno == EPIPE) return exit_code ? exit_code : CLI_FAILED;
        return cli_failed(SN_ERR_IO, NULL, "standard output: %s", strerror(errno));
    }
    return exit_code;
}

json_t *cli_take_json(char *text) {
    json_error_t error;
    json_t *value = json_loads(text ? text : "", 0, &error);
    sn_string_free(text);
    if (!value) (void)cli_failed(SN_ERR_STATE, NULL, "the library's answer is not JSON: %s", error.text);
    return value;
}
