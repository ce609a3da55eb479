/* Published models with all their files equal Transformers: vectors by the pooling that the files say, in batches of every
 * size, tokens, generated text; items that fail in the middle; several threads on one pipeline. */
#include "test.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "media/image.h"
#include "params/weights.h"

#define ROOT SN_TEST_ROOT "/golden/pipelines/"
enum { MOST = 16, MOST_WIDTH = 64 };

typedef struct golden {
    json_t *root;
    sn_pipeline *p;
    sn_item items[MOST];
    size_t n, width;
} golden;

static void open_golden(const char *name, golden *g) {
    char path[512];
    json_t *text;
    size_t i;
    *g = (golden){0};
    (void)snprintf(path, sizeof path, ROOT "%s.json", name);
    assert_ok(sn_json_read(path, &g->root));
    (void)snprintf(path, sizeof path, ROOT "%s", name);
    assert_ok(sn_pipeline_open(path, "{\"precision\":\"f32\",\"threads\":2}", &g->p));
    json_array_foreach(json_object_get(g->root, "texts"), i, text)
        g->items[g->n++] = (sn_item){.text = json_string_value(text), .bytes = json_string_length(text)};
    if (json_object_get(g->root, "vectors")) assert_ok(sn_pipeline_width(g->p, &g->width));
}
static void close_golden(golden *g) {
    sn_pipeline_free(g->p);
    json_decref(g->root);
}

static void close_vectors(const golden *g, const float *x, double bound) {
    for (size_t i = 0; i < g->n; i++)
        for (size_t k = 0; k < g->width; k++) {
            double want = json_number_value(json_array_get(json_array_get(json_object_get(g->root, "vectors"), i), k));
            double got = (double)x[i * g->width + k];
            if (!(fabs(got - want) <= bound)) fail_msg("item %zu, number %zu: %g, not %g", i, k, got, want);
        }
}

static void vectors_equal_the_reference(void **state) {
    (void)state;
    static const char *const names[] = {"sentences", "sentences_plain", "sentences_cls_max"};
    static const char *const batches[] = {NULL, "{\"batch_size\":1}", "{\"batch_size\":2}", "{\"batch_size\":4}"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        golden g;
        float x[MOST * MOST_WIDTH];
        open_golden(names[n], &g);
        assert_int_equal(g.width, json_array_size(json_array_get(json_object_get(g.root, "vectors"), 0)));
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            memset(x, 0, sizeof x);
            assert_ok(sn_pipeline_embed(g.p, g.items, g.n, batches[b], NULL, x));
            close_vectors(&g, x, 3e-5);
        }
        close_golden(&g);
    }
}

static void options_change_the_pooling(void **state) {
    (void)state;
    golden g;
    float unit[MOST * MOST_WIDTH], both[MOST * MOST_WIDTH];
    open_golden("sentences_plain", &g);
    assert_ok(sn_pipeline_embed(g.p, g.items, g.n, "{\"normalise\":true}", NULL, unit));
    for (size_t i = 0; i < g.n; i++) {
        double sum = 0;
        for (size_t k = 0; k < g.width; k++) sum += (double)unit[i * g.width + k] * (double)unit[i * g.width + k];
        assert_true(fabs(sum - 1) < 1e-5);
    }
    close_golden(&g);
    open_golden("sentences_cls_max", &g);
    assert_ok(sn_pipeline_embed(g.p, g.items, g.n, NULL, NULL, both));
    float *cls = unit; /* half as wide: its first half is the first token */
    assert_ok(sn_pipeline_embed(g.p, g.items, g.n, "{\"pooling\":\"cls\"}", NULL, cls));
    for (size_t i = 0; i < g.n; i++) assert_memory_equal(cls + i * g.width / 2, both + i * g.width, g.width / 2 * sizeof *cls);
    assert_fails(sn_pipeline_embed(g.p, g.items, g.n, "{\"pooling\":\"sum\"}", NULL, cls), SN_ERR_USAGE, "\"sum\" is not known");
    assert_fails(sn_pipeline_embed(g.p, g.items, g.n, "{\"poling\":\"cls\"}", NULL, cls), SN_ERR_USAGE, "poling");
    close_golden(&g);
}

