/* adapters.c: see adapters.h. */
#include "models/adapters.h"

#include <math.h>
#include <stdio.h>

#include "nn/lora.h"
#include "params/safetensors.h"

#define WEIGHTS "adapter_model.safetensors"
#define PREFIX SN_ADAPTERS_PREFIX
#define A_END ".lora_A.weight"
#define B_END ".lora_B.weight"
enum { END = sizeof A_END - 1 };

/* The file's tensor for the parameter `name`, under any name that it may have; NULL. */
static const sn_tensor_view *tensor_of(const sn_adapters *a, const char *name) {
    char other[SN_ADAPTERS_NAME];
    for (int i = 0; i < sn_weights_count(a->weights); i++) {
        const sn_tensor_view *t = sn_weights_at(a->weights, i);
        if (strncmp(t->name, PREFIX, sizeof PREFIX - 1)) continue;
        for (int k = 0; sn_adapters_other_name(a, t->name + sizeof PREFIX - 1, k, other); k++)
            if (!strcmp(other, name)) return t;
    }
    return NULL;
}

sn_status sn_adapters_load_one(const sn_adapters *a, sn_params *p, int i, size_t skip) {
    const char *own = sn_params_name(p, i) + skip;
    const sn_tensor_view *t = tensor_of(a, own);
    if (!t) SN_FAIL(SN_ERR_SHAPE, "tensor \"" PREFIX "%s\" is missing", own);
    return sn_params_load_one(p, i, a->weights, t->name);
}

/* ---- merging ---- */

/* w += scale * B A; sums in double, in order over the rank. row: [in]. */
static void add_product(float *w, const float *A, const float *B, int64_t in, int64_t out, int64_t rank, double scale, bool turned, double *row) {
    for (int64_t o = 0; o < out; o++) {
        memset(row, 0, (size_t)in * sizeof *row);
        for (int64_t r = 0; r < rank; r++)
            for (int64_t i = 0; i < in; i++) row[i] += (double)B[o * rank + r] * (double)A[r * in + i];
        for (int64_t i = 0; i < in; i++) {
            float *at = turned ? &w[i * out + o] : &w[o * in + i];
            *at = (float)((double)*at + scale * row[i]);
        }
    }
}

static bool is_turned(const sn_params *p, int weight) { return sn_params_init_of(p, weight).flags & SN_PARAM_TURNED; }

static sn_status merge_into(sn_params *p, int weight, const float *A, sn_shape a, const float *B, sn_shape b, double scale) {
    bool turned = is_turned(p, weight);
    sn_shape w = sn_params_shape(p, weight), expected = turned ? SN_SHAPE(a.dim[1], b.dim[0]) : SN_SHAPE(b.dim[0], a.dim[1]);
    char x[SN_SHAPE_TEXT], y[SN_SHAPE_TEXT], z[SN_SHAPE_TEXT];
    if (a.rank != 2 || b.rank != 2 || a.dim[0] != b.dim[1] || !sn_shape_equal(w, expected))
        SN_FAIL(SN_ERR_SHAPE, "the adapter of \"%s\": A %s and B %s do not make its shape %s", sn_params_name(p, weight), sn_shape_text(a, x),
                sn_shape_text(b, y), sn_shape_text(w, z));
    double *row = sn_alloc((size_t)a.dim[1], sizeof *row);
    if (!row) return SN_ERR_MEMORY;
    add_product(sn_params_data(p, weight), A, B, a.dim[1], b.dim[0], a.dim[0], scale, turned, row);
    sn_free(row);
    return SN_OK;
}

/* A tensor as f32, heap. */
static sn_status as_f32(const sn_tensor_view *t, float **out) {
    *out = sn_alloc((size_t)sn_shape_count(t->type.shape), sizeof **out);
    if (!*out) return SN_ERR_MEMORY;
    sn_status status = sn_tensor_to_f32(t, *out);
    if (status == SN_OK) return SN_OK;
    sn_free(*out);
    *out = NULL;
    return status;
}

static sn_status merge_tensors(const sn_adapters *a, sn_params *p, int weight, const sn_tensor_view *ta, const sn_tensor_view *tb) {
    float *A = NULL, *B = NULL;
    if (ta->type.shape.rank == 2 && ta->type.shape.dim[0] != a->rank)
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected %lld rows, as \"r\" says; found %lld", ta->name, (long long)a->rank,
                (long long)ta->type.shape.dim[0]);
    sn_status status = as_f32(ta, &A);
    if (status == SN_OK) status = as_f32(tb, &B);
    if (status == SN_OK) status = merge_into(p, weight, A, ta->type.shape, B, tb->type.shape, a->alpha / (double)a->rank);
    sn_free(A);
    sn_free(B);
    return status;
}

/* The store's parameter of this published name; -1. */
static int find_in(const sn_params *p, sn_module_range range, const char *name) {
    for (int i = range.first; i < range.end; i++)
        if (!strcmp(sn_params_name(p, i) + range.skip, name)) return i;
    return -1;
}

