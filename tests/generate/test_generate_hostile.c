/* test_generate_hostile.c: configs that are wrong, prompts that are impossible, models that fail, memory that runs out:
 * each gets an error that says what it is about. */
#include <math.h>

#include "base/memory.h"
#include "mock.h"

static json_t *parse(const char *text) {
    json_t *out;
    assert_ok(sn_json_parse("test", text, strlen(text), &out));
    return out;
}

/* ---- reading ---- */

static void refuse(const char *text, sn_status code, const char *part) {
    json_t *object = parse(text);
    sn_generation g;
    char message[256];
    assert_fails(sn_generation_read(object, NULL, NULL, &g), code, part);
    assert_null(g.suppress);
    assert_null(g.bad_words);
    (void)snprintf(message, sizeof message, "%s", sn_error_message());
    if (!strstr(message, "generation_config.json: ")) fail_msg("%s names no file", message);
    assert_fails(sn_generation_read(NULL, object, NULL, &g), code, "config.json: ");
    json_decref(object);
}

static void test_wrong_values(void **state) {
    (void)state;
    refuse("{\"num_beams\": \"four\"}", SN_ERR_FORMAT, "\"num_beams\": expected a whole number, found \"four\"");
    refuse("{\"num_beams\": 0}", SN_ERR_FORMAT, "\"num_beams\": expected a whole number from 1 to 1024, found 0");
    refuse("{\"num_beams\": 2.5}", SN_ERR_FORMAT, "found 2.5");
    refuse("{\"num_beams\": 9223372036854775807}", SN_ERR_FORMAT, "found 9223372036854775807");
    refuse("{\"max_length\": -4}", SN_ERR_FORMAT, "\"max_length\"");
    refuse("{\"max_length\": [20]}", SN_ERR_FORMAT, "\"max_length\": expected a whole number, found [20]");
    refuse("{\"max_new_tokens\": 0}", SN_ERR_FORMAT, "\"max_new_tokens\"");
    refuse("{\"min_length\": 1e300}", SN_ERR_FORMAT, "\"min_length\"");
    refuse("{\"temperature\": 0}", SN_ERR_FORMAT, "\"temperature\": expected a number above 0, found 0");
    refuse("{\"temperature\": \"hot\"}", SN_ERR_FORMAT, "\"temperature\": expected a number, found \"hot\"");
    refuse("{\"top_p\": 1.5}", SN_ERR_FORMAT, "\"top_p\": expected a number from 0 to 1, found 1.5");
    refuse("{\"top_k\": -1}", SN_ERR_FORMAT, "\"top_k\"");
    refuse("{\"repetition_penalty\": -2}", SN_ERR_FORMAT, "\"repetition_penalty\": expected a number above 0");
    refuse("{\"length_penalty\": 1e9}", SN_ERR_FORMAT, "\"length_penalty\"");
    refuse("{\"early_stopping\": \"always\"}", SN_ERR_FORMAT, "true, false or \"never\", found \"always\"");
    refuse("{\"early_stopping\": 1}", SN_ERR_FORMAT, "\"early_stopping\"");
    refuse("{\"do_sample\": 1}", SN_ERR_FORMAT, "\"do_sample\": expected true or false, found 1");
    refuse("{\"eos_token_id\": -7}", SN_ERR_FORMAT, "\"eos_token_id\": expected a token id (0 or more), found -7");
    refuse("{\"eos_token_id\": [1, \"x\"]}", SN_ERR_FORMAT, "\"eos_token_id\": expected a token id, found \"x\"");
    refuse("{\"eos_token_id\": [1,2,3,4,5,6,7,8,9]}", SN_ERR_UNSUPPORTED, "9 end tokens; at most 8");
    refuse("{\"forced_bos_token_id\": 4294967296}", SN_ERR_FORMAT, "\"forced_bos_token_id\"");
    refuse("{\"suppress_tokens\": 5}", SN_ERR_FORMAT, "\"suppress_tokens\": expected a list of token ids, found 5");
    refuse("{\"suppress_tokens\": [1, null]}", SN_ERR_FORMAT, "\"suppress_tokens\"");
    refuse("{\"begin_suppress_tokens\": [1, 99999999999]}", SN_ERR_FORMAT, "\"begin_suppress_tokens\"");
    refuse("{\"suppress_tokens\": [1], \"bad_words_ids\": [[1], []]}", SN_ERR_FORMAT, "\"bad_words_ids\": expected a list of lists");
    refuse("{\"bad_words_ids\": [[1], [true]]}", SN_ERR_FORMAT, "\"bad_words_ids\"");
    refuse("{\"bad_words_ids\": {}}", SN_ERR_FORMAT, "\"bad_words_ids\"");
    refuse("{\"num_beam_groups\": 2}", SN_ERR_UNSUPPORTED, "\"num_beam_groups\"");
    refuse("{\"guidance_scale\": 1.5}", SN_ERR_UNSUPPORTED, "\"guidance_scale\"");
    refuse("{\"stop_strings\": [\"x\"]}", SN_ERR_UNSUPPORTED, "\"stop_strings\"");
    json_t *list = parse("[1]");
    sn_generation g;
    assert_fails(sn_generation_read(list, NULL, NULL, &g), SN_ERR_FORMAT, "generation_config.json: expected an object");
    assert_fails(sn_generation_read(NULL, list, NULL, &g), SN_ERR_FORMAT, "config.json: expected an object");
    json_decref(list);
}

