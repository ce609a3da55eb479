/* Published encoders in training: their vectors equal Transformers', a frozen one runs once, tuned and adapted ones learn
 * what they should and nothing else, gradients are those of finite differences, and what is saved is a whole model. */
#include "transfer_world.h"

#include <math.h>

#include "models/backbone.h"
#include "models/pretrained.h"
#include "models/tuning.h"
#include "nn/lora.h"
#include "params/weights.h"

static const double TOLERANCE = 1e-4;

/* ---- vectors ---- */

/* What the part's encoder says of rows [0, n), [n][width]; heap. */
static float *vectors_of(const sn_model *m, const sn_dataset *d, int64_t n) {
    const sn_batch_spec spec = {.raw = true};
    int64_t rows[PLACE_ROWS];
    const float *y;
    sn_batch *b;
    sn_exec *e;
    for (int64_t i = 0; i < n; i++) rows[i] = i;
    assert_ok(sn_batch_make(d, rows, n, &spec, &b));
    assert_ok(sn_exec_create(m, &e));
    assert_ok(sn_exec_encode(e, 0, b, &y));
    assert_int_equal(sn_exec_rows(e, 0), n);
    size_t count = (size_t)(n * m->parts[0].width);
    float *copy = malloc(count * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, y, count * sizeof *copy);
    sn_exec_free(e);
    sn_batch_free(b);
    return copy;
}

static void near(const float *found, const float *expected, size_t n, double tolerance, const char *what) {
    double most = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        if (fabs((double)expected[i]) > most) most = fabs((double)expected[i]);
        if (fabs((double)found[i] - (double)expected[i]) > worst) worst = fabs((double)found[i] - (double)expected[i]);
    }
    assert_true(most > 1e-3);
    if (!(worst <= tolerance * most)) fail_msg("%s: off by %g where the largest is %g", what, worst, most);
}

static void check_golden(const place *p, const char *name, const char *column) {
    const setup s = {.encoder = name, .column = column};
    sn_trainer *t;
    sn_weights *w;
    char file[512];
    assert_ok(place_trainer(p, &s, &t));
    (void)snprintf(file, sizeof file, SN_TEST_ROOT "/golden/transfer/%s/golden.safetensors", name);
    assert_ok(sn_weights_open(file, &w));
    const sn_tensor_view *golden = sn_weights_find(w, column);
    assert_non_null(golden);
    assert_int_equal(golden->type.shape.dim[1], t->plan.model->parts[0].width);
    float *found = vectors_of(t->plan.model, t->data, golden->type.shape.dim[0]);
    near(found, golden->data, golden->bytes / sizeof(float), TOLERANCE, name);
    free(found);
    sn_weights_free(w);
    sn_trainer_free(t);
}

