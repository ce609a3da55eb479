/* split.c: training, validation and test rows.
 *
 *   rows -> (split column: as it says)
 *        -> by class, each class ordered by hash of (seed, row): the first share of each is held out
 *        -> by group, groups ordered by hash of (seed, group): whole groups are held out until the share is met
 *
 * Shares are rounded with the remainder carried to the next class, so that the whole comes out right even
 * where every class is small; each class keeps at least one row to learn from. */
#include "data/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/rng.h"

enum { TRAIN, VALID, TEST, SIDES };

typedef struct item {
    int64_t row, class; /* class: number of the class or group */
    uint64_t hash;
} item;

static uint64_t draw(uint64_t seed, const char *stream, uint64_t n) {
    uint32_t w[4];
    sn_rng_block((sn_rng_key){seed, sn_hash(stream, strlen(stream))}, n, 0, w);
    return (uint64_t)w[0] << 32 | w[1];
}

static int by_class(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->class != y->class) return x->class < y->class ? -1 : 1;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Numbers the values of a column in order of appearance; an empty cell is a value too. column -1: all 0. */
static sn_status number_values(const sn_table *table, int column, item *items, int64_t n, int64_t *values) {
    sn_map map = {0};
    sn_status status = SN_OK;
    *values = column < 0;
    for (int64_t i = 0; column >= 0 && i < n && status == SN_OK; i++) {
        const char *cell = sn_table_cell(table, items[i].row, column);
        size_t bytes = strlen(cell);
        items[i].class = sn_map_get(&map, cell, bytes);
        if (items[i].class >= 0) continue;
        status = sn_map_put(&map, cell, bytes, *values);
        items[i].class = (*values)++;
    }
    sn_map_free(&map);
    return status;
}

/* ---- the three ways; each fills side[row] for the rows of items ---- */

static void hold_out_by_class(item *items, int64_t n, double fraction, unsigned char *side) {
    qsort(items, (size_t)n, sizeof *items, by_class);
    double owed = 0;
    for (int64_t first = 0, end; first < n; first = end) {
        for (end = first; end < n && items[end].class == items[first].class; end++) continue;
        int64_t all = end - first;
        owed += fraction * (double)all;
        int64_t take = (int64_t)floor(owed + 0.5);
        if (take > all - 1) take = all - 1;
        for (int64_t i = 0; i < take; i++) side[items[first + i].row] = VALID;
        owed -= (double)take;
        if (owed > 1) owed = 1; /* a class that could not give is not paid for by one that follows */
    }
}

typedef struct group {
    uint64_t hash;
    int64_t number, size;
} group;

static int by_hash(const void *a, const void *b) {
    const group *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* In the order of their hashes, groups are held out as long as that brings the side nearer to its share; the
 * last one left always stays to learn from, and the smallest is taken when all are too large. */
static void choose_groups(group *groups, int64_t n, double share, unsigned char *held) {
    qsort(groups, (size_t)n, sizeof *groups, by_hash);
    double taken = 0;
    int64_t smallest = 0, count = 0;
    for (int64_t g = 0; g < n; g++) {
        double size = (double)groups[g].size;
        if (groups[g].size < groups[smallest].size) smallest = g;
        if (count + 1 == n || fabs(taken + size - share) >= fabs(taken - share)) continue;
        taken += size;
        count++;
        held[groups[g].number] = 1;
    }
    if (!count) held[groups[smallest].number] = 1;
}

static sn_status hold_out_by_group(const sn_table *table, const item *items, int64_t n, int64_t count,
                                   const sn_split_options *o, unsigned char *side) {
    group *groups = sn_alloc((size_t)count, sizeof *groups);
    unsigned char *held = sn_alloc((size_t)count, 1);
    sn_status status = groups && held ? SN_OK : SN_ERR_MEMORY;
    for (int64_t i = 0; i < n && status == SN_OK; i++) {
        group *g = &groups[items[i].class];
        if (g->size++) continue;
        const char *value = sn_table_cell(table, items[i].row, o->group);
        g->number = items[i].class;
        g->hash = draw(o->seed, "split.group", sn_hash(value, strlen(value)));
    }
    if (status == SN_OK) choose_groups(groups, count, o->valid_fraction * (double)n, held);
    for (int64_t i = 0; i < n && status == SN_OK; i++) {
        if (held[items[i].class]) side[items[i].row] = VALID;
    }
    sn_free(groups);
    sn_free(held);
    return status;
}

static sn_status read_side(const sn_table *table, int64_t row, int column, unsigned char *side) {
    static const struct { const char *word; unsigned char side; } words[] = {
        {"train", TRAIN}, {"training", TRAIN}, {"0", TRAIN}, {"validation", VALID}, {"valid", VALID},
        {"val", VALID},   {"dev", VALID},      {"1", VALID}, {"test", TEST},        {"testing", TEST},
        {"2", TEST}};
    const char *cell = sn_table_cell(table, row, column);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(cell, words[i].word)) continue;
        *side = words[i].side;
        return SN_OK;
    }
    (void)sn_fail(SN_ERR_FORMAT, "row %lld: \"%.40s\" in the split column; expected train, validation or test",
                  (long long)row + 1, cell);
    return sn_fail_at(sn_table_path(table), row + 1, sn_table_column_name(table, column));
}

