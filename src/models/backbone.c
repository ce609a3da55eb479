/* backbone.c: see backbone.h. Opening, loading, writing; the graph is in backbone_graph.c. */
#include "models/backbone_internal.h"

#include <stdio.h>

#include "models/companions.h"
#include "models/pretrained.h"

enum { MOST_FILE = 256 << 20 };

void sn_backbone_free(sn_backbone *b) {
    if (!b) return;
    for (size_t i = 0; i < b->n_files; i++) {
        sn_bytes_free(&b->files[i].bytes);
        sn_free(b->files[i].name);
    }
    sn_free(b->files);
    sn_weights_free(b->weights);
    sn_adapters_free(b->adapters);
    sn_page_config_free(&b->c);
    json_decref(b->config);
    sn_free(b->layer);
    sn_free(b->directory);
    sn_free(b);
}

const char *sn_backbone_directory(const sn_backbone *b) { return b->directory; }
const char *sn_backbone_architecture(const sn_backbone *b) { return sn_page_architecture(b->config); }
const sn_page_config *sn_backbone_config(const sn_backbone *b) { return &b->c; }
int sn_backbone_layers(const sn_backbone *b) { return b->layers; }
int sn_backbone_layer(const sn_backbone *b, int i) { return i >= b->first && i < b->end ? b->layer[i - b->first] : -1; }

/* ---- opening ---- */

static sn_status check_kind(const sn_page *page, enum sn_modality modality) {
    static const struct { enum sn_modality modality; unsigned accepts; const char *what; } kinds[] = {
        {SN_MOD_TEXT, SN_IN_TEXT, "texts"}, {SN_MOD_IMAGE, SN_IN_IMAGE, "pictures"}, {SN_MOD_AUDIO, SN_IN_SOUND, "sound"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].modality != modality) continue;
        if (page->accepts & SN_IN_JOINT)
            SN_FAIL(SN_ERR_UNSUPPORTED, "a model of type %s reads texts and pictures together; it is no encoder of one column", page->model_type);
        if (page->accepts & kinds[i].accepts) return SN_OK;
        SN_FAIL(SN_ERR_USAGE, "a model of type %s does not take %s", page->model_type, kinds[i].what);
    }
    SN_FAIL(SN_ERR_USAGE, "a %s has no published encoder", sn_modality_name(modality));
}

static sn_status check_writer(const sn_backbone *b) {
    const char *architecture = sn_backbone_architecture(b);
    if (sn_page_writes(b->page, architecture)) return SN_OK;
    SN_FAIL(SN_ERR_USAGE, "a model of type %s%s%s does not write texts", b->page->model_type, *architecture ? ", " : "", architecture);
}

static sn_status read_config(sn_backbone *b) {
    char *path = NULL;
    sn_status status = sn_file_find(b->directory, "config.json", &path);
    if (status == SN_OK && !path) status = sn_fail(SN_ERR_IO, "%s: holds no config.json, so it is no published model", b->directory);
    if (status == SN_OK) status = sn_json_read(path, &b->config);
    if (status == SN_OK && !json_is_object(b->config)) status = sn_fail(SN_ERR_FORMAT, "config.json is not an object");
    if (status == SN_OK) status = sn_page_find_for(b->config, &b->page);
    if (status == SN_OK) status = b->modality == SN_MOD_WRITER ? check_writer(b) : check_kind(b->page, b->modality);
    if (status == SN_OK) status = sn_page_read(b->page, b->config, &b->c);
    if (status != SN_OK && path) {
        (void)sn_fail_in("%s", b->directory);
        status = sn_fail_at(path, 0, NULL);
    }
    sn_free(path);
    return status;
}

/* config.json and adapters are written anew, from what the parameters have become. */
static sn_status keep_file(void *context, const char *name) {
    sn_backbone *b = context;
    if (!strcmp(name, "config.json") || !strncmp(name, "adapter_", 8)) return SN_OK;
    sn_backbone_file *files = sn_grow(b->files, b->n_files, &b->files_room, sizeof *files);
    if (!files) return SN_ERR_MEMORY;
    b->files = files;
    sn_backbone_file *f = &files[b->n_files];
    char *path = sn_path_join(b->directory, name);
    *f = (sn_backbone_file){.name = path ? sn_strdup(name) : NULL};
    sn_status status = f->name ? sn_file_read(path, MOST_FILE, &f->bytes) : SN_ERR_MEMORY;
    if (status == SN_OK) b->n_files++;
    else sn_free(f->name);
    sn_free(path);
    return status;
}

