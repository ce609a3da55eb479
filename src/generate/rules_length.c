/* rules_length.c: processors that look at how long the row is: no end before min_length, a forced first and last token. */
#include <math.h>

#include "generate/processors.h"

static bool min_length_active(const sn_rules *r) { return r->min_length > 0 && r->g->n_eos > 0; }

static void min_length_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)tokens;
    for (int i = 0; i < r->g->n_eos && length < r->min_length; i++) scores[r->g->eos[i]] = -INFINITY;
}

const sn_processor sn_processor_min_length = {min_length_active, min_length_apply};

static void force(const sn_rules *r, int32_t token, float *scores) {
    for (int64_t i = 0; i < r->vocabulary; i++) scores[i] = -INFINITY;
    scores[token] = 0;
}

/* forced_bos_token_id: the token after a single start token */
static bool forced_bos_active(const sn_rules *r) { return r->g->forced_bos >= 0; }

static void forced_bos_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)tokens;
    if (length == 1) force(r, r->g->forced_bos, scores);
}

const sn_processor sn_processor_forced_bos = {forced_bos_active, forced_bos_apply};

/* forced_eos_token_id: the last token of a row that grows to its full length */
static bool forced_eos_active(const sn_rules *r) { return r->g->forced_eos >= 0; }

static void forced_eos_apply(const sn_rules *r, int64_t length, const int32_t *tokens, float *scores) {
    (void)tokens;
    if (length == r->max_length - 1) force(r, r->g->forced_eos, scores);
}

const sn_processor sn_processor_forced_eos = {forced_eos_active, forced_eos_apply};
