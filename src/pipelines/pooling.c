/* pooling.c: see pooling.h. */
#include "pipelines/pooling.h"

#include <math.h>

#include "models/pool_modes.h"
#include "params/weights.h"

/* ---- activations of dense layers ---- */

static void act_tanh(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = tanhf(x[i]);
}
static void act_relu(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = x[i] > 0 ? x[i] : 0;
}
static void act_gelu(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = x[i] * 0.5f * (1 + erff(x[i] * 0.70710678f));
}
static void act_sigmoid(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = 1 / (1 + expf(-x[i]));
}
static const struct {
    const char *name;
    void (*act)(float *x, int64_t n);
} acts[] = {{"torch.nn.modules.linear.Identity", NULL},        {"torch.nn.modules.activation.Tanh", act_tanh},
            {"torch.nn.modules.activation.ReLU", act_relu},    {"torch.nn.modules.activation.GELU", act_gelu},
            {"torch.nn.modules.activation.Sigmoid", act_sigmoid}};

/* ---- reading ---- */

void sn_pooling_free(sn_pooling *p) {
    for (int i = 0; i < p->n_steps; i++) {
        sn_free(p->steps[i].weight);
        sn_free(p->steps[i].bias);
    }
    sn_free(p->prompt);
    *p = (sn_pooling){0};
}

/* The JSON file `name` of the directory; *out NULL where there is none and it is not `needed`. */
static sn_status read_json(const char *directory, const char *name, bool needed, json_t **out) {
    *out = NULL;
    char *path = NULL;
    if (needed) path = sn_path_join(directory, name);
    else SN_TRY(sn_file_find(directory, name, &path));
    if (!path) return needed ? SN_ERR_MEMORY : SN_OK;
    sn_status status = sn_json_read(path, out);
    sn_free(path);
    return status;
}

static sn_status read_modes(const char *directory, const json_t *config, sn_pooling *p) {
    (void)directory;
    SN_TRY(sn_pool_modes_read(config, &p->modes));
    bool include = true;
    SN_TRY(sn_json_bool(config, "include_prompt", true, &include));
    p->exclude_prompt = !include;
    return SN_OK;
}

static sn_status copy_tensor(const sn_weights *w, const char *name, sn_shape shape, float **out) {
    const sn_tensor_view *view = sn_weights_find(w, name);
    char expected[SN_SHAPE_TEXT], found[SN_SHAPE_TEXT];
    if (!view) SN_FAIL(SN_ERR_FORMAT, "%s: the tensor \"%s\" is missing", sn_weights_path(w), name);
    if (!sn_shape_equal(view->type.shape, shape))
        SN_FAIL(SN_ERR_SHAPE, "%s: \"%s\": expected %s, found %s", sn_weights_path(w), name, sn_shape_text(shape, expected),
                sn_shape_text(view->type.shape, found));
    *out = sn_alloc((size_t)sn_shape_count(shape), sizeof **out);
    return *out ? sn_tensor_to_f32(view, *out) : SN_ERR_MEMORY;
}

static sn_status read_dense(const char *directory, const json_t *config, sn_pooling *p) {
    sn_pool_step *step = &p->steps[p->n_steps++];
    const char *act = NULL;
    bool bias = true;
    size_t a = 0;
    sn_names passed = {0};
    *step = (sn_pool_step){0};
    SN_TRY(sn_json_int(config, "in_features", 0, &step->in));
    SN_TRY(sn_json_int(config, "out_features", 0, &step->out));
    SN_TRY(sn_json_bool(config, "bias", true, &bias));
    SN_TRY(sn_json_string(config, "activation_function", "torch.nn.modules.activation.Tanh", &act));
    if (step->in < 1 || step->out < 1 || step->in > 1 << 20 || step->out > 1 << 20)
        SN_FAIL(SN_ERR_FORMAT, "a dense layer of %lld to %lld numbers", (long long)step->in, (long long)step->out);
    while (a < sizeof acts / sizeof *acts && !sn_names_match(&passed, acts[a].name, act)) a++;
    if (a == sizeof acts / sizeof *acts) SN_FAIL(SN_ERR_UNSUPPORTED, "the activation \"%s\" is not known; known are %s", act, passed.list);
    step->act = acts[a].act;
    sn_weights *w;
    SN_TRY(sn_weights_open(directory, &w));
    sn_status status = copy_tensor(w, "linear.weight", SN_SHAPE(step->out, step->in), &step->weight);
    if (status == SN_OK && bias) status = copy_tensor(w, "linear.bias", SN_SHAPE(step->out), &step->bias);
    sn_weights_free(w);
    return status;
}

static sn_status read_normalise(const char *directory, const json_t *config, sn_pooling *p) {
    (void)directory, (void)config;
    p->steps[p->n_steps++] = (sn_pool_step){.normalise = true};
    return SN_OK;
}

static const struct module {
    const char *name;
    sn_status (*read)(const char *directory, const json_t *config, sn_pooling *p); /* NULL: the model itself, or nothing in use */
    bool config;                                                                   /* has a config.json */
} kinds[] = {{"Transformer", NULL, false}, {"CLIPModel", NULL, false}, {"Dropout", NULL, false},
             {"Pooling", read_modes, true}, {"Dense", read_dense, true}, {"Normalize", read_normalise, false}};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* One entry of modules.json; its type ends in the class's name. */
