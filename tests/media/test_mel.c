/* Log-mel against goldens from the published definition (tools/golden_audio.py), and the transform below it
 * against the sum that defines it. */
#include "test.h"

#include <math.h>

#include "base/json.h"
#include "media/audio.h"
#include "media/audio_fft.h"

#define TWO_PI 6.28318530717958647693
#define GOLDENS SN_TEST_ROOT "/golden/audio"
static const sn_mel_options whisper = {16000, 400, 160, 80, 0, 0, SN_MEL_WHISPER};

static void transform_is_the_sum(void **state) {
    (void)state;
    const int sizes[] = {1,  2,  3,  4,  5,   6,   7,   8,   11,  12,  15,  16,
                         20, 49, 60, 97, 100, 128, 331, 400, 441, 512, 1001};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int n = sizes[s];
        sn_fft *fft;
        assert_ok(sn_fft_create(n, &fft));
        sn_complex *x = sn_alloc(3 * (size_t)n, sizeof *x), *work = x + n, *copy = x + 2 * n;
        assert_non_null(x);
        for (int i = 0; i < n; i++) {
            x[i].re = (sn_lanes){sin(i * 1.7), cos(i * i)};
            x[i].im = (sn_lanes){1.0 / (i + 1), i % 3};
        }
        memcpy(copy, x, (size_t)n * sizeof *x);
        const sn_complex *y = sn_fft_run(fft, x, work);
        for (int k = 0; k < n; k++) {
            sn_complex sum = {{0, 0}, {0, 0}};
            for (int i = 0; i < n; i++) {
                const double angle = TWO_PI * (double)((int64_t)i * k % n) / n, c = cos(angle), d = -sin(angle);
                sum.re += c * copy[i].re - d * copy[i].im;
                sum.im += c * copy[i].im + d * copy[i].re;
            }
            for (int l = 0; l < 2; l++)
                if (!(fabs(y[k].re[l] - sum.re[l]) < 1e-10 * n && fabs(y[k].im[l] - sum.im[l]) < 1e-10 * n))
                    fail_msg("n %d, k %d, lane %d", n, k, l);
        }
        sn_free(x);
        sn_fft_free(fft);
    }
    sn_fft *fft;
    assert_fails(sn_fft_create(0, &fft), SN_ERR_USAGE, "0 values");
    sn_fft_free(NULL);
}

static sn_mel_options options_of(const json_t *row) {
    int64_t rate, n_fft, hop, mels;
    double fmin, fmax;
    const char *style;
    assert_ok(sn_json_int(row, "rate", 0, &rate));
    assert_ok(sn_json_int(row, "n_fft", 0, &n_fft));
    assert_ok(sn_json_int(row, "hop", 0, &hop));
    assert_ok(sn_json_int(row, "mels", 0, &mels));
    assert_ok(sn_json_number(row, "fmin", 0, &fmin));
    assert_ok(sn_json_number(row, "fmax", 0, &fmax));
    assert_ok(sn_json_string(row, "style", "", &style));
    return (sn_mel_options){(int)rate,
                            (int)n_fft,
                            (int)hop,
                            (int)mels,
                            fmin,
                            fmax,
                            strcmp(style, "log") ? SN_MEL_WHISPER : SN_MEL_LOG};
}

static void golden(const json_t *row) {
    const sn_mel_options options = options_of(row);
    const char *sound, *file;
    int64_t frames;
    assert_ok(sn_json_string(row, "sound", "", &sound));
    assert_ok(sn_json_string(row, "golden", "", &file));
    assert_ok(sn_json_int(row, "frames", 0, &frames));
    char *sound_path = sn_path_join(GOLDENS, sound), *golden_path = sn_path_join(GOLDENS, file);
    sn_audio a;
    sn_bytes expected;
    sn_mel *mel;
    assert_ok(sn_audio_read(sound_path, 0, &a));
    assert_ok(sn_file_read(golden_path, 1 << 20, &expected));
    assert_ok(sn_mel_create(&options, &mel));
    assert_int_equal(a.rate, options.rate);
    assert_int_equal(sn_mel_frames(mel, a.frames), frames);
    const int64_t count = frames * options.mels;
    assert_int_equal(expected.size, (size_t)count * sizeof(float));
    float *out = malloc(expected.size);
    assert_ok(sn_mel_compute(mel, a.pcm, a.frames, out));
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        float e;
        memcpy(&e, expected.data + (size_t)i * sizeof e, sizeof e);
        worst = fmax(worst, fabs((double)out[i] - (double)e));
    }
    if (!(worst < 5e-6)) fail_msg("%s: off by %g", file, worst); /* what is promised is 1e-4 */
    free(out);
    sn_mel_free(mel);
    sn_bytes_free(&expected);
    sn_audio_free(&a);
    sn_free(sound_path);
    sn_free(golden_path);
}

