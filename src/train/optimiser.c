/* optimiser.c: creating one, the gradient's norm, and the commit over the flat ranges.
 *
 *   flat range   [ chunk 0: 64 Ki elements | chunk 1 | ... ]          the unit of threads
 *   parameters   [ a   | b | c                  | d ...    ]          the unit of rate, decay, trainable
 *
 * A chunk's body walks the parameters that meet the chunk and runs the kind's pass on each piece. Frozen and
 * STATE parameters are not touched, so the pages of their moments are never made real. All ranges are padded
 * to 16 elements a parameter; padding is zero in gradient, master and moments and stays so. */
#include "base/parallel.h"
#include "train/optimiser_kind.h"

enum { CHUNK = 1 << 16, LANES = 16 };

/* ---- the table of kinds ---- */

static const sn_optimiser_kind *const kinds[] = {
#define SN_OPTIMISER(id) &sn_optimiser_##id,
#include "train/optimisers.def"
#undef SN_OPTIMISER
};

static sn_status find_kind(const char *name, const sn_optimiser_kind **out) {
    sn_names passed = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        *out = kinds[i];
        if (sn_names_match(&passed, kinds[i]->name, name)) return SN_OK;
    }
    SN_FAIL(SN_ERR_USAGE, "unknown optimiser \"%s\"; known are: %s", name ? name : "", passed.list);
}

sn_status sn_optimiser_defaults(const char *kind, sn_optimiser_options *out) {
    const sn_optimiser_kind *k;
    SN_TRY(find_kind(kind, &k));
    *out = k->defaults;
    return SN_OK;
}

