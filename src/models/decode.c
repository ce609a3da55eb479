/* decode.c: see decode.h. Three kinds of programs, made when first needed and kept for the session's life:
 *
 *   cross (inputs, steps)   encoded [I,S,E] -> keys and values of every block [I,S,D]
 *   step (rows, count)      ids, positions, filled, ancestry, caches, cross keys and values
 *                           -> logits [rows,1,V], keys and values of every block [rows,count,D]                    */
#include "models/decode.h"

#include "graph/program.h"

typedef struct kept {
    bool cross;
    int64_t rows, count; /* or inputs, steps */
    sn_program *program;
    sn_runner *runner;
} kept;

struct sn_decoding {
    const sn_pretrained *m;
    int64_t most_rows, capacity, layers, width, vocabulary; /* width: of a position's keys */
    sn_dtype dtype;                                         /* of the cache */
    void *memory;                                           /* the arena of whichever program runs */
    size_t memory_bytes;
    char *cache; /* [2 * layers][most_rows][capacity][width] */
    size_t cache_bytes;
    char *cross; /* [2 * layers][inputs][steps][width] in dtype */
    size_t cross_bytes;
    int64_t inputs, steps, encoded_width;
    int32_t *ancestry, *other, *filled, *positions; /* [most_rows][capacity] twice; [most_rows]; [most_rows * capacity] */
    int64_t past;                                   /* positions that all rows have */
    kept *programs;
    size_t n, room;
};

static size_t element(const sn_decoding *d) { return d->dtype == SN_BF16 ? 2 : 4; }
static size_t line(const sn_decoding *d) { return (size_t)d->width * element(d); }
static char *cache_of(const sn_decoding *d, int64_t which) {
    return d->cache + (size_t)which * (size_t)d->most_rows * (size_t)d->capacity * line(d);
}

void sn_decoding_free(sn_decoding *d) {
    if (!d) return;
    for (size_t i = 0; i < d->n; i++) {
        sn_runner_free(d->programs[i].runner);
        sn_program_free(d->programs[i].program);
    }
    sn_free(d->programs);
    sn_pages_free(d->memory, d->memory_bytes);
    sn_pages_free(d->cache, d->cache_bytes);
    sn_pages_free(d->cross, d->cross_bytes);
    sn_free(d->ancestry);
    sn_free(d->other);
    sn_free(d->filled);
    sn_free(d->positions);
    sn_free(d);
}

static sn_status size_of(int64_t a, int64_t b, int64_t c, int64_t e, size_t *bytes) {
    size_t n = (size_t)a;
    if (sn_mul_overflow(n, (size_t)b, &n) || sn_mul_overflow(n, (size_t)c, &n) || sn_mul_overflow(n, (size_t)e, bytes))
        SN_FAIL(SN_ERR_MEMORY, "a cache of %lld rows and %lld positions is too large", (long long)a, (long long)b);
    return SN_OK;
}

static sn_status make_room(sn_decoding *d) {
    SN_TRY(size_of(d->most_rows, d->capacity, 2 * d->layers, (int64_t)line(d), &d->cache_bytes));
    size_t table = (size_t)d->most_rows * (size_t)d->capacity;
    d->cache = sn_pages(d->cache_bytes);
    d->ancestry = sn_alloc(table, sizeof *d->ancestry);
    d->other = sn_alloc(table, sizeof *d->other);
    d->positions = sn_alloc(table, sizeof *d->positions);
    d->filled = sn_alloc((size_t)d->most_rows, sizeof *d->filled);
    return d->cache && d->ancestry && d->other && d->positions && d->filled ? SN_OK : SN_ERR_MEMORY;
}

sn_status sn_decoding_create(const sn_pretrained *m, int64_t rows, int64_t positions, sn_decoding **out) {
    *out = NULL;
    const sn_page *page = sn_pretrained_page(m);
    sn_page_decoder shape;
    if (!page->decode) SN_FAIL(SN_ERR_UNSUPPORTED, "a model of type %s does not generate text", page->model_type);
    SN_TRY(page->decoder(sn_pretrained_config(m), &shape));
    if (rows < 1 || positions < 1 || (shape.positions > 0 && positions > shape.positions))
        SN_FAIL(SN_ERR_USAGE, "%lld positions of text; the model has %lld", (long long)positions, (long long)shape.positions);
    sn_decoding *d = sn_alloc(1, sizeof *d);
    if (!d) return SN_ERR_MEMORY;
    d->m = m;
    d->most_rows = rows;
    d->capacity = positions;
    d->layers = shape.layers;
    d->width = shape.kv_width;
    d->vocabulary = shape.vocabulary;
    d->dtype = sn_pretrained_bf16(m) ? SN_BF16 : SN_F32;
    sn_status status = make_room(d);
    if (status == SN_OK) *out = d;
    else sn_decoding_free(d);
    return status;
}

size_t sn_decoding_bytes(const sn_decoding *d) { return d->cache_bytes + d->cross_bytes + d->memory_bytes; }

