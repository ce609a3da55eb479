/* table_build.h: what a table reader sees: a source to read and a table to fill.
 *
 * sn_table_read -> bytes as UTF-8 (encoding.c) -> the reader of the row in table_readers.def
 *               -> sn_table_add_column for every column, sn_table_add_row for every row
 *
 * One row is one record in an arena: its line, the offsets of its cells (4 bytes each) and their text, so a
 * million rows cost little more than the file itself. A row may have fewer cells than the table has columns
 * (JSON Lines finds columns as it goes); the missing ones read as "". */
#ifndef SN_DATA_TABLE_BUILD_H
#define SN_DATA_TABLE_BUILD_H
#include "base/file.h"
#include "data/table.h"

/* A piece of text; `doubled`: every two quotation marks in it stand for one (RFC 4180). */
typedef struct sn_slice {
    const char *data;
    size_t bytes;
    bool doubled;
} sn_slice;

/* What a reader gets. A folder has no text. */
typedef struct sn_source {
    const char *path; /* for messages; and the folder itself */
    const char *text; /* UTF-8 without mark and without NUL bytes; not NUL-terminated */
    size_t bytes;
    int64_t limit;    /* rows; INT64_MAX when the user set none */
    const sn_table_options *options;
} sn_source;

typedef sn_status sn_table_reader_fn(sn_table *table, const sn_source *source);
#define SN_READER(id, endings, what) sn_table_reader_fn sn_table_read_##id;
#include "data/table_readers.def"
#undef SN_READER

/* An empty table. `media_root` NULL: the folder of `path` (a folder: itself). */
sn_status sn_table_create(const char *path, const char *media_root, sn_table **out);
/* Space around a name is dropped; an empty or repeated name is an error. */
sn_status sn_table_add_column(sn_table *table, const char *name, size_t bytes);
/* Copies `count` cells, count <= columns. */
sn_status sn_table_add_row(sn_table *table, const sn_slice *cells, int count, int64_t line);
/* Fails when the names just read look like a row of data: numbers only, or a media file that exists. */
sn_status sn_table_check_header(const sn_table *table);

/* The start of `text` for a message, at most 40 bytes and whole characters; returns `out`. */
const char *sn_excerpt(char out[48], const char *text, size_t bytes);
#endif
