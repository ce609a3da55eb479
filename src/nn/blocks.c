/* blocks.c: transformer blocks from a table of names (blocks.h). */
#include "nn/blocks.h"

#include <math.h>
#include <stdio.h>

#include "nn/lora.h"

sn_node sn_linear_as(sn_graph *g, sn_node x, const char *name, int64_t out, bool bias, bool turned, sn_act act) {
    if (!turned) return sn_linear(g, x, name, out, bias, act);
    if (x.id < 0) return SN_NO_NODE;
    int64_t in = sn_dim(g, x, -1);
    float spread = (float)(1.0 / sqrt((double)(in > 0 ? in : 1)));
    sn_scope_push(g, name);
    sn_node w = sn_param(g, "weight", SN_SHAPE(in, out), (sn_init){SN_INIT_UNIFORM, spread, SN_PARAM_TURNED});
    sn_node y = sn_matmul(g, x, w, false, false);
    if (bias) y = sn_add(g, y, sn_param(g, "bias", SN_SHAPE(out), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY}));
    y = sn_lora_add(g, x, y);
    sn_scope_pop(g);
    return sn_activation(g, act, y);
}

typedef struct block {
    sn_graph *g;
    const sn_blocks_spec *spec;
    const sn_blocks_size *size;
    const sn_blocks_io *io;
    int64_t kv_width;
} block;

static sn_node linear(const block *b, sn_node x, const char *name, int64_t out, bool bias, sn_act act) {
    return sn_linear_as(b->g, x, name, out, bias, b->spec->turned, act);
}

/* Keys and values of `from` for one attention. */
static void keys_values(const block *b, const sn_attention_names *names, sn_node from, sn_node *k, sn_node *v) {
    bool bias = !b->spec->bare_qkv;
    if (names->kv) {
        sn_node both = linear(b, from, names->kv, 2 * b->kv_width, bias, SN_ACT_NONE);
        *k = sn_slice(b->g, both, 2, 0, b->kv_width);
        *v = sn_slice(b->g, both, 2, b->kv_width, b->kv_width);
        return;
    }
    *k = linear(b, from, names->k, b->kv_width, bias && !b->spec->bare_keys, SN_ACT_NONE);
    *v = linear(b, from, names->v, b->kv_width, bias, SN_ACT_NONE);
}

static sn_node self_attention(const block *b, sn_node x, int index) {
    const sn_attention_names *names = &b->spec->self;
    const sn_blocks_io *io = b->io;
    sn_attention_options o = {b->size->heads, b->size->kv_heads, b->spec->causal, 0};
    int64_t width = b->size->width;
    sn_node q, k, v;
    if (names->qkv) {
        sn_node all = linear(b, x, names->qkv, width + 2 * b->kv_width, !b->spec->bare_qkv, SN_ACT_NONE);
        q = sn_slice(b->g, all, 2, 0, width);
        k = sn_slice(b->g, all, 2, width, b->kv_width);
        v = sn_slice(b->g, all, 2, width + b->kv_width, b->kv_width);
    } else {
        q = linear(b, x, names->q, width, !b->spec->bare_qkv, SN_ACT_NONE);
        keys_values(b, names, x, &k, &v);
    }
    if (io->keys) io->keys[index] = k;
    if (io->values) io->values[index] = v;
    sn_node y = io->cache ? sn_attention_cached(b->g, q, k, v, io->mask, &io->cache[index], &o)
                          : sn_attention(b->g, q, k, v, io->mask, &o);
    return linear(b, y, names->out, width, true, SN_ACT_NONE);
}

/* Beams of one input look at the same keys: [N * beams, T, D] becomes [N, beams * T, D]. */
static sn_node beams_as_steps(const block *b, sn_node q, sn_node k) {
    if (q.id < 0 || k.id < 0 || sn_dim(b->g, k, 0) == sn_dim(b->g, q, 0)) return q;
    return sn_reshape(b->g, q, SN_SHAPE(sn_dim(b->g, k, 0), -1, sn_dim(b->g, q, 2)));
}

static sn_node cross_attention(const block *b, sn_node x, int index) {
    const sn_attention_names *names = &b->spec->cross;
    sn_attention_options o = {b->size->heads, b->size->kv_heads, false, 0};
    sn_node q = linear(b, x, names->q, b->size->width, !b->spec->bare_qkv, SN_ACT_NONE), k, v;
    if (b->io->cross_keys) {
        k = b->io->cross_keys[index];
        v = b->io->cross_values[index];
    } else {
        keys_values(b, names, b->io->encoder, &k, &v);
    }
    sn_node y = sn_attention(b->g, beams_as_steps(b, q, k), k, v, b->io->encoder_mask, &o);
    if (y.id >= 0) y = sn_reshape(b->g, y, sn_shape_at(b->g, q));
    return linear(b, y, names->out, b->size->width, true, SN_ACT_NONE);
}

