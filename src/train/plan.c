/* plan.c: config + data -> split, features, model. Order: kinds of all columns, targets, inputs, split, fit of every
 * feature on the training rows, encoders and fusion, recipe, declaration of the parameters. */
#include <stdio.h>
#include <stdlib.h>

#include "base/parallel.h"
#include "models/backbone.h"
#include "models/tuning.h"
#include "train/plan_internal.h"

const char *const sn_config_keys[] = {
    "model", "language", "max_length", "targets", "inputs", "exclude", "types", "encoders", "tasks", "image_encoder", "text_encoder", "audio_encoder", "fusion",
    "image_tune", "text_tune", "audio_tune", SN_TUNING_KEYS,
    "preset", "split_column", "group_column", "skip_broken", "output", "overwrite", "threads", "precision", "seed", "epochs",
    "batch_size", "learning_rate", "compare_solo", "input_features", "combiner", "output_features", "preprocessing", "trainer",
    "defaults", NULL};

void sn_plan_free(sn_plan *plan) {
    sn_model_free(plan->model);
    sn_split_free(&plan->split);
    sn_recipe_free(&plan->recipe);
    json_decref(plan->notes);
    *plan = (sn_plan){0};
}

/* ---- presets: whole configs by name ---- */

/* By modality, what the encoder is where the config says nothing; "size" of pictures; "pretrained": the modality whose
 * encoder is a published model that the config must name, and what that is. */
static const struct {
    const char *name, *config;
} presets[] = {
    {"article-cnn", "{\"image\": {\"type\": \"cnn\", \"channels\": [64, 128, 256], \"width\": 1024, \"dropout\": 0.5}, \"size\": 224}"},
    {"article-cnn-lstm", "{\"image\": {\"type\": \"cnn\", \"channels\": [64, 128, 256], \"width\": 1024, \"dropout\": 0.5}, "
                         "\"text\": {\"type\": \"lstm\", \"embedding\": 128, \"width\": 256}, \"size\": 224}"},
    {"article-vgg-lstm", "{\"pretrained\": {\"image\": \"VGG16\"}, \"text\": {\"type\": \"lstm\", \"embedding\": 128, \"width\": 256}}"},
};

static sn_status find_preset(sn_planner *p) {
    const char *name;
    sn_names passed = {0};
    SN_TRY(sn_json_string(p->config, "preset", NULL, &name));
    if (!name) return SN_OK;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (sn_names_match(&passed, presets[i].name, name)) return sn_json_parse(name, presets[i].config, strlen(presets[i].config), (json_t **)(uintptr_t)&p->preset);
    SN_FAIL(SN_ERR_USAGE, "unknown preset \"%s\"; known: %s", name, passed.list);
}

/* ---- kinds and roles of columns ---- */

static sn_status kind_of_column(sn_planner *p, int c) {
    const char *name = sn_table_column_name(p->table, c), *given = NULL;
    json_t *types;
    SN_TRY(sn_json_object(p->config, "types", &types));
    SN_TRY(sn_json_string(sn_plan_block(p->config, "input_features", name), "type", NULL, &given));
    SN_TRY(sn_json_string(sn_plan_block(p->config, "output_features", name), "type", given, &given));
    SN_TRY(sn_json_string(types, name, given, &given));
    SN_TRY(sn_column_infer(p->table, c, &p->guesses[c]));
    p->kinds[c] = p->guesses[c].kind;
    return given ? sn_kind_by_name(given, &p->kinds[c]) : SN_OK;
}

static sn_status mark_names(sn_planner *p, const char *key, bool *mark, int *count) {
    json_t *list;
    SN_TRY(sn_json_array(p->config, key, &list));
    *count = (int)json_array_size(list);
    for (int i = 0; i < *count; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        const char *name = json_is_object(item) ? json_string_value(json_object_get(item, "name")) : json_string_value(item);
        int c;
        if (!name) SN_FAIL(SN_ERR_USAGE, "\"%s\": entry %d has no column name", key, i + 1);
        SN_TRY(sn_table_column(p->table, name, &c));
        mark[c] = true;
    }
    return SN_OK;
}

static sn_status named_column(sn_planner *p, const char *key, int *out) {
    const char *name;
    *out = -1;
    SN_TRY(sn_json_string(p->config, key, NULL, &name));
    return name ? sn_table_column(p->table, name, out) : SN_OK;
}

