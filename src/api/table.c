/* table.c: opening and inspecting a table through the public interface.
 *
 *   inspect: column -> kind -> every distinct cell checked once, in parallel -> the rows that hold a broken one
 *
 * What "broken" means is one row of `checks` a kind: a media file must decode to its end, a number must parse. Kinds
 * without a row (text, category, …) cannot be broken. */
#include "data/table.h"
#include "features/feature.h"

#include <stdatomic.h>
#include <string.h>

#include "api/api.h"
#include "base/parallel.h"
#include "media/audio.h"
#include "media/image.h"

enum { CHUNK = 8 };

sn_status sn_table_open(const char *path, const char *options, sn_table **out) {
    static const char *const keys[] = {"encoding", "media_root", "limit", NULL};
    *out = NULL;
    json_t *given;
    sn_table_options o = {0};
    SN_TRY(sn_options_parse(options, keys, &given));
    sn_status status = sn_json_string(given, "encoding", NULL, &o.encoding);
    if (status == SN_OK) status = sn_json_string(given, "media_root", NULL, &o.media_root);
    if (status == SN_OK) status = sn_options_int(given, "limit", 0, 0, INT64_MAX, &o.limit);
    if (o.media_root && !o.media_root[0]) o.media_root = NULL;
    if (o.encoding && !o.encoding[0]) o.encoding = NULL;
    if (status == SN_OK) status = sn_table_read(path, &o, out);
    json_decref(given);
    return status;
}

/* ---- what can be wrong with a cell, by kind ---- */

static sn_status check_image(const char *path) {
    sn_image image;
    SN_TRY(sn_image_read(path, SN_CELL_MOST_PIXELS, &image));
    sn_image_free(&image);
    return SN_OK;
}

static sn_status check_audio(const char *path) {
    sn_audio audio;
    SN_TRY(sn_audio_read(path, 0, &audio));
    sn_audio_free(&audio);
    return SN_OK;
}

static sn_status check_file(const char *path) {
    sn_bytes bytes;
    SN_TRY(sn_file_map(path, &bytes));
    size_t size = bytes.size;
    sn_bytes_free(&bytes);
    if (!size) SN_FAIL(SN_ERR_FORMAT, "%s: the file is empty", path);
    return SN_OK;
}

static sn_status check_number(const char *cell) {
    double x;
    if (!sn_cell_number(cell, &x)) SN_FAIL(SN_ERR_FORMAT, "\"%.40s\" is not a number", cell);
    return SN_OK;
}

static sn_status check_date(const char *cell) {
    double x;
    if (!sn_cell_date(cell, &x)) SN_FAIL(SN_ERR_FORMAT, "\"%.40s\" is not a date such as 2024-05-31", cell);
    return SN_OK;
}

static sn_status check_vector(const char *cell) {
    int64_t count;
    if (!sn_cell_vector(cell, NULL, 0, &count)) SN_FAIL(SN_ERR_FORMAT, "\"%.40s\" is not a list of numbers", cell);
    return SN_OK;
}

typedef struct check {
    sn_status (*of)(const char *text); /* the cell, or the path of its file */
    bool media;
} check;
static const check checks[SN_KIND_COUNT] = {
    [SN_KIND_IMAGE] = {check_image, true},   [SN_KIND_AUDIO] = {check_audio, true}, [SN_KIND_VIDEO] = {check_file, true},
    [SN_KIND_NUMBER] = {check_number, false}, [SN_KIND_DATE] = {check_date, false},  [SN_KIND_VECTOR] = {check_vector, false},
};

/* ---- one column ---- */

typedef struct survey {
    const sn_table *table;
    int column;
    const check *check;
    int64_t *unique;    /* per row: number of its cell, -1 empty */
    int64_t *first_row; /* per distinct cell */
    char **why;         /* per distinct cell; NULL: whole */
    int64_t n;
    atomic_bool out_of_memory;
} survey;

static void survey_free(survey *s) {
    for (int64_t i = 0; s->why && i < s->n; i++) sn_free(s->why[i]);
    sn_free(s->why);
    sn_free(s->unique);
    sn_free(s->first_row);
}

static sn_status find_distinct(survey *s) {
    int64_t rows = sn_table_rows(s->table);
    sn_map seen = {0};
    sn_status status = SN_OK;
    s->unique = sn_alloc((size_t)rows, sizeof *s->unique);
    s->first_row = sn_alloc((size_t)rows, sizeof *s->first_row);
    s->why = sn_alloc((size_t)rows, sizeof *s->why);
    if (!s->unique || !s->first_row || !s->why) return SN_ERR_MEMORY;
    for (int64_t r = 0; status == SN_OK && r < rows; r++) {
        const char *cell = sn_table_cell(s->table, r, s->column);
        s->unique[r] = -1;
        if (sn_cell_empty(cell)) continue;
        s->unique[r] = sn_map_get(&seen, cell, strlen(cell));
        if (s->unique[r] >= 0) continue;
        s->unique[r] = s->n;
        s->first_row[s->n] = r;
        status = sn_map_put(&seen, cell, strlen(cell), s->n++);
    }
    sn_map_free(&seen);
    return status;
}

