/* frozen.c: encoders that never learn run once.
 *
 *   cells of the rows that the run reads, the longest first -> batches -> encoder -> vectors [cells][width]
 *     -> the dataset's batches carry them from now on
 *     -> <output>.training/frozen-<n>.safetensors, so that a resumed run need not compute them again
 *
 * The order and the batches depend on the data alone, never on the epoch, so that a run that was killed computes the same
 * bits again. The file is used only if its key is the same: a hash of the encoder's weights, of the processor's settings,
 * of every cell's prepared content, and of all that decides how numbers are rounded. */
#include <stdio.h>

#include "models/backbone.h"
#include "models/tuning.h"
#include "params/safetensors.h"
#include "params/weights.h"
#include "train/trainer.h"

enum { BATCH = 32 };
static const size_t most_bytes = (size_t)2 << 30; /* of vectors in memory */

typedef struct job {
    sn_exec *exec;
    const sn_model *m;
    sn_dataset *d;
    int part;
    const int64_t *lists[2]; /* the rows that will be read */
    int64_t sizes[2];
    const atomic_bool *stop; /* NULL: nobody stops it */
    int64_t n, *cells, *rows; /* which cells, in order; and rows that have them */
    float *vectors;           /* of all cells of the dataset */
    bool *known;
    size_t width;
    char *file; /* NULL: none */
    char key[20];
    sn_encode_fn *tell;
    void *context;
} job;

static void job_free(job *j) {
    sn_free(j->cells);
    sn_free(j->rows);
    sn_free(j->vectors);
    sn_free(j->known);
    sn_free(j->file);
}

/* ---- which cells, in which order ---- */

typedef struct place {
    int64_t cell, length;
} place;

static int by_length(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->length != y->length) return x->length > y->length ? -1 : 1;
    return x->cell < y->cell ? -1 : x->cell > y->cell;
}

static void mark(const job *j, const int64_t *rows, int64_t n, bool *wanted) {
    for (int64_t i = 0; i < n; i++) {
        int64_t cell = sn_dataset_cell(j->d, j->part, rows[i]);
        if (cell >= 0) wanted[cell] = true;
    }
}

static sn_status choose_cells(job *j) {
    int64_t all = sn_dataset_cells(j->d, j->part);
    place *places = sn_alloc((size_t)all, sizeof *places);
    bool *wanted = sn_alloc((size_t)all, sizeof *wanted);
    j->cells = sn_alloc((size_t)all, sizeof *j->cells);
    j->rows = sn_alloc((size_t)all, sizeof *j->rows);
    sn_status status = places && wanted && j->cells && j->rows ? SN_OK : SN_ERR_MEMORY;
    for (int k = 0; status == SN_OK && k < 2; k++) mark(j, j->lists[k], j->sizes[k], wanted);
    for (int64_t i = 0; status == SN_OK && i < all; i++)
        if (wanted[i]) places[j->n++] = (place){i, sn_dataset_cell_length(j->d, j->part, i)};
    if (j->n) qsort(places, (size_t)j->n, sizeof *places, by_length);
    for (int64_t i = 0; i < j->n; i++) {
        j->cells[i] = places[i].cell;
        j->rows[i] = sn_dataset_cell_row(j->d, j->part, places[i].cell);
    }
    sn_free(places);
    sn_free(wanted);
    return status;
}

/* ---- the file ---- */

