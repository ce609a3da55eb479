/* sequence.h: what text and audio features share: arrays padded in time on the ladder. */
#ifndef SN_FEATURE_SEQUENCE_H
#define SN_FEATURE_SEQUENCE_H
#include "features/feature.h"

/* arrays[1..4]: lengths at scales 1, 1/2, 1/4, 1/8, at least 1; gives the padded length of array 0. */
sn_status sn_collate_lengths(const sn_sample *const *samples, int64_t n, sn_array *arrays, int64_t *padded);
/* Types of arrays[1..4]. */
void sn_length_types(int64_t n, sn_type types[SN_FEATURE_ARRAYS]);
#endif
