/* features.c: the very arrays that enter the encoders, as a safetensors file.
 *
 *   "<column>"            f32 pictures [R,H,W,C], log-mel [R,T,M]; i32 word ids [R,T]      R: rows that have it
 *   "<column>.lengths"    i32 [R], of sequences
 *   "<column>.rows"       i64 [R]: which rows of the table these are, from 1
 *   "table", "table.categories", "table.rows"   the grouped columns: f32 (value, missing) a number, i32 a category
 *
 * Rows without the input are not there (they never enter the encoder either); sequences are padded to the longest. */
#include <string.h>

#include "api/api.h"
#include "data/dataset.h"
#include "params/safetensors.h"

enum { TENSORS = 4 }; /* at most, of a part */

typedef struct listing {
    sn_tensor_view *views;
    int n;
    sn_arena names;
} listing;

static sn_status add(listing *l, const char *column, const char *suffix, sn_type type, const void *data) {
    size_t bytes = strlen(column) + strlen(suffix) + 1;
    char *name = sn_arena_alloc(&l->names, bytes, 1);
    if (!name) return SN_ERR_MEMORY;
    (void)memcpy(name, column, strlen(column));
    (void)memcpy(name + strlen(column), suffix, strlen(suffix));
    l->views[l->n] = (sn_tensor_view){.name = name, .type = type, .data = data};
    return sn_type_bytes(type, &l->views[l->n++].bytes);
}

static sn_status add_part(const sn_model *m, int index, const sn_batch *batch, listing *l) {
    const sn_part *part = &m->parts[index];
    const sn_batch_part *b = &batch->parts[index];
    if (!b->present) return SN_OK;
    for (int64_t i = 0; i < b->present; i++) b->rows[i]++; /* from 1, as everywhere outside */
    SN_TRY(add(l, part->name, ".rows", (sn_type){SN_SHAPE(b->present), SN_I64}, b->rows));
    if (part->modality == SN_MOD_TABLE) {
        for (int k = 0; k < b->n_arrays; k++)
            SN_TRY(add(l, part->name, b->arrays[k].type.dtype == SN_F32 ? "" : ".categories", b->arrays[k].type, b->arrays[k].data));
        return SN_OK;
    }
    SN_TRY(add(l, part->name, "", b->arrays[0].type, b->arrays[0].data));
    return b->n_arrays > 1 ? add(l, part->name, ".lengths", b->arrays[1].type, b->arrays[1].data) : SN_OK;
}

static sn_status write_batch(const sn_model *m, const sn_batch *batch, const char *path) {
    listing l = {.views = sn_alloc((size_t)m->n_parts * TENSORS, sizeof *l.views)};
    json_t *metadata = json_pack("{s:s}", "format", "sensorium features");
    sn_status status = l.views ? SN_OK : SN_ERR_MEMORY;
    for (int p = 0; status == SN_OK && p < m->n_parts; p++) status = add_part(m, p, batch, &l);
    if (status == SN_OK) status = sn_safetensors_write(path, l.views, l.n, metadata);
    json_decref(metadata);
    sn_free(l.views);
    sn_arena_free(&l.names);
    return status;
}

static sn_status write_rows(const sn_model *m, const sn_dataset *d, int64_t limit, const char *path) {
    static const sn_batch_spec spec;
    int64_t all = sn_table_rows(sn_dataset_table(d)), n = 0;
    if (limit && limit < all) all = limit;
    int64_t *rows = sn_alloc((size_t)all, sizeof *rows);
    if (!rows) return SN_ERR_MEMORY;
    for (int64_t r = 0; r < all; r++)
        if (!sn_dataset_row_broken(d, r)) rows[n++] = r;
    sn_batch *batch = NULL;
    sn_status status = n ? sn_batch_make(d, rows, n, &spec, &batch) : sn_fail(SN_ERR_FORMAT, "no row could be read");
    if (status == SN_OK) status = write_batch(m, batch, path);
    sn_batch_free(batch);
    sn_free(rows);
    return status;
}

sn_status sn_model_features(const sn_model *m, const sn_table *table, const char *options, const char *path) {
    static const char *const keys[] = {"skip_broken", "limit", NULL};
    json_t *given;
    int64_t limit = 0;
    sn_dataset_options o = {.threads = m->threads};
    SN_TRY(sn_options_parse(options, keys, &given));
    sn_status status = sn_json_bool(given, "skip_broken", false, &o.skip_broken);
    if (status == SN_OK) status = sn_options_int(given, "limit", 0, 0, INT64_MAX, &limit);
    json_decref(given);
    SN_TRY(status);
    sn_dataset *d;
    SN_TRY(sn_dataset_create(m, table, &o, &d));
    status = write_rows(m, d, limit, path);
    sn_dataset_free(d);
    return status;
}
