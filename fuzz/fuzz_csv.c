/* fuzz_csv.c: arbitrary bytes as CSV, TSV and JSON Lines, in some encodings, and everything asked of a table.
 *
 * Build with clang -fsanitize=fuzzer,address,undefined; the test suite replays seeds through the same entry.
 * The first byte chooses reader and encoding. What must hold: no crash, no leak, every cell readable. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/split.h"
#include "data/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sn_status ignore(void *context, const char *item, size_t bytes) {
    (void)item;
    *(size_t *)context += bytes;
    return SN_OK;
}

static void ask_cells(const sn_table *table) {
    size_t sum = 0;
    for (int64_t row = 0; row < sn_table_rows(table) && row < 100; row++) {
        for (int column = 0; column < sn_table_columns(table) && column < 20; column++) {
            const char *cell = sn_table_cell(table, row, column);
            double x[4];
            int64_t n;
            int b;
            char *path;
            sum += strlen(cell) + sn_cell_empty(cell) + sn_cell_number(cell, x) + sn_cell_binary(cell, &b);
            sum += sn_cell_date(cell, x) + sn_cell_vector(cell, x, 4, &n);
            (void)sn_cell_items(cell, ignore, &sum);
            if (sn_table_media_path(table, row, column, &path) == SN_OK) free(path);
        }
        sum += (size_t)sn_table_line(table, row);
    }
    if (sum == SIZE_MAX) abort(); /* keeps the loop */
}

static void ask_columns(const sn_table *table) {
    int found;
    (void)sn_table_column(table, "label", &found);
    for (int column = 0; column < sn_table_columns(table) && column < 20; column++) {
        sn_column_guess guess;
        sn_split split;
        sn_split_options options = {.valid_fraction = 0.2, .seed = 1, .target = column, .group = -1, .split = -1};
        if (sn_column_infer(table, column, &guess) != SN_OK || (unsigned)guess.kind >= SN_KIND_COUNT) abort();
        if (sn_split_make(table, &options, &split) == SN_OK) sn_split_free(&split);
        options.group = options.split = column;
        if (sn_split_make(table, &options, &split) == SN_OK) sn_split_free(&split);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"a.csv", "a.tsv", "a.jsonl", "a.json"};
    static const char *const encodings[] = {NULL, "gb18030", "utf-16", "latin1"};
    if (!size) return 0;
    sn_table *table;
    sn_table_options options = {.encoding = encodings[data[0] >> 2 & 3], .media_root = "/nowhere"};
    if (sn_table_parse(names[data[0] & 3], data + 1, size - 1, &options, &table) != SN_OK) return 0;
    ask_cells(table);
    ask_columns(table);
    sn_table_free(table);
    return 0;
}