typedef struct told {
    int n;
    char last[512];
} told;
static int tell(void *context, const char *json) {
    told *t = context;
    t->n++;
    (void)snprintf(t->last, sizeof t->last, "%s", json);
    return 0;
}

static void a_broken_item_is_told(void **state) {
    (void)state;
    golden g;
    float x[MOST * MOST_WIDTH], whole[MOST * MOST_WIDTH];
    told t = {0};
    sn_listener listener = {.result = tell, .context = &t};
    open_golden("sentences", &g);
    assert_ok(sn_pipeline_embed(g.p, g.items, g.n, "{\"batch_size\":1}", NULL, whole));
    g.items[2] = (sn_item){.text = "caf\xe9", .bytes = 4};
    assert_fails(sn_pipeline_embed(g.p, g.items, g.n, "{\"batch_size\":1}", &listener, x), SN_ERR_FORMAT, "item 3: the text is not UTF-8 at byte 3");
    assert_int_equal(t.n, 1);
    assert_non_null(strstr(t.last, "\"item\":3"));
    assert_non_null(strstr(t.last, "\"code\":\"format\""));
    for (size_t i = 0; i < g.n; i++)
        if (i == 2) assert_true(isnan(x[i * g.width]));
        else assert_memory_equal(x + i * g.width, whole + i * g.width, g.width * sizeof *x);
    close_golden(&g);
}

static int keep_all(void *context, const char *json) { return json_array_append_new(context, json_loads(json, JSON_ALLOW_NUL, NULL)); }

static void tokens_equal_the_reference(void **state) {
    (void)state;
    golden g;
    json_t *all = json_array();
    sn_listener listener = {.result = keep_all, .context = all};
    char *text;
    sn_pipeline *p;
    open_golden("sentences", &g);
    assert_ok(sn_pipeline_open(ROOT "sentences", "{\"task\":\"tokenize\"}", &p));
    assert_ok(sn_pipeline_run(p, "tokenize", g.items, g.n, NULL, &listener));
    for (size_t i = 0; i < g.n; i++)
        assert_true(json_equal(json_object_get(json_array_get(all, i), "ids"), json_array_get(json_object_get(g.root, "ids"), i)));
    json_decref(all);
    assert_ok(sn_pipeline_answer(p, "tokenize", NULL, "{\"decode\":[2,3]}", &text));
    assert_string_equal(text, "{\"item\":1,\"text\":\"[CLS] [SEP]\"}");
    sn_string_free(text);
    assert_fails(sn_pipeline_answer(p, "tokenize", NULL, "{\"decode\":[2,5000]}", &text), SN_ERR_USAGE, "number 2 of the list");
    assert_fails(sn_pipeline_answer(p, "embed", &g.items[0], NULL, &text), SN_ERR_STATE, "opened without its weights");
    assert_fails(sn_pipeline_answer(p, "sing", &g.items[0], NULL, &text), SN_ERR_USAGE, "\"sing\" is not known; known are tokenize, embed");
    sn_pipeline_free(p);
    close_golden(&g);
}

static int gather_piece(void *context, size_t item, const char *json, size_t bytes, int last) {
    sn_buf *text = context;
    assert_int_equal(item, 0);
    sn_buf_add(text, json, bytes);
    if (last) sn_buf_puts(text, "$");
    return text->failed;
}

static int gather_part(void *context, const char *json) {
    json_t *lists = context, *part = json_loads(json, 0, NULL);
    const char *key;
    json_t *list;
    assert_int_equal(json_integer_value(json_object_get(part, "item")), 1);
    json_object_foreach(lists, key, list) assert_int_equal(json_array_extend(list, json_object_get(part, key)), 0);
    json_decref(part);
    return 0;
}

static void fill_words(char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) text[i] = "a red square \"is\" gr\xC3\xB6\xC3\x9F" "er\\ "[i % 28];
    memset(text + bytes / 28 * 28, ' ', bytes % 28);
}

