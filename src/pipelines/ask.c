/* ask.c: a picture and a question about it -> the answer, written (BLIP) or chosen among those that the model knows
 * (ViLT; VisualBERT, which looks at features of the picture's regions in place of pixels):
 *
 *   picture's states [1,S,D], ids [1,T] -> encoder [1,T,E] -> decoder with its cache -> text
 *   pixels [1,H,W,3] or regions [1,R,V], ids [1,T] -> scores [1,C] -> the best of config.json's id2label
 *
 * What does not depend on the question is made once for all that are asked about a picture (seen.h). */
#include "pipelines/choices.h"
#include "pipelines/seen.h"
#include "pipelines/text_out.h"

static const char *const own[] = {"top", "regions", NULL};
static const char *const keys[] = {"top", "regions", SN_GENERATION_KEYS, NULL};
static const char *const score_names[] = {"scores", NULL};
enum { TOP = 5, MOST_TOP = 1 << 20 };

typedef struct asking {
    sn_call *call;
    bool writes;
    sn_generation g;     /* of those that write */
    int64_t top;         /* of those that choose */
    sn_regions *regions; /* of those that look at them, else NULL */
    sn_seen *seen;
} asking;

/* ---- one question ---- */

typedef struct question {
    sn_text_list texts;
    sn_text_batch batch;
    int32_t *joint; /* the mask over text and picture, where they are one sequence */
    sn_feed feed;
} question;

static void question_free(question *q) {
    sn_text_list_free(&q->texts);
    sn_text_batch_free(&q->batch);
    sn_free(q->joint);
}

static sn_status prepare(const asking *a, size_t i, question *q) {
    const sn_pipeline *p = a->call->p;
    SN_TRY(sn_text_list_add(&q->texts, p, &a->call->items[i], i, NULL, sn_text_limit(p)));
    SN_TRY(sn_text_batch_make(&q->texts, p, 0, 1, &q->batch));
    q->feed = sn_feed_texts(&q->batch, 1);
    SN_TRY(sn_seen_feed(a->seen, i, &q->feed));
    if (!sn_pipeline_accepts(p, SN_IN_JOINT)) return SN_OK;
    int64_t all = q->batch.steps + sn_pretrained_seen(p->model, &q->feed.sizes);
    q->joint = sn_alloc((size_t)all, sizeof *q->joint);
    if (!q->joint) return SN_ERR_MEMORY;
    for (int64_t k = 0; k < all; k++) q->joint[k] = 1;
    q->feed.lengths = q->joint;
    return SN_OK;
}

static sn_status write_answer(asking *a, size_t i, const question *q, json_t **out) {
    sn_call *call = a->call;
    sn_decoding *d;
    int32_t start;
    SN_TRY(sn_call_start(call, &a->g, &start));
    SN_TRY(sn_call_decoding(call, &a->g, 1, 1, &d));
    SN_TRY(sn_work_begin(call->work, &q->feed, d));
    SN_TRY(sn_call_write(call, i, 1, d, &a->g, &(sn_prompts){&start, 1, 0}, out));
    (void)json_object_set(*out, "answer", json_object_get(*out, "text"));
    (void)json_object_del(*out, "text");
    return SN_OK;
}

/* ---- choosing ---- */

static sn_status choose_answer(asking *a, const question *q, json_t **out) {
    sn_result r;
    json_t *top;
    SN_TRY(sn_work_run(a->call->work, &q->feed, score_names, &r));
    SN_TRY(sn_choices_top(a->call->p, NULL, r.data, r.shape.dim[1], a->top, &top));
    const json_t *best = json_array_get(top, 0);
    *out = json_pack("{s:O, s:O, s:o}", "answer", json_array_get(best, 0), "score", json_array_get(best, 1), "top", top);
    return *out ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
}

static sn_status one(void *context, size_t i) {
    asking *a = context;
    const sn_item *item = &a->call->items[i];
    question q = {0};
    json_t *result = NULL;
    sn_status status = prepare(a, i, &q);
    if (status == SN_OK) status = a->writes ? write_answer(a, i, &q, &result) : choose_answer(a, &q, &result);
    question_free(&q);
    SN_TRY(status);
    (void)json_object_set_new(result, "question", json_stringn_nocheck(item->text, item->bytes));
    if (item->file) (void)json_object_set_new(result, "image", json_string(item->file));
    return sn_call_give(a->call, i, result);
}

/* ---- the task ---- */

/* An option that the model's way of answering does not have is an error. */
static sn_status check_options(const asking *a, const json_t *options) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)options, key, value) {
        bool top = !strcmp(key, "top"), regions = !strcmp(key, "regions");
        if (regions && !sn_pipeline_accepts(a->call->p, SN_IN_REGIONS)) SN_FAIL(SN_ERR_USAGE, "\"regions\": this model sees the picture itself");
        if (a->writes && top) SN_FAIL(SN_ERR_USAGE, "\"top\": this model writes its answers, it does not choose");
        if (!a->writes && !top && !regions)
            SN_FAIL(SN_ERR_USAGE, "\"%s\": this model chooses among its answers, it does not write", key);
    }
    return SN_OK;
}

static sn_status settings(sn_call *call, asking *a) {
    const char *regions;
    *a = (asking){.call = call, .writes = sn_pretrained_writes(call->p->model)};
    SN_TRY(check_options(a, call->options));
    SN_TRY(sn_options_int(call->options, "top", TOP, 1, MOST_TOP, &a->top));
    SN_TRY(sn_json_string(call->options, "regions", NULL, &regions));
    if (sn_pipeline_accepts(call->p, SN_IN_REGIONS)) {
        if (!regions || !*regions)
            SN_FAIL(SN_ERR_USAGE, "this model looks at regions of the picture: give \"regions\", a file of their features or an image model's directory");
        SN_TRY(sn_regions_open(regions, call->p, sn_pretrained_config(call->p->model)->region, &a->regions));
    }
    return a->writes ? sn_call_generation(call, own, &a->g) : SN_OK;
}

static sn_status run(sn_call *call) {
    asking a;
    sn_status status = settings(call, &a);
    if (status == SN_OK) status = sn_seen_create(call, a.regions, &a.seen);
    if (status == SN_OK) status = sn_call_each(call, one, &a);
    sn_seen_free(a.seen);
    sn_regions_free(a.regions);
    sn_generation_free(&a.g);
    return status;
}

static bool fits(const sn_pipeline *p) {
    bool sees = sn_pipeline_accepts(p, SN_IN_IMAGE) || sn_pipeline_accepts(p, SN_IN_REGIONS);
    return p->tokenizer && sees && sn_pipeline_accepts(p, SN_IN_TEXT) && sn_pretrained_answers(p->model);
}
const sn_pipeline_task sn_pipeline_task_ask = {"ask", SN_NEED_MODEL | SN_NEED_TOKENIZER | SN_NEED_PICTURES, keys, fits, run};
