/* weights.c: writing a safetensors file, and loading and saving the store. Writing streams the tensors from where
 * they are; what is to become another dtype is converted in pieces on the way, nothing is copied whole. */
#include "params/weights.h"

#include <math.h>

#include "params/params.h"
#include "params/safetensors.h"

enum { PIECE = 1 << 16 }; /* elements converted at a time */

/* ---- writing ---- */

typedef struct item {
    const sn_tensor_view *tensor;
    sn_dtype as;
    size_t bytes; /* as written */
} item;

static int by_name(const void *a, const void *b) { return strcmp(((const item *)a)->tensor->name, ((const item *)b)->tensor->name); }

static bool can_become(sn_dtype from, sn_dtype to) {
    return from == to || (sn_dtype_is_float(from) && (to == SN_F32 || to == SN_BF16 || to == SN_F16));
}

static sn_status check_items(item *items, int n) {
    for (int i = 0; i < n; i++) {
        const sn_tensor_view *t = items[i].tensor;
        size_t bytes;
        if (t->type.dtype == SN_OPAQUE || !strcmp(t->name, "__metadata__"))
            SN_FAIL(SN_ERR_USAGE, "tensor \"%s\": this name or dtype cannot be written", t->name);
        if (!can_become(t->type.dtype, items[i].as))
            SN_FAIL(SN_ERR_USAGE, "tensor \"%s\": %s cannot become %s", t->name, sn_dtype_name(t->type.dtype), sn_dtype_name(items[i].as));
        if (i && !strcmp(t->name, items[i - 1].tensor->name)) SN_FAIL(SN_ERR_USAGE, "tensor \"%s\" is given twice", t->name);
        SN_TRY(sn_type_bytes(t->type, &bytes));
        if (bytes != t->bytes)
            SN_FAIL(SN_ERR_USAGE, "tensor \"%s\": expected %zu bytes, given %zu", t->name, bytes, t->bytes);
        SN_TRY(sn_type_bytes((sn_type){t->type.shape, items[i].as}, &items[i].bytes));
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
static sn_status make_header(sn_buf *buf, const item *items, int n, const json_t *metadata) {
    size_t place = 0;
    sn_buf_add(buf, "\0\0\0\0\0\0\0", 8);
    sn_buf_puts(buf, "{");
    SN_TRY(put_metadata(buf, metadata));
    for (int i = 0; i < n; i++) {
        const sn_tensor_view *t = items[i].tensor;
        if (i || json_object_size(metadata)) sn_buf_puts(buf, ",");
        SN_TRY(put_string(buf, t->name));
        sn_buf_printf(buf, ":{\"dtype\":\"%s\",\"shape\":[", sn_dtype_name(items[i].as));
        for (int d = 0; d < t->type.shape.rank; d++)
            sn_buf_printf(buf, d ? ",%lld" : "%lld", (long long)t->type.shape.dim[d]);
        sn_buf_printf(buf, "],\"data_offsets\":[%zu,%zu]}", place, place + items[i].bytes);
        place += items[i].bytes;
    }
    sn_buf_puts(buf, "}");
    while (!buf->failed && buf->size % 64) sn_buf_puts(buf, " ");
    SN_TRY(sn_buf_check(buf));
    for (int i = 0; i < 8; i++) buf->data[i] = (char)((uint64_t)(buf->size - 8) >> (8 * i));
    return SN_OK;
}

static int64_t narrow(const float *from, size_t n, sn_dtype as, uint16_t *to) {
    int64_t overflows = 0;
    sn_floats_put(as, from, to, 0, (int64_t)n);
    for (size_t i = 0; as == SN_F16 && i < n; i++) overflows += (to[i] & 0x7fff) == 0x7c00 && isfinite(from[i]);
    return overflows;
}

static sn_status add_converted(sn_writer *writer, const item *it, int64_t *overflows) {
    size_t count = it->bytes / sn_dtype_size(it->as);
    float *wide = sn_alloc(PIECE, sizeof *wide);
    uint16_t *half = wide ? sn_alloc(PIECE, sizeof *half) : NULL;
    sn_status status = half ? SN_OK : SN_ERR_MEMORY;
    for (size_t at = 0; status == SN_OK && at < count; at += PIECE) {
        size_t n = count - at < PIECE ? count - at : PIECE;
        status = sn_tensor_part_to_f32(it->tensor, at, n, wide);
        if (status == SN_OK && it->as == SN_F32) status = sn_writer_add(writer, wide, n * sizeof *wide);
        else if (status == SN_OK) {
            *overflows += narrow(wide, n, it->as, half);
            status = sn_writer_add(writer, half, n * sizeof *half);
        }
    }
    sn_free(half);
    sn_free(wide);
    return status;
}

static sn_status write_all(const char *path, const sn_buf *header, const item *items, int n, int64_t *overflows) {
    sn_writer *writer;
    SN_TRY(sn_writer_open(path, &writer));
    sn_status status = sn_writer_add(writer, header->data, header->size);
    for (int i = 0; status == SN_OK && i < n; i++) {
        const sn_tensor_view *t = items[i].tensor;
        if (items[i].as == t->type.dtype) status = sn_writer_add(writer, t->data, t->bytes);
        else status = add_converted(writer, &items[i], overflows);
    }
    if (status == SN_OK) return sn_writer_commit(writer);
    sn_writer_abandon(writer);
    return status;
}

sn_status sn_safetensors_write_as(const char *path, const sn_tensor_view *tensors, const sn_dtype *as, int n,
                                  const json_t *metadata, int64_t *overflows) {
    int64_t lost = 0;
    item *items = sn_alloc((size_t)n, sizeof *items);
    if (!items) return SN_ERR_MEMORY;
    for (int i = 0; i < n; i++) items[i] = (item){&tensors[i], as ? as[i] : tensors[i].type.dtype, 0};
    if (n) qsort(items, (size_t)n, sizeof *items, by_name);
    sn_buf header = {0};
    sn_status status = check_items(items, n);
    if (status == SN_OK) status = make_header(&header, items, n, metadata);
    if (status == SN_OK) {
        status = write_all(path, &header, items, n, &lost);
    } else {
        (void)sn_fail_in("%s", path);
        (void)sn_fail_at(path, 0, NULL);
    }
    if (overflows) *overflows = lost;
    sn_buf_free(&header);
    sn_free(items);
    return status;
}

sn_status sn_safetensors_write(const char *path, const sn_tensor_view *tensors, int n, const json_t *metadata) {
    return sn_safetensors_write_as(path, tensors, NULL, n, metadata, NULL);
}

/* ---- the store ---- */

static sn_status check_wanted(const sn_tensor_view *t, const char *name, sn_shape expected) {
    char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
    if (!t) SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\" is missing: expected shape %s", name, sn_shape_text(expected, a));
    if (!sn_shape_equal(t->type.shape, expected))
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected shape %s, found %s", name, sn_shape_text(expected, a),
                sn_shape_text(t->type.shape, b));
    if (!sn_dtype_is_float(t->type.dtype))
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected F32, F16, BF16 or F64, found %s", name, sn_dtype_name(t->type.dtype));
    return SN_OK;
}

