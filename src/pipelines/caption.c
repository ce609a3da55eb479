/* caption.c: pictures -> their captions, several at a time:
 *
 *   pixels [N,H,W,3] -> encoder [N,S,E] once -> decoder with its cache, N * beams rows -> texts */
#include "pipelines/text_out.h"

static const char *const own[] = {"batch_size", "prompt", NULL};
static const char *const keys[] = {"batch_size", "prompt", SN_GENERATION_KEYS, NULL};
enum { BATCH = 4, MOST_BATCH = 1024 };

typedef struct captioning {
    sn_call *call;
    sn_generation g;
    size_t batch;
    sn_encoding prompt; /* what every text begins with, after the start token */
    int32_t *starts;    /* [batch][1 + prompt.count] */
    json_t **results;   /* [batch] */
} captioning;

static sn_status write_batch(captioning *c, const sn_pictures *pictures, size_t first, size_t n) {
    sn_call *call = c->call;
    sn_decoding *d;
    sn_feed feed = sn_feed_pictures(pictures, (int64_t)n);
    int64_t each = 1 + c->prompt.count;
    SN_TRY(sn_call_decoding(call, &c->g, n, each, &d));
    SN_TRY(sn_work_begin(call->work, &feed, d));
    return sn_call_write(call, first, n, d, &c->g, &(sn_prompts){c->starts, each, c->prompt.count}, c->results);
}

/* Captions a batch, whose items follow one another, and tells it, or that it failed. */
static sn_status run_batch(void *context, const sn_pictures *pictures, const size_t *items, int64_t count) {
    captioning *c = context;
    sn_call *call = c->call;
    size_t n = (size_t)count;
    sn_status status = write_batch(c, pictures, items[0], n);
    if (status != SN_OK) {
        for (size_t k = 0; k < n; k++) SN_TRY(sn_call_item_failed(call, items[k], status));
        return SN_OK;
    }
    for (size_t k = 0; k < n; k++) {
        const char *file = call->items[items[k]].file;
        if (file) (void)json_object_set_new(c->results[k], "image", json_string(file));
        if (status == SN_OK) status = sn_call_give(call, items[k], c->results[k]);
        else json_decref(c->results[k]);
    }
    return status;
}

static sn_status item_failed(void *context, size_t i, sn_status status) { return sn_call_item_failed(((captioning *)context)->call, i, status); }

/* The start token and the prompt's, for every row of a batch. */
static sn_status begin(captioning *c, const char *prompt) {
    const sn_encode_options o = {.add_special = false, .truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    int32_t start;
    SN_TRY(sn_call_start(c->call, &c->g, &start));
    if (prompt) SN_TRY(sn_tokenizer_encode(c->call->p->tokenizer, prompt, strlen(prompt), NULL, 0, o, &c->prompt));
    size_t count = (size_t)c->prompt.count, each = 1 + count;
    c->starts = sn_alloc(c->batch, each * sizeof *c->starts);
    c->results = sn_alloc(c->batch, sizeof *c->results);
    if (!c->starts || !c->results) return SN_ERR_MEMORY;
    for (size_t k = 0; k < c->batch; k++) {
        c->starts[k * each] = start;
        if (count) memcpy(c->starts + k * each + 1, c->prompt.ids, count * sizeof *c->starts);
    }
    return SN_OK;
}

static sn_status settings(sn_call *call, captioning *c) {
    int64_t batch;
    const char *prompt;
    *c = (captioning){.call = call};
    SN_TRY(sn_options_int(call->options, "batch_size", BATCH, 1, MOST_BATCH, &batch));
    SN_TRY(sn_json_string(call->options, "prompt", NULL, &prompt));
    c->batch = (size_t)batch < call->n ? (size_t)batch : call->n ? call->n : 1;
    SN_TRY(sn_call_generation(call, own, &c->g));
    return begin(c, prompt);
}

static sn_status run(sn_call *call) {
    captioning c;
    sn_status status = settings(call, &c);
    if (status == SN_OK) status = sn_pictures_all(call, &(sn_picture_batches){(int64_t)c.batch, run_batch, item_failed, &c});
    sn_generation_free(&c.g);
    sn_encoding_free(&c.prompt);
    sn_free(c.results);
    sn_free(c.starts);
    return status;
}

static bool fits(const sn_pipeline *p) {
    if (!p->tokenizer || !sn_pipeline_accepts(p, SN_IN_IMAGE)) return false;
    return sn_pretrained_page(p->model)->encode && sn_pretrained_writes(p->model) && !sn_pretrained_answers(p->model);
}
const sn_pipeline_task sn_pipeline_task_caption = {"caption", SN_NEED_MODEL | SN_NEED_TOKENIZER | SN_NEED_PICTURES, keys, fits, run};
