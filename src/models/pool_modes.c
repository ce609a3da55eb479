/* pool_modes.c: see pool_modes.h. */
#include "models/pool_modes.h"

#include <math.h>
#include <stdio.h>

#include "models/page.h"

/* ---- numbers ---- */

static void first_token(const float *x, int64_t tokens, int64_t width, float *out) {
    (void)tokens;
    memcpy(out, x, (size_t)width * sizeof *out);
}
static void largest(const float *x, int64_t tokens, int64_t width, float *out) {
    memcpy(out, x, (size_t)width * sizeof *out);
    for (int64_t t = 1; t < tokens; t++)
        for (int64_t i = 0; i < width; i++)
            if (x[t * width + i] > out[i]) out[i] = x[t * width + i];
}
static void scaled_sum(const float *x, int64_t tokens, int64_t width, float divisor, float *out) {
    memset(out, 0, (size_t)width * sizeof *out);
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t i = 0; i < width; i++) out[i] += x[t * width + i];
    for (int64_t i = 0; i < width; i++) out[i] /= divisor;
}
static void mean(const float *x, int64_t tokens, int64_t width, float *out) { scaled_sum(x, tokens, width, (float)tokens, out); }
static void mean_sqrt(const float *x, int64_t tokens, int64_t width, float *out) {
    scaled_sum(x, tokens, width, sqrtf((float)tokens), out);
}
static void weighted_mean(const float *x, int64_t tokens, int64_t width, float *out) {
    memset(out, 0, (size_t)width * sizeof *out);
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t i = 0; i < width; i++) out[i] += x[t * width + i] * (float)(t + 1);
    for (int64_t i = 0; i < width; i++) out[i] /= (float)(tokens * (tokens + 1)) / 2;
}
static void last_token(const float *x, int64_t tokens, int64_t width, float *out) {
    memcpy(out, x + (tokens - 1) * width, (size_t)width * sizeof *out);
}

/* ---- graphs ---- */

static sn_node build_first(sn_graph *g, sn_node x, sn_node lengths) {
    (void)lengths;
    return sn_page_first(g, x);
}
static sn_node build_largest(sn_graph *g, sn_node x, sn_node lengths) { return sn_emit(g, SN_SEQ_MAX, (sn_node[]){x, lengths}, 2, NULL); }
static sn_node build_mean(sn_graph *g, sn_node x, sn_node lengths) { return sn_emit(g, SN_SEQ_MEAN, (sn_node[]){x, lengths}, 2, NULL); }
static sn_node build_last(sn_graph *g, sn_node x, sn_node lengths) { return sn_emit(g, SN_SEQ_LAST, (sn_node[]){x, lengths}, 2, NULL); }
/* sum / sqrt(length) = mean * sqrt(length); the length as a float is a sum of ones. */
static sn_node build_mean_sqrt(sn_graph *g, sn_node x, sn_node lengths) {
    if (x.id < 0) return x;
    sn_node ones = sn_fill(g, SN_SHAPE(sn_dim(g, x, 0), sn_dim(g, x, 1), 1), 1);
    sn_node length = sn_reduce_sum(g, sn_emit(g, SN_SEQ_MASK, (sn_node[]){ones, lengths}, 2, NULL), 1 << 1, false);
    return sn_mul(g, build_mean(g, x, lengths), sn_unary(g, SN_SQRT, length));
}

/* ---- the table, in the order in which sentence-transformers joins them ---- */

const sn_pool_mode sn_pool_modes[SN_POOL_MODES] = {
    {"cls", "pooling_mode_cls_token", "cls", first_token, build_first},
    {"max", "pooling_mode_max_tokens", "max", largest, build_largest},
    {"mean", "pooling_mode_mean_tokens", "mean", mean, build_mean},
    {"mean_sqrt_len", "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", mean_sqrt, build_mean_sqrt},
    {"weightedmean", "pooling_mode_weightedmean_tokens", "weightedmean", weighted_mean, NULL},
    {"last", "pooling_mode_lasttoken", "lasttoken", last_token, build_last}};

sn_status sn_pool_mode_find(const char *name, unsigned *out) {
    sn_names passed = {0};
    for (int i = 0; i < SN_POOL_MODES; i++)
        if (sn_names_match(&passed, sn_pool_modes[i].name, name) || !strcmp(sn_pool_modes[i].other, name)) {
            *out = 1u << i;
            return SN_OK;
        }
    SN_FAIL(SN_ERR_USAGE, "pooling \"%s\" is not known; known are %s", name, passed.list);
}

sn_status sn_pool_modes_read(const json_t *config, unsigned *modes) {
    const json_t *one = json_object_get(config, "pooling_mode");
    *modes = 0;
    if (json_is_null(one)) one = NULL;
    if (one && !json_is_string(one) && !json_is_array(one)) SN_FAIL(SN_ERR_FORMAT, "\"pooling_mode\" is neither a name nor a list of names");
    if (json_is_string(one)) SN_TRY(sn_pool_mode_find(json_string_value(one), modes));
    for (size_t i = 0; json_is_array(one) && i < json_array_size(one); i++) {
        unsigned mode = 0;
        const char *name = json_string_value(json_array_get(one, i));
        SN_TRY(sn_pool_mode_find(name ? name : "", &mode));
        *modes |= mode;
    }
    for (int i = 0; !one && i < SN_POOL_MODES; i++) {
        bool on = false;
        SN_TRY(sn_json_bool(config, sn_pool_modes[i].key, 1u << i == SN_POOL_MEAN, &on));
        if (on) *modes |= 1u << i;
    }
    if (!*modes) SN_FAIL(SN_ERR_FORMAT, "no pooling mode is on");
    return SN_OK;
}

void sn_pool_modes_text(unsigned modes, char *text, size_t size) {
    size_t used = 0;
    *text = '\0';
    for (int i = 0; i < SN_POOL_MODES; i++) {
        if (!(modes >> i & 1) || used + 1 >= size) continue;
        int n = snprintf(text + used, size - used, "%s%s", used ? "+" : "", sn_pool_modes[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
}

sn_node sn_pool_modes_build(sn_graph *g, unsigned modes, sn_node x, sn_node lengths) {
    sn_node parts[SN_POOL_MODES];
    int n = 0;
    for (int i = 0; i < SN_POOL_MODES; i++) {
        if (!(modes >> i & 1)) continue;
        if (!sn_pool_modes[i].build)
            return sn_graph_fail(g, SN_ERR_UNSUPPORTED, "the pooling \"%s\" is not possible in training; \"pooling\" can choose another",
                                 sn_pool_modes[i].name);
        parts[n++] = sn_pool_modes[i].build(g, x, lengths);
    }
    return n == 1 ? parts[0] : sn_concat(g, parts, n, 1);
}