static void test_vectors(void **state) {
    static const char *const all[][2] = {{"bert", "text"}, {"gpt2", "text"}, {"clip", "text"}, {"clip", "image"},
                                         {"vit", "image"}, {"resnet", "image"}, {"vgg", "image"}, {"vgg_timm", "image"}, {"whisper", "audio"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) check_golden(*state, all[i][0], all[i][1]);
}

/* ---- frozen ---- */

static void test_frozen_runs_once(void **state) {
    static const char *const all[][2] = {{"bert", "text"}, {"vit", "image"}, {"whisper", "audio"}};
    for (size_t i = 0; i < 3; i++) {
        const setup s = {.encoder = all[i][0], .column = all[i][1]};
        sn_trainer *t;
        assert_ok(place_trainer(*state, &s, &t));
        assert_int_equal(sn_exec_rows(t->exec, 0), 0);
        assert_ok(sn_trainer_run(t, NULL, NULL));
        assert_true(t->at.epoch == 3 && t->at.step == 3 * sn_steps_per_epoch(t)); /* three epochs with validation */
        assert_int_equal(sn_exec_rows(t->exec, 0), PLACE_CELLS); /* and every distinct cell once */
        sn_trainer_free(t);
    }
}

/* The file of a saved encoder holds the very numbers of the one it came from. */
static void same_tensors(const char *a, const char *b, bool same) {
    sn_weights *x, *y;
    int differ = 0;
    assert_ok(sn_weights_open(a, &x));
    assert_ok(sn_weights_open(b, &y));
    assert_int_equal(sn_weights_count(x), sn_weights_count(y));
    for (int i = 0; i < sn_weights_count(x); i++) {
        const sn_tensor_view *s = sn_weights_at(x, i), *t = sn_weights_find(y, s->name);
        assert_non_null(t);
        assert_int_equal(s->bytes, t->bytes);
        differ += memcmp(s->data, t->data, s->bytes) != 0;
    }
    if (same) assert_int_equal(differ, 0);
    else assert_true(differ > sn_weights_count(x) / 2);
    sn_weights_free(x);
    sn_weights_free(y);
}

/* ---- what is saved ---- */

/* Mean over the tokens of the text that our own opener gives for these ids, which a batch holds. */
static float *opened_vectors(const char *directory, const sn_batch_part *b) {
    const sn_pretrained_options o = {.threads = 1, .precision = "f32"};
    static const sn_run_info info;
    sn_pretrained *m;
    sn_graph *g;
    sn_program *program;
    sn_runner *runner;
    sn_page_out *out = calloc(1, sizeof *out);
    assert_ok(sn_pretrained_open(directory, &o, &m));
    assert_ok(sn_graph_create(sn_pretrained_params(m), false, &g));
    sn_page_in in = sn_page_in_none();
    in.ids = sn_input(g, SN_I32, b->arrays[0].type.shape);
    in.mask = sn_input(g, SN_I32, b->arrays[1].type.shape);
    assert_non_null(out);
    assert_ok(sn_pretrained_build(m, g, &in, out));
    sn_node y = sn_emit(g, SN_SEQ_MEAN, (sn_node[]){sn_page_get(out, "last_hidden_state"), in.mask}, 2, NULL);
    size_t count = (size_t)sn_shape_count(sn_shape_at(g, y));
    assert_ok(sn_pretrained_compile(m, g, 1, &y, 1, &program));
    assert_ok(sn_runner_create(program, sn_pretrained_params(m), &runner));
    void *memory = sn_pages(sn_program_bytes(program));
    sn_runner_lend(runner, memory);
    sn_runner_bind_input(runner, 0, b->arrays[0].data);
    sn_runner_bind_input(runner, 1, b->arrays[1].data);
    assert_ok(sn_runner_run(runner, SN_RUN_ALL, &info));
    float *copy = malloc(count * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, sn_runner_output(runner, 0), count * sizeof *copy);
    sn_pages_free(memory, sn_program_bytes(program));
    sn_runner_free(runner);
    sn_program_free(program);
    sn_pretrained_free(m);
    free(out);
    return copy;
}

/* Trains, saves, loads: the loaded model and the encoder opened by itself say the same of texts; gives that. */
static float *train_and_open(const place *p, const char *name, const char *more, size_t *count) {
    const setup s = {.encoder = name, .column = "text", .output = "model", .more = more};
    const sn_dataset_options o = {.threads = 1};
    const sn_batch_spec spec = {.raw = true};
    const int64_t rows[3] = {0, 1, 2};
    char *path = place_path(p, "model", NULL), *encoder = place_path(p, "model", "encoders/text");
    sn_trainer *t;
    sn_model *m;
    sn_dataset *d;
    sn_batch *b;
    assert_ok(place_trainer(p, &s, &t));
    assert_ok(sn_trainer_run(t, NULL, NULL));
    sn_trainer_free(t);
    assert_ok(sn_model_load(path, NULL, &m));
    assert_ok(sn_dataset_create(m, p->table, &o, &d));
    assert_ok(sn_batch_make(d, rows, 3, &spec, &b));
    float *ours = vectors_of(m, d, 3), *opened = opened_vectors(encoder, &b->parts[0]);
    *count = (size_t)(3 * m->parts[0].width);
    near(ours, opened, *count, 1e-5, name);
    sn_batch_free(b);
    sn_dataset_free(d);
    sn_model_free(m);
    free(opened);
    free(encoder);
    free(path);
    return ours;
}

static bool saved(const place *p, const char *file) {
    char *path = place_path(p, "model/encoders/text", file);
    bool there = sn_file_exists(path);
    free(path);
    return there;
}

static void check_modes(const place *p, const char *name) {
    char *from = fixture(name), *to = place_path(p, "model", "encoders/text");
    size_t n;
    float *frozen = train_and_open(p, name, NULL, &n);
    same_tensors(from, to, true);
    assert_true(saved(p, "tokenizer.json") && saved(p, "config.json") && !saved(p, "adapter_config.json"));
    float *full = train_and_open(p, name, "\"tune\": \"full\", \"tune_rate\": 0.5, \"layer_decay\": 0.8", &n);
    same_tensors(from, to, false);
    float *lora = train_and_open(p, name, "\"tune\": \"lora\", \"lora_rank\": 3, \"tune_rate\": 1", &n);
    same_tensors(from, to, true);
    assert_true(saved(p, "adapter_config.json") && saved(p, "adapter_model.safetensors"));
    float *merged = train_and_open(p, name, "\"tune\": \"lora\", \"lora_rank\": 3, \"tune_rate\": 1, \"lora_merge\": true", &n);
    assert_false(saved(p, "adapter_config.json"));
    near(merged, lora, n, 1e-5, "merged");
    assert_memory_not_equal(frozen, full, n * sizeof(float));
    assert_memory_not_equal(frozen, lora, n * sizeof(float));
    free(frozen);
    free(full);
    free(lora);
    free(merged);
    free(from);
    free(to);
}

static void test_saved_encoders(void **state) {
    check_modes(*state, "bert");
    check_modes(*state, "gpt2"); /* matrices lie the other way */
}

/* An encoder that was saved with its adapters: they go on learning, or become part of it. */
static void test_adapters_again(void **state) {
    const place *p = *state;
    size_t n;
    free(train_and_open(p, "bert", "\"tune\": \"lora\", \"lora_rank\": 3, \"lora_alpha\": 5, \"lora_targets\": [\"key\"]", &n));
    char *first = place_path(p, "first", NULL), *from = place_path(p, "model", "encoders/text"), *to = place_path(p, "first", "encoder");
    assert_ok(sn_make_directory(first));
    assert_int_equal(rename(from, to), 0);
    const setup s = {.encoder = to, .column = "text", .more = "\"tune\": \"lora\""};
    sn_trainer *t;
    assert_ok(place_trainer(p, &s, &t));
    const sn_model *m = t->plan.model;
    sn_tuning tuning;
    assert_ok(sn_tuning_read(m->parts[0].options, &tuning));
    assert_int_equal(tuning.lora_rank, 3);
    assert_true(fabs(tuning.lora_alpha - 5) < 1e-9);
    int b = sn_params_find(m->params, "encoders.text.encoder.layer.1.attention.self.key.lora_B.weight");
    assert_true(b >= 0);
    assert_int_equal(sn_params_find(m->params, "encoders.text.encoder.layer.1.attention.self.query.lora_B.weight"), -1);
    float most = 0;
    for (int64_t i = 0; i < sn_shape_count(sn_params_shape(m->params, b)); i++) most = fmaxf(most, fabsf(sn_params_data(m->params, b)[i]));
    assert_true(most > 0); /* what was learned before */
    float *going = vectors_of(m, t->data, 3);
    sn_trainer_free(t);
    float *within = train_and_open(p, to, NULL, &n); /* frozen: merged when it is opened */
    near(within, going, n, 1e-5, "adapters");
    free(going);
    free(within);
    free(first);
    free(from);
    free(to);
}

/* ---- who learns, and how fast ---- */

static void test_layers(void **state) {
    const setup s = {.encoder = "bert", .column = "text", .more = "\"tune\": \"full\", \"tune_rate\": 0.1, \"layer_decay\": 0.5, \"unfreeze\": 2"};
    static const struct { const char *name; int layer; } some[] = {
        {"embeddings.word_embeddings.weight", 0},           {"embeddings.LayerNorm.bias", 0},
        {"encoder.layer.0.attention.self.query.weight", 1}, {"encoder.layer.0.output.dense.bias", 1},
        {"encoder.layer.1.attention.self.key.bias", 2},     {"encoder.layer.1.output.LayerNorm.weight", 2}};
    sn_trainer *t;
    assert_ok(place_trainer(*state, &s, &t));
    sn_model *m = t->plan.model;
    for (int epoch = 0; epoch < 9; epoch++) {
        assert_ok(sn_model_tune(m, epoch));
        assert_true(m->parts[0].frozen == (epoch < 2));
        for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
            char name[128];
            (void)snprintf(name, sizeof name, "encoders.text.%s", some[i].name);
            int p = sn_params_find(m->params, name);
            assert_true(p >= 0);
            assert_int_equal(sn_backbone_layer(m->parts[0].backbone, p), some[i].layer);
            assert_true(sn_params_trainable(m->params, p) == (2 - some[i].layer < epoch / 2));
            assert_true(fabs((double)sn_params_rate(m->params, p) - 0.1 * pow(0.5, 2 - some[i].layer)) < 1e-7);
        }
    }
    int pooler = sn_params_find(m->params, "encoders.text.pooler.dense.weight"); /* the mean over tokens does not need it */
    assert_true(pooler >= 0 && !sn_params_trainable(m->params, pooler));
    sn_trainer_free(t);
}

