/* tokenizer_decode.c: ids -> token strings -> decoders -> text; and token by token.
 *
 * A decoder turns a list of strings into another; the text is the last list, joined. Without decoders the tokens are
 * joined by spaces, as the reference does. */
#include "text/tokenizer_internal.h"

static const sn_tok_decoder_row *row_of(size_t i) {
#define SN_TOK_DECODER(id, name) extern const sn_tok_decoder_row sn_tok_decoder_##id;
#include "text/tokenizer_decoders.def"
    static const sn_tok_decoder_row *const rows[] = {
#define SN_TOK_DECODER(id, name) &sn_tok_decoder_##id,
#include "text/tokenizer_decoders.def"
    };
    return rows[i];
}

sn_status sn_tok_decoder_add(sn_tokenizer *t, const json_t *json) {
    static const char *const names[] = {
#define SN_TOK_DECODER(id, name) name,
#include "text/tokenizer_decoders.def"
    };
    const char *type;
    size_t i;
    SN_TRY(sn_tok_type("decoder", json, &type));
    SN_TRY(sn_tok_kind("decoder", type, names, sizeof names / sizeof *names, &i));
    const sn_tok_decoder_row *row = row_of(i);
    if (!row->run) return sn_tok_parts_add(t, json, "decoders", sn_tok_decoder_add);
    if (t->decoder_count == SN_TOK_MOST_PARTS) SN_FAIL(SN_ERR_UNSUPPORTED, "more than %d decoders", SN_TOK_MOST_PARTS);
    sn_tok_decoder *d = &t->decoders[t->decoder_count++];
    d->row = row;
    return row->parse ? row->parse(t, json, d) : SN_OK;
}
const sn_tok_decoder_row sn_tok_decoder_sequence = {0};

sn_status sn_tok_strings_end(sn_tok_strings *s) {
    SN_TRY(sn_buf_check(&s->text));
    size_t *ends = sn_grow(s->ends, s->count, &s->room, sizeof *ends);
    if (!ends) return SN_ERR_MEMORY;
    s->ends = ends;
    ends[s->count++] = s->text.size;
    return SN_OK;
}

static void free_strings(sn_tok_strings *s) {
    sn_buf_free(&s->text);
    sn_free(s->ends);
}

/* What decoding shows for an id: the token, or what an added token was normalised to; NULL to pass it over. */
static const char *shown(const sn_tokenizer *t, int32_t id, bool skip_special, size_t *bytes) {
    const char *text = sn_tokenizer_token(t, id);
    int32_t index = id >= 0 && (size_t)id < t->added_ids ? t->added_by_id[id] : -1;
    if (index >= 0 && t->added_shown && t->added_shown[index]) text = t->added_shown[index];
    if (!text) return NULL;
    *bytes = strlen(text);
    if (!skip_special) return text;
    int32_t named = sn_tok_vocab_find(&t->added_names, text, *bytes);
    return named >= 0 && t->added[named].special ? NULL : text;
}

sn_status sn_tokenizer_decode(const sn_tokenizer *t, const int32_t *ids, size_t n, bool skip_special, sn_buf *out) {
    sn_tok_strings now = {0}, next = {0};
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && i < n; i++) {
        size_t bytes = 0;
        const char *text = shown(t, ids[i], skip_special, &bytes);
        if (!text) continue;
        if (!t->decoder_count && now.count) sn_buf_add(&now.text, " ", 1);
        sn_buf_add(&now.text, text, bytes);
        status = sn_tok_strings_end(&now);
    }
    for (int i = 0; status == SN_OK && i < t->decoder_count; i++) {
        next.count = next.text.size = 0;
        status = t->decoders[i].row->run(&t->decoders[i], &now, &next);
        if (status == SN_OK) status = sn_buf_check(&next.text);
        sn_tok_strings swap = now;
        now = next;
        next = swap;
    }
    if (status == SN_OK) {
        sn_buf_add(out, now.text.data ? now.text.data : "", now.text.size);
        status = sn_buf_check(out);
    }
    free_strings(&now);
    free_strings(&next);
    return status;
}

/* ---- token by token ---- */

enum { MOST_PENDING = 16 }; /* tokens that wait for the rest of a character; no character takes more */

void sn_decode_stream_begin(sn_decode_stream *s, const sn_tokenizer *t, bool skip_special) {
    *s = (sn_decode_stream){.tokenizer = t, .skip_special = skip_special};
}

void sn_decode_stream_free(sn_decode_stream *s) {
    sn_free(s->ids);
    sn_buf_free(&s->text);
    *s = (sn_decode_stream){0};
}

static bool ends_open(const sn_buf *text) {
    return text->size >= 3 && !memcmp(text->data + text->size - 3, "\xEF\xBF\xBD", 3);
}

static sn_status decode_kept(sn_decode_stream *s, size_t count) {
    s->text.size = 0;
    s->text.failed = false;
    return sn_tokenizer_decode(s->tokenizer, s->ids, count, s->skip_special, &s->text);
}

/* Tells what is new, then forgets the ids that no longer matter: those before the last told ones. */
static sn_status tell(sn_decode_stream *s, sn_buf *out) {
    if (s->text.size > s->told) sn_buf_add(out, s->text.data + s->told, s->text.size - s->told);
    SN_TRY(sn_buf_check(out));
    if (s->settled) memmove(s->ids, s->ids + s->settled, (s->count - s->settled) * sizeof *s->ids);
    s->count -= s->settled;
    s->settled = s->count;
    SN_TRY(decode_kept(s, s->count));
    s->told = s->text.size;
    return SN_OK;
}

sn_status sn_decode_stream_next(sn_decode_stream *s, int32_t id, sn_buf *out) {
    int32_t *ids = sn_grow(s->ids, s->count, &s->room, sizeof *ids);
    if (!ids) return SN_ERR_MEMORY;
    s->ids = ids;
    ids[s->count++] = id;
    SN_TRY(decode_kept(s, s->count));
    bool pending = s->text.size <= s->told || ends_open(&s->text);
    if (pending && s->count - s->settled < MOST_PENDING) return SN_OK;
    return tell(s, out);
}

sn_status sn_decode_stream_finish(sn_decode_stream *s, sn_buf *out) {
    SN_TRY(decode_kept(s, s->count));
    if (s->text.size > s->told) sn_buf_add(out, s->text.data + s->told, s->text.size - s->told);
    s->count = s->settled = s->told = 0;
    return sn_buf_check(out);
}
