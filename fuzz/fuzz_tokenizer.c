/* fuzz_tokenizer.c: arbitrary bytes as tokenizer.json, and text through what comes of it.
 *
 * Up to the first NUL byte the input is the file, behind it the text. What must hold: no crash, no leak; offsets within the
 * text; ids that decode; the same tokens with and without offsets. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const sn_tokenizer *t, const char *text, size_t bytes) {
    sn_encoding e = {0}, plain = {0};
    sn_buf out = {0};
    sn_encode_options o = {.add_special = true, .offsets = true};
    sn_decode_stream stream;
    if (sn_tokenizer_encode(t, text, bytes, NULL, 0, o, &e) == SN_OK) {
        for (int64_t i = 0; i < e.count; i++) {
            if (e.bytes[i].begin > e.bytes[i].end || e.bytes[i].end > bytes || e.codes[i].end > bytes) abort();
        }
        o.offsets = false;
        if (sn_tokenizer_encode(t, text, bytes, NULL, 0, o, &plain) != SN_OK) abort();
        if (plain.count != e.count || (e.count && memcmp(plain.ids, e.ids, (size_t)e.count * sizeof *e.ids))) abort();
        (void)sn_tokenizer_decode(t, e.ids, (size_t)e.count, false, &out);
        sn_decode_stream_begin(&stream, t, true);
        for (int64_t i = 0; i < e.count && i < 100; i++) (void)sn_decode_stream_next(&stream, e.ids[i], &out);
        (void)sn_decode_stream_finish(&stream, &out);
        sn_decode_stream_free(&stream);
    }
    (void)sn_tokenizer_encode(t, text, bytes / 2, text + bytes / 2, bytes - bytes / 2, o, &e);
    sn_encoding_free(&e);
    sn_encoding_free(&plain);
    sn_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char usual[] = "The caf\xC3\xA9 isn't \xE4\xB8\xAD\xE6\x96\x87 12\xFF <s> [MASK] e\xCC\x81\n";
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t bytes = end ? (size_t)(end - data) : size;
    sn_tokenizer *t;
    if (sn_tokenizer_parse("tokenizer.json", (const char *)data, bytes, &t) != SN_OK) return 0;
    use(t, usual, sizeof usual - 1);
    if (end) use(t, (const char *)end + 1, size - bytes - 1);
    sn_tokenizer_free(t);
    return 0;
}
