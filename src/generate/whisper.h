/* whisper.h: transcription with a Whisper model: its rules for timestamps, and the walk through long audio.
 *
 *   features [mel, frames] -> windows of 30 s: encode -> prompt (previous text, start, language, task) -> sn_generate
 *   -> good enough? else again at a higher temperature -> segments (times, tokens); the last timestamp says where the
 *   next window begins
 *
 * The algorithm is that of Transformers' Whisper generate() (OpenAI's transcribe()). The model is reached through two
 * callbacks, so that the walk can be tested without one. Text is made of the tokens by the caller. */
#ifndef SN_GENERATE_WHISPER_H
#define SN_GENERATE_WHISPER_H
#include "generate/generate.h"

enum { SN_MOST_LANGUAGES = 128, SN_MOST_TEMPERATURES = 8 };

typedef struct sn_language {
    char code[12]; /* "en" of the token "<|en|>" */
    int32_t token;
} sn_language;

/* generation_config.json's keys of Whisper; token -1, threshold NAN: absent. */
typedef struct sn_whisper {
    sn_generation generation;
    int32_t start, eos, no_timestamps, previous; /* the first timestamp is no_timestamps + 1, "no speech" - 1 */
    int32_t language, task;   /* tokens of the prompt; language -1 with languages known: it is detected */
    int32_t most_first;       /* max_initial_timestamp_index */
    bool timestamps;          /* also where the audio fits one window; longer audio always has them */
    bool condition;           /* give the text so far to the next window */
    double temperatures[SN_MOST_TEMPERATURES];
    int n_temperatures, n_languages;
    double least_log_probability, most_compression, most_no_speech; /* logprob_, compression_ratio_, no_speech_threshold */
    sn_language languages[SN_MOST_LANGUAGES];
} sn_whisper;
/* Like sn_generation_read; overrides also know "language" (a code such as "en" or "<|en|>", or the English name), "task"
 * ("transcribe", "translate"), "return_timestamps", "condition_on_prev_tokens", "temperature" (a number or a list, 0: greedy),
 * "logprob_threshold", "compression_ratio_threshold" (of the tokens' bytes), "no_speech_threshold". Absent ones: the
 * temperatures 0, 0.2 ... 1 with -1.0, 1.35 and 0.6, no conditioning. Free with sn_whisper_free. */
sn_status sn_whisper_read(const json_t *generation, const json_t *config, const json_t *overrides, sn_whisper *out);
void sn_whisper_free(sn_whisper *w);

typedef struct sn_whisper_model {
    /* Its step may be called with count > 1 and parents: the prompt comes in two pieces. A call without parents begins
     * a new text on the window encoded last. most_positions must be set. */
    sn_decoder decoder;
    void *context; /* of encode */
    /* Makes `frames` feature frames from `first` (fewer than a window at the end of the audio: the rest is silence)
     * what the decoder attends to. */
    sn_status (*encode)(void *context, int64_t first, int64_t frames);
    int64_t window, stride;   /* frames of a window (3000), frames of one timestamp step (2) */
    double seconds_of_step;   /* 0.02 */
} sn_whisper_model;

typedef struct sn_segment {
    double start, end; /* seconds */
    int32_t *tokens;   /* owned; with timestamp tokens where they were asked for, without the end token */
    int64_t n;
    double log_probability, no_speech, compression, temperature; /* of its window: mean of a token's, [0, 1], ratio */
} sn_segment;
typedef struct sn_transcript {
    sn_segment *segments;
    int64_t n;
    int32_t language;             /* token; -1: the model knows one language */
    double language_probability;  /* among the languages; 1 where it was given */
} sn_transcript;
/* Called with each segment as it is found, and with NULL at every token before; a non-zero answer cancels. */
typedef int sn_segment_fn(void *context, const sn_segment *segment);
/* Transcribes `frames` feature frames. prompt [n_prompt]: tokens of a text that might have come before (NULL: none). */
sn_status sn_transcribe(const sn_whisper_model *model, const sn_whisper *w, int64_t frames, const int32_t *prompt, int64_t n_prompt,
                        sn_segment_fn *found, void *context, sn_transcript *out);
void sn_transcript_free(sn_transcript *t);

/* ---- its parts, for tests ---- */
/* The rules of timestamps on the scores of one row; begin: where the prompt ends. */
void sn_whisper_timestamps(const sn_whisper *w, int64_t vocabulary, int64_t begin, int64_t length, const int32_t *tokens, float *scores);
/* Bytes of the tokens (as many for each as the vocabulary needs) / bytes of their zlib stream; 0 for no tokens. */
sn_status sn_whisper_compression(const int32_t *tokens, int64_t n, int64_t vocabulary, double *out);
#endif
