/* safetensors.c: reading. One file image is
 *
 *   u64 n | JSON of n bytes: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...} | data
 *
 * and nothing of it is believed: the header must fit in the file, every tensor's byte range must be as long as
 * its shape says, and the ranges, in order, must cover the data without gap or overlap to its last byte.
 * Views point into the mapping, in name order. */
#include "params/safetensors.h"

enum { HEADER_MOST = 100 * 1000 * 1000 };

struct sn_safetensors {
    sn_bytes map; /* empty when parsed from memory */
    sn_views views;
    json_t *metadata;
    sn_arena names;
};

/* ---- one tensor's row of the header ---- */

static sn_status read_dtype(const json_t *value, sn_dtype *dtype, size_t *bytes) {
    const char *name = json_string_value(value);
    if (!name) SN_FAIL(SN_ERR_FORMAT, "\"dtype\" is missing or not a string");
    SN_TRY(sn_dtype_by_name(name, dtype));
    *bytes = sn_dtype_size(*dtype);
    return SN_OK;
}

static sn_status read_shape(const json_t *value, sn_shape *shape, size_t *bytes) {
    if (!json_is_array(value)) SN_FAIL(SN_ERR_FORMAT, "\"shape\" is missing or not a list");
    size_t rank = json_array_size(value);
    if (rank > SN_MAX_RANK) SN_FAIL(SN_ERR_UNSUPPORTED, "rank %zu, at most %d is possible", rank, SN_MAX_RANK);
    *shape = (sn_shape){.rank = (int32_t)rank};
    for (size_t i = 0; i < rank; i++) {
        const json_t *item = json_array_get(value, i);
        json_int_t dim = json_integer_value(item);
        if (!json_is_integer(item) || dim < 0) SN_FAIL(SN_ERR_FORMAT, "dimension %zu is not a whole number >= 0", i);
        shape->dim[i] = dim;
        if (sn_mul_overflow(*bytes, (size_t)dim, bytes) || *bytes > SIZE_MAX / 4)
            SN_FAIL(SN_ERR_FORMAT, "dimension %zu (%lld) makes it larger than memory can be", i, (long long)dim);
    }
    return SN_OK;
}

static sn_status read_range(const json_t *value, size_t data_size, size_t *begin, size_t *end) {
    const json_t *a = json_array_get(value, 0), *b = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(a) || !json_is_integer(b))
        SN_FAIL(SN_ERR_FORMAT, "\"data_offsets\" is missing or not a pair of whole numbers");
    json_int_t from = json_integer_value(a), to = json_integer_value(b);
    if (from < 0 || to < from)
        SN_FAIL(SN_ERR_FORMAT, "\"data_offsets\" [%lld, %lld] are not a range", (long long)from, (long long)to);
    if ((size_t)to > data_size)
        SN_FAIL(SN_ERR_FORMAT, "bytes %lld to %lld, but the file holds only %zu bytes of data: it was cut short",
                (long long)from, (long long)to, data_size);
    *begin = (size_t)from;
    *end = (size_t)to;
    return SN_OK;
}

static sn_status read_tensor(const json_t *row, const unsigned char *data, size_t data_size, sn_tensor_view *view) {
    if (!json_is_object(row)) SN_FAIL(SN_ERR_FORMAT, "its header entry is not an object");
    size_t bytes = 0, begin = 0, end = 0;
    SN_TRY(read_dtype(json_object_get(row, "dtype"), &view->type.dtype, &bytes));
    SN_TRY(read_shape(json_object_get(row, "shape"), &view->type.shape, &bytes));
    SN_TRY(read_range(json_object_get(row, "data_offsets"), data_size, &begin, &end));
    if (end - begin != bytes) {
        char shape[SN_SHAPE_TEXT];
        SN_FAIL(SN_ERR_FORMAT, "shape %s of %s takes %zu bytes, \"data_offsets\" give it %zu",
                sn_shape_text(view->type.shape, shape), json_string_value(json_object_get(row, "dtype")), bytes, end - begin);
    }
    view->data = data + begin;
    view->bytes = bytes;
    return SN_OK;
}

/* ---- one file ---- */

