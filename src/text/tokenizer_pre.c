/* tokenizer_pre.c: the pre-tokenizers, which cut pieces finer (added tokens stay as they are) and may change the text.
 *
 *   w->text, w->pieces -> a cutter for each piece -> w->finer, which becomes w->pieces
 *   ByteLevel and Metaspace also write a new text (w->spare), which becomes w->text
 * The last one's pieces do not gather: the model takes them some thousands at a time (sn_tok_drain). */
#include "text/tokenizer_internal.h"

static const sn_tok_pretokenizer_row *row_of(size_t i) {
#define SN_TOK_PRETOKENIZER(id, name) extern const sn_tok_pretokenizer_row sn_tok_pretokenizer_##id;
#include "text/tokenizer_pretokenizers.def"
    static const sn_tok_pretokenizer_row *const rows[] = {
#define SN_TOK_PRETOKENIZER(id, name) &sn_tok_pretokenizer_##id,
#include "text/tokenizer_pretokenizers.def"
    };
    return rows[i];
}

sn_status sn_tok_pretokenizer_add(sn_tokenizer *t, const json_t *json) {
    static const char *const names[] = {
#define SN_TOK_PRETOKENIZER(id, name) name,
#include "text/tokenizer_pretokenizers.def"
    };
    const char *type;
    size_t i;
    SN_TRY(sn_tok_type("pre-tokenizer", json, &type));
    SN_TRY(sn_tok_kind("pre-tokenizer", type, names, sizeof names / sizeof *names, &i));
    const sn_tok_pretokenizer_row *row = row_of(i);
    if (!row->run) return sn_tok_parts_add(t, json, "pretokenizers", sn_tok_pretokenizer_add);
    if (t->pretokenizer_count == SN_TOK_MOST_PARTS) SN_FAIL(SN_ERR_UNSUPPORTED, "more than %d pre-tokenizers", SN_TOK_MOST_PARTS);
    sn_tok_pretokenizer *p = &t->pretokenizers[t->pretokenizer_count++];
    p->row = row;
    return row->parse ? row->parse(t, json, p) : SN_OK;
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_sequence = {0};

void sn_tok_text_turn(sn_tok_work *w) {
    sn_tok_text text = w->text;
    if (!text.room) text.data = NULL; /* was the source itself */
    w->text = w->spare;
    w->spare = text;
    w->spare.size = 0;
    if (w->spare.room > 4 * SN_TOK_MUCH) sn_tok_text_free(&w->spare);
}

sn_status sn_tok_piece_add(sn_tok_pieces *p, uint32_t begin, uint32_t end, int32_t id) {
    if (begin == end) return SN_OK;
    if (p->drain && p->count >= SN_TOK_BATCH) SN_TRY(sn_tok_drain(p->drain, p));
    sn_tok_piece *data = sn_grow(p->data, p->count, &p->room, sizeof *data);
    if (!data) return SN_ERR_MEMORY;
    p->data = data;
    data[p->count++] = (sn_tok_piece){begin, end, id};
    return SN_OK;
}

static void turn_pieces(sn_tok_work *w) {
    sn_tok_pieces pieces = w->pieces;
    w->pieces = w->finer;
    w->finer = pieces;
    w->finer.count = 0;
}

/* ---- what becomes of a delimiter ---- */

typedef enum behaviour { REMOVED, ISOLATED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS, BEHAVIOURS } behaviour;

/* A stream of stretches, delimiter or not, that cover a piece from its begin. */
typedef struct cutter {
    sn_tok_pieces *out;
    behaviour behaviour;
    bool invert;
    bool have, was;      /* an open stretch; the one before was a delimiter */
    uint32_t begin, end; /* the open stretch */
    uint32_t from;       /* behind the last delimiter */
} cutter;

static sn_status flush(cutter *c) {
    bool have = c->have;
    c->have = false;
    return have ? sn_tok_piece_add(c->out, c->begin, c->end, -1) : SN_OK;
}

static sn_status stretch(cutter *c, uint32_t begin, uint32_t end, bool delimiter) {
    delimiter ^= c->invert;
    bool was = c->was, join = false;
    c->was = delimiter;
    switch (c->behaviour) {
    case REMOVED: return delimiter ? SN_OK : sn_tok_piece_add(c->out, begin, end, -1);
    case ISOLATED: return sn_tok_piece_add(c->out, begin, end, -1);
    case MERGED_WITH_PREVIOUS: join = delimiter && !was; break;
    case MERGED_WITH_NEXT: join = !delimiter && was; break;
    case CONTIGUOUS: join = delimiter == was; break;
    case BEHAVIOURS: break;
    }
    if (join && c->have) return c->end = end, SN_OK;
    SN_TRY(flush(c));
    c->have = true;
    c->begin = begin;
    c->end = end;
    return SN_OK;
}

static sn_status delimiter_at(cutter *c, uint32_t begin, uint32_t end) {
    if (c->from < begin) SN_TRY(stretch(c, c->from, begin, false));
    c->from = end;
    return stretch(c, begin, end, true);
}

static sn_status piece_ends(cutter *c, uint32_t end) {
    if (c->from < end) SN_TRY(stretch(c, c->from, end, false));
    return flush(c);
}

/* Cuts every piece where a character has one of `bits`; each such character is a delimiter by itself. */
static sn_status cut_by_class(const sn_tokenizer *t, sn_tok_work *w, unsigned bits, behaviour how) {
    const char *s = w->text.data;
    w->finer.count = 0;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece p = w->pieces.data[i];
        if (p.id >= 0) {
            SN_TRY(sn_tok_piece_add(&w->finer, p.begin, p.end, p.id));
            continue;
        }
        cutter c = {.out = &w->finer, .behaviour = how, .from = p.begin};
        for (uint32_t at = p.begin; at < p.end;) {
            unsigned n;
            if (sn_tok_bits(&t->unicode, sn_tok_code(s + at, &n)) & bits) SN_TRY(delimiter_at(&c, at, at + n));
            at += n;
        }
        SN_TRY(piece_ends(&c, p.end));
    }
    turn_pieces(w);
    return SN_OK;
}

