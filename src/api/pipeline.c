/* pipeline.c: published models through the public interface. */
#include <stdlib.h>

#include "base/hub.h"
#include "models/adapters.h"
#include "models/backbone.h"
#include "models/pool_modes.h"
#include "pipelines/media.h"
#include "pipelines/work.h"

/* ---- opening ---- */

void sn_pipeline_free(sn_pipeline *p) {
    if (!p) return;
    sn_work_free_all(p->idle);
    sn_pretrained_free(p->model);
    sn_tokenizer_free(p->tokenizer);
    sn_pooling_free(&p->pooling);
    sn_mel_free(p->mel);
    json_decref(p->generation);
    (void)pthread_mutex_destroy(&p->lock);
    sn_free(p->path);
    sn_free(p);
}

/* Does the directory hold one of these files? */
static sn_status has_one(const sn_pipeline *p, const char *const *names, bool *there) {
    *there = false;
    for (; *names && !*there; names++) {
        char *path;
        SN_TRY(sn_file_find(p->path, *names, &path));
        *there = path != NULL;
        sn_free(path);
    }
    return SN_OK;
}

static sn_status open_tokenizer(sn_pipeline *p) {
    static const char *const files[] = {"tokenizer.json", "vocab.txt", "vocab.json", NULL};
    bool there;
    SN_TRY(has_one(p, files, &there));
    return there ? sn_tokenizer_open(p->path, &p->tokenizer) : SN_OK;
}

static sn_status open_sound(sn_pipeline *p) {
    const sn_page_config *c = sn_pretrained_config(p->model);
    SN_TRY(sn_audio_processor_read(p->path, &p->sound));
    if (p->sound.mel.mels != c->mels || p->sound.frames != 2 * c->positions)
        SN_FAIL(SN_ERR_FORMAT, "%s: the sound processor gives %lld frames of %d filters; the model takes %lld of %lld", p->path,
                (long long)p->sound.frames, p->sound.mel.mels, (long long)(2 * c->positions), (long long)c->mels);
    return sn_mel_create(&p->sound.mel, &p->mel);
}

/* What makes the model's pictures or sounds, where its directory says it. */
static sn_status open_media(sn_pipeline *p, unsigned needs) {
    if (needs & SN_NEED_SOUND && sn_pipeline_accepts(p, SN_IN_SOUND)) {
        static const char *const files[] = {"preprocessor_config.json", "processor_config.json", NULL};
        bool there;
        SN_TRY(has_one(p, files, &there));
        if (there) SN_TRY(open_sound(p));
    }
    if (!(needs & SN_NEED_PICTURES) || !sn_pipeline_accepts(p, SN_IN_IMAGE)) return SN_OK;
    return sn_image_processor_find(p->path, sn_pretrained_page(p->model)->model_type, &p->has_pictures, &p->pictures);
}

static sn_status open_parts(sn_pipeline *p, unsigned needs, const sn_pretrained_options *options) {
    if (!sn_is_directory(p->path)) {
        (void)sn_fail(SN_ERR_IO, "%s: expected a model's directory%s", p->path, sn_weights_is_name(p->path) ? "; convert makes one of a file of weights" : "");
        return sn_fail_at(p->path, 0, NULL);
    }
    if (needs & SN_NEED_TOKENIZER) SN_TRY(open_tokenizer(p));
    if (needs & SN_NEED_POOLING) SN_TRY(sn_pooling_read(p->path, &p->pooling));
    if (needs & SN_NEED_MODEL) SN_TRY(sn_pretrained_open(p->path, options, &p->model));
    if (needs & (SN_NEED_SOUND | SN_NEED_PICTURES)) SN_TRY(open_media(p, needs));
    char *path = NULL;
    if (needs & SN_NEED_MODEL) SN_TRY(sn_file_find(p->path, "generation_config.json", &path));
    sn_status status = path ? sn_json_read(path, &p->generation) : SN_OK;
    sn_free(path);
    p->has = needs;
    return status;
}

/* adapters: their directory, where they do not lie beside the model's weights; or NULL. */
static sn_status open_as(const char *path, const char *adapters, const json_t *given, sn_pipeline **out) {
    int64_t threads;
    const char *precision, *task;
    const sn_pipeline_task *row = NULL;
    SN_TRY(sn_options_int(given, "threads", 0, 0, 1024, &threads));
    SN_TRY(sn_json_string(given, "precision", "auto", &precision));
    SN_TRY(sn_json_string(given, "task", NULL, &task));
    if (task) SN_TRY(sn_pipeline_task_find(task, &row));
    sn_pipeline *p = sn_alloc(1, sizeof *p);
    if (!p) return SN_ERR_MEMORY;
    (void)pthread_mutex_init(&p->lock, NULL);
    p->path = sn_strdup(path);
    sn_pretrained_options options = {.threads = (int)threads, .precision = precision, .adapters = adapters, .inference = true, .fold = true};
    sn_status status = p->path ? open_parts(p, row && !(row->needs & SN_NEED_MODEL) ? row->needs : SN_NEED_ALL, &options) : SN_ERR_MEMORY;
    if (status == SN_OK) *out = p;
    else sn_pipeline_free(p);
    return status;
}

