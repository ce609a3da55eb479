/* rng.h: counter-based random numbers (Philox4x32-10; Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A number is a pure function of (key, counter): no state, so any row, step or thread
 * can compute its own, and a resumed run draws what the unbroken one would have. */
#ifndef SN_BASE_RNG_H
#define SN_BASE_RNG_H
#include <stdint.h>

typedef struct sn_rng_key {
    uint64_t seed;   /* of the run */
    uint64_t stream; /* hash of a stable scoped name */
} sn_rng_key;

/* Four 32-bit words for counter (a, b). */
void sn_rng_block(sn_rng_key key, uint64_t a, uint64_t b, uint32_t out[4]);
/* The key of the Philox rounds themselves, for kernels that run many blocks at once. */
uint64_t sn_rng_mix(sn_rng_key key);
/* Blocks for counters (a, b), (a, b + 1) ... : out[4 n]; the same words, many at once. */
void sn_rng_blocks(sn_rng_key key, uint64_t a, uint64_t b, int64_t n, uint32_t *out);
double sn_rng_uniform(sn_rng_key key, uint64_t a, uint64_t b); /* [0, 1) */
double sn_rng_normal(sn_rng_key key, uint64_t a, uint64_t b);  /* mean 0, variance 1 */
uint64_t sn_rng_below(sn_rng_key key, uint64_t a, uint64_t b, uint64_t n); /* 0 .. n-1; n > 0 */
/* Fisher-Yates of items[0..n) by stream key and counter a. */
void sn_rng_shuffle(sn_rng_key key, uint64_t a, int64_t *items, int64_t n);
#endif
