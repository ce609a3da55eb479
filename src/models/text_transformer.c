/* text_transformer.c: a small transformer over word vectors with learned positions.
 *
 *   ids [N,T] -> word + position embedding [N,T,D] -> `layers` blocks -> mean over the valid steps -> [N,D] */
#include "models/encoder.h"

static sn_node build(sn_graph *g, const json_t *options, const sn_encoder_input *in) {
    int64_t width = sn_option_int(g, options, "width", 128), longest = sn_option_int(g, options, "max_length", 512);
    sn_transformer_options o = {sn_option_int(g, options, "heads", 4), sn_option_int(g, options, "hidden", 4 * width),
                                (int)sn_option_int(g, options, "layers", 2), sn_option_float(g, options, "dropout", 0.1)};
    sn_node x = sn_embedding(g, in->x, "words", in->vocabulary, width, 0.1f);
    if (x.id < 0) return x;
    int64_t steps = sn_dim(g, x, 1);
    if (steps > longest)
        return sn_graph_fail(g, SN_ERR_USAGE, "%lld steps, but \"max_length\" of the encoder is %lld", (long long)steps, (long long)longest);
    sn_scope_push(g, "positions");
    sn_node table = sn_param(g, "weight", SN_SHAPE(longest, width), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
    sn_scope_pop(g);
    x = sn_add(g, x, sn_reshape(g, sn_slice(g, table, 0, 0, steps), SN_SHAPE(1, steps, width)));
    x = sn_dropout(g, x, in->rows, o.dropout, "dropout");
    x = sn_transformer(g, x, in->lengths[0], in->rows, "blocks", &o);
    return sn_emit(g, SN_SEQ_MEAN, (sn_node[]){x, in->lengths[0]}, 2, NULL);
}

static const char *const keys[] = {"type", "width", "max_length", "heads", "hidden", "layers", "dropout", NULL};
const sn_encoder sn_encoder_transformer = {"transformer", SN_MOD_TEXT, keys, build};
