/* torch_file.c: from a checkpoint's bytes to views.
 *
 *   since PyTorch 1.6   a zip archive:  X/data.pkl (the object), X/byteorder, X/data/<key> (a storage each)
 *   before              pickles in a row: magic number, protocol, facts on the machine, the object, the keys of
 *                       the storages; then for each key u64 elements | elements
 *
 *   object -> walk -> (storage, offset, size, stride) -> view, or a copy where the strides are not row-major
 *
 * A tensor names its storage by a "persistent id", ("storage", type, key, device, elements). The walk is bounded in
 * depth and by the pickle's length, so a pickle that names one dictionary many times over cannot grow; all copies
 * together may not be larger than the file. */
#include "params/torch_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "params/pickle.h"
#include "params/zip.h"

enum { DEPTH_MOST = 32, KEY_MOST = 64, LEGACY_PROTOCOL = 1001 };

typedef enum tag { OTHER, SIZE, TENSOR, TENSOR_V3, PARAMETER, SUBCLASS, STORAGE, BYTES, DTYPE } tag;

static const sn_pickle_global known[] = {
#define NAME(module, name, call, tag, dtype) {module, name, call, tag, dtype},
#include "params/torch_globals.def"
#undef NAME
};
enum { KNOWN = sizeof known / sizeof *known };

typedef struct storage {
    const unsigned char *data;
    size_t bytes;
} storage;

struct sn_torch_file {
    sn_views views;
    sn_arena arena; /* names, copies */
};

typedef struct reader {
    sn_torch_file *file;
    const unsigned char *bytes;
    size_t size;
    sn_pickle pickle;
    sn_zip zip;
    const char *prefix; /* of the archive's members; NULL: the old layout */
    sn_map keys;        /* the old layout: key -> storages[i] */
    storage *storages;
    size_t storage_count, storage_room;
    sn_buf name;
    size_t steps, copied, name_bytes;
} reader;

/* ---- storages ---- */

typedef struct storage_id {
    const sn_pickle_global *type;
    const char *key;
    size_t key_bytes;
    size_t elements, first; /* first: of the part that this storage is a view of (PyTorch 0.3) */
} storage_id;

static sn_status whole(const sn_pickle_value *v, const char *what, size_t *out) {
    *out = 0;
    if (v->kind != SN_PICKLE_INT || v->integer < 0) SN_FAIL(SN_ERR_FORMAT, "%s is not a whole number >= 0", what);
    *out = (size_t)v->integer;
    return SN_OK;
}

static sn_status read_id(const sn_pickle_value *v, storage_id *id) {
    if (v->kind != SN_PICKLE_PERSISTENT) SN_FAIL(SN_ERR_FORMAT, "a tensor without storage");
    const sn_pickle_value *tuple = v->inner;
    sn_pickle_value *const *item = tuple->list.items;
    if (tuple->kind != SN_PICKLE_TUPLE || tuple->list.count < 5 || tuple->list.count > 6 || !sn_pickle_is(item[0], "storage")
        || item[1]->kind != SN_PICKLE_GLOBAL || item[2]->kind != SN_PICKLE_TEXT)
        SN_FAIL(SN_ERR_FORMAT, "the name of a storage is not (\"storage\", type, key, device, elements)");
    *id = (storage_id){.type = item[1]->global, .key = item[2]->text.at, .key_bytes = item[2]->text.bytes};
    if (id->type->tag != STORAGE && id->type->tag != BYTES)
        SN_FAIL(SN_ERR_FORMAT, "\"%s.%s\" is no type of storage", id->type->module, id->type->name);
    SN_TRY(whole(item[4], "a storage's length", &id->elements));
    if (tuple->list.count == 6 && item[5]->kind != SN_PICKLE_NONE)
        SN_FAIL(SN_ERR_UNSUPPORTED, "a storage that is part of another, as PyTorch wrote before 0.4; save it again with a newer one");
    return SN_OK;
}

