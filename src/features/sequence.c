/* sequence.c: lengths of a batch of sequences. */
#include "features/sequence.h"

sn_status sn_collate_lengths(const sn_sample *const *samples, int64_t n, sn_array *arrays, int64_t *padded) {
    int64_t longest = 1;
    for (int64_t i = 0; i < n; i++)
        if (samples[i]->length > longest) longest = samples[i]->length;
    *padded = sn_ladder(longest);
    for (int scale = 0; scale < 4; scale++) {
        SN_TRY(sn_array_make(&arrays[1 + scale], SN_I32, SN_SHAPE(n)));
        int32_t *lengths = arrays[1 + scale].data;
        for (int64_t i = 0; i < n; i++) {
            int64_t length = samples[i]->length >> scale;
            lengths[i] = (int32_t)(length < 1 ? 1 : length);
        }
    }
    return SN_OK;
}

void sn_length_types(int64_t n, sn_type types[SN_FEATURE_ARRAYS]) {
    for (int k = 1; k < SN_FEATURE_ARRAYS; k++) types[k] = (sn_type){SN_SHAPE(n), SN_I32};
}