static sn_status make_key(job *j) {
    const sn_model *m = j->m;
    const sn_part *part = &m->parts[j->part];
    char *options = json_dumps(part->options, JSON_COMPACT | JSON_SORT_KEYS);
    char *prepared = json_dumps(m->inputs[part->features[0]]->options, JSON_COMPACT | JSON_SORT_KEYS);
    if (!options || !prepared) {
        free(options);
        free(prepared);
        SN_FAIL(SN_ERR_MEMORY, "out of memory");
    }
    int machine[] = {m->threads, m->bf16, (int)m->isa, BATCH};
    uint64_t hash = sn_hash_add(sn_backbone_hash(part->backbone), options, strlen(options));
    hash = sn_hash_add(hash, prepared, strlen(prepared));
    hash = sn_hash_add(hash, machine, sizeof machine);
    for (int64_t i = 0; i < j->n; i++) {
        uint64_t content = sn_dataset_cell_content(j->d, j->part, j->cells[i]);
        hash = sn_hash_add(hash, &content, sizeof content);
    }
    (void)snprintf(j->key, sizeof j->key, "%016llx", (unsigned long long)hash);
    free(options);
    free(prepared);
    return SN_OK;
}

static void keep(job *j, int64_t i, const float *vector) {
    memcpy(j->vectors + (size_t)j->cells[i] * j->width, vector, j->width * sizeof *vector);
    j->known[j->cells[i]] = true;
}

/* A file that is not the right one is passed over. */
static bool read_file(job *j) {
    sn_safetensors *file = NULL;
    if (!j->file || !sn_file_exists(j->file) || sn_safetensors_open(j->file, &file) != SN_OK) return false;
    const char *key = sn_safetensors_metadata(file, "key");
    const sn_tensor_view *view = sn_safetensors_find(file, "vectors");
    bool right = key && !strcmp(key, j->key) && view && view->type.dtype == SN_F32
                 && sn_shape_equal(view->type.shape, SN_SHAPE(j->n, (int64_t)j->width));
    for (int64_t i = 0; right && i < j->n; i++) keep(j, i, (const float *)view->data + (size_t)i * j->width);
    sn_safetensors_free(file);
    return right;
}

static sn_status write_file(const job *j) {
    if (!j->file) return SN_OK;
    size_t row = j->width * sizeof(float);
    float *packed = sn_pages((size_t)j->n * row);
    json_t *metadata = json_pack("{s:s}", "key", j->key);
    sn_status status = packed && metadata ? SN_OK : SN_ERR_MEMORY;
    for (int64_t i = 0; packed && i < j->n; i++) memcpy(packed + (size_t)i * j->width, j->vectors + (size_t)j->cells[i] * j->width, row);
    sn_tensor_view view = {"vectors", {SN_SHAPE(j->n, (int64_t)j->width), SN_F32}, packed, (size_t)j->n * row};
    if (status == SN_OK) status = sn_safetensors_write(j->file, &view, 1, metadata);
    json_decref(metadata);
    sn_pages_free(packed, (size_t)j->n * row);
    return status;
}

/* ---- running the encoder ---- */

static bool stopped(const job *j) { return j->stop && atomic_load(j->stop); }

static sn_status run(job *j) {
    sn_batch_spec spec = {.raw = true, .without = ~(1u << j->part)};
    sn_loader *loader;
    sn_batch *b = NULL;
    int64_t done = 0;
    if (!j->n) return SN_OK;
    SN_TRY(sn_loader_create(j->d, j->rows, j->n, BATCH, &spec, &loader));
    sn_status status = SN_OK;
    while (status == SN_OK && !stopped(j) && (status = sn_loader_next(loader, &b)) == SN_OK && b) {
        const float *y;
        status = sn_exec_encode(j->exec, j->part, b, &y);
        for (int64_t i = 0; status == SN_OK && i < b->n; i++) keep(j, done + i, y + (size_t)i * j->width);
        done += b->n;
        sn_batch_free(b);
        if (j->tell) j->tell(j->context, j->m->parts[j->part].name, done, j->n);
    }
    sn_loader_free(loader);
    return status;
}

/* Are the vectors of all cells of the part too many for memory? The encoder then runs in every epoch. */
static bool too_many(const sn_model *m, const sn_dataset *d, int part) {
    size_t bytes, row = (size_t)m->parts[part].width * sizeof(float);
    return sn_mul_overflow((size_t)sn_dataset_cells(d, part), row, &bytes) || bytes > most_bytes;
}