static void read_three(const char *generation, const char *config, const char *overrides, sn_generation *g) {
    json_t *a = generation ? parse(generation) : NULL, *b = config ? parse(config) : NULL, *c = overrides ? parse(overrides) : NULL;
    assert_ok(sn_generation_read(a, b, c, g));
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void test_reading(void **state) {
    (void)state;
    sn_generation g;
    read_three(NULL, NULL, NULL, &g);
    assert_int_equal(g.max_length, -1);
    assert_int_equal(g.top_k, 50);
    assert_int_equal(g.num_beams, 1);
    assert_true(g.bos == -1 && g.pad == -1 && g.forced_bos == -1 && g.forced_eos == -1 && g.decoder_start == -1 && !g.n_eos);
    assert_true(g.temperature >= 1 && g.temperature <= 1 && g.length_penalty >= 1 && g.length_penalty <= 1);
    /* the file wins over config.json as a whole, null is absent, strange keys of a file are passed over */
    read_three("{\"num_beams\": 4, \"eos_token_id\": [5, 6], \"top_k\": null, \"transformers_version\": \"9\", \"num_beam_groups\": 1}",
               "{\"num_beams\": 2, \"min_length\": 9}", NULL, &g);
    assert_int_equal(g.num_beams, 4);
    assert_int_equal(g.top_k, 50);
    assert_int_equal(g.min_length, 0);
    assert_true(g.n_eos == 2 && g.eos[0] == 5 && g.eos[1] == 6);
    /* without it config.json's keys, then its text part's */
    read_three(NULL, "{\"num_beams\": 2, \"pad_token_id\": -1, \"eos_token_id\": null, \"text_config\": {\"eos_token_id\": 3, \"num_beams\": 7}}", NULL, &g);
    assert_true(g.num_beams == 2 && g.n_eos == 1 && g.eos[0] == 3 && g.pad == -1);
    /* overrides: one way to give a length replaces the other */
    read_three("{\"max_new_tokens\": 99, \"min_new_tokens\": 5, \"suppress_tokens\": [1, 2], \"bad_words_ids\": [[1, 2]]}", NULL,
               "{\"max_length\": 30, \"min_length\": 2, \"suppress_tokens\": [], \"bad_words_ids\": [[9]], \"seed\": 12, \"early_stopping\": \"never\"}", &g);
    assert_true(g.max_new_tokens == -1 && g.max_length == 30 && g.min_new_tokens == -1 && g.min_length == 2);
    assert_true(g.n_suppress == 0 && g.n_bad_words == 2 && g.bad_words[0] == 1 && g.bad_words[1] == 9 && g.seed == 12 && g.early_stopping == 2);
    sn_generation_free(&g);
    read_three("{\"max_length\": 30, \"min_length\": 9}", NULL, "{\"max_new_tokens\": 4, \"min_new_tokens\": 2}", &g);
    assert_true(g.max_new_tokens == 4 && g.max_length == -1 && g.min_new_tokens == 2 && g.min_length == 0);
}

static void test_overrides(void **state) {
    (void)state;
    sn_generation g;
    static const struct {
        const char *text, *part;
        sn_status code;
    } cases[] = {{"{\"num_beam\": 3}", "unknown key \"num_beam\"; did you mean \"num_beams\"?", SN_ERR_USAGE},
                 {"{\"num_return_sequences\": 3}", "without sampling at most \"num_beams\" 1", SN_ERR_USAGE},
                 {"{\"num_return_sequences\": 3, \"num_beams\": 2, \"do_sample\": true}", "more than \"num_beams\" 2", SN_ERR_USAGE},
                 {"{\"seed\": -1}", "\"seed\"", SN_ERR_FORMAT},
                 {"[]", "expected an object", SN_ERR_FORMAT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *object = parse(cases[i].text);
        assert_fails(sn_generation_read(NULL, NULL, object, &g), cases[i].code, cases[i].part);
        json_decref(object);
    }
}

/* ---- calls ---- */

typedef struct world {
    mock m;
    int64_t positions, rows, length;
    const int32_t *ids;
} world;

static sn_status call(const world *w, const char *options, int64_t *calls) {
    mock m = w->m;
    sn_generation g;
    json_t *object = parse(options);
    sn_generated texts[16];
    sn_status status = sn_generation_read(object, NULL, NULL, &g);
    json_decref(object);
    if (status != SN_OK) return status;
    sn_decoder d = mock_decoder(&m);
    d.most_positions = w->positions;
    for (int i = 0; i < 16; i++) texts[i].tokens = (int32_t *)8; /* must be overwritten */
    status = sn_generate(&d, &g, w->rows, w->length, w->ids, NULL, NULL, texts);
    for (int64_t i = 0; i < w->rows * g.num_return_sequences; i++) {
        if (status != SN_OK) assert_null(texts[i].tokens);
        else assert_non_null(texts[i].tokens);
    }
    if (status == SN_OK) free_texts(texts, w->rows * g.num_return_sequences);
    if (calls) *calls = m.calls;
    sn_generation_free(&g);
    return status;
}

static const int32_t prompts[] = {3, 4, 5, 6};

static world begin(void) { return (world){.m = {.vocabulary = 30, .salt = 3}, .rows = 2, .length = 2, .ids = prompts}; }

static void test_impossible(void **state) {
    (void)state;
    world w = begin();
    w.length = 0;
    assert_fails(call(&w, "{}", NULL), SN_ERR_USAGE, "the prompt is empty");
    w.length = 2;
    assert_fails(call(&w, "{\"max_length\": 2}", NULL), SN_ERR_USAGE, "the prompt has 2 tokens and \"max_length\" is 2");
    assert_fails(call(&w, "{\"eos_token_id\": [7, 30]}", NULL), SN_ERR_USAGE, "\"eos_token_id\": token 30 is outside the vocabulary of 30");
    assert_fails(call(&w, "{\"forced_bos_token_id\": 31}", NULL), SN_ERR_USAGE, "\"forced_bos_token_id\": token 31");
    assert_fails(call(&w, "{\"forced_eos_token_id\": 2147483647}", NULL), SN_ERR_USAGE, "\"forced_eos_token_id\"");
    assert_fails(call(&w, "{\"bad_words_ids\": [[1], [2, 40]]}", NULL), SN_ERR_USAGE, "\"bad_words_ids\": token 40");
    assert_ok(call(&w, "{\"suppress_tokens\": [-1, 40], \"begin_suppress_tokens\": [99]}", NULL)); /* they match nothing */
    w.positions = 2;
    assert_fails(call(&w, "{}", NULL), SN_ERR_USAGE, "the prompt has 2 tokens; the model can read 2");
    w.positions = 5; /* the model's length ends the text, however long it might be */
    int64_t calls;
    assert_ok(call(&w, "{\"max_new_tokens\": 2000000000}", &calls));
    assert_int_equal(calls, 3);
    w.positions = 0;
    w.ids = (const int32_t[]){3, 4, 5, -2};
    assert_fails(call(&w, "{}", NULL), SN_ERR_USAGE, "prompt 2: token 2 is -2");
    w.ids = (const int32_t[]){3, 4, 5, 300}; /* a start token that is never scored: the rules pass over it */
    assert_ok(call(&w, "{\"repetition_penalty\": 2.0, \"no_repeat_ngram_size\": 1}", NULL));
}

static void check_everywhere(const char *extra, void (*check)(const char *options)) {
    static const char *const modes[] = {"\"num_beams\": 1", "\"do_sample\": true", "\"num_beams\": 3", "\"num_beams\": 3, \"do_sample\": true"};
    char options[512];
    for (int i = 0; i < 4; i++) {
        (void)snprintf(options, sizeof options, "{\"max_new_tokens\": 6, %s%s}", modes[i], extra);
        check(options);
    }
}

static void check_nothing_left(const char *options) {
    world w = begin();
    w.m.vocabulary = 3;
    assert_fails(call(&w, options, NULL), SN_ERR_NUMERIC, "prompt 1, new token 1: the rules of generation leave no token");
}

static void check_not_finite(const char *options) {
    world w = begin();
    w.m.bad_call = 2;
    w.m.bad = NAN;
    assert_fails(call(&w, options, NULL), SN_ERR_NUMERIC, "prompt 1, new token 2: the model's scores are not finite");
    w.m.bad = INFINITY;
    assert_fails(call(&w, options, NULL), SN_ERR_NUMERIC, "not finite");
    w.m.bad = -INFINITY; /* a token that the model itself excludes */
    assert_ok(call(&w, options, NULL));
}

static void check_decoder_fails(const char *options) {
    world w = begin();
    w.m.fail_call = 3;
    assert_fails(call(&w, options, NULL), SN_ERR_BACKEND, "the mock gave up");
}

static void check_memory(const char *options) {
    world w = begin();
    assert_ok(call(&w, options, NULL));
    sn_alloc_fail_after(0);
    assert_ok(call(&w, options, NULL));
    long total = sn_alloc_count();
    assert_in_range(total, 5, 200);
    for (long n = 1; n <= total; n++) {
        sn_alloc_fail_after(n);
        sn_status status = call(&w, options, NULL);
        sn_alloc_fail_after(0);
        if (status != SN_ERR_MEMORY) fail_msg("%s: allocation %ld failed: %s", options, n, sn_status_name(status));
    }
}

static void test_nothing_left(void **state) {
    (void)state;
    check_everywhere(", \"suppress_tokens\": [0, 1, 2]", check_nothing_left);
}

static void test_not_finite(void **state) {
    (void)state;
    check_everywhere("", check_not_finite);
}

static void test_decoder_fails(void **state) {
    (void)state;
    check_everywhere("", check_decoder_fails);
}

static void test_memory(void **state) {
    (void)state;
    check_everywhere(", \"suppress_tokens\": [4], \"begin_suppress_tokens\": [3], \"bad_words_ids\": [[2], [1, 1]], \"eos_token_id\": 7", check_memory);
}

/* The number of allocations does not grow with the number of steps. */
static void test_steps_do_not_allocate(void **state) {
    (void)state;
    world w = begin();
    long count[2];
    static const char *const options[] = {"{\"num_beams\": 3, \"max_new_tokens\": 40, \"min_new_tokens\": 3}", "{\"num_beams\": 3, \"max_new_tokens\": 4}"};
    for (int i = 0; i < 2; i++) {
        sn_alloc_fail_after(0);
        assert_ok(call(&w, options[i], NULL));
        count[i] = sn_alloc_count();
    }
    assert_int_equal(count[0], count[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_values),  cmocka_unit_test(test_reading),       cmocka_unit_test(test_overrides), cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_nothing_left),  cmocka_unit_test(test_not_finite),    cmocka_unit_test(test_decoder_fails),
        cmocka_unit_test(test_memory),        cmocka_unit_test(test_steps_do_not_allocate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
