/* dataset_internal.h: what dataset.c and batch.c share. */
#ifndef SN_DATASET_INTERNAL_H
#define SN_DATASET_INTERNAL_H
#include <stdatomic.h>

#include "data/dataset.h"

enum { DECODE_CHUNK = 16 };

typedef struct column {
    const sn_feature *feature;
    int column;         /* in the table, or -1: every cell is absent */
    int32_t *unique;    /* per row: number of its cell, -1 empty */
    int64_t *first_row; /* per unique cell */
    int64_t n;
    sn_sample *samples; /* data NULL with bytes > 0: over the budget, decoded again when needed */
    char **why;         /* per unique cell: what is broken, or NULL */
    uint64_t *content;  /* per unique cell, where a published model's processor made it; else NULL */
    float *vectors;     /* per unique cell, where the encoder has spoken; else NULL */
    bool *known;
    int64_t width;
} column;

struct sn_dataset {
    const sn_model *model;
    const sn_table *table;
    int n_columns;      /* inputs, then targets; of a model that writes, the target is its last input */
    column *columns;
    bool *row_broken;
    sn_broken *broken;
    int64_t n_broken;
    size_t broken_room;
    atomic_size_t held;
    atomic_bool out_of_memory;
};

bool sn_has_cell(const column *c, int64_t row);
#endif