static sn_status check_unused(const sn_params *p, const sn_weights *file, const char *prefix, sn_ignored_fn *ignored,
                              void *context) {
    size_t skip = strlen(prefix);
    for (int i = 0; i < sn_weights_count(file); i++) {
        const sn_tensor_view *t = sn_weights_at(file, i);
        char found[SN_SHAPE_TEXT];
        if (strncmp(t->name, prefix, skip) || sn_params_find(p, t->name + skip) >= 0) continue;
        if (!ignored || !ignored(context, t->name))
            SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\" of shape %s is not used by this model", t->name,
                    sn_shape_text(t->type.shape, found));
    }
    return SN_OK;
}

static sn_status find_all(const sn_params *p, const sn_weights *file, const char *prefix, sn_ignored_fn *ignored, void *context,
                          const sn_tensor_view **views) {
    sn_buf name = {0};
    sn_status status = SN_OK;
    for (int i = 0; status == SN_OK && i < sn_params_count(p); i++) {
        name.size = 0;
        sn_buf_puts(&name, prefix);
        sn_buf_puts(&name, sn_params_name(p, i));
        SN_GO(sn_buf_check(&name), done);
        views[i] = sn_weights_find(file, name.data);
        status = check_wanted(views[i], name.data, sn_params_shape(p, i));
    }
    if (status == SN_OK) status = check_unused(p, file, prefix, ignored, context);
done:
    sn_buf_free(&name);
    return status;
}

sn_status sn_params_check(const sn_params *p, const sn_weights *file, const char *prefix, sn_ignored_fn *ignored, void *context) {
    const sn_tensor_view **views = sn_alloc((size_t)sn_params_count(p), sizeof *views);
    if (!views) return SN_ERR_MEMORY;
    sn_status status = find_all(p, file, prefix, ignored, context, views);
    sn_free(views);
    return status;
}

