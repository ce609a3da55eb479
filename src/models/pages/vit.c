/* ViT (Dosovitskiy et al. 2020): pixels [N,H,W,3] -> patches, a class token before them -> hidden [N,1+P,D]; pre-norm.
 * DeiT (Touvron et al. 2020) is the same with a distillation token after the class token. */
#include "models/page.h"

const sn_blocks_spec sn_page_vit_blocks = {
    .layer = "encoder.layer.%d",
    .self = {.q = "attention.attention.query", .k = "attention.attention.key", .v = "attention.attention.value",
             .out = "attention.output.dense", .norm = "layernorm_before"},
    .up = "intermediate.dense", .down = "output.dense", .norm = "layernorm_after"};

static const sn_key keys[] = {
    SN_KEYS_BLOCKS(768, 12, 12, 3072, SN_ACT_GELU, 1e-12), SN_KEYS_PICTURE(224, 16),
    SN_KEY("hidden_dropout_prob", FLOAT, size.dropout, 0), SN_KEY("qkv_bias", BOOL, flag[0], 1), {0}};

static sn_node embed(const sn_page_build *b, bool distilled) {
    const sn_page_config *c = b->c;
    sn_scope_push(b->g, "embeddings");
    sn_node x = sn_page_patches(b->g, sn_page_pixels(b), "patch_embeddings.projection", c->patch, c->size.width, true);
    if (distilled) x = sn_page_prepend(b->g, x, "distillation_token", SN_SHAPE(1, 1, c->size.width));
    x = sn_page_prepend(b->g, x, "cls_token", SN_SHAPE(1, 1, c->size.width));
    if (x.id >= 0)
        x = sn_add(b->g, x, sn_param(b->g, "position_embeddings", SN_SHAPE(1, sn_dim(b->g, x, 1), c->size.width),
                                     (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY}));
    sn_scope_pop(b->g);
    return x;
}

/* The answers of the class token's head and the distillation token's, and their mean. */
static void two_heads(const sn_page_build *b, sn_node x) {
    if (x.id < 0) return;
    sn_node second = sn_page_first(b->g, sn_slice(b->g, x, 1, 1, sn_dim(b->g, x, 1) - 1));
    sn_node one = sn_linear(b->g, sn_page_first(b->g, x), "cls_classifier", b->c->classes, true, SN_ACT_NONE);
    sn_node two = sn_linear(b->g, second, "distillation_classifier", b->c->classes, true, SN_ACT_NONE);
    sn_page_give(b->out, "cls_logits", one);
    sn_page_give(b->out, "distillation_logits", two);
    sn_page_give(b->out, "logits", sn_affine(b->g, sn_add(b->g, one, two), 0.5f, 0));
}

static void build(const sn_page_build *b, const char *prefix, bool distilled) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    sn_blocks_spec as = sn_page_vit_blocks;
    as.bare_qkv = !c->flag[0];
    bool inside = sn_page_enter(b, prefix, "embeddings.cls_token");
    sn_blocks_io io = {.mask = SN_NO_NODE, .hidden = hidden, .rows = b->in->rows};
    sn_node x = sn_blocks(b->g, &as, &c->size, embed(b, distilled), &io);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    x = sn_layernorm(b->g, x, "layernorm", c->size.eps);
    sn_page_give(b->out, "last_hidden_state", x);
    (void)sn_page_pooler(b, x, NULL);
    if (inside) sn_scope_pop(b->g);
    if (sn_page_is(b, "ForImageClassification"))
        sn_page_give(b->out, "logits", sn_linear(b->g, sn_page_first(b->g, x), "classifier", c->classes, true, SN_ACT_NONE));
    if (sn_page_is(b, "ForImageClassificationWithTeacher")) two_heads(b, x);
}
static void build_vit(const sn_page_build *b) { build(b, "vit", false); }
static void build_deit(const sn_page_build *b) { build(b, "deit", true); }
static const char *const ignored[] = {"*embeddings.mask_token", NULL}; /* of pretraining by masked patches */
const sn_page sn_page_vit = {.model_type = "vit", .accepts = SN_IN_IMAGE, .prefix = "vit", .keys = keys, .build = build_vit, .ignored = ignored};
const sn_page sn_page_deit = {.model_type = "deit", .accepts = SN_IN_IMAGE, .prefix = "deit", .keys = keys, .build = build_deit, .ignored = ignored};
