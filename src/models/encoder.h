/* encoder.h: what turns one modality into a vector. Rows are a table (encoders.def), one file each.
 *
 *   image [N,H,W,C]  |  audio [N,T,M] + lengths  |  text ids [N,T] + lengths  |  table numbers [N,n] + ids [N,m]
 *                                      ->  [N, width]
 *
 * What a published model that writes reads is a modality of its own, "writer": all inputs and the text itself, of which
 * it makes one number a row, the loss of that text [N,1] (backbone_writer.c). */
#ifndef SN_ENCODER_H
#define SN_ENCODER_H
#include <jansson.h>

#include "nn/layers.h"

enum sn_modality { SN_MOD_IMAGE = 1, SN_MOD_AUDIO = 2, SN_MOD_TEXT = 4, SN_MOD_TABLE = 8, SN_MOD_WRITER = 16 };

typedef struct sn_encoder_input {
    enum sn_modality modality;
    sn_node x;                      /* picture, log-mel, word ids, or standardised numbers (SN_NO_NODE: none) */
    sn_node lengths[4];             /* audio, text: at scales 1, 1/2, 1/4, 1/8 */
    sn_node categories;             /* table: int32 [N, m], 0 = absent or unknown (SN_NO_NODE: none) */
    const int64_t *category_sizes;  /* m sizes, "unknown" included */
    int n_categories;
    int64_t vocabulary;             /* text */
    sn_node pixels, sound, target, labels; /* writer: beside x, a question; what the decoder reads and is to say next */
    sn_node rows;                   /* int64 [N]: row ids, for dropout */
    struct sn_backbone *backbone;   /* "pretrained": the published model; else NULL */
} sn_encoder_input;

typedef struct sn_encoder {
    const char *name;
    unsigned accepts;               /* modalities */
    const char *const *keys;        /* options, NULL-terminated */
    sn_node (*build)(sn_graph *g, const json_t *options, const sn_encoder_input *in);
} sn_encoder;

extern const sn_encoder sn_encoder_pretrained; /* the row of published models (backbone.h) */
/* Row by name for a modality; the error lists what is known. */
sn_status sn_encoder_find(const char *name, enum sn_modality modality, const sn_encoder **out);
/* The row used when nothing is said. */
const sn_encoder *sn_encoder_default(enum sn_modality modality);
const char *sn_modality_name(enum sn_modality modality);
#endif
