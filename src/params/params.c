/* params.c: declaring, laying out and filling the store.
 *
 *   declare  "a" [3, 5]   "b" [7]         offsets 0, 16            (each a multiple of 16 elements)
 *   seal     masters  f32  [aaaaaaaaaaaaaaa.|bbbbbbb.........]     one zeroed range of pages
 *   later    gradients f32, shadow bf16: the same layout, made when first asked for
 *
 * The padding belongs to the entry before it and stays zero, so passes over the flat range (optimiser, norm,
 * shadow) work in whole vectors and need no tails. */
#include <math.h>

#include "base/parallel.h"
#include "base/rng.h"
#include "params/store.h"

sn_status sn_params_create(sn_params **out) {
    *out = sn_alloc(1, sizeof **out);
    if (*out) (void)pthread_mutex_init(&(*out)->lock, NULL);
    return *out ? SN_OK : SN_ERR_MEMORY;
}

void sn_params_lock(sn_params *p) { (void)pthread_mutex_lock(&p->lock); }
void sn_params_unlock(sn_params *p) { (void)pthread_mutex_unlock(&p->lock); }

void sn_params_free(sn_params *p) {
    if (!p) return;
    for (size_t i = 0; i < p->count; i++) {
        sn_slots_free(p->entries[i].slots);
        sn_free(p->entries[i].scale);
        sn_free(p->entries[i].own);
        sn_free(p->entries[i].name);
    }
    sn_free(p->entries);
    sn_map_free(&p->names);
    sn_pages_free(p->flat, p->total * sizeof *p->flat);
    sn_pages_free(p->gradients, p->total * sizeof *p->gradients);
    sn_pages_free(p->shadow, p->total * sizeof *p->shadow);
    if (p->lender) p->lender->release(p->owner);
    (void)pthread_mutex_destroy(&p->lock);
    sn_free(p);
}

/* ---- declaring ---- */

static sn_status check_shape(const char *name, sn_shape shape) {
    if (shape.rank < 0 || shape.rank > SN_MAX_RANK)
        SN_FAIL(SN_ERR_SHAPE, "parameter \"%s\": rank %d, at most %d is possible", name, shape.rank, SN_MAX_RANK);
    size_t bytes;
    if (sn_type_bytes((sn_type){shape, SN_F32}, &bytes) != SN_OK) return sn_fail_in("parameter \"%s\"", name);
    return SN_OK;
}

static sn_status found_again(const sn_params *p, int64_t i, sn_shape shape, int *index) {
    const sn_entry *e = &p->entries[i];
    if (!sn_shape_equal(e->shape, shape)) {
        char expected[SN_SHAPE_TEXT], found[SN_SHAPE_TEXT];
        SN_FAIL(SN_ERR_SHAPE, "parameter \"%s\": expected shape %s, found %s", e->name,
                sn_shape_text(e->shape, expected), sn_shape_text(shape, found));
    }
    *index = (int)i;
    return SN_OK;
}

static sn_status append(sn_params *p, const char *name, sn_shape shape, sn_init init, int *index) {
    size_t count = (size_t)sn_shape_count(shape), padded = (count + SN_ALIGN_ELEMENTS - 1) & ~(size_t)(SN_ALIGN_ELEMENTS - 1);
    if (padded > SIZE_MAX / 16 - p->total) SN_FAIL(SN_ERR_SHAPE, "parameter \"%s\": the store would be too large", name);
    if (p->count >= INT32_MAX) SN_FAIL(SN_ERR_USAGE, "parameter \"%s\": too many parameters", name);
    sn_entry *entries = sn_grow(p->entries, p->count, &p->capacity, sizeof *entries);
    if (!entries) return SN_ERR_MEMORY;
    p->entries = entries;
    char *copy = sn_strdup(name);
    if (!copy) return SN_ERR_MEMORY;
    sn_status status = sn_map_put(&p->names, name, strlen(name), (int64_t)p->count);
    if (status != SN_OK) {
        sn_free(copy);
        return status;
    }
    p->entries[p->count] = (sn_entry){.name = copy, .shape = shape, .init = init, .offset = p->total, .count = count,
                                      .rate = 1.0f, .trainable = !(init.flags & (SN_PARAM_STATE | SN_PARAM_FIXED))};
    *index = (int)p->count++;
    p->total += padded;
    return SN_OK;
}

