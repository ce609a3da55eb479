/* bench_models.c: our side of the rows of `make bench` over published models (run.py, peer_models.py).
 *
 *   bench_models encode MODEL PRECISION THREADS picture|text|sound ROWS [STEPS]
 *   bench_models train  MODEL PRECISION THREADS picture|text ROWS [STEPS]   a step with AdamW, loss the mean of squares
 *   bench_models write  MODEL PRECISION THREADS PROMPT NEW ROWS             a decoder alone, or behind an encoder
 *   bench_models embed MODEL PRECISION THREADS TEXTS       a line each; pooled as the model's files say
 *   bench_models caption MODEL PRECISION THREADS BEAMS LENGTH
 *
 * Prints {"ready":true}, then answers one JSON line for each line on stdin: "run" or "profile" (to stderr too). Inputs
 * are the same numbers on both sides, and the answers say what came out, so that run.py can see that both did the same. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parallel.h"
#include "bench.h"
#include "models/decode.h"
#include "sensorium.h"
#include "train/optimiser.h"

static float number(size_t i) { return (float)(i * 2654435761u % 1000) / 500.0f - 1.0f; }
static int32_t token(size_t i) { return (int32_t)(i * 7919u % 20000 + 1000); }

static float *numbers(size_t n) {
    float *x = some(n, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = number(i);
    return x;
}

/* ---- one graph of the model ---- */

typedef struct model {
    sn_pretrained *m;
    sn_page_sizes sizes;
    sn_runner *runner;
    sn_optimiser *optimiser; /* NULL: forward only */
    sn_shape shape;          /* of the output */
    uint64_t step;
} model;

static void open_model(model *b, const char *place, const char *precision, int threads, bool trains) {
    sn_pretrained_options o = {.threads = threads, .precision = precision, .inference = !trains, .fold = !trains};
    need(sn_pretrained_open(place, &o, &b->m));
}

