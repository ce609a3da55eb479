/* graph.h: the builder. A graph is a list of instructions in the order they were emitted (so every input is
 * defined before its use), over values with static types. Passes read one graph and emit another.
 *
 *   build -> autodiff -> precision -> fuse -> select -> arena -> bind       (the last three: program.h)
 *
 * Builders are sticky: after the first failure every handle is invalid (id < 0), further calls do nothing,
 * and sn_graph_check reports that first failure. */
#ifndef SN_GRAPH_H
#define SN_GRAPH_H
#include "params/params.h"
#include "tensor/tensor.h"

/* A value (one output of one instruction). */
typedef struct sn_node { int32_t id; } sn_node;
#define SN_NO_NODE ((sn_node){-1})

typedef enum sn_op {
#define SN_OP(id, in, out, flags, precision, shape, gradient, cost, ref, simd, dnnl) SN_##id,
#include "ops/ops.def"
#undef SN_OP
    SN_OP_COUNT
} sn_op;

enum { SN_MAX_IN = 12, SN_MAX_OUT = 5, SN_MAX_SCOPES = 32 };

/* Activation folded into a matmul or convolution by the fuse pass. */
typedef enum sn_act {
    SN_ACT_NONE,
#define SN_ACT(id) SN_ACT_##id,
#include "graph/acts.def"
#undef SN_ACT
} sn_act;

/* Attributes; which member is meant is fixed by the op (see ops.def). Unused bytes are zero, so attributes
 * compare and hash as bytes. */
typedef union sn_attr {
    struct { int32_t index; } leaf;                   /* INPUT, PARAM */
    struct { float value; } fill;
    struct { float scale, shift; } affine;            /* x * scale + shift */
    struct { float low, high; } clamp;
    struct { float delta; } huber;
    struct { int32_t to; } cast;
    struct { int32_t trans_a, trans_b, act, out_f32; } matmul; /* out_f32: bf16 in, f32 out */
    struct { int32_t axes, keep; } reduce;            /* bit i set: axis i is summed */
    struct { sn_shape to; } reshape;                  /* RESHAPE, BROADCAST */
    struct { int32_t perm[SN_MAX_RANK]; } transpose;
    struct { int32_t axis; int64_t start, size; } slice; /* SLICE; PAD: dy placed at start of a zero axis of `size` */
    struct { int32_t axis; } concat;
    struct { int32_t stride[2], pad[4], dilation[2], groups, act, in_size[2], kernel[2]; } conv; /* pad: top left bottom right */
    struct { int32_t kernel[2], stride[2], pad[4], in_size[2]; } pool;
    struct { float eps; int32_t training; } norm;
    struct { float rate; } dropout;
    struct { int32_t saves; } rnn;                    /* 1: the workspace output is written for backward */
    struct { int64_t rows; } embed;                   /* EMBED_BWD: rows of the table */
    struct { int64_t steps; } seq;                    /* *_BWD that widen a time axis: its size */
    struct { float smoothing; } loss;
    struct { int32_t heads, kv_heads, causal, ancestry; float scale; } attention; /* ancestry: ATTENTION_CACHED has it */
    unsigned char raw[64];
} sn_attr;

typedef struct sn_instr {
    sn_op op;
    int32_t n_in, n_out;
    int32_t in[SN_MAX_IN];   /* value ids */
    int32_t out[SN_MAX_OUT];
    int32_t forward;         /* backward ops: index of the forward instruction whose workspace they read; else -1 */
    uint64_t stream;         /* random stream: hash of the scoped name (DROPOUT) */
    const char *name;        /* scope at emission, for messages and taps */
    sn_attr attr;
} sn_instr;

typedef struct sn_value {
    sn_type type;
    int32_t maker; /* index of the instruction */
    int32_t slot;  /* which of its outputs */
} sn_value;

typedef struct sn_graph {
    sn_arena arena;
    sn_instr *instrs;
    size_t n_instrs, instr_room;
    int32_t (*param_nodes)[2]; /* by parameter: 1 + its node in f32, and in another dtype; 0: none yet */
    size_t param_room;
    sn_value *values;
    size_t n_values, value_room;
    int32_t n_inputs;
    sn_params *params; /* declared into while open, looked up when sealed; not owned */
    struct { sn_node param, fresh; } updates[512]; /* new values of STATE parameters (batch-norm statistics) */
    int n_updates;
    const struct sn_lora *lora; /* adapters beside the linear layers that are built now (nn/lora.h); NULL: none */
    bool training;     /* dropout is emitted, batch norm uses the batch, workspaces are kept */
    char scope[256];
    size_t scope_size, scope_starts[SN_MAX_SCOPES];
    int scope_depth;
    sn_status failed;
    char message[512];
} sn_graph;

