/* fuzz_tokenizer_lines.c: arbitrary bytes as vocab.txt and as merges.txt.
 *
 * What must hold: no crash, no leak, and what was read is an object of ids or a list of strings. */
#include <stdint.h>
#include <stdlib.h>

#include "text/tokenizer_legacy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static json_t *const none = NULL;
    json_t *vocab = NULL, *merges = NULL, *json = NULL;
    const char *text = (const char *)data;
    if (sn_tok_vocab_lines("vocab.txt", text, size, &vocab) == SN_OK && !json_is_object(vocab)) abort();
    if (sn_tok_merge_lines("merges.txt", text, size, &merges) == SN_OK && !json_is_array(merges)) abort();
    json_t *empty = json_object();
    if (vocab && merges && empty) {
        sn_tok_files f = {"directory", empty, empty, empty, empty, vocab, merges};
        sn_tokenizer *t;
#define SN_TOK_FAMILY(id, files, classes, types, token)                                                     \
    json = none;                                                                                            \
    if (sn_tok_family_##id(&f, &json) == SN_OK && sn_tok_from_json("tokenizer.json", json, 1, &t) == SN_OK) sn_tokenizer_free(t); \
    json_decref(json);
#include "text/tokenizer_families.def"
    }
    json_decref(empty);
    json_decref(vocab);
    json_decref(merges);
    return 0;
}
