/* goldens.h: a few rows that a model carries with their results, so that `verify` can tell whether it computes the
 * same on this machine as where it was trained.
 *
 * Kept are the arrays that enter the encoders (the files they came from may not travel) and the values after link:
 *
 *   goldens.safetensors   inputs/<part>/<k>  array k of the part, of its present rows
 *                         at/<part>          I32: which of the rows those are
 *                         values/<target>    F32 [rows, K]
 *   config.json           "goldens": {"rows": n, "bf16": where the values were computed}  */
#ifndef SN_GOLDENS_H
#define SN_GOLDENS_H
#include "data/dataset.h"

typedef struct sn_goldens {
    sn_batch *batch;
    int n_values;   /* targets */
    float **values; /* [rows][K] */
} sn_goldens;

/* Takes the first rows of `rows` (at most 4, fewer where their arrays exceed 1 MB in all) and computes their values
 * with the model as it is; replaces the goldens it had. The rows must not be broken. */
sn_status sn_goldens_make(sn_model *m, const sn_dataset *d, const int64_t *rows, int64_t n);
void sn_goldens_free(sn_goldens *goldens);
/* Writes goldens.safetensors into the directory; nothing when the model has none. */
sn_status sn_goldens_write(const sn_model *m, const char *directory);
/* Reads them, if config.json told of some and the file is there. */
sn_status sn_goldens_read(sn_model *m, const char *directory);
/* |found - kept| / max(1, |kept|), the largest; and whether every value is the same to the bit. */
sn_status sn_goldens_compare(const sn_model *m, double *largest, bool *identical);
/* How large that difference may be: 1e-4, or 5e-2 where either side computed in bf16. */
double sn_goldens_tolerance(const sn_model *m);
#endif
