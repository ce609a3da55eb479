/* Whole tiny Whisper models equal Transformers' generate(): tokens, times, text and language of short and long sound;
 * silence, broken sound, cancelling; the encoder's states as vectors. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "pipelines/sound.h"

#define ROOT SN_TEST_ROOT "/golden/pipelines/"
enum { RATE = 16000 };

static void open_listener(sn_pipeline **p) { assert_ok(sn_pipeline_open(ROOT "listener", "{\"precision\":\"f32\",\"threads\":2}", p)); }

static sn_item item_of(const json_t *run, float **pcm) {
    size_t n = (size_t)json_integer_value(json_object_get(run, "samples"));
    *pcm = make_sound(n, json_integer_value(json_object_get(run, "salt")), 1);
    return (sn_item){.pcm = *pcm, .frames = n, .channels = 1, .rate_hz = RATE};
}

typedef struct told {
    char text[4096];
    size_t size, stop_after, calls;
    json_t *parts;
} told;
static int on_text(void *context, size_t item, const char *utf8, size_t bytes) {
    told *t = context;
    assert_int_equal(item, 0);
    assert_true(t->size + bytes < sizeof t->text);
    memcpy(t->text + t->size, utf8, bytes);
    t->size += bytes;
    return t->stop_after && ++t->calls >= t->stop_after;
}
static int on_part(void *context, const char *json) {
    told *t = context;
    return json_array_append_new(t->parts, json_loads(json, JSON_ALLOW_NUL, NULL));
}
static int on_result(void *context, const char *json) {
    told *t = context;
    return json_array_append_new(t->parts, json_loads(json, JSON_ALLOW_NUL, NULL));
}

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }

static void same_segment(const json_t *got, const json_t *want, size_t run, size_t s) {
    char *text = json_dumps(got, JSON_COMPACT);
    if (!json_equal(json_object_get(got, "tokens"), json_object_get(want, "tokens"))) fail_msg("run %zu, segment %zu: %s", run, s, text);
    if (fabs(number(got, "start") - number(want, "start")) > 0.0006 || fabs(number(got, "end") - number(want, "end")) > 0.0006)
        fail_msg("run %zu, segment %zu: %s, expected %g to %g", run, s, text, number(want, "start"), number(want, "end"));
    assert_true(json_equal(json_object_get(got, "text"), json_object_get(want, "text")));
    free(text);
}

static void transcripts_equal_the_reference(void **state) {
    (void)state;
    sn_pipeline *p;
    json_t *root, *run;
    size_t i, segments = 0;
    assert_ok(sn_json_read(ROOT "listener.json", &root));
    open_listener(&p);
    json_array_foreach(json_object_get(root, "runs"), i, run) {
        float *pcm;
        sn_item item = item_of(run, &pcm);
        char *options = json_dumps(json_object_get(run, "options"), 0);
        told t = {.parts = json_array()};
        sn_listener listener = {.result = on_result, .text = on_text, .part = on_part, .context = &t};
        assert_ok(sn_pipeline_run(p, "transcribe", &item, 1, options, &listener));
        const json_t *wanted = json_object_get(run, "segments");
        size_t n = json_array_size(wanted);
        const json_t *got = json_array_get(t.parts, json_array_size(t.parts) - 1), *list = json_object_get(got, "segments");
        if (json_array_size(list) != n) fail_msg("run %zu: %zu segments, expected %zu", i, json_array_size(list), n);
        assert_int_equal(json_array_size(t.parts), n + 1);
        for (size_t s = 0; s < n; s++) {
            same_segment(json_array_get(list, s), json_array_get(wanted, s), i, s);
            same_segment(json_array_get(t.parts, s), json_array_get(wanted, s), i, s); /* as it was streamed */
        }
        assert_true(json_equal(json_object_get(got, "text"), json_object_get(run, "text")));
        assert_true(json_equal(json_object_get(got, "language"), json_object_get(run, "language")));
        assert_int_equal(t.size, json_string_length(json_object_get(run, "text")));
        assert_memory_equal(t.text, json_string_value(json_object_get(run, "text")), t.size);
        segments += n;
        json_decref(t.parts);
        free(options);
        free(pcm);
    }
    assert_true(i == 10 && segments > 20);
    sn_pipeline_free(p);
    json_decref(root);
}

static void wrong_sounds_are_named(void **state) {
    (void)state;
    sn_pipeline *p;
    char *text;
    static const float nothing[2] = {0, 0}, broken[2] = {0, NAN};
    open_listener(&p);
    sn_item none = {.pcm = nothing, .frames = 0, .channels = 1, .rate_hz = RATE}, bad = {.pcm = broken, .frames = 2, .channels = 1, .rate_hz = RATE};
    sn_item words = {.text = "a", .bytes = 1}, file = {.file = ROOT "p1.png"}, gone = {.file = ROOT "gone.wav"};
    assert_fails(sn_pipeline_answer(p, "transcribe", &none, NULL, &text), SN_ERR_USAGE, "a sound of 0 frames");
    assert_fails(sn_pipeline_answer(p, "transcribe", &bad, NULL, &text), SN_ERR_FORMAT, "sample 1 is nan");
    assert_fails(sn_pipeline_answer(p, "transcribe", &words, NULL, &text), SN_ERR_USAGE, "a sound is expected");
    assert_fails(sn_pipeline_answer(p, "transcribe", &gone, NULL, &text), SN_ERR_IO, "gone.wav");
    assert_int_not_equal(sn_pipeline_answer(p, "transcribe", &file, NULL, &text), SN_OK);
    assert_non_null(strstr(sn_error_message(), "p1.png"));
    bad = (sn_item){.pcm = nothing, .frames = 2, .channels = 1, .rate_hz = RATE};
    assert_fails(sn_pipeline_answer(p, "transcribe", &bad, "{\"language\":\"xx\"}", &text), SN_ERR_USAGE, "no language \"xx\"");
    assert_fails(sn_pipeline_answer(p, "transcribe", &bad, "{\"task\":\"sing\"}", &text), SN_ERR_USAGE, "no task \"sing\"");
    assert_fails(sn_pipeline_answer(p, "transcribe", &bad, "{\"languages\":\"en\"}", &text), SN_ERR_USAGE, "languages");
    sn_pipeline_free(p);
    assert_ok(sn_pipeline_open(ROOT "gpt2", NULL, &p));
    assert_fails(sn_pipeline_answer(p, "transcribe", &bad, NULL, &text), SN_ERR_UNSUPPORTED, "no sound processor");
    sn_pipeline_free(p);
}