/* What goes in: one row each. */
static const struct kind {
    const char *name;
    unsigned accepts;
    bool encoder; /* the encoder alone is measured */
} kinds[] = {{"text", SN_IN_TEXT, false}, {"picture", SN_IN_IMAGE, false}, {"sound", SN_IN_SOUND, true}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void set_sizes(model *b, unsigned accepts, int64_t rows, int64_t steps) {
    b->sizes = (sn_page_sizes){.rows = rows, .height = accepts & SN_IN_IMAGE ? 0 : -1};
    if (accepts & SN_IN_TEXT) b->sizes.steps = steps;
    if (accepts & SN_IN_SOUND) b->sizes.frames = 2 * sn_pretrained_config(b->m)->positions;
}

/* What the inputs of a graph are bound to, made before compiling takes the graph; in the order of sn_pretrained_inputs. */
typedef struct feed {
    const void *data[8];
    int n;
} feed;

static feed make_feed(const model *b, const sn_page_in *in, const sn_graph *g) {
    feed f = {.n = 0};
    size_t n = (size_t)(b->sizes.rows * b->sizes.steps);
    if (in->ids.id >= 0) {
        int32_t *ids = some(n, 4), *types = some(n, 4), *lengths = some((size_t)b->sizes.rows, 4);
        for (size_t i = 0; i < n; i++) ids[i] = token(i);
        for (int64_t r = 0; r < b->sizes.rows; r++) lengths[r] = (int32_t)b->sizes.steps;
        f.data[f.n++] = ids;
        f.data[f.n++] = types;
        f.data[f.n++] = lengths;
    }
    const sn_node real[] = {in->pixels, in->sound};
    for (int k = 0; k < 2; k++)
        if (real[k].id >= 0) f.data[f.n++] = numbers((size_t)sn_shape_count(sn_shape_at(g, real[k])));
    if (in->rows.id >= 0) {
        int64_t *rows = some((size_t)b->sizes.rows, sizeof *rows);
        for (int64_t r = 0; r < b->sizes.rows; r++) rows[r] = r;
        f.data[f.n++] = rows;
    }
    return f;
}

/* Compiles the graph (and frees it); the runner has its memory and its inputs. */
static void make_runner(model *b, const sn_page_in *in, sn_graph *g, int n, const sn_node *outputs) {
    sn_program *program;
    feed f = make_feed(b, in, g);
    b->shape = sn_shape_at(g, outputs[0]);
    need(sn_pretrained_compile(b->m, g, n, outputs, n, &program));
    need(sn_runner_create(program, sn_pretrained_params(b->m), &b->runner));
    sn_runner_lend(b->runner, sn_pages(sn_program_bytes(program)));
    for (int i = 0; i < f.n; i++) sn_runner_bind_input(b->runner, i, f.data[i]);
}

static sn_node output_of(const sn_page_out *out) {
    static const char *const names[] = {"image_embeds", "text_embeds", "logits", "pooler_output", "last_hidden_state"};
    sn_node node = SN_NO_NODE;
    for (size_t i = 0; node.id < 0 && i < sizeof names / sizeof *names; i++) node = sn_page_get(out, names[i]);
    if (node.id < 0) need(sn_fail(SN_ERR_UNSUPPORTED, "the model gives none of the outputs that are measured"));
    return node;
}

/* The mean of the output's squares, and the gradient of every parameter that it depends on. */
static int add_gradients(model *b, sn_graph *g, sn_node output, sn_node *outputs, int *which) {
    sn_params *p = sn_pretrained_params(b->m);
    int n = 0;
    sn_node *wrt = some((size_t)sn_params_count(p), sizeof *wrt);
    double count = (double)sn_shape_count(sn_shape_at(g, output));
    sn_node squares = sn_emit(g, SN_SQUARE, &output, 1, NULL);
    sn_node sum = sn_reduce_sum(g, sn_reshape(g, squares, SN_SHAPE(-1)), 1, true);
    sn_attr mean = {.affine = {(float)(1.0 / count), 0}};
    outputs[0] = sn_emit(g, SN_AFFINE, &sum, 1, &mean);
    sn_node dy = sn_fill(g, sn_shape_at(g, outputs[0]), 1.0f);
    for (int i = 0; i < sn_params_count(p); i++) {
        sn_node node = sn_graph_param(g, i);
        if (node.id < 0 || !sn_params_trainable(p, i)) continue;
        which[n] = i;
        wrt[n++] = node;
    }
    need(sn_grad(g, 1, outputs, &dy, n, wrt, outputs + 1));
    sn_free(wrt);
    return n;
}

static void compile(model *b, bool trains) {
    sn_graph *g;
    sn_page_in in;
    sn_page_out *out = some(1, sizeof *out);
    sn_params *p = sn_pretrained_params(b->m);
    size_t most = (size_t)sn_params_count(p) + 1;
    sn_node *outputs = some(most, sizeof *outputs);
    int *which = some(most, sizeof *which), n = 0;
    need(sn_pretrained_graph(b->m, &b->sizes, trains, &g, &in, out));
    outputs[0] = sn_cast(g, output_of(out), SN_F32);
    if (trains) n = add_gradients(b, g, outputs[0], outputs, which);
    need(sn_graph_check(g));
    make_runner(b, &in, g, 1 + n, outputs);
    if (trains) {
        float *gradients;
        sn_optimiser_options o;
        need(sn_optimiser_defaults("adamw", &o));
        need(sn_optimiser_create(&o, p, sn_pretrained_threads(b->m), &b->optimiser));
        need(sn_params_gradients(p, &gradients));
        for (int i = 0; i < n; i++) sn_runner_bind_output(b->runner, 1 + i, gradients + sn_params_offset(p, which[i]));
    }
    sn_free(out);
    sn_free(outputs);
    sn_free(which);
}

/* The encoder alone. */
static void compile_encoder(model *b) {
    sn_graph *g;
    sn_page_in in;
    sn_node node;
    need(sn_graph_create(sn_pretrained_params(b->m), false, &g));
    sn_pretrained_inputs(b->m, g, &b->sizes, false, &in);
    need(sn_pretrained_encode(b->m, g, &in, &node));
    node = sn_cast(g, node, SN_F32);
    make_runner(b, &in, g, 1, &node);
}

static void run_model(model *b, bool profile) {
    if (profile) need(sn_runner_profile(b->runner));
    double start = now();
    need(sn_runner_run(b->runner, SN_RUN_ALL, &(sn_run_info){1, b->step++}));
    if (b->optimiser) {
        int bad;
        (void)sn_optimiser_norm(b->optimiser, 1.0, &bad);
        sn_optimiser_commit(b->optimiser, 1e-5, 1.0);
    }
    double seconds = now() - start, sum = 0;
    const float *y = sn_runner_output(b->runner, 0);
    for (int64_t i = 0; i < sn_shape_count(b->shape); i++) sum += fabs((double)y[i]);
    (void)printf("{\"seconds\":%.6f,\"mean\":%.8f}\n", seconds, sum / (double)sn_shape_count(b->shape));
    if (!profile) return;
    sn_buf text = {0};
    sn_runner_print_profile(b->runner, &text);
    (void)fputs(text.data, stderr);
    sn_buf_free(&text);
}

static bool hear(char *line, int room) {
    (void)fflush(stdout);
    if (!fgets(line, room, stdin)) return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static int row_model(int argc, char **argv, bool trains) {
    char line[64];
    model b = {0};
    const struct kind *kind = NULL;
    for (int k = 0; argc > 4 && k < KINDS; k++)
        if (!strcmp(kinds[k].name, argv[3])) kind = &kinds[k];
    if (!kind) return 2;
    open_model(&b, argv[0], argv[1], atoi(argv[2]), trains);
    set_sizes(&b, kind->accepts, atoll(argv[4]), argc > 5 ? atoll(argv[5]) : 0);
    if (kind->encoder) compile_encoder(&b);
    else compile(&b, trains);
    (void)printf("{\"ready\":true}\n");
    while (hear(line, sizeof line)) run_model(&b, !strcmp(line, "profile"));
    return 0;
}
static int row_encode(int argc, char **argv) { return row_model(argc, argv, false); }
static int row_train(int argc, char **argv) { return row_model(argc, argv, true); }

/* ---- writing ---- */

typedef struct writer {
    sn_pretrained *m;
    sn_decoding *d;
    double first; /* when the first token was known */
} writer;

static int on_token(void *context, int64_t row, int32_t t) {
    writer *w = context;
    (void)row, (void)t;
    if (w->first == 0) w->first = now();
    return 0;
}

/* A decoder alone, or one that begins with what an encoder gives: then also the keys and values that it takes of it. */
static void encode_for(writer *w, model *b, int64_t rows) {
    if (!b->runner) {
        need(sn_decoding_start(w->d, NULL, 0, 0, 0));
        return;
    }
    need(sn_runner_run(b->runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
    need(sn_decoding_start(w->d, sn_runner_output(b->runner, 0), rows, b->shape.dim[1], b->shape.dim[2]));
}

static int row_write(int argc, char **argv) {
    char line[64];
    if (argc != 6) return 2;
    writer w = {0};
    sn_pretrained_options o = {.threads = atoi(argv[2]), .precision = argv[1], .inference = true, .fold = true};
    int64_t prompt = atoll(argv[3]), fresh = atoll(argv[4]), rows = atoll(argv[5]);
    need(sn_pretrained_open(argv[0], &o, &w.m));
    model b = {.m = w.m};
    unsigned accepts = sn_pretrained_page(w.m)->accepts & (SN_IN_IMAGE | SN_IN_SOUND);
    if (accepts) {
        set_sizes(&b, accepts, rows, 0);
        compile_encoder(&b);
    }
    need(sn_decoding_create(w.m, rows, prompt + fresh, &w.d));
    sn_generation g = {.max_new_tokens = fresh, .max_length = -1, .min_length = -1, .min_new_tokens = -1, .num_beams = 1,
                       .num_return_sequences = 1, .length_penalty = 1, .repetition_penalty = 1, .temperature = 1, .top_p = 1,
                       .bos = -1, .pad = 0, .decoder_start = -1, .forced_bos = -1, .forced_eos = -1};
    int32_t *ids = some((size_t)(rows * prompt), 4);
    for (int64_t i = 0; i < rows * prompt; i++) ids[i] = token((size_t)(i % prompt));
    sn_generated *out = some((size_t)rows, sizeof *out);
    sn_decoder decoder = sn_decoding_decoder(w.d);
    (void)printf("{\"ready\":true}\n");
    while (hear(line, sizeof line)) {
        double begin = now();
        encode_for(&w, &b, rows);
        w.first = 0;
        double start = now();
        need(sn_generate(&decoder, &g, rows, prompt, ids, on_token, &w, out));
        double end = now();
        (void)printf("{\"seconds\":%.6f,\"encode\":%.6f,\"prompt\":%.6f,\"decode\":%.6f,\"tokens\":[", end - begin, start - begin,
                     w.first - start, end - w.first);
        for (int64_t i = 0; i < out[0].n && i < 8; i++) (void)printf("%s%d", i ? "," : "", out[0].tokens[i]);
        (void)printf("]}\n");
        for (int64_t r = 0; r < rows; r++) sn_free(out[r].tokens);
    }
    return 0;
}

/* A picture to its caption, as `sensorium caption` does it, without its file. */
static int row_caption(int argc, char **argv) {
    char line[64];
    if (argc != 5) return 2;
    sn_pretrained *m;
    sn_decoding *d;
    sn_pretrained_options o = {.threads = atoi(argv[2]), .precision = argv[1], .inference = true, .fold = true};
    int64_t beams = atoll(argv[3]), length = atoll(argv[4]);
    need(sn_pretrained_open(argv[0], &o, &m));
    model b = {.m = m};
    set_sizes(&b, SN_IN_IMAGE, 1, 0);
    compile_encoder(&b);
    sn_shape shape = b.shape;
    need(sn_decoding_create(m, beams, length, &d));
    json_t *over = json_pack("{s:I, s:I}", "num_beams", (json_int_t)beams, "max_length", (json_int_t)length);
    sn_generation g;
    need(sn_generation_read(NULL, sn_pretrained_config(m)->json, over, &g));
    json_decref(over);
    int32_t start = g.decoder_start;
    sn_decoder decoder = sn_decoding_decoder(d);
    (void)printf("{\"ready\":true}\n");
    while (hear(line, sizeof line)) {
        sn_generated out;
        double from = now();
        need(sn_runner_run(b.runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
        need(sn_decoding_start(d, sn_runner_output(b.runner, 0), 1, shape.dim[1], shape.dim[2]));
        need(sn_generate(&decoder, &g, 1, 1, &start, NULL, NULL, &out));
        (void)printf("{\"seconds\":%.6f,\"tokens\":[", now() - from);
        for (int64_t i = 0; i < out.n; i++) (void)printf("%s%d", i ? "," : "", out.tokens[i]);
        (void)printf("]}\n");
        sn_free(out.tokens);
    }
    return 0;
}

/* Texts of a file, a line each, to vectors, as `sensorium embed` does it: tokens, batches, pooling. */
static int row_embed(int argc, char **argv) {
    char line[64], options[96];
    if (argc != 4) return 2;
    sn_pipeline *p;
    size_t n = 0, room = 0, width;
    sn_item *items = NULL;
    FILE *file = fopen(argv[3], "r");
    char *text = NULL;
    size_t held = 0;
    (void)snprintf(options, sizeof options, "{\"precision\":\"%s\",\"threads\":%d}", argv[1], atoi(argv[2]));
    need(sn_pipeline_open(argv[0], options, &p));
    for (ssize_t got; file && (got = getline(&text, &held, file)) > 0; n++) {
        items = sn_grow(items, n, &room, sizeof *items);
        if (!items) need(SN_ERR_MEMORY);
        text[got - 1] = '\0';
        items[n] = (sn_item){.text = sn_strdup(text), .bytes = (size_t)got - 1};
    }
    if (!n) need(sn_fail(SN_ERR_IO, "%s: no lines", argv[3]));
    need(sn_pipeline_width(p, &width));
    float *vectors = some(n, width * sizeof *vectors);
    (void)printf("{\"ready\":true}\n");
    while (hear(line, sizeof line)) {
        double start = now(), sum = 0;
        need(sn_pipeline_embed(p, items, n, NULL, NULL, vectors));
        double seconds = now() - start;
        for (size_t i = 0; i < n * width; i++) sum += fabs((double)vectors[i]);
        (void)printf("{\"seconds\":%.6f,\"mean\":%.8f}\n", seconds, sum / (double)(n * width));
    }
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} rows[] = {{"encode", row_encode}, {"train", row_train}, {"write", row_write}, {"caption", row_caption},
            {"embed", row_embed}};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(argv[1], rows[i].name)) return rows[i].run(argc - 2, argv + 2);
    (void)fprintf(stderr, "bench_models: what to measure, encode, train or write; see the top of bench_models.c\n");
    return 2;
}