/* By any name that it may have; *elsewhere_too: `elsewhere` has one up to there. */
static int find_module(const sn_adapters *a, const sn_params *p, sn_module_range range, const char *name, const sn_weights *elsewhere,
                       bool *elsewhere_too) {
    char other[SN_ADAPTERS_NAME];
    int at = -1;
    for (int k = 0; at < 0 && sn_adapters_other_name(a, name, k, other); k++) {
        if (!other[0]) continue;
        at = find_in(p, range, other);
        *elsewhere_too |= elsewhere && sn_weights_find(elsewhere, other);
    }
    return at;
}

static sn_status merge_one(const sn_adapters *a, sn_params *p, sn_module_range range, const sn_tensor_view *ta, const sn_weights *elsewhere) {
    size_t n = strlen(ta->name) - END, skip = sizeof PREFIX - 1;
    sn_buf other = {0}, weight = {0};
    sn_buf_printf(&other, "%.*s" B_END, (int)n, ta->name);
    sn_buf_printf(&weight, "%.*s.weight", (int)(n - skip), ta->name + skip);
    sn_status status = sn_buf_check(&other) == SN_OK ? sn_buf_check(&weight) : SN_ERR_MEMORY;
    const sn_tensor_view *tb = status == SN_OK ? sn_weights_find(a->weights, other.data) : NULL;
    bool passed = false;
    int at = status == SN_OK ? find_module(a, p, range, weight.data, elsewhere, &passed) : -1;
    if (status == SN_OK && !tb) status = sn_fail(SN_ERR_SHAPE, "tensor \"%s\" is missing", other.data);
    if (status == SN_OK && at < 0 && !passed) status = sn_fail(SN_ERR_SHAPE, "tensor \"%s\": the model has no \"%s\"", ta->name, weight.data);
    if (status == SN_OK && at >= 0) status = merge_tensors(a, p, at, ta, tb);
    sn_buf_free(&other);
    sn_buf_free(&weight);
    return status;
}

/* A second matrix must have its first. */
static sn_status check_pair(const sn_adapters *a, const sn_tensor_view *t) {
    sn_buf name = {0};
    sn_buf_printf(&name, "%.*s" A_END, (int)(strlen(t->name) - END), t->name);
    sn_status status = sn_buf_check(&name);
    if (status == SN_OK && !sn_weights_find(a->weights, name.data)) status = sn_fail(SN_ERR_SHAPE, "tensor \"%s\" is missing", name.data);
    sn_buf_free(&name);
    return status;
}

sn_status sn_adapters_merge(const sn_adapters *a, sn_params *p, sn_module_range range, const sn_weights *elsewhere) {
    for (int i = 0; i < sn_weights_count(a->weights); i++) {
        const sn_tensor_view *t = sn_weights_at(a->weights, i);
        sn_status status = SN_OK;
        bool known = !strncmp(t->name, PREFIX, sizeof PREFIX - 1);
        if (sn_adapters_whole_name(a, t)) continue; /* laid over */
        if (!known || !sn_lora_is(t->name))
            status = sn_fail(SN_ERR_UNSUPPORTED, "tensor \"%s\" belongs to no adapter", t->name);
        else if (sn_ends_with(t->name, A_END)) status = merge_one(a, p, range, t, elsewhere);
        else status = check_pair(a, t);
        if (status == SN_OK) continue;
        (void)sn_fail_in("%s", sn_weights_path(a->weights));
        return sn_fail_at(sn_weights_path(a->weights), 0, NULL);
    }
    sn_params_changed(p, false);
    return SN_OK;
}

/* The parameter called as `i` with `end` in place of A's end; -1. */
static int beside(const sn_params *p, int i, const char *end) {
    const char *name = sn_params_name(p, i);
    sn_buf other = {0};
    sn_buf_printf(&other, "%.*s%s", (int)(strlen(name) - END), name, end);
    int at = sn_buf_check(&other) == SN_OK ? sn_params_find(p, other.data) : -1;
    sn_buf_free(&other);
    return at;
}

sn_status sn_adapters_merge_own(sn_params *p, sn_module_range range, double scale) {
    for (int i = range.first; i < range.end; i++) {
        if (!sn_ends_with(sn_params_name(p, i), A_END)) continue;
        int b = beside(p, i, B_END), w = beside(p, i, ".weight");
        if (b < 0 || w < 0) SN_FAIL(SN_ERR_STATE, "\"%s\" has nothing beside it", sn_params_name(p, i));
        sn_shape shape = sn_params_shape(p, b);
        SN_TRY(merge_into(p, w, sn_params_data(p, i), sn_params_shape(p, i), sn_params_data(p, b), shape, scale));
        memset(sn_params_data(p, b), 0, (size_t)sn_shape_count(shape) * sizeof(float));
    }
    sn_params_changed(p, false);
    return SN_OK;
}

/* ---- writing ---- */