/* A model trained here that writes holds the published model that it has become: that is what is opened. */
static sn_status follow_writer(char **path) {
    char *file, *inner = NULL;
    json_t *config = NULL;
    SN_TRY(sn_file_find(*path, "config.json", &file));
    sn_status status = file ? sn_json_read(file, &config) : SN_OK;
    const char *type = json_string_value(json_object_get(config, "model_type"));
    const char *place = json_string_value(json_object_get(json_object_get(json_object_get(config, "writer"), "encoder"), "directory"));
    if (type && place && !strcmp(type, "sensorium") && sn_backbone_place_valid(place)) {
        inner = sn_path_join(*path, place);
        if (!inner) status = SN_ERR_MEMORY;
    }
    if (inner) {
        sn_free(*path);
        *path = inner;
    }
    json_decref(config);
    sn_free(file);
    return status;
}

sn_status sn_pipeline_open(const char *path, const char *options, sn_pipeline **out) {
    static const char *const keys[] = {"threads", "precision", "task", NULL};
    json_t *given;
    *out = NULL;
    if (!path || !*path) SN_FAIL(SN_ERR_USAGE, "a model's directory is expected");
    SN_TRY(sn_options_parse(options, keys, &given));
    char *found = NULL, *base = NULL;
    sn_status status = sn_hub_find(path, &found);
    if (status == SN_OK) status = follow_writer(&found);
    if (status == SN_OK && sn_is_directory(found)) status = sn_adapters_base(found, &base);
    if (status == SN_OK && base) status = follow_writer(&base);
    if (status == SN_OK) status = base ? open_as(base, found, given, out) : open_as(found, NULL, given, out);
    sn_free(base);
    sn_free(found);
    json_decref(given);
    return status;
}

/* ---- describing ---- */

static json_t *accepts(const sn_pipeline *p) {
    static const struct {
        unsigned bit;
        const char *name;
    } kinds[] = {{SN_IN_IMAGE, "image"}, {SN_IN_SOUND, "audio"}, {SN_IN_TEXT, "text"}, {SN_IN_REGIONS, "regions"}};
    json_t *list = json_array();
    for (size_t i = 0; list && i < sizeof kinds / sizeof *kinds; i++)
        if (sn_pipeline_accepts(p, kinds[i].bit)) (void)json_array_append_new(list, json_string(kinds[i].name));
    return list;
}

static sn_status add_tasks(const sn_pipeline *p, json_t *root) {
    json_t *list = json_array();
    bool fits;
    if (json_object_set_new(root, "tasks", list)) return sn_fail(SN_ERR_MEMORY, "out of memory while describing a model");
    for (int i = 0; sn_pipeline_tasks[i]; i++) {
        SN_TRY(sn_pipeline_fits(p, sn_pipeline_tasks[i], &fits));
        if (fits) (void)json_array_append_new(list, json_string(sn_pipeline_tasks[i]->name));
    }
    return SN_OK;
}

static sn_status add_text(const sn_pipeline *p, json_t *root) {
    char modes[128];
    size_t width;
    if (p->tokenizer) {
        (void)json_object_set_new(root, "tokens", json_integer((json_int_t)sn_tokenizer_count(p->tokenizer)));
        int64_t most = sn_text_limit(p);
        if (most) (void)json_object_set_new(root, "max_tokens", json_integer((json_int_t)most));
    }
    sn_status status = sn_embed_width(p, &width);
    if (status != SN_OK) return status == SN_ERR_MEMORY ? status : SN_OK; /* it gives no vector */
    (void)json_object_set_new(root, "vector", json_integer((json_int_t)width));
    if (!sn_pipeline_accepts(p, SN_IN_TEXT) || sn_pipeline_accepts(p, SN_IN_IMAGE)) return SN_OK;
    sn_pool_modes_text(p->pooling.modes, modes, sizeof modes);
    (void)json_object_set_new(root, "pooling", json_string(modes));
    (void)json_object_set_new(root, "normalised", json_boolean(sn_pooling_normalises(&p->pooling)));
    return SN_OK;
}