/* A text of many pieces: together they are the result, and the parts have its lists. */
static void a_long_result_comes_in_pieces(void **state) {
    (void)state;
    enum { BYTES = 200000 };
    char *text = malloc(BYTES), *whole;
    sn_buf pieces = {0};
    sn_pipeline *p;
    assert_non_null(text);
    fill_words(text, BYTES);
    sn_item item = {.text = text, .bytes = BYTES};
    assert_ok(sn_pipeline_open(ROOT "sentences", "{\"task\":\"tokenize\"}", &p));
    assert_ok(sn_pipeline_answer(p, "tokenize", &item, NULL, &whole));
    sn_listener listener = {.piece = gather_piece, .context = &pieces};
    assert_ok(sn_pipeline_run(p, "tokenize", &item, 1, NULL, &listener));
    assert_int_equal(pieces.size, strlen(whole) + 1);
    assert_memory_equal(pieces.data, whole, pieces.size - 1);
    json_t *result = json_loads(whole, 0, NULL), *lists = json_pack("{s:[], s:[]}", "ids", "tokens");
    assert_int_equal(json_string_length(json_object_get(result, "text")), BYTES);
    assert_memory_equal(json_string_value(json_object_get(result, "text")), text, BYTES);
    assert_true(json_array_size(json_object_get(result, "ids")) > 30000);
    listener = (sn_listener){.part = gather_part, .context = lists};
    assert_ok(sn_pipeline_run(p, "tokenize", &item, 1, NULL, &listener));
    assert_true(json_equal(json_object_get(lists, "ids"), json_object_get(result, "ids")));
    assert_true(json_equal(json_object_get(lists, "tokens"), json_object_get(result, "tokens")));
    json_decref(lists);
    json_decref(result);
    sn_string_free(whole);
    sn_buf_free(&pieces);
    sn_pipeline_free(p);
    free(text);
}

static void *embed_often(void *context) {
    const golden *g = context;
    float x[MOST * MOST_WIDTH];
    for (int i = 0; i < 5; i++)
        if (sn_pipeline_embed(g->p, g->items, g->n, i % 2 ? "{\"batch_size\":2}" : NULL, NULL, x) != SN_OK) return context;
    return NULL;
}
static void threads_share_a_pipeline(void **state) {
    (void)state;
    golden g;
    pthread_t threads[3];
    void *failed;
    open_golden("sentences", &g);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, embed_often, &g), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    close_golden(&g);
}

static void pictures_equal_the_reference(void **state) {
    (void)state;
    golden g;
    json_t *name;
    char files[MOST][512];
    float x[MOST * MOST_WIDTH];
    size_t i;
    open_golden("vit", &g);
    json_array_foreach(json_object_get(g.root, "images"), i, name) {
        (void)snprintf(files[i], sizeof files[i], ROOT "%s", json_string_value(name));
        g.items[g.n++].file = files[i];
    }
    assert_ok(sn_pipeline_embed(g.p, g.items, g.n, "{\"batch_size\":2}", NULL, x));
    close_vectors(&g, x, 3e-5);
    g.items[1].file = ROOT "nothing.png";
    assert_fails(sn_pipeline_embed(g.p, g.items, g.n, NULL, NULL, x), SN_ERR_IO, "nothing.png");
    assert_string_equal(sn_error_file(), ROOT "nothing.png");
    g.items[1] = (sn_item){.text = "a", .bytes = 1};
    assert_fails(sn_pipeline_embed(g.p, g.items, g.n, NULL, NULL, x), SN_ERR_USAGE, "item 2 is of another kind");
    assert_fails(sn_pipeline_embed(g.p, g.items + 1, 1, NULL, NULL, x), SN_ERR_UNSUPPORTED, "texts cannot be embedded");
    close_golden(&g);
}

typedef struct stream {
    char text[512];
    int stop_after;
} stream;
static int on_text(void *context, size_t item, const char *utf8, size_t bytes) {
    stream *s = context;
    assert_int_equal(item, 0);
    size_t used = strlen(s->text);
    (void)snprintf(s->text + used, sizeof s->text - used, "%.*s", (int)bytes, utf8);
    return s->stop_after && !--s->stop_after;
}