sn_status sn_graph_create(sn_params *params, bool training, sn_graph **out);
void sn_graph_free(sn_graph *g);
/* SN_OK, or the first failure (recorded again on this thread). */
sn_status sn_graph_check(const sn_graph *g);
/* The STATE parameter `param` becomes `fresh` when the step commits (the trainer asks for it as an output). */
void sn_graph_update(sn_graph *g, sn_node param, sn_node fresh);
/* Records the first failure; returns an invalid handle. */
sn_node sn_graph_fail(sn_graph *g, sn_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Scopes name parameters and streams: "encoders.photo" + "conv1.weight". */
void sn_scope_push(sn_graph *g, const char *name);
void sn_scope_pop(sn_graph *g);

static inline sn_type sn_type_of(const sn_graph *g, sn_node n) {
    return n.id < 0 ? (sn_type){0} : g->values[n.id].type;
}
static inline sn_shape sn_shape_at(const sn_graph *g, sn_node n) { return sn_type_of(g, n).shape; }
static inline int64_t sn_dim(const sn_graph *g, sn_node n, int axis) {
    sn_shape s = sn_shape_at(g, n);
    return s.dim[axis < 0 ? s.rank + axis : axis];
}

/* Emits any op: checks inputs by the op's shape rule, gives its first output; the others by sn_output. */
sn_node sn_emit(sn_graph *g, sn_op op, const sn_node *in, int n_in, const sn_attr *attr);
sn_node sn_output(const sn_graph *g, sn_node first, int slot);

/* ---- leaves ---- */
sn_node sn_input(sn_graph *g, sn_dtype dtype, sn_shape shape); /* bound at run time by order of creation */
sn_node sn_param(sn_graph *g, const char *name, sn_shape shape, sn_init init); /* the same node for the same name */
/* Marks in `live` (by instruction; marks that are there stay) what these nodes need. */
void sn_graph_mark(const sn_graph *g, int n, const sn_node *nodes, bool *live);
sn_node sn_graph_param(const sn_graph *g, int index); /* the f32 node of a parameter of the store; SN_NO_NODE: not in this graph */
sn_node sn_param_as(sn_graph *g, const char *name, sn_shape shape, sn_init init, sn_dtype dtype); /* for passes */
sn_node sn_fill(sn_graph *g, sn_shape shape, float value);
/* ---- element-wise (numpy broadcasting) ---- */
sn_node sn_add(sn_graph *g, sn_node a, sn_node b);
sn_node sn_sub(sn_graph *g, sn_node a, sn_node b);
sn_node sn_mul(sn_graph *g, sn_node a, sn_node b);
sn_node sn_div(sn_graph *g, sn_node a, sn_node b);
sn_node sn_affine(sn_graph *g, sn_node x, float scale, float shift);
sn_node sn_unary(sn_graph *g, sn_op op, sn_node x); /* RELU, GELU, TANH, EXP … */
sn_node sn_activation(sn_graph *g, sn_act act, sn_node x);
sn_op sn_act_op(sn_act act); /* COPY for none */
sn_node sn_cast(sn_graph *g, sn_node x, sn_dtype to);
sn_node sn_dropout(sn_graph *g, sn_node x, sn_node rows, float rate, const char *name); /* x itself when not training */
/* ---- shape ---- */
sn_node sn_reshape(sn_graph *g, sn_node x, sn_shape to);       /* one dim may be -1 */
sn_node sn_transpose(sn_graph *g, sn_node x, const int *perm);
/* A few positions of a sequence are computed alone where the ops before allow it (narrow.c). */
sn_node sn_slice(sn_graph *g, sn_node x, int axis, int64_t start, int64_t size);
sn_node sn_concat(sn_graph *g, const sn_node *x, int n, int axis); /* any n */
sn_node sn_broadcast(sn_graph *g, sn_node x, sn_shape to);
sn_node sn_reduce_sum(sn_graph *g, sn_node x, int axes, bool keep);
sn_node sn_reduce_mean(sn_graph *g, sn_node x, int axes, bool keep);
/* ---- arithmetic that oneDNN does ---- */
sn_node sn_matmul(sn_graph *g, sn_node a, sn_node b, bool trans_a, bool trans_b);
/* x [..., I] * weight [O, I]ᵀ + bias [O] (bias may be SN_NO_NODE) */
sn_node sn_linear_op(sn_graph *g, sn_node x, sn_node weight, sn_node bias);
typedef struct sn_conv { int stride[2], pad[4], dilation[2], groups; } sn_conv; /* zero stride, dilation, groups mean 1 */
sn_node sn_conv_op(sn_graph *g, sn_node x, sn_node weight, sn_node bias, const sn_conv *conv);
sn_node sn_maxpool(sn_graph *g, sn_node x, int kernel_h, int kernel_w, int stride_h, int stride_w);
sn_node sn_maxpool_padded(sn_graph *g, sn_node x, int kernel, int stride, int pad); /* square; padding never wins */
sn_node sn_avgpool(sn_graph *g, sn_node x, int kernel_h, int kernel_w, int stride_h, int stride_w);
/* kind: SN_RNN, SN_LSTM or SN_GRU. x [N,T,I] -> [N,T,H], 0 beyond lengths [N] (may be SN_NO_NODE); PyTorch's
 * parameter shapes. */
sn_node sn_recurrent(sn_graph *g, sn_op kind, sn_node x, sn_node lengths, sn_node w_ih, sn_node w_hh, sn_node b_ih,
                     sn_node b_hh);

/* Gradients of sum(cotangent_i * output_i) with respect to wrt[]; emitted into g. A cotangent has its output's
 * shape. dx[i] is a zero FILL where wrt[i] does not matter. */
sn_status sn_grad(sn_graph *g, int n, const sn_node *outputs, const sn_node *cotangents, int n_wrt, const sn_node *wrt,
                  sn_node *dx);
#endif
