/* view.c: the table of a file's tensors, and conversion to f32. */
#include "params/view.h"

#include <stdlib.h>

sn_status sn_views_add(sn_views *views, sn_tensor_view view) {
    sn_tensor_view *items = sn_grow(views->items, views->count, &views->capacity, sizeof *items);
    if (!items) return SN_ERR_MEMORY;
    views->items = items;
    items[views->count++] = view;
    return SN_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const sn_tensor_view *)a)->name, ((const sn_tensor_view *)b)->name);
}

sn_status sn_views_sort(sn_views *views, const char *file) {
    if (views->count) qsort(views->items, views->count, sizeof *views->items, by_name);
    for (size_t i = 1; i < views->count; i++) {
        if (strcmp(views->items[i - 1].name, views->items[i].name)) continue;
        (void)sn_fail(SN_ERR_FORMAT, "%s: tensor \"%.200s\" is there twice", file, views->items[i].name);
        return sn_fail_at(file, 0, NULL);
    }
    return SN_OK;
}

const sn_tensor_view *sn_views_find(const sn_views *views, const char *name) {
    const sn_tensor_view key = {.name = name};
    return views->count ? bsearch(&key, views->items, views->count, sizeof key, by_name) : NULL;
}

void sn_views_free(sn_views *views) {
    sn_free(views->items);
    *views = (sn_views){0};
}

/* ---- to f32 ---- */

static void from_f32(const unsigned char *from, size_t n, float *out) {
    if (n) memcpy(out, from, n * sizeof *out);
}

static void from_bf16(const unsigned char *from, size_t n, float *out) {
    (void)sn_floats_get(SN_BF16, from, 0, (int64_t)n, out);
}

static void from_f16(const unsigned char *from, size_t n, float *out) {
    (void)sn_floats_get(SN_F16, from, 0, (int64_t)n, out);
}

static void from_f64(const unsigned char *from, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, from + 8 * i, 8);
        out[i] = (float)x;
    }
}

static void (*const readers[SN_DTYPE_COUNT])(const unsigned char *from, size_t n, float *out) = {
    [SN_F32] = from_f32, [SN_BF16] = from_bf16, [SN_F16] = from_f16, [SN_F64] = from_f64};

bool sn_dtype_is_float(sn_dtype dtype) { return readers[dtype] != NULL; }

sn_status sn_tensor_part_to_f32(const sn_tensor_view *view, size_t first, size_t n, float *out) {
    if (!sn_dtype_is_float(view->type.dtype))
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected F32, F16, BF16 or F64, found %s", view->name,
                sn_dtype_name(view->type.dtype));
    if (n) readers[view->type.dtype]((const unsigned char *)view->data + first * sn_dtype_size(view->type.dtype), n, out);
    return SN_OK;
}

sn_status sn_tensor_to_f32(const sn_tensor_view *view, float *out) {
    return sn_tensor_part_to_f32(view, 0, view->bytes / sn_dtype_size(view->type.dtype), out);
}
