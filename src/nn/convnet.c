/* convnet.c: convolution with batch norm, adaptive pooling (convnet.h). */
#include "nn/convnet.h"

#include <math.h>
#include <stdio.h>

#include "params/weights.h"

/* ---- folding ---- */

void sn_folds_free(sn_folds *folds) {
    for (size_t i = 0; i < folds->n; i++) {
        sn_free(folds->list[i].conv);
        sn_free(folds->list[i].norm);
    }
    sn_free(folds->list);
    *folds = (sn_folds){0};
}

bool sn_folds_have(const sn_folds *folds, const char *name) {
    for (size_t i = 0; i < folds->n; i++) {
        size_t n = strlen(folds->list[i].norm);
        if (!strncmp(name, folds->list[i].norm, n) && name[n] == '.') return true;
    }
    return false;
}

static char *full_name(const sn_graph *g, const char *name) {
    char full[512];
    int n = snprintf(full, sizeof full, "%s%s%s", g->scope, g->scope_size ? "." : "", name);
    return n < 0 || n >= (int)sizeof full ? NULL : sn_strdup(full);
}

static void remember(sn_graph *g, sn_folds *folds, const sn_conv_norm *o) {
    sn_fold *list = sn_grow(folds->list, folds->n, &folds->room, sizeof *folds->list);
    if (list) folds->list = list;
    sn_fold fold = {list ? full_name(g, o->conv) : NULL, list ? full_name(g, o->norm) : NULL, o->eps, o->bias};
    if (fold.conv && fold.norm) {
        folds->list[folds->n++] = fold;
        return;
    }
    sn_free(fold.conv);
    sn_free(fold.norm);
    (void)sn_graph_fail(g, SN_ERR_MEMORY, "no memory for the names of a folded norm");
}

/* The tensor `name`.`part` [n] as f32 */
static sn_status read(const sn_weights *weights, const char *name, const char *part, int64_t n, float *to) {
    char full[512], found[SN_SHAPE_TEXT];
    (void)snprintf(full, sizeof full, "%.400s.%s", name, part);
    const sn_tensor_view *v = sn_weights_find(weights, full);
    if (!v) SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\" is missing: expected shape [%lld]", full, (long long)n);
    if (v->type.shape.rank != 1 || v->type.shape.dim[0] != n)
        SN_FAIL(SN_ERR_SHAPE, "tensor \"%s\": expected shape [%lld], found %s", full, (long long)n,
                sn_shape_text(v->type.shape, found));
    return sn_tensor_to_f32(v, to);
}

static sn_status parameter(const sn_params *p, const char *name, const char *part, int *index) {
    char full[512];
    (void)snprintf(full, sizeof full, "%.400s.%s", name, part);
    *index = sn_params_find(p, full);
    return *index >= 0 ? SN_OK : sn_fail(SN_ERR_STATE, "no parameter \"%s\" to fold a norm into", full);
}

/* Row i of the weight counts times scale[i]; b'[i] = own bias * scale[i] + shift[i]. */
static sn_status measure(const sn_fold *f, const sn_weights *weights, int64_t n, float *room, double *scale, double *shift) {
    float *gamma = room, *beta = room + n, *mean = room + 2 * n, *var = room + 3 * n;
    SN_TRY(read(weights, f->norm, "weight", n, gamma));
    SN_TRY(read(weights, f->norm, "bias", n, beta));
    SN_TRY(read(weights, f->norm, "running_mean", n, mean));
    SN_TRY(read(weights, f->norm, "running_var", n, var));
    for (int64_t i = 0; i < n; i++) {
        scale[i] = (double)gamma[i] / sqrt((double)var[i] + (double)f->eps);
        shift[i] = (double)beta[i] - (double)mean[i] * scale[i];
    }
    return SN_OK;
}

static void scale_masters(sn_params *params, int weight, int bias, const double *scale, const float *b) {
    sn_shape shape = sn_params_shape(params, weight);
    int64_t n = shape.dim[0], taps = sn_shape_count(shape) / n;
    float *w = sn_params_data(params, weight);
    for (int64_t i = 0; i < n * taps; i++) w[i] = (float)((double)w[i] * scale[i / taps]);
    memcpy(sn_params_data(params, bias), b, (size_t)n * sizeof *b);
}

