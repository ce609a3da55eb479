/* dropout.c: one Philox block serves four neighbours: counter (row id, step and j / 4), word j % 4. */
#include "kernels/dropout.h"

#include "base/rng.h"
#include "kernels/kernel.h"

/* The step takes the upper half: 2^32 steps and 2^34 elements a row. */
static uint64_t counter(uint64_t step, int64_t j) { return (step << 32) ^ (uint64_t)(j / 4); }

uint32_t sn_dropout_threshold(float rate) {
    double least = (double)rate * 4294967296.0;
    return least >= 4294967295.0 ? 4294967295u : (uint32_t)least;
}

void sn_dropout_words(uint64_t seed, uint64_t stream, uint64_t step, int64_t row, int64_t j, int n, uint32_t *words) {
    sn_rng_blocks((sn_rng_key){seed, stream}, (uint64_t)row, counter(step, j), n / 4, words);
}

bool sn_dropout_keep(uint64_t seed, uint64_t stream, uint64_t step, int64_t row, int64_t j, float rate) {
    uint32_t words[4];
    sn_rng_block((sn_rng_key){seed, stream}, (uint64_t)row, counter(step, j), words);
    return words[j % 4] >= sn_dropout_threshold(rate);
}
