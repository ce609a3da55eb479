/* sound_processor.c: sound columns prepared by a published model's own processor (audio_processor.h).
 *
 *   file -> decode -> mono -> resample -> one chunk, cut or lengthened with silence -> log-mel f32 [F,mels]  (sample)
 *        -> f32 [N,F,mels], lengths int32 [N]: of the encoder's F/2 positions those that hold sound */
#include "features/audio_processor.h"
#include "features/feature.h"

typedef struct listener {
    sn_audio_processor p;
    sn_mel *mel;
} listener;

static sn_status open(sn_feature *f) {
    listener *l = sn_alloc(1, sizeof *l);
    if (!l) return SN_ERR_MEMORY;
    f->state = l;
    SN_TRY(sn_audio_processor_read(f->directory, &l->p));
    return sn_mel_create(&l->p.mel, &l->mel);
}

static void close(sn_feature *f) {
    listener *l = f->state;
    if (l) sn_mel_free(l->mel);
    sn_free(l);
}

static sn_status encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    const listener *l = f->state;
    sn_audio audio;
    double most = (double)(l->p.samples / l->p.mel.rate + 1); /* what lies behind the chunk is not heard */
    SN_TRY(sn_cell_sound(cell, most, l->p.mel.rate, &audio));
    int64_t heard = audio.frames < l->p.samples ? audio.frames : l->p.samples;
    out->length = (heard + 2 * l->p.mel.hop - 1) / (2 * l->p.mel.hop);
    if (out->length > l->p.frames / 2) out->length = l->p.frames / 2;
    if (out->length < 1) out->length = 1;
    out->bytes = (size_t)(l->p.frames * l->p.mel.mels) * sizeof(float);
    out->data = sn_alloc(out->bytes, 1);
    sn_status status = out->data ? sn_audio_processor_compute(&l->p, l->mel, audio.pcm, audio.frames, out->data) : SN_ERR_MEMORY;
    sn_audio_free(&audio);
    if (status != SN_OK) sn_sample_free(out);
    return status;
}

static int types(const sn_feature *f, int64_t n, int64_t steps, sn_type *to) {
    const listener *l = f->state;
    (void)steps;
    to[0] = (sn_type){SN_SHAPE(n, l->p.frames, l->p.mel.mels), SN_F32};
    to[1] = (sn_type){SN_SHAPE(n), SN_I32};
    return 2;
}

static sn_status collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    const listener *l = f->state;
    size_t each = (size_t)(l->p.frames * l->p.mel.mels);
    SN_TRY(sn_array_make(&arrays[0], SN_F32, SN_SHAPE(n, l->p.frames, l->p.mel.mels)));
    SN_TRY(sn_array_make(&arrays[1], SN_I32, SN_SHAPE(n)));
    for (int64_t i = 0; i < n; i++) {
        memcpy((float *)arrays[0].data + (size_t)i * each, samples[i]->data, each * sizeof(float));
        ((int32_t *)arrays[1].data)[i] = (int32_t)samples[i]->length;
    }
    return SN_OK;
}

static const char *const keys[] = {"processor", NULL};
const sn_feature_kind sn_feature_audio_processor = {.kind = SN_KIND_AUDIO, .media = true, .keys = keys, .open = open,
                                                    .close = close, .encode = encode, .types = types, .collate = collate};
