/* whisper.c: the walk through the audio: language, windows, segments. */
#include "generate/whisper.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "generate/scores.h"
#include "generate/whisper_internal.h"

/* Below this temperature the text is sure enough to be given to the next window. */
#define LOW_TEMPERATURE 0.5

typedef struct walk {
    const sn_whisper_model *model;
    const sn_whisper *w;
    const int32_t *given; /* the caller's prompt */
    int64_t n_given, begin_length; /* begin_length: tokens of `begin` */
    int32_t begin[4];     /* start, language, task, no timestamps */
    int32_t *prompt;      /* [most_positions] */
    sn_whisper_listener listener;
    sn_window window;
    sn_transcript *out;
    size_t capacity;
    bool condition;
} walk;

/* ---- language ---- */

static sn_status detect_language(walk *k) {
    const sn_decoder *d = &k->model->decoder;
    const sn_whisper *w = k->w;
    float *logits = sn_alloc((size_t)d->vocabulary, sizeof *logits);
    if (!logits) return SN_ERR_MEMORY;
    sn_status status = d->step(d->context, 1, 1, &w->start, NULL, logits);
    int best = 0;
    float values[SN_MOST_LANGUAGES];
    for (int i = 0; i < w->n_languages && status == SN_OK; i++) {
        if (w->languages[i].token >= d->vocabulary)
            status = sn_fail(SN_ERR_FORMAT, "\"lang_to_id\": \"<|%s|>\" is token %d, the vocabulary has %lld", w->languages[i].code,
                             w->languages[i].token, (long long)d->vocabulary);
        else values[i] = logits[w->languages[i].token];
        if (status == SN_OK && values[i] > values[best]) best = i;
    }
    if (status == SN_OK) {
        double sum = sn_scores_log_sum(values, w->n_languages);
        k->out->language = w->languages[best].token;
        k->out->language_probability = exp((double)values[best] - sum);
        if (!isfinite(sum)) status = sn_fail(SN_ERR_NUMERIC, "the model's scores of the languages are not finite");
    }
    sn_free(logits);
    return status;
}

static sn_status begin_walk(walk *k, int64_t frames) {
    const sn_whisper *w = k->w;
    k->out->language = w->language;
    k->out->language_probability = 1;
    if (w->language < 0 && w->n_languages) {
        SN_TRY(k->model->encode(k->model->context, 0, frames < k->model->window ? frames : k->model->window));
        SN_TRY(detect_language(k));
    }
    k->listener.timestamps = w->timestamps || frames > k->model->window;
    k->begin[k->begin_length++] = w->start;
    if (k->out->language >= 0) k->begin[k->begin_length++] = k->out->language;
    if (w->task >= 0) k->begin[k->begin_length++] = w->task;
    if (!k->listener.timestamps) k->begin[k->begin_length++] = w->no_timestamps;
    return SN_OK;
}

/* ---- the prompt ---- */

/* Tokens of a segment that the next window is told: of two timestamps at its end the first. */
static int64_t told(const walk *k, const sn_segment *s) {
    return s->n > 2 && s->tokens[s->n - 2] > k->w->no_timestamps ? s->n - 1 : s->n;
}

/* The last tokens of what was given and found, at most `most`, to the end of `to`; gives how many. */
static int64_t write_past(const walk *k, int32_t *to, int64_t most) {
    int64_t n = 0;
    for (int64_t s = k->out->n; s-- > 0 && k->condition;) {
        const sn_segment *segment = &k->out->segments[s];
        for (int64_t i = told(k, segment); i-- > 0 && n < most;) to[most - ++n] = segment->tokens[i];
    }
    for (int64_t i = k->n_given; i-- > 0 && n < most;) to[most - ++n] = k->given[i];
    return n;
}

/* previous, the past, then `begin`; gives the length. */
static int64_t write_prompt(walk *k) {
    int64_t most = k->model->decoder.most_positions / 2 - 1, n = 0, at = 0;
    if (k->w->previous >= 0 && most > 0) {
        n = write_past(k, k->prompt + 1, most);
        memmove(k->prompt + 1, k->prompt + 1 + most - n, (size_t)n * sizeof *k->prompt);
        k->prompt[0] = k->w->previous;
        at = n ? n + 1 : 0;
    }
    k->listener.start_at = at;
    memcpy(k->prompt + at, k->begin, (size_t)k->begin_length * sizeof *k->prompt);
    k->listener.begin = at + k->begin_length;
    return k->listener.begin;
}

/* ---- windows ---- */

