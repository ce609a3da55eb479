/* sounds.c: items' sound as the model's own processor makes it: log-mel f32 [frames, mels]. */
#include <math.h>
#include <stdio.h>

#include "pipelines/media.h"

#define MOST_SECONDS (4 * 3600)

static sn_status copy_pcm(const sn_item *item, sn_audio *out) {
    size_t samples;
    if (!item->pcm) SN_FAIL(SN_ERR_USAGE, "a sound is expected");
    if (item->channels < 1 || item->rate_hz < 1 || !item->frames || item->frames > INT64_MAX / sizeof(float) ||
        sn_mul_overflow(item->frames, (size_t)item->channels, &samples))
        SN_FAIL(SN_ERR_USAGE, "a sound of %zu frames, %d channels and %d Hz is not possible", item->frames, item->channels, item->rate_hz);
    if ((double)item->frames / item->rate_hz > MOST_SECONDS)
        SN_FAIL(SN_ERR_USAGE, "%.0f s of sound, more than the %d s allowed", (double)item->frames / item->rate_hz, MOST_SECONDS);
    for (size_t i = 0; i < samples; i++)
        if (!(item->pcm[i] >= -1e9f && item->pcm[i] <= 1e9f))
            SN_FAIL(SN_ERR_FORMAT, "sample %zu is %g, expected a number from -1 to 1", i, (double)item->pcm[i]);
    *out = (sn_audio){item->rate_hz, item->channels, (int64_t)item->frames, sn_alloc(samples, sizeof(float))};
    if (!out->pcm) return SN_ERR_MEMORY;
    memcpy(out->pcm, item->pcm, samples * sizeof(float));
    return SN_OK;
}

sn_status sn_item_sound(const sn_item *item, int rate, sn_audio *out) {
    *out = (sn_audio){0};
    SN_TRY(item->file ? sn_audio_read(item->file, MOST_SECONDS, out) : copy_pcm(item, out));
    sn_audio_to_mono(out);
    sn_status status = sn_audio_resample(out, rate);
    if (status != SN_OK) {
        sn_audio_free(out);
        return item->file ? sn_fail_at(item->file, 0, NULL) : status;
    }
    return SN_OK;
}

void sn_sound_free(sn_sound *s) {
    sn_free(s->mel);
    *s = (sn_sound){0};
}

/* ---- chunks that overlap, for a speaker encoder ---- */

static void raise_to(float *pcm, int64_t n, double loudness) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)pcm[i] * (double)pcm[i];
    double rms = sqrt(sum / (double)n), change = rms > 0 ? loudness - 20 * log10(rms) : 0;
    float by = (float)pow(10, change / 20);
    for (int64_t i = 0; change > 0 && i < n; i++) pcm[i] *= by;
}

/* How many: as Resemblyzer's compute_partial_slices counts. */
static int64_t chunks_of(const sn_audio_processor *q, int64_t samples) {
    int64_t frames = samples / q->mel.hop + 1, all = frames - q->frames + q->step + 1, n = ((all > 1 ? all : 1) + q->step - 1) / q->step;
    double covered = (double)(samples - (n - 1) * q->step * q->mel.hop) / (double)q->samples;
    return n > 1 && covered < q->least_coverage ? n - 1 : n;
}

/* The spectrogram with silence around the sound where sn_mel_compute would mirror it: two hops before it, as many behind. */
static sn_status make_chunks(const sn_pipeline *p, const sn_audio *audio, sn_sound *out) {
    const sn_audio_processor *q = &p->sound;
    const int64_t hop = q->mel.hop, around = (q->mel.n_fft / 2 + hop - 1) / hop, mels = q->mel.mels;
    out->chunks = chunks_of(q, audio->frames);
    out->content = out->frames = (out->chunks - 1) * q->step + q->frames;
    int64_t end = out->frames * hop > audio->frames ? out->frames * hop : audio->frames, frames = end / hop + 2 * around;
    float *pcm = sn_alloc((size_t)(end + 2 * around * hop), sizeof *pcm), *mel = sn_alloc((size_t)frames, (size_t)mels * sizeof *mel);
    out->mel = sn_alloc((size_t)out->frames, (size_t)mels * sizeof *out->mel);
    sn_status status = pcm && mel && out->mel ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK) {
        memcpy(pcm + around * hop, audio->pcm, (size_t)audio->frames * sizeof *pcm);
        raise_to(pcm + around * hop, audio->frames, q->loudness);
        status = sn_mel_compute(p->mel, pcm, frames * hop, mel);
    }
    if (status == SN_OK) memcpy(out->mel, mel + around * mels, (size_t)(out->frames * mels) * sizeof *mel);
    sn_free(pcm);
    sn_free(mel);
    return status;
}

/* ---- windows ---- */

static sn_status make_windows(const sn_pipeline *p, const sn_audio *audio, sn_sound *out) {
    const sn_audio_processor *q = &p->sound;
    bool chunk = audio->frames <= q->samples;
    out->frames = chunk ? q->frames : sn_mel_frames(p->mel, audio->frames);
    out->content = chunk ? (audio->frames + q->mel.hop - 1) / q->mel.hop : out->frames;
    out->mel = sn_alloc((size_t)out->frames, (size_t)q->mel.mels * sizeof *out->mel);
    if (!out->mel) return SN_ERR_MEMORY;
    return chunk ? sn_audio_processor_compute(q, p->mel, audio->pcm, audio->frames, out->mel)
                 : sn_mel_compute(p->mel, audio->pcm, audio->frames, out->mel);
}

sn_status sn_sound_make(const sn_pipeline *p, const sn_item *item, sn_sound *out) {
    sn_audio audio;
    *out = (sn_sound){0};
    SN_TRY(sn_item_sound(item, p->sound.mel.rate, &audio));
    out->seconds = (double)audio.frames / p->sound.mel.rate;
    sn_status status = p->sound.step ? make_chunks(p, &audio, out) : make_windows(p, &audio, out);
    sn_audio_free(&audio);
    if (status != SN_OK) sn_sound_free(out);
    return status;
}

sn_feed sn_feed_chunk(const sn_pipeline *p, const float *chunk) {
    return (sn_feed){.kinds = SN_IN_SOUND, .sizes = {.rows = 1, .frames = p->sound.frames}, .sound = chunk};
}

void sn_sound_chunk(const sn_pipeline *p, const sn_sound *s, int64_t first, float *out) {
    int64_t n = s->frames - first, width = p->sound.mel.mels;
    if (n < 0) n = 0;
    if (n > p->sound.frames) n = p->sound.frames;
    memcpy(out, s->mel + first * width, (size_t)(n * width) * sizeof *out);
    memset(out + n * width, 0, (size_t)((p->sound.frames - n) * width) * sizeof *out);
}
