/* text_cnn.c: convolutions of several widths over word vectors, the maximum of each filter (Kim 2014).
 *
 *   ids [N,T] -> embedding [N,T,E] -> conv of each width over [N,1,T,E] + ReLU -> max over valid steps
 *             -> side by side -> Dropout -> [N, filters * widths] */
#include <stdio.h>

#include "models/encoder.h"

static sn_node one_width(sn_graph *g, sn_node x, sn_node lengths, int width, int64_t filters) {
    char name[32];
    (void)snprintf(name, sizeof name, "conv%d", width);
    sn_conv same = {.pad = {0, (width - 1) / 2, 0, width / 2}};
    sn_node row = sn_reshape(g, x, SN_SHAPE(sn_dim(g, x, 0), 1, sn_dim(g, x, 1), sn_dim(g, x, 2)));
    sn_node y = sn_conv2d(g, row, name, filters, 1, width, &same, SN_ACT_RELU);
    if (y.id < 0) return y;
    y = sn_reshape(g, y, SN_SHAPE(sn_dim(g, y, 0), sn_dim(g, y, 2), filters));
    return sn_emit(g, SN_SEQ_MAX, (sn_node[]){y, lengths}, 2, NULL);
}

static sn_node build(sn_graph *g, const json_t *options, const sn_encoder_input *in) {
    static const int64_t defaults[] = {2, 3, 4};
    int64_t widths[6], filters = sn_option_int(g, options, "filters", 96);
    int n = sn_option_ints(g, options, "widths", defaults, 3, widths, 6);
    float dropout = sn_option_float(g, options, "dropout", 0.3);
    sn_node x = sn_embedding(g, in->x, "embedding", in->vocabulary, sn_option_int(g, options, "embedding", 96), 0.1f);
    x = sn_dropout(g, x, in->rows, dropout, "dropout1");
    x = sn_emit(g, SN_SEQ_MASK, (sn_node[]){x, in->lengths[0]}, 2, NULL);
    sn_node parts[6];
    for (int i = 0; i < n && x.id >= 0; i++) parts[i] = one_width(g, x, in->lengths[0], (int)widths[i], filters);
    if (x.id < 0 || n == 0) return SN_NO_NODE;
    return sn_dropout(g, sn_concat(g, parts, n, 1), in->rows, dropout, "dropout2");
}

static const char *const keys[] = {"type", "embedding", "widths", "filters", "dropout", NULL};
const sn_encoder sn_encoder_text_cnn = {"cnn", SN_MOD_TEXT, keys, build};
