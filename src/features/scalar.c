/* scalar.c: number, category and binary columns, as inputs and as targets.
 *
 *   number    (x - mean) / std                   f32 [N]
 *   category  class number by name, -1 unknown   int32 [N]
 *   binary    0 or 1                             int32 [N]
 *
 * Classes are the values of the training rows: numbers in their order if all are numbers, else by bytes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "features/feature.h"

typedef struct class_state {
    int n;
    const char **names;
    sn_map index;
} class_state;

/* The cell without ASCII space around it. */
static const char *trimmed(const char *text, size_t *bytes) {
    while (*text == ' ' || (*text >= '\t' && *text <= '\r')) text++;
    size_t n = strlen(text);
    while (n && (text[n - 1] == ' ' || (text[n - 1] >= '\t' && text[n - 1] <= '\r'))) n--;
    *bytes = n;
    return text;
}

static int float_types(const sn_feature *f, int64_t n, int64_t steps, sn_type *types) {
    (void)f;
    (void)steps;
    types[0] = (sn_type){SN_SHAPE(n), SN_F32};
    return 1;
}
static int class_types(const sn_feature *f, int64_t n, int64_t steps, sn_type *types) {
    (void)f;
    (void)steps;
    types[0] = (sn_type){SN_SHAPE(n), SN_I32};
    return 1;
}

/* ---- number ---- */

static sn_status number_of(const sn_cell *cell, double *out) {
    if (sn_cell_number(cell->text, out)) return SN_OK;
    SN_FAIL(SN_ERR_FORMAT, "\"%.40s\" is not a number", cell->text);
}

static sn_status number_fit(sn_feature *f, const sn_fit_source *source) {
    double sum = 0, squares = 0, n = 0, least = INFINITY, most = -INFINITY;
    for (int pass = 0; pass < 2; pass++) {
        double mean = n > 0 ? sum / n : 0;
        for (int64_t i = 0; i < source->n; i++) {
            double x;
            if (!sn_cell_number(sn_table_cell(source->table, source->rows[i], source->column), &x)) continue;
            if (pass) squares += (x - mean) * (x - mean);
            else {
                sum += x;
                n += 1;
                least = x < least ? x : least;
                most = x > most ? x : most;
            }
        }
    }
    if (n == 0) SN_FAIL(SN_ERR_FORMAT, "column \"%s\" has no number in the training rows", f->name);
    double std = sqrt(squares / n);
    SN_TRY(sn_feature_set(f, "mean", json_real(sum / n)));
    SN_TRY(sn_feature_set(f, "std", json_real(std > 1e-12 ? std : 1.0)));
    SN_TRY(sn_feature_set(f, "min", json_real(least)));
    return sn_feature_set(f, "max", json_real(most));
}

/* Both are there after fit; a model file could lack them, and then every value would be wrong in silence. */
static sn_status number_open(sn_feature *f) {
    static const char *const needed[] = {"mean", "std"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!json_is_number(json_object_get(f->options, needed[i]))) SN_FAIL(SN_ERR_FORMAT, "\"%s\" is missing or not a number", needed[i]);
    if (!(json_number_value(json_object_get(f->options, "std")) > 0)) SN_FAIL(SN_ERR_FORMAT, "\"std\" must be above 0");
    return SN_OK;
}

void sn_feature_scale(const sn_feature *f, double *mean, double *std) {
    *mean = json_number_value(json_object_get(f->options, "mean"));
    *std = json_number_value(json_object_get(f->options, "std"));
    if (!(*std > 0)) *std = 1;
}

static sn_status number_encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    double x, mean, std;
    SN_TRY(number_of(cell, &x));
    sn_feature_scale(f, &mean, &std);
    out->number = (x - mean) / std;
    return SN_OK;
}

static sn_status number_collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    (void)f;
    SN_TRY(sn_array_make(&arrays[0], SN_F32, SN_SHAPE(n)));
    for (int64_t i = 0; i < n; i++) ((float *)arrays[0].data)[i] = (float)samples[i]->number;
    return SN_OK;
}

/* ---- classes ---- */

