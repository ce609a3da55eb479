/* task.h: what is predicted. Rows are a table (tasks.def), one file each: head, loss, link, labels, metrics.
 *
 *   fused [B,W] -> head -> raw [B,K] -> loss per row [B]        (training)
 *                              raw -> link -> values [B,K]      (use: probabilities or the number) */
#ifndef SN_TASK_H
#define SN_TASK_H
#include "features/feature.h"
#include "nn/layers.h"

enum { SN_TASK_ARRAYS = 3 };

typedef struct sn_task {
    const char *name;
    unsigned kinds;          /* bit per sn_kind that it can predict */
    const char *const *keys; /* options of the output feature's loss block */
    int n_arrays;
    int64_t (*width)(const sn_feature *target);  /* K */
    sn_node (*head)(sn_graph *g, const sn_feature *target, const json_t *options, sn_node fused);
    sn_node (*loss)(sn_graph *g, const sn_feature *target, const json_t *options, sn_node raw, const sn_node *labels);
    sn_node (*link)(sn_graph *g, const sn_feature *target, sn_node raw);
    /* Labels of n rows (NULL sample: no target) and *divisor, by which the summed loss is divided. */
    sn_status (*collate)(const sn_feature *target, const json_t *options, const sn_sample *const *samples, int64_t n,
                         sn_array arrays[SN_TASK_ARRAYS], double *divisor);
    /* values [n][K] after link -> metrics object, which has "loss". */
    sn_status (*metrics)(const sn_feature *target, const sn_sample *const *samples, const float *values, int64_t n, json_t **out);
    const char *primary;     /* the metric to quote, and whether more is better */
    bool more_is_better, percent; /* percent: a share of the rows, said in points */
    /* {"value":…, "probability":…, "top":[…]} of one row's values. */
    json_t *(*predict)(const sn_feature *target, const float *values, int top);
    /* How well one row was predicted, for paired comparisons: 1 or 0 (right or wrong), or the squared error; NaN
     * where the target is not known. */
    double (*score)(const sn_feature *target, const sn_sample *sample, const float *values);
    /* Loss of one row as training counts it (without class weights and smoothing); 0 where unlabelled. */
    double (*row_loss)(const sn_feature *target, const sn_sample *sample, const float *values);
} sn_task;

/* Row by name for a column kind (NULL or "": the default of the kind). */
sn_status sn_task_find(const char *name, sn_kind kind, const sn_task **out);
#endif
