/* tokenizer_scanners.c: the patterns of well-known models, matched by hand: one table look-up a character.
 *
 * A scanner gives the first match that begins at `at` or later; they never look further ahead than the match and one
 * character, so a text is passed once. The classes are the reference's (tokenizer_unicode.def). */
#include "text/tokenizer_scanners.h"

enum { BLANK = SN_IS_SPACE, LETTERS = SN_IS_LETTER, NUMBERS = SN_IS_NUMBER, CLASSES = BLANK | LETTERS | NUMBERS };

static inline unsigned class_at(const sn_tok_unicode *u, const char *s, size_t at, unsigned *n) {
    return sn_tok_bits(u, sn_tok_code(s + at, n)) & CLASSES;
}

/* The end of the run of characters whose class is `class`, from `at` on. */
static size_t run(const sn_tok_unicode *u, const char *s, size_t at, size_t size, unsigned class) {
    unsigned n;
    for (; at < size && class_at(u, s, at, &n) == class; at += n) {}
    return at;
}

/* Length of the English ending behind an apostrophe at `at`, with it; 0 when there is none. */
static size_t ending(const char *s, size_t at, size_t size, bool any_case) {
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (s[at] != '\'') return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]), k = 0;
        while (k < n && at + 1 + k < size && (char)(any_case ? s[at + 1 + k] | 32 : s[at + 1 + k]) == endings[i][k]) k++;
        if (k == n) return n + 1;
    }
    /* U+017F, the long s, is an s without regard to case. */
    return any_case && size - at > 2 && s[at + 1] == '\xC5' && s[at + 2] == '\xBF' ? 3 : 0;
}

/* White space from `at` on: all of it at the end of the text or if it is one character, else all but the last. */
static size_t blanks(const sn_tok_unicode *u, const char *s, size_t at, size_t size) {
    unsigned n;
    size_t end = at, last = at;
    for (; end < size && class_at(u, s, end, &n) & BLANK; end += n) last = end;
    return end == size || last == at ? end : last;
}

bool sn_tok_scan_gpt2(const sn_tok_unicode *u, const char *s, size_t at, size_t size, size_t *begin, size_t *end) {
    unsigned n;
    *begin = at;
    if (at == size) return false;
    size_t more = ending(s, at, size, false);
    if (more) return *end = at + more, true;
    size_t word = at + (s[at] == ' ' && at + 1 < size);
    unsigned class = class_at(u, s, word, &n);
    *end = class & BLANK ? blanks(u, s, at, size) : run(u, s, word + n, size, class);
    return true;
}

bool sn_tok_scan_clip(const sn_tok_unicode *u, const char *s, size_t at, size_t size, size_t *begin, size_t *end) {
    unsigned n;
    at = run(u, s, at, size, BLANK);
    *begin = at;
    if (at == size) return false;
    size_t more = ending(s, at, size, false);
    if (more) return *end = at + more, true;
    unsigned class = class_at(u, s, at, &n);
    *end = class == NUMBERS ? at + n : run(u, s, at + n, size, class);
    return true;
}

bool sn_tok_scan_clip_marked(const sn_tok_unicode *u, const char *s, size_t at, size_t size, size_t *begin, size_t *end) {
    static const char *const marks[] = {"<|startoftext|>", "<|endoftext|>"};
    at = run(u, s, at, size, BLANK);
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(marks[i]);
        if (size - at >= n && !memcmp(s + at, marks[i], n)) return *begin = at, *end = at + n, true;
    }
    return sn_tok_scan_clip(u, s, at, size, begin, end);
}

static bool is_break(char c) { return c == '\r' || c == '\n'; }

/* At a blank that begins no word: up to the last line break of the run, else as blanks(). */
static size_t lines(const sn_tok_unicode *u, const char *s, size_t at, size_t size) {
    unsigned n;
    size_t line = 0, end = at, last = at;
    for (; end < size && class_at(u, s, end, &n) & BLANK; end += n) {
        if (is_break(s[end])) line = end + n;
        last = end;
    }
    if (line) return line;
    return end == size || last == at ? end : last;
}

static bool scan_100k(const sn_tok_unicode *u, const char *s, size_t at, size_t size, size_t *begin, size_t *end, int digits) {
    unsigned n, next;
    *begin = at;
    if (at == size) return false;
    size_t more = ending(s, at, size, true);
    if (more) return *end = at + more, true;
    unsigned class = class_at(u, s, at, &n);
    if (class == LETTERS) return *end = run(u, s, at + n, size, LETTERS), true;
    if (class == NUMBERS) {
        for (*end = at + n; --digits && *end < size && class_at(u, s, *end, &n) == NUMBERS; *end += n) {}
        return true;
    }
    unsigned after = at + n < size ? class_at(u, s, at + n, &next) : BLANK;
    if (after == LETTERS && !is_break(s[at])) return *end = run(u, s, at + n, size, LETTERS), true;
    size_t other = at + (s[at] == ' ' && !after ? 1 : 0);
    if (class & BLANK && other == at) return *end = lines(u, s, at, size), true;
    *end = run(u, s, other, size, 0);
    while (*end < size && is_break(s[*end])) ++*end;
    return true;
}

bool sn_tok_scan_cl100k(const sn_tok_unicode *u, const char *s, size_t at, size_t size, size_t *begin, size_t *end) {
    return scan_100k(u, s, at, size, begin, end, 3);
}

bool sn_tok_scan_qwen2(const sn_tok_unicode *u, const char *s, size_t at, size_t size, size_t *begin, size_t *end) {
    return scan_100k(u, s, at, size, begin, end, 1);
}

bool sn_tok_scan_spaces(const sn_tok_unicode *u, const char *s, size_t at, size_t size, size_t *begin, size_t *end) {
    unsigned n;
    for (; at < size && !(class_at(u, s, at, &n) & BLANK); at += n) {}
    *begin = at;
    if (at == size) return false;
    for (; at < size && class_at(u, s, at, &n) & BLANK; at += n) {}
    *end = at;
    return true;
}
