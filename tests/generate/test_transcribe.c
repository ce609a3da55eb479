/* test_transcribe.c: Whisper's rules for timestamps and its walk through long audio against Transformers:
 * golden/generate/timestamps.json and transcripts.json, written by tools/golden_whisper.py. */
#include <math.h>

#include "base/memory.h"
#include "generate/whisper.h"
#include "mock.h"

/* ---- timestamps ---- */

static void check_timestamps(const json_t *entry, size_t number) {
    enum { V = 122 };
    const json_t *list = json_object_get(entry, "scores"), *tokens = json_object_get(entry, "tokens"), *kept = json_object_get(entry, "kept");
    float scores[V];
    int32_t row[32];
    size_t at = 0;
    sn_whisper w = {.no_timestamps = 70, .eos = 60, .most_first = (int32_t)json_integer_value(json_object_get(entry, "most_first"))};
    assert_int_equal(json_array_size(list), V);
    for (size_t i = 0; i < V; i++) scores[i] = (float)json_integer_value(json_array_get(list, i)) / 1024;
    for (size_t i = 0; i < json_array_size(tokens); i++) row[i] = (int32_t)json_integer_value(json_array_get(tokens, i));
    sn_whisper_timestamps(&w, V, json_integer_value(json_object_get(entry, "begin")), (int64_t)json_array_size(tokens), row, scores);
    for (int64_t i = 0; i < V; i++) {
        bool stays = at < json_array_size(kept) && json_integer_value(json_array_get(kept, at)) == i;
        if (stays != (scores[i] > -INFINITY)) fail_msg("row %zu: token %lld %s", number, (long long)i, stays ? "went" : "stayed");
        at += stays;
    }
}

static void test_timestamps(void **state) {
    (void)state;
    json_t *cases = golden_json("timestamps.json"), *entry;
    size_t i;
    assert_int_equal(json_array_size(cases), 120);
    json_array_foreach(cases, i, entry) check_timestamps(entry, i);
    json_decref(cases);
}

/* ---- transcripts ---- */

typedef struct ear {
    mock m;
    int64_t windows, firsts[64], frames[64], fail_window;
    sn_whisper_model model;
} ear;

static sn_status encode(void *context, int64_t first, int64_t frames) {
    ear *e = context;
    assert_true(frames >= 1 && frames <= e->model.window && e->windows < 64);
    e->m.start = (uint32_t)(first * 131 + 1) % 65521;
    e->firsts[e->windows] = first;
    e->frames[e->windows++] = frames;
    if (e->windows == e->fail_window) SN_FAIL(SN_ERR_BACKEND, "the encoder gave up");
    return SN_OK;
}

static void ear_create(ear *e, const json_t *file, const json_t *entry) {
    *e = (ear){0};
    mock_create(&e->m, entry);
    e->m.vocabulary = json_integer_value(json_object_get(file, "vocabulary"));
    e->m.stamps = json_integer_value(json_object_get(file, "stamps"));
    e->m.stamps_by = (float)json_number_value(json_object_get(entry, "stamps_by"));
    e->m.stamps_noise = (float)json_number_value(json_object_get(entry, "stamps_noise"));
    e->model = (sn_whisper_model){.decoder = mock_decoder(&e->m), .context = e, .encode = encode, .stride = 2, .seconds_of_step = 0.02,
                                  .window = json_integer_value(json_object_get(file, "window"))};
    e->model.decoder.most_positions = json_integer_value(json_object_get(file, "positions"));
}

static sn_status listen(const json_t *file, const json_t *entry, ear *e, sn_segment_fn *found, void *context, sn_transcript *out) {
    sn_whisper w;
    int32_t prompt[16];
    const json_t *list = json_object_get(entry, "prompt");
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) prompt[i] = (int32_t)json_integer_value(json_array_get(list, i));
    SN_TRY(sn_whisper_read(json_object_get(file, "file"), NULL, json_object_get(entry, "options"), &w));
    sn_status status = sn_transcribe(&e->model, &w, json_integer_value(json_object_get(entry, "frames")), n ? prompt : NULL, (int64_t)n, found,
                                     context, out);
    sn_whisper_free(&w);
    return status;
}

