/* common.c: acceptance, blocks, sums and copies that all reference kernels use. */
#include "kernels/ref/ref.h"

const sn_kernel sn_ref_none = {"none", NULL, NULL};

sn_status sn_ref_no_scratch(const sn_kernel_request *request, sn_kernel_plan *plan) {
    (void)request;
    (void)plan;
    return SN_OK;
}

/* ---- acceptance ---- */

static bool all_of(const sn_type *types, int n, bool bf16) {
    for (int i = 0; i < n; i++) {
        sn_dtype d = types[i].dtype;
        bool ok = d == SN_F32 || d == SN_I32 || d == SN_I64 || d == SN_OPAQUE || (bf16 && d == SN_BF16);
        if (!ok) return false;
    }
    return true;
}

bool sn_ref_accepts_f32(const sn_kernel_request *r) { return all_of(r->in, r->n_in, false) && all_of(r->out, r->n_out, false); }
bool sn_ref_accepts_float(const sn_kernel_request *r) { return all_of(r->in, r->n_in, true) && all_of(r->out, r->n_out, true); }

bool sn_ref_accepts_norm(const sn_kernel_request *r) {
    bool f32 = sn_ref_accepts_float(r) && r->out[1].dtype == SN_F32 && r->out[2].dtype == SN_F32;
    for (int k = 1; k < r->n_in && k < 4; k++) f32 = f32 && r->in[k].dtype == SN_F32;
    return f32;
}

bool sn_ref_accepts_alike(const sn_kernel_request *r) {
    return r->in[0].dtype == r->out[0].dtype && r->in[0].dtype != SN_OPAQUE;
}

/* ---- blocks ---- */

float sn_load(sn_type type, const void *base, int64_t at) {
    float buffer[SN_BLOCK];
    return *sn_block_in(type, base, at, 1, buffer);
}

void sn_store(sn_type type, void *base, int64_t at, float value) { sn_block_put(type, base, at, 1, &value); }

/* ---- sums ---- */

SN_WIDE double sn_sum(const float *x, int64_t n) {
    enum { LANES = 16, STRETCH = 1024 };
    double total = 0;
    int64_t i = 0;
    while (n - i >= LANES) {
        float lane[LANES] = {0};
        int64_t end = i + sn_min64(STRETCH, (n - i) / LANES * LANES);
        for (; i < end; i += LANES)
            for (int k = 0; k < LANES; k++) lane[k] += x[i + k];
        for (int k = 0; k < LANES; k++) total += (double)lane[k];
    }
    for (; i < n; i++) total += (double)x[i];
    return total;
}

SN_WIDE float sn_max_of(sn_type type, const void *x, int64_t at, int64_t n) {
    enum { LANES = 16 };
    float buffer[SN_BLOCK], lane[LANES];
    for (int k = 0; k < LANES; k++) lane[k] = -INFINITY;
    for (int64_t i = 0; i < n; i += SN_BLOCK) {
        int m = sn_block_size(n - i), c = 0;
        const float *v = sn_block_in(type, x, at + i, m, buffer);
        for (; c + LANES <= m; c += LANES)
            for (int k = 0; k < LANES; k++) lane[k] = v[c + k] > lane[k] ? v[c + k] : lane[k];
        for (; c < m; c++) lane[0] = v[c] > lane[0] ? v[c] : lane[0];
    }
    float best = lane[0];
    for (int k = 1; k < LANES; k++) best = lane[k] > best ? lane[k] : best;
    return best;
}

/* Parts the rows are cut into: enough for parallelism when columns and outer give none, at least 128 rows
 * each, at most 32. */
static int64_t row_parts(int64_t outer, int64_t rows, int64_t width) {
    int64_t tasks = outer * sn_pieces(width, SN_BLOCK);
    if (tasks >= 32) return 1;
    return sn_max64(1, sn_min64(32, rows / 128));
}

size_t sn_columns_scratch(int64_t outer, int64_t rows, int64_t width, int terms) {
    return (size_t)(row_parts(outer, rows, width) * outer * terms * width) * sizeof(double);
}

typedef struct columns_job {
    const sn_columns *c;
    int64_t parts, tiles;
    double *sums; /* [parts, outer, terms, width] */
} columns_job;

