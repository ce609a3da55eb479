/* text_written.c: a text column that a published model learns to write (teacher forcing).
 *
 *   UTF-8 -> `prefix`, the model's tokens of `separator` and the text, `end`: s[0..L)  (sample)
 *         -> what the decoder reads, s[0..L-1), int32 [N,T], and what it is to say next, s[1..L), int32 [N,T]
 *
 * T is on the ladder. Positions behind a text's end hold padding and the label -1, which is no loss. A text that is longer
 * than `max_length` is cut, and then does not teach where to end.
 *
 * Where the text goes on from a prompt (`prompted`), s is the prompt's tokens, those of `separator` and the text, `end`: the
 * tokens of two texts that were cut into tokens each by itself. Labels before the text's first token are -1. Of the
 * max_length + 1 tokens that there is room for the text gets up to max_length, the prompt the rest: what is too much of it
 * is cut from its beginning. */
#include "features/sequence.h"
#include "text/tokenizer.h"

enum { MOST_LENGTH = 1 << 20 };

typedef struct scribe {
    sn_tokenizer *tokenizer;
    int64_t longest, n_prefix;
    int32_t *prefix, end, pad; /* end -1: texts do not end */
    const char *separator;     /* in the options */
    bool prompted;
} scribe;

static sn_status read_token(const sn_feature *f, const json_t *value, int32_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < -1 || json_integer_value(value) > INT32_MAX)
        SN_FAIL(SN_ERR_FORMAT, "column \"%s\": \"prefix\" and \"end\" are token ids", f->name);
    *out = (int32_t)json_integer_value(value);
    return SN_OK;
}

static sn_status read_options(const sn_feature *f, scribe *s) {
    const json_t *prefix = json_object_get(f->options, "prefix"), *end = json_object_get(f->options, "end");
    s->end = -1;
    s->n_prefix = (int64_t)json_array_size(prefix);
    s->prefix = sn_alloc((size_t)s->n_prefix + 1, sizeof *s->prefix);
    if (!s->prefix) return SN_ERR_MEMORY;
    for (int64_t i = 0; i < s->n_prefix; i++) SN_TRY(read_token(f, json_array_get(prefix, (size_t)i), &s->prefix[i]));
    if (end && !json_is_null(end)) SN_TRY(read_token(f, end, &s->end));
    SN_TRY(sn_json_string(f->options, "separator", "", &s->separator));
    SN_TRY(sn_json_bool(f->options, "prompted", false, &s->prompted));
    if (s->prompted && s->n_prefix) SN_FAIL(SN_ERR_FORMAT, "a text after a prompt has no \"prefix\"");
    SN_TRY(sn_json_int(f->options, "max_length", 0, &s->longest));
    if (s->longest <= s->n_prefix || s->longest > MOST_LENGTH)
        SN_FAIL(SN_ERR_USAGE, "\"max_length\" must be %lld to %d, not %lld", (long long)s->n_prefix + 1, MOST_LENGTH, (long long)s->longest);
    return SN_OK;
}

static sn_status open(sn_feature *f) {
    scribe *s = sn_alloc(1, sizeof *s);
    if (!s) return SN_ERR_MEMORY;
    f->state = s;
    SN_TRY(read_options(f, s));
    SN_TRY(sn_tokenizer_open(f->directory, &s->tokenizer));
    s->pad = sn_tokenizer_special(s->tokenizer, SN_SPECIAL_PAD);
    if (s->pad < 0) s->pad = s->end > 0 ? s->end : 0;
    return SN_OK;
}

static void close(sn_feature *f) {
    scribe *s = f->state;
    if (s) sn_tokenizer_free(s->tokenizer);
    if (s) sn_free(s->prefix);
    sn_free(s);
}

