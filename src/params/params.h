/* params.h: the one store of a model's parameters. No program owns it.
 *
 * Life: declare (while graphs are built the first time) -> seal (memory is laid out) -> initialise or load.
 * Masters are f32, row-major, one flat range in order of declaration; gradients and the optimiser's moments are
 * flat ranges of the same layout, made when training starts. Programs read version-stamped copies:
 * a bf16 shadow (written by the optimiser's own pass) and packed layouts keyed by (parameter, key).
 *
 * For inference alone a store may borrow (sn_params_seal_for_inference): no masters; each entry's numbers stay where
 * they are, in a mapped file of F32, BF16 or F16, and programs read copies made straight from there, once each; rows of a
 * large table that nobody copies are read from the file as they are asked for.
 *
 * Threads: masters change on one thread, while nothing else uses the store. Copies are made by whoever runs a program
 * first, so several sessions meet here: sn_params_packed and sn_params_shadow lock the store, and a runner holds the
 * lock while it brings its copies up to date. */
#ifndef SN_PARAMS_H
#define SN_PARAMS_H
#include "base/file.h"
#include "params/view.h"

typedef enum sn_init_kind { SN_INIT_ZEROS, SN_INIT_ONES, SN_INIT_UNIFORM, SN_INIT_NORMAL } sn_init_kind;
enum sn_param_flags {
    SN_PARAM_NO_DECAY = 1, /* biases, norms, embeddings of absence: no weight decay */
    SN_PARAM_STATE = 2,    /* batch-norm statistics: saved, never given a gradient */
    SN_PARAM_FIXED = 4,    /* saved, never changed (sinusoids) */
    SN_PARAM_TURNED = 8    /* the matrix of a linear layer that lies [in, out], not [out, in] */
};
typedef struct sn_init {
    sn_init_kind kind;
    float scale;     /* UNIFORM: [-scale, scale); NORMAL: standard deviation */
    unsigned flags;
} sn_init;

typedef struct sn_params sn_params;
sn_status sn_params_create(sn_params **out);
void sn_params_free(sn_params *p);

/* Index of a parameter: declares it while open, finds it when sealed; the shape must agree (tied: one entry). */
sn_status sn_params_declare(sn_params *p, const char *name, sn_shape shape, sn_init init, int *index);
sn_status sn_params_seal(sn_params *p);
bool sn_params_sealed(const sn_params *p);
/* Fills masters from their init; element e is a pure function of (seed, name, e). Padding stays zero. */
void sn_params_initialise(sn_params *p, uint64_t seed);

int sn_params_count(const sn_params *p);
int sn_params_find(const sn_params *p, const char *name); /* -1 */
const char *sn_params_name(const sn_params *p, int i);
sn_shape sn_params_shape(const sn_params *p, int i);
sn_init sn_params_init_of(const sn_params *p, int i);
size_t sn_params_offset(const sn_params *p, int i); /* in elements, into the flat ranges; a multiple of 16 */
size_t sn_params_total(const sn_params *p);         /* elements of a flat range, padding included */
int sn_params_at(const sn_params *p, size_t offset); /* the parameter that holds element `offset`; -1 if none do */
float *sn_params_flat(sn_params *p);
float *sn_params_data(sn_params *p, int i);
bool sn_params_trainable(const sn_params *p, int i);
void sn_params_set_trainable(sn_params *p, int i, bool trainable);
float sn_params_rate(const sn_params *p, int i); /* learning-rate factor, 1 unless set */
void sn_params_set_rate(sn_params *p, int i, float factor);

/* Flat range for gradients, same layout; made zeroed at the first call. */
sn_status sn_params_gradients(sn_params *p, float **flat);

/* The bf16 shadow, made at the first call (NULL before: sn_params_shadow_if_any). Who changes masters either
 * writes the shadow too or calls sn_params_changed(p, false), which marks it stale; _fresh refreshes it. */
