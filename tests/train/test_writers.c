/* Published models that write learn a table as Transformers and torch's AdamW do (tests/golden/writers.json, made by
 * tools/golden_writers.py), the finished model is scored, opened and asked, and what cannot be learned is refused. */
#define _GNU_SOURCE
#include "transfer_world.h"

#include <math.h>

#include "../pipelines/sound.h"
#include "base/json.h"
#include "params/safetensors.h"
#include "params/weights.h"
#include "sensorium.h"

static const double TOLERANCE = 1e-5;
enum { SAMPLE_RATE = 16000, STEPS = 5 };

typedef struct world {
    place *p;
    json_t *golden;
} world;

/* ---- the table ---- */

/* A sound of the golden as a 16-bit file, which holds it exactly; its path, heap. */
static char *put_sound(const place *p, const json_t *about, size_t i) {
    size_t samples = (size_t)json_integer_value(json_array_get(about, 0));
    float *pcm = make_sound(samples, json_integer_value(json_array_get(about, 1)), 1);
    uint32_t data = (uint32_t)(2 * samples), head[11] = {0x46464952, 36 + data, 0x45564157, 0x20746d66, 16, 1 | 1 << 16, SAMPLE_RATE,
                                                         2 * SAMPLE_RATE, 2 | 16 << 16, 0x61746164, data};
    char name[32], *path;
    sn_buf file = {0};
    sn_buf_add(&file, (const char *)head, sizeof head);
    for (size_t k = 0; k < samples; k++) {
        int16_t value = (int16_t)lrintf(pcm[k] * 32768);
        sn_buf_add(&file, (const char *)&value, sizeof value);
    }
    (void)snprintf(name, sizeof name, "sound%zu.wav", i);
    path = place_path(p, name, NULL);
    assert_ok(sn_buf_check(&file));
    assert_ok(sn_file_write(path, file.data, file.size));
    sn_buf_free(&file);
    free(pcm);
    return path;
}

static sn_table *open_text(const place *p, sn_buf *csv) {
    char *path = place_path(p, "rows.csv", NULL);
    sn_table *table;
    assert_ok(sn_buf_check(csv));
    assert_ok(sn_file_write(path, csv->data, csv->size));
    sn_buf_free(csv);
    assert_ok(sn_table_open(path, NULL, &table));
    free(path);
    return table;
}

/* The golden's rows as columns in[0], in[1] … and "said"; `times` over. */
static sn_table *table_of(const place *p, const json_t *rows, int times) {
    sn_buf csv = {0};
    size_t width = json_array_size(json_array_get(rows, 0));
    for (size_t c = 0; c + 1 < width; c++) sn_buf_printf(&csv, "in%zu,", c);
    sn_buf_puts(&csv, "said\n");
    for (size_t i = 0; i < (size_t)times * json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i % json_array_size(rows));
        for (size_t c = 0; c < width; c++) {
            const json_t *cell = json_array_get(row, c);
            const char *text = json_string_value(cell);
            char *path = text ? NULL : put_sound(p, cell, i);
            bool picture = text && strstr(text, ".png");
            sn_buf_printf(&csv, "\"%s%s\"%s", picture ? SN_TEST_ROOT "/golden/pipelines/" : "", text ? text : path, c + 1 < width ? "," : "\n");
            free(path);
        }
    }
    return open_text(p, &csv);
}

/* ---- the model, without dropout ---- */

static void no_dropout(json_t *config) {
    const char *key;
    json_t *value;
    json_object_foreach(config, key, value) {
        if (json_is_object(value)) no_dropout(value);
        else if (json_is_number(value) && (strstr(key, "drop"))) assert_int_equal(json_real_set(value, 0), json_is_real(value) ? 0 : -1);
    }
}

static char *quiet_copy(const place *p, const char *name) {
    char *from = NULL, *path, *copy;
    json_t *config;
    assert_true(asprintf(&from, SN_TEST_ROOT "/golden/pipelines/%s", name) > 0);
    copy = copy_directory(p, from, name);
    path = sn_path_join(copy, "config.json");
    assert_ok(sn_json_read(path, &config));
    no_dropout(config);
    assert_ok(sn_json_write(path, config));
    json_decref(config);
    sn_free(path);
    free(from);
    return copy;
}

