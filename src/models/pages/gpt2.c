/* GPT-2 (Radford et al. 2019): ids [N,T] -> logits [N,T,V]; pre-norm, causal, matrices stored [in, out], the word table
 * is the last matrix too. With add_cross_attention the blocks also look at an encoder's output. Other heads: classes of
 * texts and of tokens, the span of an answer. */
#include "models/page.h"

static const sn_blocks_spec spec = {
    .layer = "h.%d", .causal = true, .turned = true,
    .self = {.qkv = "attn.c_attn", .out = "attn.c_proj", .norm = "ln_1"},
    .up = "mlp.c_fc", .down = "mlp.c_proj", .norm = "ln_2"};
static const sn_attention_names cross = {.q = "crossattention.q_attn", .kv = "crossattention.c_attn",
                                         .out = "crossattention.c_proj", .norm = "ln_cross_attn"};

static const sn_key config_keys[] = {
    SN_KEY("n_embd", INT, size.width, 768), SN_KEY("n_layer", INT, size.layers, 12), SN_KEY("n_head", INT, size.heads, 12),
    SN_KEY("n_inner", INT, size.hidden, 0), SN_KEY("activation_function", ACT, size.act, SN_ACT_GELU_TANH),
    SN_KEY("layer_norm_epsilon", FLOAT, size.eps, 1e-5), SN_KEY("resid_pdrop", FLOAT, size.dropout, 0.1),
    SN_KEY("vocab_size", INT, vocabulary, 50257), SN_KEY("n_positions", INT, positions, 1024),
    SN_KEY("add_cross_attention", BOOL, flag[0], 0), SN_KEY_TIED,
    SN_ONLY("scale_attn_weights", "true"), SN_ONLY("scale_attn_by_inverse_layer_idx", "false"), {0}};

/* The blocks of this config. */
static void shape(const sn_page_config *c, sn_blocks_spec *as, sn_blocks_size *size) {
    *as = spec;
    *size = c->size;
    if (c->flag[0]) as->cross = cross;
    if (!size->hidden) size->hidden = 4 * size->width;
}

static void next_words(const sn_page_build *b, const sn_page_states *s) {
    sn_page_give(b->out, "logits", sn_page_words(b, sn_page_last_only(b, s->x), s->words, "lm_head", NULL));
}
/* Of the last token, which has seen the whole text. */
static void classes(const sn_page_build *b, const sn_page_states *s) {
    sn_node x = sn_emit(b->g, SN_SEQ_LAST, (sn_node[]){s->x, b->in->mask}, 2, NULL);
    sn_page_give(b->out, "logits", sn_linear(b->g, x, "score", b->c->classes, false, SN_ACT_NONE));
}

static const sn_page_head heads[] = {{"LMHeadModel", false, next_words}, {"ForSequenceClassification", false, classes},
                                     {"ForTokenClassification", false, sn_page_token_classes},
                                     {"ForQuestionAnswering", false, sn_page_span}, {0}};

static void build(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1], words;
    sn_blocks_spec as;
    sn_blocks_size size;
    shape(c, &as, &size);
    bool inside = sn_page_enter(b, "transformer", "wte.weight");
    sn_node x = sn_page_table(b->g, b->in->ids, "wte", c->vocabulary, size.width, &words);
    x = sn_page_positions(b->g, x, b->in->first, "wpe", c->positions, 0);
    x = sn_dropout(b->g, x, b->in->rows, size.dropout, "drop");
    sn_blocks_io io = sn_page_blocks_io(b, hidden);
    x = sn_blocks(b->g, &as, &size, x, &io);
    x = hidden[size.layers] = sn_layernorm(b->g, x, "ln_f", size.eps); /* Transformers counts it as the last state */
    sn_page_give_all(b->out, "hidden_states", hidden, size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    if (inside) sn_scope_pop(b->g);
    sn_page_add_head(b, heads, (sn_page_states){x, SN_NO_NODE, words});
}

static sn_status decoder(const sn_page_config *c, sn_page_decoder *d) {
    *d = (sn_page_decoder){c->size.layers, c->size.width, c->vocabulary, c->positions, c->flag[0]};
    return SN_OK;
}

static void cross_parts(const sn_page_build *b, sn_node *keys, sn_node *values) {
    sn_blocks_spec as;
    sn_blocks_size size;
    shape(b->c, &as, &size);
    sn_scope_push(b->g, "transformer");
    sn_blocks_cross(b->g, &as, &size, b->in->encoded, keys, values);
    sn_scope_pop(b->g);
}

static const char *const ignored[] = {"*.attn.bias", "*.attn.masked_bias", "*.crossattention.bias",
                                      "*.crossattention.masked_bias", "lm_head.weight", NULL};
const sn_page sn_page_gpt2 = {.model_type = "gpt2", .accepts = SN_IN_TEXT, .prefix = "transformer", .keys = config_keys, .build = build,
                              .ignored = ignored, .decoder = decoder, .decode = build, .cross = cross_parts};
