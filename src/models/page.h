/* page.h: a page is one published architecture: what its config.json is called, the names of its weights, and how the
 * graph is built. The table is pages.def; a new family is its file in pages/ and its row.
 *
 *   config.json -> sn_page_config (keys) -> build: inputs -> nodes that are given names ("last_hidden_state", "logits")
 *
 * Parameters are declared under the very names of the published weights, so that loading is looking up and a saved
 * model is a directory that Transformers opens. */
#ifndef SN_PAGE_H
#define SN_PAGE_H
#include "base/json.h"
#include "nn/blocks.h"

enum { SN_PAGE_LAYERS = 128, SN_PAGE_OUTPUTS = 2 * SN_PAGE_LAYERS + 16 };

/* config.json in our words. Which members a page fills is in its keys; the rest is zero. */
typedef struct sn_page_config {
    sn_blocks_size size;
    int64_t vocabulary, positions, types;         /* text: rows of the tables */
    int64_t image, patch, channels;               /* pictures */
    int64_t mels, decoder_layers, decoder_heads, decoder_hidden, target_positions;
    int64_t projection, classes, pad, eos;
    bool flag[4];
    const json_t *json;                           /* the object itself, for what is rare */
} sn_page_config;

enum sn_page_accepts { SN_IN_IMAGE = 1, SN_IN_SOUND = 2, SN_IN_TEXT = 4, SN_IN_TARGET = 8 };

typedef enum sn_key_kind { SN_KEY_INT, SN_KEY_FLOAT, SN_KEY_BOOL, SN_KEY_ACT } sn_key_kind;
typedef struct sn_key {
    const char *name;    /* in config.json */
    sn_key_kind kind;
    size_t at;           /* in sn_page_config */
    double fallback;     /* the family's default; of an activation: sn_act */
} sn_key;
#define SN_KEY(name, kind, member, fallback) {name, SN_KEY_##kind, offsetof(sn_page_config, member), fallback}

/* Nodes that exist on the way in; SN_NO_NODE where a model has no such input. */
typedef struct sn_page_in {
    sn_node ids, types, mask;  /* int32 [N,T], [N,T], lengths [N] or [N,T] */
    sn_node first;             /* int32 [N,T]: positions, where they do not count from 0 (decoding) */
    sn_node pixels;            /* f32 [N,H,W,C], normalised */
    sn_node sound;             /* f32 [N,frames,mels] */
    sn_node target;            /* int32 [N,T]: the decoder's ids */
    sn_node encoded;           /* [N,S,D]: the encoder's output, where the decoder runs alone */
    const sn_node *cross_keys, *cross_values;
    const sn_attention_cache *cache;
    sn_node *keys, *values;
    bool last_only;            /* logits of the last step alone */
    sn_node rows;
} sn_page_in;
sn_page_in sn_page_in_none(void); /* nothing on the way in */

typedef struct sn_page_out {
    struct { char name[40]; sn_node node; } list[SN_PAGE_OUTPUTS];
    int n;
} sn_page_out;
void sn_page_give(sn_page_out *out, const char *name, sn_node node); /* later of the same name wins */
/* "name.0" … "name.<n-1>" */
void sn_page_give_all(sn_page_out *out, const char *name, const sn_node *nodes, int64_t n);
sn_node sn_page_get(const sn_page_out *out, const char *name); /* SN_NO_NODE */

typedef struct sn_page_build {
    sn_graph *g;
    const sn_page_config *c;
    const sn_page_in *in;
    sn_page_out *out;
    const char *architecture; /* "BertForMaskedLM"; "" when config.json says none */
    const struct sn_weights *weights; /* while they are being loaded; else NULL */
    bool fold;                        /* batch norms go into their convolutions (nn/convnet.h) */
    struct sn_folds *folds;           /* remembers which, while loading; else NULL */
} sn_page_build;

/* What a decoding session must know of a decoder before it builds one. */
typedef struct sn_page_decoder {
    int64_t layers, kv_width, vocabulary, positions; /* kv_width: of a position's keys */
    bool cross;                                      /* looks at an encoder's output */
} sn_page_decoder;

typedef struct sn_page {
    const char *model_type;
    unsigned accepts;        /* sn_page_accepts bits */
    const char *prefix;      /* of the base model's weights in a checkpoint with a head ("bert"); NULL: none */
    const sn_key *keys;      /* ends with a NULL name */
    void (*build)(const sn_page_build *b);
    const char *const *ignored; /* beginnings or ends ("*.attn.bias") of tensors that are buffers; NULL-terminated or NULL */
    /* Models that generate text; NULL in others. encode: in's picture or sound -> "encoded" [N,S,E] (NULL: a decoder
     * alone). decode: in->ids, first, cache, cross_keys and cross_values -> "logits", in->keys and in->values filled.
     * cross: in->encoded -> keys and values of every block. */
    sn_status (*decoder)(const sn_page_config *c, sn_page_decoder *shape);
    void (*encode)(const sn_page_build *b);
    void (*decode)(const sn_page_build *b);
    void (*cross)(const sn_page_build *b, sn_node *keys, sn_node *values);
    const char *const *timm; /* beginnings of timm's "architecture" that this page builds; NULL-terminated or NULL */
} sn_page;

/* Row for a config.json: by its "model_type", or by timm's "architecture". */
sn_status sn_page_find_for(const json_t *json, const sn_page **out);
/* Row by config.json's model_type; the error lists what is known. */
sn_status sn_page_find(const char *model_type, const sn_page **out);
/* Fills the config from its object by the page's keys; a value of a wrong type names the key. */
sn_status sn_page_read(const sn_page *page, const json_t *json, sn_page_config *c);
/* Does the architecture's name end so ("ForMaskedLM")? */
bool sn_page_is(const sn_page_build *b, const char *ending);
/* Is there a weight of this name below the current scope? In the file while it is loaded, in the store later; for a
 * model without weights `fallback`. */
bool sn_page_has(const sn_page_build *b, const char *name, bool fallback);
/* Enters the scope of the base model if its weights lie under page's prefix; true if it did (then sn_scope_pop). */
bool sn_page_enter(const sn_page_build *b, const char *prefix, const char *any);

/* ---- what several pages share ---- */
/* table [rows, width] under `name`.weight, looked up; *table gets the parameter, for a tied head. */
sn_node sn_page_table(sn_graph *g, sn_node ids, const char *name, int64_t rows, int64_t width, sn_node *table);
/* x [N,T,D] + rows [from, from + T) of the positions under `name`.weight; or the rows that `at` int32 [N,T] names. */
sn_node sn_page_positions(sn_graph *g, sn_node x, sn_node at, const char *name, int64_t rows, int64_t from);
/* The first position of x [N,T,D] -> [N,D]. */
sn_node sn_page_first(sn_graph *g, sn_node x);
/* pixels [N,H,W,C] -> patches [N,P,D] by the convolution `name`. */
sn_node sn_page_patches(sn_graph *g, sn_node pixels, const char *name, int64_t patch, int64_t width, bool bias);
/* The parameter `name` [1,1,D] or [D] before x's positions. */
sn_node sn_page_prepend(sn_graph *g, sn_node x, const char *name, sn_shape shape);
#endif