static void text_equals_the_reference(void **state) {
    (void)state;
    golden g;
    json_t *run;
    size_t i;
    open_golden("gpt2", &g);
    json_array_foreach(json_object_get(g.root, "runs"), i, run) {
        const json_t *prompt = json_object_get(run, "prompt");
        sn_item item = {.text = json_string_value(prompt), .bytes = json_string_length(prompt)};
        char *options = json_dumps(json_object_get(run, "options"), 0);
        json_t *all = json_array();
        sn_listener listener = {.result = keep_all, .context = all};
        assert_ok(sn_pipeline_run(g.p, "generate", &item, 1, options, &listener));
        const json_t *got = json_array_get(all, 0);
        if (!json_equal(json_object_get(got, "tokens"), json_object_get(run, "tokens"))) {
            char *text = json_dumps(got, 0);
            fail_msg("run %zu, %s: %s", i, options, text);
        }
        assert_true(json_equal(json_object_get(got, "text"), json_object_get(run, "text")));
        json_decref(all);
        stream s = {{0}, 0};
        sn_listener watcher = {.text = on_text, .context = &s};
        assert_ok(sn_pipeline_run(g.p, "generate", &item, 1, options, &watcher));
        assert_string_equal(s.text, json_string_value(json_object_get(run, "text")));
        s = (stream){{0}, 1};
        assert_fails(sn_pipeline_run(g.p, "generate", &item, 1, options, &watcher), SN_ERR_CANCELLED, "");
        free(options);
    }
    close_golden(&g);
}

/* The file of a run's picture and its question, if there is one. */
static sn_item item_of(const json_t *run, char *file, size_t size) {
    const json_t *question = json_object_get(run, "question");
    (void)snprintf(file, size, ROOT "%s", json_string_value(json_object_get(run, "image")));
    return (sn_item){.file = file, .text = json_string_value(question), .bytes = json_string_length(question)};
}

static void same_text(const json_t *got, const json_t *run, const char *key, size_t i) {
    if (!json_equal(json_object_get(got, "tokens"), json_object_get(run, "tokens"))) {
        char *text = json_dumps(got, 0), *want = json_dumps(run, 0);
        fail_msg("run %zu: %s, not %s", i, text, want);
    }
    assert_true(json_equal(json_object_get(got, key), json_object_get(run, "text")));
}

/* Every run of a golden whose model writes; its text is under `key` of the answer. */
static void writes_as_the_reference(const char *name, const char *task, const char *key) {
    golden g;
    json_t *run;
    size_t i;
    open_golden(name, &g);
    json_array_foreach(json_object_get(g.root, "runs"), i, run) {
        char file[512], *text;
        sn_item item = item_of(run, file, sizeof file);
        char *options = json_dumps(json_object_get(run, "options"), 0);
        assert_ok(sn_pipeline_answer(g.p, task, &item, options, &text));
        json_t *got = json_loads(text, JSON_ALLOW_NUL, NULL);
        same_text(got, run, key, i);
        assert_string_equal(json_string_value(json_object_get(got, "image")), file);
        if (item.text) assert_string_equal(json_string_value(json_object_get(got, "question")), item.text);
        json_decref(got);
        sn_string_free(text);
        free(options);
    }
    close_golden(&g);
}

static void captions_equal_the_reference(void **state) {
    (void)state;
    writes_as_the_reference("captioner", "caption", "text");
    writes_as_the_reference("blip_captioner", "caption", "text");
}

static void answers_equal_the_reference(void **state) {
    (void)state;
    writes_as_the_reference("blip_asker", "ask", "answer");
}

static int by_item(void *context, size_t item, const char *utf8, size_t bytes) {
    stream *s = (stream *)context + item;
    size_t used = strlen(s->text);
    (void)snprintf(s->text + used, sizeof s->text - used, "%.*s", (int)bytes, utf8);
    return 0;
}

/* Pictures of one size go through the model together, whatever the size of a batch: each gets its own caption, in order
 * and streamed to its own item, around those that cannot be read. */
