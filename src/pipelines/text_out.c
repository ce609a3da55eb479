/* text_out.c: see text_out.h. */
#include "pipelines/text_out.h"

sn_status sn_call_generation(const sn_call *call, const char *const *own, sn_generation *out) {
    json_t *mine = json_copy((json_t *)(uintptr_t)call->options);
    if (!mine) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    for (; own && *own; own++) (void)json_object_del(mine, *own);
    const sn_page *page = sn_pretrained_page(call->p->model);
    const sn_page_config *c = sn_pretrained_config(call->p->model);
    json_t *own_settings = NULL;
    sn_status status = page->generation ? page->generation(c, &own_settings) : SN_OK;
    if (status == SN_OK) status = sn_generation_read(own_settings ? own_settings : call->p->generation, c->json, mine, out);
    json_decref(own_settings);
    json_decref(mine);
    return status;
}

sn_status sn_call_decoding(sn_call *call, const sn_generation *g, int64_t n, sn_decoding **out) {
    enum { DEFAULT_LENGTH = 20 };
    sn_page_decoder shape;
    int64_t rows = g->num_beams > g->num_return_sequences ? g->num_beams : g->num_return_sequences;
    int64_t need = g->max_new_tokens > 0 ? n + g->max_new_tokens : g->max_length > 0 ? g->max_length : DEFAULT_LENGTH;
    SN_TRY(sn_pretrained_page(call->p->model)->decoder(sn_pretrained_config(call->p->model), &shape));
    if (need <= n) need = n + 1;
    if (shape.positions > 0 && need > shape.positions) need = shape.positions;
    if (need < n) SN_FAIL(SN_ERR_USAGE, "%lld tokens; the model has %lld positions", (long long)n, (long long)shape.positions);
    return sn_work_decoding(call->work, rows, need, out);
}

typedef struct streaming {
    sn_call *call;
    size_t item;
    sn_decode_stream stream;
    sn_status status;
} streaming;

/* The first sequence is streamed. */
static int on_token(void *context, int64_t row, int32_t token) {
    streaming *s = context;
    const sn_listener *l = s->call->listener;
    if (!l || !l->text) return 0;
    sn_buf text = {0};
    if (row == 0) s->status = sn_decode_stream_next(&s->stream, token, &text);
    int stop = s->status != SN_OK;
    if (!stop && (text.size || row < 0)) stop = l->text(l->context, s->item, text.data ? text.data : "", text.size);
    sn_buf_free(&text);
    return stop;
}

static sn_status end_stream(streaming *s, bool told) {
    const sn_listener *l = s->call->listener;
    sn_buf text = {0};
    sn_status status = SN_OK;
    if (told && l && l->text) {
        status = sn_decode_stream_finish(&s->stream, &text);
        if (status == SN_OK && text.size && l->text(l->context, s->item, text.data, text.size))
            status = sn_fail(SN_ERR_CANCELLED, "stopped by the caller at item %zu", s->item + 1);
    }
    sn_buf_free(&text);
    sn_decode_stream_free(&s->stream);
    return status;
}

static sn_status text_of(const sn_pipeline *p, const sn_generated *g, json_t **out) {
    sn_buf text = {0};
    json_t *tokens = json_array();
    sn_status status = tokens ? sn_tokenizer_decode(p->tokenizer, g->tokens, (size_t)g->n, true, &text) : SN_ERR_MEMORY;
    for (int64_t i = 0; status == SN_OK && i < g->n; i++) (void)json_array_append_new(tokens, json_integer(g->tokens[i]));
    if (status == SN_OK) status = sn_buf_check(&text);
    if (status == SN_OK)
        *out = json_pack("{s:o, s:O, s:f}", "text", json_stringn(text.data ? text.data : "", text.size), "tokens", tokens, "score", g->score);
    if (status == SN_OK && !*out) status = sn_fail(SN_ERR_MEMORY, "out of memory");
    json_decref(tokens);
    sn_buf_free(&text);
    return status;
}

sn_status sn_call_write(sn_call *call, size_t i, sn_decoding *d, const sn_generation *g, const int32_t *ids, int64_t n, json_t **out) {
    int64_t count = g->num_return_sequences;
    streaming s = {.call = call, .item = i};
    sn_generated *texts = sn_alloc((size_t)count, sizeof *texts);
    sn_decoder decoder = sn_decoding_decoder(d);
    json_t *others = json_array(), *one;
    *out = NULL;
    if (!texts || !others) {
        sn_free(texts);
        json_decref(others);
        return SN_ERR_MEMORY;
    }
    sn_decode_stream_begin(&s.stream, call->p->tokenizer, true);
    sn_status status = sn_generate(&decoder, g, 1, n, ids, on_token, &s, texts);
    if (s.status != SN_OK) status = s.status;
    sn_status ended = end_stream(&s, status == SN_OK);
    if (status == SN_OK) status = ended;
    if (status == SN_OK) status = text_of(call->p, &texts[0], out);
    for (int64_t k = 1; status == SN_OK && k < count; k++) {
        status = text_of(call->p, &texts[k], &one);
        if (status == SN_OK) (void)json_array_append_new(others, one);
    }
    if (status == SN_OK && count > 1) (void)json_object_set(*out, "others", others);
    for (int64_t k = 0; k < count; k++) sn_free(texts[k].tokens);
    sn_free(texts);
    json_decref(others);
    return status;
}
