/* Whisper (Radford et al. 2022): sound [N,F,mels] (log-mel, F = 2 * max_source_positions) -> two convolutions over time,
 * the second with stride 2 -> positions added -> encoder [N,F/2,D]; decoder: target [N,T] -> logits [N,T,V]; pre-norm,
 * keys without bias, the word table is the last matrix too. The sinusoids of the encoder's positions lie in the file. */
#include "models/page.h"

#define EPS 1e-5f /* not in config.json */
static const sn_blocks_spec encoder = {
    .layer = "layers.%d", .bare_keys = true,
    .self = {.q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj", .out = "self_attn.out_proj",
             .norm = "self_attn_layer_norm"},
    .up = "fc1", .down = "fc2", .norm = "final_layer_norm"};
static const sn_attention_names cross = {.q = "encoder_attn.q_proj", .k = "encoder_attn.k_proj", .v = "encoder_attn.v_proj",
                                         .out = "encoder_attn.out_proj", .norm = "encoder_attn_layer_norm"};

static const sn_key keys[] = {
    SN_KEY("d_model", INT, size.width, 384), SN_KEY("encoder_layers", INT, size.layers, 4),
    SN_KEY("encoder_attention_heads", INT, size.heads, 6), SN_KEY("encoder_ffn_dim", INT, size.hidden, 1536),
    SN_KEY("activation_function", ACT, size.act, SN_ACT_GELU), SN_KEY("dropout", FLOAT, size.dropout, 0),
    SN_KEY("num_mel_bins", INT, mels, 80), SN_KEY("max_source_positions", INT, positions, 1500),
    SN_KEY("decoder_layers", INT, decoder_layers, 4), SN_KEY("decoder_attention_heads", INT, decoder_heads, 6),
    SN_KEY("decoder_ffn_dim", INT, decoder_hidden, 1536), SN_KEY("max_target_positions", INT, target_positions, 448),
    SN_KEY("vocab_size", INT, vocabulary, 51865), SN_KEY_TIED, {0}};

/* x [N,T,C] -> [N,T',D] with 3 taps; the weight [D,C,3] is that of a picture one row high */
static sn_node convolve(sn_graph *g, sn_node x, const char *name, int64_t width, int stride) {
    if (x.id < 0) return x;
    int64_t rows = sn_dim(g, x, 0), steps = sn_dim(g, x, 1), channels = sn_dim(g, x, 2);
    sn_conv conv = {.stride = {1, stride}, .pad = {0, 1, 0, 1}};
    sn_scope_push(g, name);
    sn_node w = sn_param(g, "weight", SN_SHAPE(width, channels, 3), (sn_init){SN_INIT_NORMAL, 0.02f, 0});
    sn_node b = sn_param(g, "bias", SN_SHAPE(width), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY});
    w = sn_reshape(g, w, SN_SHAPE(width, channels, 1, 3));
    sn_node y = sn_conv_op(g, sn_reshape(g, x, SN_SHAPE(rows, 1, steps, channels)), w, b, &conv);
    sn_scope_pop(g);
    return sn_activation(g, SN_ACT_GELU, sn_reshape(g, y, SN_SHAPE(rows, -1, width)));
}

/* The sinusoids are as fixed in training as they are in Transformers. */
static sn_node add_sinusoids(const sn_page_build *b, sn_node x) {
    if (x.id < 0) return x;
    int64_t steps = sn_dim(b->g, x, 1), width = b->c->size.width;
    if (steps > b->c->positions)
        return sn_graph_fail(b->g, SN_ERR_USAGE, "%lld frames of sound; the model takes up to %lld",
                             (long long)sn_dim(b->g, b->in->sound, 1), (long long)(2 * b->c->positions));
    sn_scope_push(b->g, "embed_positions");
    sn_node t = sn_param(b->g, "weight", SN_SHAPE(b->c->positions, width), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_FIXED});
    sn_scope_pop(b->g);
    return sn_add(b->g, x, sn_reshape(b->g, sn_slice(b->g, t, 0, 0, steps), SN_SHAPE(1, steps, width)));
}

/* -> [N,F/2,D] */
static sn_node encode(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    sn_scope_push(b->g, "encoder");
    sn_node x = convolve(b->g, b->in->sound, "conv1", c->size.width, 1);
    x = add_sinusoids(b, convolve(b->g, x, "conv2", c->size.width, 2));
    x = sn_dropout(b->g, x, b->in->rows, c->size.dropout, "dropout");
    sn_blocks_io io = {.mask = SN_NO_NODE, .hidden = hidden, .rows = b->in->rows};
    sn_blocks_size size = c->size;
    size.eps = EPS;
    x = sn_blocks(b->g, &encoder, &size, x, &io);
    x = hidden[size.layers] = sn_layernorm(b->g, x, "layer_norm", EPS); /* Transformers counts it as the last state */
    sn_scope_pop(b->g);
    sn_page_give_all(b->out, "encoder_hidden_states", hidden, c->size.layers + 1);
    sn_page_give(b->out, "encoder_last_hidden_state", x);
    return x;
}

