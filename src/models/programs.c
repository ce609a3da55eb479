/* programs.c: the graphs of a model, and the programs compiled from them.
 *
 *   part i:  arrays -> encoder -> y [R, D_i]
 *   joint:   vectors + absent * learned absence -> fusion -> heads -> losses or values */
#include <stdio.h>

#include "models/backbone.h"
#include "models/model.h"
#include "models/tuning.h"

enum { MOST_OUTPUTS = 4096 };

typedef struct draft {
    sn_graph *g;
    sn_node *outputs;
    int n_outputs, n_first;
} draft;

static sn_status draft_create(const sn_model *m, bool training, draft *d) {
    *d = (draft){0};
    SN_TRY(sn_graph_create(m->params, training, &d->g));
    d->outputs = sn_alloc(MOST_OUTPUTS, sizeof *d->outputs);
    return d->outputs ? SN_OK : SN_ERR_MEMORY;
}

static void draft_free(draft *d) {
    sn_graph_free(d->g);
    sn_free(d->outputs);
}

static sn_status out(draft *d, sn_node node) {
    if (d->n_outputs == MOST_OUTPUTS) SN_FAIL(SN_ERR_UNSUPPORTED, "more than %d parameters", MOST_OUTPUTS);
    d->outputs[d->n_outputs++] = node;
    return SN_OK;
}

/* ---- graphs ---- */

enum { MOST_CATEGORIES = 1024 };

static void table_input(sn_graph *g, const sn_model *m, const sn_part *part, const sn_node *arrays, int n, int64_t *sizes, sn_encoder_input *in) {
    int k = 0;
    if (sn_type_of(g, arrays[0]).dtype == SN_F32) in->x = arrays[k++];
    if (k < n) in->categories = arrays[k];
    in->category_sizes = sizes;
    for (int i = 0; i < part->n_features; i++) {
        const sn_feature *f = m->inputs[part->features[i]];
        if (f->row->kind == SN_KIND_NUMBER) continue;
        if (in->n_categories == MOST_CATEGORIES) (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "more than %d category columns", MOST_CATEGORIES);
        else sizes[in->n_categories++] = sn_feature_classes(f) + 1;
    }
}

/* Column after column; the text to be written is the last. */
static void writer_input(sn_graph *g, const sn_model *m, const sn_part *part, const sn_node *arrays, int n, sn_encoder_input *in) {
    for (int i = 0, k = 0; i < part->n_features; i++) {
        const sn_feature *f = m->inputs[part->features[i]];
        sn_type own[SN_FEATURE_ARRAYS];
        int more = f->row->types(f, 1, 1, own);
        if (!more) continue; /* a prompt, which is in the text's */
        if (k + more > n) { /* a file that says more than there is room for */
            (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "a writer reads so many columns only");
            return;
        }
        if (f->row->kind == SN_KIND_IMAGE) in->pixels = arrays[k];
        else if (f->row->kind == SN_KIND_AUDIO) in->sound = arrays[k];
        else if (i + 1 == part->n_features) in->target = arrays[k], in->labels = arrays[k + 1];
        else in->x = arrays[k], in->lengths[0] = arrays[k + 1];
        k += more;
    }
}

