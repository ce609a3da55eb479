/* tokenizer_pattern.c: patterns: fixed text, a scanner from the table, or PCRE2.
 *
 * The reference's expressions are Oniguruma's with Ruby's rules: ^ and $ hold at every line, \s, \w and \h mean other
 * characters than to PCRE2 and are spelt out; the rest reads the same with UTF and Unicode properties. Steps and heap are
 * bounded, so that a hostile pattern ends in an error. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/tokenizer_scanners.h"

enum { MOST_STEPS = 20000000, MOST_HEAP_KB = 65536, MOST_PATTERN = 1 << 16 };

struct sn_tok_pattern {
    char *fixed; /* fixed text, else NULL */
    size_t bytes;
    sn_tok_scan *scan; /* else NULL */
    pcre2_code *code;
    pcre2_match_context *limits;
};

sn_tok_scan *sn_tok_scanner_for(const char *pattern) {
    static const struct { const char *pattern; sn_tok_scan *scan; } rows[] = {
#define SN_TOK_SCANNER(id, text) {text, sn_tok_scan_##id},
#include "text/tokenizer_scanners.def"
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!strcmp(rows[i].pattern, pattern)) return rows[i].scan;
    }
    return NULL;
}

static void *take(PCRE2_SIZE bytes, void *data) {
    (void)data;
    return sn_alloc(bytes, 1);
}
static void give(void *block, void *data) {
    (void)data;
    sn_free(block);
}

/* What an escape means to Oniguruma, in a class or alone (where the superscripts and fractions of Latin-1 are word
 * characters too); NULL: the same as to PCRE2. */
static const char *meaning(char escape, bool in_class) {
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define LATIN "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"
    switch (escape) {
    case 's': return "\\p{White_Space}";
    case 'S': return "\\P{White_Space}";
    case 'w': return in_class ? WORD : "[" WORD LATIN "]";
    case 'W': return in_class ? NULL : "[^" WORD LATIN "]";
    case 'h': return in_class ? "0-9a-fA-F" : "[0-9a-fA-F]";
    default: return NULL;
    }
}

static sn_status translate(const char *text, size_t bytes, sn_buf *out) {
    bool in_class = false;
    for (size_t i = 0; i < bytes; i++) {
        const char *other = text[i] == '\\' && i + 1 < bytes ? meaning(text[i + 1], in_class) : NULL;
        if (other) {
            sn_buf_puts(out, other);
            i++;
            continue;
        }
        if (text[i] == '\\' && i + 1 < bytes) sn_buf_add(out, text + i++, 1);
        else if (text[i] == '[' && !in_class) in_class = true;
        else if (text[i] == ']') in_class = false;
        sn_buf_add(out, text + i, 1);
    }
    return sn_buf_check(out);
}

/* PCRE2 with our memory. */
static sn_status compile(sn_tok_pattern *p, const char *text, size_t bytes) {
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_general_context *memory = pcre2_general_context_create(take, give, NULL);
    if (!memory) return SN_ERR_MEMORY;
    pcre2_compile_context *rules = pcre2_compile_context_create(memory);
    if (rules) {
        (void)pcre2_set_newline(rules, PCRE2_NEWLINE_LF);
        p->code = pcre2_compile((PCRE2_SPTR)text, bytes, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &at, rules);
        p->limits = p->code ? pcre2_match_context_create(memory) : NULL;
    }
    pcre2_compile_context_free(rules);
    pcre2_general_context_free(memory);
    if (!p->code && rules && error != PCRE2_ERROR_HEAP_FAILED) {
        PCRE2_UCHAR why[120];
        (void)pcre2_get_error_message(error, why, sizeof why);
        SN_FAIL(SN_ERR_UNSUPPORTED, "pattern \"%.*s\": %s, at byte %zu", (int)(bytes < 200 ? bytes : 200), text, (char *)why, (size_t)at);
    }
    if (!p->limits) return SN_ERR_MEMORY;
    (void)pcre2_set_match_limit(p->limits, MOST_STEPS);
    (void)pcre2_set_heap_limit(p->limits, MOST_HEAP_KB);
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without it the interpreter does */
    return SN_OK;
}

sn_status sn_tok_pattern_create(const char *text, size_t bytes, bool regex, sn_tok_pattern **out) {
    if (bytes > MOST_PATTERN) SN_FAIL(SN_ERR_UNSUPPORTED, "a pattern of %zu bytes; at most %d", bytes, MOST_PATTERN);
    sn_tok_pattern *p = *out = sn_alloc(1, sizeof *p);
    if (!p) return SN_ERR_MEMORY;
    if (!regex) {
        p->bytes = bytes;
        p->fixed = sn_strndup(text, bytes);
        return p->fixed ? SN_OK : SN_ERR_MEMORY;
    }
    p->scan = sn_tok_scanner_for(text);
    sn_buf ours = {0};
    sn_status status = translate(text, bytes, &ours);
    if (status == SN_OK) status = compile(p, ours.data ? ours.data : "", ours.size);
    sn_buf_free(&ours);
    return status;
}

