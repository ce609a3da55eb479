/* caption.c: a picture -> its caption: pixels [1,H,W,3] -> encoder [1,S,E] once -> decoder with its cache -> text. */
#include "pipelines/text_out.h"

static const char *const keys[] = {SN_GENERATION_KEYS, NULL};

static sn_status one(sn_call *call, size_t i, const sn_generation *g) {
    sn_pictures pictures = {0};
    sn_result encoded;
    sn_decoding *d;
    json_t *result = NULL;
    int32_t start = g->decoder_start >= 0 ? g->decoder_start : g->bos;
    if (start < 0) SN_FAIL(SN_ERR_FORMAT, "%s: neither \"decoder_start_token_id\" nor \"bos_token_id\" is given", call->p->path);
    sn_status status = sn_pictures_make(call, i, 1, &pictures);
    sn_feed feed = {.kinds = SN_IN_IMAGE, .sizes = {.rows = 1, .height = pictures.height, .width = pictures.width}, .pixels = pictures.values};
    if (status == SN_OK) status = sn_work_encode(call->work, &feed, &encoded);
    if (status == SN_OK) status = sn_call_decoding(call, g, 1, &d);
    if (status == SN_OK) status = sn_decoding_start(d, encoded.data, 1, encoded.shape.dim[1], encoded.shape.dim[2]);
    if (status == SN_OK) status = sn_call_write(call, i, d, g, &start, 1, &result);
    sn_pictures_free(&pictures);
    SN_TRY(status);
    if (call->items[i].file) (void)json_object_set_new(result, "image", json_string(call->items[i].file));
    return sn_call_give(call, i, result);
}

static sn_status run(sn_call *call) {
    sn_generation g;
    SN_TRY(sn_call_generation(call, NULL, &g));
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && i < call->n; i++) {
        status = one(call, i, &g);
        if (status != SN_OK) status = sn_call_item_failed(call, i, status);
    }
    sn_generation_free(&g);
    return status;
}

static bool fits(const sn_pipeline *p) {
    if (!p->tokenizer || !sn_pipeline_accepts(p, SN_IN_IMAGE)) return false;
    return sn_pretrained_page(p->model)->encode && sn_pretrained_writes(p->model) && !sn_pretrained_answers(p->model);
}
const sn_pipeline_task sn_pipeline_task_caption = {"caption", SN_NEED_MODEL | SN_NEED_TOKENIZER | SN_NEED_PICTURES, keys, fits, run};
