/* layers.c: linear, embedding, convolution, norms; options. */
#include "nn/layers.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "nn/lora.h"

/* torch's default for weights and biases of linear and convolution: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) */
static sn_init uniform(int64_t fan_in, unsigned flags) {
    return (sn_init){SN_INIT_UNIFORM, (float)(1.0 / sqrt((double)(fan_in > 0 ? fan_in : 1))), flags};
}

sn_node sn_linear(sn_graph *g, sn_node x, const char *name, int64_t out, bool bias, sn_act act) {
    if (x.id < 0) return SN_NO_NODE;
    int64_t in = sn_dim(g, x, -1);
    sn_scope_push(g, name);
    sn_node w = sn_param(g, "weight", SN_SHAPE(out, in), uniform(in, 0));
    sn_node b = bias ? sn_param(g, "bias", SN_SHAPE(out), uniform(in, SN_PARAM_NO_DECAY)) : SN_NO_NODE;
    sn_node y = sn_activation(g, act, sn_lora_add(g, x, sn_linear_op(g, x, w, b)));
    sn_scope_pop(g);
    return y;
}

sn_node sn_embedding(sn_graph *g, sn_node ids, const char *name, int64_t rows, int64_t width, float scale) {
    sn_scope_push(g, name);
    sn_node table = sn_param(g, "weight", SN_SHAPE(rows, width), (sn_init){SN_INIT_NORMAL, scale, SN_PARAM_NO_DECAY});
    sn_node y = sn_emit(g, SN_EMBED, (sn_node[]){table, ids}, 2, NULL);
    sn_scope_pop(g);
    return y;
}

sn_node sn_conv2d(sn_graph *g, sn_node x, const char *name, int64_t out, int kernel_h, int kernel_w, const sn_conv *conv,
                  sn_act act) {
    if (x.id < 0) return SN_NO_NODE;
    int64_t in = sn_dim(g, x, 3) / (conv->groups ? conv->groups : 1), fan = in * kernel_h * kernel_w;
    sn_scope_push(g, name);
    sn_node w = sn_param(g, "weight", SN_SHAPE(out, in, kernel_h, kernel_w), uniform(fan, 0));
    sn_node b = sn_param(g, "bias", SN_SHAPE(out), uniform(fan, SN_PARAM_NO_DECAY));
    sn_node y = sn_activation(g, act, sn_conv_op(g, x, w, b, conv));
    sn_scope_pop(g);
    return y;
}

sn_node sn_layernorm(sn_graph *g, sn_node x, const char *name, float eps) {
    if (x.id < 0) return SN_NO_NODE;
    int64_t d = sn_dim(g, x, -1);
    sn_attr attr = {.norm = {eps, 0}};
    sn_scope_push(g, name);
    sn_node gamma = sn_param(g, "weight", SN_SHAPE(d), (sn_init){SN_INIT_ONES, 0, SN_PARAM_NO_DECAY});
    sn_node beta = sn_param(g, "bias", SN_SHAPE(d), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY});
    sn_node y = sn_emit(g, SN_LAYERNORM, (sn_node[]){x, gamma, beta}, 3, &attr);
    sn_scope_pop(g);
    return y;
}

sn_node sn_batchnorm(sn_graph *g, sn_node x, const char *name, float eps) {
    if (x.id < 0) return SN_NO_NODE;
    int64_t d = sn_dim(g, x, -1);
    sn_attr attr = {.norm = {eps, g->training}};
    sn_scope_push(g, name);
    sn_node in[5] = {x, sn_param(g, "weight", SN_SHAPE(d), (sn_init){SN_INIT_ONES, 0, SN_PARAM_NO_DECAY}),
                     sn_param(g, "bias", SN_SHAPE(d), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY}),
                     sn_param(g, "running_mean", SN_SHAPE(d), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_STATE}),
                     sn_param(g, "running_var", SN_SHAPE(d), (sn_init){SN_INIT_ONES, 0, SN_PARAM_STATE})};
    sn_node y = sn_emit(g, SN_BATCHNORM, in, 5, &attr);
    if (g->training && y.id >= 0) { /* torch's momentum 0.1; the variance that is kept is the unbiased one */
        double n = (double)sn_shape_count(sn_shape_at(g, x)) / (double)d;
        for (int k = 0; k < 2; k++) {
            double share = 0.1 * (k == 1 && n > 1 ? n / (n - 1) : 1);
            sn_node fresh = sn_add(g, sn_affine(g, in[3 + k], 0.9f, 0), sn_affine(g, sn_output(g, y, 1 + k), (float)share, 0));
            sn_graph_update(g, in[3 + k], fresh);
        }
    }
    sn_scope_pop(g);
    return y;
}

/* ---- options ---- */

static void keep(sn_graph *g, sn_status status) {
    if (status != SN_OK) (void)sn_graph_fail(g, status, "%s", sn_error_message());
}

/* Sizes stay within 31 bits, so that pages may multiply two of them and cast one to int. */
static bool fits(sn_graph *g, const char *key, int64_t value) {
    if (value >= -INT32_MAX && value <= INT32_MAX) return true;
    (void)sn_graph_fail(g, SN_ERR_USAGE, "\"%s\": %lld is out of range", key, (long long)value);
    return false;
}

int64_t sn_option_int(sn_graph *g, const json_t *options, const char *key, int64_t fallback) {
    int64_t value;
    keep(g, sn_json_int(options, key, fallback, &value));
    return fits(g, key, value) ? value : fallback;
}

float sn_option_float(sn_graph *g, const json_t *options, const char *key, double fallback) {
    double value;
    keep(g, sn_json_number(options, key, fallback, &value));
    if (!(value >= -1e30 && value <= 1e30)) {
        (void)sn_graph_fail(g, SN_ERR_USAGE, "\"%s\": %g is out of range", key, value);
        value = fallback;
    }
    return (float)value;
}

bool sn_option_bool(sn_graph *g, const json_t *options, const char *key, bool fallback) {
    bool value;
    keep(g, sn_json_bool(options, key, fallback, &value));
    return value;
}

int sn_option_ints(sn_graph *g, const json_t *options, const char *key, const int64_t *fallback, int n_fallback, int64_t *out,
                   int most) {
    json_t *list;
    keep(g, sn_json_array(options, key, &list));
    int n = list ? (int)json_array_size(list) : n_fallback;
    if (n > most) {
        (void)sn_graph_fail(g, SN_ERR_USAGE, "\"%s\" has %d entries; at most %d", key, n, most);
        return 0;
    }
    for (int i = 0; i < n; i++) {
        const json_t *item = list ? json_array_get(list, (size_t)i) : NULL;
        out[i] = list ? json_integer_value(item) : fallback[i];
        if (out[i] < 1) (void)sn_graph_fail(g, SN_ERR_USAGE, "\"%s\": entry %d must be a whole number from 1", key, i + 1);
        if (out[i] < 1 || !fits(g, key, out[i])) out[i] = 1;
    }
    return n;
}
