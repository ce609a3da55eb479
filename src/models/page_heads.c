/* page_heads.c: the heads that several families have over the states of a text, a row each. */
#include "models/page.h"

sn_node sn_page_words(const sn_page_build *b, sn_node x, sn_node table, const char *bias) {
    sn_node shift = sn_param(b->g, bias, SN_SHAPE(b->c->vocabulary), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY});
    return sn_linear_op(b->g, x, table, shift);
}

sn_node sn_page_words_changed(const sn_page_build *b, sn_node x, sn_node table, const char *bias) {
    sn_scope_push(b->g, "transform");
    x = sn_linear(b->g, x, "dense", b->c->size.width, true, b->c->size.act);
    x = sn_layernorm(b->g, x, "LayerNorm", b->c->size.eps);
    sn_scope_pop(b->g);
    return sn_page_words(b, x, table, bias);
}

static void tokens(const sn_page_build *b, sn_node x) {
    sn_page_give(b->out, "logits", sn_linear(b->g, x, "classifier", b->c->classes, true, SN_ACT_NONE));
}

/* Two numbers a token: does the answer begin here, does it end here? */
static void span(const sn_page_build *b, sn_node x) {
    static const char *const names[] = {"start_logits", "end_logits"};
    sn_node y = sn_linear(b->g, x, "qa_outputs", 2, true, SN_ACT_NONE);
    for (int i = 0; y.id >= 0 && i < 2; i++)
        sn_page_give(b->out, names[i], sn_reshape(b->g, sn_slice(b->g, y, 2, i, 1), SN_SHAPE(sn_dim(b->g, x, 0), sn_dim(b->g, x, 1))));
}

static const struct {
    const char *ending; /* of the architecture's name */
    void (*build)(const sn_page_build *b, sn_node x);
} heads[] = {{"ForTokenClassification", tokens}, {"ForQuestionAnswering", span}};

bool sn_page_text_head(const sn_page_build *b, sn_node x) {
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (!sn_page_is(b, heads[i].ending)) continue;
        heads[i].build(b, x);
        return true;
    }
    return false;
}
