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

enum { SN_PAGE_LAYERS = 128, SN_PAGE_WIDTH = 1 << 17, SN_PAGE_OUTPUTS = 2 * SN_PAGE_LAYERS + 16, SN_PAGE_PARTS = 2 };
struct sn_page;

/* config.json in our words. Which members a page fills is in its keys; the rest is zero. */
typedef struct sn_page_config {
    sn_blocks_size size;
    int64_t vocabulary, positions, types;         /* text: rows of the tables */
    int64_t image, patch, channels;               /* pictures */
    int64_t mels, decoder_layers, decoder_heads, decoder_hidden, target_positions;
    int64_t projection, space, classes, pad, eos; /* projection, space: widths where towers meet */
    int64_t ratio, registers, region;             /* region: width of a region's features */
    bool flag[4];
    const json_t *json;                           /* the object itself, for what is rare */
    const struct sn_page *page;
    struct sn_page_config *part[SN_PAGE_PARTS];   /* nested configs (page->parts); owned */
} sn_page_config;

/* JOINT: text and picture are one sequence, the text first; the mask is int32 [N,T+S] over both, with S the picture's
 * positions: a class token and a patch each, or its regions. */
enum sn_page_accepts { SN_IN_IMAGE = 1, SN_IN_SOUND = 2, SN_IN_TEXT = 4, SN_IN_TARGET = 8, SN_IN_JOINT = 16, SN_IN_REGIONS = 32 };

/* ONLY: a key that is not read; what it says must be `only`, since the page computes nothing else. */
typedef enum sn_key_kind { SN_KEY_INT, SN_KEY_FLOAT, SN_KEY_BOOL, SN_KEY_ACT, SN_KEY_ONLY } sn_key_kind;
typedef struct sn_key {
    const char *name;    /* in config.json */
    sn_key_kind kind;
    size_t at;           /* in sn_page_config */
    double fallback;     /* the family's default; of an activation: sn_act */
    const char *only;    /* JSON */
} sn_key;
#define SN_KEY(name, kind, member, fallback) {name, SN_KEY_##kind, offsetof(sn_page_config, member), fallback, NULL}
/* Keys that many families share; the defaults are each one's own. */
#define SN_KEYS_BLOCKS(default_width, default_layers, default_heads, default_hidden, default_act, default_eps) \
    SN_KEY("hidden_size", INT, size.width, default_width), SN_KEY("num_hidden_layers", INT, size.layers, default_layers), \
    SN_KEY("num_attention_heads", INT, size.heads, default_heads), SN_KEY("intermediate_size", INT, size.hidden, default_hidden), \
    SN_KEY("hidden_act", ACT, size.act, default_act), SN_KEY("layer_norm_eps", FLOAT, size.eps, default_eps)
#define SN_KEYS_PICTURE(default_image, default_patch) \
    SN_KEY("image_size", INT, image, default_image), SN_KEY("patch_size", INT, patch, default_patch), \
    SN_KEY("num_channels", INT, channels, 3)
/* Is the word table also the last matrix? Of every page that ends in words. */
enum { SN_PAGE_TIED = 3 };
#define SN_KEY_TIED SN_KEY("tie_word_embeddings", BOOL, flag[SN_PAGE_TIED], 1)
#define SN_ONLY(name, json) {name, SN_KEY_ONLY, 0, 0, json}

/* Nodes that exist on the way in; SN_NO_NODE where a model has no such input. */
typedef struct sn_page_in {
    sn_node ids, types, mask;  /* int32 [N,T], [N,T], lengths [N] or [N,T] */
    sn_node first;             /* int32 [N,T]: positions, where they do not count from 0 (decoding) */
    sn_node pixels;            /* f32 [N,H,W,C], normalised */
    sn_node regions;           /* f32 [N,R,V]: a detector's features of parts of a picture */
    sn_node sound;             /* f32 [N,frames,mels] */
    sn_node target;            /* int32 [N,T]: the decoder's ids */
    sn_node encoded;           /* [N,S,D]: the encoder's output, where the decoder runs alone */
    sn_node encoded_mask;      /* over its positions, as `mask`; SN_NO_NODE: all are valid */
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
/* "name.i" for each "as.i" of another's outputs. */
void sn_page_give_some(sn_page_out *out, const char *name, const sn_page_out *from, const char *as);
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
    size_t skip;                      /* the scope's first characters, which names in the file do not have */
} sn_page_build;

