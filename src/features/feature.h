/* feature.h: one column as the model sees it. Kinds are a table (features.def), one file each.
 *
 *   fit      once, over the training rows: sizes, statistics, vocabulary, class names (goes into config.json)
 *   encode   one cell -> sn_sample (decoded, resized, cut into ids); pure, thread-safe, cached by the caller
 *   collate  samples of the present rows -> the arrays that enter the encoder
 *
 * Everything needed to repeat encode and collate exactly is in `options` after fit, so save is json_incref. */
#ifndef SN_FEATURE_H
#define SN_FEATURE_H
#include "base/json.h"
#include "data/table.h"
#include "media/audio.h"
#include "media/image.h"
#include "tensor/tensor.h"
#include "text/words.h"

/* What the caller has of a cell: text always; a path or decoded media for media kinds. */
typedef struct sn_cell {
    const char *text;       /* the cell itself (UTF-8), or NULL when media is given from memory */
    size_t bytes;
    const char *path;       /* media kinds: the file */
    const sn_image *image;  /* or the picture (RGB) */
    const sn_audio *audio;  /* or the sound */
} sn_cell;

/* One encoded cell. `data` is heap. */
typedef struct sn_sample {
    void *data;
    size_t bytes;
    int64_t length;  /* sequence length where there is one */
    double number;   /* number: the standardised value; category and binary: the class, -1 when not known; a text that is
                      * learned: how many of its tokens are */
} sn_sample;
void sn_sample_free(sn_sample *sample);

typedef struct sn_array {
    sn_type type;
    void *data; /* heap; NULL before collate */
} sn_array;
void sn_array_free(sn_array *array);
sn_status sn_array_make(sn_array *array, sn_dtype dtype, sn_shape shape); /* zeroed */

enum { SN_FEATURE_ARRAYS = 5 };
/* A picture in a table may have so many pixels (Pillow warns of a bomb from here on); larger ones are broken cells. */
enum { SN_CELL_MOST_PIXELS = 89478485 };

typedef struct sn_feature {
    const struct sn_feature_kind *row;
    char *name;
    json_t *options;  /* complete after fit */
    void *state;      /* of the kind, made by fit or load from options */
    bool target;
    char *directory;  /* where the files of a published model's processor lie; NULL: the kind needs none */
} sn_feature;

/* Training rows for fit: cells by number. */
typedef struct sn_fit_source {
    const sn_table *table;
    int column;
    const int64_t *rows;
    int64_t n;
} sn_fit_source;

typedef struct sn_feature_kind {
    sn_kind kind;
    bool media;               /* the cell names a file */
    const char *const *keys;  /* options a user may give, NULL-terminated */
    /* Fills options; must be a pure function of the source and the given options. NULL: there is nothing to learn. */
    sn_status (*fit)(sn_feature *f, const sn_fit_source *source);
    /* options -> state. */
    sn_status (*open)(sn_feature *f);
    void (*close)(sn_feature *f);
    sn_status (*encode)(const sn_feature *f, const sn_cell *cell, sn_sample *out);
    /* The types of those arrays for n samples of `steps` time steps (sequences only); gives how many. */
    int (*types)(const sn_feature *f, int64_t n, int64_t steps, sn_type types[SN_FEATURE_ARRAYS]);
    /* arrays[0..n) of n samples; sequences also lengths at scales 1, 1/2, 1/4, 1/8 (at least 1) as arrays[1..4]. */
    sn_status (*collate)(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array arrays[SN_FEATURE_ARRAYS]);
    bool sequence;            /* array 0 has time as its second axis */
    /* Of a text that is written: collate where each goes on from a prompt; NULL in others. */
    sn_status (*collate_after)(const sn_feature *f, const sn_sample *const *prompts, const sn_sample *const *samples, int64_t n,
                               sn_array arrays[SN_FEATURE_ARRAYS]);
} sn_feature_kind;
/* By what prepares a column and for what (features.def). */
enum sn_role { SN_ROLE_OWN, SN_ROLE_PUBLISHED, SN_ROLE_PROMPT, SN_ROLE_WRITTEN, SN_ROLES };
extern const sn_feature_kind *const sn_feature_kinds[SN_ROLES][SN_KIND_COUNT]; /* NULL: not in this build */

/* `options` may be NULL; unknown keys fail. With "processor" (a model's directory inside the directory of the whole) the
 * column is prepared as that model's own files say; sn_feature_set_directory tells, before fit or open, where they are. */
sn_status sn_feature_create(const char *name, sn_kind kind, const json_t *options, sn_feature **out);
/* Is it a text that a published model learns to write? One that such a text goes on from? */
bool sn_feature_written(const sn_feature *f);
bool sn_feature_prompts(const sn_feature *f);
sn_status sn_feature_set_directory(sn_feature *f, const char *directory);
sn_status sn_feature_fit(sn_feature *f, const sn_fit_source *source);
sn_status sn_feature_open(sn_feature *f); /* after options came from a file */
void sn_feature_free(sn_feature *f);
/* Encodes the cell of a table; errors carry file, row (1 + row) and column. An empty cell must not come here. */
sn_status sn_feature_encode_cell(const sn_feature *f, const sn_table *table, int64_t row, int column, sn_sample *out);

/* Sequence lengths are rounded up to this ladder (even up to 16, coarser beyond), chosen from the batch alone. */
int64_t sn_ladder(int64_t length);

/* Class names of a category or binary feature. */
int sn_feature_classes(const sn_feature *f);
const char *sn_feature_class(const sn_feature *f, int i);
/* Mean and standard deviation of a number feature. */
void sn_feature_scale(const sn_feature *f, double *mean, double *std);
/* Vocabulary size of a text feature; 0 where a published model's tokenizer reads it. */
int64_t sn_feature_vocabulary(const sn_feature *f);

/* The first `seconds` of a cell's sound, mono, at `rate` Hz. */
sn_status sn_cell_sound(const sn_cell *cell, double seconds, int rate, sn_audio *out);
/* f.options[key] = value, taking the reference; used by kinds. */
sn_status sn_feature_set(sn_feature *f, const char *key, json_t *value);
/* Picks up to `most` of n positions, spread evenly (for statistics over a sample). */
int64_t sn_pick(int64_t i, int64_t n, int64_t most);
#endif
