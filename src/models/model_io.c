/* model_io.c: see model_io.h; docs/model-format.md describes the files for readers of other programs.
 *
 *   sn_model -> config.json (features, encoders, fusion, tasks, recipe) + model.safetensors -> sn_model
 *
 * The tree is the whole of a model but its weights, so reading builds the graphs from it first and then asks the
 * weights file for exactly the tensors that those graphs declared. Nothing of the size of the weights is written
 * before the file has been checked against the declared shapes. */
#include "models/model_io.h"

#include "models/backbone.h"
#include "models/goldens.h"
#include "params/weights.h"

enum { SCHEMA = 1, MOST_THREADS = 1024 };

static sn_status no_memory(void) { return sn_fail(SN_ERR_MEMORY, "out of memory while writing the model's config"); }

/* ---- model -> tree ---- */

/* {"type": name, options…} */
static json_t *typed(const char *name, const json_t *options) {
    json_t *block = json_pack("{s:s}", "type", name);
    if (block && options && json_object_update_missing(block, (json_t *)(uintptr_t)options)) {
        json_decref(block);
        return NULL;
    }
    return block;
}

static const sn_part *part_of(const sn_model *m, int input) {
    for (int p = 0; p < m->n_parts; p++)
        if (sn_part_single(&m->parts[p]) && m->parts[p].features[0] == input) return &m->parts[p];
    return NULL;
}

static sn_status add_inputs(const sn_model *m, json_t *root) {
    json_t *list = json_array();
    if (!list || json_object_set_new(root, "input_features", list)) return no_memory();
    for (int i = 0; i < m->n_inputs; i++) {
        const sn_feature *f = m->inputs[i];
        const sn_part *part = part_of(m, i);
        json_t *item = json_pack("{s:s, s:s, s:O}", "name", f->name, "type", sn_kind_name(f->row->kind), "preprocessing", f->options);
        if (!item || json_array_append_new(list, item)) return no_memory();
        if (part && json_object_set_new(item, "encoder", typed(part->encoder->name, part->options))) return no_memory();
    }
    for (int p = 0; p < m->n_parts; p++) {
        const sn_part *part = &m->parts[p];
        if (sn_part_single(part)) continue;
        if (json_object_set_new(root, part->name, json_pack("{s:o}", "encoder", typed(part->encoder->name, part->options))))
            return no_memory();
    }
    return SN_OK;
}

static sn_status add_targets(const sn_model *m, json_t *root) {
    json_t *list = json_array();
    if (!list || json_object_set_new(root, "output_features", list)) return no_memory();
    for (int t = 0; t < m->n_targets; t++) {
        const sn_feature *f = m->targets[t].feature;
        json_t *item = json_pack("{s:s, s:s, s:s, s:O, s:O}", "name", f->name, "type", sn_kind_name(f->row->kind), "task",
                                 m->targets[t].task->name, "preprocessing", f->options, "loss", m->targets[t].options);
        if (!item || json_array_append_new(list, item)) return no_memory();
    }
    return SN_OK;
}

static sn_status add_recipe(const sn_model *m, json_t *root) {
    json_t *recipe = json_pack("{s:i, s:s, s:s}", "threads", m->threads, "precision", m->precision ? m->precision : "auto", "isa",
                               sn_isa_name(m->isa));
    json_t *seed = json_object_get(json_object_get(m->trained, "trainer"), "seed");
    if (!recipe || json_object_set_new(root, "recipe", recipe)) return no_memory();
    if (seed && json_object_set(recipe, "seed", seed)) return no_memory();
    if (m->trained && json_object_set(root, "trained", m->trained)) return no_memory();
    if (m->goldens && m->golden_rows && json_object_set(root, "goldens", m->goldens)) return no_memory();
    return SN_OK;
}

sn_status sn_model_to_json(const sn_model *m, json_t **out) {
    *out = NULL;
    json_t *root = json_pack("{s:s, s:i}", "model_type", "sensorium", "schema", SCHEMA);
    sn_status status = root ? add_inputs(m, root) : no_memory();
    if (status == SN_OK && json_object_set_new(root, "combiner", typed(m->fusion->name, m->fusion_options))) status = no_memory();
    if (status == SN_OK) status = add_targets(m, root);
    if (status == SN_OK) status = add_recipe(m, root);
    if (status == SN_OK) *out = root;
    else json_decref(root);
    return status;
}

