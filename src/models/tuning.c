/* tuning.c: see tuning.h. */
#include "models/tuning.h"

#include <math.h>

#include "models/backbone.h"
#include "nn/lora.h"

typedef struct sn_tuning_kind {
    const char *name;
    double rate; /* tune_rate when nothing is said */
    bool adapts, never;
    /* Does parameter i learn in this epoch? */
    bool (*learns)(const sn_tuning *t, const sn_model *m, const sn_part *part, int i, int64_t epoch);
} sn_tuning_kind;

static bool frozen_learns(const sn_tuning *t, const sn_model *m, const sn_part *part, int i, int64_t epoch) {
    (void)t, (void)m, (void)part, (void)i, (void)epoch;
    return false;
}

static bool full_learns(const sn_tuning *t, const sn_model *m, const sn_part *part, int i, int64_t epoch) {
    (void)m;
    int layer = sn_backbone_layer(part->backbone, i), layers = sn_backbone_layers(part->backbone);
    if (layer < 0) return false;
    return !t->unfreeze || layers - 1 - layer < epoch / t->unfreeze;
}

static bool lora_learns(const sn_tuning *t, const sn_model *m, const sn_part *part, int i, int64_t epoch) {
    (void)t, (void)part, (void)epoch;
    return sn_lora_is(sn_params_name(m->params, i));
}

static const sn_tuning_kind tunings[] = {{"frozen", 1, false, true, frozen_learns},
                                         {"full", 0.02, false, false, full_learns},
                                         {"lora", 0.3, true, false, lora_learns}};
enum { TUNINGS = sizeof tunings / sizeof *tunings };

/* ---- options ---- */

const char *const sn_tuning_keys[] = {SN_TUNING_KEYS, NULL};

static sn_status check_targets(const json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i))) SN_FAIL(SN_ERR_USAGE, "\"lora_targets\": entry %zu is not a name", i + 1);
    return SN_OK;
}

static sn_status check(const sn_tuning *t) {
    if (!(t->rate > 0) || !isfinite(t->rate)) SN_FAIL(SN_ERR_USAGE, "\"tune_rate\" must be above 0");
    if (!(t->decay > 0) || t->decay > 1) SN_FAIL(SN_ERR_USAGE, "\"layer_decay\" must be above 0 and at most 1");
    if (t->unfreeze < 0) SN_FAIL(SN_ERR_USAGE, "\"unfreeze\" must be at least 0");
    if (t->lora_rank < 1 || t->lora_rank > 4096) SN_FAIL(SN_ERR_USAGE, "\"lora_rank\" must be 1 to 4096");
    if (!(t->lora_alpha > 0) || !isfinite(t->lora_alpha)) SN_FAIL(SN_ERR_USAGE, "\"lora_alpha\" must be above 0");
    if (!(t->lora_dropout >= 0) || t->lora_dropout >= 1) SN_FAIL(SN_ERR_USAGE, "\"lora_dropout\" must be in [0, 1)");
    return SN_OK;
}

sn_status sn_tuning_read(const json_t *options, sn_tuning *t) {
    const char *name;
    json_t *targets;
    sn_names passed = {0};
    *t = (sn_tuning){0};
    SN_TRY(sn_json_string(options, "tune", "frozen", &name));
    for (int i = 0; i < TUNINGS && !t->kind; i++)
        if (sn_names_match(&passed, tunings[i].name, name)) t->kind = &tunings[i];
    if (!t->kind) SN_FAIL(SN_ERR_USAGE, "\"tune\": \"%s\" is none of %s", name, passed.list);
    SN_TRY(sn_json_number(options, "tune_rate", t->kind->rate, &t->rate));
    SN_TRY(sn_json_number(options, "layer_decay", 0.9, &t->decay));
    SN_TRY(sn_json_int(options, "unfreeze", 0, &t->unfreeze));
    SN_TRY(sn_json_int(options, "lora_rank", 8, &t->lora_rank));
    SN_TRY(sn_json_number(options, "lora_alpha", 2 * (double)t->lora_rank, &t->lora_alpha));
    SN_TRY(sn_json_number(options, "lora_dropout", 0, &t->lora_dropout));
    SN_TRY(sn_json_array(options, "lora_targets", &targets));
    SN_TRY(sn_json_bool(options, "lora_merge", false, &t->lora_merge));
    t->lora_targets = targets;
    SN_TRY(check_targets(targets));
    return check(t);
}

bool sn_tuning_adapts(const sn_tuning *t) { return t->kind->adapts; }
bool sn_tuning_never(const sn_tuning *t) { return t->kind->never; }

/* ---- the store ---- */

/* true where something changed */
static sn_status tune_part(sn_model *m, sn_part *part, int64_t epoch, bool *changed) {
    sn_tuning t;
    int learning = 0, last = sn_backbone_layers(part->backbone) - 1;
    SN_TRY(sn_tuning_read(part->options, &t));
    *changed = false;
    for (int i = part->first_param; i < part->end_param; i++) {
        bool before = sn_params_trainable(m->params, i);
        int layer = sn_backbone_layer(part->backbone, i);
        sn_params_set_trainable(m->params, i, t.kind->learns(&t, m, part, i, epoch));
        sn_params_set_rate(m->params, i, (float)(t.rate * (t.kind->adapts ? 1 : pow(t.decay, layer < 0 ? 0 : last - layer))));
        *changed |= before != sn_params_trainable(m->params, i);
        learning += sn_params_trainable(m->params, i);
    }
    part->frozen = !learning;
    if (t.kind->adapts && !learning)
        SN_FAIL(SN_ERR_USAGE, "no layer of the encoder has a name of \"lora_targets\"; without them queries and values of attention are adapted");
    return SN_OK;
}

sn_status sn_model_tune(sn_model *m, int64_t epoch) {
    for (int p = 0; p < m->n_parts; p++) {
        bool changed;
        if (!m->parts[p].backbone) continue;
        if (tune_part(m, &m->parts[p], epoch, &changed) != SN_OK) return sn_fail_in("\"%s\"", m->parts[p].name);
        if (changed) sn_model_forget_programs(m, p);
    }
    return SN_OK;
}

bool sn_model_given(const sn_model *m, int i) {
    for (int p = 0; p < m->n_parts; p++) {
        const sn_part *part = &m->parts[p];
        sn_tuning t;
        if (!part->backbone || i < part->first_param || i >= part->end_param) continue;
        if (sn_tuning_read(part->options, &t) != SN_OK) return false;
        return t.kind->never || (t.kind->adapts && !sn_lora_is(sn_params_name(m->params, i)));
    }
    return false;
}

sn_status sn_model_merge(sn_model *m) {
    for (int p = 0; p < m->n_parts; p++) {
        sn_part *part = &m->parts[p];
        sn_tuning t;
        if (!part->backbone) continue;
        SN_TRY(sn_tuning_read(part->options, &t));
        if (!t.kind->adapts || !t.lora_merge) continue;
        SN_TRY(sn_backbone_merge(part->backbone, m->params, t.lora_alpha / (double)t.lora_rank));
        for (int i = 0; sn_tuning_keys[i]; i++) (void)json_object_del(part->options, sn_tuning_keys[i]);
        sn_model_forget_programs(m, p);
    }
    return SN_OK;
}