/* ---- programs ---- */

static void cross_inputs(const sn_decoding *d, sn_graph *g, sn_node *keys, sn_node *values) {
    for (int64_t i = 0; i < d->layers; i++) {
        keys[i] = sn_input(g, d->dtype, SN_SHAPE(d->inputs, d->steps, d->width));
        values[i] = sn_input(g, d->dtype, SN_SHAPE(d->inputs, d->steps, d->width));
    }
}

/* Inputs: ids, positions, filled, ancestry, caches (keys, values of each block), cross keys and values. */
static sn_status step_graph(const sn_decoding *d, int64_t rows, int64_t count, sn_graph *g, sn_node *outputs) {
    sn_node cross_keys[SN_PAGE_LAYERS], cross_values[SN_PAGE_LAYERS];
    sn_attention_cache cache[SN_PAGE_LAYERS];
    sn_page_in in = sn_page_in_none();
    in.ids = sn_input(g, SN_I32, SN_SHAPE(rows, count));
    in.first = sn_input(g, SN_I32, SN_SHAPE(rows, count));
    sn_node filled = sn_input(g, SN_I32, SN_SHAPE(rows)), ancestry = sn_input(g, SN_I32, SN_SHAPE(rows, d->capacity));
    sn_shape past = SN_SHAPE(d->most_rows, d->capacity, d->width);
    for (int64_t i = 0; i < d->layers; i++) {
        sn_node keys = sn_input(g, d->dtype, past), values = sn_input(g, d->dtype, past);
        cache[i] = (sn_attention_cache){keys, values, filled, ancestry};
    }
    in.cache = cache;
    in.keys = outputs + 1;
    in.values = outputs + 1 + d->layers;
    in.last_only = true;
    if (d->cross) {
        cross_inputs(d, g, cross_keys, cross_values);
        in.cross_keys = cross_keys;
        in.cross_values = cross_values;
    }
    return sn_pretrained_decode(d->m, g, &in, &outputs[0]);
}

static sn_status cross_graph(const sn_decoding *d, sn_graph *g, sn_node *outputs) {
    sn_page_in in = sn_page_in_none();
    in.encoded = sn_input(g, SN_F32, SN_SHAPE(d->inputs, d->steps, d->encoded_width));
    SN_TRY(sn_pretrained_cross(d->m, g, &in, outputs, outputs + d->layers));
    for (int64_t i = 0; i < 2 * d->layers; i++) outputs[i] = sn_cast(g, outputs[i], d->dtype);
    return sn_graph_check(g);
}

static sn_status compile(sn_decoding *d, bool cross, int64_t rows, int64_t count, kept *k) {
    sn_graph *g;
    size_t most = 1 + 2 * (size_t)d->layers;
    int n = (int)(cross ? most - 1 : most);
    sn_node *outputs = sn_alloc(most, sizeof *outputs);
    if (!outputs) return SN_ERR_MEMORY;
    sn_status status = sn_graph_create(sn_pretrained_params(d->m), false, &g);
    if (status == SN_OK) {
        status = cross ? cross_graph(d, g, outputs) : step_graph(d, rows, count, g, outputs);
        if (status == SN_OK) status = sn_pretrained_compile(d->m, g, n, outputs, n, &k->program);
        else sn_graph_free(g);
    }
    sn_free(outputs);
    if (status != SN_OK) return status;
    return sn_runner_create(k->program, sn_pretrained_params(d->m), &k->runner);
}

static sn_status find_or_compile(sn_decoding *d, bool cross, int64_t rows, int64_t count, kept **out) {
    for (size_t i = 0; i < d->n; i++) {
        *out = &d->programs[i];
        if ((*out)->cross == cross && (*out)->rows == rows && (*out)->count == count) return SN_OK;
    }
    void *programs = sn_grow(d->programs, d->n, &d->room, sizeof *d->programs);
    if (!programs) return SN_ERR_MEMORY;
    d->programs = programs;
    kept k = {.cross = cross, .rows = rows, .count = count};
    sn_status status = compile(d, cross, rows, count, &k);
    if (status != SN_OK) {
        sn_program_free(k.program);
        return status;
    }
    *out = &d->programs[d->n];
    d->programs[d->n++] = k;
    return SN_OK;
}

static sn_status runner_of(sn_decoding *d, bool cross, int64_t rows, int64_t count, sn_runner **out) {
    kept *k;
    SN_TRY(find_or_compile(d, cross, rows, count, &k));
    SN_TRY(sn_pages_reserve(&d->memory, &d->memory_bytes, sn_program_bytes(k->program)));
    sn_runner_lend(k->runner, d->memory);
    *out = k->runner;
    return SN_OK;
}

/* ---- the encoder's output ---- */

/* Step programs have the number of inputs and steps in their shapes. */
static void forget_steps(sn_decoding *d) {
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (d->programs[i].cross) {
            d->programs[n++] = d->programs[i];
            continue;
        }
        sn_runner_free(d->programs[i].runner);
        sn_program_free(d->programs[i].program);
    }
    d->n = n;
}

