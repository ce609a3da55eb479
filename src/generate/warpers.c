/* warpers.c: processors of sampling: temperature, top-k, top-p, min-p; and renormalize_logits.
 *
 * Top-k keeps everything that equals the k-th score, as Transformers does; top-p takes tokens from an ascending sort
 * that is stable (torch's order of equal scores depends on the processor), so of equal ones the higher index stays.
 * Top-p does not sort the vocabulary: a histogram of the scores says in which narrow band the limit falls, and only
 * that band is sorted. */
#include <math.h>

#include "generate/processors.h"

enum { BANDS = 2048, BANDS_PER_UNIT = 64 };

static bool temperature_active(const sn_rules *r) { return r->g->temperature < 1 || r->g->temperature > 1; }

static void temperature_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)length, (void)tokens;
    float temperature = (float)r->g->temperature;
    for (int64_t i = 0; i < r->vocabulary; i++) scores[i] /= temperature;
}

const sn_processor sn_processor_temperature = {temperature_active, temperature_apply};

static bool top_k_active(const sn_rules *r) { return r->g->top_k > 0; }

static void top_k_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)length, (void)tokens;
    int64_t k = r->g->top_k > r->least_kept ? r->g->top_k : r->least_kept;
    sn_top top = {r->scored, k < r->vocabulary ? k : r->vocabulary, 0};
    sn_top_offer(&top, scores, r->vocabulary, 0, 0);
    float limit = top.items[0].score;
    for (int64_t i = 0; i < r->vocabulary; i++) scores[i] = scores[i] < limit ? -INFINITY : scores[i];
}

const sn_processor sn_processor_top_k = {top_k_active, top_k_apply};

/* ---- top_p ---- */

static bool below(sn_scored a, sn_scored b) { return a.score < b.score || (a.score <= b.score && a.index < b.index); }

static int band_of(float top, float x) {
    float at = (top - x) * BANDS_PER_UNIT;
    return at < BANDS - 1 ? (int)at : BANDS - 1;
}

/* The lowest token that stays when everything up to a mass of `limit` goes. exps: probabilities. */
static sn_scored lowest_kept(const sn_rules *r, const float *scores, float top, float limit) {
    double mass[BANDS] = {0}, sum = 0;
    for (int64_t i = 0; i < r->vocabulary; i++) mass[band_of(top, scores[i])] += (double)r->exps[i];
    int band = BANDS - 1;
    for (; band > 0 && (float)(sum + mass[band]) <= limit; band--) sum += mass[band];
    int64_t n = 0;
    for (int64_t i = 0; i < r->vocabulary; i++)
        if (band_of(top, scores[i]) == band) r->scored[n++] = (sn_scored){scores[i], i};
    sn_scored_sort_up(r->scored, n);
    for (int64_t i = 0; i < n; i++) {
        sum += (double)r->exps[r->scored[i].index];
        if ((float)sum > limit) return r->scored[i];
    }
    return (sn_scored){INFINITY, r->vocabulary}; /* rounding: none stays but for least_kept */
}

/* The token that is the k-th from above in the order of `below`; at most the given one. */
static sn_scored at_most_kth(const sn_rules *r, const float *scores, int64_t k, sn_scored cut) {
    sn_scored last = {INFINITY, r->vocabulary};
    int64_t above = 0;
    for (int64_t i = 0; i < r->vocabulary; i++) above += scores[i] > cut.score;
    if (above >= k) return cut;
    for (; k > 0; k--) {
        sn_scored best = {-INFINITY, -1};
        for (int64_t i = 0; i < r->vocabulary; i++) {
            sn_scored item = {scores[i], i};
            if (below(item, last) && below(best, item)) best = item;
        }
        if (best.index < 0) break;
        last = best;
    }
    return below(last, cut) ? last : cut;
}

static bool top_p_active(const sn_rules *r) { return r->g->top_p < 1; }

static void top_p_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)length, (void)tokens;
    float top = sn_scores_exp(scores, r->vocabulary, r->exps);
    float scale = (float)(1 / sn_scores_sum(r->exps, r->vocabulary));
    for (int64_t i = 0; i < r->vocabulary; i++) r->exps[i] *= scale;
    sn_scored cut = lowest_kept(r, scores, top, (float)(1 - r->g->top_p));
    cut = at_most_kth(r, scores, r->least_kept, cut);
    for (int64_t i = 0; i < r->vocabulary; i++)
        if (below((sn_scored){scores[i], i}, cut)) scores[i] = -INFINITY;
}

const sn_processor sn_processor_top_p = {top_p_active, top_p_apply};

/* ---- min_p: nothing less likely than this share of the likeliest ---- */

static bool min_p_active(const sn_rules *r) { return r->g->min_p > 0; }

static void min_p_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)length, (void)tokens;
    sn_top top = {r->scored, r->least_kept < r->vocabulary ? r->least_kept : r->vocabulary, 0};
    (void)sn_scores_exp(scores, r->vocabulary, r->exps);
    sn_top_offer(&top, scores, r->vocabulary, 0, 0);
    float limit = (float)r->g->min_p;
    for (int64_t i = 0; i < top.n; i++) r->exps[top.items[i].index] = 1; /* these stay */
    for (int64_t i = 0; i < r->vocabulary; i++) scores[i] = r->exps[i] < limit ? -INFINITY : scores[i];
}

const sn_processor sn_processor_min_p = {min_p_active, min_p_apply};

/* ---- renormalize_logits: scores are log-probabilities again ---- */

static bool renormalize_active(const sn_rules *r) { return r->g->renormalize_logits; }

static void renormalize_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)length, (void)tokens;
    double sum = sn_scores_log_sum(scores, r->vocabulary);
    if (isfinite(sum)) sn_scores_shift(scores, r->vocabulary, sum);
}

const sn_processor sn_processor_renormalize = {renormalize_active, renormalize_apply};
