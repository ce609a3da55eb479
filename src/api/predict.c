/* predict.c: predictions row by row, scores, and the encoders' arrays of a table.
 *
 *   table -> dataset (every cell decoded once, broken ones noted) -> rows in batches -> JSON
 *
 * A broken row is reported in its place and the others go on. */
#include <stdlib.h>

#include "api/api.h"
#include "train/evaluate.h"

enum { DEFAULT_BATCH = 64, MOST_BATCH = 1 << 20, DEFAULT_TOP = 3 };

static sn_status batch_size(const sn_model *m, const json_t *options, int64_t *out) {
    const json_t *trained = json_object_get(json_object_get(m->trained, "trainer"), "batch_size");
    int64_t fallback = json_is_integer(trained) ? json_integer_value(trained) : DEFAULT_BATCH;
    if (fallback < 1 || fallback > MOST_BATCH) fallback = DEFAULT_BATCH;
    return sn_options_int(options, "batch_size", fallback, 1, MOST_BATCH, out);
}

/* ---- predict ---- */

typedef struct predictor {
    const sn_model *m;
    const sn_dataset *d;
    sn_broken *broken; /* one a broken row, in row order */
    int64_t n_broken, said;
    int64_t *widths;
    int top;
    sn_row_fn *row;
    void *context;
} predictor;