/* ---- tree -> model ---- */

static sn_status need_string(const json_t *object, const char *key, const char **out) {
    SN_TRY(sn_json_string(object, key, NULL, out));
    if (!*out || !(*out)[0]) SN_FAIL(SN_ERR_FORMAT, "\"%s\" is missing", key);
    return SN_OK;
}

static sn_status need_list(const json_t *root, const char *key, json_t **out) {
    SN_TRY(sn_json_array(root, key, out));
    if (!*out || !json_array_size(*out)) SN_FAIL(SN_ERR_FORMAT, "\"%s\" is missing or empty", key);
    return SN_OK;
}

/* The name and options of {"type": name, options…}; *options is a new object without "type". */
static sn_status read_typed(const json_t *owner, const char *key, const char **name, json_t **options) {
    json_t *block;
    *options = NULL;
    SN_TRY(sn_json_object(owner, key, &block));
    if (!block) SN_FAIL(SN_ERR_FORMAT, "\"%s\" is missing", key);
    if (need_string(block, "type", name) != SN_OK) return sn_fail_in("\"%s\"", key);
    *options = json_copy(block);
    if (!*options) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    (void)json_object_del(*options, "type");
    return SN_OK;
}

/* The directory of a published model inside the model's own, `root` (NULL: the config came alone). Heap. */
static sn_status find_place(const char *root, const char *place, char **path) {
    if (!sn_backbone_place_valid(place)) SN_FAIL(SN_ERR_FORMAT, "\"%s\" is no place for an encoder; those are encoders/<column>", place);
    if (!root) SN_FAIL(SN_ERR_USAGE, "\"%s\" lies in a model's directory; there is none", place);
    *path = sn_path_join(root, place);
    return *path ? SN_OK : SN_ERR_MEMORY;
}

static sn_status place_feature(sn_feature *f, const char *root) {
    const char *place;
    char *path;
    SN_TRY(sn_json_string(f->options, "processor", NULL, &place));
    if (!place) return SN_OK;
    SN_TRY(find_place(root, place, &path));
    sn_status status = sn_feature_set_directory(f, path);
    sn_free(path);
    return status;
}

/* A feature from {"name", "type", "preprocessing"}, opened. */
static sn_status read_feature(const json_t *item, const char *const *known, const char *root, sn_feature **out) {
    const char *name, *kind_name;
    json_t *options;
    sn_kind kind;
    if (!json_is_object(item)) SN_FAIL(SN_ERR_FORMAT, "expected an object");
    SN_TRY(need_string(item, "name", &name));
    if (sn_json_known_keys(item, "the feature", known) != SN_OK) return sn_fail_in("\"%s\"", name);
    if (need_string(item, "type", &kind_name) != SN_OK || sn_kind_by_name(kind_name, &kind) != SN_OK
        || sn_json_object(item, "preprocessing", &options) != SN_OK)
        return sn_fail_in("\"%s\"", name);
    SN_TRY(sn_feature_create(name, kind, options, out));
    sn_status status = place_feature(*out, root);
    if (status == SN_OK) status = sn_feature_open(*out);
    if (status == SN_OK) return SN_OK;
    sn_feature_free(*out);
    return status;
}

static bool known_input(const sn_model *m, const char *name) {
    for (int i = 0; i < m->n_inputs; i++)
        if (!strcmp(m->inputs[i]->name, name)) return true;
    return false;
}

static sn_status read_inputs(sn_model *m, const json_t *root, const char *directory) {
    static const char *const keys[] = {"name", "type", "preprocessing", "encoder", NULL};
    json_t *list;
    SN_TRY(need_list(root, "input_features", &list));
    m->writes = json_object_get(root, "writer") != NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        sn_feature *f;
        if (read_feature(json_array_get(list, i), keys, directory, &f) != SN_OK) return sn_fail_in("\"input_features\"[%zu]", i);
        if (known_input(m, f->name)) {
            (void)sn_fail(SN_ERR_FORMAT, "\"input_features\": two are named \"%s\"", f->name);
            sn_feature_free(f);
            return SN_ERR_FORMAT;
        }
        SN_TRY(sn_model_add_input(m, f));
    }
    return sn_model_form_parts(m);
}

