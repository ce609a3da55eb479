/* rows.c: greedy decoding and sampling: every text is a row of its own.
 *
 *   logits [rows, V] -> rules -> greedy: the largest; sampling: a copy -> warpers -> a draw -> one more token a row
 *
 * Rows that have ended leave the batch (unless the decoder wants a fixed number). */
#include <string.h>

#include "generate/generate_internal.h"

typedef struct text {
    int32_t *tokens; /* [most], with the prompt */
    int64_t length, row; /* row: where its logits lie */
    double score;
    bool ended;
} text;

typedef struct state {
    sn_run *run;
    text *texts;
    double *log_sum; /* [most_rows] */
    float *warped;   /* [vocabulary], sampling */
} state;

static sn_status state_create(sn_run *run, state *s) {
    size_t n = (size_t)run->texts, cells;
    s->run = run;
    if (sn_mul_overflow(n, (size_t)run->most, &cells)) SN_FAIL(SN_ERR_MEMORY, "texts of %lld tokens are too long", (long long)run->most);
    int32_t *tokens = sn_arena_alloc(&run->arena, cells, sizeof *tokens);
    s->texts = sn_arena_alloc(&run->arena, n, sizeof *s->texts);
    s->log_sum = sn_arena_alloc(&run->arena, n, sizeof *s->log_sum);
    if (run->g->do_sample) s->warped = sn_arena_alloc(&run->arena, (size_t)run->rules.vocabulary, sizeof *s->warped);
    if (!tokens || !s->texts || !s->log_sum || (run->g->do_sample && !s->warped)) return SN_ERR_MEMORY;
    for (int64_t t = 0; t < run->texts; t++) {
        int64_t input = t / run->g->num_return_sequences;
        s->texts[t] = (text){.tokens = tokens + t * run->most, .length = run->prompt, .row = input};
        memcpy(s->texts[t].tokens, run->ids + input * run->prompt, (size_t)run->prompt * sizeof *tokens);
    }
    return SN_OK;
}

static float *logits_of(const state *s, const text *t) { return s->run->logits + t->row * s->run->rules.vocabulary; }

/* The rules, once for each row of logits: texts that share one (after the prompt) are neighbours. */
static sn_status apply_rules(state *s) {
    const sn_run *run = s->run;
    int64_t done = -1;
    for (int64_t i = 0; i < run->texts; i++) {
        text *t = &s->texts[i];
        if (t->ended || t->row == done) continue;
        done = t->row;
        float *scores = logits_of(s, t);
        sn_rules_apply(&run->rules, SN_PROCESSOR_RULE, t->length, t->tokens, scores);
        s->log_sum[done] = sn_scores_log_sum(scores, run->rules.vocabulary);
        SN_TRY(sn_run_check(run, s->log_sum[done], i / run->g->num_return_sequences, t->length));
    }
    return SN_OK;
}

static int64_t draw(state *s, int64_t i, const text *t, const float *scores) {
    const sn_run *run = s->run;
    int64_t n = run->rules.vocabulary;
    memcpy(s->warped, scores, (size_t)n * sizeof *scores);
    sn_rules_apply(&run->rules, SN_PROCESSOR_WARP | SN_PROCESSOR_LAST, t->length, t->tokens, s->warped);
    (void)sn_scores_exp(s->warped, n, run->rules.exps);
    return sn_scores_draw(run->rules.exps, n, sn_rng_uniform(run->key, (uint64_t)i, (uint64_t)(t->length - run->prompt)));
}

static sn_status choose(state *s, int64_t i) {
    const sn_run *run = s->run;
    text *t = &s->texts[i];
    const float *scores = logits_of(s, t);
    int64_t token = run->g->do_sample ? draw(s, i, t, scores) : sn_scores_argmax(scores, run->rules.vocabulary);
    if (token < 0) SN_FAIL(SN_ERR_NUMERIC, "text %lld: the warpers leave no token to choose", (long long)i + 1);
    t->score += (double)scores[token] - s->log_sum[t->row];
    t->tokens[t->length++] = (int32_t)token;
    t->ended = t->length >= run->most || sn_run_is_eos(run, (int32_t)token);
    return sn_run_emit(run, i, (int32_t)token);
}

/* feed and parents of the next call; gives its rows, 0 when all texts have ended. */
static int64_t next_rows(state *s) {
    sn_run *run = s->run;
    int64_t rows = 0, living = 0;
    for (int64_t i = 0; i < run->texts; i++) {
        text *t = &s->texts[i];
        living += !t->ended;
        if (t->ended && !run->decoder->fixed_rows) continue;
        run->feed[rows] = t->tokens[t->length - 1];
        run->parents[rows] = (int32_t)t->row;
        t->row = rows++;
    }
    return living ? rows : 0;
}

sn_status sn_generate_rows(sn_run *run) {
    state s = {0};
    SN_TRY(state_create(run, &s));
    SN_TRY(sn_run_prompt(run));
    for (int64_t rows = 1; rows;) {
        SN_TRY(apply_rules(&s));
        for (int64_t i = 0; i < run->texts; i++)
            if (!s.texts[i].ended) SN_TRY(choose(&s, i));
        rows = next_rows(&s);
        if (rows) SN_TRY(sn_run_step(run, rows));
    }
    for (int64_t i = 0; i < run->texts; i++) {
        const text *t = &s.texts[i];
        SN_TRY(sn_run_finish(run, i, t->tokens + run->prompt, t->length - run->prompt, t->score, t->score));
    }
    return SN_OK;
}
