/* model.c: loading, saving and describing a model through the public interface. A model is found by its directory or
 * by its hub name in the local cache. */
#include "api/api.h"
#include "base/directory.h"
#include "base/hub.h"
#include "models/backbone.h"
#include "models/model_io.h"

/* ---- load ---- */

sn_status sn_model_load(const char *path, const char *options, sn_model **out) {
    static const char *const keys[] = {"threads", "precision", NULL};
    *out = NULL;
    json_t *given;
    int64_t threads;
    const char *precision;
    SN_TRY(sn_options_parse(options, keys, &given));
    sn_status status = sn_options_int(given, "threads", 0, 0, 1024, &threads);
    if (status == SN_OK) status = sn_json_string(given, "precision", "", &precision);
    char *found = NULL;
    if (status == SN_OK) status = sn_hub_find(path, &found);
    if (status == SN_OK) status = sn_model_read(found, (int)threads, precision, out);
    sn_free(found);
    json_decref(given);
    return status;
}

/* ---- save ---- */

static sn_status fill(void *context, const char *fresh) { return sn_model_write(*(const sn_model *const *)context, fresh); }

sn_status sn_model_save(const sn_model *m, const char *path, int overwrite) { return sn_directory_write(path, overwrite != 0, fill, &m); }

/* ---- describe ---- */

static json_t *describe_inputs(const sn_model *m) {
    json_t *list = json_array();
    for (int p = 0; list && p < m->n_parts; p++)
        for (int k = 0; k < m->parts[p].n_features; k++) {
            const sn_feature *f = m->inputs[m->parts[p].features[k]];
            const struct sn_backbone *b = m->parts[p].backbone;
            if (sn_feature_written(f)) continue; /* it is the target */
            json_t *item = json_pack("{s:s, s:s, s:s, s:s}", "name", f->name, "kind", sn_kind_name(f->row->kind), "part", m->parts[p].name,
                                     "encoder", m->parts[p].encoder->name);
            if (item && b) (void)json_object_set_new(item, "model_type", json_string(sn_backbone_config(b)->page->model_type));
            const json_t *tune = json_object_get(m->parts[p].options, "tune");
            if (item && b) (void)json_object_set_new(item, "tune", tune ? json_incref((json_t *)(uintptr_t)tune) : json_string("frozen"));
            (void)json_array_append_new(list, item);
        }
    return list;
}

static json_t *describe_targets(const sn_model *m) {
    json_t *list = json_array();
    for (int t = 0; list && t < m->n_targets; t++) {
        const sn_feature *f = m->targets[t].feature;
        json_t *item = json_pack("{s:s, s:s, s:s}", "name", f->name, "kind", sn_kind_name(f->row->kind), "task", m->targets[t].task->name);
        json_t *classes = json_object_get(f->options, "classes");
        if (classes) (void)json_object_set(item, "classes", classes);
        (void)json_array_append_new(list, item);
    }
    return list;
}

/* What it is used by. */
static const char *command_of(const sn_model *m) {
    const sn_page_config *c = m->writes ? sn_backbone_config(m->parts[0].backbone) : NULL;
    if (!c) return "predict";
    if (sn_page_answers(c->page, sn_backbone_architecture(m->parts[0].backbone))) return "ask";
    return c->page->accepts & SN_IN_IMAGE ? "caption" : c->page->accepts & SN_IN_SOUND ? "transcribe" : "generate";
}

sn_status sn_model_describe(const sn_model *m, char **json) {
    json_int_t parameters = 0;
    *json = NULL;
    for (int i = 0; i < sn_params_count(m->params); i++) parameters += sn_shape_count(sn_params_shape(m->params, i));
    json_t *root = json_pack("{s:i, s:I, s:I, s:i, s:s, s:s, s:b, s:o, s:s, s:o}", "schema", 1, "parameters", parameters, "bytes",
                             parameters * (json_int_t)sizeof(float), "threads", m->threads, "precision",
                             m->precision ? m->precision : "auto", "isa", sn_isa_name(m->isa), "bf16", (int)m->bf16, "inputs",
                             describe_inputs(m), "fusion", m->fusion->name, "targets", describe_targets(m));
    if (root) (void)json_object_set_new(root, "command", json_string(command_of(m)));
    if (root && m->trained) (void)json_object_set(root, "trained", m->trained);
    return sn_json_text(root, json);
}
