/* history.c: rows of numbers in memory, one CSV file on disk.
 *
 * The metrics lie in one growing list of (row, metric, value), in order of rows: an epoch has few of them, and the
 * columns are not known before the last epoch. */
#include "train/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/table.h"

typedef struct value {
    int64_t row;
    int metric;
    double value;
} value;

struct sn_history {
    char *path;
    sn_epoch *epochs;
    size_t rows, row_room;
    char **metrics;
    size_t metric_count, metric_room;
    value *values;
    size_t value_count, value_room;
};

static const char *const columns[] = {"epoch", "seconds", "train_loss", "valid_loss", "learning_rate"};
enum { COLUMNS = 5 };

sn_status sn_history_create(const char *path, sn_history **out) {
    sn_history *h = *out = sn_alloc(1, sizeof *h);
    if (!h) return SN_ERR_MEMORY;
    h->path = path ? sn_strdup(path) : NULL;
    if (!path || h->path) return SN_OK;
    sn_history_free(h);
    *out = NULL;
    return SN_ERR_MEMORY;
}

void sn_history_free(sn_history *h) {
    if (!h) return;
    for (size_t i = 0; i < h->metric_count; i++) sn_free(h->metrics[i]);
    sn_free(h->metrics);
    sn_free(h->epochs);
    sn_free(h->values);
    sn_free(h->path);
    sn_free(h);
}

/* ---- questions ---- */

int64_t sn_history_rows(const sn_history *h) { return (int64_t)h->rows; }
const sn_epoch *sn_history_epoch(const sn_history *h, int64_t row) { return &h->epochs[row]; }
int sn_history_metrics(const sn_history *h) { return (int)h->metric_count; }
const char *sn_history_metric_name(const sn_history *h, int metric) { return h->metrics[metric]; }

double sn_history_metric(const sn_history *h, int64_t row, int metric) {
    for (size_t i = 0; i < h->value_count; i++)
        if (h->values[i].row == row && h->values[i].metric == metric) return h->values[i].value;
    return NAN;
}

/* ---- adding ---- */

static bool is_column(const char *name) {
    for (int i = 0; i < COLUMNS; i++)
        if (!strcmp(columns[i], name)) return true;
    return false;
}

static sn_status metric_number(sn_history *h, const char *name, int *out) {
    for (size_t i = 0; i < h->metric_count; i++) {
        *out = (int)i;
        if (!strcmp(h->metrics[i], name)) return SN_OK;
    }
    if (!name[0] || is_column(name)) SN_FAIL(SN_ERR_USAGE, "\"%s\" cannot be the name of a metric", name);
    char **metrics = sn_grow(h->metrics, h->metric_count, &h->metric_room, sizeof *metrics);
    if (!metrics) return SN_ERR_MEMORY;
    h->metrics = metrics;
    metrics[h->metric_count] = sn_strdup(name);
    if (!metrics[h->metric_count]) return SN_ERR_MEMORY;
    *out = (int)h->metric_count++;
    return SN_OK;
}

static sn_status add_value(sn_history *h, const char *name, double x) {
    int metric = 0;
    SN_TRY(metric_number(h, name, &metric));
    if (isnan(x)) return SN_OK;
    value *values = sn_grow(h->values, h->value_count, &h->value_room, sizeof *values);
    if (!values) return SN_ERR_MEMORY;
    h->values = values;
    values[h->value_count++] = (value){(int64_t)h->rows, metric, x};
    return SN_OK;
}

/* The row counts only once all of it is there. */
static sn_status add_row(sn_history *h, const sn_epoch *epoch, const char *const *names, const double *values, int n) {
    sn_epoch *epochs = sn_grow(h->epochs, h->rows, &h->row_room, sizeof *epochs);
    if (!epochs) return SN_ERR_MEMORY;
    h->epochs = epochs;
    size_t before = h->value_count;
    for (int i = 0; i < n; i++) {
        sn_status status = add_value(h, names[i], values[i]);
        if (status == SN_OK) continue;
        h->value_count = before;
        return status;
    }
    epochs[h->rows++] = *epoch;
    return SN_OK;
}

/* ---- writing ---- */

/* The shortest of 6, 15 and 17 digits that reads back the same. */
static void put_number(sn_buf *buf, double x) {
    static const int digits[] = {6, 15, 17};
    char text[40] = "";
    for (int i = 0; i < 3 && !isnan(x); i++) {
        (void)snprintf(text, sizeof text, "%.*g", digits[i], x);
        if (strtod(text, NULL) == x) break;
    }
    sn_buf_puts(buf, text);
}

