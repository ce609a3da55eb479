/* BERT (Devlin et al. 2018): ids [N,T] -> hidden [N,T,D]; post-norm, learned positions, token types. With a head:
 * masked language model (tied to the word table), next sentence, both of them as in pretraining, classes of texts, of
 * tokens, of choices, the span of an answer. RoBERTa (Liu et al. 2019) and XLM-R are the same, but their positions count
 * from the padding id and their heads have other names. */
#include "models/page.h"

static const sn_blocks_spec spec = {
    .layer = "encoder.layer.%d", .post_norm = true,
    .self = {.q = "attention.self.query", .k = "attention.self.key", .v = "attention.self.value",
             .out = "attention.output.dense", .norm = "attention.output.LayerNorm"},
    .cross = {.q = "crossattention.self.query", .k = "crossattention.self.key", .v = "crossattention.self.value",
              .out = "crossattention.output.dense", .norm = "crossattention.output.LayerNorm"},
    .up = "intermediate.dense", .down = "output.dense", .norm = "output.LayerNorm"};

#define KEYS(words, padding, heads, default_dropout, kinds) \
    SN_KEYS_BLOCKS(768, 12, heads, 3072, SN_ACT_GELU, 1e-12), \
    SN_KEY("hidden_dropout_prob", FLOAT, size.dropout, default_dropout), SN_KEY("vocab_size", INT, vocabulary, words), \
    SN_KEY("max_position_embeddings", INT, positions, 512), SN_KEY("type_vocab_size", INT, types, kinds), \
    SN_KEY("pad_token_id", INT, pad, padding), SN_KEY("is_decoder", BOOL, flag[0], 0), \
    SN_KEY("add_cross_attention", BOOL, flag[1], 0), SN_ONLY("position_embedding_type", "\"absolute\""), \
    SN_KEY_TIED
static const sn_key bert_keys[] = {KEYS(30522, 0, 12, 0.1, 2), {0}};
static const sn_key roberta_keys[] = {KEYS(50265, 1, 12, 0.1, 2), {0}};
static const sn_key blip_keys[] = {KEYS(30524, 0, 8, 0, 0), {0}};

/* What is added for the token types; of a text without any the first. */
static sn_node kinds(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    if (b->in->types.id >= 0) return sn_page_table(b->g, b->in->types, "token_type_embeddings", c->types, c->size.width, NULL);
    sn_scope_push(b->g, "token_type_embeddings");
    sn_node t = sn_param(b->g, "weight", SN_SHAPE(c->types, c->size.width), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
    sn_scope_pop(b->g);
    return sn_slice(b->g, t, 0, 0, 1);
}

static sn_blocks_spec spec_of(const sn_page_config *c) {
    sn_blocks_spec as = spec;
    as.causal = c->flag[0];
    if (!c->flag[1]) as.cross = (sn_attention_names){0};
    return as;
}

/* -> hidden [N,T,D]; *words: the word table */
static sn_node base(const sn_page_build *b, int64_t first, sn_node *words) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    sn_blocks_spec as = spec_of(c);
    sn_scope_push(b->g, "embeddings");
    sn_node x = sn_page_table(b->g, b->in->ids, "word_embeddings", c->vocabulary, c->size.width, words);
    if (c->types > 0) x = sn_add(b->g, x, kinds(b));
    x = sn_page_positions(b->g, x, b->in->first, "position_embeddings", c->positions, first);
    x = sn_dropout(b->g, sn_layernorm(b->g, x, "LayerNorm", c->size.eps), b->in->rows, c->size.dropout, "dropout");
    sn_scope_pop(b->g);
    sn_blocks_io io = sn_page_blocks_io(b, hidden);
    x = sn_blocks(b->g, &as, &c->size, x, &io);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    return x;
}

/* ---- BERT's heads ---- */
static sn_node predictions(const sn_page_build *b, sn_node x, sn_node words) {
    sn_scope_push(b->g, "cls.predictions");
    x = sn_page_words_changed(b, x, words, "decoder", "bias");
    sn_scope_pop(b->g);
    return x;
}
static void bert_words(const sn_page_build *b, const sn_page_states *s) {
    sn_page_give(b->out, "logits", predictions(b, sn_page_last_only(b, s->x), s->words));
}
/* Does the second sentence follow the first? */
static sn_node follows(const sn_page_build *b, sn_node pool) { return sn_linear(b->g, pool, "cls.seq_relationship", 2, true, SN_ACT_NONE); }
static void next_sentence(const sn_page_build *b, const sn_page_states *s) { sn_page_give(b->out, "logits", follows(b, s->pool)); }
static void pretraining(const sn_page_build *b, const sn_page_states *s) {
    sn_page_give(b->out, "prediction_logits", predictions(b, s->x, s->words));
    sn_page_give(b->out, "seq_relationship_logits", follows(b, s->pool));
}

