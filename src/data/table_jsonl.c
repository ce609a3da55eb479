/* table_jsonl.c: JSON Lines, and a .json file that is one list of objects.
 *
 *   line -> jansson object -> cells by key -> row; a key met for the first time becomes a column
 *
 * One line is in memory as a tree at a time. A key that a row lacks, and null, are empty cells. Text stays as
 * it is, numbers are written with as few digits as bring the same double back, true and false as words; lists
 * and objects become their compact JSON. A list of objects has no line numbers (jansson keeps none). */
#include <string.h>

#include "base/json.h"
#include "data/table_build.h"

typedef struct rows {
    sn_table *table;
    sn_buf text;         /* cells of one row, one behind the other */
    size_t *from, *size; /* of each cell, by column */
    sn_slice *cells;
    size_t room;
} rows;

static sn_status make_room(rows *r, size_t columns) {
    if (columns <= r->room) return SN_OK;
    size_t room = columns * 2;
    size_t *from = sn_realloc(r->from, room, sizeof *from);
    if (from) r->from = from;
    size_t *size = from ? sn_realloc(r->size, room, sizeof *size) : NULL;
    if (size) r->size = size;
    sn_slice *cells = size ? sn_realloc(r->cells, room, sizeof *cells) : NULL;
    if (!cells) return SN_ERR_MEMORY;
    r->cells = cells;
    memset(from + r->room, 0, (room - r->room) * sizeof *from);
    memset(size + r->room, 0, (room - r->room) * sizeof *size);
    r->room = room;
    return SN_OK;
}

/* 0.1 as "0.1", not 0.10000000000000001. jansson writes and we read with '.', whatever the locale. */
static char *shortest(const json_t *real) {
    for (size_t digits = 15;; digits++) {
        char *text = json_dumps(real, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        double back;
        if (!text || digits == 17 || (sn_cell_number(text, &back) && !(back < json_real_value(real)) &&
                                      !(back > json_real_value(real))))
            return text;
        free(text);
    }
}

static sn_status add_value(rows *r, const json_t *value) {
    if (json_is_null(value)) return SN_OK;
    if (json_is_string(value)) {
        sn_buf_add(&r->text, json_string_value(value), json_string_length(value));
        return sn_buf_check(&r->text);
    }
    char *text = json_is_real(value) ? shortest(value) : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text) SN_FAIL(SN_ERR_MEMORY, "out of memory: a JSON value as text");
    sn_buf_puts(&r->text, text);
    free(text);
    return sn_buf_check(&r->text);
}

static sn_status add_member(rows *r, const char *key, const json_t *value) {
    int column = sn_table_find(r->table, key);
    if (column < 0) {
        column = sn_table_columns(r->table);
        SN_TRY(make_room(r, (size_t)column + 1));
        SN_TRY(sn_table_add_column(r->table, key, strlen(key)));
        if (sn_table_find(r->table, key) < 0)
            SN_FAIL(SN_ERR_FORMAT, "the key \"%s\" begins or ends with space", key);
    }
    r->from[column] = r->text.size;
    SN_TRY(add_value(r, value));
    r->size[column] = r->text.size - r->from[column];
    return SN_OK;
}

static sn_status add_row(rows *r, const json_t *object, int64_t line) {
    if (!json_is_object(object))
        SN_FAIL(SN_ERR_FORMAT, "expected an object such as {\"text\": \"…\", \"label\": \"…\"}");
    const char *key;
    json_t *value;
    r->text.size = 0;
    if (r->room) memset(r->size, 0, r->room * sizeof *r->size);
    json_object_foreach((json_t *)(uintptr_t)object, key, value) SN_TRY(add_member(r, key, value));
    int columns = sn_table_columns(r->table);
    for (int i = 0; i < columns; i++)
        r->cells[i] = (sn_slice){r->size[i] ? r->text.data + r->from[i] : "", r->size[i], false};
    return sn_table_add_row(r->table, r->cells, columns, line);
}

static sn_status fail_row(sn_status status, int64_t line, int64_t row) {
    if (status == SN_ERR_MEMORY) return status;
    if (line) (void)sn_fail_in("line %lld (row %lld)", (long long)line, (long long)row);
    else (void)sn_fail_in("row %lld", (long long)row);
    return sn_fail_at(NULL, row, NULL);
}

static bool is_blank(const char *text, size_t bytes) {
    while (bytes && strchr(" \t\r\n", *text)) text++, bytes--;
    return !bytes;
}

static sn_status read_lines(rows *r, const sn_source *source) {
    const char *at = source->text, *end = at + source->bytes;
    for (int64_t line = 1; at < end && sn_table_rows(r->table) < source->limit; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t bytes = (size_t)((stop ? stop : end) - at);
        int64_t row = sn_table_rows(r->table) + 1;
        if (!is_blank(at, bytes)) {
            json_error_t error;
            json_t *object = json_loadb(at, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
            sn_status status = object ? add_row(r, object, line)
                                      : sn_fail(SN_ERR_FORMAT, "column %d: %s", error.column, error.text);
            json_decref(object);
            if (status != SN_OK) return fail_row(status, line, row);
        }
        at = stop ? stop + 1 : end;
    }
    return SN_OK;
}

static sn_status read_list(rows *r, const sn_source *source) {
    json_t *list, *object;
    size_t i;
    SN_TRY(sn_json_parse(source->path, source->text, source->bytes, &list));
    sn_status status = SN_OK;
    json_array_foreach(list, i, object) {
        if (status != SN_OK || (int64_t)i >= source->limit) break;
        status = add_row(r, object, 0);
        if (status != SN_OK) status = fail_row(status, 0, (int64_t)i + 1);
    }
    json_decref(list);
    return status;
}

sn_status sn_table_read_jsonl(sn_table *table, const sn_source *source) {
    size_t first = 0;
    while (first < source->bytes && strchr(" \t\r\n", source->text[first])) first++;
    if (first == source->bytes) SN_FAIL(SN_ERR_FORMAT, "is empty; expected one JSON object a line");
    rows r = {.table = table};
    sn_status status = source->text[first] == '[' ? read_list(&r, source) : read_lines(&r, source);
    sn_buf_free(&r.text);
    sn_free(r.from);
    sn_free(r.size);
    sn_free(r.cells);
    return status;
}