/* The tokens of `separator` and the cell. */
static sn_status tokens_of(const scribe *s, const sn_cell *cell, sn_encoding *e) {
    static const sn_encode_options o = {.add_special = false, .truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    if (!s->separator[0]) return sn_tokenizer_encode(s->tokenizer, cell->text, cell->bytes, NULL, 0, o, e);
    sn_buf text = {0};
    sn_buf_puts(&text, s->separator);
    sn_buf_add(&text, cell->text, cell->bytes);
    sn_status status = sn_buf_check(&text);
    if (status == SN_OK) status = sn_tokenizer_encode(s->tokenizer, text.data, text.size, NULL, 0, o, e);
    sn_buf_free(&text);
    return status;
}

/* The decoder reads `longest` tokens at most, so that with the one that it says last there is one more; of a prompt there
 * is at least one. */
static sn_status encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    const scribe *s = f->state;
    sn_encoding e = {0};
    SN_TRY(tokens_of(s, cell, &e));
    int64_t room = s->longest + !s->prompted - s->n_prefix, said = e.count < room ? e.count : room;
    bool ends = s->end >= 0 && said < room;
    out->length = s->n_prefix + said + ends;
    out->number = (double)(out->length - !s->prompted); /* nothing comes before the first, but a prompt */
    out->bytes = (size_t)out->length * sizeof(int32_t);
    sn_status status = out->number >= 1 ? SN_OK : sn_fail(SN_ERR_FORMAT, "the text is too short to teach anything: %lld tokens", (long long)out->length);
    int32_t *ids = status == SN_OK ? out->data = sn_alloc(out->bytes, 1) : NULL;
    if (status == SN_OK && !ids) status = SN_ERR_MEMORY;
    if (status == SN_OK) {
        memcpy(ids, s->prefix, (size_t)s->n_prefix * sizeof *ids);
        if (said) memcpy(ids + s->n_prefix, e.ids, (size_t)said * sizeof *ids);
        if (ends) ids[out->length - 1] = s->end;
    }
    sn_encoding_free(&e);
    return status;
}

static int types(const sn_feature *f, int64_t n, int64_t steps, sn_type *to) {
    (void)f;
    to[0] = to[1] = (sn_type){SN_SHAPE(n, steps), SN_I32};
    return 2;
}

/* One row: the last `before` tokens of the prompt, then the text, as far as there are `steps`. */
static void fill(const scribe *s, const sn_sample *prompt, int64_t before, const sn_sample *text, int64_t steps, int32_t *read, int32_t *say) {
    const int32_t *first = before ? (const int32_t *)prompt->data + (prompt->length - before) : NULL, *second = text->data;
    int64_t all = before + text->length;
    for (int64_t k = 0; k < steps; k++) {
        bool inside = k + 1 < all;
        read[k] = !inside ? s->pad : k < before ? first[k] : second[k - before];
        say[k] = inside && k + 1 >= before ? second[k + 1 - before] : -1;
    }
}

/* Tokens of the prompt that there is room for. */
static int64_t kept(const scribe *s, const sn_sample *prompt, const sn_sample *text) {
    int64_t room = s->longest + 1 - text->length;
    return !prompt ? 0 : prompt->length < room ? prompt->length : room;
}

static sn_status collate_after(const sn_feature *f, const sn_sample *const *prompts, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    const scribe *s = f->state;
    int64_t steps = 1;
    if (!prompts != !s->prompted) SN_FAIL(SN_ERR_STATE, "\"%s\": a text is \"prompted\" where there is a prompt, and only there", f->name);
    for (int64_t i = 0; i < n; i++) {
        int64_t all = kept(s, prompts ? prompts[i] : NULL, samples[i]) + samples[i]->length;
        if (all - 1 > steps) steps = all - 1;
    }
    steps = sn_ladder(steps);
    if (steps > s->longest) steps = s->longest;
    for (int k = 0; k < 2; k++) SN_TRY(sn_array_make(&arrays[k], SN_I32, SN_SHAPE(n, steps)));
    int32_t *read = arrays[0].data, *say = arrays[1].data;
    for (int64_t i = 0; i < n; i++, read += steps, say += steps) {
        const sn_sample *prompt = prompts ? prompts[i] : NULL;
        fill(s, prompt, kept(s, prompt, samples[i]), samples[i], steps, read, say);
    }
    return SN_OK;
}

static sn_status collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    return collate_after(f, NULL, samples, n, arrays);
}

static const char *const keys[] = {"processor", "max_length", "prefix", "end", "separator", "prompted", NULL};
const sn_feature_kind sn_feature_text_written = {.kind = SN_KIND_TEXT, .keys = keys, .open = open, .close = close,
                                                 .encode = encode, .types = types, .collate = collate, .sequence = true,
                                                 .collate_after = collate_after};
