/* words.c: where words begin and end.
 *
 *   UTF-8 -> code points (normalise.c) -> class of each -> words
 *
 * After Unicode's UAX #29 (word boundaries, rules WB4 to WB16), with the classes taken from utf8proc's general
 * categories and a short list of joining marks. Departures, all on purpose:
 *   - scripts written without spaces give one character (grapheme cluster) a word, Katakana too;
 *   - ':' joins nothing and ';' joins no digits (the standard names both as cases for tailoring);
 *   - space and control characters are dropped.
 * What is neither letter nor digit is cut into grapheme clusters: single punctuation marks, and emoji with
 * skin tones, joiners, keycaps and flags whole. */
#include "text/words.h"

#include <utf8proc.h>

#include "text/normalise.h"
#include "text/utf8.h"

typedef enum class {
    SPACE, LETTER, HEBREW, DIGIT, UNDERSCORE, /* '_' and its like join letters and digits */
    EXTEND,                                   /* combining marks and joiners: belong to what stands before */
    ALONE,                                    /* a character of an unspaced script */
    OTHER
} class;

static class class_of_category(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_NL:
        if (sn_is_unspaced(c)) return ALONE;
        return c >= 0x05D0 && c <= 0x05F2 ? HEBREW : LETTER;
    case UTF8PROC_CATEGORY_ND: return DIGIT;
    case UTF8PROC_CATEGORY_PC: return UNDERSCORE;
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: return EXTEND;
    case UTF8PROC_CATEGORY_ZS: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP: case UTF8PROC_CATEGORY_CC:
        return SPACE;
    default: return sn_is_unspaced(c) ? ALONE : OTHER;
    }
}

static class class_of(int32_t c) {
    if (c < 0x80) {
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return LETTER;
        if (c >= '0' && c <= '9') return DIGIT;
        if (c <= ' ' || c == 0x7F) return SPACE;
        return c == '_' ? UNDERSCORE : OTHER;
    }
    if (c == 0x200B) return SPACE; /* zero width space separates words */
    if (c == 0x200C || c == 0x200D || (c >= 0x1F3FB && c <= 0x1F3FF) || (c >= 0xE0020 && c <= 0xE007F)) return EXTEND;
    return class_of_category(c);
}

static bool is_letter(class k) { return k == LETTER || k == HEBREW; }
static bool is_quote(int32_t c) { return c == '\'' || c == 0x2018 || c == 0x2019 || c == 0xFF07; }
static bool is_stop(int32_t c) { return c == '.' || c == 0x2024 || c == 0xFE52 || c == 0xFF0E; }

/* WB6, WB7: marks that join letters. */
static bool joins_letters(int32_t c) {
    return is_quote(c) || is_stop(c) || c == 0xB7 || c == 0x0387 || c == 0x055F || c == 0x05F4 || c == 0x2027;
}
/* WB11, WB12: marks that join digits. */
static bool joins_digits(int32_t c) {
    return is_quote(c) || is_stop(c) || c == ',' || c == 0x066C || c == 0x060C || c == 0x07F8 || c == 0x2044 ||
           c == 0xFE50 || c == 0xFF0C;
}

typedef struct cutter {
    const int32_t *codes;
    size_t count;
    char *utf8; /* room for 4 * count bytes, reused for every word */
    sn_word_fn *word;
    void *context;
} cutter;

static size_t skip_extends(const cutter *c, size_t at) {
    while (at < c->count && class_of(c->codes[at]) == EXTEND) at++;
    return at;
}

/* Does the word go on behind a letter or digit (class `last`), at the non-extending code point `at`?
 * Returns how far it goes for sure, or `at` when it ends here. */
static size_t joined(const cutter *c, size_t at, class last) {
    class k = class_of(c->codes[at]);
    if (is_letter(k) || k == DIGIT || k == UNDERSCORE) return at + 1; /* WB5, WB8-10, WB13a, WB13b */
    if (k != OTHER && k != EXTEND) return at;
    int32_t mark = c->codes[at];
    bool letters = is_letter(last) && (joins_letters(mark) || (last == HEBREW && mark == '"'));
    bool digits = last == DIGIT && joins_digits(mark);
    if (last == HEBREW && mark == '\'') return at + 1; /* WB7a */
    if (!letters && !digits) return at;
    size_t behind = skip_extends(c, at + 1);
    if (behind == c->count) return at;
    class next = class_of(c->codes[behind]);
    if (mark == '"') return next == HEBREW ? behind + 1 : at; /* WB7b, WB7c */
    return (letters && is_letter(next)) || (digits && next == DIGIT) ? behind + 1 : at;
}

/* End of the word of letters, digits and underscores that begins at `at`. */
static size_t end_of_run(const cutter *c, size_t at) {
    size_t end = at + 1;
    for (;;) {
        class last = class_of(c->codes[end - 1]);
        end = skip_extends(c, end);
        if (end == c->count) return end;
        size_t further = joined(c, end, last);
        if (further == end) return end;
        end = further;
    }
}

/* End of the grapheme cluster that begins at `at`. */
static size_t end_of_cluster(const cutter *c, size_t at) {
    utf8proc_int32_t state = 0;
    size_t end = at + 1;
    while (end < c->count && !utf8proc_grapheme_break_stateful(c->codes[end - 1], c->codes[end], &state)) end++;
    return end;
}

static sn_status give(const cutter *c, size_t from, size_t end) {
    size_t bytes = 0;
    for (size_t i = from; i < end; i++)
        bytes += (size_t)utf8proc_encode_char(c->codes[i], (utf8proc_uint8_t *)c->utf8 + bytes);
    return c->word(c->context, c->utf8, bytes);
}

static sn_status cut(const cutter *c) {
    for (size_t at = 0, end; at < c->count; at = end) {
        class k = class_of(c->codes[at]);
        end = at + 1;
        if (k == SPACE) continue;
        if (is_letter(k) || k == DIGIT || k == UNDERSCORE) end = end_of_run(c, at);
        else end = end_of_cluster(c, at);
        SN_TRY(give(c, at, end));
    }
    return SN_OK;
}

sn_status sn_words(const char *utf8, size_t bytes, sn_word_fn *word, void *context) {
    sn_codes codes = {0};
    sn_status status = sn_normalise(utf8, bytes, &codes);
    cutter c = {.codes = codes.data, .count = codes.count, .word = word, .context = context};
    if (status == SN_OK && c.count) {
        c.utf8 = sn_alloc(c.count, 4);
        status = c.utf8 ? cut(&c) : SN_ERR_MEMORY;
    }
    sn_free(c.utf8);
    sn_codes_free(&codes);
    return status;
}
