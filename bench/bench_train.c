/* bench_train.c: our side of `make bench` (run.py is the other half of the talk, peer_torch.py the other side).
 *
 *   bench_train ROW ARGUMENTS…    sets the row up, prints {"ready":true}, then answers one JSON line for each line
 *                                 on stdin and ends with stdin
 *
 *   cnn PRECISION step|forward THREADS       "run": one training step or forward of the article's CNN; "profile"
 *   vqa PRECISION THREADS EPOCHS TRAIN TEST  "steps N", "epoch" (whole, then scored on TEST), "profile N"
 *   images THREADS SIDE PASSES FILE…         "run": every file PASSES times: read, decode, resize, normalise
 *   model THREADS TRAIN OUTPUT               a small model for the row `start` (no talk)
 *   predict MODEL COLUMN=VALUE…              what `sensorium predict` does (no talk), where the command is not built
 *
 * Set-up and the talk are never timed. "seconds" are wall-clock time of the work alone. */
#define _GNU_SOURCE
#include "bench.h"

#include <string.h>

#include "base/parallel.h"
#include "graph/program.h"
#include "media/image.h"
#include "models/encoder.h"
#include "sensorium.h"
#include "train/optimiser.h"
#include "train/trainer.h"

/* The next line of the talk, without its end; false at the end of stdin. */
static bool hear(char *line, int room) {
    (void)fflush(stdout);
    if (!fgets(line, room, stdin)) return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* ---- the article's CNN ---- */

enum { BATCH = 32, SIDE = 224, CLASSES = 10, MOST_PARAMS = 32 };

typedef struct cnn {
    sn_params *params;
    sn_runner *runner;
    sn_optimiser *optimiser; /* NULL: forward only */
    uint64_t step;
    float *x, weights[CLASSES], scale;
    int32_t labels[BATCH];
    int64_t rows[BATCH];
} cnn;

/* logits [rows, CLASSES]; inputs 0 and 1 are pictures and row ids */
static sn_node cnn_logits(sn_graph *g, int64_t rows) {
    json_t *options = json_pack("{s:[i, i, i], s:i, s:f}", "channels", 64, 128, 256, "width", 1024, "dropout", 0.5);
    sn_encoder_input in = {.modality = SN_MOD_IMAGE, .categories = SN_NO_NODE};
    in.x = sn_input(g, SN_F32, SN_SHAPE(rows, SIDE, SIDE, 3));
    in.rows = sn_input(g, SN_I64, SN_SHAPE(rows));
    const sn_encoder *encoder;
    need(sn_encoder_find("cnn", SN_MOD_IMAGE, &encoder));
    sn_node y = sn_linear(g, encoder->build(g, options, &in), "head", CLASSES, true, SN_ACT_NONE);
    json_decref(options);
    need(sn_graph_check(g));
    return y;
}

static void cnn_declare(cnn *c) {
    sn_graph *g;
    need(sn_params_create(&c->params));
    need(sn_graph_create(c->params, false, &g));
    (void)cnn_logits(g, 1);
    sn_graph_free(g);
    need(sn_params_seal(c->params));
    sn_params_initialise(c->params, 1);
}

/* outputs: the summed loss, then every parameter's gradient */
static int cnn_training_graph(const cnn *c, sn_graph *g, sn_node *outputs) {
    int n = sn_params_count(c->params);
    sn_node wrt[MOST_PARAMS], logits = cnn_logits(g, BATCH);
    sn_node labels = sn_input(g, SN_I32, SN_SHAPE(BATCH)), weights = sn_input(g, SN_F32, SN_SHAPE(CLASSES));
    sn_node scale = sn_input(g, SN_F32, SN_SHAPE(1));
    sn_node each = sn_emit(g, SN_SOFTMAX_XENT, (sn_node[]){logits, labels, weights}, 3, NULL);
    outputs[0] = sn_reduce_sum(g, each, 1, true);
    for (int p = 0; p < n; p++) wrt[p] = sn_graph_param(g, p);
    need(sn_grad(g, 1, outputs, &scale, n, wrt, outputs + 1));
    return 1 + n;
}

static void cnn_bind_gradients(cnn *c) {
    float *gradients;
    need(sn_params_gradients(c->params, &gradients));
    for (int p = 0; p < sn_params_count(c->params); p++)
        sn_runner_bind_output(c->runner, 1 + p, gradients + sn_params_offset(c->params, p));
}

static void cnn_fill(cnn *c) {
    size_t n = (size_t)BATCH * SIDE * SIDE * 3;
    c->x = some(n, sizeof *c->x);
    for (size_t i = 0; i < n; i++) c->x[i] = (float)(i * 2654435761u % 1000) / 500.0f - 1.0f;
    for (int i = 0; i < BATCH; i++) {
        c->labels[i] = i % CLASSES;
        c->rows[i] = i;
    }
    for (int i = 0; i < CLASSES; i++) c->weights[i] = 1.0f;
    c->scale = 1.0f / BATCH;
    const void *const inputs[] = {c->x, c->rows, c->labels, c->weights, &c->scale};
    for (int i = 0; i < (c->optimiser ? 5 : 2); i++) sn_runner_bind_input(c->runner, i, inputs[i]);
}

static void cnn_open(cnn *c, const char *precision, bool training, int threads) {
    sn_graph *g;
    sn_program *program;
    sn_node outputs[1 + MOST_PARAMS];
    int n = 1;
    cnn_declare(c);
    need(sn_graph_create(c->params, training, &g));
    if (training) n = cnn_training_graph(c, g, outputs);
    else outputs[0] = cnn_logits(g, BATCH);
    sn_isa isa = sn_isa_detect();
    sn_compile_options options = {.threads = threads, .isa = isa, .backends = SN_USE_ALL,
                                  .bf16 = !strcmp(precision, "auto") && sn_isa_bf16(isa)};
    need(sn_program_compile(g, &options, n, outputs, 1, &program));
    need(sn_runner_create(program, c->params, &c->runner));
    sn_runner_lend(c->runner, sn_pages(sn_program_bytes(program)));
    if (training) {
        sn_optimiser_options o;
        need(sn_optimiser_defaults("adamw", &o));
        need(sn_optimiser_create(&o, c->params, threads, &c->optimiser));
        cnn_bind_gradients(c);
    }
    cnn_fill(c);
}

/* Forward, or a whole step as the trainer does it: forward and backward, gradient norm, AdamW. */
static double cnn_run(cnn *c, double *loss) {
    double start = now();
    sn_run_info info = {1, c->step++};
    need(sn_runner_run(c->runner, SN_RUN_ALL, &info));
    *loss = (double)*(const float *)sn_runner_output(c->runner, 0) * (c->optimiser ? (double)c->scale : 1.0);
    if (c->optimiser) {
        int bad;
        (void)sn_optimiser_norm(c->optimiser, 1.0, &bad);
        sn_optimiser_commit(c->optimiser, 1e-4, 1.0);
    }
    return now() - start;
}

static int row_cnn(int argc, char **argv) {
    char line[64];
    double loss;
    cnn c = {0};
    if (argc != 3) return 2;
    cnn_open(&c, argv[0], !strcmp(argv[1], "step"), atoi(argv[2]));
    (void)printf("{\"ready\":true}\n");
    while (hear(line, sizeof line)) {
        if (!strcmp(line, "profile")) need(sn_runner_profile(c.runner));
        double seconds = cnn_run(&c, &loss);
        if (!strcmp(line, "profile")) {
            sn_buf text = {0};
            sn_runner_print_profile(c.runner, &text);
            (void)fputs(text.data, stderr);
            sn_buf_free(&text);
        }
        (void)printf("{\"seconds\":%.6f,\"loss\":%.6f}\n", seconds, loss);
    }
    return 0;
}

/* ---- easy_vqa: the trainer itself, held up at its progress events ---- */

typedef struct vqa {
    sn_trainer *trainer;
    const sn_table *test;
    double started;           /* of what was asked for */
    bool profile;
    int64_t step, want, from; /* steps done; steps asked for, -1: to the end of the epoch; step at its start */
} vqa;

/* Waits for the next order. */
static int vqa_hear(vqa *v) {
    char line[64];
    if (!hear(line, sizeof line)) return 1;
    v->profile = !strncmp(line, "profile ", 8);
    v->want = v->profile ? strtoll(line + 8, NULL, 10) : !strncmp(line, "steps ", 6) ? strtoll(line + 6, NULL, 10) : -1;
    if (v->profile) sn_exec_profile(v->trainer->exec);
    v->from = v->step;
    v->started = now();
    return 0;
}

/* Seconds by instruction, of all steps since the first "profile". */
static void vqa_print_profile(const vqa *v) {
    sn_buf text = {0};
    sn_exec_print_profile(v->trainer->exec, &text);
    need(sn_buf_check(&text));
    (void)fputs(text.data, stderr);
    sn_buf_free(&text);
}

static double vqa_accuracy(const vqa *v) {
    char *text;
    json_t *report;
    need(sn_model_evaluate(sn_trainer_model(v->trainer), v->test, NULL, &text));
    need(sn_json_parse("report", text, strlen(text), &report));
    json_t *target = json_object_get(json_object_get(report, "targets"), "label");
    double accuracy = json_number_value(json_object_get(target, "accuracy"));
    json_decref(report);
    sn_string_free(text);
    return accuracy;
}

static int vqa_event(void *context, const char *text) {
    vqa *v = context;
    double seconds = now() - v->started;
    json_t *event;
    need(sn_json_parse("event", text, strlen(text), &event));
    const char *kind = json_string_value(json_object_get(event, "event"));
    int64_t steps = json_integer_value(json_object_get(event, "steps")), stop = 0;
    int64_t epoch = json_integer_value(json_object_get(event, "epoch"));
    double loss = json_number_value(json_object_get(event, "loss"));
    if (!strcmp(kind, "start")) {
        (void)printf("{\"ready\":true}\n");
        stop = vqa_hear(v);
    } else if (!strcmp(kind, "progress")) {
        v->step = (epoch - 1) * steps + json_integer_value(json_object_get(event, "step"));
        if (v->want > 0 && v->step - v->from >= v->want) {
            (void)printf("{\"seconds\":%.6f,\"steps\":%lld,\"per_epoch\":%lld,\"loss\":%.6f}\n", seconds, (long long)(v->step - v->from),
                         (long long)steps, loss);
            if (v->profile) vqa_print_profile(v);
            stop = vqa_hear(v);
        }
    } else if (!strcmp(kind, "epoch") && v->want < 0) {
        (void)printf("{\"seconds\":%.6f,\"epoch\":%lld,\"accuracy\":%.6f}\n", seconds, (long long)epoch, vqa_accuracy(v));
        stop = vqa_hear(v);
    }
    json_decref(event);
    return (int)stop;
}

/* The recipe of peer_torch.py, word for word; every row learns. */
static char *vqa_config(const char *precision, int threads, int epochs) {
    json_t *c = json_pack("{s:[s], s:{s:{s:s, s:[i, i, i], s:i}, s:{s:s, s:i, s:i}}, s:{s:s, s:i}, s:{s:{s:f}}, s:s, s:i, s:i, s:s}",
                          "targets", "label", "encoders", "image", "type", "cnn", "channels", 16, 32, 64, "width", 256, "text", "type",
                          "gru", "embedding", 64, "width", 256, "combiner", "type", "concat", "width", 256, "preprocessing", "split",
                          "fraction", 0.0, "precision", precision, "threads", threads, "seed", 1, "output", "");
    json_t *trainer = json_pack("{s:i, s:i, s:f, s:f, s:f}", "epochs", epochs, "batch_size", 64, "learning_rate", 3e-3,
                                "modality_dropout", 0.0, "gradient_clipping", 5.0);
    if (!c || !trainer) need(SN_ERR_MEMORY);
    (void)json_object_set_new(c, "trainer", trainer);
    char *text = json_dumps(c, JSON_COMPACT);
    json_decref(c);
    return text;
}

static int row_vqa(int argc, char **argv) {
    sn_table *train, *test;
    vqa v = {0};
    if (argc != 5) return 2;
    char *config = vqa_config(argv[0], atoi(argv[1]), atoi(argv[2]));
    need(sn_table_open(argv[3], NULL, &train));
    need(sn_table_open(argv[4], NULL, &test));
    v.test = test;
    need(sn_trainer_create(train, NULL, config, &v.trainer));
    sn_status status = sn_trainer_run(v.trainer, vqa_event, &v);
    if (status != SN_ERR_CANCELLED) need(status);
    sn_trainer_free(v.trainer);
    sn_table_free(test);
    sn_table_free(train);
    free(config);
    return 0;
}

/* ---- pictures ---- */

typedef struct images {
    char **files;
    int64_t n;
    int side;
    float *out; /* [n][side][side][3] */
} images;

static void one_image(void *context, int64_t i) {
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
    images *job = context;
    sn_image read, sized;
    size_t size = (size_t)job->side * (size_t)job->side * 3;
    float *out = job->out + (size_t)i * size;
    need(sn_image_read(job->files[i], 0, &read));
    need(sn_image_resize(&read, job->side, job->side, SN_BILINEAR, &sized));
    sn_image_normalise(&sized, 1.0f / 255.0f, mean, std, out);
    sn_image_free(&read);
    sn_image_free(&sized);
}

/* Mean of all numbers: the peer's must be the same. */
static double mean_of(const images *job) {
    size_t n = (size_t)job->n * (size_t)job->side * (size_t)job->side * 3;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)job->out[i];
    return sum / (double)n;
}

