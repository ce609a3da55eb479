/* recipe.h: how long, how fast and with what a model is trained; and the config that says so.
 *
 * A config is one JSON tree (see docs/config.md). resolve() fills in what it leaves open from the data, and
 * writes a sentence for every guess into `notes`. It is a pure function of (config, tables). */
#ifndef SN_RECIPE_H
#define SN_RECIPE_H
#include "data/split.h"
#include "models/model.h"
#include "train/optimiser.h"

typedef struct sn_recipe {
    sn_optimiser_options optimiser;
    sn_schedule_options schedule;
    char *optimiser_kind, *schedule_kind; /* owned; the options point here */
    int64_t epochs, batch, patience;      /* patience 0: no early stop */
    double clip;                          /* of the gradient norm; 0: none */
    double modality_dropout, valid_fraction;
    uint64_t seed;
    double checkpoint_seconds;
    bool skip_broken;
} sn_recipe;
void sn_recipe_free(sn_recipe *r);

/* Reads the "trainer" block and the short keys over it; `rows` and the parts decide what is open. */
sn_status sn_recipe_read(const json_t *config, int64_t rows, const sn_model *m, sn_recipe *out, json_t *notes);
json_t *sn_recipe_to_json(const sn_recipe *r);

/* What resolve makes. */
typedef struct sn_plan {
    sn_model *model;   /* declared and initialised */
    sn_split split;    /* rows of the table (valid empty when a table of its own was given) */
    sn_recipe recipe;
    json_t *notes;     /* list of sentences */
} sn_plan;
sn_status sn_plan_make(const json_t *config, const sn_table *table, const sn_table *valid, sn_plan *out);
void sn_plan_free(sn_plan *plan);
/* Keys of a config, for messages and checks. */
extern const char *const sn_config_keys[];

void sn_note(json_t *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
