/* borrowed.c: a store without masters: entries are tensors of mapped files, read in place, copied once, or read by rows.
 *
 *   view (F32, BF16, F16 or F64 in the file)
 *     -> itself                where a program wants this dtype, row-major, its bytes are aligned, and it is not small
 *     -> slot (dtype)          a plain copy: biases, say
 *     -> slot (layout)         packed by a kernel from a source that lasts a moment; then the file's pages go
 *     -> rows                  of a large table: read from the open file as they are asked for
 *
 * Copies never go stale: nothing changes these weights. */
#include <stdatomic.h>

#include "base/parallel.h"
#include "params/store.h"

sn_status sn_params_seal_for_inference(sn_params *p) {
    if (p->sealed) SN_FAIL(SN_ERR_STATE, "the parameter store is sealed already");
    p->sealed = p->borrows = true;
    p->version = 1;
    return SN_OK;
}

bool sn_params_borrows(const sn_params *p) { return p->borrows; }

sn_status sn_params_borrow(sn_params *p, int i, const sn_tensor_view *view) {
    sn_entry *e = &p->entries[i];
    if (!p->borrows) SN_FAIL(SN_ERR_STATE, "parameter \"%s\": the store has weights of its own", e->name);
    char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
    if (!sn_shape_equal(e->shape, view->type.shape))
        SN_FAIL(SN_ERR_SHAPE, "parameter \"%s\": expected shape %s, found %s", e->name, sn_shape_text(e->shape, a),
                sn_shape_text(view->type.shape, b));
    if (!sn_dtype_is_float(view->type.dtype))
        SN_FAIL(SN_ERR_SHAPE, "parameter \"%s\": expected F32, F16, BF16 or F64, found %s", e->name,
                sn_dtype_name(view->type.dtype));
    e->view = *view;
    e->view.name = e->name;
    return SN_OK;
}

void sn_params_scale_rows(sn_params *p, int i, double *scale) {
    sn_free(p->entries[i].scale);
    p->entries[i].scale = scale;
}

void sn_params_replace(sn_params *p, int i, float *numbers) {
    sn_entry *e = &p->entries[i];
    sn_free(e->own);
    e->own = numbers;
    e->view.data = numbers;
    e->view.type.dtype = SN_F32;
    e->view.bytes = e->count * sizeof *numbers;
}

sn_stretch sn_params_all(const sn_params *p, int i) { return (sn_stretch){0, p->entries[i].count}; }

void sn_params_keep(sn_params *p, void *owner, const sn_lender *lender) {
    if (p->lender) p->lender->release(p->owner);
    p->owner = owner;
    p->lender = lender;
}

sn_dtype sn_params_stored(const sn_params *p, int i) {
    const sn_entry *e = &p->entries[i];
    return p->borrows && e->view.data ? e->view.type.dtype : SN_F32;
}

static sn_status check(const sn_params *p, int i, sn_dtype dtype) {
    const sn_entry *e = &p->entries[i];
    if (!p->borrows) SN_FAIL(SN_ERR_STATE, "parameter \"%s\": the store has weights of its own", e->name);
    if (!e->view.data && e->count) SN_FAIL(SN_ERR_STATE, "parameter \"%s\" has no weights yet", e->name);
    if (dtype != SN_F32 && dtype != SN_BF16 && dtype != SN_F16)
        SN_FAIL(SN_ERR_UNSUPPORTED, "parameter \"%s\" wanted as %s", e->name, sn_dtype_name(dtype));
    return SN_OK;
}

static bool as_it_is(const sn_entry *e, sn_dtype dtype) {
    return !e->scale && e->view.type.dtype == dtype && (uintptr_t)e->view.data % sn_dtype_size(dtype) == 0;
}

/* The system maps many pages around each one of a file that is read: in its place a small tensor would keep them there. */
enum { SMALL = 1 << 16 }; /* bytes */

static void multiply(const sn_entry *e, float *x, size_t first, size_t n) {
    size_t row = e->count / (size_t)e->shape.dim[0];
    for (size_t i = 0; i < n; i++) x[i] = (float)((double)x[i] * e->scale[(first + i) / row]);
}

/* Elements [from, end) of the entry, which go to `to` from its element from - base on. */
static sn_status convert_part(const sn_entry *e, sn_dtype dtype, void *to, size_t base, size_t from, size_t end) {
    enum { PIECE = 1 << 12 };
    float wide[PIECE];
    for (size_t at = from; at < end; at += PIECE) {
        size_t n = end - at < PIECE ? end - at : PIECE;
        float *x = dtype == SN_F32 ? (float *)to + (at - base) : wide;
        SN_TRY(sn_tensor_part_to_f32(&e->view, at, n, x));
        if (e->scale) multiply(e, x, at, n);
        if (dtype != SN_F32) sn_floats_put(dtype, wide, to, (int64_t)(at - base), (int64_t)n);
    }
    return SN_OK;
}

