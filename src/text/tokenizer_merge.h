/* tokenizer_merge.h: the merges of byte pair encoding: a table of pairs, and a word's symbols merged by it, the pair of
 * lowest rank, leftmost first, until none is left. */
#ifndef SN_TOKENIZER_MERGE_H
#define SN_TOKENIZER_MERGE_H
#include "text/tokenizer_internal.h"

typedef struct sn_tok_merge_slot {
    uint64_t pair; /* left id << 32 | right id; UINT64_MAX: free */
    uint32_t rank;
    int32_t into;
} sn_tok_merge_slot;

/* A hash table, freed by the owner. */
typedef struct sn_tok_merges {
    sn_tok_merge_slot *slots;
    size_t mask;
    int32_t *into; /* by rank */
} sn_tok_merges;
sn_status sn_tok_merges_make(sn_tok_merges *m, size_t n); /* for at most n pairs */
void sn_tok_merges_put(sn_tok_merges *m, int32_t left, int32_t right, uint32_t rank, int32_t into);

typedef struct sn_tok_symbol {
    int32_t id; /* -1: merged into one before */
    uint32_t bytes;
    uint32_t span; /* while merging: how many symbols became this one, said at the first and the last of their places */
} sn_tok_symbol;
/* Merges the n sn_tok_symbols in w->symbols, id and bytes given; *left stay, moved together. */
sn_status sn_tok_merge(const sn_tok_merges *m, sn_tok_work *w, size_t n, size_t *left);

static inline size_t sn_tok_mix(uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return (size_t)(key ^ key >> 32);
}
#endif
