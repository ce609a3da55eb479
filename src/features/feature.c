/* feature.c: the table of kinds and what they share. */
#include "features/feature.h"

#define SN_FEATURE(role, kind, symbol) extern const sn_feature_kind sn_feature_##symbol;
#include "features/features.def"
#undef SN_FEATURE

const sn_feature_kind *const sn_feature_kinds[SN_ROLES][SN_KIND_COUNT] = {
#define SN_FEATURE(role, kind, symbol) [SN_ROLE_##role][SN_KIND_##kind] = &sn_feature_##symbol,
#include "features/features.def"
#undef SN_FEATURE
};

static enum sn_role role_of(const json_t *options) {
    if (json_object_get(options, "prefix")) return SN_ROLE_WRITTEN;
    if (json_object_get(options, "prompt")) return SN_ROLE_PROMPT;
    return json_object_get(options, "processor") ? SN_ROLE_PUBLISHED : SN_ROLE_OWN;
}

static bool has_role(const sn_feature *f, enum sn_role role) { return f->row == sn_feature_kinds[role][f->row->kind]; }

void sn_sample_free(sn_sample *sample) {
    sn_free(sample->data);
    *sample = (sn_sample){0};
}

void sn_array_free(sn_array *array) {
    sn_free(array->data);
    *array = (sn_array){0};
}

sn_status sn_array_make(sn_array *array, sn_dtype dtype, sn_shape shape) {
    size_t bytes;
    array->type = (sn_type){shape, dtype};
    SN_TRY(sn_type_bytes(array->type, &bytes));
    array->data = sn_alloc(bytes, 1);
    return array->data ? SN_OK : SN_ERR_MEMORY;
}

sn_status sn_feature_create(const char *name, sn_kind kind, const json_t *options, sn_feature **out) {
    *out = NULL;
    const sn_feature_kind *row = sn_feature_kinds[role_of(options)][kind];
    if (!row) {
        (void)sn_fail(SN_ERR_UNSUPPORTED, "column \"%s\": columns of kind %s cannot be learned from or predicted yet; leave it "
                      "out or give another --type", name, sn_kind_name(kind));
        return sn_fail_at(NULL, 0, name);
    }
    if (options && row->keys) SN_TRY(sn_json_known_keys(options, name, row->keys));
    sn_feature *f = sn_alloc(1, sizeof *f);
    if (!f) return SN_ERR_MEMORY;
    f->row = row;
    f->name = sn_strdup(name);
    f->options = options ? json_deep_copy(options) : json_object();
    if (!f->name || !f->options) {
        sn_feature_free(f);
        SN_FAIL(SN_ERR_MEMORY, "out of memory");
    }
    *out = f;
    return SN_OK;
}

bool sn_feature_written(const sn_feature *f) { return has_role(f, SN_ROLE_WRITTEN); }
bool sn_feature_prompts(const sn_feature *f) { return has_role(f, SN_ROLE_PROMPT); }

sn_status sn_feature_set_directory(sn_feature *f, const char *directory) {
    sn_free(f->directory);
    f->directory = sn_strdup(directory);
    return f->directory ? SN_OK : SN_ERR_MEMORY;
}

sn_status sn_feature_open(sn_feature *f) {
    sn_status status = SN_OK;
    if (!has_role(f, SN_ROLE_OWN) && !f->directory) status = sn_fail(SN_ERR_STATE, "the place of its processor is not known");
    if (status == SN_OK && f->row->open) status = f->row->open(f);
    if (status == SN_OK) return SN_OK;
    (void)sn_fail_in("column \"%s\"", f->name);
    return sn_fail_at(NULL, 0, f->name);
}

sn_status sn_feature_fit(sn_feature *f, const sn_fit_source *source) {
    sn_status status = f->row->fit ? f->row->fit(f, source) : SN_OK;
    if (status != SN_OK) return sn_fail_at(sn_table_path(source->table), 0, f->name);
    return sn_feature_open(f);
}

void sn_feature_free(sn_feature *f) {
    if (!f) return;
    if (f->row->close) f->row->close(f);
    json_decref(f->options);
    sn_free(f->directory);
    sn_free(f->name);
    sn_free(f);
}

sn_status sn_feature_encode_cell(const sn_feature *f, const sn_table *table, int64_t row, int column, sn_sample *out) {
    *out = (sn_sample){0};
    const char *text = sn_table_cell(table, row, column);
    sn_cell cell = {.text = text, .bytes = strlen(text)};
    char *path = NULL;
    sn_status status = f->row->media ? sn_table_media_path(table, row, column, &path) : SN_OK;
    cell.path = path;
    if (status == SN_OK) status = f->row->encode(f, &cell, out);
    if (status != SN_OK) {
        (void)sn_fail_at(path ? path : sn_table_path(table), row + 1, f->name);
        sn_sample_free(out);
    }
    sn_free(path);
    return status;
}

int64_t sn_ladder(int64_t length) {
    static const int64_t steps[] = {2,  4,  6,  8,  10, 12, 14, 16, 24,  32,  40,  48,  56,  64,  80,  96,
                                    112, 128, 160, 192, 224, 256, 320, 384, 448, 512};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (length <= steps[i]) return steps[i];
    return (length + 127) / 128 * 128;
}

sn_status sn_feature_set(sn_feature *f, const char *key, json_t *value) {
    if (!value || json_object_set_new(f->options, key, value)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

int64_t sn_pick(int64_t i, int64_t n, int64_t most) { return n <= most ? i : i * n / most; }
