/* session.c: one thread's use of a model, with inputs from memory.
 *
 *   sn_input_set_... -> feature encode -> a sample per input     (kept until set again or cleared)
 *   sn_session_run   -> a batch of one row, made by hand -> encoders, fusion, tasks -> values per target
 *
 * An input is encoded when it is set, so that what is wrong with it is told there, and by the same code as a cell of
 * a table: the same picture, text or number gives the same prediction either way. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "data/dataset.h"
#include "models/exec.h"
#include "text/utf8.h"

enum { MOST_FILE_BYTES = 256 << 20, MOST_CHANNELS = 64 };

struct sn_session {
    const sn_model *model;
    sn_exec *exec;
    sn_sample *samples; /* per input */
    bool *given;
    const float **values; /* per target; in the exec's memory */
    bool done;            /* values belong to the inputs as they are */
};

sn_status sn_session_create(const sn_model *m, sn_session **out) {
    *out = NULL;
    SN_TRY(sn_model_predicts(m));
    sn_session *s = sn_alloc(1, sizeof *s);
    if (!s) return SN_ERR_MEMORY;
    s->model = m;
    s->samples = sn_alloc((size_t)m->n_inputs, sizeof *s->samples);
    s->given = sn_alloc((size_t)m->n_inputs, sizeof *s->given);
    s->values = sn_alloc((size_t)m->n_targets, sizeof *s->values);
    sn_status status = s->samples && s->given && s->values ? sn_exec_create(m, &s->exec) : SN_ERR_MEMORY;
    if (status == SN_OK) *out = s;
    else sn_session_free(s);
    return status;
}

static void forget(sn_session *s, int input) {
    sn_sample_free(&s->samples[input]);
    s->given[input] = false;
}

void sn_session_free(sn_session *s) {
    if (!s) return;
    for (int i = 0; s->samples && s->given && i < s->model->n_inputs; i++) forget(s, i);
    sn_free(s->samples);
    sn_free(s->given);
    sn_free(s->values);
    sn_exec_free(s->exec);
    sn_free(s);
}

sn_status sn_session_clear(sn_session *s) {
    for (int i = 0; i < s->model->n_inputs; i++) forget(s, i);
    s->done = false;
    return SN_OK;
}

/* ---- inputs ---- */

static sn_status find_input(const sn_session *s, const char *name, int *out) {
    sn_names passed = {0};
    for (int i = 0; i < s->model->n_inputs; i++) {
        *out = i;
        if (sn_names_match(&passed, s->model->inputs[i]->name, name)) return SN_OK;
    }
    (void)sn_fail(SN_ERR_USAGE, "the model has no input \"%s\"; it has: %s", name, passed.used ? passed.list : "none");
    return sn_fail_at(NULL, 0, name);
}

/* Finds the input; `kind` SN_KIND_COUNT stands for every kind that is written as text. */
static sn_status need_input(sn_session *s, const char *name, sn_kind kind, int *out) {
    SN_TRY(find_input(s, name, out));
    const sn_feature_kind *row = s->model->inputs[*out]->row;
    if (kind == SN_KIND_COUNT ? !row->media : row->kind == kind) return SN_OK;
    (void)sn_fail(SN_ERR_USAGE, "the input \"%s\" is of kind %s and cannot be set by this call", name, sn_kind_name(row->kind));
    return sn_fail_at(NULL, 0, name);
}

/* Encodes the cell; the old value stays where that fails. */
static sn_status set_cell(sn_session *s, int input, const sn_cell *cell) {
    const sn_feature *f = s->model->inputs[input];
    sn_sample sample = {0};
    sn_status status = f->row->encode(f, cell, &sample);
    if (status != SN_OK) {
        sn_sample_free(&sample);
        (void)sn_fail_in("\"%s\"", f->name);
        return sn_fail_at(cell->path, 0, f->name);
    }
    forget(s, input);
    s->samples[input] = sample;
    s->given[input] = true;
    s->done = false;
    return SN_OK;
}