static int row_images(int argc, char **argv) {
    char line[64];
    if (argc < 4) return 2;
    int threads = atoi(argv[0]), passes = atoi(argv[2]);
    images job = {.files = argv + 3, .n = argc - 3, .side = atoi(argv[1])};
    job.out = some((size_t)job.n * (size_t)job.side * (size_t)job.side * 3, sizeof *job.out);
    need(sn_threads_enter(threads));
    (void)printf("{\"ready\":true}\n");
    while (hear(line, sizeof line)) {
        double start = now();
        for (int p = 0; p < passes; p++) sn_parallel(threads, job.n, one_image, &job);
        double seconds = now() - start;
        (void)printf("{\"seconds\":%.6f,\"images\":%lld,\"mean\":%.7f}\n", seconds, (long long)(job.n * passes), mean_of(&job));
    }
    sn_free(job.out);
    return 0;
}

/* ---- a model, and a prediction from the start of a process ---- */

static int row_model(int argc, char **argv) {
    sn_table *table;
    sn_trainer *trainer;
    json_error_t error;
    if (argc != 3) return 2;
    char *text = vqa_config("f32", atoi(argv[0]), 1);
    json_t *config = json_loads(text, 0, &error);
    free(text);
    (void)json_object_set_new(config, "output", json_string(argv[2]));
    (void)json_object_set_new(config, "overwrite", json_true());
    text = json_dumps(config, JSON_COMPACT);
    need(sn_table_open(argv[1], "{\"limit\": 2000}", &table));
    need(sn_trainer_create(table, NULL, text, &trainer));
    need(sn_trainer_run(trainer, NULL, NULL));
    sn_trainer_free(trainer);
    sn_table_free(table);
    json_decref(config);
    free(text);
    return 0;
}

static int print_row(void *context, const char *json) {
    (void)context;
    return printf("%s\n", json) < 0;
}

static int row_predict(int argc, char **argv) {
    enum { MOST = 16 };
    const char *names[MOST], *cells[MOST];
    sn_model *model;
    sn_table *table;
    if (argc < 2 || argc > MOST) return 2;
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals) return 2;
        *equals = '\0';
        names[i - 1] = argv[i];
        cells[i - 1] = equals + 1;
    }
    need(sn_model_load(argv[0], NULL, &model));
    need(sn_table_from_cells(argc - 1, names, cells, ".", &table));
    need(sn_model_predict(model, table, NULL, print_row, NULL));
    sn_table_free(table);
    sn_model_free(model);
    return 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } rows[] = {{"cnn", row_cnn}, {"vqa", row_vqa}, {"images", row_images}, {"model", row_model}, {"predict", row_predict}};
    int code = 2;
    for (size_t i = 0; argc > 1 && i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, argv[1])) code = rows[i].run(argc - 2, argv + 2);
    if (code == 2) (void)fprintf(stderr, "bench_train: see the head of bench/bench_train.c\n");
    return code;
}