/* 40 s of nothing: the guard drops windows that are unsure and likely silent, so nothing is said of them. */
static void silence_has_no_text(void **state) {
    (void)state;
    sn_pipeline *p;
    char *text;
    float *pcm = calloc(40 * RATE, sizeof *pcm);
    sn_item item = {.pcm = pcm, .frames = 40 * RATE, .channels = 1, .rate_hz = RATE};
    open_listener(&p);
    assert_ok(sn_pipeline_answer(p, "transcribe", &item, "{\"no_speech_threshold\":0,\"logprob_threshold\":-0.1}", &text));
    assert_non_null(strstr(text, "\"text\":\"\",\"seconds\":40"));
    assert_non_null(strstr(text, "\"segments\":[]"));
    sn_string_free(text);
    item.frames = 1; /* and one sample is a sound */
    assert_ok(sn_pipeline_answer(p, "transcribe", &item, "{\"temperature\":0}", &text));
    sn_string_free(text);
    free(pcm);
    sn_pipeline_free(p);
}

static void a_listener_can_stop(void **state) {
    (void)state;
    sn_pipeline *p;
    float *pcm = make_sound(5 * RATE, 1, 1);
    sn_item item = {.pcm = pcm, .frames = 5 * RATE, .channels = 1, .rate_hz = RATE};
    told t = {.stop_after = 3};
    sn_listener listener = {.text = on_text, .context = &t};
    open_listener(&p);
    assert_fails(sn_pipeline_run(p, "transcribe", &item, 1, NULL, &listener), SN_ERR_CANCELLED, "");
    assert_int_equal(t.calls, 3);
    free(pcm);
    sn_pipeline_free(p);
}

/* Stereo of another rate, a text before, fallback: the ways that Transformers' numbers cannot cover. */
static void the_whole_way_runs(void **state) {
    (void)state;
    sn_pipeline *p;
    char *a, *b;
    float *pcm = make_sound(8 * RATE, 3, 1);
    sn_item item = {.pcm = pcm, .frames = 4 * RATE, .channels = 2, .rate_hz = 22050};
    open_listener(&p);
    const char *options = "{\"prompt\":\" a red square \",\"seed\":4,\"return_timestamps\":true}";
    assert_ok(sn_pipeline_answer(p, "transcribe", &item, options, &a));
    assert_ok(sn_pipeline_answer(p, "transcribe", &item, options, &b));
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "\"seconds\":2.903"));
    sn_string_free(a);
    sn_string_free(b);
    free(pcm);
    sn_pipeline_free(p);
}

/* The encoder's states, averaged over what sounds: one window in part, a whole one, two. */
static void vectors_equal_the_reference(void **state) {
    (void)state;
    sn_pipeline *p;
    json_t *root, *sound;
    size_t i, width;
    float x[64];
    assert_ok(sn_json_read(ROOT "listener.json", &root));
    open_listener(&p);
    assert_ok(sn_pipeline_width(p, &width));
    assert_int_equal(width, 16);
    json_array_foreach(json_object_get(root, "sounds"), i, sound) {
        float *pcm;
        sn_item items[2] = {item_of(sound, &pcm), {.pcm = NULL}};
        assert_ok(sn_pipeline_embed(p, items, 1, NULL, NULL, x));
        for (size_t k = 0; k < width; k++) {
            double want = json_number_value(json_array_get(json_object_get(sound, "vector"), k));
            if (!(fabs((double)x[k] - want) <= 1e-4)) fail_msg("sound %zu, number %zu: %g, not %g", i, k, (double)x[k], want);
        }
        items[1] = (sn_item){.file = ROOT "gone.wav"};
        assert_fails(sn_pipeline_embed(p, items, 2, "{\"normalise\":true}", NULL, x), SN_ERR_IO, "item 2");
        double sum = 0;
        for (size_t k = 0; k < width; k++) sum += (double)x[k] * (double)x[k];
        assert_true(fabs(sum - 1) < 1e-5 && isnan(x[width]));
        items[1] = (sn_item){.text = "a", .bytes = 1};
        assert_fails(sn_pipeline_embed(p, items, 2, NULL, NULL, x), SN_ERR_USAGE, "item 2 is of another kind");
        free(pcm);
    }
    assert_int_equal(i, 3);
    sn_pipeline_free(p);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(transcripts_equal_the_reference), cmocka_unit_test(wrong_sounds_are_named),
                                       cmocka_unit_test(silence_has_no_text), cmocka_unit_test(a_listener_can_stop),
                                       cmocka_unit_test(the_whole_way_runs), cmocka_unit_test(vectors_equal_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
