/* oneDNN's column against short loops: layouts, transposes, gate orders, packs, both dtypes. Backward forms are
 * held to what defines them: <dy, f(x + e v)> moves with e as <dx, v>. */
#include "test.h"

#include <math.h>
#include <pthread.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/kernel.h"

enum { THREADS = 2 };

/* One op on freshly filled or given buffers. */
typedef struct bench {
    sn_op op;
    sn_attr attr;
    int n_in, n_out;
    sn_type in_type[SN_MAX_IN], out_type[SN_MAX_OUT];
    void *in[SN_MAX_IN], *out[SN_MAX_OUT];
    unsigned params, unused;
    size_t opaque[SN_MAX_OUT];
    sn_kernel_plan plan;
} bench;

static sn_type type_of(sn_dtype dtype, sn_shape shape) { return (sn_type){shape, dtype}; }
static size_t bytes_of(sn_type t) {
    size_t bytes = 0;
    assert_ok(sn_type_bytes(t, &bytes));
    return bytes;
}

static float at(const void *data, sn_dtype dtype, int64_t i) {
    return dtype == SN_BF16 ? sn_from_bf16(((const uint16_t *)data)[i]) : ((const float *)data)[i];
}

static void *numbers(sn_type t, uint64_t stream) {
    int64_t n = sn_shape_count(t.shape);
    void *data = malloc(bytes_of(t) + 64);
    for (int64_t i = 0; i < n; i++) {
        float x = (float)(sn_rng_uniform((sn_rng_key){7, stream}, 0, (uint64_t)i) - 0.5);
        if (t.dtype == SN_BF16)
            ((uint16_t *)data)[i] = sn_to_bf16(x);
        else
            ((float *)data)[i] = x;
    }
    return data;
}

static void give(bench *b, sn_dtype dtype, sn_shape shape) {
    b->in_type[b->n_in] = type_of(dtype, shape);
    b->in[b->n_in] = numbers(b->in_type[b->n_in], (uint64_t)b->n_in + 10 * b->op);
    b->n_in++;
}
static void want(bench *b, sn_dtype dtype, sn_shape shape) {
    b->out_type[b->n_out] = type_of(dtype, shape);
    b->n_out++;
}

static bool has_bf16(void) { return sn_isa_bf16(sn_isa_detect()); }

static sn_status go(bench *b) {
    sn_kernel_request r = {.op = b->op, .attr = &b->attr, .n_in = b->n_in, .n_out = b->n_out, .in = b->in_type,
                           .out = b->out_type, .params = b->params, .unused = b->unused, .threads = THREADS,
                           .isa = sn_isa_detect()};
    SN_TRY(sn_threads_enter(THREADS));
    SN_TRY(sn_kernel_select(&r, SN_USE_DNNL, &b->plan));
    void *in[SN_MAX_IN];
    for (int k = 0; k < b->n_in; k++) {
        const sn_pack *pack = &b->plan.pack[k];
        in[k] = b->in[k];
        if (!pack->bytes) continue;
        assert_true(b->params >> k & 1u);
        in[k] = aligned_alloc(64, (pack->bytes + 63) & ~(size_t)63);
        assert_ok(pack->pack(b->plan.state, b->in[k], in[k]));
    }
    for (int k = 0; k < b->n_out; k++) {
        size_t bytes = b->out_type[k].dtype == SN_OPAQUE ? b->plan.opaque[k] : bytes_of(b->out_type[k]);
        free(b->out[k]);
        b->opaque[k] = bytes;
        b->out[k] = b->unused >> k & 1u ? NULL : aligned_alloc(64, (bytes + 127) & ~(size_t)63);
        if (b->out[k]) memset(b->out[k], 0x7f, bytes);
    }
    void *scratch = aligned_alloc(64, (b->plan.scratch + 127) & ~(size_t)63);
    memset(scratch, 0xff, b->plan.scratch);
    sn_kernel_args args = {in, b->out, scratch, NULL};
    sn_status status = b->plan.run(&b->plan, &args);
    for (int k = 0; k < b->n_in; k++)
        if (in[k] != b->in[k]) free(in[k]);
    free(scratch);
    sn_kernel_release(&b->plan);
    return status;
}

