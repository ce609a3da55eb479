/* page_heads.c: the head that an architecture's name asks for, and those that several families have over a text's states. */
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

/* ---- rows ---- */

static const sn_page_head *head_of(const sn_page_build *b, const sn_page_head *heads) {
    for (; heads && heads->ending; heads++)
        if (sn_page_is(b, heads->ending)) return heads;
    return NULL;
}

void sn_page_add_head(const sn_page_build *b, const sn_page_head *heads, sn_page_states s) {
    const sn_page_head *head = head_of(b, heads);
    if (head) head->build(b, &s);
}

sn_node sn_page_pooler(const sn_page_build *b, sn_node x, const sn_page_head *heads) {
    const sn_page_head *head = head_of(b, heads);
    if (!(head && head->pools) && !sn_page_has(b, "pooler.dense.weight", true)) return SN_NO_NODE;
    sn_scope_push(b->g, "pooler");
    sn_node y = sn_linear(b->g, sn_page_first(b->g, x), "dense", b->c->size.width, true, SN_ACT_TANH);
    sn_scope_pop(b->g);
    sn_page_give(b->out, "pooler_output", y);
    return y;
}

static void classifier(const sn_page_build *b, sn_node x, int64_t classes) {
    sn_page_give(b->out, "logits", sn_linear(b->g, x, "classifier", classes, true, SN_ACT_NONE));
}
void sn_page_token_classes(const sn_page_build *b, const sn_page_states *s) { classifier(b, s->x, b->c->classes); }
void sn_page_text_classes(const sn_page_build *b, const sn_page_states *s) { classifier(b, s->pool, b->c->classes); }
void sn_page_choices(const sn_page_build *b, const sn_page_states *s) { classifier(b, s->pool, 1); }

void sn_page_span(const sn_page_build *b, const sn_page_states *s) {
    static const char *const names[] = {"start_logits", "end_logits"};
    sn_node y = sn_linear(b->g, s->x, "qa_outputs", 2, true, SN_ACT_NONE);
    for (int i = 0; y.id >= 0 && i < 2; i++)
        sn_page_give(b->out, names[i], sn_reshape(b->g, sn_slice(b->g, y, 2, i, 1), SN_SHAPE(sn_dim(b->g, s->x, 0), sn_dim(b->g, s->x, 1))));
}