/* The same by a pattern. */
static sn_status cut_by_pattern(const sn_tokenizer *t, sn_tok_work *w, const sn_tok_pattern *pattern, behaviour how, bool invert) {
    w->finer.count = 0;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece p = w->pieces.data[i];
        if (p.id >= 0) {
            SN_TRY(sn_tok_piece_add(&w->finer, p.begin, p.end, p.id));
            continue;
        }
        SN_TRY(sn_tok_pattern_find(t, pattern, w, w->text.data + p.begin, p.end - p.begin));
        cutter c = {.out = &w->finer, .behaviour = how, .invert = invert, .from = p.begin};
        for (size_t m = 0; m < w->match_count; m++)
            SN_TRY(delimiter_at(&c, p.begin + w->matches[2 * m], p.begin + w->matches[2 * m + 1]));
        SN_TRY(piece_ends(&c, p.end));
    }
    turn_pieces(w);
    return SN_OK;
}

static sn_status read_behaviour(const json_t *json, const char *fallback, int *out) {
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const char *name;
    size_t i;
    SN_TRY(sn_json_string(json, "behavior", fallback, &name));
    if (!name) SN_FAIL(SN_ERR_FORMAT, "Split without \"behavior\"");
    SN_TRY(sn_tok_kind("behavior", name, names, BEHAVIOURS, &i));
    *out = (int)i;
    return SN_OK;
}

/* ---- by class ---- */

static sn_status run_bert(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    (void)p;
    const char *s = w->text.data;
    w->finer.count = 0;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece piece = w->pieces.data[i];
        uint32_t from = piece.begin, at = piece.begin;
        if (piece.id >= 0) at = piece.end;
        while (at < piece.end) {
            unsigned n, bits = sn_tok_bits(&t->unicode, sn_tok_code(s + at, &n));
            if (bits & (SN_IS_SPACE | SN_IS_PUNCTUATION)) {
                SN_TRY(sn_tok_piece_add(&w->finer, from, at, -1));
                from = at + n;
                if (!(bits & SN_IS_SPACE)) SN_TRY(sn_tok_piece_add(&w->finer, at, from, -1));
            }
            at += n;
        }
        SN_TRY(sn_tok_piece_add(&w->finer, from, piece.end, piece.id));
    }
    turn_pieces(w);
    return SN_OK;
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_bert = {NULL, run_bert, NULL};

