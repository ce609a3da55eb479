/* Resampling against closed forms: what passes, what must not, how long, and the same bits everywhere. */
#include "test.h"

#include <math.h>

#include "base/text.h"
#include "media/audio.h"

#define TWO_PI 6.28318530717958647693
enum { EDGE = 200 }; /* samples of the lower rate in which the sound's start and end still ring */

static sn_audio tone(int rate, int64_t frames, int channels, double hertz) {
    sn_audio a = {rate, channels, frames, sn_alloc((size_t)(frames * channels), sizeof(float))};
    assert_non_null(a.pcm);
    for (int64_t i = 0; i < frames; i++)
        for (int c = 0; c < channels; c++)
            a.pcm[i * channels + c] = (float)sin(TWO_PI * hertz * (c + 1) * (double)i / rate);
    return a;
}

static const int rates[][2] = {
    {8000, 16000},  {16000, 8000},  {44100, 16000}, {48000, 16000}, {22050, 16000}, {44100, 48000},
    {16001, 16000}, {44099, 16000}, {16000, 44099}, {96000, 8000},  {11025, 16000},
};
#define PAIRS (sizeof rates / sizeof *rates)

static void tones_pass_unchanged(void **state) {
    (void)state;
    for (size_t p = 0; p < PAIRS; p++) {
        const int from = rates[p][0], to = rates[p][1], low = from < to ? from : to;
        const double hertz[] = {0.01 * low, 0.21 * low, 0.44 * low, 0.4565 * low}; /* the band ends at 0.457 */
        for (int h = 0; h < 4; h++) {
            sn_audio a = tone(from, from / 4, 1, hertz[h]);
            assert_ok(sn_audio_resample(&a, to));
            assert_int_equal(a.rate, to);
            assert_int_equal(a.frames, ((int64_t)(from / 4) * to + from - 1) / from);
            double worst = 0;
            const int64_t edge = (int64_t)EDGE * to / low;
            for (int64_t i = edge; i < a.frames - edge; i++)
                worst = fmax(worst, fabs((double)a.pcm[i] - sin(TWO_PI * hertz[h] * (double)i / to)));
            if (!(worst < 2e-6)) fail_msg("%d -> %d, %g Hz: off by %g", from, to, hertz[h], worst);
            sn_audio_free(&a);
        }
    }
}

/* A tone above the new Nyquist frequency would come back at a wrong pitch: at least 115 dB down. */
static void nothing_folds_down(void **state) {
    (void)state;
    for (size_t p = 0; p < PAIRS; p++) {
        const int from = rates[p][0], to = rates[p][1];
        if (from < to * 1.1) continue;
        const double hertz[] = {0.502 * to, 0.5 * from - 0.3 * (0.5 * from - 0.5 * to)};
        for (int h = 0; h < 2; h++) {
            sn_audio a = tone(from, from / 4, 1, hertz[h]);
            assert_ok(sn_audio_resample(&a, to));
            double worst = 0;
            for (int64_t i = EDGE; i < a.frames - EDGE; i++) worst = fmax(worst, fabs((double)a.pcm[i]));
            if (!(worst < 1.78e-6)) fail_msg("%d -> %d, %g Hz: %g is left", from, to, hertz[h], worst);
            sn_audio_free(&a);
        }
    }
}

/* Upsampling must not leave images of the old spectrum: all that is not the tone itself. The test above sees
 * them as an error already; here channels are kept apart too. */
static void channels_stay_apart(void **state) {
    (void)state;
    sn_audio a = tone(22050, 11025, 3, 700);
    assert_ok(sn_audio_resample(&a, 32000));
    assert_int_equal(a.channels, 3);
    for (int c = 0; c < 3; c++) {
        sn_audio b = tone(22050, 11025, 1, 700 * (c + 1));
        assert_ok(sn_audio_resample(&b, 32000));
        assert_int_equal(a.frames, b.frames);
        double worst = 0;
        for (int64_t i = 0; i < a.frames; i++) worst = fmax(worst, fabs((double)(a.pcm[i * 3 + c] - b.pcm[i])));
        assert_true(worst < 1e-6);
        sn_audio_free(&b);
    }
    sn_audio_free(&a);
}

