/* category.c: one of several classes. Softmax cross-entropy with class weights and label smoothing.
 *
 * options: "label_smoothing" (0), "class_weights": list in class order, or {class: weight}. The loss is divided by the
 * summed weights of the labels, as PyTorch does. */
#include "tasks/task.h"

#include <math.h>

#include "tasks/metrics.h"

static int64_t width(const sn_feature *target) { return sn_feature_classes(target); }

static sn_node head(sn_graph *g, const sn_feature *target, const json_t *options, sn_node fused) {
    (void)options;
    return sn_linear(g, fused, "head", width(target), true, SN_ACT_NONE);
}

static sn_node loss(sn_graph *g, const sn_feature *target, const json_t *options, sn_node raw, const sn_node *labels) {
    (void)target;
    sn_attr attr = {.loss = {sn_option_float(g, options, "label_smoothing", 0)}};
    return sn_emit(g, SN_SOFTMAX_XENT, (sn_node[]){raw, labels[0], labels[1]}, 3, &attr);
}

static sn_node link(sn_graph *g, const sn_feature *target, sn_node raw) {
    (void)target;
    return sn_unary(g, SN_SOFTMAX, raw);
}

static sn_status weights_of(const sn_feature *target, const json_t *options, float *weights) {
    int n = sn_feature_classes(target);
    const json_t *given = json_object_get(options, "class_weights");
    for (int i = 0; i < n; i++) weights[i] = 1.0f;
    if (!given || json_is_null(given)) return SN_OK;
    if (json_is_array(given) && json_array_size(given) != (size_t)n)
        SN_FAIL(SN_ERR_USAGE, "\"class_weights\" has %zu entries for %d classes", json_array_size(given), n);
    for (int i = 0; i < n; i++) {
        const json_t *w = json_is_array(given) ? json_array_get(given, (size_t)i) : json_object_get(given, sn_feature_class(target, i));
        if (w && (!json_is_number(w) || json_number_value(w) < 0))
            SN_FAIL(SN_ERR_USAGE, "\"class_weights\": class \"%s\" needs a number from 0", sn_feature_class(target, i));
        if (w) weights[i] = (float)json_number_value(w);
    }
    return SN_OK;
}

static sn_status collate(const sn_feature *target, const json_t *options, const sn_sample *const *samples, int64_t n,
                         sn_array *arrays, double *divisor) {
    SN_TRY(sn_array_make(&arrays[0], SN_I32, SN_SHAPE(n)));
    SN_TRY(sn_array_make(&arrays[1], SN_F32, SN_SHAPE(width(target))));
    SN_TRY(weights_of(target, options, arrays[1].data));
    int32_t *labels = arrays[0].data;
    const float *weights = arrays[1].data;
    *divisor = 0;
    for (int64_t i = 0; i < n; i++) {
        labels[i] = samples[i] ? (int32_t)samples[i]->number : -1;
        if (labels[i] >= 0) *divisor += (double)weights[labels[i]];
    }
    return SN_OK;
}

static sn_status metrics(const sn_feature *target, const sn_sample *const *samples, const float *values, int64_t n, json_t **out) {
    int classes = sn_feature_classes(target);
    int32_t *labels = sn_alloc((size_t)n, sizeof *labels);
    const char **names = sn_alloc((size_t)classes, sizeof *names);
    sn_status status = labels && names ? SN_OK : SN_ERR_MEMORY;
    for (int64_t i = 0; status == SN_OK && i < n; i++) labels[i] = samples[i] ? (int32_t)samples[i]->number : -1;
    for (int i = 0; status == SN_OK && i < classes; i++) names[i] = sn_feature_class(target, i);
    if (status == SN_OK) status = sn_metrics_category(labels, values, n, classes, names, out);
    sn_free(labels);
    sn_free(names);
    return status;
}

static json_t *predict(const sn_feature *target, const float *values, int top) {
    int n = sn_feature_classes(target), best = 0;
    for (int i = 1; i < n; i++)
        if (values[i] > values[best]) best = i;
    json_t *list = json_array();
    float limit = 2.0f;
    int limit_at = -1;
    for (int k = 0; k < top && k < n; k++) { /* next lower value, ties by class order */
        int next = -1;
        for (int i = 0; i < n; i++)
            if ((values[i] < limit || (!(values[i] > limit) && i > limit_at)) && (next < 0 || values[i] > values[next])) next = i;
        if (next < 0) break;
        limit = values[next];
        limit_at = next;
        (void)json_array_append_new(list, json_pack("[s, f]", sn_feature_class(target, next), (double)values[next]));
    }
    return json_pack("{s:s, s:f, s:o}", "value", sn_feature_class(target, best), "probability", (double)values[best], "top", list);
}

static double score(const sn_feature *target, const sn_sample *sample, const float *values) {
    if (!sample || sample->number < 0) return NAN;
    int n = sn_feature_classes(target), best = 0;
    for (int i = 1; i < n; i++)
        if (values[i] > values[best]) best = i;
    return best == (int)sample->number ? 1 : 0;
}

static double row_loss(const sn_feature *target, const sn_sample *sample, const float *values) {
    (void)target;
    if (!sample || sample->number < 0) return 0;
    double p = (double)values[(int)sample->number];
    return -log(p > 1e-7 ? p : 1e-7);
}

static const char *const keys[] = {"type", "label_smoothing", "class_weights", "weight", NULL};
const sn_task sn_task_category = {"category", 1u << SN_KIND_CATEGORY | 1u << SN_KIND_BINARY, keys, 2, width, head, loss, link,
                                  collate, metrics, "accuracy", true, true, predict, score, row_loss};