static sn_status run_whitespace_split(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    (void)p;
    return cut_by_class(t, w, SN_IS_SPACE, REMOVED);
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_whitespace_split = {NULL, run_whitespace_split, NULL};

/* Runs of word characters, runs of what is neither word nor space. */
static sn_status run_whitespace(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    (void)p;
    w->finer.count = 0;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece piece = w->pieces.data[i];
        uint32_t from = piece.begin;
        unsigned before = SN_IS_SPACE;
        for (uint32_t at = piece.begin; piece.id < 0 && at < piece.end;) {
            unsigned n, kind = sn_tok_bits(&t->unicode, sn_tok_code(w->text.data + at, &n)) & (SN_IS_WORD | SN_IS_SPACE);
            if (kind != before) {
                if (before != SN_IS_SPACE) SN_TRY(sn_tok_piece_add(&w->finer, from, at, -1));
                from = at;
                before = kind;
            }
            at += n;
        }
        if (piece.id >= 0 || before != SN_IS_SPACE) SN_TRY(sn_tok_piece_add(&w->finer, from, piece.end, piece.id));
    }
    turn_pieces(w);
    return SN_OK;
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_whitespace = {NULL, run_whitespace, NULL};

static sn_status parse_punctuation(const sn_tokenizer *t, const json_t *json, sn_tok_pretokenizer *p) {
    (void)t;
    return read_behaviour(json, "Isolated", &p->flags);
}
static sn_status run_punctuation(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    return cut_by_class(t, w, SN_IS_PUNCTUATION, (behaviour)p->flags);
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_punctuation = {parse_punctuation, run_punctuation, NULL};

static sn_status parse_digits(const sn_tokenizer *t, const json_t *json, sn_tok_pretokenizer *p) {
    bool individual;
    (void)t;
    SN_TRY(sn_json_bool(json, "individual_digits", false, &individual));
    p->flags = individual ? ISOLATED : CONTIGUOUS;
    return SN_OK;
}
static sn_status run_digits(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    return cut_by_class(t, w, SN_IS_NUMERIC, (behaviour)p->flags);
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_digits = {parse_digits, run_digits, NULL};

/* ---- by pattern ---- */

static void release_pattern(sn_tok_pretokenizer *p) { sn_tok_pattern_free(p->state); }

static sn_status parse_split(const sn_tokenizer *t, const json_t *json, sn_tok_pretokenizer *p) {
    bool invert;
    sn_tok_pattern *pattern = NULL;
    (void)t;
    SN_TRY(sn_json_bool(json, "invert", false, &invert));
    SN_TRY(read_behaviour(json, NULL, &p->flags));
    if (invert) p->flags |= 16;
    sn_status status = sn_tok_pattern_read(json_object_get(json, "pattern"), &pattern);
    p->state = pattern;
    return status;
}
static sn_status run_split(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    return cut_by_pattern(t, w, p->state, (behaviour)(p->flags & 15), p->flags & 16);
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_split = {parse_split, run_split, release_pattern};

static sn_status parse_delimiter(const sn_tokenizer *t, const json_t *json, sn_tok_pretokenizer *p) {
    const char *text;
    sn_tok_pattern *pattern = NULL;
    (void)t;
    SN_TRY(sn_json_string(json, "delimiter", NULL, &text));
    if (!text || !*text) SN_FAIL(SN_ERR_FORMAT, "CharDelimiterSplit without \"delimiter\"");
    sn_status status = sn_tok_pattern_create(text, strlen(text), false, &pattern);
    p->state = pattern;
    return status;
}
static sn_status run_delimiter(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    return cut_by_pattern(t, w, p->state, REMOVED, false);
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_delimiter = {parse_delimiter, run_delimiter, release_pattern};

static sn_status parse_fixed_length(const sn_tokenizer *t, const json_t *json, sn_tok_pretokenizer *p) {
    int64_t length;
    (void)t;
    SN_TRY(sn_json_int(json, "length", 5, &length));
    if (length < 1 || length > INT32_MAX) SN_FAIL(SN_ERR_FORMAT, "FixedLength: \"length\" is %lld", (long long)length);
    p->flags = (int)length;
    return SN_OK;
}
static sn_status run_fixed_length(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    (void)t;
    w->finer.count = 0;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece piece = w->pieces.data[i];
        uint32_t from = piece.begin;
        int count = 0;
        for (uint32_t at = piece.begin; piece.id < 0 && at < piece.end; count++) {
            unsigned n;
            if (count == p->flags) {
                SN_TRY(sn_tok_piece_add(&w->finer, from, at, -1));
                from = at;
                count = 0;
            }
            (void)sn_tok_code(w->text.data + at, &n);
            at += n;
        }
        SN_TRY(sn_tok_piece_add(&w->finer, from, piece.end, piece.id));
    }
    turn_pieces(w);
    return SN_OK;
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_fixed_length = {parse_fixed_length, run_fixed_length, NULL};

/* ---- ByteLevel ---- */

enum { PREFIX = 1, PATTERN = 2 };

int32_t sn_tok_byte_code(unsigned char b) {
    if ((b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE) return b;
    return b <= ' ' ? 256 + b : b <= 0xA0 ? 256 + 33 + (b - 0x7F) : 256 + 67;
}

int sn_tok_code_byte(int32_t c) {
    if ((c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xFF && c != 0xAD)) return c;
    if (c < 256 || c > 256 + 67) return -1;
    return c <= 256 + 32 ? c - 256 : c < 256 + 67 ? c - 256 - 33 + 0x7F : 0xAD;
}

static sn_status parse_byte_level(const sn_tokenizer *t, const json_t *json, sn_tok_pretokenizer *p) {
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    bool prefix, pattern;
    sn_tok_pattern *made = NULL;
    (void)t;
    SN_TRY(sn_json_bool(json, "add_prefix_space", true, &prefix));
    SN_TRY(sn_json_bool(json, "use_regex", true, &pattern));
    p->flags = (prefix ? PREFIX : 0) | (pattern ? PATTERN : 0);
    sn_status status = sn_tok_pattern_create(gpt2, sizeof gpt2 - 1, true, &made);
    p->state = made;
    return status;
}

/* A new text in which every piece that is no added token and does not begin with `mark` has `mark` before it; where
 * `first` is set, only a piece that begins where the source does. */
static sn_status prepend(sn_tok_work *w, const char *mark, bool first) {
    size_t n = strlen(mark);
    w->spare.size = 0;
    w->spare.aligned = w->aligned;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece *p = &w->pieces.data[i];
        uint32_t begin = (uint32_t)w->spare.size;
        bool has = p->end - p->begin >= n && !memcmp(w->text.data + p->begin, mark, n);
        if (p->id < 0 && !has && (!first || !sn_tok_origin(&w->text, p->begin).begin))
            SN_TRY(sn_tok_text_add(&w->spare, mark, n, &w->text, p->begin));
        SN_TRY(sn_tok_text_copy(&w->spare, &w->text, p->begin, p->end));
        p->begin = begin;
        p->end = (uint32_t)w->spare.size;
    }
    sn_tok_text_turn(w);
    return SN_OK;
}

/* Every byte becomes its stand-in. */
static sn_status stand_in(sn_tok_work *w) {
    w->spare.size = 0;
    w->spare.aligned = w->aligned;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece *p = &w->pieces.data[i];
        uint32_t begin = (uint32_t)w->spare.size;
        if (p->id >= 0) SN_TRY(sn_tok_text_copy(&w->spare, &w->text, p->begin, p->end));
        for (uint32_t at = p->begin; p->id < 0 && at < p->end; at++) {
            char s[4];
            unsigned n = sn_tok_put(s, sn_tok_byte_code((unsigned char)w->text.data[at]));
            SN_TRY(sn_tok_text_add(&w->spare, s, n, &w->text, at));
        }
        p->begin = begin;
        p->end = (uint32_t)w->spare.size;
    }
    sn_tok_text_turn(w);
    return SN_OK;
}

static bool lacks_space(const sn_tok_work *w) {
    for (size_t i = 0; i < w->pieces.count; i++) {
        if (w->pieces.data[i].id < 0 && w->text.data[w->pieces.data[i].begin] != ' ') return true;
    }
    return false;
}

static sn_status run_byte_level(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    if (p->flags & PREFIX && lacks_space(w)) SN_TRY(prepend(w, " ", false));
    if (p->flags & PATTERN) SN_TRY(cut_by_pattern(t, w, p->state, ISOLATED, false));
    bool last = p == &t->pretokenizers[t->pretokenizer_count - 1];
    return last && t->raw_bytes ? SN_OK : stand_in(w);
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_byte_level = {parse_byte_level, run_byte_level, release_pattern};

/* ---- Metaspace ---- */

enum { ALWAYS, FIRST, NEVER, SPLIT = 4 };

static void release_text(sn_tok_pretokenizer *p) { sn_free(p->state); }

static sn_status parse_metaspace(const sn_tokenizer *t, const json_t *json, sn_tok_pretokenizer *p) {
    static const char *const schemes[] = {"always", "first", "never"};
    const char *mark, *scheme;
    bool split, prefix;
    size_t i;
    SN_TRY(sn_json_string(json, "replacement", "\xE2\x96\x81", &mark));
    SN_TRY(sn_json_bool(json, "add_prefix_space", true, &prefix));
    SN_TRY(sn_json_string(json, "prepend_scheme", prefix ? "always" : "never", &scheme));
    SN_TRY(sn_json_bool(json, "split", true, &split));
    SN_TRY(sn_tok_kind("prepend_scheme", scheme, schemes, 3, &i));
    unsigned n = 0;
    if (*mark) (void)sn_tok_code(mark, &n);
    if (!n || mark[n]) SN_FAIL(SN_ERR_FORMAT, "Metaspace: \"replacement\" must be one character");
    if (!prefix && i != NEVER) SN_FAIL(SN_ERR_FORMAT, "Metaspace: add_prefix_space is false, but prepend_scheme is \"%s\"", scheme);
    p->flags = (int)i | (split ? SPLIT : 0);
    if (i == FIRST) ((sn_tokenizer *)(uintptr_t)t)->needs_origin = true;
    p->state = sn_strdup(mark);
    return p->state ? SN_OK : SN_ERR_MEMORY;
}

/* Spaces become `mark`. */
static sn_status mark_spaces(sn_tok_work *w, const char *mark) {
    size_t n = strlen(mark);
    w->spare.size = 0;
    w->spare.aligned = w->aligned;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece *p = &w->pieces.data[i];
        uint32_t begin = (uint32_t)w->spare.size, at = p->begin, from = at;
        for (; p->id < 0 && at < p->end; at++) {
            if (w->text.data[at] != ' ') continue;
            SN_TRY(sn_tok_text_copy(&w->spare, &w->text, from, at));
            SN_TRY(sn_tok_text_add(&w->spare, mark, n, &w->text, at));
            from = at + 1;
        }
        SN_TRY(sn_tok_text_copy(&w->spare, &w->text, from, p->end));
        p->begin = begin;
        p->end = (uint32_t)w->spare.size;
    }
    sn_tok_text_turn(w);
    return SN_OK;
}

/* A piece begins at every mark. */
static sn_status cut_at_marks(sn_tok_work *w, const char *mark) {
    size_t n = strlen(mark);
    w->finer.count = 0;
    for (size_t i = 0; i < w->pieces.count; i++) {
        sn_tok_piece p = w->pieces.data[i];
        uint32_t from = p.begin;
        for (uint32_t at = p.begin; p.id < 0 && at + n <= p.end; at++) {
            if (at == from || w->text.data[at] != *mark || memcmp(w->text.data + at, mark, n)) continue;
            SN_TRY(sn_tok_piece_add(&w->finer, from, at, -1));
            from = at;
        }
        SN_TRY(sn_tok_piece_add(&w->finer, from, p.end, p.id));
    }
    turn_pieces(w);
    return SN_OK;
}

static sn_status run_metaspace(const sn_tokenizer *t, const sn_tok_pretokenizer *p, sn_tok_work *w) {
    const char *mark = p->state;
    int scheme = p->flags & 3;
    (void)t;
    SN_TRY(mark_spaces(w, mark));
    if (scheme != NEVER) SN_TRY(prepend(w, mark, scheme == FIRST));
    return p->flags & SPLIT ? cut_at_marks(w, mark) : SN_OK;
}
const sn_tok_pretokenizer_row sn_tok_pretokenizer_metaspace = {parse_metaspace, run_metaspace, release_text};
