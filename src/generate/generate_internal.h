/* generate_internal.h: one call of sn_generate, shared by its two loops: one row for each text (greedy, sampling) and
 * several beams for each prompt. */
#ifndef SN_GENERATE_INTERNAL_H
#define SN_GENERATE_INTERNAL_H
#include "base/rng.h"
#include "generate/processors.h"

typedef struct sn_run {
    const sn_decoder *decoder;
    const sn_generation *g;
    sn_rules rules;
    int64_t inputs, prompt, most; /* prompts, their length, the length at which every row ends */
    int64_t texts, most_rows;     /* entries of out; rows of the largest decoder call */
    const int32_t *ids;           /* [inputs][prompt] */
    sn_token_fn *token;
    void *context;
    sn_rng_key key;
    sn_arena arena;               /* everything below and what the loops add */
    float *logits;                /* [most_rows][vocabulary] */
    int32_t *feed, *parents;      /* [most_rows] */
    sn_generated *out;
} sn_run;

bool sn_run_is_eos(const sn_run *run, int32_t token);
/* The decoder's logits for the prompts; for rows of the next token (feed and parents are set). */
sn_status sn_run_prompt(sn_run *run);
sn_status sn_run_step(sn_run *run, int64_t rows);
/* Fails where the log-sum of a row of scores says that nothing can be chosen. length: of the row. */
sn_status sn_run_check(const sn_run *run, double log_sum, int64_t input, int64_t length);
sn_status sn_run_emit(const sn_run *run, int64_t row, int32_t token);
/* Copies the tokens of text t to out. */
sn_status sn_run_finish(sn_run *run, int64_t t, const int32_t *tokens, int64_t n, double score, double log_probability);

sn_status sn_generate_rows(sn_run *run);  /* rows.c */
sn_status sn_generate_beams(sn_run *run); /* beams.c */
#endif