sn_status sn_input_set_image(sn_session *s, const char *name, const uint8_t *rgb, int width, int height, size_t stride) {
    int input;
    SN_TRY(need_input(s, name, SN_KIND_IMAGE, &input));
    if (!rgb || width < 1 || height < 1 || stride < (size_t)width * 3) {
        (void)sn_fail(SN_ERR_USAGE, "\"%s\": a picture of %d x %d pixels with %zu bytes a row is not possible", name, width, height, stride);
        return sn_fail_at(NULL, 0, name);
    }
    sn_image image;
    SN_TRY(sn_image_make(width, height, 3, &image));
    size_t bytes = (size_t)width * 3;
    for (size_t y = 0; y < (size_t)height; y++) memcpy(image.pixels + y * bytes, rgb + y * stride, bytes);
    sn_status status = set_cell(s, input, &(sn_cell){.image = &image});
    sn_image_free(&image);
    return status;
}

sn_status sn_input_set_audio(sn_session *s, const char *name, const float *pcm, size_t frames, int channels, int rate) {
    int input;
    size_t n;
    SN_TRY(need_input(s, name, SN_KIND_AUDIO, &input));
    if (!pcm || frames < 1 || frames > INT32_MAX || channels < 1 || channels > MOST_CHANNELS || rate < 1
        || sn_mul_overflow(frames, (size_t)channels, &n)) {
        (void)sn_fail(SN_ERR_USAGE, "\"%s\": sound of %zu frames, %d channels at %d Hz is not possible", name, frames, channels, rate);
        return sn_fail_at(NULL, 0, name);
    }
    for (size_t i = 0; i < n; i++) {
        if (isfinite(pcm[i])) continue;
        (void)sn_fail(SN_ERR_FORMAT, "\"%s\": sample %zu of the sound is not a finite number", name, i);
        return sn_fail_at(NULL, 0, name);
    }
    sn_audio audio = {rate, channels, (int64_t)frames, (float *)(uintptr_t)pcm}; /* encode reads it only */
    return set_cell(s, input, &(sn_cell){.audio = &audio});
}

/* A cell as a table has it: NUL-terminated, and absent where it is empty. */
static sn_status set_text(sn_session *s, int input, const char *utf8, size_t bytes) {
    const char *name = s->model->inputs[input]->name;
    size_t bad = sn_utf8_check(utf8, bytes);
    const char *nul = memchr(utf8, 0, bytes);
    if (bad < bytes || nul) {
        (void)sn_fail(SN_ERR_FORMAT, "\"%s\": the text is not UTF-8 without NUL at byte %zu", name, nul && (size_t)(nul - utf8) < bad ? (size_t)(nul - utf8) : bad);
        return sn_fail_at(NULL, 0, name);
    }
    char *text = sn_strndup(utf8, bytes);
    if (!text) return SN_ERR_MEMORY;
    sn_status status = SN_OK;
    if (!sn_cell_empty(text)) status = set_cell(s, input, &(sn_cell){.text = text, .bytes = bytes});
    else {
        forget(s, input);
        s->done = false;
    }
    sn_free(text);
    return status;
}

sn_status sn_input_set_text(sn_session *s, const char *name, const char *utf8, size_t bytes) {
    int input;
    SN_TRY(need_input(s, name, SN_KIND_COUNT, &input));
    return set_text(s, input, utf8 ? utf8 : "", utf8 ? bytes : 0);
}

sn_status sn_input_set_number(sn_session *s, const char *name, double value) {
    int input;
    char text[40];
    SN_TRY(need_input(s, name, SN_KIND_COUNT, &input));
    if (!isfinite(value)) {
        (void)sn_fail(SN_ERR_USAGE, "\"%s\": the number is not finite", name);
        return sn_fail_at(NULL, 0, name);
    }
    (void)snprintf(text, sizeof text, "%.15g", value); /* "0.1", as it would stand in a table; all digits where those are too few */
    double back;
    if (!sn_cell_number(text, &back) || back < value || back > value) (void)snprintf(text, sizeof text, "%.17g", value);
    return set_text(s, input, text, strlen(text));
}

sn_status sn_input_set_file(sn_session *s, const char *name, const char *path) {
    int input;
    SN_TRY(find_input(s, name, &input));
    if (s->model->inputs[input]->row->media) return set_cell(s, input, &(sn_cell){.text = path, .bytes = strlen(path), .path = path});
    sn_bytes bytes;
    SN_TRY(sn_file_read(path, MOST_FILE_BYTES, &bytes));
    sn_status status = set_text(s, input, (const char *)bytes.data, bytes.size);
    sn_bytes_free(&bytes);
    return status == SN_OK ? SN_OK : sn_fail_at(path, 0, NULL);
}

