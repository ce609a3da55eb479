/* adapters_open.c: adapters from their files, and the model that they are for. */
#include <math.h>
#include <stdio.h>

#include "base/hub.h"
#include "models/adapters.h"
#include "nn/lora.h"

#define PREFIX SN_ADAPTERS_PREFIX
static const char *const files[] = {"adapter_model.safetensors", "adapter_model.bin"};

void sn_adapters_free(sn_adapters *a) {
    if (!a) return;
    sn_weights_free(a->weights);
    json_decref(a->config);
    sn_free(a);
}

/* ---- reading ---- */

/* What would change the arithmetic must be off. */
static sn_status check_config(const json_t *config) {
    static const char *const off[] = {"use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "lora_bias",
                                      "trainable_token_indices", "target_parameters", "layer_replication"};
    const char *type, *bias;
    SN_TRY(sn_json_string(config, "peft_type", "LORA", &type));
    SN_TRY(sn_json_string(config, "bias", "none", &bias));
    if (strcmp(type, "LORA")) SN_FAIL(SN_ERR_UNSUPPORTED, "\"peft_type\": adapters of kind %.40s are not known; LORA is", type);
    if (strcmp(bias, "none")) SN_FAIL(SN_ERR_UNSUPPORTED, "\"bias\": only \"none\" is possible, found \"%.40s\"", bias);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const json_t *value = json_object_get(config, off[i]);
        bool empty = !value || json_is_null(value) || json_is_false(value) || ((json_is_object(value) || json_is_array(value)) && !json_object_size(value) && !json_array_size(value));
        if (!empty) SN_FAIL(SN_ERR_UNSUPPORTED, "\"%s\" is not supported", off[i]);
    }
    return SN_OK;
}

static sn_status read_config(const json_t *config, sn_adapters *a) {
    if (!json_is_object(config)) SN_FAIL(SN_ERR_FORMAT, "expected an object");
    SN_TRY(check_config(config));
    SN_TRY(sn_json_int(config, "r", 8, &a->rank));
    SN_TRY(sn_json_number(config, "lora_alpha", 8, &a->alpha));
    bool turned; /* PEFT too asks the layer, whatever the file says */
    SN_TRY(sn_json_bool(config, "fan_in_fan_out", false, &turned));
    if (a->rank < 1 || a->rank > 4096) SN_FAIL(SN_ERR_FORMAT, "\"r\" must be 1 to 4096");
    if (!(fabs(a->alpha) <= 1e6)) SN_FAIL(SN_ERR_FORMAT, "\"lora_alpha\": %g is out of range", a->alpha);
    return SN_OK;
}

sn_status sn_adapters_make(json_t *config, sn_weights *weights, sn_adapters **out) {
    sn_adapters *a = *out = sn_alloc(1, sizeof *a);
    if (!a) return SN_ERR_MEMORY;
    sn_status status = read_config(config, a);
    if (status == SN_OK) {
        a->config = json_incref(config);
        a->weights = weights;
        return SN_OK;
    }
    sn_free(a);
    *out = NULL;
    return status;
}

/* `name`: adapter_config.json's path */
static sn_status open_both(const char *directory, const char *name, sn_adapters **out) {
    json_t *config;
    sn_weights *weights = NULL;
    SN_TRY(sn_json_read(name, &config));
    char *path = NULL;
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && !path && i < sizeof files / sizeof *files; i++) status = sn_file_find(directory, files[i], &path);
    if (status == SN_OK && !path) {
        (void)sn_fail(SN_ERR_IO, "%s: holds neither %s nor %s", directory, files[0], files[1]);
        status = sn_fail_at(directory, 0, NULL);
    }
    if (status == SN_OK) status = sn_weights_open(path, &weights);
    if (status == SN_OK && (status = sn_adapters_make(config, weights, out)) != SN_OK) {
        (void)sn_fail_in("%s", name);
        status = sn_fail_at(name, 0, NULL);
    }
    if (status != SN_OK) sn_weights_free(weights);
    sn_free(path);
    json_decref(config);
    return status;
}

