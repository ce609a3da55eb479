/* table_folder.c: a folder as data, laid out as Hugging Face's imagefolder.
 *
 *   root/cat/1.jpg                     -> image,label         (audio, video by the files' endings)
 *   root/1.jpg                         -> image               (no class folders)
 *   root/metadata.csv | .jsonl         -> its columns; `file_name` becomes `image`, relative to the root
 *   root/train|validation|test/…       -> any of these inside, and a column `split`
 *
 * Files are taken in the order of their bytes, so the same folder always gives the same table. Names that begin
 * with a dot and files that are no media are left out; one kind of media a folder. A class is the folder right
 * below the root (or split), whatever lies deeper in it. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/table_build.h"
#include "text/utf8.h"

enum { MOST_DEPTH = 32 };

typedef struct walk {
    sn_table *table;
    const sn_source *source;
    const char *split;     /* NULL: no split column */
    bool labelled, started;
    bool metadata;         /* the columns come from a metadata file */
    int columns;           /* without split */
    sn_kind kind;          /* of the first file */
} walk;

/* ---- listing ---- */

typedef struct names {
    char **items;
    size_t count, room;
} names;

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void names_free(names *n) {
    for (size_t i = 0; i < n->count; i++) sn_free(n->items[i]);
    sn_free(n->items);
    *n = (names){0};
}

static sn_status add_name(names *n, const char *path, const char *name) {
    size_t bytes = strlen(name);
    if (sn_utf8_check(name, bytes) < bytes)
        SN_FAIL(SN_ERR_FORMAT, "%s: holds a file whose name is not UTF-8", path);
    char **items = sn_grow(n->items, n->count, &n->room, sizeof *items);
    if (!items) return SN_ERR_MEMORY;
    n->items = items;
    items[n->count] = sn_strndup(name, bytes);
    return items[n->count] ? (n->count++, SN_OK) : SN_ERR_MEMORY;
}

static sn_status list(const char *path, names *out) {
    *out = (names){0};
    DIR *dir = opendir(path);
    if (!dir) SN_FAIL(SN_ERR_IO, "%s: cannot open the folder", path);
    sn_status status = SN_OK;
    for (struct dirent *e; status == SN_OK && (e = readdir(dir));) {
        if (e->d_name[0] != '.') status = add_name(out, path, e->d_name);
    }
    (void)closedir(dir);
    if (status == SN_OK && out->count) qsort(out->items, out->count, sizeof *out->items, by_bytes);
    if (status != SN_OK) names_free(out);
    return status;
}

static bool is_folder_in(const char *path, const char *name, sn_status *status) {
    char *inner = sn_path_join(path, name);
    bool is = inner && sn_is_directory(inner);
    if (!inner) *status = SN_ERR_MEMORY;
    sn_free(inner);
    return is;
}

/* ---- class folders ---- */

static sn_status start(walk *w, const char *media) {
    w->started = true;
    SN_TRY(sn_table_add_column(w->table, media, strlen(media)));
    if (w->labelled) SN_TRY(sn_table_add_column(w->table, "label", 5));
    w->columns = sn_table_columns(w->table);
    if (w->split) SN_TRY(sn_table_add_column(w->table, "split", 5));
    return SN_OK;
}

/* `file` is relative to the root. */
static sn_status add_file(walk *w, const char *file, const char *label) {
    sn_kind kind;
    if (!sn_media_kind(file, &kind) || sn_table_rows(w->table) >= w->source->limit) return SN_OK;
    if (!w->started) {
        w->kind = kind;
        SN_TRY(start(w, sn_kind_name(kind)));
    }
    if (w->metadata) SN_FAIL(SN_ERR_FORMAT, "\"%s\": one split has a metadata file, this one has none", file);
    if (kind != w->kind)
        SN_FAIL(SN_ERR_FORMAT,
                "\"%s\" is a file of %s among files of %s; name both in a metadata.csv or a table", file,
                sn_kind_name(kind), sn_kind_name(w->kind));
    sn_slice cells[3] = {{file, strlen(file), false}};
    int count = 1;
    if (w->labelled) cells[count++] = (sn_slice){label, strlen(label), false};
    if (w->split) cells[count++] = (sn_slice){w->split, strlen(w->split), false};
    return sn_table_add_row(w->table, cells, count, 0);
}

static sn_status add_files(walk *w, const char *inner, const char *label, int depth);

