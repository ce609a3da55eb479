/* tokenizer_encode.c: the way of a text through the parts, and its offsets.
 *
 * Offsets are made at the end: a token's bytes of the text -> the characters they come from in the source -> their code
 * points and, if the input was malformed, bytes of the input. */
#include "text/tokenizer_internal.h"
#include "text/utf8.h"

enum { MOST_BYTES = 1 << 30 };

sn_status sn_tok_token_add(sn_tok_work *w, int32_t id, uint32_t begin, uint32_t end) {
    if (w->token_count == w->token_room) {
        sn_tok_token *tokens = sn_grow(w->tokens, w->token_count, &w->token_room, sizeof *tokens);
        if (!tokens) return SN_ERR_MEMORY;
        w->tokens = tokens;
    }
    w->tokens[w->token_count++] = (sn_tok_token){id, begin, end, w->word};
    return SN_OK;
}

/* ---- input ---- */

/* Byte of the source -> byte of the input, for every byte and the end. */
static sn_status map_given(sn_tok_work *w, const char *s, size_t bytes) {
    size_t size = w->repaired.size + 1;
    uint32_t *given = sn_grow_to(w->given, size, &w->given_room, sizeof *given);
    if (!given) return SN_ERR_MEMORY;
    w->given = given;
    size_t out = 0;
    for (size_t i = 0; i < bytes;) {
        bool good;
        size_t n = sn_tok_part(s + i, bytes - i, &good), m = good ? n : 3;
        for (size_t k = 0; k < m; k++) w->given[out++] = (uint32_t)i;
        i += n;
    }
    w->given[out] = (uint32_t)bytes;
    return SN_OK;
}

/* Makes w->source of the input; w->mapped: w->given is needed to find back. */
static sn_status take(sn_tok_work *w, const char *s, size_t bytes) {
    if (bytes > MOST_BYTES) SN_FAIL(SN_ERR_UNSUPPORTED, "a text of %zu bytes; at most %d", bytes, MOST_BYTES);
    w->source = (sn_tok_text){.data = (char *)(uintptr_t)s, .size = bytes};
    w->mapped = sn_utf8_check(s, bytes) != bytes;
    if (!w->mapped) return SN_OK;
    w->repaired.size = 0;
    w->repaired.failed = false;
    sn_tok_repair(s, bytes, &w->repaired);
    SN_TRY(sn_buf_check(&w->repaired));
    w->source.data = w->repaired.data;
    w->source.size = w->repaired.size;
    return map_given(w, s, bytes);
}

/* ---- pieces ---- */

/* Without normalizers the text is the source. */
static sn_status cut_source(const sn_tokenizer *t, sn_tok_work *w) {
    if (w->text.room && !w->spare.room) { /* a buffer of an earlier call: kept for the pre-tokenizers */
        w->spare = w->text;
    } else if (w->text.room) {
        sn_tok_text_free(&w->text);
    }
    w->text = (sn_tok_text){.data = w->source.data, .size = w->source.size};
    SN_TRY(sn_tok_added_cut(t, &t->plain, t->plain_first, w->text.data, 0, (uint32_t)w->text.size, &w->finer));
    for (size_t i = 0; i < w->finer.count; i++) {
        sn_tok_piece p = w->finer.data[i];
        if (p.id >= 0) SN_TRY(sn_tok_piece_add(&w->pieces, p.begin, p.end, p.id));
        else SN_TRY(sn_tok_added_cut(t, &t->normal, t->normal_first, w->text.data, p.begin, p.end, &w->pieces));
    }
    return SN_OK;
}

