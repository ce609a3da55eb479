/* A model directory: tokenizer.json, the older files, roles of tokens; and files that lie. */
#include "tokenizer_world.h"

/* vocab.txt of a golden model. */
static void write_vocab_lines(const char *directory, const char *model) {
    json_t *vocab = json_object_get(json_object_get(json_object_get(tok_goldens, "models"), model), "vocab"), *id;
    const char **lines = calloc(json_object_size(vocab), sizeof *lines), *token;
    sn_buf text = {0};
    json_object_foreach(vocab, token, id) lines[json_integer_value(id)] = token;
    for (size_t i = 0; i < json_object_size(vocab); i++) sn_buf_printf(&text, "%s\r\n", lines[i]);
    tok_write(directory, "vocab.txt", text.data, text.size);
    sn_buf_free(&text);
    free(lines);
}

/* vocab.json and merges.txt. */
static void write_pairs(const char *directory, const char *model) {
    const json_t *m = json_object_get(json_object_get(tok_goldens, "models"), model);
    char *vocab = json_dumps(json_object_get(m, "vocab"), 0);
    json_t *merge;
    size_t i;
    sn_buf text = {0};
    tok_write(directory, "vocab.json", vocab, strlen(vocab));
    sn_buf_puts(&text, "#version: 0.2\n");
    json_array_foreach(json_object_get(m, "merges"), i, merge)
        sn_buf_printf(&text, "%s %s\n", json_string_value(json_array_get(merge, 0)), json_string_value(json_array_get(merge, 1)));
    tok_write(directory, "merges.txt", text.data, text.size);
    sn_buf_free(&text);
    free(vocab);
}

static void put(const char *directory, const char *name, const char *text) { tok_write(directory, name, text, strlen(text)); }

/* Opens the directory: every text of the golden must give its ids. Removes the directory. */
static sn_tokenizer *open_as(char *directory, const char *name) {
    const json_t *golden = tok_golden(name);
    sn_tokenizer *t;
    sn_encoding e = {0};
    size_t k;
    json_t *row;
    assert_ok(sn_tokenizer_open(directory, &t));
    json_array_foreach(json_object_get(golden, "rows"), k, row) {
        size_t bytes, index = (size_t)json_integer_value(json_array_get(json_object_get(golden, "texts"), k));
        char *s = tok_text_of(json_array_get(json_object_get(tok_goldens, "texts"), index), &bytes);
        const json_t *ids = json_array_get(row, 0);
        assert_ok(sn_tokenizer_encode(t, s, bytes, NULL, 0, (sn_encode_options){.add_special = true}, &e));
        if ((size_t)e.count != json_array_size(ids)) fail_msg("%s, text %zu: %lld tokens, expected %zu", name, index, (long long)e.count, json_array_size(ids));
        for (size_t i = 0; i < (size_t)e.count; i++) assert_int_equal(e.ids[i], json_integer_value(json_array_get(ids, i)));
        free(s);
    }
    sn_encoding_free(&e);
    assert_ok(sn_remove_tree(directory));
    free(directory);
    return t;
}

static void assert_role(const sn_tokenizer *t, sn_special which, const char *token) {
    int32_t id = sn_tokenizer_special(t, which);
    if (!token) {
        assert_int_equal(id, -1);
        return;
    }
    assert_string_equal(sn_tokenizer_token(t, id), token);
    assert_int_equal(sn_tokenizer_id(t, token), id);
    assert_true(sn_tokenizer_is_special(t, id));
}

static void tokenizer_json(void **state) {
    (void)state;
    char *d = tok_directory(), *json = tok_json_of(tok_golden("bert"));
    put(d, "tokenizer.json", json);
    put(d, "vocab.txt", "this is not\nthe vocabulary\n"); /* tokenizer.json comes first */
    put(d, "tokenizer_config.json", "{\"model_max_length\": 1000000000000000019884624838656, \"pad_token\": \"[MASK]\"}");
    sn_tokenizer *t = open_as(d, "bert");
    assert_int_equal(sn_tokenizer_max_length(t), 0); /* a number that means "none" */
    assert_role(t, SN_SPECIAL_PAD, "[MASK]");
    assert_role(t, SN_SPECIAL_CLS, "[CLS]");
    assert_role(t, SN_SPECIAL_BOS, NULL);
    sn_tokenizer_free(t);
    free(json);
}

