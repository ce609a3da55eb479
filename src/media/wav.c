/* wav.c: WAV files (RIFF WAVE), read without trust in any number they hold.
 *
 *   "RIFF" size "WAVE", then chunks: id[4], size u32, bytes, a pad byte after an odd size
 *   "fmt "  -> codec, channels, rate, block (bytes per frame), bits -> a row of `codecs`
 *   "data"  -> frames of channels * samples -> f32 in [-1, 1)
 *
 * Writers that could not seek back leave 0 or a huge number as the size of "data" (0xFFFFFFFF, sox about
 * 0x7FFFFFFF, arecord 0x80000000): the sound then reaches to the end of the file. A size that merely promises
 * more than the file holds is an error: the file was cut. Integers are divided by 2^(bits-1), as FFmpeg and
 * libsndfile do, so FLAC and WAV of one recording give identical samples. */
#include <string.h>

#include "media/audio_decode.h"

enum { PCM = 1, FLOATS = 3, ALAW = 6, MULAW = 7, EXTENSIBLE = 0xFFFE };
#define STREAMED 0x7FFF0000u /* sizes from here on were not known when the header was written */

typedef struct wav {
    unsigned codec, channels, rate, block, bits;
    const unsigned char *data;
    size_t bytes;
} wav;

static unsigned u16(const unsigned char *p) { return p[0] | (unsigned)p[1] << 8; }
static uint32_t u32(const unsigned char *p) { return u16(p) | (uint32_t)u16(p + 2) << 16; }

/* ---- samples ---- */

static void from_u8(const unsigned char *p, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) out[i] = (float)(p[i] - 128) / 128;
}
static void from_s16(const unsigned char *p, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) out[i] = (float)(int16_t)u16(p + 2 * i) / 32768;
}
static void from_s24(const unsigned char *p, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        const int32_t high = (int32_t)(u16(p + 3 * i + 1) << 16) >> 8;
        out[i] = (float)(high | p[3 * i]) / 8388608;
    }
}
static void from_s32(const unsigned char *p, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) out[i] = (float)(int32_t)u32(p + 4 * i) / 2147483648.0f;
}
static void from_f32(const unsigned char *p, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        const uint32_t word = u32(p + 4 * i);
        memcpy(&out[i], &word, sizeof word);
    }
}
static void from_f64(const unsigned char *p, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        const uint64_t word = u32(p + 8 * i) | (uint64_t)u32(p + 8 * i + 4) << 32;
        double x;
        memcpy(&x, &word, sizeof x);
        out[i] = x >= -1e30 && x <= 1e30 ? (float)x : 1e30f; /* refused later, as not sound */
    }
}

/* ITU-T G.711: sign, 3 bits of exponent, 4 of mantissa. */
static void from_alaw(const unsigned char *p, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        const int code = p[i] ^ 0x55, exponent = code >> 4 & 7, mantissa = (code & 15) << 4;
        const int size = exponent ? (mantissa + 0x108) << (exponent - 1) : mantissa + 8;
        out[i] = (float)(code & 0x80 ? size : -size) / 32768;
    }
}
static void from_mulaw(const unsigned char *p, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        const int code = ~p[i] & 0xFF, size = (((code & 15) << 3) + 0x84) << (code >> 4 & 7);
        out[i] = (float)(code & 0x80 ? 0x84 - size : size - 0x84) / 32768;
    }
}

static const struct codec {
    unsigned codec, bytes; /* per sample */
    void (*convert)(const unsigned char *p, int64_t count, float *out);
} codecs[] = {
    {PCM, 1, from_u8},     {PCM, 2, from_s16},    {PCM, 3, from_s24},   {PCM, 4, from_s32},
    {FLOATS, 4, from_f32}, {FLOATS, 8, from_f64}, {ALAW, 1, from_alaw}, {MULAW, 1, from_mulaw},
};

/* ---- chunks ---- */

