/* tokenizer_norm_text.c: the normalizers that look at more than one character: Strip, Prepend, Replace, Precompiled,
 * and ByteLevel. */
#include <utf8proc.h>

#include "text/tokenizer_internal.h"

/* ---- Strip ---- */

enum { LEFT = 1, RIGHT = 2 };

static sn_status parse_strip(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n) {
    bool left, right;
    (void)t;
    SN_TRY(sn_json_bool(json, "strip_left", true, &left));
    SN_TRY(sn_json_bool(json, "strip_right", true, &right));
    n->flags = (left ? LEFT : 0) | (right ? RIGHT : 0);
    return SN_OK;
}

static sn_status run_strip(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    const sn_tok_codes *c = &w->codes;
    size_t begin = 0, end = c->count;
    while (n->flags & LEFT && begin < end && sn_tok_bits(&t->unicode, c->code[begin]) & SN_IS_SPACE) begin++;
    while (n->flags & RIGHT && begin < end && sn_tok_bits(&t->unicode, c->code[end - 1]) & SN_IS_SPACE) end--;
    for (size_t i = begin; i < end; i++) SN_TRY(sn_tok_other_add(w, c->code[i], i));
    sn_tok_turn(w);
    return SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_strip = {parse_strip, run_strip, NULL, SN_TOK_CUT_NOWHERE};

/* ---- Prepend ---- */

static void release_text(sn_tok_normalizer *n) { sn_free(n->state); }

static sn_status parse_prepend(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n) {
    const char *text;
    (void)t;
    SN_TRY(sn_json_string(json, "prepend", NULL, &text));
    if (!text) SN_FAIL(SN_ERR_FORMAT, "Prepend without \"prepend\"");
    n->state = sn_strdup(text);
    n->once = true;
    return n->state ? SN_OK : SN_ERR_MEMORY;
}

static sn_status run_prepend(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    const char *s = n->state;
    (void)t;
    if (!w->codes.count) return SN_OK;
    for (unsigned width; *s; s += width) SN_TRY(sn_tok_other_add(w, sn_tok_code(s, &width), 0));
    for (size_t i = 0; i < w->codes.count; i++) SN_TRY(sn_tok_other_add(w, w->codes.code[i], i));
    sn_tok_turn(w);
    return SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_prepend = {parse_prepend, run_prepend, release_text, SN_TOK_CUT_PLAIN};

/* ---- Replace ---- */

typedef struct replacement {
    sn_tok_pattern *pattern; /* NULL: the single character `code` */
    int32_t code;
    char *content;
} replacement;

static void release_replace(sn_tok_normalizer *n) {
    replacement *r = n->state;
    if (r) {
        sn_tok_pattern_free(r->pattern);
        sn_free(r->content);
    }
    sn_free(r);
}

static sn_status parse_replace(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n) {
    const char *content, *single = NULL;
    json_t *pattern;
    (void)t;
    SN_TRY(sn_json_string(json, "content", NULL, &content));
    SN_TRY(sn_json_object(json, "pattern", &pattern));
    if (!content || !pattern) SN_FAIL(SN_ERR_FORMAT, "Replace without \"pattern\" or \"content\"");
    replacement *r = n->state = sn_alloc(1, sizeof *r);
    if (!r || !(r->content = sn_strdup(content))) return SN_ERR_MEMORY;
    SN_TRY(sn_json_string(pattern, "String", NULL, &single));
    unsigned width = 0;
    if (single && *single) r->code = sn_tok_code(single, &width);
    if (width && !single[width]) return n->cut = SN_TOK_CUT_PLAIN, SN_OK;
    /* Patterns of which white space alone can be a match. */
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    if (regex && (!strcmp(regex, "\\s+") || !strcmp(regex, " {2,}"))) n->cut = SN_TOK_CUT_PLAIN;
    return sn_tok_pattern_read(pattern, &r->pattern);
}

static sn_status add_content(sn_tok_work *w, const char *s, size_t origin) {
    for (unsigned width; *s; s += width) SN_TRY(sn_tok_other_add(w, sn_tok_code(s, &width), origin));
    return SN_OK;
}

static sn_status replace_matches(const sn_tokenizer *t, const replacement *r, sn_tok_work *w) {
    const sn_tok_codes *c = &w->codes;
    sn_buf text = {0};
    sn_status status = sn_tok_codes_text(c, &text);
    if (status == SN_OK) status = sn_tok_pattern_find(t, r->pattern, w, text.data ? text.data : "", text.size);
    sn_buf_free(&text);
    SN_TRY(status);
    size_t i = 0, at = 0; /* code point, its byte */
    for (size_t m = 0; m < w->match_count; m++) {
        char s[4];
        for (; at < w->matches[2 * m]; i++) {
            SN_TRY(sn_tok_other_add(w, c->code[i], i));
            at += sn_tok_put(s, c->code[i]);
        }
        for (; at < w->matches[2 * m + 1]; i++) at += sn_tok_put(s, c->code[i]);
        SN_TRY(add_content(w, r->content, i ? i - 1 : SIZE_MAX));
    }
    for (; i < c->count; i++) SN_TRY(sn_tok_other_add(w, c->code[i], i));
    return SN_OK;
}

static sn_status run_replace(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    const replacement *r = n->state;
    const sn_tok_codes *c = &w->codes;
    if (r->pattern && c->count) SN_TRY(replace_matches(t, r, w));
    if (r->pattern && !c->count) return SN_OK;
    for (size_t i = 0; !r->pattern && i < c->count; i++) {
        if (c->code[i] == r->code) SN_TRY(add_content(w, r->content, i));
        else SN_TRY(sn_tok_other_add(w, c->code[i], i));
    }
    sn_tok_turn(w);
    return SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_replace = {parse_replace, run_replace, release_replace, SN_TOK_CUT_NOWHERE};

/* ---- Precompiled: sentencepiece's character map ----
 * Base64 of: bytes of the trie (u32), the trie (a Darts double array of u32), replacements (each ends with NUL). */

typedef struct charsmap {
    uint32_t *units;
    size_t count;
    char *texts; /* NUL after its end */
    size_t size;
} charsmap;

static void release_charsmap(sn_tok_normalizer *n) {
    charsmap *m = n->state;
    if (m) {
        sn_free(m->units);
        sn_free(m->texts);
    }
    sn_free(m);
}

/* Decodes in place into `out` (room for 3/4); -1 when it is not base64. */
static long unbase64(const char *s, unsigned char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    long n = 0;
    uint32_t bits = 0;
    int have = 0;
    for (; *s && *s != '='; s++) {
        const char *at = strchr(digits, *s);
        if (!at) return -1;
        bits = bits << 6 | (uint32_t)(at - digits);
        have += 6;
        if (have >= 8) out[n++] = (unsigned char)(bits >> (have -= 8));
    }
    return n;
}

static sn_status split_charsmap(charsmap *m, const unsigned char *raw, size_t n) {
    uint32_t trie = 0;
    for (int i = 0; n >= 4 && i < 4; i++) trie |= (uint32_t)raw[i] << 8 * i;
    if (n < 4 || trie > n - 4 || trie < 4) SN_FAIL(SN_ERR_FORMAT, "Precompiled: the charsmap of %zu bytes has a trie of %u", n, trie);
    m->count = trie / 4;
    m->units = sn_alloc(m->count, sizeof *m->units);
    if (!m->units) return SN_ERR_MEMORY;
    for (size_t i = 0; i < m->count * 4; i++) m->units[i / 4] |= (uint32_t)raw[4 + i] << 8 * (i % 4);
    size_t used = 4 + m->count * 4;
    m->size = n - used;
    m->texts = sn_strndup((const char *)raw + used, m->size);
    if (!m->texts) return SN_ERR_MEMORY;
    for (size_t i = 0; i < m->size;) {
        bool good;
        i += sn_tok_part(m->texts + i, m->size - i, &good);
        if (!good) SN_FAIL(SN_ERR_FORMAT, "Precompiled: the charsmap's replacements are not UTF-8");
    }
    return SN_OK;
}

static sn_status parse_precompiled(const sn_tokenizer *t, const json_t *json, sn_tok_normalizer *n) {
    const char *text;
    (void)t;
    SN_TRY(sn_json_string(json, "precompiled_charsmap", "", &text));
    charsmap *m = n->state = sn_alloc(1, sizeof *m);
    unsigned char *raw = sn_alloc(strlen(text) + 1, 1);
    if (!m || !raw) {
        sn_free(raw);
        return SN_ERR_MEMORY;
    }
    long bytes = unbase64(text, raw);
    sn_status status = bytes < 0 ? sn_fail(SN_ERR_FORMAT, "Precompiled: \"precompiled_charsmap\" is not base64") : SN_OK;
    if (status == SN_OK && bytes) status = split_charsmap(m, raw, (size_t)bytes);
    sn_free(raw);
    return status;
}

/* The replacement of the shortest entry that begins the n bytes at s; NULL when there is none. */
static const char *mapped(const charsmap *m, const char *s, size_t n) {
    if (!m->count) return NULL;
    uint32_t unit = m->units[0];
    size_t at = (unit >> 10) << ((unit & (1u << 9)) >> 6);
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)s[i];
        at ^= byte;
        if (!byte || at >= m->count) return NULL;
        unit = m->units[at];
        if ((unit & (1u << 31 | 0xFF)) != byte) return NULL;
        at ^= (size_t)(unit >> 10) << ((unit & (1u << 9)) >> 6);
        if (at >= m->count) return NULL;
        if (unit >> 8 & 1) {
            size_t text = m->units[at] & 0x7FFFFFFF;
            /* An offset into the middle of a character would not be text. */
            return text < m->size && (m->texts[text] & 0xC0) != 0x80 ? m->texts + text : NULL;
        }
    }
    return NULL;
}

/* `n` code points become `text`: one for one as far as they go. */
static sn_status put_mapped(sn_tok_work *w, const char *text, int n) {
    size_t begin = w->change_count;
    int count = 0;
    for (unsigned width; *text; text += width, count++) SN_TRY(sn_tok_change_add(w, sn_tok_code(text, &width), 0));
    for (int i = n; i < count; i++) w->changes[begin + (size_t)i].change = 1;
    if (count < n && w->change_count) w->changes[w->change_count - 1].change += count - n;
    return SN_OK;
}

/* The grapheme of code points [i, j). */
static sn_status map_grapheme(const charsmap *m, sn_tok_work *w, size_t i, size_t j) {
    char s[8];
    size_t bytes = 0;
    for (size_t k = i; k < j && bytes < 6; k++) {
        char one[4];
        unsigned n = sn_tok_put(one, w->codes.code[k]);
        if (bytes + n < 6) memcpy(s + bytes, one, n);
        bytes += n;
    }
    const char *text = bytes < 6 ? mapped(m, s, bytes) : NULL;
    if (text) return put_mapped(w, text, (int)(j - i));
    for (; i < j; i++) {
        unsigned n = sn_tok_put(s, w->codes.code[i]);
        text = mapped(m, s, n);
        if (text) SN_TRY(put_mapped(w, text, 1));
        else SN_TRY(sn_tok_change_add(w, w->codes.code[i], 0));
    }
    return SN_OK;
}

static sn_status run_precompiled(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    const int32_t *c = w->codes.code;
    size_t count = w->codes.count;
    (void)t;
    for (size_t i = 0, j; i < count; i = j) {
        utf8proc_int32_t state = 0;
        for (j = i + 1; j < count; j++) {
            bool both_plain = c[j] >= ' ' && c[j] < 0x7F && c[j - 1] < 0x7F;
            if (both_plain || utf8proc_grapheme_break_stateful(c[j - 1], c[j], &state)) break;
        }
        SN_TRY(map_grapheme(n->state, w, i, j));
    }
    return sn_tok_apply(w);
}
const sn_tok_normalizer_row sn_tok_normalizer_precompiled = {parse_precompiled, run_precompiled, release_charsmap, SN_TOK_CUT_PLAIN};

/* ---- ByteLevel ---- */

static sn_status run_byte_level(const sn_tokenizer *t, const sn_tok_normalizer *n, sn_tok_work *w) {
    (void)t, (void)n;
    for (size_t i = 0; i < w->codes.count; i++) {
        char s[4];
        unsigned width = sn_tok_put(s, w->codes.code[i]);
        for (unsigned k = 0; k < width; k++) SN_TRY(sn_tok_other_add(w, sn_tok_byte_code((unsigned char)s[k]), i));
    }
    sn_tok_turn(w);
    return SN_OK;
}
const sn_tok_normalizer_row sn_tok_normalizer_byte_level = {NULL, run_byte_level, NULL, SN_TOK_CUT_PLAIN};
