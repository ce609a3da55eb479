/* cases.c: the list. Shapes are small and odd on purpose; a case is added with its op's row. */
#include "ops/cases.h"

#define RANK(...) (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define TYPE(t, ...) {.shape = {.dim = {__VA_ARGS__}, .rank = RANK(__VA_ARGS__)}, .dtype = (t)}
#define F(fill, ...) {TYPE(SN_F32, __VA_ARGS__), fill, 0}
#define I(fill, limit, ...) {TYPE(SN_I32, __VA_ARGS__), fill, limit}
#define ROWS(n) {TYPE(SN_I64, n), 'R', 0}
#define ATTR(...) {__VA_ARGS__}
#define NO_ATTR {.raw = {0}}
#define CASE(name, note, attributes, ...) {.op = SN_##name, .what = note, .attr = attributes, .in = {__VA_ARGS__}}
#define LEAF(name, note, attributes, type) {.op = SN_##name, .what = note, .attr = attributes, .out = type}
#define PAIR(name, first, note, attributes, ...)                                                            \
    {.op = SN_##name, .what = note, .attr = attributes, .in = {__VA_ARGS__}, .forward = SN_##first}
#define UNARY(op, fill) CASE(op, "small", NO_ATTR, F(fill, 7, 9)), CASE(op, "long", NO_ATTR, F(fill, 3, 6001))
#define UNARY_A(op, fill, ...) CASE(op, "small", ATTR(__VA_ARGS__), F(fill, 7, 9))
#define BACKWARD(op, fill) CASE(op, "small", NO_ATTR, F(fill, 7, 9), F('n', 7, 9)), \
    CASE(op, "long", NO_ATTR, F(fill, 20011), F('n', 20011))
#define BINARY(op, b)                                                                                       \
    CASE(op, "same", NO_ATTR, F('n', 3, 5), F(b, 3, 5)),                                                 \
    CASE(op, "row", NO_ATTR, F('n', 4, 6, 5), F(b, 5)),                                                  \
    CASE(op, "column", NO_ATTR, F('n', 2, 3, 7), F(b, 2, 3, 1)),                                         \
    CASE(op, "middle", NO_ATTR, F('n', 2, 3, 4), F(b, 2, 1, 4)),                                         \
    CASE(op, "outer", NO_ATTR, F('n', 5, 1), F(b, 1, 6)),                                                \
    CASE(op, "one", NO_ATTR, F('n', 3, 4), F(b, 1)),                                                     \
    CASE(op, "widens a", NO_ATTR, F('n', 7), F(b, 3, 7)),                                                \
    CASE(op, "long row", NO_ATTR, F('n', 41, 1030), F(b, 1030))

#define CONV_ATTR(h, w, kh, kw, s, p, d, g)                                                                 \
    .conv = {.stride = {s, s}, .pad = {p, p, p, p}, .dilation = {d, d}, .groups = g, .in_size = {h, w}, .kernel = {kh, kw}}
/* x [n,h,w,c], weights [o, c/g, kh, kw], y [n,oh,ow,o]: the forward op and both gradients */
#define CONV(what, n, h, w, c, o, kh, kw, s, p, d, g, oh, ow)                                               \
    CASE(CONV, what, ATTR(CONV_ATTR(h, w, kh, kw, s, p, d, g)), F('n', n, h, w, c), F('n', o, c / g, kh, kw), F('n', o)), \
    CASE(CONV_BWD_DATA, what, ATTR(CONV_ATTR(h, w, kh, kw, s, p, d, g)), F('n', o, c / g, kh, kw), F('n', n, oh, ow, o)), \
    CASE(CONV_BWD_WEIGHTS, what, ATTR(CONV_ATTR(h, w, kh, kw, s, p, d, g)), F('n', n, h, w, c), F('n', n, oh, ow, o))

#define POOL_ATTR(h, w, kh, kw, s, p) .pool = {.kernel = {kh, kw}, .stride = {s, s}, .pad = {p, p, p, p}, .in_size = {h, w}}
#define POOL(what, n, h, w, c, kh, kw, s, p, oh, ow)                                                        \
    CASE(MAXPOOL, what, ATTR(POOL_ATTR(h, w, kh, kw, s, p)), F('d', n, h, w, c)),                          \
    CASE(AVGPOOL, what, ATTR(POOL_ATTR(h, w, kh, kw, s, p)), F('n', n, h, w, c)),                          \
    CASE(AVGPOOL_BWD, what, ATTR(POOL_ATTR(h, w, kh, kw, s, p)), F('n', n, oh, ow, c)),                    \
    PAIR(MAXPOOL_BWD, MAXPOOL, what, ATTR(POOL_ATTR(h, w, kh, kw, s, p)), F('d', n, h, w, c))

#define RNN_IN(n, t, i, h, g) F('n', n, t, i), F('n', (g) * h, i), F('n', (g) * h, h), F('n', (g) * h), F('n', (g) * h)
#define CELL(op, g)                                                                                         \
    CASE(op, "small", ATTR(.rnn = {1}), RNN_IN(2, 3, 4, 3, g)),                                            \
    CASE(op, "one step", ATTR(.rnn = {1}), RNN_IN(3, 1, 2, 5, g)),                                         \
    CASE(op, "no workspace", ATTR(.rnn = {0}), RNN_IN(3, 4, 5, 7, g)),                                     \
    CASE(op, "lengths", ATTR(.rnn = {1}), RNN_IN(4, 5, 3, 6, g), I('L', 5, 4)),                             \
    PAIR(op##_BWD, op, "lengths", ATTR(.rnn = {1}), RNN_IN(4, 5, 3, 6, g), I('L', 5, 4)),                   \
    CASE(op, "many rows", ATTR(.rnn = {1}), RNN_IN(35, 4, 5, 9, g), I('L', 4, 35)),                         \
    PAIR(op##_BWD, op, "many rows", ATTR(.rnn = {1}), RNN_IN(35, 4, 5, 9, g), I('L', 4, 35)),               \
    PAIR(op##_BWD, op, "small", ATTR(.rnn = {1}), RNN_IN(2, 3, 4, 3, g)),                  \
    PAIR(op##_BWD, op, "odd", ATTR(.rnn = {1}), RNN_IN(5, 9, 11, 17, g)),                  \
    PAIR(op##_BWD, op, "square", ATTR(.rnn = {1}), RNN_IN(4, 6, 32, 32, g))

const sn_case sn_cases[] = {
    LEAF(FILL, "f32", ATTR(.fill = {2.5f}), TYPE(SN_F32, 3, 700)),
    LEAF(FILL, "bf16", ATTR(.fill = {-1.0f}), TYPE(SN_BF16, 5)),

    BINARY(ADD, 'n'), BINARY(SUB, 'n'), BINARY(MUL, 'n'), BINARY(DIV, 'p'), BINARY(MAXIMUM, 'n'),

    UNARY_A(AFFINE, 'n', .affine = {-1.5f, 0.25f}),
    UNARY(RELU, 'a'), UNARY(GELU, 'w'), UNARY(GELU_TANH, 'w'), UNARY(TANH, 'n'), UNARY(SIGMOID, 'w'), UNARY(SILU, 'w'), UNARY(QUICK_GELU, 'w'),
    UNARY(EXP, 'n'), UNARY(LOG, 'p'), UNARY(SQRT, 'p'), UNARY(SQUARE, 'n'), UNARY(ABS, 'a'), UNARY(SIGN, 'n'),
    UNARY(SOFTPLUS, 'w'), UNARY_A(CLAMP, 'n', .clamp = {-0.5f, 0.75f}),
    UNARY_A(HUBER, 'w', .huber = {1.0f}), UNARY_A(HUBER, 'a', .huber = {2.0f}),
    BACKWARD(RELU_BWD, 'n'), BACKWARD(TANH_BWD, 'U'), BACKWARD(SIGMOID_BWD, 'U'), BACKWARD(GELU_BWD, 'w'),
    BACKWARD(GELU_TANH_BWD, 'w'), BACKWARD(SILU_BWD, 'w'), BACKWARD(QUICK_GELU_BWD, 'w'),
    CASE(DROPOUT, "vector", ATTR(.dropout = {0.5f}), F('n', 5), ROWS(5)),
    CASE(DROPOUT, "sequence", ATTR(.dropout = {0.1f}), F('n', 3, 7, 11), ROWS(3)),
    CASE(DROPOUT, "long rows", ATTR(.dropout = {0.3f}), F('n', 2, 17003), ROWS(2)),
    CASE(DROPOUT, "none", ATTR(.dropout = {0.0f}), F('n', 2, 3), ROWS(2)),

    CASE(CAST, "down", ATTR(.cast = {SN_BF16}), F('C', 3, 7001)),
    CASE(CAST, "same", ATTR(.cast = {SN_F32}), F('n', 3, 7)),
    CASE(COPY, "small", NO_ATTR, F('n', 3, 7)),
    CASE(COPY, "long", NO_ATTR, F('n', 3, 30000)),
    CASE(TRANSPOSE, "matrix", ATTR(.transpose = {{1, 0}}), F('n', 3, 5)),
    CASE(TRANSPOSE, "wide matrix", ATTR(.transpose = {{1, 0}}), F('n', 70, 45)),
    CASE(TRANSPOSE, "heads", ATTR(.transpose = {{0, 2, 1, 3}}), F('n', 2, 3, 4, 5)),
    CASE(TRANSPOSE, "keys", ATTR(.transpose = {{0, 2, 3, 1}}), F('n', 2, 3, 4, 5)),
    CASE(TRANSPOSE, "reversed", ATTR(.transpose = {{3, 2, 1, 0}}), F('n', 2, 3, 4, 5)),
    CASE(TRANSPOSE, "nothing", ATTR(.transpose = {{0, 1, 2}}), F('n', 2, 3, 4)),
    CASE(TRANSPOSE, "ones", ATTR(.transpose = {{2, 0, 1}}), F('n', 1, 6, 1)),
    CASE(SLICE, "first axis", ATTR(.slice = {0, 1, 2}), F('n', 4, 3)),
    CASE(SLICE, "last axis", ATTR(.slice = {2, 1, 3}), F('n', 2, 3, 5)),
    CASE(SLICE, "middle axis", ATTR(.slice = {1, 0, 2}), F('n', 2, 3, 5)),
    CASE(PAD, "first axis", ATTR(.slice = {0, 1, 6}), F('n', 3, 4)),
    CASE(PAD, "last axis", ATTR(.slice = {1, 2, 7}), F('n', 3, 4)),
    CASE(CONCAT, "one", ATTR(.concat = {0}), F('n', 2, 3)),
    CASE(CONCAT, "last axis", ATTR(.concat = {1}), F('n', 2, 3), F('n', 2, 5), F('n', 2, 1)),
    CASE(CONCAT, "middle axis", ATTR(.concat = {1}), F('n', 2, 3, 4), F('n', 2, 1, 4)),
    CASE(BROADCAST, "row", ATTR(.reshape = {{{6, 5}, 2}}), F('n', 5)),
    CASE(BROADCAST, "column", ATTR(.reshape = {{{2, 3, 5}, 3}}), F('n', 2, 3, 1)),
    CASE(BROADCAST, "middle", ATTR(.reshape = {{{2, 4, 5}, 3}}), F('n', 2, 1, 5)),
    CASE(BROADCAST, "one", ATTR(.reshape = {{{70, 500}, 2}}), F('n', 1, 1)),

#define REDUCE(op)                                                                                          \
    CASE(op, "columns", ATTR(.reduce = {1, 0}), F('n', 9, 5)),                                           \
    CASE(op, "rows", ATTR(.reduce = {2, 1}), F('n', 4, 33)),                                             \
    CASE(op, "all", ATTR(.reduce = {7, 0}), F('n', 3, 4, 5)),                                            \
    CASE(op, "middle", ATTR(.reduce = {2, 1}), F('n', 2, 6, 3)),                                         \
    CASE(op, "picture", ATTR(.reduce = {7, 0}), F('n', 2, 3, 4, 5)),                                     \
    CASE(op, "ends", ATTR(.reduce = {5, 1}), F('n', 2, 3, 4)),                                           \
    CASE(op, "nothing", ATTR(.reduce = {0, 0}), F('n', 2, 3)),                                           \
    CASE(op, "long columns", ATTR(.reduce = {1, 0}), F('n', 3001, 19)),                                  \
    CASE(op, "wide columns", ATTR(.reduce = {1, 0}), F('n', 300, 1111)),                                 \
    CASE(op, "long rows", ATTR(.reduce = {2, 0}), F('n', 3, 5003))
    REDUCE(REDUCE_SUM), REDUCE(REDUCE_MEAN),
    CASE(ARGMAX, "matrix", NO_ATTR, F('d', 5, 11)),
    CASE(ARGMAX, "wide", NO_ATTR, F('d', 3, 1500)),
    CASE(ARGMAX, "ties", NO_ATTR, I('I', 3, 6, 9)),

#define PRODUCT(ta, tb, act) ATTR(.matmul = {ta, tb, act, 0})
    CASE(MATMUL, "plain", PRODUCT(0, 0, 0), F('n', 5, 7), F('n', 7, 3)),
    CASE(MATMUL, "b turned", PRODUCT(0, 1, 0), F('n', 5, 7), F('n', 3, 7)),
    CASE(MATMUL, "a turned", PRODUCT(1, 0, 0), F('n', 7, 5), F('n', 7, 3)),
    CASE(MATMUL, "both turned", PRODUCT(1, 1, 0), F('n', 7, 5), F('n', 3, 7)),
    CASE(MATMUL, "bias", PRODUCT(0, 1, 0), F('n', 4, 6), F('n', 5, 6), F('n', 5)),
    CASE(MATMUL, "one row", PRODUCT(0, 1, 0), F('n', 1, 64), F('n', 33, 64), F('n', 33)),
    CASE(MATMUL, "one column", PRODUCT(0, 1, 0), F('n', 9, 33), F('n', 1, 33), F('n', 1)),
    CASE(MATMUL, "one deep", PRODUCT(0, 0, 0), F('n', 6, 1), F('n', 1, 5)),
    CASE(MATMUL, "large", PRODUCT(0, 1, 0), F('n', 67, 130), F('n', 65, 130), F('n', 65)),
    CASE(MATMUL, "large a turned", PRODUCT(1, 0, 0), F('n', 130, 67), F('n', 130, 65)),
    CASE(MATMUL, "sequence", PRODUCT(0, 1, 0), F('n', 2, 3, 4), F('n', 5, 4), F('n', 5)),
    CASE(MATMUL, "batch", PRODUCT(0, 0, 0), F('n', 3, 4, 5), F('n', 3, 5, 2)),
    CASE(MATMUL, "scores", PRODUCT(0, 1, 0), F('n', 2, 3, 4, 5), F('n', 2, 3, 6, 5)),
    CASE(MATMUL, "batch a turned", PRODUCT(1, 0, 0), F('n', 2, 5, 4), F('n', 2, 5, 3)),
    CASE(MATMUL, "batch both turned", PRODUCT(1, 1, 0), F('n', 2, 5, 4), F('n', 2, 3, 5)),
    CASE(MATMUL, "relu", PRODUCT(0, 1, SN_ACT_RELU), F('C', 17, 9), F('C', 13, 9), F('C', 13)),
    CASE(MATMUL, "gelu", PRODUCT(0, 1, SN_ACT_GELU), F('C', 17, 9), F('C', 13, 9), F('C', 13)),
    CASE(MATMUL, "gelu tanh", PRODUCT(0, 1, SN_ACT_GELU_TANH), F('C', 17, 9), F('C', 13, 9), F('C', 13)),
    CASE(MATMUL, "tanh", PRODUCT(0, 1, SN_ACT_TANH), F('C', 17, 9), F('C', 13, 9), F('C', 13)),
    CASE(MATMUL, "sigmoid", PRODUCT(0, 0, SN_ACT_SIGMOID), F('C', 17, 9), F('C', 9, 13)),
    CASE(MATMUL, "quick gelu", PRODUCT(0, 1, SN_ACT_QUICK_GELU), F('C', 17, 9), F('C', 13, 9), F('C', 13)),
    CASE(MATMUL, "silu", PRODUCT(0, 1, SN_ACT_SILU), F('C', 17, 9), F('C', 13, 9), F('C', 13)),
    CASE(MATMUL, "many rows", PRODUCT(0, 1, 0), F('C', 4, 131, 32), F('C', 41, 32), F('C', 41)),
    CASE(MATMUL, "many rows f32 out", ATTR(.matmul = {0, 0, 0, 1}), F('C', 515, 48), F('C', 48, 65)),
    CASE(MATMUL, "many rows a turned", PRODUCT(1, 0, 0), F('C', 32, 517), F('C', 32, 70)),
    CASE(MATMUL, "f32 out", ATTR(.matmul = {0, 1, 0, 1}), F('n', 4, 6), F('n', 5, 6), F('n', 5)),

    CASE(EMBED, "sentence", NO_ATTR, F('n', 9, 4), I('I', 9, 2, 5)),
    CASE(EMBED, "flat", NO_ATTR, F('n', 5, 700), I('I', 5, 8)),
    CASE(EMBED_BWD, "repeats", ATTR(.embed = {4}), I('I', 4, 3, 7), F('n', 3, 7, 5)),
    CASE(EMBED_BWD, "sparse", ATTR(.embed = {101}), I('I', 101, 9), F('n', 9, 530)),

#define SEQUENCE(op)                                                                                        \
    CASE(op, "small", NO_ATTR, F('d', 4, 5, 3), I('L', 5, 4)), CASE(op, "one step", NO_ATTR, F('d', 3, 1, 2), I('L', 1, 3)), \
    CASE(op, "wide", NO_ATTR, F('d', 3, 4, 600), I('L', 4, 3))
    SEQUENCE(SEQ_MASK), SEQUENCE(SEQ_REVERSE), SEQUENCE(SEQ_LAST), SEQUENCE(SEQ_MEAN), SEQUENCE(SEQ_MAX),
    CASE(SEQ_LAST_BWD, "small", ATTR(.seq = {5}), F('n', 4, 3), I('L', 5, 4)),
    CASE(SEQ_MEAN_BWD, "small", ATTR(.seq = {5}), F('n', 4, 3), I('L', 5, 4)),
    CASE(SEQ_MEAN_BWD, "wide", ATTR(.seq = {4}), F('n', 3, 600), I('L', 4, 3)),
    CASE(SEQ_MAX_BWD, "small", ATTR(.seq = {5}), F('n', 4, 3), I('B', 5, 4, 3)),

    CASE(SOFTMAX, "rows", NO_ATTR, F('w', 6, 9)),
    CASE(SOFTMAX, "wide", NO_ATTR, F('n', 3, 1203)),
    CASE(SOFTMAX, "lengths", NO_ATTR, F('w', 4, 2, 3, 7), I('L', 7, 4)),
    CASE(SOFTMAX_BWD, "rows", NO_ATTR, F('U', 6, 9), F('n', 6, 9)),
    CASE(LOG_SOFTMAX, "rows", NO_ATTR, F('w', 6, 9)),
    CASE(LOG_SOFTMAX, "wide", NO_ATTR, F('n', 3, 1203)),
    CASE(LOG_SOFTMAX_BWD, "rows", NO_ATTR, F('n', 6, 9), F('n', 6, 9)),
#define NORM(t) .norm = {1e-5f, t}
    CASE(LAYERNORM, "rows", ATTR(NORM(1)), F('n', 4, 6), F('p', 6), F('n', 6)),
    CASE(LAYERNORM, "sequence", ATTR(NORM(1)), F('n', 2, 3, 5), F('p', 5), F('n', 5)),
    CASE(LAYERNORM, "wide", ATTR(NORM(1)), F('w', 7, 770), F('p', 770), F('n', 770)),
    CASE(LAYERNORM_BWD, "rows", ATTR(NORM(1)), F('n', 4, 6), F('p', 6), F('n', 4), F('p', 4), F('n', 4, 6)),
    CASE(LAYERNORM_BWD, "long", ATTR(NORM(1)), F('n', 700, 65), F('p', 65), F('n', 700), F('p', 700), F('n', 700, 65)),
#define STATS(c) F('p', c), F('n', c), F('C', c), F('P', c)
    CASE(BATCHNORM, "rows", ATTR(NORM(1)), F('n', 6, 4), STATS(4)),
    CASE(BATCHNORM, "picture", ATTR(NORM(1)), F('w', 2, 3, 2, 5), STATS(5)),
    CASE(BATCHNORM, "running", ATTR(NORM(0)), F('n', 6, 4), STATS(4)),
    CASE(BATCHNORM, "long", ATTR(NORM(1)), F('w', 1500, 33), STATS(33)),
    CASE(BATCHNORM_BWD, "rows", ATTR(NORM(1)), F('n', 6, 4), F('p', 4), F('n', 4), F('P', 4), F('n', 6, 4)),
    CASE(BATCHNORM_BWD, "running", ATTR(NORM(0)), F('n', 6, 4), F('p', 4), F('n', 4), F('P', 4), F('n', 6, 4)),
    CASE(BATCHNORM_BWD, "long", ATTR(NORM(1)), F('n', 1500, 33), F('p', 33), F('n', 33), F('P', 33), F('n', 1500, 33)),

    CONV("3x3", 2, 5, 6, 3, 4, 3, 3, 1, 1, 1, 1, 5, 6),
    CONV("1x1", 2, 3, 4, 5, 7, 1, 1, 1, 0, 1, 1, 3, 4),
    CONV("stride", 1, 7, 9, 3, 2, 3, 3, 2, 1, 1, 1, 4, 5),
    CONV("patches", 2, 8, 8, 3, 5, 4, 4, 4, 0, 1, 1, 2, 2),
    CONV("dilated", 1, 9, 8, 2, 3, 3, 2, 1, 2, 2, 1, 9, 10),
    CONV("groups", 2, 4, 5, 6, 4, 3, 3, 1, 1, 1, 2, 4, 5),
    CONV("depthwise", 1, 5, 5, 6, 6, 3, 3, 1, 1, 1, 6, 5, 5),
    CONV("along time", 2, 1, 9, 4, 3, 1, 3, 1, 0, 1, 1, 1, 7),
    CONV("blocks", 2, 6, 6, 32, 48, 3, 3, 1, 1, 1, 1, 6, 6),
    CASE(CONV, "relu", ATTR(.conv = {{1, 1}, {0, 0, 0, 0}, {1, 1}, 1, SN_ACT_RELU, {5, 5}, {3, 3}}), F('C', 2, 5, 5, 3), F('C', 4, 3, 3, 3), F('C', 4)),
    CASE(CONV, "no bias, uneven padding", ATTR(.conv = {{2, 1}, {0, 1, 1, 2}, {1, 1}, 1, 0, {5, 4}, {3, 3}}), F('n', 1, 5, 4, 2), F('n', 3, 2, 3, 3)),

    POOL("2x2", 2, 4, 6, 3, 2, 2, 2, 0, 2, 3),
    POOL("3x3 overlapping", 1, 7, 7, 5, 3, 3, 2, 1, 4, 4),
    POOL("odd", 2, 5, 7, 17, 2, 2, 2, 0, 2, 3),
    POOL("2x2 of sixteens", 2, 6, 8, 32, 2, 2, 2, 0, 3, 4),
    POOL("whole", 2, 3, 4, 5, 3, 4, 1, 0, 1, 1),

    CELL(RNN, 1), CELL(LSTM, 4), CELL(GRU, 3),

/* n rows, q queries, k keys, h heads over g key/value heads of width d; then the mask, if any */
#define HEADS(h, g, causal, ancestry) .attention = {h, g, causal, ancestry, 0.4f}
#define QKV(n, q, k, h, g, d) F('n', n, q, h * d), F('n', n, k, g * d), F('n', n, k, g * d)
#define ATTEND(what, n, q, k, h, g, d, causal, ...)                                                         \
    CASE(ATTENTION, what, ATTR(HEADS(h, g, causal, 0)), QKV(n, q, k, h, g, d) __VA_ARGS__),                 \
    CASE(ATTENTION_BWD, what, ATTR(HEADS(h, g, causal, 0)), QKV(n, q, k, h, g, d), F('n', n, q, h * d), F('p', n, h, q), \
         F('n', n, q, h * d) __VA_ARGS__)
    ATTEND("small", 2, 3, 4, 2, 2, 5, 0),
    ATTEND("lengths", 3, 4, 5, 2, 2, 3, 0, , I('L', 5, 3)),
    ATTEND("key mask", 3, 4, 6, 2, 1, 4, 0, , I('I', 2, 3, 6)),
    ATTEND("causal", 2, 5, 5, 2, 2, 4, 1),
    ATTEND("causal, more keys, lengths", 3, 3, 7, 2, 2, 4, 1, , I('L', 7, 3)),
    ATTEND("causal, more queries", 2, 6, 4, 1, 1, 3, 1),
    ATTEND("groups", 2, 4, 3, 6, 2, 3, 0),
    ATTEND("one query", 2, 1, 37, 4, 2, 17, 0, , I('L', 37, 2)),
    ATTEND("one query, many heads", 3, 1, 71, 7, 7, 24, 0, , I('L', 71, 3)),
    ATTEND("tiles", 2, 101, 83, 3, 3, 40, 0, , I('I', 2, 2, 83)),
    ATTEND("tiles, causal", 1, 70, 70, 4, 2, 64, 1),
    ATTEND("many keys", 1, 9, 1100, 1, 1, 20, 0),
    ATTEND("wide heads", 1, 12, 15, 1, 1, 700, 0),
#define CACHED(what, n, q, k, h, g, d, c, m, ancestry, ...)                                                 \
    CASE(ATTENTION_CACHED, what, ATTR(HEADS(h, g, 1, ancestry)), QKV(n, q, k, h, g, d), F('C', c, m, g * d), \
         F('C', c, m, g * d), I('L', m, n) __VA_ARGS__)
    CACHED("one query", 3, 1, 1, 2, 2, 4, 3, 6, 0),
    CACHED("long", 2, 1, 1, 4, 4, 64, 5, 203, 0),
    CACHED("long, many heads", 3, 1, 1, 10, 5, 20, 3, 70, 0),
    CACHED("beams", 4, 1, 1, 6, 2, 5, 3, 7, 1, , I('I', 3, 4, 7)),
    CACHED("prompt behind a cache", 2, 13, 13, 2, 1, 8, 2, 9, 0, , I('L', 13, 2)),
    CACHED("padded prompt of beams", 3, 4, 4, 2, 2, 16, 4, 5, 1, , I('I', 4, 3, 5), I('I', 2, 3, 4)),

#define XENT(s) .loss = {s}
    CASE(SOFTMAX_XENT, "plain", ATTR(XENT(0)), F('w', 6, 5), I('B', 5, 6), F('P', 5)),
    CASE(SOFTMAX_XENT, "smoothed", ATTR(XENT(0.1f)), F('n', 6, 5), I('B', 5, 6), F('P', 5)),
    CASE(SOFTMAX_XENT_BWD, "smoothed", ATTR(XENT(0.1f)), F('n', 6, 5), I('B', 5, 6), F('P', 5), F('n', 6)),
    CASE(BCE_LOGITS, "small", NO_ATTR, F('w', 5, 3), F('U', 5, 3)),
    CASE(BCE_LOGITS, "long", NO_ATTR, F('w', 20001), F('U', 20001)),
};
const int sn_case_count = (int)(sizeof sn_cases / sizeof *sn_cases);

int sn_case_inputs(const sn_case *c) {
    int n = 0;
    while (n < SN_MAX_IN && c->in[n].fill) n++;
    return n;
}
