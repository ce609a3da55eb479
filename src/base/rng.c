/* rng.c: Philox4x32-10 and what is drawn from it. */
#include "base/rng.h"

#include <math.h>

#include "base/wide.h"

static void round_once(uint32_t c[4], uint32_t k0, uint32_t k1) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t a = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, b = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
    c[0] = a;
    c[1] = (uint32_t)p1;
    c[2] = b;
    c[3] = (uint32_t)p0;
}

/* 128 bits of key do not fit Philox4x32's 64: the stream is mixed in by a splitmix step. */
uint64_t sn_rng_mix(sn_rng_key key) {
    uint64_t mixed = key.seed + 0x9E3779B97F4A7C15u * (key.stream | 1);
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return mixed ^ key.stream ^ (mixed >> 31);
}

void sn_rng_block(sn_rng_key key, uint64_t a, uint64_t b, uint32_t out[4]) {
    uint64_t mixed = sn_rng_mix(key);
    uint32_t k0 = (uint32_t)mixed, k1 = (uint32_t)(mixed >> 32);
    out[0] = (uint32_t)a;
    out[1] = (uint32_t)(a >> 32);
    out[2] = (uint32_t)b;
    out[3] = (uint32_t)(b >> 32);
    for (int i = 0; i < 10; i++) {
        round_once(out, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* 64 blocks side by side, so that each step of a round is one loop over a plain array. */
SN_WIDE void sn_rng_blocks(sn_rng_key key, uint64_t a, uint64_t b, int64_t n, uint32_t *out) {
    enum { LANES = 64 };
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
    uint64_t mixed = sn_rng_mix(key);
    for (int64_t at = 0; at < n; at += LANES) {
        uint32_t k0 = (uint32_t)mixed, k1 = (uint32_t)(mixed >> 32);
        for (int i = 0; i < LANES; i++) {
            uint64_t counter = b + (uint64_t)(at + i);
            c0[i] = (uint32_t)a;
            c1[i] = (uint32_t)(a >> 32);
            c2[i] = (uint32_t)counter;
            c3[i] = (uint32_t)(counter >> 32);
        }
        for (int r = 0; r < 10; r++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
            for (int i = 0; i < LANES; i++) {
                uint64_t p0 = (uint64_t)0xD2511F53u * c0[i], p1 = (uint64_t)0xCD9E8D57u * c2[i];
                c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
                c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
                c1[i] = (uint32_t)p1;
                c3[i] = (uint32_t)p0;
            }
        int64_t left = n - at < LANES ? n - at : LANES;
        for (int64_t i = 0; i < left; i++) {
            uint32_t *to = out + 4 * (at + i);
            to[0] = c0[i];
            to[1] = c1[i];
            to[2] = c2[i];
            to[3] = c3[i];
        }
    }
}

static double to_unit(uint32_t high, uint32_t low) {
    return (double)(((uint64_t)high << 21) ^ (low >> 11)) * 0x1p-53;
}

double sn_rng_uniform(sn_rng_key key, uint64_t a, uint64_t b) {
    uint32_t w[4];
    sn_rng_block(key, a, b, w);
    return to_unit(w[0], w[1]);
}

double sn_rng_normal(sn_rng_key key, uint64_t a, uint64_t b) {
    uint32_t w[4];
    sn_rng_block(key, a, b, w);
    double u = 1.0 - to_unit(w[0], w[1]), v = to_unit(w[2], w[3]);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

uint64_t sn_rng_below(sn_rng_key key, uint64_t a, uint64_t b, uint64_t n) {
    uint32_t w[4];
    sn_rng_block(key, a, b, w);
    uint64_t x = ((uint64_t)w[0] << 32) | w[1];
    return (uint64_t)(((unsigned __int128)x * n) >> 64);
}

void sn_rng_shuffle(sn_rng_key key, uint64_t a, int64_t *items, int64_t n) {
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)sn_rng_below(key, a, (uint64_t)i, (uint64_t)i + 1);
        int64_t keep = items[i];
        items[i] = items[j];
        items[j] = keep;
    }
}
