/* beams.c: beam search as Transformers does it, and its sampling form.
 *
 *   log-softmax of the logits [beams, V] -> rules -> + score of the beam -> the best K of beams * V candidates,
 *   K = beams * max(2, 1 + end tokens): enough that `beams` of them go on
 *   -> candidates that end (among the first `beams`) compete with the finished texts by sum / length^penalty
 *   -> the best `beams` others run on
 *
 * Scores are f32 and excluded candidates carry -1e9, as there, so that comparisons come out the same. A prompt is over
 * when no running beam can beat its finished texts (early_stopping false, "never") or when it has enough of them
 * (true); its rows then leave the batch. Sampling draws the K candidates without replacement: the largest K of
 * score + Gumbel noise. */
#include <math.h>
#include <string.h>

#include "generate/generate_internal.h"

#define EXCLUDED (-1e9f)

typedef struct finished {
    int32_t *tokens; /* [most], with the prompt */
    int64_t length;
    float score;
    double sure; /* see log_probability of sn_generated */
    bool done;
} finished;

typedef struct input {
    int32_t *tokens, *next; /* [beams][most]: the running beams, and room for the next ones */
    float *scores;          /* [beams] */
    double *sure, *next_sure, *log_sum; /* [beams]: sum so far, the next one, of the beam's row of scores */
    finished *best, *spare; /* [beams], best first */
    int64_t row;            /* of its first beam in the last call */
    bool improvable, over;
} input;

typedef struct state {
    sn_run *run;
    input *inputs;
    int64_t beams, n, most_n;  /* n: candidates of this step */
    sn_scored *candidates;     /* [most_n]: score, beam * vocabulary + token; best first (sampling: in the order drawn) */
    sn_scored *picked;         /* [beams] */
    float *scratch;            /* [beams + most_n] */
    bool *ends;                /* [most_n] */
    int64_t length;            /* of the running beams */
} state;

/* ---- memory ---- */

static sn_status input_create(state *s, input *in, int64_t i) {
    sn_run *run = s->run;
    size_t n = (size_t)s->beams, cells = n * (size_t)run->most; /* 4 * cells was checked */
    int32_t *tokens = sn_arena_alloc(&run->arena, 4 * cells, sizeof *tokens);
    in->scores = sn_arena_alloc(&run->arena, n, sizeof *in->scores);
    in->best = sn_arena_alloc(&run->arena, 2 * n, sizeof *in->best);
    in->sure = sn_arena_alloc(&run->arena, 3 * n, sizeof *in->sure);
    if (!tokens || !in->scores || !in->best || !in->sure) return SN_ERR_MEMORY;
    in->next_sure = in->sure + n;
    in->log_sum = in->sure + 2 * n;
    in->tokens = tokens;
    in->next = tokens + cells;
    in->spare = in->best + n;
    in->row = i;
    in->improvable = true;
    for (int64_t b = 0; b < s->beams; b++) {
        memcpy(in->tokens + b * run->most, run->ids + i * run->prompt, (size_t)run->prompt * sizeof *tokens);
        in->scores[b] = b ? EXCLUDED : 0; /* all beams begin as the same one */
        in->best[b] = (finished){.tokens = tokens + 2 * cells + (size_t)(b * run->most), .length = run->prompt, .score = EXCLUDED};
        in->spare[b] = (finished){.tokens = tokens + 3 * cells + (size_t)(b * run->most)};
    }
    return SN_OK;
}

static sn_status state_create(sn_run *run, state *s) {
    int64_t each = run->g->n_eos + 1 > 2 ? run->g->n_eos + 1 : 2, cells = run->g->num_beams * run->rules.vocabulary;
    size_t bytes;
    s->run = run;
    s->beams = run->g->num_beams;
    s->length = run->prompt;
    s->most_n = each * s->beams < cells ? each * s->beams : cells;
    if (sn_mul_overflow((size_t)(4 * s->beams), (size_t)run->most, &bytes))
        SN_FAIL(SN_ERR_MEMORY, "beams of %lld tokens are too long", (long long)run->most);
    s->inputs = sn_arena_alloc(&run->arena, (size_t)run->inputs, sizeof *s->inputs);
    s->candidates = sn_arena_alloc(&run->arena, (size_t)s->most_n, sizeof *s->candidates);
    s->picked = sn_arena_alloc(&run->arena, (size_t)s->beams, sizeof *s->picked);
    s->scratch = sn_arena_alloc(&run->arena, (size_t)(s->beams + s->most_n), sizeof *s->scratch);
    s->ends = sn_arena_alloc(&run->arena, (size_t)s->most_n, sizeof *s->ends);
    if (!s->inputs || !s->candidates || !s->picked || !s->scratch || !s->ends) return SN_ERR_MEMORY;
    for (int64_t i = 0; i < run->inputs; i++) SN_TRY(input_create(s, &s->inputs[i], i));
    return SN_OK;
}

/* ---- candidates ---- */

