/* classify.c: which class a picture or a text belongs to.
 *
 *   classes given (CLIP, Chinese-CLIP, SigLIP): "a photo of a {}" with each label -> vectors [L,D] once;
 *       picture -> vector [D] -> exp(logit_scale) * cosines -> softmax; with a logit_bias each by itself -> sigmoid
 *   classes learned (…ForImageClassification, …ForSequenceClassification, timm's heads): logits [N,C] -> softmax, or
 *       sigmoid where config.json's problem_type says that several may hold */
#include <math.h>

#include "pipelines/choices.h"
#include "pipelines/media.h"
#include "pipelines/work.h"

static const char *const keys[] = {"labels", "template", "top", "batch_size", NULL};
static const char *const logit_names[] = {"logits", NULL};
static const char *const text_names[] = {"text_embeds", NULL}, *const image_names[] = {"image_embeds", NULL};
enum { TOP = 5, MOST_TOP = 1 << 20, BATCH = 16, MOST_BATCH = 4096, MOST_LABELS = 1 << 20 };
#define TEMPLATE "a photo of a {}"

typedef enum apply { SOFTMAX, SIGMOID, NOTHING } apply;

typedef struct classifying {
    sn_call *call;
    int64_t top, batch, classes;
    apply apply;
    json_t *labels;    /* NULL: the model's own */
    float *vectors;    /* [classes][width] of the labels */
    int64_t width;
    float scale, bias;
    float *scores;     /* [classes] */
} classifying;

/* Does it compare pictures with texts? The scale is learned by those models alone. */
static int scale_of(const sn_pipeline *p) {
    if (!sn_pipeline_accepts(p, SN_IN_TEXT | SN_IN_IMAGE) || sn_pipeline_accepts(p, SN_IN_JOINT)) return -1;
    return sn_params_find(sn_pretrained_params(p->model), "logit_scale");
}

/* ---- scores ---- */

static void to_probabilities(apply how, float *x, int64_t n) {
    double top = -INFINITY, sum = 0;
    if (how == NOTHING) return;
    for (int64_t k = 0; k < n; k++) top = (double)x[k] > top ? (double)x[k] : top;
    for (int64_t k = 0; k < n; k++) {
        double y = how == SOFTMAX ? exp((double)x[k] - top) : 1 / (1 + exp(-(double)x[k]));
        sum += y;
        x[k] = (float)y;
    }
    for (int64_t k = 0; how == SOFTMAX && k < n; k++) x[k] = (float)((double)x[k] / sum);
}

/* Item i's logits -> its result. */
static sn_status give(classifying *c, size_t i, const float *logits) {
    const sn_item *item = &c->call->items[i];
    json_t *top;
    memcpy(c->scores, logits, (size_t)c->classes * sizeof *logits);
    to_probabilities(c->apply, c->scores, c->classes);
    SN_TRY(sn_choices_top(c->call->p, c->labels, c->scores, c->classes, c->top, &top));
    const json_t *best = json_array_get(top, 0);
    json_t *result = json_pack("{s:O, s:O, s:o}", "label", json_array_get(best, 0), "score", json_array_get(best, 1), "top", top);
    if (result && item->text) (void)json_object_set_new(result, "text", json_stringn_nocheck(item->text, item->bytes));
    else if (result && item->file) (void)json_object_set_new(result, "image", json_string(item->file));
    return sn_call_give(c->call, i, result);
}

static sn_status give_or_fail(classifying *c, size_t i, const float *logits) {
    sn_status status = give(c, i, logits);
    return status == SN_ERR_NUMERIC ? sn_call_item_failed(c->call, i, status) : status;
}

/* ---- pictures ---- */

static sn_status item_failed(void *context, size_t i, sn_status status) { return sn_call_item_failed(((classifying *)context)->call, i, status); }

static sn_status check_classes(const classifying *c, const sn_result *r) {
    int64_t found = r->shape.dim[r->shape.rank - 1], expected = c->vectors ? c->width : c->classes;
    if (r->shape.rank != 2 || found != expected)
        SN_FAIL(SN_ERR_SHAPE, "%s: \"%s\" has %lld numbers, expected %lld", c->call->p->path, r->name, (long long)found, (long long)expected);
    return SN_OK;
}

/* The picture's vector against every label's -> logits, in place of the scores. */
static const float *compare(classifying *c, const float *picture) {
    for (int64_t l = 0; l < c->classes; l++) {
        double sum = 0;
        for (int64_t k = 0; k < c->width; k++) sum += (double)picture[k] * (double)c->vectors[l * c->width + k];
        c->scores[l] = (float)(sum * (double)c->scale + (double)c->bias);
    }
    return c->scores;
}

