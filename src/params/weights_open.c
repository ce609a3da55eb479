/* weights_open.c: see weights.h. */
#include "params/weights.h"

#include "params/npy.h"
#include "params/safetensors.h"
#include "params/torch_file.h"

enum { SHARDS_MOST = 10000, OPEN_MOST = 64 }; /* a process may have 1,024 files open, usually */

/* ---- formats: one row each ---- */

typedef struct opened {
    sn_bytes map, lent; /* one of them */
    int fd;             /* of what is mapped, or -1 */
    const struct format *format;
    void *file;
    char *path;
} opened;

static const struct format {
    const char *name;
    bool (*sniff)(const void *bytes, size_t size); /* NULL: whatever no row before took */
    sn_status (*parse)(const char *name, const void *bytes, size_t size, void **out);
    const sn_views *(*views)(const void *file);
    const char *(*metadata)(const void *file, const char *key);
    void (*free)(void *file);
} formats[];

static sn_status parse_torch(const char *name, const void *bytes, size_t size, void **out) {
    sn_torch_file *file;
    sn_status status = sn_torch_parse(name, bytes, size, &file);
    *out = file;
    return status;
}

static const sn_views *views_torch(const void *file) { return sn_torch_views(file); }
static void free_torch(void *file) { sn_torch_free(file); }

static sn_status parse_npy(const char *name, const void *bytes, size_t size, void **out) {
    sn_npy *file;
    sn_status status = sn_npy_parse(name, bytes, size, &file);
    *out = file;
    return status;
}

static const sn_views *views_npy(const void *file) { return sn_npy_views(file); }
static void free_npy(void *file) { sn_npy_free(file); }

static sn_status parse_safetensors(const char *name, const void *bytes, size_t size, void **out) {
    sn_safetensors *file;
    sn_status status = sn_safetensors_parse(name, bytes, size, &file);
    *out = file;
    return status;
}

static const sn_views *views_safetensors(const void *file) { return sn_safetensors_views(file); }
static const char *metadata_safetensors(const void *file, const char *key) { return sn_safetensors_metadata(file, key); }
static void free_safetensors(void *file) { sn_safetensors_free(file); }

static const struct format formats[] = {
    {"torch", sn_torch_sniff, parse_torch, views_torch, NULL, free_torch},
    {"npy", sn_npy_sniff, parse_npy, views_npy, NULL, free_npy},
    {"safetensors", NULL, parse_safetensors, views_safetensors, metadata_safetensors, free_safetensors},
};

/* What a directory's weights are called, in order of preference. */
static const char *const file_names[] = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
    "adapter_model.safetensors", "adapter_model.bin",
};
enum { FILE_NAMES = sizeof file_names / sizeof *file_names };

