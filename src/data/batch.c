/* batch.c: rows -> the arrays of one step, and the thread that makes them ahead of time. */
#include <stdlib.h>

#include "base/rng.h"
#include "data/dataset_internal.h"

void sn_batch_free(sn_batch *b) {
    if (!b) return;
    for (int p = 0; b->parts && p < b->n_parts; p++) {
        sn_free(b->parts[p].at);
        sn_free(b->parts[p].rows);
        for (int k = 0; k < SN_FEATURE_ARRAYS; k++) sn_array_free(&b->parts[p].arrays[k]);
    }
    for (int t = 0; b->labels && t < b->n_targets; t++)
        for (int k = 0; k < SN_TASK_ARRAYS; k++) sn_array_free(&b->labels[t][k]);
    sn_free(b->parts);
    sn_free(b->labels);
    sn_free(b->divisors);
    sn_free(b->rows);
    sn_free(b);
}

sn_status sn_batch_blank(const sn_model *m, int64_t n, sn_batch **out) {
    *out = NULL;
    sn_batch *b = sn_alloc(1, sizeof *b);
    if (!b) return SN_ERR_MEMORY;
    b->n = n;
    b->n_parts = m->n_parts;
    b->n_targets = m->n_targets;
    b->rows = sn_alloc((size_t)n, sizeof *b->rows);
    b->parts = sn_alloc((size_t)m->n_parts, sizeof *b->parts);
    b->labels = sn_alloc((size_t)m->n_targets, sizeof *b->labels);
    b->divisors = sn_alloc((size_t)m->n_targets, sizeof *b->divisors);
    bool whole = b->rows && b->parts && b->labels && b->divisors;
    for (int p = 0; whole && p < m->n_parts; p++) {
        b->parts[p].at = sn_alloc((size_t)n, sizeof *b->parts[p].at);
        b->parts[p].rows = sn_alloc((size_t)n, sizeof *b->parts[p].rows);
        whole = b->parts[p].at && b->parts[p].rows;
    }
    if (!whole) {
        sn_batch_free(b);
        return SN_ERR_MEMORY;
    }
    for (int64_t i = 0; i < n; i++) b->rows[i] = i;
    *out = b;
    return SN_OK;
}

sn_status sn_batch_collate(const sn_model *m, const sn_part *part, const sn_sample *const *const *samples, sn_batch_part *b) {
    SN_TRY(sn_part_collate(m, part, samples, b->present, b->arrays));
    b->n_arrays = 0;
    while (b->n_arrays < SN_FEATURE_ARRAYS && b->arrays[b->n_arrays].data) b->n_arrays++;
    sn_shape shapes[SN_FEATURE_ARRAYS];
    for (int k = 0; k < b->n_arrays; k++) shapes[k] = b->arrays[k].type.shape;
    b->steps = sn_part_steps(m, part, shapes, b->n_arrays);
    return SN_OK;
}

/* ---- modality dropout: exactly round(share * n) rows lose one of the parts they have, never their only one ---- */

typedef struct draw {
    uint64_t key;
    int64_t at;
} draw;

