/* fuzz_wav.c: any bytes as a WAV file; what decodes is mixed to mono. */
#include <stddef.h>
#include <stdint.h>

#include "media/audio_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    sn_audio audio = {0};
    if (sn_wav_decode(bytes, size, 60, &audio) != SN_OK) return 0;
    if (audio.frames < 0 || audio.frames * audio.channels > (int64_t)size) __builtin_trap();
    sn_audio_to_mono(&audio);
    sn_audio_free(&audio);
    return 0;
}
