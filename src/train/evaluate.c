/* evaluate.c: see evaluate.h.
 *
 *   rows -> loader (a thread makes the batches) -> exec -> values [n][K_t] per target -> task->metrics
 *
 * All values of the rows are kept until the end, because most scores (areas under curves, medians) need all rows
 * at once: n * K floats a target. */
#include "train/evaluate.h"

#include <math.h>

static sn_status each_batch(sn_exec *e, const sn_model *m, sn_loader *loader, sn_values_fn *each, void *context) {
    const float **values = sn_alloc((size_t)m->n_targets, sizeof *values);
    sn_batch *batch = NULL;
    sn_status status = values ? sn_loader_next(loader, &batch) : SN_ERR_MEMORY;
    while (status == SN_OK && batch) {
        status = sn_exec_predict(e, batch, values);
        if (status == SN_OK) status = each(context, batch, values);
        sn_batch_free(batch);
        batch = NULL;
        if (status == SN_OK) status = sn_loader_next(loader, &batch);
    }
    sn_free(values);
    return status;
}

sn_status sn_predict_rows(sn_exec *e, const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, unsigned without,
                          sn_values_fn *each, void *context) {
    if (batch < 1) SN_FAIL(SN_ERR_USAGE, "\"batch_size\" must be at least 1, not %lld", (long long)batch);
    if (!n) return SN_OK;
    sn_batch_spec spec = {.without = without};
    sn_loader *loader;
    SN_TRY(sn_loader_create(d, rows, n, batch, &spec, &loader));
    sn_status status = each_batch(e, sn_exec_model(e), loader, each, context);
    sn_loader_free(loader);
    return status;
}

/* ---- scores ---- */

typedef struct gathered {
    const sn_model *m;
    float **values; /* per target [n][K] */
    int64_t at;     /* rows so far */
} gathered;

static sn_status gather(void *context, const sn_batch *batch, const float *const *values) {
    gathered *g = context;
    for (int t = 0; t < g->m->n_targets; t++) {
        size_t width = (size_t)g->m->targets[t].task->width(g->m->targets[t].feature);
        memcpy(g->values[t] + (size_t)g->at * width, values[t], (size_t)batch->n * width * sizeof(float));
    }
    g->at += batch->n;
    return SN_OK;
}

static void gathered_free(gathered *g) {
    for (int t = 0; g->values && t < g->m->n_targets; t++) sn_free(g->values[t]);
    sn_free(g->values);
}

static sn_status gathered_make(gathered *g, const sn_model *m, int64_t n) {
    *g = (gathered){.m = m, .values = sn_alloc((size_t)m->n_targets, sizeof *g->values)};
    if (!g->values) return SN_ERR_MEMORY;
    for (int t = 0; t < m->n_targets; t++) {
        size_t all;
        if (sn_mul_overflow((size_t)n, (size_t)m->targets[t].task->width(m->targets[t].feature), &all))
            SN_FAIL(SN_ERR_MEMORY, "too many rows to score at once: %lld", (long long)n);
        g->values[t] = sn_alloc(all, sizeof(float));
        if (!g->values[t]) return SN_ERR_MEMORY;
    }
    return SN_OK;
}

static sn_status score_target(const gathered *g, const sn_dataset *d, int index, const int64_t *rows, int64_t n,
                              double *correct, double *losses, json_t *targets) {
    const sn_target *t = &g->m->targets[index];
    const sn_sample **samples = sn_alloc((size_t)n, sizeof *samples);
    if (!samples) return SN_ERR_MEMORY;
    int64_t width = t->task->width(t->feature);
    for (int64_t i = 0; i < n; i++) {
        samples[i] = sn_dataset_target(d, index, rows[i]);
        const float *values = g->values[index] + i * width;
        if (correct) correct[i] = t->task->score(t->feature, samples[i], values);
        if (losses) losses[i] += t->weight * t->task->row_loss(t->feature, samples[i], values);
    }
    json_t *metrics = NULL;
    sn_status status = t->task->metrics(t->feature, samples, g->values[index], n, &metrics);
    sn_free(samples);
    if (status == SN_OK && json_object_set_new(targets, t->feature->name, metrics))
        status = sn_fail(SN_ERR_MEMORY, "out of memory");
    return status;
}

sn_status sn_evaluate_rows(sn_exec *e, const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, unsigned without,
                           double *correct, double *losses, json_t **out) {
    *out = NULL;
    for (int64_t i = 0; losses && i < n; i++) losses[i] = 0;
    const sn_model *m = sn_exec_model(e);
    gathered g;
    sn_status status = gathered_make(&g, m, n);
    if (status == SN_OK) status = sn_predict_rows(e, d, rows, n, batch, without, gather, &g);
    json_t *targets = json_object();
    for (int t = 0; status == SN_OK && t < m->n_targets; t++) {
        if (sn_table_find(sn_dataset_table(d), m->targets[t].feature->name) >= 0)
            status = score_target(&g, d, t, rows, n, t ? NULL : correct, losses, targets);
        else /* nothing to compare with: the target is left out of the report */
            for (int64_t i = 0; correct && !t && i < n; i++) correct[i] = NAN;
    }
    gathered_free(&g);
    if (status == SN_OK) {
        *out = json_pack("{s:I, s:O}", "rows", (json_int_t)n, "targets", targets);
        if (!*out) status = sn_fail(SN_ERR_MEMORY, "out of memory");
    }
    json_decref(targets);
    return status;
}

/* ---- subsets of the parts ---- */

enum { ALL_SUBSETS_UP_TO = 6 };

/* Scores with only the parts of the mask `with`. What would make the report long is left to the full scores. */
static sn_status score_subset(sn_exec *e, const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, unsigned with,
                              json_t *list) {
    const sn_model *m = sn_exec_model(e);
    unsigned all = (1u << m->n_parts) - 1;
    json_t *report, *inputs = json_array(), *targets, *metrics;
    const char *name;
    sn_status status = sn_evaluate_rows(e, d, rows, n, batch, all & ~with, NULL, NULL, &report);
    if (status != SN_OK) {
        json_decref(inputs);
        return status;
    }
    for (int p = 0; p < m->n_parts; p++)
        if (with & 1u << p) (void)json_array_append_new(inputs, json_string(m->parts[p].name));
    targets = json_object_get(report, "targets");
    json_object_foreach(targets, name, metrics) {
        (void)json_object_del(metrics, "classes");
        (void)json_object_del(metrics, "confusion");
    }
    json_t *entry = json_pack("{s:o, s:O}", "inputs", inputs, "targets", targets);
    json_decref(report);
    if (!entry || json_array_append_new(list, entry)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

static bool wanted(unsigned mask, int parts) {
    int set = __builtin_popcount(mask);
    return parts <= ALL_SUBSETS_UP_TO || set == 1 || set >= parts - 1;
}

sn_status sn_evaluate_subsets(sn_exec *e, const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, json_t *report) {
    int parts = sn_exec_model(e)->n_parts;
    json_t *list = json_array();
    if (!list || json_object_set_new(report, "subsets", list)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    for (int size = 1; size <= parts; size++) /* few parts first, in the order of the parts */
        for (unsigned mask = 1; mask < 1u << parts; mask++)
            if (__builtin_popcount(mask) == size && wanted(mask, parts))
                SN_TRY(score_subset(e, d, rows, n, batch, mask, list));
    return SN_OK;
}