/* After the prompt all beams share one row of logits. */
static float *logits_of(const state *s, const input *in, int64_t beam) {
    int64_t row = s->length == s->run->prompt ? in->row : in->row + beam;
    return s->run->logits + row * s->run->rules.vocabulary;
}

static sn_status score_rows(state *s, int64_t i) {
    const sn_run *run = s->run;
    input *in = &s->inputs[i];
    int phases = SN_PROCESSOR_RULE | SN_PROCESSOR_LAST | (run->g->do_sample ? SN_PROCESSOR_WARP : 0);
    for (int64_t b = 0; b < (s->length == run->prompt ? 1 : s->beams); b++) {
        float *scores = logits_of(s, in, b);
        double log_sum = sn_scores_log_sum(scores, run->rules.vocabulary);
        SN_TRY(sn_run_check(run, log_sum, i, s->length));
        sn_scores_shift(scores, run->rules.vocabulary, log_sum);
        sn_rules_apply(&run->rules, phases, s->length, in->tokens + b * run->most, scores);
        in->log_sum[b] = sn_scores_log_sum(scores, run->rules.vocabulary);
    }
    return SN_OK;
}

static void best_candidates(state *s, const input *in) {
    int64_t width = s->run->rules.vocabulary;
    sn_top top = {s->candidates, s->most_n, 0};
    for (int64_t b = 0; b < s->beams; b++) sn_top_offer(&top, logits_of(s, in, b), width, in->scores[b], b * width);
    sn_top_sort(&top);
    s->n = top.n;
}

static void drawn_candidates(state *s, const input *in, int64_t i) {
    const sn_run *run = s->run;
    int64_t width = run->rules.vocabulary;
    uint64_t first = (uint64_t)((s->length - run->prompt) * s->beams * width);
    sn_top top = {s->candidates, s->most_n, 0};
    for (int64_t b = 0; b < s->beams; b++) {
        const float *scores = logits_of(s, in, b);
        for (int64_t k = 0; k < width; k++) {
            if (scores[k] <= -INFINITY) continue;
            double u = sn_rng_uniform(run->key, (uint64_t)i, first + (uint64_t)(b * width + k));
            float noisy = (float)((double)(scores[k] + in->scores[b]) - log(-log(u > 0 ? u : 0x1p-54)));
            sn_top_offer(&top, &noisy, 1, 0, b * width + k);
        }
    }
    sn_top_sort(&top);
    s->n = top.n;
    for (int64_t k = 0; k < s->n; k++) {
        int64_t at = s->candidates[k].index;
        s->candidates[k].score = logits_of(s, in, at / width)[at % width] + in->scores[at / width];
    }
}

static sn_status find_candidates(state *s, int64_t i) {
    const sn_run *run = s->run;
    input *in = &s->inputs[i];
    SN_TRY(score_rows(s, i));
    if (run->g->do_sample) drawn_candidates(s, in, i);
    else best_candidates(s, in);
    if (s->n < s->beams || s->candidates[0].score <= -INFINITY) return sn_run_check(run, -INFINITY, i, s->length);
    for (int64_t k = 0; k < s->n; k++)
        s->ends[k] = s->length + 1 >= run->most || sn_run_is_eos(run, (int32_t)(s->candidates[k].index % run->rules.vocabulary));
    return SN_OK;
}

/* ---- what becomes of them ---- */

/* Candidate k as a row of tokens. */
static void write_row(const state *s, const input *in, int64_t k, int32_t *to) {
    int64_t width = s->run->rules.vocabulary, at = s->candidates[k].index;
    memcpy(to, in->tokens + at / width * s->run->most, (size_t)s->length * sizeof *to);
    to[s->length] = (int32_t)(at % width);
}

/* The sum of log-probabilities of candidate k. */
static double sure_of(const state *s, const input *in, int64_t k) {
    int64_t width = s->run->rules.vocabulary, at = s->candidates[k].index, beam = at / width;
    double log_sum = in->log_sum[s->length == s->run->prompt ? 0 : beam];
    return in->sure[beam] + (double)logits_of(s, in, beam)[at % width] - log_sum;
}

static bool has_enough(const state *s, const input *in) {
    bool all = true;
    for (int64_t b = 0; b < s->beams; b++) all = all && in->best[b].done;
    return all;
}

