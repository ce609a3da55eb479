/* Compressed sound through FFmpeg: the committed 0.2 s tone of 440 Hz (amplitude 1/8) in each format, limits,
 * files cut anywhere and with bytes replaced. Without FFmpeg: that the message says what to build. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "media/audio.h"

#define GOLDEN SN_TEST_ROOT "/golden/audio/"
#define TWO_PI 6.28318530717958647693

#ifdef SN_FFMPEG
/* Amplitude of one frequency in channel 0. */
static double strength(const sn_audio *a, double hertz) {
    double re = 0, im = 0;
    for (int64_t i = 0; i < a->frames; i++) {
        const double angle = TWO_PI * hertz * (double)i / a->rate, x = (double)a->pcm[i * a->channels];
        re += x * cos(angle);
        im += x * sin(angle);
    }
    return 2 * sqrt(re * re + im * im) / (double)a->frames;
}

static const struct format {
    const char *name;
    int rate, channels;
    int64_t frames;
} formats[] = {
    {"tone.wav", 16000, 1, 3200}, {"tone_alaw.wav", 16000, 1, 3200}, {"tone.flac", 16000, 1, 3200},
    {"tone.mp3", 44100, 2, 8820}, {"tone.opus", 48000, 1, 9600},     {"tone.webm", 48000, 1, 9600},
    {"tone.m4a", 16000, 1, 4096}, /* AAC in whole frames: the edit list drops the priming only */
};
#define FORMATS (sizeof formats / sizeof *formats)

static void formats_give_the_tone(void **state) {
    (void)state;
    for (size_t i = 0; i < FORMATS; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, GOLDEN "%s", formats[i].name);
        sn_audio a;
        assert_ok(sn_audio_read(path, 0, &a));
        assert_int_equal(a.rate, formats[i].rate);
        assert_int_equal(a.channels, formats[i].channels);
        assert_int_equal(a.frames, formats[i].frames);
        const double there = strength(&a, 440);
        if (!(there > 0.08 && there < 0.14)) fail_msg("%s: amplitude %g at 440 Hz", formats[i].name, there);
        for (double hertz = 40; hertz < 4000; hertz += 40)
            if (fabs(hertz - 440) > 1 && !(strength(&a, hertz) < 0.25 * there))
                fail_msg("%s: %g at %g Hz", formats[i].name, strength(&a, hertz), hertz);
        sn_audio_free(&a);
    }
}

static void flac_is_wav_bit_for_bit(void **state) {
    (void)state;
    sn_audio a, b;
    assert_ok(sn_audio_read(GOLDEN "tone.wav", 0, &a));
    assert_ok(sn_audio_read(GOLDEN "tone.flac", 0, &b));
    assert_int_equal(a.frames, b.frames);
    assert_memory_equal(a.pcm, b.pcm, (size_t)a.frames * sizeof *a.pcm);
    sn_audio_free(&a);
    sn_audio_free(&b);
}

/* A codec our WAV reader does not know goes on to FFmpeg (Microsoft ADPCM, one silent block). */
static void rare_wav_codecs_go_on(void **state) {
    (void)state;
    unsigned char wav[] =
        "RIFF\x56\0\0\0WAVEfmt \x32\0\0\0\2\0\1\0\x40\x1f\0\0\0\x10\0\0\x0d\0\4\0\x20\0\x0e\0\7\0"
        "\0\1\0\0\0\2\0\xff\0\0\0\0\xc0\0\x40\0\xf0\0\0\0\xcc\1\x30\xff\x88\1\x18\xff"
        "data\x0d\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0";
    sn_audio a;
    assert_ok(sn_audio_decode("x.wav", wav, sizeof wav - 1, 0, &a));
    assert_int_equal(a.rate, 8000);
    assert_true(a.frames >= 2 && a.pcm[0] == 0);
    sn_audio_free(&a);
    wav[20] = 0x34, wav[21] = 0x12; /* a codec nobody knows */
    assert_fails(sn_audio_decode("x.wav", wav, sizeof wav - 1, 0, &a), SN_ERR_UNSUPPORTED, "x.wav: no decoder");
    assert_non_null(strstr(sn_error_message(), "0x1234"));
}

/* Tags of any size and version before the sound change nothing. */
static void tags_are_stepped_over(void **state) {
    (void)state;
    sn_bytes bytes;
    assert_ok(sn_file_read(GOLDEN "tone.mp3", 1 << 20, &bytes));
    const size_t tag = 10 + 300;
    unsigned char *tagged = calloc(1, 2 * tag + bytes.size);
    assert_non_null(tagged);
    for (size_t i = 0; i < 2; i++)
        memcpy(tagged + i * tag, i ? "ID3\4\0\0\0\0\2\x2C" : "ID3\x63\0\0\0\0\2\x2C", 10);
    memcpy(tagged + 2 * tag, bytes.data, bytes.size);
    sn_audio a, b;
    assert_ok(sn_audio_decode("a", tagged, 2 * tag + bytes.size, 0, &a));
    assert_ok(sn_audio_decode("b", bytes.data, bytes.size, 0, &b));
    assert_int_equal(a.frames, b.frames);
    assert_memory_equal(a.pcm, b.pcm, (size_t)(a.frames * a.channels) * sizeof *a.pcm);
    sn_audio_free(&a);
    sn_audio_free(&b);
    assert_fails(sn_audio_decode("c", tagged, 2 * tag, 0, &b), SN_ERR_FORMAT, "c: ");
    free(tagged);
    sn_bytes_free(&bytes);
}