static sn_node build_part(sn_graph *g, const sn_model *m, const sn_part *part, int64_t rows, int64_t steps) {
    sn_type types[SN_FEATURE_ARRAYS];
    int n = sn_part_types(m, part, rows, steps, types);
    sn_node arrays[SN_FEATURE_ARRAYS], none = SN_NO_NODE;
    int64_t sizes[MOST_CATEGORIES];
    for (int i = 0; i < n; i++) arrays[i] = sn_input(g, types[i].dtype, types[i].shape);
    sn_encoder_input in = {.modality = part->modality, .x = none, .categories = none, .pixels = none, .sound = none, .target = none,
                           .labels = none, .lengths = {none, none, none, none}, .backbone = part->backbone};
    if (part->modality == SN_MOD_TABLE) table_input(g, m, part, arrays, n, sizes, &in);
    else if (part->modality == SN_MOD_WRITER) writer_input(g, m, part, arrays, n, &in);
    else {
        in.x = arrays[0];
        for (int i = 1; i < n; i++) in.lengths[i - 1] = arrays[i];
        if (part->modality == SN_MOD_TEXT) in.vocabulary = sn_feature_vocabulary(m->inputs[part->features[0]]);
    }
    in.rows = sn_input(g, SN_I64, SN_SHAPE(rows));
    sn_scope_push(g, "encoders");
    sn_scope_push(g, part->name);
    sn_node y = part->encoder->build(g, part->options, &in);
    sn_scope_pop(g);
    sn_scope_pop(g);
    return y;
}

/* Gradients of the trainable parameters in [first, end) and new STATE values, as outputs. */
static sn_status add_gradients(draft *d, const sn_model *m, int first, int end, int n, const sn_node *outputs,
                               const sn_node *cotangents, int n_more, const sn_node *more) {
    size_t room = (size_t)(end - first + n_more) + 1;
    sn_node *wrt = sn_alloc(room, sizeof *wrt), *dx = sn_alloc(room, sizeof *dx);
    int count = 0;
    sn_status status = wrt && dx ? SN_OK : SN_ERR_MEMORY;
    for (int i = 0; status == SN_OK && i < n_more; i++) wrt[count++] = more[i];
    for (int p = first; status == SN_OK && p < end; p++) {
        sn_node node = sn_graph_param(d->g, p);
        if (node.id >= 0 && sn_params_trainable(m->params, p)) wrt[count++] = node;
    }
    if (status == SN_OK) status = sn_grad(d->g, n, outputs, cotangents, count, wrt, dx);
    for (int i = 0; status == SN_OK && i < count; i++) status = out(d, dx[i]);
    for (int i = 0; status == SN_OK && i < d->g->n_updates; i++) status = out(d, d->g->updates[i].fresh);
    sn_free(wrt);
    sn_free(dx);
    return status;
}

static sn_status draft_part(const sn_model *m, int index, int64_t rows, int64_t steps, bool training, draft *d) {
    const sn_part *part = &m->parts[index];
    SN_TRY(draft_create(m, training, d));
    sn_node y = build_part(d->g, m, part, rows, steps);
    SN_TRY(sn_graph_check(d->g));
    SN_TRY(out(d, y));
    d->n_first = d->n_outputs;
    if (!training) return SN_OK;
    sn_node dy = sn_input(d->g, SN_F32, sn_shape_at(d->g, y));
    return add_gradients(d, m, part->first_param, part->end_param, 1, &y, &dy, 0, NULL);
}

static sn_node build_fusion(sn_graph *g, const sn_model *m, int64_t rows, sn_node *vectors, sn_node *row_ids) {
    sn_node full[SN_MAX_PARTS], absent[SN_MAX_PARTS];
    for (int i = 0; i < m->n_parts; i++) {
        vectors[i] = sn_input(g, SN_F32, SN_SHAPE(rows, m->parts[i].width));
        absent[i] = sn_input(g, SN_F32, SN_SHAPE(rows, 1));
    }
    *row_ids = sn_input(g, SN_I64, SN_SHAPE(rows));
    sn_scope_push(g, "absent");
    for (int i = 0; i < m->n_parts; i++) { /* vectors of absent rows come in as zeros */
        sn_node learned = sn_param(g, m->parts[i].name, SN_SHAPE(1, m->parts[i].width),
                                   (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY});
        full[i] = sn_add(g, vectors[i], sn_mul(g, absent[i], learned));
    }
    sn_scope_pop(g);
    sn_scope_push(g, "fusion");
    sn_node fused = m->fusion->build(g, m->fusion_options, m->n_parts, full, *row_ids);
    sn_scope_pop(g);
    return fused;
}

