/* Words and vocabularies. */
#include "test.h"

#include <time.h>
#include <utf8proc.h>

#include "text/normalise.h"
#include "text/utf8.h"
#include "text/words.h"

static sn_status join(void *context, const char *word, size_t bytes) {
    sn_buf *buf = context;
    sn_buf_printf(buf, "%s%.*s", buf->size ? "/" : "", (int)bytes, word);
    return sn_buf_check(buf);
}

static void assert_words(const char *text, const char *expected) {
    sn_buf buf = {0};
    assert_ok(sn_words(text, strlen(text), join, &buf));
    assert_string_equal(buf.data ? buf.data : "", expected);
    sn_buf_free(&buf);
}

static void words_of_spaced_scripts(void **state) {
    (void)state;
    assert_words("What is the Blue shape?", "what/is/the/blue/shape/?");
    assert_words("  Don't  stop... 3.5 or 1,000.5!", "don't/stop/./././3.5/or/1,000.5/!");
    assert_words("it’s 'quoted' rock 'n' roll'", "it’s/'/quoted/'/rock/'/n/'/roll/'");
    assert_words("a.b e.g. x.", "a.b/e.g/./x/.");
    assert_words("well-known mp3 Acer_Capillipes 5,a a,5", "well/-/known/mp3/acer_capillipes/5/,/a/a/,/5");
    assert_words("10:30 1;2", "10/:/30/1/;/2");
    assert_words("ÉCOLE e\xCC\x81" "cole STRASSE", "école/école/strasse"); /* composed and decomposed are one */
    assert_words("Привет, мир", "привет/,/мир");
    assert_words("वजह क्या", "वजह/क्या"); /* vowel signs belong to the word */
    assert_words("السَّلام عليكم", "السَّلام/عليكم");
    assert_words("한국어 단어", "한국어/단어");
    assert_words("צה\"ל ג'ירפה", "צה\"ל/ג'ירפה");
    assert_words("", "");
    assert_words(" \t\n\r\xC2\xA0\xE3\x80\x80", "");
    assert_words("co\xC2\xADoperate\xE2\x80\x8Bnow", "cooperate/now"); /* soft hyphen, zero width space */
}

static void characters_of_unspaced_scripts(void **state) {
    (void)state;
    assert_words("嘿嘿，你好AI2号", "嘿/嘿/，/你/好/ai2/号");
    assert_words("にっこり笑うスーパー", "に/っ/こ/り/笑/う/ス/ー/パ/ー");
    assert_words("ก็ดีน้ำ", "ก็/ดี/น้ำ");
    assert_words("ភាសា", "ភា/សា");
}

static void emoji_stay_whole(void **state) {
    (void)state;
    assert_words("ok👍🏽👍 👩‍🚀!❤️", "ok/👍🏽/👍/👩‍🚀/!/❤️");
    assert_words("🇩🇪🇫🇷", "🇩🇪/🇫🇷");
    assert_words("👨‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👨‍👩‍👧‍👦/🏴󠁧󠁢󠁥󠁮󠁧󠁿");
    assert_words("1️⃣ a", "1️⃣/a");
}

static void hostile_text(void **state) {
    (void)state;
    assert_words("a\xFF" "b \xE4\xBD", "a/\xEF\xBF\xBD/b/\xEF\xBF\xBD/\xEF\xBF\xBD");
    assert_words("\xED\xA0\x80", "\xEF\xBF\xBD/\xEF\xBF\xBD/\xEF\xBF\xBD");
    assert_words("\xCC\x81" "a", "\xCC\x81/a"); /* a mark with nothing before it */
    sn_buf buf = {0};
    assert_ok(sn_words("a\0b", 3, join, &buf)); /* a NUL byte is a control character: it separates */
    assert_string_equal(buf.data, "a/b");
    sn_buf_free(&buf);
}