static sn_status read_backbone(sn_part *part, const char *directory) {
    const char *place;
    char *path;
    SN_TRY(need_string(part->options, "directory", &place));
    SN_TRY(find_place(directory, place, &path));
    sn_status status = sn_backbone_open(path, part->modality, false, &part->backbone);
    sn_free(path);
    return status;
}

static sn_status read_encoder(sn_part *part, const json_t *owner, const char *directory) {
    const char *name;
    json_t *options;
    SN_TRY(read_typed(owner, "encoder", &name, &options));
    json_decref(part->options);
    part->options = options;
    SN_TRY(sn_encoder_find(name, part->modality, &part->encoder));
    return part->encoder == &sn_encoder_pretrained || part->modality == SN_MOD_WRITER ? read_backbone(part, directory) : SN_OK;
}

/* A text to be written is a writer's last input, and a prompt stands right before it. */
static sn_status check_written(const sn_model *m, const sn_part *part) {
    bool writes = part->modality == SN_MOD_WRITER;
    for (int k = 0; k < part->n_features; k++) {
        const sn_feature *f = m->inputs[part->features[k]];
        int before_last = part->n_features - 1 - k;
        if (sn_feature_prompts(f) && !(writes && before_last == 1))
            SN_FAIL(SN_ERR_FORMAT, "\"%s\" is a prompt, which stands right before the text that is written", f->name);
        if (sn_feature_written(f) != (writes && !before_last))
            SN_FAIL(SN_ERR_FORMAT, "the last input of a writer, and no other, must be the text that is written; \"%s\" is%s", f->name,
                    sn_feature_written(f) ? "" : " not");
    }
    return SN_OK;
}

/* A published model reads what its own processor prepared, and nothing else does. */
static sn_status check_processor(const sn_model *m, const sn_part *part) {
    const char *own = json_string_value(json_object_get(part->options, "directory"));
    for (int k = 0; part->modality != SN_MOD_TABLE && k < part->n_features; k++) {
        const char *place = json_string_value(json_object_get(m->inputs[part->features[k]]->options, "processor"));
        if ((!place && !part->backbone) || (place && part->backbone && own && !strcmp(place, own))) continue;
        SN_FAIL(SN_ERR_FORMAT, "the encoder \"%s\" does not read what the processor \"%s\" prepares", part->backbone ? own : part->encoder->name,
                place ? place : "of no model");
    }
    return check_written(m, part);
}

static sn_status read_encoders(sn_model *m, const json_t *root, const char *directory) {
    static const char *const keys[] = {"encoder", NULL};
    const json_t *list = json_object_get(root, "input_features");
    for (int p = 0; p < m->n_parts; p++) {
        sn_part *part = &m->parts[p];
        json_t *owner = json_array_get(list, (size_t)part->features[0]);
        if (!sn_part_single(part)) {
            SN_TRY(sn_json_object(root, part->name, &owner));
            if (!owner) SN_FAIL(SN_ERR_FORMAT, "\"%s\" is missing: it says the encoder of %s", part->name,
                                part->modality == SN_MOD_WRITER ? "all inputs together" : "the number, category and binary inputs");
            SN_TRY(sn_json_known_keys(owner, part->name, keys));
        }
        if (read_encoder(part, owner, directory) != SN_OK || check_processor(m, part) != SN_OK) return sn_fail_in("\"%s\"", part->name);
    }
    return SN_OK;
}

static sn_status read_target(sn_model *m, const json_t *item, const char *directory) {
    static const char *const keys[] = {"name", "type", "task", "preprocessing", "loss", NULL};
    const char *task_name;
    const sn_task *task;
    json_t *loss;
    sn_feature *f;
    SN_TRY(read_feature(item, keys, directory, &f));
    sn_status status = sn_json_string(item, "task", NULL, &task_name);
    if (status == SN_OK) status = sn_task_find(task_name, f->row->kind, &task);
    if (status == SN_OK) status = sn_json_object(item, "loss", &loss);
    for (int t = 0; status == SN_OK && t < m->n_targets; t++)
        if (!strcmp(m->targets[t].feature->name, f->name)) status = sn_fail(SN_ERR_FORMAT, "a second output of this name");
    if (status == SN_OK) return sn_model_add_target(m, f, task, loss);
    (void)sn_fail_in("\"%s\"", f->name);
    sn_feature_free(f);
    return status;
}

