/* Every published architecture at a tiny size against Transformers: each named output and the gradient of every
 * parameter (tools/golden_pages.py made what lies in tests/golden/pages). */
#include "test.h"

#include <dirent.h>
#include <math.h>

#include "models/pretrained.h"
#include "params/weights.h"

enum { MOST = 256 };
static const double TOLERANCE = 1e-4; /* of the largest value */

typedef struct golden {
    char name[64], place[512];
    sn_weights *values;
    sn_pretrained *model;
    sn_page_in in;
    sn_page_out out;
    sn_graph *g;
    sn_program *program;
    sn_runner *runner;
    void *memory;
    size_t bytes;
    sn_node wanted[MOST + SN_PAGE_OUTPUTS];
    char names[MOST + SN_PAGE_OUTPUTS][128];
    int n;
    double gradient; /* the largest */
    bool inference;  /* alone: no gradients, weights borrowed from their file, batch norms folded */
} golden;

static const sn_tensor_view *value(const golden *t, const char *prefix, const char *name) {
    char full[256];
    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    return sn_weights_find(t->values, full);
}

static int64_t dim(const golden *t, const char *name, int axis) {
    const sn_tensor_view *v = value(t, "in.", name);
    return v && axis < v->type.shape.rank ? v->type.shape.dim[axis] : 0;
}

static void open_golden(golden *t) {
    char file[600];
    sn_pretrained_options options = {.threads = 2, .precision = "f32", .inference = t->inference, .fold = t->inference};
    assert_ok(sn_pretrained_open(t->place, &options, &t->model));
    (void)snprintf(file, sizeof file, "%s/golden.safetensors", t->place);
    assert_ok(sn_weights_open(file, &t->values));
    const sn_tensor_view *first = sn_weights_find(t->values, "in.ids");
    if (!first) first = sn_weights_find(t->values, "in.pixels");
    if (!first) first = sn_weights_find(t->values, "in.sound");
    sn_page_sizes sizes = {.rows = first->type.shape.dim[0], .steps = dim(t, "ids", 1), .height = dim(t, "pixels", 1),
                           .width = dim(t, "pixels", 2), .regions = dim(t, "regions", 1), .frames = dim(t, "sound", 1), .target_steps = dim(t, "target", 1)};
    assert_ok(sn_pretrained_graph(t->model, &sizes, false, &t->g, &t->in, &t->out));
}

static void want(golden *t, sn_node node, const char *prefix, const char *name) {
    (void)snprintf(t->names[t->n], sizeof t->names[0], "%s%s", prefix, name);
    t->wanted[t->n++] = node;
}

/* Gradients of sum(out * dy) for every parameter of the graph. */
static int add_gradients(golden *t, sn_node *dy_inputs, const char **dy_names) {
    sn_node outputs[16], wrt[MOST], dx[MOST];
    const char *names[MOST];
    int n = 0, count = 0;
    for (int i = 0; i < t->out.n; i++)
        if (value(t, "dy.", t->out.list[i].name)) {
            outputs[n] = t->out.list[i].node;
            dy_names[n] = t->out.list[i].name;
            dy_inputs[n] = sn_input(t->g, SN_F32, sn_shape_at(t->g, outputs[n]));
            n++;
        }
    const sn_params *params = sn_pretrained_params(t->model);
    for (int p = 0; p < sn_params_count(params) && count < MOST; p++) {
        sn_node node = sn_graph_param(t->g, p);
        if (node.id < 0 || !sn_params_trainable(params, p)) continue;
        wrt[count] = node;
        names[count++] = sn_params_name(params, p);
    }
    assert_ok(sn_grad(t->g, n, outputs, dy_inputs, count, wrt, dx));
    for (int i = 0; i < count; i++) want(t, dx[i], "grad.", names[i]);
    return n;
}

/* The largest gradient of all: one that is zero but for rounding (a key's bias) is measured by a share of it. */
static double largest_gradient(const golden *t) {
    double most = 0;
    for (int i = 0; i < sn_weights_count(t->values); i++) {
        const sn_tensor_view *v = sn_weights_at(t->values, i);
        if (strncmp(v->name, "grad.", 5)) continue;
        for (int64_t k = 0; k < sn_shape_count(v->type.shape); k++) most = fmax(most, fabs((double)((const float *)v->data)[k]));
    }
    return most;
}

/* Largest difference over the largest value; only the valid steps of a padded sequence count. */
static double difference(const golden *t, const sn_tensor_view *v, const float *got) {
    size_t n = (size_t)sn_shape_count(v->type.shape);
    float *want_values = malloc(n * sizeof *want_values + 1);
    assert_ok(sn_tensor_to_f32(v, want_values));
    const sn_tensor_view *mask = value(t, "in.", "mask");
    sn_shape s = v->type.shape;
    bool sequence = mask && mask->type.shape.rank == 1 && !strncmp(v->name, "out.", 4) && (s.rank == 2 || s.rank == 3) && s.dim[1] == dim(t, "ids", 1);
    size_t inner = s.rank == 3 ? (size_t)s.dim[2] : 1;
    double most = 0, scale = strncmp(v->name, "grad.", 5) ? 1e-6 : 2e-3 * t->gradient; /* a key bias has none but rounding */
    for (size_t i = 0; i < n; i++) {
        if (sequence) {
            size_t row = i / (inner * (size_t)s.dim[1]), step = i / inner % (size_t)s.dim[1];
            if ((int32_t)step >= ((const int32_t *)mask->data)[row]) continue;
        }
        most = fmax(most, fabs((double)got[i] - (double)want_values[i]));
        scale = fmax(scale, fabs((double)want_values[i]));
    }
    free(want_values);
    return most / scale;
}

