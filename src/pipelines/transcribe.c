/* transcribe.c: sound -> text with times, by Whisper.
 *
 *   sound -> log-mel [frames, mels] -> windows of 30 s -> encoder [1,S,E] -> keys and values of the cross-attention
 *         -> decoder with its cache, under Whisper's rules (generate/whisper.h) -> segments -> text
 *
 * Segments are told as they are found. What begins behind the sound's end is left out: nobody spoke there. */
#include <math.h>

#include "generate/whisper.h"
#include "pipelines/text_out.h"

#define OWN_KEYS                                                                                                             \
    "language", "task", "return_timestamps", "condition_on_prev_tokens", "logprob_threshold", "compression_ratio_threshold", \
        "no_speech_threshold"
static const char *const keys[] = {SN_GENERATION_KEYS, OWN_KEYS, "prompt", NULL}; /* SN_GENERATION_KEYS has "temperature" */

typedef struct transcription {
    sn_call *call;
    size_t item;
    const sn_whisper *w;
    sn_sound sound;
    sn_decoding *decoding;
    sn_decoder inner; /* the decoding's */
    float *chunk;     /* [frames][mels] of a window */
    int64_t encoded;  /* first frame of the window that the decoding looks at; -1: none */
    sn_decode_stream stream;
    json_t *segments;
    sn_buf text;
    sn_status status; /* of what a listener's callback did */
} transcription;

/* ---- the model, as the walk sees it ---- */

static sn_status encode(void *context, int64_t first, int64_t frames) {
    transcription *t = context;
    const sn_pipeline *p = t->call->p;
    (void)frames; /* what is behind the sound's end is in the chunk as the processor made it */
    if (first == t->encoded) return SN_OK;
    t->encoded = -1;
    sn_sound_chunk(p, &t->sound, first, t->chunk);
    sn_feed feed = sn_feed_chunk(p, t->chunk);
    SN_TRY(sn_work_begin(t->call->work, &feed, t->decoding));
    t->encoded = first;
    return SN_OK;
}

/* A call without parents begins a new text. Prompts are fed in pieces of 2^k tokens: each length is a program. */
static sn_status step(void *context, int64_t rows, int64_t count, const int32_t *ids, const int32_t *parents, float *logits) {
    transcription *t = context;
    static const int32_t itself[1] = {0};
    if (!parents) SN_TRY(sn_decoding_start(t->decoding, NULL, 0, 0, 0));
    while (rows == 1 && count > 1) {
        int64_t piece = 1;
        while (2 * piece < count) piece *= 2;
        SN_TRY(t->inner.step(t->inner.context, 1, piece, ids, parents, logits));
        parents = itself;
        ids += piece;
        count -= piece;
    }
    return t->inner.step(t->inner.context, rows, count, ids, parents, logits);
}

/* ---- segments ---- */

static bool is_text(const transcription *t, int32_t token) { return token < t->w->no_timestamps; }

static json_t *times(double seconds) { return json_real(round(seconds * 1000) / 1000); }

/* Its text tokens; special ones among them are passed over by the tokenizer. */
static sn_status segment_text(const transcription *t, const sn_segment *s, sn_buf *out) {
    int32_t *ids = sn_alloc((size_t)s->n + 1, sizeof *ids);
    size_t n = 0;
    if (!ids) return SN_ERR_MEMORY;
    for (int64_t i = 0; i < s->n; i++)
        if (is_text(t, s->tokens[i])) ids[n++] = s->tokens[i];
    sn_status status = sn_tokenizer_decode(t->call->p->tokenizer, ids, n, true, out);
    sn_free(ids);
    return status == SN_OK ? sn_buf_check(out) : status;
}

