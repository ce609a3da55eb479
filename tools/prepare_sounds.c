/* prepare_sounds: `prepare_sounds DIRECTORY < paths`: what the sound processor of a model's directory makes of files, for
 * tools/check_audio_processors.py. For each path, on stdout: i32 samples at the processor's rate, i32 frames, i32 mels,
 * samples f32 [samples], log-mel f32 [frames][mels] of the first chunk; samples 0 for a file that failed (why is on stderr). */
#include <stdio.h>
#include <string.h>

#include "features/audio_processor.h"

static bool put(const void *data, size_t size, size_t n) { return fwrite(data, size, n, stdout) == n; }

static sn_status read_sound(const char *path, int rate, sn_audio *out) {
    SN_TRY(sn_audio_read(path, 0, out));
    sn_audio_to_mono(out);
    sn_status status = sn_audio_resample(out, rate);
    if (status != SN_OK) sn_audio_free(out);
    return status;
}

static bool one(const sn_audio_processor *p, const sn_mel *mel, const char *path, float *room) {
    sn_audio sound = {0};
    int32_t head[3] = {0, 0, 0};
    if (read_sound(path, p->mel.rate, &sound) != SN_OK || sn_audio_processor_compute(p, mel, sound.pcm, sound.frames, room) != SN_OK)
        (void)fprintf(stderr, "%s\n", sn_error_message());
    else head[0] = (int32_t)sound.frames, head[1] = (int32_t)p->frames, head[2] = (int32_t)p->mel.mels;
    bool good = put(head, sizeof head, 1) && put(sound.pcm, sizeof *sound.pcm, (size_t)head[0])
                && put(room, sizeof *room, (size_t)head[1] * (size_t)head[2]) && !fflush(stdout);
    sn_audio_free(&sound);
    return good;
}

int main(int argc, char **argv) {
    char path[4096];
    sn_audio_processor p;
    sn_mel *mel = NULL;
    float *room = NULL;
    if (argc != 2 || sn_audio_processor_read(argv[1], &p) != SN_OK || sn_mel_create(&p.mel, &mel) != SN_OK
        || !(room = sn_alloc((size_t)p.frames * (size_t)p.mel.mels, sizeof *room))) {
        (void)fprintf(stderr, "%s\n", argc == 2 ? sn_error_message() : "usage: prepare_sounds DIRECTORY < paths");
        sn_mel_free(mel);
        return 2;
    }
    bool good = true;
    while (good && fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = '\0';
        good = one(&p, mel, path, room);
    }
    sn_free(room);
    sn_mel_free(mel);
    return good ? 0 : 1;
}