static sn_status check_types_keys(sn_planner *p) {
    static const char *const maps[] = {"types", "encoders", "tasks"};
    for (int i = 0; i < 3; i++) {
        json_t *map, *value;
        const char *name;
        int c;
        SN_TRY(sn_json_object(p->config, maps[i], &map));
        json_object_foreach(map, name, value) SN_TRY(sn_table_column(p->table, name, &c));
    }
    return SN_OK;
}

/* Inputs where the config names none: every column that can be learned from. */
static void choose_inputs(sn_planner *p) {
    json_t *notes = p->plan->notes;
    int64_t rows = sn_table_rows(p->table);
    for (int c = 0; c < p->n_columns; c++) {
        const char *name = sn_table_column_name(p->table, c);
        const sn_column_guess *g = &p->guesses[c];
        if (p->is_target[c] || p->is_excluded[c] || c == p->split_column || c == p->group_column) continue;
        if (!sn_feature_kinds[SN_ROLE_OWN][p->kinds[c]]) sn_note(notes, "column \"%s\" is left out: kind %s cannot be learned from yet", name, sn_kind_name(p->kinds[c]));
        else if (g->missing == rows) sn_note(notes, "column \"%s\" is left out: it is empty", name);
        else if (g->distinct <= 1 && g->missing == 0) sn_note(notes, "column \"%s\" is left out: it has one value only", name);
        else if (p->kinds[c] == SN_KIND_CATEGORY && g->distinct * 2 > rows && rows > 20)
            sn_note(notes, "column \"%s\" is left out: it looks like an identifier (%lld values in %lld rows); --inputs takes it in", name,
                    (long long)g->distinct, (long long)rows);
        else p->is_input[c] = true;
    }
}

static sn_status choose_roles(sn_planner *p) {
    int targets = 0, more = 0, inputs = 0, more_inputs = 0, n;
    sn_status status = SN_OK;
    for (int c = 0; status == SN_OK && c < p->n_columns; c++) status = kind_of_column(p, c);
    if (status == SN_OK) status = check_types_keys(p);
    if (status == SN_OK) status = mark_names(p, "targets", p->is_target, &targets);
    if (status == SN_OK) status = mark_names(p, "output_features", p->is_target, &more);
    if (status == SN_OK && targets + more == 0) status = sn_fail(SN_ERR_USAGE, "no target: name the column to predict");
    if (status == SN_OK) status = mark_names(p, "inputs", p->is_input, &inputs);
    if (status == SN_OK) status = mark_names(p, "input_features", p->is_input, &more_inputs);
    if (status == SN_OK) status = mark_names(p, "exclude", p->is_excluded, &n);
    if (status == SN_OK) status = named_column(p, "split_column", &p->split_column);
    if (status == SN_OK) status = named_column(p, "group_column", &p->group_column);
    if (status == SN_OK && p->writer) status = sn_plan_writer_roles(p, inputs + more_inputs > 0);
    else if (status == SN_OK && inputs + more_inputs == 0) choose_inputs(p);
    for (int c = 0; status == SN_OK && c < p->n_columns; c++) {
        const char *name = sn_table_column_name(p->table, c);
        if (p->is_target[c] && p->is_input[c]) status = sn_fail(SN_ERR_USAGE, "column \"%s\" is both input and target", name);
        if (p->is_target[c] || p->is_input[c])
            sn_note(p->plan->notes, "%s \"%s\": %s%s%s", p->is_target[c] ? "target" : "input", name, sn_kind_name(p->kinds[c]),
                    p->guesses[c].why[0] ? "; " : "", p->guesses[c].why);
    }
    return status;
}

/* ---- split ---- */

static int first_target(const sn_planner *p) {
    for (int c = 0; c < p->n_columns; c++)
        if (p->is_target[c] && (p->kinds[c] == SN_KIND_CATEGORY || p->kinds[c] == SN_KIND_BINARY)) return c;
    return -1;
}

static sn_status all_rows(sn_planner *p) {
    sn_split *s = &p->plan->split;
    s->trains = sn_table_rows(p->table);
    s->train = sn_alloc((size_t)s->trains, sizeof *s->train);
    for (int64_t r = 0; s->train && r < s->trains; r++) s->train[r] = r;
    return s->train ? SN_OK : SN_ERR_MEMORY;
}

