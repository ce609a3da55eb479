/* recurrent.c: RNN, LSTM and GRU over word vectors or log-mel frames.
 *
 *   ids [N,T] -> embedding [N,T,E]   (audio: frames [N,T,M] as they are)
 *             -> Dropout -> `layers` recurrent layers -> last valid state (both ends when bidirectional) -> [N, width] */
#include "models/encoder.h"

static sn_node last(sn_graph *g, sn_node y, sn_node lengths) { return sn_emit(g, SN_SEQ_LAST, (sn_node[]){y, lengths}, 2, NULL); }

static sn_node build(sn_graph *g, const json_t *options, const sn_encoder_input *in, sn_op kind) {
    float dropout = sn_option_float(g, options, "dropout", 0);
    sn_node x = in->x;
    if (in->modality == SN_MOD_TEXT)
        x = sn_embedding(g, x, "embedding", in->vocabulary, sn_option_int(g, options, "embedding", 64), 1.0f);
    x = sn_dropout(g, x, in->rows, dropout, "dropout1");
    sn_recurrent_options o = {kind, sn_option_int(g, options, "width", 256), (int)sn_option_int(g, options, "layers", 1),
                              sn_option_bool(g, options, "bidirectional", false), dropout};
    sn_node y = sn_recurrent_stack(g, x, in->lengths[0], in->rows, "recurrent", &o);
    if (y.id < 0) return y;
    if (!o.bidirectional) y = last(g, y, in->lengths[0]);
    else { /* the reverse direction ends at the first step */
        sn_node there = last(g, sn_slice(g, y, 2, 0, o.width), in->lengths[0]);
        sn_node back = sn_reshape(g, sn_slice(g, sn_slice(g, y, 2, o.width, o.width), 1, 0, 1), SN_SHAPE(-1, o.width));
        y = sn_concat(g, (sn_node[]){there, back}, 2, 1);
    }
    return sn_dropout(g, y, in->rows, dropout, "dropout2");
}

static sn_node build_gru(sn_graph *g, const json_t *o, const sn_encoder_input *in) { return build(g, o, in, SN_GRU); }
static sn_node build_lstm(sn_graph *g, const json_t *o, const sn_encoder_input *in) { return build(g, o, in, SN_LSTM); }
static sn_node build_rnn(sn_graph *g, const json_t *o, const sn_encoder_input *in) { return build(g, o, in, SN_RNN); }

static const char *const keys[] = {"type", "embedding", "width", "layers", "bidirectional", "dropout", NULL};
const sn_encoder sn_encoder_gru = {"gru", SN_MOD_TEXT | SN_MOD_AUDIO, keys, build_gru};
const sn_encoder sn_encoder_lstm = {"lstm", SN_MOD_TEXT | SN_MOD_AUDIO, keys, build_lstm};
const sn_encoder sn_encoder_rnn = {"rnn", SN_MOD_TEXT | SN_MOD_AUDIO, keys, build_rnn};
