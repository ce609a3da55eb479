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
    bool turned;           /* adapted matrices lie [in, out] */
};
#endif
