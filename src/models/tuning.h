/* tuning.h: how a published encoder learns: not at all, as a whole, or through adapters.
 *
 *   frozen  nothing of it moves; what it says of a cell is computed once
 *   full    every parameter moves, lower layers slower:  learning rate * tune_rate * layer_decay^(last layer - layer)
 *           unfreeze N > 0: in the first N epochs only what stands on the encoder learns, then every N epochs one more
 *           layer from the top
 *   lora    low-rank adapters move (nn/lora.h), the published weights do not
 *
 * Modes are a table (tunings in tuning.c). What they decide lies in the store: of each parameter, whether it learns and
 * by which factor of the learning rate. */
#ifndef SN_TUNING_H
#define SN_TUNING_H
#include "models/model.h"

typedef struct sn_tuning {
    const struct sn_tuning_kind *kind;
    double rate, decay;       /* tune_rate, layer_decay */
    int64_t unfreeze;         /* epochs a layer; 0: all at once */
    int64_t lora_rank;
    double lora_alpha, lora_dropout;
    const json_t *lora_targets; /* NULL: the usual ones */
    bool lora_merge;
} sn_tuning;
/* Its options, for all columns and in an encoder's block; NULL-terminated. */
#define SN_TUNING_KEYS "tune", "tune_rate", "layer_decay", "unfreeze", "lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "lora_merge"
extern const char *const sn_tuning_keys[];
sn_status sn_tuning_read(const json_t *options, sn_tuning *out);
bool sn_tuning_adapts(const sn_tuning *t); /* are there adapters? */
bool sn_tuning_never(const sn_tuning *t);  /* will nothing ever learn? */

/* Who learns in this epoch (from 0), and how fast. */
sn_status sn_model_tune(sn_model *m, int64_t epoch);
/* Does parameter i keep what its published file says, whatever is trained? */
bool sn_model_given(const sn_model *m, int i);
/* Adapters that are to be merged become part of the weights, and the model one without adapters. */
sn_status sn_model_merge(sn_model *m);
#endif
