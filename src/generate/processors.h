/* processors.h: what changes the scores of a row before a token is chosen, as a table (processors.def): one row and
 * one pair of functions each.
 *
 *   scores [V] of one row, its tokens [length] with the prompt -> the same scores, some lowered or -infinity */
#ifndef SN_GENERATE_PROCESSORS_H
#define SN_GENERATE_PROCESSORS_H
#include "generate/generate.h"
#include "generate/scores.h"

/* One call of sn_generate, as the rules see it. */
typedef struct sn_rules {
    const sn_generation *g;
    const sn_decoder *decoder;
    int64_t vocabulary, prompt, min_length, max_length; /* lengths with the prompt, as they apply in this call */
    int64_t least_kept;                                 /* warpers leave at least so many tokens */
    float *values;     /* [max_length] or NULL; scratch */
    float *exps;       /* [vocabulary] or NULL: scratch of the warpers */
    sn_scored *scored; /* [vocabulary] or NULL: the same */
} sn_rules;

typedef struct sn_processor {
    bool (*active)(const sn_rules *r);
    void (*apply)(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores);
} sn_processor;

enum { SN_PROCESSOR_RULE = 1, SN_PROCESSOR_WARP = 2, SN_PROCESSOR_LAST = 4 };
/* The scratch that the active rows need is allocated; free with sn_rules_free. */
sn_status sn_rules_prepare(sn_rules *r);
void sn_rules_free(sn_rules *r);
/* Applies the active rows of these phases, in the table's order. */
void sn_rules_apply(const sn_rules *r, int phases, int64_t length, const int32_t *tokens, float *scores);
#endif
