/* choices.h: scores of classes -> the best of them by name. */
#ifndef SN_PIPELINE_CHOICES_H
#define SN_PIPELINE_CHOICES_H
#include "pipelines/pipeline.h"

/* [[name, score]…] of the `most` highest of scores [n], best first. names: an array of n texts, or NULL: config.json's
 * id2label (else timm's label_names, else LABEL_i). A score that is not finite is SN_ERR_NUMERIC. */
sn_status sn_choices_top(const sn_pipeline *p, const json_t *names, const float *scores, int64_t n, int64_t most, json_t **out);
#endif
