/* fuzz_json.c: arbitrary bytes as a configuration (JSON, YAML), a vocabulary and as text to be cut into words.
 *
 * The first byte chooses. What must hold: no crash, no leak, a tree that prints, a vocabulary that comes back
 * the same, words that are UTF-8 and never empty. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8.h"
#include "text/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask_tree(const json_t *tree) {
    static const char *const known[] = {"input_features", "trainer", NULL};
    int64_t integer;
    double number;
    bool truth;
    const char *text;
    json_t *inner;
    char *printed = json_dumps(tree, JSON_ENCODE_ANY);
    if (!printed) abort();
    free(printed);
    if (!json_is_object(tree)) return;
    (void)sn_json_known_keys(tree, "config", known);
    (void)sn_json_int(tree, "a", 0, &integer);
    (void)sn_json_number(tree, "a", 0, &number);
    (void)sn_json_bool(tree, "a", false, &truth);
    (void)sn_json_string(tree, "a", "", &text);
    (void)sn_json_object(tree, "a", &inner);
    (void)sn_json_array(tree, "a", &inner);
}

static void ask_vocabulary(const json_t *tree) {
    sn_vocabulary *v;
    json_t *again;
    if (sn_vocabulary_from_json(tree, &v) != SN_OK) return;
    if (sn_vocabulary_to_json(v, &again) != SN_OK) abort();
    if (!json_equal(json_object_get(tree, "words"), json_object_get(again, "words"))) abort();
    json_decref(again);
    sn_vocabulary_free(v);
}

static sn_status check_word(void *context, const char *word, size_t bytes) {
    (void)context;
    if (!bytes || sn_utf8_check(word, bytes) != bytes) abort();
    return SN_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    const char *text = (const char *)data + 1;
    json_t *tree = NULL;
    if (data[0] % 3 == 0 && sn_words(text, size - 1, check_word, NULL) != SN_OK) abort();
    if (data[0] % 3 == 1) (void)sn_json_parse("c.json", text, size - 1, &tree);
    if (data[0] % 3 == 2) (void)sn_yaml_parse("c.yaml", text, size - 1, &tree);
    if (tree) {
        ask_tree(tree);
        ask_vocabulary(tree);
    }
    json_decref(tree);
    return 0;
}