static sn_status no_storage(const storage_id *id) {
    int shown = id->key_bytes < KEY_MOST ? (int)id->key_bytes : KEY_MOST;
    SN_FAIL(SN_ERR_FORMAT, "storage \"%.*s\" is not in the file", shown, id->key);
}

static sn_status find_member(const reader *r, const storage_id *id, storage *out) {
    char path[4096 + KEY_MOST + 8];
    int n = id->key_bytes > KEY_MOST || memchr(id->key, 0, id->key_bytes)
                ? -1 : snprintf(path, sizeof path, "%sdata/%.*s", r->prefix, (int)id->key_bytes, id->key);
    const sn_zip_member *member = n > 0 && (size_t)n < sizeof path ? sn_zip_find(&r->zip, path) : NULL;
    if (!member) return no_storage(id);
    *out = (storage){member->data, member->size};
    return SN_OK;
}

static sn_status find_storage(const reader *r, const storage_id *id, storage *out) {
    if (r->prefix) {
        SN_TRY(find_member(r, id, out));
    } else {
        int64_t i = sn_map_get(&r->keys, id->key, id->key_bytes);
        if (i < 0) return no_storage(id);
        *out = r->storages[i];
    }
    size_t bytes;
    if (sn_mul_overflow(id->elements, sn_dtype_size((sn_dtype)id->type->value), &bytes) || bytes != out->bytes)
        SN_FAIL(SN_ERR_FORMAT, "a storage of %zu elements of %s has %zu bytes in the file", id->elements,
                sn_dtype_name((sn_dtype)id->type->value), out->bytes);
    return SN_OK;
}

/* ---- one tensor ---- */

typedef struct strided {
    sn_type type;
    size_t stride[SN_MAX_RANK];
    size_t first; /* element of the storage */
    storage from;
} strided;

static sn_status read_dims(const sn_pickle_value *size, const sn_pickle_value *stride, strided *t) {
    if (size->kind == SN_PICKLE_CALL && size->global->tag == SIZE && size->list.count == 1) size = size->list.items[0];
    if (size->kind != SN_PICKLE_TUPLE || stride->kind != SN_PICKLE_TUPLE || size->list.count != stride->list.count)
        SN_FAIL(SN_ERR_FORMAT, "its size and strides are not two lists of the same length");
    if (size->list.count > SN_MAX_RANK) SN_FAIL(SN_ERR_UNSUPPORTED, "rank %zu, at most %d is possible", size->list.count, SN_MAX_RANK);
    t->type.shape = (sn_shape){.rank = (int32_t)size->list.count};
    for (size_t d = 0; d < size->list.count; d++) {
        size_t n;
        SN_TRY(whole(size->list.items[d], "a dimension", &n));
        SN_TRY(whole(stride->list.items[d], "a stride", &t->stride[d]));
        t->type.shape.dim[d] = (int64_t)n;
    }
    return SN_OK;
}

/* (storage, offset, size, stride, …): version 3 names the dtype at place 6, for types without a storage type. */
static sn_status read_strided(const reader *r, const sn_pickle_global *function, sn_pickle_value *const *item, size_t items, strided *t) {
    size_t least = function->tag == TENSOR_V3 ? 7 : 4;
    storage_id id;
    if (items < least) SN_FAIL(SN_ERR_FORMAT, "\"%s\" needs %zu arguments, it has %zu", function->name, least, items);
    SN_TRY(read_id(item[0], &id));
    SN_TRY(find_storage(r, &id, &t->from));
    t->type.dtype = (sn_dtype)id.type->value;
    if (function->tag == TENSOR_V3) {
        if (item[6]->kind != SN_PICKLE_GLOBAL || item[6]->global->tag != DTYPE) SN_FAIL(SN_ERR_FORMAT, "its dtype is not one");
        t->type.dtype = (sn_dtype)item[6]->global->value;
    } else if (id.type->tag == BYTES) {
        SN_FAIL(SN_ERR_FORMAT, "a tensor over bytes without a dtype");
    }
    SN_TRY(whole(item[1], "its offset", &t->first));
    return read_dims(item[2], item[3], t);
}

