/* text.c: text columns without a pretrained tokenizer.
 *
 *   UTF-8 -> words -> ids int32 [length]  (sample)  ->  ids int32 [N,T] padded with 0, lengths [N] */
#include "features/sequence.h"

extern const sn_feature_kind sn_feature_text;
enum { MOST_LENGTH = 1 << 20 };

static sn_status text_fit(sn_feature *f, const sn_fit_source *source) {
    int64_t most, least, ngrams, longest;
    SN_TRY(sn_json_int(f->options, "most_words", 20000, &most));
    SN_TRY(sn_json_int(f->options, "least_count", 1, &least));
    SN_TRY(sn_json_int(f->options, "ngrams", 1, &ngrams));
    SN_TRY(sn_json_int(f->options, "max_length", 256, &longest));
    if (most < 1 || least < 1 || ngrams < 1 || ngrams > 5 || longest < 1)
        SN_FAIL(SN_ERR_USAGE, "most_words, least_count, max_length must be at least 1 and ngrams 1 to 5");
    sn_vocabulary *v;
    SN_TRY(sn_vocabulary_create((int)ngrams, &v));
    sn_status status = SN_OK;
    for (int64_t i = 0; status == SN_OK && i < source->n; i++) {
        const char *text = sn_table_cell(source->table, source->rows[i], source->column);
        status = sn_vocabulary_count(v, text, strlen(text));
    }
    json_t *words = NULL;
    if (status == SN_OK) status = sn_vocabulary_fit(v, most, least);
    if (status == SN_OK) status = sn_vocabulary_to_json(v, &words);
    sn_vocabulary_free(v);
    SN_TRY(status);
    SN_TRY(sn_feature_set(f, "vocabulary", words));
    return sn_feature_set(f, "max_length", json_integer(longest));
}

static sn_status text_open(sn_feature *f) {
    json_t *words;
    SN_TRY(sn_json_object(f->options, "vocabulary", &words));
    if (!words) SN_FAIL(SN_ERR_FORMAT, "\"vocabulary\" is missing");
    int64_t longest;
    SN_TRY(sn_json_int(f->options, "max_length", 256, &longest));
    if (longest < 1 || longest > MOST_LENGTH) SN_FAIL(SN_ERR_USAGE, "\"max_length\" must be 1 to %d, not %lld", MOST_LENGTH, (long long)longest);
    sn_vocabulary *v;
    SN_TRY(sn_vocabulary_from_json(words, &v));
    f->state = v;
    return SN_OK;
}

static void text_close(sn_feature *f) { sn_vocabulary_free(f->state); }

int64_t sn_feature_vocabulary(const sn_feature *f) { return f->row == &sn_feature_text ? sn_vocabulary_size(f->state) : 0; }

static sn_status text_encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    int64_t room = 0, count = 0;
    SN_TRY(sn_json_int(f->options, "max_length", 256, &room));
    int32_t *ids = sn_alloc((size_t)room, sizeof *ids);
    if (!ids) return SN_ERR_MEMORY;
    sn_status status = sn_vocabulary_encode(f->state, cell->text, cell->bytes, ids, room, &count);
    if (status != SN_OK) {
        sn_free(ids);
        return status;
    }
    if (!count) ids[count++] = SN_WORD_UNKNOWN; /* text of spaces only */
    out->length = count < room ? count : room;
    out->bytes = (size_t)out->length * sizeof *ids;
    int32_t *fit = sn_realloc(ids, (size_t)out->length, sizeof *ids);
    out->data = fit ? fit : ids;
    return SN_OK;
}

static int text_types(const sn_feature *f, int64_t n, int64_t steps, sn_type *types) {
    (void)f;
    types[0] = (sn_type){SN_SHAPE(n, steps), SN_I32};
    sn_length_types(n, types);
    return SN_FEATURE_ARRAYS;
}

static sn_status text_collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    (void)f;
    int64_t padded;
    SN_TRY(sn_collate_lengths(samples, n, arrays, &padded));
    SN_TRY(sn_array_make(&arrays[0], SN_I32, SN_SHAPE(n, padded)));
    for (int64_t i = 0; i < n; i++) memcpy((int32_t *)arrays[0].data + i * padded, samples[i]->data, samples[i]->bytes);
    return SN_OK;
}

static const char *const keys[] = {"most_words", "least_count", "ngrams", "max_length", "vocabulary", NULL};
const sn_feature_kind sn_feature_text = {.kind = SN_KIND_TEXT, .keys = keys, .fit = text_fit, .open = text_open,
                                         .close = text_close, .encode = text_encode, .types = text_types, .collate = text_collate,
                                         .sequence = true};