typedef struct run {
    double losses[STEPS];
    int n;
} run;

static int on_event(void *context, const char *text) {
    run *r = context;
    json_t *event;
    assert_ok(sn_json_parse("event", text, strlen(text), &event));
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (!strcmp(kind, "epoch") && r->n < STEPS) r->losses[r->n++] = json_number_value(json_object_get(json_object_get(event, "train"), "loss"));
    json_decref(event);
    return 0;
}

/* A trainer of whole-table steps on this model; `more`: further members of the config. */
static sn_status writer(const place *p, sn_table *table, const char *model, const char *output, double rate, const char *more, sn_trainer **out) {
    char *config = NULL, *where = output ? place_path(p, output, NULL) : strdup("");
    assert_true(asprintf(&config,
                         "{\"targets\": [\"said\"], \"model\": \"%s\", \"types\": {\"said\": \"text\"%s}, \"output\": \"%s\", \"overwrite\": true, "
                         "\"threads\": 2, \"precision\": \"f32\", \"batch_size\": 64, \"epochs\": %d, \"learning_rate\": %g, \"tune_rate\": 1, "
                         "\"layer_decay\": 1, \"preprocessing\": {\"split\": {\"fraction\": 0}}, \"trainer\": {\"gradient_clipping\": 0, "
                         "\"optimizer\": {\"type\": \"adamw\", \"weight_decay\": 0}, \"learning_rate_scheduler\": {\"type\": \"constant\"}}%s%s}",
                         model, sn_table_find(table, "in1") >= 0 ? ", \"in1\": \"text\"" : "", where, STEPS, rate, more ? ", " : "", more ? more : "") > 0);
    sn_status status = sn_trainer_create(table, NULL, config, out);
    free(config);
    free(where);
    return status;
}

static const char *language_of(const char *name) { return strcmp(name, "listener") ? NULL : "\"language\": \"en\""; }
static const char PROMPTED[] = "\"inputs\": [\"in0\"], \"max_length\": 20"; /* the golden's */

/* What the config says besides; the golden's name says how the model is used. */
static const char *more_of(const char *name) { return strstr(name, "_prompted") ? PROMPTED : language_of(name); }

static void test_learns_as_transformers(void **state) {
    const world *w = *state;
    double rate = json_number_value(json_object_get(w->golden, "learning_rate"));
    const char *name;
    json_t *about;
    json_object_foreach(json_object_get(w->golden, "models"), name, about) {
        char *model = quiet_copy(w->p, json_string_value(json_object_get(about, "model")));
        sn_table *table = table_of(w->p, json_object_get(about, "rows"), 1);
        const json_t *losses = json_object_get(about, "losses");
        sn_trainer *t;
        run r = {.n = 0};
        assert_ok(writer(w->p, table, model, NULL, rate, more_of(name), &t));
        assert_ok(sn_trainer_run(t, on_event, &r));
        assert_int_equal(r.n, STEPS);
        for (size_t i = 0; i < STEPS; i++) {
            double expected = json_number_value(json_array_get(losses, i));
            if (!(fabs(r.losses[i] - expected) <= TOLERANCE * expected)) fail_msg("%s, step %zu: %.7f, not %.7f", name, i + 1, r.losses[i], expected);
        }
        sn_trainer_free(t);
        sn_table_free(table);
        free(model);
    }
}

/* ---- what becomes of it ---- */

