/* bench_kernels.c: how fast single kernels are, by shape and dtype, in each column that accepts them.
 *
 *   bench_kernels [--threads N] [--cpu] [--ref] [WORD…]      WORD: only lines that hold it, as "conv" or "bf16"
 *
 * A line: op, shapes, dtype, kernel and implementation, best milliseconds, GF/s. The shapes are those of the
 * models the house is measured by. --cpu reports processor time per thread instead of wall time: steadier on a
 * machine that others use. --ref times the reference column too. */
#define _GNU_SOURCE
#include "bench.h"

#include <string.h>
#include <sys/mman.h>

#include "base/parallel.h"
#include "kernels/kernel.h"
#include "ops/op.h"
#ifdef SN_DNNL
#include "kernels/dnnl/impl.h"
#endif

typedef struct options {
    int threads;
    bool cpu, ref;
    char **words;
    int n_words;
} options;

typedef struct work {
    sn_op op;
    sn_attr attr;
    int n_in;
    sn_type in[SN_MAX_IN];
    unsigned params, unused;
    const void *borrowed[SN_MAX_IN]; /* given instead of fresh numbers (workspaces) */
    const sn_kernel_plan *forward;
} work;

/* What one run left behind: a backward run wants its forward's workspace. */
typedef struct ran {
    sn_kernel_plan plan;
    void *out[SN_MAX_OUT];
} ran;

static double passed(const options *o) { return o->cpu ? cpu() / o->threads : now(); }

static void *room(size_t bytes) {
    enum { HUGE_PAGE = 1 << 21 }; /* large blocks lie in huge pages, as those of sn_pages do */
    size_t unit = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 64;
    void *block = aligned_alloc(unit, (bytes + 64 + unit - 1) & ~(unit - 1));
    if (!block) abort();
    if (unit == HUGE_PAGE) (void)madvise(block, bytes, MADV_HUGEPAGE);
    return memset(block, 0, bytes);
}

static void *numbers(sn_type t) {
    size_t bytes = 0;
    (void)sn_type_bytes(t, &bytes);
    void *data = room(bytes);
    int64_t n = sn_shape_count(t.shape);
    for (int64_t i = 0; i < n; i++) {
        float x = (float)((uint32_t)i * 2654435761u >> 16) / 65536.0f - 0.5f;
        if (t.dtype == SN_F32) ((float *)data)[i] = x;
        if (t.dtype == SN_BF16) ((uint16_t *)data)[i] = sn_to_bf16(x);
    }
    return data;
}

static sn_status measure(const options *o, const sn_kernel_plan *plan, const sn_kernel_args *args, double *best) {
    double total = 0;
    *best = 1e9;
    SN_TRY(plan->run(plan, args));
    for (int i = 0; i < 200 && (i < 3 || total < 0.7); i++) {
        double start = passed(o);
        SN_TRY(plan->run(plan, args));
        double took = passed(o) - start;
        total += took;
        if (took < *best) *best = took;
    }
    return SN_OK;
}

static bool wanted(const options *o, const char *line) {
    for (int i = 0; i < o->n_words; i++)
        if (!strcasestr(line, o->words[i])) return false;
    return true;
}

static const char *impl_of(const sn_kernel_plan *plan, unsigned backend) {
#ifdef SN_DNNL
    if (backend == SN_USE_DNNL) return sn_dnnl_impl(plan);
#endif
    (void)plan;
    (void)backend;
    return "";
}

