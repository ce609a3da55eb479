/* BERT (Devlin et al. 2018): ids [N,T] -> hidden [N,T,D]; post-norm, learned positions, token types. With a head:
 * masked language model (tied to the word table), sequence classification, token classification. RoBERTa (Liu et al.
 * 2019) and XLM-R are the same, but their positions count from the padding id and their heads have other names. */
#include "models/page.h"

static const sn_blocks_spec spec = {
    .layer = "encoder.layer.%d", .post_norm = true,
    .self = {.q = "attention.self.query", .k = "attention.self.key", .v = "attention.self.value",
             .out = "attention.output.dense", .norm = "attention.output.LayerNorm"},
    .up = "intermediate.dense", .down = "output.dense", .norm = "output.LayerNorm"};

/* The three differ in what is assumed where config.json is silent. */
#define KEYS(words_, pad_)                                                                                            \
    {SN_KEY("hidden_size", INT, size.width, 768), SN_KEY("num_hidden_layers", INT, size.layers, 12),                  \
     SN_KEY("num_attention_heads", INT, size.heads, 12), SN_KEY("intermediate_size", INT, size.hidden, 3072),         \
     SN_KEY("hidden_act", ACT, size.act, SN_ACT_GELU), SN_KEY("layer_norm_eps", FLOAT, size.eps, 1e-12),              \
     SN_KEY("hidden_dropout_prob", FLOAT, size.dropout, 0.1), SN_KEY("vocab_size", INT, vocabulary, words_),          \
     SN_KEY("max_position_embeddings", INT, positions, 512), SN_KEY("type_vocab_size", INT, types, 2),                \
     SN_KEY("pad_token_id", INT, pad, pad_), {NULL}}
static const sn_key bert_keys[] = KEYS(30522, 0);
static const sn_key roberta_keys[] = KEYS(50265, 1);

/* -> hidden [N,T,D]; *words: the word table */
static sn_node base(const sn_page_build *b, int64_t first, sn_node *words) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    sn_scope_push(b->g, "embeddings");
    sn_node x = sn_page_table(b->g, b->in->ids, "word_embeddings", c->vocabulary, c->size.width, words);
    if (c->types > 0) {
        sn_node type = sn_page_table(b->g, b->in->types, "token_type_embeddings", c->types, c->size.width, NULL);
        x = sn_add(b->g, x, type);
    }
    x = sn_page_positions(b->g, x, b->in->first, "position_embeddings", c->positions, first);
    x = sn_dropout(b->g, sn_layernorm(b->g, x, "LayerNorm", c->size.eps), b->in->rows, c->size.dropout, "dropout");
    sn_scope_pop(b->g);
    sn_blocks_io io = {.mask = b->in->mask, .hidden = hidden, .rows = b->in->rows};
    x = sn_blocks(b->g, &spec, &c->size, x, &io);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    return x;
}

static sn_node pooled(const sn_page_build *b, sn_node x) {
    if (!sn_page_has(b, "pooler.dense.weight", true)) return SN_NO_NODE;
    sn_scope_push(b->g, "pooler");
    sn_node y = sn_linear(b->g, sn_page_first(b->g, x), "dense", b->c->size.width, true, SN_ACT_TANH);
    sn_scope_pop(b->g);
    sn_page_give(b->out, "pooler_output", y);
    return y;
}

/* logits over the vocabulary with the word table as matrix and the parameter `bias` */
static void tied(const sn_page_build *b, sn_node x, sn_node words, const char *bias) {
    sn_node shift = sn_param(b->g, bias, SN_SHAPE(b->c->vocabulary), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY});
    sn_page_give(b->out, "logits", sn_linear_op(b->g, x, words, shift));
}

static void masked_words(const sn_page_build *b, sn_node x, sn_node words, bool roberta) {
    sn_act act = roberta ? SN_ACT_GELU : b->c->size.act;
    sn_scope_push(b->g, roberta ? "lm_head" : "cls.predictions");
    if (!roberta) sn_scope_push(b->g, "transform");
    x = sn_linear(b->g, x, "dense", b->c->size.width, true, act);
    x = sn_layernorm(b->g, x, roberta ? "layer_norm" : "LayerNorm", b->c->size.eps);
    if (!roberta) sn_scope_pop(b->g);
    tied(b, x, words, "bias");
    sn_scope_pop(b->g);
}

static void classes(const sn_page_build *b, sn_node x, sn_node pool, bool roberta) {
    if (sn_page_is(b, "ForTokenClassification")) {
        sn_page_give(b->out, "logits", sn_linear(b->g, x, "classifier", b->c->classes, true, SN_ACT_NONE));
    } else if (!roberta) {
        sn_page_give(b->out, "logits", sn_linear(b->g, pool, "classifier", b->c->classes, true, SN_ACT_NONE));
    } else {
        sn_scope_push(b->g, "classifier");
        sn_node y = sn_linear(b->g, sn_page_first(b->g, x), "dense", b->c->size.width, true, SN_ACT_TANH);
        sn_page_give(b->out, "logits", sn_linear(b->g, y, "out_proj", b->c->classes, true, SN_ACT_NONE));
        sn_scope_pop(b->g);
    }
}

static void build(const sn_page_build *b, const char *prefix, bool roberta) {
    bool head = sn_page_is(b, "ForMaskedLM") || sn_page_is(b, "ForSequenceClassification") || sn_page_is(b, "ForTokenClassification");
    bool inside = sn_page_enter(b, prefix, "embeddings.word_embeddings.weight");
    sn_node words, x = base(b, roberta ? b->c->pad + 1 : 0, &words), pool = pooled(b, x);
    if (inside) sn_scope_pop(b->g);
    if (!head) return;
    if (sn_page_is(b, "ForMaskedLM")) masked_words(b, x, words, roberta);
    else classes(b, x, pool, roberta);
}
static void build_bert(const sn_page_build *b) { build(b, "bert", false); }
static void build_roberta(const sn_page_build *b) { build(b, "roberta", true); }

static const char *const ignored[] = {"*embeddings.position_ids", "*embeddings.token_type_ids", "*cls.predictions.decoder.weight",
                                      "*cls.predictions.decoder.bias", "cls.seq_relationship.*", "*lm_head.decoder.weight",
                                      "*lm_head.decoder.bias", NULL};
const sn_page sn_page_bert = {.model_type = "bert", .accepts = SN_IN_TEXT, .prefix = "bert", .keys = bert_keys, .build = build_bert, .ignored = ignored};
const sn_page sn_page_roberta = {.model_type = "roberta", .accepts = SN_IN_TEXT, .prefix = "roberta", .keys = roberta_keys, .build = build_roberta, .ignored = ignored};
const sn_page sn_page_xlm_roberta = {.model_type = "xlm-roberta", .accepts = SN_IN_TEXT, .prefix = "roberta", .keys = roberta_keys, .build = build_roberta, .ignored = ignored};
