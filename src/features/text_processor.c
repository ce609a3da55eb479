/* text_processor.c: text columns read by a published model's own tokenizer.
 *
 *   UTF-8 -> ids with the model's special tokens, cut to `max_length`  (sample)
 *         -> ids int32 [N,T] filled up with the padding token, lengths int32 [N]
 *
 * T is on the ladder up to `max_length`; with `padded` it is always `max_length`, and the padding counts as text, as
 * models want it that were trained so. */
#include "features/sequence.h"
#include "text/tokenizer.h"

enum { MOST_LENGTH = 1 << 20 };

typedef struct reader {
    sn_tokenizer *tokenizer;
    int64_t longest;
    bool padded;
    int32_t pad;
} reader;

static sn_status open(sn_feature *f) {
    reader *r = sn_alloc(1, sizeof *r);
    if (!r) return SN_ERR_MEMORY;
    f->state = r;
    SN_TRY(sn_json_int(f->options, "max_length", 0, &r->longest));
    SN_TRY(sn_json_bool(f->options, "padded", false, &r->padded));
    if (r->longest < 1 || r->longest > MOST_LENGTH)
        SN_FAIL(SN_ERR_USAGE, "\"max_length\" must be 1 to %d, not %lld", MOST_LENGTH, (long long)r->longest);
    SN_TRY(sn_tokenizer_open(f->directory, &r->tokenizer));
    r->pad = sn_tokenizer_special(r->tokenizer, SN_SPECIAL_PAD);
    if (r->pad < 0) r->pad = 0;
    return SN_OK;
}

static void close(sn_feature *f) {
    reader *r = f->state;
    if (r) sn_tokenizer_free(r->tokenizer);
    sn_free(r);
}

static sn_status encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    const reader *r = f->state;
    sn_encode_options o = {.add_special = true, .truncation = SN_TRUNCATE_LONGEST_FIRST, .padding = SN_PAD_NONE, .max_length = r->longest};
    sn_encoding e = {0};
    sn_status status = sn_tokenizer_encode(r->tokenizer, cell->text, cell->bytes, NULL, 0, o, &e);
    int64_t count = status == SN_OK ? e.count : 0;
    if (status == SN_OK) {
        out->length = count ? count : 1; /* nothing of it is in the vocabulary: one token of padding */
        out->bytes = (size_t)out->length * sizeof(int32_t);
        out->data = sn_alloc(out->bytes, 1);
        if (!out->data) status = SN_ERR_MEMORY;
        else if (count) memcpy(out->data, e.ids, out->bytes);
        else *(int32_t *)out->data = r->pad;
    }
    sn_encoding_free(&e);
    return status;
}

static int types(const sn_feature *f, int64_t n, int64_t steps, sn_type *to) {
    const reader *r = f->state;
    to[0] = (sn_type){SN_SHAPE(n, r->padded ? r->longest : steps), SN_I32};
    to[1] = (sn_type){SN_SHAPE(n), SN_I32};
    return 2;
}

static sn_status collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    const reader *r = f->state;
    int64_t steps = 1;
    for (int64_t i = 0; i < n; i++)
        if (samples[i]->length > steps) steps = samples[i]->length;
    steps = sn_ladder(steps);
    if (steps > r->longest || r->padded) steps = r->longest;
    SN_TRY(sn_array_make(&arrays[0], SN_I32, SN_SHAPE(n, steps)));
    SN_TRY(sn_array_make(&arrays[1], SN_I32, SN_SHAPE(n)));
    int32_t *ids = arrays[0].data, *lengths = arrays[1].data;
    for (int64_t i = 0; i < n; i++, ids += steps) {
        memcpy(ids, samples[i]->data, samples[i]->bytes);
        for (int64_t k = samples[i]->length; k < steps; k++) ids[k] = r->pad;
        lengths[i] = (int32_t)(r->padded ? steps : samples[i]->length);
    }
    return SN_OK;
}

static const char *const keys[] = {"processor", "max_length", "padded", NULL};
const sn_feature_kind sn_feature_text_processor = {.kind = SN_KIND_TEXT, .keys = keys, .open = open, .close = close,
                                                   .encode = encode, .types = types, .collate = collate, .sequence = true};