static void bert_lines(void **state) {
    (void)state;
    char *d = tok_directory();
    write_vocab_lines(d, "wordpiece");
    sn_tokenizer *t = open_as(d, "bert");
    for (int i = SN_SPECIAL_CLS; i <= SN_SPECIAL_UNK; i++) assert_true(sn_tokenizer_special(t, (sn_special)i) >= 0);
    assert_int_equal(sn_tokenizer_size(t), sn_tokenizer_count(t));
    assert_null(sn_tokenizer_token(t, (int32_t)sn_tokenizer_size(t)));
    assert_null(sn_tokenizer_token(t, -1));
    assert_int_equal(sn_tokenizer_id(t, "no such token"), -1);
    sn_tokenizer_free(t);
    d = tok_directory();
    write_vocab_lines(d, "wordpiece");
    put(d, "tokenizer_config.json", "{\"do_lower_case\": false, \"tokenizer_class\": \"BertTokenizerFast\", \"model_max_length\": 512}");
    t = open_as(d, "bert cased");
    assert_int_equal(sn_tokenizer_max_length(t), 512);
    sn_encoding e = {0};
    char text[8000];
    memset(text, '.', sizeof text);
    assert_ok(sn_tokenizer_encode(t, text, sizeof text, NULL, 0, (sn_encode_options){.add_special = true, .truncation = SN_TRUNCATE_LONGEST_FIRST}, &e));
    assert_int_equal(e.count, 512);
    assert_int_equal(e.ids[511], sn_tokenizer_special(t, SN_SPECIAL_SEP));
    assert_ok(sn_tokenizer_encode(t, text, sizeof text, NULL, 0, (sn_encode_options){.truncation = SN_TRUNCATE_FILE}, &e));
    assert_int_equal(e.count, sizeof text); /* the file asks for none */
    sn_encoding_free(&e);
    sn_tokenizer_free(t);
}

static void pair_files(void **state) {
    (void)state;
    char *d = tok_directory();
    write_pairs(d, "byte_bpe");
    put(d, "config.json", "{\"model_type\": \"gpt2\"}");
    sn_tokenizer *t = open_as(d, "gpt2");
    assert_role(t, SN_SPECIAL_EOS, "<|endoftext|>");
    sn_tokenizer_free(t);
    d = tok_directory();
    write_pairs(d, "byte_bpe");
    put(d, "tokenizer_config.json", "{\"add_prefix_space\": true, \"unk_token\": \"<pad>\", \"added_tokens_decoder\": {\"2\": {\"content\": \"</s>\", \"special\": true}}}");
    put(d, "special_tokens_map.json", "{\"mask_token\": {\"content\": \"<mask>\", \"lstrip\": true, \"normalized\": false}, \"additional_special_tokens\": [\"<|endoftext|>\"]}");
    t = open_as(d, "roberta"); /* told by its <mask> */
    assert_role(t, SN_SPECIAL_MASK, "<mask>");
    assert_role(t, SN_SPECIAL_UNK, "<pad>");
    sn_tokenizer_free(t);
    d = tok_directory();
    write_pairs(d, "word_end_bpe");
    put(d, "config.json", "{\"model_type\": \"clip\"}");
    t = open_as(d, "clip");
    sn_buf text = {0};
    int32_t ids[] = {0, sn_tokenizer_id(t, "would</w>"), sn_tokenizer_id(t, "know</w>"), 1};
    assert_ok(sn_tokenizer_decode(t, ids, 4, true, &text));
    assert_string_equal(text.data, "would know"); /* as Transformers shows it */
    sn_buf_free(&text);
    sn_tokenizer_free(t);
}

static void whisper_files(void **state) {
    (void)state;
    char *d = tok_directory();
    sn_tokenizer *t;
    sn_encoding e = {0};
    write_pairs(d, "byte_bpe");
    size_t n = json_object_size(json_object_get(json_object_get(json_object_get(tok_goldens, "models"), "byte_bpe"), "vocab"));
    char text[200];
    (void)snprintf(text, sizeof text, "{\"<|notimestamps|>\": %zu, \"<|startoftranscript|>\": %zu, \"<|0.00|>\": %zu}", n + 1, n, n + 2);
    put(d, "added_tokens.json", text);
    put(d, "special_tokens_map.json", "{\"additional_special_tokens\": [\"<|startoftranscript|>\", \"<|notimestamps|>\"]}");
    assert_ok(sn_tokenizer_open(d, &t)); /* told by its <|startoftranscript|> */
    assert_ok(sn_tokenizer_encode(t, " the", 4, NULL, 0, (sn_encode_options){.add_special = true}, &e));
    const int32_t want[] = {(int32_t)n, (int32_t)n + 1, sn_tokenizer_id(t, "\xC4\xA0the"), 0};
    assert_int_equal(e.count, 4);
    assert_memory_equal(e.ids, want, sizeof want);
    assert_true(sn_tokenizer_is_special(t, (int32_t)n));
    assert_false(sn_tokenizer_is_special(t, (int32_t)n + 2));
    assert_int_equal(sn_tokenizer_size(t), n + 3);
    sn_encoding_free(&e);
    sn_tokenizer_free(t);
    assert_ok(sn_remove_tree(d));
    free(d);
}

