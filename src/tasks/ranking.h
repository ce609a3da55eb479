/* ranking.h: how well a score ranks positives above negatives: area under the ROC curve, average precision. */
#ifndef SN_TASKS_RANKING_H
#define SN_TASKS_RANKING_H
#include "base/memory.h"

typedef struct sn_ranking sn_ranking;
/* Room for `most` rows; clear, add, sort, ask; then clear again. */
sn_status sn_ranking_create(int64_t most, sn_ranking **out);
void sn_ranking_free(sn_ranking *r);
void sn_ranking_clear(sn_ranking *r);
void sn_ranking_add(sn_ranking *r, float score, bool positive);
void sn_ranking_sort(sn_ranking *r);
/* After sort. Equal scores share one threshold. NaN where it is undefined: without a positive (and, for the area,
 * without a negative), or with a score that is NaN. */
double sn_ranking_roc_auc(const sn_ranking *r);
double sn_ranking_average_precision(const sn_ranking *r);
#endif
