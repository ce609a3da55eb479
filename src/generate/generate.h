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
     * [rows][vocabulary]. parents[r]: which row of the call before row r continues; NULL at the first call. */
    sn_status (*step)(void *context, int64_t rows, int64_t count, const int32_t *ids, const int32_t *parents, float *logits);
} sn_decoder;

enum { SN_MOST_EOS = 8 };
/* generation_config.json's keys; -1 or NULL where a rule is off. */
typedef struct sn_generation {
    int64_t max_length, max_new_tokens, min_length, min_new_tokens; /* lengths count the prompt; *_new_* do not */
    int64_t num_beams, num_return_sequences, no_repeat_ngram_size, top_k;
    double length_penalty, repetition_penalty, temperature, top_p;
    int early_stopping; /* 0 false, 1 true, 2 "never" */
    bool do_sample;
    uint64_t seed;
    int32_t bos, pad, decoder_start, forced_bos, forced_eos, eos[SN_MOST_EOS];
    int n_eos;
    int32_t *suppress, *begin_suppress; /* owned */
    int64_t n_suppress, n_begin_suppress;
} sn_generation;
/* From generation_config.json's object (or NULL), else the same keys in config.json's (or NULL), then `overrides`
 * (or NULL; unknown keys are errors). Free with sn_generation_free. */
sn_status sn_generation_read(const json_t *generation, const json_t *config, const json_t *overrides, sn_generation *out);
void sn_generation_free(sn_generation *g);

/* One finished text. Tokens do not hold the prompt; they end before padding, with the end token if it came. */
typedef struct sn_generated {
    int32_t *tokens; /* heap: sn_free */
    int64_t n;
    double score;    /* of beam search: sum of log-probabilities / length^penalty; of the others the sum; 0 unknown */
} sn_generated;
/* Called with each new token of row `row` as soon as it is certain (greedy and sampling: at once; beam search: at the
 * end); a non-zero answer cancels. */
typedef int sn_token_fn(void *context, int64_t row, int32_t token);
/* Continues `rows` prompts of equal length (ids [rows][length]) and fills out[rows * num_return_sequences]. */
sn_status sn_generate(const sn_decoder *decoder, const sn_generation *g, int64_t rows, int64_t length, const int32_t *ids,
                      sn_token_fn *token, void *context, sn_generated *out);
#endif