static void captions_in_batches(void **state) {
    (void)state;
    static const char *const names[] = {"captioner", "blip_captioner"};
    for (size_t n = 0; n < 2; n++) {
        golden g;
        json_t *run;
        size_t i;
        char files[MOST][512];
        const json_t *runs[MOST], *options = NULL;
        open_golden(names[n], &g);
        json_array_foreach(json_object_get(g.root, "runs"), i, run) {
            const json_t *its = json_object_get(run, "options");
            if (!json_object_get(its, "num_beams") || (options && !json_equal(its, options))) continue;
            options = its;
            runs[g.n] = run;
            g.items[g.n] = item_of(run, files[g.n], sizeof files[0]);
            g.n++;
        }
        for (size_t k = 0; k < 4; k++, g.n++) { /* some of them again, and one that is not there */
            runs[g.n] = k == 1 ? NULL : runs[k % 3];
            g.items[g.n] = k == 1 ? (sn_item){.file = ROOT "nothing.png"} : g.items[(k) % 3];
        }
        for (int batch = 1; batch <= 8; batch++) {
            json_t *all = json_array(), *given = json_deep_copy(options);
            stream texts[MOST] = {0};
            sn_listener listener = {.result = keep_all, .context = all}, watcher = {.text = by_item, .context = texts};
            (void)json_object_set_new(given, "batch_size", json_integer(batch));
            char *text = json_dumps(given, 0);
            assert_fails(sn_pipeline_run(g.p, "caption", g.items, g.n, text, &listener), SN_ERR_IO, "item 5: ");
            assert_fails(sn_pipeline_run(g.p, "caption", g.items, g.n, text, &watcher), SN_ERR_IO, "item 5: ");
            assert_int_equal(json_array_size(all), g.n);
            for (size_t k = 0; k < g.n; k++) {
                const json_t *got = json_array_get(all, k);
                assert_int_equal(json_integer_value(json_object_get(got, "item")), k + 1);
                if (runs[k]) same_text(got, runs[k], "text", k);
                else assert_non_null(json_object_get(got, "error"));
                assert_string_equal(texts[k].text, runs[k] ? json_string_value(json_object_get(runs[k], "text")) : "");
            }
            free(text);
            json_decref(given);
            json_decref(all);
        }
        close_golden(&g);
    }
}

/* Every run of a golden whose model chooses. */
static void chooses_as_the_reference(const golden *g, const char *name) {
    json_t *run, *pair;
    size_t i, k;
    json_array_foreach(json_object_get(g->root, "runs"), i, run) {
        char file[512], options[640] = "", *text;
        const char *regions = json_string_value(json_object_get(run, "regions"));
        sn_item item = item_of(run, file, sizeof file);
        if (regions) (void)snprintf(options, sizeof options, "\"regions\":\"" ROOT "%s/%s\"", name, regions);
        char all[700];
        (void)snprintf(all, sizeof all, "{%s%s%s}", options, regions && i % 2 ? "," : "", i % 2 ? "\"top\":3" : "");
        assert_ok(sn_pipeline_answer(g->p, "ask", &item, all, &text));
        json_t *got = json_loads(text, 0, NULL), *top = json_object_get(got, "top");
        assert_int_equal(json_array_size(top), i % 2 ? 3 : 5);
        json_array_foreach(top, k, pair) {
            const json_t *want = json_array_get(json_object_get(run, "top"), k);
            double d = fabs(json_number_value(json_array_get(pair, 1)) - json_number_value(json_array_get(want, 1)));
            if (strcmp(json_string_value(json_array_get(pair, 0)), json_string_value(json_array_get(want, 0))) || !(d < 1e-5))
                fail_msg("run %zu, answer %zu: %s", i, k, text);
        }
        assert_true(json_equal(json_object_get(got, "answer"), json_array_get(json_array_get(top, 0), 0)));
        json_decref(got);
        sn_string_free(text);
    }
}

static void regions_equal_the_reference(void **state) {
    (void)state;
    golden g;
    char *text;
    sn_item item = {.file = ROOT "p9.png", .text = "is it", .bytes = 5};
    open_golden("visual_bert_asker", &g);
    chooses_as_the_reference(&g, "visual_bert_asker");
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, NULL, &text), SN_ERR_USAGE, "give \"regions\"");
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"regions\":\"" ROOT "visual_bert_asker/regions.safetensors\"}", &text), SN_ERR_FORMAT,
                 "p9.png\"; there are 3");
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"regions\":\"" ROOT "visual_bert_asker/grid\"}", &text), SN_ERR_IO, "p9.png");
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"regions\":\"" ROOT "sentences\"}", &text), SN_ERR_UNSUPPORTED, "not an image model");
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"regions\":\"" ROOT "nothing.npy\"}", &text), SN_ERR_IO, "nothing.npy");
    item.file = ROOT "p1.png";
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"regions\":\"" ROOT "vit\"}", &text), SN_ERR_UNSUPPORTED, "gives no grid");
    const char *narrow = "pipelines_test_regions.npy";
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    assert_ok(sn_vectors_write(narrow, x, 2, 3));
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"regions\":\"pipelines_test_regions.npy\"}", &text), SN_ERR_SHAPE,
                 "regions of 3 numbers; the model takes 8");
    (void)remove(narrow);
    close_golden(&g);
}

