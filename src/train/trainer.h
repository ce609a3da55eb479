/* trainer.h: the state of a training run, shared by loop, checkpoint and verdict. */
#ifndef SN_TRAINER_H
#define SN_TRAINER_H
#include <stdatomic.h>

#include "train/evaluate.h"
#include "train/recipe.h"

enum { SN_MAX_TARGETS = 32 };

/* Everything besides weights and moments that a resumed run needs; written into the checkpoint. */
typedef struct sn_progress {
    int64_t epoch, step_in_epoch; /* next to do */
    int64_t step;                 /* commits so far */
    double loss_sum, loss_weight; /* of the running epoch */
    double lowest;                /* lowest validation loss so far; INFINITY: none yet */
    double best;                  /* validation loss of the best weights (see better_enough) */
    int64_t best_epoch, since_best;
    int cuts;                     /* plateau */
    double seconds;               /* spent so far */
} sn_progress;

struct sn_trainer {
    const sn_table *table, *valid_table;
    json_t *config;   /* as given */
    sn_plan plan;
    sn_dataset *data, *valid_data; /* the same object when rows were held out */
    int64_t *rows, *valid_rows;    /* labelled and whole */
    int64_t n_rows, n_valid, unlabelled, skipped;
    sn_optimiser *optimiser;
    sn_exec *exec;
    sn_progress at;
    float *best;      /* masters of the best epoch; NULL: none yet */
    double *row_losses, *anchor; /* [n_valid] this epoch's, and those of the epoch with the lowest mean */
    bool encoded;     /* what frozen encoders say has been computed (frozen.c) */
    json_t *history;  /* list of epoch events */
    char *output, *work; /* model directory, and beside it the checkpoint; NULL: none */
    bool overwrite, begun, finished; /* begun: what lies in `work` is this run's */
    uint64_t data_hash;
    double checkpoint_at;
    atomic_bool stop;
};
typedef struct sn_trainer sn_trainer;

double sn_seconds(void); /* monotonic clock */
/* frozen.c: what encoders that never learn say of every cell that the run reads, computed once: from the file beside the
 * checkpoint if it is about the same cells and encoder, else by running them; `tell` hears of the progress (it may be NULL). */
typedef void sn_encode_fn(void *context, const char *column, int64_t done, int64_t all);
sn_status sn_trainer_encode(sn_trainer *t, sn_encode_fn *tell, void *context);
sn_status sn_trainer_note_frozen(const sn_trainer *t); /* a note on each encoder whose vectors are too many to be kept */
/* Weights, moments and progress into `work`, whole or not at all. */
sn_status sn_checkpoint_write(sn_trainer *t);
/* The config that a checkpoint holds (to make the same plan), and its state into a trainer made from it. */
sn_status sn_checkpoint_config(const char *work, json_t **config, uint64_t *data_hash);
sn_status sn_checkpoint_read(sn_trainer *t);
sn_status sn_checkpoint_remove(const char *work);
/* Is there a run to resume, or only a folder (or a file) of that name? */
sn_status sn_checkpoint_exists(const char *work, bool *out);
char *sn_checkpoint_place(const char *output); /* "<output>.training", heap */
/* Of two flat ranges what the run may change; the rest, published weights that stay, is not even touched. */
void sn_trainer_copy(const sn_trainer *t, float *to, const float *from);
sn_status sn_trainer_keep_best(sn_trainer *t); /* the masters as they are now */
/* Puts the best weights into the model. */
void sn_trainer_use_best(sn_trainer *t);
/* The finished model into `output`. */
sn_status sn_trainer_write_model(sn_trainer *t);
/* Epoch events as history.csv in a directory. */
sn_status sn_history_write(const json_t *events, const char *directory);
int64_t sn_steps_per_epoch(const sn_trainer *t);
#endif