/* room [3 n]; a store that borrows takes scale [n] and b [n]. */
static sn_status apply_with(const sn_fold *f, sn_params *params, const sn_weights *weights, int weight, int bias, double *room,
                            double **scale, float **b) {
    int64_t n = sn_params_shape(params, weight).dim[0];
    double *shift = room;
    SN_TRY(measure(f, weights, n, (float *)(room + n), *scale, shift));
    memset(*b, 0, (size_t)n * sizeof **b);
    if (f->bias) SN_TRY(read(weights, f->conv, "bias", n, *b));
    for (int64_t i = 0; i < n; i++) (*b)[i] = (float)((double)(*b)[i] * (*scale)[i] + shift[i]);
    if (!sn_params_borrows(params)) {
        scale_masters(params, weight, bias, *scale, *b);
        return SN_OK;
    }
    sn_params_scale_rows(params, weight, *scale);
    sn_params_replace(params, bias, *b);
    *scale = NULL;
    *b = NULL;
    return SN_OK;
}

static sn_status apply(const sn_fold *f, sn_params *params, const sn_weights *weights) {
    int weight, bias;
    SN_TRY(parameter(params, f->conv, "weight", &weight));
    SN_TRY(parameter(params, f->bias ? f->conv : f->norm, "bias", &bias));
    size_t n = (size_t)sn_params_shape(params, weight).dim[0];
    double *room = sn_alloc(n, 3 * sizeof *room), *scale = sn_alloc(n, sizeof *scale);
    float *b = sn_alloc(n, sizeof *b);
    sn_status status = room && scale && b ? apply_with(f, params, weights, weight, bias, room, &scale, &b) : SN_ERR_MEMORY;
    sn_free(room);
    sn_free(scale);
    sn_free(b);
    return status;
}

sn_status sn_folds_apply(const sn_folds *folds, sn_params *params, const sn_weights *weights) {
    for (size_t i = 0; i < folds->n; i++) SN_TRY(apply(&folds->list[i], params, weights));
    if (folds->n && !sn_params_borrows(params)) sn_params_changed(params, false);
    return SN_OK;
}

/* ---- layers ---- */

static sn_node bias_of(sn_graph *g, const char *name, int64_t out) {
    sn_scope_push(g, name);
    sn_node b = sn_param(g, "bias", SN_SHAPE(out), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY});
    sn_scope_pop(g);
    return b;
}

sn_node sn_conv_normed(sn_graph *g, sn_node x, const sn_conv_norm *o, int64_t out, bool folded, sn_folds *folds) {
    if (x.id < 0) return SN_NO_NODE;
    int side = o->kernel / 2, groups = o->groups ? o->groups : 1, stride = o->stride;
    int64_t in = sn_dim(g, x, 3) / groups;
    double spread = sqrt(2.0 / ((double)out * o->kernel * o->kernel)); /* He et al. 2015, over the outputs */
    sn_conv conv = {.stride = {stride, stride}, .pad = {side, side, side, side}, .groups = groups};
    sn_scope_push(g, o->conv);
    sn_node w = sn_param(g, "weight", SN_SHAPE(out, in, o->kernel, o->kernel), (sn_init){SN_INIT_NORMAL, (float)spread, 0});
    sn_scope_pop(g);
    bool fold = folded && o->norm;
    sn_node b = o->bias ? bias_of(g, o->conv, out) : fold ? bias_of(g, o->norm, out) : SN_NO_NODE;
    sn_node y = sn_conv_op(g, x, w, b, &conv);
    if (fold && folds) remember(g, folds, o);
    if (o->norm && !fold) y = sn_batchnorm(g, y, o->norm, o->eps);
    return sn_activation(g, o->act, y);
}

/* The means of `n` windows along `axis` (1 or 2) */
static sn_node windows(sn_graph *g, sn_node x, int axis, int64_t n) {
    enum { MOST = 64 };
    sn_node parts[MOST];
    int64_t size = sn_dim(g, x, axis);
    if (size == n) return x;
    if (n < 1 || n > MOST) return sn_graph_fail(g, SN_ERR_UNSUPPORTED, "%lld windows; up to %d", (long long)n, MOST);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = i * size / n, to = ((i + 1) * size + n - 1) / n;
        parts[i] = sn_reduce_mean(g, sn_slice(g, x, axis, from, to - from), 1 << axis, true);
    }
    return sn_concat(g, parts, (int)n, axis);
}

sn_node sn_adaptive_avgpool(sn_graph *g, sn_node x, int64_t h, int64_t w) {
    if (x.id < 0) return SN_NO_NODE;
    int64_t rows = sn_dim(g, x, 1), columns = sn_dim(g, x, 2);
    if (rows == h && columns == w) return x;
    if (rows % h || columns % w) return windows(g, windows(g, x, 1, h), 2, w);
    int kh = (int)(rows / h), kw = (int)(columns / w);
    return sn_avgpool(g, x, kh, kw, kh, kw);
}
