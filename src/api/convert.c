/* convert.c: any checkpoint that weights.h opens -> a directory with one model.safetensors, beside it the other files
 * that travel with a model (models/companions.h), as they are.
 *
 * Only "dtype" changes anything but the container: float tensors become it, whole numbers stay, and where config.json
 * names a dtype it names the new one. */
#include <stdio.h>

#include "api/api.h"
#include "base/directory.h"
#include "base/hub.h"
#include "models/companions.h"
#include "models/page.h"
#include "params/safetensors.h"
#include "params/weights.h"

enum { COPY_MOST = 512 << 20 };

typedef struct dtype_row {
    const char *name;   /* the option */
    sn_dtype dtype;
    const char *config; /* what config.json calls it */
} dtype_row;
static const dtype_row dtypes[] = {{"f32", SN_F32, "float32"}, {"f16", SN_F16, "float16"}, {"bf16", SN_BF16, "bfloat16"}};

typedef struct job {
    const char *source;   /* the directory, or one file */
    const char *folder;   /* the new directory */
    sn_weights *weights;
    const dtype_row *to;  /* NULL: as they are */
    json_t *files;        /* copied */
    int64_t bytes, overflows;
} job;

static sn_status no_memory(void) { return sn_fail(SN_ERR_MEMORY, "out of memory while converting"); }

static sn_status write_weights(job *j, const char *folder) {
    int n = sn_weights_count(j->weights);
    char *path = sn_path_join(folder, "model.safetensors");
    sn_tensor_view *views = path ? sn_alloc((size_t)n, sizeof *views) : NULL;
    sn_dtype *as = views ? sn_alloc((size_t)n, sizeof *as) : NULL;
    json_t *metadata = json_pack("{s:s}", "format", "pt"); /* Transformers refuses a file without it */
    sn_status status = !as ? SN_ERR_MEMORY : !metadata ? no_memory() : SN_OK;
    for (int i = 0; status == SN_OK && i < n; i++) {
        views[i] = *sn_weights_at(j->weights, i);
        as[i] = j->to && sn_dtype_is_float(views[i].type.dtype) ? j->to->dtype : views[i].type.dtype;
        size_t bytes;
        status = sn_type_bytes((sn_type){views[i].type.shape, as[i]}, &bytes);
        j->bytes += (int64_t)bytes;
    }
    if (status == SN_OK) status = sn_safetensors_write_as(path, views, as, n, metadata, &j->overflows);
    json_decref(metadata);
    sn_free(as);
    sn_free(views);
    sn_free(path);
    return status;
}

/* ---- the other files ---- */

/* config.json with the new dtype under the key that it has ("torch_dtype" before Transformers 4.56). */
static sn_status write_config(const job *j, const char *from, const char *to) {
    json_t *config;
    SN_TRY(sn_json_read(from, &config));
    const char *key = json_object_get(config, "dtype") ? "dtype" : "torch_dtype";
    sn_status status = json_object_set_new(config, key, json_string(j->to->config)) ? no_memory() : sn_json_write(to, config);
    json_decref(config);
    return status;
}

static bool names_dtype(const char *path) {
    json_t *config = NULL;
    bool names = sn_json_read(path, &config) == SN_OK && (json_object_get(config, "dtype") || json_object_get(config, "torch_dtype"));
    json_decref(config);
    return names;
}

/* A companion (models/companions.h) from the source to the folder; not what is converted itself. */
static sn_status copy_file(void *context, const char *name) {
    const job *j = context;
    char *from = sn_path_join(j->source, name), *to = sn_path_join(j->folder, name), *parent = to ? sn_path_parent(to) : NULL;
    sn_bytes bytes = {0};
    bool weights = from && !strcmp(from, sn_weights_path(j->weights));
    sn_status status = from && parent ? sn_make_directory(parent) : SN_ERR_MEMORY;
    if (status == SN_OK && !weights && j->to && !strcmp(name, "config.json") && names_dtype(from)) {
        status = write_config(j, from, to);
    } else if (status == SN_OK && !weights) {
        status = sn_file_read(from, COPY_MOST, &bytes);
        if (status == SN_OK) status = sn_file_write(to, bytes.data, bytes.size);
    }
    if (status == SN_OK && !weights && json_array_append_new(j->files, json_string(name))) status = no_memory();
    sn_bytes_free(&bytes);
    sn_free(parent);
    sn_free(from);
    sn_free(to);
    return status;
}

/* Weights that a page recognises and that have no configuration beside them get one, so that the directory opens. */
static sn_status write_own(const job *j, const char *folder, const char *name, const json_t *value) {
    char *path = value ? sn_path_join(folder, name) : NULL;
    if (!value) return SN_OK;
    sn_status status = path ? sn_json_write(path, value) : SN_ERR_MEMORY;
    sn_free(path);
    if (status == SN_OK && json_array_append_new(j->files, json_string(name))) status = no_memory();
    return status;
}
static sn_status add_config(const job *j, const char *folder) {
    json_t *config = NULL, *processor = NULL;
    char *there;
    SN_TRY(sn_file_find(folder, "config.json", &there));
    sn_free(there);
    if (there) return SN_OK;
    sn_status status = sn_page_recognise(j->weights, &config, &processor);
    if (status == SN_OK) status = write_own(j, folder, "config.json", config);
    if (status == SN_OK) status = write_own(j, folder, "preprocessor_config.json", processor);
    json_decref(config);
    json_decref(processor);
    return status;
}

/* ---- the whole ---- */

static sn_status fill(void *context, const char *fresh) {
    job *j = context;
    SN_TRY(write_weights(j, fresh));
    j->folder = fresh;
    SN_TRY(sn_companions_each(j->source, copy_file, j));
    return add_config(j, fresh);
}

static sn_status read_options(const char *options, job *j, bool *overwrite) {
    static const char *const keys[] = {"dtype", "overwrite", NULL};
    json_t *given;
    const char *dtype;
    SN_TRY(sn_options_parse(options, keys, &given));
    sn_status status = sn_json_bool(given, "overwrite", false, overwrite);
    if (status == SN_OK) status = sn_json_string(given, "dtype", NULL, &dtype);
    for (size_t i = 0; status == SN_OK && dtype && i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtype, dtypes[i].name)) j->to = &dtypes[i];
    if (status == SN_OK && dtype && !j->to) status = sn_fail(SN_ERR_USAGE, "\"dtype\" must be f32, f16 or bf16, not \"%s\"", dtype);
    json_decref(given);
    return status;
}

static sn_status report(const job *j, const char *source, char **json) {
    json_t *root = json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:O}", "schema", 1, "source", source, "format", sn_weights_format(j->weights), "tensors",
                             (json_int_t)sn_weights_count(j->weights), "bytes", (json_int_t)j->bytes, "overflows",
                             (json_int_t)j->overflows, "files", j->files);
    return sn_json_text(root, json);
}

sn_status sn_weights_convert(const char *path, const char *output, const char *options, char **json) {
    job j = {0};
    bool overwrite = false;
    char *source = NULL;
    if (json) *json = NULL;
    SN_TRY(read_options(options, &j, &overwrite));
    sn_status status = sn_hub_find(path, &source);
    j.source = source;
    if (status == SN_OK) status = sn_weights_open(source, &j.weights);
    if (status == SN_OK && !(j.files = json_array())) status = no_memory();
    if (status == SN_OK) status = sn_directory_write(output, overwrite, fill, &j);
    if (status == SN_OK && json) status = report(&j, sn_weights_path(j.weights), json);
    json_decref(j.files);
    sn_weights_free(j.weights);
    sn_free(source);
    return status;
}