/* Ends of names as the first checkpoints have them (BERT's, converted from TensorFlow's), and what they are called since. */
static const struct { const char *old, *now; } renamed[] = {{"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}};
enum { RENAMED = sizeof renamed / sizeof *renamed };

struct sn_weights {
    bool lends; /* files stay open */
    opened *parts;
    size_t count, capacity;
    sn_views views;
    char **names; /* of views that were renamed or laid */
    size_t named, names_room;
    const char **laid; /* names of views that sn_weights_lay brought */
    size_t n_laid, laid_room;
    char *path;
};

/* ---- one file ---- */

static bool is_lfs_pointer(const sn_bytes *b) {
    static const char text[] = "version https://git-lfs";
    return b->size >= sizeof text - 1 && !memcmp(b->data, text, sizeof text - 1);
}

static sn_status parse(opened *part) {
    const struct format *f = formats;
    const sn_bytes *b = part->map.data ? &part->map : &part->lent;
    if (is_lfs_pointer(b)) {
        (void)sn_fail(SN_ERR_FORMAT, "%s: a Git LFS pointer, not the weights themselves; fetch them with \"git lfs pull\"", part->path);
        return sn_fail_at(part->path, 0, NULL);
    }
    while (f->sniff && !f->sniff(b->data, b->size)) f++;
    part->format = f;
    return f->parse(part->path, b->data, b->size, &part->file);
}

static void close_part(opened *part) {
    if (part->file) part->format->free(part->file);
    sn_bytes_free(&part->map);
    sn_file_close(part->fd);
    sn_free(part->path);
}

/* Takes `path`; the file's content, where `bytes` does not give it. */
static sn_status add_part(sn_weights *w, char *path, const sn_bytes *bytes) {
    opened part = {.path = path, .fd = -1};
    opened *parts = path ? sn_grow(w->parts, w->count, &w->capacity, sizeof *parts) : NULL;
    sn_status status = parts ? SN_OK : SN_ERR_MEMORY;
    if (parts) w->parts = parts;
    if (bytes) part.lent = *bytes;
    else if (status == SN_OK && w->lends && w->count < OPEN_MOST) status = sn_file_map_open(path, &part.map, &part.fd);
    else if (status == SN_OK) status = sn_file_map(path, &part.map);
    if (status == SN_OK) status = parse(&part);
    const sn_views *views = status == SN_OK ? part.format->views(part.file) : NULL;
    for (size_t i = 0; status == SN_OK && i < views->count; i++) status = sn_views_add(&w->views, views->items[i]);
    if (status == SN_OK) parts[w->count++] = part;
    else close_part(&part);
    return status;
}

/* ---- names ---- */

/* The first `n` characters of `name` and `end`, which the object keeps. */
static sn_status keep_name(sn_weights *w, const char *name, size_t n, const char *end, char **out) {
    char **names = sn_grow(w->names, w->named, &w->names_room, sizeof *names);
    if (names) w->names = names;
    char *fresh = names ? sn_alloc(n + strlen(end) + 1, 1) : NULL;
    if (!fresh) return SN_ERR_MEMORY;
    memcpy(fresh, name, n);
    strcpy(fresh + n, end);
    *out = names[w->named++] = fresh;
    return SN_OK;
}

/* `name` with its old end replaced; NULL where it has none. */
static sn_status name_now(sn_weights *w, const char *name, char **out) {
    *out = NULL;
    size_t size = strlen(name);
    for (int i = 0; i < RENAMED; i++) {
        size_t end = strlen(renamed[i].old), stem = size - end;
        if (size < end || strcmp(name + stem, renamed[i].old) || (stem && name[stem - 1] != '.')) continue;
        return keep_name(w, name, stem, renamed[i].now, out);
    }
    return SN_OK;
}

/* Today's names, in order. */
static sn_status settle(sn_weights *w) {
    for (size_t i = 0; i < w->views.count; i++) {
        char *now;
        SN_TRY(name_now(w, w->views.items[i].name, &now));
        if (now) w->views.items[i].name = now;
    }
    return sn_views_sort(&w->views, w->path);
}

sn_status sn_weights_lay(sn_weights *w, const char *name, const sn_tensor_view *tensor) {
    const char **laid = sn_grow(w->laid, w->n_laid, &w->laid_room, sizeof *laid);
    if (!laid) return SN_ERR_MEMORY;
    w->laid = laid;
    const sn_tensor_view *there = sn_views_find(&w->views, name);
    size_t at = there ? (size_t)(there - w->views.items) : w->views.count;
    char *kept;
    if (!there) {
        SN_TRY(keep_name(w, name, strlen(name), "", &kept));
        sn_tensor_view fresh = *tensor;
        fresh.name = kept;
        SN_TRY(sn_views_add(&w->views, fresh));
        for (; at && strcmp(w->views.items[at - 1].name, kept) > 0; at--) w->views.items[at] = w->views.items[at - 1];
        w->views.items[at] = fresh;
    } else {
        w->views.items[at] = (sn_tensor_view){there->name, tensor->type, tensor->data, tensor->bytes};
    }
    laid[w->n_laid++] = w->views.items[at].name;
    return SN_OK;
}

bool sn_weights_is_laid(const sn_weights *w, const char *name) {
    for (size_t i = 0; i < w->n_laid; i++)
        if (!strcmp(w->laid[i], name)) return true;
    return false;
}

/* ---- shards ---- */

/* A shard is a plain file name beside the index: it cannot lead anywhere else. */
static sn_status add_shard(sn_weights *w, sn_map *shards, const char *folder, const char *tensor, const json_t *value) {
    const char *name = json_string_value(value);
    if (!name || !name[0] || strchr(name, '/') || strchr(name, '\\') || name[0] == '.')
        SN_FAIL(SN_ERR_FORMAT, "tensor \"%.200s\": its shard is not a file name", tensor);
    size_t bytes = strlen(name);
    if (sn_map_get(shards, name, bytes) >= 0) return SN_OK;
    if (w->count >= SHARDS_MOST) SN_FAIL(SN_ERR_FORMAT, "more than %d shards", SHARDS_MOST);
    SN_TRY(sn_map_put(shards, name, bytes, (int64_t)w->count));
    return add_part(w, sn_path_join(folder, name), NULL);
}

static sn_status check_index(const sn_weights *w, const json_t *map, const sn_map *shards) {
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
        const char *shard = json_string_value(value);
        const opened *part = &w->parts[sn_map_get(shards, shard, strlen(shard))];
        if (!sn_views_find(part->format->views(part->file), tensor))
            SN_FAIL(SN_ERR_FORMAT, "tensor \"%s\" is not in the shard \"%s\" that should hold it", tensor, shard);
    }
    for (size_t i = 0; i < w->views.count; i++)
        if (!json_object_get(map, w->views.items[i].name))
            SN_FAIL(SN_ERR_FORMAT, "tensor \"%s\" of a shard is not in the index", w->views.items[i].name);
    return SN_OK;
}

static sn_status read_index(sn_weights *w, const char *path, const char *folder, const json_t *index) {
    const json_t *map = json_object_get(index, "weight_map");
    const char *tensor;
    json_t *value;
    sn_map shards = {0};
    sn_status status = SN_OK;
    if (!json_is_object(map)) status = sn_fail(SN_ERR_FORMAT, "\"weight_map\" is missing or not an object");
    if (status == SN_OK) {
        json_object_foreach((json_t *)(uintptr_t)map, tensor, value) SN_GO(add_shard(w, &shards, folder, tensor, value), done);
        status = check_index(w, map, &shards);
    }
done:
    sn_map_free(&shards);
    if (status == SN_OK || status == SN_ERR_MEMORY) return status;
    if (!sn_error_file()[0]) (void)sn_fail_in("%s", path); /* a shard's own failure names the shard already */
    return sn_fail_at(path, 0, NULL);
}

static sn_status open_index(sn_weights *w, const char *path) {
    json_t *index;
    SN_TRY(sn_json_read(path, &index));
    char *folder = sn_path_parent(path);
    sn_status status = folder ? read_index(w, path, folder, index) : SN_ERR_MEMORY;
    sn_free(folder);
    json_decref(index);
    return status;
}

/* ---- the whole ---- */

static sn_status find_file(const char *path, char **out) {
    *out = NULL;
    if (!sn_is_directory(path)) {
        *out = sn_strdup(path);
        return *out ? SN_OK : SN_ERR_MEMORY;
    }
    for (int i = 0; i < FILE_NAMES; i++) {
        SN_TRY(sn_file_find(path, file_names[i], out));
        if (*out) return SN_OK;
    }
    (void)sn_fail(SN_ERR_IO, "%s: holds no weights: neither model.safetensors, pytorch_model.bin, an index of shards nor "
                  "adapter_model.safetensors or .bin", path);
    return sn_fail_at(path, 0, NULL);
}

static sn_status open_weights(const char *path, bool lends, sn_weights **out) {
    *out = NULL;
    sn_weights *w = sn_alloc(1, sizeof *w);
    if (!w) return SN_ERR_MEMORY;
    w->lends = lends;
    sn_status status = find_file(path, &w->path);
    if (status == SN_OK && sn_ends_with(w->path, ".index.json")) {
        status = open_index(w, w->path);
    } else if (status == SN_OK) {
        status = add_part(w, sn_strdup(w->path), NULL);
    }
    if (status == SN_OK) status = settle(w);
    if (status == SN_OK) *out = w;
    else sn_weights_free(w);
    return status;
}

sn_status sn_weights_open(const char *path, sn_weights **out) { return open_weights(path, false, out); }
sn_status sn_weights_open_to_lend(const char *path, sn_weights **out) { return open_weights(path, true, out); }

sn_status sn_weights_parse(const char *name, const void *bytes, size_t size, sn_weights **out) {
    const sn_bytes lent = {.data = bytes, .size = size};
    *out = NULL;
    sn_weights *w = sn_alloc(1, sizeof *w);
    if (!w) return SN_ERR_MEMORY;
    w->path = sn_strdup(name);
    sn_status status = w->path ? add_part(w, sn_strdup(name), &lent) : SN_ERR_MEMORY;
    if (status == SN_OK) status = settle(w);
    if (status == SN_OK) *out = w;
    else sn_weights_free(w);
    return status;
}

void sn_weights_free(sn_weights *w) {
    if (!w) return;
    for (size_t i = 0; i < w->count; i++) close_part(&w->parts[i]);
    sn_free(w->parts);
    for (size_t i = 0; i < w->named; i++) sn_free(w->names[i]);
    sn_free(w->names);
    sn_free(w->laid);
    sn_views_free(&w->views);
    sn_free(w->path);
    sn_free(w);
}

/* ---- questions ---- */

const char *sn_weights_path(const sn_weights *w) { return w->path; }
const char *sn_weights_format(const sn_weights *w) { return w->count ? w->parts[0].format->name : "none"; }
int sn_weights_count(const sn_weights *w) { return (int)w->views.count; }
const sn_tensor_view *sn_weights_at(const sn_weights *w, int i) { return &w->views.items[i]; }
const sn_tensor_view *sn_weights_find(const sn_weights *w, const char *name) { return sn_views_find(&w->views, name); }

const char *sn_weights_metadata(const sn_weights *w, const char *key) {
    const char *text = NULL;
    for (size_t i = 0; i < w->count && !text; i++)
        if (w->parts[i].format->metadata) text = w->parts[i].format->metadata(w->parts[i].file, key);
    return text;
}

bool sn_weights_is_name(const char *name) {
    static const char *const ends[] = {".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sn_ends_with(name, ends[i])) return true;
    return false;
}

void sn_weights_forget(const sn_weights *w, const void *bytes, size_t size) {
    for (size_t i = 0; i < w->count; i++) sn_bytes_forget(&w->parts[i].map, bytes, size);
}

bool sn_weights_file_part(const sn_weights *w, const void *bytes, sn_file_part *out) {
    for (size_t i = 0; i < w->count; i++) {
        const opened *part = &w->parts[i];
        uintptr_t start = (uintptr_t)part->map.data, at = (uintptr_t)bytes;
        if (part->fd < 0 || at < start || at >= start + part->map.size) continue;
        *out = (sn_file_part){part->fd, at - start, part->path};
        return true;
    }
    return false;
}