static void choices_equal_the_reference(void **state) {
    (void)state;
    golden g;
    char file[] = ROOT "p1.png", *text;
    open_golden("vilt_asker", &g);
    chooses_as_the_reference(&g, "vilt_asker");
    sn_item item = {.file = file};
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, NULL, &text), SN_ERR_USAGE, "a text is expected");
    item = (sn_item){.text = "is it", .bytes = 5};
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, NULL, &text), SN_ERR_USAGE, "a picture is expected");
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"num_beams\":2}", &text), SN_ERR_USAGE, "chooses among its answers");
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"regions\":\"x\"}", &text), SN_ERR_USAGE, "sees the picture itself");
    assert_fails(sn_pipeline_answer(g.p, "caption", &item, NULL, &text), SN_ERR_UNSUPPORTED, "a model of type vilt cannot do caption");
    close_golden(&g);
    open_golden("blip_asker", &g);
    assert_fails(sn_pipeline_answer(g.p, "ask", &item, "{\"top\":2}", &text), SN_ERR_USAGE, "this model writes its answers");
    assert_fails(sn_pipeline_answer(g.p, "caption", &item, NULL, &text), SN_ERR_UNSUPPORTED, "a model of type blip cannot do caption");
    close_golden(&g);
}

/* ---- several questions about a picture ---- */

enum { PICTURES = 20, ASKED = 2 * PICTURES }; /* more than are kept */
typedef struct asked {
    json_t *answers;
    sn_image pictures[PICTURES];
    int blank_after; /* answers */
} asked;

static int keep_and_blank(void *context, const char *json) {
    asked *a = context;
    (void)json_array_append_new(a->answers, json_loads(json, 0, NULL));
    for (size_t i = 0; (int)json_array_size(a->answers) == a->blank_after && i < PICTURES; i++)
        memset(a->pictures[i].pixels, 0, (size_t)a->pictures[i].width * (size_t)a->pictures[i].height * 3);
    return 0;
}

/* Questions about the first n pictures in turn; what the picture is about to become does not matter to those seen before. */
static void asks_in_turn(const golden *g, const char *options, int n, int blank_after) {
    static const char *const questions[] = {"what colour is the circle?", "one or two?", "is it big"};
    asked a = {.answers = json_array(), .blank_after = blank_after};
    sn_listener listener = {.result = keep_and_blank, .context = &a};
    sn_item items[ASKED] = {0}, alone;
    char file[512];
    for (int i = 0; i < PICTURES; i++) {
        (void)snprintf(file, sizeof file, ROOT "p%d.png", i % 3 + 1);
        assert_ok(sn_image_read(file, 0, &a.pictures[i]));
    }
    for (int k = 0; k < ASKED; k++) {
        const sn_image *picture = &a.pictures[k % n];
        items[k] = (sn_item){.text = questions[k % 7 % 3], .bytes = strlen(questions[k % 7 % 3]), .rgb = picture->pixels, .width = picture->width,
                             .height = picture->height, .stride = (size_t)picture->width * 3};
    }
    assert_ok(sn_pipeline_run(g->p, "ask", items, ASKED, options, &listener));
    for (int k = 0; k < ASKED; k++) {
        char *text;
        alone = (sn_item){.text = items[k].text, .bytes = items[k].bytes, .file = file};
        (void)snprintf(file, sizeof file, ROOT "p%d.png", k % n % 3 + 1);
        assert_ok(sn_pipeline_answer(g->p, "ask", &alone, options, &text));
        json_t *want = json_loads(text, 0, NULL), *got = json_array_get(a.answers, (size_t)k);
        (void)json_object_del(want, "image");
        (void)json_object_set_new(want, "item", json_integer(k + 1));
        if (!json_equal(want, got)) fail_msg("question %d: %s, not %s", k, json_dumps(got, 0), text);
        json_decref(want);
        sn_string_free(text);
    }
    for (int i = 0; i < PICTURES; i++) sn_image_free(&a.pictures[i]);
    json_decref(a.answers);
}