static sn_status read_targets(sn_model *m, const json_t *root, const char *directory) {
    json_t *list;
    SN_TRY(need_list(root, "output_features", &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        if (read_target(m, json_array_get(list, i), directory) != SN_OK) return sn_fail_in("\"output_features\"[%zu]", i);
    return SN_OK;
}

static sn_status read_fusion(sn_model *m, const json_t *root) {
    const char *name;
    json_t *options;
    SN_TRY(read_typed(root, "combiner", &name, &options));
    json_decref(m->fusion_options);
    m->fusion_options = options;
    return sn_fusion_find(name, &m->fusion);
}

static sn_status read_recipe(sn_model *m, const json_t *root) {
    json_t *recipe, *trained, *goldens;
    int64_t threads;
    const char *precision;
    SN_TRY(sn_json_object(root, "recipe", &recipe));
    SN_TRY(sn_json_object(root, "trained", &trained));
    SN_TRY(sn_json_object(root, "goldens", &goldens));
    SN_TRY(sn_json_int(recipe, "threads", m->threads, &threads));
    SN_TRY(sn_json_string(recipe, "precision", "auto", &precision));
    if (threads < 1 || threads > MOST_THREADS)
        SN_FAIL(SN_ERR_FORMAT, "\"recipe\": \"threads\" must be 1 to %d, not %lld", MOST_THREADS, (long long)threads);
    m->threads = (int)threads;
    m->trained = trained ? json_deep_copy(trained) : NULL;
    m->goldens = goldens ? json_deep_copy(goldens) : NULL;
    if ((trained && !m->trained) || (goldens && !m->goldens)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return sn_model_set_precision(m, precision);
}

static sn_status check_head(const json_t *root) {
    static const char *const keys[] = {"model_type", "schema", "input_features", "table", "writer", "combiner", "output_features",
                                       "recipe", "trained", "goldens", NULL};
    const char *type;
    int64_t schema;
    if (!json_is_object(root)) SN_FAIL(SN_ERR_FORMAT, "expected an object");
    SN_TRY(need_string(root, "model_type", &type));
    if (strcmp(type, "sensorium"))
        SN_FAIL(SN_ERR_UNSUPPORTED, "\"model_type\" is \"%s\"; this call opens models of type \"sensorium\"", type);
    SN_TRY(sn_json_int(root, "schema", 0, &schema));
    if (schema != SCHEMA)
        SN_FAIL(SN_ERR_UNSUPPORTED, "\"schema\" is %lld; this version reads schema %d", (long long)schema, SCHEMA);
    return sn_json_known_keys(root, "the config", keys);
}

/* Declared, weights zero. `directory`: where published encoders lie; NULL: there are none. */
static sn_status build(const json_t *config, const char *name, const char *directory, sn_model **out) {
    *out = NULL;
    sn_model *m;
    SN_TRY(sn_model_create(&m));
    sn_status status = check_head(config);
    if (status == SN_OK) status = read_recipe(m, config);
    if (status == SN_OK) status = read_inputs(m, config, directory);
    if (status == SN_OK) status = read_encoders(m, config, directory);
    if (status == SN_OK) status = read_fusion(m, config);
    if (status == SN_OK) status = read_targets(m, config, directory);
    if (status == SN_OK) status = sn_model_declare(m);
    if (status == SN_OK) {
        *out = m;
        return SN_OK;
    }
    sn_model_free(m);
    if (status == SN_ERR_USAGE) status = sn_fail(SN_ERR_FORMAT, "%s", sn_error_message()); /* the file's fault, not the caller's */
    (void)sn_fail_in("%s", name);
    (void)sn_fail_at(name, 0, NULL);
    return status;
}

sn_status sn_model_from_json(const json_t *config, const char *name, sn_model **out) {
    int64_t seed;
    SN_TRY(build(config, name, NULL, out));
    sn_status status = sn_json_int(json_object_get(config, "recipe"), "seed", 0, &seed);
    if (status == SN_OK) sn_params_initialise((*out)->params, (uint64_t)seed);
    if (status == SN_OK) return SN_OK;
    sn_model_free(*out);
    *out = NULL;
    return sn_fail_in("%s", name);
}

/* ---- directories ---- */

static sn_status fail_directory(sn_status code, const char *path, const char *why) {
    (void)sn_fail(code, "%s: %s", path, why);
    return sn_fail_at(path, 0, NULL);
}

/* Is parameter i in the model's own file, or in that of a published encoder? */
static bool is_own(void *context, int i) {
    const sn_model *m = context;
    for (int p = 0; p < m->n_parts; p++)
        if (m->parts[p].backbone && i >= m->parts[p].first_param && i < m->parts[p].end_param) return false;
    return true;
}

static sn_status load_weights(sn_model *m, const char *path) {
    sn_weights *file;
    SN_TRY(sn_weights_open(path, &file));
    sn_status status = sn_params_load_some(m->params, file, is_own, m);
    sn_weights_free(file);
    if (status != SN_OK) {
        (void)sn_fail_in("%s/model.safetensors", path);
        return sn_fail_at(path, 0, NULL);
    }
    for (int p = 0; p < m->n_parts; p++)
        if (m->parts[p].backbone) SN_TRY(sn_backbone_load(m->parts[p].backbone, m->params));
    return SN_OK;
}

static sn_status write_backbones(const sn_model *m, const char *directory) {
    for (int p = 0; p < m->n_parts; p++) {
        const char *place = json_string_value(json_object_get(m->parts[p].options, "directory"));
        if (!m->parts[p].backbone) continue;
        char *path = place ? sn_path_join(directory, place) : NULL;
        sn_status status = path ? sn_backbone_write(m->parts[p].backbone, m->params, m->parts[p].options, path) : SN_ERR_MEMORY;
        sn_free(path);
        SN_TRY(status);
    }
    return SN_OK;
}

static sn_status apply(sn_model *m, int threads, const char *precision) {
    if (threads < 0 || threads > MOST_THREADS) SN_FAIL(SN_ERR_USAGE, "\"threads\" must be 0 to %d, not %d", MOST_THREADS, threads);
    if (threads) m->threads = threads;
    return precision && precision[0] ? sn_model_set_precision(m, precision) : SN_OK;
}

sn_status sn_model_read(const char *path, int threads, const char *precision, sn_model **out) {
    *out = NULL;
    if (!sn_file_exists(path)) return fail_directory(SN_ERR_IO, path, "there is no such model directory");
    if (!sn_is_directory(path)) return fail_directory(SN_ERR_FORMAT, path, "a model is a directory, this is a file");
    char *config_path = sn_path_join(path, "config.json");
    json_t *config = NULL;
    sn_model *m = NULL;
    sn_status status = config_path ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK && !sn_file_exists(config_path))
        status = fail_directory(SN_ERR_FORMAT, path, "is not a model: it holds no config.json");
    if (status == SN_OK) status = sn_json_read(config_path, &config);
    if (status == SN_OK) status = build(config, config_path, path, &m);
    if (status == SN_OK) status = load_weights(m, path);
    if (status == SN_OK) status = sn_goldens_read(m, path);
    if (status == SN_OK) status = apply(m, threads, precision);
    json_decref(config);
    sn_free(config_path);
    if (status == SN_OK) *out = m;
    else sn_model_free(m);
    return status;
}

sn_status sn_model_write(const sn_model *m, const char *directory) {
    char *config_path = sn_path_join(directory, "config.json"), *weights = sn_path_join(directory, "model.safetensors");
    json_t *config = NULL, *metadata = json_pack("{s:s}", "format", "sensorium");
    sn_status status = config_path && weights ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK && !metadata) status = no_memory();
    if (status == SN_OK) status = sn_model_to_json(m, &config);
    if (status == SN_OK) status = sn_params_save_some(m->params, weights, metadata, is_own, (void *)(uintptr_t)m);
    if (status == SN_OK) status = write_backbones(m, directory);
    if (status == SN_OK) status = sn_goldens_write(m, directory);
    if (status == SN_OK) status = sn_json_write(config_path, config); /* last: a directory with it is complete */
    json_decref(config);
    json_decref(metadata);
    sn_free(config_path);
    sn_free(weights);
    return status;
}