/* sentence-transformers' way to make one vector of a text's tokens; the mean where nothing is said. */
static sn_status read_pooling(sn_backbone *b) {
    static const char name[] = "1_Pooling/config.json";
    b->pooling = SN_POOL_MEAN;
    for (size_t i = 0; i < b->n_files; i++) {
        if (strcmp(b->files[i].name, name)) continue;
        json_t *json;
        SN_TRY(sn_json_parse(name, (const char *)b->files[i].bytes.data, b->files[i].bytes.size, &json));
        sn_status status = sn_pool_modes_read(json, &b->pooling);
        json_decref(json);
        if (status != SN_OK) return sn_fail_in("%s/%s", b->directory, name);
    }
    return SN_OK;
}

/* Opens the directory as a model of its own, which must fit as a whole. */
static sn_status check_whole(const sn_backbone *b) {
    sn_pretrained_options o = {.threads = 1, .precision = "f32", .inference = true};
    sn_pretrained *m;
    SN_TRY(sn_pretrained_open(b->directory, &o, &m));
    sn_pretrained_free(m);
    return SN_OK;
}

sn_status sn_backbone_open(const char *directory, enum sn_modality modality, bool whole, sn_backbone **out) {
    *out = NULL;
    sn_backbone *b = sn_alloc(1, sizeof *b);
    if (!b) return SN_ERR_MEMORY;
    b->modality = modality;
    b->directory = sn_strdup(directory);
    sn_status status = b->directory ? read_config(b) : SN_ERR_MEMORY;
    if (status == SN_OK && whole) status = check_whole(b);
    if (status == SN_OK) status = sn_weights_open(directory, &b->weights);
    if (status == SN_OK) status = sn_adapters_open(directory, &b->adapters);
    if (status == SN_OK && b->adapters) b->adapters->prefix = b->page->prefix;
    if (status == SN_OK && b->adapters && sn_adapters_has_whole(b->adapters))
        status = sn_fail(SN_ERR_UNSUPPORTED, "%s/adapter_config.json: modules that were learned as a whole (\"modules_to_save\") are not supported in training", directory);
    if (status == SN_OK) status = sn_companions_each(directory, keep_file, b);
    if (status == SN_OK) status = read_pooling(b);
    if (status == SN_OK) *out = b;
    else sn_backbone_free(b);
    return status;
}

static uint64_t mix_weights(uint64_t hash, const sn_weights *w) {
    for (int i = 0; i < sn_weights_count(w); i++) {
        const sn_tensor_view *t = sn_weights_at(w, i);
        hash = sn_hash_add(hash, t->name, strlen(t->name));
        hash = sn_hash_add(hash, t->data, t->bytes);
    }
    return hash;
}

uint64_t sn_backbone_hash(sn_backbone *b) {
    if (b->hash) return b->hash;
    char *text = json_dumps(b->config, JSON_COMPACT | JSON_SORT_KEYS);
    b->hash = mix_weights(text ? sn_hash(text, strlen(text)) : 0, b->weights);
    if (b->adapters) b->hash = mix_weights(b->hash, b->adapters->weights);
    free(text);
    return b->hash;
}

/* ---- the parameters ---- */

void sn_backbone_place(sn_backbone *b, int first, int end, size_t skip) {
    b->first = first;
    b->end = end;
    b->skip = skip;
}

static sn_module_range range_of(const sn_backbone *b) { return (sn_module_range){b->first, b->end, b->skip}; }

static sn_status load_one(const sn_backbone *b, sn_params *p, int i) {
    if (!sn_lora_is(sn_params_name(p, i))) return sn_params_load_one(p, i, b->weights, sn_params_name(p, i) + b->skip);
    return b->adapters ? sn_adapters_load_one(b->adapters, p, i, b->skip) : SN_OK;
}

