/* tokenizer_normalise.c: runs the normalizers over a segment of the source and keeps track of where each byte is from.
 *
 *   source [begin, end) -> code points with origin -> normalizer, normalizer, ... -> UTF-8 with origin, appended to w->text
 *
 * When all normalizers are local, text is cut before every ASCII character: runs of ASCII go through a table that was
 * made by asking the normalizers once, and only the stretches between them take the long way. Other normalizers that may
 * be given a text in parts get parts of some 64 KiB, for code points with origin are many times as large as the text. */
#include "text/tokenizer_internal.h"

enum { PART = 1 << 16 };

static const sn_tok_normalizer_row *row_of(size_t i) {
#define SN_TOK_NORMALIZER(id, name) extern const sn_tok_normalizer_row sn_tok_normalizer_##id;
#include "text/tokenizer_normalizers.def"
    static const sn_tok_normalizer_row *const rows[] = {
#define SN_TOK_NORMALIZER(id, name) &sn_tok_normalizer_##id,
#include "text/tokenizer_normalizers.def"
    };
    return rows[i];
}

sn_status sn_tok_normalizer_add(sn_tokenizer *t, const json_t *json) {
    static const char *const names[] = {
#define SN_TOK_NORMALIZER(id, name) name,
#include "text/tokenizer_normalizers.def"
    };
    const char *type;
    size_t i;
    SN_TRY(sn_tok_type("normalizer", json, &type));
    SN_TRY(sn_tok_kind("normalizer", type, names, sizeof names / sizeof *names, &i));
    const sn_tok_normalizer_row *row = row_of(i);
    if (!row->run) return sn_tok_parts_add(t, json, "normalizers", sn_tok_normalizer_add);
    if (t->normalizer_count == SN_TOK_MOST_PARTS) SN_FAIL(SN_ERR_UNSUPPORTED, "more than %d normalizers", SN_TOK_MOST_PARTS);
    sn_tok_normalizer *n = &t->normalizers[t->normalizer_count++];
    n->row = row;
    n->cut = row->cut;
    return row->parse ? row->parse(t, json, n) : SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_sequence = {0};

/* ---- texts with origin ---- */

/* Room for the origins of `count` bytes or code points. */
static sn_status reserve_spans(uint32_t **from, uint8_t **width, size_t *room, size_t count) {
    if (count <= *room) return SN_OK;
    size_t wide = *room, again = *room;
    uint32_t *moved = sn_grow_to(*from, count, &wide, sizeof *moved);
    if (!moved) return SN_ERR_MEMORY;
    *from = moved;
    uint8_t *beside = sn_grow_to(*width, count, &again, sizeof *beside);
    if (!beside) return SN_ERR_MEMORY;
    *width = beside;
    *room = wide < again ? wide : again;
    return SN_OK;
}

void sn_tok_text_free(sn_tok_text *t) {
    if (t->room) sn_free(t->data);
    sn_free(t->from);
    sn_free(t->width);
    *t = (sn_tok_text){0};
}

void sn_tok_codes_free(sn_tok_codes *c) {
    sn_free(c->code);
    sn_free(c->from);
    sn_free(c->width);
    *c = (sn_tok_codes){0};
}

void sn_tok_room_drop(void **room, size_t *elements) {
    if (*elements <= SN_TOK_MUCH) return;
    sn_free(*room);
    *room = NULL;
    *elements = 0;
}

sn_status sn_tok_text_reserve(sn_tok_text *t, size_t extra, bool aligned) {
    size_t size = t->size + extra;
    if (size > INT32_MAX) SN_FAIL(SN_ERR_UNSUPPORTED, "a text of more than 2 GiB after normalizing");
    char *data = sn_grow_to(t->data, size, &t->room, 1);
    if (!data) return SN_ERR_MEMORY;
    t->data = data;
    return aligned ? reserve_spans(&t->from, &t->width, &t->span_room, size) : SN_OK;
}

sn_token_span sn_tok_origin(const sn_tok_text *t, size_t at) {
    if (t->aligned) return (sn_token_span){t->from[at], t->from[at] + t->width[at]};
    size_t begin = at, end = at + 1;
    while (begin && ((unsigned char)t->data[begin] & 0xC0) == 0x80) begin--;
    while (end < t->size && ((unsigned char)t->data[end] & 0xC0) == 0x80) end++;
    return (sn_token_span){(uint32_t)begin, (uint32_t)end};
}

sn_status sn_tok_text_copy(sn_tok_text *t, const sn_tok_text *in, size_t begin, size_t end) {
    size_t n = end - begin;
    SN_TRY(sn_tok_text_reserve(t, n, t->aligned));
    memcpy(t->data + t->size, in->data + begin, n);
    if (t->aligned && in->aligned) {
        memcpy(t->from + t->size, in->from + begin, n * sizeof *t->from);
        memcpy(t->width + t->size, in->width + begin, n);
    } else if (t->aligned) {
        for (size_t i = 0; i < n;) {
            unsigned width;
            (void)sn_tok_code(in->data + begin + i, &width);
            for (unsigned k = 0; k < width; k++, i++) {
                t->from[t->size + i] = (uint32_t)(begin + i - k);
                t->width[t->size + i] = (uint8_t)width;
            }
        }
    }
    t->size += n;
    return SN_OK;
}

sn_status sn_tok_text_add(sn_tok_text *t, const char *bytes, size_t n, const sn_tok_text *in, size_t at) {
    SN_TRY(sn_tok_text_reserve(t, n, t->aligned));
    memcpy(t->data + t->size, bytes, n);
    if (t->aligned) {
        sn_token_span span = at < in->size ? sn_tok_origin(in, at) : (sn_token_span){0, 0};
        for (size_t i = 0; i < n; i++) t->from[t->size + i] = span.begin, t->width[t->size + i] = (uint8_t)(span.end - span.begin);
    }
    t->size += n;
    return SN_OK;
}

/* ---- code points ---- */

sn_status sn_tok_codes_reserve(sn_tok_codes *c, size_t count, bool aligned) {
    int32_t *code = sn_grow_to(c->code, count, &c->room, sizeof *code);
    if (!code) return SN_ERR_MEMORY;
    c->code = code;
    return aligned ? reserve_spans(&c->from, &c->width, &c->span_room, count) : SN_OK;
}

sn_status sn_tok_other_add(sn_tok_work *w, int32_t code, size_t at) {
    sn_tok_codes *o = &w->other;
    if (o->count == o->room || (w->aligned && o->count == o->span_room)) SN_TRY(sn_tok_codes_reserve(o, o->count + 1, w->aligned));
    o->code[o->count] = code;
    if (w->aligned) {
        bool there = at < w->codes.count;
        o->from[o->count] = there ? w->codes.from[at] : w->base;
        o->width[o->count] = there ? w->codes.width[at] : 0;
    }
    o->count++;
    return SN_OK;
}

void sn_tok_turn(sn_tok_work *w) {
    sn_tok_codes codes = w->codes;
    w->codes = w->other;
    w->other = codes;
    w->other.count = 0;
}

sn_status sn_tok_change_add(sn_tok_work *w, int32_t code, int32_t change) {
    sn_tok_change *changes = sn_grow(w->changes, w->change_count, &w->change_room, sizeof *changes);
    if (!changes) return SN_ERR_MEMORY;
    w->changes = changes;
    w->changes[w->change_count++] = (sn_tok_change){code, change};
    return SN_OK;
}

sn_status sn_tok_apply(sn_tok_work *w) {
    size_t next = 0;
    for (size_t i = 0; i < w->change_count; i++) {
        sn_tok_change c = w->changes[i];
        bool fresh = c.change > 0; /* shares the origin of what stands before it */
        SN_TRY(sn_tok_other_add(w, c.code, fresh ? (next ? next - 1 : SIZE_MAX) : next));
        if (!fresh) next += (size_t)(1 - c.change);
    }
    w->change_count = 0;
    sn_tok_turn(w);
    return SN_OK;
}

sn_status sn_tok_codes_text(const sn_tok_codes *from, sn_buf *out) {
    char s[4];
    for (size_t i = 0; i < from->count; i++) sn_buf_add(out, s, sn_tok_put(s, from->code[i]));
    return sn_buf_check(out);
}

/* ---- a segment ---- */

static sn_status decode(sn_tok_work *w, size_t begin, size_t end) {
    sn_tok_codes *c = &w->codes;
    SN_TRY(sn_tok_codes_reserve(c, end - begin, w->aligned));
    c->count = 0;
    for (size_t i = begin; i < end;) {
        unsigned n;
        c->code[c->count] = sn_tok_code(w->source.data + i, &n);
        if (w->aligned) c->from[c->count] = (uint32_t)i, c->width[c->count] = (uint8_t)n;
        c->count++;
        i += n;
    }
    return SN_OK;
}

static sn_status encode(sn_tok_work *w) {
    sn_tok_text *t = &w->text;
    const sn_tok_codes *c = &w->codes;
    SN_TRY(sn_tok_text_reserve(t, c->count * 4, t->aligned));
    for (size_t i = 0; i < c->count; i++) {
        unsigned n = sn_tok_put(t->data + t->size, c->code[i]);
        if (t->aligned) {
            for (unsigned k = 0; k < n; k++) t->from[t->size + k] = c->from[i], t->width[t->size + k] = c->width[i];
        }
        t->size += n;
    }
    return SN_OK;
}

/* One normalizer on w->codes, which are the `first` part of their text or a later one. */
static sn_status step(const sn_tokenizer *t, int i, sn_tok_work *w, bool first) {
    const sn_tok_normalizer *n = &t->normalizers[i];
    return n->once && !first ? SN_OK : n->row->run(t, n, w);
}

static sn_status stretch(const sn_tokenizer *t, sn_tok_work *w, size_t begin, size_t end, bool first) {
    SN_TRY(decode(w, begin, end));
    w->other.count = w->change_count = 0;
    for (int i = 0; i < t->normalizer_count; i++) SN_TRY(step(t, i, w, first));
    return encode(w);
}

/* The end of the part that begins at i. */
static size_t part_end(const sn_tokenizer *t, const char *s, size_t i, size_t end) {
    if (end - i < 2 * PART) return end;
    for (i += PART; i < end && !(t->plain_ascii[(unsigned char)s[i - 1]] && t->plain_ascii[(unsigned char)s[i]]); i++) {}
    return i;
}

static sn_status by_parts(const sn_tokenizer *t, sn_tok_work *w, size_t begin, size_t end) {
    for (size_t i = begin, next;; i = next) {
        next = part_end(t, w->source.data, i, end);
        SN_TRY(stretch(t, w, i, next, i == begin));
        if (next == end) return SN_OK;
    }
}

/* ASCII from `i` on that is followed by ASCII, or ends the segment; returns where that stops. */
static size_t ascii_run(const sn_tokenizer *t, sn_tok_work *w, size_t i, size_t end) {
    const char *s = w->source.data;
    sn_tok_text *out = &w->text;
    for (; i < end && !(s[i] & 0x80) && (i + 1 == end || !(s[i + 1] & 0x80)); i++) {
        int16_t to = t->ascii[(unsigned char)s[i]];
        if (to < 0) continue;
        out->data[out->size] = (char)to;
        if (out->aligned) out->from[out->size] = (uint32_t)i, out->width[out->size] = 1;
        out->size++;
    }
    return i;
}

static sn_status by_runs(const sn_tokenizer *t, sn_tok_work *w, size_t begin, size_t end) {
    const char *s = w->source.data;
    for (size_t i = begin; i < end;) {
        SN_TRY(sn_tok_text_reserve(&w->text, end - i, w->text.aligned));
        i = ascii_run(t, w, i, end);
        size_t j = i;
        while (j < end && (j == i || (s[j] & 0x80))) j++;
        if (j > i) SN_TRY(stretch(t, w, i, j, i == begin));
        i = j;
    }
    return SN_OK;
}

sn_status sn_tok_normalise(const sn_tokenizer *t, sn_tok_work *w, size_t begin, size_t end) {
    w->base = (uint32_t)begin;
    SN_TRY(t->local ? by_runs(t, w, begin, end) : by_parts(t, w, begin, end));
    if (w->codes.room > SN_TOK_MUCH) sn_tok_codes_free(&w->codes);
    if (w->other.room > SN_TOK_MUCH) sn_tok_codes_free(&w->other);
    void *changes = w->changes;
    sn_tok_room_drop(&changes, &w->change_room);
    w->changes = changes;
    return SN_OK;
}

/* Asks the normalizers what they make of each ASCII character alone. */
static sn_status ask_ascii(sn_tokenizer *t, sn_tok_work *w) {
    char s[128];
    for (int c = 0; c < 128; c++) s[c] = (char)c;
    w->source.data = s;
    w->source.size = sizeof s;
    for (int c = 0; c < 128; c++) {
        w->text.size = 0;
        SN_TRY(stretch(t, w, (size_t)c, (size_t)c + 1, true));
        if (w->text.size > 1 || (w->text.size && (w->text.data[0] & 0x80))) t->local = false;
        t->ascii[c] = w->text.size ? w->text.data[0] : -1;
    }
    return SN_OK;
}

static bool is_plain(int32_t c) { return c > ' ' && c < 0x7F; }

/* Asks each normalizer in turn which printing ASCII characters it makes one of. */
static sn_status ask_plain(sn_tokenizer *t, sn_tok_work *w) {
    char s[128];
    for (int c = 0; c < 128; c++) s[c] = (char)c;
    w->source.data = s;
    w->source.size = sizeof s;
    for (int c = ' ' + 1; c < 0x7F; c++) {
        bool plain = true;
        SN_TRY(decode(w, (size_t)c, (size_t)c + 1));
        w->other.count = w->change_count = 0;
        for (int i = 0; plain && i < t->normalizer_count; i++) {
            SN_TRY(step(t, i, w, false));
            plain = w->codes.count == 1 && is_plain(w->codes.code[0]);
        }
        t->plain_ascii[c] = plain;
    }
    return SN_OK;
}

sn_status sn_tok_normalizers_ready(sn_tokenizer *t) {
    int cut = t->normalizer_count ? SN_TOK_CUT_ASCII : SN_TOK_CUT_NOWHERE;
    for (int i = 0; i < t->normalizer_count; i++) {
        const sn_tok_normalizer *n = &t->normalizers[i];
        /* What begins a text can be told only while nothing was taken from it. */
        int own = n->once && i ? SN_TOK_CUT_NOWHERE : n->cut;
        if (own < cut) cut = own;
    }
    t->local = cut == SN_TOK_CUT_ASCII;
    if (cut == SN_TOK_CUT_NOWHERE) return SN_OK;
    sn_tok_work *w = sn_alloc(1, sizeof *w);
    if (!w) return SN_ERR_MEMORY;
    sn_status status = t->local ? ask_ascii(t, w) : SN_OK;
    if (status == SN_OK && !t->local) status = ask_plain(t, w);
    w->source.data = NULL;
    sn_tok_work_free(w);
    return status;
}