sn_status sn_params_declare(sn_params *p, const char *name, sn_shape shape, sn_init init, int *index) {
    *index = -1;
    if (!name || !name[0]) SN_FAIL(SN_ERR_USAGE, "a parameter needs a name");
    int64_t known = sn_map_get(&p->names, name, strlen(name));
    if (known >= 0) return found_again(p, known, shape, index);
    SN_TRY(check_shape(name, shape));
    if (!p->sealed) return append(p, name, shape, init, index);
    char found[SN_SHAPE_TEXT];
    SN_FAIL(SN_ERR_SHAPE, "parameter \"%s\": expected one of the %zu of the sealed store, found a new one of shape %s",
            name, p->count, sn_shape_text(shape, found));
}

sn_status sn_params_seal(sn_params *p) {
    if (p->sealed) SN_FAIL(SN_ERR_STATE, "the parameter store is sealed already");
    p->flat = sn_pages(p->total * sizeof *p->flat);
    if (!p->flat) return SN_ERR_MEMORY;
    p->sealed = true;
    p->version = 1;
    return SN_OK;
}

bool sn_params_sealed(const sn_params *p) { return p->sealed; }

/* ---- questions ---- */

int sn_params_count(const sn_params *p) { return (int)p->count; }
int sn_params_find(const sn_params *p, const char *name) { return (int)sn_map_get(&p->names, name, strlen(name)); }
const char *sn_params_name(const sn_params *p, int i) { return p->entries[i].name; }
sn_shape sn_params_shape(const sn_params *p, int i) { return p->entries[i].shape; }
sn_init sn_params_init_of(const sn_params *p, int i) { return p->entries[i].init; }
size_t sn_params_offset(const sn_params *p, int i) { return p->entries[i].offset; }
size_t sn_params_total(const sn_params *p) { return p->total; }
float *sn_params_flat(sn_params *p) { return p->flat; }
float *sn_params_data(sn_params *p, int i) { return p->flat ? p->flat + p->entries[i].offset : NULL; }
bool sn_params_trainable(const sn_params *p, int i) { return p->entries[i].trainable; }
float sn_params_rate(const sn_params *p, int i) { return p->entries[i].rate; }
void sn_params_set_rate(sn_params *p, int i, float factor) { p->entries[i].rate = factor; }
uint64_t sn_params_version(const sn_params *p) { return p->version; }
uint16_t *sn_params_shadow_if_any(sn_params *p) { return p->shadow; }

void sn_params_set_trainable(sn_params *p, int i, bool trainable) {
    sn_entry *e = &p->entries[i];
    e->trainable = trainable && !(e->init.flags & (SN_PARAM_STATE | SN_PARAM_FIXED));
}

int sn_params_at(const sn_params *p, size_t offset) {
    size_t low = 0, high = p->count;
    while (low < high) { /* the first entry that starts after `offset` */
        size_t middle = low + (high - low) / 2;
        if (p->entries[middle].offset <= offset) low = middle + 1;
        else high = middle;
    }
    return (int)low - 1;
}

/* ---- filling ---- */

typedef struct fill_job {
    sn_params *p;
    uint64_t seed;
} fill_job;

/* Element e of a parameter comes from word e % 4 of block e / 4, whatever part of it is asked for. */
static void fill_uniform(float *x, size_t from, size_t to, float scale, sn_rng_key key) {
    uint32_t w[4];
    for (size_t e = from; e < to; e++) {
        if (e == from || e % 4 == 0) sn_rng_block(key, e / 4, 0, w);
        x[e] = ((float)(w[e % 4] >> 8) * 0x1p-23f - 1.0f) * scale;
    }
}

/* Box-Muller on both pairs of a block: words 0 and 1 give elements 0 and 1, words 2 and 3 the others. */
static void normals(sn_rng_key key, uint64_t block, float out[4]) {
    uint32_t w[4];
    sn_rng_block(key, block, 0, w);
    for (int i = 0; i < 4; i += 2) {
        float u = (float)w[i] * 0x1p-32f + 0x1p-33f; /* (0, 1] */
        float r = sqrtf(-2.0f * logf(u)), angle = (float)(w[i + 1] >> 8) * (6.2831853f * 0x1p-24f);
        out[i] = r * cosf(angle);
        out[i + 1] = r * sinf(angle);
    }
}

