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

sn_status sn_call_start(const sn_call *call, const sn_generation *g, int32_t *token) {
    *token = g->decoder_start >= 0 ? g->decoder_start : g->bos;
    if (*token < 0) SN_FAIL(SN_ERR_FORMAT, "%s: neither \"decoder_start_token_id\" nor \"bos_token_id\" is given", call->p->path);
    return SN_OK;
}

sn_status sn_call_decoding(sn_call *call, const sn_generation *g, size_t rows, int64_t n, sn_decoding **out) {
    sn_page_decoder shape;
    int64_t each = g->num_beams > g->num_return_sequences ? g->num_beams : g->num_return_sequences;
    int64_t need = g->max_new_tokens > 0 ? n + g->max_new_tokens : g->max_length > 0 ? g->max_length : n + SN_DEFAULT_NEW_TOKENS;
    SN_TRY(sn_pretrained_page(call->p->model)->decoder(sn_pretrained_config(call->p->model), &shape));
    if (need <= n) need = n + 1;
    if (shape.positions > 0 && need > shape.positions) need = shape.positions;
    if (need < n) SN_FAIL(SN_ERR_USAGE, "%lld tokens; the model has %lld positions", (long long)n, (long long)shape.positions);
    return sn_work_decoding(call->work, (int64_t)rows * each, need, out);
}

/* The texts of one call of sn_generate: `count` of each of `rows` items from `item` on. */
typedef struct writing {
    sn_call *call;
    const sn_prompts *prompts;
    size_t item, rows;
    int64_t count;
    sn_decode_stream *streams; /* [rows] */
    sn_generated *texts;       /* [rows * count] */
    sn_status status;
} writing;

static int tell(writing *w, size_t row, int32_t token) {
    const sn_listener *l = w->call->listener;
    sn_buf text = {0};
    w->status = sn_decode_stream_next(&w->streams[row], token, &text);
    int stop = w->status != SN_OK;
    if (!stop && text.size) stop = l->text(l->context, w->item + row, text.data, text.size);
    sn_buf_free(&text);
    return stop;
}

/* The first sequence of each item is streamed. */
static int on_token(void *context, int64_t row, int32_t token) {
    writing *w = context;
    const sn_listener *l = w->call->listener;
    if (!l || !l->text) return 0;
    if (row < 0) return l->text(l->context, w->item, "", 0);
    return row % w->count ? 0 : tell(w, (size_t)(row / w->count), token);
}

/* What is shown of the prompts comes first. */
static sn_status begin_streams(writing *w) {
    const sn_listener *l = w->call->listener;
    const sn_prompts *p = w->prompts;
    for (size_t r = 0; l && l->text && r < w->rows; r++)
        for (int64_t k = p->n - p->shown; k < p->n; k++) {
            if (!tell(w, r, p->ids[(int64_t)r * p->n + k])) continue;
            return w->status != SN_OK ? w->status : sn_fail(SN_ERR_CANCELLED, "stopped by the caller at item %zu", w->item + r + 1);
        }
    return SN_OK;
}

static sn_status end_stream(writing *w, size_t row) {
    const sn_listener *l = w->call->listener;
    sn_buf text = {0};
    if (!l || !l->text) return SN_OK;
    sn_status status = sn_decode_stream_finish(&w->streams[row], &text);
    if (status == SN_OK && text.size && l->text(l->context, w->item + row, text.data, text.size))
        status = sn_fail(SN_ERR_CANCELLED, "stopped by the caller at item %zu", w->item + row + 1);
    sn_buf_free(&text);
    return status;
}

/* {"text","tokens","score"}: the text with `shown` tokens of the prompt before its own. */
static sn_status text_of(const sn_pipeline *p, const int32_t *prompt, int64_t shown, const sn_generated *g, json_t **out) {
    sn_buf text = {0};
    json_t *tokens = json_array();
    int32_t *all = sn_alloc((size_t)(shown + g->n) + 1, sizeof *all);
    sn_status status = tokens && all ? SN_OK : SN_ERR_MEMORY;
    for (int64_t i = 0; status == SN_OK && i < shown; i++) all[i] = prompt[i];
    for (int64_t i = 0; status == SN_OK && i < g->n; i++) {
        all[shown + i] = g->tokens[i];
        (void)json_array_append_new(tokens, json_integer(g->tokens[i]));
    }
    if (status == SN_OK) status = sn_tokenizer_decode(p->tokenizer, all, (size_t)(shown + g->n), true, &text);
    if (status == SN_OK) status = sn_buf_check(&text);
    if (status == SN_OK)
        *out = json_pack("{s:o, s:O, s:f}", "text", json_stringn(text.data ? text.data : "", text.size), "tokens", tokens, "score", g->score);
    if (status == SN_OK && !*out) status = sn_fail(SN_ERR_MEMORY, "out of memory");
    json_decref(tokens);
    sn_buf_free(&text);
    sn_free(all);
    return status;
}

/* What item `row` of the writing became. */
static sn_status result_of(const writing *w, size_t row, json_t **out) {
    const sn_generated *texts = w->texts + (int64_t)row * w->count;
    const sn_prompts *p = w->prompts;
    const int32_t *prompt = p->ids + (int64_t)(row + 1) * p->n - p->shown;
    json_t *others = json_array(), *one;
    sn_status status = others ? text_of(w->call->p, prompt, p->shown, texts, out) : SN_ERR_MEMORY;
    for (int64_t k = 1; status == SN_OK && k < w->count; k++) {
        status = text_of(w->call->p, prompt, p->shown, &texts[k], &one);
        if (status == SN_OK) (void)json_array_append_new(others, one);
    }
    if (status == SN_OK && w->count > 1) (void)json_object_set(*out, "others", others);
    json_decref(others);
    return status;
}

static sn_status write_all(writing *w, sn_decoding *d, const sn_generation *g, json_t **out) {
    sn_decoder decoder = sn_decoding_decoder(d);
    SN_TRY(begin_streams(w));
    sn_status status = sn_generate(&decoder, g, (int64_t)w->rows, w->prompts->n, w->prompts->ids, on_token, w, w->texts);
    if (w->status != SN_OK) status = w->status;
    for (size_t r = 0; status == SN_OK && r < w->rows; r++) status = end_stream(w, r);
    for (size_t r = 0; status == SN_OK && r < w->rows; r++) status = result_of(w, r, &out[r]);
    return status;
}

sn_status sn_call_write(sn_call *call, size_t i, size_t rows, sn_decoding *d, const sn_generation *g, const sn_prompts *prompts, json_t **out) {
    writing w = {.call = call, .prompts = prompts, .item = i, .rows = rows, .count = g->num_return_sequences};
    size_t all = rows * (size_t)w.count;
    for (size_t r = 0; r < rows; r++) out[r] = NULL;
    w.texts = sn_alloc(all, sizeof *w.texts);
    w.streams = sn_alloc(rows, sizeof *w.streams);
    sn_status status = w.texts && w.streams ? SN_OK : SN_ERR_MEMORY;
    for (size_t r = 0; status == SN_OK && r < rows; r++) sn_decode_stream_begin(&w.streams[r], call->p->tokenizer, true);
    if (status == SN_OK) status = write_all(&w, d, g, out);
    for (size_t r = 0; w.texts && w.streams && r < rows; r++) sn_decode_stream_free(&w.streams[r]);
    for (size_t k = 0; w.texts && k < all; k++) sn_free(w.texts[k].tokens);
    for (size_t r = 0; status != SN_OK && r < rows; r++) {
        json_decref(out[r]);
        out[r] = NULL;
    }
    sn_free(w.streams);
    sn_free(w.texts);
    return status;
}
