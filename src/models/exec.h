/* exec.h: runs a model's programs over a batch: encoders on the rows that have their input, vectors scattered into
 * the batch, the joint program, and for training the same way back. Belongs to one thread; owns the memory. */
#ifndef SN_EXEC_H
#define SN_EXEC_H
#include "data/dataset.h"

typedef struct sn_exec sn_exec;
sn_status sn_exec_create(const sn_model *m, sn_exec **out);
void sn_exec_free(sn_exec *e);
const sn_model *sn_exec_model(const sn_exec *e);

/* values[t]: [n][K] of target t, valid until the next run. */
sn_status sn_exec_predict(sn_exec *e, const sn_batch *batch, const float **values);
/* Forward and backward. losses[t]: the summed loss. Gradients of sum_t scale_t * loss_t are written into the store's
 * gradients, and new STATE values kept until sn_exec_commit_state writes them. */
sn_status sn_exec_train(sn_exec *e, const sn_batch *batch, const double *scales, const sn_run_info *info, bool check,
                        double *losses);
void sn_exec_commit_state(sn_exec *e);
/* The part's encoder alone, as in use: y [present][width], valid until the part runs again. */
sn_status sn_exec_encode(sn_exec *e, int part, const sn_batch *batch, const float **y);
/* Rows that the part's encoder has run on so far. */
int64_t sn_exec_rows(const sn_exec *e, int part);
/* Seconds by instruction of every program run so far, for bench; start with _profile. */
void sn_exec_profile(sn_exec *e);
void sn_exec_print_profile(const sn_exec *e, sn_buf *text);
#endif
