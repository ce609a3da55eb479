/* model.c: making a model out of features, and grouping inputs into parts. */
#include "models/model.h"

#include "base/parallel.h"
#include "models/backbone.h"
#include "models/goldens.h"

sn_status sn_model_create(sn_model **out) {
    *out = NULL;
    sn_model *m = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    (void)pthread_mutex_init(&m->lock, NULL);
    m->threads = sn_threads_available();
    m->isa = SN_ISA_BASE;
    m->fusion_options = json_object();
    sn_status status = m->fusion_options ? sn_params_create(&m->params) : SN_ERR_MEMORY;
    if (status == SN_OK) status = sn_fusion_find(NULL, &m->fusion);
    if (status == SN_OK) *out = m;
    else sn_model_free(m);
    return status;
}

static void part_free(sn_part *part) {
    sn_free(part->name);
    sn_free(part->features);
    json_decref(part->options);
    sn_backbone_free(part->backbone);
}

void sn_model_free(sn_model *m) {
    if (!m) return;
    for (size_t i = 0; i < m->n_slots; i++) sn_program_free(m->slots[i].program);
    sn_free(m->slots);
    for (int i = 0; i < m->n_inputs; i++) sn_feature_free(m->inputs[i]);
    for (int i = 0; i < m->n_parts; i++) part_free(&m->parts[i]);
    for (int i = 0; i < m->n_targets; i++) {
        sn_feature_free(m->targets[i].feature);
        json_decref(m->targets[i].options);
    }
    sn_free(m->inputs);
    sn_free(m->parts);
    sn_free(m->targets);
    json_decref(m->fusion_options);
    json_decref(m->trained);
    json_decref(m->goldens);
    sn_goldens_free(m->golden_rows);
    sn_params_free(m->params);
    sn_free(m->precision);
    (void)pthread_mutex_destroy(&m->lock);
    sn_free(m);
}

sn_status sn_model_add_input(sn_model *m, sn_feature *f) {
    sn_feature **more = sn_realloc(m->inputs, (size_t)m->n_inputs + 1, sizeof *more);
    if (!more) {
        sn_feature_free(f);
        return SN_ERR_MEMORY;
    }
    m->inputs = more;
    m->inputs[m->n_inputs++] = f;
    return SN_OK;
}

sn_status sn_model_add_target(sn_model *m, sn_feature *f, const sn_task *task, const json_t *options) {
    f->target = true;
    sn_target *more = sn_realloc(m->targets, (size_t)m->n_targets + 1, sizeof *more);
    json_t *copy = options ? json_deep_copy(options) : json_object();
    if (more) m->targets = more;
    if (!more || !copy) {
        json_decref(copy);
        sn_feature_free(f);
        return SN_ERR_MEMORY;
    }
    double weight = 1;
    m->targets[m->n_targets++] = (sn_target){f, task, copy, 1};
    if (task->keys) SN_TRY(sn_json_known_keys(copy, f->name, task->keys));
    SN_TRY(sn_json_number(copy, "weight", 1, &weight));
    if (!(weight >= 0)) SN_FAIL(SN_ERR_USAGE, "\"%s\": the loss weight must be at least 0", f->name);
    m->targets[m->n_targets - 1].weight = weight;
    return SN_OK;
}

enum sn_modality sn_modality_of(sn_kind kind) {
    return kind == SN_KIND_IMAGE ? SN_MOD_IMAGE : kind == SN_KIND_AUDIO ? SN_MOD_AUDIO : kind == SN_KIND_TEXT ? SN_MOD_TEXT : SN_MOD_TABLE;
}

static sn_status add_feature_to(sn_part *part, int feature) {
    int *more = sn_realloc(part->features, (size_t)part->n_features + 1, sizeof *more);
    if (!more) return SN_ERR_MEMORY;
    part->features = more;
    part->features[part->n_features++] = feature;
    return SN_OK;
}

