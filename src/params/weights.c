/* weights.c: what passes between safetensors files and memory: conversion to f32, writing a file, and loading
 * and saving the store. Writing streams the tensors from where they are; nothing is copied first. */
#include "params/safetensors.h"

#include "params/params.h"

/* ---- to f32 ---- */

static uint16_t half_at(const unsigned char *bytes, size_t i) {
    uint16_t h;
    memcpy(&h, bytes + 2 * i, 2);
    return h;
}

/* All but infinity and NaN is the half's bits moved into place and scaled by 2^112, exactly. */
static float half_to_float(uint16_t h) {
    uint32_t u = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    float x;
    if ((h & 0x7c00) == 0x7c00) {
        u |= 0x7f800000u;
    } else {
        memcpy(&x, &u, 4);
        x *= 0x1p112f;
        memcpy(&u, &x, 4);
    }
    u |= sign;
    memcpy(&x, &u, 4);
    return x;
}

sn_status sn_tensor_to_f32(const sn_tensor_view *view, float *out) {
    const unsigned char *from = view->data;
    size_t n = view->bytes / 2;
    if (view->type.dtype == SN_F32) {
        if (view->bytes) memcpy(out, from, view->bytes);
    } else if (view->type.dtype == SN_BF16) {
        for (size_t i = 0; i < n; i++) out[i] = sn_from_bf16(half_at(from, i));
    } else if (view->type.dtype == SN_F16) {
        for (size_t i = 0; i < n; i++) out[i] = half_to_float(half_at(from, i));
    } else {
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected F32, F16 or BF16, found %s", view->name,
                sn_dtype_name(view->type.dtype));
    }
    return SN_OK;
}

/* ---- writing ---- */

static int by_name(const void *a, const void *b) {
    return strcmp((*(const sn_tensor_view *const *)a)->name, (*(const sn_tensor_view *const *)b)->name);
}

static sn_status check_tensors(const sn_tensor_view *const *sorted, int n) {
    for (int i = 0; i < n; i++) {
        const sn_tensor_view *t = sorted[i];
        size_t bytes;
        if (t->type.dtype == SN_OPAQUE || !strcmp(t->name, "__metadata__"))
            SN_FAIL(SN_ERR_USAGE, "tensor \"%s\": this name or dtype cannot be written", t->name);
        if (i && !strcmp(t->name, sorted[i - 1]->name)) SN_FAIL(SN_ERR_USAGE, "tensor \"%s\" is given twice", t->name);
        SN_TRY(sn_type_bytes(t->type, &bytes));
        if (bytes != t->bytes)
            SN_FAIL(SN_ERR_USAGE, "tensor \"%s\": expected %zu bytes, given %zu", t->name, bytes, t->bytes);
    }
    return SN_OK;
}

/* Adds one JSON string. jansson checks that it is UTF-8 and escapes it. */
static sn_status put_string(sn_buf *buf, const char *text) {
    json_t *string = json_string(text);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    json_decref(string);
    if (!quoted) SN_FAIL(SN_ERR_USAGE, "\"%s\" is not UTF-8", text);
    sn_buf_puts(buf, quoted);
    free(quoted);
    return SN_OK;
}

static sn_status put_metadata(sn_buf *buf, const json_t *metadata) {
    const char *key;
    json_t *value;
    const char *between = "\"__metadata__\":{";
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) {
        if (!json_is_string(value)) SN_FAIL(SN_ERR_USAGE, "metadata \"%s\" is not a string", key);
        sn_buf_puts(buf, between);
        SN_TRY(put_string(buf, key));
        sn_buf_puts(buf, ":");
        SN_TRY(put_string(buf, json_string_value(value)));
        between = ",";
    }
    if (json_object_size(metadata)) sn_buf_puts(buf, "}");
    return SN_OK;
}

/* The header with its size before it, padded by spaces so that the data begins at a multiple of 64. */
static sn_status make_header(sn_buf *buf, const sn_tensor_view *const *sorted, int n, const json_t *metadata) {
    size_t place = 0;
    sn_buf_add(buf, "\0\0\0\0\0\0\0", 8);
    sn_buf_puts(buf, "{");
    SN_TRY(put_metadata(buf, metadata));
    for (int i = 0; i < n; i++) {
        const sn_tensor_view *t = sorted[i];
        if (i || json_object_size(metadata)) sn_buf_puts(buf, ",");
        SN_TRY(put_string(buf, t->name));
        sn_buf_printf(buf, ":{\"dtype\":\"%s\",\"shape\":[", sn_dtype_name(t->type.dtype));
        for (int d = 0; d < t->type.shape.rank; d++)
            sn_buf_printf(buf, d ? ",%lld" : "%lld", (long long)t->type.shape.dim[d]);
        sn_buf_printf(buf, "],\"data_offsets\":[%zu,%zu]}", place, place + t->bytes);
        place += t->bytes;
    }
    sn_buf_puts(buf, "}");
    while (!buf->failed && buf->size % 64) sn_buf_puts(buf, " ");
    SN_TRY(sn_buf_check(buf));
    for (int i = 0; i < 8; i++) buf->data[i] = (char)((uint64_t)(buf->size - 8) >> (8 * i));
    return SN_OK;
}

