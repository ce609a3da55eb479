/* page_heads.c: the heads that several families have over the states of a text, a row each. */
#include "models/page.h"

#include <stdio.h>

#include "nn/lora.h"
#include "params/weights.h"

/* ---- words ---- */

/* Other numbers? Asked once, while a file is being loaded; what was read of it is given back. */
static bool differ(const sn_weights *file, const sn_tensor_view *a, const sn_tensor_view *b) {
    if (a->bytes == b->bytes && a->data == b->data) return false;
    bool same = a->bytes == b->bytes && a->type.dtype == b->type.dtype && !memcmp(a->data, b->data, a->bytes);
    sn_weights_forget(file, a->data, a->bytes);
    sn_weights_forget(file, b->data, b->bytes);
    return !same;
}

/* Is there a tensor `name` that is not the same as the parameter `tied`, with which it should share its numbers? */
static bool is_own(const sn_page_build *b, const char *name, sn_node tied) {
    const sn_graph *g = b->g;
    if (tied.id < 0 || !sn_page_has(b, name, false)) return false;
    if (sn_params_sealed(g->params)) return true; /* it would not be there */
    const char *full = sn_params_name(g->params, g->instrs[g->values[tied.id].maker].attr.leaf.index);
    const sn_tensor_view *mine = sn_page_weight(b, name), *other = sn_weights_find(b->weights, full + b->skip);
    return !other || differ(b->weights, mine, other);
}

/* Of two names of one bias that which the file has; of both the second, where it is another one. */
static const char *name_of_bias(const sn_page_build *b, const char *first, const char *second) {
    if (!strcmp(first, second) || !sn_page_has(b, second, false)) return first;
    if (sn_params_sealed(b->g->params) || !sn_page_weight(b, first)) return second;
    return differ(b->weights, sn_page_weight(b, first), sn_page_weight(b, second)) ? second : first;
}

sn_node sn_page_words(const sn_page_build *b, sn_node x, sn_node table, const char *matrix, const char *bias) {
    const sn_init zeros = {SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY};
    const sn_page_config *c = b->c;
    char weight[64], other[64];
    (void)snprintf(weight, sizeof weight, "%s.weight", matrix);
    (void)snprintf(other, sizeof other, "%s.bias", matrix);
    sn_node shift = bias ? sn_param(b->g, name_of_bias(b, bias, other), SN_SHAPE(c->vocabulary), zeros) : SN_NO_NODE;
    if (c->flag[SN_PAGE_TIED] && !is_own(b, weight, table)) return sn_linear_op(b->g, x, table, shift);
    sn_scope_push(b->g, matrix);
    table = sn_param(b->g, "weight", SN_SHAPE(c->vocabulary, c->size.width), (sn_init){SN_INIT_NORMAL, 0.02f, 0});
    x = sn_lora_add(b->g, x, sn_linear_op(b->g, x, table, shift));
    sn_scope_pop(b->g);
    return x;
}

sn_node sn_page_words_changed(const sn_page_build *b, sn_node x, sn_node table, const char *matrix, const char *bias) {
    sn_scope_push(b->g, "transform");
    x = sn_linear(b->g, x, "dense", b->c->size.width, true, b->c->size.act);
    x = sn_layernorm(b->g, x, "LayerNorm", b->c->size.eps);
    sn_scope_pop(b->g);
    return sn_page_words(b, x, table, matrix, bias);
}

/* ---- tokens ---- */

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