static sn_status new_part(sn_model *m, const char *name, enum sn_modality modality, sn_part **out) {
    if (m->n_parts == SN_MAX_PARTS) SN_FAIL(SN_ERR_UNSUPPORTED, "more than %d media and text columns", SN_MAX_PARTS - 1);
    sn_part *more = sn_realloc(m->parts, (size_t)m->n_parts + 1, sizeof *more);
    if (!more) return SN_ERR_MEMORY;
    m->parts = more;
    sn_part *part = &m->parts[m->n_parts++];
    *part = (sn_part){.name = sn_strdup(name), .modality = modality, .encoder = sn_encoder_default(modality), .options = json_object()};
    *out = part;
    return part->name && part->options ? SN_OK : SN_ERR_MEMORY;
}

sn_status sn_model_predicts(const sn_model *m) {
    if (!m->writes) return SN_OK;
    SN_FAIL(SN_ERR_UNSUPPORTED, "this model writes texts: its directory is given to caption, ask, transcribe or generate (sn_pipeline_open)");
}

sn_part *sn_model_part(const sn_model *m, const char *name) {
    for (int i = 0; i < m->n_parts; i++)
        if (!strcmp(m->parts[i].name, name)) return &m->parts[i];
    return NULL;
}

sn_status sn_model_form_parts(sn_model *m) {
    for (int i = 0; i < m->n_inputs; i++) {
        enum sn_modality modality = m->writes ? SN_MOD_WRITER : sn_modality_of(m->inputs[i]->row->kind);
        bool shared = modality == SN_MOD_TABLE || modality == SN_MOD_WRITER;
        sn_part *part = NULL;
        for (int k = 0; shared && k < m->n_parts; k++)
            if (m->parts[k].modality == modality) part = &m->parts[k];
        if (!part) SN_TRY(new_part(m, shared ? sn_modality_name(modality) : m->inputs[i]->name, modality, &part));
        SN_TRY(add_feature_to(part, i));
    }
    if (!m->n_parts) SN_FAIL(SN_ERR_USAGE, "the model has no input");
    return SN_OK;
}

sn_status sn_model_set_precision(sn_model *m, const char *precision) {
    if (strcmp(precision, "auto") && strcmp(precision, "f32"))
        SN_FAIL(SN_ERR_USAGE, "precision must be \"auto\" or \"f32\", not \"%s\"", precision);
    char *copy = sn_strdup(precision);
    if (!copy) return SN_ERR_MEMORY;
    sn_free(m->precision);
    m->precision = copy;
    m->isa = sn_isa_detect();
    m->bf16 = !strcmp(precision, "auto") && sn_isa_bf16(m->isa);
    return SN_OK;
}

/* ---- arrays of a part ---- */

/* The table: numbers [R, 2n] as (value, missing flag), categories [R, m] with 0 = absent or unknown. */
static void count_table(const sn_model *m, const sn_part *part, int64_t *numbers, int64_t *categories) {
    *numbers = *categories = 0;
    for (int k = 0; k < part->n_features; k++)
        *(m->inputs[part->features[k]]->row->kind == SN_KIND_NUMBER ? numbers : categories) += 1;
}

bool sn_part_single(const sn_part *part) { return part->modality != SN_MOD_TABLE && part->modality != SN_MOD_WRITER; }

/* The arrays of column after column; a prompt has none of its own. */
static int writer_types(const sn_model *m, const sn_part *part, int64_t rows, int64_t steps, sn_type types[SN_FEATURE_ARRAYS]) {
    int n = 0;
    for (int k = 0; k < part->n_features; k++) {
        const sn_feature *f = m->inputs[part->features[k]];
        sn_type own[SN_FEATURE_ARRAYS];
        int more = f->row->types(f, rows, steps & ((1 << SN_STEPS_BITS) - 1), own);
        for (int i = 0; i < more && n < SN_FEATURE_ARRAYS; i++) types[n++] = own[i];
        if (f->row->sequence) steps >>= SN_STEPS_BITS;
    }
    return n;
}

