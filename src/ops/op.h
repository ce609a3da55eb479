/* op.h: the op table's row, expanded from ops.def. Shape rules and gradients of a family lie together in one
 * file of this folder; kernels lie in src/kernels. */
#ifndef SN_OPS_OP_H
#define SN_OPS_OP_H
#include "graph/graph.h"

enum sn_op_flags {
    SN_OPF_NONE = 0,
    SN_OPF_NO_GRADIENT = 1,  /* the only op flag with which gradient may be `none` */
    SN_OPF_INPLACE = 2,      /* the output may overwrite input 0 */
    SN_OPF_VIEW = 4,         /* the output is input 0's bytes under another shape; has no kernel */
    SN_OPF_LEAF = 8,         /* bound from outside; has no kernel */
    SN_OPF_STATS = 16,       /* further outputs are statistics, always f32 */
    SN_OPF_BIAS_2 = 32,      /* input 2 is a bias: always f32 */
    SN_OPF_BIAS_3 = 64,      /* inputs 3 and 4 are biases: always f32 */
    SN_OPF_STATS_4 = 128,    /* input 4 is a statistic: always f32 */
    SN_OPF_CACHE_3 = 256,    /* inputs 3 and 4 are caches: stay in the dtype they have */
    SN_OPF_ELEMENTS = 1024,  /* an element of the output is computed from the same ones of the inputs (broadcast) */
    SN_OPF_MIXED = 2048,     /* kernels read tensors (rank 2 and more) and write output 0 in f32 or bf16, in any mixture */
    SN_OPF_TABLE_0 = 512     /* input 0 is a table: kernels read its rows in whatever dtype they are stored */
};

/* What the precision pass does: BF16 = computed in bf16 under `auto`; F32 = always f32; FOLLOW = in its
 * input's dtype; KEEP = dtypes stay as they were built. */
typedef enum sn_precision_rule { SN_RULE_BF16, SN_RULE_F32, SN_RULE_FOLLOW, SN_RULE_KEEP } sn_precision_rule;

typedef sn_status sn_shape_fn(const sn_type *in, int n_in, const sn_attr *attr, sn_type *out);
/* dy[k] is the cotangent of output k (invalid where nothing flows in); fills dx[k], which come in invalid. */
typedef void sn_gradient_fn(sn_graph *g, const sn_instr *node, const sn_node *dy, sn_node *dx);
/* Floating point operations of one run. */
typedef double sn_cost_fn(const sn_type *in, int n_in, const sn_attr *attr, const sn_type *out);

typedef struct sn_op_info {
    const char *name;
    int min_in, n_in, n_out; /* inputs beyond min_in may be left out (id -1 is never stored: they are the last ones) */
    unsigned flags;
    sn_precision_rule precision;
    sn_shape_fn *shape;
    sn_gradient_fn *gradient;
    sn_cost_fn *cost;
} sn_op_info;
extern const sn_op_info sn_ops[SN_OP_COUNT];

#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl)                         \
    sn_shape_fn sn_shape_##shape;                                                                           \
    sn_gradient_fn sn_gradient_##gradient;                                                                  \
    sn_cost_fn sn_cost_##cost;
#include "ops/ops.def"
#undef SN_OP

/* Helpers for gradient rules. */
sn_node sn_in(const sn_instr *node, int k);  /* handle of input k */
sn_node sn_out(const sn_instr *node, int k); /* handle of output k */
/* Sums dy over the axes that broadcasting had widened from `to`. */
sn_node sn_unbroadcast(sn_graph *g, sn_node dy, sn_shape to);
#endif
