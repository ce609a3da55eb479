/* sound.h: sound() of tools/golden_pipelines.py, `softer` times as soft: square waves and noise; the last fifth is silent. */
#ifndef SN_TEST_SOUND_H
#define SN_TEST_SOUND_H
#include <stdint.h>
#include <stdlib.h>

#include "test.h"

static inline float *make_sound(size_t samples, int64_t salt, float softer) {
    float *pcm = malloc(samples * sizeof *pcm);
    assert_non_null(pcm);
    for (size_t i = 0; i < samples; i++) {
        int64_t n = (int64_t)i, block = n / 6000 + salt;
        int64_t wave = (n / (20 + block * 37 % 150) % 2 * 2 - 1) * (1 + block * 13 % 7) * 512;
        int64_t noise = ((n * 1103515245 + 12345 * salt) >> 16) % 256 * (block % 3);
        pcm[i] = i < samples * 4 / 5 ? (float)(wave + noise) / 16384 / softer : 0;
    }
    return pcm;
}
#endif
