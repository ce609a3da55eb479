/* tokenizer_decoders.c: the decoders, each from a list of strings to a list of strings. */
#include "text/tokenizer_internal.h"

/* String i of a list. */
static const char *string(const sn_tok_strings *in, size_t i, size_t *bytes) {
    size_t begin = i ? in->ends[i - 1] : 0;
    *bytes = in->ends[i] - begin;
    return in->text.data ? in->text.data + begin : "";
}

static sn_status put(sn_tok_strings *out, const char *s, size_t bytes) {
    sn_buf_add(&out->text, s, bytes);
    return sn_tok_strings_end(out);
}

static void release_state(sn_tok_decoder *d) { sn_free(d->state); }

/* Adds s with every `what` replaced. */
static void replaced(sn_buf *out, const char *s, size_t n, const char *what, const char *by) {
    size_t m = strlen(what), from = 0;
    for (size_t i = 0; m && i + m <= n;) {
        if (memcmp(s + i, what, m)) {
            i++;
            continue;
        }
        sn_buf_add(out, s + from, i - from);
        sn_buf_puts(out, by);
        from = i += m;
    }
    sn_buf_add(out, s + from, n - from);
}

/* ---- ByteLevel ---- */

static sn_status run_byte_level(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    sn_buf raw = {0};
    (void)d;
    for (size_t i = 0; i < in->count; i++) {
        size_t n, begin = raw.size;
        const char *s = string(in, i, &n);
        unsigned width;
        bool good = true;
        for (size_t k = 0; good && k < n; k += width) {
            int b = sn_tok_code_byte(sn_tok_code(s + k, &width));
            char c = (char)b;
            good = b >= 0;
            if (good) sn_buf_add(&raw, &c, 1);
        }
        if (good) continue;
        raw.size = begin; /* a token that stands for itself */
        sn_buf_add(&raw, s, n);
    }
    if (raw.size) sn_tok_repair(raw.data, raw.size, &out->text);
    sn_status status = sn_buf_check(&raw);
    sn_buf_free(&raw);
    return status == SN_OK ? sn_tok_strings_end(out) : status;
}
const sn_tok_decoder_row sn_tok_decoder_byte_level = {NULL, run_byte_level, NULL};

/* ---- WordPiece ---- */

typedef struct wordpiece {
    char prefix[64];
    bool cleanup;
} wordpiece;

static sn_status parse_wordpiece(const sn_tokenizer *t, const json_t *json, sn_tok_decoder *d) {
    const char *prefix;
    (void)t;
    wordpiece *m = d->state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    SN_TRY(sn_json_string(json, "prefix", "##", &prefix));
    SN_TRY(sn_json_bool(json, "cleanup", true, &m->cleanup));
    if (strlen(prefix) >= sizeof m->prefix) SN_FAIL(SN_ERR_UNSUPPORTED, "WordPiece: a prefix of %zu bytes", strlen(prefix));
    strcpy(m->prefix, prefix);
    return SN_OK;
}

/* Takes the spaces back that English spelling does not have. */
static sn_status clean(const char *s, size_t n, sn_buf *out) {
    static const char *const rules[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},   {" ,", ","},       {" ' ", "'"},  {" n't", "n't"},
                                           {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    sn_buf a = {0}, b = {0};
    sn_buf_add(&a, s, n);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        b.size = 0;
        if (a.size) replaced(&b, a.data, a.size, rules[i][0], rules[i][1]);
        sn_buf swap = a;
        a = b;
        b = swap;
    }
    sn_status status = sn_buf_check(&a) != SN_OK || sn_buf_check(&b) != SN_OK ? SN_ERR_MEMORY : SN_OK;
    if (status == SN_OK && a.size) sn_buf_add(out, a.data, a.size);
    sn_buf_free(&a);
    sn_buf_free(&b);
    return status;
}

static sn_status run_wordpiece(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    const wordpiece *m = d->state;
    size_t skip = strlen(m->prefix);
    sn_buf one = {0};
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && i < in->count; i++) {
        size_t n;
        const char *s = string(in, i, &n);
        bool inside = i && n >= skip && !memcmp(s, m->prefix, skip);
        one.size = 0;
        if (i && !inside) sn_buf_add(&one, " ", 1);
        sn_buf_add(&one, s + (inside ? skip : 0), n - (inside ? skip : 0));
        status = sn_buf_check(&one);
        if (status != SN_OK) break;
        bool spaced = m->cleanup && memchr(one.data, ' ', one.size);
        if (spaced) status = clean(one.data, one.size, &out->text);
        else sn_buf_add(&out->text, one.data, one.size);
        if (status == SN_OK) status = sn_tok_strings_end(out);
    }
    sn_buf_free(&one);
    return status;
}
const sn_tok_decoder_row sn_tok_decoder_wordpiece = {parse_wordpiece, run_wordpiece, release_state};

