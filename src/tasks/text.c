/* text.c: a text that a published model writes (models/backbone_writer.c). The model's program has already made of each
 * row what the labels cost, so the fused vector is that sum: [B,1]. The loss is its mean over all tokens of the batch, as
 * Transformers' is. Metrics: "loss" (the mean over the tokens) and "perplexity", its exponential. */
#include "tasks/task.h"

#include <math.h>

static int64_t width(const sn_feature *target) {
    (void)target;
    return 1;
}

static sn_node head(sn_graph *g, const sn_feature *target, const json_t *options, sn_node fused) {
    (void)target;
    (void)options;
    if (fused.id >= 0 && sn_dim(g, fused, 1) != 1)
        return sn_graph_fail(g, SN_ERR_USAGE, "a text can be learned by a published model that writes texts only: \"model\" names it");
    return fused;
}

static sn_node loss(sn_graph *g, const sn_feature *target, const json_t *options, sn_node raw, const sn_node *labels) {
    (void)target;
    (void)options;
    (void)labels;
    return sn_reshape(g, raw, SN_SHAPE(-1));
}

static sn_node link(sn_graph *g, const sn_feature *target, sn_node raw) {
    (void)g;
    (void)target;
    return raw;
}

static double tokens_of(const sn_sample *sample) { return sample ? sample->number : 0; }

static sn_status collate(const sn_feature *target, const json_t *options, const sn_sample *const *samples, int64_t n,
                         sn_array *arrays, double *divisor) {
    (void)target;
    (void)options;
    (void)arrays;
    *divisor = 0;
    for (int64_t i = 0; i < n; i++) *divisor += tokens_of(samples[i]);
    return SN_OK;
}

static sn_status metrics(const sn_feature *target, const sn_sample *const *samples, const float *values, int64_t n, json_t **out) {
    (void)target;
    double sum = 0, tokens = 0;
    int64_t rows = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += samples[i] ? (double)values[i] : 0;
        tokens += tokens_of(samples[i]);
        rows += samples[i] != NULL;
    }
    double mean = tokens > 0 ? sum / tokens : 0;
    *out = json_pack("{s:f, s:f, s:I, s:I}", "perplexity", exp(mean), "loss", mean, "tokens", (json_int_t)tokens, "rows", (json_int_t)rows);
    if (!*out) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

static double row_loss(const sn_feature *target, const sn_sample *sample, const float *values) {
    (void)target;
    return sample ? (double)values[0] / tokens_of(sample) : 0;
}

static double score(const sn_feature *target, const sn_sample *sample, const float *values) {
    return sample ? row_loss(target, sample, values) : (double)NAN;
}

static json_t *predict(const sn_feature *target, const float *values, int top) {
    (void)target;
    (void)top;
    return json_pack("{s:f}", "loss", (double)values[0]);
}

static const char *const keys[] = {"type", "weight", NULL};
const sn_task sn_task_text = {"text", 1u << SN_KIND_TEXT, keys, 0, width, head, loss, link, collate, metrics, "perplexity", false, false,
                              predict, score, row_loss};
