/* media.h: items as a page takes them.
 *
 *   texts -> sn_text_list (ids of each, sorted by length) -> sn_text_batch: ids [N,T], types [N,T], lengths [N]
 *   pictures -> the processor of the model's directory -> pixels [N,H,W,3]
 *   sounds -> mono at the processor's rate -> log-mel [frames, mels], cut into chunks */
#ifndef SN_PIPELINE_MEDIA_H
#define SN_PIPELINE_MEDIA_H
#include "api/api.h"
#include "pipelines/pipeline.h"
#include "pipelines/work.h"

typedef struct sn_text_ids {
    size_t item, at; /* which item; where in the list's arrays */
    int64_t count;
} sn_text_ids;
/* All-zero is empty. */
typedef struct sn_text_list {
    sn_text_ids *list;
    size_t n, room;
    int32_t *ids, *types;
    size_t used, ids_room, types_room;
    sn_encoding encoding;
} sn_text_list;
/* Tokens that a text may have in this model; 0: no bound. */
int64_t sn_text_limit(const sn_pipeline *p);
/* The page that reads texts: the model's, or that of its part. */
const sn_page *sn_text_page(const sn_pipeline *p);
/* Cuts the item's text into tokens, with `prompt` (or NULL) before it, truncated to `most`. */
sn_status sn_text_list_add(sn_text_list *l, const sn_pipeline *p, const sn_item *item, size_t index, const char *prompt, int64_t most);
void sn_text_list_sort(sn_text_list *l); /* the longest first; equal ones as they came */
void sn_text_list_free(sn_text_list *l);

typedef struct sn_text_batch {
    int64_t steps;
    int32_t *ids, *types, *lengths; /* heap */
} sn_text_batch;
/* Texts [first, first + n) of the list, padded to the longest of them, or as far as the page wants them. */
sn_status sn_text_batch_make(const sn_text_list *l, const sn_pipeline *p, int64_t first, int64_t n, sn_text_batch *out);
void sn_text_batch_free(sn_text_batch *b);
/* What a work is fed: n texts or pictures, or one chunk of sound. */
sn_feed sn_feed_texts(const sn_text_batch *b, int64_t n);

/* The item's picture, decoded or copied; the caller frees it. */
sn_status sn_item_image(const sn_item *item, sn_image *out);
typedef struct sn_pictures {
    int64_t height, width;
    size_t one;    /* values of a picture */
    float *values; /* [n][height][width][3], heap */
} sn_pictures;
/* The pictures of items [first, first + n), resized, cropped and normalised as the model's processor does. */
sn_status sn_pictures_make(const sn_call *call, size_t first, size_t n, sn_pictures *out);
void sn_pictures_free(sn_pictures *p);
sn_feed sn_feed_pictures(const sn_pictures *p, int64_t n);
/* All items' pictures, in batches of one size in the order of the items: of `most` where the call asks for a size, else the
 * first alone and then as many together as sn_work_rows allows. run: of `items` [n]; failed: of an item whose picture
 * cannot be had, after those before it have run, with its error recorded. What they fail with ends it. */
typedef struct sn_picture_batches {
    int64_t most; /* pictures of a batch */
    sn_status (*run)(void *context, const sn_pictures *pictures, const size_t *items, int64_t n);
    sn_status (*failed)(void *context, size_t item, sn_status status);
    void *context;
} sn_picture_batches;
sn_status sn_pictures_all(const sn_call *call, const sn_picture_batches *to);

/* ---- sounds: sounds.c ---- */
/* The item's sound, decoded or copied, mono at `rate`; sn_audio_free. */
sn_status sn_item_sound(const sn_item *item, int rate, sn_audio *out);
/* One sound as the model's processor makes it. What fits a chunk is lengthened with silence to one, as Transformers does;
 * longer sound is taken as a whole, so that its loudest place sets the floor of all of it. */
typedef struct sn_sound {
    double seconds;
    int64_t frames, content; /* of mel; those of them that sound (or their beginnings) reach */
    int64_t chunks;          /* of a speaker encoder */
    float *mel;              /* [frames][mels], heap */
} sn_sound;
sn_status sn_sound_make(const sn_pipeline *p, const sn_item *item, sn_sound *out);
/* The chunk that begins at frame `first`, into out [processor's frames][mels]; 0 behind the end. */
void sn_sound_chunk(const sn_pipeline *p, const sn_sound *s, int64_t first, float *out);
sn_feed sn_feed_chunk(const sn_pipeline *p, const float *chunk);
void sn_sound_free(sn_sound *s);

/* Numbers in a vector (embed.c). */
sn_status sn_embed_width(const sn_pipeline *p, size_t *out);
#endif
