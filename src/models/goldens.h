/* goldens.h: a model carries a few inputs with the values it gave for them, so that `verify` can say on another
 * machine whether the numbers are the same. Stored are the arrays that enter the encoders, not the media. */
#ifndef SN_GOLDENS_H
#define SN_GOLDENS_H
#include "data/dataset.h"

/* Computes and hangs goldens of the given rows on the model (fewer rows if their arrays are large). */
sn_status sn_goldens_make(sn_model *m, const sn_dataset *d, const int64_t *rows, int64_t n);
#endif
