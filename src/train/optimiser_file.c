/* optimiser_file.c: an optimiser's state as a safetensors file.
 *
 *   metadata  {"kind": "adamw", "step": "1200"}
 *   tensors   "exp_avg.<parameter>", "exp_avg_sq.<parameter>", in the shape of the parameter
 *
 * Only parameters that were ever updated are in it: the moments of the others are zero, here and after loading. */
#include <stdio.h>

#include "params/safetensors.h"
#include "train/optimiser_kind.h"

static sn_status add_views(const sn_optimiser *o, int i, sn_arena *names, sn_tensor_view *views, int *n) {
    for (int m = 0; m < o->moments; m++) {
        const char *moment = o->kind->moments[m], *param = sn_params_name(o->params, i);
        size_t room = strlen(moment) + strlen(param) + 2;
        char *name = sn_arena_alloc(names, room, 1);
        if (!name) return SN_ERR_MEMORY;
        (void)snprintf(name, room, "%s.%s", moment, param);
        sn_shape shape = sn_params_shape(o->params, i);
        views[(*n)++] = (sn_tensor_view){name, {shape, SN_F32}, o->moment[m] + sn_params_offset(o->params, i),
                                         (size_t)sn_shape_count(shape) * sizeof(float)};
    }
    return SN_OK;
}

sn_status sn_optimiser_save(const sn_optimiser *o, const char *path) {
    sn_arena names = {0};
    char step[32];
    (void)snprintf(step, sizeof step, "%lld", (long long)o->steps);
    json_t *metadata = json_pack("{s:s, s:s}", "kind", o->kind->name, "step", step);
    int count = sn_params_count(o->params), n = 0;
    sn_tensor_view *views = sn_alloc((size_t)count * SN_MOMENTS, sizeof *views);
    sn_status status = metadata && views ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
    for (int i = 0; status == SN_OK && i < count; i++)
        if (o->touched[i]) status = add_views(o, i, &names, views, &n);
    if (status == SN_OK) status = sn_safetensors_write(path, views, n, metadata);
    sn_free(views);
    sn_arena_free(&names);
    json_decref(metadata);
    return status;
}

/* The parameter and moment that a tensor's name means, with its shape checked. */
static sn_status place_of(const sn_optimiser *o, const sn_tensor_view *t, int *param, int *moment) {
    for (*moment = 0; *moment < o->moments; ++*moment) {
        size_t skip = strlen(o->kind->moments[*moment]);
        if (strncmp(t->name, o->kind->moments[*moment], skip) || t->name[skip] != '.') continue;
        *param = sn_params_find(o->params, t->name + skip + 1);
        if (*param < 0) break;
        sn_shape expected = sn_params_shape(o->params, *param);
        char a[SN_SHAPE_TEXT], b[SN_SHAPE_TEXT];
        if (sn_shape_equal(t->type.shape, expected) && t->type.dtype == SN_F32) return SN_OK;
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected shape %s of F32, found %s of %s", t->name,
                sn_shape_text(expected, a), sn_shape_text(t->type.shape, b), sn_dtype_name(t->type.dtype));
    }
    SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\" is no moment of this model's %s", t->name, o->kind->name);
}

static sn_status read_step(const sn_optimiser *o, const sn_safetensors *file, int64_t *step) {
    const char *kind = sn_safetensors_metadata(file, "kind"), *text = sn_safetensors_metadata(file, "step");
    if (!kind || !text) SN_FAIL(SN_ERR_FORMAT, "not the state of an optimiser: \"kind\" or \"step\" is missing");
    if (strcmp(kind, o->kind->name))
        SN_FAIL(SN_ERR_FORMAT, "the state of another optimiser: expected %s, found %.40s", o->kind->name, kind);
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < 0) SN_FAIL(SN_ERR_FORMAT, "\"step\" is not a whole number: \"%.40s\"", text);
    *step = value;
    return SN_OK;
}

/* A parameter has all of its moments or none. `seen` counts them. */
static sn_status check_tensors(const sn_optimiser *o, const sn_safetensors *file, int *seen) {
    int param, moment;
    for (int i = 0; i < sn_safetensors_count(file); i++) {
        SN_TRY(place_of(o, sn_safetensors_at(file, i), &param, &moment));
        seen[param]++;
    }
    for (int i = 0; i < sn_params_count(o->params); i++)
        for (int m = 0; seen[i] && seen[i] < o->moments && m < o->moments; m++) {
            char shape[SN_SHAPE_TEXT];
            sn_buf name = {0};
            sn_buf_printf(&name, "%s.%s", o->kind->moments[m], sn_params_name(o->params, i));
            sn_status status = sn_buf_check(&name);
            if (status == SN_OK && !sn_safetensors_find(file, name.data))
                status = sn_fail(SN_ERR_SHAPE, "tensor \"%s\" is missing: expected shape %s", name.data,
                                 sn_shape_text(sn_params_shape(o->params, i), shape));
            sn_buf_free(&name);
            SN_TRY(status);
        }
    return SN_OK;
}

static sn_status copy_tensors(sn_optimiser *o, const sn_safetensors *file, const int *seen) {
    for (int i = 0; i < sn_params_count(o->params); i++) {
        size_t bytes = (size_t)sn_shape_count(sn_params_shape(o->params, i)) * sizeof(float);
        bool was = o->touched[i];
        o->touched[i] = seen[i] > 0;
        for (int m = 0; m < o->moments && was && !seen[i]; m++)
            memset(o->moment[m] + sn_params_offset(o->params, i), 0, bytes);
    }
    for (int i = 0; i < sn_safetensors_count(file); i++) {
        const sn_tensor_view *t = sn_safetensors_at(file, i);
        int param, moment;
        SN_TRY(place_of(o, t, &param, &moment));
        SN_TRY(sn_tensor_to_f32(t, o->moment[moment] + sn_params_offset(o->params, param)));
    }
    return SN_OK;
}

/* Everything is checked before anything is changed. */
sn_status sn_optimiser_load(sn_optimiser *o, const char *path) {
    sn_safetensors *file;
    int64_t step = 0;
    SN_TRY(sn_safetensors_open(path, &file));
    int *seen = sn_alloc((size_t)sn_params_count(o->params), sizeof *seen);
    sn_status status = seen ? read_step(o, file, &step) : SN_ERR_MEMORY;
    if (status == SN_OK) status = check_tensors(o, file, seen);
    if (status == SN_OK) status = copy_tensors(o, file, seen);
    if (status == SN_OK) {
        o->steps = step;
    } else {
        (void)sn_fail_in("%s", path);
        (void)sn_fail_at(path, 0, NULL);
    }
    sn_free(seen);
    sn_safetensors_free(file);
    return status;
}
