/* test_losses.c: ten training steps of whole models against PyTorch: tests/golden/losses/, written by
 * tools/golden_losses.py.
 *
 *   config -> model, "init/" -> its weights;  batch<k>/<column> -> sn_batch -> losses, gradients -> commit;
 *   "losses" and "final/" are what PyTorch got from the same numbers */
#include <math.h>

#include "base/parallel.h"
#include "models/exec.h"
#include "models/model_io.h"
#include "params/weights.h"
#include "test.h"
#include "train/optimiser.h"

enum { STEPS = 10, MOST_ROWS = 16 };

typedef struct run {
    sn_weights *file;
    sn_model *model;
    sn_exec *exec;
    sn_optimiser *optimiser;
    double rate, clip;
} run;

/* ---- the file's arrays ---- */

static const sn_tensor_view *view_of(const run *r, int step, const char *column, const char *end) {
    char name[96];
    (void)snprintf(name, sizeof name, "batch%d/%s%s", step, column, end);
    const sn_tensor_view *view = sn_weights_find(r->file, name);
    if (!view) fail_msg("the file has no \"%s\"", name);
    return view;
}

/* Element i of a tensor of whole or decimal numbers; the data may be unaligned. */
static double element(const sn_tensor_view *view, int64_t i) {
    int32_t whole;
    float real;
    const unsigned char *at = view->data;
    if (view->type.dtype == SN_U8) return at[i];
    if (view->type.dtype == SN_I32) {
        memcpy(&whole, at + 4 * i, 4);
        return whole;
    }
    assert_int_equal(view->type.dtype, SN_F32);
    memcpy(&real, at + 4 * i, 4);
    return (double)real;
}

static sn_sample slice_of(const sn_tensor_view *view, int64_t i, int64_t n) {
    size_t row = view->bytes / (size_t)view->type.shape.dim[0];
    sn_sample s = {.bytes = row, .length = n};
    if (view->type.dtype == SN_I32) s.bytes = (size_t)n * sizeof(int32_t);
    s.data = malloc(s.bytes);
    assert_non_null(s.data);
    memcpy(s.data, (const unsigned char *)view->data + (size_t)i * row, s.bytes);
    return s;
}

/* Row i of a column as the sample that its feature would make; false: the cell is empty. */
static bool sample_of(const run *r, const sn_feature *f, int step, int64_t i, sn_sample *out) {
    const sn_tensor_view *view = view_of(r, step, f->name, "");
    *out = (sn_sample){.data = NULL};
    if (f->row->kind == SN_KIND_IMAGE) {
        if (element(view_of(r, step, f->name, ".present"), i) < 1) return false;
        *out = slice_of(view, i, 0);
        return true;
    }
    if (f->row->kind == SN_KIND_TEXT) {
        int64_t length = (int64_t)element(view_of(r, step, f->name, ".lengths"), i);
        if (length) *out = slice_of(view, i, length);
        return length > 0;
    }
    out->number = element(view, i);
    return f->row->kind == SN_KIND_NUMBER ? !isnan(out->number) : out->number >= 0;
}

static int64_t rows_of(const run *r, int step) {
    return view_of(r, step, r->model->targets[0].feature->name, "")->type.shape.dim[0];
}

/* ---- a batch by hand ---- */

static void add_part(const run *r, int step, int64_t n, const sn_part *part, sn_batch_part *b) {
    sn_sample own[8][MOST_ROWS];
    const sn_sample *flat[8][MOST_ROWS], *const *by_feature[8];
    assert_true(part->n_features <= 8 && n <= MOST_ROWS);
    for (int64_t i = 0; i < n; i++) {
        bool any = false;
        for (int k = 0; k < part->n_features; k++) {
            sn_sample *s = &own[k][b->present];
            bool here = sample_of(r, r->model->inputs[part->features[k]], step, i, s);
            flat[k][b->present] = here ? s : NULL;
            any |= here;
        }
        if (!any) continue;
        b->at[b->present] = (int32_t)i;
        b->rows[b->present++] = i;
    }
    for (int k = 0; k < part->n_features; k++) by_feature[k] = flat[k];
    if (b->present) assert_ok(sn_batch_collate(r->model, part, by_feature, b));
    for (int k = 0; k < part->n_features; k++)
        for (int64_t i = 0; i < b->present; i++) free(own[k][i].data);
}

static void add_labels(const run *r, int step, sn_batch *b, int t) {
    const sn_target *target = &r->model->targets[t];
    sn_sample own[MOST_ROWS];
    const sn_sample *samples[MOST_ROWS];
    for (int64_t i = 0; i < b->n; i++) samples[i] = sample_of(r, target->feature, step, i, &own[i]) ? &own[i] : NULL;
    assert_ok(target->task->collate(target->feature, target->options, samples, b->n, b->labels[t], &b->divisors[t]));
}

static sn_batch *batch_of(const run *r, int step) {
    sn_batch *b;
    assert_ok(sn_batch_blank(r->model, rows_of(r, step), &b));
    for (int p = 0; p < r->model->n_parts; p++) add_part(r, step, b->n, &r->model->parts[p], &b->parts[p]);
    for (int t = 0; t < r->model->n_targets; t++) add_labels(r, step, b, t);
    return b;
}

/* ---- a run ---- */