static int by_key(const void *a, const void *b) {
    const draw *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static sn_status drop_parts(const sn_dataset *d, const sn_batch_spec *spec, const int64_t *rows, int64_t n, unsigned *present) {
    int parts = d->model->n_parts;
    int64_t share = (int64_t)(spec->drop * (double)n + 0.5);
    if (parts < 2 || share < 1) return SN_OK;
    draw *draws = sn_alloc((size_t)n, sizeof *draws);
    if (!draws) return SN_ERR_MEMORY;
    sn_rng_key key = {spec->seed, sn_hash("modality dropout", 16)};
    for (int64_t i = 0; i < n; i++) draws[i] = (draw){sn_rng_below(key, spec->step, (uint64_t)rows[i], UINT64_MAX), i};
    qsort(draws, (size_t)n, sizeof *draws, by_key);
    for (int64_t k = 0; k < share; k++) { /* the parts take turns, so that each loses the same number of rows */
        int64_t i = draws[k].at;
        int part = (int)((uint64_t)(k + (int64_t)spec->step) % (uint64_t)parts);
        if ((present[i] & 1u << part) && (present[i] & ~(1u << part))) present[i] &= ~(1u << part);
    }
    sn_free(draws);
    return SN_OK;
}

/* ---- one part ---- */

/* The sample, from the cache or decoded into `own`. */
static sn_status fetch(const sn_dataset *d, const column *c, int64_t row, sn_sample *own, const sn_sample **out) {
    const sn_sample *kept = &c->samples[c->unique[row]];
    *out = kept;
    if (kept->data || !kept->bytes) return SN_OK;
    SN_TRY(sn_feature_encode_cell(c->feature, d->table, row, c->column, own));
    *out = own;
    return SN_OK;
}

static sn_status collate_part(const sn_dataset *d, const sn_part *part, sn_batch_part *b) {
    size_t cells = (size_t)b->present * (size_t)part->n_features;
    const sn_sample **flat = sn_alloc(cells, sizeof *flat);
    sn_sample *own = sn_alloc(cells, sizeof *own);
    const sn_sample ***by_feature = sn_alloc((size_t)part->n_features, sizeof *by_feature);
    sn_status status = flat && own && by_feature ? SN_OK : SN_ERR_MEMORY;
    for (int k = 0; status == SN_OK && k < part->n_features; k++) {
        const column *c = &d->columns[part->features[k]];
        by_feature[k] = flat + (int64_t)k * b->present;
        for (int64_t i = 0; status == SN_OK && i < b->present; i++) {
            size_t at = (size_t)((int64_t)k * b->present + i);
            if (sn_has_cell(c, b->rows[i])) status = fetch(d, c, b->rows[i], &own[at], &flat[at]);
        }
    }
    if (status == SN_OK) status = sn_batch_collate(d->model, part, (const sn_sample *const *const *)by_feature, b);
    for (size_t i = 0; own && i < cells; i++) sn_sample_free(&own[i]);
    sn_free(own);
    sn_free(flat);
    sn_free(by_feature);
    return status;
}

/* Has the encoder spoken of every cell of these rows? */
static bool all_known(const sn_dataset *d, const sn_part *part, const sn_batch_part *b) {
    const column *c = &d->columns[part->features[0]];
    if (!sn_part_single(part) || !c->vectors) return false;
    for (int64_t i = 0; i < b->present; i++)
        if (!c->known[c->unique[b->rows[i]]]) return false;
    return true;
}

static sn_status gather_vectors(const sn_dataset *d, const sn_part *part, sn_batch_part *b) {
    const column *c = &d->columns[part->features[0]];
    SN_TRY(sn_array_make(&b->arrays[0], SN_F32, SN_SHAPE(b->present, c->width)));
    for (int64_t i = 0; i < b->present; i++)
        memcpy((float *)b->arrays[0].data + i * c->width, c->vectors + (int64_t)c->unique[b->rows[i]] * c->width, (size_t)c->width * sizeof(float));
    b->n_arrays = 1;
    b->encoded = true;
    return SN_OK;
}

static sn_status make_part(const sn_dataset *d, int index, const int64_t *rows, int64_t n, const unsigned *present, bool raw, sn_batch_part *b) {
    const sn_part *part = &d->model->parts[index];
    for (int64_t i = 0; i < n; i++) {
        if (!(present[i] & 1u << index)) continue;
        b->at[b->present] = (int32_t)i;
        b->rows[b->present++] = rows[i];
    }
    if (!b->present) return SN_OK;
    return !raw && all_known(d, part, b) ? gather_vectors(d, part, b) : collate_part(d, part, b);
}

static sn_status make_labels(const sn_dataset *d, sn_batch *b) {
    const sn_sample **samples = sn_alloc((size_t)b->n, sizeof *samples);
    sn_status status = samples ? SN_OK : SN_ERR_MEMORY;
    for (int t = 0; status == SN_OK && t < b->n_targets; t++) {
        const sn_target *target = &d->model->targets[t];
        for (int64_t i = 0; i < b->n; i++) samples[i] = sn_dataset_target(d, t, b->rows[i]);
        status = target->task->collate(target->feature, target->options, samples, b->n, b->labels[t], &b->divisors[t]);
    }
    sn_free(samples);
    return status;
}

sn_status sn_batch_make(const sn_dataset *d, const int64_t *rows, int64_t n, const sn_batch_spec *spec, sn_batch **out) {
    *out = NULL;
    const sn_model *m = d->model;
    sn_batch *b = NULL;
    unsigned *present = sn_alloc((size_t)n, sizeof *present);
    sn_status status = present ? sn_batch_blank(m, n, &b) : SN_ERR_MEMORY;
    if (status == SN_OK) {
        memcpy(b->rows, rows, (size_t)n * sizeof *rows);
        for (int64_t i = 0; i < n; i++)
            for (int p = 0; p < m->n_parts; p++)
                if (!(spec->without & 1u << p) && sn_dataset_part_present(d, p, rows[i])) present[i] |= 1u << p;
        status = drop_parts(d, spec, rows, n, present);
    }
    for (int p = 0; status == SN_OK && p < m->n_parts; p++) status = make_part(d, p, rows, n, present, spec->raw, &b->parts[p]);
    if (status == SN_OK && spec->labels) status = make_labels(d, b);
    sn_free(present);
    if (status == SN_OK) *out = b;
    else sn_batch_free(b);
    return status;
}

/* ---- the thread ---- */

enum { AHEAD = 4 };

struct sn_loader {
    const sn_dataset *d;
    const int64_t *rows;
    int64_t n, batch;
    sn_batch_spec spec;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    sn_batch *ring[AHEAD];
    int64_t made, taken, total;
    bool stop;
    sn_status failed;
    char *message;
};

static void *load(void *context) {
    sn_loader *l = context;
    for (int64_t k = 0; k < l->total; k++) {
        sn_batch_spec spec = l->spec;
        spec.step += (uint64_t)k;
        int64_t from = k * l->batch, size = l->n - from < l->batch ? l->n - from : l->batch;
        sn_batch *b = NULL;
        sn_status status = sn_batch_make(l->d, l->rows + from, size, &spec, &b);
        (void)pthread_mutex_lock(&l->lock);
        while (!l->stop && l->made - l->taken == AHEAD) (void)pthread_cond_wait(&l->emptied, &l->lock);
        bool stop = l->stop || status != SN_OK;
        if (status != SN_OK) {
            l->failed = status;
            l->message = sn_strdup(sn_error_message());
        }
        if (stop) sn_batch_free(b);
        else l->ring[l->made++ % AHEAD] = b;
        (void)pthread_cond_signal(&l->filled);
        (void)pthread_mutex_unlock(&l->lock);
        if (stop) break;
    }
    return NULL;
}

sn_status sn_loader_create(const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, const sn_batch_spec *spec, sn_loader **out) {
    *out = NULL;
    sn_loader *l = sn_alloc(1, sizeof *l);
    if (!l) return SN_ERR_MEMORY;
    l->d = d;
    l->rows = rows;
    l->n = n;
    l->batch = batch;
    l->spec = *spec;
    l->total = (n + batch - 1) / batch;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->filled, NULL);
    (void)pthread_cond_init(&l->emptied, NULL);
    l->started = pthread_create(&l->thread, NULL, load, l) == 0;
    if (!l->started) {
        sn_loader_free(l);
        SN_FAIL(SN_ERR_MEMORY, "cannot start the thread that loads data");
    }
    *out = l;
    return SN_OK;
}

