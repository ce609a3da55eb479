/* DINOv2 (Oquab et al. 2023): ViT whose branches are scaled by vectors; SwiGLU in its largest size. With registers
 * (Darcet et al. 2023) a few more tokens stand behind the class token. Pictures may have any size of whole patches: the
 * positions are interpolated as Transformers does, bicubic, and with registers antialiased. */
#include "models/page.h"

static const sn_blocks_spec spec = {
    .layer = "encoder.layer.%d",
    .self = {.q = "attention.attention.query", .k = "attention.attention.key", .v = "attention.attention.value",
             .out = "attention.output.dense", .norm = "norm1"},
    .scale_self = "layer_scale1.lambda1", .scale_mlp = "layer_scale2.lambda1",
    .up = "mlp.fc1", .down = "mlp.fc2", .norm = "norm2"};

#define KEYS(side) \
    SN_KEY("hidden_size", INT, size.width, 768), SN_KEY("num_hidden_layers", INT, size.layers, 12), \
    SN_KEY("num_attention_heads", INT, size.heads, 12), SN_KEY("mlp_ratio", INT, ratio, 4), \
    SN_KEY("hidden_act", ACT, size.act, SN_ACT_GELU), SN_KEY("layer_norm_eps", FLOAT, size.eps, 1e-6), \
    SN_KEY("hidden_dropout_prob", FLOAT, size.dropout, 0), SN_KEYS_PICTURE(224, side), \
    SN_KEY("qkv_bias", BOOL, flag[0], 1), SN_KEY("use_swiglu_ffn", BOOL, flag[1], 0)
static const sn_key keys[] = {KEYS(14), {0}};
static const sn_key register_keys[] = {KEYS(16), SN_KEY("num_register_tokens", INT, registers, 4), {0}};

static sn_node embed(const sn_page_build *b, bool antialias) {
    const sn_page_config *c = b->c;
    sn_graph *g = b->g;
    sn_scope_push(g, "embeddings");
    sn_node x = sn_page_patches(g, b->in->pixels, "patch_embeddings.projection", c->patch, c->size.width, true);
    x = sn_page_prepend(g, x, "cls_token", SN_SHAPE(1, 1, c->size.width));
    x = sn_page_grid_positions(b, x, "position_embeddings", antialias ? SN_PAGE_BICUBIC_SMOOTH : SN_PAGE_BICUBIC);
    if (c->registers > 0 && x.id >= 0) {
        int64_t n = sn_dim(g, x, 0), steps = sn_dim(g, x, 1), d = c->size.width;
        sn_node more = sn_param(g, "register_tokens", SN_SHAPE(1, c->registers, d), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
        more = sn_broadcast(g, more, SN_SHAPE(n, c->registers, d));
        x = sn_concat(g, (sn_node[]){sn_slice(g, x, 1, 0, 1), more, sn_slice(g, x, 1, 1, steps - 1)}, 3, 1);
    }
    x = sn_dropout(g, x, b->in->rows, c->size.dropout, "dropout");
    sn_scope_pop(g);
    return x;
}

static void build(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    bool registers = c->page->keys == register_keys;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    sn_blocks_spec as = spec;
    sn_blocks_size size = c->size;
    size.hidden = size.width * c->ratio;
    as.bare_qkv = !c->flag[0];
    if (c->flag[1]) {
        as.gated = true;
        as.up = "mlp.weights_in";
        as.down = "mlp.weights_out";
        size.act = SN_ACT_SILU;
        size.hidden = ((int64_t)((double)size.hidden * 2 / 3) + 7) / 8 * 8;
    }
    bool inside = sn_page_enter(b, c->page->prefix, "embeddings.cls_token");
    sn_blocks_io io = {.mask = SN_NO_NODE, .hidden = hidden, .rows = b->in->rows};
    sn_node x = sn_blocks(b->g, &as, &size, embed(b, registers), &io);
    sn_page_give_all(b->out, "hidden_states", hidden, size.layers + 1);
    x = sn_layernorm(b->g, x, "layernorm", size.eps);
    if (inside) sn_scope_pop(b->g);
    sn_node first = sn_page_first(b->g, x);
    sn_page_give(b->out, "last_hidden_state", x);
    sn_page_give(b->out, "pooler_output", first);
    if (!sn_page_is(b, "ForImageClassification") || x.id < 0) return;
    int64_t before = 1 + c->registers;
    sn_node mean = sn_reduce_mean(b->g, sn_slice(b->g, x, 1, before, sn_dim(b->g, x, 1) - before), 1 << 1, false);
    x = sn_concat(b->g, (sn_node[]){first, mean}, 2, 1);
    sn_page_give(b->out, "logits", sn_linear(b->g, x, "classifier", c->classes, true, SN_ACT_NONE));
}

/* mask_token: for pretraining alone */
static const char *const ignored[] = {"*embeddings.mask_token", NULL};
const sn_page sn_page_dinov2 = {.model_type = "dinov2", .accepts = SN_IN_IMAGE, .prefix = "dinov2", .keys = keys, .build = build,
                                .ignored = ignored};
const sn_page sn_page_dinov2_with_registers = {.model_type = "dinov2_with_registers", .accepts = SN_IN_IMAGE,
                                               .prefix = "dinov2_with_registers", .keys = register_keys, .build = build, .ignored = ignored};