static sn_status picture_batch(void *context, const sn_pictures *pictures, const size_t *items, int64_t n) {
    classifying *c = context;
    sn_result r;
    sn_feed feed = sn_feed_pictures(pictures, n);
    SN_TRY(sn_work_run(c->call->work, &feed, c->vectors ? image_names : logit_names, &r));
    SN_TRY(check_classes(c, &r));
    for (int64_t k = 0; k < n; k++) {
        const float *row = r.data + k * r.shape.dim[1];
        SN_TRY(give_or_fail(c, items[k], c->vectors ? compare(c, row) : row));
    }
    return SN_OK;
}

/* ---- texts ---- */

/* Runs the list's texts in batches; `take` gets each text's numbers. */
static sn_status run_texts(classifying *c, const sn_text_list *l, const char *const *names,
                           sn_status (*take)(classifying *c, size_t item, const sn_result *r, int64_t row)) {
    int64_t all = (int64_t)l->n;
    for (int64_t at = 0; at < all; at += c->batch) {
        int64_t n = all - at < c->batch ? all - at : c->batch;
        sn_text_batch b = {0};
        sn_result r;
        sn_status status = sn_text_batch_make(l, c->call->p, at, n, &b);
        sn_feed feed = sn_feed_texts(&b, n);
        if (status == SN_OK) status = sn_work_run(c->call->work, &feed, names, &r);
        for (int64_t k = 0; status == SN_OK && k < n; k++) status = take(c, l->list[at + k].item, &r, k);
        sn_text_batch_free(&b);
        SN_TRY(status);
    }
    return SN_OK;
}

static sn_status take_text(classifying *c, size_t item, const sn_result *r, int64_t row) {
    SN_TRY(check_classes(c, r));
    return give_or_fail(c, item, r->data + row * c->classes);
}

/* In the order of the items: one that fails waits for those before it. */
static sn_status texts(classifying *c) {
    sn_call *call = c->call;
    sn_text_list list = {0};
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && i < call->n; i++) {
        status = sn_text_list_add(&list, call->p, &call->items[i], i, NULL, sn_text_limit(call->p));
        if (status != SN_OK && list.n) {
            status = run_texts(c, &list, logit_names, take_text);
            list.n = list.used = 0;
            if (status == SN_OK) status = sn_text_list_add(&list, call->p, &call->items[i], i, NULL, sn_text_limit(call->p));
        }
        if (status != SN_OK) status = sn_call_item_failed(call, i, status);
        if (status != SN_OK || (int64_t)list.n < c->batch) continue;
        status = run_texts(c, &list, logit_names, take_text);
        list.n = list.used = 0;
    }
    if (status == SN_OK) status = run_texts(c, &list, logit_names, take_text);
    sn_text_list_free(&list);
    return status;
}

/* ---- labels ---- */

static sn_status keep_label(classifying *c, size_t item, const sn_result *r, int64_t row) {
    c->width = r->shape.dim[1];
    if (!c->vectors) c->vectors = sn_alloc((size_t)c->classes, (size_t)c->width * sizeof *c->vectors);
    if (!c->vectors) return SN_ERR_MEMORY;
    memcpy(c->vectors + (int64_t)item * c->width, r->data + row * c->width, (size_t)c->width * sizeof *r->data);
    return SN_OK;
}

/* The template with the label in the place of each {}. */
static sn_status fill(const char *template, const char *label, sn_buf *out) {
    const char *hole;
    out->size = 0;
    for (; (hole = strstr(template, "{}")); template = hole + 2) {
        sn_buf_add(out, template, (size_t)(hole - template));
        sn_buf_puts(out, label);
    }
    sn_buf_puts(out, template);
    return sn_buf_check(out);
}

static sn_status embed_labels(classifying *c, const char *template) {
    const sn_pipeline *p = c->call->p;
    sn_text_list list = {0};
    sn_buf text = {0};
    size_t i;
    json_t *label;
    sn_status status = SN_OK;
    json_array_foreach(c->labels, i, label) {
        if (!json_is_string(label) || !json_string_length(label)) status = sn_fail(SN_ERR_USAGE, "\"labels\": expected texts that are not empty");
        if (status == SN_OK) status = fill(template, json_string_value(label), &text);
        sn_item item = {.text = text.data, .bytes = text.size};
        if (status == SN_OK) status = sn_text_list_add(&list, p, &item, i, NULL, sn_text_limit(p));
        if (status != SN_OK) break;
    }
    sn_text_list_sort(&list);
    if (status == SN_OK) status = run_texts(c, &list, text_names, keep_label);
    sn_text_list_free(&list);
    sn_buf_free(&text);
    return status;
}

static sn_status scalar(const sn_pipeline *p, const char *name, float *out) {
    sn_params *params = sn_pretrained_params(p->model);
    const void *data;
    int i = sn_params_find(params, name);
    if (i < 0) return SN_OK;
    SN_TRY(sn_params_plain(params, i, SN_F32, &data));
    *out = *(const float *)data;
    return SN_OK;
}