static sn_status check_bounds(const strided *t) {
    size_t last = t->first, elements = t->from.bytes / sn_dtype_size(t->type.dtype);
    char shape[SN_SHAPE_TEXT];
    if (!sn_shape_count(t->type.shape)) return SN_OK;
    for (int d = 0; d < t->type.shape.rank; d++) {
        size_t reach;
        if (sn_mul_overflow((size_t)t->type.shape.dim[d] - 1, t->stride[d], &reach) || reach > SIZE_MAX - last) last = SIZE_MAX;
        else last += reach;
    }
    if (last >= elements)
        SN_FAIL(SN_ERR_FORMAT, "shape %s from element %zu reaches beyond its storage of %zu elements", sn_shape_text(t->type.shape, shape),
                t->first, elements);
    return SN_OK;
}

static bool is_contiguous(const strided *t) {
    size_t expected = 1;
    for (int d = t->type.shape.rank - 1; d >= 0; d--) {
        if (t->type.shape.dim[d] != 1 && t->stride[d] != expected) return false;
        expected *= (size_t)t->type.shape.dim[d];
    }
    return true;
}

/* Row-major order, one index after the other, as an odometer counts. */
static void gather(const strided *t, size_t count, unsigned char *to) {
    size_t width = sn_dtype_size(t->type.dtype), at = t->first;
    int64_t index[SN_MAX_RANK] = {0};
    for (size_t i = 0; i < count; i++) {
        memcpy(to + i * width, t->from.data + at * width, width);
        for (int d = t->type.shape.rank - 1; d >= 0; d--) {
            at += t->stride[d];
            if (++index[d] < t->type.shape.dim[d]) break;
            at -= t->stride[d] * (size_t)t->type.shape.dim[d];
            index[d] = 0;
        }
    }
}

static sn_status view_of(reader *r, const strided *t, sn_tensor_view *view) {
    SN_TRY(sn_type_bytes(t->type, &view->bytes));
    SN_TRY(check_bounds(t));
    size_t count = (size_t)sn_shape_count(t->type.shape), width = sn_dtype_size(t->type.dtype);
    view->type = t->type;
    view->data = t->from.data;
    if (!count) return SN_OK;
    view->data = t->from.data + t->first * width;
    if (is_contiguous(t)) return SN_OK;
    r->copied += view->bytes;
    if (view->bytes > r->size || r->copied > r->size)
        SN_FAIL(SN_ERR_UNSUPPORTED, "written out, expanded tensors are larger than the file of %zu bytes; save a contiguous() copy", r->size);
    unsigned char *copy = sn_arena_alloc(&r->file->arena, view->bytes, 1);
    if (!copy) return SN_ERR_MEMORY;
    gather(t, count, copy);
    view->data = copy;
    return SN_OK;
}

static sn_status add_tensor(reader *r, const sn_pickle_global *function, sn_pickle_value *const *item, size_t items) {
    strided t = {0};
    sn_tensor_view view = {0};
    SN_TRY(sn_buf_check(&r->name));
    const char *name = r->name.data ? r->name.data : "";
    sn_status status = read_strided(r, function, item, items, &t);
    if (status == SN_OK) status = view_of(r, &t, &view);
    if (status == SN_ERR_MEMORY) return status;
    if (status != SN_OK) return sn_fail_in("tensor \"%.200s\"", name);
    r->name_bytes += r->name.size;
    if (r->name_bytes / 16 > r->pickle.used) SN_FAIL(SN_ERR_FORMAT, "names of tensors are longer than the file accounts for");
    view.name = sn_arena_strdup(&r->file->arena, name);
    return view.name ? sn_views_add(&r->file->views, view) : SN_ERR_MEMORY;
}