/* The decoder's blocks. */
static void shape(const sn_page_config *c, sn_blocks_spec *spec, sn_blocks_size *size) {
    *spec = encoder;
    spec->causal = true;
    spec->cross = cross;
    *size = c->size;
    size->eps = EPS;
    size->layers = c->decoder_layers;
    size->heads = c->decoder_heads;
    size->hidden = c->decoder_hidden;
}

/* ids -> [N,T,D]; *words: the word table */
static sn_node decode(const sn_page_build *b, sn_node ids, sn_node encoded, sn_node *words) {
    const sn_page_config *c = b->c;
    sn_node hidden[SN_PAGE_LAYERS + 1];
    sn_blocks_spec spec;
    sn_blocks_size size;
    shape(c, &spec, &size);
    sn_scope_push(b->g, "decoder");
    sn_node x = sn_page_table(b->g, ids, "embed_tokens", c->vocabulary, size.width, words);
    x = sn_page_positions(b->g, x, b->in->first, "embed_positions", c->target_positions, 0);
    x = sn_dropout(b->g, x, b->in->rows, size.dropout, "dropout");
    sn_blocks_io io = {.mask = SN_NO_NODE, .encoder = encoded, .encoder_mask = SN_NO_NODE, .cross_keys = b->in->cross_keys,
                       .cross_values = b->in->cross_values, .cache = b->in->cache, .keys = b->in->keys,
                       .values = b->in->values, .hidden = hidden, .rows = b->in->rows};
    x = sn_blocks(b->g, &spec, &size, x, &io);
    x = hidden[size.layers] = sn_layernorm(b->g, x, "layer_norm", EPS);
    sn_scope_pop(b->g);
    sn_page_give_all(b->out, "decoder_hidden_states", hidden, size.layers + 1);
    return x;
}

/* The decoder and, where it has to work on sound, the encoder before it. */
static void both(const sn_page_build *b, sn_node ids, bool listen) {
    sn_node words;
    bool inside = sn_page_enter(b, "model", "decoder.embed_tokens.weight");
    sn_node x = decode(b, ids, listen ? encode(b) : b->in->encoded, &words);
    if (inside) sn_scope_pop(b->g);
    sn_page_give(b->out, "last_hidden_state", x);
    if (!sn_page_is(b, "ForConditionalGeneration")) return;
    if (b->in->last_only && x.id >= 0) x = sn_slice(b->g, x, 1, sn_dim(b->g, x, 1) - 1, 1);
    sn_page_give(b->out, "logits", sn_page_words(b, x, words, "proj_out", NULL));
}

static void build(const sn_page_build *b) { both(b, b->in->target, true); }
static void build_decoder(const sn_page_build *b) { both(b, b->in->ids, false); }

static void build_encoder(const sn_page_build *b) {
    bool inside = sn_page_enter(b, "model", "encoder.conv1.weight");
    sn_page_give(b->out, "encoded", encode(b));
    if (inside) sn_scope_pop(b->g);
}

static void cross_parts(const sn_page_build *b, sn_node *k, sn_node *v) {
    sn_blocks_spec spec;
    sn_blocks_size size;
    shape(b->c, &spec, &size);
    bool inside = sn_page_enter(b, "model", "decoder.embed_tokens.weight");
    sn_scope_push(b->g, "decoder");
    sn_blocks_cross(b->g, &spec, &size, b->in->encoded, k, v);
    sn_scope_pop(b->g);
    if (inside) sn_scope_pop(b->g);
}

static sn_status decoder(const sn_page_config *c, sn_page_decoder *d) {
    *d = (sn_page_decoder){c->decoder_layers, c->size.width, c->vocabulary, c->target_positions, true};
    return SN_OK;
}

static const char *const ignored[] = {"proj_out.weight", NULL};
const sn_page sn_page_whisper = {.model_type = "whisper", .accepts = SN_IN_SOUND | SN_IN_TARGET, .prefix = "model", .keys = keys,
                                 .build = build, .ignored = ignored, .decoder = decoder, .encode = build_encoder,
                                 .decode = build_decoder, .cross = cross_parts};
