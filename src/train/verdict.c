/* verdict.c: what a person should know at the end: how good all inputs are together, what is lost when each is
 * absent, how good each is alone, and what to do about it. Differences are of paired rows, with their standard error. */
#include <math.h>
#include <stdio.h>

#include "train/trainer.h"

/* Mean and standard error of a - b over rows where both are known. */
static void paired(const double *a, const double *b, int64_t n, double *mean, double *error) {
    double sum = 0, squares = 0, count = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = a[i] - b[i];
        if (isnan(d)) continue;
        sum += d;
        squares += d * d;
        count += 1;
    }
    *mean = count > 0 ? sum / count : 0;
    double variance = count > 1 ? (squares - sum * *mean) / (count - 1) : 0;
    *error = count > 0 && variance > 0 ? sqrt(variance / count) : 0;
}

static double metric_of(const sn_trainer *t, const json_t *report) {
    const sn_target *target = &t->plan.model->targets[0];
    return json_number_value(json_object_get(json_object_get(json_object_get(report, "targets"), target->feature->name), target->task->primary));
}

static sn_status score(sn_trainer *t, unsigned without, double *correct, double *metric) {
    json_t *report;
    SN_TRY(sn_evaluate_rows(t->exec, t->valid_data, t->valid_rows, t->n_valid, t->plan.recipe.batch, without, correct, NULL, &report));
    *metric = metric_of(t, report);
    json_decref(report);
    return SN_OK;
}

/* A model on one part alone, trained with the same config. */
static sn_status solo(sn_trainer *t, const sn_part *part, double *metric) {
    json_t *config = json_deep_copy(t->config), *inputs = json_array();
    if (!config || !inputs) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    for (int k = 0; k < part->n_features; k++)
        (void)json_array_append_new(inputs, json_string(t->plan.model->inputs[part->features[k]]->name));
    (void)json_object_set_new(config, "inputs", inputs);
    (void)json_object_del(config, "input_features");
    (void)json_object_del(config, "output");
    (void)json_object_del(config, "compare_solo");
    char *text = json_dumps(config, JSON_COMPACT);
    json_decref(config);
    sn_trainer *alone = NULL;
    sn_status status = text ? sn_trainer_create(t->table, t->valid_table, text, &alone) : sn_fail(SN_ERR_MEMORY, "out of memory");
    free(text);
    if (status == SN_OK) status = sn_trainer_run(alone, NULL, NULL);
    if (status == SN_OK) status = score(alone, 0, NULL, metric);
    sn_trainer_free(alone);
    return status == SN_OK ? SN_OK : sn_fail_in("training on \"%s\" alone", part->name);
}

static void advise(json_t *advice, const char *name, bool percent, double gain, double error) {
    char text[256];
    double scale = percent ? 100 : 1;
    const char *unit = percent ? " points" : "";
    if (gain > 2 * error && gain > 0)
        (void)snprintf(text, sizeof text, "\"%s\" adds %.1f ± %.1f%s: keep it", name, gain * scale, error * scale, unit);
    else
        (void)snprintf(text, sizeof text, "\"%s\" adds %.1f ± %.1f%s: not more than chance; try without it (--exclude)", name,
                       gain * scale, error * scale, unit);
    (void)json_array_append_new(advice, json_string(text));
}

static sn_status without_each(sn_trainer *t, const double *all, double *other, double best, bool percent, json_t *into, json_t *advice) {
    for (int p = 0; t->plan.model->n_parts > 1 && p < t->plan.model->n_parts; p++) {
        double value, mean, error;
        const char *name = t->plan.model->parts[p].name;
        SN_TRY(score(t, 1u << p, other, &value));
        paired(all, other, t->n_valid, &mean, &error);
        double gain = percent ? mean : best - value; /* for numbers the rows hold squared errors */
        if (!percent) error = fabs(mean) > 0 ? error * fabs(gain / mean) : 0;
        (void)json_object_set_new(into, name, json_pack("{s:f, s:f, s:f}", "value", value, "difference", gain, "error", error));
        advise(advice, name, percent, gain, error);
    }
    return SN_OK;
}

static sn_status each_alone(sn_trainer *t, double best, bool percent, json_t *into, json_t *advice) {
    bool wanted;
    double most = -INFINITY;
    SN_TRY(sn_json_bool(t->config, "compare_solo", false, &wanted));
    if (!wanted || t->plan.model->n_parts < 2) return SN_OK;
    for (int p = 0; p < t->plan.model->n_parts; p++) {
        double value;
        SN_TRY(solo(t, &t->plan.model->parts[p], &value));
        (void)json_object_set_new(into, t->plan.model->parts[p].name, json_pack("{s:f}", "value", value));
        if (value > most) most = value;
    }
    char text[200];
    double scale = percent ? 100 : 1;
    (void)snprintf(text, sizeof text, best > most ? "fusion pays: %.2f together, %.2f for the best input alone"
                                                  : "fusion did not pay: %.2f together, %.2f for the best input alone",
                   best * scale, most * scale);
    (void)json_array_append_new(advice, json_string(text));
    return SN_OK;
}

sn_status sn_trainer_verdict(sn_trainer *t, char **json) {
    *json = NULL;
    if (!t->n_valid) SN_FAIL(SN_ERR_STATE, "no rows were held out, so there is nothing to judge by");
    const sn_target *target = &t->plan.model->targets[0];
    bool percent = target->task->percent;
    double *all = sn_alloc((size_t)t->n_valid, sizeof *all), *other = sn_alloc((size_t)t->n_valid, sizeof *other), best = 0;
    json_t *advice = json_array(), *without = json_object(), *alone = json_object();
    sn_status status = all && other && advice && without && alone ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK) status = score(t, 0, all, &best);
    if (status == SN_OK) status = without_each(t, all, other, best, percent, without, advice);
    if (status == SN_OK) status = each_alone(t, best, percent, alone, advice);
    sn_free(all);
    sn_free(other);
    json_t *tree = json_pack("{s:i, s:I, s:{s:{s:s, s:f, s:o, s:o}}, s:o}", "schema", 1, "rows", (json_int_t)t->n_valid, "targets",
                             target->feature->name, "metric", target->task->primary, "all", best, "without", without, "solo", alone,
                             "advice", advice);
    char *text = tree && status == SN_OK ? json_dumps(tree, JSON_INDENT(2)) : NULL;
    json_decref(tree);
    SN_TRY(status);
    if (text) *json = sn_strdup(text);
    free(text);
    if (!*json) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}
