/* error.c: how the command says that something went wrong: one line for people, one JSON object for programs
 * (--json), always on stderr; the exit code tells wrong usage (2) from everything else (1). */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* What main() read from the command line before anything could fail. */
static struct {
    const char *program;
    bool json;
} style = {"sensorium", false};

void cli_error_style(const char *program, bool json) {
    style.program = program;
    style.json = json;
}

/* Everything known about one failure; NULL and 0 are "not known". */
typedef struct failure {
    const char *code, *message, *file, *column;
    json_int_t row, line;
} failure;

static void print_json(const failure *f) {
    json_t *error = json_object();
    json_object_set_new(error, "code", json_string(f->code));
    json_t *message = json_string(f->message);
    json_object_set_new(error, "message", message ? message : json_string("(a message that is not UTF-8)"));
    json_object_set_new(error, "file", f->file ? json_string(f->file) : json_null());
    json_object_set_new(error, "row", f->row ? json_integer(f->row) : json_null());
    if (f->line) json_object_set_new(error, "line", json_integer(f->line));
    json_object_set_new(error, "column", f->column ? json_string(f->column) : json_null());
    json_t *all = json_pack("{s:i,s:o}", "schema", 1, "error", error);
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    if (text) fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(all);
}

/* Messages name columns in quotation marks; "sound" without them may be a word like any other. */
static bool names_column(const char *message, const char *column) {
    char quoted[160];
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", column);
    return strstr(message, quoted) != NULL;
}

/* Does the message say "row N", and not the row of something else, such as of a picture? */
static bool names_row(const char *message, json_int_t row) {
    char text[32];
    int size = snprintf(text, sizeof text, "row %lld", (long long)row);
    for (const char *at = message; (at = strstr(at, text)) != NULL; at += size)
        if (at[size] < '0' || at[size] > '9') return true;
    return false;
}

/* "file, row 3, column image: message", without the parts that the message itself names. */
static void print_text(const failure *f) {
    char row[64], column[160];
    const char *part[3];
    int parts = 0;
    if (f->line) (void)snprintf(row, sizeof row, "row %lld (line %lld)", (long long)f->row, (long long)f->line);
    else (void)snprintf(row, sizeof row, "row %lld", (long long)f->row);
    (void)snprintf(column, sizeof column, "column %s", f->column ? f->column : "");
    if (f->file && !strstr(f->message, f->file)) part[parts++] = f->file;
    if (f->row && !names_row(f->message, f->row)) part[parts++] = row;
    if (f->column && !names_column(f->message, f->column)) part[parts++] = column;
    fprintf(stderr, "%s: ", style.program);
    for (int i = 0; i < parts; i++) {
        cli_put(stderr, part[i], 0);
        fputs(i + 1 < parts ? ", " : ": ", stderr);
    }
    cli_put(stderr, f->message, 0);
    fputc('\n', stderr);
}

static void print(const failure *f) {
    fflush(stdout);
    if (style.json) print_json(f);
    else print_text(f);
}

static const char *or_null(const char *text) { return text && *text ? text : NULL; }

int cli_fail(sn_status status) {
    failure f = {.code = sn_status_name(status),
                 .message = or_null(sn_error_message()),
                 .file = or_null(sn_error_file()),
                 .column = or_null(sn_error_column()),
                 .row = (json_int_t)sn_error_row()};
    if (!f.message) f.message = f.code;
    print(&f);
    return status == SN_ERR_USAGE ? CLI_USAGE : CLI_FAILED;
}

int cli_usage(const char *format, ...) {
    char text[1024];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    print(&(failure){.code = sn_status_name(SN_ERR_USAGE), .message = text});
    return CLI_USAGE;
}

int cli_failed(sn_status code, const char *file, const char *format, ...) {
    char text[1024];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    print(&(failure){.code = sn_status_name(code), .message = text, .file = file});
    return CLI_FAILED;
}

void cli_row_error(const json_t *row, const json_t *error) {
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *code = json_string_value(json_object_get(error, "code"));
    failure f = {.code = code ? code : "format",
                 .message = message ? message : json_is_string(error) ? json_string_value(error) : "failed",
                 .file = or_null(json_string_value(json_object_get(error, "file"))),
                 .column = or_null(json_string_value(json_object_get(error, "column"))),
                 .row = json_integer_value(json_object_get(row, "row")),
                 .line = json_integer_value(json_object_get(row, "line"))};
    print(&f);
}
