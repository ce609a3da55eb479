/* text_prompt.c: a text column that the text to be written goes on from (text_written.c), for models that are a decoder
 * alone.
 *
 *   UTF-8 -> the model's tokens as its tokenizer gives them for a text by itself, which is how `generate` reads a prompt
 *            (sample); no arrays of its own: text_written.c puts them before the text */
#include "features/feature.h"
#include "text/tokenizer.h"

static sn_status open(sn_feature *f) {
    sn_tokenizer *tokenizer;
    SN_TRY(sn_tokenizer_open(f->directory, &tokenizer));
    f->state = tokenizer;
    return SN_OK;
}

static void close(sn_feature *f) { sn_tokenizer_free(f->state); }

static sn_status encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    static const sn_encode_options o = {.add_special = true, .truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    sn_encoding e = {0};
    sn_status status = sn_tokenizer_encode(f->state, cell->text, cell->bytes, NULL, 0, o, &e);
    if (status == SN_OK && e.count < 1) status = sn_fail(SN_ERR_FORMAT, "the model's vocabulary has nothing of this prompt");
    if (status == SN_OK) {
        out->length = e.count;
        out->bytes = (size_t)e.count * sizeof *e.ids;
        out->data = sn_alloc(out->bytes, 1);
        if (out->data) memcpy(out->data, e.ids, out->bytes);
        else status = SN_ERR_MEMORY;
    }
    sn_encoding_free(&e);
    return status;
}

static int types(const sn_feature *f, int64_t n, int64_t steps, sn_type *to) {
    (void)f, (void)n, (void)steps, (void)to;
    return 0;
}

static sn_status collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    (void)f, (void)samples, (void)n, (void)arrays;
    return SN_OK;
}

static const char *const keys[] = {"processor", "prompt", NULL};
const sn_feature_kind sn_feature_text_prompt = {.kind = SN_KIND_TEXT, .keys = keys, .open = open, .close = close, .encode = encode,
                                                .types = types, .collate = collate};
