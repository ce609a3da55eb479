/* sounds.c: items' sound as the model's own processor makes it: log-mel f32 [frames, mels]. */
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

sn_status sn_sound_make(const sn_pipeline *p, const sn_item *item, sn_sound *out) {
    const sn_audio_processor *q = &p->sound;
    sn_audio audio;
    *out = (sn_sound){0};
    SN_TRY(sn_item_sound(item, q->mel.rate, &audio));
    bool chunk = audio.frames <= q->samples;
    out->seconds = (double)audio.frames / q->mel.rate;
    out->frames = chunk ? q->frames : sn_mel_frames(p->mel, audio.frames);
    out->content = chunk ? (audio.frames + q->mel.hop - 1) / q->mel.hop : out->frames;
    out->mel = sn_alloc((size_t)out->frames, (size_t)q->mel.mels * sizeof *out->mel);
    sn_status status = !out->mel ? SN_ERR_MEMORY
                     : chunk     ? sn_audio_processor_compute(q, p->mel, audio.pcm, audio.frames, out->mel)
                                 : sn_mel_compute(p->mel, audio.pcm, audio.frames, out->mel);
    sn_audio_free(&audio);
    if (status != SN_OK) sn_sound_free(out);
    return status;
}

void sn_sound_chunk(const sn_pipeline *p, const sn_sound *s, int64_t first, float *out) {
    int64_t n = s->frames - first, width = p->sound.mel.mels;
    if (n < 0) n = 0;
    if (n > p->sound.frames) n = p->sound.frames;
    memcpy(out, s->mel + first * width, (size_t)(n * width) * sizeof *out);
    memset(out + n * width, 0, (size_t)((p->sound.frames - n) * width) * sizeof *out);
}
