/* layers.h: the layers that model pages are written with. Each declares its parameters under `name` in the
 * current scope, with PyTorch's names, shapes and default initialisation, so that weights compare one to one. */
#ifndef SN_NN_LAYERS_H
#define SN_NN_LAYERS_H
#include <jansson.h>

#include "graph/graph.h"

/* x [..., I] -> [..., out] */
sn_node sn_linear(sn_graph *g, sn_node x, const char *name, int64_t out, bool bias, sn_act act);
/* ids int32 [...] -> [..., width]; N(0, 1) times `scale` */
sn_node sn_embedding(sn_graph *g, sn_node ids, const char *name, int64_t rows, int64_t width, float scale);
/* x [N,H,W,C] -> [N,H',W',out]; square kernel */
sn_node sn_conv2d(sn_graph *g, sn_node x, const char *name, int64_t out, int kernel_h, int kernel_w, const sn_conv *conv,
                  sn_act act);
sn_node sn_layernorm(sn_graph *g, sn_node x, const char *name, float eps);
/* Batch norm over all but the last axis; running statistics (momentum 0.1) are parameters flagged STATE. */
sn_node sn_batchnorm(sn_graph *g, sn_node x, const char *name, float eps);

typedef struct sn_recurrent_options {
    sn_op kind; /* SN_RNN, SN_LSTM, SN_GRU */
    int64_t width;
    int layers;
    bool bidirectional; /* outputs of both directions side by side: 2 * width */
    float dropout;      /* between layers */
} sn_recurrent_options;
/* x [N,T,I], lengths [N] (SN_NO_NODE: all of T) -> [N,T,width or 2 width]; names as torch.nn.GRU's (weight_ih_l0, …_reverse). */
sn_node sn_recurrent_stack(sn_graph *g, sn_node x, sn_node lengths, sn_node rows, const char *name,
                           const sn_recurrent_options *options);

/* Pre-norm transformer encoder blocks; x [N,T,D], lengths [N]. */
typedef struct sn_transformer_options {
    int64_t heads, hidden; /* hidden: of the feed-forward part */
    int layers;
    float dropout;
} sn_transformer_options;
sn_node sn_transformer(sn_graph *g, sn_node x, sn_node lengths, sn_node rows, const char *name,
                       const sn_transformer_options *options);

/* Options of a kind as a model page reads them; a value of a wrong type makes the graph fail with its name. */
int64_t sn_option_int(sn_graph *g, const json_t *options, const char *key, int64_t fallback);
float sn_option_float(sn_graph *g, const json_t *options, const char *key, double fallback);
bool sn_option_bool(sn_graph *g, const json_t *options, const char *key, bool fallback);
/* A list of whole numbers into out[0..most); how many, or `fallback` copied when absent. */
int sn_option_ints(sn_graph *g, const json_t *options, const char *key, const int64_t *fallback, int n_fallback, int64_t *out,
                   int most);
#endif