int64_t sn_part_steps(const sn_model *m, const sn_part *part, const sn_shape *shapes, int n) {
    int64_t steps = 0;
    int at = 0, sequences = 0;
    for (int k = 0; part->modality != SN_MOD_TABLE && k < part->n_features && at < n; k++) {
        const sn_feature *f = m->inputs[part->features[k]];
        sn_type own[SN_FEATURE_ARRAYS];
        if (f->row->sequence) steps |= (shapes[at].rank > 1 ? shapes[at].dim[1] : 0) << SN_STEPS_BITS * sequences++;
        at += f->row->types(f, 1, 1, own);
    }
    return steps;
}

int sn_part_types(const sn_model *m, const sn_part *part, int64_t rows, int64_t steps, sn_type types[SN_FEATURE_ARRAYS]) {
    const sn_feature *f = m->inputs[part->features[0]];
    if (part->modality == SN_MOD_WRITER) return writer_types(m, part, rows, steps, types);
    if (part->modality != SN_MOD_TABLE) return f->row->types(f, rows, steps, types);
    int64_t numbers, categories;
    int n = 0;
    count_table(m, part, &numbers, &categories);
    if (numbers) types[n++] = (sn_type){SN_SHAPE(rows, 2 * numbers), SN_F32};
    if (categories) types[n++] = (sn_type){SN_SHAPE(rows, categories), SN_I32};
    return n;
}

static sn_status collate_table(const sn_model *m, const sn_part *part, const sn_sample *const *const *samples, int64_t rows,
                               sn_array *arrays) {
    sn_type types[SN_FEATURE_ARRAYS];
    int n = sn_part_types(m, part, rows, 0, types);
    int64_t numbers, categories, at_number = 0, at_category = 0;
    count_table(m, part, &numbers, &categories);
    for (int i = 0; i < n; i++) SN_TRY(sn_array_make(&arrays[i], types[i].dtype, types[i].shape));
    float *values = numbers ? arrays[0].data : NULL;
    int32_t *ids = categories ? arrays[n - 1].data : NULL;
    for (int k = 0; k < part->n_features; k++) {
        bool number = m->inputs[part->features[k]]->row->kind == SN_KIND_NUMBER;
        for (int64_t i = 0; i < rows; i++) {
            const sn_sample *s = samples[k][i];
            if (number) {
                values[i * 2 * numbers + 2 * at_number] = s ? (float)s->number : 0.0f;
                values[i * 2 * numbers + 2 * at_number + 1] = s ? 0.0f : 1.0f;
            } else ids[i * categories + at_category] = s ? (int32_t)s->number + 1 : 0;
        }
        at_number += number;
        at_category += !number;
    }
    return SN_OK;
}

static sn_status collate_writer(const sn_model *m, const sn_part *part, const sn_sample *const *const *samples, int64_t rows,
                                sn_array *arrays) {
    int n = 0;
    for (int k = 0; k < part->n_features; k++) {
        const sn_feature *f = m->inputs[part->features[k]];
        sn_array own[SN_FEATURE_ARRAYS] = {0};
        bool prompted = k && sn_feature_prompts(m->inputs[part->features[k - 1]]) && f->row->collate_after;
        sn_status status = prompted ? f->row->collate_after(f, samples[k - 1], samples[k], rows, own) : f->row->collate(f, samples[k], rows, own);
        for (int i = 0; i < SN_FEATURE_ARRAYS; i++) {
            if (own[i].data && status == SN_OK && n < SN_FEATURE_ARRAYS) arrays[n++] = own[i];
            else sn_array_free(&own[i]);
        }
        SN_TRY(status);
    }
    return SN_OK;
}

sn_status sn_part_collate(const sn_model *m, const sn_part *part, const sn_sample *const *const *samples, int64_t rows,
                          sn_array arrays[SN_FEATURE_ARRAYS]) {
    if (part->modality == SN_MOD_TABLE) return collate_table(m, part, samples, rows, arrays);
    if (part->modality == SN_MOD_WRITER) return collate_writer(m, part, samples, rows, arrays);
    const sn_feature *f = m->inputs[part->features[0]];
    return f->row->collate(f, samples[0], rows, arrays);
}
