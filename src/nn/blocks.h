/* blocks.h: transformer blocks. One function for every family; a family is a table of weight names and options and
 * this code never learns a model's name.
 *
 *   pre-norm    x += attention(norm(x));  x += cross(norm(x));  x += mlp(norm(x))
 *   post-norm   x = norm(x + attention(x));  x = norm(x + cross(x));  x = norm(x + mlp(x))                          */
#ifndef SN_NN_BLOCKS_H
#define SN_NN_BLOCKS_H
#include "nn/attention.h"
#include "nn/layers.h"

/* Weight names below a block's scope; NULL: the model has none. Either q, k, v, or one matrix for all (qkv), or q
 * and one for keys and values (kv). */
typedef struct sn_attention_names { const char *q, *k, *v, *qkv, *kv, *out, *norm; } sn_attention_names;

typedef struct sn_blocks_spec {
    const char *layer; /* "encoder.layer.%d" */
    sn_attention_names self, cross;
    const char *up, *down, *norm;      /* the feed-forward part and its norm */
    const char *scale_self, *scale_mlp; /* vectors [D] that multiply a branch (layer scale) */
    bool post_norm, causal;
    bool gated;     /* `up` gives act's side and what it multiplies, side by side: [2 * hidden] */
    bool turned;    /* matrices lie [in, out] */
    bool bare_keys; /* keys have no bias */
    bool bare_qkv;  /* queries, keys, values have none */
} sn_blocks_spec;

typedef struct sn_blocks_size {
    int64_t layers, width, heads, kv_heads, hidden; /* kv_heads 0: as heads */
    sn_act act;
    float eps, dropout;
} sn_blocks_size;

/* What flows in and out besides x [N,T,D]. Arrays have an entry for each block; NULL: not used. */
typedef struct sn_blocks_io {
    sn_node mask;                     /* over x's positions, as sn_attention takes it */
    sn_node encoder, encoder_mask;    /* [N,S,D'] for cross-attention, unless keys and values are given: */
    const sn_node *cross_keys, *cross_values; /* [N,S,D]; N may divide x's rows: beams of one input follow each other */
    const sn_attention_cache *cache;  /* decoding: the past of each block */
    sn_node *keys, *values;           /* filled: each block's keys and values of x [N,T,D] */
    sn_node *hidden;                  /* filled: layers + 1, the x that enters each block, and the last one's output */
    sn_node rows;                     /* for dropout */
} sn_blocks_io;
sn_node sn_blocks(sn_graph *g, const sn_blocks_spec *spec, const sn_blocks_size *size, sn_node x, const sn_blocks_io *io);
/* The cross-attention keys and values of every block from the encoder's output: computed once per input. */
void sn_blocks_cross(sn_graph *g, const sn_blocks_spec *spec, const sn_blocks_size *size, sn_node encoder, sn_node *keys,
                     sn_node *values);

/* A linear layer whose matrix lies [out, in], or [in, out] when `turned`. */
sn_node sn_linear_as(sn_graph *g, sn_node x, const char *name, int64_t out, bool bias, bool turned, sn_act act);
#endif
