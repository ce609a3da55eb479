/* test_generate.c: greedy and beam search with all rules against generate() of Transformers: golden/generate/texts.json,
 * written by tools/golden_generate.py. Token for token; scores within 1e-5. */
#include <math.h>

#include "base/memory.h"
#include "mock.h"

enum { MOST_TEXTS = 64 };

static void compare(const json_t *entry, const sn_generated *texts, int64_t n) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    const json_t *sequences = json_object_get(entry, "sequences"), *scores = json_object_get(entry, "scores");
    if ((int64_t)json_array_size(sequences) != n) fail_msg("%s: %zu texts expected, %lld found", name, json_array_size(sequences), (long long)n);
    for (int64_t t = 0; t < n; t++) {
        const json_t *expected = json_array_get(sequences, (size_t)t);
        double score = json_number_value(json_array_get(scores, (size_t)t));
        bool same = (int64_t)json_array_size(expected) == texts[t].n;
        for (int64_t i = 0; same && i < texts[t].n; i++)
            same = json_integer_value(json_array_get(expected, (size_t)i)) == texts[t].tokens[i];
        if (!same) {
            char *text = json_dumps(expected, JSON_COMPACT);
            print_message("expected %s, found", text);
            for (int64_t i = 0; i < texts[t].n; i++) print_message(" %d", texts[t].tokens[i]);
            free(text);
            fail_msg("%s: text %lld differs", name, (long long)t);
        }
        if (!(fabs(score - texts[t].score) <= 1e-5 * fmax(1, fabs(score)))) fail_msg("%s: text %lld: score %.9g, expected %.9g", name, (long long)t, texts[t].score, score);
    }
}

static void run_case(const json_t *entry, bool fixed_rows) {
    mock m;
    sn_generation g;
    sn_generated texts[MOST_TEXTS];
    int64_t rows, length;
    mock_create(&m, entry);
    sn_decoder d = mock_decoder(&m);
    d.fixed_rows = fixed_rows;
    int32_t *ids = ids_of(json_object_get(entry, "prompt"), &rows, &length);
    assert_ok(sn_generation_read(json_object_get(entry, "config"), NULL, NULL, &g));
    assert_true(rows * g.num_return_sequences <= MOST_TEXTS);
    if (sn_generate(&d, &g, rows, length, ids, NULL, NULL, texts) != SN_OK)
        fail_msg("%s: %s", json_string_value(json_object_get(entry, "name")), sn_error_message());
    compare(entry, texts, rows * g.num_return_sequences);
    assert_int_equal(m.prompt_rows, rows); /* the prompt is read once, not once a beam */
    free_texts(texts, rows * g.num_return_sequences);
    sn_generation_free(&g);
    free(ids);
}

static void run_all(bool fixed_rows) {
    json_t *cases = golden_json("texts.json"), *entry;
    size_t i;
    assert_true(json_array_size(cases) >= 150);
    json_array_foreach(cases, i, entry) run_case(entry, fixed_rows);
    json_decref(cases);
}

static void test_texts(void **state) {
    (void)state;
    run_all(false);
}

static void test_fixed_rows(void **state) {
    (void)state;
    run_all(true);
}

/* Rows that have ended are not computed any more. */
static void test_rows_leave(void **state) {
    (void)state;
    json_t *cases = golden_json("texts.json"), *entry = json_array_get(cases, 1);
    mock m;
    sn_generation g;
    sn_generated texts[8];
    int64_t rows, length, tokens = 0;
    mock_create(&m, entry);
    sn_decoder d = mock_decoder(&m);
    int32_t *ids = ids_of(json_object_get(entry, "prompt"), &rows, &length);
    assert_ok(sn_generation_read(json_object_get(entry, "config"), NULL, NULL, &g));
    assert_ok(sn_generate(&d, &g, rows, length, ids, NULL, NULL, texts));
    for (int64_t i = 0; i < rows; i++) tokens = texts[i].n > tokens ? texts[i].n : tokens;
    assert_int_equal(m.calls, tokens); /* no call after the last token */
    assert_true(m.rows < rows);
    free_texts(texts, rows);
    sn_generation_free(&g);
    free(ids);
    json_decref(cases);
}

/* ---- streaming ---- */

typedef struct seen {
    int32_t tokens[8][32];
    int64_t n[8], polls, stop_after, calls;
} seen;

static int see(void *context, int64_t row, int32_t token) {
    seen *s = context;
    s->calls++;
    if (row < 0) s->polls++;
    else s->tokens[row][s->n[row]++] = token;
    return s->stop_after && s->calls >= s->stop_after;
}

static sn_status stream(const char *options, seen *s, sn_generated *texts, int64_t n) {
    mock m;
    sn_generation g;
    json_t *entry = json_pack("{s:i, s:i}", "vocabulary", 40, "salt", 5), *config = json_loads(options, 0, NULL);
    const int32_t ids[] = {3, 4, 5, 6};
    mock_create(&m, entry);
    sn_decoder d = mock_decoder(&m);
    assert_ok(sn_generation_read(config, NULL, NULL, &g));
    assert_int_equal(n, 2 * g.num_return_sequences);
    sn_status status = sn_generate(&d, &g, 2, 2, ids, see, s, texts);
    sn_generation_free(&g);
    json_decref(entry);
    json_decref(config);
    return status;
}

static void check_stream(const char *options, int64_t n, bool polls) {
    seen all = {0}, some = {.stop_after = 5};
    sn_generated texts[8];
    assert_ok(stream(options, &all, texts, n));
    for (int64_t t = 0; t < n; t++) {
        assert_int_equal(all.n[t], texts[t].n);
        assert_true(texts[t].n > 0);
        assert_memory_equal(all.tokens[t], texts[t].tokens, (size_t)texts[t].n * sizeof(int32_t));
    }
    assert_int_equal(all.polls > 0, polls);
    free_texts(texts, n);
    assert_fails(stream(options, &some, texts, n), SN_ERR_CANCELLED, "cancelled");
    assert_int_equal(some.calls, 5); /* not asked again */
    for (int64_t t = 0; t < n; t++) assert_null(texts[t].tokens);
}

static void test_streaming(void **state) {
    (void)state;
    check_stream("{\"max_new_tokens\": 6, \"eos_token_id\": 7}", 2, false);
    check_stream("{\"max_new_tokens\": 6, \"do_sample\": true, \"num_return_sequences\": 3}", 6, false);
    check_stream("{\"max_new_tokens\": 6, \"num_beams\": 3, \"num_return_sequences\": 2}", 4, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_fixed_rows), cmocka_unit_test(test_rows_leave),
                                       cmocka_unit_test(test_streaming)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