sn_status sn_backbone_load(const sn_backbone *b, sn_params *p) {
    bool own = false; /* adapters in the store, which those of the directory become */
    for (int i = b->first; i < b->end; i++) {
        own |= sn_lora_is(sn_params_name(p, i));
        if (load_one(b, p, i) == SN_OK) continue;
        (void)sn_fail_in("%s", b->directory);
        return sn_fail_at(b->directory, 0, NULL);
    }
    if (b->adapters && !own) SN_TRY(sn_adapters_merge(b->adapters, p, range_of(b), b->weights));
    sn_params_changed(p, false);
    return SN_OK;
}

sn_status sn_backbone_adopt(const sn_backbone *b, json_t *options) {
    if (!b->adapters) return SN_OK;
    const json_t *targets = json_object_get(b->adapters->config, "target_modules");
    if (!json_is_array(targets))
        SN_FAIL(SN_ERR_UNSUPPORTED, "%s/adapter_config.json: \"target_modules\" must be a list for its adapters to learn on", b->directory);
    if (json_object_set(options, "lora_targets", (json_t *)(uintptr_t)targets) || json_object_set_new(options, "lora_rank", json_integer(b->adapters->rank))
        || json_object_set_new(options, "lora_alpha", json_real(b->adapters->alpha)))
        SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

sn_status sn_backbone_merge(const sn_backbone *b, sn_params *p, double scale) { return sn_adapters_merge_own(p, range_of(b), scale); }

/* Is the parameter still what the file says? */
static sn_status same(sn_params *p, int i, const sn_tensor_view *view, bool *out) {
    enum { PIECE = 4096 };
    float was[PIECE];
    const float *now = sn_params_data(p, i);
    size_t count = (size_t)sn_shape_count(sn_params_shape(p, i));
    *out = true;
    for (size_t at = 0; *out && at < count; at += PIECE) {
        size_t n = count - at < PIECE ? count - at : PIECE;
        SN_TRY(sn_tensor_part_to_f32(view, at, n, was));
        *out = !memcmp(was, now + at, n * sizeof *was);
    }
    return SN_OK;
}

static bool counts_words(const sn_page_config *c, int64_t n) {
    if (c->vocabulary == n) return true;
    for (int i = 0; i < SN_PAGE_PARTS && c->part[i]; i++)
        if (counts_words(c->part[i], n)) return true;
    return false;
}

/* Files may hold a word table twice, as the last matrix too (or its bias): no parameter is made of the copy, which is to
 * stay one. */
static void change_copies(const sn_backbone *b, const sn_params *p, const sn_tensor_view *was, const sn_tensor_view *now, sn_tensor_view *views) {
    if (was->type.shape.rank < 1 || !counts_words(&b->c, was->type.shape.dim[0])) return;
    char name[SN_ADAPTERS_NAME];
    const char *prefix = sn_params_name(p, b->first);
    for (int k = 0; k < sn_weights_count(b->weights); k++) {
        const sn_tensor_view *other = sn_weights_at(b->weights, k);
        bool copy = other != was && other->type.dtype == was->type.dtype && sn_shape_equal(other->type.shape, was->type.shape);
        if (!copy || snprintf(name, sizeof name, "%.*s%s", (int)b->skip, prefix, other->name) >= (int)sizeof name) continue;
        if (sn_params_find(p, name) >= 0 || memcmp(other->data, was->data, was->bytes)) continue;
        views[k] = *now;
        views[k].name = other->name;
    }
}

/* All tensors of the file, those that training changed as they are now. */
static sn_status list_tensors(const sn_backbone *b, sn_params *p, sn_tensor_view *views, bool *changed) {
    for (int k = 0; k < sn_weights_count(b->weights); k++) views[k] = *sn_weights_at(b->weights, k);
    *changed = false;
    for (int i = b->first; i < b->end; i++) {
        bool kept;
        if (sn_lora_is(sn_params_name(p, i))) continue;
        const sn_tensor_view *view = sn_weights_find(b->weights, sn_params_name(p, i) + b->skip);
        if (!view) SN_FAIL(SN_ERR_STATE, "\"%s\" has no place in %s", sn_params_name(p, i), sn_weights_path(b->weights));
        SN_TRY(same(p, i, view, &kept));
        if (kept) continue;
        sn_tensor_view *to = &views[view - sn_weights_at(b->weights, 0)];
        *to = (sn_tensor_view){view->name, {view->type.shape, SN_F32}, sn_params_data(p, i),
                               (size_t)sn_shape_count(view->type.shape) * sizeof(float)};
        change_copies(b, p, view, to, views);
        *changed = true;
    }
    return SN_OK;
}

/* config.json as it was; numbers that were trained are f32, whatever they were before. */
static sn_status write_config(const sn_backbone *b, bool changed, const char *directory) {
    json_t *config = json_deep_copy(b->config);
    char *path = sn_path_join(directory, "config.json");
    sn_status status = config && path ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
    static const char *const keys[] = {"dtype", "torch_dtype"};
    for (int k = 0; status == SN_OK && changed && k < 2; k++)
        if (json_object_get(config, keys[k])) (void)json_object_set_new(config, keys[k], json_string("float32"));
    if (status == SN_OK) status = sn_json_write(path, config);
    sn_free(path);
    json_decref(config);
    return status;
}

static sn_status write_files(const sn_backbone *b, const char *directory) {
    for (size_t i = 0; i < b->n_files; i++) {
        char *path = sn_path_join(directory, b->files[i].name), *parent = path ? sn_path_parent(path) : NULL;
        sn_status status = parent ? sn_make_directory(parent) : SN_ERR_MEMORY;
        if (status == SN_OK) status = sn_file_write(path, b->files[i].bytes.data, b->files[i].bytes.size);
        sn_free(parent);
        sn_free(path);
        SN_TRY(status);
    }
    return SN_OK;
}

/* Adapters that are part of the model, beside it. */
static sn_status write_adapters(const sn_backbone *b, sn_params *p, const json_t *options, const char *directory) {
    sn_tuning t;
    SN_TRY(sn_tuning_read(options, &t));
    if (!sn_tuning_adapts(&t)) return SN_OK;
    return sn_adapters_write(p, range_of(b), b->weights, t.lora_rank, t.lora_alpha, t.lora_dropout, directory);
}

sn_status sn_backbone_write(const sn_backbone *b, sn_params *p, const json_t *options, const char *directory) {
    int n = sn_weights_count(b->weights);
    bool changed;
    sn_tensor_view *views = sn_alloc((size_t)n, sizeof *views);
    char *path = sn_path_join(directory, "model.safetensors");
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    sn_status status = views && path && metadata ? sn_make_directory(directory) : sn_fail(SN_ERR_MEMORY, "out of memory");
    if (status == SN_OK) status = list_tensors(b, p, views, &changed);
    if (status == SN_OK) status = sn_safetensors_write(path, views, n, metadata);
    if (status == SN_OK) status = write_adapters(b, p, options, directory);
    if (status == SN_OK) status = write_files(b, directory);
    if (status == SN_OK) status = write_config(b, changed, directory);
    json_decref(metadata);
    sn_free(path);
    sn_free(views);
    return status;
}

/* ---- where it lies in a model's directory ---- */

static bool plain(unsigned char c, bool first) {
    return c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || (c == '.' && !first);
}

char *sn_backbone_place_name(const char *column) {
    sn_buf text = {0};
    sn_buf_puts(&text, "encoders/");
    for (const char *c = column; *c; c++) {
        if (plain((unsigned char)*c, c == column)) sn_buf_add(&text, c, 1);
        else sn_buf_printf(&text, "%%%02X", (unsigned)(unsigned char)*c);
    }
    char *name = sn_buf_check(&text) == SN_OK ? sn_strdup(text.data) : NULL;
    sn_buf_free(&text);
    return name;
}

bool sn_backbone_place_valid(const char *place) {
    static const char room[] = "encoders/";
    size_t n = sizeof room - 1;
    return !strncmp(place, room, n) && place[n] && place[n] != '.' && !strchr(place + n, '/');
}