/* Every text comes out in NFC: utf8proc's own conversion changes nothing in it. */
static void normal_form(void **state) {
    (void)state;
    static const char *const texts[] = {"a\xCC\xA3\xCC\x81", "a\xCC\x81\xCC\xA3", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB",
        "\xE2\x84\xAB", "q\xCC\x87\xCC\xA3", "\xC4\xB0", "\xF0\x9D\x85\x9E", "\xE0\xA4\x95\xE0\xA4\xBC", "\xEF\xAC\x81"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sn_codes codes = {0};
        assert_ok(sn_normalise(texts[i], strlen(texts[i]), &codes));
        utf8proc_int32_t lower[16], again[16];
        utf8proc_ssize_t n = 0;
        for (size_t at = 0; at < strlen(texts[i]); n++) {
            at += sn_utf8_next(texts[i] + at, strlen(texts[i]) - at, &lower[n]);
            lower[n] = utf8proc_tolower(lower[n]);
        }
        utf8proc_uint8_t utf8[64];
        utf8proc_ssize_t bytes = 0;
        for (utf8proc_ssize_t k = 0; k < n; k++) bytes += utf8proc_encode_char(lower[k], utf8 + bytes);
        utf8proc_ssize_t m = utf8proc_decompose(utf8, bytes, again, 16, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        m = utf8proc_normalize_utf32(again, m, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        assert_int_equal(m, codes.count);
        assert_memory_equal(again, codes.data, (size_t)m * sizeof *again);
        sn_codes_free(&codes);
    }
}

static sn_status count_calls(void *context, const char *word, size_t bytes) {
    (void)word;
    ((size_t *)context)[0]++;
    ((size_t *)context)[1] += bytes;
    return SN_OK;
}

/* Patterns that are quadratic in careless code: half a million of each must not take long. The bound is a
 * hundred times what they need; a quadratic way takes thousands. */
static void linear_time(void **state) {
    (void)state;
    static const char *const patterns[] = {"\xCC\x81\xCC\xA3", "a'", "a.", "1,", "\xE2\x80\x8D", "🇩", "👩‍", "\xF0\x9F\x8F\xBB", "字", "\"\xCC\x81"};
    enum { TIMES = 500000 };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        size_t unit = strlen(patterns[i]), seen[2] = {0};
        char *text = malloc(unit * TIMES);
        for (size_t k = 0; k < TIMES; k++) memcpy(text + k * unit, patterns[i], unit);
        clock_t begin = clock();
        assert_ok(sn_words(text, unit * TIMES, count_calls, seen));
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (seconds > 20) fail_msg("pattern %zu took %.1f s", i, seconds);
        assert_true(seen[0] > 0 && seen[1] > 0);
        free(text);
    }
}

static sn_status refuse(void *context, const char *word, size_t bytes) {
    (void)context;
    (void)word;
    SN_FAIL(SN_ERR_CANCELLED, "enough after %zu bytes", bytes);
}

static void failures_are_forwarded(void **state) {
    (void)state;
    assert_fails(sn_words("abc def", 7, refuse, NULL), SN_ERR_CANCELLED, "enough after 3 bytes");
}

static void utf8_is_checked(void **state) {
    (void)state;
    static const char good[] = "abc déf 你好 👍 0123456789abcdef";
    assert_int_equal(sn_utf8_check(good, sizeof good - 1), sizeof good - 1);
    static const struct { const char *text; size_t at; } bad[] = {{"abc\x80", 3}, {"abcdefghij\xC3", 10}, {"\xC1\x81", 0},
        {"a\xF5\x80\x80\x80", 1}, {"\xF4\x90\x80\x80", 0}, {"\xE0\x9F\xBF", 0}, {"\xF0\x8F\xBF\xBF", 0}, {"é\xE2\x82", 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sn_utf8_check(bad[i].text, strlen(bad[i].text)), bad[i].at);
    char cut[] = "ab\xE4\xBD", whole[] = "ab\xE4\xBD\xA0";
    sn_utf8_trim(cut);
    sn_utf8_trim(whole);
    assert_string_equal(cut, "ab");
    assert_string_equal(whole, "ab\xE4\xBD\xA0");
}

/* ---- vocabulary ---- */

static sn_vocabulary *learn(int ngrams, int64_t most, int64_t least, const char *const *texts, size_t n) {
    sn_vocabulary *v;
    assert_ok(sn_vocabulary_create(ngrams, &v));
    for (size_t i = 0; i < n; i++) assert_ok(sn_vocabulary_count(v, texts[i], strlen(texts[i])));
    assert_ok(sn_vocabulary_fit(v, most, least));
    return v;
}

static const char *const texts[] = {"the red box", "The blue box", "a red circle"};

static void words_by_falling_count(void **state) {
    (void)state;
    sn_vocabulary *v = learn(1, 100, 1, texts, 3);
    static const char *const expected[] = {"[pad]", "[unknown]", "box", "red", "the", "a", "blue", "circle"};
    assert_int_equal(sn_vocabulary_size(v), 8);
    for (int64_t i = 0; i < 8; i++) assert_string_equal(sn_vocabulary_word(v, i), expected[i]);
    int32_t ids[4] = {-1, -1, -1, -1};
    int64_t count;
    assert_ok(sn_vocabulary_encode(v, "the green RED box", 17, ids, 3, &count));
    assert_int_equal(count, 4); /* one more than there was room for */
    static const int32_t want[] = {4, 1, 3, -1};
    assert_memory_equal(ids, want, sizeof want);
    assert_ok(sn_vocabulary_encode(v, "", 0, NULL, 0, &count));
    assert_int_equal(count, 0);
    assert_fails(sn_vocabulary_count(v, "x", 1), SN_ERR_STATE, "counted before");
    sn_vocabulary_free(v);
    v = learn(1, 100, 2, texts, 3);
    assert_int_equal(sn_vocabulary_size(v), 5);
    sn_vocabulary_free(v);
    v = learn(1, 2, 1, texts, 3);
    assert_int_equal(sn_vocabulary_size(v), 4);
    assert_string_equal(sn_vocabulary_word(v, 3), "red");
    sn_vocabulary_free(v);
}

static void ngrams_follow_the_words(void **state) {
    (void)state;
    static const char *const pairs[] = {"red box", "red box", "box red"};
    sn_vocabulary *v = learn(2, 100, 1, pairs, 3);
    assert_int_equal(sn_vocabulary_size(v), 6); /* box, red, "red box", "box red" */
    assert_string_equal(sn_vocabulary_word(v, 4), "red box");
    int32_t ids[8];
    int64_t count;
    assert_ok(sn_vocabulary_encode(v, "a red box red", 13, ids, 8, &count));
    static const int32_t want[] = {1, 3, 2, 3, 4, 5}; /* "a red" is unknown and left out */
    assert_int_equal(count, 6);
    assert_memory_equal(ids, want, sizeof want);
    sn_vocabulary_free(v);
    assert_fails(sn_vocabulary_create(0, &v), SN_ERR_USAGE, "expected 1 to");
}

static void json_out_and_in(void **state) {
    (void)state;
    sn_vocabulary *v = learn(2, 100, 1, texts, 3), *w;
    json_t *json, *again;
    assert_ok(sn_vocabulary_to_json(v, &json));
    assert_ok(sn_vocabulary_from_json(json, &w));
    assert_ok(sn_vocabulary_to_json(w, &again));
    assert_true(json_equal(json, again));
    int32_t a[16], b[16];
    int64_t m, n;
    assert_ok(sn_vocabulary_encode(v, "the red circle", 14, a, 16, &m));
    assert_ok(sn_vocabulary_encode(w, "the red circle", 14, b, 16, &n));
    assert_int_equal(m, n);
    assert_memory_equal(a, b, (size_t)m * sizeof *a);
    json_decref(json);
    json_decref(again);
    sn_vocabulary_free(v);
    sn_vocabulary_free(w);
    static const char *const bad[][2] = {
        {"{\"words\": [\"a\", \"b\", \"a\"]}", "word 3, \"a\", is there twice"}, {"{\"words\": [\"a\", 3]}", "word 2 is not a text"},
        {"{\"words\": [\"\"]}", "word 1 is not a text"}, {"{\"ngrams\": 1}", "\"words\" is missing"}, {"[]", "expected an object"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_ok(sn_json_parse("v", bad[i][0], strlen(bad[i][0]), &json));
        assert_fails(sn_vocabulary_from_json(json, &w), SN_ERR_FORMAT, bad[i][1]);
        assert_null(w);
        json_decref(json);
    }
    assert_ok(sn_json_parse("v", "{\"ngrams\": 99, \"words\": []}", 27, &json));
    assert_fails(sn_vocabulary_from_json(json, &w), SN_ERR_USAGE, "expected 1 to");
    json_decref(json);
}

static sn_status whole_life(void) {
    sn_vocabulary *v = NULL, *w = NULL;
    json_t *json = NULL;
    int64_t count;
    sn_status status;
    SN_GO(sn_vocabulary_create(2, &v), done);
    SN_GO(sn_vocabulary_count(v, "the réd bôx", 13), done);
    SN_GO(sn_vocabulary_fit(v, 4, 1), done);
    SN_GO(sn_vocabulary_encode(v, "réd", 4, NULL, 0, &count), done);
    SN_GO(sn_vocabulary_to_json(v, &json), done);
    SN_GO(sn_vocabulary_from_json(json, &w), done);
done:
    json_decref(json);
    sn_vocabulary_free(v);
    sn_vocabulary_free(w);
    return status;
}

static void failing_allocations(void **state) {
    (void)state;
    for (long n = 1;; n++) {
        sn_alloc_fail_after(n);
        sn_status status = whole_life();
        bool reached = sn_alloc_count() >= n;
        sn_alloc_fail_after(0);
        if (!reached) {
            assert_ok(status);
            assert_true(n > 20);
            return;
        }
        assert_int_equal(status, SN_ERR_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_spaced_scripts), cmocka_unit_test(characters_of_unspaced_scripts),
        cmocka_unit_test(emoji_stay_whole),        cmocka_unit_test(hostile_text),
        cmocka_unit_test(normal_form),             cmocka_unit_test(linear_time),
        cmocka_unit_test(failures_are_forwarded),  cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test(words_by_falling_count),  cmocka_unit_test(ngrams_follow_the_words),
        cmocka_unit_test(json_out_and_in),         cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
