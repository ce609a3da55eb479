/* recurrent.h: a recurrent layer as products and cells. oneDNN's own recurrent primitives were tried first: in f32
 * they reach 80-100 GF/s at 64 rows and 12 steps, keep 35 floats of workspace for one of output, and have no bf16
 * backward in 2.6. Here the input side of all positions is one product, each step has a product of [rows, H], and
 * the cells (kernels/cells.h) are ours.
 *
 *   gx = x W_ihᵀ + b_ih  for all positions             dgh_t -> dh_(t-1) += dgh_t W_hh    step by step
 *   gh = h W_hhᵀ + b_hh, cell(gx_t, gh)  step by step   dx = dgx W_ih,  dW_ih = dgxᵀ x,  dW_hh = dghᵀ h_before */
#ifndef SN_DNNL_RECURRENT_H
#define SN_DNNL_RECURRENT_H
#include "kernels/cells.h"
#include "kernels/dnnl/prim.h"

/* c [m, n] = a [m, k] b [k, n] (+ bias [n] f32). Strides in elements. */
typedef struct sn_matrix {
    sn_dtype dtype;
    int64_t row, column;
} sn_matrix;
typedef struct sn_product {
    sn_prim main, move; /* move: b into the layout that main wants */
    bool moved, packed; /* packed: b comes in main's layout */
    size_t pad_at, move_at, b_at;
} sn_product;
typedef struct sn_product_shape {
    int64_t m, k, n;
    sn_matrix a, b, c;
    bool bias;
    bool any; /* b is used many times: lay it as the primitive likes */
} sn_product_shape;
sn_status sn_product_create(sn_product *p, const sn_product_shape *s, size_t *scratch, const char *what);
void sn_product_free(sn_product *p);
/* Declares b, input `slot`, as a pack when it is a parameter; `turned`: b is the parameter transposed. */
void sn_product_pack(sn_product *p, const sn_kernel_request *r, sn_kernel_plan *plan, int slot, bool turned,
                     sn_status (*pack)(void *state, const void *from, void *to));
/* b as main wants it: itself, or moved into scratch. */
sn_status sn_product_weights(const sn_product *p, const void *b, char *scratch, const void **laid, const char *what);
sn_status sn_product_run(const sn_product *p, const void *a, const void *laid, const float *bias, void *c, char *scratch,
                         const char *what);

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

/* Between f32 and the layer's dtype. */
void sn_recurrent_put(sn_dtype dtype, const float *from, void *to, int64_t at, int64_t n);
void sn_recurrent_zero(sn_dtype dtype, void *to, int64_t at, int64_t n);
const float *sn_recurrent_get(sn_dtype dtype, const void *from, int64_t at, int64_t n, float *room);
#endif
