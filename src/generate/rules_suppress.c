/* rules_suppress.c: processors for tokens that never come, tokens that do not come first, and the model's own rule. */
#include <math.h>

#include "generate/processors.h"

static void remove_all(const sn_rules *r, const int32_t *list, int64_t n, float *scores) {
    for (int64_t i = 0; i < n; i++)
        if (list[i] >= 0 && list[i] < r->vocabulary) scores[list[i]] = -INFINITY;
}

static bool suppress_active(const sn_rules *r) { return r->g->n_suppress > 0; }

static void suppress_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)length, (void)tokens;
    remove_all(r, r->g->suppress, r->g->n_suppress, scores);
}

const sn_processor sn_processor_suppress = {suppress_active, suppress_apply};

static bool begin_suppress_active(const sn_rules *r) { return r->g->n_begin_suppress > 0; }

static void begin_suppress_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)tokens;
    int64_t begin = r->prompt + (r->prompt == 1 && r->g->forced_bos >= 0); /* a forced token is not the first choice */
    if (length == begin) remove_all(r, r->g->begin_suppress, r->g->n_begin_suppress, scores);
}

const sn_processor sn_processor_begin_suppress = {begin_suppress_active, begin_suppress_apply};

static bool model_active(const sn_rules *r) { return r->decoder->adjust != NULL; }

static void model_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    r->decoder->adjust(r->decoder->context, length, tokens, scores);
}

const sn_processor sn_processor_model = {model_active, model_apply};
