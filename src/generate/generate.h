/* generate.h: turning a model that scores the next token into text: greedy, beam search, sampling.
 *
 *   decoder.step(tokens of every row) -> logits [rows, V] -> processors (a table) -> choice -> the next step
 *
 * The rules and their order are those of Transformers' generate(), so that the same weights give the same tokens. */
#ifndef SN_GENERATE_H
#define SN_GENERATE_H
#include "base/json.h"

/* The model's side. It keeps the past of its rows (key/value cache) itself. */
typedef struct sn_decoder {
    void *context;
    int64_t vocabulary, most_positions; /* most_positions: how long a row may get; 0: any length */
    /* Feeds `count` tokens to each of `rows` rows (ids [rows][count]) and gives the logits after the last one
     * [rows][vocabulary]. parents[r]: which row of the call before row r continues; NULL at the first call. The first
     * call has one row for each prompt (count = its length), the others one for each beam or returned text (count = 1),
     * so several rows may continue the same one. */
    sn_status (*step)(void *context, int64_t rows, int64_t count, const int32_t *ids, const int32_t *parents, float *logits);
    /* A rule of the model's own (NULL: none), applied to the scores of one row after all rules but the warpers of
     * sampling. tokens [length]: the row with its prompt. May write -infinity into scores [vocabulary]. */
    void (*adjust)(void *context, int64_t length, const int32_t *tokens, float *scores);
    /* Set: from the second call on the number of rows stays what it is, and rows that have ended are fed along.
     * Not set: they are left out, so a call may have fewer rows than the one before. */
    bool fixed_rows;
} sn_decoder;

enum { SN_MOST_EOS = 8, SN_MOST_BEAMS = 1024, SN_DEFAULT_NEW_TOKENS = 20 };
/* generation_config.json's keys; -1 or NULL where a rule is off. */
typedef struct sn_generation {
    int64_t max_length, max_new_tokens, min_length, min_new_tokens; /* lengths count the prompt; *_new_* do not, and win */
    int64_t num_beams, num_return_sequences, no_repeat_ngram_size, top_k; /* top_k 0: all */
    double length_penalty, repetition_penalty, temperature, top_p, min_p;  /* min_p 0: off */
    int early_stopping; /* 0 false, 1 true, 2 "never" */
    bool do_sample, renormalize_logits;
    uint64_t seed;
    int32_t bos, pad, decoder_start, forced_bos, forced_eos, eos[SN_MOST_EOS];
    int n_eos;
    int32_t *suppress, *begin_suppress; /* owned */
    int64_t n_suppress, n_begin_suppress;
    int32_t *bad_words; /* owned: sequences that must not appear, each as its length and its tokens */
    int64_t n_bad_words; /* values in bad_words */
} sn_generation;
/* From generation_config.json's object; where that is NULL, the same keys in config.json's (or in its "decoder",
 * "generator" or "text_config"); then `overrides` (or NULL; unknown keys are errors; one of max_length and
 * max_new_tokens there replaces both of the file, the same for min_). A key of value null is absent. A rule that the
 * file asks for and that does not exist here is SN_ERR_UNSUPPORTED. Free with sn_generation_free. */
sn_status sn_generation_read(const json_t *generation, const json_t *config, const json_t *overrides, sn_generation *out);
void sn_generation_free(sn_generation *g);

/* One finished text. Tokens do not hold the prompt; they end before padding, with the end token if it came. */
typedef struct sn_generated {
    int32_t *tokens; /* heap: sn_free */
    int64_t n;
    double score;    /* of beam search: sum of log-probabilities / length^penalty; of the others their sum, by the
                      * scores after the rules and before the warpers of sampling */
    double log_probability; /* sum of log-probabilities by the scores after the rules, made to sum to 1 again */
} sn_generated;
/* Called with each new token of text `row` (an index of out) as soon as it is certain (greedy and sampling: at once;
 * beam search: at the end, and with row = token = -1 once a step before that); a non-zero answer cancels. */
typedef int sn_token_fn(void *context, int64_t row, int32_t token);
/* Continues `rows` prompts of equal length (ids [rows][length]) and fills out[rows * num_return_sequences]. Random
 * numbers are keyed by (seed, index in out, step). Errors leave out all zero: SN_ERR_CANCELLED where the callback asked
 * for it, SN_ERR_NUMERIC for logits that are not finite or rules that leave no token, what the decoder failed with. */
sn_status sn_generate(const sn_decoder *decoder, const sn_generation *g, int64_t rows, int64_t length, const int32_t *ids,
                      sn_token_fn *token, void *context, sn_generated *out);
#endif
