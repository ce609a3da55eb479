/* plan_internal.h: what plan.c and plan_encoders.c share. */
#ifndef SN_PLAN_INTERNAL_H
#define SN_PLAN_INTERNAL_H
#include "train/recipe.h"

typedef struct sn_planner {
    const json_t *config, *preset;
    const sn_table *table;
    const int64_t *fit_rows;
    int64_t n_fit_rows;
    sn_column_guess *guesses; /* per column */
    sn_kind *kinds;
    bool *is_target, *is_input;
    int n_columns, split_column, group_column;
    sn_plan *plan;
    struct sn_backbone **backbones; /* per column: the published model that encodes it; until it is the part's */
} sn_planner;

/* The entry of `list` (input_features, output_features) with this name; NULL. */
const json_t *sn_plan_block(const json_t *config, const char *list, const char *name);
/* Opens the published model that is to encode this input column, if one is; its "preprocessing" then names the
 * processor. Before the feature is made. */
sn_status sn_plan_backbone(sn_planner *p, int column, json_t *preprocessing);
/* Encoders of all parts, after they were formed. */
sn_status sn_plan_encoders(sn_planner *p);
/* The weights of published models into the store; after it was initialised. */
sn_status sn_plan_load(const sn_planner *p);
#endif