static sn_node feed_forward(const block *b, sn_node x) {
    int64_t hidden = b->size->hidden;
    sn_act act = b->size->act;
    sn_node up = linear(b, x, b->spec->up, b->spec->gated ? 2 * hidden : hidden, true, b->spec->gated ? SN_ACT_NONE : act);
    if (b->spec->gated)
        up = sn_mul(b->g, sn_activation(b->g, act, sn_slice(b->g, up, 2, 0, hidden)), sn_slice(b->g, up, 2, hidden, hidden));
    return linear(b, up, b->spec->down, b->size->width, true, SN_ACT_NONE);
}

enum branch { SELF, CROSS, MLP };

static sn_node branch_of(const block *b, enum branch kind, sn_node x, int index) {
    switch (kind) {
    case SELF: return self_attention(b, x, index);
    case CROSS: return cross_attention(b, x, index);
    default: return feed_forward(b, x);
    }
}

/* One residual branch with its norm before or after. */
static sn_node residual(const block *b, enum branch kind, sn_node x, int index) {
    static const char *const dropouts[] = {"dropout1", "dropout_cross", "dropout2"};
    const char *const norms[] = {b->spec->self.norm, b->spec->cross.norm, b->spec->norm};
    const char *const scales[] = {b->spec->scale_self, NULL, b->spec->scale_mlp};
    bool post = b->spec->post_norm;
    sn_node y = branch_of(b, kind, post ? x : sn_layernorm(b->g, x, norms[kind], b->size->eps), index);
    if (scales[kind])
        y = sn_mul(b->g, y, sn_param(b->g, scales[kind], SN_SHAPE(b->size->width), (sn_init){SN_INIT_ONES, 0, SN_PARAM_NO_DECAY}));
    y = sn_dropout(b->g, y, b->io->rows, b->size->dropout, dropouts[kind]);
    y = sn_add(b->g, x, y);
    return post ? sn_layernorm(b->g, y, norms[kind], b->size->eps) : y;
}

static bool enter(sn_graph *g, const sn_blocks_spec *spec, int64_t index) {
    char scope[96];
    int n = snprintf(scope, sizeof scope, "%.*s%lld%s", (int)(strstr(spec->layer, "%d") - spec->layer), spec->layer, (long long)index,
                     strstr(spec->layer, "%d") + 2);
    if (n < 0 || n >= (int)sizeof scope) {
        (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "the scope \"%s\" is too long", spec->layer);
        return false;
    }
    sn_scope_push(g, scope);
    return true;
}

static block block_of(sn_graph *g, const sn_blocks_spec *spec, const sn_blocks_size *size, const sn_blocks_io *io) {
    int64_t heads = size->heads > 0 ? size->heads : 1, kv = size->kv_heads ? size->kv_heads : heads;
    return (block){g, spec, size, io, size->width / heads * kv};
}

sn_node sn_blocks(sn_graph *g, const sn_blocks_spec *spec, const sn_blocks_size *size, sn_node x, const sn_blocks_io *io) {
    block b = block_of(g, spec, size, io);
    for (int i = 0; io->hidden && i < size->layers; i++) io->hidden[i] = SN_NO_NODE;
    if (x.id >= 0 && (size->heads < 1 || size->width % size->heads))
        return sn_graph_fail(g, SN_ERR_SHAPE, "width %lld is not a multiple of %lld heads", (long long)size->width,
                             (long long)size->heads);
    for (int i = 0; i < size->layers && x.id >= 0; i++) {
        if (io->hidden) io->hidden[i] = x;
        if (!enter(g, spec, i)) return SN_NO_NODE;
        x = residual(&b, SELF, x, i);
        if (spec->cross.q) x = residual(&b, CROSS, x, i);
        x = residual(&b, MLP, x, i);
        sn_scope_pop(g);
    }
    if (io->hidden) io->hidden[size->layers] = x;
    return x;
}

void sn_blocks_cross(sn_graph *g, const sn_blocks_spec *spec, const sn_blocks_size *size, sn_node encoder, sn_node *keys,
                     sn_node *values) {
    static const sn_blocks_io nothing;
    block b = block_of(g, spec, size, &nothing);
    for (int i = 0; i < size->layers; i++) {
        if (!enter(g, spec, i)) return;
        keys_values(&b, &spec->cross, encoder, &keys[i], &values[i]);
        sn_scope_pop(g);
    }
}
