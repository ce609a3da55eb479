/* pretrained.h: a published model, opened from a directory as Transformers writes it.
 *
 *   config.json -> page (page.h) -> weights by their published names -> graphs of any shape -> programs
 *
 * The model is immutable after opening and shared between threads; programs are made when first needed. */
#ifndef SN_PRETRAINED_H
#define SN_PRETRAINED_H
#include <pthread.h>

#include "graph/program.h"
#include "models/page.h"

typedef struct sn_pretrained sn_pretrained;
typedef struct sn_pretrained_options {
    int threads;          /* 0: as many as this process may use */
    const char *precision; /* "auto" (also NULL) or "f32" */
    const char *adapters; /* a directory whose adapters are merged; NULL: those beside the weights, if any */
    bool inference; /* nothing trains: weights stay in their files, and programs read copies in their own layouts */
    bool fold; /* batch norms into the convolutions before them: faster, for inference alone (neither trained nor saved) */
} sn_pretrained_options;
/* `path`: a directory with config.json and weights, and perhaps adapters (adapters.h), which are merged into them. Missing, unused and
 * mis-shaped tensors are errors by name; but a head that no page builds may lie beside a base model ("bert.*"), which is opened alone. */
sn_status sn_pretrained_open(const char *path, const sn_pretrained_options *options, sn_pretrained **out);
/* The same from what was read: config.json's object, and weights, which it takes, whether it succeeds or not. Without
 * weights (NULL) it has parameters by name and shape alone: its graphs can be built, nothing can run. */
sn_status sn_pretrained_make(const json_t *config, struct sn_weights *weights, const sn_pretrained_options *options, sn_pretrained **out);
void sn_pretrained_free(sn_pretrained *m);
const char *sn_pretrained_architecture(const sn_pretrained *m); /* "BertForMaskedLM"; "" when config.json says none */
bool sn_pretrained_writes(const sn_pretrained *m);  /* does it generate text? */
bool sn_pretrained_answers(const sn_pretrained *m); /* does it answer questions? (page.h: questions) */
int sn_pretrained_threads(const sn_pretrained *m);
const sn_page *sn_pretrained_page(const sn_pretrained *m);
const sn_page_config *sn_pretrained_config(const sn_pretrained *m);
sn_params *sn_pretrained_params(const sn_pretrained *m);

/* The sizes a graph is built for; members that the page does not use are ignored. */
typedef struct sn_page_sizes {
    int64_t rows, steps;   /* text; steps 0: none goes in */
    int64_t height, width; /* pictures; 0: the config's; -1: none goes in */
    int64_t regions;       /* of a picture; 0: none go in */
    int64_t frames;        /* sound; 0: none goes in */
    int64_t target_steps;  /* of a decoder; 0: none goes in */
    int64_t texts;         /* rows of text where they are not `rows`: a picture among many texts */
} sn_page_sizes;
/* Positions that a picture has in a joint sequence (SN_IN_JOINT): a class token and the patches, or its regions. */
int64_t sn_pretrained_seen(const sn_pretrained *m, const sn_page_sizes *sizes);
/* Inputs of these sizes for a graph of the caller's, in this order as far as the page accepts them: ids [N,T], types
 * [N,T], mask (lengths [N], or as SN_IN_JOINT says); pixels [N,H,W,C]; regions [N,R,V]; sound [N,frames,mels]; target [N,target_steps];
 * with `training` rows int64 [N] at the end. */
void sn_pretrained_inputs(const sn_pretrained *m, sn_graph *g, const sn_page_sizes *sizes, bool training, sn_page_in *in);
/* A graph with its inputs made, and the whole model built on them. */
sn_status sn_pretrained_graph(const sn_pretrained *m, const sn_page_sizes *sizes, bool training, sn_graph **g,
                              sn_page_in *in, sn_page_out *out);
/* The whole model into a graph of the caller's; of a model of several parts those whose inputs are in `in`. */
sn_status sn_pretrained_build(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_page_out *out);
/* The parts of a model that generates text, into a graph of the caller's (page.h says what they read and give). */
sn_status sn_pretrained_encode(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_node *encoded);
sn_status sn_pretrained_decode(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_node *logits);
sn_status sn_pretrained_cross(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_node *keys, sn_node *values);
bool sn_pretrained_bf16(const sn_pretrained *m); /* does it compute in bf16? */
/* Compiles (and frees) a graph of this model. The caller frees the program. */
sn_status sn_pretrained_compile(const sn_pretrained *m, sn_graph *g, int n, const sn_node *outputs, int n_first,
                                sn_program **out);
#endif
