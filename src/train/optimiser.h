/* optimiser.h: one commit over the flat ranges of the store. Kinds are a table (optimisers.def), one file each.
 *
 *   sgd (momentum, nesterov), rmsprop, adam, adamw: the definitions and defaults of torch.optim.
 *
 * A commit reads gradient, master and moments once and writes master, moments and the bf16 shadow (if the store
 * has one) in the same pass, in fixed chunks over sn_parallel: results do not depend on the thread count. */
#ifndef SN_OPTIMISER_H
#define SN_OPTIMISER_H
#include "base/json.h"
#include "params/params.h"

typedef struct sn_optimiser_options {
    const char *kind;                 /* "adamw" */
    double momentum;                  /* sgd, rmsprop */
    bool nesterov;
    double beta1, beta2, eps, alpha;  /* adam(w): beta1 beta2 eps; rmsprop: alpha eps */
    double weight_decay;              /* not applied to parameters flagged NO_DECAY */
} sn_optimiser_options;
/* torch.optim's defaults of the kind (weight decay 0.01 for adamw). Fails with the known kinds. */
sn_status sn_optimiser_defaults(const char *kind, sn_optimiser_options *out);

typedef struct sn_optimiser sn_optimiser;
sn_status sn_optimiser_create(const sn_optimiser_options *options, sn_params *params, int threads, sn_optimiser **out);
void sn_optimiser_free(sn_optimiser *o);

/* L2 norm of scale * gradients over trainable parameters, in double, over fixed chunks. Not finite if any
 * gradient is not: *bad is then the first such parameter's index, else -1. */
double sn_optimiser_norm(const sn_optimiser *o, double scale, int *bad);
/* One update: gradient * scale, learning rate * the parameter's factor. Frozen and STATE parameters stay. */
void sn_optimiser_commit(sn_optimiser *o, double learning_rate, double scale);
int64_t sn_optimiser_steps(const sn_optimiser *o);

/* Moments and step, as tensors of a safetensors file ("<moment>.<parameter>"); bit-exact round trip. */
sn_status sn_optimiser_save(const sn_optimiser *o, const char *path);
sn_status sn_optimiser_load(sn_optimiser *o, const char *path);

/* ---- learning-rate schedules: a table (schedules.def), one function each ---- */
typedef struct sn_schedule_options {
    const char *kind;        /* "constant" "step" "cosine" "one_cycle" "plateau" */
    double learning_rate;    /* the peak */
    double warmup_fraction;  /* of all steps, linear from 0 (not for one_cycle, which has its own rise) */
    double decay;            /* step, plateau: factor */
    int64_t every;           /* step: epochs; plateau: epochs without improvement */
    double rise;             /* one_cycle: fraction of steps rising (torch's pct_start 0.3) */
} sn_schedule_options;
sn_status sn_schedule_check(const sn_schedule_options *o); /* known kind, sane values */
/* Rate for step 0..total-1. `cuts`: plateau's number of reductions so far. one_cycle is torch's with cosine
 * annealing, div_factor 25, final_div_factor 1e4. */
double sn_schedule_rate(const sn_schedule_options *o, int64_t step, int64_t total, int64_t steps_per_epoch, int cuts);
#endif
