/* history.h: the epochs of a training run as a CSV file:
 *
 *   epoch,seconds,train_loss,valid_loss,learning_rate,<metric>,...
 *
 * A metric's column appears with the first epoch that reports it; what an epoch does not have is an empty cell.
 * The file is rewritten as a whole, atomically, at every epoch. Numbers read back to the very same double. */
#ifndef SN_HISTORY_H
#define SN_HISTORY_H
#include "base/file.h"

typedef struct sn_epoch {
    int64_t epoch; /* from 1 */
    double seconds, train_loss, valid_loss, learning_rate; /* NaN: none */
} sn_epoch;

typedef struct sn_history sn_history;
/* An empty history that will be written to `path` (NULL: nowhere). The file is not touched before the first epoch. */
sn_status sn_history_create(const char *path, sn_history **out);
/* For --resume: the epochs up to `last` of an earlier run's file; later ones are forgotten. No file: empty. */
sn_status sn_history_load(const char *path, int64_t last, sn_history **out);
void sn_history_free(sn_history *h);

/* Adds an epoch with n named metrics (NaN: none) and rewrites the file. After a failed write the epoch stays. */
sn_status sn_history_add(sn_history *h, const sn_epoch *epoch, const char *const *names, const double *values, int n);

int64_t sn_history_rows(const sn_history *h);
const sn_epoch *sn_history_epoch(const sn_history *h, int64_t row); /* row from 0; valid until the next add */
int sn_history_metrics(const sn_history *h);
const char *sn_history_metric_name(const sn_history *h, int metric);
double sn_history_metric(const sn_history *h, int64_t row, int metric); /* NaN: none */
#endif
