/* whisper_window.c: one window: decoding it until it is good enough, and cutting the text into segments. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "generate/scores.h"
#include "generate/whisper_internal.h"

/* ---- the model, as sn_generate sees it ---- */

/* The prompt in two pieces: behind the start token stands the chance that nobody speaks. */
static sn_status feed_prompt(sn_whisper_listener *l, int64_t rows, int64_t count, const int32_t *ids, float *logits) {
    const sn_decoder *d = &l->model->decoder;
    int64_t head = l->start_at + 1, speech = (int64_t)l->w->no_timestamps - 1;
    SN_TRY(d->step(d->context, rows, head, ids, NULL, logits)); /* rows is 1: a window is one prompt */
    double sum = sn_scores_log_sum(logits, d->vocabulary);
    l->no_speech = speech < d->vocabulary && isfinite(sum) ? exp((double)logits[speech] - sum) : 0;
    if (head == count) return SN_OK;
    l->parent[0] = 0;
    return d->step(d->context, rows, count - head, ids + head, l->parent, logits);
}

static sn_status step(void *context, int64_t rows, int64_t count, const int32_t *ids, const int32_t *parents, float *logits) {
    sn_whisper_listener *l = context;
    const sn_decoder *d = &l->model->decoder;
    if (l->found && l->found(l->context, NULL)) SN_FAIL(SN_ERR_CANCELLED, "the transcription was cancelled");
    return parents ? d->step(d->context, rows, count, ids, parents, logits) : feed_prompt(l, rows, count, ids, logits);
}

static void adjust(void *context, int64_t length, const int32_t *tokens, float *scores) {
    const sn_whisper_listener *l = context;
    const sn_decoder *d = &l->model->decoder;
    if (d->adjust) d->adjust(d->context, length, tokens, scores);
    if (l->timestamps) sn_whisper_timestamps(l->w, d->vocabulary, l->begin, length, tokens, scores);
}

sn_decoder sn_listener_decoder(sn_whisper_listener *listener) {
    sn_decoder d = listener->model->decoder;
    d.context = listener;
    d.step = step;
    d.adjust = adjust;
    return d;
}

/* ---- attempts ---- */

/* What the rules say of this attempt. */
static sn_status judge(const sn_whisper_listener *l, const sn_generated *text, sn_window *window, bool *again) {
    const sn_whisper *w = l->w;
    SN_TRY(sn_whisper_compression(text->tokens, text->n, l->model->decoder.vocabulary, &window->compression));
    bool unsure = window->log_probability < w->least_log_probability; /* false where the threshold is NAN */
    *again = unsure || window->compression > w->most_compression;
    window->skip = (unsure || isnan(w->least_log_probability)) && window->no_speech > w->most_no_speech;
    if (window->skip) *again = false;
    return SN_OK;
}

/* max_length is the text's own length: what the prompt takes (at most half the positions) comes on top. */
static void set_length(sn_generation *g, int64_t prompt, int64_t positions) {
    int64_t most = positions / 2 - 1;
    if (g->max_new_tokens >= 0) return;
    g->max_length = g->max_length < 0 ? positions : g->max_length + (prompt < most ? prompt : most);
}

static sn_status attempt(sn_whisper_listener *l, double temperature, int index, const int32_t *prompt, int64_t n, sn_window *window, bool *again) {
    sn_generation g = l->w->generation; /* lists stay those of w */
    sn_generated text;
    sn_decoder d = sn_listener_decoder(l);
    int64_t where[3] = {window->first, index, (int64_t)g.seed};
    g.do_sample = temperature > 0;
    g.temperature = g.do_sample ? temperature : 1;
    if (g.do_sample) g.num_beams = 1;
    g.seed = sn_hash(where, sizeof where);
    set_length(&g, n, d.most_positions);
    SN_TRY(sn_generate(&d, &g, 1, n, prompt, NULL, NULL, &text));
    window->log_probability = text.n ? text.log_probability / (double)text.n : 0;
    window->temperature = temperature;
    window->no_speech = l->no_speech;
    sn_status status = judge(l, &text, window, again);
    sn_free(window->tokens);
    window->tokens = text.tokens;
    window->n = text.n;
    if (window->n && window->tokens[window->n - 1] == l->w->eos) window->n--;
    return status;
}