/* While layers thaw one by one, the lower ones keep their bytes. */
static void test_unfreezing(void **state) {
    const setup s = {.encoder = "bert", .column = "text", .more = "\"tune\": \"full\", \"unfreeze\": 1, \"tune_rate\": 1", .epochs = 2};
    sn_trainer *t;
    sn_weights *w;
    char *from = fixture("bert");
    assert_ok(sn_weights_open(from, &w));
    assert_ok(place_trainer(*state, &s, &t));
    assert_ok(sn_trainer_run(t, NULL, NULL));
    const sn_model *m = t->plan.model;
    int moved = 0;
    for (int i = m->parts[0].first_param; i < m->parts[0].end_param; i++) {
        const sn_tensor_view *v = sn_weights_find(w, sn_params_name(m->params, i) + strlen("encoders.text."));
        bool same = !memcmp(v->data, sn_params_data(m->params, i), v->bytes);
        if (sn_backbone_layer(m->parts[0].backbone, i) < 2) assert_true(same);
        moved += !same;
    }
    assert_true(moved > 4);
    sn_trainer_free(t);
    sn_weights_free(w);
    free(from);
}

/* ---- gradients ---- */

static double loss_of(sn_trainer *t, const sn_batch *b) {
    static const double scale = 1;
    static const sn_run_info info = {3, 5};
    double loss;
    sn_params_changed(t->plan.model->params, false);
    assert_ok(sn_exec_train(t->exec, b, &scale, &info, false, &loss));
    return loss;
}

