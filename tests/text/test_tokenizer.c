/* Tokenizers against tests/golden/tokenizers.json, which tools/golden_tokenizers.py made with Python's `tokenizers`. */
#include "tokenizer_world.h"

static int64_t number(const json_t *row, size_t column, size_t i, int64_t fallback) {
    const json_t *list = json_array_get(row, column);
    return json_is_array(list) ? json_integer_value(json_array_get(list, i)) : fallback;
}

/* Byte offset of code point `code` in text that may be malformed. */
static uint32_t byte_of(const char *s, size_t bytes, uint32_t code) {
    size_t at = 0;
    for (uint32_t i = 0; i < code; i++) {
        bool good;
        at += sn_tok_part(s + at, bytes - at, &good);
    }
    return (uint32_t)at;
}

typedef struct place {
    const char *name;
    size_t text;
} place;

#define SAME(got, want, what)                                                                               \
    if ((int64_t)(got) != (int64_t)(want))                                                                  \
    fail_msg("%s, text %zu, token %zu: %s is %lld, expected %lld", at.name, at.text, i, what, (long long)(got), (long long)(want))

/* The row's columns: ids, steps of the begins, lengths, steps of the words, text; then, where they are not the usual, types, special and
 * attention masks, and the text with special tokens. */
static void compare(place at, const json_t *row, const sn_encoding *e, const char *s, size_t bytes, const char *pair, size_t pair_bytes) {
    int64_t begin = 0, word = 0, n = (int64_t)json_array_size(json_array_get(row, 0));
    bool second = false;
    if (e->count != n) fail_msg("%s, text %zu: %lld tokens, expected %lld", at.name, at.text, (long long)e->count, (long long)n);
    for (size_t i = 0; i < (size_t)n; i++) {
        begin += number(row, 1, i, 0);
        word += number(row, 3, i, 0);
        int64_t end = begin + number(row, 2, i, 0);
        SAME(e->ids[i], number(row, 0, i, 0), "id");
        SAME(e->codes[i].begin, begin, "begin");
        SAME(e->codes[i].end, end, "end");
        SAME(e->words[i], word, "word");
        SAME(e->type_ids[i], number(row, 5, i, 0), "type");
        SAME(e->special[i], number(row, 6, i, 0), "special");
        SAME(e->attention[i], number(row, 7, i, 1), "attention");
        second |= pair && i && e->words[i] >= 0 && e->words[i] < e->words[i - 1];
        if (pair || end == 0) continue; /* of which of the two texts is not told */
        SAME(e->bytes[i].begin, byte_of(s, bytes, (uint32_t)begin), "first byte");
        SAME(e->bytes[i].end, byte_of(s, bytes, (uint32_t)end), "last byte");
    }
    (void)second, (void)pair_bytes;
}

static void compare_text(place at, const sn_tokenizer *t, const sn_encoding *e, bool skip, const json_t *golden) {
    size_t want_bytes;
    char *want = tok_text_of(golden, &want_bytes);
    sn_buf whole = {0}, parts = {0};
    sn_decode_stream stream;
    assert_ok(sn_tokenizer_decode(t, e->ids, (size_t)e->count, skip, &whole));
    const char *got = whole.data ? whole.data : "";
    if (whole.size != want_bytes || memcmp(got, want, want_bytes)) fail_msg("%s, text %zu: decoded \"%s\", expected \"%s\"", at.name, at.text, got, want);
    sn_decode_stream_begin(&stream, t, skip);
    for (int64_t i = 0; i < e->count; i++) {
        size_t before = parts.size;
        assert_ok(sn_decode_stream_next(&stream, e->ids[i], &parts));
        for (size_t k = before; k < parts.size;) { /* only whole characters come */
            bool good;
            k += sn_tok_part(parts.data + k, parts.size - k, &good);
            assert_true(good);
        }
    }
    assert_ok(sn_decode_stream_finish(&stream, &parts));
    sn_decode_stream_free(&stream);
    /* A BPEDecoder treats the last token differently, which a stream cannot know. */
    if (!strstr(at.name, "BPEDecoder") && strcmp(at.name, "unknown") && strcmp(parts.data ? parts.data : "", got))
        fail_msg("%s, text %zu: streamed \"%s\", expected \"%s\"", at.name, at.text, parts.data, got);
    sn_buf_free(&whole);
    sn_buf_free(&parts);
    free(want);
}

static void check(place at, const sn_tokenizer *t, const json_t *row, const char *s, size_t bytes, const char *pair, size_t pair_bytes, sn_encoding *e) {
    sn_encode_options o = {.add_special = true, .offsets = true};
    sn_status status = sn_tokenizer_encode(t, s, bytes, pair, pair_bytes, o, e);
    if (json_is_null(row)) { /* the reference refuses it */
        assert_int_equal(status, SN_ERR_USAGE);
        return;
    }
    assert_ok(status);
    compare(at, row, e, s, bytes, pair, pair_bytes);
    const json_t *text = json_array_get(row, 4), *whole = json_array_get(row, 8);
    compare_text(at, t, e, true, text);
    compare_text(at, t, e, false, !whole || json_is_integer(whole) ? text : whole);
    o.offsets = false; /* the same tokens without offsets */
    assert_ok(sn_tokenizer_encode(t, s, bytes, pair, pair_bytes, o, e));
    assert_int_equal(e->count, json_array_size(json_array_get(row, 0)));
    for (size_t i = 0; i < (size_t)e->count; i++) SAME(e->ids[i], number(row, 0, i, 0), "id without offsets");
    assert_null(e->bytes);
}

static void as_the_reference(void **state) {
    (void)state;
    size_t i, k;
    json_t *golden, *row;
    sn_encoding e = {0}; /* one for all, so that nothing may stay in it */
    const json_t *texts = json_object_get(tok_goldens, "texts"), *pairs = json_object_get(tok_goldens, "pairs");
    json_array_foreach(json_object_get(tok_goldens, "tokenizers"), i, golden) {
        sn_tokenizer *t = tok_build(golden);
        const char *name = json_string_value(json_object_get(golden, "name"));
        json_array_foreach(json_object_get(golden, "rows"), k, row) {
            size_t bytes, index = (size_t)json_integer_value(json_array_get(json_object_get(golden, "texts"), k));
            char *s = tok_text_of(json_array_get(texts, index), &bytes);
            check((place){name, index}, t, row, s, bytes, NULL, 0, &e);
            free(s);
        }
        json_array_foreach(json_object_get(golden, "pairs"), k, row) {
            size_t a, b;
            char *first = tok_text_of(json_array_get(json_array_get(pairs, k), 0), &a), *second = tok_text_of(json_array_get(json_array_get(pairs, k), 1), &b);
            check((place){name, 1000 + k}, t, row, first, a, second, b, &e);
            free(first);
            free(second);
        }
        sn_tokenizer_free(t);
    }
    sn_encoding_free(&e);
    assert_true(i > 70);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_reference),
    };
    return cmocka_run_group_tests(tests, tok_read_goldens, tok_drop_goldens);
}