/* What a decoding session must know of a decoder before it builds one. */
typedef struct sn_page_decoder {
    int64_t layers, kv_width, vocabulary, positions; /* kv_width: of a position's keys */
    bool cross;                                      /* looks at an encoder's output */
} sn_page_decoder;

/* A config inside the config, of a page of its own. */
typedef struct sn_page_part {
    const char *key;            /* "text_config"; NULL: no more parts */
    const struct sn_page *page; /* NULL: the one that its model_type names */
} sn_page_part;

typedef struct sn_page {
    const char *model_type;
    unsigned accepts;        /* sn_page_accepts bits */
    const char *prefix;      /* of the base model's weights in a checkpoint with a head ("bert"); NULL: none */
    const sn_key *keys;      /* ends with a NULL name */
    void (*build)(const sn_page_build *b);
    const char *const *ignored; /* beginnings or ends ("*.attn.bias") of tensors that are buffers; NULL-terminated or NULL */
    sn_page_part parts[SN_PAGE_PARTS];
    sn_status (*check)(sn_page_config *c); /* after the keys and the parts: what follows from them; or NULL */
    /* Models that generate text; NULL in others. encode: in's picture or sound -> "encoded" [N,S,E] (NULL: a decoder
     * alone). decode: in->ids, first, cache, cross_keys and cross_values -> "logits", in->keys and in->values filled.
     * cross: in->encoded -> keys and values of every block. */
    sn_status (*decoder)(const sn_page_config *c, sn_page_decoder *shape);
    void (*encode)(const sn_page_build *b);
    void (*decode)(const sn_page_build *b);
    void (*cross)(const sn_page_build *b, sn_node *keys, sn_node *values);
    /* Ends of the names of those architectures that generate text (NULL: all), and of those that answer a question about
     * what they see: `encode` reads in->ids too, and pixels or, as in->encoded, the "image_embeds" of a build with pixels
     * alone; or there are "scores" [N,classes] from 0 to 1. NULL-terminated or NULL. */
    const char *const *writers, *const *questions;
    /* Generation settings where they are not those of generation_config.json; or NULL. The caller frees them. */
    sn_status (*generation)(const sn_page_config *c, json_t **out);
    int64_t (*longest)(const sn_page_config *c); /* tokens that a text may have; NULL: `positions` */
    bool pools;  /* the vector of a text is "pooler_output"; false: the mean over its tokens is a better one */
    bool padded; /* texts are read with their padding: they must be filled up to the longest */
    bool bare;   /* texts are read without the special tokens that a tokenizer puts around them */
    /* Weights that come without a config.json: are they this page's? Then *config is one for them, and *processor a
     * preprocessor_config.json where one is needed; else both stay NULL. NULL: they never come so. */
    sn_status (*recognise)(const struct sn_weights *w, json_t **config, json_t **processor);
    const char *const *timm; /* beginnings of timm's "architecture" that this page builds; NULL-terminated or NULL */
} sn_page;

/* The name of the class in config.json, "BertForMaskedLM"; "" where it says none. */
const char *sn_page_architecture(const json_t *config);
/* Does a model of this class generate text? Does it answer questions about what it sees? */
bool sn_page_writes(const sn_page *page, const char *architecture);
bool sn_page_answers(const sn_page *page, const char *architecture);

