/* work.h: what one thread needs to run a published model: compiled programs, the memory they share, a decoding session.
 *
 *   feed (sizes, arrays) -> program for these sizes, least recently used out first -> one named output, f32
 *
 * A work belongs to one call at a time; the pipeline keeps those that are idle. */
#ifndef SN_WORK_H
#define SN_WORK_H
#include "models/decode.h"
#include "pipelines/pipeline.h"

typedef struct sn_work sn_work;
sn_status sn_work_take(const sn_pipeline *p, sn_work **out);
void sn_work_give(const sn_pipeline *p, sn_work *work);
void sn_work_free_all(sn_work *list);

/* Inputs of a run. Which of them the page accepts is up to the caller. */
enum { SN_FEED_ENCODED = 1 << 16 };      /* beside sn_page_accepts: what an encoder has made of the picture, in its place */
typedef struct sn_feed {
    unsigned kinds;                      /* sn_page_accepts bits that are given, and the one above */
    sn_page_sizes sizes;
    const int32_t *ids, *types, *lengths; /* [N,T], [N,T], [N] (SN_IN_JOINT: the mask) */
    const float *pixels, *regions, *sound; /* [N,H,W,C], [N,R,V], [N,F,M] */
    const int32_t *target;                /* [N,target_steps] */
    const float *encoded;
    sn_shape encoded_shape;               /* one for each size of pictures: sizes has theirs */
} sn_feed;

typedef struct sn_result {
    const char *name;  /* which of the names it was */
    sn_shape shape;
    const float *data; /* in the work's memory, until its next run */
} sn_result;
/* The first of the names (NULL-terminated; literals) that the model gives for this feed. */
sn_status sn_work_run(sn_work *work, const sn_feed *feed, const char *const *names, sn_result *out);
/* How many rows may go together where nobody asked for a number, so that a program's memory is no more than 24 MB and, where
 * texts are written, 64 MB with that of the writing: judged by the last run, which was of `rows`; 1 to `most`. */
int64_t sn_work_rows(const sn_work *work, int64_t rows, int64_t most);
/* Its shape alone: nothing is compiled or run, arrays may be NULL. */
sn_status sn_work_shape(const sn_pipeline *p, const sn_feed *feed, const char *const *names, sn_result *out);

/* The encoder's output for this feed's pictures or sound: [N,S,E]. */
sn_status sn_work_encode(sn_work *work, const sn_feed *feed, sn_result *out);
/* The same as what a decoding session begins with (sn_decoding_start); the encoder's memory rests while texts are written. */
sn_status sn_work_begin(sn_work *work, const sn_feed *feed, sn_decoding *decoding);
/* A decoding session for at least so many rows and positions; it belongs to the work and is kept. */
sn_status sn_work_decoding(sn_work *work, int64_t rows, int64_t positions, sn_decoding **out);
#endif
