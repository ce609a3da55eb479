/* page_pair.c: what pages share that compare pictures with texts in one space. */
#include "models/page.h"

sn_page_build sn_page_tower(const sn_page_build *b, int part, sn_page_out *out) {
    sn_page_build tower = *b;
    tower.c = b->c->part[part];
    tower.out = out;
    tower.architecture = "";
    return tower;
}

sn_status sn_page_check_towers(sn_page_config *c) {
    for (int i = 0; i < SN_PAGE_PARTS && c->part[i]; i++) {
        if (!(c->part[i]->page->accepts & SN_IN_IMAGE)) continue;
        c->image = c->part[i]->image;
        c->patch = c->part[i]->patch;
        c->channels = c->part[i]->channels;
    }
    return SN_OK;
}

static sn_node normalised(sn_graph *g, sn_node x) {
    sn_node square = sn_reduce_sum(g, sn_unary(g, SN_SQUARE, x), 1 << 1, true);
    return sn_div(g, x, sn_unary(g, SN_SQRT, square));
}

void sn_page_compare_plain(const sn_page_build *b, sn_node pictures, sn_node texts) {
    if (pictures.id >= 0) sn_page_give(b->out, "image_embeds", pictures = normalised(b->g, pictures));
    if (texts.id >= 0) sn_page_give(b->out, "text_embeds", texts = normalised(b->g, texts));
    if (pictures.id >= 0 && texts.id >= 0) sn_page_give(b->out, "logits_per_image", sn_matmul(b->g, pictures, texts, false, true));
}

void sn_page_compare(const sn_page_build *b, sn_node pictures, sn_node texts, sn_shape scalar, bool shifted) {
    sn_graph *g = b->g;
    if (pictures.id >= 0) sn_page_give(b->out, "image_embeds", pictures = normalised(g, pictures));
    if (texts.id >= 0) sn_page_give(b->out, "text_embeds", texts = normalised(g, texts));
    if (pictures.id < 0 || texts.id < 0) return;
    const sn_init zero = {SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY};
    sn_node scale = sn_reshape(g, sn_unary(g, SN_EXP, sn_param(g, "logit_scale", scalar, zero)), SN_SHAPE(1, 1));
    sn_node y = sn_mul(g, sn_matmul(g, texts, pictures, false, true), scale);
    if (shifted) y = sn_add(g, y, sn_reshape(g, sn_param(g, "logit_bias", scalar, zero), SN_SHAPE(1, 1)));
    sn_page_give(b->out, "logits_per_text", y);
    sn_page_give(b->out, "logits_per_image", sn_transpose(g, y, (const int[]){1, 0}));
}
