/* audio_processor.h: sound as Whisper's models were trained on it: the settings of a model's directory ("feature_extractor"
 * in processor_config.json, or preprocessor_config.json) as options of media/audio.h's log-mel.
 *
 *   mono f32 PCM at `mel.rate` -> cut or lengthened with silence to `samples` -> log-mel f32 [frames][mel.mels] */
#ifndef SN_AUDIO_PROCESSOR_H
#define SN_AUDIO_PROCESSOR_H
#include "base/json.h"
#include "media/audio.h"

/* Plain data. */
typedef struct sn_audio_processor {
    sn_mel_options mel;
    int64_t samples, frames; /* of one chunk */
    /* Of a speaker encoder (step above 0): chunks begin every `step` frames; the last one counts if at least this part of
     * it sounds; sound below `loudness` (dB of full scale) is raised to it first. */
    int64_t step;
    double least_coverage, loudness;
} sn_audio_processor;

sn_status sn_audio_processor_read(const char *directory, sn_audio_processor *out);
/* From the object itself; `name` (a path) begins the errors. */
sn_status sn_audio_processor_parse(const json_t *config, const char *name, sn_audio_processor *out);
/* One chunk; `mel` is made of p->mel. out: [p->frames][p->mel.mels]. */
sn_status sn_audio_processor_compute(const sn_audio_processor *p, const sn_mel *mel, const float *pcm, int64_t samples, float *out);
#endif
