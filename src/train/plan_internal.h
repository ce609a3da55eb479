/* plan_internal.h: what plan.c, plan_encoders.c and plan_writer.c share. */
#ifndef SN_PLAN_INTERNAL_H
#define SN_PLAN_INTERNAL_H
#include "models/tuning.h"
#include "train/recipe.h"

typedef struct sn_planner {
    const json_t *config, *preset;
    const sn_table *table;
    const int64_t *fit_rows;
    int64_t n_fit_rows;
    sn_column_guess *guesses; /* per column */
    sn_kind *kinds;
    bool *is_target, *is_input, *is_excluded;
    int n_columns, split_column, group_column;
    sn_plan *plan;
    struct sn_backbone **backbones; /* per column: the published model that encodes it; until it is the part's */
    struct sn_backbone *writer;     /* the published model that learns to write; NULL: none, or it is the part's */
} sn_planner;

/* The entry of `list` (input_features, output_features) with this name; NULL. */
const json_t *sn_plan_block(const json_t *config, const char *list, const char *name);
/* Opens the published model that is to encode this input column, if one is; its "preprocessing" then names the
 * processor. Before the feature is made. */
sn_status sn_plan_backbone(sn_planner *p, int column, json_t *preprocessing);
/* Into `choice`, where it says nothing: the settings of tuning at the top of the config, and `fallback` (NULL: the usual
 * one) for how it learns. Adapters that the published model came with say what they are. */
sn_status sn_plan_tuning(const sn_planner *p, const sn_part *part, json_t *choice, const char *fallback, sn_tuning *t);
/* Encoders of all parts, after they were formed. */
sn_status sn_plan_encoders(sn_planner *p);
/* The weights of published models into the store; after it was initialised. */
sn_status sn_plan_load(const sn_planner *p);

/* Opens the model that "model" names, if it does. */
sn_status sn_plan_writer(sn_planner *p);
/* Which columns it reads, once the target is known; `named`: the config says which. */
sn_status sn_plan_writer_roles(sn_planner *p, bool named);
/* How it prepares a column; before the feature is made. */
sn_status sn_plan_writer_processor(const sn_planner *p, int column, json_t *options);
/* Makes it the model's only part. */
sn_status sn_plan_writer_part(sn_planner *p);
#endif
