/* table.c: rows of named text cells in memory.
 *
 *   names[columns], a map name -> column
 *   rows[n] -> record in an arena: { line, count, offset[count], "cell\0cell\0…" }
 *
 * One pointer a row and four bytes a cell beside the text: reading a cell is two loads, growing the table
 * never moves text, and freeing it is freeing one arena. */
#include "data/table_build.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "text/utf8.h"

typedef struct record {
    int64_t line;
    uint32_t count;
    uint32_t at[]; /* from the record's start */
} record;

struct sn_table {
    char *path, *media_root;
    char **names;
    size_t columns, column_room;
    sn_map by_name;
    record **rows;
    size_t count, row_room;
    sn_arena arena;
};

/* ---- making ---- */

sn_status sn_table_create(const char *path, const char *media_root, sn_table **out) {
    *out = NULL;
    sn_table *table = sn_alloc(1, sizeof *table);
    if (!table) return SN_ERR_MEMORY;
    table->path = sn_strdup(path);
    if (media_root) table->media_root = sn_strdup(media_root);
    else if (!*path || sn_is_directory(path)) table->media_root = sn_strdup(path);
    else table->media_root = sn_path_parent(path);
    if (!table->path || !table->media_root) {
        sn_table_free(table);
        return SN_ERR_MEMORY;
    }
    *out = table;
    return SN_OK;
}

