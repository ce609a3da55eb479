/* safetensors.h: the file format of weights: 8-byte little-endian header size, JSON header, raw tensors.
 * Reading maps the file and checks everything before a byte is used: header size against file size, JSON,
 * dtype names, shapes against byte ranges, overlaps, gaps, alignment to the data's end. Errors name file and
 * tensor, expected and found. */
#ifndef SN_SAFETENSORS_H
#define SN_SAFETENSORS_H
#include "base/json.h"
#include "params/view.h"

typedef struct sn_safetensors sn_safetensors;
/* One .safetensors file. Models, which may lie in several files or another format, are opened with weights.h. */
sn_status sn_safetensors_open(const char *path, sn_safetensors **out);
void sn_safetensors_free(sn_safetensors *file);
int sn_safetensors_count(const sn_safetensors *file);
const sn_tensor_view *sn_safetensors_at(const sn_safetensors *file, int i);       /* in name order */
const sn_tensor_view *sn_safetensors_find(const sn_safetensors *file, const char *name); /* NULL */
const sn_views *sn_safetensors_views(const sn_safetensors *file);
const char *sn_safetensors_metadata(const sn_safetensors *file, const char *key);  /* NULL */
/* Parses a whole file image from memory (for fuzzing); the bytes must outlive the result. */
sn_status sn_safetensors_parse(const char *name, const void *bytes, size_t size, sn_safetensors **out);

/* Writes name-sorted tensors (temporary file, sync, rename). `metadata`: object of strings or NULL. */
sn_status sn_safetensors_write(const char *path, const sn_tensor_view *tensors, int n, const json_t *metadata);
/* The same, with tensor i as dtype as[i]: a float dtype may become F32, BF16 or F16, converted piece by piece on the
 * way; any other must stay as it is. *overflows (may be NULL): finite numbers that F16 has no room for. */
sn_status sn_safetensors_write_as(const char *path, const sn_tensor_view *tensors, const sn_dtype *as, int n,
                                  const json_t *metadata, int64_t *overflows);
#endif