static void compare(const json_t *entry, const sn_transcript *t) {
    const json_t *segments = json_object_get(entry, "segments");
    int salt = (int)json_integer_value(json_object_get(entry, "salt"));
    if ((int64_t)json_array_size(segments) != t->n) fail_msg("case %d: %lld segments, expected %zu", salt, (long long)t->n, json_array_size(segments));
    for (int64_t s = 0; s < t->n; s++) {
        const json_t *expected = json_array_get(segments, (size_t)s), *tokens = json_object_get(expected, "tokens");
        double start = json_number_value(json_object_get(expected, "start")), end = json_number_value(json_object_get(expected, "end"));
        bool same = (int64_t)json_array_size(tokens) == t->segments[s].n;
        for (int64_t i = 0; same && i < t->segments[s].n; i++)
            same = json_integer_value(json_array_get(tokens, (size_t)i)) == t->segments[s].tokens[i];
        if (!same) {
            print_message("found");
            for (int64_t i = 0; i < t->segments[s].n; i++) print_message(" %d", t->segments[s].tokens[i]);
            print_message(" at %g\n", t->segments[s].start);
        }
        if (!same) fail_msg("case %d, segment %lld: other tokens", salt, (long long)s);
        if (fabs(start - t->segments[s].start) > 1e-6 || fabs(end - t->segments[s].end) > 1e-6)
            fail_msg("case %d, segment %lld: %g to %g s, expected %g to %g", salt, (long long)s, t->segments[s].start, t->segments[s].end, start, end);
    }
}

static void test_transcripts(void **state) {
    (void)state;
    json_t *cases = golden_json("transcripts.json"), *file = json_array_get(cases, 0), *entry;
    size_t i;
    assert_int_equal(json_array_size(cases), 61);
    json_array_foreach(cases, i, entry) {
        if (!i) continue;
        ear e;
        sn_transcript t;
        ear_create(&e, file, entry);
        assert_ok(listen(file, entry, &e, NULL, NULL, &t));
        compare(entry, &t);
        sn_transcript_free(&t);
    }
    json_decref(cases);
}

/* ---- what goldens cannot show ---- */

static json_t *long_case(const char *options) {
    json_t *object = json_pack("{s:i, s:i, s:f, s:f, s:[[i, f]]}", "salt", 305, "frames", 733, "stamps_by", -4.0, "stamps_noise", 4.0, "lift", 60, 1.5);
    json_t *parsed = json_loads(options, 0, NULL);
    assert_true(object && parsed);
    (void)json_object_set_new(object, "options", parsed);
    return object;
}

typedef struct heard {
    int64_t segments, polls, stop_after;
} heard;

static int hear(void *context, const sn_segment *segment) {
    heard *h = context;
    if (segment) h->segments++;
    else h->polls++;
    return h->stop_after && h->segments + h->polls >= h->stop_after;
}

static void test_walk(void **state) {
    (void)state;
    json_t *cases = golden_json("transcripts.json"), *file = json_array_get(cases, 0), *entry = long_case("{}");
    ear e, f;
    sn_transcript a, b;
    heard h = {0}, stop = {.stop_after = 9};
    ear_create(&e, file, entry);
    assert_ok(listen(file, entry, &e, hear, &h, &a));
    assert_int_equal(h.segments, a.n);
    assert_true(h.polls > a.n && a.n > 0);
    assert_true(a.language >= 62 && a.language <= 64 && a.language_probability > 1.0 / 3 && a.language_probability <= 1);
    assert_true(e.firsts[0] == 0 && e.firsts[1] == 0); /* once for the language */
    for (int64_t i = 2; i < e.windows; i++) {
        assert_true(e.firsts[i] > e.firsts[i - 1] && e.firsts[i] <= e.firsts[i - 1] + 100);
        assert_int_equal(e.frames[i], 733 - e.firsts[i] < 100 ? 733 - e.firsts[i] : 100);
    }
    ear_create(&f, file, entry); /* attempts at higher temperatures draw the same again */
    assert_ok(listen(file, entry, &f, NULL, NULL, &b));
    assert_int_equal(a.n, b.n);
    bool hot = false;
    for (int64_t i = 0; i < a.n; i++) {
        assert_int_equal(a.segments[i].n, b.segments[i].n);
        assert_memory_equal(a.segments[i].tokens, b.segments[i].tokens, (size_t)a.segments[i].n * sizeof(int32_t));
        hot = hot || a.segments[i].temperature > 0;
    }
    assert_true(hot); /* -1.0 a token is more than the mock is sure of */
    sn_transcript_free(&a);
    sn_transcript_free(&b);
    ear_create(&e, file, entry);
    assert_fails(listen(file, entry, &e, hear, &stop, &a), SN_ERR_CANCELLED, "cancelled");
    assert_int_equal(stop.segments + stop.polls, 9);
    assert_null(a.segments);
    ear_create(&e, file, entry);
    e.fail_window = 4;
    assert_fails(listen(file, entry, &e, NULL, NULL, &a), SN_ERR_BACKEND, "the encoder gave up");
    json_decref(entry);
    json_decref(cases);
}

