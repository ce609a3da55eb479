/* backbone_internal.h: what backbone.c and backbone_graph.c share. */
#ifndef SN_BACKBONE_INTERNAL_H
#define SN_BACKBONE_INTERNAL_H
#include "models/adapters.h"
#include "models/backbone.h"
#include "models/pool_modes.h"
#include "models/tuning.h"
#include "nn/lora.h"
#include "params/safetensors.h"
#include "params/weights.h"

typedef struct sn_backbone_file {
    char *name; /* relative to the directory */
    sn_bytes bytes;
} sn_backbone_file;
struct sn_backbone {
    char *directory;
    enum sn_modality modality;
    json_t *config;
    const sn_page *page;
    sn_page_config c;
    sn_weights *weights;
    sn_backbone_file *files; /* its companions */
    size_t n_files, files_room;
    unsigned pooling;      /* modes of pool_modes.h */
    int first, end;        /* in the store */
    size_t skip;
    int16_t *layer;        /* of each */
    int layers;
    sn_adapters *adapters; /* of the directory; NULL: none */
    uint64_t hash;
};

/* The page's network on these inputs, with adapters if the options ask for them; false where the graph has failed. While
 * the store is open, sn_backbone_layers_of then finds out which parameters `y` needs, and to which layer they belong. */
bool sn_backbone_run(sn_backbone *b, sn_graph *g, const json_t *options, const char *architecture, const sn_page_in *in,
                     bool encoder_alone, sn_page_out *out);
sn_node sn_backbone_layers_of(sn_backbone *b, sn_graph *g, const sn_page_out *out, sn_node y, int first);
#endif
