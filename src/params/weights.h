/* weights.h: a model's tensors, whatever files they lie in.
 *
 *   path: a directory (the first of the table's files that is in it), an index (name -> shard), or one file
 *   -> every shard mapped and read by its content's format -> one table of views in name order
 *
 * Formats and file names are tables (weights_open.c). Each tensor of an index must lie in the shard the index names,
 * and nowhere else. A Git LFS pointer in a file's place is recognised and said. Names that the first checkpoints of a
 * family have ("LayerNorm.gamma") become those of today ("LayerNorm.weight"), as Transformers reads them. */
#ifndef SN_WEIGHTS_H
#define SN_WEIGHTS_H
#include "base/json.h"
#include "params/view.h"

typedef struct sn_weights sn_weights;
sn_status sn_weights_open(const char *path, sn_weights **out);
/* The same for a store that will borrow them: its first 64 files stay open, so that rows can be read from them. */
sn_status sn_weights_open_to_lend(const char *path, sn_weights **out);
/* One file's content in memory, which must stay as long as the object; `name` is for messages. */
sn_status sn_weights_parse(const char *name, const void *bytes, size_t size, sn_weights **out);
void sn_weights_free(sn_weights *w);
const char *sn_weights_path(const sn_weights *w);   /* the file that was opened: weights or index */
const char *sn_weights_format(const sn_weights *w); /* "safetensors", "torch" or "npy" (of the first shard) */
int sn_weights_count(const sn_weights *w);
const sn_tensor_view *sn_weights_at(const sn_weights *w, int i);               /* in name order */
const sn_tensor_view *sn_weights_find(const sn_weights *w, const char *name);  /* NULL */
const char *sn_weights_metadata(const sn_weights *w, const char *key);         /* of safetensors; NULL */
/* `tensor` under `name` takes the place of that of this name, or comes to the others; its numbers stay where they are. */
sn_status sn_weights_lay(sn_weights *w, const char *name, const sn_tensor_view *tensor);
bool sn_weights_is_laid(const sn_weights *w, const char *name);
/* These bytes of a mapped file go from memory (sn_bytes_forget). Any thread may read them meanwhile. */
void sn_weights_forget(const sn_weights *w, const void *bytes, size_t size);
/* Where these bytes of a mapped file lie in it, for who reads a little of them at a time; false where that file did not stay
 * open. The answer holds as long as the object. */
bool sn_weights_file_part(const sn_weights *w, const void *bytes, sn_file_part *out);
/* Is this the name of a file of weights (shards and indices too)? */
bool sn_weights_is_name(const char *name);

/* Loads every parameter of the store by name, or fails naming the first missing, unused or mis-shaped tensor
 * with expected and found shape; `prefix` is put before the store's names. */
struct sn_params;
sn_status sn_params_load(struct sn_params *p, const sn_weights *weights, const char *prefix);
/* The same, where tensors of which `ignored` says so may be unused. */
typedef bool sn_ignored_fn(void *context, const char *name);
sn_status sn_params_load_but(struct sn_params *p, const sn_weights *weights, const char *prefix, sn_ignored_fn *ignored,
                             void *context);
/* The checks alone, also before the store is sealed. */
sn_status sn_params_check(const struct sn_params *p, const sn_weights *weights, const char *prefix, sn_ignored_fn *ignored, void *context);
/* For a store sealed for inference: the same checks, then every parameter borrows its numbers. On success the store
 * owns `weights`. */
sn_status sn_params_borrow_all(struct sn_params *p, sn_weights *weights, const char *prefix, sn_ignored_fn *ignored,
                               void *context);
sn_status sn_params_save(struct sn_params *p, const char *path, const json_t *metadata);
/* Parameter i alone, from the tensor `name`: missing or mis-shaped is an error by name. */
sn_status sn_params_load_one(struct sn_params *p, int i, const sn_weights *weights, const char *name);
/* The parameters of which `wanted` says so: each must be in the file, and nothing else may be. */
typedef bool sn_wanted_fn(void *context, int i);
sn_status sn_params_load_some(struct sn_params *p, const sn_weights *weights, sn_wanted_fn *wanted, void *context);
sn_status sn_params_save_some(struct sn_params *p, const char *path, const json_t *metadata, sn_wanted_fn *wanted, void *context);
#endif