static void put_name(sn_buf *buf, const char *name) {
    if (!strpbrk(name, ",\"\r\n")) {
        sn_buf_puts(buf, name);
        return;
    }
    sn_buf_puts(buf, "\"");
    for (; *name; name++) sn_buf_add(buf, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    sn_buf_puts(buf, "\"");
}

static void put_row(sn_buf *buf, const sn_history *h, int64_t row, size_t *at) {
    const sn_epoch *e = &h->epochs[row];
    const double fixed[] = {e->seconds, e->train_loss, e->valid_loss, e->learning_rate};
    sn_buf_printf(buf, "%lld", (long long)e->epoch);
    for (int i = 0; i < 4; i++) {
        sn_buf_puts(buf, ",");
        put_number(buf, fixed[i]);
    }
    size_t first = *at;
    while (*at < h->value_count && h->values[*at].row == row) ++*at;
    for (size_t m = 0; m < h->metric_count; m++) {
        sn_buf_puts(buf, ",");
        size_t i = first;
        while (i < *at && h->values[i].metric != (int)m) i++;
        if (i < *at) put_number(buf, h->values[i].value);
    }
    sn_buf_puts(buf, "\n");
}

static sn_status write_file(const sn_history *h) {
    sn_buf buf = {0};
    size_t at = 0;
    sn_buf_puts(&buf, "epoch,seconds,train_loss,valid_loss,learning_rate");
    for (size_t m = 0; m < h->metric_count; m++) {
        sn_buf_puts(&buf, ",");
        put_name(&buf, h->metrics[m]);
    }
    sn_buf_puts(&buf, "\n");
    for (size_t row = 0; row < h->rows; row++) put_row(&buf, h, (int64_t)row, &at);
    sn_status status = sn_buf_check(&buf);
    if (status == SN_OK) status = sn_file_write(h->path, buf.data, buf.size);
    sn_buf_free(&buf);
    return status;
}

sn_status sn_history_add(sn_history *h, const sn_epoch *epoch, const char *const *names, const double *values, int n) {
    SN_TRY(add_row(h, epoch, names, values, n));
    return h->path ? write_file(h) : SN_OK;
}

/* ---- reading ---- */

/* "" is NaN; infinities are numbers here, a loss may have reached them. */
static bool read_number(const char *cell, double *out) {
    char *end;
    *out = NAN;
    if (!cell[0]) return true;
    *out = strtod(cell, &end);
    return end != cell && !*end;
}

static sn_status read_cell(const sn_table *table, int64_t row, int column, double *out) {
    if (read_number(sn_table_cell(table, row, column), out)) return SN_OK;
    (void)sn_fail(SN_ERR_FORMAT, "%s: row %lld: \"%.40s\" is not a number", sn_table_path(table), (long long)row + 1,
                  sn_table_cell(table, row, column));
    return sn_fail_at(sn_table_path(table), row + 1, sn_table_column_name(table, column));
}

static sn_status read_row(sn_history *h, const sn_table *table, int64_t row, int64_t last) {
    double fixed[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) SN_TRY(read_cell(table, row, i, &fixed[i]));
    if (!(fixed[0] >= 0 && fixed[0] <= (double)last)) return SN_OK;
    sn_epoch epoch = {(int64_t)fixed[0], fixed[1], fixed[2], fixed[3], fixed[4]};
    for (int i = COLUMNS; i < sn_table_columns(table); i++) {
        double x;
        SN_TRY(read_cell(table, row, i, &x));
        SN_TRY(add_value(h, sn_table_column_name(table, i), x));
    }
    return add_row(h, &epoch, NULL, NULL, 0);
}

static sn_status read_table(sn_history *h, const sn_table *table, int64_t last) {
    for (int i = 0; i < COLUMNS; i++)
        if (i >= sn_table_columns(table) || strcmp(sn_table_column_name(table, i), columns[i])) {
            (void)sn_fail(SN_ERR_FORMAT, "%s: not a history: expected column %d to be \"%s\"", sn_table_path(table), i + 1, columns[i]);
            return sn_fail_at(sn_table_path(table), 0, columns[i]);
        }
    for (int64_t row = 0; row < sn_table_rows(table); row++) SN_TRY(read_row(h, table, row, last));
    return SN_OK;
}

sn_status sn_history_load(const char *path, int64_t last, sn_history **out) {
    SN_TRY(sn_history_create(path, out));
    if (!sn_file_exists(path)) return SN_OK;
    sn_table *table;
    sn_status status = sn_table_read(path, NULL, &table);
    if (status == SN_OK) {
        status = read_table(*out, table, last);
        sn_table_free(table);
    }
    if (status == SN_OK) return SN_OK;
    sn_history_free(*out);
    *out = NULL;
    return status;
}