static void done(bench *b) {
    for (int k = 0; k < b->n_in; k++) free(b->in[k]);
    for (int k = 0; k < b->n_out; k++) free(b->out[k]);
    *b = (bench){0};
}

static void close_to(double got, double right, double tolerance, const char *what, int64_t i) {
    if (!(fabs(got - right) <= tolerance * (1 + fabs(right))))
        fail_msg("%s: element %lld is %.7g, not %.7g", what, (long long)i, got, right);
}

/* ---- parts ---- */

/* The packed weight is the same in parts as in one go, also where the last part is a smaller one. */
static void check_parts(bench *b) {
    sn_kernel_request r = {.op = b->op, .attr = &b->attr, .n_in = b->n_in, .n_out = b->n_out, .in = b->in_type, .out = b->out_type,
                           .params = 2, .inference = true, .threads = THREADS, .isa = sn_isa_detect()};
    assert_ok(sn_threads_enter(THREADS));
    assert_ok(sn_kernel_select(&r, SN_USE_DNNL, &b->plan));
    const sn_pack *pack = &b->plan.pack[1];
    if (pack->bytes && r.isa >= SN_ISA_AVX512) assert_non_null(pack->pack_part);
    if (pack->pack_part) {
        size_t count = (size_t)sn_shape_count(b->in_type[1].shape), each = sn_dtype_size(b->in_type[1].dtype), at = 0;
        char *whole = aligned_alloc(64, (pack->bytes + 63) & ~(size_t)63), *parts = aligned_alloc(64, (pack->bytes + 63) & ~(size_t)63);
        assert_true(count > 2 * pack->part && count % pack->part);
        memset(whole, 1, pack->bytes);
        memset(parts, 2, pack->bytes);
        assert_ok(pack->pack(b->plan.state, b->in[1], whole));
        for (; at < count; at += pack->part)
            assert_ok(pack->pack_part(b->plan.state, (char *)b->in[1] + at * each, at, count - at < pack->part ? count - at : pack->part, parts));
        assert_memory_equal(whole, parts, pack->bytes);
        free(whole);
        free(parts);
    }
    sn_kernel_release(&b->plan);
    done(b);
}

static void large_weights_go_in_parts(void **state) {
    (void)state;
    for (int narrow = 0; TEST_DNNL && narrow <= has_bf16(); narrow++) {
        sn_dtype type = narrow ? SN_BF16 : SN_F32;
        bench b = {.op = SN_MATMUL, .attr.matmul = {.trans_b = 1}};
        give(&b, type, SN_SHAPE(3, 1001));
        give(&b, type, SN_SHAPE(17001, 1001));
        want(&b, type, SN_SHAPE(3, 17001));
        check_parts(&b);
        b = (bench){.op = SN_CONV, .attr.conv = {.kernel = {7, 7}, .stride = {1, 1}, .groups = 1}};
        give(&b, type, SN_SHAPE(1, 7, 7, 256));
        give(&b, type, SN_SHAPE(1500, 256, 7, 7));
        want(&b, type, SN_SHAPE(1, 1, 1, 1500));
        check_parts(&b);
    }
}

/* ---- back out of a layout ---- */

static void check_rows(sn_dtype type, int64_t rows, int64_t width) {
    bench b = {.op = SN_MATMUL, .attr.matmul = {.trans_b = 1}};
    give(&b, type, SN_SHAPE(2, width));
    give(&b, type, SN_SHAPE(rows, width));
    want(&b, type, SN_SHAPE(2, rows));
    sn_kernel_request r = {.op = b.op, .attr = &b.attr, .n_in = 2, .n_out = 1, .in = b.in_type, .out = b.out_type, .params = 2, .inference = true,
                           .threads = THREADS, .isa = sn_isa_detect()};
    assert_ok(sn_threads_enter(THREADS));
    assert_ok(sn_kernel_select(&r, SN_USE_DNNL, &b.plan));
    const sn_pack *pack = &b.plan.pack[1];
    if (r.isa >= SN_ISA_AVX512 && width >= 64 && rows >= 64) assert_non_null(pack->read);
    if (pack->read) {
        size_t each = sn_dtype_size(type);
        char *packed = aligned_alloc(64, (pack->bytes + 63) & ~(size_t)63);
        _Alignas(8) char got[2][8];
        assert_ok(pack->pack(b.plan.state, b.in[1], packed));
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < width; k += 2) {
                int n = width - k < 2 ? 1 : 2;
                assert_ok(pack->read(b.in_type[1], packed, i, k, n, got[0]));
                assert_memory_equal(got[0], (char *)b.in[1] + (size_t)(i * width + k) * each, (size_t)n * each);
                if (n < 2) continue;
                assert_ok(pack->read(b.in_type[1], packed, i, k + 1, 1, got[1])); /* a piece may begin anywhere */
                assert_memory_equal(got[1], got[0] + each, each);
            }
        free(packed);
    }
    sn_kernel_release(&b.plan);
    done(&b);
}

