/* tokenizer_norm_unicode.c: the normalizers that look at code points: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Nmt,
 * BertNormalizer.
 *
 * The reference normalises as Unicode 9 does. utf8proc knows younger characters; the table calls those inert, and they
 * are passed over here. The order of what is composed and of the changes told follows the reference, for offsets hang on it:
 * a mark that is moved takes the origin of the character in whose place it comes to stand. */
#include <utf8proc.h>

#include "text/tokenizer_internal.h"

enum { COMPATIBLE = 1, COMPOSE = 2, MOST_PARTS_OF_CODE = 32, FEW_MARKS = 16 };
enum { CLEAN = 1, HAN = 2, STRIP = 4, LOWER = 8 };

static int class_of(const sn_tokenizer *t, int32_t c) {
    if (c < 0x300 || sn_tok_bits(&t->unicode, c) & SN_IS_INERT) return 0;
    return utf8proc_get_property(c)->combining_class;
}

/* Sorts the marks changes[from..count) by class; a long run by counting, to stay linear. */
static sn_status sort_marks(const sn_tokenizer *t, sn_tok_work *w, size_t from) {
    sn_tok_change *c = w->changes + from;
    size_t n = w->change_count - from;
    if (n <= FEW_MARKS) {
        for (size_t i = 1; i < n; i++) {
            sn_tok_change one = c[i];
            size_t k = i;
            for (; k && class_of(t, c[k - 1].code) > class_of(t, one.code); k--) c[k] = c[k - 1];
            c[k] = one;
        }
        return SN_OK;
    }
    size_t place[257] = {0};
    sn_tok_change *sorted = sn_alloc(n, sizeof *sorted);
    if (!sorted) return SN_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) place[(class_of(t, c[i].code) & 255) + 1]++;
    for (int i = 0; i < 256; i++) place[i + 1] += place[i];
    for (size_t i = 0; i < n; i++) sorted[place[class_of(t, c[i].code) & 255]++] = c[i];
    memcpy(c, sorted, n * sizeof *c);
    sn_free(sorted);
    return SN_OK;
}

/* w->codes -> w->changes: decomposed, marks in canonical order. */
static sn_status decompose(const sn_tokenizer *t, sn_tok_work *w, bool compatible) {
    size_t marks = 0; /* where the marks at the end begin */
    utf8proc_option_t how = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0);
    for (size_t i = 0; i < w->codes.count; i++) {
        int32_t parts[MOST_PARTS_OF_CODE], c = w->codes.code[i];
        utf8proc_ssize_t n = 1;
        int boundary = 0;
        parts[0] = c;
        if (c >= 0xA0 && !(sn_tok_bits(&t->unicode, c) & SN_IS_INERT)) {
            n = utf8proc_decompose_char(c, parts, MOST_PARTS_OF_CODE, how, &boundary);
            if (n < 1 || n > MOST_PARTS_OF_CODE) parts[0] = c, n = 1;
        }
        for (utf8proc_ssize_t k = 0; k < n; k++) {
            bool starter = !class_of(t, parts[k]);
            if (starter && w->change_count > marks + 1) SN_TRY(sort_marks(t, w, marks));
            SN_TRY(sn_tok_change_add(w, parts[k], k > 0));
            if (starter) marks = w->change_count;
        }
    }
    return w->change_count > marks + 1 ? sort_marks(t, w, marks) : SN_OK;
}

/* The composition of a and b; -1 when there is none. */
static int32_t composed(const sn_tokenizer *t, int32_t a, int32_t b) {
    if (b < 0x300 || (sn_tok_bits(&t->unicode, a) | sn_tok_bits(&t->unicode, b)) & SN_IS_INERT) return -1;
    utf8proc_int32_t pair[3] = {a, b, 0};
    if (utf8proc_normalize_utf32(pair, 2, UTF8PROC_STABLE | UTF8PROC_COMPOSE) != 1) return -1;
    return sn_tok_bits(&t->unicode, pair[0]) & SN_IS_INERT ? -1 : pair[0];
}

/* Composes w->changes in place. A starter waits for what may join it; marks that did not join wait behind it, at
 * [waiting, out): they are told after it. */
static void compose(const sn_tokenizer *t, sn_tok_work *w) {
    sn_tok_change *c = w->changes, starter = {0};
    size_t out = 0, slot = 0;
    bool have = false;
    int last = -1; /* class of the last mark that did not join */
    for (size_t i = 0; i < w->change_count; i++) {
        sn_tok_change one = c[i];
        int class = class_of(t, one.code);
        if (!have && class) {
            c[out++] = one;
            continue;
        }
        int32_t joined = have && (last < 0 || last < class) ? composed(t, starter.code, one.code) : -1;
        if (joined >= 0) {
            starter = (sn_tok_change){joined, starter.change + one.change - 1};
            continue;
        }
        if (class) {
            c[out++] = one;
            last = class;
            continue;
        }
        if (have) c[slot] = starter;
        slot = out++;
        starter = one;
        have = true;
        last = -1;
    }
    if (have) c[slot] = starter;
    w->change_count = out;
}

