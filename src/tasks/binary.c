/* binary.c: yes or no by one logit. Binary cross-entropy; values are [P(first class), P(second class)], so that
 * metrics and predictions are those of a category of two classes.
 *
 * options: "positive_weight" (1): weight of the second class. */
#include "tasks/task.h"

extern const sn_task sn_task_category;

static int64_t width(const sn_feature *target) {
    (void)target;
    return 2;
}

static sn_node head(sn_graph *g, const sn_feature *target, const json_t *options, sn_node fused) {
    (void)target;
    (void)options;
    return sn_linear(g, fused, "head", 1, true, SN_ACT_NONE);
}

static sn_node loss(sn_graph *g, const sn_feature *target, const json_t *options, sn_node raw, const sn_node *labels) {
    (void)target;
    (void)options;
    sn_node x = sn_reshape(g, raw, SN_SHAPE(-1));
    return sn_mul(g, sn_emit(g, SN_BCE_LOGITS, (sn_node[]){x, labels[0]}, 2, NULL), labels[1]);
}

static sn_node link(sn_graph *g, const sn_feature *target, sn_node raw) {
    (void)target;
    sn_node yes = sn_unary(g, SN_SIGMOID, raw);
    return sn_concat(g, (sn_node[]){sn_affine(g, yes, -1, 1), yes}, 2, 1);
}

static sn_status collate(const sn_feature *target, const json_t *options, const sn_sample *const *samples, int64_t n,
                         sn_array *arrays, double *divisor) {
    (void)target;
    double positive;
    SN_TRY(sn_json_number(options, "positive_weight", 1, &positive));
    SN_TRY(sn_array_make(&arrays[0], SN_F32, SN_SHAPE(n)));
    SN_TRY(sn_array_make(&arrays[1], SN_F32, SN_SHAPE(n)));
    *divisor = 0;
    for (int64_t i = 0; i < n; i++) {
        bool known = samples[i] && samples[i]->number >= 0, yes = known && samples[i]->number > 0;
        ((float *)arrays[0].data)[i] = yes ? 1.0f : 0.0f;
        ((float *)arrays[1].data)[i] = known ? (yes ? (float)positive : 1.0f) : 0.0f;
        *divisor += (double)((float *)arrays[1].data)[i];
    }
    return SN_OK;
}

static sn_status metrics(const sn_feature *target, const sn_sample *const *samples, const float *values, int64_t n, json_t **out) {
    return sn_task_category.metrics(target, samples, values, n, out);
}
static json_t *predict(const sn_feature *target, const float *values, int top) { return sn_task_category.predict(target, values, top); }

static double score(const sn_feature *target, const sn_sample *sample, const float *values) {
    return sn_task_category.score(target, sample, values);
}

static double row_loss(const sn_feature *target, const sn_sample *sample, const float *values) {
    return sn_task_category.row_loss(target, sample, values);
}

static const char *const keys[] = {"type", "positive_weight", "weight", NULL};
const sn_task sn_task_binary = {"binary", 1u << SN_KIND_BINARY, keys, 2, width, head, loss, link, collate, metrics, "accuracy", true, true,
                                predict, score, row_loss};
