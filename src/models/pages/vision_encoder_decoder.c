/* An image encoder and a text decoder, each of a page of its own, in one model (as ViT and GPT-2 that caption): pixels
 * [N,H,W,C] -> encoder [N,S,D], its width brought to the decoder's where they differ -> decoder: target [N,T] -> logits. */
#include "models/page.h"

enum { ENCODER, DECODER };

/* What the decoder's cross-attention reads. */
static sn_node encode_pixels(const sn_page_build *b) {
    const sn_page_config *c = b->c->part[ENCODER];
    int64_t width = b->c->part[DECODER]->size.width;
    sn_page_out out = {.n = 0};
    sn_page_build part = sn_page_tower(b, ENCODER, &out);
    sn_scope_push(b->g, "encoder");
    c->page->build(&part);
    sn_scope_pop(b->g);
    sn_node x = sn_page_get(&out, "last_hidden_state");
    sn_page_give(b->out, "encoder_last_hidden_state", x);
    sn_page_give_some(b->out, "encoder_hidden_states", &out, "hidden_states");
    if (sn_page_has(b, "enc_to_dec_proj.weight", c->size.width != width)) x = sn_linear(b->g, x, "enc_to_dec_proj", width, true, SN_ACT_NONE);
    return x;
}

static sn_page_build decoder_part(const sn_page_build *b, const sn_page_in *in, sn_page_out *out) {
    sn_page_build part = sn_page_tower(b, DECODER, out);
    part.in = in;
    part.architecture = "LMHeadModel";
    return part;
}

static void decode_from(const sn_page_build *b, const sn_page_in *in) {
    sn_page_out out = {.n = 0};
    sn_page_build part = decoder_part(b, in, &out);
    sn_scope_push(b->g, "decoder");
    part.c->page->decode(&part);
    sn_scope_pop(b->g);
    sn_page_give_some(b->out, "decoder_hidden_states", &out, "hidden_states");
    sn_page_give(b->out, "logits", sn_page_get(&out, "logits"));
}

static void build(const sn_page_build *b) {
    sn_page_in in = *b->in;
    in.encoded = encode_pixels(b);
    in.ids = in.target;
    decode_from(b, &in);
}

static void encode(const sn_page_build *b) { sn_page_give(b->out, "encoded", encode_pixels(b)); }
static void decode(const sn_page_build *b) { decode_from(b, b->in); }

static void cross(const sn_page_build *b, sn_node *keys, sn_node *values) {
    sn_page_build part = decoder_part(b, b->in, b->out);
    sn_scope_push(b->g, "decoder");
    part.c->page->cross(&part, keys, values);
    sn_scope_pop(b->g);
}

static sn_status decoder(const sn_page_config *c, sn_page_decoder *d) {
    return c->part[DECODER]->page->decoder(c->part[DECODER], d);
}

static sn_status check(sn_page_config *c) {
    const sn_page_config *in = c->part[ENCODER], *out = c->part[DECODER];
    sn_page_decoder d;
    if (!(in->page->accepts & SN_IN_IMAGE))
        SN_FAIL(SN_ERR_UNSUPPORTED, "\"encoder\": a model of type %s does not take pictures", in->page->model_type);
    if (!out->page->cross)
        SN_FAIL(SN_ERR_UNSUPPORTED, "\"decoder\": a model of type %s does not look at an encoder's output", out->page->model_type);
    SN_TRY(decoder(c, &d));
    if (!d.cross) SN_FAIL(SN_ERR_UNSUPPORTED, "\"decoder\": \"add_cross_attention\" must be true");
    c->image = in->image;
    c->patch = in->patch;
    c->channels = in->channels;
    c->vocabulary = out->vocabulary;
    return SN_OK;
}

const sn_page sn_page_vision_encoder_decoder = {
    .model_type = "vision-encoder-decoder", .accepts = SN_IN_IMAGE | SN_IN_TARGET, .build = build, .parts = {{.key = "encoder"}, {.key = "decoder"}},
    .check = check, .decoder = decoder, .encode = encode, .decode = decode, .cross = cross};
