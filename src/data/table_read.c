/* table_read.c: from a path to a filled table: choose the reader, get UTF-8, run it, check what came out. */
#include <string.h>
#include <sys/stat.h>

#include "data/encoding.h"
#include "data/table_build.h"

typedef struct reader_row {
    const char *endings, *what;
    sn_table_reader_fn *read;
} reader_row;

static const reader_row readers[] = {
#define SN_READER(id, endings, what) {endings, what, sn_table_read_##id},
#include "data/table_readers.def"
#undef SN_READER
};
enum { READERS = sizeof readers / sizeof *readers };

/* Files people try, and what to do with them. */
static const struct { const char *ending, *advice; } refused[] = {
    {".xlsx", "a spreadsheet; save it as CSV UTF-8"},  {".xls", "a spreadsheet; save it as CSV UTF-8"},
    {".ods", "a spreadsheet; save it as CSV UTF-8"},   {".parquet", "a Parquet file; export it as CSV or JSON Lines"},
    {".arrow", "an Arrow file; export it as CSV or JSON Lines"},
    {".gz", "compressed; unpack it first"},            {".zip", "an archive; unpack it first"},
    {".xz", "compressed; unpack it first"},            {".zst", "compressed; unpack it first"},
    {".tar", "an archive; unpack it first"},
};

static bool has_ending(const char *name, const char *endings) {
    while (*endings) {
        char one[16];
        size_t n = strcspn(endings, " ");
        memcpy(one, endings, n);
        one[n] = '\0';
        if (sn_ends_with(name, one)) return true;
        endings += n + (endings[n] == ' ');
    }
    return false;
}

static sn_status choose(const char *name, const reader_row **out) {
    for (int i = 0; i < READERS; i++) {
        if (!has_ending(name, readers[i].endings)) continue;
        *out = &readers[i];
        return SN_OK;
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (sn_ends_with(name, refused[i].ending))
            SN_FAIL(SN_ERR_UNSUPPORTED, "%s: is %s", name, refused[i].advice);
    }
    sn_buf known = {0};
    for (int i = 0; i < READERS; i++) sn_buf_printf(&known, "%s%s", i ? ", " : "", readers[i].endings);
    sn_status status = sn_buf_check(&known);
    if (status == SN_OK)
        status = sn_fail(SN_ERR_UNSUPPORTED,
                         "%s: what kind of data this is does not show in its name; known endings: %s",
                         name, known.data);
    sn_buf_free(&known);
    return status;
}

/* The reader's error with the file before it, once. */
static sn_status fail_reading(const char *path, sn_status status) {
    if (status == SN_ERR_MEMORY) return status;
    if (strncmp(sn_error_message(), path, strlen(path))) (void)sn_fail_in("%s", path);
    (void)sn_fail_at(path, 0, NULL);
    return status;
}

static sn_status run(const reader_row *reader, sn_source source, sn_table **out) {
    sn_table *table;
    const sn_table_options *options = source.options;
    SN_TRY(sn_table_create(source.path, options ? options->media_root : NULL, &table));
    source.limit = options && options->limit > 0 ? options->limit : INT64_MAX;
    sn_status status = reader->read(table, &source);
    if (status == SN_OK && !sn_table_rows(table))
        status = sn_fail(SN_ERR_FORMAT, sn_table_columns(table) ? "has a header but no rows" : "has no rows");
    if (status == SN_OK) {
        *out = table;
        return SN_OK;
    }
    sn_table_free(table);
    return fail_reading(source.path, status);
}

sn_status sn_table_parse(const char *name, const void *bytes, size_t size, const sn_table_options *options,
                         sn_table **out) {
    *out = NULL;
    const reader_row *reader;
    SN_TRY(choose(name, &reader));
    sn_decoded decoded;
    SN_TRY(sn_decode(name, options ? options->encoding : NULL, bytes, size, &decoded));
    sn_source source = {.path = name, .text = decoded.text, .bytes = decoded.bytes, .options = options};
    sn_status status = run(reader, source, out);
    sn_decoded_free(&decoded);
    return status;
}

sn_status sn_table_read(const char *path, const sn_table_options *options, sn_table **out) {
    *out = NULL;
    const reader_row *reader;
    if (sn_is_directory(path)) {
        SN_TRY(choose("/", &reader));
        return run(reader, (sn_source){.path = path, .text = "", .options = options}, out);
    }
    sn_bytes bytes;
    struct stat st;
    if (!stat(path, &st)) SN_TRY(choose(path, &reader)); /* a missing file is told before an odd name */
    SN_TRY(sn_file_map(path, &bytes));
    sn_status status = sn_table_parse(path, bytes.data, bytes.size, options, out);
    sn_bytes_free(&bytes);
    return status;
}