static void fill_normal(float *x, size_t from, size_t to, float scale, sn_rng_key key) {
    float four[4];
    for (size_t e = from; e < to; e++) {
        if (e == from || e % 4 == 0) normals(key, e / 4, four);
        x[e] = four[e % 4] * scale;
    }
}

static void fill_entry(const fill_job *job, const sn_entry *e, size_t from, size_t to) {
    float *x = job->p->flat + e->offset;
    sn_rng_key key = {job->seed, sn_hash(e->name, strlen(e->name))};
    switch (e->init.kind) {
    case SN_INIT_ZEROS: memset(x + from, 0, (to - from) * sizeof *x); break;
    case SN_INIT_ONES:
        for (size_t k = from; k < to; k++) x[k] = 1.0f;
        break;
    case SN_INIT_UNIFORM: fill_uniform(x, from, to, e->init.scale, key); break;
    case SN_INIT_NORMAL: fill_normal(x, from, to, e->init.scale, key); break;
    }
}

static void fill_chunk(void *context, int64_t chunk) {
    const fill_job *job = context;
    const sn_params *p = job->p;
    size_t from = (size_t)chunk * SN_CHUNK, to = from + SN_CHUNK < p->total ? from + SN_CHUNK : p->total;
    for (int i = sn_params_at(p, from); i < (int)p->count && p->entries[i].offset < to; i++) {
        const sn_entry *e = &p->entries[i];
        size_t first = e->offset > from ? 0 : from - e->offset;
        size_t last = to - e->offset < e->count ? to - e->offset : e->count;
        if (first < last) fill_entry(job, e, first, last);
    }
}

static int64_t chunks_of(const sn_params *p) { return (int64_t)((p->total + SN_CHUNK - 1) / SN_CHUNK); }

void sn_params_initialise(sn_params *p, uint64_t seed) {
    if (p->borrows) return;
    fill_job job = {p, seed};
    sn_parallel(sn_threads_available(), chunks_of(p), fill_chunk, &job);
    sn_params_changed(p, false);
}

/* ---- the other flat ranges ---- */

static sn_status need_sealed(const sn_params *p, const char *what) {
    if (!p->sealed) SN_FAIL(SN_ERR_STATE, "%s asked for before the parameter store is sealed", what);
    if (p->borrows) SN_FAIL(SN_ERR_STATE, "%s asked for of a parameter store that borrows its weights for inference", what);
    return SN_OK;
}

sn_status sn_params_gradients(sn_params *p, float **flat) {
    SN_TRY(need_sealed(p, "gradients"));
    if (!p->gradients) p->gradients = sn_pages(p->total * sizeof *p->gradients);
    *flat = p->gradients;
    return *flat ? SN_OK : SN_ERR_MEMORY;
}

sn_status sn_params_shadow(sn_params *p, uint16_t **flat) {
    SN_TRY(need_sealed(p, "the bf16 shadow"));
    sn_params_lock(p);
    if (!p->shadow) {
        p->shadow = sn_pages(p->total * sizeof *p->shadow);
        p->shadow_stale = true;
    }
    *flat = p->shadow;
    sn_params_unlock(p);
    return *flat ? SN_OK : SN_ERR_MEMORY;
}

void sn_params_changed(sn_params *p, bool shadow_written) {
    p->version++;
    if (!shadow_written) p->shadow_stale = true;
}

static void shadow_chunk(void *context, int64_t chunk) {
    const sn_params *p = context;
    size_t from = (size_t)chunk * SN_CHUNK, n = p->total - from < SN_CHUNK ? p->total - from : SN_CHUNK;
    sn_floats_put(SN_BF16, p->flat + from, p->shadow, (int64_t)from, (int64_t)n);
}

sn_status sn_params_fresh(sn_params *p, int threads) {
    SN_TRY(need_sealed(p, "the bf16 shadow"));
    if (!p->shadow || !p->shadow_stale) return SN_OK;
    sn_parallel(threads, chunks_of(p), shadow_chunk, p);
    p->shadow_stale = false;
    return SN_OK;
}