/* Do all modules of the file whose name ends so have an adapter? */
static bool all_have(const sn_params *p, sn_module_range range, const sn_weights *base, const char *end) {
    sn_buf tail = {0}, name = {0};
    bool all = true;
    sn_buf_printf(&tail, ".%s.weight", end);
    for (int k = 0; all && sn_buf_check(&tail) == SN_OK && k < sn_weights_count(base); k++) {
        const char *found = sn_weights_at(base, k)->name;
        if (!sn_ends_with(found, tail.data)) continue;
        name.size = 0;
        sn_buf_printf(&name, "%.*s" A_END, (int)(strlen(found) - 7), found);
        all = sn_buf_check(&name) == SN_OK && find_in(p, range, name.data) >= 0;
    }
    sn_buf_free(&tail);
    sn_buf_free(&name);
    return all;
}

static bool listed(const json_t *list, const char *name) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_string_value(json_array_get(list, i)), name)) return true;
    return false;
}

/* Transformers 5 calls some families' layers otherwise in memory than in their published files (ViT's "query" is
 * "q_proj"), and PEFT looks for its targets there; a target that is nowhere does no harm. */
static void add_other_name(json_t *list, const char *target) {
    static const char *const names[][2] = {{"query", "q_proj"}, {"key", "k_proj"}, {"value", "v_proj"}};
    for (int i = 0; i < 3; i++)
        if (!strcmp(target, names[i][0]) && !listed(list, names[i][1])) (void)json_array_append_new(list, json_string(names[i][1]));
}

/* The modules with adapters: by their last name where every module of that name has one. */
static json_t *target_list(const sn_params *p, sn_module_range range, const sn_weights *base) {
    json_t *list = json_array();
    for (int i = range.first; list && i < range.end; i++) {
        const char *name = sn_params_name(p, i) + range.skip;
        if (!sn_ends_with(name, A_END)) continue;
        char module[384], *last;
        (void)snprintf(module, sizeof module, "%.*s", (int)(strlen(name) - END), name);
        last = strrchr(module, '.');
        const char *target = last && all_have(p, range, base, last + 1) ? last + 1 : module;
        if (!listed(list, target)) (void)json_array_append_new(list, json_string(target));
    }
    for (size_t i = json_array_size(list); i-- > 0;) add_other_name(list, json_string_value(json_array_get(list, i)));
    return list;
}

static sn_status write_config(sn_params *p, sn_module_range range, const sn_weights *base, int64_t rank, double alpha, double dropout,
                              const char *path) {
    bool turned = false;
    for (int i = range.first; i < range.end; i++) {
        int w = sn_ends_with(sn_params_name(p, i), A_END) ? beside(p, i, ".weight") : -1;
        turned |= w >= 0 && is_turned(p, w);
    }
    json_t *config = json_pack("{s:s, s:n, s:n, s:I, s:f, s:f, s:s, s:b, s:b, s:b, s:o}", "peft_type", "LORA", "task_type",
                               "base_model_name_or_path", "r", (json_int_t)rank, "lora_alpha", alpha, "lora_dropout", dropout, "bias",
                               "none", "fan_in_fan_out", (int)turned, "inference_mode", 1, "use_rslora", 0, "target_modules",
                               target_list(p, range, base));
    if (!config) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    sn_status status = sn_json_write(path, config);
    json_decref(config);
    return status;
}

static sn_status write_tensors(sn_params *p, sn_module_range range, const char *path) {
    sn_arena names = {0};
    int n = 0;
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    sn_tensor_view *views = sn_alloc((size_t)(range.end - range.first), sizeof *views);
    sn_status status = metadata && views ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
    for (int i = range.first; status == SN_OK && i < range.end; i++) {
        const char *name = sn_params_name(p, i) + range.skip;
        if (!sn_lora_is(name)) continue;
        size_t room = strlen(name) + sizeof PREFIX;
        char *full = sn_arena_alloc(&names, room, 1);
        if (!full) status = SN_ERR_MEMORY;
        else (void)snprintf(full, room, PREFIX "%s", name);
        sn_shape shape = sn_params_shape(p, i);
        views[n++] = (sn_tensor_view){full, {shape, SN_F32}, sn_params_data(p, i), (size_t)sn_shape_count(shape) * sizeof(float)};
    }
    if (status == SN_OK) status = sn_safetensors_write(path, views, n, metadata);
    sn_free(views);
    sn_arena_free(&names);
    json_decref(metadata);
    return status;
}

sn_status sn_adapters_write(sn_params *p, sn_module_range range, const sn_weights *base, int64_t rank, double alpha, double dropout,
                            const char *directory) {
    char *config = sn_path_join(directory, "adapter_config.json"), *weights = sn_path_join(directory, WEIGHTS);
    sn_status status = config && weights ? write_tensors(p, range, weights) : SN_ERR_MEMORY;
    if (status == SN_OK) status = write_config(p, range, base, rank, alpha, dropout, config);
    sn_free(config);
    sn_free(weights);
    return status;
}
