/* audio_processor.c: see audio_processor.h. Filters always reach 8000 Hz, whatever the rate: so Whisper's do. */
#include "features/audio_processor.h"

#include <string.h>

enum { WHISPER_HIGHEST = 8000 };

static sn_status whole(const json_t *config, const char *key, int64_t fallback, int64_t most, int *out) {
    int64_t x;
    SN_TRY(sn_json_int(config, key, fallback, &x));
    if (x < 1 || x > most) SN_FAIL(SN_ERR_FORMAT, "\"%s\" must be 1 to %lld, not %lld", key, (long long)most, (long long)x);
    *out = (int)x;
    return SN_OK;
}

static sn_status parse_speaker(const json_t *config, sn_audio_processor *p) {
    int frames = 0, step = 0;
    SN_TRY(whole(config, "sampling_rate", 16000, 768000, &p->mel.rate));
    SN_TRY(whole(config, "feature_size", 40, 1024, &p->mel.mels));
    SN_TRY(whole(config, "hop_length", 160, 1 << 20, &p->mel.hop));
    SN_TRY(whole(config, "n_fft", 400, 1 << 20, &p->mel.n_fft));
    SN_TRY(whole(config, "frames", 160, 1 << 20, &frames));
    SN_TRY(whole(config, "step", 77, frames, &step));
    SN_TRY(sn_json_number(config, "least_coverage", 0.75, &p->least_coverage));
    SN_TRY(sn_json_number(config, "loudness", -30, &p->loudness));
    if (!(p->loudness <= 0)) SN_FAIL(SN_ERR_FORMAT, "\"loudness\" must be 0 or less, not %g", p->loudness);
    p->mel.style = SN_MEL_POWER;
    p->frames = frames;
    p->step = step;
    p->samples = p->frames * p->mel.hop;
    return SN_OK;
}

static sn_status parse(const json_t *config, sn_audio_processor *p) {
    const char *type;
    double padding, dither;
    int seconds = 0;
    if (!json_is_object(config)) SN_FAIL(SN_ERR_FORMAT, "expected an object");
    SN_TRY(sn_json_string(config, "feature_extractor_type", "WhisperFeatureExtractor", &type));
    if (!strcmp(type, "SpeakerFeatureExtractor")) return parse_speaker(config, p);
    if (strcmp(type, "WhisperFeatureExtractor")) SN_FAIL(SN_ERR_UNSUPPORTED, "\"%.80s\" is not a processor of sound that is known here", type);
    SN_TRY(whole(config, "sampling_rate", 16000, 768000, &p->mel.rate));
    SN_TRY(whole(config, "feature_size", 80, 1024, &p->mel.mels));
    SN_TRY(whole(config, "hop_length", 160, 1 << 20, &p->mel.hop));
    SN_TRY(whole(config, "n_fft", 400, 1 << 20, &p->mel.n_fft));
    SN_TRY(whole(config, "chunk_length", 30, 3600, &seconds));
    SN_TRY(sn_json_number(config, "padding_value", 0, &padding));
    SN_TRY(sn_json_number(config, "dither", 0, &dither));
    if (padding != 0 || dither != 0) SN_FAIL(SN_ERR_UNSUPPORTED, "\"padding_value\" and \"dither\" other than 0");
    p->mel.fmax = WHISPER_HIGHEST;
    p->mel.style = SN_MEL_WHISPER;
    p->samples = (int64_t)seconds * p->mel.rate;
    p->frames = p->samples / p->mel.hop;
    if (p->frames < 1) SN_FAIL(SN_ERR_FORMAT, "\"hop_length\" %d is longer than a chunk", p->mel.hop);
    return SN_OK;
}

sn_status sn_audio_processor_parse(const json_t *config, const char *name, sn_audio_processor *out) {
    *out = (sn_audio_processor){0};
    sn_status status = parse(config, out);
    if (status == SN_OK) return SN_OK;
    (void)sn_fail_in("%s", name);
    return sn_fail_at(name, 0, NULL);
}

sn_status sn_audio_processor_read(const char *directory, sn_audio_processor *out) {
    static const char *const files[][2] = {{"processor_config.json", "feature_extractor"}, {"preprocessor_config.json", NULL}};
    *out = (sn_audio_processor){0};
    for (size_t i = 0; i < 2; i++) {
        json_t *tree = NULL;
        char *path;
        SN_TRY(sn_file_find(directory, files[i][0], &path));
        sn_status status = path ? sn_json_read(path, &tree) : SN_OK;
        const json_t *config = files[i][1] ? json_object_get(tree, files[i][1]) : tree;
        bool found = config != NULL;
        if (status == SN_OK && found) status = sn_audio_processor_parse(config, path, out);
        json_decref(tree);
        sn_free(path);
        if (status != SN_OK || found) return status;
    }
    (void)sn_fail(SN_ERR_IO, "%s: holds no preprocessor_config.json, so it is not known how it wants its sound", directory);
    return sn_fail_at(directory, 0, NULL);
}

sn_status sn_audio_processor_compute(const sn_audio_processor *p, const sn_mel *mel, const float *pcm, int64_t samples, float *out) {
    if (samples >= p->samples) return sn_mel_compute(mel, pcm, p->samples, out);
    float *padded = sn_alloc((size_t)p->samples, sizeof *padded);
    if (!padded) return SN_ERR_MEMORY;
    if (samples > 0) memcpy(padded, pcm, (size_t)samples * sizeof *padded);
    sn_status status = sn_mel_compute(mel, padded, p->samples, out);
    sn_free(padded);
    return status;
}
