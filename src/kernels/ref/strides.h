/* strides.h: walking several operands under numpy broadcasting. Neighbouring axes along which every operand
 * steps evenly are merged, so that the common cases become one or two axes:
 *   same shapes -> [n];  row vector -> [rows, C] with steps (0, 1);  scalar -> [n] with step 0. */
#ifndef SN_KERNELS_REF_STRIDES_H
#define SN_KERNELS_REF_STRIDES_H
#include "kernels/ref/ref.h"

enum { SN_WALK_OPERANDS = 2 };
typedef struct sn_walk {
    int rank;
    int64_t dim[SN_MAX_RANK];
    int64_t step[SN_WALK_OPERANDS][SN_MAX_RANK]; /* in elements */
} sn_walk;

/* `over` is the broadcast shape; the output itself is walked densely. */
sn_walk sn_walk_broadcast(sn_shape over, const sn_shape *operands, int n);
/* The same for any steps; axes of size 1 vanish; rank is at least 1. */
void sn_walk_merge(sn_walk *walk, int n);
/* Element offset of operand k at flat position `at` over the axes [0, upto). */
static inline int64_t sn_walk_offset(const sn_walk *w, int k, int64_t at, int upto) {
    int64_t offset = 0;
    for (int i = upto - 1; i >= 0; i--) {
        offset += at % w->dim[i] * w->step[k][i];
        at /= w->dim[i];
    }
    return offset;
}
#endif