/* A link to a folder deep inside may lead back up: then the walk would double at every turn. */
static sn_status add_inner(walk *w, const char *inner, const char *label, int depth) {
    struct stat st;
    char *path = sn_path_join(w->source->path, inner);
    if (!path) return SN_ERR_MEMORY;
    bool link = !lstat(path, &st) && S_ISLNK(st.st_mode);
    sn_free(path);
    if (link)
        SN_FAIL(SN_ERR_FORMAT, "\"%s\" is a link to a folder; only files and class folders may be links",
                inner);
    return add_files(w, inner, label, depth);
}

/* Adds the media files in root/inner and below. */
static sn_status add_files(walk *w, const char *inner, const char *label, int depth) {
    if (depth > MOST_DEPTH)
        SN_FAIL(SN_ERR_FORMAT, "\"%s\": folders within folders more than %d deep", inner, MOST_DEPTH);
    char *path = sn_path_join(w->source->path, inner);
    names files = {0};
    sn_status status = path ? list(path, &files) : SN_ERR_MEMORY;
    for (size_t i = 0; i < files.count && status == SN_OK; i++) {
        char *file = *inner ? sn_path_join(inner, files.items[i]) : sn_strdup(files.items[i]);
        if (!file) status = SN_ERR_MEMORY;
        else if (is_folder_in(w->source->path, file, &status)) status = add_inner(w, file, label, depth + 1);
        else if (status == SN_OK) status = add_file(w, file, label);
        sn_free(file);
    }
    names_free(&files);
    sn_free(path);
    return status;
}

/* A folder whose parts are class folders or, without any, media files. */
static sn_status add_classes(walk *w, const char *inner, const names *parts, const char *path) {
    sn_status status = SN_OK;
    size_t folders = 0;
    const char *loose = NULL;
    sn_kind kind;
    for (size_t i = 0; i < parts->count && status == SN_OK; i++) {
        if (is_folder_in(path, parts->items[i], &status)) folders++;
        else if (sn_media_kind(parts->items[i], &kind)) loose = parts->items[i];
    }
    if (folders && loose && status == SN_OK)
        SN_FAIL(SN_ERR_FORMAT,
                "\"%s\" lies beside the class folders; move it into one or give a metadata.csv", loose);
    if (!folders) return status == SN_OK ? add_files(w, inner, "", 0) : status;
    if (w->started && !w->labelled)
        SN_FAIL(SN_ERR_FORMAT, "\"%s\" has class folders, another split has none", inner);
    w->labelled = true;
    for (size_t i = 0; i < parts->count && status == SN_OK; i++) {
        if (!is_folder_in(path, parts->items[i], &status)) continue;
        char *class = *inner ? sn_path_join(inner, parts->items[i]) : sn_strdup(parts->items[i]);
        status = class ? add_files(w, class, parts->items[i], 1) : SN_ERR_MEMORY;
        sn_free(class);
    }
    return status;
}

/* ---- metadata ---- */

/* The table's columns from those of the metadata, or a check that they are the same. */
static sn_status match_columns(walk *w, const sn_table *meta, int file_column) {
    int columns = sn_table_columns(meta);
    const char *media = "file_name";
    if (sn_media_kind(sn_table_cell(meta, 0, file_column), &w->kind)) media = sn_kind_name(w->kind);
    if (sn_table_find(meta, media) >= 0) media = "file_name";
    bool fresh = !w->started;
    w->started = w->metadata = true;
    if (fresh) w->columns = columns;
    if (columns != w->columns)
        SN_FAIL(SN_ERR_FORMAT, "%s: %d columns, unlike the %d of the split before", sn_table_path(meta),
                columns, w->columns);
    for (int i = 0; i < columns; i++) {
        const char *name = i == file_column ? media : sn_table_column_name(meta, i);
        if (fresh) SN_TRY(sn_table_add_column(w->table, name, strlen(name)));
        else if (strcmp(sn_table_column_name(w->table, i), name))
            SN_FAIL(SN_ERR_FORMAT, "%s: column %d is \"%s\", unlike the metadata of the split before",
                    sn_table_path(meta),
                    i + 1, name);
    }
    if (fresh && w->split && sn_table_find(meta, "split") < 0)
        SN_TRY(sn_table_add_column(w->table, "split", 5));
    return SN_OK;
}

static sn_status copy_rows(walk *w, const char *inner, const sn_table *meta, int file_column, sn_slice *cells) {
    int columns = w->columns;
    bool add_split = sn_table_columns(w->table) > columns;
    for (int64_t row = 0; row < sn_table_rows(meta) && sn_table_rows(w->table) < w->source->limit; row++) {
        for (int i = 0; i < columns; i++) {
            const char *cell = sn_table_cell(meta, row, i);
            cells[i] = (sn_slice){cell, strlen(cell), false};
        }
        char *file = NULL;
        if (*inner && cells[file_column].bytes) {
            file = sn_path_join(inner, cells[file_column].data);
            if (!file) return SN_ERR_MEMORY;
            cells[file_column] = (sn_slice){file, strlen(file), false};
        }
        if (add_split) cells[columns] = (sn_slice){w->split, strlen(w->split), false};
        sn_status status = sn_table_add_row(w->table, cells, columns + add_split, sn_table_line(meta, row));
        sn_free(file);
        SN_TRY(status);
    }
    return SN_OK;
}