/* Trained long enough, it says what it was taught; the whole model and the writer in it give the same answer. */
static void test_says_what_it_learned(void **state) {
    const world *w = *state;
    const json_t *about = json_object_get(json_object_get(w->golden, "models"), "captioner");
    char *model = quiet_copy(w->p, "captioner"), *output = place_path(w->p, "taught", NULL), *inner = place_path(w->p, "taught/encoders/writer", NULL);
    sn_table *table = table_of(w->p, json_object_get(about, "rows"), 1);
    sn_trainer *t;
    assert_ok(writer(w->p, table, model, "taught", 5e-3, NULL, &t));
    t->plan.recipe.epochs = 150;
    assert_ok(sn_trainer_run(t, NULL, NULL));
    sn_trainer_free(t);
    const char *const places[] = {output, inner};
    for (int k = 0; k < 2; k++) {
        sn_pipeline *p;
        assert_ok(sn_pipeline_open(places[k], "{\"precision\": \"f32\"}", &p));
        for (size_t i = 0; i < 3; i++) {
            const json_t *row = json_array_get(json_object_get(about, "rows"), i);
            char *picture = NULL, *text;
            json_t *found;
            assert_true(asprintf(&picture, SN_TEST_ROOT "/golden/pipelines/%s", json_string_value(json_array_get(row, 0))) > 0);
            sn_item item = {.file = picture};
            assert_ok(sn_pipeline_answer(p, "caption", &item, "{\"max_length\": 24}", &text));
            assert_ok(sn_json_parse("answer", text, strlen(text), &found));
            assert_string_equal(json_string_value(json_object_get(found, "text")), json_string_value(json_array_get(row, 1)));
            json_decref(found);
            sn_string_free(text);
            free(picture);
        }
        sn_pipeline_free(p);
    }
    sn_table_free(table);
    free(model);
    free(output);
    free(inner);
}

static double loss_of(const sn_model *m, const sn_table *table) {
    char *text;
    json_t *report;
    assert_ok(sn_model_evaluate(m, table, NULL, &text));
    assert_ok(sn_json_parse("report", text, strlen(text), &report));
    double loss = json_number_value(json_object_get(json_object_get(json_object_get(report, "targets"), "said"), "loss"));
    json_decref(report);
    sn_string_free(text);
    return loss;
}

/* The saved model scores as the one in memory did, and verifies. */
static void is_saved(const char *output, const sn_table *table, double loss) {
    sn_model *m;
    char *text;
    assert_ok(sn_model_load(output, NULL, &m));
    assert_true(fabs(loss_of(m, table) - loss) <= 1e-6 * loss);
    assert_ok(sn_model_verify(m, &text));
    sn_string_free(text);
    sn_model_free(m);
}

/* Adapters: the published weights stay, the saved model scores as the one in memory did, and verifies. */
static void test_adapters(void **state) {
    const world *w = *state;
    static const char *const names[] = {"captioner", "gpt2", "gpt2_prompted", "blip_asker", "listener"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *about = json_object_get(json_object_get(w->golden, "models"), names[i]);
        char *model = quiet_copy(w->p, json_string_value(json_object_get(about, "model"))), *output = place_path(w->p, "adapted", NULL), more[160];
        sn_table *table = table_of(w->p, json_object_get(about, "rows"), 1);
        sn_trainer *t;
        run r = {.n = 0};
        sn_model *m;
        (void)snprintf(more, sizeof more, "\"tune\": \"lora\"%s%s", more_of(names[i]) ? ", " : "", more_of(names[i]) ? more_of(names[i]) : "");
        assert_ok(writer(w->p, table, model, "adapted", 5e-3, more, &t));
        assert_ok(sn_trainer_run(t, on_event, &r));
        assert_true(fabs(r.losses[0] - json_number_value(json_array_get(json_object_get(about, "losses"), 0))) <= TOLERANCE * r.losses[0]);
        assert_true(r.losses[STEPS - 1] < r.losses[0]);
        double loss = loss_of(sn_trainer_model(t), table);
        assert_true(loss < r.losses[STEPS - 1]);
        sn_trainer_free(t);
        is_saved(output, table, loss);
        (void)strcat(more, ", \"lora_merge\": true"); /* the same with the adapters in the weights */
        assert_ok(writer(w->p, table, model, "adapted", 5e-3, more, &t));
        assert_ok(sn_trainer_run(t, NULL, NULL));
        sn_trainer_free(t);
        assert_ok(sn_model_load(output, NULL, &m));
        assert_true(fabs(loss_of(m, table) - loss) <= 1e-5 * loss);
        sn_model_free(m);
        sn_table_free(table);
        free(model);
        free(output);
    }
}