/* ---- the task ---- */

static sn_status with_labels(classifying *c) {
    const sn_pipeline *p = c->call->p;
    const char *template;
    SN_TRY(sn_json_string(c->call->options, "template", TEMPLATE, &template));
    size_t n = json_array_size(c->labels);
    if (n < 1 || n > MOST_LABELS) SN_FAIL(SN_ERR_USAGE, "\"labels\": this model needs the classes to choose among");
    if (!strstr(template, "{}")) SN_FAIL(SN_ERR_USAGE, "\"template\": expected {} where the label goes, found \"%.80s\"", template);
    c->classes = (int64_t)n;
    SN_TRY(scalar(p, "logit_scale", &c->scale));
    SN_TRY(scalar(p, "logit_bias", &c->bias));
    c->scale = expf(c->scale);
    c->apply = sn_params_find(sn_pretrained_params(p->model), "logit_bias") >= 0 ? SIGMOID : SOFTMAX;
    return embed_labels(c, template);
}

/* The shape of the model's own logits, in c->classes; 0: it has no head of classes. */
static sn_status own_classes(const sn_pipeline *p, int64_t *classes) {
    const sn_page_config *config = sn_pretrained_config(p->model);
    sn_result r;
    bool text = sn_pipeline_accepts(p, SN_IN_TEXT);
    sn_feed feed = {.kinds = text ? SN_IN_TEXT : SN_IN_IMAGE};
    feed.sizes = (sn_page_sizes){.rows = 1, .steps = text ? 2 : 0, .height = text ? -1 : config->image, .width = text ? -1 : config->image};
    *classes = 0;
    SN_TRY(sn_work_shape(p, &feed, logit_names, &r));
    if (r.shape.rank == 2) *classes = r.shape.dim[1];
    return SN_OK;
}

static sn_status with_own(classifying *c) {
    const sn_pipeline *p = c->call->p;
    const char *problem;
    if (c->labels || json_object_get(c->call->options, "template"))
        SN_FAIL(SN_ERR_USAGE, "\"%s\": this model chooses among the classes that it has learned", c->labels ? "labels" : "template");
    SN_TRY(own_classes(p, &c->classes));
    SN_TRY(sn_json_string(sn_pretrained_config(p->model)->json, "problem_type", "", &problem));
    c->apply = !strcmp(problem, "regression")                                       ? NOTHING
             : !strcmp(problem, "multi_label_classification") || c->classes == 1 ? SIGMOID
                                                                                    : SOFTMAX;
    return SN_OK;
}

static sn_status check_kind(const sn_call *call, bool text) {
    for (size_t i = 0; i < call->n; i++)
        if ((call->items[i].text != NULL) != text) SN_FAIL(SN_ERR_USAGE, "item %zu: this model classifies %s", i + 1, text ? "texts" : "pictures");
    return SN_OK;
}

static sn_status classify(classifying *c) {
    sn_call *call = c->call;
    bool compares = scale_of(call->p) >= 0, text = !compares && sn_pipeline_accepts(call->p, SN_IN_TEXT);
    SN_TRY(sn_options_int(call->options, "top", TOP, 1, MOST_TOP, &c->top));
    SN_TRY(sn_options_int(call->options, "batch_size", BATCH, 1, MOST_BATCH, &c->batch));
    SN_TRY(sn_json_array(call->options, "labels", &c->labels));
    if (!text && !call->p->has_pictures) SN_FAIL(SN_ERR_UNSUPPORTED, "%s has no picture processor: preprocessor_config.json", call->p->path);
    SN_TRY(check_kind(call, text));
    SN_TRY(compares ? with_labels(c) : with_own(c));
    c->scores = sn_alloc((size_t)(c->classes > 0 ? c->classes : 1), sizeof *c->scores);
    if (!c->scores) return SN_ERR_MEMORY;
    return text ? texts(c) : sn_pictures_all(call, &(sn_picture_batches){c->batch, picture_batch, item_failed, c});
}

static sn_status run(sn_call *call) {
    classifying c = {.call = call};
    sn_status status = classify(&c);
    sn_free(c.vectors);
    sn_free(c.scores);
    return status;
}

static bool fits(const sn_pipeline *p) {
    int64_t classes;
    const unsigned accepts = sn_pretrained_page(p->model)->accepts;
    if (scale_of(p) >= 0) return p->tokenizer != NULL;
    if (accepts == SN_IN_TEXT ? !p->tokenizer : accepts != SN_IN_IMAGE) return false;
    return own_classes(p, &classes) == SN_OK && classes > 0;
}
const sn_pipeline_task sn_pipeline_task_classify = {"classify", SN_NEED_MODEL, keys, fits, run};
