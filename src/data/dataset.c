/* dataset.c: unique cells, decoding all of them in parallel, what is broken. */
#include "data/dataset.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/parallel.h"
#include "data/dataset_internal.h"

static sn_status number_cells(column *c, const sn_table *table) {
    int64_t rows = sn_table_rows(table);
    c->unique = sn_alloc((size_t)rows, sizeof *c->unique);
    c->first_row = sn_alloc((size_t)rows, sizeof *c->first_row);
    if (!c->unique || !c->first_row) return SN_ERR_MEMORY;
    sn_map seen = {0};
    sn_status status = SN_OK;
    for (int64_t r = 0; status == SN_OK && r < rows; r++) {
        const char *cell = sn_table_cell(table, r, c->column);
        c->unique[r] = -1;
        if (sn_cell_empty(cell)) continue;
        size_t bytes = strlen(cell);
        int64_t id = sn_map_get(&seen, cell, bytes);
        if (id < 0) {
            id = c->n++;
            c->first_row[id] = r;
            status = sn_map_put(&seen, cell, bytes, id);
        }
        c->unique[r] = (int32_t)id;
    }
    sn_map_free(&seen);
    c->samples = sn_alloc((size_t)c->n, sizeof *c->samples);
    c->why = sn_alloc((size_t)c->n, sizeof *c->why);
    if (c->feature->directory) c->content = sn_alloc((size_t)c->n, sizeof *c->content);
    return status == SN_OK && (!c->samples || !c->why || (c->feature->directory && !c->content)) ? SN_ERR_MEMORY : status;
}

static sn_status bind_column(sn_dataset *d, const sn_feature *f, bool needed, column *c) {
    c->feature = f;
    c->column = sn_table_find(d->table, f->name);
    if (c->column < 0 && needed) return sn_table_column(d->table, f->name, &c->column);
    if (c->column < 0) return SN_OK; /* every cell is absent */
    return number_cells(c, d->table);
}

typedef struct decode_job {
    sn_dataset *d;
    column *c;
    size_t budget;
} decode_job;

static void decode_chunk(void *context, int64_t chunk) {
    const decode_job *j = context;
    column *c = j->c;
    int64_t end = (chunk + 1) * DECODE_CHUNK < c->n ? (chunk + 1) * DECODE_CHUNK : c->n;
    for (int64_t i = chunk * DECODE_CHUNK; i < end; i++) {
        sn_sample *s = &c->samples[i];
        sn_status status = sn_feature_encode_cell(c->feature, j->d->table, c->first_row[i], c->column, s);
        if (status != SN_OK) { /* without memory the cell is not broken: leaving its rows out would be wrong */
            c->why[i] = sn_strdup(sn_error_message());
            if (!c->why[i] || status == SN_ERR_MEMORY) atomic_store(&j->d->out_of_memory, true);
            continue;
        }
        if (c->content && s->data) c->content[i] = sn_hash(s->data, s->bytes);
        if (atomic_fetch_add(&j->d->held, s->bytes) + s->bytes > j->budget && s->data) { /* decoded again when needed */
            atomic_fetch_sub(&j->d->held, s->bytes);
            sn_free(s->data);
            s->data = NULL;
        }
    }
}

static sn_status note_broken(sn_dataset *d, column *c) {
    int64_t rows = sn_table_rows(d->table);
    for (int64_t r = 0; c->column >= 0 && r < rows; r++) {
        if (c->unique[r] < 0 || !c->why[c->unique[r]]) continue;
        void *list = sn_grow(d->broken, (size_t)d->n_broken, &d->broken_room, sizeof *d->broken);
        if (!list) return SN_ERR_MEMORY;
        d->broken = list;
        d->broken[d->n_broken++] = (sn_broken){r, c->feature->name, c->why[c->unique[r]]};
        d->row_broken[r] = true;
    }
    return SN_OK;
}

static sn_status decode_all(sn_dataset *d, int threads, size_t budget) {
    SN_TRY(sn_threads_enter(threads));
    for (int k = 0; k < d->n_columns; k++) {
        column *c = &d->columns[k];
        if (c->column < 0) continue;
        decode_job job = {d, c, budget};
        sn_parallel(threads, (c->n + DECODE_CHUNK - 1) / DECODE_CHUNK, decode_chunk, &job);
        if (atomic_load(&d->out_of_memory)) SN_FAIL(SN_ERR_MEMORY, "out of memory while decoding \"%s\"", c->feature->name);
        SN_TRY(note_broken(d, c));
    }
    return SN_OK;
}

static sn_status fail_broken(const sn_dataset *d) {
    const sn_broken *b = &d->broken[0];
    int64_t line = sn_table_line(d->table, b->row);
    char where[48] = "";
    if (line) (void)snprintf(where, sizeof where, " (line %lld)", (long long)line);
    (void)sn_fail(SN_ERR_FORMAT, "%s: %lld broken cell%s; the first is row %lld%s, column \"%s\": %s; `inspect` lists them all, "
                  "with --skip-broken train and evaluate leave such rows out", sn_table_path(d->table), (long long)d->n_broken,
                  d->n_broken == 1 ? "" : "s", (long long)b->row + 1, where, b->column, b->why);
    return sn_fail_at(sn_table_path(d->table), b->row + 1, b->column);
}

