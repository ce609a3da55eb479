/* recurrent.h: a recurrent layer as products and cells. oneDNN's own recurrent primitives were tried first: in f32
 * they reach 80-100 GF/s at 64 rows and 12 steps, keep 35 floats of workspace for one of output, and have no bf16
 * backward in 2.6. Here the input side of all positions is one product, each step has a product of [rows, H], and
 * the cells (kernels/cells.h) are ours. Positions behind a row's end take no part: rows go by falling length, so that
 * those still running at a step are the first ones, and positions lie packed, step by step.
 *
 *   gx = x W_ihᵀ + b_ih  for all positions             dgh_t -> dh_(t-1) += dgh_t W_hh    step by step
 *   gh = h W_hhᵀ + b_hh, cell(gx_t, gh)  step by step   dx = dgx W_ih,  dW_ih = dgxᵀ x,  dW_hh = dghᵀ h_before */
#ifndef SN_DNNL_RECURRENT_H
#define SN_DNNL_RECURRENT_H
#include "kernels/cells.h"
#include "kernels/dnnl/product.h"

typedef struct sn_recurrence {
    const sn_cell *cell;
    sn_dtype dtype;               /* of x, the weights, y, dy, dx */
    int64_t rows, steps, inputs, width, gates;
} sn_recurrence;
sn_recurrence sn_recurrence_of(const sn_kernel_request *r);
bool sn_recurrent_accepts(const sn_kernel_request *r);

/* First member of both kernels' states. */
typedef struct sn_recurrent_state {
    sn_recurrence shape;
    char what[SN_WHAT];
} sn_recurrent_state;
/* The frame of both prepares: a state of `bytes` with its base filled, then build. plan's release must be set: it frees
 * the state also when build fails. */
sn_status sn_recurrent_prepare(const sn_kernel_request *r, sn_kernel_plan *plan, size_t bytes,
                               sn_status (*build)(void *state, const sn_kernel_request *r, sn_kernel_plan *plan));

/* Which rows run at which step. In the kernel's scratch. */
typedef struct sn_packing {
    int64_t *row;    /* [rows] by falling length; equal ones in their order */
    int64_t *active; /* [steps + 1] rows that have this step; the last is 0 */
    int64_t *start;  /* [steps + 1] the first packed position of a step; the last is the count of all */
    int64_t *place;  /* [steps + 1] */
} sn_packing;
size_t sn_packing_bytes(const sn_recurrence *r);
/* lengths [rows], or NULL: all rows have every step. */
sn_packing sn_packing_make(const sn_recurrence *r, const int32_t *lengths, void *memory);
/* Steps of a ladder over the rows of a step, and over all positions: 1 without lengths. */
enum { SN_ROW_STEPS = 4, SN_POSITION_STEPS = 8 };
/* Rows of `width` between their places and the packed ones; beyond a row's end `unpack` writes zeros, and `pack`
 * behind the last position, up to `total`. */
void sn_recurrent_pack(const sn_recurrence *r, const sn_packing *p, const void *from, int64_t width, void *to,
                       int64_t total);
void sn_recurrent_unpack(const sn_recurrence *r, const sn_packing *p, const void *from, int64_t width, void *to);
/* Zeros in the rows from..to of a packed [positions, width]. */
void sn_recurrent_clear(const sn_recurrence *r, void *of, int64_t width, int64_t from, int64_t to);
#endif
