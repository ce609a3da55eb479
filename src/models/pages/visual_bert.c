/* VisualBERT (Li et al. 2019): ids [N,T] and a detector's features of a picture's regions [N,R,V], which are brought to the
 * words' width, as one sequence [N,T+R] through BERT's blocks. The mask covers both (SN_IN_JOINT). Every region has the
 * second token type and position 0, both in tables of their own. */
#include "models/page.h"

static const sn_blocks_spec spec = {
    .layer = "encoder.layer.%d", .post_norm = true,
    .self = {.q = "attention.self.query", .k = "attention.self.key", .v = "attention.self.value",
             .out = "attention.output.dense", .norm = "attention.output.LayerNorm"},
    .up = "intermediate.dense", .down = "output.dense", .norm = "output.LayerNorm"};

static const sn_key keys[] = {
    SN_KEY("hidden_size", INT, size.width, 768), SN_KEY("num_hidden_layers", INT, size.layers, 12),
    SN_KEY("num_attention_heads", INT, size.heads, 12), SN_KEY("intermediate_size", INT, size.hidden, 3072),
    SN_KEY("hidden_act", ACT, size.act, SN_ACT_GELU), SN_KEY("layer_norm_eps", FLOAT, size.eps, 1e-12),
    SN_KEY("hidden_dropout_prob", FLOAT, size.dropout, 0.1), SN_KEY("vocab_size", INT, vocabulary, 30522),
    SN_KEY("max_position_embeddings", INT, positions, 512), SN_KEY("type_vocab_size", INT, types, 2),
    SN_KEY("visual_embedding_dim", INT, region, 512), SN_ONLY("bypass_transformer", "false"),
    SN_KEY_TIED, {0}};

/* One row of the table `name`.weight, for every position alike. */
static sn_node row_of(sn_graph *g, const char *name, int64_t rows, int64_t width, int64_t row) {
    sn_scope_push(g, name);
    sn_node table = sn_param(g, "weight", SN_SHAPE(rows, width), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
    sn_scope_pop(g);
    return sn_slice(g, table, 0, row, 1);
}

/* -> [N,T+R,D]; *words: the word table */
static sn_node embed(const sn_page_build *b, sn_node *words) {
    const sn_page_config *c = b->c;
    sn_graph *g = b->g;
    int64_t d = c->size.width;
    sn_scope_push(g, "embeddings");
    sn_node x = sn_page_table(g, b->in->ids, "word_embeddings", c->vocabulary, d, words);
    x = sn_add(g, x, sn_page_table(g, b->in->types, "token_type_embeddings", c->types, d, NULL));
    x = sn_page_positions(g, x, b->in->first, "position_embeddings", c->positions, 0);
    if (b->in->regions.id >= 0) {
        sn_node seen = sn_linear(g, b->in->regions, "visual_projection", d, true, SN_ACT_NONE);
        seen = sn_add(g, seen, row_of(g, "visual_position_embeddings", c->positions, d, 0));
        seen = sn_add(g, seen, row_of(g, "visual_token_type_embeddings", c->types, d, 1));
        x = sn_concat(g, (sn_node[]){x, seen}, 2, 1);
    }
    x = sn_dropout(g, sn_layernorm(g, x, "LayerNorm", c->size.eps), b->in->rows, c->size.dropout, "dropout");
    sn_scope_pop(g);
    return x;
}

/* Words of the whole sequence, and whether the second sentence follows the first. */
static void pretraining(const sn_page_build *b, const sn_page_states *s) {
    sn_scope_push(b->g, "cls");
    sn_page_give(b->out, "seq_relationship_logits", sn_linear(b->g, s->pool, "seq_relationship", 2, true, SN_ACT_NONE));
    sn_scope_push(b->g, "predictions");
    sn_page_give(b->out, "prediction_logits", sn_page_words_changed(b, s->x, s->words, "decoder", "bias"));
    sn_scope_pop(b->g);
    sn_scope_pop(b->g);
}

/* The word before the text's closing token: the valid position t whose next one is the last valid one. With m the mask of
 * the T words, that is where m[t + 1] - m[t + 2] is 1. -> [N,D] */
static sn_node last_word(const sn_page_build *b, sn_node x) {
    sn_graph *g = b->g;
    if (x.id < 0) return x;
    int64_t n = sn_dim(g, x, 0), steps = sn_dim(g, b->in->ids, 1), d = sn_dim(g, x, 2);
    if (steps < 2) return sn_graph_fail(g, SN_ERR_USAGE, "a question of %lld tokens; at least 2 are needed", (long long)steps);
    sn_node mask = sn_cast(g, b->in->mask, SN_F32), at = sn_slice(g, mask, 1, steps - 1, 1);
    if (steps > 2) {
        sn_node next = sn_sub(g, sn_slice(g, mask, 1, 1, steps - 2), sn_slice(g, mask, 1, 2, steps - 2));
        at = sn_concat(g, (sn_node[]){next, at}, 2, 1);
    }
    x = sn_mul(g, sn_slice(g, x, 1, 0, steps - 1), sn_reshape(g, at, SN_SHAPE(n, steps - 1, 1)));
    return sn_reshape(g, sn_reduce_sum(g, x, 1 << 1, false), SN_SHAPE(n, d));
}

static sn_node classes(const sn_page_build *b, sn_node x, int64_t n) {
    x = sn_linear(b->g, x, "cls", n, true, SN_ACT_NONE);
    sn_page_give(b->out, "logits", x);
    return x;
}
static void reasoning(const sn_page_build *b, const sn_page_states *s) { (void)classes(b, s->pool, b->c->classes); }
static void choices(const sn_page_build *b, const sn_page_states *s) { (void)classes(b, s->pool, 1); }
static void answer(const sn_page_build *b, const sn_page_states *s) {
    sn_node logits = classes(b, last_word(b, s->x), b->c->classes);
    sn_page_give(b->out, "scores", sn_unary(b->g, SN_SOFTMAX, logits));
}

static const sn_page_head heads[] = {{"ForPreTraining", true, pretraining}, {"ForVisualReasoning", true, reasoning},
                                     {"ForMultipleChoice", true, choices}, {"ForQuestionAnswering", false, answer}, {0}};

static void build(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1], words;
    bool inside = sn_page_enter(b, "visual_bert", "embeddings.word_embeddings.weight");
    sn_blocks_io io = {.mask = b->in->mask, .hidden = hidden, .rows = b->in->rows};
    sn_node x = sn_blocks(b->g, &spec, &c->size, embed(b, &words), &io);
    sn_page_give_all(b->out, "hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    sn_node pool = sn_page_pooler(b, x, heads);
    if (inside) sn_scope_pop(b->g);
    sn_page_add_head(b, heads, (sn_page_states){x, pool, words});
}

static sn_status check(sn_page_config *c) {
    if (c->types < 2) SN_FAIL(SN_ERR_FORMAT, "\"type_vocab_size\": %lld; words and regions need 2", (long long)c->types);
    return SN_OK;
}

static const char *const questions[] = {"ForQuestionAnswering", NULL};
static const char *const ignored[] = {"*embeddings.position_ids", "cls.predictions.bias", "cls.predictions.decoder.weight",
                                      "cls.predictions.decoder.bias", NULL};
const sn_page sn_page_visual_bert = {.model_type = "visual_bert", .accepts = SN_IN_TEXT | SN_IN_REGIONS | SN_IN_JOINT,
                                     .prefix = "visual_bert", .keys = keys, .build = build, .ignored = ignored, .check = check,
                                     .questions = questions};
