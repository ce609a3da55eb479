/* text_out.h: tasks that write text: the call's generation settings, texts out of prompts or an encoder's
 * output, streamed while they come. */
#ifndef SN_PIPELINE_TEXT_OUT_H
#define SN_PIPELINE_TEXT_OUT_H
#include "generate/generate.h"
#include "pipelines/media.h"
#include "pipelines/work.h"

/* Options of a call that belong to generation, for a task's keys. */
#define SN_GENERATION_KEYS                                                                                               \
    "max_length", "max_new_tokens", "min_length", "min_new_tokens", "num_beams", "num_return_sequences",                 \
        "no_repeat_ngram_size", "top_k", "length_penalty", "repetition_penalty", "temperature", "top_p", "min_p",        \
        "early_stopping", "do_sample", "renormalize_logits", "seed"

/* Of the model's files, then of the call's options but those in `own` (NULL-terminated or NULL). */
sn_status sn_call_generation(const sn_call *call, const char *const *own, sn_generation *out);
/* The token that a decoder with an encoder begins with. */
sn_status sn_call_start(const sn_call *call, const sn_generation *g, int32_t *token);

typedef struct sn_prompts {
    const int32_t *ids; /* [rows][n] */
    int64_t n, shown;   /* shown: the last ones of the n that are part of the text */
} sn_prompts;
/* Continues the prompts of items i, i + 1, … on a decoding session that was started for that many inputs. Streams the texts
 * to the listener and gives each item's {"text","tokens","score"} (with "others" for further sequences) into out [rows]. */
sn_status sn_call_write(sn_call *call, size_t i, size_t rows, sn_decoding *d, const sn_generation *g, const sn_prompts *prompts, json_t **out);
/* A decoding session with room for as many prompts of n tokens. */
sn_status sn_call_decoding(sn_call *call, const sn_generation *g, size_t rows, int64_t n, sn_decoding **out);
#endif
