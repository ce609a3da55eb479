/* DistilBERT (Sanh et al. 2019): BERT with half the layers, no token types, no pooler. */
#include "models/page.h"

static const sn_blocks_spec spec = {
    .layer = "transformer.layer.%d", .post_norm = true,
    .self = {.q = "attention.q_lin", .k = "attention.k_lin", .v = "attention.v_lin", .out = "attention.out_lin", .norm = "sa_layer_norm"},
    .up = "ffn.lin1", .down = "ffn.lin2", .norm = "output_layer_norm"};

static const sn_key keys[] = {
    SN_KEY("dim", INT, size.width, 768), SN_KEY("n_layers", INT, size.layers, 6), SN_KEY("n_heads", INT, size.heads, 12),
    SN_KEY("hidden_dim", INT, size.hidden, 3072), SN_KEY("activation", ACT, size.act, SN_ACT_GELU),
    SN_KEY("layer_norm_eps", FLOAT, size.eps, 1e-12), SN_KEY("dropout", FLOAT, size.dropout, 0.1),
    SN_KEY("vocab_size", INT, vocabulary, 30522), SN_KEY("max_position_embeddings", INT, positions, 512), SN_KEY_TIED, {0}};

static void masked_words(const sn_page_build *b, const sn_page_states *s) {
    sn_node x = sn_linear(b->g, s->x, "vocab_transform", b->c->size.width, true, b->c->size.act);
    x = sn_layernorm(b->g, x, "vocab_layer_norm", b->c->size.eps);
    sn_page_give(b->out, "logits", sn_page_words(b, x, s->words, "vocab_projector", "vocab_projector.bias"));
}

static sn_node before(const sn_page_build *b, const sn_page_states *s) {
    return sn_linear(b->g, sn_page_first(b->g, s->x), "pre_classifier", b->c->size.width, true, SN_ACT_RELU);
}
static void classes(const sn_page_build *b, const sn_page_states *s) { sn_page_text_classes(b, &(sn_page_states){.pool = before(b, s)}); }
static void choices(const sn_page_build *b, const sn_page_states *s) { sn_page_choices(b, &(sn_page_states){.pool = before(b, s)}); }

static const sn_page_head heads[] = {
    {"ForMaskedLM", false, masked_words}, {"ForSequenceClassification", false, classes}, {"ForMultipleChoice", false, choices},
    {"ForTokenClassification", false, sn_page_token_classes}, {"ForQuestionAnswering", false, sn_page_span}, {0}};

static void build(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1], words;
    bool inside = sn_page_enter(b, "distilbert", "embeddings.word_embeddings.weight");
    sn_scope_push(b->g, "embeddings");
    sn_node x = sn_page_table(b->g, b->in->ids, "word_embeddings", c->vocabulary, c->size.width, &words);
    x = sn_page_positions(b->g, x, b->in->first, "position_embeddings", c->positions, 0);
    x = sn_dropout(b->g, sn_layernorm(b->g, x, "LayerNorm", c->size.eps), b->in->rows, c->size.dropout, "dropout");
    sn_scope_pop(b->g);
    sn_blocks_io io = {.mask = b->in->mask, .hidden = hidden, .rows = b->in->rows};
    x = sn_blocks(b->g, &spec, &c->size, x, &io);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    if (inside) sn_scope_pop(b->g);
    sn_page_add_head(b, heads, (sn_page_states){x, SN_NO_NODE, words});
}

static const char *const ignored[] = {"*vocab_projector.weight", NULL};
const sn_page sn_page_distilbert = {.model_type = "distilbert", .accepts = SN_IN_TEXT, .prefix = "distilbert", .keys = keys, .build = build, .ignored = ignored};