static void a_picture_is_seen_once(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"blip_asker", "{\"max_length\":9}"}, {"vilt_asker", "{\"top\":2}"},
                                           {"visual_bert_asker", "{\"regions\":\"" ROOT "visual_bert_asker/grid\"}"}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        golden g;
        open_golden(cases[c][0], &g);
        asks_in_turn(&g, cases[c][1], 3, 3);
        asks_in_turn(&g, cases[c][1], PICTURES, 0);
        close_golden(&g);
    }
}

/* Texts and pictures of one space. */
static void both_sides_equal(const char *name) {
    golden g;
    json_t *one;
    char files[MOST][512];
    float x[MOST * MOST_WIDTH];
    size_t i;
    open_golden(name, &g);
    assert_ok(sn_pipeline_width(g.p, &g.width));
    json_array_foreach(json_object_get(g.root, "labels"), i, one)
        g.items[g.n++] = (sn_item){.text = json_string_value(one), .bytes = json_string_length(one)};
    assert_ok(sn_pipeline_embed(g.p, g.items, g.n, "{\"prompt\":\"a photo of a \"}", NULL, x));
    json_object_set(g.root, "vectors", json_object_get(g.root, "text_vectors"));
    close_vectors(&g, x, 3e-5);
    json_array_foreach(json_object_get(g.root, "images"), i, one) {
        (void)snprintf(files[i], sizeof files[i], ROOT "%s", json_string_value(one));
        g.items[i] = (sn_item){.file = files[i]};
    }
    assert_ok(sn_pipeline_embed(g.p, g.items, g.n, NULL, NULL, x));
    json_object_set(g.root, "vectors", json_object_get(g.root, "image_vectors"));
    close_vectors(&g, x, 3e-5);
    close_golden(&g);
}

static void both_sides_equal_the_reference(void **state) {
    (void)state;
    both_sides_equal("matcher");
    both_sides_equal("matcher_chinese");
    both_sides_equal("matcher_blip");
    both_sides_equal("matcher_sigmoid"); /* its texts are read with their padding */
}

/* Probabilities equal the reference's, best first, for every row; several batches. */
static void classes_equal(const char *name, const char *options) {
    golden g;
    json_t *one;
    char files[MOST][512];
    size_t i;
    open_golden(name, &g);
    const json_t *labels = json_object_get(g.root, "labels"), *rows = json_object_get(g.root, "probabilities");
    json_array_foreach(json_object_get(g.root, "images"), i, one) {
        (void)snprintf(files[i], sizeof files[i], ROOT "%s", json_string_value(one));
        g.items[g.n++] = (sn_item){.file = files[i]};
    }
    assert_true(g.n >= 3);
    json_t *all = json_array();
    sn_listener listener = {.result = keep_all, .context = all};
    assert_ok(sn_pipeline_run(g.p, "classify", g.items, g.n, options, &listener));
    assert_int_equal(json_array_size(all), g.n);
    for (i = 0; i < g.n; i++) {
        const json_t *answer = json_array_get(all, i), *top = json_object_get(answer, "top"), *row = json_array_get(rows, i);
        double before = INFINITY;
        size_t n = json_array_size(labels), k;
        assert_int_equal(json_integer_value(json_object_get(answer, "item")), i + 1);
        assert_int_equal(json_array_size(top), n);
        assert_true(json_equal(json_object_get(answer, "label"), json_array_get(json_array_get(top, 0), 0)));
        json_array_foreach(top, k, one) {
            double p = json_number_value(json_array_get(one, 1));
            size_t l = 0;
            while (l < n && !json_equal(json_array_get(labels, l), json_array_get(one, 0))) l++;
            assert_true(l < n && p <= before);
            double want = json_number_value(json_array_get(row, l));
            if (!(fabs(p - want) <= 1e-4)) fail_msg("%s, item %zu, %s: %g, not %g", name, i, json_string_value(json_array_get(one, 0)), p, want);
            before = p;
        }
    }
    json_decref(all);
    close_golden(&g);
}

static void classes_equal_the_reference(void **state) {
    (void)state;
    static const char labels[] = "{\"labels\":[\"red square\",\"blue circle\",\"green\"],\"template\":\"a photo of a {}\",\"batch_size\":2}";
    static const char *const learned[] = {"classes_vit", "classes_dinov2", "classes_resnet", "classes_bert"};
    classes_equal("matcher", labels);
    classes_equal("matcher_chinese", labels);
    classes_equal("matcher_sigmoid", labels);
    for (size_t i = 0; i < sizeof learned / sizeof *learned; i++) {
        classes_equal(learned[i], NULL);
        classes_equal(learned[i], "{\"batch_size\":2}");
    }
}

