/* text_bag.c: bag of words (and word n-grams, by the feature's `ngrams`): Joulin et al. 2016, "Bag of tricks".
 *
 *   ids [N,T] -> embedding [N,T,E] -> mean over the valid words -> Dropout -> [N,E] */
#include "models/encoder.h"

static sn_node build(sn_graph *g, const json_t *options, const sn_encoder_input *in) {
    int64_t width = sn_option_int(g, options, "width", 128);
    sn_node x = sn_embedding(g, in->x, "embedding", in->vocabulary, width, sn_option_float(g, options, "scale", 0.1));
    x = sn_dropout(g, x, in->rows, sn_option_float(g, options, "word_dropout", 0.5), "dropout1");
    x = sn_emit(g, SN_SEQ_MEAN, (sn_node[]){x, in->lengths[0]}, 2, NULL);
    return sn_dropout(g, x, in->rows, sn_option_float(g, options, "dropout", 0.5), "dropout2");
}

static const char *const keys[] = {"type", "width", "scale", "word_dropout", "dropout", NULL};
const sn_encoder sn_encoder_bag = {"bag", SN_MOD_TEXT, keys, build};
