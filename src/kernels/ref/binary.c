/* binary.c: element-wise ops of two inputs with numpy broadcasting, and BROADCAST itself.
 *
 *   (a, b) -> y: the output is cut into chunks of SN_CHUNK elements; inside, runs of the innermost merged axis
 *   in blocks. An operand that stands still along that axis is spread into a block once per run. */
#include "kernels/ref/ref.h"
#include "kernels/ref/strides.h"

/* ---- walks ---- */

void sn_walk_merge(sn_walk *w, int n) {
    int rank = 0;
    for (int i = 0; i < w->rank; i++) {
        if (w->dim[i] == 1) continue;
        bool joins = rank > 0;
        for (int k = 0; k < n && joins; k++) joins = w->step[k][rank - 1] == w->step[k][i] * w->dim[i];
        int to = joins ? rank - 1 : rank++;
        w->dim[to] = joins ? w->dim[to] * w->dim[i] : w->dim[i];
        for (int k = 0; k < n; k++) w->step[k][to] = w->step[k][i];
    }
    if (!rank) {
        w->dim[0] = 1;
        for (int k = 0; k < n; k++) w->step[k][0] = 1;
        rank = 1;
    }
    w->rank = rank;
}

sn_walk sn_walk_broadcast(sn_shape over, const sn_shape *operands, int n) {
    sn_walk w = {.rank = over.rank};
    for (int i = 0; i < over.rank; i++) w.dim[i] = over.dim[i];
    for (int k = 0; k < n; k++) {
        int64_t step = 1;
        int lead = over.rank - operands[k].rank;
        for (int i = over.rank - 1; i >= 0; i--) {
            int64_t d = i < lead ? 1 : operands[k].dim[i - lead];
            w.step[k][i] = d == 1 ? 0 : step;
            step *= d;
        }
    }
    sn_walk_merge(&w, n);
    return w;
}

/* ---- the ops ---- */

typedef void binary_fn(const float *a, const float *b, float *y, int n);

#define BINARY(name, expression)                                                                            \
    SN_WIDE static void name(const float *a, const float *b, float *y, int n) {                             \
        SN_INDEPENDENT for (int i = 0; i < n; i++) y[i] = (expression);                                     \
    }
BINARY(do_add, a[i] + b[i])
BINARY(do_sub, a[i] - b[i])
BINARY(do_mul, a[i] * b[i])
BINARY(do_div, a[i] / b[i])
BINARY(do_maximum, a[i] > b[i] || a[i] != a[i] ? a[i] : b[i])

static binary_fn *const binary_of[SN_OP_COUNT] = {
    [SN_ADD] = do_add, [SN_SUB] = do_sub, [SN_MUL] = do_mul, [SN_DIV] = do_div, [SN_MAXIMUM] = do_maximum};

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    int64_t count;
    sn_walk walk;
} job;

/* A block of an operand that steps by 0 or 1 along the run. */
static const float *operand(const job *j, int k, int64_t start, int64_t step, int64_t at, int n, float *buffer) {
    if (step) return sn_block_in(j->plan->in[k], j->args->in[k], start + at, n, buffer);
    float v = sn_load(j->plan->in[k], j->args->in[k], start);
    for (int i = 0; i < n; i++) buffer[i] = v;
    return buffer;
}

static void binary_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_kernel_plan *p = j->plan;
    const sn_walk *w = &j->walk;
    binary_fn *compute = binary_of[p->op];
    int64_t end = sn_min64((chunk + 1) * SN_CHUNK, j->count), inner = w->dim[w->rank - 1];
    float abuf[SN_BLOCK], bbuf[SN_BLOCK], ybuf[SN_BLOCK];
    for (int64_t at = chunk * SN_CHUNK; at < end;) {
        int64_t row = at / inner, column = at % inner;
        int64_t run_end = sn_min64(end, (row + 1) * inner);
        int64_t a0 = sn_walk_offset(w, 0, row, w->rank - 1), b0 = sn_walk_offset(w, 1, row, w->rank - 1);
        for (; at < run_end; at += SN_BLOCK, column += SN_BLOCK) {
            int n = sn_block_size(run_end - at);
            const float *a = operand(j, 0, a0, w->step[0][w->rank - 1], column, n, abuf);
            const float *b = operand(j, 1, b0, w->step[1][w->rank - 1], column, n, bbuf);
            float *y = sn_block_out(p->out[0], j->args->out[0], at, ybuf);
            compute(a, b, y, n);
            sn_block_put(p->out[0], j->args->out[0], at, n, y);
        }
        at = run_end;
    }
}

static sn_status run_binary(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, sn_shape_count(plan->out[0].shape), {0}};
    if (!j.count) return SN_OK;
    j.walk = sn_walk_broadcast(plan->out[0].shape, (sn_shape[]){plan->in[0].shape, plan->in[1].shape}, 2);
    sn_parallel(plan->threads, sn_pieces(j.count, SN_CHUNK), binary_chunk, &j);
    return SN_OK;
}
SN_REF(binary, sn_ref_accepts_float, run_binary)

/* ---- BROADCAST: any dtype ---- */

static void spread(char *to, const char *from, int64_t n, size_t size) {
    for (int64_t i = 0; i < n; i++) memcpy(to + i * (int64_t)size, from, size);
}

static void broadcast_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_walk *w = &j->walk;
    const char *from = j->args->in[0];
    char *to = j->args->out[0];
    int64_t size = (int64_t)sn_dtype_size(j->plan->out[0].dtype), inner = w->dim[w->rank - 1];
    int64_t end = sn_min64((chunk + 1) * SN_CHUNK, j->count);
    for (int64_t at = chunk * SN_CHUNK; at < end;) {
        int64_t row = at / inner, column = at % inner, run_end = sn_min64(end, (row + 1) * inner);
        int64_t start = sn_walk_offset(w, 0, row, w->rank - 1);
        if (w->step[0][w->rank - 1])
            memcpy(to + at * size, from + (start + column) * size, (size_t)((run_end - at) * size));
        else if (size == 4)
            for (int64_t i = at; i < run_end; i++) ((uint32_t *)(void *)to)[i] = ((const uint32_t *)(const void *)from)[start];
        else spread(to + at * size, from + start * size, run_end - at, (size_t)size);
        at = run_end;
    }
}

static sn_status run_broadcast(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, sn_shape_count(plan->out[0].shape), {0}};
    if (!j.count) return SN_OK;
    j.walk = sn_walk_broadcast(plan->out[0].shape, &plan->in[0].shape, 1);
    sn_parallel(plan->threads, sn_pieces(j.count, SN_CHUNK), broadcast_chunk, &j);
    return SN_OK;
}
SN_REF(broadcast, sn_ref_accepts_alike, run_broadcast)
