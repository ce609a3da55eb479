/* cells.h: the cells of the recurrent layers, one row of one position at a time; shared by the columns.
 *
 * gx = W_ih x + b_ih and gh = W_hh h + b_hh, both [G*H] in PyTorch's gate order, are given for every cell; a cell
 * turns them into the next state. What backward needs is kept: the gates after their functions, in the place of gx,
 * and H floats more, "extra" (LSTM c; GRU W_hn h + b_hn). y would not do: in bf16 it says 1 where tanh saturates. */
#ifndef SN_KERNELS_CELLS_H
#define SN_KERNELS_CELLS_H
#include "kernels/kernel.h"

typedef struct sn_cell {
    int gates;
    bool shares; /* dgh is dgx: backward writes dgx alone */
    /* gx becomes the gates. h and c (LSTM) are the state before and after. */
    void (*forward)(int64_t width, float *gx, const float *gh, float *h, float *c, float *extra);
    /* dh is the gradient at this position's h, dc the one carried in c; before is h one position
     * earlier, gates and extra what was kept, extra_before that of the position before (at the first zeros). Gives dgx, dgh,
     * and in dh and dc what flows past the gates to the position before. */
    void (*backward)(int64_t width, const float *before, const float *gates, const float *extra,
                     const float *extra_before, float *dh, float *dc, float *dgx, float *dgh);
} sn_cell;
/* The cell of a forward or backward op. */
const sn_cell *sn_cell_of(sn_op op);
#endif