/* ---- Metaspace ---- */

typedef struct metaspace {
    char mark[8];
    bool never; /* the pre-tokenizer put none before the text */
} metaspace;

static sn_status parse_metaspace(const sn_tokenizer *t, const json_t *json, sn_tok_decoder *d) {
    const char *mark, *scheme;
    bool prefix;
    (void)t;
    metaspace *m = d->state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    SN_TRY(sn_json_string(json, "replacement", "\xE2\x96\x81", &mark));
    SN_TRY(sn_json_bool(json, "add_prefix_space", true, &prefix));
    SN_TRY(sn_json_string(json, "prepend_scheme", prefix ? "always" : "never", &scheme));
    if (!*mark || strlen(mark) > 4) SN_FAIL(SN_ERR_FORMAT, "Metaspace: \"replacement\" must be one character");
    strcpy(m->mark, mark);
    m->never = !strcmp(scheme, "never");
    return SN_OK;
}

static sn_status run_metaspace(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    const metaspace *m = d->state;
    for (size_t i = 0; i < in->count; i++) {
        size_t n;
        const char *s = string(in, i, &n);
        replaced(&out->text, s, n, m->mark, i || m->never ? " " : "");
        SN_TRY(sn_tok_strings_end(out));
    }
    return SN_OK;
}
const sn_tok_decoder_row sn_tok_decoder_metaspace = {parse_metaspace, run_metaspace, release_state};

/* ---- BPEDecoder ---- */

static sn_status parse_bpe(const sn_tokenizer *t, const json_t *json, sn_tok_decoder *d) {
    const char *suffix;
    (void)t;
    SN_TRY(sn_json_string(json, "suffix", "</w>", &suffix));
    d->state = sn_strdup(suffix);
    return d->state ? SN_OK : SN_ERR_MEMORY;
}

static sn_status run_bpe(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    for (size_t i = 0; i < in->count; i++) {
        size_t n;
        const char *s = string(in, i, &n);
        replaced(&out->text, s, n, d->state, i + 1 == in->count ? "" : " ");
        SN_TRY(sn_tok_strings_end(out));
    }
    return SN_OK;
}
const sn_tok_decoder_row sn_tok_decoder_bpe = {parse_bpe, run_bpe, release_state};

