/* processors.c: the table of processors and the way through it. */
#include "generate/processors.h"

#define SN_PROCESSOR(symbol, phase) extern const sn_processor sn_processor_##symbol;
#include "generate/processors.def"
#undef SN_PROCESSOR
static const struct {
    const sn_processor *row;
    int phase;
} table[] = {
#define SN_PROCESSOR(symbol, phase) {&sn_processor_##symbol, SN_PROCESSOR_##phase},
#include "generate/processors.def"
#undef SN_PROCESSOR
};

sn_status sn_rules_prepare(sn_rules *r) {
    r->values = sn_alloc((size_t)r->max_length, sizeof *r->values);
    if (r->values && r->g->do_sample) {
        r->exps = sn_alloc((size_t)r->vocabulary, sizeof *r->exps);
        if (r->exps) r->scored = sn_alloc((size_t)r->vocabulary, sizeof *r->scored);
    }
    if (r->values && (r->scored || !r->g->do_sample)) return SN_OK;
    sn_rules_free(r);
    return SN_ERR_MEMORY;
}

void sn_rules_free(sn_rules *r) {
    sn_free(r->values);
    sn_free(r->exps);
    sn_free(r->scored);
    r->values = r->exps = NULL;
    r->scored = NULL;
}

void sn_rules_apply(const sn_rules *r, int phases, int64_t length, const int32_t *tokens, float *scores) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if ((table[i].phase & phases) && table[i].row->active(r)) table[i].row->apply(r, length, tokens, scores);
}
