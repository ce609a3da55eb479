/* number.c: regression on the standardised value. options: "type": "mean_squared_error" (default),
 * "mean_absolute_error" or "huber" with "delta" (1, in standard deviations). */
#include "tasks/task.h"

#include <math.h>

#include "tasks/metrics.h"

static int64_t width(const sn_feature *target) {
    (void)target;
    return 1;
}

static sn_node head(sn_graph *g, const sn_feature *target, const json_t *options, sn_node fused) {
    (void)target;
    (void)options;
    return sn_linear(g, fused, "head", 1, true, SN_ACT_NONE);
}

static sn_node squared(sn_graph *g, const json_t *options, sn_node d) {
    (void)options;
    return sn_unary(g, SN_SQUARE, d);
}
static sn_node absolute(sn_graph *g, const json_t *options, sn_node d) {
    (void)options;
    return sn_unary(g, SN_ABS, d);
}
static sn_node huber(sn_graph *g, const json_t *options, sn_node d) {
    sn_attr attr = {.huber = {sn_option_float(g, options, "delta", 1)}};
    return sn_emit(g, SN_HUBER, &d, 1, &attr);
}
static const struct {
    const char *name;
    sn_node (*of)(sn_graph *g, const json_t *options, sn_node difference);
} losses[] = {{"mean_squared_error", squared}, {"mean_absolute_error", absolute}, {"huber", huber}};

static sn_node loss(sn_graph *g, const sn_feature *target, const json_t *options, sn_node raw, const sn_node *labels) {
    (void)target;
    const char *name = "";
    sn_names passed = {0};
    if (sn_json_string(options, "type", losses[0].name, &name) != SN_OK) return sn_graph_fail(g, SN_ERR_USAGE, "%s", sn_error_message());
    sn_node d = sn_mul(g, sn_sub(g, sn_reshape(g, raw, SN_SHAPE(-1)), labels[0]), labels[1]);
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        if (sn_names_match(&passed, losses[i].name, name)) return losses[i].of(g, options, d);
    return sn_graph_fail(g, SN_ERR_USAGE, "unknown loss \"%s\"; known: %s", name, passed.list);
}

static sn_node link(sn_graph *g, const sn_feature *target, sn_node raw) {
    double mean, std;
    sn_feature_scale(target, &mean, &std);
    return sn_affine(g, raw, (float)std, (float)mean);
}

static sn_status collate(const sn_feature *target, const json_t *options, const sn_sample *const *samples, int64_t n,
                         sn_array *arrays, double *divisor) {
    (void)target;
    (void)options;
    SN_TRY(sn_array_make(&arrays[0], SN_F32, SN_SHAPE(n)));
    SN_TRY(sn_array_make(&arrays[1], SN_F32, SN_SHAPE(n)));
    *divisor = 0;
    for (int64_t i = 0; i < n; i++) {
        ((float *)arrays[0].data)[i] = samples[i] ? (float)samples[i]->number : 0.0f;
        ((float *)arrays[1].data)[i] = samples[i] ? 1.0f : 0.0f;
        *divisor += samples[i] ? 1 : 0;
    }
    return SN_OK;
}

static sn_status metrics(const sn_feature *target, const sn_sample *const *samples, const float *values, int64_t n, json_t **out) {
    double mean, std;
    sn_feature_scale(target, &mean, &std);
    float *truth = sn_alloc((size_t)n, sizeof *truth);
    if (!truth) return SN_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++) truth[i] = samples[i] ? (float)(samples[i]->number * std + mean) : NAN;
    sn_status status = sn_metrics_number(truth, values, n, out);
    sn_free(truth);
    return status;
}

static json_t *predict(const sn_feature *target, const float *values, int top) {
    (void)target;
    (void)top;
    return json_pack("{s:f}", "value", (double)values[0]);
}

static double score(const sn_feature *target, const sn_sample *sample, const float *values) {
    double mean, std;
    if (!sample) return NAN;
    sn_feature_scale(target, &mean, &std);
    double error = sample->number * std + mean - (double)values[0];
    return error * error;
}

static double row_loss(const sn_feature *target, const sn_sample *sample, const float *values) {
    double mean, std;
    if (!sample) return 0;
    sn_feature_scale(target, &mean, &std);
    double d = ((double)values[0] - mean) / std - sample->number;
    return d * d;
}

static const char *const keys[] = {"type", "delta", "weight", NULL};
const sn_task sn_task_number = {"number", 1u << SN_KIND_NUMBER, keys, 2, width, head, loss, link, collate, metrics, "r2", true, false,
                                predict, score, row_loss};