/* Silence: no window of it becomes text, and the walk ends. */
static void test_silence(void **state) {
    (void)state;
    json_t *cases = golden_json("transcripts.json"), *file = json_array_get(cases, 0);
    json_t *entry = long_case("{\"language\": \"EN\", \"no_speech_threshold\": 0.5, \"return_timestamps\": true}");
    ear e;
    sn_transcript t;
    ear_create(&e, file, entry);
    e.m.lifted[0] = 69; /* "no speech" */
    e.m.by[0] = 12;
    assert_ok(listen(file, entry, &e, NULL, NULL, &t));
    assert_int_equal(t.n, 0);
    assert_int_equal(e.windows, 8);
    assert_int_equal(t.language, 62);
    sn_transcript_free(&t);
    json_decref(entry);
    json_decref(cases);
}

/* zlib's size of the same bytes by another way: Python's len(zlib.compress(...)). */
static void test_compression(void **state) {
    (void)state;
    int32_t tokens[200] = {0};
    double ratio;
    assert_ok(sn_whisper_compression(tokens, 0, 51865, &ratio));
    assert_true(ratio <= 0);
    for (int i = 0; i < 200; i++) tokens[i] = 1000 + i % 4;
    assert_ok(sn_whisper_compression(tokens, 200, 51865, &ratio)); /* 400 bytes -> 21 */
    assert_true(fabs(ratio - 400.0 / 21) < 1e-9);
    for (int i = 0; i < 200; i++) tokens[i] = (i * i * 31 + 7 * i) % 51865;
    assert_ok(sn_whisper_compression(tokens, 200, 51865, &ratio));
    assert_true(fabs(ratio - 400.0 / 411) < 1e-9);
    assert_ok(sn_whisper_compression(tokens, 200, 70000, &ratio)); /* three bytes each */
    assert_true(fabs(ratio - 600.0 / 529) < 1e-9);
}

/* ---- options and failures ---- */

static void refuse_options(const json_t *file, const char *options, sn_status code, const char *part) {
    json_t *parsed = json_loads(options, 0, NULL);
    sn_whisper w;
    assert_non_null(parsed);
    assert_fails(sn_whisper_read(file, NULL, parsed, &w), code, part);
    assert_null(w.generation.suppress);
    json_decref(parsed);
}

static void refuse_file(const json_t *file, const char *key, const char *value, const char *part) {
    json_t *copy = json_deep_copy(file);
    sn_whisper w;
    if (value) (void)json_object_set_new(copy, key, json_loads(value, JSON_DECODE_ANY, NULL));
    else (void)json_object_del(copy, key);
    assert_fails(sn_whisper_read(copy, NULL, NULL, &w), SN_ERR_FORMAT, part);
    json_decref(copy);
}

static void test_languages(void **state) {
    (void)state;
    static const struct { const char *name; int32_t token; } names[] = {
        {"en", 62}, {"DE", 63}, {"<|zh|>", 64}, {"<|De|>", 63}, {"english", 62}, {"German", 63}, {"chinese", 64}, {"mandarin", 64}};
    json_t *cases = golden_json("transcripts.json"), *file = json_object_get(json_array_get(cases, 0), "file");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *options = json_pack("{s:s}", "language", names[i].name);
        sn_whisper w;
        assert_ok(sn_whisper_read(file, NULL, options, &w));
        assert_int_equal(w.language, names[i].token);
        sn_whisper_free(&w);
        json_decref(options);
    }
    json_decref(cases);
}