static sn_status normal_form(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    SN_TRY(decompose(t, w, n->flags & COMPATIBLE));
    if (n->flags & COMPOSE) compose(t, w);
    return sn_tok_apply(w);
}

static sn_status parse_nfc(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n) {
    (void)t, (void)json;
    return n->flags = COMPOSE, SN_OK;
}
static sn_status parse_nfkc(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n) {
    (void)t, (void)json;
    return n->flags = COMPOSE | COMPATIBLE, SN_OK;
}
static sn_status parse_nfkd(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n) {
    (void)t, (void)json;
    return n->flags = COMPATIBLE, SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_nfc = {parse_nfc, normal_form, NULL, SN_TOK_CUT_ASCII};
const sn_tok_normalizer_row sn_tok_normalizer_nfd = {NULL, normal_form, NULL, SN_TOK_CUT_ASCII};
const sn_tok_normalizer_row sn_tok_normalizer_nfkc = {parse_nfkc, normal_form, NULL, SN_TOK_CUT_ASCII};
const sn_tok_normalizer_row sn_tok_normalizer_nfkd = {parse_nfkd, normal_form, NULL, SN_TOK_CUT_ASCII};

/* ---- letter by letter ---- */

/* Keeps the code points without any of `bits`. */
static void drop(const sn_tokenizer *t, sn_tok_work *w, unsigned bits) {
    sn_tok_codes *c = &w->codes;
    size_t out = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (sn_tok_bits(&t->unicode, c->code[i]) & bits) continue;
        if (out != i) {
            c->code[out] = c->code[i];
            if (w->aligned) c->from[out] = c->from[i], c->width[out] = c->width[i];
        }
        out++;
    }
    c->count = out;
}

static sn_status lower(sn_tok_work *w) {
    for (size_t i = 0; i < w->codes.count; i++) {
        int32_t to[2];
        int n = sn_tok_lower(w->codes.code[i], to);
        for (int k = 0; k < n; k++) SN_TRY(sn_tok_other_add(w, to[k], i));
    }
    sn_tok_turn(w);
    return SN_OK;
}

static sn_status run_lowercase(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    (void)t, (void)n;
    return lower(w);
}
const sn_tok_normalizer_row sn_tok_normalizer_lowercase = {NULL, run_lowercase, NULL, SN_TOK_CUT_ASCII};

static sn_status run_strip_accents(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    (void)n;
    drop(t, w, SN_IS_COMBINING);
    return SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_strip_accents = {NULL, run_strip_accents, NULL, SN_TOK_CUT_ASCII};

/* What sentencepiece's older rules take away (-1), and for white space. */
static int32_t nmt(int32_t c) {
    if ((c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return -1;
    if (c == 9 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
        c == 0x2581 || c == 0xFEFF || c == 0xFFFD)
        return ' ';
    return c;
}

static sn_status run_nmt(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    (void)t, (void)n;
    for (size_t i = 0; i < w->codes.count; i++) {
        int32_t to = nmt(w->codes.code[i]);
        if (to >= 0) SN_TRY(sn_tok_other_add(w, to, i));
    }
    sn_tok_turn(w);
    return SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_nmt = {NULL, run_nmt, NULL, SN_TOK_CUT_ASCII};

/* ---- BERT ---- */

static sn_status parse_bert(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n) {
    bool clean, han, strip, lowercase;
    (void)t;
    SN_TRY(sn_json_bool(json, "clean_text", true, &clean));
    SN_TRY(sn_json_bool(json, "handle_chinese_chars", true, &han));
    SN_TRY(sn_json_bool(json, "lowercase", true, &lowercase));
    SN_TRY(sn_json_bool(json, "strip_accents", lowercase, &strip));
    n->flags = (clean ? CLEAN : 0) | (han ? HAN : 0) | (strip ? STRIP : 0) | (lowercase ? LOWER : 0);
    return SN_OK;
}

static sn_status run_bert(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    bool marks = false;
    for (size_t i = 0; i < w->codes.count; i++) {
        int32_t c = w->codes.code[i];
        unsigned bits = sn_tok_bits(&t->unicode, c);
        if (n->flags & CLEAN) {
            if (!c || c == 0xFFFD || bits & SN_IS_OTHER) continue;
            if (bits & SN_IS_SPACE) c = ' ';
        }
        bool han = (n->flags & HAN) && bits & SN_IS_HAN;
        marks |= c >= 0xA0 && !(bits & SN_IS_HAN && c < 0xA000);
        if (han) SN_TRY(sn_tok_other_add(w, ' ', i));
        SN_TRY(sn_tok_other_add(w, c, i));
        if (han) SN_TRY(sn_tok_other_add(w, ' ', i));
    }
    sn_tok_turn(w);
    if (n->flags & STRIP && marks) {
        SN_TRY(decompose(t, w, false));
        SN_TRY(sn_tok_apply(w));
        drop(t, w, SN_IS_NONSPACING);
    }
    return n->flags & LOWER ? lower(w) : SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_bert = {parse_bert, run_bert, NULL, SN_TOK_CUT_ASCII};