/* ---- the walk ---- */

static sn_status walk(reader *r, const sn_pickle_value *v, int depth);

static sn_status walk_call(reader *r, const sn_pickle_value *call, int depth) {
    sn_pickle_value *const *item = call->list.items;
    size_t n = call->list.count;
    switch ((tag)call->global->tag) {
    case TENSOR:
    case TENSOR_V3: return add_tensor(r, call->global, item, n);
    case PARAMETER: return n ? walk(r, item[0], depth + 1) : SN_OK;
    case SUBCLASS: /* (function, class, its arguments, attributes) */
        if (n < 3 || item[0]->kind != SN_PICKLE_GLOBAL || (item[0]->global->tag != TENSOR && item[0]->global->tag != TENSOR_V3)
            || item[2]->kind != SN_PICKLE_TUPLE)
            SN_FAIL(SN_ERR_FORMAT, "a tensor that is rebuilt in an unknown way");
        return add_tensor(r, item[0]->global, item[2]->list.items, item[2]->list.count);
    default: return SN_OK;
    }
}

static sn_status add_key(reader *r, const sn_pickle_value *key, size_t index) {
    if (r->name.size) sn_buf_puts(&r->name, ".");
    if (!key) sn_buf_printf(&r->name, "%zu", index);
    else if (key->kind == SN_PICKLE_INT) sn_buf_printf(&r->name, "%lld", (long long)key->integer);
    else if (key->kind == SN_PICKLE_TEXT && !(key->text.bytes && memchr(key->text.at, 0, key->text.bytes)))
        sn_buf_add(&r->name, key->text.at, key->text.bytes);
    else sn_buf_printf(&r->name, "(%zu)", index); /* a key that can be no name */
    return sn_buf_check(&r->name);
}

static sn_status walk_items(reader *r, const sn_pickle_value *v, int depth) {
    size_t step = v->kind == SN_PICKLE_DICT ? 2 : 1;
    for (size_t i = 0; i + step <= v->list.count; i += step) {
        const sn_pickle_value *item = v->list.items[i + step - 1];
        if (item->kind < SN_PICKLE_TUPLE || item->kind == SN_PICKLE_GLOBAL) {
            r->steps++;
            continue;
        }
        size_t before = r->name.size;
        SN_TRY(add_key(r, step == 2 ? v->list.items[i] : NULL, i / step));
        SN_TRY(walk(r, item, depth + 1));
        r->name.size = before;
        if (r->name.data) r->name.data[before] = '\0';
    }
    return SN_OK;
}

static sn_status walk(reader *r, const sn_pickle_value *v, int depth) {
    if (depth > DEPTH_MOST) SN_FAIL(SN_ERR_FORMAT, "\"%.200s\" is nested deeper than %d levels", r->name.data ? r->name.data : "", DEPTH_MOST);
    if (++r->steps > r->pickle.used) SN_FAIL(SN_ERR_FORMAT, "the same values are named again and again, more often than the file is long");
    switch (v->kind) {
    case SN_PICKLE_TUPLE:
    case SN_PICKLE_LIST:
    case SN_PICKLE_DICT: return walk_items(r, v, depth);
    case SN_PICKLE_CALL: return walk_call(r, v, depth);
    default: return SN_OK;
    }
}

/* ---- the zip layout ---- */

static sn_status find_prefix(reader *r) {
    const sn_zip_member *found = NULL;
    for (size_t i = 0; i < r->zip.count; i++) {
        const sn_zip_member *m = &r->zip.members[i];
        size_t n = strlen(m->name);
        bool here = !strcmp(m->name, "data.pkl") || (n > 9 && !strcmp(m->name + n - 9, "/data.pkl"));
        if (here && found) SN_FAIL(SN_ERR_FORMAT, "two objects, \"%.200s\" and \"%.200s\"", found->name, m->name);
        if (here) found = m;
    }
    if (!found) SN_FAIL(SN_ERR_FORMAT, "a zip archive without data.pkl: not a file that torch.save wrote");
    char *prefix = sn_arena_strdup(&r->zip.names, found->name);
    if (!prefix) return SN_ERR_MEMORY;
    prefix[strlen(prefix) - 8] = '\0';
    r->prefix = prefix;
    return sn_pickle_parse(found->data, found->size, known, KNOWN, &r->pickle);
}