/* ---- RoBERTa's ---- */
static void roberta_words(const sn_page_build *b, const sn_page_states *s) {
    sn_node x = sn_page_last_only(b, s->x);
    sn_scope_push(b->g, "lm_head");
    x = sn_linear(b->g, x, "dense", b->c->size.width, true, SN_ACT_GELU);
    x = sn_page_words(b, sn_layernorm(b->g, x, "layer_norm", b->c->size.eps), s->words, "decoder", "bias");
    sn_scope_pop(b->g);
    sn_page_give(b->out, "logits", x);
}

static void roberta_classes(const sn_page_build *b, const sn_page_states *s) {
    sn_scope_push(b->g, "classifier");
    sn_node x = sn_linear(b->g, sn_page_first(b->g, s->x), "dense", b->c->size.width, true, SN_ACT_TANH);
    x = sn_linear(b->g, x, "out_proj", b->c->classes, true, SN_ACT_NONE);
    sn_scope_pop(b->g);
    sn_page_give(b->out, "logits", x);
}

#define HEADS(words, pools, classes) {"ForMaskedLM", false, words}, {"LMHeadModel", false, words}, {"ForCausalLM", false, words}, \
    {"ForSequenceClassification", pools, classes}, {"ForTokenClassification", false, sn_page_token_classes}, \
    {"ForQuestionAnswering", false, sn_page_span}, {"ForMultipleChoice", true, sn_page_choices}
static const sn_page_head bert_heads[] = {HEADS(bert_words, true, sn_page_text_classes), {"ForPreTraining", true, pretraining},
                                          {"ForNextSentencePrediction", true, next_sentence}, {0}};
static const sn_page_head roberta_heads[] = {HEADS(roberta_words, false, roberta_classes), {0}};

/* first: the position of a text's first token */
static void build(const sn_page_build *b, const char *prefix, int64_t first, const sn_page_head *heads) {
    bool inside = sn_page_enter(b, prefix, "embeddings.word_embeddings.weight");
    sn_node words, x = base(b, first, &words), pool = sn_page_pooler(b, x, heads);
    if (inside) sn_scope_pop(b->g);
    sn_page_add_head(b, heads, (sn_page_states){x, pool, words});
}
static void build_bert(const sn_page_build *b) { build(b, "bert", 0, bert_heads); }
static void build_roberta(const sn_page_build *b) { build(b, "roberta", b->c->pad + 1, roberta_heads); }

static int64_t longest_roberta(const sn_page_config *c) { return c->positions - (c->pad + 1); }

static sn_status decoder(const sn_page_config *c, sn_page_decoder *d) {
    bool roberta = c->page->keys == roberta_keys;
    if (!c->flag[0]) SN_FAIL(SN_ERR_UNSUPPORTED, "a model of type %s does not generate text", c->page->model_type);
    *d = (sn_page_decoder){c->size.layers, c->size.width, c->vocabulary, roberta ? longest_roberta(c) : c->positions, c->flag[1]};
    return SN_OK;
}

static void cross(const sn_page_build *b, sn_node *keys, sn_node *values) {
    sn_blocks_spec as = spec_of(b->c);
    bool inside = sn_page_enter(b, b->c->page->prefix, "embeddings.word_embeddings.weight");
    sn_blocks_cross(b->g, &as, &b->c->size, b->in->encoded, keys, values);
    if (inside) sn_scope_pop(b->g);
}

static const char *const ignored[] = {"*embeddings.position_ids", "*embeddings.token_type_ids", "*cls.predictions.bias",
                                      "*cls.predictions.decoder.weight", "*cls.predictions.decoder.bias", "cls.seq_relationship.*",
                                      "*lm_head.bias", "*lm_head.decoder.weight", "*lm_head.decoder.bias", NULL};
const sn_page sn_page_bert = {.model_type = "bert", .accepts = SN_IN_TEXT, .prefix = "bert", .keys = bert_keys, .build = build_bert,
                              .ignored = ignored, .decoder = decoder, .decode = build_bert, .cross = cross};
/* BLIP's text model has no token types, and its heads and cross-attention are switched by who uses it (blip.c). */
const sn_page sn_page_blip_text_model = {.model_type = "blip_text_model", .accepts = SN_IN_TEXT, .prefix = "bert", .keys = blip_keys,
                                         .build = build_bert, .ignored = ignored, .decoder = decoder, .decode = build_bert,
                                         .cross = cross};
#define ROBERTA .accepts = SN_IN_TEXT, .prefix = "roberta", .keys = roberta_keys, .build = build_roberta, .ignored = ignored, \
                .decoder = decoder, .decode = build_roberta, .cross = cross, .longest = longest_roberta
const sn_page sn_page_roberta = {.model_type = "roberta", ROBERTA};
const sn_page sn_page_xlm_roberta = {.model_type = "xlm-roberta", ROBERTA};