static sn_node build_head(sn_graph *g, const sn_target *t, sn_node fused) {
    sn_scope_push(g, "tasks");
    sn_scope_push(g, t->feature->name);
    sn_node raw = t->task->head(g, t->feature, t->options, fused);
    sn_scope_pop(g);
    sn_scope_pop(g);
    return raw;
}

/* In the target's scope, so that a loss that is not finite says whose it is. */
static sn_node build_loss(sn_graph *g, const sn_target *t, sn_node raw, const sn_node *labels) {
    sn_scope_push(g, "tasks");
    sn_scope_push(g, t->feature->name);
    sn_node each = t->task->loss(g, t->feature, t->options, raw, labels);
    sn_scope_pop(g);
    sn_scope_pop(g);
    return each;
}

/* The label arrays of a target as inputs. Their types come from collating nothing but the row count. */
static sn_status label_inputs(sn_graph *g, const sn_target *t, int64_t rows, sn_node *labels) {
    sn_array arrays[SN_TASK_ARRAYS] = {0};
    const sn_sample **none = sn_alloc((size_t)rows, sizeof *none);
    double divisor;
    sn_status status = none ? t->task->collate(t->feature, t->options, none, rows, arrays, &divisor) : SN_ERR_MEMORY;
    for (int i = 0; i < t->task->n_arrays; i++) {
        labels[i] = sn_input(g, arrays[i].type.dtype, arrays[i].type.shape);
        sn_array_free(&arrays[i]);
    }
    sn_free(none);
    return status;
}

static sn_status draft_joint(const sn_model *m, int64_t rows, bool training, draft *d) {
    sn_node vectors[SN_MAX_PARTS], row_ids;
    SN_TRY(draft_create(m, training, d));
    sn_graph *g = d->g;
    sn_node fused = build_fusion(g, m, rows, vectors, &row_ids);
    sn_node *losses = sn_alloc((size_t)m->n_targets * 2, sizeof *losses);
    if (!losses) return SN_ERR_MEMORY;
    sn_node *scales = losses + m->n_targets;
    sn_status status = SN_OK;
    for (int i = 0; status == SN_OK && i < m->n_targets; i++) {
        const sn_target *t = &m->targets[i];
        sn_node raw = build_head(g, t, fused), labels[SN_TASK_ARRAYS];
        if (!training) {
            status = out(d, sn_cast(g, t->task->link(g, t->feature, raw), SN_F32));
            continue;
        }
        status = label_inputs(g, t, rows, labels);
        sn_node each = build_loss(g, t, raw, labels);
        losses[i] = sn_reduce_sum(g, each, 1, true);
        scales[i] = sn_input(g, SN_F32, SN_SHAPE(1));
        if (status == SN_OK) status = out(d, losses[i]);
    }
    d->n_first = d->n_outputs;
    if (status == SN_OK) status = sn_graph_check(g);
    if (status == SN_OK && training)
        status = add_gradients(d, m, m->joint_first, m->joint_end, m->n_targets, losses, scales, m->n_parts, vectors);
    sn_free(losses);
    return status;
}

/* ---- declaring ---- */

sn_status sn_model_declare(sn_model *m) {
    draft d = {0};
    sn_status status = SN_OK;
    for (int i = 0; status == SN_OK && i < m->n_parts; i++) {
        sn_part *part = &m->parts[i];
        SN_TRY(sn_json_known_keys(part->options, part->name, part->encoder->keys));
        part->first_param = part->end_param = sn_params_count(m->params);
        status = draft_part(m, i, 1, part->modality == SN_MOD_WRITER ? 2 | 2 << SN_STEPS_BITS : part->backbone ? 2 : 16, false, &d);
        part->end_param = sn_params_count(m->params);
        if (part->backbone) sn_backbone_place(part->backbone, part->first_param, part->end_param, strlen("encoders..") + strlen(part->name));
        if (status == SN_OK) part->width = sn_dim(d.g, d.outputs[0], 1);
        draft_free(&d);
    }
    if (status == SN_OK) status = sn_json_known_keys(m->fusion_options, "combiner", m->fusion->keys);
    m->joint_first = sn_params_count(m->params);
    if (status == SN_OK) {
        status = draft_joint(m, 1, false, &d);
        draft_free(&d);
    }
    m->joint_end = sn_params_count(m->params);
    if (status == SN_OK) status = sn_params_seal(m->params);
    return status == SN_OK ? sn_model_tune(m, 0) : status;
}

