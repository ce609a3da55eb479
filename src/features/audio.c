/* audio.c: sound columns.
 *
 *   file -> decode -> mono -> resample to `rate` -> log-mel f32 [frames, mels]  (sample)
 *        -> (x - mean) / std, padded with 0 -> f32 [N,T,mels], lengths [N]
 *
 * fit looks at up to 128 training files: their most common rate (at most 16 kHz), window 32 ms rounded to a power of two,
 * hop 10 ms, 40 to 80 filters by rate; mean and deviation over all values. */
#include <math.h>

#include "features/sequence.h"

enum { LOOK = 128 };

typedef struct audio_state {
    sn_mel *mel;
    int64_t rate, mels;
    double seconds;
    float mean, std;
} audio_state;

static int rate_of(const sn_fit_source *source) {
    int rates[LOOK], counts[LOOK], n = 0, best = 0;
    int64_t most = source->n < LOOK ? source->n : LOOK;
    for (int64_t i = 0; i < most; i++) {
        int64_t row = source->rows[sn_pick(i, source->n, most)];
        char *path;
        sn_audio audio;
        if (sn_cell_empty(sn_table_cell(source->table, row, source->column))
            || sn_table_media_path(source->table, row, source->column, &path) != SN_OK)
            continue;
        sn_status status = sn_audio_read(path, 0, &audio);
        sn_free(path);
        if (status != SN_OK) continue;
        int k = 0;
        while (k < n && rates[k] != audio.rate) k++;
        if (k == n) {
            rates[n] = audio.rate;
            counts[n++] = 0;
        }
        counts[k]++;
        sn_audio_free(&audio);
    }
    for (int k = 1; k < n; k++)
        if (counts[k] > counts[best]) best = k;
    return n && rates[best] < 16000 ? rates[best] : 16000;
}

static sn_status fill_default(sn_feature *f, const char *key, int64_t value) {
    int64_t given;
    SN_TRY(sn_json_int(f->options, key, value, &given));
    return sn_feature_set(f, key, json_integer(given));
}

static sn_status measure(sn_feature *f, const sn_fit_source *source) {
    double sum = 0, squares = 0, count = 0;
    int64_t most = source->n < LOOK ? source->n : LOOK;
    for (int64_t i = 0; i < most; i++) {
        int64_t row = source->rows[sn_pick(i, source->n, most)];
        sn_sample sample;
        if (sn_cell_empty(sn_table_cell(source->table, row, source->column))
            || sn_feature_encode_cell(f, source->table, row, source->column, &sample) != SN_OK)
            continue;
        const float *x = sample.data;
        for (size_t k = 0; k < sample.bytes / sizeof *x; k++) {
            sum += (double)x[k];
            squares += (double)x[k] * (double)x[k];
        }
        count += (double)(sample.bytes / sizeof *x);
        sn_sample_free(&sample);
    }
    double mean = count > 0 ? sum / count : 0, variance = count > 0 ? squares / count - mean * mean : 1;
    SN_TRY(sn_feature_set(f, "mean", json_real(mean)));
    return sn_feature_set(f, "std", json_real(variance > 1e-8 ? sqrt(variance) : 1.0));
}

static sn_status audio_open(sn_feature *f);
static void audio_close(sn_feature *f);

static sn_status audio_fit(sn_feature *f, const sn_fit_source *source) {
    int64_t rate, n_fft = 64;
    SN_TRY(fill_default(f, "rate", json_object_get(f->options, "rate") ? 0 : rate_of(source)));
    SN_TRY(sn_json_int(f->options, "rate", 0, &rate));
    while (n_fft * 1000 < rate * 32) n_fft *= 2;
    SN_TRY(fill_default(f, "n_fft", n_fft));
    SN_TRY(fill_default(f, "hop", rate / 100));
    SN_TRY(fill_default(f, "mels", rate <= 8000 ? 40 : rate <= 16000 ? 64 : 80));
    double seconds;
    SN_TRY(sn_json_number(f->options, "max_seconds", 10, &seconds));
    SN_TRY(sn_feature_set(f, "max_seconds", json_real(seconds)));
    if (json_object_get(f->options, "mean") && json_object_get(f->options, "std")) return SN_OK;
    SN_TRY(sn_feature_set(f, "mean", json_real(0)));
    SN_TRY(sn_feature_set(f, "std", json_real(1)));
    sn_status status = audio_open(f);
    if (status == SN_OK) status = measure(f, source);
    audio_close(f);
    f->state = NULL;
    return status;
}