/* ---- putting together ---- */

static sn_status hold_out(const sn_table *table, const sn_split_options *o, unsigned char *side) {
    int64_t rows = sn_table_rows(table), n = 0, values;
    if (!(o->valid_fraction > 0 && o->valid_fraction < 1))
        SN_FAIL(SN_ERR_USAGE, "the share of validation rows is %g; expected more than 0 and less than 1",
                o->valid_fraction);
    item *items = sn_alloc((size_t)rows, sizeof *items);
    if (!items) return SN_ERR_MEMORY;
    for (int64_t row = 0; row < rows; row++) {
        if (side[row] == TRAIN) items[n++] = (item){row, 0, draw(o->seed, "split", (uint64_t)row)};
    }
    sn_status status = number_values(table, o->group >= 0 ? o->group : o->target, items, n, &values);
    if (status == SN_OK && o->group >= 0 && values < 2)
        status = sn_fail(SN_ERR_FORMAT, "column \"%s\" has one value only; groups cannot be held out by it",
                         sn_table_column_name(table, o->group));
    if (status == SN_OK && o->group >= 0) status = hold_out_by_group(table, items, n, values, o, side);
    else if (status == SN_OK) hold_out_by_class(items, n, o->valid_fraction, side);
    sn_free(items);
    return status;
}

static sn_status collect(const unsigned char *side, int64_t rows, sn_split *out) {
    int64_t count[SIDES] = {0}, *lists[SIDES] = {0};
    for (int64_t row = 0; row < rows; row++) count[side[row]]++;
    for (int s = 0; s < SIDES; s++) lists[s] = sn_alloc((size_t)count[s], sizeof(int64_t));
    *out = (sn_split){lists[TRAIN], lists[VALID], lists[TEST], count[TRAIN], count[VALID], count[TEST]};
    if (!lists[TRAIN] || !lists[VALID] || !lists[TEST]) {
        sn_split_free(out);
        return SN_ERR_MEMORY;
    }
    int64_t at[SIDES] = {0};
    for (int64_t row = 0; row < rows; row++) lists[side[row]][at[side[row]]++] = row;
    return SN_OK;
}

sn_status sn_split_make(const sn_table *table, const sn_split_options *options, sn_split *out) {
    *out = (sn_split){0};
    int64_t rows = sn_table_rows(table);
    bool valid_given = false;
    unsigned char *side = sn_alloc((size_t)rows, 1);
    if (!side) return SN_ERR_MEMORY;
    sn_status status = SN_OK;
    for (int64_t row = 0; options->split >= 0 && row < rows && status == SN_OK; row++) {
        status = read_side(table, row, options->split, &side[row]);
        valid_given |= side[row] == VALID;
    }
    if (status == SN_OK && !valid_given) status = hold_out(table, options, side);
    if (status == SN_OK) status = collect(side, rows, out);
    sn_free(side);
    if (status != SN_OK || (out->trains && out->valids)) return status;
    status = sn_fail(SN_ERR_FORMAT,
                     "no row is left for %s: %lld rows with a share of %g; more rows, another share "
                     "or a file of its own (--valid) is needed", out->trains ? "validation" : "training",
                     (long long)rows, options->valid_fraction);
    (void)sn_fail_at(sn_table_path(table), 0, NULL);
    sn_split_free(out);
    return status;
}

void sn_split_free(sn_split *split) {
    sn_free(split->train);
    sn_free(split->valid);
    sn_free(split->test);
    *split = (sn_split){0};
}
