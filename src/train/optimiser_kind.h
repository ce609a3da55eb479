/* optimiser_kind.h: what one kind of optimiser is: a descriptor and one fused pass. Private to src/train.
 *
 * The pass is written once, as an always-inline body over n elements (n is a multiple of 16, the arrays do not
 * overlap), and SN_OPTIMISER_PASSES compiles it for each instruction set. The body is plain float arithmetic
 * with no sums across elements and contraction is off, so all of them give the same bits. */
#ifndef SN_TRAIN_OPTIMISER_KIND_H
#define SN_TRAIN_OPTIMISER_KIND_H
#include <math.h>

#include "train/optimiser.h"

enum { SN_MOMENTS = 2, SN_SCALARS = 8 };

/* A run of elements of one parameter. */
typedef struct sn_span {
    float *p;
    const float *g;
    float *m[SN_MOMENTS]; /* those the kind asked for; else NULL */
    uint16_t *shadow;     /* NULL: the store has none */
    size_t n;
    float k[SN_SCALARS]; /* k[0]: the gradient's scale; the others are the kind's, computed in double */
} sn_span;
typedef void (*sn_span_pass)(const sn_span *span);

enum { SN_ISA_BASE, SN_ISA_AVX2, SN_ISA_AVX512, SN_ISAS };

typedef struct sn_optimiser_kind {
    const char *name;
    sn_optimiser_options defaults;
    const char *moments[SN_MOMENTS]; /* torch.optim's names */
    /* How many of `moments` these options need. */
    int (*needs)(const sn_optimiser_options *o);
    /* k[1..] for the update that is number `step` (from 1); `rate` and `decay` are the parameter's own. */
    void (*scalars)(const sn_optimiser_options *o, int64_t step, double rate, double decay, float k[SN_SCALARS]);
    sn_span_pass pass[SN_ISAS];
} sn_optimiser_kind;

/* What optimiser.c runs and optimiser_file.c saves. */
struct sn_optimiser {
    const sn_optimiser_kind *kind;
    sn_optimiser_options options;
    sn_params *params;
    int threads, moments, isa;
    const float *gradients;
    float *moment[SN_MOMENTS];
    size_t total;
    int64_t chunks, steps;
    bool *touched;       /* a parameter: was it ever updated (its moments are worth saving) */
    double *chunk_sums;  /* for the norm */
};

#define SN_INLINE static inline __attribute__((always_inline))
#if defined(__x86_64__)
#define SN_OPTIMISER_PASSES(body)                                                                           \
    static void body##_base(const sn_span *s) { body(s); }                                                  \
    __attribute__((target("avx2"))) static void body##_avx2(const sn_span *s) { body(s); }                  \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) static void body##_avx512(const sn_span *s) { body(s); }
#define SN_OPTIMISER_PASS_TABLE(body) {body##_base, body##_avx2, body##_avx512}
#else
#define SN_OPTIMISER_PASSES(body)                                                                           \
    static void body##_base(const sn_span *s) { body(s); }
#define SN_OPTIMISER_PASS_TABLE(body) {body##_base, body##_base, body##_base}
#endif

#define SN_OPTIMISER(id) extern const sn_optimiser_kind sn_optimiser_##id;
#include "train/optimisers.def"
#undef SN_OPTIMISER
#endif