void sn_table_free(sn_table *table) {
    if (!table) return;
    sn_free(table->path);
    sn_free(table->media_root);
    sn_free(table->names);
    sn_free(table->rows);
    sn_map_free(&table->by_name);
    sn_arena_free(&table->arena);
    sn_free(table);
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

const char *sn_excerpt(char out[48], const char *text, size_t bytes) {
    size_t n = bytes < 40 ? bytes : 40;
    memcpy(out, text, n);
    out[n] = '\0';
    sn_utf8_trim(out);
    for (char *p = out; *p; p++) {
        if ((unsigned char)*p < ' ') *p = ' ';
    }
    if (n < bytes) memcpy(out + strlen(out), "...", 4);
    return out;
}

sn_status sn_table_add_column(sn_table *table, const char *name, size_t bytes) {
    while (bytes && is_space(name[0])) name++, bytes--;
    while (bytes && is_space(name[bytes - 1])) bytes--;
    size_t number = table->columns + 1;
    char part[48];
    if (!bytes) SN_FAIL(SN_ERR_FORMAT, "column %zu has no name in the header", number);
    int64_t same = sn_map_get(&table->by_name, name, bytes);
    if (same >= 0)
        SN_FAIL(SN_ERR_FORMAT, "columns %lld and %zu are both named \"%s\"", (long long)same + 1, number,
                sn_excerpt(part, name, bytes));
    char **names = sn_grow(table->names, table->columns, &table->column_room, sizeof *names);
    if (!names) return SN_ERR_MEMORY;
    table->names = names;
    char *copy = sn_arena_alloc(&table->arena, bytes + 1, 1);
    if (!copy) return SN_ERR_MEMORY;
    memcpy(copy, name, bytes);
    SN_TRY(sn_map_put(&table->by_name, name, bytes, (int64_t)table->columns));
    names[table->columns++] = copy;
    return SN_OK;
}

static char *put_cell(char *to, const sn_slice *cell) {
    if (!cell->doubled) {
        if (cell->bytes) memcpy(to, cell->data, cell->bytes);
        to += cell->bytes;
    } else {
        for (size_t i = 0; i < cell->bytes; i++) {
            *to++ = cell->data[i];
            if (cell->data[i] == '"') i++; /* its twin */
        }
    }
    *to++ = '\0';
    return to;
}

sn_status sn_table_add_row(sn_table *table, const sn_slice *cells, int count, int64_t line) {
    size_t n = (size_t)count, bytes = sizeof(record) + n * sizeof(uint32_t);
    for (size_t i = 0; i < n; i++) bytes += cells[i].bytes + 1;
    if (bytes > UINT32_MAX) SN_FAIL(SN_ERR_UNSUPPORTED, "line %lld: a row of more than 4 GiB", (long long)line);
    record **rows = sn_grow(table->rows, table->count, &table->row_room, sizeof *rows);
    if (!rows) return SN_ERR_MEMORY;
    table->rows = rows;
    record *row = sn_arena_alloc(&table->arena, bytes, 1);
    if (!row) return SN_ERR_MEMORY;
    row->line = line;
    row->count = (uint32_t)n;
    char *to = (char *)row + sizeof(record) + n * sizeof(uint32_t);
    for (size_t i = 0; i < n; i++) {
        row->at[i] = (uint32_t)(to - (char *)row);
        to = put_cell(to, &cells[i]);
    }
    rows[table->count++] = row;
    return SN_OK;
}

sn_status sn_table_from_cells(int columns, const char *const *names, const char *const *cells,
                              const char *media_root, sn_table **out) {
    sn_table *table = NULL;
    sn_slice *slices = NULL;
    *out = NULL;
    SN_TRY(sn_table_create("", media_root, &table));
    sn_status status = SN_OK;
    slices = sn_alloc((size_t)columns, sizeof *slices);
    if (!slices) status = SN_ERR_MEMORY;
    for (int i = 0; i < columns && status == SN_OK; i++) {
        const char *cell = cells[i] ? cells[i] : "";
        slices[i] = (sn_slice){cell, strlen(cell), false};
        if (sn_utf8_check(cell, slices[i].bytes) < slices[i].bytes)
            status = sn_fail(SN_ERR_FORMAT, "the value of \"%s\" is not UTF-8", names[i]);
        else status = sn_table_add_column(table, names[i], strlen(names[i]));
    }
    if (status == SN_OK) status = sn_table_add_row(table, slices, columns, 0);
    sn_free(slices);
    if (status == SN_OK) *out = table;
    else sn_table_free(table);
    return status;
}

/* ---- asking ---- */

const char *sn_table_path(const sn_table *table) { return table->path; }
int64_t sn_table_rows(const sn_table *table) { return (int64_t)table->count; }
int sn_table_columns(const sn_table *table) { return (int)table->columns; }
const char *sn_table_column_name(const sn_table *table, int column) { return table->names[column]; }
int64_t sn_table_line(const sn_table *table, int64_t row) { return table->rows[row]->line; }

const char *sn_table_cell(const sn_table *table, int64_t row, int column) {
    const record *r = table->rows[row];
    return (uint32_t)column < r->count ? (const char *)r + r->at[column] : "";
}

int sn_table_find(const sn_table *table, const char *name) {
    return (int)sn_map_get(&table->by_name, name, strlen(name));
}

static const char *nearest(const sn_table *table, const char *name) {
    const char *found = NULL;
    int best = 4;
    for (size_t i = 0; i < table->columns; i++) {
        const char *other = table->names[i];
        int d = !strcasecmp(other, name) ? 0 : sn_edit_distance(other, name);
        if (d < best && (size_t)d < strlen(name)) {
            best = d;
            found = other;
        }
    }
    return found;
}

sn_status sn_table_column(const sn_table *table, const char *name, int *out) {
    enum { SHOWN = 24 };
    *out = sn_table_find(table, name);
    if (*out >= 0) return SN_OK;
    char list[600] = "", wanted[48], part[48];
    size_t used = 0;
    for (size_t i = 0; i < table->columns && i < SHOWN && used < sizeof list - 64; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                 sn_excerpt(part, table->names[i], strlen(table->names[i])));
    if (table->columns > SHOWN) (void)snprintf(list + used, sizeof list - used, ", … (%zu in all)", table->columns);
    const char *near = nearest(table, name);
    (void)sn_excerpt(wanted, name, strlen(name));
    if (near) (void)sn_fail(SN_ERR_USAGE, "no column \"%s\"; did you mean \"%s\"? There are: %s", wanted, near, list);
    else (void)sn_fail(SN_ERR_USAGE, "no column \"%s\"; there are: %s", wanted, list);
    return sn_fail_at(table->path[0] ? table->path : NULL, 0, wanted);
}

/* ---- media cells ---- */

static sn_status fail_media(const sn_table *table, int64_t row, int column, const char *cell, const char *why) {
    char part[48];
    (void)sn_fail(SN_ERR_FORMAT, "\"%s\": %s", sn_excerpt(part, cell, strlen(cell)), why);
    return sn_fail_at(table->path[0] ? table->path : NULL, row + 1, table->names[column]);
}

/* What is wrong with a path that does not exist, as far as its look tells; NULL: nothing. */
static const char *odd_path(const char *cell) {
    sn_kind kind;
    if (!strncasecmp(cell, "http://", 7) || !strncasecmp(cell, "https://", 8) || strstr(cell, "://"))
        return "is an internet address; download the file and give its path";
    if ((isalpha((unsigned char)cell[0]) && cell[1] == ':' && (cell[2] == '\\' || cell[2] == '/')) ||
        strchr(cell, '\\'))
        return "is a Windows path; write it with / and relative to the data file or --media-root";
    for (const char *p = cell; (p = strpbrk(p, ";|,")) != NULL; p++) {
        char first[256];
        (void)snprintf(first, sizeof first, "%.*s", (int)(p - cell < 255 ? p - cell : 255), cell);
        if (sn_media_kind(first, &kind)) return "names several files; give each its own column or row";
    }
    return NULL;
}

sn_status sn_table_media_path(const sn_table *table, int64_t row, int column, char **out) {
    *out = NULL;
    const char *cell = sn_table_cell(table, row, column);
    while (is_space(*cell)) cell++;
    size_t bytes = strlen(cell);
    while (bytes && is_space(cell[bytes - 1])) bytes--;
    if (!bytes) return fail_media(table, row, column, cell, "the cell is empty; a file is needed here");
    char *name = sn_strndup(cell, bytes);
    char *path = name ? sn_path_join(table->media_root, name) : NULL;
    sn_status status = path ? SN_OK : SN_ERR_MEMORY;
    const char *why = path && !sn_file_exists(path) ? odd_path(name) : NULL;
    if (why) status = fail_media(table, row, column, name, why);
    sn_free(name);
    if (status == SN_OK) *out = path;
    else sn_free(path);
    return status;
}

sn_status sn_table_check_header(const sn_table *table) {
    size_t numbers = 0;
    double value;
    sn_kind kind;
    for (size_t i = 0; i < table->columns; i++) {
        numbers += sn_cell_number(table->names[i], &value);
        if (!sn_media_kind(table->names[i], &kind)) continue;
        char *path = sn_path_join(table->media_root, table->names[i]), part[48];
        if (!path) return SN_ERR_MEMORY;
        bool exists = sn_file_exists(path);
        sn_free(path);
        if (exists)
            SN_FAIL(SN_ERR_FORMAT, "the header seems to be missing: line 1 names the file \"%s\" where a column "
                    "name belongs", sn_excerpt(part, table->names[i], strlen(table->names[i])));
    }
    if (numbers == table->columns)
        SN_FAIL(SN_ERR_FORMAT, "the header seems to be missing: line 1 holds only numbers where column names belong");
    return SN_OK;
}
