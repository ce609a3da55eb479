/* audio_decode.h: what the decoders share; seen by audio.c, its decoders and their tests only. */
#ifndef SN_MEDIA_AUDIO_DECODE_H
#define SN_MEDIA_AUDIO_DECODE_H
#include "media/audio.h"

#define SN_AUDIO_MOST_RATE 768000
#define SN_AUDIO_MOST_CHANNELS 256
#define SN_AUDIO_MOST_SAMPLES ((int64_t)1 << 30) /* of all channels: 4 GiB of f32 */

/* The length limits, for decoders that know length early: fails when `frames` are too many. */
sn_status sn_audio_check(int rate, int channels, int64_t frames, double most_seconds);

/* A decoder fills `out` (zeroed before); on failure it leaves nothing allocated. Messages do not name the
 * file: sn_audio_decode puts the name before them. most_seconds > 0. */
bool sn_wav_is(const unsigned char *bytes, size_t size);
/* SN_ERR_UNSUPPORTED: a WAV whose codec is not one of ours. */
sn_status sn_wav_decode(const unsigned char *bytes, size_t size, double most_seconds, sn_audio *out);
#ifdef SN_FFMPEG
sn_status sn_ffmpeg_audio_decode(const unsigned char *bytes, size_t size, double most_seconds, sn_audio *out);
#endif
#endif