sn_status sn_adapters_open(const char *directory, sn_adapters **out) {
    *out = NULL;
    char *config;
    SN_TRY(sn_file_find(directory, "adapter_config.json", &config));
    sn_status status = config ? open_both(directory, config, out) : SN_OK;
    sn_free(config);
    return status;
}

/* ---- the model ---- */

static sn_status no_base(const char *name, const char *why) {
    (void)sn_fail(SN_ERR_FORMAT, "%s: \"base_model_name_or_path\" %s", name, why);
    return sn_fail_at(name, 0, NULL);
}

/* `text`: a directory, one relative to that of the adapters, or a name in the cache. */
static sn_status find_base(const char *directory, const char *name, const char *text, char **base) {
    *base = NULL;
    if (!text || !*text) return no_base(name, "does not say which model the adapters are for");
    char *beside = sn_path_join(directory, text);
    if (!beside) return SN_ERR_MEMORY;
    if (text[0] != '/' && !sn_is_directory(text) && sn_is_directory(beside)) {
        *base = beside;
        return SN_OK;
    }
    sn_free(beside);
    if (sn_hub_find(text, base) == SN_OK) return SN_OK;
    (void)sn_fail_in("%s: the model of these adapters", name);
    return sn_fail_at(name, 0, NULL);
}

static sn_status check_model(const char *name, const char *base) {
    char *config;
    SN_TRY(sn_file_find(base, "config.json", &config));
    bool there = config != NULL;
    sn_free(config);
    if (there) return SN_OK;
    (void)sn_fail(SN_ERR_FORMAT, "%s: the model of these adapters, %s, holds no config.json", name, base);
    return sn_fail_at(name, 0, NULL);
}

sn_status sn_adapters_base(const char *directory, char **base) {
    char *config = NULL, *own = NULL;
    json_t *json = NULL;
    *base = NULL;
    sn_status status = sn_file_find(directory, "config.json", &own);
    if (status == SN_OK && !own) status = sn_file_find(directory, "adapter_config.json", &config);
    if (status == SN_OK && config) status = sn_json_read(config, &json);
    if (status == SN_OK && config)
        status = find_base(directory, config, json_string_value(json_object_get(json, "base_model_name_or_path")), base);
    if (status == SN_OK && *base) status = check_model(config, *base);
    if (status != SN_OK) {
        sn_free(*base);
        *base = NULL;
    }
    json_decref(json);
    sn_free(config);
    sn_free(own);
    return status;
}

/* ---- what was learned as a whole ---- */

/* "classifier" in "classifier.out_proj.weight" and in "bert.classifier.weight" */
static bool is_part(const char *tensor, const char *module) {
    size_t n = module ? strlen(module) : 0;
    for (const char *at = tensor; n && (at = strstr(at, module)) != NULL; at++)
        if ((at == tensor || at[-1] == '.') && at[n] == '.') return true;
    return false;
}

/* Older versions of PEFT do not list the heads that a task gives a model. */
static bool is_whole(const sn_adapters *a, const char *tensor) {
    static const char *const heads[] = {"classifier", "score", "qa_outputs"};
    const json_t *list = json_object_get(a->config, "modules_to_save");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (is_part(tensor, json_string_value(json_array_get(list, i)))) return true;
    for (size_t i = 0; sn_adapters_head(a) && i < sizeof heads / sizeof *heads; i++)
        if (is_part(tensor, heads[i])) return true;
    return false;
}

const char *sn_adapters_whole_name(const sn_adapters *a, const sn_tensor_view *t) {
    if (strncmp(t->name, PREFIX, sizeof PREFIX - 1) || sn_lora_is(t->name)) return NULL;
    const char *name = t->name + sizeof PREFIX - 1;
    return is_whole(a, name) ? name : NULL;
}