static void test_options(void **state) {
    (void)state;
    json_t *cases = golden_json("transcripts.json"), *file = json_object_get(json_array_get(cases, 0), "file");
    refuse_options(file, "{\"language\": \"tlh\"}", SN_ERR_USAGE, "the model has no language \"tlh\"; it has en, de, zh, by");
    refuse_options(file, "{\"language\": \"afrikaans\"}", SN_ERR_USAGE, "the model has no language \"afrikaans\"");
    refuse_options(file, "{\"language\": \"<|german|>\"}", SN_ERR_USAGE, "the model has no language");
    refuse_options(file, "{\"language\": \"\"}", SN_ERR_USAGE, "the model has no language \"\"");
    refuse_options(file, "{\"language\": \"the language that they speak in Germany\"}", SN_ERR_USAGE, "the model has no language \"the");
    refuse_options(file, "{\"language\": 5}", SN_ERR_FORMAT, "\"language\": expected a string");
    refuse_options(file, "{\"task\": \"sing\"}", SN_ERR_USAGE, "no task \"sing\"");
    refuse_options(file, "{\"temperature\": []}", SN_ERR_FORMAT, "\"temperature\": expected 1 to 8 numbers");
    refuse_options(file, "{\"temperature\": [0, -1]}", SN_ERR_FORMAT, "\"temperature\"");
    refuse_options(file, "{\"logprob_threshold\": \"low\"}", SN_ERR_FORMAT, "\"logprob_threshold\"");
    refuse_options(file, "{\"num_beams\": 3, \"num_return_sequences\": 2}", SN_ERR_USAGE, "\"num_return_sequences\"");
    refuse_options(file, "{\"languag\": \"en\"}", SN_ERR_USAGE, "unknown key \"languag\"");
    refuse_file(file, "no_timestamps_token_id", NULL, "\"no_timestamps_token_id\"");
    refuse_file(file, "decoder_start_token_id", NULL, "\"decoder_start_token_id\"");
    refuse_file(file, "eos_token_id", NULL, "\"eos_token_id\"");
    refuse_file(file, "lang_to_id", "[]", "\"lang_to_id\": expected an object");
    refuse_file(file, "lang_to_id", "{\"english\": 3}", "found \"english\"");
    refuse_file(file, "lang_to_id", "{\"<|en|>\": \"x\"}", "\"<|en|>\"");
    refuse_file(file, "forced_decoder_ids", "[[1]]", "\"forced_decoder_ids\"");
    json_t *old = json_deep_copy(file); /* an old file: language and task by position */
    sn_whisper w;
    (void)json_object_set_new(old, "forced_decoder_ids", json_loads("[[1, null], [2, 65]]", 0, NULL));
    assert_ok(sn_whisper_read(old, NULL, NULL, &w));
    assert_true(w.language == -1 && w.task == 65 && w.previous == 68 && w.n_temperatures == 6 && w.n_languages == 3);
    sn_whisper_free(&w);
    json_decref(old);
    json_decref(cases);
}

static void test_impossible(void **state) {
    (void)state;
    json_t *cases = golden_json("transcripts.json"), *file = json_array_get(cases, 0), *entry = long_case("{}");
    ear e;
    sn_transcript t;
    (void)json_object_set_new(entry, "prompt", json_loads("[1, 122]", 0, NULL));
    ear_create(&e, file, entry);
    assert_fails(listen(file, entry, &e, NULL, NULL, &t), SN_ERR_USAGE, "prompt: token 2 is 122; the vocabulary has 122");
    (void)json_object_del(entry, "prompt");
    (void)json_object_set_new(entry, "frames", json_integer(0));
    assert_fails(listen(file, entry, &e, NULL, NULL, &t), SN_ERR_USAGE, "the audio is empty");
    (void)json_object_set_new(entry, "frames", json_integer(100));
    e.model.decoder.vocabulary = 64;
    assert_fails(listen(file, entry, &e, NULL, NULL, &t), SN_ERR_USAGE, "outside the vocabulary of 64 tokens");
    json_decref(entry);
    json_decref(cases);
}

static void test_memory(void **state) {
    (void)state;
    json_t *cases = golden_json("transcripts.json"), *file = json_array_get(cases, 0);
    json_t *entry = long_case("{\"temperature\": [0, 0.4], \"condition_on_prev_tokens\": true}");
    (void)json_object_set_new(entry, "frames", json_integer(180));
    ear e;
    sn_transcript t;
    sn_alloc_fail_after(0);
    ear_create(&e, file, entry);
    assert_ok(listen(file, entry, &e, NULL, NULL, &t));
    sn_transcript_free(&t);
    long total = sn_alloc_count();
    assert_in_range(total, 20, 5000);
    for (long n = 1; n <= total; n++) {
        ear_create(&e, file, entry);
        sn_alloc_fail_after(n);
        sn_status status = listen(file, entry, &e, NULL, NULL, &t);
        sn_alloc_fail_after(0);
        if (status != SN_ERR_MEMORY) fail_msg("allocation %ld of %ld failed: %s", n, total, sn_status_name(status));
    }
    json_decref(entry);
    json_decref(cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_timestamps), cmocka_unit_test(test_transcripts), cmocka_unit_test(test_walk),
                                       cmocka_unit_test(test_silence),    cmocka_unit_test(test_compression), cmocka_unit_test(test_languages),
                                       cmocka_unit_test(test_options),
                                       cmocka_unit_test(test_impossible), cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
