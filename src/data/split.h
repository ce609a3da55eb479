/* split.h: which rows learn and which are held out; a pure function of the table and the seed. */
#ifndef SN_DATA_SPLIT_H
#define SN_DATA_SPLIT_H
#include "data/table.h"

typedef struct sn_split_options {
    double valid_fraction; /* of the rows, 0 < f < 1 */
    uint64_t seed;
    int target;      /* column to stratify by (category/binary), or -1 */
    int group;       /* column whose equal values stay on one side, or -1 */
    int split;       /* column that says train/validation/test (also valid, val, dev, 0/1/2), or -1 */
} sn_split_options;

typedef struct sn_split {
    int64_t *train, *valid, *test; /* row numbers from 0, ascending */
    int64_t trains, valids, tests;
} sn_split;
/* Stratified: each class gives its rounded share, at least one row to train. Ordered by a hash of (seed, row),
 * so that the same seed gives the same split. Fails when a side that is asked for would be empty. */
sn_status sn_split_make(const sn_table *table, const sn_split_options *options, sn_split *out);
void sn_split_free(sn_split *split);
#endif