sn_status sn_pipeline_describe(const sn_pipeline *p, char **json) {
    *json = NULL;
    if (!p->model) SN_FAIL(SN_ERR_STATE, "%s was opened without its weights", p->path);
    sn_params *params = sn_pretrained_params(p->model);
    json_int_t parameters = 0;
    for (int i = 0; i < sn_params_count(params); i++) parameters += (json_int_t)sn_shape_count(sn_params_shape(params, i));
    json_t *root = json_pack("{s:i, s:s, s:s, s:I, s:I, s:s, s:i, s:o}", "schema", 1, "model_type",
                             sn_pretrained_page(p->model)->model_type, "architecture", sn_pretrained_architecture(p->model),
                             "parameters", parameters, "bytes", parameters * (json_int_t)(sn_pretrained_bf16(p->model) ? 2 : 4), "precision",
                             sn_pretrained_bf16(p->model) ? "bf16" : "f32", "threads", sn_pretrained_threads(p->model), "accepts",
                             accepts(p));
    sn_status status = root ? add_tasks(p, root) : SN_OK;
    if (status == SN_OK && root) status = add_text(p, root);
    if (status == SN_OK) return sn_json_text(root, json);
    json_decref(root);
    return status;
}

/* Does config.json call the model one that was trained here? */
static sn_status trained_here(const char *directory, bool *here) {
    json_t *config = NULL;
    const char *type = NULL;
    char *path = NULL;
    *here = false;
    if (sn_is_directory(directory)) SN_TRY(sn_file_find(directory, "config.json", &path));
    if (!path) return SN_OK; /* adapters alone, or what opening it says better */
    sn_status status = sn_json_read(path, &config);
    if (status == SN_OK) status = sn_json_string(config, "model_type", NULL, &type);
    *here = type && !strcmp(type, "sensorium");
    if (status != SN_OK) (void)sn_fail_at(path, 0, NULL);
    json_decref(config);
    sn_free(path);
    return status;
}

sn_status sn_path_describe(const char *path, const char *options, char **json) {
    char *found;
    bool here = false;
    sn_model *model = NULL;
    sn_pipeline *p = NULL;
    *json = NULL;
    SN_TRY(sn_hub_find(path, &found));
    sn_status status = trained_here(found, &here);
    if (status == SN_OK) status = here ? sn_model_load(found, options, &model) : sn_pipeline_open(found, options, &p);
    if (status == SN_OK) status = here ? sn_model_describe(model, json) : sn_pipeline_describe(p, json);
    sn_pipeline_free(p);
    sn_model_free(model);
    sn_free(found);
    return status;
}

/* ---- running ---- */

static sn_status run(const sn_pipeline *p, const char *name, const char *options, sn_call *call) {
    const sn_pipeline_task *task;
    json_t *given;
    SN_TRY(sn_pipeline_task_find(name, &task));
    SN_TRY(sn_options_parse(options, task->keys, &given));
    call->p = p;
    call->options = given;
    sn_status status = sn_call_run(call, task);
    json_decref(given);
    return status;
}

sn_status sn_pipeline_run(const sn_pipeline *p, const char *task, const sn_item *items, size_t n, const char *options,
                          const sn_listener *listener) {
    return run(p, task, options, &(sn_call){.items = items, .n = n, .listener = listener});
}

typedef struct answer {
    char *text;
    bool failed;
} answer;
static int keep(void *context, const char *json) {
    answer *a = context;
    sn_free(a->text);
    a->text = sn_strdup(json);
    return a->failed = !a->text;
}

sn_status sn_pipeline_answer(const sn_pipeline *p, const char *task, const sn_item *item, const char *options, char **json) {
    answer a = {0};
    sn_listener listener = {.result = keep, .context = &a};
    *json = NULL;
    sn_status status = sn_pipeline_run(p, task, item, item ? 1 : 0, options, &listener);
    if (a.failed) status = SN_ERR_MEMORY;
    if (status == SN_OK) *json = a.text;
    else sn_free(a.text);
    return status;
}

sn_status sn_pipeline_width(const sn_pipeline *p, size_t *width) {
    *width = 0;
    if (!p->model) SN_FAIL(SN_ERR_STATE, "%s was opened without its weights", p->path);
    return sn_embed_width(p, width);
}

sn_status sn_pipeline_embed(const sn_pipeline *p, const sn_item *items, size_t n, const char *options, const sn_listener *listener,
                            float *vectors) {
    return run(p, "embed", options, &(sn_call){.items = items, .n = n, .listener = listener, .vectors = vectors});
}