static json_t *about(const run *r) {
    const char *text = sn_weights_metadata(r->file, "case");
    json_t *tree;
    assert_non_null(text);
    assert_ok(sn_json_parse("case", text, strlen(text), &tree));
    return tree;
}

static double number(const json_t *object, const char *key) {
    double x;
    assert_ok(sn_json_number(object, key, 0, &x));
    return x;
}

static void begin(run *r, const char *name) {
    char path[512];
    sn_optimiser_options o;
    (void)snprintf(path, sizeof path, SN_TEST_ROOT "/golden/losses/%s.safetensors", name);
    *r = (run){.file = NULL};
    assert_ok(sn_weights_open(path, &r->file));
    json_t *whole = about(r), *trainer = json_object_get(whole, "trainer");
    assert_ok(sn_model_from_json(json_object_get(whole, "config"), name, &r->model));
    assert_ok(sn_params_load(r->model->params, r->file, "init/"));
    assert_ok(sn_optimiser_defaults(json_string_value(json_object_get(trainer, "type")), &o));
    o.weight_decay = number(trainer, "weight_decay");
    o.momentum = number(trainer, "momentum");
    if (json_object_get(trainer, "eps")) o.eps = number(trainer, "eps");
    r->rate = number(trainer, "learning_rate");
    r->clip = number(trainer, "clip");
    assert_ok(sn_optimiser_create(&o, r->model->params, r->model->threads, &r->optimiser));
    assert_ok(sn_exec_create(r->model, &r->exec));
    json_decref(whole);
}

static void end(run *r) {
    sn_exec_free(r->exec);
    sn_optimiser_free(r->optimiser);
    sn_model_free(r->model);
    sn_weights_free(r->file);
}

static double step_of(run *r, int step) {
    sn_batch *b = batch_of(r, step);
    double scales[8], losses[8], loss = 0;
    sn_run_info info = {1, (uint64_t)step};
    int bad;
    assert_true(b->n_targets <= 8);
    for (int t = 0; t < b->n_targets; t++) scales[t] = r->model->targets[t].weight / b->divisors[t];
    assert_ok(sn_exec_train(r->exec, b, scales, &info, false, losses));
    for (int t = 0; t < b->n_targets; t++) loss += losses[t] * scales[t];
    double norm = sn_optimiser_norm(r->optimiser, 1.0, &bad);
    sn_optimiser_commit(r->optimiser, r->rate, r->clip > 0 && norm > r->clip ? r->clip / norm : 1.0);
    sn_exec_commit_state(r->exec);
    sn_batch_free(b);
    return loss;
}

/* Parameters and statistics after the last step; gives how many elements are too far away. */
static int compare_final(const run *r, const char *name, bool loud) {
    sn_params *params = r->model->params;
    int wrong = 0;
    for (int p = 0; p < sn_params_count(params); p++) {
        char key[160];
        (void)snprintf(key, sizeof key, "final/%s", sn_params_name(params, p));
        const sn_tensor_view *view = sn_weights_find(r->file, key);
        if (!view) fail_msg("the file has no \"%s\"", key);
        int64_t count = sn_shape_count(sn_params_shape(params, p)), far = 0;
        double most = 0;
        for (int64_t i = 0; i < count; i++) {
            double want = element(view, i), d = fabs((double)sn_params_data(params, p)[i] - want) / fmax(1, fabs(want));
            far += !(d <= 1e-4);
            most = fmax(most, d);
        }
        if (far && loud) print_error("%s: %lld of \"%s\" differ, by %g\n", name, (long long)far, sn_params_name(params, p), most);
        wrong += far > 0;
    }
    return wrong;
}

/* Trains ten steps; gives how many losses and parameters are not PyTorch's. */
static int differences(const char *name, double rate_factor, bool loud) {
    run r;
    int wrong = 0;
    begin(&r, name);
    r.rate *= rate_factor;
    const sn_tensor_view *losses = sn_weights_find(r.file, "losses");
    assert_non_null(losses);
    for (int k = 0; k < STEPS; k++) {
        double want = element(losses, k), found = step_of(&r, k);
        if (fabs(found - want) <= 1e-4 * fabs(want)) continue;
        if (loud) print_error("%s: loss %d is %.8g, PyTorch's is %.8g\n", name, k + 1, found, want);
        wrong++;
    }
    wrong += compare_final(&r, name, loud);
    end(&r);
    return wrong;
}

static void is_pytorch(void **state) { assert_int_equal(differences(*state, 1, true), 0); }

/* The comparison sees a learning rate that is wrong by two percent. */
static void sees_a_difference(void **state) {
    (void)state;
    assert_true(differences("article_cnn", 1.02, false) > 0);
    assert_true(differences("multitask", 1.02, false) > 0);
}

static int enter(void **state) {
    (void)state;
    return sn_threads_enter(2) == SN_OK ? 0 : -1;
}

#define CASE(case_name) {.name = case_name, .test_func = is_pytorch, .initial_state = (void *)(uintptr_t)case_name}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE("article_cnn"), CASE("cnn_sgd"),  CASE("cnn_norm"),    CASE("gru"),       CASE("gru_deep"), CASE("lstm"),
        CASE("lstm_deep"),   CASE("rnn"),      CASE("text_cnn"),    CASE("transformer"), CASE("multitask"), CASE("product"),
        cmocka_unit_test(sees_a_difference)};
    return cmocka_run_group_tests(tests, enter, NULL);
}