static void rows_are_read_out_of_a_layout(void **state) {
    (void)state;
    static const int64_t sizes[] = {1, 7, 33, 64, 131};
    for (int narrow = 0; TEST_DNNL && narrow <= has_bf16(); narrow++)
        for (int i = 0; i < 5; i++)
            for (int k = 0; k < 5; k++) check_rows(narrow ? SN_BF16 : SN_F32, sizes[i], sizes[k]);
}

/* ---- matmul ---- */
static void check_product(int ta, int tb, int64_t batch, bool flat_b, sn_dtype type, sn_dtype out, bool bias) {
    const int64_t m = 5, k = 7, n = 6;
    bench b = {.op = SN_MATMUL, .attr.matmul = {.trans_a = ta, .trans_b = tb}, .params = 2};
    if (bias) b.attr.matmul.act = SN_ACT_RELU;
    b.attr.matmul.out_f32 = type == SN_BF16 && out == SN_F32;
    sn_shape a_shape = ta ? SN_SHAPE(batch, k, m) : SN_SHAPE(batch, m, k);
    give(&b, type, a_shape);
    sn_shape b_shape = tb ? SN_SHAPE(batch, n, k) : SN_SHAPE(batch, k, n);
    if (flat_b) b_shape = tb ? SN_SHAPE(n, k) : SN_SHAPE(k, n);
    give(&b, type, b_shape);
    if (bias) give(&b, SN_F32, SN_SHAPE(n));
    want(&b, out, SN_SHAPE(batch, m, n));
    assert_ok(go(&b));
    assert_int_equal(b.plan.pack[1].bytes, 0);
    for (int64_t i = 0; i < batch * m * n; i++) {
        int64_t z = i / (m * n), row = i / n % m, col = i % n;
        double sum = bias ? at(b.in[2], SN_F32, col) : 0;
        for (int64_t j = 0; j < k; j++)
            sum += (double)at(b.in[0], type, z * m * k + (ta ? j * m + row : row * k + j))
                   * at(b.in[1], type, (flat_b ? 0 : z * k * n) + (tb ? col * k + j : j * n + col));
        if (bias && sum < 0) sum = 0;
        close_to(at(b.out[0], out, i), sum, out == SN_BF16 ? 1e-2 : 1e-5, "product", i);
    }
    done(&b);
}

static void products_in_every_orientation(void **state) {
    (void)state;
    for (int bits = 0; bits < 64; bits++) {
        bool bf16 = bits & 16, f32_out = bits & 32;
        if (bf16 && !has_bf16()) continue;
        if (!bf16 && f32_out) continue;
        check_product(bits & 1, bits >> 1 & 1, bits & 4 ? 3 : 1, bits & 8, bf16 ? SN_BF16 : SN_F32,
                      bf16 && !f32_out ? SN_BF16 : SN_F32, bits & 4);
    }
}

/* ---- convolution ---- */
typedef struct window {
    int64_t n, h, w, c, o, kh, kw, groups, stride, dilation, top, left, bottom, right;
} window;
static int64_t out_of(int64_t size, int64_t before, int64_t after, int64_t k, int64_t stride, int64_t dilation) {
    return (size + before + after - dilation * (k - 1) - 1) / stride + 1;
}