static void check_chunk(void *context, int64_t chunk) {
    survey *s = context;
    for (int64_t i = chunk * CHUNK; i < s->n && i < (chunk + 1) * CHUNK; i++) {
        char *path = NULL;
        sn_status status = s->check->media ? sn_table_media_path(s->table, s->first_row[i], s->column, &path) : SN_OK;
        if (status == SN_OK) status = s->check->of(s->check->media ? path : sn_table_cell(s->table, s->first_row[i], s->column));
        sn_free(path);
        if (status == SN_OK) continue;
        s->why[i] = sn_strdup(sn_error_message());
        if (status == SN_ERR_MEMORY || !s->why[i]) atomic_store(&s->out_of_memory, true);
    }
}

/* [{"row", "line", "why"}] */
static sn_status list_broken(const survey *s, json_t *list) {
    for (int64_t r = 0; r < sn_table_rows(s->table); r++) {
        int64_t line = sn_table_line(s->table, r);
        if (s->unique[r] < 0 || !s->why[s->unique[r]]) continue;
        json_t *item = json_pack("{s:I}", "row", (json_int_t)r + 1);
        if (line) (void)json_object_set_new(item, "line", json_integer((json_int_t)line));
        if (json_object_set_new(item, "why", json_string(s->why[s->unique[r]])) || json_array_append_new(list, item))
            SN_FAIL(SN_ERR_MEMORY, "out of memory");
    }
    return SN_OK;
}

static sn_status find_broken(const sn_table *table, int column, sn_kind kind, int threads, json_t *list) {
    survey s = {.table = table, .column = column, .check = &checks[kind]};
    if (!s.check->of) return SN_OK;
    sn_status status = find_distinct(&s);
    if (status == SN_OK) status = sn_threads_enter(threads);
    if (status == SN_OK) sn_parallel(threads, (s.n + CHUNK - 1) / CHUNK, check_chunk, &s);
    if (status == SN_OK && atomic_load(&s.out_of_memory))
        status = sn_fail(SN_ERR_MEMORY, "out of memory while reading column \"%s\"", sn_table_column_name(table, column));
    if (status == SN_OK) status = list_broken(&s, list);
    survey_free(&s);
    return status;
}

static sn_status inspect_column(const sn_table *table, int column, const json_t *types, int threads, json_t *columns) {
    const char *name = sn_table_column_name(table, column), *given;
    sn_column_guess guess;
    SN_TRY(sn_column_infer(table, column, &guess));
    SN_TRY(sn_json_string(types, name, NULL, &given));
    if (given) SN_TRY(sn_kind_by_name(given, &guess.kind));
    json_t *item = json_pack("{s:s, s:s, s:b, s:s, s:I, s:I, s:[]}", "name", name, "kind", sn_kind_name(guess.kind), "sure",
                             given ? 1 : (int)guess.sure, "why", given ? "as given" : guess.why, "missing", (json_int_t)guess.missing,
                             "distinct", (json_int_t)guess.distinct, "broken");
    if (!item || json_array_append_new(columns, item)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return find_broken(table, column, guess.kind, threads, json_object_get(item, "broken"));
}

sn_status sn_table_inspect(const sn_table *table, const char *options, char **json) {
    static const char *const keys[] = {"types", "threads", NULL};
    json_t *given, *types = NULL, *columns = json_array(), *value;
    const char *name;
    int64_t threads;
    int column;
    *json = NULL;
    sn_status status = sn_options_parse(options, keys, &given);
    if (status == SN_OK) status = sn_json_object(given, "types", &types);
    if (status == SN_OK) status = sn_options_int(given, "threads", 0, 0, 1024, &threads);
    json_object_foreach(types, name, value) if (status == SN_OK) status = sn_table_column(table, name, &column);
    for (int c = 0; status == SN_OK && c < sn_table_columns(table); c++)
        status = inspect_column(table, c, types, threads ? (int)threads : sn_threads_available(), columns);
    if (status == SN_OK)
        status = sn_json_text(json_pack("{s:i, s:I, s:O}", "schema", 1, "rows", (json_int_t)sn_table_rows(table), "columns", columns), json);
    json_decref(columns);
    json_decref(given);
    return status;
}
