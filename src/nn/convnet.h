/* convnet.h: what convolutional networks are made of: convolution with batch norm, its folding, adaptive pooling.
 *
 *   unfolded   y = act(norm(conv(x)))              parameters under the published names
 *   folded     y = act(conv'(x)), w' = w * s, b' = (b - mean) * s + beta with s = gamma / sqrt(var + eps)
 *
 * Folding is for inference alone: the convolution's weight then holds w', and its bias (the norm's, where it has none)
 * holds b'; the other statistics are no parameters any more. */
#ifndef SN_NN_CONVNET_H
#define SN_NN_CONVNET_H
#include "nn/layers.h"

typedef struct sn_conv_norm {
    const char *conv, *norm; /* names in the current scope; norm NULL: none */
    int kernel, stride, groups; /* stride, groups 0: 1; padded by kernel / 2 */
    bool bias;
    float eps;
    sn_act act;
} sn_conv_norm;

/* What was folded while a model was declared; full names. */
typedef struct sn_fold { char *conv, *norm; float eps; bool bias; } sn_fold;
typedef struct sn_folds { sn_fold *list; size_t n, room; } sn_folds;
void sn_folds_free(sn_folds *folds);
/* Is this a tensor of a norm that went into its convolution? */
bool sn_folds_have(const sn_folds *folds, const char *name);
struct sn_weights;
/* After the parameters were loaded or borrowed: makes w' and b' of them, exact in f32 to rounding. Where they are borrowed
 * nothing is copied: w' is what is read of w from then on. */
sn_status sn_folds_apply(const sn_folds *folds, sn_params *params, const struct sn_weights *weights);

/* x [N,H,W,C] -> [N,H',W',out]. `folded`: without the norm; then folds, if not NULL, remembers it. */
sn_node sn_conv_normed(sn_graph *g, sn_node x, const sn_conv_norm *o, int64_t out, bool folded, sn_folds *folds);
/* Mean over a grid of h x w windows, of which window i covers [floor(i H/h), ceil((i+1) H/h)); h, w may exceed H, W. */
sn_node sn_adaptive_avgpool(sn_graph *g, sn_node x, int64_t h, int64_t w);
#endif