static sn_status read_zip(reader *r) {
    char path[4096 + 16];
    SN_TRY(sn_zip_parse(r->bytes, r->size, &r->zip));
    SN_TRY(find_prefix(r));
    (void)snprintf(path, sizeof path, "%sbyteorder", r->prefix);
    const sn_zip_member *order = sn_zip_find(&r->zip, path);
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        SN_FAIL(SN_ERR_UNSUPPORTED, "its numbers are big-endian; save it on a little-endian machine");
    (void)snprintf(path, sizeof path, "%sconstants.pkl", r->prefix);
    if (sn_zip_find(&r->zip, path)) SN_FAIL(SN_ERR_UNSUPPORTED, "a TorchScript program, not weights; save its state_dict()");
    return walk(r, r->pickle.root, 0);
}

/* ---- the old layout ---- */

/* Ten bytes of magic in a pickle of their own. */
static const unsigned char magic[] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

static sn_status next_pickle(const reader *r, size_t *at, sn_pickle *out) {
    sn_status status = sn_pickle_parse(r->bytes + *at, r->size - *at, known, KNOWN, out);
    if (status != SN_OK && status != SN_ERR_MEMORY) (void)sn_fail_in("at byte %zu", *at);
    *at += out->used;
    return status;
}

static const sn_pickle_value *entry(const sn_pickle_value *dict, const char *key) {
    for (size_t i = 0; dict->kind == SN_PICKLE_DICT && i + 1 < dict->list.count; i += 2)
        if (sn_pickle_is(dict->list.items[i], key)) return dict->list.items[i + 1];
    return NULL;
}

static sn_status check_facts(const sn_pickle_value *protocol, const sn_pickle_value *facts) {
    const sn_pickle_value *little = entry(facts, "little_endian");
    if (protocol->kind != SN_PICKLE_INT || protocol->integer != LEGACY_PROTOCOL)
        SN_FAIL(SN_ERR_UNSUPPORTED, "a checkpoint of an unknown protocol, expected %d", LEGACY_PROTOCOL);
    if (little && (little->kind != SN_PICKLE_BOOL || !little->integer))
        SN_FAIL(SN_ERR_UNSUPPORTED, "its numbers are big-endian; save it on a little-endian machine");
    return SN_OK;
}

/* Keys to storages: bytes an element first, then the data, which lies in the order of the list of keys. */
static sn_status learn_widths(reader *r) {
    for (size_t i = 0; i < r->pickle.persistents; i++) {
        storage_id id;
        SN_TRY(read_id(r->pickle.persistent[i], &id));
        int64_t seen = sn_map_get(&r->keys, id.key, id.key_bytes);
        size_t width = sn_dtype_size((sn_dtype)id.type->value);
        if (seen >= 0 && r->storages[seen].bytes != width) SN_FAIL(SN_ERR_FORMAT, "a storage of two types");
        if (seen >= 0) continue;
        storage *storages = sn_grow(r->storages, r->storage_count, &r->storage_room, sizeof *storages);
        if (!storages) return SN_ERR_MEMORY;
        r->storages = storages;
        storages[r->storage_count] = (storage){.bytes = width};
        SN_TRY(sn_map_put(&r->keys, id.key, id.key_bytes, (int64_t)r->storage_count++));
    }
    return SN_OK;
}

