/* backbone.h: a published model as the encoder of one column.
 *
 *   directory -> config.json -> page; its weights mapped, its small files kept
 *   the page's network in a graph of the caller's, below the scope "encoders.<column>" -> pooled -> [N,D]
 *
 * Only what the vector needs becomes parameters of the store, under the published names behind the scope. What else the
 * file of weights holds (heads, another tower, buffers) stays in its mapping and is written back as it was, so that what
 * is saved is again a whole directory, which Transformers opens. */
#ifndef SN_BACKBONE_H
#define SN_BACKBONE_H
#include "models/encoder.h"
#include "models/page.h"

typedef struct sn_backbone sn_backbone;
/* `directory`: as sn_pretrained_open takes it, with the files of its tokenizer or processor beside it. `whole`: every
 * tensor in it must belong to the model that config.json tells of. */
sn_status sn_backbone_open(const char *directory, enum sn_modality modality, bool whole, sn_backbone **out);
void sn_backbone_free(sn_backbone *b);
const char *sn_backbone_directory(const sn_backbone *b);
const char *sn_backbone_architecture(const sn_backbone *b); /* "GPT2LMHeadModel"; "" when config.json says none */
const sn_page_config *sn_backbone_config(const sn_backbone *b);
/* A hash of its config and of every weight, to know it again. */
uint64_t sn_backbone_hash(sn_backbone *b);

/* The options "pooling" and those of tuning; NULL-terminated. */
extern const char *const sn_backbone_keys[];
/* The vector [N,D] of in->x, in->lengths. While the store is open it is also found out which parameters the vector
 * needs, and to which layer they belong. */
sn_node sn_backbone_build(sn_backbone *b, sn_graph *g, const json_t *options, const sn_encoder_input *in);
/* Parameters first..end-1 of the store are this model's; their published names begin after `skip` characters. */
void sn_backbone_place(sn_backbone *b, int first, int end, size_t skip);
sn_status sn_backbone_load(const sn_backbone *b, sn_params *p);
/* The layer of parameter i: 0 the embeddings, then the blocks (the last also has what follows it); -1: the vector does
 * not depend on it. */
int sn_backbone_layer(const sn_backbone *b, int i);
int sn_backbone_layers(const sn_backbone *b);
/* The whole directory, with the parameters as they are now; tensors that did not change keep their dtype. */
sn_status sn_backbone_write(const sn_backbone *b, sn_params *p, const json_t *options, const char *directory);
/* Adapters that lie in the directory already are what learns: their rank, alpha and targets become the options. */
sn_status sn_backbone_adopt(const sn_backbone *b, json_t *options);
/* The store's adapters into the weights, times `scale`. */
sn_status sn_backbone_merge(const sn_backbone *b, sn_params *p, double scale);
/* "encoders/<column>", with what cannot stand in a file's name as %XX; heap. And is this such a place, not a way out? */
char *sn_backbone_place_name(const char *column);
bool sn_backbone_place_valid(const char *place);
#endif