static sn_status describe(const transcription *t, const sn_segment *s, json_t **out) {
    sn_buf text = {0};
    double end = s->end < t->sound.seconds ? s->end : t->sound.seconds;
    json_t *tokens = json_array();
    sn_status status = tokens ? segment_text(t, s, &text) : sn_fail(SN_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < s->n; i++) (void)json_array_append_new(tokens, json_integer(s->tokens[i]));
    *out = NULL;
    if (status == SN_OK)
        *out = json_pack("{s:I, s:o, s:o, s:o, s:O, s:f, s:f, s:f, s:f}", "id", (json_int_t)json_array_size(t->segments), "start", times(s->start),
                         "end", times(end), "text", json_stringn(text.data ? text.data : "", text.size), "tokens", tokens, "temperature",
                         s->temperature, "avg_logprob", s->log_probability, "compression_ratio", s->compression, "no_speech_prob", s->no_speech);
    if (status == SN_OK && !*out) status = sn_fail(SN_ERR_MEMORY, "out of memory");
    json_decref(tokens);
    sn_buf_free(&text);
    return status;
}

/* To the listener: the segment as JSON, and its text as far as its characters are whole. */
static sn_status tell(transcription *t, const sn_segment *s, json_t *segment, int *stop) {
    const sn_listener *l = t->call->listener;
    size_t before = t->text.size;
    for (int64_t i = 0; i < s->n; i++)
        if (is_text(t, s->tokens[i])) SN_TRY(sn_decode_stream_next(&t->stream, s->tokens[i], &t->text));
    SN_TRY(sn_buf_check(&t->text));
    if (!l) return SN_OK;
    if (l->text && t->text.size > before) *stop = l->text(l->context, t->item, t->text.data + before, t->text.size - before);
    if (*stop || !l->part) return SN_OK;
    char *json;
    SN_TRY(sn_item_json(t->item, json_incref(segment), &json));
    *stop = l->part(l->context, json);
    sn_string_free(json);
    return SN_OK;
}

static int found(void *context, const sn_segment *s) {
    transcription *t = context;
    const sn_listener *l = t->call->listener;
    json_t *segment;
    int stop = 0;
    if (!s) return l && l->text ? l->text(l->context, t->item, "", 0) : 0;
    if (s->start >= t->sound.seconds) return 0;
    t->status = describe(t, s, &segment);
    if (t->status == SN_OK && json_array_append_new(t->segments, segment)) t->status = sn_fail(SN_ERR_MEMORY, "out of memory");
    if (t->status == SN_OK) t->status = tell(t, s, segment, &stop);
    return stop || t->status != SN_OK;
}

static sn_status end_text(transcription *t) {
    const sn_listener *l = t->call->listener;
    size_t before = t->text.size;
    SN_TRY(sn_decode_stream_finish(&t->stream, &t->text));
    SN_TRY(sn_buf_check(&t->text));
    if (l && l->text && t->text.size > before && l->text(l->context, t->item, t->text.data + before, t->text.size - before))
        SN_FAIL(SN_ERR_CANCELLED, "stopped by the caller at item %zu", t->item + 1);
    return SN_OK;
}

/* ---- one sound ---- */

static const char *language_code(const sn_whisper *w, int32_t token) {
    for (int i = 0; i < w->n_languages; i++)
        if (w->languages[i].token == token) return w->languages[i].code;
    return NULL;
}

static sn_status listen(transcription *t, const int32_t *prompt, int64_t n_prompt, json_t **result) {
    const sn_pipeline *p = t->call->p;
    sn_transcript all;
    sn_page_decoder shape;
    sn_whisper_model model = {.context = t, .encode = encode, .window = p->sound.frames, .stride = 2,
                              .seconds_of_step = 2.0 * p->sound.mel.hop / p->sound.mel.rate};
    SN_TRY(sn_pretrained_page(p->model)->decoder(sn_pretrained_config(p->model), &shape));
    SN_TRY(sn_work_decoding(t->call->work, t->w->generation.num_beams, shape.positions, &t->decoding));
    t->inner = model.decoder = sn_decoding_decoder(t->decoding);
    model.decoder.context = t;
    model.decoder.step = step;
    model.decoder.most_positions = shape.positions;
    sn_status status = sn_transcribe(&model, t->w, t->sound.content, prompt, n_prompt, found, t, &all);
    if (t->status != SN_OK) status = t->status;
    if (status == SN_OK) status = end_text(t);
    const char *code = language_code(t->w, all.language);
    double sure = all.language_probability;
    sn_transcript_free(&all);
    SN_TRY(status);
    json_t *text = json_stringn(t->text.data ? t->text.data : "", t->text.size);
    *result = json_pack("{s:o, s:o, s:O}", "text", text, "seconds", times(t->sound.seconds), "segments", t->segments);
    if (*result && code) {
        (void)json_object_set_new(*result, "language", json_string(code));
        (void)json_object_set_new(*result, "language_probability", json_real(sure));
    }
    return *result ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
}

