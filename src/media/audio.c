/* audio.c: picks the decoder for some bytes, checks what came out, and mixes to mono.
 *
 *   bytes -> [rows of `decoders`, first that claims them] -> f32 PCM [frames][channels] -> limits, finiteness
 *
 * A decoder that claims the bytes but reports "unsupported" (a WAV with a rare codec) passes them on to the
 * next row. Every failure names the sound. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "media/audio_decode.h"

#define DEFAULT_SECONDS 3600
#define MOST_FILE ((size_t)4 << 30)
#define LOUDEST 4294967296.0f /* float files may hold integers; beyond 2^32 it is not sound */

static bool any(const unsigned char *bytes, size_t size) {
    (void)bytes;
    return size > 0;
}

#ifndef SN_FFMPEG
static sn_status sn_ffmpeg_audio_decode(const unsigned char *bytes, size_t size, double most_seconds,
                                        sn_audio *out) {
    (void)bytes, (void)size, (void)most_seconds, (void)out;
    SN_FAIL(SN_ERR_UNSUPPORTED,
            "not PCM WAV; other sound needs a build with the FFmpeg libraries (-DSN_FFMPEG=ON)");
}
#endif

static const struct decoder {
    bool (*is)(const unsigned char *bytes, size_t size);
    sn_status (*decode)(const unsigned char *bytes, size_t size, double most_seconds, sn_audio *out);
} decoders[] = {
    {sn_wav_is, sn_wav_decode},
    {any, sn_ffmpeg_audio_decode},
};

sn_status sn_audio_check(int rate, int channels, int64_t frames, double most_seconds) {
    if (rate < 1 || rate > SN_AUDIO_MOST_RATE)
        SN_FAIL(SN_ERR_FORMAT, "a rate of %d Hz (1 to %d)", rate, SN_AUDIO_MOST_RATE);
    if (channels < 1 || channels > SN_AUDIO_MOST_CHANNELS)
        SN_FAIL(SN_ERR_FORMAT, "%d channels (1 to %d)", channels, SN_AUDIO_MOST_CHANNELS);
    if ((double)frames / rate > most_seconds)
        SN_FAIL(SN_ERR_FORMAT, "at least %.3f s of sound, more than the %g s allowed", (double)frames / rate,
                most_seconds);
    if (frames > SN_AUDIO_MOST_SAMPLES / channels)
        SN_FAIL(SN_ERR_FORMAT, "at least %lld samples, more than the %lld allowed",
                (long long)frames * channels, (long long)SN_AUDIO_MOST_SAMPLES);
    return SN_OK;
}

static sn_status check_samples(const sn_audio *audio) {
    if (!audio->frames) SN_FAIL(SN_ERR_FORMAT, "holds no sound");
    const int64_t samples = audio->frames * audio->channels;
    for (int64_t i = 0; i < samples; i++)
        if (!(fabsf(audio->pcm[i]) <= LOUDEST))
            SN_FAIL(SN_ERR_FORMAT, "sample %lld of channel %lld is %g, expected a number from -1 to 1",
                    (long long)(i / audio->channels), (long long)(i % audio->channels), (double)audio->pcm[i]);
    return SN_OK;
}

static sn_status decode(const unsigned char *bytes, size_t size, double most_seconds, sn_audio *out) {
    if (!size) SN_FAIL(SN_ERR_FORMAT, "empty: expected sound, found 0 bytes");
    sn_status status = SN_ERR_UNSUPPORTED;
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders && status == SN_ERR_UNSUPPORTED; i++) {
        if (!decoders[i].is(bytes, size)) continue;
        *out = (sn_audio){0};
        status = decoders[i].decode(bytes, size, most_seconds, out);
    }
    return status == SN_OK ? check_samples(out) : status;
}

sn_status sn_audio_decode(const char *name, const void *bytes, size_t size, double most_seconds,
                          sn_audio *out) {
    *out = (sn_audio){0};
    if (!(most_seconds >= 0)) SN_FAIL(SN_ERR_USAGE, "%s: at most %g s of sound allowed", name, most_seconds);
    if (decode(bytes, size, most_seconds > 0 ? most_seconds : DEFAULT_SECONDS, out) == SN_OK) return SN_OK;
    sn_audio_free(out);
    (void)sn_fail_in("%s", name);
    return sn_fail_at(name, 0, NULL);
}

sn_status sn_audio_read(const char *path, double most_seconds, sn_audio *out) {
    *out = (sn_audio){0};
    sn_bytes bytes;
    SN_TRY(sn_file_read(path, MOST_FILE, &bytes));
    sn_status status = sn_audio_decode(path, bytes.data, bytes.size, most_seconds, out);
    sn_bytes_free(&bytes);
    return status;
}

void sn_audio_free(sn_audio *audio) {
    if (!audio) return;
    sn_free(audio->pcm);
    *audio = (sn_audio){0};
}

void sn_audio_to_mono(sn_audio *audio) {
    const int channels = audio->channels;
    if (channels <= 1) return;
    for (int64_t i = 0; i < audio->frames; i++) {
        double sum = 0;
        for (int c = 0; c < channels; c++) sum += (double)audio->pcm[i * channels + c];
        audio->pcm[i] = (float)(sum / channels);
    }
    audio->channels = 1; /* the rest of the block stays allocated */
}
