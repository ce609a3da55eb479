/* goldens.c: see goldens.h. */
#include "models/goldens.h"

#include <math.h>

#include "models/exec.h"
#include "params/safetensors.h"

enum { MOST_ROWS = 4, MOST_BYTES = 1 << 20, READ_ROWS = 64 };

void sn_goldens_free(sn_goldens *g) {
    if (!g) return;
    sn_batch_free(g->batch);
    for (int t = 0; g->values && t < g->n_values; t++) sn_free(g->values[t]);
    sn_free(g->values);
    sn_free(g);
}

static sn_status goldens_alloc(const sn_model *m, sn_goldens **out) {
    sn_goldens *g = sn_alloc(1, sizeof *g);
    *out = g;
    if (!g) return SN_ERR_MEMORY;
    g->n_values = m->n_targets;
    g->values = sn_alloc((size_t)m->n_targets, sizeof *g->values);
    return g->values ? SN_OK : SN_ERR_MEMORY;
}

static size_t values_size(const sn_model *m, const sn_batch *b, int target) {
    return (size_t)b->n * (size_t)m->targets[target].task->width(m->targets[target].feature);
}

/* ---- make ---- */

static size_t batch_bytes(const sn_batch *b) {
    size_t all = 0, bytes;
    for (int p = 0; p < b->n_parts; p++)
        for (int k = 0; k < b->parts[p].n_arrays; k++)
            if (sn_type_bytes(b->parts[p].arrays[k].type, &bytes) == SN_OK) all += bytes;
    return all;
}

/* The most rows, up to n, that fit; one row always does. */
static sn_status small_batch(const sn_dataset *d, const int64_t *rows, int64_t n, sn_batch **out) {
    static const sn_batch_spec spec = {.raw = true};
    for (;; n--) {
        SN_TRY(sn_batch_make(d, rows, n, &spec, out));
        if (n == 1 || batch_bytes(*out) <= MOST_BYTES) return SN_OK;
        sn_batch_free(*out);
        *out = NULL;
    }
}

/* values[t] of the batch, copied out of the session's memory. */
static sn_status compute(const sn_model *m, const sn_batch *b, float **values) {
    sn_exec *e = NULL;
    const float **found = sn_alloc((size_t)m->n_targets, sizeof *found);
    sn_status status = found ? sn_exec_create(m, &e) : SN_ERR_MEMORY;
    if (status == SN_OK) status = sn_exec_predict(e, b, found);
    for (int t = 0; status == SN_OK && t < m->n_targets; t++) {
        size_t size = values_size(m, b, t);
        values[t] = sn_alloc(size, sizeof(float));
        if (!values[t]) status = SN_ERR_MEMORY;
        else memcpy(values[t], found[t], size * sizeof(float));
    }
    sn_exec_free(e);
    sn_free(found);
    return status;
}

sn_status sn_goldens_make(sn_model *m, const sn_dataset *d, const int64_t *rows, int64_t n) {
    if (n < 1) SN_FAIL(SN_ERR_USAGE, "goldens need at least one row");
    sn_goldens *g;
    sn_status status = goldens_alloc(m, &g);
    if (status == SN_OK) status = small_batch(d, rows, n < MOST_ROWS ? n : MOST_ROWS, &g->batch);
    if (status == SN_OK) status = compute(m, g->batch, g->values);
    json_t *about = status == SN_OK ? json_pack("{s:I, s:b}", "rows", (json_int_t)g->batch->n, "bf16", (int)m->bf16) : NULL;
    if (status == SN_OK && !about) status = sn_fail(SN_ERR_MEMORY, "out of memory");
    if (status != SN_OK) {
        sn_goldens_free(g);
        return status;
    }
    sn_goldens_free(m->golden_rows);
    json_decref(m->goldens);
    m->golden_rows = g;
    m->goldens = about;
    return SN_OK;
}

/* ---- the file ---- */

typedef struct listing {
    sn_tensor_view *views;
    int n;
    sn_arena names;
} listing;

static const char *tensor_name(sn_arena *arena, const char *group, const char *name, int k) {
    sn_buf text = {0};
    sn_buf_printf(&text, k < 0 ? "%s/%s" : "%s/%s/%d", group, name, k);
    const char *kept = sn_buf_check(&text) == SN_OK ? sn_arena_strdup(arena, text.data) : NULL;
    sn_buf_free(&text);
    return kept;
}

static sn_status list_tensor(listing *l, const char *group, const char *name, int k, sn_type type, const void *data) {
    sn_tensor_view *v = &l->views[l->n];
    *v = (sn_tensor_view){.name = tensor_name(&l->names, group, name, k), .type = type, .data = data};
    if (!v->name) return SN_ERR_MEMORY;
    SN_TRY(sn_type_bytes(type, &v->bytes));
    l->n++;
    return SN_OK;
}

