/* CLIP (Radford et al. 2021): pixels -> ViT of patches and a class token; ids [N,T] -> causal transformer, pooled at the
 * end token; both projected to one space, normalised and compared. Chinese-CLIP (Yang et al. 2022) reads text with BERT.
 *
 * The end token is where the mask's lengths end: CLIP's tokenizer closes every text with it, and what follows it is
 * padding, even where the padding id is the same. That is Transformers' choice too, under both of its rules (the first
 * eos_token_id; the highest id, where a config of 2022 says eos_token_id 2). */
#include "models/page.h"

enum { TEXT, VISION };

static const sn_blocks_spec spec = {
    .layer = "encoder.layers.%d",
    .self = {.q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj", .out = "self_attn.out_proj", .norm = "layer_norm1"},
    .up = "mlp.fc1", .down = "mlp.fc2", .norm = "layer_norm2"};

static const sn_key text_keys[] = {
    SN_KEYS_BLOCKS(512, 12, 8, 2048, SN_ACT_QUICK_GELU, 1e-5),
    SN_KEY("vocab_size", INT, vocabulary, 49408), SN_KEY("max_position_embeddings", INT, positions, 77),
    SN_KEY("projection_dim", INT, projection, 512), SN_KEY("eos_token_id", INT, eos, 49407), {0}};
static const sn_key vision_keys[] = {
    SN_KEYS_BLOCKS(768, 12, 12, 3072, SN_ACT_QUICK_GELU, 1e-5), SN_KEYS_PICTURE(224, 32),
    SN_KEY("projection_dim", INT, projection, 512), {0}};
static const sn_key keys[] = {SN_KEY("projection_dim", INT, projection, 512), {0}};

/* -> the pooled text [N,D] */
static sn_node text(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    sn_blocks_spec as = spec;
    as.causal = true;
    bool inside = sn_page_enter(b, "text_model", "embeddings.token_embedding.weight");
    sn_scope_push(b->g, "embeddings");
    sn_node x = sn_page_table(b->g, b->in->ids, "token_embedding", c->vocabulary, c->size.width, NULL);
    x = sn_page_positions(b->g, x, b->in->first, "position_embedding", c->positions, 0);
    sn_scope_pop(b->g);
    sn_blocks_io io = sn_page_blocks_io(b, hidden);
    x = sn_layernorm(b->g, sn_blocks(b->g, &as, &c->size, x, &io), "final_layer_norm", c->size.eps);
    if (inside) sn_scope_pop(b->g);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    sn_node pool = sn_emit(b->g, SN_SEQ_LAST, (sn_node[]){x, b->in->mask}, 2, NULL);
    sn_page_give(b->out, "pooler_output", pool);
    return pool;
}

/* -> the pooled picture [N,D] */
static sn_node vision(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    bool inside = sn_page_enter(b, "vision_model", "embeddings.class_embedding");
    sn_scope_push(b->g, "embeddings");
    sn_node x = sn_page_patches(b->g, sn_page_pixels(b), "patch_embedding", c->patch, c->size.width, false);
    x = sn_page_prepend(b->g, x, "class_embedding", SN_SHAPE(c->size.width));
    if (x.id >= 0) x = sn_page_positions(b->g, x, SN_NO_NODE, "position_embedding", sn_dim(b->g, x, 1), 0);
    sn_scope_pop(b->g);
    x = sn_layernorm(b->g, x, "pre_layrnorm", c->size.eps);
    sn_blocks_io io = {.mask = SN_NO_NODE, .hidden = hidden, .rows = b->in->rows};
    x = sn_blocks(b->g, &spec, &c->size, x, &io);
    sn_node pool = sn_layernorm(b->g, sn_page_first(b->g, x), "post_layernorm", c->size.eps);
    if (inside) sn_scope_pop(b->g);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    sn_page_give(b->out, "pooler_output", pool);
    return pool;
}

static void build_text(const sn_page_build *b) {
    sn_node x = text(b);
    if (sn_page_is(b, "WithProjection"))
        sn_page_give(b->out, "text_embeds", sn_linear(b->g, x, "text_projection", b->c->projection, false, SN_ACT_NONE));
}
static void build_vision(const sn_page_build *b) {
    sn_node x = vision(b);
    if (sn_page_is(b, "WithProjection"))
        sn_page_give(b->out, "image_embeds", sn_linear(b->g, x, "visual_projection", b->c->projection, false, SN_ACT_NONE));
}

/* The towers whose inputs are there. */
static void build_both(const sn_page_build *b, bool chinese) {
    sn_page_out out = {.n = 0};
    sn_node picture = SN_NO_NODE, words = SN_NO_NODE;
    sn_page_build part = sn_page_tower(b, VISION, &out);
    if (b->in->pixels.id >= 0) picture = sn_linear(b->g, vision(&part), "visual_projection", b->c->projection, false, SN_ACT_NONE);
    sn_page_give_some(b->out, "vision_hidden_states", &out, "hidden_states");
    out.n = 0;
    part = sn_page_tower(b, TEXT, &out);
    if (b->in->ids.id >= 0) {
        if (chinese) {
            sn_scope_push(b->g, "text_model");
            part.c->page->build(&part);
            sn_scope_pop(b->g);
        }
        words = chinese ? sn_page_first(b->g, sn_page_get(&out, "last_hidden_state")) : text(&part);
        words = sn_linear(b->g, words, "text_projection", b->c->projection, false, SN_ACT_NONE);
    }
    sn_page_give_some(b->out, "text_hidden_states", &out, "hidden_states");
    sn_page_compare(b, picture, words, (sn_shape){.rank = 0}, false);
}
static void build(const sn_page_build *b) { build_both(b, false); }
static void build_chinese(const sn_page_build *b) { build_both(b, true); }

static const char *const ignored[] = {"*embeddings.position_ids", "*embeddings.token_type_ids", "text_model.pooler.*", NULL};
const sn_page sn_page_clip_text_model = {.model_type = "clip_text_model", .accepts = SN_IN_TEXT, .prefix = "text_model",
                                         .keys = text_keys, .build = build_text, .ignored = ignored, .pools = true};
const sn_page sn_page_clip_vision_model = {.model_type = "clip_vision_model", .accepts = SN_IN_IMAGE, .prefix = "vision_model",
                                           .keys = vision_keys, .build = build_vision, .ignored = ignored};
const sn_page sn_page_clip = {.model_type = "clip", .accepts = SN_IN_TEXT | SN_IN_IMAGE, .keys = keys, .build = build, .ignored = ignored,
                              .parts = {{"text_config", &sn_page_clip_text_model}, {"vision_config", &sn_page_clip_vision_model}},
                              .check = sn_page_check_towers};
extern const sn_page sn_page_bert;
const sn_page sn_page_chinese_clip = {
    .model_type = "chinese_clip", .accepts = SN_IN_TEXT | SN_IN_IMAGE, .keys = keys, .build = build_chinese, .ignored = ignored,
    .parts = {{"text_config", &sn_page_bert}, {"vision_config", &sn_page_clip_vision_model}}, .check = sn_page_check_towers};
