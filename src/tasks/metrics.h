/* metrics.h: scores from predictions, as scikit-learn defines them. All accumulate in double; rows without a
 * target (label -1, NaN) are counted apart and never enter a score. */
#ifndef SN_METRICS_H
#define SN_METRICS_H
#include "base/json.h"

/* labels[i] in -1..classes-1; probabilities [rows][classes]; names[c]. Adds to a JSON object: accuracy, loss
 * (mean negative log likelihood), precision/recall/f1 _macro/_micro/_weighted, roc_auc (binary: of class 1;
 * else macro one-vs-rest over classes present), average_precision (the same), "classes": {name: {precision,
 * recall, f1, support}}, "confusion": [[true][predicted]], "rows", "unlabelled". An undefined value is null; in the
 * averages over classes it counts as 0 (scikit-learn's default), over the classes among targets or predictions. */
sn_status sn_metrics_category(const int32_t *labels, const float *probabilities, int64_t rows, int classes,
                              const char *const *names, json_t **out);
/* targets may be NaN. mae, rmse, r2, median_ae, rows, unlabelled; loss = mean squared error. */
sn_status sn_metrics_number(const float *targets, const float *predictions, int64_t rows, json_t **out);
#endif