static void goldens_are_met(void **state) {
    (void)state;
    json_t *rows;
    assert_ok(sn_json_read(GOLDENS "/mel.json", &rows));
    assert_true(json_array_size(rows) >= 6);
    for (size_t i = 0; i < json_array_size(rows); i++) golden(json_array_get(rows, i));
    json_decref(rows);
}

static void frames_are_counted_as_whisper_does(void **state) {
    (void)state;
    sn_mel *mel;
    assert_ok(sn_mel_create(&whisper, &mel));
    const int64_t cases[][2] = {{0, 1},   {1, 1},   {159, 1},     {160, 1},
                                {319, 1}, {320, 2}, {16000, 100}, {480000, 3000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(sn_mel_frames(mel, cases[i][0]), cases[i][1]);
    sn_mel_free(mel);
}

static void short_sounds_are_lengthened_with_silence(void **state) {
    (void)state;
    sn_mel *mel;
    assert_ok(sn_mel_create(&whisper, &mel));
    float pcm[201] = {0}, out[80], padded[80];
    assert_ok(sn_mel_compute(mel, pcm, 0, out)); /* silence: log10 1e-10 = -10 in all, so the top is -10 too */
    for (int m = 0; m < 80; m++) assert_true(out[m] == -1.5f);
    for (int64_t samples = 1; samples < 201; samples += 20) {
        memset(pcm, 0, sizeof pcm);
        for (int i = 0; i < samples; i++) pcm[i] = (float)sin(i);
        assert_ok(sn_mel_compute(mel, pcm, samples, out));
        assert_ok(sn_mel_compute(mel, pcm, 201, padded));
        assert_memory_equal(out, padded, sizeof out);
    }
    assert_fails(sn_mel_compute(mel, pcm, -1, out), SN_ERR_USAGE, "-1 samples");
    sn_mel_free(mel);
}

/* A tone lights the band whose centre is nearest to it, in every frame of any number of frames. */
static void a_tone_lights_its_band(void **state) {
    (void)state;
    const sn_mel_options options = {16000, 400, 100, 40, 0, 0, SN_MEL_LOG};
    sn_mel *mel;
    assert_ok(sn_mel_create(&options, &mel));
    for (int frames = 1; frames <= 9; frames++) {
        float pcm[900], out[9 * 40];
        for (int i = 0; i < 100 * frames; i++) pcm[i] = (float)cos(TWO_PI * 1000 * i / 16000);
        assert_ok(sn_mel_compute(mel, pcm, 100 * frames, out));
        for (int t = 0; t < frames; t++) {
            int top = 0;
            for (int m = 1; m < 40; m++) top = out[t * 40 + m] > out[t * 40 + top] ? m : top;
            /* 1000 Hz is 15 mel of 45.25 in 41 steps: band 12.6 - 1 */
            if (t * 100 >= 200 && t * 100 + 200 <= frames * 100) assert_in_range(top, 12, 13);
        }
    }
    sn_mel_free(mel);
}

static void impossible_options_are_refused(void **state) {
    (void)state;
    const struct {
        sn_mel_options options;
        const char *part;
    } cases[] = {
        {{0, 400, 160, 80, 0, 0, SN_MEL_WHISPER}, "rate 0"},
        {{16000, 1, 160, 80, 0, 0, SN_MEL_WHISPER}, "n_fft 1"},
        {{16000, 1 << 30, 160, 80, 0, 0, SN_MEL_WHISPER}, "n_fft"},
        {{16000, 400, 0, 80, 0, 0, SN_MEL_WHISPER}, "hop 0"},
        {{16000, 400, 160, 0, 0, 0, SN_MEL_WHISPER}, "0 mel bands"},
        {{16000, 400, 160, 80, 9000, 0, SN_MEL_WHISPER}, "from 9000 to 8000 Hz"},
        {{16000, 400, 160, 80, 0, 9000, SN_MEL_WHISPER}, "from 0 to 9000 Hz"},
        {{16000, 400, 160, 80, -5, 0, SN_MEL_WHISPER}, "from -5"},
        {{16000, 400, 160, 80, (double)NAN, 0, SN_MEL_WHISPER}, "from nan"},
        {{16000, 400, 160, 80, 0, 0, (sn_mel_style)9}, "style 9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sn_mel *mel;
        assert_fails(sn_mel_create(&cases[i].options, &mel), SN_ERR_USAGE, cases[i].part);
        assert_null(mel);
    }
    sn_mel_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transform_is_the_sum),
        cmocka_unit_test(goldens_are_met),
        cmocka_unit_test(frames_are_counted_as_whisper_does),
        cmocka_unit_test(short_sounds_are_lengthened_with_silence),
        cmocka_unit_test(a_tone_lights_its_band),
        cmocka_unit_test(impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