static sn_status place_storage(reader *r, const sn_pickle_value *key, size_t *at) {
    int64_t i = key->kind == SN_PICKLE_TEXT ? sn_map_get(&r->keys, key->text.at, key->text.bytes) : -1;
    if (i < 0 || r->storages[i].data) SN_FAIL(SN_ERR_FORMAT, "the list of storages does not agree with the tensors");
    uint64_t elements = 0;
    size_t bytes;
    if (r->size - *at < 8) SN_FAIL(SN_ERR_FORMAT, "the file ends before its storages: it was cut short");
    for (int b = 7; b >= 0; b--) elements = elements << 8 | r->bytes[*at + (size_t)b];
    *at += 8;
    if (sn_mul_overflow((size_t)elements, r->storages[i].bytes, &bytes) || bytes > r->size - *at)
        SN_FAIL(SN_ERR_FORMAT, "a storage of %llu elements does not fit in the file: it was cut short", (unsigned long long)elements);
    r->storages[i] = (storage){r->bytes + *at, bytes};
    *at += bytes;
    return SN_OK;
}

static sn_status read_storages(reader *r, const sn_pickle_value *keys, size_t at) {
    if (keys->kind != SN_PICKLE_LIST) SN_FAIL(SN_ERR_FORMAT, "the list of storages is missing");
    SN_TRY(learn_widths(r));
    for (size_t i = 0; i < keys->list.count; i++) SN_TRY(place_storage(r, keys->list.items[i], &at));
    for (size_t i = 0; i < r->storage_count; i++)
        if (!r->storages[i].data) r->storages[i].bytes = 0; /* not in the list: find_storage says so unless it is empty */
    return walk(r, r->pickle.root, 0);
}

static sn_status read_legacy(reader *r) {
    sn_pickle protocol, facts = {0}, keys = {0};
    size_t at = sizeof magic;
    sn_status status = next_pickle(r, &at, &protocol);
    if (status == SN_OK) status = next_pickle(r, &at, &facts);
    if (status == SN_OK) status = check_facts(protocol.root, facts.root);
    if (status == SN_OK) status = next_pickle(r, &at, &r->pickle);
    if (status == SN_OK) status = next_pickle(r, &at, &keys);
    if (status == SN_OK) status = read_storages(r, keys.root, at);
    sn_pickle_free(&protocol);
    sn_pickle_free(&facts);
    sn_pickle_free(&keys);
    return status;
}

/* ---- the whole ---- */

bool sn_torch_sniff(const void *bytes, size_t size) {
    return sn_zip_sniff(bytes, size) || (size >= sizeof magic && !memcmp(bytes, magic, sizeof magic));
}

sn_status sn_torch_parse(const char *name, const void *bytes, size_t size, sn_torch_file **out) {
    *out = NULL;
    reader r = {.file = sn_alloc(1, sizeof *r.file), .bytes = bytes, .size = size};
    if (!r.file) return SN_ERR_MEMORY;
    sn_status status;
    if (sn_zip_sniff(bytes, size)) status = read_zip(&r);
    else if (sn_torch_sniff(bytes, size)) status = read_legacy(&r);
    else status = sn_fail(SN_ERR_FORMAT, "not a file that torch.save wrote");
    if (status != SN_OK && status != SN_ERR_MEMORY) {
        (void)sn_fail_in("%s", name);
        (void)sn_fail_at(name, 0, NULL);
    }
    sn_pickle_free(&r.pickle);
    sn_zip_free(&r.zip);
    sn_map_free(&r.keys);
    sn_free(r.storages);
    sn_buf_free(&r.name);
    if (status == SN_OK) status = sn_views_sort(&r.file->views, name);
    if (status == SN_OK) *out = r.file;
    else sn_torch_free(r.file);
    return status;
}

void sn_torch_free(sn_torch_file *file) {
    if (!file) return;
    sn_views_free(&file->views);
    sn_arena_free(&file->arena);
    sn_free(file);
}

const sn_views *sn_torch_views(const sn_torch_file *file) { return &file->views; }
