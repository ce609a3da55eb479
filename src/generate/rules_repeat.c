/* rules_repeat.c: processors that look back at the row: repetition penalty, n-grams, words that must not appear.
 * A token outside the vocabulary of the scores (a start token that is never scored) is passed over. */
#include <math.h>
#include <string.h>

#include "generate/processors.h"

static bool scored(const sn_rules *r, int32_t token) { return token >= 0 && token < r->vocabulary; }

/* ---- repetition_penalty: every token that the row holds becomes less likely, once ---- */

static bool repetition_active(const sn_rules *r) { return r->g->repetition_penalty < 1 || r->g->repetition_penalty > 1; }

static void repetition_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    float penalty = (float)r->g->repetition_penalty;
    for (int64_t i = 0; i < length; i++) { /* first read all, so that a token that comes twice counts once */
        float x = scored(r, tokens[i]) ? scores[tokens[i]] : 0;
        r->values[i] = x < 0 ? x * penalty : x / penalty;
    }
    for (int64_t i = 0; i < length; i++)
        if (scored(r, tokens[i])) scores[tokens[i]] = r->values[i];
}

const sn_processor sn_processor_repetition = {repetition_active, repetition_apply};

/* ---- no_repeat_ngram_size: no n tokens twice in the same order ---- */

static bool ngrams_active(const sn_rules *r) { return r->g->no_repeat_ngram_size > 0; }

static void ngrams_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    int64_t before = r->g->no_repeat_ngram_size - 1; /* tokens of the n-gram before its last */
    if (length <= before) return;
    const int32_t *end = tokens + length - before;
    for (int64_t i = 0; i + before < length; i++)
        if (!memcmp(tokens + i, end, (size_t)before * sizeof *end) && scored(r, tokens[i + before]))
            scores[tokens[i + before]] = -INFINITY;
}

const sn_processor sn_processor_ngrams = {ngrams_active, ngrams_apply};

/* ---- bad_words_ids ---- */

static bool bad_words_active(const sn_rules *r) { return r->g->n_bad_words > 0; }

static bool is_eos(const sn_rules *r, int32_t token) {
    for (int i = 0; i < r->g->n_eos; i++)
        if (r->g->eos[i] == token) return true;
    return false;
}

static void bad_words_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    const int32_t *at = r->g->bad_words, *end = at + r->g->n_bad_words;
    for (; at < end; at += 1 + at[0]) {
        int64_t before = at[0] - 1;
        int32_t last = at[1 + before];
        if (!scored(r, last) || (!before && is_eos(r, last))) continue;
        if (before && (length < before || memcmp(tokens + length - before, at + 1, (size_t)before * sizeof *at))) continue;
        scores[last] = -INFINITY;
    }
}

const sn_processor sn_processor_bad_words = {bad_words_active, bad_words_apply};
