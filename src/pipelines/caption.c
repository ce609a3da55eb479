/* caption.c: pictures -> their captions, several at a time:
 *
 *   pixels [N,H,W,3] -> encoder [N,S,E] once -> decoder with its cache, N * beams rows -> texts */
#include "pipelines/text_out.h"

static const char *const own[] = {"batch_size", "prompt", NULL};
static const char *const keys[] = {"batch_size", "prompt", SN_GENERATION_KEYS, NULL};
enum { BATCH = 8, MOST_BATCH = 1024 };

/* A batch is items [first, first + n), whose pictures lie in `pictures` one after the other. */
typedef struct captioning {
    sn_call *call;
    sn_generation g;
    size_t batch, first, n;
    sn_pictures pictures;
    sn_encoding prompt; /* what every text begins with, after the start token */
    int32_t *starts;    /* [batch][1 + prompt.count] */
    json_t **results;   /* [batch] */
} captioning;

static sn_status run_batch(captioning *c) {
    sn_call *call = c->call;
    sn_result encoded;
    sn_decoding *d;
    sn_feed feed = {.kinds = SN_IN_IMAGE, .sizes = {.rows = (int64_t)c->n, .height = c->pictures.height, .width = c->pictures.width},
                    .pixels = c->pictures.values};
    SN_TRY(sn_work_encode(call->work, &feed, &encoded));
    int64_t each = 1 + c->prompt.count;
    SN_TRY(sn_call_decoding(call, &c->g, c->n, each, &d));
    SN_TRY(sn_decoding_start(d, encoded.data, (int64_t)c->n, encoded.shape.dim[1], encoded.shape.dim[2]));
    return sn_call_write(call, c->first, c->n, d, &c->g, &(sn_prompts){c->starts, each, c->prompt.count}, c->results);
}

/* Captions what has gathered and tells it, or that it failed. */
static sn_status flush(captioning *c) {
    sn_call *call = c->call;
    size_t n = c->n;
    sn_status status = n ? run_batch(c) : SN_OK;
    c->n = 0;
    if (status != SN_OK) {
        for (size_t k = 0; k < n; k++) SN_TRY(sn_call_item_failed(call, c->first + k, status));
        return SN_OK;
    }
    for (size_t k = 0; k < n; k++) {
        const char *file = call->items[c->first + k].file;
        if (file) (void)json_object_set_new(c->results[k], "image", json_string(file));
        if (status == SN_OK) status = sn_call_give(call, c->first + k, c->results[k]);
        else json_decref(c->results[k]);
    }
    return status;
}

/* Puts the picture of item i behind the others of its batch. */
static sn_status keep(captioning *c, size_t i, const sn_pictures *one) {
    sn_pictures *all = &c->pictures;
    if (!c->n && one->one != all->one) {
        sn_pictures_free(all);
        all->values = sn_alloc(c->batch, one->one * sizeof *all->values);
        if (!all->values) return SN_ERR_MEMORY;
    }
    if (!c->n) c->first = i;
    all->height = one->height;
    all->width = one->width;
    all->one = one->one;
    memcpy(all->values + c->n++ * one->one, one->values, one->one * sizeof *one->values);
    return SN_OK;
}

/* Batches are of one size; results come in the order of the items, so that one that fails waits for those before it. */
static sn_status add(captioning *c, size_t i) {
    sn_pictures one = {0};
    sn_status status = sn_pictures_make(c->call, i, 1, &one);
    if (status != SN_OK && c->n) {
        SN_TRY(flush(c));
        return add(c, i); /* its error is the last one again */
    }
    if (status != SN_OK) return sn_call_item_failed(c->call, i, status);
    if (c->n == c->batch || (c->n && (one.height != c->pictures.height || one.width != c->pictures.width))) status = flush(c);
    if (status == SN_OK) status = keep(c, i, &one);
    sn_pictures_free(&one);
    return status;
}

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
    for (size_t i = 0; status == SN_OK && i < call->n; i++) status = add(&c, i);
    if (status == SN_OK) status = flush(&c);
    sn_pictures_free(&c.pictures);
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
