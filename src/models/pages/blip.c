/* BLIP (Li et al. 2022): pixels -> ViT [N,S,D], which a BERT without token types looks at through cross-attention.
 *
 *   captions    ViT -> causal decoder: target [N,T] -> logits
 *   questions   ViT -> encoder of the question ids [N,Q] -> causal decoder looks at the question's states: target -> logits
 *   retrieval   ViT -> encoder of the text: do they match? And both alone, projected to one space, without cross-attention
 *
 * The text model is BERT's page: `causal` and `cross` are what config.json cannot say, since one config serves all. */
#include "models/page.h"

#define QUESTIONS "ForQuestionAnswering"
enum { TEXT, VISION };

static const sn_blocks_spec spec = {
    .layer = "encoder.layers.%d",
    .self = {.qkv = "self_attn.qkv", .out = "self_attn.projection", .norm = "layer_norm1"},
    .up = "mlp.fc1", .down = "mlp.fc2", .norm = "layer_norm2"};

static const sn_key vision_keys[] = {
    SN_KEYS_BLOCKS(768, 12, 12, 3072, SN_ACT_GELU, 1e-5), SN_KEYS_PICTURE(384, 16), {0}};
static const sn_key keys[] = {SN_KEY("projection_dim", INT, projection, 512), SN_KEY("image_text_hidden_size", INT, space, 256),
                              SN_KEY_TIED, {0}};

/* The pooled first token goes through the last norm twice, as published. */
static void build_vision(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_graph *g = b->g;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    sn_scope_push(g, "embeddings");
    sn_node x = sn_page_patches(g, sn_page_pixels(b), "patch_embedding", c->patch, c->size.width, true);
    x = sn_page_prepend(g, x, "class_embedding", SN_SHAPE(1, 1, c->size.width));
    x = sn_page_grid_positions(b, x, "position_embedding", SN_PAGE_BICUBIC);
    sn_scope_pop(g);
    sn_blocks_io io = {.mask = SN_NO_NODE, .hidden = hidden, .rows = b->in->rows};
    x = sn_layernorm(g, sn_blocks(g, &spec, &c->size, x, &io), "post_layernorm", c->size.eps);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    sn_page_give(b->out, "pooler_output", sn_layernorm(g, sn_page_first(g, x), "post_layernorm", c->size.eps));
}

/* The ViT; its outputs go to `out`. -> [N,S,D], nothing without pixels */
static sn_node vision(const sn_page_build *b, sn_page_out *out) {
    if (b->in->pixels.id < 0) return SN_NO_NODE;
    sn_page_build part = sn_page_tower(b, VISION, out);
    sn_scope_push(b->g, "vision_model");
    part.c->page->build(&part);
    sn_scope_pop(b->g);
    return sn_page_get(out, "last_hidden_state");
}

static sn_page_config text_config(const sn_page_config *c, bool causal, bool cross) {
    sn_page_config text = *c->part[TEXT];
    text.flag[0] = causal;
    text.flag[1] = cross;
    text.flag[SN_PAGE_TIED] |= c->flag[SN_PAGE_TIED]; /* either config may say it */
    return text;
}

/* The text model under `scope`; of a causal one the logits, else the states [N,T,D]; nothing without ids. */
static sn_node text(const sn_page_build *b, const char *scope, const sn_page_in *in, bool causal, bool cross, sn_page_out *out) {
    if (in->ids.id < 0) return SN_NO_NODE;
    sn_page_config c = text_config(b->c, causal, cross);
    sn_page_build part = sn_page_tower(b, TEXT, out);
    part.c = &c;
    part.in = in;
    if (causal) part.architecture = "LMHeadModel";
    sn_scope_push(b->g, scope);
    c.page->build(&part);
    sn_scope_pop(b->g);
    return sn_page_get(out, causal ? "logits" : "last_hidden_state");
}

/* The text with the picture's states in view, or alone. */
static sn_node read(const sn_page_build *b, const char *scope, sn_node image, sn_page_out *out) {
    sn_page_in in = *b->in;
    in.encoded = image;
    return text(b, scope, &in, false, image.id >= 0, out);
}

static void decode_from(const sn_page_build *b, sn_node encoded, sn_node mask) {
    sn_page_out out = {.n = 0};
    sn_page_in in = sn_page_in_none();
    in.ids = b->in->target;
    in.encoded = encoded;
    in.encoded_mask = mask;
    in.rows = b->in->rows;
    if (encoded.id >= 0) sn_page_give(b->out, "logits", text(b, "text_decoder", &in, true, true, &out));
}

static void retrieve(const sn_page_build *b, sn_node image) {
    sn_page_out out = {.n = 0};
    sn_graph *g = b->g;
    sn_node alone = read(b, "text_encoder", SN_NO_NODE, &out);
    if (image.id >= 0) {
        sn_node both = read(b, "text_encoder", image, &out);
        sn_page_give(b->out, "question_embeds", both);
        sn_page_give(b->out, "itm_score", sn_linear(g, sn_page_first(g, both), "itm_head", 2, true, SN_ACT_NONE));
    }
    image = sn_linear(g, sn_page_first(g, image), "vision_proj", b->c->space, true, SN_ACT_NONE);
    alone = sn_linear(g, sn_page_first(g, alone), "text_proj", b->c->space, true, SN_ACT_NONE);
    sn_page_compare_plain(b, image, alone);
}