static sn_status audio_open(sn_feature *f) {
    audio_state *s = sn_alloc(1, sizeof *s);
    if (!s) return SN_ERR_MEMORY;
    f->state = s;
    int64_t n_fft, hop;
    double fmin, fmax, mean, std;
    SN_TRY(sn_json_int(f->options, "rate", 16000, &s->rate));
    SN_TRY(sn_json_int(f->options, "n_fft", 512, &n_fft));
    SN_TRY(sn_json_int(f->options, "hop", 160, &hop));
    SN_TRY(sn_json_int(f->options, "mels", 64, &s->mels));
    SN_TRY(sn_json_number(f->options, "fmin", 0, &fmin));
    SN_TRY(sn_json_number(f->options, "fmax", 0, &fmax));
    SN_TRY(sn_json_number(f->options, "max_seconds", 10, &s->seconds));
    SN_TRY(sn_json_number(f->options, "mean", 0, &mean));
    SN_TRY(sn_json_number(f->options, "std", 1, &std));
    if (!(s->seconds > 0 && s->seconds <= 3600)) SN_FAIL(SN_ERR_USAGE, "\"max_seconds\" must be above 0 and at most 3600, not %g", s->seconds);
    if (!((float)std > 0)) SN_FAIL(SN_ERR_FORMAT, "\"std\" must be above 0");
    if (s->rate > INT32_MAX || n_fft > INT32_MAX || hop > INT32_MAX || s->mels > INT32_MAX || s->rate < 1 || n_fft < 1 || hop < 1 || s->mels < 1)
        SN_FAIL(SN_ERR_USAGE, "rate %lld, n_fft %lld, hop %lld and mels %lld are not possible", (long long)s->rate, (long long)n_fft,
                (long long)hop, (long long)s->mels);
    s->mean = (float)mean;
    s->std = (float)std;
    sn_mel_options o = {(int)s->rate, (int)n_fft, (int)hop, (int)s->mels, fmin, fmax, SN_MEL_LOG};
    return sn_mel_create(&o, &s->mel);
}

static void audio_close(sn_feature *f) {
    audio_state *s = f->state;
    if (s) sn_mel_free(s->mel);
    sn_free(s);
}

static sn_status copy_audio(const sn_audio *from, sn_audio *to) {
    size_t samples;
    if (from->frames < 0 || from->channels < 1 || sn_mul_overflow((size_t)from->frames, (size_t)from->channels, &samples))
        SN_FAIL(SN_ERR_SHAPE, "a sound of %lld frames and %d channels", (long long)from->frames, from->channels);
    *to = *from;
    to->pcm = sn_alloc(samples, sizeof(float));
    if (!to->pcm) return SN_ERR_MEMORY;
    memcpy(to->pcm, from->pcm, samples * sizeof(float));
    return SN_OK;
}

sn_status sn_cell_sound(const sn_cell *cell, double seconds, int rate, sn_audio *out) {
    *out = (sn_audio){0};
    if (cell->audio) SN_TRY(copy_audio(cell->audio, out));
    else SN_TRY(sn_audio_read(cell->path, 0, out));
    sn_audio_to_mono(out);
    int64_t most = (int64_t)(seconds * out->rate);
    if (out->frames > most) out->frames = most;
    sn_status status = sn_audio_resample(out, rate);
    if (status != SN_OK) sn_audio_free(out);
    return status;
}

static sn_status audio_encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    const audio_state *s = f->state;
    sn_audio audio;
    SN_TRY(sn_cell_sound(cell, s->seconds, (int)s->rate, &audio)); /* the first max_seconds are heard */
    out->length = sn_mel_frames(s->mel, audio.frames);
    out->bytes = (size_t)(out->length * s->mels) * sizeof(float);
    out->data = sn_alloc(out->bytes, 1);
    sn_status status = out->data ? sn_mel_compute(s->mel, audio.pcm, audio.frames, out->data) : SN_ERR_MEMORY;
    sn_audio_free(&audio);
    if (status != SN_OK) sn_sample_free(out);
    return status;
}

static int audio_types(const sn_feature *f, int64_t n, int64_t steps, sn_type *types) {
    types[0] = (sn_type){SN_SHAPE(n, steps, ((const audio_state *)f->state)->mels), SN_F32};
    sn_length_types(n, types);
    return SN_FEATURE_ARRAYS;
}

static sn_status audio_collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    const audio_state *s = f->state;
    int64_t padded;
    SN_TRY(sn_collate_lengths(samples, n, arrays, &padded));
    padded = (padded + 7) / 8 * 8; /* encoders halve time up to three times */
    SN_TRY(sn_array_make(&arrays[0], SN_F32, SN_SHAPE(n, padded, s->mels)));
    float scale = 1.0f / s->std;
    for (int64_t i = 0; i < n; i++) {
        const float *from = samples[i]->data;
        float *to = (float *)arrays[0].data + i * padded * s->mels;
        for (int64_t k = 0; k < samples[i]->length * s->mels; k++) to[k] = (from[k] - s->mean) * scale;
    }
    return SN_OK;
}

static const char *const keys[] = {"rate", "n_fft", "hop", "mels", "fmin", "fmax", "max_seconds", "mean", "std", NULL};
const sn_feature_kind sn_feature_audio = {.kind = SN_KIND_AUDIO, .media = true, .keys = keys, .fit = audio_fit,
                                          .open = audio_open, .close = audio_close, .encode = audio_encode, .types = audio_types,
                                          .collate = audio_collate, .sequence = true};
