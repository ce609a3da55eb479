/* safetensors.c: reading. One file image is
 *
 *   u64 n | JSON of n bytes: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...} | data
 *
 * and nothing of it is believed: the header must fit in the file, every tensor's byte range must be as long as
 * its shape says, and the ranges, in order, must cover the data without gap or overlap to its last byte.
 * A sharded model is an index (name -> shard) and several such files, mapped side by side into one table of
 * views in name order; each tensor must lie in the shard the index names, and nowhere else. */
#include "params/safetensors.h"

enum { HEADER_MOST = 100 * 1000 * 1000, SHARDS_MOST = 10000 };

typedef struct entry {
    sn_tensor_view view;
    size_t begin; /* in the data of its shard */
    int shard;
} entry;

struct sn_safetensors {
    sn_bytes *maps; /* one a shard; empty when parsed from memory */
    size_t map_count, map_capacity;
    entry *entries;
    size_t count, capacity;
    json_t *metadata;
    sn_arena names;
};

/* ---- one tensor's row of the header ---- */

static const struct dtype_row {
    char name[12];
    unsigned char bytes;
    sn_dtype dtype; /* SN_OPAQUE: kept as bytes, nothing here computes with it */
} dtype_rows[] = {
    {"F32", 4, SN_F32},      {"BF16", 2, SN_BF16},       {"F16", 2, SN_F16},        {"I32", 4, SN_I32},
    {"I64", 8, SN_I64},      {"U8", 1, SN_U8},           {"BOOL", 1, SN_U8},        {"I8", 1, SN_OPAQUE},
    {"I16", 2, SN_OPAQUE},   {"U16", 2, SN_OPAQUE},      {"U32", 4, SN_OPAQUE},     {"U64", 8, SN_OPAQUE},
    {"F64", 8, SN_OPAQUE},   {"F8_E4M3", 1, SN_OPAQUE},  {"F8_E5M2", 1, SN_OPAQUE}, {"C64", 8, SN_OPAQUE},
};

static sn_status read_dtype(const json_t *value, sn_dtype *dtype, size_t *bytes) {
    const char *name = json_string_value(value);
    if (!name) SN_FAIL(SN_ERR_FORMAT, "\"dtype\" is missing or not a string");
    for (size_t i = 0; i < sizeof dtype_rows / sizeof dtype_rows[0]; i++) {
        if (strcmp(name, dtype_rows[i].name)) continue;
        *dtype = dtype_rows[i].dtype;
        *bytes = dtype_rows[i].bytes;
        return SN_OK;
    }
    SN_FAIL(SN_ERR_UNSUPPORTED, "unknown dtype \"%.40s\"", name);
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

static sn_status read_tensor(const json_t *row, const unsigned char *data, size_t data_size, entry *e) {
    if (!json_is_object(row)) SN_FAIL(SN_ERR_FORMAT, "its header entry is not an object");
    size_t bytes = 0, end = 0;
    SN_TRY(read_dtype(json_object_get(row, "dtype"), &e->view.type.dtype, &bytes));
    SN_TRY(read_shape(json_object_get(row, "shape"), &e->view.type.shape, &bytes));
    SN_TRY(read_range(json_object_get(row, "data_offsets"), data_size, &e->begin, &end));
    if (end - e->begin != bytes) {
        char shape[SN_SHAPE_TEXT];
        SN_FAIL(SN_ERR_FORMAT, "shape %s of %s takes %zu bytes, \"data_offsets\" give it %zu",
                sn_shape_text(e->view.type.shape, shape), json_string_value(json_object_get(row, "dtype")), bytes,
                end - e->begin);
    }
    e->view.data = data + e->begin;
    e->view.bytes = bytes;
    return SN_OK;
}

/* ---- one file ---- */

static int by_place(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->view.bytes != y->view.bytes) return x->view.bytes < y->view.bytes ? -1 : 1;
    return 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const entry *)a)->view.name, ((const entry *)b)->view.name);
}

/* The ranges must tile the data: sorted by place, each begins where the one before ended. */
static sn_status check_cover(entry *entries, size_t n, size_t data_size) {
    if (n) qsort(entries, n, sizeof *entries, by_place);
    size_t end = 0;
    for (size_t i = 0; i < n; i++) {
        const entry *e = &entries[i];
        if (e->begin < end)
            SN_FAIL(SN_ERR_FORMAT, "tensor \"%s\" overlaps \"%s\"", e->view.name, entries[i - 1].view.name);
        if (e->begin > end)
            SN_FAIL(SN_ERR_FORMAT, "a gap of %zu bytes before tensor \"%s\"", e->begin - end, e->view.name);
        end += e->view.bytes;
    }
    if (end != data_size) SN_FAIL(SN_ERR_FORMAT, "%zu bytes of data belong to no tensor", data_size - end);
    return SN_OK;
}

