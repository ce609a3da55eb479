/* table.h: the data as the user wrote it: rows of named text cells, whatever the file kind.
 *
 *   CSV / TSV / JSON Lines / folder of class folders / folder with metadata.csv  ->  sn_table
 *
 * Readers are one table (table_readers.def), one file each. A cell is a NUL-terminated UTF-8 string; an empty
 * cell (or null, or a missing key in JSON Lines) is "". A JSON list of strings or numbers becomes its compact
 * JSON text. Rows are counted from 1 in every message; `line` is the line in the file where the row starts.
 * Ragged rows, bad UTF-8, duplicate or empty column names, and a file without rows are errors that name file
 * and line. A UTF-8 BOM and CRLF are accepted. */
#ifndef SN_DATA_TABLE_H
#define SN_DATA_TABLE_H
#include "base/text.h"

typedef struct sn_table sn_table;

typedef struct sn_table_options {
    const char *encoding;   /* NULL: UTF-8; else any name iconv knows, such as "gb18030" */
    const char *media_root; /* NULL: the folder of the file */
    int64_t limit;          /* read at most so many rows; 0: all */
} sn_table_options;

/* Opens a data file or folder. Bytes that are not UTF-8 give an error which names the line and, when the
 * whole file decodes as GB18030, proposes "--encoding gb18030" (otherwise latin1 / utf-16 by their marks). */
sn_status sn_table_read(const char *path, const sn_table_options *options, sn_table **out);
/* The same from bytes in memory; `name` chooses the reader by its ending and stands in messages. */
sn_status sn_table_parse(const char *name, const void *bytes, size_t size, const sn_table_options *options,
                         sn_table **out);
/* A table from memory: one row of `columns` named cells, for `predict MODEL COL=VALUE`; strings are copied. */
sn_status sn_table_from_cells(int columns, const char *const *names, const char *const *cells, const char *media_root,
                              sn_table **out);
void sn_table_free(sn_table *table);

const char *sn_table_path(const sn_table *table);
int64_t sn_table_rows(const sn_table *table);
int sn_table_columns(const sn_table *table);
const char *sn_table_column_name(const sn_table *table, int column);
int sn_table_find(const sn_table *table, const char *name);     /* -1 when there is none */
/* As find, but fails with the nearest name and the list of columns. */
sn_status sn_table_column(const sn_table *table, const char *name, int *out);
const char *sn_table_cell(const sn_table *table, int64_t row, int column); /* row from 0; "" when empty */
int64_t sn_table_line(const sn_table *table, int64_t row);      /* 0 where the source has no lines */
/* Path of a media cell, joined with the media root; from the heap. A Windows path ("C:\x", backslashes), an
 * http(s) address and a cell with several files ("a.jpg;b.jpg" where that name does not exist) are errors
 * that say what to do instead. */
sn_status sn_table_media_path(const sn_table *table, int64_t row, int column, char **out);

/* ---- column kinds ------------------------------------------------------------------------- */

typedef enum sn_kind {
    SN_KIND_NUMBER, SN_KIND_CATEGORY, SN_KIND_BINARY, SN_KIND_TEXT, SN_KIND_IMAGE, SN_KIND_AUDIO,
    SN_KIND_VIDEO, SN_KIND_DATE, SN_KIND_SET, SN_KIND_VECTOR, SN_KIND_COUNT
} sn_kind;
const char *sn_kind_name(sn_kind kind); /* Ludwig's words: "number" "category" … */
sn_status sn_kind_by_name(const char *name, sn_kind *out);

typedef struct sn_column_guess {
    sn_kind kind;
    bool sure;          /* false: say it, and how to change it (a 1-to-5 rating, an id-like column) */
    int64_t distinct;   /* distinct non-empty values (counting stops at 10,000) */
    int64_t missing;    /* empty cells */
    char why[160];      /* "5 whole numbers from 1 to 5; --type rating=category reads them as classes" */
} sn_column_guess;
/* Guesses a column's kind from all its cells. */
sn_status sn_column_infer(const sn_table *table, int column, sn_column_guess *out);
/* Is the cell empty after trimming ASCII space? */
bool sn_cell_empty(const char *cell);
/* Whole cell as a finite number ("1e3", "-0.5", surrounding space); false when it is not one. */
bool sn_cell_number(const char *cell, double *out);
/* yes/no true/false 1/0 t/f y/n on/off (ASCII case ignored); false when it is none. */
bool sn_cell_binary(const char *cell, int *out);
/* ISO 8601: 2024-05-31, also with T or space and 12:30[:59[.5]], Z or +02:00; seconds since 1970, UTC. */
bool sn_cell_date(const char *cell, double *out);
/* Numbers separated by spaces, or a JSON list of numbers. Writes at most `room`, *count is how many there are;
 * false when any part is no number or there is none. */
bool sn_cell_vector(const char *cell, double *out, int64_t room, int64_t *count);
/* The items of a set: separated by '|', without one by ';', or a JSON list of strings and numbers. Space around
 * an item is dropped, empty items are left out. Stops at a failure of `item` and forwards it. */
typedef sn_status sn_item_fn(void *context, const char *item, size_t bytes);
sn_status sn_cell_items(const char *cell, sn_item_fn *item, void *context);
/* Image, audio or video by the ending of a file name; false for any other name. */
bool sn_media_kind(const char *name, sn_kind *out);
#endif
