/* Sound: WAV in all its forms, hostile WAV, mono, and the n-th allocation failing on the way to log-mel. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "media/audio.h"

#define GOLDEN(name) SN_TEST_ROOT "/golden/audio/" name

/* ---- a WAV writer ---- */

typedef struct wav_file {
    unsigned char bytes[4096];
    size_t size;
} wav_file;

static void put(wav_file *w, const void *bytes, size_t size) {
    assert_true(w->size + size <= sizeof w->bytes);
    memcpy(w->bytes + w->size, bytes, size);
    w->size += size;
}
static void put16(wav_file *w, unsigned x) { put(w, (unsigned char[]){x & 255, x >> 8 & 255}, 2); }
static void put32(wav_file *w, unsigned x) { put16(w, x & 65535), put16(w, x >> 16); }

/* Header up to and with the size of "data"; `promised` is that size. */
static wav_file header(unsigned codec, unsigned channels, unsigned rate, unsigned bits, unsigned promised) {
    wav_file w = {.size = 0};
    const unsigned block = channels * ((bits + 7) / 8);
    put(&w, "RIFF", 4), put32(&w, 36 + promised), put(&w, "WAVEfmt ", 8), put32(&w, 16);
    put16(&w, codec), put16(&w, channels), put32(&w, rate), put32(&w, rate * block), put16(&w, block),
        put16(&w, bits);
    put(&w, "data", 4), put32(&w, promised);
    return w;
}

static sn_status decode(const wav_file *w, sn_audio *out) {
    /* exactly sized, so that reading one byte too many is seen by the address sanitizer */
    void *exact = malloc(w->size ? w->size : 1);
    assert_non_null(exact);
    memcpy(exact, w->bytes, w->size);
    sn_status status = sn_audio_decode("x.wav", exact, w->size, 0, out);
    free(exact);
    return status;
}

static void expect(const wav_file *w, int rate, int channels, const float *pcm, int64_t frames) {
    sn_audio a;
    assert_ok(decode(w, &a));
    assert_int_equal(a.rate, rate);
    assert_int_equal(a.channels, channels);
    assert_int_equal(a.frames, frames);
    for (int64_t i = 0; i < frames * channels; i++)
        if (a.pcm[i] != pcm[i])
            fail_msg("sample %d: %.9g, expected %.9g", (int)i, (double)a.pcm[i], (double)pcm[i]);
    sn_audio_free(&a);
}

/* ---- what must be read ---- */