static sn_status cut_and_normalise(const sn_tokenizer *t, sn_tok_work *w) {
    if (!w->text.room) w->text = (sn_tok_text){0};
    w->text.size = 0;
    w->text.aligned = w->aligned;
    SN_TRY(sn_tok_added_cut(t, &t->plain, t->plain_first, w->source.data, 0, (uint32_t)w->source.size, &w->finer));
    for (size_t i = 0; i < w->finer.count; i++) {
        sn_tok_piece p = w->finer.data[i];
        uint32_t begin = (uint32_t)w->text.size;
        if (p.id >= 0) {
            SN_TRY(sn_tok_text_copy(&w->text, &w->source, p.begin, p.end));
            SN_TRY(sn_tok_piece_add(&w->pieces, begin, (uint32_t)w->text.size, p.id));
        } else {
            SN_TRY(sn_tok_normalise(t, w, p.begin, p.end));
            SN_TRY(sn_tok_added_cut(t, &t->normal, t->normal_first, w->text.data, begin, (uint32_t)w->text.size, &w->pieces));
        }
    }
    return SN_OK;
}

/* With w->most > 0, of no more pieces from the left than it takes to have that many tokens. */
sn_status sn_tok_drain(sn_tok_work *w, sn_tok_pieces *pieces) {
    const sn_tokenizer *t = w->owner;
    w->batch = pieces->data;
    for (size_t i = 0; i < pieces->count && (!w->most || w->out->count + w->token_count < w->most); i++) {
        sn_tok_piece p = pieces->data[i];
        w->word = w->batch_word + (int32_t)i;
        if (p.id >= 0) SN_TRY(sn_tok_token_add(w, p.id, p.begin, p.end));
        else SN_TRY(t->model->run(t, w, p.begin, p.end));
        SN_TRY(sn_tok_settle_many(w));
    }
    SN_TRY(sn_tok_settle(w));
    w->batch_word += (int32_t)pieces->count;
    pieces->count = 0;
    sn_tok_room_drop(&w->symbols, &w->symbol_room);
    sn_tok_room_drop(&w->heap, &w->heap_room);
    sn_tok_room_drop(&w->lattice, &w->lattice_room);
    return SN_OK;
}

/* ---- offsets ---- */

static void go_to_byte(sn_tok_cursor *c, uint32_t byte) {
    for (; c->byte < byte; c->byte++) c->code += ((unsigned char)c->s[c->byte] & 0xC0) != 0x80;
    for (; c->byte > byte; c->byte--) c->code -= ((unsigned char)c->s[c->byte - 1] & 0xC0) != 0x80;
}

static void go_to_code(sn_tok_cursor *c, uint32_t code) {
    while (c->code < code && c->byte < c->size) {
        c->code++;
        do c->byte++;
        while (c->byte < c->size && ((unsigned char)c->s[c->byte] & 0xC0) == 0x80);
    }
    while (c->code > code && c->byte) {
        c->code--;
        do c->byte--;
        while (c->byte && ((unsigned char)c->s[c->byte] & 0xC0) == 0x80);
    }
}

/* Characters at the start (or end) of a token that are white space or stand for a space. */
static uint32_t blanks(const sn_tokenizer *t, const char *s, uint32_t n, bool at_end) {
    uint32_t count = 0;
    if (!at_end) {
        unsigned width;
        for (uint32_t i = 0; i < n; i += width, count++) {
            int32_t c = sn_tok_code(s + i, &width);
            if (c != 0x120 && !(sn_tok_bits(&t->unicode, c) & SN_IS_SPACE)) break;
        }
        return count;
    }
    for (uint32_t i = n; i; count++) {
        unsigned width;
        uint32_t one = i - 1;
        while (one && ((unsigned char)s[one] & 0xC0) == 0x80) one--;
        int32_t c = sn_tok_code(s + one, &width);
        if (c != 0x120 && !(sn_tok_bits(&t->unicode, c) & SN_IS_SPACE)) break;
        i = one;
    }
    return count;
}

/* Which post-processor trims, and whether the pre-tokenizer is said to have added a space. */
static const sn_tok_processor *trimmer(const sn_tokenizer *t, int i) {
    for (; i < t->processor_count; i++) {
        if (t->processors[i].flags & SN_TOK_TRIM) return &t->processors[i];
    }
    return NULL;
}