static sn_status read_format(const unsigned char *p, size_t size, wav *w) {
    /* the fixed end of the GUIDs that wrap a codec number */
    static const unsigned char tail[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71};
    if (size < 16) SN_FAIL(SN_ERR_FORMAT, "WAV: \"fmt \" of %zu bytes, expected at least 16", size);
    w->codec = u16(p);
    w->channels = u16(p + 2);
    w->rate = u32(p + 4);
    w->block = u16(p + 12);
    w->bits = u16(p + 14);
    if (w->codec == EXTENSIBLE) {
        if (size < 40)
            SN_FAIL(SN_ERR_FORMAT, "WAV: extensible \"fmt \" of %zu bytes, expected at least 40", size);
        if (memcmp(p + 26, tail, sizeof tail)) SN_FAIL(SN_ERR_UNSUPPORTED, "WAV: a codec without number");
        w->codec = u16(p + 24);
    }
    if (!w->channels || w->channels > SN_AUDIO_MOST_CHANNELS)
        SN_FAIL(SN_ERR_FORMAT, "WAV: %u channels, expected 1 to %d", w->channels, SN_AUDIO_MOST_CHANNELS);
    if (!w->rate || w->rate > SN_AUDIO_MOST_RATE)
        SN_FAIL(SN_ERR_FORMAT, "WAV: a rate of %u Hz, expected 1 to %d", w->rate, SN_AUDIO_MOST_RATE);
    return SN_OK;
}

static sn_status find_codec(const wav *w, const struct codec **out) {
    const unsigned bytes = (w->bits + 7) / 8;
    bool known = false;
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        known |= codecs[i].codec == w->codec;
        if (codecs[i].codec != w->codec || codecs[i].bytes != bytes) continue;
        if (w->block != w->channels * bytes)
            SN_FAIL(SN_ERR_FORMAT, "WAV: frames of %u bytes, expected %u (%u channels of %u bits)", w->block,
                    w->channels * bytes, w->channels, w->bits);
        *out = &codecs[i];
        return SN_OK;
    }
    SN_FAIL(known ? SN_ERR_FORMAT : SN_ERR_UNSUPPORTED, "WAV: codec 0x%04X with %u bits", w->codec, w->bits);
}

/* `left` bytes follow the header of "data", which promises `promised`. */
static sn_status find_data(const unsigned char *file, size_t size, size_t at, wav *w) {
    const uint32_t promised = u32(file + at + 4), riff = u32(file + 4);
    const size_t left = size - at - 8;
    w->data = file + at + 8;
    w->bytes = promised;
    const bool unknown = promised ? promised >= STREAMED && promised > left : riff != size - 8;
    if (unknown) w->bytes = left;
    if (w->bytes > left)
        SN_FAIL(SN_ERR_FORMAT, "WAV: cut short: %u bytes of sound expected, %zu found", promised, left);
    return SN_OK;
}

static sn_status walk(const unsigned char *file, size_t size, wav *w) {
    bool format = false;
    for (size_t at = 12; size - at >= 8;) { /* at <= size throughout */
        const uint32_t chunk = u32(file + at + 4);
        const size_t left = size - at - 8;
        if (!memcmp(file + at, "data", 4)) {
            if (!format) SN_FAIL(SN_ERR_FORMAT, "WAV: \"data\" before \"fmt \"");
            return find_data(file, size, at, w);
        }
        if (chunk > left)
            SN_FAIL(SN_ERR_FORMAT, "WAV: cut short: a chunk of %u bytes expected, %zu found", chunk, left);
        if (!memcmp(file + at, "fmt ", 4)) {
            SN_TRY(read_format(file + at + 8, chunk, w));
            format = true;
        }
        at += 8 + (size_t)chunk;
        if (chunk % 2 && at < size) at++;
    }
    SN_FAIL(SN_ERR_FORMAT, "WAV: no \"%s\" chunk in %zu bytes", format ? "data" : "fmt ", size);
}

bool sn_wav_is(const unsigned char *bytes, size_t size) {
    return size >= 12 && !memcmp(bytes, "RIFF", 4) && !memcmp(bytes + 8, "WAVE", 4);
}

sn_status sn_wav_decode(const unsigned char *bytes, size_t size, double most_seconds, sn_audio *out) {
    if (!sn_wav_is(bytes, size)) SN_FAIL(SN_ERR_FORMAT, "WAV: expected \"RIFF....WAVE\"");
    wav w = {0};
    const struct codec *codec = NULL;
    SN_TRY(walk(bytes, size, &w));
    SN_TRY(find_codec(&w, &codec));
    const int64_t frames = (int64_t)(w.bytes / w.block);
    SN_TRY(sn_audio_check((int)w.rate, (int)w.channels, frames, most_seconds));
    float *pcm = sn_alloc((size_t)frames * w.channels, sizeof *pcm);
    if (!pcm) return SN_ERR_MEMORY;
    codec->convert(w.data, frames * (int64_t)w.channels, pcm);
    *out = (sn_audio){(int)w.rate, (int)w.channels, frames, pcm};
    return SN_OK;
}
