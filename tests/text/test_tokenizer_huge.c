/* 10 MB of one character through every kind of tokenizer: it ends, in memory that the text deserves, with the answer that
 * the rule gives. A run of one character is cut the same way again and again, so what 5,040 more characters add to a short
 * run (5,040 is a multiple of every token's length here) tells how many tokens the long one has; what byte-level BPE cuts
 * also decodes to the very text. With SN_TEST_SMALL=1 (the thread sanitizer, which is slow) it is 1 MB. */
#include "tokenizer_world.h"


enum { SHORT = 10000, PERIOD = 5040, SIZE = 10 << 20, SMALL_SIZE = 1 << 20, MOST_OF_BYTE = 100 };
static const char *const units[] = {"a", "\xE4\xB8\xAD", " ", "\n", "#", "\xCC\x81", "\xF0\x9F\x91\x8D"};
/* The rule of each kind where one sentence says it: tokens of a run of n units. */
typedef struct rule { const char *tokenizer, *unit; int64_t count; } rule; /* count -1: as many as units */
static const rule rules[] = {{"bert", "a", 1}, {"bert", "\xE4\xB8\xAD", -1}, {"bert", " ", 0}, {"bert", "\n", 0}, {"bert", "#", -1}, {"bert", "\xCC\x81", 0},
                             {"bert cased", "a", 1}};

/* Of this process, in bytes: "VmHWM", the most memory since reset(), or "VmRSS", memory now. */
static long memory(const char *key) {
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key))) kib = strtol(line + strlen(key) + 1, NULL, 10);
    (void)fclose(file);
    return kib << 10;
}
static bool reset(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    bool done = file && fputs("5", file) >= 0;
    return file && !fclose(file) && done;
}

static int64_t encode(const sn_tokenizer *t, const char *text, size_t bytes, sn_encoding *e) {
    assert_ok(sn_tokenizer_encode(t, text, bytes, NULL, 0, (sn_encode_options){0}, e));
    return e->count;
}

static void check_memory(const char *name, const char *unit, long took, long most) {
    if (took > 200L << 20) print_message("%s, \"%s\": %ld MB\n", name, unit, took >> 20);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    if (took > most + (8 << 20)) fail_msg("%s, \"%s\": %ld MB; at most %ld", name, unit, took >> 20, most >> 20);
#endif
}

static void check_run(const char *name, const sn_tokenizer *t, const char *unit, char *text, size_t most, sn_encoding *e) {
    size_t n = strlen(unit), rounds = (most / n - SHORT) / PERIOD, units_in = SHORT + rounds * PERIOD;
    for (size_t i = 0; i < units_in; i++) memcpy(text + i * n, unit, n);
    int64_t least = encode(t, text, SHORT * n, e), more = encode(t, text, (SHORT + PERIOD) * n, e) - least;
    bool can = reset();
    long before = memory("VmRSS");
    int64_t expected = least + (int64_t)rounds * more, count = encode(t, text, units_in * n, e);
    check_memory(name, unit, can ? memory("VmHWM") - before : 0, 14 * (long)count + MOST_OF_BYTE * (long)(units_in * n));
    if (count != expected) fail_msg("%s, %zu times \"%s\": %lld tokens, not %lld", name, units_in, unit, (long long)count, (long long)expected);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strcmp(rules[i].tokenizer, name) || strcmp(rules[i].unit, unit)) continue;
        expected = rules[i].count < 0 ? (int64_t)units_in : rules[i].count;
        if (count != expected) fail_msg("%s, \"%s\": %lld tokens, not %lld", name, unit, (long long)count, (long long)expected);
    }
    if (strcmp(name, "gpt2") && strcmp(name, "gpt4")) return;
    sn_buf back = {0};
    assert_ok(sn_tokenizer_decode(t, e->ids, (size_t)e->count, false, &back));
    assert_int_equal(back.size, units_in * n);
    assert_memory_equal(back.data, text, back.size);
    sn_buf_free(&back);
}

static void ten_megabytes(void **state) {
    (void)state;
    static const char *const names[] = {"gpt2", "gpt4", "clip", "llama", "bert", "bert cased", "xlmr", "unigram bytes", "words"};
    size_t most = getenv("SN_TEST_SMALL") ? SMALL_SIZE : SIZE;
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sn_tokenizer *t = tok_build(tok_golden(names[i]));
        sn_encoding e = {0};
        for (size_t k = 0; k < sizeof units / sizeof *units; k++) check_run(names[i], t, units[k], text, most, &e);
        sn_encoding_free(&e);
        sn_tokenizer_free(t);
    }
    free(text);
}

/* ---- ordinary text ---- */

static void fill_ordinary(char *text, size_t bytes) {
    static const char words[] = "The caf\xC3\xA9 isn't open on 24 May; three large bears waited outside, "
                                "\xD0\xBC\xD0\xB8\xD1\x80 and \xE4\xB8\xAD\xE6\x96\x87 (quietly).\n";
    size_t n = sizeof words - 1;
    for (size_t i = 0; i < bytes; i++) text[i] = words[i % n];
    memset(text + bytes / n * n, ' ', bytes % n);
}

/* Beside the text itself: 22 bytes for each token, the text as normalised with the place of origin of every byte, and what
 * pre-tokenizers before the last one hold. The tokens are many here, for the vocabularies are small. */
static void ordinary_text(void **state) {
    (void)state;
    static const char *const names[] = {"gpt2", "gpt4", "clip", "llama", "bert", "bert cased", "xlmr", "unigram bytes"};
    size_t bytes = getenv("SN_TEST_SMALL") ? SMALL_SIZE : SIZE;
    char *text = malloc(bytes);
    assert_non_null(text);
    fill_ordinary(text, bytes);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sn_tokenizer *t = tok_build(tok_golden(names[i]));
        sn_encoding e = {0};
        sn_encode_options o = {.add_special = true, .offsets = true, .no_codes = true, .truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
        bool can = reset();
        long before = memory("VmRSS");
        assert_ok(sn_tokenizer_encode(t, text, bytes, NULL, 0, o, &e));
        long took = memory("VmHWM") - before, most = 22 * e.count + 20 * (long)bytes + (4 << 20);
        if (!strcmp(names[i], "unigram bytes")) most += 24 * (long)bytes; /* it reads a text as one word: a lattice over all of it */
        print_message("%s: %ld tokens, %ld MB\n", names[i], (long)e.count, took >> 20);
        assert_null(e.codes);
        assert_true(e.count > (long)bytes / 16);
        check_memory(names[i], "ordinary text", can ? took : 0, most);
        sn_encoding_free(&e);
        sn_tokenizer_free(t);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ordinary_text), cmocka_unit_test(ten_megabytes)};
    return cmocka_run_group_tests(tests, tok_read_goldens, tok_drop_goldens);
}