/* "__metadata__": an object of strings. Shards add to what the first one said. */
static sn_status read_metadata(sn_safetensors *file, json_t *value) {
    const char *key;
    json_t *item;
    if (!json_is_object(value)) SN_FAIL(SN_ERR_FORMAT, "\"__metadata__\" is not an object");
    json_object_foreach(value, key, item) {
        if (!json_is_string(item)) SN_FAIL(SN_ERR_FORMAT, "\"__metadata__\": \"%s\" is not a string", key);
    }
    if (!file->metadata) file->metadata = json_incref(value);
    else if (json_object_update_missing(file->metadata, value)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

static sn_status add_tensor(sn_safetensors *file, const char *key, const json_t *row, const unsigned char *data,
                            size_t data_size) {
    entry *entries = sn_grow(file->entries, file->count, &file->capacity, sizeof *entries);
    if (!entries) return SN_ERR_MEMORY;
    file->entries = entries;
    entry e = {.shard = (int)file->map_count};
    if (read_tensor(row, data, data_size, &e) != SN_OK) return sn_fail_in("tensor \"%.200s\"", key);
    e.view.name = sn_arena_strdup(&file->names, key);
    if (!e.view.name) return SN_ERR_MEMORY;
    entries[file->count++] = e;
    return SN_OK;
}

static sn_status add_header(sn_safetensors *file, json_t *header, const unsigned char *data, size_t data_size) {
    const char *key;
    json_t *row;
    size_t first = file->count;
    if (!json_is_object(header)) SN_FAIL(SN_ERR_FORMAT, "the header is not a JSON object");
    json_object_foreach(header, key, row) {
        if (!strcmp(key, "__metadata__")) SN_TRY(read_metadata(file, row));
        else SN_TRY(add_tensor(file, key, row, data, data_size));
    }
    return check_cover(file->entries ? file->entries + first : NULL, file->count - first, data_size);
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

static sn_status sort_names(sn_safetensors *file, const char *name) {
    if (file->count) qsort(file->entries, file->count, sizeof *file->entries, by_name);
    for (size_t i = 1; i < file->count; i++) {
        if (strcmp(file->entries[i - 1].view.name, file->entries[i].view.name)) continue;
        (void)sn_fail(SN_ERR_FORMAT, "%s: tensor \"%s\" is there twice", name, file->entries[i].view.name);
        return sn_fail_at(name, 0, NULL);
    }
    return SN_OK;
}

sn_status sn_safetensors_parse(const char *name, const void *bytes, size_t size, sn_safetensors **out) {
    *out = NULL;
    sn_safetensors *file = sn_alloc(1, sizeof *file);
    if (!file) return SN_ERR_MEMORY;
    sn_status status = add_image(file, name, bytes, size);
    if (status == SN_OK) status = sort_names(file, name);
    if (status == SN_OK) *out = file;
    else sn_safetensors_free(file);
    return status;
}

void sn_safetensors_free(sn_safetensors *file) {
    if (!file) return;
    for (size_t i = 0; i < file->map_count; i++) sn_bytes_free(&file->maps[i]);
    sn_free(file->maps);
    sn_free(file->entries);
    sn_arena_free(&file->names);
    json_decref(file->metadata);
    sn_free(file);
}

/* ---- files and shards ---- */

static sn_status add_file(sn_safetensors *file, const char *path) {
    sn_bytes *maps = sn_grow(file->maps, file->map_count, &file->map_capacity, sizeof *maps);
    if (!maps) return SN_ERR_MEMORY;
    file->maps = maps;
    sn_bytes bytes;
    SN_TRY(sn_file_map(path, &bytes));
    sn_status status = add_image(file, path, bytes.data, bytes.size);
    maps[file->map_count++] = bytes; /* after add_image, which marks its tensors with this number */
    return status;
}

/* A shard is a plain file name beside the index: it cannot lead anywhere else. */
static sn_status shard_number(sn_map *shards, const char *folder, const char *tensor, const json_t *value,
                              sn_safetensors *file, int64_t *number) {
    const char *name = json_string_value(value);
    if (!name || !name[0] || strchr(name, '/') || strchr(name, '\\') || name[0] == '.')
        SN_FAIL(SN_ERR_FORMAT, "tensor \"%.200s\": its shard is not a file name", tensor);
    size_t bytes = strlen(name);
    *number = sn_map_get(shards, name, bytes);
    if (*number >= 0) return SN_OK;
    if (file->map_count >= SHARDS_MOST) SN_FAIL(SN_ERR_FORMAT, "more than %d shards", SHARDS_MOST);
    *number = (int64_t)file->map_count;
    SN_TRY(sn_map_put(shards, name, bytes, *number));
    char *path = sn_path_join(folder, name);
    if (!path) return SN_ERR_MEMORY;
    sn_status status = add_file(file, path);
    sn_free(path);
    return status;
}

static sn_status check_index(const sn_safetensors *file, const json_t *map, const sn_map *shards) {
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *shard = json_string_value(value);
        entry key = {.view.name = tensor};
        const entry *e = file->count ? bsearch(&key, file->entries, file->count, sizeof key, by_name) : NULL;
        if (!e || e->shard != sn_map_get(shards, shard, strlen(shard)))
            SN_FAIL(SN_ERR_FORMAT, "tensor \"%s\" is not in the shard \"%s\" that should hold it", tensor, shard);
    }
    for (size_t i = 0; i < file->count; i++)
        if (!json_object_get(map, file->entries[i].view.name))
            SN_FAIL(SN_ERR_FORMAT, "tensor \"%s\" of a shard is not in the index", file->entries[i].view.name);
    return SN_OK;
}

static sn_status read_index(sn_safetensors *file, const char *path, const char *folder, const json_t *index) {
    const json_t *map = json_object_get(index, "weight_map");
    const char *tensor;
    json_t *value;
    sn_map shards = {0};
    sn_status status = SN_OK;
    if (!json_is_object(map)) status = sn_fail(SN_ERR_FORMAT, "\"weight_map\" is missing or not an object");
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        int64_t number;
        if (status == SN_OK) status = shard_number(&shards, folder, tensor, value, file, &number);
    }
    if (status == SN_OK) status = sort_names(file, path);
    if (status == SN_OK) status = check_index(file, map, &shards);
    sn_map_free(&shards);
    if (status == SN_OK) return SN_OK;
    if (!sn_error_file()[0]) (void)sn_fail_in("%s", path); /* a shard's own failure names the shard already */
    return sn_fail_at(path, 0, NULL);
}

static sn_status open_index(sn_safetensors *file, const char *path) {
    json_t *index;
    SN_TRY(sn_json_read(path, &index));
    char *folder = sn_path_parent(path);
    sn_status status = folder ? read_index(file, path, folder, index) : SN_ERR_MEMORY;
    sn_free(folder);
    json_decref(index);
    return status;
}

static sn_status open_folder(sn_safetensors *file, const char *path) {
    char *single = sn_path_join(path, "model.safetensors"), *index = sn_path_join(path, "model.safetensors.index.json");
    sn_status status = single && index ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK && sn_file_exists(single)) {
        status = add_file(file, single);
        if (status == SN_OK) status = sort_names(file, single);
    } else if (status == SN_OK && sn_file_exists(index)) {
        status = open_index(file, index);
    } else if (status == SN_OK) {
        (void)sn_fail(SN_ERR_IO, "%s: holds neither model.safetensors nor model.safetensors.index.json", path);
        status = sn_fail_at(path, 0, NULL);
    }
    sn_free(single);
    sn_free(index);
    return status;
}

sn_status sn_safetensors_open(const char *path, sn_safetensors **out) {
    *out = NULL;
    sn_safetensors *file = sn_alloc(1, sizeof *file);
    if (!file) return SN_ERR_MEMORY;
    sn_status status;
    if (sn_is_directory(path)) status = open_folder(file, path);
    else if (sn_ends_with(path, ".index.json")) status = open_index(file, path);
    else {
        status = add_file(file, path);
        if (status == SN_OK) status = sort_names(file, path);
    }
    if (status == SN_OK) *out = file;
    else sn_safetensors_free(file);
    return status;
}

/* ---- questions ---- */

int sn_safetensors_count(const sn_safetensors *file) { return (int)file->count; }
const sn_tensor_view *sn_safetensors_at(const sn_safetensors *file, int i) { return &file->entries[i].view; }

const sn_tensor_view *sn_safetensors_find(const sn_safetensors *file, const char *name) {
    entry key = {.view.name = name};
    const entry *e = file->count ? bsearch(&key, file->entries, file->count, sizeof key, by_name) : NULL;
    return e ? &e->view : NULL;
}

const char *sn_safetensors_metadata(const sn_safetensors *file, const char *key) {
    return json_string_value(json_object_get(file->metadata, key));
}