sn_status sn_decoding_start(sn_decoding *d, const float *encoded, int64_t inputs, int64_t steps, int64_t width) {
    d->past = 0;
    if (!encoded) return SN_OK;
    sn_runner *runner;
    if (inputs != d->inputs || steps != d->steps || width != d->encoded_width) {
        forget_steps(d);
        d->inputs = inputs;
        d->steps = steps;
        d->encoded_width = width;
    }
    size_t bytes;
    void *cross = d->cross;
    SN_TRY(size_of(inputs, steps, 2 * d->layers, (int64_t)line(d), &bytes));
    sn_status status = sn_pages_reserve(&cross, &d->cross_bytes, bytes);
    d->cross = cross;
    SN_TRY(status);
    SN_TRY(runner_of(d, true, inputs, steps, &runner));
    size_t one = (size_t)(inputs * steps) * line(d);
    for (int64_t i = 0; i < 2 * d->layers; i++) sn_runner_bind_output(runner, (int)i, d->cross + (size_t)i * one);
    sn_runner_bind_input(runner, 0, encoded);
    return sn_runner_run(runner, SN_RUN_ALL, &(sn_run_info){0, 0});
}

/* ---- steps ---- */

/* Row r goes on where row parents[r] stood. */
static void inherit(sn_decoding *d, int64_t rows, const int32_t *parents) {
    if (!parents) return;
    for (int64_t r = 0; r < rows; r++)
        memcpy(d->other + r * d->capacity, d->ancestry + (int64_t)parents[r] * d->capacity, (size_t)d->past * sizeof *d->other);
    int32_t *old = d->ancestry;
    d->ancestry = d->other;
    d->other = old;
}

static void bind(sn_decoding *d, sn_runner *runner, const int32_t *ids, float *logits) {
    int at = 0;
    sn_runner_bind_input(runner, at++, ids);
    sn_runner_bind_input(runner, at++, d->positions);
    sn_runner_bind_input(runner, at++, d->filled);
    sn_runner_bind_input(runner, at++, d->ancestry);
    for (int64_t i = 0; i < d->layers; i++) {
        sn_runner_bind_input(runner, at++, cache_of(d, i));
        sn_runner_bind_input(runner, at++, cache_of(d, d->layers + i));
    }
    size_t one = (size_t)(d->inputs * d->steps) * line(d);
    for (int64_t i = 0; d->cross && i < d->layers; i++) {
        sn_runner_bind_input(runner, at++, d->cross + (size_t)i * one);
        sn_runner_bind_input(runner, at++, d->cross + (size_t)(d->layers + i) * one);
    }
    sn_runner_bind_output(runner, 0, logits);
}

/* Fresh keys and values [rows, count, width] into the rows' own lines of the cache. */
static void store(sn_decoding *d, const sn_runner *runner, int64_t rows, int64_t count) {
    for (int64_t i = 0; i < 2 * d->layers; i++) {
        const float *fresh = sn_runner_output(runner, 1 + (int)i);
        char *cache = cache_of(d, i);
        for (int64_t r = 0; r < rows; r++) {
            int64_t n = count * d->width, at = (r * d->capacity + d->past) * d->width;
            sn_floats_put(d->dtype, fresh + r * n, cache, at, n);
        }
    }
}

static sn_status step(void *context, int64_t rows, int64_t count, const int32_t *ids, const int32_t *parents, float *logits) {
    sn_decoding *d = context;
    sn_runner *runner;
    if (rows < 1 || rows > d->most_rows || count < 1 || count > d->capacity - d->past)
        SN_FAIL(SN_ERR_USAGE, "%lld rows of %lld more tokens do not fit a session of %lld rows and %lld positions, %lld of them used",
                (long long)rows, (long long)count, (long long)d->most_rows, (long long)d->capacity, (long long)d->past);
    if (d->cross && rows % d->inputs)
        SN_FAIL(SN_ERR_USAGE, "%lld rows are no multiple of %lld inputs", (long long)rows, (long long)d->inputs);
    SN_TRY(runner_of(d, false, rows, count, &runner));
    inherit(d, rows, parents);
    for (int64_t r = 0; r < rows; r++) {
        d->filled[r] = (int32_t)d->past;
        for (int64_t t = 0; t < count; t++) {
            d->positions[r * count + t] = (int32_t)(d->past + t);
            d->ancestry[r * d->capacity + d->past + t] = (int32_t)r;
        }
    }
    bind(d, runner, ids, logits);
    SN_TRY(sn_runner_run(runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
    store(d, runner, rows, count);
    d->past += count;
    return SN_OK;
}

/* Rows belong to inputs by their number, and every number of rows is a program: it stays what it is. */
sn_decoder sn_decoding_decoder(sn_decoding *d) {
    return (sn_decoder){.context = d, .vocabulary = d->vocabulary, .most_positions = d->capacity, .step = step, .fixed_rows = true};
}