static int by_place(const void *a, const void *b) {
    const sn_tensor_view *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    if (p != q) return p < q ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The ranges must tile the data: sorted by place, each begins where the one before ended. */
static sn_status check_cover(const sn_views *views, const unsigned char *data, size_t data_size) {
    if (views->count) qsort(views->items, views->count, sizeof *views->items, by_place);
    size_t end = 0;
    for (size_t i = 0; i < views->count; i++) {
        const sn_tensor_view *t = &views->items[i];
        size_t begin = (size_t)((const unsigned char *)t->data - data);
        if (begin < end) SN_FAIL(SN_ERR_FORMAT, "tensor \"%s\" overlaps \"%s\"", t->name, t[-1].name);
        if (begin > end) SN_FAIL(SN_ERR_FORMAT, "a gap of %zu bytes before tensor \"%s\"", begin - end, t->name);
        end += t->bytes;
    }
    if (end != data_size) SN_FAIL(SN_ERR_FORMAT, "%zu bytes of data belong to no tensor", data_size - end);
    return SN_OK;
}

/* "__metadata__": an object of strings. */
static sn_status read_metadata(sn_safetensors *file, json_t *value) {
    const char *key;
    json_t *item;
    if (!json_is_object(value)) SN_FAIL(SN_ERR_FORMAT, "\"__metadata__\" is not an object");
    json_object_foreach(value, key, item) {
        if (!json_is_string(item)) SN_FAIL(SN_ERR_FORMAT, "\"__metadata__\": \"%s\" is not a string", key);
    }
    file->metadata = json_incref(value);
    return SN_OK;
}

static sn_status add_tensor(sn_safetensors *file, const char *key, const json_t *row, const unsigned char *data,
                            size_t data_size) {
    sn_tensor_view view = {0};
    if (read_tensor(row, data, data_size, &view) != SN_OK) return sn_fail_in("tensor \"%.200s\"", key);
    view.name = sn_arena_strdup(&file->names, key);
    return view.name ? sn_views_add(&file->views, view) : SN_ERR_MEMORY;
}

static sn_status add_header(sn_safetensors *file, json_t *header, const unsigned char *data, size_t data_size) {
    const char *key;
    json_t *row;
    if (!json_is_object(header)) SN_FAIL(SN_ERR_FORMAT, "the header is not a JSON object");
    json_object_foreach(header, key, row) {
        if (!strcmp(key, "__metadata__")) SN_TRY(read_metadata(file, row));
        else SN_TRY(add_tensor(file, key, row, data, data_size));
    }
    return check_cover(&file->views, data, data_size);
}

static sn_status add_image(sn_safetensors *file, const char *name, const unsigned char *bytes, size_t size) {
    uint64_t n = 0;
    sn_status status = SN_OK;
    if (size < 8) status = sn_fail(SN_ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", name, size);
    for (int i = 7; status == SN_OK && i >= 0; i--) n = n << 8 | bytes[i];
    if (status == SN_OK && n > size - 8)
        status = sn_fail(SN_ERR_FORMAT, "%s: a header of %llu bytes in a file of %zu: cut short, or not safetensors",
                         name, (unsigned long long)n, size);
    if (status == SN_OK && n > HEADER_MOST)
        status = sn_fail(SN_ERR_FORMAT, "%s: a header of %llu bytes, at most %d are allowed", name,
                         (unsigned long long)n, HEADER_MOST);
    json_t *header = NULL;
    if (status == SN_OK) {
        status = sn_json_parse(name, (const char *)bytes + 8, (size_t)n, &header);
        if (status == SN_OK && add_header(file, header, bytes + 8 + n, size - 8 - (size_t)n) != SN_OK)
            status = sn_fail_in("%s", name);
    }
    json_decref(header);
    return status == SN_OK ? SN_OK : sn_fail_at(name, 0, NULL);
}

sn_status sn_safetensors_parse(const char *name, const void *bytes, size_t size, sn_safetensors **out) {
    *out = NULL;
    sn_safetensors *file = sn_alloc(1, sizeof *file);
    if (!file) return SN_ERR_MEMORY;
    sn_status status = add_image(file, name, bytes, size);
    if (status == SN_OK) status = sn_views_sort(&file->views, name);
    if (status == SN_OK) *out = file;
    else sn_safetensors_free(file);
    return status;
}

void sn_safetensors_free(sn_safetensors *file) {
    if (!file) return;
    sn_bytes_free(&file->map);
    sn_views_free(&file->views);
    sn_arena_free(&file->names);
    json_decref(file->metadata);
    sn_free(file);
}

sn_status sn_safetensors_open(const char *path, sn_safetensors **out) {
    *out = NULL;
    sn_bytes map;
    SN_TRY(sn_file_map(path, &map));
    sn_status status = sn_safetensors_parse(path, map.data, map.size, out);
    if (status == SN_OK) (*out)->map = map;
    else sn_bytes_free(&map);
    return status;
}

/* ---- questions ---- */

int sn_safetensors_count(const sn_safetensors *file) { return (int)file->views.count; }
const sn_tensor_view *sn_safetensors_at(const sn_safetensors *file, int i) { return &file->views.items[i]; }
const sn_tensor_view *sn_safetensors_find(const sn_safetensors *file, const char *name) { return sn_views_find(&file->views, name); }
const sn_views *sn_safetensors_views(const sn_safetensors *file) { return &file->views; }

const char *sn_safetensors_metadata(const sn_safetensors *file, const char *key) {
    return json_string_value(json_object_get(file->metadata, key));
}
