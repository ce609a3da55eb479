/* generate.c: a prompt -> the text that follows, from a model with a decoder alone (GPT-2). */
#include "pipelines/text_out.h"

static const char *const keys[] = {SN_GENERATION_KEYS, NULL};

typedef struct generating {
    sn_call *call;
    sn_generation g;
    sn_encoding prompt;
} generating;

/* The prompt as the tokenizer gives it by itself; an empty one begins with the start token. */
static sn_status prompt_ids(sn_call *call, size_t i, const sn_generation *g, sn_encoding *e) {
    const char *text;
    size_t bytes;
    sn_encode_options o = {.add_special = true, .truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    SN_TRY(sn_item_text(&call->items[i], &text, &bytes));
    SN_TRY(sn_tokenizer_encode(call->p->tokenizer, text, bytes, NULL, 0, o, e));
    if (e->count || g->bos < 0) return e->count ? SN_OK : sn_fail(SN_ERR_USAGE, "the prompt is empty, and the model has no token to begin with");
    return SN_OK;
}

static sn_status one(void *context, size_t i) {
    generating *job = context;
    sn_call *call = job->call;
    const sn_generation *g = &job->g;
    sn_encoding *e = &job->prompt;
    sn_decoding *d;
    json_t *result = NULL;
    SN_TRY(prompt_ids(call, i, g, e));
    const int32_t *ids = e->count ? e->ids : &g->bos;
    int64_t n = e->count ? e->count : 1;
    SN_TRY(sn_call_decoding(call, g, 1, n, &d));
    SN_TRY(sn_decoding_start(d, NULL, 0, 0, 0));
    SN_TRY(sn_call_write(call, i, 1, d, g, &(sn_prompts){ids, n, 0}, &result));
    (void)json_object_set_new(result, "prompt", json_stringn_nocheck(call->items[i].text, call->items[i].bytes));
    return sn_call_give(call, i, result);
}

static sn_status run(sn_call *call) {
    generating job = {.call = call};
    SN_TRY(sn_call_generation(call, NULL, &job.g));
    sn_status status = sn_call_each(call, one, &job);
    sn_encoding_free(&job.prompt);
    sn_generation_free(&job.g);
    return status;
}

/* A decoder alone, whose last matrix is there. */
static bool fits(const sn_pipeline *p) {
    if (!p->model || !p->tokenizer) return false;
    const sn_page *page = sn_pretrained_page(p->model);
    sn_page_decoder shape;
    const char *name = sn_pretrained_architecture(p->model);
    return page->decode && !page->encode && page->decoder(sn_pretrained_config(p->model), &shape) == SN_OK && !shape.cross
        && (strstr(name, "LMHead") || strstr(name, "ForCausalLM"));
}
const sn_pipeline_task sn_pipeline_task_generate = {"generate", SN_NEED_MODEL | SN_NEED_TOKENIZER, keys, fits, run};