/* Row for a config.json: by its "model_type", or by timm's "architecture". */
sn_status sn_page_find_for(const json_t *json, const sn_page **out);
/* The configuration of bare weights, by the first row that recognises them; NULL where none does. */
sn_status sn_page_recognise(const struct sn_weights *w, json_t **config, json_t **processor);
/* Row by config.json's model_type; the error lists what is known. */
sn_status sn_page_find(const char *model_type, const sn_page **out);
/* Fills the config from its object by the page's keys and parts; a value of a wrong type names the key. `json` must
 * outlive it. sn_page_config_free frees what it owns, also after a failure. */
sn_status sn_page_read(const sn_page *page, const json_t *json, sn_page_config *c);
void sn_page_config_free(sn_page_config *c);
/* Does the architecture's name end so ("ForMaskedLM")? */
bool sn_page_is(const sn_page_build *b, const char *ending);
/* The config of the part that takes inputs of this kind (sn_page_accepts): `c` itself where it has no parts. */
const sn_page_config *sn_page_side(const sn_page_config *c, unsigned kind);
int64_t sn_page_longest(const sn_page_config *c); /* tokens that a text may have; 0: no bound */
/* Is there a weight of this name below the current scope? In the file while it is loaded, in the store later; for a
 * model without weights `fallback`. */
bool sn_page_has(const sn_page_build *b, const char *name, bool fallback);
/* The file's tensor of this name below the current scope; NULL: none, or nothing is being loaded. */
const struct sn_tensor_view *sn_page_weight(const sn_page_build *b, const char *name);
/* Enters the scope of the base model if its weights lie under page's prefix; true if it did (then sn_scope_pop). */
bool sn_page_enter(const sn_page_build *b, const char *prefix, const char *any);

/* ---- what several pages share ---- */
/* x [N,T,D], or its last position [N,1,D] where in->last_only says so: what the head of a generating model reads. */
sn_node sn_page_last_only(const sn_page_build *b, sn_node x);
/* What flows into the blocks from `in`: the encoder's side, the cache, rows. */
sn_blocks_io sn_page_blocks_io(const sn_page_build *b, sn_node *hidden);
/* table [rows, width] under `name`.weight, looked up; *table gets the parameter, for a tied head. */
sn_node sn_page_table(sn_graph *g, sn_node ids, const char *name, int64_t rows, int64_t width, sn_node *table);
/* x [N,T,D] + rows [from, from + T) of the positions under `name`.weight; or the rows from + `at` int32 [N,T]. */
sn_node sn_page_positions(sn_graph *g, sn_node x, sn_node at, const char *name, int64_t rows, int64_t from);
/* sn_option_ints of whole numbers from 1 to `largest`. */
int sn_page_ints(sn_graph *g, const json_t *options, const char *key, const int64_t *fallback, int n_fallback, int64_t *out, int most,
                 int64_t largest);
/* What timm's config.json says of how the network is built must be what a page builds: in "model_args" the page's own keys
 * (NULL-terminated), the numbers of channels and classes and rates of dropout; pooling by the mean, here and beside it. */
void sn_page_timm_args(const sn_page_build *b, const char *const *own);
/* The preprocessor_config.json of torchvision's first weights for ImageNet; NULL: memory ran out. */
json_t *sn_page_torchvision_pictures(void);
/* The first position of x [N,T,D] -> [N,D]. */
sn_node sn_page_first(sn_graph *g, sn_node x);
/* ---- heads over a text's states: page_heads.c ---- */
/* What a head reads: states [N,T,D], the pooler's vector [N,D] (SN_NO_NODE: the model has none), the table of words. */
typedef struct sn_page_states { sn_node x, pool, words; } sn_page_states;
/* A head is a row of its page's list, which ends with a NULL ending. */
typedef struct sn_page_head {
    const char *ending; /* of the names of the architectures that have it: "ForMaskedLM" */
    bool pools;         /* it reads the pooler's vector: the model must have that layer */
    void (*build)(const sn_page_build *b, const sn_page_states *s); /* gives its outputs */
} sn_page_head;
/* Builds the head that the architecture's name asks for; a base model has none. */
void sn_page_add_head(const sn_page_build *b, const sn_page_head *heads, sn_page_states s);
/* The first position of x [N,T,D] through "pooler.dense" and tanh -> "pooler_output" [N,D]; SN_NO_NODE in a model without
 * that layer whose head (`heads`, or NULL) does not read it. */