static sn_status add_segment(void *context, double start, double end, const int32_t *tokens, int64_t n) {
    walk *k = context;
    sn_segment *grown = sn_grow(k->out->segments, (size_t)k->out->n, &k->capacity, sizeof *grown);
    if (!grown) return SN_ERR_MEMORY;
    k->out->segments = grown;
    sn_segment *s = &grown[k->out->n];
    *s = (sn_segment){start, end, sn_alloc((size_t)(n ? n : 1), sizeof *tokens), n, k->window.log_probability, k->window.no_speech,
                      k->window.compression, k->window.temperature};
    if (!s->tokens) return SN_ERR_MEMORY;
    memcpy(s->tokens, tokens, (size_t)n * sizeof *tokens);
    k->out->n++;
    if (k->listener.found && k->listener.found(k->listener.context, s)) SN_FAIL(SN_ERR_CANCELLED, "the transcription was cancelled");
    return SN_OK;
}

static sn_status walk_windows(walk *k, int64_t frames) {
    for (int64_t seek = 0, advance = 0; seek < frames; seek += advance) {
        int64_t left = frames - seek;
        k->window.first = seek;
        k->window.frames = left < k->model->window ? left : k->model->window;
        SN_TRY(k->model->encode(k->model->context, seek, k->window.frames));
        int64_t n = write_prompt(k);
        SN_TRY(sn_window_decode(&k->listener, k->prompt, n, &k->window));
        k->condition = k->w->condition && k->window.temperature < LOW_TEMPERATURE;
        advance = k->window.frames;
        if (!k->window.skip) SN_TRY(sn_window_cut(k->model, k->w, &k->window, add_segment, k, &advance));
    }
    return SN_OK;
}

/* ---- the call ---- */

static sn_status check_model(const sn_whisper_model *m, const sn_whisper *w, int64_t frames) {
    const int32_t tokens[] = {w->start, w->language, w->task, w->no_timestamps, w->previous};
    if (m->window < 1 || m->stride < 1 || !(m->seconds_of_step > 0))
        SN_FAIL(SN_ERR_USAGE, "a Whisper model with windows of %lld frames in steps of %lld", (long long)m->window, (long long)m->stride);
    if (m->decoder.most_positions < 8) SN_FAIL(SN_ERR_USAGE, "a Whisper model of %lld positions", (long long)m->decoder.most_positions);
    if (frames < 1) SN_FAIL(SN_ERR_USAGE, "the audio is empty");
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if (tokens[i] >= m->decoder.vocabulary)
            SN_FAIL(SN_ERR_USAGE, "token %d of the prompt is outside the vocabulary of %lld tokens", tokens[i], (long long)m->decoder.vocabulary);
    return SN_OK;
}

static sn_status check_prompt(const sn_whisper_model *m, const sn_whisper *w, const int32_t *prompt, int64_t n) {
    if (n && w->previous < 0) SN_FAIL(SN_ERR_USAGE, "a prompt is not possible: the model names no \"prev_sot_token_id\"");
    for (int64_t i = 0; i < n; i++)
        if (prompt[i] < 0 || prompt[i] >= m->decoder.vocabulary)
            SN_FAIL(SN_ERR_USAGE, "prompt: token %lld is %d; the vocabulary has %lld", (long long)i + 1, prompt[i], (long long)m->decoder.vocabulary);
    return SN_OK;
}

static sn_status transcribe(walk *k, int64_t frames) {
    SN_TRY(check_model(k->model, k->w, frames));
    SN_TRY(check_prompt(k->model, k->w, k->given, k->n_given));
    k->prompt = sn_alloc((size_t)k->model->decoder.most_positions + 8, sizeof *k->prompt);
    if (!k->prompt) return SN_ERR_MEMORY;
    SN_TRY(begin_walk(k, frames));
    return walk_windows(k, frames);
}

sn_status sn_transcribe(const sn_whisper_model *model, const sn_whisper *w, int64_t frames, const int32_t *prompt, int64_t n_prompt,
                        sn_segment_fn *found, void *context, sn_transcript *out) {
    int32_t parent = 0;
    walk k = {.model = model, .w = w, .given = prompt, .n_given = n_prompt, .out = out, .condition = w->condition};
    k.listener = (sn_whisper_listener){.model = model, .w = w, .parent = &parent, .found = found, .context = context};
    *out = (sn_transcript){.language = -1};
    sn_status status = transcribe(&k, frames);
    sn_free(k.prompt);
    sn_free(k.window.tokens);
    if (status != SN_OK) sn_transcript_free(out);
    return status;
}

void sn_transcript_free(sn_transcript *t) {
    if (!t) return;
    for (int64_t i = 0; i < t->n; i++) sn_free(t->segments[i].tokens);
    sn_free(t->segments);
    *t = (sn_transcript){.language = -1};
}
