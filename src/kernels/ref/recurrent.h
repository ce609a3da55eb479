/* recurrent.h: what the cells of recurrent.c and their backward pass share.
 *
 * gx = W_ih x + b_ih and gh = W_hh h + b_hh, both [G*H] in PyTorch's gate order, are computed for every cell;
 * a cell turns them into the next state. The workspace keeps `saved` values of H floats for each position:
 *   LSTM i f g o c,  GRU r z n (W_hn h + b_hn),  RNN none (y says it all). */
#ifndef SN_KERNELS_REF_RECURRENT_H
#define SN_KERNELS_REF_RECURRENT_H
#include "kernels/ref/ref.h"

typedef struct sn_ref_cell {
    int gates, saved;
    /* h and c (LSTM) are the state before and after; keep (or NULL) takes the saved values. */
    void (*forward)(int64_t width, const float *gx, const float *gh, float *h, float *c, float *keep);
    /* dh is the gradient at this position's h, dc the one carried in c; h is its value, before the one before it
     * (NULL: 0), kept and kept_before the saved values. Gives dgx, dgh, and in dh and dc what flows past the
     * gates to the position before. */
    void (*backward)(int64_t width, const float *h, const float *before, const float *kept, const float *kept_before,
                     float *dh, float *dc, float *dgx, float *dgh);
} sn_ref_cell;
/* The cell of a forward or backward op. */
const sn_ref_cell *sn_ref_cell_of(sn_op op);
#endif
