/* choices.c: see choices.h. */
#include "pipelines/choices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct choice { int64_t index; float score; } choice;
static int by_score(const void *a, const void *b) {
    const choice *x = a, *y = b;
    if (x->score > y->score || x->score < y->score) return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Labels of another number of classes are those of a head that the model has no more. */
static json_t *name_of(const sn_pipeline *p, const json_t *names, int64_t index, int64_t n) {
    char key[32];
    const json_t *config = sn_pretrained_config(p->model)->json;
    (void)snprintf(key, sizeof key, "%lld", (long long)index);
    json_t *text = json_array_get(names, (size_t)index);
    const json_t *labels = json_object_get(config, "id2label");
    if (!names && (int64_t)json_object_size(labels) == n) text = json_object_get(labels, key);
    if (!text) text = json_array_get(json_object_get(config, "label_names"), (size_t)index);
    return json_is_string(text) ? json_incref(text) : json_sprintf("LABEL_%s", key);
}

sn_status sn_choices_top(const sn_pipeline *p, const json_t *names, const float *scores, int64_t n, int64_t most, json_t **out) {
    *out = NULL;
    if (n < 1) SN_FAIL(SN_ERR_SHAPE, "%s: there are no classes to choose among", p->path);
    for (int64_t k = 0; k < n; k++)
        if (!isfinite(scores[k])) SN_FAIL(SN_ERR_NUMERIC, "the score of answer %lld is not finite", (long long)k + 1);
    choice *all = sn_alloc((size_t)n, sizeof *all);
    json_t *top = json_array();
    for (int64_t k = 0; all && k < n; k++) all[k] = (choice){k, scores[k]};
    if (all) qsort(all, (size_t)n, sizeof *all, by_score);
    sn_status status = all && top ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
    for (int64_t k = 0; status == SN_OK && k < n && k < most; k++)
        if (json_array_append_new(top, json_pack("[o, f]", name_of(p, names, all[k].index, n), (double)all[k].score)))
            status = sn_fail(SN_ERR_MEMORY, "out of memory");
    sn_free(all);
    if (status == SN_OK) *out = top;
    else json_decref(top);
    return status;
}