static void run(golden *t) {
    sn_node dy[16];
    const char *dy_names[16];
    for (int i = 0; i < t->out.n; i++)
        if (value(t, "out.", t->out.list[i].name)) want(t, t->out.list[i].node, "out.", t->out.list[i].name);
    int outputs = t->n, n_dy = t->inference ? 0 : add_gradients(t, dy, dy_names), input = 0;
    assert_true(outputs > 0 && (t->inference || n_dy > 0));
    sn_page_in in = t->in;
    assert_ok(sn_pretrained_compile(t->model, t->g, t->n, t->wanted, t->n, &t->program));
    assert_ok(sn_runner_create(t->program, sn_pretrained_params(t->model), &t->runner));
    t->bytes = sn_program_bytes(t->program);
    t->memory = sn_pages(t->bytes);
    sn_runner_lend(t->runner, t->memory);
    const struct { const char *name; sn_node node; } given[] = {{"ids", in.ids}, {"types", in.types}, {"mask", in.mask},
                                                               {"pixels", in.pixels}, {"regions", in.regions}, {"sound", in.sound}, {"target", in.target}};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        if (given[i].node.id < 0) continue;
        const sn_tensor_view *v = value(t, "in.", given[i].name);
        if (!v) fail_msg("%s: the golden has no in.%s", t->name, given[i].name);
        sn_runner_bind_input(t->runner, input++, v->data);
    }
    for (int i = 0; i < n_dy; i++) sn_runner_bind_input(t->runner, input++, value(t, "dy.", dy_names[i])->data);
    assert_ok(sn_runner_run(t->runner, SN_RUN_ALL, &(sn_run_info){1, 1}));
}

static int compare(golden *t) {
    int failures = 0, gradients = 0, outputs = 0;
    t->gradient = largest_gradient(t);
    for (int i = 0; i < t->n; i++) {
        const sn_tensor_view *v = value(t, "", t->names[i]);
        if (!v) {
            print_error("%s: Transformers has no %s\n", t->name, t->names[i]);
            failures++;
            continue;
        }
        double d = difference(t, v, sn_runner_output(t->runner, i));
        if (!(d <= (t->inference ? TOLERANCE / 10 : TOLERANCE))) {
            print_error("%s: %s differs by %g\n", t->name, t->names[i], d);
            failures++;
        }
        gradients += !strncmp(v->name, "grad.", 5);
        outputs += !strncmp(v->name, "out.", 4);
    }
    for (int i = 0; i < sn_weights_count(t->values); i++) { /* nothing of the golden is left out */
        gradients -= !strncmp(sn_weights_at(t->values, i)->name, "grad.", 5);
        outputs -= !strncmp(sn_weights_at(t->values, i)->name, "out.", 4);
    }
    if (t->inference) gradients = 0;
    if (gradients || outputs) {
        print_error("%s: %d gradients and %d outputs of the golden were not computed\n", t->name, -gradients, -outputs);
        failures++;
    }
    return failures;
}

static void close_golden(golden *t) {
    sn_runner_free(t->runner);
    sn_program_free(t->program);
    sn_pages_free(t->memory, t->bytes);
    sn_weights_free(t->values);
    sn_pretrained_free(t->model);
    free(t);
}

static void every_page_is_transformers(void **state) {
    (void)state;
    const char *place = SN_TEST_ROOT "/golden/pages", *only = getenv("SN_PAGE");
    DIR *folder = opendir(place);
    assert_non_null(folder);
    int failures = 0, ran = 0;
    for (struct dirent *e; (e = readdir(folder));) {
        if (e->d_name[0] == '.' || (only && strcmp(only, e->d_name))) continue;
        for (int inference = 0; inference < 2; inference++) {
            golden *t = calloc(1, sizeof *t);
            t->inference = inference;
            (void)snprintf(t->name, sizeof t->name, "%.60s", e->d_name);
            (void)snprintf(t->place, sizeof t->place, "%s/%s", place, t->name);
            open_golden(t);
            run(t);
            failures += compare(t);
            close_golden(t);
            ran++;
        }
    }
    (void)closedir(folder);
    assert_true(ran > 0);
    assert_int_equal(failures, 0);
}

/* Without its norms a network gives the same, and has none of their parameters. */
static void folded_norms_change_nothing(void **state) {
    (void)state;
    static const char *const names[] = {"resnet", "resnet_classes", "resnet_timm", "vgg_bn"};
    int failures = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        golden *t = calloc(1, sizeof *t);
        assert_non_null(t);
        t->inference = true;
        (void)snprintf(t->name, sizeof t->name, "%s", names[i]);
        (void)snprintf(t->place, sizeof t->place, "%s/golden/pages/%s", SN_TEST_ROOT, names[i]);
        open_golden(t);
        sn_params *params = sn_pretrained_params(t->model);
        for (int k = 0; k < sn_params_count(params); k++) assert_null(strstr(sn_params_name(params, k), "running_"));
        run(t);
        failures += compare(t);
        close_golden(t);
    }
    assert_int_equal(failures, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_page_is_transformers), cmocka_unit_test(folded_norms_change_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