/* y += conv(x, w), in double from f32 or bf16 */
static double *convolve(const window *g, const void *x, const void *w, sn_dtype type, const float *bias) {
    int64_t oh = out_of(g->h, g->top, g->bottom, g->kh, g->stride, g->dilation);
    int64_t ow = out_of(g->w, g->left, g->right, g->kw, g->stride, g->dilation), cg = g->c / g->groups;
    double *y = calloc((size_t)(g->n * oh * ow * g->o), sizeof *y);
    for (int64_t i = 0; i < g->n * oh * ow * g->o; i++) {
        int64_t o = i % g->o, px = i / g->o % ow, py = i / g->o / ow % oh, n = i / g->o / ow / oh;
        y[i] = bias ? bias[o] : 0;
        for (int64_t j = 0; j < cg * g->kh * g->kw; j++) {
            int64_t c = j / g->kh / g->kw, dy = j / g->kw % g->kh, dx = j % g->kw;
            int64_t iy = py * g->stride - g->top + dy * g->dilation, ix = px * g->stride - g->left + dx * g->dilation;
            if (iy < 0 || iy >= g->h || ix < 0 || ix >= g->w) continue;
            int64_t channel = o / (g->o / g->groups) * cg + c;
            y[i] += (double)at(x, type, ((n * g->h + iy) * g->w + ix) * g->c + channel)
                    * at(w, type, o * cg * g->kh * g->kw + j);
        }
    }
    return y;
}

static double dot(const double *a, const void *b, sn_dtype type, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * (double)at(b, type, i);
    return sum;
}
static double dot_typed(const void *a, const void *b, sn_dtype a_type, sn_dtype b_type, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)at(a, a_type, i) * (double)at(b, b_type, i);
    return sum;
}

static void check_convolution(const window *g, sn_dtype type, bool param) {
    double tolerance = type == SN_BF16 ? 2e-2 : 1e-4;
    int64_t oh = out_of(g->h, g->top, g->bottom, g->kh, g->stride, g->dilation);
    int64_t ow = out_of(g->w, g->left, g->right, g->kw, g->stride, g->dilation);
    sn_shape xs = SN_SHAPE(g->n, g->h, g->w, g->c), ws = SN_SHAPE(g->o, g->c / g->groups, g->kh, g->kw);
    sn_shape ys = SN_SHAPE(g->n, oh, ow, g->o);
    sn_attr attr = {.conv = {{(int)g->stride, (int)g->stride}, {(int)g->top, (int)g->left, (int)g->bottom, (int)g->right},
                             {(int)g->dilation, (int)g->dilation}, (int)g->groups, SN_ACT_NONE,
                             {(int)g->h, (int)g->w}, {(int)g->kh, (int)g->kw}}};
    bench f = {.op = SN_CONV, .attr = attr, .params = param ? 2 : 0};
    give(&f, type, xs);
    give(&f, type, ws);
    give(&f, SN_F32, SN_SHAPE(g->o));
    want(&f, type, ys);
    assert_ok(go(&f));
    double *y = convolve(g, f.in[0], f.in[1], type, f.in[2]);
    for (int64_t i = 0; i < sn_shape_count(ys); i++)
        close_to(at(f.out[0], type, i), y[i], tolerance, "convolution", i);
    free(y);
    /* <dy, conv(v, w)> = <dx, v> and <dy, conv(x, u)> = <dw, u> */
    bench data = {.op = SN_CONV_BWD_DATA, .attr = attr, .params = param ? 1 : 0};
    give(&data, type, ws);
    give(&data, type, ys);
    want(&data, type, xs);
    assert_ok(go(&data));
    y = convolve(g, f.in[0], data.in[0], type, NULL);
    close_to(dot_typed(data.out[0], f.in[0], type, type, sn_shape_count(xs)),
             dot(y, data.in[1], type, sn_shape_count(ys)), tolerance, "<dx, v>", 0);
    free(y);
    bench weights = {.op = SN_CONV_BWD_WEIGHTS, .attr = attr};
    give(&weights, type, xs);
    give(&weights, type, ys);
    want(&weights, SN_F32, ws);
    want(&weights, SN_F32, SN_SHAPE(g->o));
    assert_ok(go(&weights));
    y = convolve(g, weights.in[0], f.in[1], type, NULL);
    close_to(dot_typed(weights.out[0], f.in[1], SN_F32, type, sn_shape_count(ws)),
             dot(y, weights.in[1], type, sn_shape_count(ys)), tolerance, "<dw, u>", 0);
    free(y);
    for (int64_t o = 0; o < g->o; o++) {
        double sum = 0;
        for (int64_t i = 0; i < g->n * oh * ow; i++) sum += (double)at(weights.in[1], type, i * g->o + o);
        close_to(at(weights.out[1], SN_F32, o), sum, 1e-4, "dbias", o);
    }
    for (weights.unused = 1; weights.unused < 3; weights.unused++) assert_ok(go(&weights));
    done(&f);
    done(&data);
    done(&weights);
}

