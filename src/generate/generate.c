/* generate.c: checks of a call of sn_generate, its memory, and what both loops share. */
#include "generate/generate.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "generate/generate_internal.h"

/* ---- shared steps ---- */

bool sn_run_is_eos(const sn_run *run, int32_t token) {
    for (int i = 0; i < run->g->n_eos; i++)
        if (run->g->eos[i] == token) return true;
    return false;
}

sn_status sn_run_prompt(sn_run *run) {
    return run->decoder->step(run->decoder->context, run->inputs, run->prompt, run->ids, NULL, run->logits);
}

sn_status sn_run_step(sn_run *run, int64_t rows) {
    return run->decoder->step(run->decoder->context, rows, 1, run->feed, run->parents, run->logits);
}

sn_status sn_run_check(const sn_run *run, double log_sum, int64_t input, int64_t length) {
    if (isfinite(log_sum)) return SN_OK;
    long long at = (long long)(length - run->prompt + 1), row = (long long)input + 1;
    if (log_sum < 0) SN_FAIL(SN_ERR_NUMERIC, "prompt %lld, new token %lld: the rules of generation leave no token to choose", row, at);
    SN_FAIL(SN_ERR_NUMERIC, "prompt %lld, new token %lld: the model's scores are not finite", row, at);
}

sn_status sn_run_emit(const sn_run *run, int64_t row, int32_t token) {
    if (run->token && run->token(run->context, row, token)) SN_FAIL(SN_ERR_CANCELLED, "generation was cancelled");
    return SN_OK;
}

sn_status sn_run_finish(sn_run *run, int64_t t, const int32_t *tokens, int64_t n, double score, double log_probability) {
    sn_generated *out = &run->out[t];
    out->tokens = sn_alloc((size_t)(n ? n : 1), sizeof *out->tokens);
    if (!out->tokens) return SN_ERR_MEMORY;
    memcpy(out->tokens, tokens, (size_t)n * sizeof *tokens);
    out->n = n;
    out->score = score;
    out->log_probability = log_probability;
    return SN_OK;
}

/* ---- checks ---- */

static sn_status check_token(const sn_decoder *d, const char *key, int32_t token) {
    if (token < d->vocabulary) return SN_OK;
    SN_FAIL(SN_ERR_USAGE, "\"%s\": token %d is outside the vocabulary of %lld tokens", key, token, (long long)d->vocabulary);
}

static sn_status check_tokens(const sn_decoder *d, const sn_generation *g) {
    if (d->vocabulary < 1 || d->vocabulary > INT32_MAX) SN_FAIL(SN_ERR_USAGE, "a vocabulary of %lld tokens", (long long)d->vocabulary);
    for (int i = 0; i < g->n_eos; i++) SN_TRY(check_token(d, "eos_token_id", g->eos[i]));
    SN_TRY(check_token(d, "forced_bos_token_id", g->forced_bos));
    SN_TRY(check_token(d, "forced_eos_token_id", g->forced_eos));
    for (int64_t i = 0; i < g->n_bad_words; i += 1 + g->bad_words[i])
        for (int32_t k = 1; k <= g->bad_words[i]; k++) SN_TRY(check_token(d, "bad_words_ids", g->bad_words[i + k]));
    return SN_OK;
}

static sn_status check_prompt(const sn_run *run) {
    if (run->inputs < 1 || run->prompt < 1) SN_FAIL(SN_ERR_USAGE, "the prompt is empty: it needs at least one token");
    for (int64_t i = 0; i < run->inputs * run->prompt; i++)
        if (run->ids[i] < 0)
            SN_FAIL(SN_ERR_USAGE, "prompt %lld: token %lld is %d", (long long)(i / run->prompt + 1), (long long)(i % run->prompt + 1),
                    run->ids[i]);
    return SN_OK;
}

/* The lengths that apply; max_new_tokens and min_new_tokens win over max_length and min_length. */
static sn_status set_lengths(sn_run *run) {
    const sn_generation *g = run->g;
    long long prompt = (long long)run->prompt, positions = (long long)run->decoder->most_positions;
    if (positions > 0 && prompt >= positions)
        SN_FAIL(SN_ERR_USAGE, "the prompt has %lld tokens; the model can read %lld, so nothing can follow it", prompt, positions);
    run->most = g->max_new_tokens >= 0 ? run->prompt + g->max_new_tokens : g->max_length;
    if (run->most < 0) run->most = run->prompt + SN_DEFAULT_NEW_TOKENS;
    if (positions > 0 && run->most > positions) run->most = positions;
    if (run->most <= run->prompt)
        SN_FAIL(SN_ERR_USAGE, "the prompt has %lld tokens and \"max_length\" is %lld: raise it, or give \"max_new_tokens\"", prompt,
                (long long)run->most);
    run->rules.min_length = g->min_new_tokens >= 0 ? run->prompt + g->min_new_tokens : g->min_length;
    return SN_OK;
}

/* ---- the call ---- */

static sn_status prepare(sn_run *run) {
    const sn_generation *g = run->g;
    int64_t each = g->num_beams > 1 ? g->num_beams : g->num_return_sequences;
    size_t rows, cells;
    SN_TRY(check_tokens(run->decoder, g));
    SN_TRY(check_prompt(run));
    SN_TRY(set_lengths(run));
    if (sn_mul_overflow((size_t)run->inputs, (size_t)each, &rows) || sn_mul_overflow(rows, (size_t)run->decoder->vocabulary, &cells))
        SN_FAIL(SN_ERR_MEMORY, "%lld prompts with %lld rows each are too many", (long long)run->inputs, (long long)each);
    run->most_rows = (int64_t)rows;
    run->rules.g = g;
    run->rules.decoder = run->decoder;
    run->rules.vocabulary = run->decoder->vocabulary;
    run->rules.prompt = run->prompt;
    run->rules.max_length = run->most;
    run->rules.least_kept = g->num_beams > 1 ? (g->n_eos ? g->n_eos + 1 : 2) : 1;
    SN_TRY(sn_rules_prepare(&run->rules));
    run->logits = sn_arena_alloc(&run->arena, cells, sizeof *run->logits);
    run->feed = sn_arena_alloc(&run->arena, rows, sizeof *run->feed);
    run->parents = sn_arena_alloc(&run->arena, rows, sizeof *run->parents);
    return run->logits && run->feed && run->parents ? SN_OK : SN_ERR_MEMORY;
}

sn_status sn_generate(const sn_decoder *decoder, const sn_generation *g, int64_t rows, int64_t length, const int32_t *ids,
                      sn_token_fn *token, void *context, sn_generated *out) {
    sn_run run = {.decoder = decoder, .g = g, .inputs = rows, .prompt = length, .ids = ids, .token = token, .context = context,
                  .out = out, .texts = rows * g->num_return_sequences};
    run.key = (sn_rng_key){g->seed, sn_hash("generate", 8)};
    for (int64_t i = 0; i < run.texts; i++) out[i] = (sn_generated){0};
    sn_status status = prepare(&run);
    if (status == SN_OK) status = g->num_beams > 1 ? sn_generate_beams(&run) : sn_generate_rows(&run);
    sn_rules_free(&run.rules);
    sn_arena_free(&run.arena);
    for (int64_t i = 0; i < run.texts && status != SN_OK; i++) {
        sn_free(out[i].tokens);
        out[i] = (sn_generated){0};
    }
    return status;
}
