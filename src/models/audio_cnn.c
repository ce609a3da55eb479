/* audio_cnn.c: a convolutional encoder for log-mel spectrograms.
 *
 *   [N,T,M] -> as a picture [N,T,M,1] -> (3x3 conv + norm + ReLU + 2x2 max-pool) per entry of `channels`
 *           -> [N,T/8,M/8 * C] -> Dense `width` + ReLU per step -> mean and max over the valid steps -> [N, 2 width]
 *
 * Steps beyond a row's length are zero before every convolution, so padding never changes a result. */
#include <stdio.h>

#include "models/encoder.h"

/* Zeroes the steps of a picture [N,T,M,C] beyond the length. */
static sn_node mask(sn_graph *g, sn_node x, sn_node lengths) {
    if (x.id < 0) return x;
    sn_shape shape = sn_shape_at(g, x);
    sn_node flat = sn_reshape(g, x, SN_SHAPE(shape.dim[0], shape.dim[1], shape.dim[2] * shape.dim[3]));
    return sn_reshape(g, sn_emit(g, SN_SEQ_MASK, (sn_node[]){flat, lengths}, 2, NULL), shape);
}

static sn_node build(sn_graph *g, const json_t *options, const sn_encoder_input *in) {
    static const int64_t defaults[] = {32, 64, 128};
    static const sn_conv same = {.pad = {1, 1, 1, 1}};
    int64_t channels[3];
    int n = sn_option_ints(g, options, "channels", defaults, 3, channels, 3);
    float dropout = sn_option_float(g, options, "dropout", 0.2);
    sn_node x = sn_reshape(g, in->x, SN_SHAPE(sn_dim(g, in->x, 0), sn_dim(g, in->x, 1), sn_dim(g, in->x, 2), 1));
    for (int i = 0; i < n && x.id >= 0; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "conv%d", i + 1);
        x = sn_conv2d(g, x, name, channels[i], 3, 3, &same, SN_ACT_RELU);
        x = sn_maxpool(g, mask(g, x, in->lengths[i]), 2, 2, 2, 2);
    }
    if (x.id < 0) return x;
    sn_node lengths = in->lengths[n];
    x = sn_reshape(g, x, SN_SHAPE(sn_dim(g, x, 0), sn_dim(g, x, 1), -1));
    x = sn_dropout(g, x, in->rows, dropout, "dropout1");
    x = sn_linear(g, x, "dense", sn_option_int(g, options, "width", 256), true, SN_ACT_RELU);
    sn_node mean = sn_emit(g, SN_SEQ_MEAN, (sn_node[]){x, lengths}, 2, NULL);
    sn_node most = sn_emit(g, SN_SEQ_MAX, (sn_node[]){x, lengths}, 2, NULL);
    return sn_dropout(g, sn_concat(g, (sn_node[]){mean, most}, 2, 1), in->rows, dropout, "dropout2");
}

static const char *const keys[] = {"type", "channels", "dropout", "width", NULL};
const sn_encoder sn_encoder_audio_cnn = {"cnn", SN_MOD_AUDIO, keys, build};