/* ---- running ---- */

static sn_status fill_part(const sn_session *s, const sn_part *part, sn_batch_part *b) {
    const sn_sample **one = sn_alloc((size_t)part->n_features, sizeof *one);
    const sn_sample ***by_feature = sn_alloc((size_t)part->n_features, sizeof *by_feature);
    sn_status status = one && by_feature ? SN_OK : SN_ERR_MEMORY;
    for (int k = 0; status == SN_OK && k < part->n_features; k++) {
        by_feature[k] = &one[k];
        if (!s->given[part->features[k]]) continue;
        one[k] = &s->samples[part->features[k]];
        b->present = 1;
    }
    if (status == SN_OK && b->present) status = sn_batch_collate(s->model, part, (const sn_sample *const *const *)by_feature, b);
    sn_free(one);
    sn_free(by_feature);
    return status;
}

sn_status sn_session_run(sn_session *s) {
    sn_batch *batch;
    s->done = false;
    SN_TRY(sn_batch_blank(s->model, 1, &batch));
    sn_status status = SN_OK;
    for (int p = 0; status == SN_OK && p < s->model->n_parts; p++) status = fill_part(s, &s->model->parts[p], &batch->parts[p]);
    if (status == SN_OK) status = sn_exec_predict(s->exec, batch, s->values);
    sn_batch_free(batch);
    s->done = status == SN_OK;
    return status;
}

/* ---- outputs ---- */

static sn_status find_output(const sn_session *s, const char *name, int *out) {
    sn_names passed = {0};
    if (!s->done) SN_FAIL(SN_ERR_STATE, "there is no output yet: sn_session_run comes first, again after every change of an input");
    for (int t = 0; t < s->model->n_targets; t++) {
        *out = t;
        if (sn_names_match(&passed, s->model->targets[t].feature->name, name)) return SN_OK;
    }
    (void)sn_fail(SN_ERR_USAGE, "the model has no output \"%s\"; it has: %s", name, passed.used ? passed.list : "none");
    return sn_fail_at(NULL, 0, name);
}

/* What the task says of the values: {"value", "probability"}. */
static sn_status predicted(const sn_session *s, const char *name, int *target, json_t **out) {
    SN_TRY(find_output(s, name, target));
    const sn_target *t = &s->model->targets[*target];
    *out = t->task->predict(t->feature, s->values[*target], 0);
    if (!*out) SN_FAIL(SN_ERR_NUMERIC, "\"%s\": the prediction is not a finite number", name);
    return SN_OK;
}

static sn_status wrong_output(const sn_session *s, int target, const char *what) {
    const sn_feature *f = s->model->targets[target].feature;
    (void)sn_fail(SN_ERR_USAGE, "the output \"%s\" is of kind %s: it has no %s", f->name, sn_kind_name(f->row->kind), what);
    return sn_fail_at(NULL, 0, f->name);
}

sn_status sn_output_category(const sn_session *s, const char *name, const char **value, double *probability) {
    int target;
    json_t *answer;
    *value = NULL;
    SN_TRY(predicted(s, name, &target, &answer));
    const char *found = json_string_value(json_object_get(answer, "value"));
    const sn_feature *f = s->model->targets[target].feature;
    for (int i = 0; found && !*value && i < sn_feature_classes(f); i++) /* the answer goes, the model's name stays */
        if (!strcmp(sn_feature_class(f, i), found)) *value = sn_feature_class(f, i);
    if (probability) *probability = json_number_value(json_object_get(answer, "probability"));
    json_decref(answer);
    return *value ? SN_OK : wrong_output(s, target, "class");
}

sn_status sn_output_number(const sn_session *s, const char *name, double *value) {
    int target;
    json_t *answer;
    SN_TRY(predicted(s, name, &target, &answer));
    const json_t *found = json_object_get(answer, "value");
    bool number = json_is_number(found);
    *value = json_number_value(found);
    json_decref(answer);
    return number ? SN_OK : wrong_output(s, target, "number");
}

sn_status sn_output_vector(const sn_session *s, const char *name, const float **values, size_t *count) {
    int target;
    SN_TRY(find_output(s, name, &target));
    const sn_target *t = &s->model->targets[target];
    *values = s->values[target];
    *count = (size_t)t->task->width(t->feature);
    return SN_OK;
}
