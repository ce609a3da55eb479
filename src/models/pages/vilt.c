/* ViLT (Kim et al. 2021): ids [N,T] and the patches of a picture [N,H,W,C] as one sequence [N,T+1+P] through the blocks of
 * a ViT. The mask covers both (SN_IN_JOINT). Pictures of one graph have one size, of whole patches; the positions of their
 * grid are interpolated as Transformers does. The patches stay in their order, where Transformers shuffles them: nothing
 * but the order of the hidden states depends on it. */
#include "models/page.h"

static const sn_key keys[] = {
    SN_KEYS_BLOCKS(768, 12, 12, 3072, SN_ACT_GELU, 1e-12), SN_KEYS_PICTURE(384, 32),
    SN_KEY("hidden_dropout_prob", FLOAT, size.dropout, 0), SN_KEY("vocab_size", INT, vocabulary, 30522),
    SN_KEY("max_position_embeddings", INT, positions, 40), SN_KEY("type_vocab_size", INT, types, 2),
    SN_KEY("modality_type_vocab_size", INT, space, 2), SN_KEY("qkv_bias", BOOL, flag[0], 1), SN_ONLY("max_image_length", "-1"), SN_KEY_TIED, {0}};

/* -> [N,T+1+P,D]; *table: of the words */
static sn_node embed(const sn_page_build *b, sn_node *table) {
    const sn_page_config *c = b->c;
    sn_graph *g = b->g;
    int64_t d = c->size.width;
    sn_scope_push(g, "embeddings");
    sn_scope_push(g, "text_embeddings");
    sn_node words = sn_page_table(g, b->in->ids, "word_embeddings", c->vocabulary, d, table);
    words = sn_add(g, words, sn_page_table(g, b->in->types, "token_type_embeddings", c->types, d, NULL));
    words = sn_page_positions(g, words, b->in->first, "position_embeddings", c->positions, 0);
    words = sn_dropout(g, sn_layernorm(g, words, "LayerNorm", c->size.eps), b->in->rows, c->size.dropout, "dropout");
    sn_scope_pop(g);
    sn_node x = sn_page_patches(g, b->in->pixels, "patch_embeddings.projection", c->patch, d, true);
    x = sn_page_prepend(g, x, "cls_token", SN_SHAPE(1, 1, d));
    x = sn_page_grid_positions(b, x, "position_embeddings", SN_PAGE_BILINEAR_CORNERS);
    x = sn_dropout(g, x, b->in->rows, c->size.dropout, "dropout");
    sn_node kinds = sn_param(g, "token_type_embeddings.weight", SN_SHAPE(c->space, d), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
    words = sn_add(g, words, sn_slice(g, kinds, 0, 0, 1));
    x = sn_add(g, x, sn_slice(g, kinds, 0, 1, 1));
    sn_scope_pop(g);
    return sn_concat(g, (sn_node[]){words, x}, 2, 1);
}

static void answer(const sn_page_build *b, const sn_page_states *s) {
    int64_t width = b->c->size.width;
    sn_scope_push(b->g, "classifier");
    sn_node x = sn_layernorm(b->g, sn_linear(b->g, s->pool, "0", 2 * width, true, SN_ACT_NONE), "1", 1e-5f);
    x = sn_linear(b->g, sn_activation(b->g, SN_ACT_GELU, x), "3", b->c->classes, true, SN_ACT_NONE);
    sn_scope_pop(b->g);
    sn_page_give(b->out, "logits", x);
    sn_page_give(b->out, "scores", sn_unary(b->g, SN_SIGMOID, x)); /* of each answer by itself: several may be right */
}

static void masked_words(const sn_page_build *b, const sn_page_states *s) {
    sn_node x = s->x;
    if (x.id >= 0) x = sn_slice(b->g, x, 1, 0, sn_dim(b->g, b->in->ids, 1));
    sn_scope_push(b->g, "mlm_score");
    sn_page_give(b->out, "logits", sn_page_words_changed(b, x, s->words, "decoder", "bias")); /* the bias has had both names */
    sn_scope_pop(b->g);
}

/* How well they go together. */
static void match(const sn_page_build *b, const sn_page_states *s) {
    sn_page_give(b->out, "logits", sn_linear(b->g, s->pool, "rank_output", 1, true, SN_ACT_NONE));
}

static const sn_page_head heads[] = {
    {"ForQuestionAnswering", true, answer}, {"ForMaskedLM", false, masked_words}, {"ForImageAndTextRetrieval", true, match}, {0}};

static void build(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1], words;
    sn_blocks_spec as = sn_page_vit_blocks;
    as.bare_qkv = !c->flag[0];
    bool inside = sn_page_enter(b, "vilt", "embeddings.cls_token");
    sn_blocks_io io = {.mask = b->in->mask, .hidden = hidden, .rows = b->in->rows};
    sn_node x = sn_layernorm(b->g, sn_blocks(b->g, &as, &c->size, embed(b, &words), &io), "layernorm", c->size.eps);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    sn_node pool = sn_page_pooler(b, x, heads);
    if (inside) sn_scope_pop(b->g);
    sn_page_add_head(b, heads, (sn_page_states){x, pool, words});
}

static sn_status check(sn_page_config *c) {
    if (c->space < 2) SN_FAIL(SN_ERR_FORMAT, "\"modality_type_vocab_size\": %lld; text and picture need 2", (long long)c->space);
    return SN_OK;
}

static const char *const questions[] = {"ForQuestionAnswering", NULL};
static const char *const ignored[] = {"*embeddings.position_ids", "*text_embeddings.token_type_ids", "mlm_score.bias",
                                      "mlm_score.decoder.weight", "mlm_score.decoder.bias", NULL};
const sn_page sn_page_vilt = {.model_type = "vilt", .accepts = SN_IN_TEXT | SN_IN_IMAGE | SN_IN_JOINT, .prefix = "vilt", .keys = keys,
                              .build = build, .ignored = ignored, .check = check, .questions = questions};