sn_status sn_loader_next(sn_loader *l, sn_batch **out) {
    *out = NULL;
    if (l->taken == l->total) return SN_OK;
    sn_status status = SN_OK;
    (void)pthread_mutex_lock(&l->lock);
    while (l->made == l->taken && l->failed == SN_OK) (void)pthread_cond_wait(&l->filled, &l->lock);
    if (l->made > l->taken) *out = l->ring[l->taken++ % AHEAD];
    else status = sn_fail(l->failed, "%s", l->message ? l->message : "out of memory");
    (void)pthread_cond_signal(&l->emptied);
    (void)pthread_mutex_unlock(&l->lock);
    return status;
}

void sn_loader_free(sn_loader *l) {
    if (!l) return;
    (void)pthread_mutex_lock(&l->lock);
    l->stop = true;
    (void)pthread_cond_signal(&l->emptied);
    (void)pthread_mutex_unlock(&l->lock);
    if (l->started) (void)pthread_join(l->thread, NULL);
    for (; l->taken < l->made; l->taken++) sn_batch_free(l->ring[l->taken % AHEAD]);
    sn_free(l->message);
    (void)pthread_cond_destroy(&l->filled);
    (void)pthread_cond_destroy(&l->emptied);
    (void)pthread_mutex_destroy(&l->lock);
    sn_free(l);
}
