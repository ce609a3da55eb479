/* kernel.h: how an op is computed. Kernels lie in three columns, asked in the order dnnl, simd, ref; the first
 * that accepts a request is taken. Acceptance is a pure function of the request (never a timing).
 *
 *   select (compile time):  accepts(request) -> prepare(request, plan)      creates primitives, says sizes
 *   run:                    plan.run(plan.state, args)                      no allocation, no decisions
 *   release:                plan.release(plan.state)
 *
 * A prepared state is immutable: several sessions may run it at once; everything written lies in args. */
#ifndef SN_KERNELS_KERNEL_H
#define SN_KERNELS_KERNEL_H
#include "graph/graph.h"

typedef enum sn_isa { SN_ISA_BASE, SN_ISA_AVX2, SN_ISA_AVX512, SN_ISA_AVX512_BF16, SN_ISA_AMX } sn_isa;
/* What this processor has, capped by ONEDNN_MAX_CPU_ISA's value when set (so one switch caps both). */
sn_isa sn_isa_detect(void);
const char *sn_isa_name(sn_isa isa);
/* True where bf16 products are done in hardware. */
bool sn_isa_bf16(sn_isa isa);

struct sn_kernel_plan;
typedef struct sn_kernel_request {
    sn_op op;
    const sn_attr *attr;
    int n_in, n_out;
    const sn_type *in, *out;
    unsigned params;        /* bit k: input k is a parameter and may be packed */
    bool inference;         /* parameters never change: packing pays wherever it makes a run faster */
    unsigned unused;        /* bit k: output k is read by nobody; its pointer may be NULL at run time */
    int threads;
    sn_isa isa;
    uint64_t stream;        /* DROPOUT */
    const struct sn_kernel_plan *forward; /* backward ops: the plan of the forward instruction, or NULL */
} sn_kernel_request;

/* A parameter in another layout or dtype, kept once per key in the store and refreshed when the parameter
 * changed. `from` is the parameter in the dtype of the request. */
typedef struct sn_pack {
    size_t bytes;  /* 0: not packed */
    uint64_t key;  /* equal keys mean equal layouts of the same parameter */
    sn_status (*pack)(void *state, const void *from, void *to); /* NULL: another instruction packs it */
    /* Not NULL where a large parameter goes into the layout in parts of `part` elements (the last one may have fewer), so
     * that it need not be there twice: `from` are elements [at, at + n), `to` is the whole layout. */
    sn_status (*pack_part)(void *state, const void *from, size_t at, size_t n, void *to);
    size_t part;
    /* Not NULL where a matrix can be read out of the layout: out[i] = element (row, from + i) of `matrix`, in its dtype. With
     * `bytes` 0 there is no copy, and `packed` is what the runner gives instead (sn_params_rows). Any thread. */
    sn_status (*read)(sn_type matrix, const void *packed, int64_t row, int64_t from, int64_t n, void *out);
} sn_pack;

typedef struct sn_run_info {
    uint64_t seed, step; /* of the run: the counter of the random numbers */
} sn_run_info;

typedef struct sn_kernel_args {
    void *const *in; /* read only, by agreement */
    void *const *out;
    void *scratch;   /* plan.scratch bytes, 64-byte aligned; content undefined */
    const sn_run_info *info;
} sn_kernel_args;

typedef struct sn_kernel_plan {
    const struct sn_kernel *kernel;
    void *state;
    sn_status (*run)(const struct sn_kernel_plan *plan, const sn_kernel_args *args);
    void (*release)(void *state); /* may be NULL */
    size_t scratch;
    size_t opaque[SN_MAX_OUT];    /* bytes of each SN_OPAQUE output */
    sn_pack pack[SN_MAX_IN];
    unsigned reads_rows;          /* bit k: input k is read through pack[k].read, where whoever plans the program sets that */
    /* Copied by select, so that simple kernels need no state of their own: */
    sn_attr attr;
    sn_type in[SN_MAX_IN], out[SN_MAX_OUT];
    int n_in, n_out, threads;
    sn_op op;
    unsigned unused;
    uint64_t stream;
} sn_kernel_plan;

typedef struct sn_kernel {
    const char *name; /* "ref", "dnnl:brgemm" … for messages and `bench` */
    bool (*accepts)(const sn_kernel_request *request);
    /* Fills run, state, release, scratch, opaque, pack; the rest of plan is already there. */
    sn_status (*prepare)(const sn_kernel_request *request, sn_kernel_plan *plan);
} sn_kernel;

/* One row of each column for each op; NULL where a backend has no kernel. */
extern const sn_kernel *const sn_ref_kernels[SN_OP_COUNT];
extern const sn_kernel *const sn_simd_kernels[SN_OP_COUNT];
extern const sn_kernel *const sn_dnnl_kernels[SN_OP_COUNT];

/* Which columns select may use; a test takes one at a time. */
enum sn_backends { SN_USE_REF = 1, SN_USE_SIMD = 2, SN_USE_DNNL = 4, SN_USE_ALL = 7 };

/* Chooses and prepares. A backward op takes its forward plan's column (their workspace is private). */
sn_status sn_kernel_select(const sn_kernel_request *request, unsigned backends, sn_kernel_plan *plan);
void sn_kernel_release(sn_kernel_plan *plan);

/* The one definition of dropout's mask, for every kernel: is element `j` of row `row` kept? */
bool sn_dropout_keep(uint64_t seed, uint64_t stream, uint64_t step, int64_t row, int64_t j, float rate);
#endif