sn_status sn_dataset_create(const sn_model *m, const sn_table *table, const sn_dataset_options *options, sn_dataset **out) {
    *out = NULL;
    sn_dataset *d = sn_alloc(1, sizeof *d);
    if (!d) return SN_ERR_MEMORY;
    d->model = m;
    d->table = table;
    bool targets = options->targets || options->targets_if_any, whole = m->writes && targets; /* a writer's target is its last input */
    d->n_columns = m->n_inputs + (targets && !m->writes ? m->n_targets : 0);
    d->columns = sn_alloc((size_t)d->n_columns, sizeof *d->columns);
    d->row_broken = sn_alloc((size_t)sn_table_rows(table), sizeof *d->row_broken);
    sn_status status = d->columns && d->row_broken ? SN_OK : SN_ERR_MEMORY;
    bool any = false;
    for (int k = 0; status == SN_OK && k < d->n_columns; k++) {
        bool target = k >= m->n_inputs;
        const sn_feature *f = target ? m->targets[k - m->n_inputs].feature : m->inputs[k];
        status = bind_column(d, f, target ? options->targets : whole, &d->columns[k]);
        any |= !target && d->columns[k].column >= 0;
    }
    if (status == SN_OK && !any)
        status = sn_table_column(table, m->inputs[0]->name, &(int){0}); /* fails, naming the columns there are */
    if (status == SN_OK) status = decode_all(d, options->threads, options->budget ? options->budget : (size_t)2 << 30);
    if (status == SN_OK && d->n_broken && !options->skip_broken) status = fail_broken(d);
    if (status == SN_OK) *out = d;
    else sn_dataset_free(d);
    return status;
}

void sn_dataset_free(sn_dataset *d) {
    if (!d) return;
    for (int k = 0; d->columns && k < d->n_columns; k++) {
        column *c = &d->columns[k];
        for (int64_t i = 0; i < c->n; i++) {
            if (c->samples) sn_sample_free(&c->samples[i]);
            if (c->why) sn_free(c->why[i]);
        }
        sn_free(c->samples);
        sn_free(c->content);
        sn_free(c->vectors);
        sn_free(c->known);
        sn_free(c->why);
        sn_free(c->unique);
        sn_free(c->first_row);
    }
    sn_free(d->columns);
    sn_free(d->row_broken);
    sn_free(d->broken);
    sn_free(d);
}

const sn_table *sn_dataset_table(const sn_dataset *d) { return d->table; }

int64_t sn_dataset_broken(const sn_dataset *d, const sn_broken **list) {
    if (list) *list = d->broken;
    return d->n_broken;
}

bool sn_dataset_row_broken(const sn_dataset *d, int64_t row) { return d->row_broken[row]; }

bool sn_has_cell(const column *c, int64_t row) {
    return c->column >= 0 && c->unique[row] >= 0 && !c->why[c->unique[row]];
}

const sn_sample *sn_dataset_target(const sn_dataset *d, int target, int64_t row) {
    int k = d->model->writes ? d->model->n_inputs - 1 : d->model->n_inputs + target;
    if (k >= d->n_columns || !sn_has_cell(&d->columns[k], row)) return NULL;
    return &d->columns[k].samples[d->columns[k].unique[row]];
}

bool sn_dataset_row_labelled(const sn_dataset *d, int64_t row) {
    if (d->model->writes && !sn_dataset_part_present(d, 0, row)) return false;
    for (int t = 0; t < d->model->n_targets; t++)
        if (sn_dataset_target(d, t, row)) return true;
    return false;
}

bool sn_dataset_part_present(const sn_dataset *d, int part, int64_t row) {
    const sn_part *p = &d->model->parts[part];
    int cells = 0;
    for (int k = 0; k < p->n_features; k++) cells += sn_has_cell(&d->columns[p->features[k]], row);
    return p->modality == SN_MOD_WRITER ? cells == p->n_features : cells > 0;
}

/* ---- cells of a part that is one column ---- */

static column *column_of(const sn_dataset *d, int part) { return &d->columns[d->model->parts[part].features[0]]; }

int64_t sn_dataset_cells(const sn_dataset *d, int part) {
    const column *c = column_of(d, part);
    return c->column >= 0 ? c->n : 0;
}

int64_t sn_dataset_cell(const sn_dataset *d, int part, int64_t row) {
    const column *c = column_of(d, part);
    return sn_has_cell(c, row) ? c->unique[row] : -1;
}

int64_t sn_dataset_cell_row(const sn_dataset *d, int part, int64_t cell) { return column_of(d, part)->first_row[cell]; }
int64_t sn_dataset_cell_length(const sn_dataset *d, int part, int64_t cell) { return column_of(d, part)->samples[cell].length; }

uint64_t sn_dataset_cell_content(const sn_dataset *d, int part, int64_t cell) {
    const column *c = column_of(d, part);
    return c->content ? c->content[cell] : 0;
}

void sn_dataset_use_vectors(sn_dataset *d, int part, float *vectors, bool *known, int64_t width) {
    column *c = column_of(d, part);
    sn_free(c->vectors);
    sn_free(c->known);
    c->vectors = vectors;
    c->known = known;
    c->width = width;
    for (int64_t i = 0; vectors && i < c->n; i++) { /* decoded again should anybody ask */
        sn_free(c->samples[i].data);
        c->samples[i].data = NULL;
    }
}
