/* evaluate.h: a model's predictions over rows of a dataset, and the scores. */
#ifndef SN_EVALUATE_H
#define SN_EVALUATE_H
#include "models/exec.h"

/* Called after each batch with its predictions: values[t] is [n][K_t]. */
typedef sn_status sn_values_fn(void *context, const sn_batch *batch, const float *const *values);
/* Runs `rows` in order. `without`: parts treated as absent. */
sn_status sn_predict_rows(sn_exec *e, const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, unsigned without,
                          sn_values_fn *each, void *context);

/* {"rows":n,"targets":{col:{metrics}}}; correct (may be NULL): [n] 1 where target 0 was predicted right (category)
 * or the squared error (number), NaN where unlabelled — for paired standard errors;
 * losses (may be NULL): [n] each row's loss, summed over the targets by their weights. */
sn_status sn_evaluate_rows(sn_exec *e, const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, unsigned without,
                           double *correct, double *losses, json_t **out);
/* What published encoders say of these rows, once for all that will be asked about them (frozen.c). */
sn_status sn_encode_rows(sn_exec *e, sn_dataset *d, const int64_t *rows, int64_t n);
/* Adds "subsets" as the design says: all subsets up to 6 parts, else each alone, all but each, and all. */
sn_status sn_evaluate_subsets(sn_exec *e, const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, json_t *report);
#endif