sn_status sn_adapters_lay(const sn_adapters *a, sn_weights *over) {
    for (int i = 0; i < sn_weights_count(a->weights); i++) {
        const sn_tensor_view *t = sn_weights_at(a->weights, i);
        const char *name = sn_adapters_whole_name(a, t);
        char known[SN_ADAPTERS_NAME];
        if (!name) continue; /* merging names what it does not know */
        for (int k = 0; sn_adapters_other_name(a, name, k, known); k++)
            if (known[0] && sn_weights_find(over, known)) {
                name = known;
                break;
            }
        SN_TRY(sn_weights_lay(over, name, t));
    }
    return SN_OK;
}

bool sn_adapters_has_whole(const sn_adapters *a) {
    if (json_array_size(json_object_get(a->config, "modules_to_save"))) return true;
    for (int i = 0; i < sn_weights_count(a->weights); i++)
        if (sn_adapters_whole_name(a, sn_weights_at(a->weights, i))) return true;
    return false;
}

const char *sn_adapters_head(const sn_adapters *a) {
    static const char *const heads[][2] = {{"SEQ_CLS", "ForSequenceClassification"}, {"TOKEN_CLS", "ForTokenClassification"},
                                           {"QUESTION_ANS", "ForQuestionAnswering"}};
    const char *task = json_string_value(json_object_get(a->config, "task_type"));
    for (size_t i = 0; task && i < sizeof heads / sizeof *heads; i++)
        if (!strcmp(task, heads[i][0])) return heads[i][1];
    return NULL;
}

int64_t sn_adapters_classes(const sn_adapters *a) {
    static const char *const names[] = {PREFIX "classifier.weight", PREFIX "classifier.out_proj.weight", PREFIX "score.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const sn_tensor_view *t = sn_weights_find(a->weights, names[i]);
        if (t && t->type.shape.rank == 2) return t->type.shape.dim[0];
    }
    return 0;
}

/* ---- names ---- */

/* Transformers 5 calls some families' modules otherwise in memory than in their files, and adapters have those names. */
static const char *const renamed[][2] = {
    {"attention.q_proj", "attention.attention.query"}, {"attention.k_proj", "attention.attention.key"},
    {"attention.v_proj", "attention.attention.value"}, {"attention.o_proj", "attention.output.dense"},
    {"mlp.fc1", "intermediate.dense"},                 {"mlp.fc2", "output.dense"}};

/* `name` with the first `from` (NULL: nothing) replaced; false where it has none, or gets too long. */
static bool replaced(const char *name, const char *from, const char *to, char out[SN_ADAPTERS_NAME]) {
    const char *at = from ? strstr(name, from) : name;
    if (!at) return false;
    int n = from ? snprintf(out, SN_ADAPTERS_NAME, "%.*s%s%s", (int)(at - name), name, to, at + strlen(from)) : snprintf(out, SN_ADAPTERS_NAME, "%s", name);
    return n >= 0 && n < SN_ADAPTERS_NAME;
}

/* 0: as it is; 1: as in the file; 2: the same, and blocks called as in ViT's files */
static bool in_file(const char *name, int how, char out[SN_ADAPTERS_NAME]) {
    char tail[SN_ADAPTERS_NAME];
    if (!how) return replaced(name, NULL, NULL, out);
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
        if (!replaced(name, renamed[i][0], renamed[i][1], tail)) continue;
        return how == 1 ? replaced(tail, NULL, NULL, out) : replaced(tail, "layers.", "encoder.layer.", out);
    }
    return false;
}

bool sn_adapters_other_name(const sn_adapters *a, const char *name, int k, char out[SN_ADAPTERS_NAME]) {
    char base[SN_ADAPTERS_NAME];
    const char *prefix = a->prefix;
    size_t n = prefix ? strlen(prefix) : 0;
    out[0] = '\0';
    if (k >= 9) return false;
    if (!in_file(name, k / 3, base)) return true;
    bool has = n && !strncmp(base, prefix, n) && base[n] == '.';
    if (k % 3 == 0) (void)replaced(base, NULL, NULL, out);
    if (k % 3 == 1 && has) (void)replaced(base + n + 1, NULL, NULL, out);
    if (k % 3 == 2 && n && !has && snprintf(out, SN_ADAPTERS_NAME, "%s.%s", prefix, base) >= SN_ADAPTERS_NAME) out[0] = '\0';
    return true;
}
