/* safetensors.h: the file format of weights: 8-byte little-endian header size, JSON header, raw tensors.
 * Reading maps the file and checks everything before a byte is used: header size against file size, JSON,
 * dtype names, shapes against byte ranges, overlaps, gaps, alignment to the data's end. Errors name file and
 * tensor, expected and found. */
#ifndef SN_SAFETENSORS_H
#define SN_SAFETENSORS_H
#include "base/json.h"
#include "tensor/tensor.h"

typedef struct sn_tensor_view {
    const char *name;
    sn_type type;
    const void *data; /* in the mapping; may be unaligned */
    size_t bytes;
} sn_tensor_view;

typedef struct sn_safetensors sn_safetensors;
/* `path`: a .safetensors file, a .safetensors.index.json (sharded), or a folder that holds model.safetensors
 * or model.safetensors.index.json. */
sn_status sn_safetensors_open(const char *path, sn_safetensors **out);
void sn_safetensors_free(sn_safetensors *file);
int sn_safetensors_count(const sn_safetensors *file);
const sn_tensor_view *sn_safetensors_at(const sn_safetensors *file, int i);       /* in name order */
const sn_tensor_view *sn_safetensors_find(const sn_safetensors *file, const char *name); /* NULL */
const char *sn_safetensors_metadata(const sn_safetensors *file, const char *key);  /* NULL */
/* Parses a whole file image from memory (for fuzzing); the bytes must outlive the result. */
sn_status sn_safetensors_parse(const char *name, const void *bytes, size_t size, sn_safetensors **out);
/* Copies a tensor to f32, from F32, F16 or BF16; another dtype is an error. */
sn_status sn_tensor_to_f32(const sn_tensor_view *view, float *out);

/* Writes name-sorted tensors (temporary file, sync, rename). `metadata`: object of strings or NULL. */
sn_status sn_safetensors_write(const char *path, const sn_tensor_view *tensors, int n, const json_t *metadata);

/* Loads every parameter of the store by name, or fails naming the first missing, unused or mis-shaped tensor
 * with expected and found shape; `prefix` is put before the store's names. */
struct sn_params;
sn_status sn_params_load(struct sn_params *p, const sn_safetensors *file, const char *prefix);
sn_status sn_params_save(struct sn_params *p, const char *path, const json_t *metadata);
#endif
