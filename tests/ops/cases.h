/* cases.h: the one list of op cases, and the harness that runs an op's kernel on plain buffers.
 *
 *   test_kernels.c    every kernel of every column against ref, bf16 against f32, threads, in place, coverage
 *   test_gradients.c  every gradient against finite differences
 *   test_goldens.c    ref and dnnl against PyTorch's numbers */
#ifndef SN_TEST_OPS_CASES_H
#define SN_TEST_OPS_CASES_H
#include "kernels/kernel.h"
#include "ops/op.h"

/* What an input is filled with. Capitals and the integers get no gradient check. */
enum sn_fill_kind {
    SN_FILL_NORMAL = 'n',   /* mean 0, deviation 1 */
    SN_FILL_CONST = 'C',    /* the same, no gradient */
    SN_FILL_WIDE = 'w',     /* deviation 6: saturates */
    SN_FILL_POSITIVE = 'p', /* [0.5, 2] */
    SN_FILL_SCALE = 'P',    /* the same, no gradient */
    SN_FILL_AWAY = 'a',     /* 0.2 <= |x| <= 1.5: away from a kink at 0 */
    SN_FILL_DISTINCT = 'd', /* a permutation of a grid of 0.1: no ties, no close seconds */
    SN_FILL_UNIT = 'U',     /* (0, 1) */
    SN_FILL_LENGTHS = 'L',  /* int32 0..limit; the first is limit, the second 0 */
    SN_FILL_IDS = 'I',      /* int32 0..limit-1 */
    SN_FILL_LABELS = 'B',   /* int32 -1..limit-1; the second is -1 */
    SN_FILL_ROWS = 'R'      /* int64 row ids */
};

typedef struct sn_case_in {
    sn_type type;
    int fill, limit;
} sn_case_in;

typedef struct sn_case {
    sn_op op;
    const char *what;
    sn_attr attr;
    sn_case_in in[SN_MAX_IN]; /* up to the first without a fill */
    sn_type out;              /* leaves only: the type the builder gives */
    sn_op forward;            /* backward ops with a workspace: their forward op, whose inputs `in` then are */
} sn_case;

extern const sn_case sn_cases[];
extern const int sn_case_count;
int sn_case_inputs(const sn_case *c);
static inline bool sn_fill_differentiable(int fill) { return fill >= 'a' && fill <= 'z'; }

/* ---- buffers: exact sizes, so that the address sanitizer sees one byte too far ---- */

typedef struct sn_buffer {
    sn_type type;
    void *data;
    size_t bytes;
} sn_buffer;
void sn_buffer_make(sn_buffer *b, sn_type type, size_t opaque_bytes); /* every byte 0xFF: NaN until written */
void sn_buffer_free(sn_buffer *b);
void sn_buffer_fill(sn_buffer *b, int fill, int limit, uint64_t seed);
float sn_buffer_get(const sn_buffer *b, int64_t i);
/* f32 -> bf16 in place; sn_buffer_round keeps f32 but with bf16's values. */
void sn_buffer_to_bf16(sn_buffer *b);
void sn_buffer_round(sn_buffer *b);
/* Largest |a - b|, divided by the largest |b| (at least 1e-3); infinite where one is NaN and the other not. */
double sn_buffer_distance(const sn_buffer *a, const sn_buffer *b);

/* ---- one op on buffers ---- */

typedef struct sn_call {
    sn_op op;
    sn_attr attr;
    int n_in, threads;
    sn_buffer *in;
    unsigned backends, unused, params;
    bool in_place;                 /* output 0 is a copy of input 0, overwritten */
    const sn_type *out;            /* NULL: from the shape rule */
    const sn_kernel_plan *forward;
} sn_call;

typedef struct sn_result {
    sn_kernel_plan plan;
    int n_out;
    sn_buffer out[SN_MAX_OUT];
} sn_result;
/* Selects, packs what may be packed, runs. The result is to be freed also after a failure. */
sn_status sn_call_run(const sn_call *call, sn_result *result);
void sn_result_free(sn_result *result);

/* The inputs of a case; a backward case with `forward` runs it in the given columns first (kept in *before, which
 * must outlive the call) and appends what the backward op reads. n: receives the number of inputs. */
typedef enum sn_case_dtype { SN_CASE_F32, SN_CASE_BF16, SN_CASE_ROUNDED } sn_case_dtype;
sn_status sn_case_prepare(const sn_case *c, sn_case_dtype dtype, unsigned backends, int threads, sn_buffer in[SN_MAX_IN],
                          int *n, sn_result *before);
#endif