static void integers_of_every_width(void **state) {
    (void)state;
    static const struct {
        unsigned bits;
        unsigned char data[12];
        float pcm[3];
    } cases[] = {
        {8, {0, 128, 255}, {-1, 0, 127.0f / 128}},
        {16, {0, 0x80, 0, 0, 0xFF, 0x7F}, {-1, 0, 32767.0f / 32768}},
        {12, {0, 0x80, 0, 0, 0xF0, 0x7F}, {-1, 0, 32752.0f / 32768}}, /* in 16, left-justified */
        {24, {0, 0, 0x80, 0, 0, 0, 1, 0, 0x40}, {-1, 0, 0x400001 / 8388608.0f}},
        {32, {0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x40}, {-1, 0, 0.5f}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const unsigned bytes = 3 * ((cases[i].bits + 7) / 8);
        wav_file w = header(1, 1, 8000, cases[i].bits, bytes);
        put(&w, cases[i].data, bytes);
        expect(&w, 8000, 1, cases[i].pcm, 3);
        w = header(1, 3, 96000, cases[i].bits, bytes);
        put(&w, cases[i].data, bytes);
        expect(&w, 96000, 3, cases[i].pcm, 1);
    }
}

static void floats_of_both_widths(void **state) {
    (void)state;
    const float f[] = {0.25f, -1.5f};
    const double d[] = {0.25, -1.5};
    wav_file w = header(3, 2, 48000, 32, sizeof f);
    put(&w, f, sizeof f);
    expect(&w, 48000, 2, f, 1);
    w = header(3, 2, 48000, 64, sizeof d);
    put(&w, d, sizeof d);
    expect(&w, 48000, 2, f, 1);
    const float bad[] = {0, NAN, INFINITY};
    w = header(3, 1, 8000, 32, sizeof bad);
    put(&w, bad, sizeof bad);
    sn_audio a;
    assert_fails(decode(&w, &a), SN_ERR_FORMAT, "sample 1 of channel 0 is");
    const double huge[] = {1e300};
    w = header(3, 1, 8000, 64, sizeof huge);
    put(&w, huge, sizeof huge);
    assert_fails(decode(&w, &a), SN_ERR_FORMAT, "sample 0 of channel 0 is");
}

static void telephone_codes(void **state) {
    (void)state;
    /* the ends and the middle of ITU-T G.711's tables, in 16 bit */
    wav_file w = header(6, 1, 8000, 8, 5);
    put(&w, "\xD5\x55\xAA\x2A\x80", 5);
    expect(&w, 8000, 1,
           (const float[]){8 / 32768.0f, -8 / 32768.0f, 32256 / 32768.0f, -32256 / 32768.0f, 5504 / 32768.0f},
           5);
    w = header(7, 1, 8000, 8, 5);
    put(&w, "\xFF\x7F\x80\x00\xBF", 5);
    expect(&w, 8000, 1, (const float[]){0, 0, 32124 / 32768.0f, -32124 / 32768.0f, 1980 / 32768.0f}, 5);
}

static void extensible_names_the_codec_inside(void **state) {
    (void)state;
    const unsigned char tail[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71};
    wav_file w = {.size = 0};
    put(&w, "RIFF", 4), put32(&w, 64), put(&w, "WAVEfmt ", 8), put32(&w, 40);
    put16(&w, 0xFFFE), put16(&w, 1), put32(&w, 44100), put32(&w, 88200), put16(&w, 2), put16(&w, 16);
    put16(&w, 22), put16(&w, 16), put32(&w, 4), put16(&w, 1), put(&w, tail, sizeof tail);
    put(&w, "data", 4), put32(&w, 2), put16(&w, 0x4000);
    expect(&w, 44100, 1, (const float[]){0.5f}, 1);
    w.bytes[16] = 18; /* the size of "fmt ": now too short for an extensible one */
    sn_audio a;
    assert_fails(decode(&w, &a), SN_ERR_FORMAT, "at least 40");
}

static void other_chunks_are_stepped_over(void **state) {
    (void)state;
    wav_file w = {.size = 0};
    put(&w, "RIFF", 4), put32(&w, 0), put(&w, "WAVE", 4);
    put(&w, "LIST", 4), put32(&w, 3), put(&w, "abc\0", 4); /* odd: one byte of padding */
    put(&w, "fmt ", 4), put32(&w, 16), put16(&w, 1), put16(&w, 1), put32(&w, 8000), put32(&w, 8000),
        put16(&w, 1), put16(&w, 8);
    put(&w, "junk", 4), put32(&w, 0);
    put(&w, "data", 4), put32(&w, 1), put(&w, "\xC0\0", 2);
    put(&w, "LIST", 4), put32(&w, 99);
    expect(&w, 8000, 1, (const float[]){0.5f}, 1);
}

static void unknown_length_reaches_to_the_end(void **state) {
    (void)state;
    const float pcm[] = {0.5f, -0.5f};
    const unsigned unknown[] = {0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000};
    for (size_t i = 0; i < 4; i++) {
        wav_file w = header(1, 1, 8000, 16, unknown[i]);
        put16(&w, 0x4000), put16(&w, 0xC000), put(&w, "x", 1); /* half a sample at the end */
        expect(&w, 8000, 1, pcm, 2);
    }
    wav_file w = header(1, 1, 8000, 16, 0); /* RIFF's size agrees: truly empty */
    sn_audio a;
    assert_fails(decode(&w, &a), SN_ERR_FORMAT, "x.wav: holds no sound");
}

/* ---- what must be refused ---- */

static void hostile_headers_are_named(void **state) {
    (void)state;
    const struct {
        unsigned codec, channels, rate, bits, promised, given;
        const char *part;
    } cases[] = {
        {1, 1, 0, 16, 4, 4, "a rate of 0 Hz"},
        {1, 1, 4000000000, 16, 4, 4, "a rate of 4000000000 Hz"},
        {1, 0, 8000, 16, 4, 4, "0 channels"},
        {1, 65535, 8000, 16, 4, 4, "65535 channels"},
        {1, 1, 8000, 16, 1000, 4, "1000 bytes of sound expected, 4 found"},
        {1, 1, 8000, 16, 2, 1, "2 bytes of sound expected, 1 found"},
        {1, 1, 8000, 0, 4, 4, "with 0 bits"},
        {1, 1, 8000, 65535, 4, 4, "with 65535 bits"},
        {1, 1, 8000, 40, 5, 5, "with 40 bits"},
        {3, 1, 8000, 16, 4, 4, "codec 0x0003 with 16 bits"},
        {1, 4, 8000, 16, 4, 4, "holds no sound"}, /* half a frame */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wav_file w = header(cases[i].codec, cases[i].channels, cases[i].rate, cases[i].bits, cases[i].promised);
        put(&w, "\1\2\3\4\5\6\7", cases[i].given);
        sn_audio a;
        assert_fails(decode(&w, &a), SN_ERR_FORMAT, cases[i].part);
        assert_string_equal(sn_error_file(), "x.wav");
        assert_null(a.pcm);
    }
    wav_file w = header(1, 2, 8000, 16, 4);
    w.bytes[32] = 3; /* bytes per frame */
    put32(&w, 0);
    sn_audio a;
    assert_fails(decode(&w, &a), SN_ERR_FORMAT, "frames of 3 bytes, expected 4 (2 channels of 16 bits)");
}

static void what_is_not_wav_is_refused(void **state) {
    (void)state;
    sn_audio a;
    wav_file w = {.size = 0};
    assert_fails(decode(&w, &a), SN_ERR_FORMAT, "x.wav: empty");
    put(&w, "This is a text that someone saved as a recording, and it goes on a little.\n", 76);
    assert_int_not_equal(decode(&w, &a), SN_OK);
    assert_true(sn_error_code() == SN_ERR_FORMAT || sn_error_code() == SN_ERR_UNSUPPORTED);
    assert_non_null(strstr(sn_error_message(), "x.wav: not "));
    w = header(1, 1, 8000, 16, 0);
    memcpy(w.bytes + 12, "fmx ", 4);
    assert_fails(decode(&w, &a), SN_ERR_FORMAT, "\"data\" before \"fmt \"");
    w.size = 36;
    assert_fails(decode(&w, &a), SN_ERR_FORMAT, "no \"fmt \" chunk in 36 bytes");
    assert_fails(sn_audio_read("/nowhere/x.wav", 0, &a), SN_ERR_IO, "/nowhere/x.wav");
}

static void length_is_limited(void **state) {
    (void)state;
    sn_audio a;
    wav_file w = header(1, 1, 1000, 8, 2000);
    for (int i = 0; i < 500; i++) put32(&w, 0x80808080);
    assert_ok(sn_audio_decode("x", w.bytes, w.size, 2, &a));
    sn_audio_free(&a);
    assert_fails(sn_audio_decode("x", w.bytes, w.size, 1.999, &a), SN_ERR_FORMAT,
                 "2.000 s of sound, more than the 1.999 s");
    assert_fails(sn_audio_decode("x", w.bytes, w.size, -1, &a), SN_ERR_USAGE, "-1 s");
    assert_fails(sn_audio_decode("x", w.bytes, w.size, (double)NAN, &a), SN_ERR_USAGE, "nan s");
}

/* Every prefix and every byte of the header replaced: an answer, never a crash. */
static void broken_bytes_never_crash(void **state) {
    (void)state;
    wav_file w = header(1, 2, 8000, 16, 40);
    for (unsigned i = 0; i < 10; i++) put32(&w, i * 77777777);
    sn_audio a;
    for (size_t size = 0; size < w.size; size++) {
        wav_file cut = w;
        cut.size = size;
        assert_int_not_equal(decode(&cut, &a), SN_OK);
        assert_null(a.pcm);
    }
    const unsigned char values[] = {0, 1, 2, 3, 6, 7, 0x7F, 0x80, 0xFE, 0xFF};
    int read = 0;
    for (size_t at = 0; at < w.size; at++)
        for (size_t v = 0; v < sizeof values; v++) {
            wav_file other = w;
            other.bytes[at] = values[v];
            const sn_status status = decode(&other, &a);
            assert_true(status == SN_OK || status == SN_ERR_FORMAT || status == SN_ERR_UNSUPPORTED);
            read += status == SN_OK;
            sn_audio_free(&a);
        }
    assert_true(read >= 400); /* the sound itself may hold anything */
}

/* ---- mono, memory ---- */

static void mono_is_the_mean(void **state) {
    (void)state;
    wav_file w = header(3, 3, 8000, 32, 24);
    const float pcm[] = {1, 2, 6, -1, 0.5f, 0.5f};
    put(&w, pcm, sizeof pcm);
    sn_audio a;
    assert_ok(decode(&w, &a));
    sn_audio_to_mono(&a);
    assert_int_equal(a.channels, 1);
    assert_int_equal(a.frames, 2);
    assert_true(a.pcm[0] == 3 && a.pcm[1] == 0);
    sn_audio_to_mono(&a);
    assert_true(a.channels == 1 && a.pcm[0] == 3);
    sn_audio_free(&a);
    sn_audio_free(&a);
    sn_audio_free(NULL);
}

/* File -> PCM -> mono -> two resamplings (one by table, one interpolated) -> log-mel. */
static sn_status whole_way(void) {
    const sn_mel_options options = {.rate = 4999, .n_fft = 331, .hop = 80, .mels = 20, .style = SN_MEL_WHISPER};
    sn_audio a;
    sn_mel *mel = NULL;
    float *out = NULL;
    sn_status status = sn_audio_read(GOLDEN("tone.wav"), 0, &a);
    if (status == SN_OK) status = sn_audio_resample(&a, 24000);
    if (status == SN_OK) status = sn_audio_resample(&a, 4999);
    if (status == SN_OK) sn_audio_to_mono(&a);
    if (status == SN_OK) status = sn_mel_create(&options, &mel);
    if (status == SN_OK) {
        out = malloc((size_t)sn_mel_frames(mel, a.frames) * 20 * sizeof *out);
        status = sn_mel_compute(mel, a.pcm, a.frames, out);
    }
    free(out);
    sn_mel_free(mel);
    sn_audio_free(&a);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    sn_status status;
    long n = 0;
    do {
        sn_alloc_fail_after(++n);
        status = whole_way();
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
    } while (status != SN_OK && n < 1000);
    assert_true(n > 12 && n < 1000);
    sn_alloc_fail_after(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_of_every_width),
        cmocka_unit_test(floats_of_both_widths),
        cmocka_unit_test(telephone_codes),
        cmocka_unit_test(extensible_names_the_codec_inside),
        cmocka_unit_test(other_chunks_are_stepped_over),
        cmocka_unit_test(unknown_length_reaches_to_the_end),
        cmocka_unit_test(hostile_headers_are_named),
        cmocka_unit_test(what_is_not_wav_is_refused),
        cmocka_unit_test(length_is_limited),
        cmocka_unit_test(broken_bytes_never_crash),
        cmocka_unit_test(mono_is_the_mean),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