/* Texts that ended among the first `beams` candidates compete with those that ended before. */
static void update_finished(state *s, input *in) {
    const sn_run *run = s->run;
    bool any = false;
    for (int64_t k = 0; k < s->beams; k++) any = any || s->ends[k];
    if (!any) return;
    float by = (float)pow((double)(s->length + 1 - run->prompt), run->g->length_penalty);
    for (int64_t b = 0; b < s->beams; b++) s->scratch[b] = in->best[b].score;
    for (int64_t k = 0; k < s->n; k++)
        s->scratch[s->beams + k] = s->candidates[k].score / by + (k < s->beams && s->ends[k] ? 0 : EXCLUDED);
    sn_top top = {s->picked, s->beams, 0};
    sn_top_offer(&top, s->scratch, s->beams + s->n, 0, 0);
    sn_top_sort(&top);
    for (int64_t b = 0; b < s->beams; b++) {
        int64_t from = top.items[b].index, k = from - s->beams;
        finished *to = &in->spare[b];
        to->score = top.items[b].score;
        if (k < 0) {
            const finished *old = &in->best[from];
            memcpy(to->tokens, old->tokens, (size_t)old->length * sizeof *to->tokens);
            to->length = old->length;
            to->sure = old->sure;
            to->done = old->done;
        } else {
            write_row(s, in, k, to->tokens);
            to->length = s->length + 1;
            to->sure = sure_of(s, in, k);
            to->done = k < s->beams && s->ends[k];
        }
    }
    finished *swap = in->best;
    in->best = in->spare;
    in->spare = swap;
}

/* The best that did not end run on; parents and feed of the next call are those of rows row, row + 1, ... */
static void run_on(state *s, input *in, int64_t row) {
    sn_run *run = s->run;
    int64_t width = run->rules.vocabulary;
    for (int64_t k = 0; k < s->n; k++) s->scratch[k] = s->candidates[k].score + (s->ends[k] ? EXCLUDED : 0);
    sn_top top = {s->picked, s->beams, 0};
    sn_top_offer(&top, s->scratch, s->n, 0, 0);
    sn_top_sort(&top);
    for (int64_t b = 0; b < s->beams; b++) {
        int64_t k = top.items[b].index, at = s->candidates[k].index;
        write_row(s, in, k, in->next + b * run->most);
        in->scores[b] = top.items[b].score;
        in->next_sure[b] = sure_of(s, in, k);
        run->feed[row + b] = (int32_t)(at % width);
        run->parents[row + b] = (int32_t)(s->length == run->prompt ? in->row : in->row + at / width);
    }
    int32_t *swap = in->tokens;
    in->tokens = in->next;
    in->next = swap;
    double *sure = in->sure;
    in->sure = in->next_sure;
    in->next_sure = sure;
}

/* After the step: can a running beam still beat the worst finished text? length: with the new token. */
static void judge(const state *s, input *in, int64_t length) {
    const sn_generation *g = s->run->g;
    bool all_end = true, to_the_end = g->early_stopping == 2 && g->length_penalty > 0;
    double reach = (double)((to_the_end ? s->run->most : length) - s->run->prompt);
    float possible = in->scores[0] / (float)pow(reach, g->length_penalty), worst = in->best[0].score;
    for (int64_t b = 0; b < s->beams; b++) worst = in->best[b].score < worst ? in->best[b].score : worst;
    bool better = false;
    for (int64_t b = 0; b < s->beams; b++) better = better || possible > (in->best[b].done ? worst : EXCLUDED);
    in->improvable = in->improvable && better;
    for (int64_t k = 0; k < s->n; k++) all_end = all_end && s->ends[k];
    in->over = all_end || !in->improvable || (g->early_stopping == 1 && has_enough(s, in));
}

/* ---- the loop ---- */

/* One step of every prompt that is not over; gives the rows of the next call, 0: all are over. */
static sn_status advance(state *s, int64_t *rows) {
    sn_run *run = s->run;
    bool living = false;
    *rows = 0;
    for (int64_t i = 0; i < run->inputs; i++) {
        input *in = &s->inputs[i];
        if (in->over && !run->decoder->fixed_rows) continue;
        if (!in->over) {
            SN_TRY(find_candidates(s, i));
            update_finished(s, in);
            run_on(s, in, *rows);
            judge(s, in, s->length + 1);
            living = living || !in->over;
        } else {
            for (int64_t b = 0; b < s->beams; b++) run->parents[*rows + b] = (int32_t)(in->row + b); /* feed stays */
        }
        if (in->over && !run->decoder->fixed_rows) continue;
        in->row = *rows;
        *rows += s->beams;
    }
    if (!living) *rows = 0;
    return SN_OK;
}

static sn_status write_out(state *s) {
    sn_run *run = s->run;
    int64_t each = run->g->num_return_sequences;
    for (int64_t t = 0; t < run->texts; t++) {
        const finished *f = &s->inputs[t / each].best[t % each];
        const int32_t *tokens = f->tokens + run->prompt;
        int64_t n = f->length - run->prompt;
        SN_TRY(sn_run_finish(run, t, tokens, n, (double)f->score, f->sure));
        for (int64_t k = 0; k < n; k++) SN_TRY(sn_run_emit(run, t, tokens[k]));
    }
    return SN_OK;
}

sn_status sn_generate_beams(sn_run *run) {
    state s = {0};
    SN_TRY(state_create(run, &s));
    SN_TRY(sn_run_prompt(run));
    for (int64_t rows = 1; rows; s.length++) {
        SN_TRY(advance(&s, &rows));
        SN_TRY(sn_run_emit(run, -1, -1));
        if (rows) SN_TRY(sn_run_step(run, rows));
    }
    return write_out(&s);
}