/* BlipModel: the two towers compared, and the text that has seen the picture. */
static void compare(const sn_page_build *b, sn_node image, sn_node pooled) {
    sn_page_out seen = {.n = 0}, alone = {.n = 0};
    int64_t width = b->c->projection;
    if (image.id >= 0) (void)read(b, "text_model", image, &seen);
    (void)read(b, "text_model", SN_NO_NODE, &alone);
    sn_node both = sn_linear(b->g, sn_page_get(&seen, "pooler_output"), "text_projection", width, false, SN_ACT_NONE);
    sn_node words = sn_linear(b->g, sn_page_get(&alone, "pooler_output"), "text_projection", width, false, SN_ACT_NONE);
    sn_page_give(b->out, "multimodal_embeds", both);
    pooled = sn_linear(b->g, pooled, "visual_projection", width, false, SN_ACT_NONE);
    sn_page_compare(b, pooled, words, (sn_shape){.rank = 0}, false);
}

static void build(const sn_page_build *b) {
    sn_page_out out = {.n = 0}, question = {.n = 0};
    sn_node image = vision(b, &out);
    if (sn_page_is(b, "ForImageTextRetrieval")) {
        sn_page_give(b->out, "last_hidden_state", image);
        retrieve(b, image);
    } else if (sn_page_is(b, QUESTIONS)) {
        sn_page_give(b->out, "image_embeds", image);
        decode_from(b, read(b, "text_encoder", image, &question), b->in->mask);
    } else if (sn_page_is(b, "ForConditionalGeneration")) {
        sn_page_give_some(b->out, "hidden_states", &out, "hidden_states");
        sn_page_give(b->out, "last_hidden_state", image);
        sn_page_give(b->out, "image_embeds", image);
        decode_from(b, image, SN_NO_NODE);
    } else {
        compare(b, image, sn_page_get(&out, "pooler_output"));
    }
}

/* ---- generation ---- */

static void encode(const sn_page_build *b) {
    sn_page_out out = {.n = 0};
    sn_node image = b->in->encoded.id >= 0 ? b->in->encoded : vision(b, &out);
    sn_page_give(b->out, "encoded", sn_page_is(b, QUESTIONS) ? read(b, "text_encoder", image, &out) : image);
}

static void decode(const sn_page_build *b) {
    sn_page_out out = {.n = 0};
    sn_page_give(b->out, "logits", text(b, "text_decoder", b->in, true, true, &out));
}

static void cross(const sn_page_build *b, sn_node *cross_keys, sn_node *cross_values) {
    sn_page_config c = text_config(b->c, true, true);
    sn_page_build part = *b;
    part.c = &c;
    sn_scope_push(b->g, "text_decoder");
    c.page->cross(&part, cross_keys, cross_values);
    sn_scope_pop(b->g);
}

static sn_status decoder(const sn_page_config *c, sn_page_decoder *shape) {
    sn_page_config text = text_config(c, true, true);
    return text.page->decoder(&text, shape);
}

/* The decoder's own settings: those of text_config, where a text ends at the separator. */
static sn_status generation(const sn_page_config *c, json_t **out) {
    const json_t *config = json_object_get(c->json, "text_config"), *end = json_object_get(config, "sep_token_id");
    *out = json_is_object(config) ? json_copy((json_t *)(uintptr_t)config) : json_object();
    if (!*out) return SN_ERR_MEMORY;
    json_t *fallback[] = {json_integer(30522), json_integer(0), json_integer(102)};
    static const char *const names[] = {"bos_token_id", "pad_token_id", "eos_token_id"};
    (void)json_object_set(*out, "eos_token_id", end ? (json_t *)(uintptr_t)end : fallback[2]);
    for (int i = 0; i < 3; i++) {
        if (!json_object_get(*out, names[i])) (void)json_object_set(*out, names[i], fallback[i]);
        json_decref(fallback[i]);
    }
    return SN_OK;
}

static sn_status check(sn_page_config *c) {
    c->positions = c->part[TEXT]->positions;
    c->vocabulary = c->part[TEXT]->vocabulary;
    return sn_page_check_towers(c);
}

static const char *const ignored[] = {"*embeddings.position_ids", "*cls.predictions.bias", "*cls.predictions.decoder.weight",
                                      "*cls.predictions.decoder.bias", NULL};
static const char *const questions[] = {QUESTIONS, NULL}, *const writers[] = {QUESTIONS, "ForConditionalGeneration", NULL};
const sn_page sn_page_blip_vision_model = {.model_type = "blip_vision_model", .accepts = SN_IN_IMAGE, .keys = vision_keys, .build = build_vision};
extern const sn_page sn_page_blip_text_model;
const sn_page sn_page_blip = {.model_type = "blip", .accepts = SN_IN_TEXT | SN_IN_IMAGE | SN_IN_TARGET, .keys = keys, .build = build,
                              .ignored = ignored, .check = check, .decoder = decoder, .encode = encode, .decode = decode, .cross = cross,
                              .generation = generation, .questions = questions, .writers = writers,
                              .parts = {{"text_config", &sn_page_blip_text_model}, {"vision_config", &sn_page_blip_vision_model}}};