static sn_status read_module(const char *directory, const json_t *module, sn_pooling *p) {
    const char *type = NULL, *path = NULL, *name;
    sn_names passed = {0};
    int k = 0;
    SN_TRY(sn_json_string(module, "type", "", &type));
    SN_TRY(sn_json_string(module, "path", "", &path));
    name = strrchr(type, '.') ? strrchr(type, '.') + 1 : type;
    while (k < KINDS && !sn_names_match(&passed, kinds[k].name, name)) k++;
    if (k == KINDS) SN_FAIL(SN_ERR_UNSUPPORTED, "the module \"%s\" is not known; known are %s", type, passed.list);
    if (!kinds[k].read) return SN_OK;
    if (strstr(path, "..") || path[0] == '/') SN_FAIL(SN_ERR_FORMAT, "the path \"%s\" leaves the model's directory", path);
    if (p->n_steps == SN_POOL_STEPS) SN_FAIL(SN_ERR_UNSUPPORTED, "more than %d modules", SN_POOL_STEPS);
    char *inner = sn_path_join(directory, path);
    json_t *config = NULL;
    sn_status status = inner ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK && kinds[k].config) status = read_json(inner, "config.json", true, &config);
    if (status == SN_OK) status = kinds[k].read(inner, config, p);
    if (status != SN_OK && inner) status = sn_fail_at(inner, 0, NULL);
    json_decref(config);
    sn_free(inner);
    return status;
}

/* The prompt that sentence-transformers puts before a text unless told otherwise. */
static sn_status read_prompt(const char *directory, sn_pooling *p) {
    json_t *config;
    SN_TRY(read_json(directory, "config_sentence_transformers.json", false, &config));
    const char *name = json_string_value(json_object_get(config, "default_prompt_name"));
    const char *prompt = name ? json_string_value(json_object_get(json_object_get(config, "prompts"), name)) : NULL;
    sn_status status = SN_OK;
    if (name && !prompt) status = sn_fail(SN_ERR_FORMAT, "%s/config_sentence_transformers.json: no prompt \"%s\"", directory, name);
    if (prompt && *prompt) {
        p->prompt = sn_strdup(prompt);
        if (!p->prompt) status = SN_ERR_MEMORY;
    }
    json_decref(config);
    return status;
}

sn_status sn_pooling_read(const char *directory, sn_pooling *p) {
    json_t *list = NULL, *settings = NULL, *module;
    size_t i;
    *p = (sn_pooling){.modes = SN_POOL_MEAN};
    SN_TRY(read_json(directory, "modules.json", false, &list));
    if (!list) return SN_OK;
    p->from_files = true;
    sn_status status = json_is_array(list) ? SN_OK : sn_fail(SN_ERR_FORMAT, "modules.json is not a list");
    json_array_foreach(list, i, module) {
        if (status == SN_OK) status = read_module(directory, module, p);
    }
    if (status == SN_OK) status = read_json(directory, "sentence_bert_config.json", false, &settings);
    if (status == SN_OK) status = sn_json_int(settings, "max_seq_length", 0, &p->most_tokens);
    if (status == SN_OK) status = sn_json_bool(settings, "do_lower_case", false, &p->lower);
    if (status == SN_OK) status = read_prompt(directory, p);
    json_decref(settings);
    json_decref(list);
    if (status == SN_OK) return SN_OK;
    status = sn_fail_at(directory, 0, NULL);
    sn_pooling_free(p);
    return status;
}

/* ---- use ---- */

bool sn_pooling_normalises(const sn_pooling *p) { return p->n_steps && p->steps[p->n_steps - 1].normalise; }

sn_status sn_pooling_width(const sn_pooling *p, int64_t width, int64_t *out) {
    int64_t n = 0;
    for (int i = 0; i < SN_POOL_MODES; i++) n += (p->modes >> i & 1) * width;
    for (int i = 0; i < p->n_steps; i++) {
        const sn_pool_step *step = &p->steps[i];
        if (step->normalise) continue;
        if (step->in != n)
            SN_FAIL(SN_ERR_SHAPE, "a dense layer after the pooling takes %lld numbers; there are %lld", (long long)step->in, (long long)n);
        n = step->out;
    }
    *out = n;
    return SN_OK;
}

void sn_unit_length(float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    double length = sqrt(sum) > 1e-12 ? sqrt(sum) : 1e-12;
    for (int64_t i = 0; i < n; i++) x[i] = (float)((double)x[i] / length);
}

static void dense(const sn_pool_step *s, const float *x, float *y) {
    for (int64_t o = 0; o < s->out; o++) {
        float sum = s->bias ? s->bias[o] : 0;
        for (int64_t i = 0; i < s->in; i++) sum += s->weight[o * s->in + i] * x[i];
        y[o] = sum;
    }
    if (s->act) s->act(y, s->out);
}

sn_status sn_pooling_apply(const sn_pooling *p, const float *hidden, int64_t tokens, int64_t width, float *out) {
    int64_t n = 0, room = 0;
    for (int i = 0; i < SN_POOL_MODES; i++) room += (p->modes >> i & 1) * width;
    for (int i = 0; i < p->n_steps; i++)
        if (p->steps[i].out > room) room = p->steps[i].out;
    float *x = sn_alloc((size_t)(2 * room), sizeof *x), *y;
    if (!x) return SN_ERR_MEMORY;
    y = x + room;
    for (int i = 0; i < SN_POOL_MODES; i++) {
        if (!(p->modes >> i & 1)) continue;
        if (tokens > 0) sn_pool_modes[i].pool(hidden, tokens, width, x + n);
        n += width;
    }
    float *now = x;
    for (int i = 0; i < p->n_steps; i++) {
        if (p->steps[i].normalise) {
            sn_unit_length(now, n);
            continue;
        }
        float *next = now == x ? y : x;
        dense(&p->steps[i], now, next);
        n = p->steps[i].out;
        now = next;
    }
    memcpy(out, now, (size_t)n * sizeof *out);
    sn_free(x);
    return SN_OK;
}