/* The largest entry of each gradient against central differences. */
static int check_gradients(const place *p, const setup *s) {
    const sn_batch_spec spec = {.labels = true, .raw = true};
    const int64_t rows[6] = {0, 1, 2, 3, 4, 5};
    sn_trainer *t;
    sn_batch *b;
    float *gradients;
    int checked = 0;
    assert_ok(place_trainer(p, s, &t));
    sn_params *params = t->plan.model->params;
    const sn_part *part = &t->plan.model->parts[0];
    for (int i = part->first_param; i < part->end_param; i++) /* with B zero A would have no gradient */
        for (int64_t k = 0; sn_lora_is(sn_params_name(params, i)) && k < sn_shape_count(sn_params_shape(params, i)); k++)
            sn_params_data(params, i)[k] += 0.2f * sinf((float)(7 * k + i));
    assert_ok(sn_batch_make(t->data, rows, 6, &spec, &b));
    (void)loss_of(t, b);
    assert_ok(sn_params_gradients(params, &gradients));
    size_t bytes = sn_params_total(params) * sizeof *gradients;
    float *kept = malloc(bytes);
    assert_non_null(kept);
    memcpy(kept, gradients, bytes);
    for (int i = part->first_param; i < part->end_param; i++) {
        if (!sn_params_trainable(params, i)) continue;
        const float *g = kept + sn_params_offset(params, i);
        int64_t at = 0;
        for (int64_t k = 0; k < sn_shape_count(sn_params_shape(params, i)); k++)
            if (fabsf(g[k]) > fabsf(g[at])) at = k;
        float *w = sn_params_data(params, i) + at, before = *w, step = 1e-3f;
        *w = before + step;
        double up = loss_of(t, b);
        *w = before - step;
        double down = loss_of(t, b), expected = (up - down) / (2.0 * (double)step);
        *w = before;
        if (fabs((double)g[at] - expected) > 2e-2 * fabs(expected) + 2e-3)
            fail_msg("%s: gradient %g, by differences %g", sn_params_name(params, i), (double)g[at], expected);
        checked += fabs(expected) > 1e-2;
    }
    free(kept);
    sn_batch_free(b);
    sn_trainer_free(t);
    return checked;
}