static sn_status choose_split(sn_planner *p, bool own_valid) {
    json_t *pre, *split, *trainer;
    double share;
    int64_t seed;
    SN_TRY(sn_json_object(p->config, "preprocessing", &pre));
    SN_TRY(sn_json_object(pre, "split", &split));
    SN_TRY(sn_json_number(split, "fraction", 0.1, &share));
    SN_TRY(sn_json_object(p->config, "trainer", &trainer));
    SN_TRY(sn_json_int(trainer, "seed", 1, &seed));
    SN_TRY(sn_json_int(p->config, "seed", seed, &seed));
    if (own_valid || share <= 0) SN_TRY(all_rows(p));
    else {
        sn_split_options o = {share, (uint64_t)seed, first_target(p), p->group_column, p->split_column};
        SN_TRY(sn_split_make(p->table, &o, &p->plan->split));
        sn_note(p->plan->notes, "%lld rows learn, %lld are held out", (long long)p->plan->split.trains, (long long)p->plan->split.valids);
    }
    p->fit_rows = p->plan->split.train;
    p->n_fit_rows = p->plan->split.trains;
    return SN_OK;
}

/* ---- features ---- */

/* defaults.<kind>.preprocessing under the feature's own preprocessing. */
static sn_status preprocessing_of(const sn_planner *p, const json_t *block, sn_kind kind, json_t **out) {
    json_t *defaults, *of_kind, *shared, *own;
    SN_TRY(sn_json_object(p->config, "defaults", &defaults));
    SN_TRY(sn_json_object(defaults, sn_kind_name(kind), &of_kind));
    SN_TRY(sn_json_object(of_kind, "preprocessing", &shared));
    SN_TRY(sn_json_object(block, "preprocessing", &own));
    *out = shared ? json_deep_copy(shared) : json_object();
    if (*out && own) (void)json_object_update(*out, own);
    const json_t *size = json_object_get(p->preset, "size");
    if (*out && kind == SN_KIND_IMAGE && size && !json_object_get(*out, "height")) {
        (void)json_object_set_new(*out, "height", json_integer(json_integer_value(size)));
        (void)json_object_set_new(*out, "width", json_integer(json_integer_value(size)));
    }
    if (!*out) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

static sn_status make_feature(sn_planner *p, int c, bool target, sn_feature **out) {
    const char *name = sn_table_column_name(p->table, c);
    json_t *options;
    SN_TRY(preprocessing_of(p, sn_plan_block(p->config, p->is_target[c] ? "output_features" : "input_features", name), p->kinds[c], &options));
    sn_status status = p->writer ? sn_plan_writer_processor(p, c, options) : target ? SN_OK : sn_plan_backbone(p, c, options);
    if (status == SN_OK) status = sn_feature_create(name, p->kinds[c], options, out);
    json_decref(options);
    SN_TRY(status);
    (*out)->target = target;
    sn_fit_source source = {p->table, c, p->fit_rows, p->n_fit_rows};
    const sn_backbone *published = p->writer ? p->writer : p->backbones[c];
    if (published) status = sn_feature_set_directory(*out, sn_backbone_directory(published));
    if (status == SN_OK) status = sn_feature_fit(*out, &source);
    if (status != SN_OK) {
        sn_feature_free(*out);
        *out = NULL;
    }
    return status;
}

static sn_status add_features(sn_planner *p) {
    for (int c = 0; c < p->n_columns; c++) {
        const char *name = sn_table_column_name(p->table, c), *task_name = NULL;
        const json_t *block = sn_plan_block(p->config, "output_features", name);
        sn_feature *f;
        if (p->is_input[c]) {
            SN_TRY(make_feature(p, c, false, &f));
            SN_TRY(sn_model_add_input(p->plan->model, f));
        }
        if (!p->is_target[c]) continue;
        json_t *tasks, *loss;
        const sn_task *task;
        SN_TRY(sn_json_object(p->config, "tasks", &tasks));
        SN_TRY(sn_json_string(block, "task", NULL, &task_name));
        SN_TRY(sn_json_string(tasks, name, task_name, &task_name));
        SN_TRY(sn_json_object(block, "loss", &loss));
        SN_TRY(sn_task_find(task_name, p->kinds[c], &task));
        SN_TRY(make_feature(p, c, true, &f));
        SN_TRY(sn_model_add_target(p->plan->model, f, task, loss));
    }
    for (int c = 0; p->writer && c < p->n_columns; c++) { /* what is to be written is read too */
        sn_feature *f;
        if (!p->is_target[c]) continue;
        SN_TRY(make_feature(p, c, false, &f));
        SN_TRY(sn_model_add_input(p->plan->model, f));
    }
    return SN_OK;
}

/* ---- fusion and machine ---- */

static sn_status choose_fusion(sn_planner *p) {
    sn_model *m = p->plan->model;
    json_t *block;
    const char *name, *flag;
    SN_TRY(sn_json_object(p->config, "combiner", &block));
    if (block && json_object_update(m->fusion_options, block)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    SN_TRY(sn_json_string(block, "type", NULL, &name));
    SN_TRY(sn_json_string(p->config, "fusion", m->writes ? "pass" : name, &flag));
    return sn_fusion_find(flag, &m->fusion);
}

static sn_status choose_machine(sn_planner *p) {
    sn_model *m = p->plan->model;
    int64_t threads;
    const char *precision;
    SN_TRY(sn_json_int(p->config, "threads", sn_threads_available(), &threads));
    SN_TRY(sn_json_string(p->config, "precision", "auto", &precision));
    if (threads < 1 || threads > 1024) SN_FAIL(SN_ERR_USAGE, "threads must be 1 to 1024, not %lld", (long long)threads);
    m->threads = (int)threads;
    return sn_model_set_precision(m, precision);
}

static sn_status run(sn_planner *p, bool own_valid) {
    SN_TRY(sn_json_known_keys(p->config, "config", sn_config_keys));
    SN_TRY(find_preset(p));
    SN_TRY(sn_plan_writer(p));
    SN_TRY(choose_roles(p));
    SN_TRY(choose_split(p, own_valid));
    SN_TRY(sn_model_create(&p->plan->model));
    SN_TRY(choose_machine(p));
    SN_TRY(add_features(p));
    p->plan->model->writes = p->writer != NULL;
    SN_TRY(sn_model_form_parts(p->plan->model));
    SN_TRY(p->writer ? sn_plan_writer_part(p) : sn_plan_encoders(p));
    SN_TRY(choose_fusion(p));
    SN_TRY(sn_recipe_read(p->config, p->plan->split.trains, p->plan->model, &p->plan->recipe, p->plan->notes));
    SN_TRY(sn_model_declare(p->plan->model));
    sn_params_initialise(p->plan->model->params, p->plan->recipe.seed);
    return sn_plan_load(p);
}

sn_status sn_plan_make(const json_t *config, const sn_table *table, const sn_table *valid, sn_plan *out) {
    *out = (sn_plan){.notes = json_array()};
    sn_planner p = {.config = config, .table = table, .n_columns = sn_table_columns(table), .split_column = -1, .group_column = -1, .plan = out};
    size_t n = (size_t)p.n_columns;
    p.guesses = sn_alloc(n, sizeof *p.guesses);
    p.kinds = sn_alloc(n, sizeof *p.kinds);
    p.is_target = sn_alloc(n, sizeof *p.is_target);
    p.is_input = sn_alloc(n, sizeof *p.is_input);
    p.is_excluded = sn_alloc(n, sizeof *p.is_excluded);
    p.backbones = sn_alloc(n, sizeof(*p.backbones));
    sn_status status = p.guesses && p.kinds && p.is_target && p.is_input && p.is_excluded && p.backbones && out->notes ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK) status = run(&p, valid != NULL);
    json_decref((json_t *)(uintptr_t)p.preset);
    for (size_t c = 0; p.backbones && c < n; c++) sn_backbone_free(p.backbones[c]);
    sn_free(p.backbones);
    sn_free(p.guesses);
    sn_free(p.kinds);
    sn_free(p.is_target);
    sn_free(p.is_input);
    sn_free(p.is_excluded);
    sn_backbone_free(p.writer);
    if (status != SN_OK) sn_plan_free(out);
    return status;
}
