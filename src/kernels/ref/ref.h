/* ref.h: what the reference kernels share.
 *
 * Every kernel computes in f32 on blocks of at most SN_BLOCK elements: a block of an f32 operand is the operand
 * itself, a block of another dtype is converted into a buffer on the stack. One loop per op thus serves f32
 * and bf16, and the compiler vectorises it. Long sums go through sn_sum and sn_columns (double at the end). */
#ifndef SN_KERNELS_REF_REF_H
#define SN_KERNELS_REF_REF_H
#include <math.h>

#include "base/parallel.h"
#include "base/wide.h"
#include "kernels/kernel.h"

enum { SN_BLOCK = 512, SN_CHUNK = 16384 };

/* Defines sn_ref_<name>: `accept` decides, `scratch` (or NULL) says how many bytes run needs. */
#define SN_REF_SCRATCH(name, accept, run_fn, scratch_fn)                                                    \
    static sn_status prepare_##name(const sn_kernel_request *request, sn_kernel_plan *plan) {               \
        plan->run = run_fn;                                                                                 \
        return scratch_fn(request, plan);                                                                   \
    }                                                                                                       \
    extern const sn_kernel sn_ref_##name;                                                                   \
    const sn_kernel sn_ref_##name = {"ref", accept, prepare_##name};
#define SN_REF(name, accept, run_fn) SN_REF_SCRATCH(name, accept, run_fn, sn_ref_no_scratch)

sn_status sn_ref_no_scratch(const sn_kernel_request *request, sn_kernel_plan *plan);
/* Integers and workspaces where the op has them, f32 elsewhere. */
bool sn_ref_accepts_f32(const sn_kernel_request *request);
/* The same with bf16 beside f32, in any mixture. */
bool sn_ref_accepts_float(const sn_kernel_request *request);
/* The same for the norms: x, dy and y may be bf16, statistics and their gradients are f32. */
bool sn_ref_accepts_norm(const sn_kernel_request *request);
/* Any dtype; all outputs and float inputs alike (the op moves bytes). */
bool sn_ref_accepts_alike(const sn_kernel_request *request);

/* ---- blocks ---- */
/* Elements [at, at + n) of an operand as f32; n <= SN_BLOCK. */
static inline const float *sn_block_in(sn_type type, const void *base, int64_t at, int n, float *buffer) {
    return sn_floats_get(type.dtype, base, at, n, buffer);
}
/* Where to compute an output block, and its store. */
static inline float *sn_block_out(sn_type type, void *base, int64_t at, float *buffer) {
    return type.dtype == SN_F32 ? (float *)base + at : buffer;
}
static inline void sn_block_put(sn_type type, void *base, int64_t at, int n, const float *from) {
    sn_floats_put(type.dtype, from, base, at, n);
}
float sn_load(sn_type type, const void *base, int64_t at);
void sn_store(sn_type type, void *base, int64_t at, float value);

static inline int64_t sn_min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t sn_max64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t sn_pieces(int64_t total, int64_t size) { return (total + size - 1) / size; }
static inline int sn_block_size(int64_t left) { return left < SN_BLOCK ? (int)left : SN_BLOCK; }
/* Length of row n, within 0..steps. */
static inline int64_t sn_length(const int32_t *lengths, int64_t n, int64_t steps) {
    return lengths[n] < 0 ? 0 : sn_min64(lengths[n], steps);
}
static inline int64_t sn_last(sn_shape s) { return s.rank ? s.dim[s.rank - 1] : 1; }
/* Product of all dims but the last. */
static inline int64_t sn_rows(sn_shape s) { return s.rank ? sn_shape_span(s, 0, s.rank - 1) : 1; }

/* ---- sums ---- */
/* Sum of n floats: 16 lanes of f32 in short stretches, doubles across them. */
double sn_sum(const float *x, int64_t n);

/* Sums over rows for every column: x seen as [outer, rows, width] -> sums [outer, terms, width]. Rows are
 * cut into parts whose number depends on the shape alone, so the result does not depend on the threads.
 * add: acc[k * SN_BLOCK + j] += term k of (outer, row, column at + j), for rows [from, to) and n columns. */
typedef struct sn_columns {
    int64_t outer, rows, width;
    int terms;
    void (*add)(const void *context, int64_t outer, int64_t from, int64_t to, int64_t at, int n, float *acc);
    const void *context;
} sn_columns;
enum { SN_MAX_TERMS = 2 };
size_t sn_columns_scratch(int64_t outer, int64_t rows, int64_t width, int terms);
/* Returns the sums, which lie at the beginning of scratch. */
const double *sn_columns_run(const sn_columns *columns, int threads, void *scratch);

/* y = exp(x - shift) */
void sn_exp_shifted(const float *x, float shift, float *y, int n);
/* The largest of elements [at, at + n); -infinity for n = 0. */
float sn_max_of(sn_type type, const void *x, int64_t at, int64_t n);

/* ---- bytes ---- */
/* Copies `count` runs of `bytes` bytes; strides in bytes. */
void sn_copy_runs(int threads, const void *from, int64_t from_stride, void *to, int64_t to_stride, int64_t count,
                  int64_t bytes);
void sn_zero(int threads, void *to, int64_t bytes);

/* ---- activations of the fused forms and of the unary ops: y may be x ---- */
typedef void sn_unary_fn(const float *x, float *y, int n, const sn_attr *attr);
void sn_activate(sn_act act, float *y, int64_t n);
#endif