static void length_is_limited(void **state) {
    (void)state;
    sn_audio a;
    assert_fails(sn_audio_read(GOLDEN "tone.flac", 0.1, &a), SN_ERR_FORMAT, "more than the 0.1 s allowed");
    assert_non_null(strstr(sn_error_message(), "tone.flac"));
    assert_ok(sn_audio_read(GOLDEN "tone.flac", 0.2, &a));
    sn_audio_free(&a);
}

/* No playlist, no subtitle, no picture: other FFmpeg formats are not sound to us and open nothing. */
static void other_formats_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile /etc/passwd\n",
        "1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 5004 RTP/AVP 0\n",
        "x",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sn_audio a;
        assert_fails(sn_audio_decode("x.mp3", texts[i], strlen(texts[i]), 0, &a), SN_ERR_FORMAT,
                     "x.mp3: not a sound file");
        assert_string_equal(sn_error_file(), "x.mp3");
    }
}

/* A copy of exactly `size` bytes, so that the address sanitizer sees a byte read too many. */
static sn_status decode_copy(const sn_bytes *bytes, size_t size, size_t at, int value, sn_audio *out) {
    unsigned char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes->data, size);
    if (at < size) copy[at] = (unsigned char)value;
    sn_status status = sn_audio_decode("x", copy, size, 10, out);
    free(copy);
    return status;
}

static void cut_files_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t tail; /* bytes at the end that hold no sound, and may be missing */
    } cases[] = {{"tone.flac", 0}, {"tone.m4a", 160}, {"tone.opus", 0}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char path[512];
        (void)snprintf(path, sizeof path, GOLDEN "%s", cases[c].name);
        sn_bytes bytes;
        assert_ok(sn_file_read(path, 1 << 20, &bytes));
        for (size_t size = 0; size < bytes.size - cases[c].tail; size += 1 + size / 40) {
            sn_audio a;
            const sn_status status = decode_copy(&bytes, size, size, 0, &a);
            /* an Ogg file may have been cut between two pages, which then is a shorter file */
            if (status == SN_OK && strcmp(cases[c].name, "tone.opus"))
                fail_msg("%s cut at %zu", cases[c].name, size);
            sn_audio_free(&a);
        }
        sn_bytes_free(&bytes);
    }
}

static void broken_bytes_never_crash(void **state) {
    (void)state;
    for (size_t i = 2; i < FORMATS; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, GOLDEN "%s", formats[i].name);
        sn_bytes bytes;
        assert_ok(sn_file_read(path, 1 << 20, &bytes));
        for (size_t at = 0; at < bytes.size; at += at < 256 ? 1 : 31) {
            sn_audio a;
            const sn_status status =
                decode_copy(&bytes, bytes.size, at, bytes.data[at] ^ (1 << at % 8 | 0x80), &a);
            assert_true(status == SN_OK || status == SN_ERR_FORMAT || status == SN_ERR_UNSUPPORTED ||
                        status == SN_ERR_MEMORY);
            if (status == SN_OK)
                assert_true(a.frames > 0 && a.rate > 0 && a.channels > 0 && a.pcm);
            else
                assert_null(a.pcm);
            sn_audio_free(&a);
        }
        sn_bytes_free(&bytes);
    }
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    sn_status status;
    long n = 0;
    do {
        sn_audio a;
        sn_alloc_fail_after(++n);
        status = sn_audio_read(GOLDEN "tone.mp3", 0, &a);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
        sn_audio_free(&a);
    } while (status != SN_OK && n < 1000);
    assert_true(n > 3 && n < 1000);
    sn_alloc_fail_after(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_give_the_tone),     cmocka_unit_test(flac_is_wav_bit_for_bit),
        cmocka_unit_test(rare_wav_codecs_go_on),     cmocka_unit_test(tags_are_stepped_over),
        cmocka_unit_test(length_is_limited),         cmocka_unit_test(other_formats_are_refused),
        cmocka_unit_test(cut_files_are_refused),     cmocka_unit_test(broken_bytes_never_crash),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void what_to_build_is_said(void **state) {
    (void)state;
    sn_audio a;
    assert_fails(sn_audio_read(GOLDEN "tone.flac", 0, &a), SN_ERR_UNSUPPORTED, "-DSN_FFMPEG=ON");
    assert_non_null(strstr(sn_error_message(), "tone.flac"));
    assert_ok(sn_audio_read(GOLDEN "tone_alaw.wav", 0, &a));
    sn_audio_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_to_build_is_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
