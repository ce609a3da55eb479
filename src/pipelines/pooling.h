/* pooling.h: from a text's tokens to one vector, as sentence-transformers' files in the model's directory say.
 *
 *   modules.json: Transformer -> Pooling (1_Pooling/config.json) -> Dense, Normalize in their order
 *   hidden [T,D] of one text -> pooled [D * modes] -> dense layers, normalisation -> vector
 *
 * A directory without modules.json: mean over the tokens, nothing else, as sentence-transformers itself does then. */
#ifndef SN_POOLING_H
#define SN_POOLING_H
#include "base/json.h"

enum { SN_POOL_STEPS = 8 };
typedef struct sn_pool_step {
    bool normalise;           /* else a dense layer */
    int64_t in, out;
    float *weight, *bias;     /* [out,in], [out] or NULL; heap */
    void (*act)(float *x, int64_t n); /* NULL: none */
} sn_pool_step;

typedef struct sn_pooling {
    bool from_files, lower, exclude_prompt;
    unsigned modes;           /* bits of the table in models/pool_modes.h */
    int64_t most_tokens;      /* 0: the tokenizer's */
    sn_pool_step steps[SN_POOL_STEPS];
    int n_steps;
    char *prompt;             /* put before every text; NULL: none */
} sn_pooling;
/* All-zero is freed safely, also after a failure. */
sn_status sn_pooling_read(const char *directory, sn_pooling *out);
void sn_pooling_free(sn_pooling *p);
bool sn_pooling_normalises(const sn_pooling *p);
/* Numbers of a vector where a token has `width`; fails where a dense layer takes another number. */
sn_status sn_pooling_width(const sn_pooling *p, int64_t width, int64_t *out);
/* hidden: the first `tokens` rows [tokens][width] count; the rows of the prompt among them only with include_prompt. */
sn_status sn_pooling_apply(const sn_pooling *p, const float *hidden, int64_t tokens, int64_t width, float *out);
void sn_unit_length(float *x, int64_t n); /* to length 1, as torch.nn.functional.normalize */
#endif
