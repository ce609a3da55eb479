/* image_cnn.c: a small convolutional encoder for pictures (LeCun et al. 1998; 3x3 kernels as in VGG).
 *
 *   [N,H,W,C] -> (3x3 same conv + ReLU + 2x2 max-pool) per entry of `channels` -> flatten
 *             -> Dropout -> Dense `width` + ReLU -> [N,width]
 *
 * The article's network is channels 64-128-256, width 1024, Dropout 0.5 behind the Dense layer: preset article-cnn. */
#include <stdio.h>

#include "models/encoder.h"

static sn_node build(sn_graph *g, const json_t *options, const sn_encoder_input *in) {
    static const int64_t defaults[] = {16, 32, 64};
    int64_t channels[8];
    int n = sn_option_ints(g, options, "channels", defaults, 3, channels, 8);
    int kernel = (int)sn_option_int(g, options, "kernel", 3);
    bool norm = sn_option_bool(g, options, "norm", false);
    float dropout = sn_option_float(g, options, "dropout", 0);
    sn_conv same = {.pad = {kernel / 2, kernel / 2, kernel / 2, kernel / 2}};
    sn_node x = in->x;
    for (int i = 0; i < n && x.id >= 0; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "conv%d", i + 1);
        x = sn_conv2d(g, x, name, channels[i], kernel, kernel, &same, norm ? SN_ACT_NONE : SN_ACT_RELU);
        (void)snprintf(name, sizeof name, "norm%d", i + 1);
        if (norm) x = sn_activation(g, SN_ACT_RELU, sn_batchnorm(g, x, name, 1e-5f));
        if (sn_dim(g, x, 1) >= 2 && sn_dim(g, x, 2) >= 2) x = sn_maxpool(g, x, 2, 2, 2, 2);
    }
    if (x.id < 0) return x;
    x = sn_reshape(g, x, SN_SHAPE(sn_dim(g, x, 0), -1));
    x = sn_linear(g, x, "dense", sn_option_int(g, options, "width", 256), true, SN_ACT_RELU);
    return sn_dropout(g, x, in->rows, dropout, "dropout");
}

static const char *const keys[] = {"type", "channels", "kernel", "norm", "dropout", "width", NULL};
const sn_encoder sn_encoder_image_cnn = {"cnn", SN_MOD_IMAGE, keys, build};