typedef struct transcribing {
    sn_call *call;
    sn_whisper w;
    sn_encoding prompt;
} transcribing;

static sn_status one(void *context, size_t i) {
    const transcribing *job = context;
    sn_call *call = job->call;
    transcription t = {.call = call, .item = i, .w = &job->w, .encoded = -1, .segments = json_array()};
    json_t *result = NULL;
    sn_decode_stream_begin(&t.stream, call->p->tokenizer, true);
    sn_status status = t.segments ? sn_sound_make(call->p, &call->items[i], &t.sound) : SN_ERR_MEMORY;
    if (status == SN_OK) t.chunk = sn_alloc((size_t)call->p->sound.frames, (size_t)call->p->sound.mel.mels * sizeof *t.chunk);
    if (status == SN_OK) status = t.chunk ? listen(&t, job->prompt.ids, job->prompt.count, &result) : SN_ERR_MEMORY;
    sn_decode_stream_free(&t.stream);
    sn_sound_free(&t.sound);
    sn_free(t.chunk);
    sn_buf_free(&t.text);
    json_decref(t.segments);
    SN_TRY(status);
    if (call->items[i].file) (void)json_object_set_new(result, "audio", json_string(call->items[i].file));
    return sn_call_give(call, i, result);
}

/* ---- the task ---- */

/* " text", as the text before would have ended: Transformers' get_prompt_ids. */
static sn_status read_prompt(const sn_call *call, sn_encoding *out) {
    const char *text = NULL;
    sn_buf spaced = {0};
    sn_encode_options o = {.truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    SN_TRY(sn_json_string(call->options, "prompt", NULL, &text));
    if (!text) return SN_OK;
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", *text)) text++, n--;
    while (n && strchr(" \t\r\n", text[n - 1])) n--;
    sn_buf_puts(&spaced, " ");
    sn_buf_add(&spaced, text, n);
    sn_status status = sn_buf_check(&spaced);
    if (status == SN_OK && n) status = sn_tokenizer_encode(call->p->tokenizer, spaced.data, spaced.size, NULL, 0, o, out);
    sn_buf_free(&spaced);
    return status;
}

static sn_status settings(const sn_call *call, sn_whisper *out) {
    json_t *mine = json_copy((json_t *)(uintptr_t)call->options);
    if (!mine) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    (void)json_object_del(mine, "prompt");
    sn_status status = sn_whisper_read(call->p->generation, sn_pretrained_config(call->p->model)->json, mine, out);
    json_decref(mine);
    return status;
}

static sn_status run(sn_call *call) {
    transcribing job = {.call = call};
    SN_TRY(settings(call, &job.w));
    sn_status status = read_prompt(call, &job.prompt);
    if (status == SN_OK) status = sn_call_each(call, one, &job);
    sn_encoding_free(&job.prompt);
    sn_whisper_free(&job.w);
    return status;
}

static bool fits(const sn_pipeline *p) {
    if (!p->tokenizer || !p->mel || !sn_ends_with(sn_pretrained_architecture(p->model), "ForConditionalGeneration")) return false;
    const sn_page *page = sn_pretrained_page(p->model);
    return page->encode && page->decode && page->cross;
}
const sn_pipeline_task sn_pipeline_task_transcribe = {"transcribe", SN_NEED_MODEL | SN_NEED_TOKENIZER | SN_NEED_SOUND, keys, fits, run};