static void print(const work *w, const sn_type *out, const ran *r, unsigned backend, double seconds) {
    char shape[SN_SHAPE_TEXT], text[256] = "";
    size_t used = 0;
    for (int i = 0; i < w->n_in && i < (w->op == SN_ATTENTION_CACHED ? 4 : 2); i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %s", sn_shape_text(w->in[i].shape, shape));
    if (w->op == SN_MATMUL)
        (void)snprintf(text + used, sizeof text - used, " %s%s", w->attr.matmul.trans_a ? "T" : "N",
                       w->attr.matmul.trans_b ? "T" : "N");
    double flops = sn_ops[w->op].cost(w->in, w->n_in, &w->attr, out);
    printf("%-17s %-44s %-4s>%-4s %-22s %-26s %9.3f ms %8.1f GF/s\n", sn_ops[w->op].name, text,
           sn_dtype_name(w->in[0].dtype), sn_dtype_name(out[0].dtype), r->plan.kernel->name,
           impl_of(&r->plan, backend), seconds * 1e3, flops / seconds * 1e-9);
    (void)fflush(stdout);
}

static void drop(ran *r) {
    sn_kernel_release(&r->plan);
    for (int k = 0; k < SN_MAX_OUT; k++) free(r->out[k]);
    *r = (ran){.out = {NULL}};
}

static sn_status time_one(const options *o, const work *w, unsigned backend, ran *r) {
    sn_type out[SN_MAX_OUT] = {{.dtype = SN_F32}};
    SN_TRY(sn_ops[w->op].shape(w->in, w->n_in, &w->attr, out));
    int n_out = sn_ops[w->op].n_out;
    sn_kernel_request request = {.op = w->op, .attr = &w->attr, .n_in = w->n_in, .n_out = n_out, .in = w->in,
                                 .out = out, .params = w->params, .unused = w->unused, .threads = o->threads,
                                 .isa = sn_isa_detect(), .forward = w->forward};
    SN_TRY(sn_kernel_select(&request, backend, &r->plan));
    void *in[SN_MAX_IN];
    for (int k = 0; k < w->n_in; k++) {
        in[k] = w->borrowed[k] ? (void *)(uintptr_t)w->borrowed[k] : numbers(w->in[k]);
        if (!r->plan.pack[k].bytes) continue;
        void *packed = room(r->plan.pack[k].bytes);
        SN_TRY(r->plan.pack[k].pack(r->plan.state, in[k], packed));
        free(in[k]);
        in[k] = packed;
    }
    for (int k = 0; k < n_out; k++) {
        size_t bytes = r->plan.opaque[k];
        if (out[k].dtype != SN_OPAQUE) SN_TRY(sn_type_bytes(out[k], &bytes));
        r->out[k] = room(bytes);
    }
    void *scratch = room(r->plan.scratch);
    sn_kernel_args args = {in, r->out, scratch, NULL};
    double best;
    SN_TRY(measure(o, &r->plan, &args, &best));
    print(w, out, r, backend, best);
    free(scratch);
    for (int k = 0; k < w->n_in; k++)
        if (!w->borrowed[k]) free(in[k]);
    return SN_OK;
}

/* Every column asked for; a column without a kernel is passed over. */
static sn_status time_all(const options *o, const work *w) {
    static const unsigned backends[] = {SN_USE_DNNL, SN_USE_SIMD, SN_USE_REF};
    char line[64];
    (void)snprintf(line, sizeof line, "%s %s", sn_ops[w->op].name, sn_dtype_name(w->in[0].dtype));
    if (!wanted(o, line)) return SN_OK;
    for (int i = 0; i < (o->ref ? 3 : 2); i++) {
        ran r = {.out = {NULL}};
        sn_status status = time_one(o, w, backends[i], &r);
        drop(&r);
        if (status != SN_OK && status != SN_ERR_UNSUPPORTED) return status;
    }
    return SN_OK;
}

/* ---- the cases ---- */
static sn_type typed(sn_dtype dtype, sn_shape shape) { return (sn_type){shape, dtype}; }

static sn_status matmuls(const options *o, sn_dtype t) {
    static const int64_t sizes[][3] = {{32, 768, 768},     {128, 768, 3072},  {512, 768, 768},   {2048, 768, 3072},
                                       {2048, 3072, 768},  {64, 256, 256},    {64, 4096, 512},   {1, 768, 3072},
                                       {8, 768, 3072}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t m = sizes[i][0], k = sizes[i][1], n = sizes[i][2];
        work forward = {.op = SN_MATMUL, .attr.matmul = {.trans_b = 1}, .n_in = 3, .params = 6,
                        .in = {typed(t, SN_SHAPE(m, k)), typed(t, SN_SHAPE(n, k)), typed(SN_F32, SN_SHAPE(n))}};
        work dx = {.op = SN_MATMUL, .n_in = 2, .params = 2,
                   .in = {typed(t, SN_SHAPE(m, n)), typed(t, SN_SHAPE(n, k))}};
        work dw = {.op = SN_MATMUL, .attr.matmul = {.trans_a = 1, .out_f32 = 1}, .n_in = 2,
                   .in = {typed(t, SN_SHAPE(m, n)), typed(t, SN_SHAPE(m, k))}};
        SN_TRY(time_all(o, &forward));
        SN_TRY(time_all(o, &dx));
        SN_TRY(time_all(o, &dw));
    }
    work scores = {.op = SN_MATMUL, .attr.matmul = {.trans_b = 1}, .n_in = 2,
                   .in = {typed(t, SN_SHAPE(16, 12, 128, 64)), typed(t, SN_SHAPE(16, 12, 128, 64))}};
    work values = {.op = SN_MATMUL, .n_in = 2,
                   .in = {typed(t, SN_SHAPE(16, 12, 128, 128)), typed(t, SN_SHAPE(16, 12, 128, 64))}};
    SN_TRY(time_all(o, &scores));
    return time_all(o, &values);
}

static sn_status convolutions(const options *o, sn_dtype t) {
    static const int64_t sizes[][7] = {/* batch, side, in, out, kernel, pad, stride */
                                       {32, 224, 3, 64, 3, 1, 1},    {32, 112, 64, 128, 3, 1, 1},
                                       {32, 56, 128, 256, 3, 1, 1},  {64, 64, 3, 16, 3, 1, 1},
                                       {64, 32, 16, 32, 3, 1, 1},    {64, 16, 32, 64, 3, 1, 1},
                                       {16, 224, 3, 64, 7, 3, 2},    {16, 56, 64, 64, 1, 0, 1},
                                       {16, 224, 3, 768, 16, 0, 16}, {16, 224, 3, 768, 32, 0, 32}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t *s = sizes[i];
        sn_type x = typed(t, SN_SHAPE(s[0], s[1], s[1], s[2])), w = typed(t, SN_SHAPE(s[3], s[2], s[4], s[4]));
        int side = (int)s[1], k = (int)s[4], p = (int)s[5], stride = (int)s[6];
        int64_t over = (s[1] + 2 * s[5] - s[4]) / s[6] + 1;
        sn_type y = typed(t, SN_SHAPE(s[0], over, over, s[3]));
        sn_attr attr = {.conv = {{stride, stride}, {p, p, p, p}, {1, 1}, 1, SN_ACT_RELU, {side, side}, {k, k}}};
        work forward = {.op = SN_CONV, .attr = attr, .n_in = 3, .params = 6,
                        .in = {x, w, typed(SN_F32, SN_SHAPE(s[3]))}};
        attr.conv.act = SN_ACT_NONE;
        work dx = {.op = SN_CONV_BWD_DATA, .attr = attr, .n_in = 2, .params = 1, .in = {w, y}};
        work dw = {.op = SN_CONV_BWD_WEIGHTS, .attr = attr, .n_in = 2, .in = {x, y}};
        SN_TRY(time_all(o, &forward));
        SN_TRY(time_all(o, &dx));
        SN_TRY(time_all(o, &dw));
    }
    return SN_OK;
}

/* A forward op with a workspace, then its backward op in the same column. */
static sn_status there_and_back(const options *o, const work *forward, work *back, int opaque_slot) {
    static const unsigned backends[] = {SN_USE_DNNL, SN_USE_SIMD, SN_USE_REF};
    char line[64];
    (void)snprintf(line, sizeof line, "%s %s", sn_ops[forward->op].name, sn_dtype_name(forward->in[0].dtype));
    if (!wanted(o, line)) return SN_OK;
    for (int i = 0; i < (o->ref ? 3 : 2); i++) {
        ran there = {.out = {NULL}}, again = {.out = {NULL}};
        sn_status status = time_one(o, forward, backends[i], &there);
        if (status == SN_OK) {
            back->borrowed[opaque_slot] = there.out[1];
            back->forward = &there.plan;
            status = time_one(o, back, backends[i], &again);
        }
        drop(&again);
        drop(&there);
        if (status != SN_OK && status != SN_ERR_UNSUPPORTED) return status;
    }
    return SN_OK;
}

static sn_status pools(const options *o, sn_dtype t) {
    static const int64_t sizes[][3] = {{32, 224, 64}, {32, 112, 128}, {32, 56, 256}, {64, 64, 16}, {64, 32, 32}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n = sizes[i][0], side = sizes[i][1], c = sizes[i][2];
        sn_attr attr = {.pool = {{2, 2}, {2, 2}, {0, 0, 0, 0}, {(int)side, (int)side}}};
        work forward = {.op = SN_MAXPOOL, .attr = attr, .n_in = 1, .in = {typed(t, SN_SHAPE(n, side, side, c))}};
        work back = {.op = SN_MAXPOOL_BWD, .attr = attr, .n_in = 2,
                     .in = {typed(t, SN_SHAPE(n, side / 2, side / 2, c)), typed(SN_OPAQUE, SN_SHAPE(0))}};
        SN_TRY(there_and_back(o, &forward, &back, 1));
    }
    return SN_OK;
}

static sn_status recurrent(const options *o) {
    static const struct {
        sn_op op, back;
        int64_t gates, n, t, i, h;
    } sizes[] = {{SN_GRU, SN_GRU_BWD, 3, 64, 12, 128, 256},   {SN_GRU, SN_GRU_BWD, 3, 64, 20, 300, 256},
                 {SN_LSTM, SN_LSTM_BWD, 4, 32, 40, 128, 256}, {SN_LSTM, SN_LSTM_BWD, 4, 64, 100, 300, 128},
                 {SN_RNN, SN_RNN_BWD, 1, 64, 20, 128, 256}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int64_t rows = sizes[k].gates * sizes[k].h, n = sizes[k].n, t = sizes[k].t, i = sizes[k].i, h = sizes[k].h;
        sn_type y = typed(SN_F32, SN_SHAPE(n, t, h));
        work forward = {.op = sizes[k].op, .attr.rnn.saves = 1, .n_in = 5, .params = 30,
                        .in = {typed(SN_F32, SN_SHAPE(n, t, i)), typed(SN_F32, SN_SHAPE(rows, i)),
                               typed(SN_F32, SN_SHAPE(rows, h)), typed(SN_F32, SN_SHAPE(rows)),
                               typed(SN_F32, SN_SHAPE(rows))}};
        work back = forward;
        back.op = sizes[k].back;
        back.n_in = 8;
        back.in[5] = back.in[7] = y;
        back.in[6] = typed(SN_OPAQUE, SN_SHAPE(0));
        SN_TRY(there_and_back(o, &forward, &back, 6));
    }
    return SN_OK;
}

/* ViT-B, BERT, Whisper's encoders, Llama-like groups; then decoding with a cache as GPT-2 and a grouped model. */
static sn_status attentions(const options *o, sn_dtype t) {
    static const int64_t sizes[][6] = {/* rows, queries, keys, heads, key/value heads, causal */
                                       {16, 197, 197, 12, 12, 0}, {32, 32, 32, 12, 12, 0},  {32, 128, 128, 12, 12, 0},
                                       {1, 1500, 1500, 6, 6, 0},  {1, 1500, 1500, 8, 8, 0}, {1, 512, 512, 12, 4, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t *s = sizes[i];
        sn_type q = typed(t, SN_SHAPE(s[0], s[1], s[3] * 64)), k = typed(t, SN_SHAPE(s[0], s[2], s[4] * 64));
        sn_attr attr = {.attention = {(int)s[3], (int)s[4], (int)s[5], 0, 0.125f}};
        work forward = {.op = SN_ATTENTION, .attr = attr, .n_in = 3, .in = {q, k, k}};
        work back = {.op = SN_ATTENTION_BWD, .attr = attr, .n_in = 6,
                     .in = {q, k, k, q, typed(SN_F32, SN_SHAPE(s[0], s[3], s[1])), q}};
        SN_TRY(time_all(o, &forward));
        SN_TRY(time_all(o, &back));
    }
    static const int64_t caches[][4] = {{4, 12, 12, 64}, {4, 12, 12, 256}, {4, 12, 12, 1024}, {1, 12, 12, 1024}, {4, 14, 2, 1024}};
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
        const int64_t *s = caches[i];
        int32_t filled[4];
        for (int r = 0; r < 4; r++) filled[r] = (int32_t)s[3];
        sn_type q = typed(t, SN_SHAPE(s[0], 1, s[1] * 64)), k = typed(t, SN_SHAPE(s[0], 1, s[2] * 64));
        sn_type c = typed(t, SN_SHAPE(s[0], s[3], s[2] * 64));
        work step = {.op = SN_ATTENTION_CACHED, .attr = {.attention = {(int)s[1], (int)s[2], 1, 0, 0.125f}}, .n_in = 6,
                     .in = {q, k, k, c, c, typed(SN_I32, SN_SHAPE(s[0]))}, .borrowed = {[5] = filled}};
        SN_TRY(time_all(o, &step));
    }
    return SN_OK;
}

static sn_status softmaxes(const options *o) {
    static const int64_t sizes[][2] = {{16 * 12 * 128, 128}, {2048, 1000}, {64, 13}, {512, 30522}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        work w = {.op = SN_SOFTMAX, .n_in = 1, .in = {typed(SN_F32, SN_SHAPE(sizes[i][0], sizes[i][1]))}};
        SN_TRY(time_all(o, &w));
    }
    return SN_OK;
}

static sn_status all(const options *o) {
    SN_TRY(sn_threads_enter(o->threads));
    sn_dtype types[] = {SN_F32, SN_BF16};
    for (int i = 0; i < (sn_isa_bf16(sn_isa_detect()) ? 2 : 1); i++) {
        SN_TRY(matmuls(o, types[i]));
        SN_TRY(convolutions(o, types[i]));
        SN_TRY(pools(o, types[i]));
        SN_TRY(attentions(o, types[i]));
    }
    SN_TRY(recurrent(o));
    return softmaxes(o);
}

int main(int argc, char **argv) {
    options o = {.threads = sn_threads_available()};
    int i = 1;
    for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
        if (!strcmp(argv[i], "--cpu"))
            o.cpu = true;
        else if (!strcmp(argv[i], "--ref"))
            o.ref = true;
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc)
            o.threads = atoi(argv[++i]);
        else
            return (void)fprintf(stderr, "usage: bench_kernels [--threads N] [--cpu] [--ref] [WORD...]\n"), 2;
    }
    o.words = argv + i;
    o.n_words = argc - i;
    need(all(&o));
    return 0;
}