static void broken_directories(void **state) {
    (void)state;
    sn_tokenizer *t;
    static const struct { const char *file, *text, *part; sn_status code; } cases[] = {
        {"other.txt", "", "neither tokenizer.json nor vocab.txt", SN_ERR_IO},
        {"tokenizer.json", "{\"model\": ", "tokenizer.json: line 1", SN_ERR_FORMAT},
        {"vocab.txt", "a\nb\n", "the unknown token \"[UNK]\"", SN_ERR_FORMAT},
        {"vocab.txt", "[UNK]\nb\xFF\n", "vocab.txt: line 2 is not UTF-8", SN_ERR_FORMAT},
        {"tokenizer_config.json", "[]", "tokenizer_config.json: line 1: expected an object", SN_ERR_FORMAT},
        {"special_tokens_map.json", "{\"a\": 1, \"a\": 2}", "special_tokens_map.json: line 1", SN_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *d = tok_directory();
        put(d, cases[i].file, cases[i].text);
        assert_fails(sn_tokenizer_open(d, &t), cases[i].code, cases[i].part);
        assert_null(t);
        assert_ok(sn_remove_tree(d));
        free(d);
    }
    assert_fails(sn_tokenizer_open("/no/such/directory", &t), SN_ERR_IO, "not a directory");
    char *d = tok_directory();
    put(d, "vocab.json", "{\"a\": 0, \"b\": 1}");
    put(d, "merges.txt", "a b\n");
    assert_fails(sn_tokenizer_open(d, &t), SN_ERR_FORMAT, "merge 1: the token \"ab\" is not in the vocabulary");
    put(d, "merges.txt", "a b c\n");
    assert_fails(sn_tokenizer_open(d, &t), SN_ERR_FORMAT, "merge 1: expected two tokens");
    tok_write(d, "merges.txt", "a\0b\n", 4);
    assert_fails(sn_tokenizer_open(d, &t), SN_ERR_FORMAT, "line 1 holds a NUL byte");
    put(d, "vocab.json", "[1]");
    assert_fails(sn_tokenizer_open(d, &t), SN_ERR_FORMAT, "expected an object of tokens and ids");
    assert_ok(sn_remove_tree(d));
    free(d);
}

/* Opening and using directories while the n-th allocation fails. */
static sn_status whole_life(const char *directory) {
    sn_tokenizer *t = NULL;
    sn_encoding e = {0};
    sn_buf text = {0};
    sn_status status;
    static const char s[] = "The caf\xC3\xA9 isn't 12 \xFF <mask> of it";
    SN_GO(sn_tokenizer_open(directory, &t), done);
    SN_GO(sn_tokenizer_encode(t, s, sizeof s - 1, "pair", 4, (sn_encode_options){.add_special = true, .offsets = true}, &e), done);
    SN_GO(sn_tokenizer_decode(t, e.ids, (size_t)e.count, true, &text), done);
done:
    sn_buf_free(&text);
    sn_encoding_free(&e);
    sn_tokenizer_free(t);
    return status;
}

static void each_allocation_fails(const char *directory) {
    for (long n = 1;; n++) {
        sn_alloc_fail_after(n);
        sn_status status = whole_life(directory);
        bool reached = sn_alloc_count() >= n;
        sn_alloc_fail_after(0);
        if (!reached) {
            assert_ok(status);
            assert_true(n > 60);
            return;
        }
        /* Without memory for the faster matching PCRE2 goes the slower way: then nothing has failed. */
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
    }
}

static void failing_allocations(void **state) {
    (void)state;
    static const char *const names[] = {"roberta", "clip", "llama", "bert", "xlmr", "gpt4", "unigram bytes", "added"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *d = tok_directory(), *json = tok_json_of(tok_golden(names[i]));
        put(d, "tokenizer.json", json);
        each_allocation_fails(d);
        assert_ok(sn_remove_tree(d));
        free(json);
        free(d);
    }
    char *d = tok_directory();
    write_pairs(d, "byte_bpe");
    put(d, "special_tokens_map.json", "{\"mask_token\": {\"content\": \"<mask>\", \"lstrip\": true}}");
    each_allocation_fails(d);
    assert_ok(sn_remove_tree(d));
    free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokenizer_json), cmocka_unit_test(bert_lines),         cmocka_unit_test(pair_files),
        cmocka_unit_test(whisper_files),  cmocka_unit_test(broken_directories), cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, tok_read_goldens, tok_drop_goldens);
}