static sn_status fill(job *j) {
    int64_t all = sn_dataset_cells(j->d, j->part);
    j->width = (size_t)j->m->parts[j->part].width;
    if (!all || too_many(j->m, j->d, j->part)) return SN_OK;
    SN_TRY(choose_cells(j));
    if (j->file) SN_TRY(make_key(j));
    j->vectors = sn_alloc((size_t)all, j->width * sizeof(float));
    j->known = sn_alloc((size_t)all, sizeof *j->known);
    if (!j->vectors || !j->known) return SN_ERR_MEMORY;
    if (!read_file(j)) {
        SN_TRY(run(j));
        if (stopped(j)) return SN_OK;
        SN_TRY(write_file(j));
    }
    sn_dataset_use_vectors(j->d, j->part, j->vectors, j->known, (int64_t)j->width);
    j->vectors = NULL;
    j->known = NULL;
    return SN_OK;
}

/* One part of the run's rows; `valid`: the table of its own that holds the held-out ones. */
static sn_status fill_for(sn_trainer *t, int part, bool valid, sn_encode_fn *tell, void *context) {
    bool both = t->data == t->valid_data;
    char name[64];
    job j = {.exec = t->exec, .m = t->plan.model, .d = valid ? t->valid_data : t->data, .part = part, .stop = &t->stop, .tell = tell,
             .context = context};
    if (!valid) j.lists[0] = t->rows, j.sizes[0] = t->n_rows;
    if (valid || both) j.lists[1] = t->valid_rows, j.sizes[1] = t->n_valid;
    (void)snprintf(name, sizeof name, "frozen-%d%s.safetensors", part, valid ? "-valid" : "");
    sn_status status = SN_OK;
    if (t->work && !(j.file = sn_path_join(t->work, name))) status = SN_ERR_MEMORY;
    if (status == SN_OK) status = fill(&j);
    job_free(&j);
    return status;
}

sn_status sn_trainer_note_frozen(const sn_trainer *t) {
    const sn_model *m = t->plan.model;
    for (int p = 0; p < m->n_parts; p++) {
        sn_tuning tuning;
        if (!m->parts[p].backbone) continue;
        SN_TRY(sn_tuning_read(m->parts[p].options, &tuning));
        if (sn_tuning_never(&tuning) && (too_many(m, t->data, p) || too_many(m, t->valid_data, p)))
            sn_note(t->plan.notes, "\"%s\": the vectors of its frozen encoder would take more than %zu MiB; they are not kept, it runs in every epoch",
                    m->parts[p].name, most_bytes >> 20);
    }
    return SN_OK;
}

sn_status sn_trainer_encode(sn_trainer *t, sn_encode_fn *tell, void *context) {
    const sn_model *m = t->plan.model;
    if (t->encoded) return SN_OK;
    for (int p = 0; p < m->n_parts; p++) {
        sn_tuning tuning;
        if (!m->parts[p].backbone) continue;
        SN_TRY(sn_tuning_read(m->parts[p].options, &tuning));
        if (!sn_tuning_never(&tuning)) continue;
        SN_TRY(fill_for(t, p, false, tell, context));
        if (t->valid_data != t->data) SN_TRY(fill_for(t, p, true, tell, context));
    }
    t->encoded = !atomic_load(&t->stop);
    return SN_OK;
}

sn_status sn_encode_rows(sn_exec *e, sn_dataset *d, const int64_t *rows, int64_t n) {
    const sn_model *m = sn_exec_model(e);
    for (int p = 0; p < m->n_parts; p++) {
        job j = {.exec = e, .m = m, .d = d, .part = p, .lists = {rows}, .sizes = {n}};
        if (!m->parts[p].backbone) continue;
        sn_status status = fill(&j);
        job_free(&j);
        SN_TRY(status);
    }
    return SN_OK;
}