static sn_status add_metadata(walk *w, const char *inner, const char *path, const char *name) {
    sn_table *meta = NULL;
    sn_slice *cells = NULL;
    int file_column;
    sn_status status = SN_ERR_MEMORY;
    char *file = sn_path_join(path, name);
    if (file) status = sn_table_read(file, w->source->options, &meta);
    if (status == SN_OK) status = sn_table_column(meta, "file_name", &file_column);
    if (status == SN_OK) status = match_columns(w, meta, file_column);
    if (status == SN_OK) {
        cells = sn_alloc((size_t)sn_table_columns(meta) + 1, sizeof *cells);
        status = cells ? copy_rows(w, inner, meta, file_column, cells) : SN_ERR_MEMORY;
    }
    sn_free(cells);
    sn_table_free(meta);
    sn_free(file);
    return status;
}

/* ---- splits and the whole ---- */

static bool is_metadata(const char *name) {
    return !strcmp(name, "metadata.csv") || !strcmp(name, "metadata.jsonl");
}

static sn_status add_part(walk *w, const char *inner) {
    char *path = *inner ? sn_path_join(w->source->path, inner) : sn_strdup(w->source->path);
    names parts = {0};
    sn_status status = path ? list(path, &parts) : SN_ERR_MEMORY;
    const char *metadata = NULL;
    for (size_t i = 0; i < parts.count; i++) {
        if (is_metadata(parts.items[i])) metadata = parts.items[i];
    }
    if (status == SN_OK && metadata) status = add_metadata(w, inner, path, metadata);
    else if (status == SN_OK) status = add_classes(w, inner, &parts, path);
    names_free(&parts);
    sn_free(path);
    return status;
}

static const char *split_of(const char *name) {
    static const char *const words[][2] = {{"train", "train"},    {"training", "train"}, {"validation", "validation"},
                                           {"valid", "validation"}, {"val", "validation"}, {"dev", "validation"},
                                           {"test", "test"},      {"testing", "test"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strcasecmp(name, words[i][0])) return words[i][1];
    }
    return NULL;
}

static sn_status add_splits(walk *w, const names *top, bool *any) {
    sn_status status = SN_OK;
    *any = false;
    for (size_t i = 0; i < top->count && status == SN_OK; i++) {
        if (is_metadata(top->items[i])) return SN_OK;
    }
    for (size_t i = 0; i < top->count && status == SN_OK; i++) {
        const char *split = split_of(top->items[i]);
        if (!split || !is_folder_in(w->source->path, top->items[i], &status)) continue;
        *any = true;
        w->split = split;
        status = add_part(w, top->items[i]);
    }
    return status;
}

/* A folder that holds tables was probably meant to be named by one of them. */
static sn_status fail_without_files(const names *top) {
    for (size_t i = 0; i < top->count; i++) {
        if (sn_ends_with(top->items[i], ".csv") || sn_ends_with(top->items[i], ".tsv") ||
            sn_ends_with(top->items[i], ".jsonl"))
            SN_FAIL(SN_ERR_FORMAT, "the folder has no class folders; give the file %s in it instead",
                    top->items[i]);
    }
    SN_FAIL(SN_ERR_FORMAT, "the folder holds no image, audio or video files");
}

sn_status sn_table_read_folder(sn_table *table, const sn_source *source) {
    walk w = {.table = table, .source = source};
    names top;
    bool splits;
    SN_TRY(list(source->path, &top));
    sn_status status = add_splits(&w, &top, &splits);
    if (status == SN_OK && !splits) {
        for (size_t i = 0; i < top.count && status == SN_OK; i++) {
            /* media under images/ next to train.csv are not a class called "images" */
            if (!strcmp(top.items[i], "train.csv") || !strcmp(top.items[i], "train.jsonl"))
                status = sn_fail(SN_ERR_FORMAT,
                                 "the folder has no class folders; give the file %s in it instead",
                                 top.items[i]);
        }
        if (status == SN_OK) status = add_part(&w, "");
    }
    if (status == SN_OK && !sn_table_rows(table)) status = fail_without_files(&top);
    names_free(&top);
    return status;
}
