/* table_csv.c: comma separated values, RFC 4180 as it is met in the wild.
 *
 *   text -> a record at a time as slices of the text -> table (which undoubles the quotes while it copies)
 *
 * A cell that begins with a quotation mark ends at the next single one: commas, line ends and doubled quotes
 * inside belong to it. A quotation mark inside any other cell is an ordinary character (5" disk). Lines end
 * with \n, \r\n or \r; empty lines are no rows. All records must have as many cells as the header: a shifted
 * row would put every value under a wrong name, so it is an error that names the line. */
#include <stdio.h>
#include <string.h>

#include "data/table_csv.h"

typedef struct scanner {
    const char *at, *end;
    int64_t line; /* of `at` */
    char delimiter;
    sn_slice *cells;
    size_t count, room;
} scanner;

static sn_status add_cell(scanner *s, const char *from, size_t bytes, bool doubled) {
    sn_slice *cells = sn_grow(s->cells, s->count, &s->room, sizeof *cells);
    if (!cells) return SN_ERR_MEMORY;
    s->cells = cells;
    cells[s->count++] = (sn_slice){from, bytes, doubled};
    return SN_OK;
}

static bool at_line_end(const scanner *s) { return s->at < s->end && (*s->at == '\n' || *s->at == '\r'); }

static void skip_line_end(scanner *s) {
    if (*s->at == '\r' && s->at + 1 < s->end && s->at[1] == '\n') s->at++;
    s->at++;
    s->line++;
}

/* At the opening quotation mark; ends behind the closing one. */
static sn_status quoted_cell(scanner *s) {
    const char *from = ++s->at;
    int64_t opened = s->line;
    bool doubled = false;
    for (;; s->at++) {
        if (s->at == s->end)
            SN_FAIL(SN_ERR_FORMAT, "line %lld: a quotation mark is opened here and never closed", (long long)opened);
        char c = *s->at;
        if (c == '\n' || (c == '\r' && (s->at + 1 == s->end || s->at[1] != '\n'))) s->line++;
        if (c != '"') continue;
        if (s->at + 1 == s->end || s->at[1] != '"') break;
        doubled = true;
        s->at++;
    }
    size_t bytes = (size_t)(s->at++ - from);
    if (s->at < s->end && *s->at != s->delimiter && !at_line_end(s)) {
        char part[48];
        SN_FAIL(SN_ERR_FORMAT, "line %lld: text after a closing quotation mark: %s; a quotation mark inside a "
                "quoted cell is written twice", (long long)s->line, sn_excerpt(part, s->at, (size_t)(s->end - s->at)));
    }
    return add_cell(s, from, bytes, doubled);
}

static sn_status plain_cell(scanner *s) {
    const char *from = s->at, *p = from, *end = s->end;
    char delimiter = s->delimiter;
    while (p < end && *p != delimiter && *p != '\n' && *p != '\r') p++;
    s->at = p;
    return add_cell(s, from, (size_t)(p - from), false);
}

/* Reads the next record into s->cells; none is left when count is 0. *line is where it starts. */
static sn_status next_record(scanner *s, int64_t *line) {
    s->count = 0;
    while (at_line_end(s)) skip_line_end(s);
    *line = s->line;
    if (s->at == s->end) return SN_OK;
    for (;;) {
        if (s->at < s->end && *s->at == '"') SN_TRY(quoted_cell(s));
        else SN_TRY(plain_cell(s));
        if (s->at == s->end) return SN_OK;
        if (at_line_end(s)) {
            skip_line_end(s);
            return SN_OK;
        }
        s->at++; /* the delimiter; a cell follows even at the end of the file */
    }
}

/* A file named .csv may use ; or tab: the header tells, when it has no comma outside quotation marks. */
static char find_delimiter(const char *text, size_t bytes) {
    bool quoted = false, semicolon = false, tab = false, begun = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (c == '"') quoted = !quoted;
        if (quoted) continue;
        if (c == ',') return ',';
        if (c == '\n' || c == '\r') {
            if (begun) break;
            continue;
        }
        begun = true;
        semicolon |= c == ';';
        tab |= c == '\t';
    }
    return semicolon ? ';' : tab ? '\t' : ',';
}

/* The other ragged rows up to row `last`, as "; the same in line 7, 9": all can be put right at once. */
static void name_others(scanner *s, int64_t row, int64_t last, size_t expected, char *text, size_t size) {
    enum { NAMED = 20 };
    int64_t others = 0, line;
    while (row++ < last && next_record(s, &line) == SN_OK && s->count) {
        size_t used = strlen(text);
        if (s->count == expected) continue;
        if (others++ < NAMED) (void)snprintf(text + used, size - used, "%s %lld", others == 1 ? "; the same in line" : ",", (long long)line);
    }
    size_t used = strlen(text);
    if (others > NAMED) (void)snprintf(text + used, size - used, " and %lld more", (long long)(others - NAMED));
}

static sn_status fail_ragged(scanner *s, int64_t line, int64_t row, int64_t last, int expected) {
    size_t found = s->count;
    bool more = found > (size_t)expected;
    const char *delimiter = s->delimiter == '\t' ? "tab" : s->delimiter == ';' ? "';'" : "','";
    char others[512] = "";
    name_others(s, row, last, (size_t)expected, others, sizeof others);
    (void)sn_fail(SN_ERR_FORMAT, "line %lld (row %lld): expected %d cell%s as in the header, found %zu%s%s%s%s",
                  (long long)line, (long long)row, expected, expected == 1 ? "" : "s", found,
                  more ? "; a cell that holds a " : "", more ? delimiter : "",
                  more ? " must stand in quotation marks" : "", others);
    return sn_fail_at(NULL, row, NULL);
}

static sn_status add_column(sn_table *table, const sn_slice *cell) {
    if (!cell->doubled) return sn_table_add_column(table, cell->data, cell->bytes);
    char *name = sn_alloc(cell->bytes, 1);
    if (!name) return SN_ERR_MEMORY;
    size_t used = 0;
    for (size_t i = 0; i < cell->bytes; i++) {
        name[used++] = cell->data[i];
        if (cell->data[i] == '"') i++;
    }
    sn_status status = sn_table_add_column(table, name, used);
    sn_free(name);
    return status;
}

static sn_status read_rows(scanner *s, sn_table *table, const sn_source *source) {
    int64_t line;
    SN_TRY(next_record(s, &line));
    if (!s->count) SN_FAIL(SN_ERR_FORMAT, "is empty; expected a header line such as image,text,label");
    for (size_t i = 0; i < s->count; i++) SN_TRY(add_column(table, &s->cells[i]));
    SN_TRY(sn_table_check_header(table));
    int columns = sn_table_columns(table);
    while (sn_table_rows(table) < source->limit) {
        SN_TRY(next_record(s, &line));
        if (!s->count) break;
        int64_t row = sn_table_rows(table) + 1;
        if (s->count != (size_t)columns) return fail_ragged(s, line, row, source->limit, columns);
        SN_TRY(sn_table_add_row(table, s->cells, columns, line));
    }
    return SN_OK;
}

sn_status sn_table_read_delimited(sn_table *table, const sn_source *source, char delimiter) {
    scanner s = {.at = source->text, .end = source->text + source->bytes, .line = 1, .delimiter = delimiter};
    sn_status status = read_rows(&s, table, source);
    sn_free(s.cells);
    return status;
}

sn_status sn_table_read_csv(sn_table *table, const sn_source *source) {
    return sn_table_read_delimited(table, source, find_delimiter(source->text, source->bytes));
}