sn_status sn_params_shadow(sn_params *p, uint16_t **flat);
uint16_t *sn_params_shadow_if_any(sn_params *p);
void sn_params_changed(sn_params *p, bool shadow_written);
sn_status sn_params_fresh(sn_params *p, int threads); /* under the lock */
uint64_t sn_params_version(const sn_params *p);

/* A packed copy: finds or makes the slot; the program packs into it when *version differs from the store's. */
typedef struct sn_packed {
    int param;
    uint64_t key, version; /* version 0: never packed */
    size_t bytes;
    void *data;
} sn_packed;
/* ---- borrowing ---- */
/* Instead of sn_params_seal: no flat range is made; there are no masters, gradients and shadow. */
sn_status sn_params_seal_for_inference(sn_params *p);
bool sn_params_borrows(const sn_params *p);
/* Entry i's numbers are those of the view (a float dtype, the entry's shape), whose bytes must stay as long as the store. */
sn_status sn_params_borrow(sn_params *p, int i, const sn_tensor_view *view);
/* What the owner of borrowed bytes does for the store. */
typedef struct sn_lender {
    void (*release)(void *owner); /* with the store */
    void (*forget)(void *owner, const void *bytes, size_t size); /* these were copied; they must come back where they are read again */
    bool (*file_part)(void *owner, const void *bytes, sn_file_part *out); /* where they lie in a file, open until release; false: in none */
} sn_lender;
void sn_params_keep(sn_params *p, void *owner, const sn_lender *lender);
sn_dtype sn_params_stored(const sn_params *p, int i); /* the dtype of what is borrowed; F32 else */
/* Entry i row-major in F32, BF16 or F16: the borrowed bytes where they are just that and not small, else a copy that the store
 * keeps. */
sn_status sn_params_plain(sn_params *p, int i, sn_dtype dtype, const void **out);
/* Entry i, a matrix, for who wants a few of its rows at a time. Rows of a large one are read from the open file, if there is
 * one: where it is mapped, 64 KB to 2 MB would stay in memory around each. Else as sn_params_plain. The answer is good as long
 * as the store; any thread that does not hold its lock. */
typedef struct sn_row_source {
    const void *data; /* NULL: in the file */
    sn_file_part part;
} sn_row_source;
sn_status sn_params_rows(sn_params *p, int i, sn_dtype dtype, sn_row_source *out);
/* out[k] = element (row, from + k) of `matrix`, in its dtype; `rows` is an sn_row_source. Any thread. SN_ERR_IO: the file is
 * shorter now, or cannot be read. */
sn_status sn_row_read(sn_type matrix, const void *rows, int64_t row, int64_t from, int64_t n, void *out);
/* What is borrowed, changed before anything was copied. Row k of the first axis counts times scale[k]; entry i's numbers are
 * `numbers` instead. Both come from sn_alloc and are the store's afterwards. */
void sn_params_scale_rows(sn_params *p, int i, double *scale);
void sn_params_replace(sn_params *p, int i, float *numbers);
/* Elements of entry i. */
typedef struct sn_stretch {
    size_t first, count;
} sn_stretch;
sn_stretch sn_params_all(const sn_params *p, int i);
/* As sn_params_plain, a stretch of it and for a moment: the borrowed bytes, or a copy in *room of *bytes, which grows as
 * needed (sn_pages_reserve) and is the caller's to free. */
sn_status sn_params_source(sn_params *p, int i, sn_stretch part, sn_dtype dtype, int threads, const void **out, void **room, size_t *bytes);
/* This stretch of entry i has been copied: its owner may forget it. */
void sn_params_give_back(const sn_params *p, int i, sn_stretch part);
/* Bytes the store itself holds: flat ranges, shadow, copies. What is borrowed does not count. */
size_t sn_params_bytes(sn_params *p);

void sn_params_lock(sn_params *p);
void sn_params_unlock(sn_params *p);
sn_status sn_params_packed(sn_params *p, int param, uint64_t key, size_t bytes, sn_packed **out);
#endif