static sn_status write_all(const char *path, const sn_buf *header, const sn_tensor_view *const *sorted, int n) {
    sn_writer *writer;
    SN_TRY(sn_writer_open(path, &writer));
    sn_status status = sn_writer_add(writer, header->data, header->size);
    for (int i = 0; status == SN_OK && i < n; i++) status = sn_writer_add(writer, sorted[i]->data, sorted[i]->bytes);
    if (status == SN_OK) return sn_writer_commit(writer);
    sn_writer_abandon(writer);
    return status;
}

sn_status sn_safetensors_write(const char *path, const sn_tensor_view *tensors, int n, const json_t *metadata) {
    const sn_tensor_view **sorted = sn_alloc((size_t)n, sizeof *sorted);
    if (!sorted) return SN_ERR_MEMORY;
    for (int i = 0; i < n; i++) sorted[i] = &tensors[i];
    if (n) qsort(sorted, (size_t)n, sizeof *sorted, by_name);
    sn_buf header = {0};
    sn_status status = check_tensors(sorted, n);
    if (status == SN_OK) status = make_header(&header, sorted, n, metadata);
    if (status == SN_OK) {
        status = write_all(path, &header, sorted, n);
    } else {
        (void)sn_fail_in("%s", path);
        (void)sn_fail_at(path, 0, NULL);
    }
    sn_buf_free(&header);
    sn_free(sorted);
    return status;
}

/* ---- the store ---- */

static sn_status check_wanted(const sn_tensor_view *t, const char *name, sn_shape expected) {
    char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
    if (!t) SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\" is missing: expected shape %s", name, sn_shape_text(expected, a));
    if (!sn_shape_equal(t->type.shape, expected))
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected shape %s, found %s", name, sn_shape_text(expected, a),
                sn_shape_text(t->type.shape, b));
    if (t->type.dtype != SN_F32 && t->type.dtype != SN_F16 && t->type.dtype != SN_BF16)
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected F32, F16 or BF16, found %s", name, sn_dtype_name(t->type.dtype));
    return SN_OK;
}

static sn_status check_unused(const sn_params *p, const sn_safetensors *file, const char *prefix) {
    size_t skip = strlen(prefix);
    for (int i = 0; i < sn_safetensors_count(file); i++) {
        const sn_tensor_view *t = sn_safetensors_at(file, i);
        char found[SN_SHAPE_TEXT];
        if (!strncmp(t->name, prefix, skip) && sn_params_find(p, t->name + skip) < 0)
            SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\" of shape %s is not used by this model", t->name,
                    sn_shape_text(t->type.shape, found));
    }
    return SN_OK;
}

static sn_status find_all(const sn_params *p, const sn_safetensors *file, const char *prefix,
                          const sn_tensor_view **views) {
    sn_buf name = {0};
    sn_status status = SN_OK;
    for (int i = 0; status == SN_OK && i < sn_params_count(p); i++) {
        name.size = 0;
        sn_buf_puts(&name, prefix);
        sn_buf_puts(&name, sn_params_name(p, i));
        SN_GO(sn_buf_check(&name), done);
        views[i] = sn_safetensors_find(file, name.data);
        status = check_wanted(views[i], name.data, sn_params_shape(p, i));
    }
    if (status == SN_OK) status = check_unused(p, file, prefix);
done:
    sn_buf_free(&name);
    return status;
}

/* Everything is checked before anything is changed. */
sn_status sn_params_load(sn_params *p, const sn_safetensors *file, const char *prefix) {
    if (!sn_params_sealed(p)) SN_FAIL(SN_ERR_STATE, "weights loaded before the parameter store is sealed");
    const sn_tensor_view **views = sn_alloc((size_t)sn_params_count(p), sizeof *views);
    if (!views) return SN_ERR_MEMORY;
    sn_status status = find_all(p, file, prefix ? prefix : "", views);
    for (int i = 0; status == SN_OK && i < sn_params_count(p); i++)
        status = sn_tensor_to_f32(views[i], sn_params_data(p, i));
    if (status == SN_OK) sn_params_changed(p, false);
    sn_free(views);
    return status;
}

sn_status sn_params_save(sn_params *p, const char *path, const json_t *metadata) {
    if (!sn_params_sealed(p)) SN_FAIL(SN_ERR_STATE, "weights saved before the parameter store is sealed");
    int n = sn_params_count(p);
    sn_tensor_view *views = sn_alloc((size_t)n, sizeof *views);
    if (!views) return SN_ERR_MEMORY;
    for (int i = 0; i < n; i++) {
        sn_shape shape = sn_params_shape(p, i);
        views[i] = (sn_tensor_view){sn_params_name(p, i), {shape, SN_F32}, sn_params_data(p, i),
                                    (size_t)sn_shape_count(shape) * sizeof(float)};
    }
    sn_status status = sn_safetensors_write(path, views, n, metadata);
    sn_free(views);
    return status;
}