static void wrong_classes_are_named(void **state) {
    (void)state;
    golden g;
    char *text;
    json_t *all = json_array();
    sn_listener listener = {.result = keep_all, .context = all};
    sn_item items[3] = {{.file = ROOT "p1.png"}, {.file = ROOT "gone.png"}, {.file = ROOT "p2.png"}};
    open_golden("matcher", &g);
    assert_fails(sn_pipeline_answer(g.p, "classify", items, NULL, &text), SN_ERR_USAGE, "needs the classes");
    assert_fails(sn_pipeline_answer(g.p, "classify", items, "{\"labels\":[\"a\",\"\"]}", &text), SN_ERR_USAGE, "not empty");
    assert_fails(sn_pipeline_answer(g.p, "classify", items, "{\"labels\":[\"a\"],\"template\":\"a photo\"}", &text), SN_ERR_USAGE, "expected {}");
    assert_fails(sn_pipeline_run(g.p, "classify", items, 3, "{\"labels\":[\"a\",\"b\"]}", &listener), SN_ERR_IO, "item 2");
    assert_int_equal(json_array_size(all), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(json_integer_value(json_object_get(json_array_get(all, i), "item")), i + 1);
        assert_int_equal(json_object_get(json_array_get(all, i), "error") != NULL, i == 1);
    }
    close_golden(&g);
    json_decref(all);
    open_golden("classes_vit", &g);
    assert_fails(sn_pipeline_answer(g.p, "classify", items, "{\"labels\":[\"a\"]}", &text), SN_ERR_USAGE, "\"labels\": this model chooses");
    items[0] = (sn_item){.text = "a", .bytes = 1};
    assert_fails(sn_pipeline_answer(g.p, "classify", items, NULL, &text), SN_ERR_USAGE, "item 1: this model classifies pictures");
    close_golden(&g);
    open_golden("gpt2", &g);
    assert_fails(sn_pipeline_answer(g.p, "classify", items, NULL, &text), SN_ERR_UNSUPPORTED, "cannot do classify");
    close_golden(&g);
}

static void files_of_vectors(void **state) {
    (void)state;
    const char *path = "pipelines_test.safetensors", *npy = "pipelines_test.npy";
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    sn_weights *w;
    sn_bytes bytes;
    assert_ok(sn_vectors_write(path, x, 2, 3));
    assert_ok(sn_weights_open(path, &w));
    assert_memory_equal(sn_weights_find(w, "embeddings")->data, x, sizeof x);
    sn_weights_free(w);
    assert_ok(sn_vectors_write(npy, x, 2, 3));
    assert_ok(sn_file_read(npy, 4096, &bytes));
    assert_int_equal(bytes.size, 128 + sizeof x);
    assert_memory_equal(bytes.data, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 68);
    assert_memory_equal(bytes.data + 128, x, sizeof x);
    sn_bytes_free(&bytes);
    assert_fails(sn_vectors_write("a.txt", x, 2, 3), SN_ERR_USAGE, "ends in .safetensors or .npy");
    (void)remove(path);
    (void)remove(npy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_equal_the_reference),  cmocka_unit_test(options_change_the_pooling), cmocka_unit_test(a_broken_item_is_told),
        cmocka_unit_test(tokens_equal_the_reference), cmocka_unit_test(a_long_result_comes_in_pieces),
         cmocka_unit_test(threads_share_a_pipeline),   cmocka_unit_test(pictures_equal_the_reference),
        cmocka_unit_test(text_equals_the_reference),    cmocka_unit_test(captions_equal_the_reference),
        cmocka_unit_test(answers_equal_the_reference),  cmocka_unit_test(choices_equal_the_reference), cmocka_unit_test(regions_equal_the_reference),
        cmocka_unit_test(captions_in_batches),          cmocka_unit_test(a_picture_is_seen_once),
        cmocka_unit_test(both_sides_equal_the_reference), cmocka_unit_test(classes_equal_the_reference),
        cmocka_unit_test(wrong_classes_are_named),      cmocka_unit_test(files_of_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