static sn_status list_all(const sn_model *m, listing *l) {
    const sn_batch *b = m->golden_rows->batch;
    for (int p = 0; p < m->n_parts; p++) {
        const sn_batch_part *part = &b->parts[p];
        const char *name = m->parts[p].name;
        if (!part->present) continue;
        SN_TRY(list_tensor(l, "at", name, -1, (sn_type){SN_SHAPE(part->present), SN_I32}, part->at));
        for (int k = 0; k < part->n_arrays; k++)
            SN_TRY(list_tensor(l, "inputs", name, k, part->arrays[k].type, part->arrays[k].data));
    }
    for (int t = 0; t < m->n_targets; t++) {
        int64_t width = m->targets[t].task->width(m->targets[t].feature);
        SN_TRY(list_tensor(l, "values", m->targets[t].feature->name, -1, (sn_type){SN_SHAPE(b->n, width), SN_F32},
                           m->golden_rows->values[t]));
    }
    return SN_OK;
}

sn_status sn_goldens_write(const sn_model *m, const char *directory) {
    if (!m->golden_rows) return SN_OK;
    listing l = {.views = sn_alloc((size_t)(m->n_parts * (SN_FEATURE_ARRAYS + 1) + m->n_targets), sizeof *l.views)};
    char *path = sn_path_join(directory, "goldens.safetensors");
    sn_status status = l.views && path ? list_all(m, &l) : SN_ERR_MEMORY;
    if (status == SN_OK) status = sn_safetensors_write(path, l.views, l.n, NULL);
    sn_free(path);
    sn_free(l.views);
    sn_arena_free(&l.names);
    return status;
}

/* ---- reading: nothing of it is believed ---- */

static sn_status find_tensor(const sn_safetensors *file, const char *group, const char *name, int k, const sn_tensor_view **out) {
    sn_arena arena = {0};
    const char *full = tensor_name(&arena, group, name, k);
    *out = full ? sn_safetensors_find(file, full) : NULL;
    sn_arena_free(&arena);
    return full ? SN_OK : SN_ERR_MEMORY;
}

static sn_status copy_tensor(const sn_tensor_view *v, const char *what, sn_type expected, void *to) {
    char wanted[SN_SHAPE_TEXT], found[SN_SHAPE_TEXT];
    if (!v) SN_FAIL(SN_ERR_SHAPE, "the goldens of \"%s\" are not complete", what);
    if (v->type.dtype != expected.dtype || !sn_shape_equal(v->type.shape, expected.shape))
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected %s %s, found %s %s", v->name, sn_dtype_name(expected.dtype),
                sn_shape_text(expected.shape, wanted), sn_dtype_name(v->type.dtype), sn_shape_text(v->type.shape, found));
    memcpy(to, v->data, v->bytes);
    return SN_OK;
}

static sn_status read_places(const sn_tensor_view *v, const char *name, int64_t rows, sn_batch_part *b) {
    int64_t n = v->type.shape.rank == 1 ? v->type.shape.dim[0] : -1;
    if (n < 1 || n > rows) SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected 1 to %lld rows", v->name, (long long)rows);
    b->present = n;
    SN_TRY(copy_tensor(v, name, (sn_type){SN_SHAPE(n), SN_I32}, b->at));
    for (int64_t i = 0; i < n; i++) {
        if (b->at[i] < 0 || b->at[i] >= rows || (i && b->at[i] <= b->at[i - 1]))
            SN_FAIL(SN_ERR_FORMAT, "tensor \"%s\": rows must be rising and below %lld", v->name, (long long)rows);
        b->rows[i] = b->at[i];
    }
    return SN_OK;
}

/* Of the sequences among the part's arrays, by their shapes in the file. */
static sn_status read_steps(const sn_model *m, const sn_part *part, const sn_safetensors *file, int64_t *steps) {
    const sn_tensor_view *v;
    sn_type types[SN_FEATURE_ARRAYS];
    sn_shape shapes[SN_FEATURE_ARRAYS];
    int n = sn_part_types(m, part, 1, 1, types);
    for (int k = 0; k < n; k++) {
        SN_TRY(find_tensor(file, "inputs", part->name, k, &v));
        shapes[k] = v ? v->type.shape : (sn_shape){.rank = 0};
        if (shapes[k].rank > 1 && (shapes[k].dim[1] < 1 || shapes[k].dim[1] >= 1 << SN_STEPS_BITS))
            SN_FAIL(SN_ERR_SHAPE, "the goldens of \"%s\" have %lld steps", part->name, (long long)shapes[k].dim[1]);
    }
    *steps = sn_part_steps(m, part, shapes, n);
    return SN_OK;
}

