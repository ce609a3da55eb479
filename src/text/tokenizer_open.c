/* tokenizer_open.c: a model directory: which of its files hold the tokenizer. */
#include "text/tokenizer_internal.h"

enum { MOST_FILE = 512 << 20 };

static sn_status open_json(const char *path, sn_tokenizer **out) {
    sn_bytes bytes;
    SN_TRY(sn_file_read(path, MOST_FILE, &bytes));
    sn_status status = sn_tokenizer_parse(path, (const char *)bytes.data, bytes.size, out);
    sn_bytes_free(&bytes);
    return status;
}

sn_status sn_tokenizer_open(const char *directory, sn_tokenizer **out) {
    *out = NULL;
    char *path = sn_path_join(directory, "tokenizer.json");
    if (!path) return SN_ERR_MEMORY;
    sn_status status = open_json(path, out);
    sn_free(path);
    return status;
}