static int by_number(const void *a, const void *b) {
    double x = 0, y = 0;
    (void)sn_cell_number(*(const char *const *)a, &x);
    (void)sn_cell_number(*(const char *const *)b, &y);
    return x < y ? -1 : x > y ? 1 : strcmp(*(const char *const *)a, *(const char *const *)b);
}
static int by_bytes(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

typedef struct value_list {
    char **names;
    size_t n, room;
    sn_map seen;
} value_list;

static sn_status add_value(value_list *l, const char *cell) {
    size_t bytes;
    const char *text = trimmed(cell, &bytes);
    if (!bytes || sn_map_get(&l->seen, text, bytes) >= 0) return SN_OK;
    void *names = sn_grow(l->names, l->n, &l->room, sizeof *l->names);
    if (!names) return SN_ERR_MEMORY;
    l->names = names;
    l->names[l->n] = sn_strndup(text, bytes);
    if (!l->names[l->n]) return SN_ERR_MEMORY;
    return sn_map_put(&l->seen, text, bytes, (int64_t)l->n++);
}

static sn_status write_classes(sn_feature *f, const value_list *l) {
    bool numbers = true;
    double x;
    for (size_t i = 0; i < l->n; i++) numbers &= sn_cell_number(l->names[i], &x);
    qsort(l->names, l->n, sizeof *l->names, numbers ? by_number : by_bytes);
    json_t *list = json_array();
    for (size_t i = 0; list && i < l->n; i++) (void)json_array_append_new(list, json_string(l->names[i]));
    return sn_feature_set(f, "classes", list);
}

static sn_status category_fit(sn_feature *f, const sn_fit_source *source) {
    json_t *given;
    SN_TRY(sn_json_array(f->options, "classes", &given));
    if (given) return SN_OK;
    value_list l = {0};
    sn_status status = SN_OK;
    for (int64_t i = 0; status == SN_OK && i < source->n; i++)
        status = add_value(&l, sn_table_cell(source->table, source->rows[i], source->column));
    if (status == SN_OK && l.n == 0) status = sn_fail(SN_ERR_FORMAT, "column \"%s\" is empty in every training row", f->name);
    if (status == SN_OK && l.n == 1 && f->target)
        status = sn_fail(SN_ERR_FORMAT, "column \"%s\" has one class only (\"%s\"); there is nothing to learn", f->name, l.names[0]);
    if (status == SN_OK) status = write_classes(f, &l);
    for (size_t i = 0; i < l.n; i++) sn_free(l.names[i]);
    sn_free(l.names);
    sn_map_free(&l.seen);
    return status;
}

static sn_status class_open(sn_feature *f) {
    class_state *s = sn_alloc(1, sizeof *s);
    if (!s) return SN_ERR_MEMORY;
    f->state = s;
    json_t *list;
    SN_TRY(sn_json_array(f->options, "classes", &list));
    if (!list || !json_array_size(list)) SN_FAIL(SN_ERR_FORMAT, "\"classes\" is missing");
    s->n = (int)json_array_size(list);
    s->names = sn_alloc((size_t)s->n, sizeof *s->names);
    if (!s->names) return SN_ERR_MEMORY;
    for (int i = 0; i < s->n; i++) {
        s->names[i] = json_string_value(json_array_get(list, (size_t)i));
        if (!s->names[i]) SN_FAIL(SN_ERR_FORMAT, "\"classes\": entry %d is not a string", i + 1);
        SN_TRY(sn_map_put(&s->index, s->names[i], strlen(s->names[i]), i));
    }
    return SN_OK;
}

static void class_close(sn_feature *f) {
    class_state *s = f->state;
    if (!s) return;
    sn_map_free(&s->index);
    sn_free(s->names);
    sn_free(s);
}

int sn_feature_classes(const sn_feature *f) { return ((const class_state *)f->state)->n; }
const char *sn_feature_class(const sn_feature *f, int i) { return ((const class_state *)f->state)->names[i]; }

/* A class that the training rows did not have is -1: no label as a target, "unknown" as an input. */
static sn_status class_encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    const class_state *s = f->state;
    size_t bytes;
    const char *text = trimmed(cell->text, &bytes);
    out->number = (double)sn_map_get(&s->index, text, bytes);
    return SN_OK;
}

static sn_status class_collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    (void)f;
    SN_TRY(sn_array_make(&arrays[0], SN_I32, SN_SHAPE(n)));
    for (int64_t i = 0; i < n; i++) ((int32_t *)arrays[0].data)[i] = (int32_t)samples[i]->number;
    return SN_OK;
}

/* ---- binary: two classes, "false" first; words that mean the same are one ---- */

static sn_status binary_fit(sn_feature *f, const sn_fit_source *source) {
    const char *names[2] = {NULL, NULL};
    for (int64_t i = 0; i < source->n; i++) {
        const char *cell = sn_table_cell(source->table, source->rows[i], source->column);
        int value;
        if (sn_cell_empty(cell)) continue;
        if (!sn_cell_binary(cell, &value)) return category_fit(f, source); /* two other words: as classes */
        if (!names[value]) names[value] = cell;
    }
    if (f->target && (!names[0] || !names[1]))
        SN_FAIL(SN_ERR_FORMAT, "column \"%s\" has one value only; there is nothing to learn", f->name);
    return sn_feature_set(f, "classes", json_pack("[s, s]", names[0] ? names[0] : "0", names[1] ? names[1] : "1"));
}

static sn_status binary_open(sn_feature *f) {
    SN_TRY(class_open(f));
    if (sn_feature_classes(f) > 2)
        SN_FAIL(SN_ERR_FORMAT, "%d different values; --type %s=category reads them as classes", sn_feature_classes(f), f->name);
    return SN_OK;
}

static sn_status binary_encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    SN_TRY(class_encode(f, cell, out));
    int value, first;
    if (out->number < 0 && sn_cell_binary(cell->text, &value) && sn_cell_binary(sn_feature_class(f, 0), &first) && first == 0)
        out->number = value;
    return SN_OK;
}

static const char *const number_keys[] = {"mean", "std", "min", "max", NULL};
static const char *const class_keys[] = {"classes", NULL};
const sn_feature_kind sn_feature_number = {.kind = SN_KIND_NUMBER, .keys = number_keys, .fit = number_fit, .open = number_open,
                                           .encode = number_encode, .types = float_types, .collate = number_collate};
const sn_feature_kind sn_feature_category = {.kind = SN_KIND_CATEGORY, .keys = class_keys, .fit = category_fit,
                                             .open = class_open, .close = class_close, .encode = class_encode,
                                             .types = class_types, .collate = class_collate};
const sn_feature_kind sn_feature_binary = {.kind = SN_KIND_BINARY, .keys = class_keys, .fit = binary_fit, .open = binary_open,
                                           .close = class_close, .encode = binary_encode, .types = class_types,
                                           .collate = class_collate};