static void silence_and_constants_stay(void **state) {
    (void)state;
    sn_audio a = tone(44100, 4410, 1, 0); /* all zero */
    assert_ok(sn_audio_resample(&a, 16000));
    for (int64_t i = 0; i < a.frames; i++) assert_true(a.pcm[i] == 0);
    sn_audio_free(&a);
    a = tone(44100, 4410, 1, 0);
    for (int i = 0; i < 4410; i++) a.pcm[i] = 0.7f;
    assert_ok(sn_audio_resample(&a, 16000));
    for (int64_t i = EDGE; i < a.frames - EDGE; i++) assert_true(fabsf(a.pcm[i] - 0.7f) < 2e-5f);
    sn_audio_free(&a);
}

static void short_sounds_keep_their_length(void **state) {
    (void)state;
    for (int64_t frames = 1; frames < 8; frames++) {
        sn_audio a = tone(44100, frames, 2, 441);
        assert_ok(sn_audio_resample(&a, 16000));
        assert_int_equal(a.frames, (frames * 160 + 440) / 441);
        sn_audio_free(&a);
    }
    sn_audio a = tone(16000, 100, 1, 441);
    float *same = a.pcm;
    assert_ok(sn_audio_resample(&a, 16000));
    assert_ptr_equal(a.pcm, same);
    sn_audio_free(&a);
}

/* Inputs are exact, so outputs may differ in no bit on any machine or compiler. */
static void bits_are_the_same_everywhere(void **state) {
    (void)state;
    const struct {
        int from, to;
        uint64_t hash;
    } cases[] = {{44100, 16000, 0xc07f15f869b41184},
                 {8000, 16000, 0x62f5650fcdecac1d},
                 {16001, 16000, 0x3deb9c2165b05cc4}};
    for (size_t c = 0; c < 3; c++) {
        sn_audio a = {cases[c].from, 1, 5000, sn_alloc(5000, sizeof(float))};
        assert_non_null(a.pcm);
        uint32_t x = 1;
        for (int i = 0; i < 5000; i++, x = x * 1664525 + 1013904223) a.pcm[i] = (float)(x >> 16) / 65536 - 0.5f;
        assert_ok(sn_audio_resample(&a, cases[c].to));
        const uint64_t hash = sn_hash(a.pcm, (size_t)a.frames * sizeof *a.pcm);
        if (hash != cases[c].hash)
            fail_msg("%d -> %d: hash 0x%016llx", cases[c].from, cases[c].to, (unsigned long long)hash);
        sn_audio_free(&a);
    }
}

static void odd_requests_are_refused(void **state) {
    (void)state;
    sn_audio a = tone(16000, 10, 1, 100);
    assert_fails(sn_audio_resample(&a, 0), SN_ERR_USAGE, "resample to 0 Hz");
    assert_fails(sn_audio_resample(&a, -16000), SN_ERR_USAGE, "resample to -16000 Hz");
    assert_fails(sn_audio_resample(&a, 768001), SN_ERR_USAGE, "(1000 to 768000)");
    a.rate = 1;
    a.frames = 3000;
    assert_fails(sn_audio_resample(&a, 768000), SN_ERR_USAGE, "gives 2304000000 samples");
    a.frames = 10;
    assert_ok(sn_audio_resample(&a, 1000));
    assert_int_equal(a.frames, 10000);
    sn_audio_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tones_pass_unchanged),
        cmocka_unit_test(nothing_folds_down),
        cmocka_unit_test(channels_stay_apart),
        cmocka_unit_test(silence_and_constants_stay),
        cmocka_unit_test(short_sounds_keep_their_length),
        cmocka_unit_test(bits_are_the_same_everywhere),
        cmocka_unit_test(odd_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