/* ---- tables that a file has twice ---- */

/* The tensor `from` of the model in `directory` once more, as `to`. */
static void copy_tensor(const char *directory, const char *from, const char *to) {
    char *path = sn_path_join(directory, "model.safetensors"), *fresh = sn_path_join(directory, "fresh.safetensors");
    sn_weights *w;
    assert_ok(sn_weights_open(path, &w));
    int n = sn_weights_count(w);
    sn_tensor_view *views = calloc((size_t)n + 1, sizeof *views);
    for (int i = 0; i < n; i++) views[i] = *sn_weights_at(w, i);
    assert_non_null(sn_weights_find(w, from));
    views[n] = *sn_weights_find(w, from);
    views[n].name = to;
    assert_ok(sn_safetensors_write(fresh, views, n + 1, NULL));
    sn_weights_free(w);
    assert_int_equal(rename(fresh, path), 0);
    free(views);
    sn_free(path);
    sn_free(fresh);
}

/* The matrix after the last block is the word table again; it still is when that has learned. */
static void test_copies(void **state) {
    const world *w = *state;
    static const struct { const char *name, *table, *copy; } all[] = {
        {"gpt2", "transformer.wte.weight", "lm_head.weight"},
        {"captioner", "decoder.transformer.wte.weight", "decoder.lm_head.weight"},
        {"listener", "model.decoder.embed_tokens.weight", "proj_out.weight"},
        {"blip_asker", "text_decoder.bert.embeddings.word_embeddings.weight", "text_decoder.cls.predictions.decoder.weight"},
        {"blip_asker", "text_decoder.cls.predictions.bias", "text_decoder.cls.predictions.decoder.bias"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const json_t *about = json_object_get(json_object_get(w->golden, "models"), all[i].name);
        char *model = quiet_copy(w->p, json_string_value(json_object_get(about, "model"))), *output = place_path(w->p, "twice", NULL);
        char *inner = place_path(w->p, "twice/encoders/writer", NULL);
        sn_table *table = table_of(w->p, json_object_get(about, "rows"), 1);
        sn_trainer *t;
        sn_weights *before, *after;
        copy_tensor(model, all[i].table, all[i].copy);
        assert_ok(writer(w->p, table, model, "twice", 5e-3, more_of(all[i].name), &t));
        assert_ok(sn_trainer_run(t, NULL, NULL));
        double loss = loss_of(sn_trainer_model(t), table);
        sn_trainer_free(t);
        is_saved(output, table, loss);
        assert_ok(sn_weights_open(model, &before));
        assert_ok(sn_weights_open(inner, &after));
        const sn_tensor_view *was = sn_weights_find(before, all[i].table), *a = sn_weights_find(after, all[i].table), *b = sn_weights_find(after, all[i].copy);
        assert_true(a && b && a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes) && memcmp(was->data, a->data, a->bytes));
        sn_weights_free(before);
        sn_weights_free(after);
        sn_table_free(table);
        free(inner);
        free(model);
        free(output);
    }
}

/* ---- prompts ---- */

static double first_loss(const world *w, const char *csv, const char *more) {
    char *model = quiet_copy(w->p, "gpt2");
    sn_buf text = {0};
    sn_trainer *t;
    run r = {.n = 0};
    sn_buf_puts(&text, csv);
    sn_table *table = open_text(w->p, &text);
    assert_ok(writer(w->p, table, model, NULL, 1e-3, more, &t));
    assert_ok(sn_trainer_run(t, on_event, &r));
    sn_trainer_free(t);
    sn_table_free(table);
    free(model);
    return r.losses[0];
}

