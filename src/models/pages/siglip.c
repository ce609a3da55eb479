/* SigLIP (Zhai et al. 2023): CLIP with a sigmoid for each pair instead of a softmax over all. Text is read in both
 * directions, padding included, and pooled at the last position: it must be padded as in training. A picture is pooled
 * by attention of one learned query. */
#include "models/page.h"

enum { TEXT, VISION };

static const sn_blocks_spec spec = {
    .layer = "encoder.layers.%d",
    .self = {.q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj", .out = "self_attn.out_proj", .norm = "layer_norm1"},
    .up = "mlp.fc1", .down = "mlp.fc2", .norm = "layer_norm2"};

#define SIZES SN_KEYS_BLOCKS(768, 12, 12, 3072, SN_ACT_GELU_TANH, 1e-6)
static const sn_key text_keys[] = {SIZES, SN_KEY("vocab_size", INT, vocabulary, 32000), SN_KEY("max_position_embeddings", INT, positions, 64),
                                   SN_KEY("projection_size", INT, projection, 0), {0}};
static const sn_key vision_keys[] = {SIZES, SN_KEYS_PICTURE(224, 16), SN_KEY("vision_use_head", BOOL, flag[0], 1), {0}};

static void build_text(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    bool inside = sn_page_enter(b, "text_model", "embeddings.token_embedding.weight");
    sn_scope_push(b->g, "embeddings");
    sn_node x = sn_page_table(b->g, b->in->ids, "token_embedding", c->vocabulary, c->size.width, NULL);
    x = sn_page_positions(b->g, x, b->in->first, "position_embedding", c->positions, 0);
    sn_scope_pop(b->g);
    sn_blocks_io io = {.mask = SN_NO_NODE, .hidden = hidden, .rows = b->in->rows};
    x = sn_layernorm(b->g, sn_blocks(b->g, &spec, &c->size, x, &io), "final_layer_norm", c->size.eps);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    if (x.id >= 0) x = sn_reshape(b->g, sn_slice(b->g, x, 1, sn_dim(b->g, x, 1) - 1, 1), SN_SHAPE(-1, c->size.width));
    sn_page_give(b->out, "pooler_output", sn_linear(b->g, x, "head", c->projection ? c->projection : c->size.width, true, SN_ACT_NONE));
    if (inside) sn_scope_pop(b->g);
}

/* One learned query looks at all of x [N,P,D] -> [N,D]. Its three matrices are one parameter. */
static sn_node attention_pool(const sn_page_build *b, sn_node x) {
    if (x.id < 0) return x;
    const sn_blocks_size *size = &b->c->size;
    int64_t d = size->width, n = sn_dim(b->g, x, 0);
    sn_node probe = sn_param(b->g, "probe", SN_SHAPE(1, 1, d), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY}), from[3] = {probe, x, x};
    sn_scope_push(b->g, "attention");
    sn_node w = sn_param(b->g, "in_proj_weight", SN_SHAPE(3 * d, d), (sn_init){SN_INIT_NORMAL, 0.02f, 0});
    sn_node shift = sn_param(b->g, "in_proj_bias", SN_SHAPE(3 * d), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY});
    for (int i = 0; i < 3; i++)
        from[i] = sn_linear_op(b->g, from[i], sn_slice(b->g, w, 0, i * d, d), sn_slice(b->g, shift, 0, i * d, d));
    sn_node q = sn_broadcast(b->g, from[0], SN_SHAPE(n, 1, d));
    sn_node y = sn_attention(b->g, q, from[1], from[2], SN_NO_NODE, &(sn_attention_options){.heads = size->heads});
    y = sn_linear(b->g, y, "out_proj", d, true, SN_ACT_NONE);
    sn_scope_pop(b->g);
    sn_node up = sn_layernorm(b->g, y, "layernorm", size->eps);
    sn_scope_push(b->g, "mlp");
    up = sn_linear(b->g, sn_linear(b->g, up, "fc1", size->hidden, true, size->act), "fc2", d, true, SN_ACT_NONE);
    sn_scope_pop(b->g);
    return sn_reshape(b->g, sn_add(b->g, y, up), SN_SHAPE(n, d));
}

static void build_vision(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    bool inside = sn_page_enter(b, "vision_model", "embeddings.patch_embedding.weight");
    sn_scope_push(b->g, "embeddings");
    sn_node x = sn_page_patches(b->g, sn_page_pixels(b), "patch_embedding", c->patch, c->size.width, true);
    if (x.id >= 0) x = sn_page_positions(b->g, x, SN_NO_NODE, "position_embedding", sn_dim(b->g, x, 1), 0);
    sn_scope_pop(b->g);
    sn_blocks_io io = {.mask = SN_NO_NODE, .hidden = hidden, .rows = b->in->rows};
    x = sn_layernorm(b->g, sn_blocks(b->g, &spec, &c->size, x, &io), "post_layernorm", c->size.eps);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    if (c->flag[0]) {
        sn_scope_push(b->g, "head");
        sn_page_give(b->out, "pooler_output", attention_pool(b, x));
        sn_scope_pop(b->g);
    }
    if (inside) sn_scope_pop(b->g);
}

static void build(const sn_page_build *b) {
    static const char *const names[] = {[TEXT] = "text_hidden_states", [VISION] = "vision_hidden_states"};
    sn_node pooled[2] = {SN_NO_NODE, SN_NO_NODE}, in[2] = {[TEXT] = b->in->ids, [VISION] = b->in->pixels};
    for (int i = VISION; i >= TEXT; i--) {
        if (in[i].id < 0) continue;
        sn_page_out out = {.n = 0};
        sn_page_build part = sn_page_tower(b, i, &out);
        part.c->page->build(&part);
        pooled[i] = sn_page_get(&out, "pooler_output");
        sn_page_give_some(b->out, names[i], &out, "hidden_states");
    }
    sn_page_compare(b, pooled[VISION], pooled[TEXT], SN_SHAPE(1), true);
}

static const char *const ignored[] = {"*embeddings.position_ids", NULL};
const sn_page sn_page_siglip_text_model = {.model_type = "siglip_text_model", .accepts = SN_IN_TEXT, .prefix = "text_model",
                                           .keys = text_keys, .build = build_text, .ignored = ignored, .pools = true,
                                           .padded = true};
const sn_page sn_page_siglip_vision_model = {.model_type = "siglip_vision_model", .accepts = SN_IN_IMAGE, .prefix = "vision_model",
                                             .keys = vision_keys, .build = build_vision, .ignored = ignored};
const sn_page sn_page_siglip = {.model_type = "siglip", .accepts = SN_IN_TEXT | SN_IN_IMAGE, .build = build, .ignored = ignored,
                                .parts = {{"text_config", &sn_page_siglip_text_model}, {"vision_config", &sn_page_siglip_vision_model}},
                                .check = sn_page_check_towers};
