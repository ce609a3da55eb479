/* The fuzz entries of tables, configurations and words, run on seeds and on seeds with bytes changed, cut and
 * doubled: a fixed sequence, so that a failure comes again. They abort where something does not hold. */
#include "test.h"

#include "base/rng.h"

#define LLVMFuzzerTestOneInput fuzz_csv
#include "../../fuzz/fuzz_csv.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_json
#include "../../fuzz/fuzz_json.c"
#undef LLVMFuzzerTestOneInput

typedef int entry(const uint8_t *data, size_t size);

static uint32_t draw(uint64_t seed, uint64_t n) {
    return (uint32_t)sn_rng_below((sn_rng_key){seed, 0}, n, 0, UINT32_MAX);
}

/* A seed with one to four edits, in a block of exactly its size (so that a sanitizer sees one byte too far). */
static void run_edited(entry *target, const char *seed, size_t size, uint64_t round) {
    static const unsigned char odd[] = {0, '"', ',', '\n', '\r', ';', '\t', '{', '[', ':', '&', '*', '!', '\\', 0xFF, 0xEF, 0xCC, 0x80};
    unsigned char buf[1024];
    memcpy(buf, seed, size);
    for (uint64_t e = 0, edits = 1 + draw(round, 0) % 4; e < edits && size > 1; e++) {
        size_t at = 1 + draw(round, e * 4 + 1) % (size - 1);
        uint32_t what = draw(round, e * 4 + 2);
        if (what % 4 == 0) buf[at] = odd[draw(round, e * 4 + 3) % sizeof odd];
        else if (what % 4 == 1) buf[at] = (unsigned char)draw(round, e * 4 + 3);
        else if (what % 4 == 2) size = at;
        else if (size * 2 < sizeof buf) {
            memmove(buf + size, buf + at, size - at);
            size += size - at;
        }
    }
    unsigned char *exact = malloc(size);
    memcpy(exact, buf, size);
    assert_int_equal(target(exact, size), 0);
    free(exact);
}

static void replay(entry *target, const char *const *seeds, size_t count, const char *firsts, size_t first_count) {
    for (size_t s = 0; s < count; s++) {
        for (size_t f = 0; f < first_count; f++) {
            char seed[400];
            int size = snprintf(seed, sizeof seed, "%c%s", 'x', seeds[s]);
            seed[0] = firsts[f];
            assert_int_equal(target((const uint8_t *)seed, (size_t)size), 0);
            for (uint64_t round = 0; round < 150; round++) run_edited(target, seed, (size_t)size, s * 1000 + round);
        }
    }
}

static void tables(void **state) {
    (void)state;
    static const char *const seeds[] = {
        "image,text,label\na.png,\"what, \"\"is\"\"\nit?\",yes\nb.png,,no\n", "a;b\n1;2\n3;4\n", "a\tb\r\n1\t2\r\n",
        "\xEF\xBB\xBF" "a,b\n2024-05-31,1 2 3\n2024-06-01T10:00:00Z,4 5 6\n", "split,x|y\ntrain,a|b\ntest,\"[\"\"a\"\"]\"\n",
        "{\"a\": 1, \"b\": [\"x\", 2]}\n{\"a\": null, \"c\": 1e-3}\n", "[{\"a\": \"\\u4f60\"}, {\"b\": {\"c\": []}}]",
        "\xFF\xFE" "a", "t\n\xC4\xE3\xBA\xC3\n", "x\nhttp://a/b.png\nC:\\a.png\na.jpg;b.jpg\n1e999\n-0x\n"};
    replay(fuzz_csv, seeds, sizeof seeds / sizeof *seeds, "\0\1\2\3\4\10\14\16", 8);
}

static void trees_and_words(void **state) {
    (void)state;
    static const char *const seeds[] = {
        "input_features:\n  - {name: a, type: image}\ntrainer: {epochs: 3, lr: 1e-3, early: ~}\n",
        "a: |\n  x\n  y\nb: \"q\\n\\u4f60\"\nc: 'it''s'\n", "a: &x [1, *x]\n<<: *x\n? k\n: v\n--- !t\n...\n",
        "{\"ngrams\": 2, \"words\": [\"a\", \"b c\", \"\\u00e9\"]}", "[[[[[[[[1]]]]]]]]", "{\"a\": 1e5, \"a\": true}",
        "Don't stop 3.5, \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80 \xE4\xBD\xA0\xE5\xA5\xBD e\xCC\x81\xCC\xA3 \xE0\xB8\x81\xE0\xB9\x87"};
    replay(fuzz_json, seeds, sizeof seeds / sizeof *seeds, "\0\1\2", 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables), cmocka_unit_test(trees_and_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
