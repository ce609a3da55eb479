/* tokenizer_world.c: goldens and files for the tests of tokenizers. */
#include "tokenizer_world.h"

#include <stdlib.h>

json_t *tok_goldens;

int tok_read_goldens(void **state) {
    (void)state;
    return sn_json_read(SN_TEST_ROOT "/golden/tokenizers.json", &tok_goldens) != SN_OK;
}

int tok_drop_goldens(void **state) {
    (void)state;
    json_decref(tok_goldens);
    return 0;
}

const json_t *tok_golden(const char *name) {
    size_t i;
    json_t *golden;
    json_array_foreach(json_object_get(tok_goldens, "tokenizers"), i, golden) {
        if (!strcmp(json_string_value(json_object_get(golden, "name")), name)) return golden;
    }
    fail_msg("no golden named %s", name);
    return NULL;
}

char *tok_json_of(const json_t *golden) {
    json_t *json = json_copy(json_object_get(golden, "json"));
    const char *model = json_string_value(json_object_get(json, "model"));
    assert_int_equal(json_object_set(json, "model", json_object_get(json_object_get(tok_goldens, "models"), model)), 0);
    char *text = json_dumps(json, 0);
    json_decref(json);
    assert_non_null(text);
    return text;
}

sn_tokenizer *tok_build(const json_t *golden) {
    char *text = tok_json_of(golden);
    sn_tokenizer *t;
    assert_ok(sn_tokenizer_parse(json_string_value(json_object_get(golden, "name")), text, strlen(text), &t));
    free(text);
    return t;
}

char *tok_text_of(const json_t *json, size_t *bytes) {
    const char *hex = json_string_value(json_object_get(json, "hex"));
    if (!hex) {
        *bytes = json_string_length(json);
        char *copy = malloc(*bytes + 1);
        memcpy(copy, json_string_value(json), *bytes + 1);
        return copy;
    }
    *bytes = strlen(hex) / 2;
    char *out = calloc(*bytes + 1, 1);
    for (size_t i = 0; i < *bytes; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (char)byte;
    }
    return out;
}

char *tok_directory(void) {
    char pattern[] = "/tmp/sn_tokenizer_XXXXXX";
    assert_non_null(mkdtemp(pattern));
    return strdup(pattern);
}

void tok_write(const char *directory, const char *name, const char *text, size_t bytes) {
    char *path = sn_path_join(directory, name);
    assert_ok(sn_file_write(path, text, bytes));
    sn_free(path);
}