sn_node sn_page_pooler(const sn_page_build *b, sn_node x, const sn_page_head *heads);
/* Heads of several pages: "classifier" of every token [N,T,classes], of the pooler's vector [N,classes], and one number of
 * it, where a row is a choice; "start_logits" and "end_logits" [N,T] of the span of an answer. */
void sn_page_token_classes(const sn_page_build *b, const sn_page_states *s);
void sn_page_text_classes(const sn_page_build *b, const sn_page_states *s);
void sn_page_choices(const sn_page_build *b, const sn_page_states *s);
void sn_page_span(const sn_page_build *b, const sn_page_states *s);
/* x [N,T,D] -> logits of words [N,T,V] by the word table as matrix and the parameter `bias` (NULL: none). Where the config
 * says that they are not tied, or the file has `matrix`.weight with other numbers, that is the matrix, as in Transformers 5;
 * `matrix`.bias is another name of the bias. _changed: after a dense layer and a norm under "transform". */
sn_node sn_page_words(const sn_page_build *b, sn_node x, sn_node table, const char *matrix, const char *bias);
sn_node sn_page_words_changed(const sn_page_build *b, sn_node x, sn_node table, const char *matrix, const char *bias);

/* ViT's blocks, which ViLT has too (pages/vit.c). */
extern const sn_blocks_spec sn_page_vit_blocks;
/* ---- pictures: page_image.c ---- */
/* in->pixels, which must have the size that the model was made for. */
sn_node sn_page_pixels(const sn_page_build *b);
/* pixels [N,H,W,C] -> patches [N,P,D] by the convolution `name`. */
sn_node sn_page_patches(sn_graph *g, sn_node pixels, const char *name, int64_t patch, int64_t width, bool bias);
/* The parameter `name` [1,1,D] or [D] before x's positions. */
sn_node sn_page_prepend(sn_graph *g, sn_node x, const char *name, sn_shape shape);
/* x [N,1+P,D] + the parameter `name` [1,1+S*S,D]: of a token before the patches, and of a grid of S x S, which is
 * brought to the size of in->pixels as PyTorch's interpolate does: bicubic, the same antialiased, or bilinear with the
 * corners in place. */
typedef enum sn_page_resize { SN_PAGE_BICUBIC, SN_PAGE_BICUBIC_SMOOTH, SN_PAGE_BILINEAR_CORNERS } sn_page_resize;
sn_node sn_page_grid_positions(const sn_page_build *b, sn_node x, const char *name, sn_page_resize kind);

/* ---- pictures and texts in one space: page_pair.c ---- */
/* The build of part `part`, whose outputs go to `out`. */
sn_page_build sn_page_tower(const sn_page_build *b, int part, sn_page_out *out);
/* A `check`: the size of pictures is that of the part that takes them. */
sn_status sn_page_check_towers(sn_page_config *c);
/* pictures [N,D], texts [M,D], as far as they are there -> "image_embeds" and "text_embeds", normalised, and of both
 * "logits_per_text" [M,N] and "logits_per_image": cosines * exp(logit_scale) (+ logit_bias, if `shifted`); `scalar` is
 * the shape of these parameters. */
void sn_page_compare(const sn_page_build *b, sn_node pictures, sn_node texts, sn_shape scalar, bool shifted);
/* The same with plain cosines, and no "logits_per_text". */
void sn_page_compare_plain(const sn_page_build *b, sn_node pictures, sn_node texts);
#endif
