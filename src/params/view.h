/* view.h: one named tensor of a weights file, a table of them in name order, and its numbers as floats.
 * Views point into the file's mapping (or into what its reader had to copy); they own nothing. */
#ifndef SN_VIEW_H
#define SN_VIEW_H
#include "tensor/tensor.h"

typedef struct sn_tensor_view {
    const char *name;
    sn_type type;
    const void *data; /* in the mapping; may be unaligned */
    size_t bytes;
} sn_tensor_view;

/* All-zero is an empty table. */
typedef struct sn_views {
    sn_tensor_view *items;
    size_t count, capacity;
} sn_views;
sn_status sn_views_add(sn_views *views, sn_tensor_view view);
/* Sorts by name; a name that is there twice is an error that begins with `file`. */
sn_status sn_views_sort(sn_views *views, const char *file);
const sn_tensor_view *sn_views_find(const sn_views *views, const char *name); /* of a sorted table; NULL */
void sn_views_free(sn_views *views);

bool sn_dtype_is_float(sn_dtype dtype); /* F32, F16, BF16, F64: what sn_tensor_to_f32 takes */
/* Copies a tensor to f32, from F32, F16, BF16 or F64 (rounded); another dtype is an error. */
sn_status sn_tensor_to_f32(const sn_tensor_view *view, float *out);
/* The same for elements [first, first + n). */
sn_status sn_tensor_part_to_f32(const sn_tensor_view *view, size_t first, size_t n, float *out);
#endif