/* What separates the texts is learned with the second; a prompt counts by its end; without one the text is another. */
static void test_prompts(void **state) {
    const world *w = *state;
    static const char asked[] = "\"inputs\": [\"in0\"]";
    static const char separated[] = "\"inputs\": [\"in0\"], \"output_features\": [{\"name\": \"said\", \"preprocessing\": {\"separator\": \" \"}}]";
    static const char shorter[] = "\"inputs\": [\"in0\"], \"max_length\": 4"; /* of prompts three tokens */
    double plain = first_loss(w, "in0,said\nis it,big\none,two\n", asked), spaced = first_loss(w, "in0,said\nis it,\" big\"\none,\" two\"\n", asked);
    assert_true(plain != spaced);
    assert_true(first_loss(w, "in0,said\nis it,big\none,two\n", separated) == spaced);
    assert_true(first_loss(w, "in0,said\nis it,big\none,two\n", NULL) != plain);
    double cut = first_loss(w, "in0,said\nthe circle is it,big\nthe square is it,big\n", shorter);
    assert_true(first_loss(w, "in0,said\nanother square is it,big\none is it,big\n", shorter) == cut);
    assert_true(first_loss(w, "in0,said\nthe circle is it,big\nthe square is on,big\n", shorter) != cut);
}

/* The finished model's config with input `at`'s preprocessing changed by `patch` (null: the key goes), or the inputs swapped. */
static void changed_is_refused(const char *output, const json_t *whole, int at, const char *patch, const char *why) {
    json_t *config = json_deep_copy(whole), *list = json_object_get(config, "input_features"), *change, *value;
    json_t *preprocessing = json_object_get(json_array_get(list, (size_t)(at < 0 ? 0 : at)), "preprocessing");
    const char *key;
    char *path = sn_path_join(output, "config.json");
    sn_model *m;
    assert_ok(sn_json_parse("patch", patch, strlen(patch), &change));
    json_object_foreach(change, key, value) {
        if (json_is_null(value)) (void)json_object_del(preprocessing, key);
        else (void)json_object_set(preprocessing, key, value);
    }
    if (at < 0) {
        json_t *first = json_incref(json_array_get(list, 0));
        (void)json_array_remove(list, 0);
        (void)json_array_append_new(list, first);
    }
    assert_ok(sn_json_write(path, config));
    sn_status status = sn_model_load(output, NULL, &m);
    if (status == SN_OK || !strstr(sn_error_message(), why)) fail_msg("expected \"%s\", found \"%s\"", why, status == SN_OK ? "no error" : sn_error_message());
    json_decref(change);
    json_decref(config);
    sn_free(path);
}

static void test_hostile_prompts(void **state) {
    const world *w = *state;
    const json_t *about = json_object_get(json_object_get(w->golden, "models"), "gpt2_prompted");
    char *model = quiet_copy(w->p, "gpt2"), *output = place_path(w->p, "asked", NULL), *path = place_path(w->p, "asked/config.json", NULL);
    sn_table *table = table_of(w->p, json_object_get(about, "rows"), 1);
    json_t *config;
    sn_trainer *t;
    assert_ok(writer(w->p, table, model, "asked", 1e-3, PROMPTED, &t));
    assert_ok(sn_trainer_run(t, NULL, NULL));
    sn_trainer_free(t);
    sn_table_free(table);
    assert_ok(sn_json_read(path, &config));
    changed_is_refused(output, config, -1, "{}", "the last input of a writer, and no other, must be the text that is written; \"said\" is");
    changed_is_refused(output, config, 0, "{\"processor\": null}", "column \"in0\": the place of its processor is not known");
    changed_is_refused(output, config, 0, "{\"max_length\": 3}", "\"max_length\"");
    changed_is_refused(output, config, 0, "{\"prompt\": null, \"prefix\": [], \"max_length\": 9}", "\"in0\" is");
    changed_is_refused(output, config, 1, "{\"prefix\": [0]}", "a text after a prompt has no \"prefix\"");
    changed_is_refused(output, config, 1, "{\"separator\": 5}", "\"separator\": expected a string");
    changed_is_refused(output, config, 1, "{\"prefix\": null, \"end\": null, \"prompted\": null}", "\"said\" is not");
    changed_is_refused(output, config, 1, "{\"prefix\": null, \"end\": null, \"prompted\": null, \"max_length\": null, \"prompt\": true}",
                       "is a prompt, which stands right before the text that is written");
    (void)json_object_set_new(config, "writer", json_null());
    changed_is_refused(output, config, 0, "{}", "\"writer\" is missing: it says the encoder of all inputs together");
    json_decref(config);
    free(model);
    free(output);
    free(path);
}

