/* backbone_internal.h: what backbone.c and backbone_graph.c share. */
#ifndef SN_BACKBONE_INTERNAL_H
#define SN_BACKBONE_INTERNAL_H
#include "models/adapters.h"
#include "models/backbone.h"
#include "models/tuning.h"
#include "nn/lora.h"
#include "params/safetensors.h"
#include "params/weights.h"

enum { SN_BACKBONE_FILES = 16 };
struct sn_backbone {
    char *directory;
    enum sn_modality modality;
    json_t *config;
    const sn_page *page;
    sn_page_config c;
    sn_weights *weights;
    struct { const char *name; sn_bytes bytes; } files[SN_BACKBONE_FILES];
    int n_files;
    const char *pooling; /* "mean" … */
    int first, end;      /* in the store */
    size_t skip;
    int16_t *layer;      /* of each */
    int layers;
    sn_adapters *adapters; /* of the directory; NULL: none */
    uint64_t hash;
    bool turned;           /* adapted matrices lie [in, out] */
};
#endif