sn_status sn_tok_pattern_read(const json_t *json, sn_tok_pattern **out) {
    const char *regex, *fixed;
    if (json_is_string(json)) return sn_tok_pattern_create(json_string_value(json), json_string_length(json), false, out);
    if (!json_is_object(json)) SN_FAIL(SN_ERR_FORMAT, "\"pattern\": expected an object with \"Regex\" or \"String\"");
    SN_TRY(sn_json_string(json, "Regex", NULL, &regex));
    SN_TRY(sn_json_string(json, "String", NULL, &fixed));
    if (!regex == !fixed) SN_FAIL(SN_ERR_FORMAT, "\"pattern\": expected either \"Regex\" or \"String\"");
    const char *text = regex ? regex : fixed;
    return sn_tok_pattern_create(text, strlen(text), regex != NULL, out);
}

void sn_tok_pattern_free(sn_tok_pattern *p) {
    if (!p) return;
    pcre2_code_free(p->code);
    pcre2_match_context_free(p->limits);
    sn_free(p->fixed);
    sn_free(p);
}

void sn_tok_pattern_general(sn_tok_pattern *p) { p->scan = NULL; }

typedef struct list {
    uint32_t *pairs;
    size_t count, room;
} list;

static sn_status add(list *l, size_t begin, size_t end) {
    uint32_t *pairs = sn_grow_to(l->pairs, 2 * l->count + 2, &l->room, sizeof *pairs);
    if (!pairs) return SN_ERR_MEMORY;
    l->pairs = pairs;
    l->pairs[2 * l->count] = (uint32_t)begin;
    l->pairs[2 * l->count + 1] = (uint32_t)end;
    l->count++;
    return SN_OK;
}

static sn_status find_fixed(const sn_tok_pattern *p, const char *text, size_t size, list *l) {
    const char *at = text;
    if (!p->bytes) { /* as an empty expression: between all characters */
        for (size_t i = 0; i <= size; i++) {
            if (i == size || ((unsigned char)text[i] & 0xC0) != 0x80) SN_TRY(add(l, i, i));
        }
        return SN_OK;
    }
    while ((size_t)(at - text) + p->bytes <= size) {
        at = memchr(at, p->fixed[0], size - (size_t)(at - text) - p->bytes + 1);
        if (!at) break;
        if (memcmp(at, p->fixed, p->bytes)) {
            at++;
            continue;
        }
        SN_TRY(add(l, (size_t)(at - text), (size_t)(at - text) + p->bytes));
        at += p->bytes;
    }
    return SN_OK;
}

static sn_status find_pcre(const sn_tok_pattern *p, pcre2_match_data *data, const char *text, size_t size, list *l) {
    size_t at = 0, last = SIZE_MAX; /* end of the last match */
    while (at <= size) {
        uint32_t options = PCRE2_NO_UTF_CHECK;
        int found = pcre2_match(p->code, (PCRE2_SPTR)text, size, at, options, data, p->limits);
        if (found == PCRE2_ERROR_JIT_STACKLIMIT)
            found = pcre2_match(p->code, (PCRE2_SPTR)text, size, at, options | PCRE2_NO_JIT, data, p->limits);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found == PCRE2_ERROR_NOMEMORY) return SN_ERR_MEMORY;
        if (found < 0) {
            PCRE2_UCHAR why[120];
            (void)pcre2_get_error_message(found, why, sizeof why);
            SN_FAIL(SN_ERR_UNSUPPORTED, "matching a pattern: %s, at byte %zu of %zu", (char *)why, at, size);
        }
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(data);
        size_t begin = ends[0], end = ends[1];
        if (begin > end) SN_FAIL(SN_ERR_UNSUPPORTED, "a pattern whose match ends before it begins");
        if (begin == end && end == last) { /* an empty match right behind another one does not count */
            unsigned n = 1;
            if (at < size) (void)sn_tok_code(text + at, &n);
            at += n;
            continue;
        }
        SN_TRY(add(l, begin, end));
        at = last = end;
    }
    return SN_OK;
}

static sn_status find(const sn_tok_unicode *u, const sn_tok_pattern *p, void **data, const char *text, size_t size, list *l) {
    if (p->fixed) return find_fixed(p, text, size, l);
    if (p->scan && u) {
        for (size_t at = 0, begin, end; p->scan(u, text, at, size, &begin, &end); at = end) SN_TRY(add(l, begin, end));
        return SN_OK;
    }
    if (!*data) {
        pcre2_general_context *memory = pcre2_general_context_create(take, give, NULL);
        if (memory) *data = pcre2_match_data_create(1, memory);
        pcre2_general_context_free(memory);
        if (!*data) return SN_ERR_MEMORY;
    }
    return find_pcre(p, *data, text, size, l);
}

sn_status sn_tok_pattern_find(const sn_tokenizer *t, const sn_tok_pattern *p, sn_tok_work *w, const char *text, size_t bytes) {
    list l = {w->matches, 0, w->match_room};
    sn_status status = find(&t->unicode, p, &w->match_data, text, bytes, &l);
    w->matches = l.pairs;
    w->match_room = l.room;
    w->match_count = l.count;
    return status;
}

sn_status sn_tok_pattern_list(const sn_tok_pattern *p, const char *text, size_t bytes, uint32_t **pairs, size_t *count) {
    list l = {0};
    void *data = NULL;
    sn_status status = find(NULL, p, &data, text, bytes, &l);
    pcre2_match_data_free(data);
    *pairs = l.pairs;
    *count = l.count;
    return status;
}

void sn_tok_match_data_free(void *data) { pcre2_match_data_free(data); }
