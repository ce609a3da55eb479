/* dataset.h: a table seen through a model's features: every distinct cell decoded once, kept within a memory
 * budget, and put together into batches by a thread that runs ahead.
 *
 *   cell text -> unique number (the same picture in ten rows is one) -> sn_sample -> batch arrays */
#ifndef SN_DATASET_H
#define SN_DATASET_H
#include "models/model.h"

typedef struct sn_dataset_options {
    bool targets;       /* the target columns are needed */
    bool targets_if_any;/* they are used where the table has them */
    bool skip_broken;   /* broken rows are left out (and counted) instead of failing */
    int threads;
    size_t budget;      /* bytes of decoded samples kept; 0: 2 GiB */
} sn_dataset_options;

typedef struct sn_broken {
    int64_t row; /* from 0 */
    const char *column;
    char *why;
} sn_broken;

typedef struct sn_dataset sn_dataset;
/* Decodes every cell once. With broken cells and no skip_broken it fails, naming how many and the first. */
sn_status sn_dataset_create(const sn_model *m, const sn_table *table, const sn_dataset_options *options, sn_dataset **out);
void sn_dataset_free(sn_dataset *d);
const sn_table *sn_dataset_table(const sn_dataset *d);
int64_t sn_dataset_broken(const sn_dataset *d, const sn_broken **list);
bool sn_dataset_row_broken(const sn_dataset *d, int64_t row);
/* Is at least one target of the row known, and, where a published model is to write it, all that it reads? */
bool sn_dataset_row_labelled(const sn_dataset *d, int64_t row);
/* The target sample of a row; NULL where the cell is empty. */
const sn_sample *sn_dataset_target(const sn_dataset *d, int target, int64_t row);
/* Is a part present in a row (any of its cells; of a writer, which reads them together, all)? */
bool sn_dataset_part_present(const sn_dataset *d, int part, int64_t row);

/* ---- the cells of a column: the same text or picture in ten rows is one ---- */
int64_t sn_dataset_cells(const sn_dataset *d, int part); /* of a media or text column; 0 where the table has none */
/* The number of a row's cell; -1: empty or broken. And a row that has the cell. */
int64_t sn_dataset_cell(const sn_dataset *d, int part, int64_t row);
int64_t sn_dataset_cell_row(const sn_dataset *d, int part, int64_t cell);
int64_t sn_dataset_cell_length(const sn_dataset *d, int part, int64_t cell); /* of a sequence */
uint64_t sn_dataset_cell_content(const sn_dataset *d, int part, int64_t cell); /* a hash of what the processor made of it */
/* What the part's encoder says of every cell, [cells][width]: batches carry that from now on in place of the arrays, for
 * cells that are `known`. Both are heap and taken over; the decoded cells are let go. */
void sn_dataset_use_vectors(sn_dataset *d, int part, float *vectors, bool *known, int64_t width);

typedef struct sn_batch_part {
    int64_t present;   /* rows that have it */
    int32_t *at;       /* [present] position in the batch */
    int64_t *rows;     /* [present] row ids */
    int64_t steps;     /* padded length of a sequence */
    sn_array arrays[SN_FEATURE_ARRAYS];
    int n_arrays;
    bool encoded;      /* array 0 is what the encoder says: f32 [present, width] */
} sn_batch_part;

typedef struct sn_batch {
    int64_t n;
    int64_t *rows;     /* row ids */
    int n_parts, n_targets;
    sn_batch_part *parts;
    sn_array (*labels)[SN_TASK_ARRAYS]; /* per target; empty when not asked for */
    double *divisors;  /* per target */
} sn_batch;
void sn_batch_free(sn_batch *batch);
/* A batch of n rows in which every part is absent; rows are 0..n-1, and there is room in the parts' `at` and `rows`. */
sn_status sn_batch_blank(const sn_model *m, int64_t n, sn_batch **out);
/* sn_part_collate for the present rows into the batch's part, whose n_arrays and steps are set. */
sn_status sn_batch_collate(const sn_model *m, const sn_part *part, const sn_sample *const *const *samples, sn_batch_part *b);

typedef struct sn_batch_spec {
    bool labels;
    bool raw;           /* the arrays themselves, also where vectors are known */
    unsigned without;   /* bit per part: treated as absent in every row (subset evaluation) */
    double drop;        /* modality dropout: this share of the rows loses one part */
    uint64_t seed, step;/* which rows: a pure function of these and the row ids */
} sn_batch_spec;
sn_status sn_batch_make(const sn_dataset *d, const int64_t *rows, int64_t n, const sn_batch_spec *spec, sn_batch **out);

/* A thread that makes the batches of `rows` in order, up to four ahead. spec.step counts up from its first value. */
typedef struct sn_loader sn_loader;
sn_status sn_loader_create(const sn_dataset *d, const int64_t *rows, int64_t n, int64_t batch, const sn_batch_spec *spec, sn_loader **out);
/* The next batch (to be freed), or NULL after the last. */
sn_status sn_loader_next(sn_loader *l, sn_batch **out);
void sn_loader_free(sn_loader *l);
#endif