static sn_status check_options(const sn_optimiser_options *o) {
    const struct {
        const char *name;
        double value, most; /* 0 <= value < most */
    } rows[] = {{"momentum", o->momentum, HUGE_VAL}, {"beta1", o->beta1, 1}, {"beta2", o->beta2, 1},
                {"alpha", o->alpha, HUGE_VAL},       {"eps", o->eps, HUGE_VAL}, {"weight decay", o->weight_decay, HUGE_VAL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!(rows[i].value >= 0 && rows[i].value < rows[i].most))
            SN_FAIL(SN_ERR_USAGE, "optimiser %s: %s is %g, it must be at least 0 and below %g", o->kind, rows[i].name,
                    rows[i].value, rows[i].most);
    if (o->nesterov && o->momentum <= 0) SN_FAIL(SN_ERR_USAGE, "optimiser %s: nesterov needs a momentum", o->kind);
    return SN_OK;
}

static int best_isa(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl"))
        return SN_ISA_AVX512;
    if (__builtin_cpu_supports("avx2")) return SN_ISA_AVX2;
#endif
    return SN_ISA_BASE;
}

/* ---- life ---- */

static sn_status allocate(sn_optimiser *o) {
    float *gradients;
    SN_TRY(sn_params_gradients(o->params, &gradients));
    o->gradients = gradients;
    o->total = sn_params_total(o->params);
    o->chunks = (int64_t)((o->total + CHUNK - 1) / CHUNK);
    for (int i = 0; i < o->moments; i++) {
        o->moment[i] = sn_pages(o->total * sizeof(float));
        if (!o->moment[i]) return SN_ERR_MEMORY;
    }
    o->touched = sn_alloc((size_t)sn_params_count(o->params), sizeof *o->touched);
    o->chunk_sums = sn_alloc((size_t)o->chunks, sizeof *o->chunk_sums);
    return o->touched && o->chunk_sums ? SN_OK : SN_ERR_MEMORY;
}

sn_status sn_optimiser_create(const sn_optimiser_options *options, sn_params *params, int threads, sn_optimiser **out) {
    *out = NULL;
    const sn_optimiser_kind *kind;
    SN_TRY(find_kind(options->kind, &kind));
    SN_TRY(check_options(options));
    if (threads < 1) SN_FAIL(SN_ERR_USAGE, "threads must be at least 1, not %d", threads);
    sn_optimiser *o = sn_alloc(1, sizeof *o);
    if (!o) return SN_ERR_MEMORY;
    *o = (sn_optimiser){.kind = kind, .options = *options, .params = params, .threads = threads,
                        .moments = kind->needs(options), .isa = best_isa()};
    o->options.kind = kind->name;
    sn_status status = allocate(o);
    if (status == SN_OK) *out = o;
    else sn_optimiser_free(o);
    return status;
}

void sn_optimiser_free(sn_optimiser *o) {
    if (!o) return;
    for (int i = 0; i < o->moments; i++) sn_pages_free(o->moment[i], o->total * sizeof(float));
    sn_free(o->touched);
    sn_free(o->chunk_sums);
    sn_free(o);
}

int64_t sn_optimiser_steps(const sn_optimiser *o) { return o->steps; }

/* ---- pieces: the part of a parameter that lies in a chunk ---- */

typedef struct piece {
    int param;
    size_t from, n; /* elements of the flat range, padding included */
} piece;

/* The trainable piece at or after element *at of the chunk that ends at `end`; moves *at behind it. */
static bool next_piece(const sn_params *p, size_t *at, size_t end, piece *out) {
    while (*at < end) {
        int i = sn_params_at(p, *at);
        size_t next = i + 1 < sn_params_count(p) ? sn_params_offset(p, i + 1) : sn_params_total(p);
        *out = (piece){i, *at, (next < end ? next : end) - *at};
        *at += out->n;
        if (sn_params_trainable(p, i)) return true;
    }
    return false;
}

static size_t chunk_end(const sn_optimiser *o, int64_t chunk) {
    size_t end = ((size_t)chunk + 1) * CHUNK;
    return end < o->total ? end : o->total;
}

/* ---- norm ---- */

/* Lane j sums elements j, j + 16, ...: the same order whatever the vector width. */
SN_INLINE double sum_squares(const float *restrict g, size_t n, double scale) {
    double lane[LANES] = {0}, sum = 0;
    for (size_t i = 0; i < n; i += LANES) {
#pragma omp simd
        for (size_t j = 0; j < LANES; j++) {
            double x = scale * (double)g[i + j];
            lane[j] += x * x;
        }
    }
    for (size_t j = 0; j < LANES; j++) sum += lane[j];
    return sum;
}

static double sum_base(const float *g, size_t n, double scale) { return sum_squares(g, n, scale); }
#if defined(__x86_64__)
__attribute__((target("avx2"))) static double sum_avx2(const float *g, size_t n, double scale) {
    return sum_squares(g, n, scale);
}
#endif

typedef struct norm_job {
    const sn_optimiser *o;
    double scale;
} norm_job;

static void norm_chunk(void *context, int64_t chunk) {
    const norm_job *job = context;
    const sn_optimiser *o = job->o;
    double (*sum)(const float *, size_t, double) = sum_base;
#if defined(__x86_64__)
    if (o->isa >= SN_ISA_AVX2) sum = sum_avx2;
#endif
    size_t at = (size_t)chunk * CHUNK, end = chunk_end(o, chunk);
    piece part;
    o->chunk_sums[chunk] = 0;
    while (next_piece(o->params, &at, end, &part)) o->chunk_sums[chunk] += sum(o->gradients + part.from, part.n, job->scale);
}

static int first_bad(const sn_optimiser *o, int64_t chunk) {
    size_t at = (size_t)chunk * CHUNK, end = chunk_end(o, chunk);
    piece part;
    while (next_piece(o->params, &at, end, &part))
        for (size_t i = 0; i < part.n; i++)
            if (!isfinite(o->gradients[part.from + i])) return part.param;
    return -1;
}

double sn_optimiser_norm(const sn_optimiser *o, double scale, int *bad) {
    norm_job job = {o, scale};
    double sum = 0;
    *bad = -1;
    sn_parallel(o->threads, o->chunks, norm_chunk, &job);
    for (int64_t i = 0; i < o->chunks; i++) {
        sum += o->chunk_sums[i];
        if (*bad < 0 && !isfinite(o->chunk_sums[i])) *bad = first_bad(o, i);
    }
    return sqrt(sum);
}

/* ---- commit ---- */

typedef struct commit_job {
    const sn_optimiser *o;
    float *flat;
    uint16_t *shadow;
    double rate, scale;
} commit_job;

static void commit_piece(const commit_job *job, piece part) {
    const sn_optimiser *o = job->o;
    sn_span span = {.p = job->flat + part.from, .g = o->gradients + part.from, .n = part.n,
                    .shadow = job->shadow ? job->shadow + part.from : NULL};
    for (int i = 0; i < o->moments; i++) span.m[i] = o->moment[i] + part.from;
    double rate = job->rate * (double)sn_params_rate(o->params, part.param);
    bool decays = !(sn_params_init_of(o->params, part.param).flags & SN_PARAM_NO_DECAY);
    o->kind->scalars(&o->options, o->steps, rate, decays ? o->options.weight_decay : 0, span.k);
    span.k[0] = (float)job->scale;
    o->kind->pass[o->isa](&span);
}

static void commit_chunk(void *context, int64_t chunk) {
    const commit_job *job = context;
    size_t at = (size_t)chunk * CHUNK, end = chunk_end(job->o, chunk);
    piece part;
    while (next_piece(job->o->params, &at, end, &part)) commit_piece(job, part);
}

void sn_optimiser_commit(sn_optimiser *o, double learning_rate, double scale) {
    commit_job job = {o, sn_params_flat(o->params), sn_params_shadow_if_any(o->params), learning_rate, scale};
    o->steps++;
    for (int i = 0; i < sn_params_count(o->params); i++)
        if (sn_params_trainable(o->params, i)) o->touched[i] = true;
    sn_parallel(o->threads, o->chunks, commit_chunk, &job);
    sn_params_changed(o->params, true); /* a shadow that was stale before stays so */
}