static void columns_chunk(void *context, int64_t chunk) {
    const columns_job *job = context;
    const sn_columns *c = job->c;
    enum { STRETCH = 64 }; /* rows summed in f32 before the double takes over */
    int64_t tile = chunk % job->tiles, outer = chunk / job->tiles % c->outer, part = chunk / job->tiles / c->outer;
    int64_t from = c->rows * part / job->parts, to = c->rows * (part + 1) / job->parts;
    int64_t at = tile * SN_BLOCK;
    int n = sn_block_size(c->width - at);
    double *sums = job->sums + ((part * c->outer + outer) * c->terms) * c->width + at;
    for (int k = 0; k < c->terms; k++)
        for (int j = 0; j < n; j++) sums[k * c->width + j] = 0;
    for (int64_t row = from; row < to; row += STRETCH) {
        float acc[SN_MAX_TERMS * SN_BLOCK];
        for (int k = 0; k < c->terms; k++) memset(acc + k * SN_BLOCK, 0, (size_t)n * sizeof(float));
        c->add(c->context, outer, row, sn_min64(row + STRETCH, to), at, n, acc);
        for (int k = 0; k < c->terms; k++)
            for (int j = 0; j < n; j++) sums[k * c->width + j] += (double)acc[k * SN_BLOCK + j];
    }
}

const double *sn_columns_run(const sn_columns *c, int threads, void *scratch) {
    columns_job job = {c, row_parts(c->outer, c->rows, c->width), sn_pieces(c->width, SN_BLOCK), scratch};
    sn_parallel(threads, job.parts * c->outer * job.tiles, columns_chunk, &job);
    int64_t size = c->outer * c->terms * c->width;
    for (int64_t part = 1; part < job.parts; part++)
        for (int64_t j = 0; j < size; j++) job.sums[j] += job.sums[part * size + j];
    return job.sums;
}

/* ---- bytes ---- */

typedef struct copy_job {
    const char *from;
    char *to;
    int64_t from_stride, to_stride, count, bytes, per_chunk, cuts;
} copy_job;

static void copy_chunk(void *context, int64_t chunk) {
    const copy_job *j = context;
    if (j->cuts > 1) { /* one long run in several cuts */
        int64_t run = chunk / j->cuts, at = chunk % j->cuts * j->per_chunk;
        memcpy(j->to + run * j->to_stride + at, j->from + run * j->from_stride + at,
               (size_t)sn_min64(j->per_chunk, j->bytes - at));
        return;
    }
    int64_t end = sn_min64((chunk + 1) * j->per_chunk, j->count);
    for (int64_t i = chunk * j->per_chunk; i < end; i++)
        memcpy(j->to + i * j->to_stride, j->from + i * j->from_stride, (size_t)j->bytes);
}

void sn_copy_runs(int threads, const void *from, int64_t from_stride, void *to, int64_t to_stride, int64_t count,
                  int64_t bytes) {
    enum { PIECE = 1 << 16 };
    if (count <= 0 || bytes <= 0) return;
    copy_job j = {from, to, from_stride, to_stride, count, bytes, 0, 1};
    if (bytes > PIECE) {
        j.per_chunk = PIECE;
        j.cuts = sn_pieces(bytes, PIECE);
        sn_parallel(threads, count * j.cuts, copy_chunk, &j);
    } else {
        j.per_chunk = PIECE / bytes;
        sn_parallel(threads, sn_pieces(count, j.per_chunk), copy_chunk, &j);
    }
}

typedef struct zero_job {
    char *to;
    int64_t bytes;
} zero_job;

enum { ZERO_PIECE = 1 << 18 };

static void zero_chunk(void *context, int64_t chunk) {
    const zero_job *j = context;
    int64_t at = chunk * ZERO_PIECE;
    memset(j->to + at, 0, (size_t)sn_min64(ZERO_PIECE, j->bytes - at));
}

void sn_zero(int threads, void *to, int64_t bytes) {
    zero_job j = {to, bytes};
    sn_parallel(threads, sn_pieces(bytes, ZERO_PIECE), zero_chunk, &j);
}