/* Everything is checked before anything is changed. */
sn_status sn_params_load_but(sn_params *p, const sn_weights *file, const char *prefix, sn_ignored_fn *ignored, void *context) {
    if (!sn_params_sealed(p)) SN_FAIL(SN_ERR_STATE, "weights loaded before the parameter store is sealed");
    if (sn_params_borrows(p)) SN_FAIL(SN_ERR_STATE, "weights loaded into a parameter store that borrows them");
    const sn_tensor_view **views = sn_alloc((size_t)sn_params_count(p), sizeof *views);
    if (!views) return SN_ERR_MEMORY;
    sn_status status = find_all(p, file, prefix ? prefix : "", ignored, context, views);
    for (int i = 0; status == SN_OK && i < sn_params_count(p); i++)
        status = sn_tensor_to_f32(views[i], sn_params_data(p, i));
    if (status == SN_OK) sn_params_changed(p, false);
    sn_free(views);
    return status;
}

static void release_weights(void *weights) { sn_weights_free(weights); }
static void forget_weights(void *weights, const void *bytes, size_t size) { sn_weights_forget(weights, bytes, size); }
static bool part_of_file(void *weights, const void *bytes, sn_file_part *out) { return sn_weights_file_part(weights, bytes, out); }
static const sn_lender weights_lender = {release_weights, forget_weights, part_of_file};

sn_status sn_params_borrow_all(sn_params *p, sn_weights *file, const char *prefix, sn_ignored_fn *ignored, void *context) {
    const sn_tensor_view **views = sn_alloc((size_t)sn_params_count(p), sizeof *views);
    if (!views) return SN_ERR_MEMORY;
    sn_status status = find_all(p, file, prefix ? prefix : "", ignored, context, views);
    for (int i = 0; status == SN_OK && i < sn_params_count(p); i++)
        status = sn_params_borrow(p, i, views[i]);
    if (status == SN_OK) sn_params_keep(p, file, &weights_lender);
    sn_free(views);
    return status;
}

sn_status sn_params_load(sn_params *p, const sn_weights *file, const char *prefix) {
    return sn_params_load_but(p, file, prefix, NULL, NULL);
}

sn_status sn_params_load_one(sn_params *p, int i, const sn_weights *file, const char *name) {
    const sn_tensor_view *view = sn_weights_find(file, name);
    SN_TRY(check_wanted(view, name, sn_params_shape(p, i)));
    return sn_tensor_to_f32(view, sn_params_data(p, i));
}

sn_status sn_params_load_some(sn_params *p, const sn_weights *file, sn_wanted_fn *wanted, void *context) {
    char found[SN_SHAPE_TEXT];
    if (!sn_params_sealed(p) || sn_params_borrows(p)) SN_FAIL(SN_ERR_STATE, "weights loaded into a parameter store that is not ready for them");
    for (int i = 0; i < sn_params_count(p); i++) {
        const char *name = sn_params_name(p, i);
        if (wanted(context, i)) SN_TRY(check_wanted(sn_weights_find(file, name), name, sn_params_shape(p, i)));
    }
    for (int i = 0; i < sn_weights_count(file); i++) {
        const sn_tensor_view *t = sn_weights_at(file, i);
        int at = sn_params_find(p, t->name);
        if (at < 0 || !wanted(context, at))
            SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\" of shape %s is not used by this model", t->name, sn_shape_text(t->type.shape, found));
    }
    for (int i = 0; i < sn_weights_count(file); i++) {
        const sn_tensor_view *t = sn_weights_at(file, i);
        SN_TRY(sn_tensor_to_f32(t, sn_params_data(p, sn_params_find(p, t->name))));
    }
    sn_params_changed(p, false);
    return SN_OK;
}

static bool every(void *context, int i) {
    (void)context;
    (void)i;
    return true;
}

sn_status sn_params_save(sn_params *p, const char *path, const json_t *metadata) { return sn_params_save_some(p, path, metadata, every, NULL); }

sn_status sn_params_save_some(sn_params *p, const char *path, const json_t *metadata, sn_wanted_fn *wanted, void *context) {
    if (!sn_params_sealed(p)) SN_FAIL(SN_ERR_STATE, "weights saved before the parameter store is sealed");
    if (sn_params_borrows(p)) SN_FAIL(SN_ERR_STATE, "weights saved of a parameter store that borrows them");
    int n = 0;
    sn_tensor_view *views = sn_alloc((size_t)sn_params_count(p), sizeof *views);
    if (!views) return SN_ERR_MEMORY;
    for (int i = 0; i < sn_params_count(p); i++) {
        sn_shape shape = sn_params_shape(p, i);
        if (!wanted(context, i)) continue;
        views[n++] = (sn_tensor_view){sn_params_name(p, i), {shape, SN_F32}, sn_params_data(p, i),
                                      (size_t)sn_shape_count(shape) * sizeof(float)};
    }
    sn_status status = sn_safetensors_write(path, views, n, metadata);
    sn_free(views);
    return status;
}