static void convolutions(void **state) {
    (void)state;
    static const window cases[] = {
        {2, 6, 7, 3, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1},  {2, 8, 8, 16, 32, 3, 3, 1, 2, 1, 1, 1, 1, 1},
        {1, 9, 9, 8, 12, 3, 3, 4, 1, 2, 2, 2, 2, 2},  {2, 1, 20, 5, 7, 1, 4, 1, 1, 1, 0, 1, 0, 2},
        {1, 8, 8, 16, 16, 3, 3, 16, 1, 1, 1, 1, 1, 1}, {2, 16, 16, 3, 8, 4, 4, 1, 4, 1, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int param = 0; param < 2; param++) {
            check_convolution(&cases[i], SN_F32, param);
            if (has_bf16()) check_convolution(&cases[i], SN_BF16, param);
        }
}

/* ---- pooling ---- */
static void check_pool(sn_dtype type) {
    const int64_t n = 2, h = 7, w = 6, c = 5, oh = 4, ow = 3;
    sn_attr attr = {.pool = {{3, 2}, {2, 2}, {1, 0, 1, 0}, {(int)h, (int)w}}};
    bench f = {.op = SN_MAXPOOL, .attr = attr};
    give(&f, type, SN_SHAPE(n, h, w, c));
    want(&f, type, SN_SHAPE(n, oh, ow, c));
    want(&f, SN_OPAQUE, SN_SHAPE(0));
    assert_ok(go(&f));
    float *dx = calloc((size_t)(n * h * w * c), sizeof *dx);
    bench b = {.op = SN_MAXPOOL_BWD, .attr = attr};
    give(&b, type, SN_SHAPE(n, oh, ow, c));
    b.in_type[1] = type_of(SN_OPAQUE, SN_SHAPE(0));
    b.in[1] = malloc(f.opaque[1] + 1);
    memcpy(b.in[1], f.out[1], f.opaque[1]);
    b.n_in = 2;
    want(&b, type, SN_SHAPE(n, h, w, c));
    assert_ok(go(&b));
    for (int64_t i = 0; i < n * oh * ow * c; i++) {
        int64_t z = i % c, px = i / c % ow, py = i / c / ow % oh, k = i / c / ow / oh, where = -1;
        for (int64_t y = py * 2 - 1; y < py * 2 + 2; y++)
            for (int64_t x = px * 2; x < px * 2 + 2; x++) {
                if (y < 0 || y >= h) continue;
                int64_t j = ((k * h + y) * w + x) * c + z;
                if (where < 0 || at(f.in[0], type, j) > at(f.in[0], type, where)) where = j;
            }
        close_to(at(f.out[0], type, i), at(f.in[0], type, where), 0, "maximum", i);
        dx[where] += at(b.in[0], type, i);
    }
    for (int64_t i = 0; i < n * h * w * c; i++)
        close_to(at(b.out[0], type, i), dx[i], type == SN_BF16 ? 1e-2 : 1e-6, "dx of the pool", i);
    f.unused = 2;
    assert_ok(go(&f));
    free(dx);
    done(&f);
    done(&b);
}
static void maximum_goes_there_and_back(void **state) {
    (void)state;
    check_pool(SN_F32);
    if (has_bf16()) check_pool(SN_BF16);
}

/* ---- recurrent ---- */
enum { N = 3, T = 4, I = 5, H = 6 };
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* <dy, y> of PyTorch's definition; y may be NULL. p: x w_ih w_hh b_ih b_hh in double. */
static double recur(sn_op op, int gates, double *const *p, const float *dy, double *y) {
    double loss = 0;
    for (int n = 0; n < N; n++) {
        double h[H] = {0}, c[H] = {0};
        for (int t = 0; t < T; t++) {
            double a[4][H], b[4][H];
            for (int g = 0; g < gates; g++)
                for (int j = 0; j < H; j++) {
                    int row = g * H + j;
                    a[g][j] = p[3][row];
                    b[g][j] = p[4][row];
                    for (int i = 0; i < I; i++) a[g][j] += p[1][row * I + i] * p[0][(n * T + t) * I + i];
                    for (int i = 0; i < H; i++) b[g][j] += p[2][row * H + i] * h[i];
                }
            for (int j = 0; j < H; j++) {
                if (op == SN_RNN) {
                    h[j] = tanh(a[0][j] + b[0][j]);
                } else if (op == SN_LSTM) {
                    c[j] = sigmoid(a[1][j] + b[1][j]) * c[j]
                           + sigmoid(a[0][j] + b[0][j]) * tanh(a[2][j] + b[2][j]);
                    h[j] = sigmoid(a[3][j] + b[3][j]) * tanh(c[j]);
                } else {
                    double r = sigmoid(a[0][j] + b[0][j]), z = sigmoid(a[1][j] + b[1][j]);
                    h[j] = (1 - z) * tanh(a[2][j] + r * b[2][j]) + z * h[j];
                }
                int at_y = (n * T + t) * H + j;
                loss += h[j] * (double)dy[at_y];
                if (y) y[at_y] = h[j];
            }
        }
    }
    return loss;
}

static void check_recurrent(sn_op op, sn_op op_bwd, int gates, unsigned params) {
    const sn_shape shapes[5] = {SN_SHAPE(N, T, I), SN_SHAPE(gates * H, I), SN_SHAPE(gates * H, H),
                                SN_SHAPE(gates * H), SN_SHAPE(gates * H)};
    bench f = {.op = op, .attr.rnn.saves = 1, .params = params};
    bench b = {.op = op_bwd, .attr.rnn.saves = 1, .params = params};
    double *p[5], y[N * T * H];
    for (int k = 0; k < 5; k++) {
        int64_t count = sn_shape_count(shapes[k]);
        give(&f, SN_F32, shapes[k]);
        b.in[k] = malloc((size_t)count * 4);
        memcpy(b.in[k], f.in[k], (size_t)count * 4);
        b.in_type[k] = f.in_type[k];
        want(&b, SN_F32, shapes[k]);
        p[k] = malloc((size_t)count * sizeof(double));
        for (int64_t i = 0; i < count; i++) p[k][i] = at(f.in[k], SN_F32, i);
    }
    want(&f, SN_F32, SN_SHAPE(N, T, H));
    want(&f, SN_OPAQUE, SN_SHAPE(0));
    assert_ok(go(&f));
    b.n_in = 5;
    give(&b, SN_F32, SN_SHAPE(N, T, H)); /* y: replaced below */
    memcpy(b.in[5], f.out[0], sizeof(float) * N * T * H);
    b.in_type[6] = type_of(SN_OPAQUE, SN_SHAPE(0));
    b.in[6] = aligned_alloc(64, (f.opaque[1] + 127) & ~(size_t)63);
    memcpy(b.in[6], f.out[1], f.opaque[1]);
    b.n_in = 7;
    give(&b, SN_F32, SN_SHAPE(N, T, H));
    (void)recur(op, gates, p, b.in[7], y);
    for (int i = 0; i < N * T * H; i++) close_to(at(f.out[0], SN_F32, i), y[i], 1e-5, "y", i);
    assert_ok(go(&b));
    for (int k = 0; k < 5; k++)
        for (int64_t i = 0; i < sn_shape_count(shapes[k]); i++) {
            double old = p[k][i], e = 1e-5;
            p[k][i] = old + e;
            double up = recur(op, gates, p, b.in[7], NULL);
            p[k][i] = old - e;
            double down = recur(op, gates, p, b.in[7], NULL);
            p[k][i] = old;
            close_to(at(b.out[k], SN_F32, i), (up - down) / (2 * e), 1e-4, k == 0 ? "dx" : k < 3 ? "dw" : "db", i);
        }
    b.unused = 1 + 2 + 8;
    assert_ok(go(&b));
    f.attr.rnn.saves = 0;
    f.unused = 2;
    assert_ok(go(&f));
    for (int i = 0; i < N * T * H; i++) close_to(at(f.out[0], SN_F32, i), y[i], 1e-5, "y alone", i);
    for (int k = 0; k < 5; k++) free(p[k]);
    done(&f);
    done(&b);
}

static void recurrent_cells_are_pytorchs(void **state) {
    (void)state;
    for (unsigned params = 0; params < 32; params += 30) { /* plain weights; then packed ones */
        check_recurrent(SN_RNN, SN_RNN_BWD, 1, params);
        check_recurrent(SN_LSTM, SN_LSTM_BWD, 4, params);
        check_recurrent(SN_GRU, SN_GRU_BWD, 3, params);
    }
}

static void errors_name_the_operation(void **state) {
    (void)state;
    bench b = {.op = SN_CONV};
    give(&b, SN_F32, SN_SHAPE(1, 4, 4, 3));
    give(&b, SN_F32, SN_SHAPE(8, 3, 3, 3));
    want(&b, SN_F32, SN_SHAPE(1, 9, 9, 8)); /* no window of 3 gives 9 from 4 */
    assert_fails(go(&b), SN_ERR_BACKEND, "CONV F32 [1, 4, 4, 3] F32 [8, 3, 3, 3] -> F32 [1, 9, 9, 8]: oneDNN");
    done(&b);
}

static double activated(sn_act act, double x) {
    switch (act) {
    case SN_ACT_RELU: return x > 0 ? x : 0;
    case SN_ACT_GELU: return x * 0.5 * (1 + erf(x / sqrt(2)));
    case SN_ACT_GELU_TANH: return x * 0.5 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case SN_ACT_TANH: return tanh(x);
    case SN_ACT_SIGMOID: return sigmoid(x);
    case SN_ACT_SILU: return x * sigmoid(x);
    case SN_ACT_QUICK_GELU: return x * sigmoid(1.702 * x);
    default: return x;
    }
}

static void activations_follow_the_bias(void **state) {
    (void)state;
    for (int act = SN_ACT_NONE; act <= SN_ACT_QUICK_GELU; act++) {
        bench plain = {.op = SN_CONV, .attr.conv = {{1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 0, {5, 5}, {3, 3}}};
        give(&plain, SN_F32, SN_SHAPE(2, 5, 5, 16));
        give(&plain, SN_F32, SN_SHAPE(16, 16, 3, 3));
        give(&plain, SN_F32, SN_SHAPE(16));
        want(&plain, SN_F32, SN_SHAPE(2, 5, 5, 16));
        bench with = plain;
        with.attr.conv.act = act;
        assert_ok(go(&plain));
        assert_ok(go(&with));
        for (int64_t i = 0; i < 2 * 25 * 16; i++)
            close_to(at(with.out[0], SN_F32, i), activated((sn_act)act, at(plain.out[0], SN_F32, i)), 2e-6,
                     "activation", i);
        free(with.out[0]);
        done(&plain);
    }
}

/* ---- a prepared state belongs to nobody ---- */
typedef struct runner {
    const sn_kernel_plan *plan;
    void *in[5], *out[2], *scratch;
    sn_status status;
} runner;

static void *run_often(void *context) {
    runner *r = context;
    r->status = sn_threads_enter(THREADS);
    sn_kernel_args args = {r->in, r->out, r->scratch, NULL};
    for (int i = 0; i < 50 && r->status == SN_OK; i++) r->status = r->plan->run(r->plan, &args);
    return NULL;
}

static void two_threads_run_one_state(void **state) {
    (void)state;
    enum { ROWS = 16, STEPS = 6, IN = 32, HIDDEN = 48 };
    const size_t y_bytes = sizeof(float) * ROWS * STEPS * HIDDEN;
    sn_attr attr = {.rnn.saves = 1};
    sn_type in[5] = {type_of(SN_F32, SN_SHAPE(ROWS, STEPS, IN)), type_of(SN_F32, SN_SHAPE(3 * HIDDEN, IN)),
                     type_of(SN_F32, SN_SHAPE(3 * HIDDEN, HIDDEN)), type_of(SN_F32, SN_SHAPE(3 * HIDDEN)),
                     type_of(SN_F32, SN_SHAPE(3 * HIDDEN))};
    sn_type out[2] = {type_of(SN_F32, SN_SHAPE(ROWS, STEPS, HIDDEN)), type_of(SN_OPAQUE, SN_SHAPE(0))};
    sn_kernel_request r = {.op = SN_GRU, .attr = &attr, .n_in = 5, .n_out = 2, .in = in, .out = out,
                           .threads = THREADS, .isa = sn_isa_detect()};
    sn_kernel_plan plan;
    assert_ok(sn_kernel_select(&r, SN_USE_DNNL, &plan));
    runner runners[2] = {{.plan = &plan}, {.plan = &plan}};
    pthread_t threads[2];
    void *numbers_of[5];
    for (int k = 0; k < 5; k++) numbers_of[k] = numbers(in[k], (uint64_t)k);
    for (int i = 0; i < 2; i++) {
        memcpy(runners[i].in, numbers_of, sizeof numbers_of);
        runners[i].out[0] = malloc(y_bytes);
        runners[i].out[1] = aligned_alloc(64, (plan.opaque[1] + 127) & ~(size_t)63);
        runners[i].scratch = aligned_alloc(64, (plan.scratch + 127) & ~(size_t)63);
        assert_int_equal(pthread_create(&threads[i], NULL, run_often, &runners[i]), 0);
    }
    for (int i = 0; i < 2; i++) (void)pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) assert_int_equal(runners[i].status, SN_OK);
    assert_memory_equal(runners[0].out[0], runners[1].out[0], y_bytes);
    for (int i = 0; i < 2; i++) {
        free(runners[i].out[0]);
        free(runners[i].out[1]);
        free(runners[i].scratch);
    }
    for (int k = 0; k < 5; k++) free(numbers_of[k]);
    sn_kernel_release(&plan);
}

/* Each of our own allocations in turn fails at prepare: the error says so and nothing leaks. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    static const sn_op ops[] = {SN_MATMUL, SN_CONV, SN_GRU};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        bench b = {.op = ops[i]};
        if (ops[i] == SN_MATMUL) {
            give(&b, SN_F32, SN_SHAPE(4, 5));
            give(&b, SN_F32, SN_SHAPE(5, 6));
            want(&b, SN_F32, SN_SHAPE(4, 6));
        } else if (ops[i] == SN_CONV) {
            give(&b, SN_F32, SN_SHAPE(1, 4, 4, 3));
            give(&b, SN_F32, SN_SHAPE(8, 3, 3, 3));
            want(&b, SN_F32, SN_SHAPE(1, 2, 2, 8));
        } else {
            const sn_shape shapes[5] = {SN_SHAPE(2, 3, 4), SN_SHAPE(15, 4), SN_SHAPE(15, 5), SN_SHAPE(15), SN_SHAPE(15)};
            for (int k = 0; k < 5; k++) give(&b, SN_F32, shapes[k]);
            want(&b, SN_F32, SN_SHAPE(2, 3, 5));
            want(&b, SN_OPAQUE, SN_SHAPE(0));
        }
        sn_status status = SN_ERR_MEMORY;
        int n = 0;
        while (status == SN_ERR_MEMORY) {
            sn_alloc_fail_after(++n);
            status = go(&b);
        }
        sn_alloc_fail_after(0);
        assert_ok(status);
        assert_true(n > 1);
        done(&b);
    }
}

int main(void) {
    if (!TEST_DNNL) {
        (void)puts("built without oneDNN: there is no such column of kernels");
        return 77; /* ctest says "Skipped" */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_weights_go_in_parts), cmocka_unit_test(rows_are_read_out_of_a_layout),
        cmocka_unit_test(products_in_every_orientation), cmocka_unit_test(convolutions),
        cmocka_unit_test(maximum_goes_there_and_back),   cmocka_unit_test(recurrent_cells_are_pytorchs),
        cmocka_unit_test(errors_name_the_operation),     cmocka_unit_test(activations_follow_the_bias),
        cmocka_unit_test(two_threads_run_one_state),     cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
