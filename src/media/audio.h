/* audio.h: sound from bytes to the array that enters an encoder.
 *
 *   bytes -> decode -> f32 PCM [frames, channels] -> mono (mean of channels) -> resample -> log-mel [T, mels]
 *
 * WAV is read by our own reader (it is the common case and must not need FFmpeg); FLAC, MP3, OGG/Opus, M4A
 * and the rest through FFmpeg, from memory only. Log-mel follows Whisper (Radford et al. 2022) when
 * `style` is SN_MEL_WHISPER: periodic Hann, centred reflect padding, power spectrum, slaney-scale and
 * slaney-normalised filters, log10 clamped at 1e-10, floor at max-8, (x+4)/4. */
#ifndef SN_MEDIA_AUDIO_H
#define SN_MEDIA_AUDIO_H
#include "base/memory.h"

typedef struct sn_audio {
    int rate, channels;
    int64_t frames;
    float *pcm; /* [frames][channels], heap */
} sn_audio;

/* At most `most_seconds` are accepted (0: 3600); longer, empty or truncated sound is an error. */
sn_status sn_audio_decode(const char *name, const void *bytes, size_t size, double most_seconds, sn_audio *out);
sn_status sn_audio_read(const char *path, double most_seconds, sn_audio *out);
void sn_audio_free(sn_audio *audio);
/* Mean of the channels, in place. */
void sn_audio_to_mono(sn_audio *audio);
/* Band-limited resampling in place (windowed sinc; deterministic, the same on every machine), to 1000..768000 Hz;
 * gives ceil(frames * rate / audio->rate) frames. On failure the sound is as it was. */
sn_status sn_audio_resample(sn_audio *audio, int rate);

/* LOG: natural log of (x + 1e-6), no floor; POWER: x itself. */
typedef enum sn_mel_style { SN_MEL_WHISPER, SN_MEL_LOG, SN_MEL_POWER } sn_mel_style;
typedef struct sn_mel_options {
    int rate, n_fft, hop, mels;
    double fmin, fmax; /* Hz; fmax 0 = rate / 2 */
    sn_mel_style style;
} sn_mel_options;

/* Window, filters and FFT plan; immutable after creation, so shared between threads. */
typedef struct sn_mel sn_mel;
sn_status sn_mel_create(const sn_mel_options *options, sn_mel **out);
void sn_mel_free(sn_mel *mel);
/* Frames for `samples` mono samples: samples / hop, at least 1 (Whisper drops the last centred frame). */
int64_t sn_mel_frames(const sn_mel *mel, int64_t samples);
/* pcm: mono at options.rate. out: [frames][mels], f32. A sound too short to be mirrored (less than n_fft / 2 + 1
 * samples) is lengthened with silence. */
sn_status sn_mel_compute(const sn_mel *mel, const float *pcm, int64_t samples, float *out);
#endif
