/* pipeline.h: a published model with everything around it, and the tasks it can do. One row of pipelines.def and one
 * file each.
 *
 *   items (text, file, rgb, pcm) -> tokenizer, processors -> ids [N,T], pixels [N,H,W,C], sound [N,F,M]
 *        -> the page's graph for these sizes (work.h) -> named outputs -> pooling, generation -> JSON or vectors
 *
 * The pipeline is immutable after opening; what a call needs to write into is a work, borrowed from the pipeline. */
#ifndef SN_PIPELINE_H
#define SN_PIPELINE_H
#include <pthread.h>

#include "features/audio_processor.h"
#include "features/image_processor.h"
#include "models/pretrained.h"
#include "pipelines/pooling.h"
#include "text/tokenizer.h"

enum sn_pipeline_needs { SN_NEED_MODEL = 1, SN_NEED_TOKENIZER = 2, SN_NEED_POOLING = 4, SN_NEED_PICTURES = 8, SN_NEED_SOUND = 16, SN_NEED_ALL = 31 };

struct sn_work;
struct sn_pipeline {
    char *path;
    unsigned has;            /* sn_pipeline_needs that were opened */
    sn_pretrained *model;
    sn_tokenizer *tokenizer; /* NULL: the directory has none */
    sn_pooling pooling;
    bool has_pictures;
    sn_image_processor pictures; /* if has_pictures */
    sn_audio_processor sound;
    sn_mel *mel;             /* of sound; NULL: the model takes none */
    json_t *generation;      /* generation_config.json; NULL: none */
    const char *precision;
    pthread_mutex_t lock;    /* of idle */
    struct sn_work *idle;
};

/* One call of one task. */
typedef struct sn_call {
    const sn_pipeline *p;
    struct sn_work *work;
    const sn_item *items;
    size_t n;
    const json_t *options;
    const sn_listener *listener;
    float *vectors;          /* of sn_pipeline_embed */
    size_t width;
    sn_status first;         /* of the first item that failed */
    char why[1024], file[1024];
} sn_call;

typedef struct sn_pipeline_task {
    const char *name;
    unsigned needs;
    const char *const *keys; /* of its options; NULL-terminated */
    bool (*fits)(const sn_pipeline *p);
    sn_status (*run)(sn_call *call);
} sn_pipeline_task;
extern const sn_pipeline_task *const sn_pipeline_tasks[]; /* NULL-terminated */
sn_status sn_pipeline_task_find(const char *name, const sn_pipeline_task **out);

/* Can the model do it? Fails where it builds a graph to know, and memory ends. */
sn_status sn_pipeline_fits(const sn_pipeline *p, const sn_pipeline_task *task, bool *fits);

/* Runs the task's own part with a borrowed work; the first failed item's error is the call's, unless it failed itself. */
sn_status sn_call_run(sn_call *call, const sn_pipeline_task *task);
/* The object as JSON text with item i's number before its members; takes it (NULL: no memory). sn_string_free. */
sn_status sn_item_json(size_t i, json_t *object, char **text);
/* Tells item i's result; takes the object. */
sn_status sn_call_give(sn_call *call, size_t i, json_t *result);
/* Item i failed with the error recorded last. SN_OK: the others may go on; else the error ends the call. */
sn_status sn_call_item_failed(sn_call *call, size_t i, sn_status status);
/* one(context, i) for every item of the call in turn; those that fail are told, and the others go on. */
sn_status sn_call_each(sn_call *call, sn_status (*one)(void *context, size_t i), void *context);
/* Was a batch size asked for? If not, memory decides how many go together. */
bool sn_call_batch_asked(const sn_call *call);

/* Does the page take this kind (sn_page_accepts)? */
bool sn_pipeline_accepts(const sn_pipeline *p, unsigned kinds);
/* The item's text, checked; fails where it has none or it is not UTF-8. */
sn_status sn_item_text(const sn_item *item, const char **text, size_t *bytes);
#endif