static sn_status read_part(const sn_model *m, int index, const sn_safetensors *file, sn_batch *b) {
    const sn_part *part = &m->parts[index];
    sn_batch_part *to = &b->parts[index];
    const sn_tensor_view *v;
    sn_type types[SN_FEATURE_ARRAYS];
    SN_TRY(find_tensor(file, "at", part->name, -1, &v));
    if (!v) return SN_OK; /* absent in all rows */
    SN_TRY(read_places(v, part->name, b->n, to));
    SN_TRY(read_steps(m, part, file, &to->steps));
    to->n_arrays = sn_part_types(m, part, to->present, to->steps, types);
    for (int k = 0; k < to->n_arrays; k++) {
        SN_TRY(find_tensor(file, "inputs", part->name, k, &v));
        if (!v) return copy_tensor(NULL, part->name, types[k], NULL);
        if (!sn_shape_equal(v->type.shape, types[k].shape)) return copy_tensor(v, part->name, types[k], NULL);
        SN_TRY(sn_array_make(&to->arrays[k], types[k].dtype, types[k].shape)); /* its size is that of bytes in the file */
        SN_TRY(copy_tensor(v, part->name, types[k], to->arrays[k].data));
    }
    return SN_OK;
}

static sn_status read_all(const sn_model *m, const sn_safetensors *file, int64_t rows, sn_goldens *g) {
    SN_TRY(sn_batch_blank(m, rows, &g->batch));
    for (int p = 0; p < m->n_parts; p++) SN_TRY(read_part(m, p, file, g->batch));
    for (int t = 0; t < m->n_targets; t++) {
        const sn_tensor_view *v;
        const sn_feature *f = m->targets[t].feature;
        g->values[t] = sn_alloc(values_size(m, g->batch, t), sizeof(float));
        if (!g->values[t]) return SN_ERR_MEMORY;
        SN_TRY(find_tensor(file, "values", f->name, -1, &v));
        SN_TRY(copy_tensor(v, f->name, (sn_type){SN_SHAPE(rows, m->targets[t].task->width(f)), SN_F32}, g->values[t]));
    }
    return SN_OK;
}

static sn_status read_file(sn_model *m, const char *path) {
    int64_t rows;
    sn_safetensors *file = NULL;
    sn_goldens *g = NULL;
    SN_TRY(sn_json_int(m->goldens, "rows", 0, &rows));
    if (rows < 1 || rows > READ_ROWS) SN_FAIL(SN_ERR_FORMAT, "\"goldens\": \"rows\" must be 1 to %d, not %lld", READ_ROWS, (long long)rows);
    sn_status status = sn_safetensors_open(path, &file);
    if (status == SN_OK) status = goldens_alloc(m, &g);
    if (status == SN_OK) status = read_all(m, file, rows, g);
    sn_safetensors_free(file);
    if (status == SN_OK) m->golden_rows = g;
    else sn_goldens_free(g);
    return status;
}

sn_status sn_goldens_read(sn_model *m, const char *directory) {
    if (!m->goldens) return SN_OK;
    char *path = sn_path_join(directory, "goldens.safetensors");
    if (!path) return SN_ERR_MEMORY;
    sn_status status = SN_OK;
    if (sn_file_exists(path)) {
        status = read_file(m, path);
        if (status != SN_OK && status != SN_ERR_MEMORY && !strstr(sn_error_message(), path)) (void)sn_fail_in("%s", path);
        if (status != SN_OK) (void)sn_fail_at(path, 0, NULL);
    } else { /* somebody left the file behind: a model without goldens */
        json_decref(m->goldens);
        m->goldens = NULL;
    }
    sn_free(path);
    return status;
}

/* ---- compare ---- */

static void compare(const float *found, const float *kept, size_t n, double *largest, bool *identical) {
    for (size_t i = 0; i < n; i++) {
        double scale = fmax(1.0, fabs((double)kept[i])), difference = fabs((double)found[i] - (double)kept[i]) / scale;
        if (memcmp(&found[i], &kept[i], sizeof(float))) *identical = false;
        if (isnan(found[i]) != isnan(kept[i])) difference = INFINITY;
        if (difference > *largest) *largest = difference;
    }
}

sn_status sn_goldens_compare(const sn_model *m, double *largest, bool *identical) {
    *largest = 0;
    *identical = true;
    const sn_goldens *g = m->golden_rows;
    if (!g) SN_FAIL(SN_ERR_STATE, "this model carries no goldens to compare with");
    float **found = sn_alloc((size_t)m->n_targets, sizeof *found);
    sn_status status = found ? compute(m, g->batch, found) : SN_ERR_MEMORY;
    for (int t = 0; found && t < m->n_targets; t++) {
        if (status == SN_OK) compare(found[t], g->values[t], values_size(m, g->batch, t), largest, identical);
        sn_free(found[t]);
    }
    sn_free(found);
    return status;
}

double sn_goldens_tolerance(const sn_model *m) {
    return m->bf16 || json_is_true(json_object_get(m->goldens, "bf16")) ? 5e-2 : 1e-4;
}