/* ---- refusals ---- */

static void refused(const world *w, const char *csv, const char *model, const char *more, const char *why) {
    sn_buf text = {0};
    char *path = NULL;
    sn_trainer *t;
    sn_buf_puts(&text, csv);
    sn_table *table = open_text(w->p, &text);
    assert_true(asprintf(&path, SN_TEST_ROOT "/golden/%s", model) > 0);
    sn_status status = writer(w->p, table, path, NULL, 1e-3, more, &t);
    if (status == SN_OK || !strstr(sn_error_message(), why)) fail_msg("expected \"%s\", found \"%s\"", why, status == SN_OK ? "no error" : sn_error_message());
    assert_null(t);
    sn_table_free(table);
    free(path);
}

static void test_refusals(void **state) {
    const world *w = *state;
    static const char one[] = "said\na red square\nbig\nthe blue circle\n";
#define PHOTOS SN_TEST_ROOT "/golden/pipelines/p1.png," SN_TEST_ROOT "/golden/pipelines/p2.png,"
    refused(w, one, "transfer/bert", NULL, "does not generate text");
    refused(w, one, "pipelines/captioner", NULL, "reads one image column besides what it writes; there is none");
    refused(w, "a,b,said\n" PHOTOS "big\n" PHOTOS "small\n", "pipelines/captioner", NULL, "there are several");
    refused(w, one, "pipelines/gpt2", "\"fusion\": \"concat\"", "\"fusion\" cannot stand beside it");
    refused(w, one, "pipelines/gpt2", "\"tune\": \"frozen\"", "learns as a whole (full) or through adapters (lora)");
    refused(w, one, "pipelines/gpt2", "\"max_length\": 49", "the model writes up to 48 tokens");
    refused(w, "a,b,said\nis it,one,big\none,two,small\n", "pipelines/gpt2", "\"inputs\": [\"a\", \"b\"]", "reads one text column besides what it writes; there are several");
    refused(w, "a,said\n" SN_TEST_ROOT "/golden/pipelines/p1.png,big\n" SN_TEST_ROOT "/golden/pipelines/p2.png,small\n", "pipelines/gpt2", "\"inputs\": [\"a\"]",
            "reads one text column besides what it writes; there is none");
    refused(w, "sound,said\n" SN_TEST_ROOT "/golden/audio/tone.wav,big\n" SN_TEST_ROOT "/golden/audio/tone.wav,small\n", "pipelines/listener", NULL,
            "which language is spoken?");
    refused(w, one, "pipelines/nowhere", NULL, "nowhere");
}

/* A text target needs a model that writes. */
static void test_text_without_model(void **state) {
    const world *w = *state;
    sn_buf csv = {0};
    sn_trainer *t;
    sn_buf_puts(&csv, "n,said\n1,a red square\n2,big\n3,the blue circle\n4,no\n5,big\n6,no\n");
    sn_table *table = open_text(w->p, &csv);
    assert_true(sn_trainer_create(table, NULL, "{\"targets\": [\"said\"], \"types\": {\"said\": \"text\"}, \"output\": \"\", \"preprocessing\": {\"split\": {\"fraction\": 0}}}", &t) != SN_OK);
    assert_non_null(strstr(sn_error_message(), "\"model\" names it"));
    sn_table_free(table);
}

static int begin(void **state) {
    world *w = calloc(1, sizeof *w);
    if (!w || !(w->p = place_create())) return -1;
    *state = w;
    return sn_json_read(SN_TEST_ROOT "/golden/writers.json", &w->golden) == SN_OK ? 0 : -1;
}

static int end(void **state) {
    world *w = *state;
    place_free(w->p);
    json_decref(w->golden);
    free(w);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_learns_as_transformers), cmocka_unit_test(test_says_what_it_learned),
                                       cmocka_unit_test(test_adapters), cmocka_unit_test(test_copies), cmocka_unit_test(test_prompts), cmocka_unit_test(test_hostile_prompts),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_text_without_model)};
    return cmocka_run_group_tests(tests, begin, end);
}
