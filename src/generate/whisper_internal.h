/* whisper_internal.h: one call of sn_transcribe. */
#ifndef SN_GENERATE_WHISPER_INTERNAL_H
#define SN_GENERATE_WHISPER_INTERNAL_H
#include "generate/whisper.h"

/* One window: where it lies and what the model made of it. */
typedef struct sn_window {
    int64_t first, frames;
    int32_t *tokens; /* owned; without the end token */
    int64_t n;
    double log_probability, no_speech, compression, temperature;
    bool skip;       /* silence */
} sn_window;

/* Cuts a window's tokens into segments, which `add` takes (tokens still belong to the window); *advance: how many
 * frames further the next window begins, above 0. */
sn_status sn_window_cut(const sn_whisper_model *model, const sn_whisper *w, const sn_window *window,
                        sn_status (*add)(void *context, double start, double end, const int32_t *tokens, int64_t n), void *context,
                        int64_t *advance);

/* The model as sn_generate sees it in one window: the prompt is cut after the start token, where the chance of "no
 * speech" is read. */
typedef struct sn_whisper_listener {
    const sn_whisper_model *model;
    const sn_whisper *w;
    bool timestamps;
    int64_t begin, start_at; /* length of the prompt, index of the start token in it */
    double no_speech;
    int32_t *parent; /* [1] */
    sn_segment_fn *found;
    void *context;
} sn_whisper_listener;
sn_decoder sn_listener_decoder(sn_whisper_listener *listener);
/* Decodes the encoded window, again at higher temperatures until it is good enough. prompt [n]; logits: see sn_generate. */
sn_status sn_window_decode(sn_whisper_listener *listener, const int32_t *prompt, int64_t n, sn_window *window);
#endif