static void test_gradients(void **state) {
    const setup bert = {.encoder = "bert", .column = "text", .more = "\"tune\": \"full\""};
    const setup bert_lora = {.encoder = "bert", .column = "text", .more = "\"tune\": \"lora\", \"lora_dropout\": 0.3"};
    const setup gpt2_lora = {.encoder = "gpt2", .column = "text", .more = "\"tune\": \"lora\""};
    const setup vit = {.encoder = "vit", .column = "image", .more = "\"tune\": \"full\""};
    const setup vit_lora = {.encoder = "vit", .column = "image", .more = "\"tune\": \"lora\""};
    const setup whisper = {.encoder = "whisper", .column = "audio", .more = "\"tune\": \"full\""};
    const setup whisper_lora = {.encoder = "whisper", .column = "audio", .more = "\"tune\": \"lora\""};
    const setup *const all[] = {&bert, &bert_lora, &gpt2_lora, &vit, &vit_lora, &whisper, &whisper_lora};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int checked = check_gradients(*state, all[i]);
        if (checked < 3) fail_msg("%s %s: only %d gradients are large enough to tell", all[i]->encoder, all[i]->more, checked);
    }
}

/* ---- again, and going on ---- */

static bool same_file(const place *p, const char *a, const char *b, const char *file) {
    char *x = place_path(p, a, file), *y = place_path(p, b, file);
    sn_bytes s, t;
    assert_ok(sn_file_read(x, 1 << 26, &s));
    assert_ok(sn_file_read(y, 1 << 26, &t));
    bool same = s.size > 0 && s.size == t.size && !memcmp(s.data, t.data, s.size);
    sn_bytes_free(&s);
    sn_bytes_free(&t);
    free(x);
    free(y);
    return same;
}

static int stop_after_first(void *context, const char *event) {
    (void)context;
    return strstr(event, "\"event\":\"epoch\"") != NULL;
}

/* A run that is stopped after an epoch and resumed ends with the bytes of one that was not; so does a second one. */
static void check_resume(const place *p, const char *more, const char *file, int64_t rows_after) {
    setup s = {.encoder = "bert", .column = "text", .output = "whole", .more = more};
    sn_trainer *t;
    assert_ok(place_trainer(p, &s, &t));
    assert_ok(sn_trainer_run(t, NULL, NULL));
    sn_trainer_free(t);
    s.output = "parts";
    assert_ok(place_trainer(p, &s, &t));
    assert_int_equal(sn_trainer_run(t, stop_after_first, NULL), SN_ERR_CANCELLED);
    sn_trainer_free(t);
    assert_ok(place_resume(p, "parts", &t));
    assert_ok(sn_trainer_run(t, NULL, NULL));
    if (rows_after >= 0) assert_int_equal(sn_exec_rows(t->exec, 0), rows_after);
    sn_trainer_free(t);
    assert_true(same_file(p, "whole", "parts", "model.safetensors"));
    assert_true(same_file(p, "whole", "parts", file));
    assert_true(same_file(p, "whole", "parts", "encoders/text/model.safetensors"));
}

static void test_resume(void **state) {
    check_resume(*state, NULL, "encoders/text/config.json", 0); /* the vectors were kept: it never runs again */
    check_resume(*state, "\"tune\": \"full\", \"unfreeze\": 1", "encoders/text/tokenizer.json", -1);
    check_resume(*state, "\"tune\": \"lora\"", "encoders/text/adapter_model.safetensors", -1);
}

/* Other weights in the same place are noticed. */
static void test_resume_other_encoder(void **state) {
    const place *p = *state;
    char *copy = fixture_copy(p, "bert"), *file = sn_path_join(copy, "model.safetensors");
    const setup s = {.encoder = copy, .column = "text", .output = "parts"};
    sn_trainer *t;
    sn_bytes bytes;
    assert_ok(place_trainer(p, &s, &t));
    assert_int_equal(sn_trainer_run(t, stop_after_first, NULL), SN_ERR_CANCELLED);
    sn_trainer_free(t);
    assert_ok(sn_file_read(file, 1 << 26, &bytes));
    ((unsigned char *)(uintptr_t)bytes.data)[bytes.size - 3] ^= 1;
    assert_ok(sn_file_write(file, bytes.data, bytes.size));
    sn_bytes_free(&bytes);
    assert_fails(place_resume(p, "parts", &t), SN_ERR_USAGE, "published encoders");
    sn_free(file);
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors),        cmocka_unit_test(test_frozen_runs_once),
                                       cmocka_unit_test(test_saved_encoders), cmocka_unit_test(test_adapters_again),
                                       cmocka_unit_test(test_layers),         cmocka_unit_test(test_unfreezing),
                                       cmocka_unit_test(test_gradients),      cmocka_unit_test(test_resume),
                                       cmocka_unit_test(test_resume_other_encoder)};
    return cmocka_run_group_tests(tests, place_begin, place_end);
}