static sn_status convert(const sn_entry *e, sn_dtype dtype, void *to) {
    if (e->scale || e->view.type.dtype != dtype) return convert_part(e, dtype, to, 0, 0, e->count);
    if (e->view.bytes) memcpy(to, e->view.data, e->view.bytes);
    return SN_OK;
}

sn_status sn_params_plain(sn_params *p, int i, sn_dtype dtype, const void **out) {
    enum { PLAIN = 0x506c6169 }; /* no kernel's layout has a key this small */
    SN_TRY(check(p, i, dtype));
    const sn_entry *e = &p->entries[i];
    *out = e->view.data;
    if (as_it_is(e, dtype) && (e->own || e->view.bytes >= SMALL)) return SN_OK;
    sn_packed *slot;
    sn_params_lock(p);
    sn_status status = sn_slot_of(p, i, (uint64_t)PLAIN + (uint64_t)dtype, e->count * sn_dtype_size(dtype), &slot);
    if (status == SN_OK && !slot->version) {
        status = convert(e, dtype, slot->data);
        if (status == SN_OK) slot->version = p->version;
        sn_params_give_back(p, i, sn_params_all(p, i));
    }
    if (status == SN_OK) *out = slot->data;
    sn_params_unlock(p);
    return status;
}

/* ---- a copy in another dtype, by several threads ---- */

enum { CHUNK = 1 << 16 };
typedef struct conversion {
    const sn_entry *e;
    sn_stretch part;
    sn_dtype dtype;
    void *to;
    atomic_bool failed;
} conversion;

static void convert_chunk(void *context, int64_t chunk) {
    conversion *c = context;
    size_t first = c->part.first, stop = first + c->part.count, from = first + (size_t)chunk * CHUNK;
    size_t end = from + CHUNK < stop ? from + CHUNK : stop;
    if (convert_part(c->e, c->dtype, c->to, first, from, end) != SN_OK) atomic_store(&c->failed, true);
}

sn_status sn_params_source(sn_params *p, int i, sn_stretch part, sn_dtype dtype, int threads, const void **out, void **room, size_t *bytes) {
    SN_TRY(check(p, i, dtype));
    const sn_entry *e = &p->entries[i];
    *out = e->view.data ? (const char *)e->view.data + part.first * sn_dtype_size(dtype) : NULL;
    if (as_it_is(e, dtype)) return SN_OK;
    SN_TRY(sn_pages_reserve(room, bytes, part.count * sn_dtype_size(dtype)));
    conversion c = {e, part, dtype, *room, false};
    sn_parallel(threads, ((int64_t)part.count + CHUNK - 1) / CHUNK, convert_chunk, &c);
    *out = *room;
    if (!atomic_load(&c.failed)) return SN_OK;
    return convert_part(e, dtype, *room, part.first, part.first, part.first + part.count); /* whose error is this thread's */
}

void sn_params_give_back(const sn_params *p, int i, sn_stretch part) {
    const sn_entry *e = &p->entries[i];
    size_t each = sn_dtype_size(e->view.type.dtype);
    if (p->lender) p->lender->forget(p->owner, (const char *)e->view.data + part.first * each, part.count * each);
}

/* ---- rows ---- */

/* A smaller table stays where it is mapped: all of it is soon read (positions, say), and a call for each row would cost more. */
enum { LARGE_TABLE = 4 << 20 }; /* bytes */

sn_status sn_params_rows(sn_params *p, int i, sn_dtype dtype, sn_row_source *out) {
    *out = (sn_row_source){0};
    SN_TRY(check(p, i, dtype));
    const sn_entry *e = &p->entries[i];
    bool stored = !e->scale && !e->own && e->view.type.dtype == dtype;
    if (stored && e->view.bytes >= LARGE_TABLE && p->lender && p->lender->file_part(p->owner, e->view.data, &out->part)) return SN_OK;
    return sn_params_plain(p, i, dtype, &out->data);
}

sn_status sn_row_read(sn_type matrix, const void *rows, int64_t row, int64_t from, int64_t n, void *out) {
    const sn_row_source *r = rows;
    size_t each = sn_dtype_size(matrix.dtype), first = (size_t)(row * matrix.shape.dim[1] + from) * each;
    if (!r->data) return sn_file_part_read(&r->part, first, (size_t)n * each, out);
    memcpy(out, (const char *)r->data + first, (size_t)n * each);
    return SN_OK;
}

size_t sn_params_bytes(sn_params *p) {
    size_t bytes = 0;
    sn_params_lock(p);
    if (p->flat) bytes += p->total * sizeof *p->flat;
    if (p->gradients) bytes += p->total * sizeof *p->gradients;
    if (p->shadow) bytes += p->total * sizeof *p->shadow;
    for (size_t i = 0; i < p->count; i++)
        for (const sn_slot *slot = p->entries[i].slots; slot; slot = slot->next) bytes += slot->packed.bytes;
    sn_params_unlock(p);
    return bytes;
}