/* ---- ByteFallback ---- */

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "<0x41>" names; -1 when it is another token. */
static int named_byte(const char *s, size_t n) {
    if (n != 6 || memcmp(s, "<0x", 3) || s[5] != '>') return -1;
    int high = hex(s[3]), low = hex(s[4]);
    if (s[3] == '+' && low >= 0) return low; /* as the reference's number parser has it */
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Bytes that were waiting: text if they are well-formed, else one U+FFFD each. */
static sn_status settle(sn_buf *bytes, sn_tok_strings *out) {
    bool good = true;
    SN_TRY(sn_buf_check(bytes));
    for (size_t i = 0; good && i < bytes->size;) i += sn_tok_part(bytes->data + i, bytes->size - i, &good);
    if (good && bytes->size) SN_TRY(put(out, bytes->data, bytes->size));
    for (size_t i = 0; !good && i < bytes->size; i++) SN_TRY(put(out, "\xEF\xBF\xBD", 3));
    bytes->size = 0;
    return SN_OK;
}

static sn_status run_byte_fallback(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    sn_buf bytes = {0};
    sn_status status = SN_OK;
    (void)d;
    for (size_t i = 0; status == SN_OK && i < in->count; i++) {
        size_t n;
        const char *s = string(in, i, &n);
        int b = named_byte(s, n);
        char c = (char)b;
        if (b >= 0) {
            sn_buf_add(&bytes, &c, 1);
            continue;
        }
        status = settle(&bytes, out);
        if (status == SN_OK) status = put(out, s, n);
    }
    if (status == SN_OK) status = settle(&bytes, out);
    sn_buf_free(&bytes);
    return status;
}
const sn_tok_decoder_row sn_tok_decoder_byte_fallback = {NULL, run_byte_fallback, NULL};

/* ---- Replace ---- */

typedef struct replacement {
    sn_tok_pattern *pattern;
    char *content;
} replacement;

static void release_replace(sn_tok_decoder *d) {
    replacement *r = d->state;
    if (r) {
        sn_tok_pattern_free(r->pattern);
        sn_free(r->content);
    }
    sn_free(r);
}

static sn_status parse_replace(const sn_tokenizer *t, const json_t *json, sn_tok_decoder *d) {
    const char *content;
    (void)t;
    replacement *r = d->state = sn_alloc(1, sizeof *r);
    if (!r) return SN_ERR_MEMORY;
    SN_TRY(sn_json_string(json, "content", NULL, &content));
    if (!content) SN_FAIL(SN_ERR_FORMAT, "Replace without \"content\"");
    r->content = sn_strdup(content);
    if (!r->content) return SN_ERR_MEMORY;
    return sn_tok_pattern_read(json_object_get(json, "pattern"), &r->pattern);
}

static sn_status run_replace(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    const replacement *r = d->state;
    for (size_t i = 0; i < in->count; i++) {
        size_t n, count = 0, from = 0;
        const char *s = string(in, i, &n);
        uint32_t *pairs = NULL;
        sn_status status = n ? sn_tok_pattern_list(r->pattern, s, n, &pairs, &count) : SN_OK;
        for (size_t k = 0; status == SN_OK && k < count; k++) {
            sn_buf_add(&out->text, s + from, pairs[2 * k] - from);
            sn_buf_puts(&out->text, r->content);
            from = pairs[2 * k + 1];
        }
        sn_free(pairs);
        SN_TRY(status);
        sn_buf_add(&out->text, s + from, n - from);
        SN_TRY(sn_tok_strings_end(out));
    }
    return SN_OK;
}
const sn_tok_decoder_row sn_tok_decoder_replace = {parse_replace, run_replace, release_replace};

/* ---- Fuse, Strip ---- */

static sn_status run_fuse(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    (void)d;
    return put(out, in->text.data ? in->text.data : "", in->text.size);
}
const sn_tok_decoder_row sn_tok_decoder_fuse = {NULL, run_fuse, NULL};

typedef struct strip {
    char mark[8];
    int64_t start, stop;
} strip;

static sn_status parse_strip(const sn_tokenizer *t, const json_t *json, sn_tok_decoder *d) {
    const char *mark;
    (void)t;
    strip *m = d->state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    SN_TRY(sn_json_string(json, "content", " ", &mark));
    SN_TRY(sn_json_int(json, "start", 0, &m->start));
    SN_TRY(sn_json_int(json, "stop", 0, &m->stop));
    if (!*mark || strlen(mark) > 4) SN_FAIL(SN_ERR_FORMAT, "Strip: \"content\" must be one character");
    strcpy(m->mark, mark);
    return SN_OK;
}

static sn_status run_strip(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    const strip *m = d->state;
    size_t width = strlen(m->mark);
    for (size_t i = 0; i < in->count; i++) {
        size_t n, begin = 0;
        const char *s = string(in, i, &n);
        for (int64_t k = 0; k < m->start && n - begin >= width && !memcmp(s + begin, m->mark, width); k++) begin += width;
        for (int64_t k = 0; k < m->stop && n - begin >= width && !memcmp(s + n - width, m->mark, width); k++) n -= width;
        SN_TRY(put(out, s + begin, n - begin));
    }
    return SN_OK;
}
const sn_tok_decoder_row sn_tok_decoder_strip = {parse_strip, run_strip, release_state};

/* ---- CTC ---- */

typedef struct ctc {
    char pad[64], word[64];
    bool cleanup;
} ctc;

static sn_status parse_ctc(const sn_tokenizer *t, const json_t *json, sn_tok_decoder *d) {
    const char *pad, *word;
    (void)t;
    ctc *m = d->state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    SN_TRY(sn_json_string(json, "pad_token", "<pad>", &pad));
    SN_TRY(sn_json_string(json, "word_delimiter_token", "|", &word));
    SN_TRY(sn_json_bool(json, "cleanup", true, &m->cleanup));
    if (strlen(pad) >= sizeof m->pad || strlen(word) >= sizeof m->word) SN_FAIL(SN_ERR_UNSUPPORTED, "CTC: a token of more than 63 bytes");
    strcpy(m->pad, pad);
    strcpy(m->word, word);
    return SN_OK;
}

static sn_status run_ctc(const sn_tok_decoder *d, const sn_tok_strings *in, sn_tok_strings *out) {
    const ctc *m = d->state;
    sn_buf a = {0}, b = {0};
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && i < in->count; i++) {
        size_t n, before = 0;
        const char *s = string(in, i, &n), *last = i ? string(in, i - 1, &before) : NULL;
        if (last && before == n && !memcmp(last, s, n)) continue; /* told again */
        a.size = b.size = 0;
        replaced(&a, s, n, m->pad, "");
        if (m->cleanup && a.size) {
            status = clean(a.data, a.size, &b);
            a.size = 0;
            if (status == SN_OK && b.size) replaced(&a, b.data, b.size, m->word, " ");
        }
        if (status == SN_OK) status = sn_buf_check(&a);
        if (status == SN_OK) status = sn_buf_check(&b);
        if (status == SN_OK && a.size) status = put(out, a.data, a.size);
    }
    sn_buf_free(&a);
    sn_buf_free(&b);
    return status;
}
const sn_tok_decoder_row sn_tok_decoder_ctc = {parse_ctc, run_ctc, release_state};
