/* product.h: matrix products inside a kernel of several, and their packed weights. */
#ifndef SN_DNNL_PRODUCT_H
#define SN_DNNL_PRODUCT_H
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

/* One product for several counts of its rows (m) or, where `reduces`, of what it sums over (k): `full` for the whole
 * shape and up to three or seven smaller ones that read the same b. What lies behind the rows in use is computed too;
 * behind the summed ones the caller puts zeros, up to `rows` of the product it is given. */
enum { SN_LADDER = 8 };
typedef struct sn_ladder {
    sn_product full, less[SN_LADDER - 1];
    int64_t rows[SN_LADDER]; /* of less[k], rising; rows[n] that of full */
    int n;
} sn_ladder;
/* `steps` in all, the full one with them: 1 to SN_LADDER. */
sn_status sn_ladder_create(sn_ladder *l, const sn_product_shape *s, bool reduces, int steps, size_t *scratch,
                           const char *what);
void sn_ladder_free(sn_ladder *l);
/* The smallest that holds `count`, and how many it has. */
const sn_product *sn_ladder_for(const sn_ladder *l, int64_t count, int64_t *rows);
#endif
