/* plan_encoders.c: which encoder each part gets.
 *
 *   preset, defaults.<kind>.encoder, <kind>_encoder, the column's own block, encoders.<column>: later ones over earlier
 *     -> {"type": a row of the table}                 its other members are the row's options
 *     -> {"type": a directory or hub name}            a published model: its processor prepares the column
 *
 * The choice is made twice: before a column's feature is made, since a published model brings its own, and when the
 * parts have been formed. */
#include <stdio.h>

#include "base/hub.h"
#include "models/backbone.h"
#include "models/tuning.h"
#include "train/plan_internal.h"

const json_t *sn_plan_block(const json_t *config, const char *list, const char *name) {
    const json_t *items = json_object_get(config, list);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const char *found = json_string_value(json_object_get(item, "name"));
        if (found && !strcmp(found, name)) return item;
    }
    return NULL;
}

/* ---- what the config says ---- */

/* An "encoder" is a name or a block with "type". Another type than the one before leaves nothing of that one's options. */
static sn_status add_choice(const char *column, const json_t *choice, json_t *block) {
    if (!choice || json_is_null(choice)) return SN_OK;
    if (!json_is_string(choice) && !json_is_object(choice))
        SN_FAIL(SN_ERR_USAGE, "the encoder of \"%s\" must be a name or a block with \"type\"", column);
    const json_t *type = json_is_string(choice) ? choice : json_object_get(choice, "type"), *before = json_object_get(block, "type");
    if (type && before && !json_equal(type, before)) (void)json_object_clear(block);
    int failed = json_is_string(choice) ? json_object_set(block, "type", (json_t *)(uintptr_t)choice)
                                        : json_object_update(block, (json_t *)(uintptr_t)choice);
    if (failed) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

static sn_status add_choices(const sn_planner *p, const char *modality, const char *column, json_t *block) {
    json_t *defaults, *of_kind, *encoders;
    char flag[32];
    (void)snprintf(flag, sizeof flag, "%s_encoder", modality);
    SN_TRY(sn_json_object(p->config, "defaults", &defaults));
    SN_TRY(sn_json_object(p->config, "encoders", &encoders));
    SN_TRY(sn_json_object(defaults, modality, &of_kind));
    SN_TRY(add_choice(column, json_object_get(p->preset, modality), block));
    SN_TRY(add_choice(column, json_object_get(of_kind, "encoder"), block));
    SN_TRY(add_choice(column, json_object_get(p->config, flag), block));
    SN_TRY(add_choice(column, json_object_get(sn_plan_block(p->config, "input_features", column), "encoder"), block));
    return add_choice(column, json_object_get(encoders, column), block);
}

/* All of it as one block; "type" is missing where nothing was chosen. The caller frees it. */
static sn_status choice_of(const sn_planner *p, enum sn_modality modality, const char *column, json_t **out) {
    json_t *block = json_object();
    sn_status status = block ? add_choices(p, sn_modality_name(modality), column, block) : sn_fail(SN_ERR_MEMORY, "out of memory");
    const char *type;
    if (status == SN_OK) status = sn_json_string(block, "type", NULL, &type);
    if (status == SN_OK) *out = block;
    else json_decref(block);
    return status;
}

/* A preset that builds on a published model does not say where that lies. */
static sn_status check_named(const sn_planner *p, const char *modality, const char *type) {
    const char *needed = json_string_value(json_object_get(json_object_get(p->preset, "pretrained"), modality));
    if (!needed || type) return SN_OK;
    SN_FAIL(SN_ERR_USAGE, "the preset \"%s\" builds on a published %s, which \"%s_encoder\" must name: --%s-encoder DIR, such as --%s-encoder models/vgg16",
            json_string_value(json_object_get(p->config, "preset")), needed, modality, modality, modality);
}

/* ---- published models ---- */

/* *path: the directory that `type` means, or NULL where it is a row of the table. */
static sn_status find_directory(const char *type, enum sn_modality modality, char **path) {
    const sn_encoder *row;
    *path = NULL;
    if (sn_encoder_find(type, modality, &row) == SN_OK) return SN_OK;
    char known[512];
    (void)snprintf(known, sizeof known, "%s", sn_error_message());
    if (sn_hub_find(type, path) == SN_OK) return SN_OK;
    if (strchr(type, '/')) return sn_error_code();
    SN_FAIL(SN_ERR_USAGE, "%s; and there is no directory or downloaded model of that name", known);
}

static sn_status describe_processor(const sn_planner *p, int c, enum sn_modality modality, json_t *preprocessing) {
    const sn_backbone *b = p->backbones[c];
    char *place = sn_backbone_place_name(sn_table_column_name(p->table, c));
    if (!place || json_object_set_new(preprocessing, "processor", json_string(place))) {
        sn_free(place);
        SN_FAIL(SN_ERR_MEMORY, "out of memory");
    }
    sn_free(place);
    if (modality != SN_MOD_TEXT) return SN_OK;
    const sn_page *page = sn_page_side(sn_backbone_config(b), SN_IN_TEXT)->page;
    int64_t most = sn_page_longest(sn_backbone_config(b)), longest;
    enum { USUAL = 256 };
    SN_TRY(sn_json_int(preprocessing, "max_length", page->padded || most < USUAL ? most : USUAL, &longest));
    if (most > 0 && longest > most)
        SN_FAIL(SN_ERR_USAGE, "\"max_length\" of \"%s\" is %lld; its encoder reads up to %lld tokens", sn_table_column_name(p->table, c),
                (long long)longest, (long long)most);
    (void)json_object_set_new(preprocessing, "max_length", json_integer(longest));
    if (page->padded) (void)json_object_set_new(preprocessing, "padded", json_true());
    return SN_OK;
}

sn_status sn_plan_backbone(sn_planner *p, int c, json_t *preprocessing) {
    enum sn_modality modality = sn_modality_of(p->kinds[c]);
    const char *column = sn_table_column_name(p->table, c);
    json_t *choice;
    char *path = NULL;
    if (modality == SN_MOD_TABLE) return SN_OK;
    SN_TRY(choice_of(p, modality, column, &choice));
    const char *type = json_string_value(json_object_get(choice, "type"));
    sn_status status = check_named(p, sn_modality_name(modality), type);
    if (status == SN_OK && type) status = find_directory(type, modality, &path);
    if (status == SN_OK && path) status = sn_backbone_open(path, modality, true, &p->backbones[c]);
    if (status == SN_OK && path) status = describe_processor(p, c, modality, preprocessing);
    if (status == SN_OK && path)
        sn_note(p->plan->notes, "\"%s\": encoded by the %s model in %s", column, sn_backbone_config(p->backbones[c])->page->model_type, path);
    else if (status != SN_OK) (void)sn_fail_in("the encoder of \"%s\"", column);
    sn_free(path);
    json_decref(choice);
    return status;
}

sn_status sn_plan_tuning(const sn_planner *p, const sn_part *part, json_t *choice, const char *fallback, sn_tuning *t) {
    for (int i = 0; sn_tuning_keys[i]; i++) {
        const json_t *value = json_object_get(p->config, sn_tuning_keys[i]);
        if (value && !json_object_get(choice, sn_tuning_keys[i]) && json_object_set(choice, sn_tuning_keys[i], (json_t *)(uintptr_t)value))
            SN_FAIL(SN_ERR_MEMORY, "out of memory");
    }
    if (fallback && !json_object_get(choice, "tune") && json_object_set_new(choice, "tune", json_string(fallback)))
        SN_FAIL(SN_ERR_MEMORY, "out of memory");
    SN_TRY(sn_tuning_read(choice, t));
    return sn_tuning_adapts(t) ? sn_backbone_adopt(part->backbone, choice) : SN_OK;
}

/* What is said of all columns of a kind comes before what stands at the top for all. */
static sn_status add_tuning(const sn_planner *p, const sn_part *part, json_t *choice) {
    char key[32];
    sn_tuning t;
    (void)snprintf(key, sizeof key, "%s_tune", sn_modality_name(part->modality));
    const json_t *of_kind = json_object_get(p->config, key);
    if (of_kind && !json_object_get(choice, "tune")) (void)json_object_set(choice, "tune", (json_t *)(uintptr_t)of_kind);
    return sn_plan_tuning(p, part, choice, NULL, &t);
}

static sn_status use_backbone(sn_planner *p, sn_part *part, json_t *choice) {
    int c = sn_table_find(p->table, part->name);
    char *place = sn_backbone_place_name(part->name);
    part->backbone = p->backbones[c];
    p->backbones[c] = NULL;
    part->encoder = &sn_encoder_pretrained;
    (void)json_object_del(choice, "type");
    if (add_tuning(p, part, choice) != SN_OK) {
        sn_free(place);
        return sn_fail_in("\"%s\"", part->name);
    }
    bool failed = !place || json_object_update(part->options, choice) || json_object_set_new(part->options, "directory", json_string(place));
    sn_free(place);
    if (failed) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

sn_status sn_plan_load(const sn_planner *p) {
    sn_model *m = p->plan->model;
    for (int i = 0; i < m->n_parts; i++)
        if (m->parts[i].backbone) SN_TRY(sn_backbone_load(m->parts[i].backbone, m->params));
    return SN_OK;
}

/* ---- rows of the table ---- */

static sn_status set_dropout(sn_part *part, double rate) {
    if (json_object_set_new(part->options, "dropout", json_real(rate))) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

/* Words that hardly ever repeat teach a recurrent layer nothing: few rows for many words are read as a bag. Few
 * pictures are learned by heart unless half of what the encoder says of them is dropped. */
static sn_status choose_by_data(sn_planner *p, sn_part *part, bool chosen) {
    enum { FEW = 5000 };
    if (part->modality == SN_MOD_IMAGE && p->n_fit_rows < FEW) return set_dropout(part, 0.5);
    if (part->modality != SN_MOD_TEXT || chosen) return SN_OK;
    int64_t words = sn_feature_vocabulary(p->plan->model->inputs[part->features[0]]);
    if (2 * words <= p->n_fit_rows) return SN_OK;
    sn_note(p->plan->notes, "\"%s\": %lld different words in %lld rows, read as a bag of words; --text-encoder gru reads their order", part->name,
            (long long)words, (long long)p->n_fit_rows);
    return sn_encoder_find("bag", part->modality, &part->encoder);
}

static sn_status use_row(sn_planner *p, sn_part *part, json_t *choice) {
    const char *type = json_string_value(json_object_get(choice, "type"));
    SN_TRY(choose_by_data(p, part, type != NULL));
    if (json_object_update(part->options, choice)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return type ? sn_encoder_find(type, part->modality, &part->encoder) : SN_OK;
}

/* An encoder that was asked for and has no column is a mistake: most often the column was taken for another kind. */
static sn_status check_used(const sn_planner *p) {
    static const struct { enum sn_modality modality; const char *key, *kind; } flags[] = {
        {SN_MOD_IMAGE, "image_encoder", "image"}, {SN_MOD_TEXT, "text_encoder", "text"}, {SN_MOD_AUDIO, "audio_encoder", "audio"}};
    const sn_model *m = p->plan->model;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool used = !json_object_get(p->config, flags[i].key) && !json_object_get(json_object_get(p->preset, "pretrained"), flags[i].kind);
        for (int k = 0; k < m->n_parts; k++) used |= m->parts[k].modality == flags[i].modality;
        if (!used) SN_FAIL(SN_ERR_USAGE, "\"%s\": no input is of kind %s; --type COL=%s makes one", flags[i].key, flags[i].kind, flags[i].kind);
    }
    const char *name;
    json_t *encoders = json_object_get(p->config, "encoders"), *value;
    json_object_foreach(encoders, name, value) {
        int c = sn_table_find(p->table, name);
        if (c >= 0 && p->is_input[c] && sn_modality_of(p->kinds[c]) == SN_MOD_TABLE)
            SN_FAIL(SN_ERR_USAGE, "\"encoders\": \"%s\" is of kind %s and has no encoder of its own; --type %s=text makes it a text", name,
                    sn_kind_name(p->kinds[c]), name);
    }
    return SN_OK;
}

sn_status sn_plan_encoders(sn_planner *p) {
    SN_TRY(check_used(p));
    for (int i = 0; i < p->plan->model->n_parts; i++) {
        sn_part *part = &p->plan->model->parts[i];
        int c = part->modality == SN_MOD_TABLE ? -1 : sn_table_find(p->table, part->name);
        json_t *choice;
        SN_TRY(choice_of(p, part->modality, part->name, &choice));
        sn_status status = c >= 0 && p->backbones[c] ? use_backbone(p, part, choice) : use_row(p, part, choice);
        json_decref(choice);
        SN_TRY(status);
    }
    return SN_OK;
}