/* ---- the cache ---- */

static sn_status compile(const sn_model *m, int part, int64_t rows, int64_t steps, bool training, sn_program **result) {
    draft d = {0};
    sn_status status = part == m->n_parts ? draft_joint(m, rows, training, &d) : draft_part(m, part, rows, steps, training, &d);
    if (status == SN_OK) {
        sn_compile_options options = {.threads = m->threads, .isa = m->isa, .backends = SN_USE_ALL, .bf16 = m->bf16};
        status = sn_program_compile(d.g, &options, d.n_outputs, d.outputs, d.n_first, result);
        d.g = NULL;
    }
    draft_free(&d);
    return status;
}

/* Drops the least recently used program of this part if there are as many as are kept. */
static void make_room(sn_model *m, int part) {
    size_t oldest = m->n_slots, count = 0;
    for (size_t i = 0; i < m->n_slots; i++) {
        if (m->slots[i].part != part) continue;
        count++;
        if (oldest == m->n_slots || m->slots[i].used < m->slots[oldest].used) oldest = i;
    }
    if (count < SN_PROGRAMS_KEPT) return;
    sn_program_retire(m->slots[oldest].program);
    sn_program_free(m->slots[oldest].program);
    m->slots[oldest] = m->slots[--m->n_slots];
}

static sn_status find(sn_model *m, int part, int64_t rows, int64_t steps, bool training, const sn_program **result) {
    for (size_t i = 0; i < m->n_slots; i++) {
        sn_program_slot *s = &m->slots[i];
        if (s->part != part || s->rows != rows || s->steps != steps || s->training != training) continue;
        s->used = ++m->clock;
        sn_program_retain(s->program);
        *result = s->program;
        return SN_OK;
    }
    void *slots = sn_grow(m->slots, m->n_slots, &m->slot_room, sizeof *m->slots);
    if (!slots) return SN_ERR_MEMORY;
    m->slots = slots;
    sn_program *program;
    SN_TRY(compile(m, part, rows, steps, training, &program));
    make_room(m, part);
    m->slots[m->n_slots++] = (sn_program_slot){part, rows, steps, training, program, ++m->clock};
    sn_program_retain(program);
    *result = program;
    return SN_OK;
}

void sn_model_forget_programs(sn_model *m, int part) {
    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = m->n_slots; i-- > 0;) {
        if (m->slots[i].part != part) continue;
        sn_program_retire(m->slots[i].program);
        sn_program_free(m->slots[i].program);
        m->slots[i] = m->slots[--m->n_slots];
    }
    (void)pthread_mutex_unlock(&m->lock);
}

static sn_status locked_find(const sn_model *model, int part, int64_t rows, int64_t steps, bool training, const sn_program **result) {
    sn_model *m = (sn_model *)(uintptr_t)model; /* the cache is the one thing in a model that changes */
    (void)pthread_mutex_lock(&m->lock);
    sn_status status = find(m, part, rows, steps, training, result);
    (void)pthread_mutex_unlock(&m->lock);
    return status;
}

sn_status sn_model_part_program(const sn_model *m, int part, int64_t rows, int64_t steps, bool training, const sn_program **result) {
    return locked_find(m, part, rows, steps, training, result);
}

sn_status sn_model_joint_program(const sn_model *m, int64_t rows, bool training, const sn_program **result) {
    return locked_find(m, m->n_parts, rows, 0, training, result);
}