static void trim(const sn_tokenizer *t, const sn_tok_processor *p, const sn_tok_work *w, size_t i, sn_token_span *codes) {
    const sn_tok_token *token = &w->tokens[i];
    bool added = w->batch[token->word - w->batch_word].id >= 0;
    const sn_tok_entry *e = added ? NULL : &t->vocab.entries[token->id];
    const char *text = added ? w->text.data + token->begin : e->text;
    uint32_t n = added ? token->end - token->begin : e->bytes;
    uint32_t leading = blanks(t, text, n, false), trailing = blanks(t, text, n, true);
    if (leading) {
        if ((!(w->out->count + i) || !codes->begin) && p->flags & SN_TOK_PREFIX && leading == 1) leading = 0;
        codes->begin = codes->begin + leading < codes->end ? codes->begin + leading : codes->end;
    }
    if (trailing && codes->end >= trailing) codes->end = codes->end - trailing > codes->begin ? codes->end - trailing : codes->begin;
}

static void place(const sn_tokenizer *t, sn_tok_work *w, sn_token_span *bytes, sn_token_span *points) {
    /* One for begins and one for ends: many tokens may share a long stretch, and neither must run to and fro over it. */
    sn_tok_cursor a = w->begins, b = w->ends;
    for (size_t k = 0; k < w->token_count; k++) {
        const sn_tok_token *token = &w->tokens[k];
        sn_token_span from = {0, 0};
        if (token->begin < token->end && token->end <= w->text.size)
            from = (sn_token_span){sn_tok_origin(&w->text, token->begin).begin, sn_tok_origin(&w->text, token->end - 1).end};
        sn_token_span codes;
        go_to_byte(&a, from.begin);
        codes.begin = a.code;
        go_to_byte(&b, from.end);
        codes.end = b.code;
        const sn_tok_processor *p = NULL;
        for (int i = 0; (p = trimmer(t, i)); i = (int)(p - t->processors) + 1) trim(t, p, w, k, &codes);
        if (points) points[k] = codes;
        go_to_code(&a, codes.begin);
        from.begin = a.byte;
        go_to_code(&b, codes.end);
        from.end = b.byte;
        bytes[k] = w->mapped ? (sn_token_span){w->given[from.begin], w->given[from.end]} : from;
    }
    w->begins = a;
    w->ends = b;
}

sn_status sn_tok_settle(sn_tok_work *w) {
    sn_tok_sequence *out = w->out;
    size_t at = out->count, n = w->token_count;
    SN_TRY(sn_tok_sequence_reserve(out, at + n, w->offsets));
    if (!n) return SN_OK;
    if (w->offsets) place(w->owner, w, out->bytes + at, w->offsets == SN_TOK_BYTES_AND_CODES ? out->codes + at : NULL);
    for (size_t k = 0; k < n; k++) {
        out->ids[at + k] = w->tokens[k].id;
        out->words[at + k] = w->tokens[k].word;
    }
    memset(out->special + at, 0, n);
    memset(out->attention + at, 1, n);
    out->count += n;
    w->token_count = 0;
    return SN_OK;
}

/* ---- a sequence ---- */

sn_status sn_tok_sequence_reserve(sn_tok_sequence *s, size_t count, int offsets) {
    if (count <= s->room && (!offsets || s->bytes) && (offsets != SN_TOK_BYTES_AND_CODES || s->codes)) return SN_OK;
    size_t room = count < s->room ? s->room : count + count / 2 + 16;
    void *moved;
#define WIDEN(member)                                                                                       \
    if (!(moved = sn_realloc(s->member, room, sizeof *s->member))) return SN_ERR_MEMORY;                    \
    s->member = moved;
    WIDEN(ids)
    WIDEN(type_ids)
    WIDEN(words)
    WIDEN(special)
    WIDEN(attention)
    if (offsets || s->bytes) {
        WIDEN(bytes)
    }
    if (offsets == SN_TOK_BYTES_AND_CODES || s->codes) {
        WIDEN(codes)
    }
    s->room = room;
    return SN_OK;
}