static int by_row(const void *a, const void *b) {
    const sn_broken *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* One entry a row: the first broken cell in the order of the inputs. */
static sn_status sort_broken(predictor *p) {
    const sn_broken *list;
    int64_t n = sn_dataset_broken(p->d, &list);
    bool *seen = sn_alloc((size_t)sn_table_rows(sn_dataset_table(p->d)), sizeof *seen);
    p->broken = sn_alloc((size_t)n, sizeof *p->broken);
    if (seen && p->broken) {
        for (int64_t i = 0; i < n; i++) {
            if (seen[list[i].row]) continue;
            seen[list[i].row] = true;
            p->broken[p->n_broken++] = list[i];
        }
        qsort(p->broken, (size_t)p->n_broken, sizeof *p->broken, by_row);
    }
    sn_free(seen);
    return seen && p->broken ? SN_OK : SN_ERR_MEMORY;
}

/* {"row", "line", key: value} to the caller; takes the value. */
static sn_status say(const predictor *p, int64_t row, const char *key, json_t *value) {
    int64_t line = sn_table_line(sn_dataset_table(p->d), row);
    json_t *object = json_pack("{s:I}", "row", (json_int_t)row + 1);
    if (line) (void)json_object_set_new(object, "line", json_integer((json_int_t)line));
    if (json_object_set_new(object, key, value)) {
        json_decref(object);
        SN_FAIL(SN_ERR_MEMORY, "out of memory");
    }
    char *text;
    SN_TRY(sn_json_text(object, &text));
    int stop = p->row(p->context, text);
    sn_free(text);
    if (stop) SN_FAIL(SN_ERR_CANCELLED, "stopped by the caller at row %lld", (long long)row + 1);
    return SN_OK;
}

static sn_status say_broken(predictor *p, int64_t before) {
    for (; p->said < p->n_broken && p->broken[p->said].row < before; p->said++) {
        const sn_broken *b = &p->broken[p->said];
        SN_TRY(say(p, b->row, "error", json_pack("{s:s, s:s}", "message", b->why, "column", b->column)));
    }
    return SN_OK;
}

static sn_status say_batch(void *context, const sn_batch *batch, const float *const *values) {
    predictor *p = context;
    for (int64_t i = 0; i < batch->n; i++) {
        SN_TRY(say_broken(p, batch->rows[i]));
        json_t *targets = json_object();
        for (int t = 0; t < p->m->n_targets; t++) {
            const sn_target *target = &p->m->targets[t];
            json_t *one = target->task->predict(target->feature, values[t] + i * p->widths[t], p->top);
            if (json_object_set_new(targets, target->feature->name, one)) {
                json_decref(targets);
                (void)sn_fail(SN_ERR_NUMERIC, "the prediction of \"%s\" is not a finite number", target->feature->name);
                return sn_fail_at(NULL, batch->rows[i] + 1, target->feature->name);
            }
        }
        SN_TRY(say(p, batch->rows[i], "targets", targets));
    }
    return SN_OK;
}

static sn_status fail_first(const predictor *p) {
    const sn_broken *b = &p->broken[0];
    const char *path = sn_table_path(sn_dataset_table(p->d));
    (void)sn_fail(SN_ERR_FORMAT, "%lld of %lld rows could not be read; the first is row %lld, column \"%s\": %s", (long long)p->n_broken,
                  (long long)sn_table_rows(sn_dataset_table(p->d)), (long long)b->row + 1, b->column, b->why);
    return sn_fail_at(path[0] ? path : NULL, b->row + 1, b->column);
}

/* Rows that can be used, in order: whole, and with `labelled` such that have a target. */
static sn_status usable_rows(const sn_dataset *d, bool labelled, int64_t limit, int64_t **rows, int64_t *n, int64_t *unlabelled) {
    int64_t all = sn_table_rows(sn_dataset_table(d)), bare = 0;
    if (limit && limit < all) all = limit;
    *n = 0;
    *rows = sn_alloc((size_t)all, sizeof **rows);
    if (!*rows) return SN_ERR_MEMORY;
    for (int64_t r = 0; r < all; r++) {
        if (sn_dataset_row_broken(d, r)) continue;
        if (labelled && !sn_dataset_row_labelled(d, r)) bare++;
        else (*rows)[(*n)++] = r;
    }
    if (unlabelled) *unlabelled = bare;
    return SN_OK;
}

static sn_status predict_all(predictor *p, int64_t batch) {
    int64_t *rows = NULL, n = 0;
    sn_exec *e = NULL;
    sn_status status = sort_broken(p);
    p->widths = sn_alloc((size_t)p->m->n_targets, sizeof *p->widths);
    if (!p->widths) status = SN_ERR_MEMORY;
    for (int t = 0; status == SN_OK && t < p->m->n_targets; t++) p->widths[t] = p->m->targets[t].task->width(p->m->targets[t].feature);
    if (status == SN_OK) status = usable_rows(p->d, false, 0, &rows, &n, NULL);
    if (status == SN_OK) status = sn_exec_create(p->m, &e);
    if (status == SN_OK) status = sn_predict_rows(e, p->d, rows, n, batch, 0, say_batch, p);
    if (status == SN_OK) status = say_broken(p, INT64_MAX);
    if (status == SN_OK && p->n_broken) status = fail_first(p);
    sn_exec_free(e);
    sn_free(rows);
    sn_free(p->widths);
    sn_free(p->broken);
    return status;
}

sn_status sn_model_predict(const sn_model *m, const sn_table *table, const char *options, sn_row_fn *row, void *context) {
    static const char *const keys[] = {"batch_size", "top", NULL};
    json_t *given;
    int64_t batch, top;
    SN_TRY(sn_model_predicts(m));
    SN_TRY(sn_options_parse(options, keys, &given));
    sn_status status = batch_size(m, given, &batch);
    if (status == SN_OK) status = sn_options_int(given, "top", DEFAULT_TOP, 0, 1 << 20, &top);
    json_decref(given);
    SN_TRY(status);
    sn_dataset_options o = {.skip_broken = true, .threads = m->threads};
    sn_dataset *d;
    SN_TRY(sn_dataset_create(m, table, &o, &d));
    predictor p = {.m = m, .d = d, .top = (int)top, .row = row, .context = context};
    status = predict_all(&p, batch);
    sn_dataset_free(d);
    return status;
}

/* ---- evaluate ---- */

static sn_status need_target(const sn_model *m, const sn_table *table) {
    int column;
    for (int t = 0; t < m->n_targets; t++)
        if (sn_table_find(table, m->targets[t].feature->name) >= 0) return SN_OK;
    return sn_table_column(table, m->targets[0].feature->name, &column); /* fails, naming the columns there are */
}

static sn_status evaluate(const sn_model *m, sn_dataset *d, int64_t batch, int64_t limit, bool subsets, json_t **out) {
    int64_t *rows = NULL, n = 0, unlabelled = 0, broken = 0;
    sn_exec *e = NULL;
    *out = NULL;
    sn_status status = usable_rows(d, true, limit, &rows, &n, &unlabelled);
    if (status == SN_OK && !n)
        status = sn_fail(SN_ERR_FORMAT, "no row has a target that could be compared with");
    if (status == SN_OK) status = sn_exec_create(m, &e);
    if (status == SN_OK) status = sn_encode_rows(e, d, rows, n);
    if (status == SN_OK) status = sn_evaluate_rows(e, d, rows, n, batch, 0, NULL, NULL, out);
    if (status == SN_OK) {
        int64_t all = sn_table_rows(sn_dataset_table(d));
        for (int64_t r = 0; r < (limit && limit < all ? limit : all); r++) broken += sn_dataset_row_broken(d, r);
        (void)json_object_set_new(*out, "schema", json_integer(1));
        (void)json_object_set_new(*out, "unlabelled_rows", json_integer((json_int_t)unlabelled));
        (void)json_object_set_new(*out, "broken_rows", json_integer((json_int_t)broken));
    }
    if (status == SN_OK && subsets) status = sn_evaluate_subsets(e, d, rows, n, batch, *out);
    sn_exec_free(e);
    sn_free(rows);
    return status;
}

sn_status sn_model_evaluate(const sn_model *m, const sn_table *table, const char *options, char **json) {
    static const char *const keys[] = {"batch_size", "subsets", "skip_broken", "limit", NULL};
    *json = NULL;
    json_t *given, *report = NULL;
    int64_t batch, limit;
    bool subsets = false;
    sn_dataset_options o = {.targets_if_any = true, .threads = m->threads};
    SN_TRY(sn_options_parse(options, keys, &given));
    sn_status status = batch_size(m, given, &batch);
    if (status == SN_OK) status = sn_options_int(given, "limit", 0, 0, INT64_MAX, &limit);
    if (status == SN_OK) status = sn_json_bool(given, "subsets", false, &subsets);
    if (status == SN_OK) status = sn_json_bool(given, "skip_broken", false, &o.skip_broken);
    json_decref(given);
    SN_TRY(status);
    SN_TRY(need_target(m, table));
    sn_dataset *d;
    SN_TRY(sn_dataset_create(m, table, &o, &d));
    status = evaluate(m, d, batch, limit, subsets, &report);
    sn_dataset_free(d);
    if (status == SN_OK) return sn_json_text(report, json);
    json_decref(report);
    return status;
}