sn_status sn_window_decode(sn_whisper_listener *listener, const int32_t *prompt, int64_t n, sn_window *window) {
    const sn_whisper *w = listener->w;
    bool again = true;
    for (int i = 0; i < w->n_temperatures && again; i++) SN_TRY(attempt(listener, w->temperatures[i], i, prompt, n, window, &again));
    return SN_OK;
}

/* ---- segments ---- */

typedef struct cutter {
    const sn_whisper_model *model;
    const sn_window *window;
    int64_t stamp; /* the first timestamp token */
    sn_status (*add)(void *context, double start, double end, const int32_t *tokens, int64_t n);
    void *context;
} cutter;

static sn_status add(const cutter *c, double from_step, double to_step, int64_t begin, int64_t end) {
    double offset = (double)c->window->first * c->model->seconds_of_step / (double)c->model->stride, step_of = c->model->seconds_of_step;
    return c->add(c->context, offset + from_step * step_of, offset + to_step * step_of, c->window->tokens + begin, end - begin);
}

static bool is_stamp(const cutter *c, int64_t i) { return i >= 0 && i < c->window->n && c->window->tokens[i] >= c->stamp; }

/* No two timestamps in a row: the window is one segment, to its last timestamp or its end. */
static sn_status add_whole(const cutter *c) {
    const sn_window *w = c->window;
    double end = (double)(w->frames / c->model->stride);
    int64_t last = w->n - 1;
    while (last >= 0 && !is_stamp(c, last)) last--;
    if (last >= 0 && w->tokens[last] != c->stamp) end = (double)(w->tokens[last] - c->stamp);
    return add(c, 0, end, 0, w->n);
}

/* Segments end between two timestamps in a row; what follows the last such pair is heard again in the next window,
 * unless the text ends with a single timestamp: then nobody speaks in the rest of this one. */
static sn_status add_pairs(const cutter *c, bool single_end, int64_t *seek) {
    const sn_window *w = c->window;
    int64_t begin = 0, last_pair = 0;
    for (int64_t i = 0; i + 1 < w->n; i++)
        if (is_stamp(c, i) && is_stamp(c, i + 1)) last_pair = i + 1;
    for (int64_t end = 1; end <= w->n; end++) {
        bool last = single_end ? end == w->n : end == last_pair;
        if (!last && !(is_stamp(c, end - 1) && is_stamp(c, end) && end <= last_pair)) continue;
        int64_t stop = last && !single_end ? end + 1 : end; /* the last one keeps both timestamps of its pair */
        SN_TRY(add(c, (double)(w->tokens[begin] - c->stamp), (double)(w->tokens[end - 1] - c->stamp), begin, stop));
        if (last) break;
        begin = end;
    }
    if (!single_end) *seek = (w->tokens[last_pair - 1] - c->stamp) * c->model->stride;
    return SN_OK;
}

sn_status sn_window_cut(const sn_whisper_model *model, const sn_whisper *w, const sn_window *window,
                        sn_status (*add_one)(void *context, double start, double end, const int32_t *tokens, int64_t n), void *context,
                        int64_t *advance) {
    cutter c = {model, window, (int64_t)w->no_timestamps + 1, add_one, context};
    bool pair = false, single_end = is_stamp(&c, window->n - 1) && !is_stamp(&c, window->n - 2) && window->n >= 2;
    for (int64_t i = 0; i + 1 < window->n; i++) pair = pair || (is_stamp(&c, i) && is_stamp(&c, i + 1));
    *advance = window->frames;
    SN_TRY(pair ? add_pairs(&c, single_end, advance) : add_whole(&c));
    if (*advance < 1 || *advance > window->frames) *advance = window->frames; /* a timestamp of 0 must not stop the walk */
    return SN_OK;
}