sn_status sn_tok_sequence_add(sn_tok_sequence *s, int32_t id, int32_t type, int offsets) {
    SN_TRY(sn_tok_sequence_reserve(s, s->count + 1, offsets));
    s->ids[s->count] = id;
    s->type_ids[s->count] = type;
    s->words[s->count] = -1;
    s->special[s->count] = s->attention[s->count] = 1;
    if (offsets) s->bytes[s->count] = (sn_token_span){0, 0};
    if (offsets == SN_TOK_BYTES_AND_CODES) s->codes[s->count] = (sn_token_span){0, 0};
    s->count++;
    return SN_OK;
}

sn_status sn_tok_sequence_shift(sn_tok_sequence *s, size_t n, int offsets) {
    SN_TRY(sn_tok_sequence_reserve(s, s->count + n, offsets));
#define MOVE(member, first)                                                                                 \
    memmove(s->member + n, s->member, s->count * sizeof *s->member);                                        \
    for (size_t i = 0; i < n; i++) s->member[i] = first;
    MOVE(ids, 0)
    MOVE(type_ids, 0)
    MOVE(words, -1)
    MOVE(special, 1)
    MOVE(attention, 1)
    if (offsets) {
        MOVE(bytes, ((sn_token_span){0, 0}))
    }
    if (offsets == SN_TOK_BYTES_AND_CODES) {
        MOVE(codes, ((sn_token_span){0, 0}))
    }
    s->count += n;
    return SN_OK;
}

sn_status sn_tok_sequence_append(sn_tok_sequence *s, const sn_tok_sequence *in, int32_t type, int offsets) {
    SN_TRY(sn_tok_sequence_reserve(s, s->count + in->count, offsets));
    size_t at = s->count, n = in->count;
    if (!n) return SN_OK;
    memcpy(s->ids + at, in->ids, n * sizeof *s->ids);
    memcpy(s->words + at, in->words, n * sizeof *s->words);
    memcpy(s->special + at, in->special, n);
    memcpy(s->attention + at, in->attention, n);
    for (size_t i = 0; i < n; i++) s->type_ids[at + i] = type < 0 ? in->type_ids[i] : type;
    if (offsets) memcpy(s->bytes + at, in->bytes, n * sizeof *s->bytes);
    if (offsets == SN_TOK_BYTES_AND_CODES) memcpy(s->codes + at, in->codes, n * sizeof *s->codes);
    s->count += n;
    return SN_OK;
}

/* The last one's pieces go to the model as they come, if it does not change the text behind them. */
static sn_status pretokenise(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w, bool last) {
    bool changes = p->row == &sn_tok_pretokenizer_byte_level && !t->raw_bytes;
    w->finer.drain = last && !changes ? w : NULL;
    sn_status status = p->row->run(t, p, w);
    w->finer.drain = w->pieces.drain = NULL;
    return status;
}

sn_status sn_tok_encode_one(const sn_tokenizer *t, sn_tok_work *w, const char *s, size_t bytes, size_t most, sn_tok_sequence *out) {
    w->aligned = w->offsets || t->needs_origin;
    w->pieces.count = w->finer.count = out->count = w->token_count = 0;
    w->out = out;
    w->most = most;
    w->batch_word = 0;
    SN_TRY(take(w, s, bytes));
    w->begins = w->ends = (sn_tok_cursor){w->source.data, (uint32_t)w->source.size, 0, 0};
    SN_TRY(t->normalizer_count ? cut_and_normalise(t, w) : cut_source(t, w));
    for (int i = 0; i < t->pretokenizer_count; i++) SN_TRY(pretokenise(t, &t->pretokenizers[i], w, i + 1 == t->pretokenizer_count));
    return sn_tok_drain(w, &w->pieces);
}
