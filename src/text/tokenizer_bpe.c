/* tokenizer_bpe.c: byte pair encoding.
 *
 *   word -> a symbol for each character (or byte) -> the pair of lowest rank, leftmost first, is merged -> tokens
 *
 * The merging itself is tokenizer_merge.c. Words of everyday length are remembered in the encoding's cache. Two savings
 * change no result:
 *   - after a ByteLevel pre-tokenizer the model reads the bytes themselves instead of their stand-ins;
 *   - where the whole text is one word (Llama), it is cut between two characters that stand side by side in no token, for
 *     no merge can cross there. */
#include "text/tokenizer_merge.h"

enum { CACHE_SLOTS = 1 << 14, CACHE_BYTES = 32, CACHE_TOKENS = 6, FUSE = 1, FALLBACK = 2, WHOLE = 4 };

struct sn_tok_cached {
    uint8_t bytes, count, lengths[CACHE_TOKENS];
    char word[CACHE_BYTES];
    int32_t ids[CACHE_TOKENS];
};

typedef struct bpe {
    sn_tok_merges merges;
    char *prefix, *suffix; /* NULL: none */
    int32_t unknown;       /* -1: none */
    int flags;
    int32_t single[2][2][256]; /* [not first][last]: id of an ASCII character or, with raw bytes, of a byte */
    sn_tok_vocab raw;          /* tokens by the bytes they stand for; only with WHOLE and raw bytes */
    int32_t *raw_id;
    bool cuttable;
    uint8_t ascii_pair[128][16]; /* bit set: side by side in some token */
    uint64_t *pairs;             /* others, a hash set; 0: free */
    size_t pair_mask, pair_count;
} bpe;

static void release(void *state) {
    bpe *m = state;
    if (!m) return;
    sn_free(m->merges.slots);
    sn_free(m->merges.into);
    sn_free(m->prefix);
    sn_free(m->suffix);
    sn_tok_vocab_free(&m->raw);
    sn_free(m->raw_id);
    sn_free(m->pairs);
    sn_free(m);
}

/* ---- reading ---- */

static sn_status find_token(const sn_tokenizer *t, const char *s, size_t n, size_t rank, int32_t *id) {
    *id = sn_tok_vocab_find(&t->vocab, s, n);
    if (*id < 0)
        SN_FAIL(SN_ERR_FORMAT, "merge %zu: the token \"%.*s\" is not in the vocabulary", rank + 1, (int)(n < 80 ? n : 80), s);
    return SN_OK;
}

/* "a b" or ["a", "b"]. */
static sn_status halves(const json_t *one, size_t rank, const char *half[2], size_t bytes[2]) {
    if (json_is_array(one) && json_array_size(one) == 2 && json_is_string(json_array_get(one, 0)) && json_is_string(json_array_get(one, 1))) {
        for (size_t i = 0; i < 2; i++) {
            half[i] = json_string_value(json_array_get(one, i));
            bytes[i] = json_string_length(json_array_get(one, i));
        }
        return SN_OK;
    }
    const char *text = json_string_value(one), *space = text ? strchr(text, ' ') : NULL;
    if (!space || strchr(space + 1, ' ')) SN_FAIL(SN_ERR_FORMAT, "merge %zu: expected two tokens", rank + 1);
    half[0] = text;
    bytes[0] = (size_t)(space - text);
    half[1] = space + 1;
    bytes[1] = strlen(space + 1);
    return SN_OK;
}

static sn_status add_merge(const sn_tokenizer *t, bpe *m, const json_t *one, size_t rank, sn_buf *joined) {
    const char *half[2];
    size_t bytes[2], skip = m->prefix ? strlen(m->prefix) : 0;
    int32_t left, right, into;
    SN_TRY(halves(one, rank, half, bytes));
    SN_TRY(find_token(t, half[0], bytes[0], rank, &left));
    SN_TRY(find_token(t, half[1], bytes[1], rank, &right));
    if (skip > bytes[1]) SN_FAIL(SN_ERR_FORMAT, "merge %zu: \"%.80s\" is shorter than the continuation prefix", rank + 1, half[1]);
    joined->size = 0;
    sn_buf_add(joined, half[0], bytes[0]);
    sn_buf_add(joined, half[1] + skip, bytes[1] - skip);
    SN_TRY(sn_buf_check(joined));
    SN_TRY(find_token(t, joined->data, joined->size, rank, &into));
    sn_tok_merges_put(&m->merges, left, right, (uint32_t)rank, into);
    return SN_OK;
}

static sn_status read_merges(const sn_tokenizer *t, bpe *m, const json_t *list) {
    size_t n = json_array_size(list);
    SN_TRY(sn_tok_merges_make(&m->merges, n));
    sn_buf joined = {0};
    sn_status status = SN_OK;
    size_t rank = 0;
    for (size_t i = 0; status == SN_OK && i < n; i++) {
        const json_t *one = json_array_get(list, i);
        if (json_is_string(one) && !strncmp(json_string_value(one), "#version", 8)) continue;
        status = add_merge(t, m, one, rank++, &joined);
    }
    sn_buf_free(&joined);
    return status;
}

static sn_status parse(sn_tokenizer *t, const json_t *json) {
    const char *unknown, *prefix, *suffix;
    bool fuse, fallback, whole;
    double dropout;
    json_t *merges;
    bpe *m = t->model_state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    SN_TRY(sn_tok_vocab_read(&t->vocab, json_object_get(json, "vocab")));
    SN_TRY(sn_json_array(json, "merges", &merges));
    SN_TRY(sn_json_string(json, "unk_token", NULL, &unknown));
    SN_TRY(sn_json_string(json, "continuing_subword_prefix", NULL, &prefix));
    SN_TRY(sn_json_string(json, "end_of_word_suffix", NULL, &suffix));
    SN_TRY(sn_json_bool(json, "fuse_unk", false, &fuse));
    SN_TRY(sn_json_bool(json, "byte_fallback", false, &fallback));
    SN_TRY(sn_json_bool(json, "ignore_merges", false, &whole));
    SN_TRY(sn_json_number(json, "dropout", 0, &dropout));
    if (!merges) SN_FAIL(SN_ERR_FORMAT, "BPE without \"merges\"");
    if (dropout != 0) SN_FAIL(SN_ERR_UNSUPPORTED, "BPE with dropout %g: encoding would be random", dropout);
    if (prefix && *prefix && !(m->prefix = sn_strdup(prefix))) return SN_ERR_MEMORY;
    if (suffix && *suffix && !(m->suffix = sn_strdup(suffix))) return SN_ERR_MEMORY;
    m->flags = (fuse ? FUSE : 0) | (fallback ? FALLBACK : 0) | (whole ? WHOLE : 0);
    m->unknown = unknown ? sn_tok_vocab_find(&t->vocab, unknown, strlen(unknown)) : -1;
    if (unknown && *unknown && m->unknown < 0)
        SN_FAIL(SN_ERR_FORMAT, "BPE: the unknown token \"%.80s\" is not in the vocabulary", unknown);
    t->special[SN_SPECIAL_UNK] = m->unknown;
    return read_merges(t, m, merges);
}

/* ---- symbols ---- */

/* The id of a character of a word, with the prefix and suffix that its place demands; `full` takes the whole string. */
static sn_status symbol_id(const sn_tokenizer *t, const char *s, size_t n, bool inside, bool last, sn_buf *full, int32_t *id) {
    const bpe *m = t->model_state;
    full->size = 0;
    if (inside && m->prefix) sn_buf_puts(full, m->prefix);
    sn_buf_add(full, s, n);
    if (last && m->suffix) sn_buf_puts(full, m->suffix);
    SN_TRY(sn_buf_check(full));
    *id = sn_tok_vocab_find(&t->vocab, full->data, full->size);
    return SN_OK;
}

static sn_status fill_singles(const sn_tokenizer *t, bpe *m, sn_buf *full) {
    for (int inside = 0; inside < 2; inside++) {
        for (int last = 0; last < 2; last++) {
            for (int b = 0; b < 256; b++) {
                char s[4];
                unsigned n = sn_tok_put(s, t->raw_bytes ? sn_tok_byte_code((unsigned char)b) : b & 127);
                SN_TRY(symbol_id(t, s, n, inside, last, full, &m->single[inside][last][b]));
            }
        }
    }
    return SN_OK;
}

/* Tokens by the bytes they stand for. */
static sn_status fill_raw(const sn_tokenizer *t, bpe *m, sn_buf *bytes) {
    int64_t n = 0;
    m->raw_id = sn_alloc(t->vocab.count, sizeof *m->raw_id);
    if (!m->raw_id) return SN_ERR_MEMORY;
    for (size_t id = 0; id < t->vocab.size; id++) {
        const sn_tok_entry *e = &t->vocab.entries[id];
        bool good = e->text;
        bytes->size = 0;
        for (uint32_t i = 0; good && i < e->bytes;) {
            unsigned width;
            int b = sn_tok_code_byte(sn_tok_code(e->text + i, &width));
            char c = (char)b;
            good = b >= 0;
            if (good) sn_buf_add(bytes, &c, 1);
            i += width;
        }
        SN_TRY(sn_buf_check(bytes));
        if (!good || !bytes->size) continue;
        m->raw_id[n] = (int32_t)id;
        SN_TRY(sn_tok_vocab_add(&m->raw, bytes->data, bytes->size, n++));
    }
    return SN_OK;
}

/* ---- pairs of characters that stand side by side in a token ---- */

static bool has_pair(const bpe *m, int32_t a, int32_t b) {
    if (a < 128 && b < 128) return m->ascii_pair[a][b >> 3] >> (b & 7) & 1;
    uint64_t key = (uint64_t)a << 32 | (uint64_t)b | UINT64_C(1) << 63;
    for (size_t i = sn_tok_mix(key) & m->pair_mask; m->pairs && m->pairs[i]; i = (i + 1) & m->pair_mask) {
        if (m->pairs[i] == key) return true;
    }
    return false;
}

static void put_pair(bpe *m, uint64_t key) {
    size_t i = sn_tok_mix(key) & m->pair_mask;
    while (m->pairs[i] && m->pairs[i] != key) i = (i + 1) & m->pair_mask;
    m->pair_count += !m->pairs[i];
    m->pairs[i] = key;
}

static sn_status add_pair(bpe *m, int32_t a, int32_t b) {
    if (a < 128 && b < 128) {
        m->ascii_pair[a][b >> 3] = (uint8_t)(m->ascii_pair[a][b >> 3] | 1 << (b & 7));
        return SN_OK;
    }
    if (m->pair_count * 2 >= m->pair_mask) {
        uint64_t *old = m->pairs;
        size_t size = old ? m->pair_mask + 1 : 0;
        m->pairs = sn_alloc(size ? size * 2 : 1024, sizeof *m->pairs);
        if (!m->pairs) {
            m->pairs = old;
            return SN_ERR_MEMORY;
        }
        m->pair_mask = (size ? size * 2 : 1024) - 1;
        m->pair_count = 0;
        for (size_t i = 0; i < size; i++) {
            if (old[i]) put_pair(m, old[i]);
        }
        sn_free(old);
    }
    put_pair(m, (uint64_t)a << 32 | (uint64_t)b | UINT64_C(1) << 63);
    return SN_OK;
}

static bool is_byte_token(const char *s, size_t n) { return n == 6 && !memcmp(s, "<0x", 3) && s[5] == '>'; }

/* Cutting is sound when merges only concern tokens that are the text they cover. */
static sn_status find_pairs(const sn_tokenizer *t, bpe *m) {
    m->cuttable = !m->prefix && !m->suffix && !(m->flags & WHOLE) && !t->raw_bytes;
    for (size_t i = 0; m->cuttable && i <= m->merges.mask; i++) {
        uint64_t pair = m->merges.slots[i].pair;
        if (pair == UINT64_MAX) continue;
        int32_t side[2] = {(int32_t)(pair >> 32), (int32_t)(pair & 0xFFFFFFFF)};
        for (int k = 0; k < 2; k++) {
            const sn_tok_entry *e = &t->vocab.entries[side[k]];
            if (side[k] == m->unknown || is_byte_token(e->text, e->bytes)) m->cuttable = false;
        }
    }
    for (size_t id = 0; m->cuttable && id < t->vocab.size; id++) {
        const sn_tok_entry *e = &t->vocab.entries[id];
        int32_t before = -1;
        for (uint32_t i = 0; e->text && i < e->bytes;) {
            unsigned n;
            int32_t c = sn_tok_code(e->text + i, &n);
            if (before >= 0) SN_TRY(add_pair(m, before, c));
            before = c;
            i += n;
        }
    }
    return SN_OK;
}

sn_status sn_tok_bpe_ready(sn_tokenizer *t) {
    bpe *m = t->model_state;
    sn_buf scratch = {0};
    if (t->model != &sn_tok_model_bpe) return SN_OK;
    t->raw_bytes = !(m->flags & FALLBACK) && t->pretokenizer_count &&
                   t->pretokenizers[t->pretokenizer_count - 1].row == &sn_tok_pretokenizer_byte_level;
    sn_status status = fill_singles(t, m, &scratch);
    if (status == SN_OK && t->raw_bytes && m->flags & WHOLE) status = fill_raw(t, m, &scratch);
    if (status == SN_OK) status = find_pairs(t, m);
    sn_buf_free(&scratch);
    return status;
}

/* ---- a word ---- */

/* Characters that are not in the vocabulary wait here, to become one unknown token or several. */
typedef struct waiting {
    bool any;
    uint32_t bytes;
} waiting;

static void put(sn_tok_symbol *s, size_t *n, int32_t id, uint32_t bytes) { s[(*n)++] = (sn_tok_symbol){id, bytes, 1}; }

/* The bytes of `full` as byte tokens; false when one of them is missing. */
static bool fall_back(const sn_tokenizer *t, const sn_buf *full, sn_tok_symbol *s, size_t *n) {
    size_t begin = *n;
    for (size_t i = 0; i < full->size; i++) {
        static const char digits[] = "0123456789ABCDEF";
        unsigned char b = (unsigned char)full->data[i];
        char name[6] = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
        int32_t id = sn_tok_vocab_find(&t->vocab, name, sizeof name);
        if (id < 0) return *n = begin, false;
        put(s, n, id, 1);
    }
    return true;
}

/* A character that is no token: bytes, unknown or nothing. */
static void missing(const sn_tokenizer *t, const sn_buf *full, uint32_t bytes, waiting *wait, sn_tok_symbol *s, size_t *n) {
    const bpe *m = t->model_state;
    if (m->flags & FALLBACK && fall_back(t, full, s, n)) return;
    if (m->unknown < 0) return;
    if (wait->any && m->flags & FUSE) {
        wait->bytes += bytes;
        return;
    }
    if (wait->any) put(s, n, m->unknown, wait->bytes);
    *wait = (waiting){true, bytes};
}

/* The symbols of a word in w->symbols. */
static sn_status split(const sn_tokenizer *t, sn_tok_work *w, const char *text, uint32_t size, size_t *n) {
    const bpe *m = t->model_state;
    waiting wait = {0};
    sn_buf full = {0};
    sn_status status = SN_OK;
    size_t longest = m->flags & FALLBACK && m->suffix ? size + strlen(m->suffix) : size;
    if (m->flags & FALLBACK && m->prefix) longest += (size_t)size * strlen(m->prefix);
    sn_tok_symbol *s = sn_grow_to(w->symbols, longest + 1, &w->symbol_room, sizeof *s);
    if (!s) return SN_ERR_MEMORY;
    w->symbols = s;
    *n = 0;
    for (uint32_t i = 0; status == SN_OK && i < size;) {
        unsigned width = 1;
        int32_t id;
        bool simple = t->raw_bytes || !(text[i] & 0x80);
        if (!simple) (void)sn_tok_code(text + i, &width);
        bool inside = i > 0, last = i + width == size;
        if (simple) id = m->single[inside][last][(unsigned char)text[i]];
        else if (m->prefix || m->suffix) status = symbol_id(t, text + i, width, inside, last, &full, &id);
        else id = sn_tok_vocab_find(&t->vocab, text + i, width);
        if (status != SN_OK) break;
        if (id < 0) {
            if (m->flags & FALLBACK) status = symbol_id(t, text + i, width, inside, last, &full, &id);
            missing(t, &full, width, &wait, s, n);
        } else {
            if (wait.any) put(s, n, m->unknown, wait.bytes);
            wait.any = false;
            put(s, n, id, width);
        }
        i += width;
    }
    if (wait.any) put(s, n, m->unknown, wait.bytes);
    sn_buf_free(&full);
    return status;
}

static sn_status whole_word(const sn_tokenizer *t, const char *text, uint32_t size, int32_t *id) {
    const bpe *m = t->model_state;
    if (!t->raw_bytes) return *id = sn_tok_vocab_find(&t->vocab, text, size), SN_OK;
    int32_t raw = sn_tok_vocab_find(&m->raw, text, size);
    return *id = raw < 0 ? raw : m->raw_id[raw], SN_OK;
}

static sn_status merge_word(const sn_tokenizer *t, sn_tok_work *w, uint32_t begin, uint32_t end) {
    const bpe *m = t->model_state;
    const char *text = w->text.data + begin;
    size_t n;
    int32_t id = -1;
    if (m->flags & WHOLE) SN_TRY(whole_word(t, text, end - begin, &id));
    if (id >= 0) return sn_tok_token_add(w, id, begin, end);
    SN_TRY(split(t, w, text, end - begin, &n));
    SN_TRY(sn_tok_merge(&m->merges, w, n, &n));
    const sn_tok_symbol *s = w->symbols;
    uint32_t at = begin;
    for (size_t i = 0; i < n; i++) {
        uint32_t stop = at + s[i].bytes < end ? at + s[i].bytes : end;
        SN_TRY(sn_tok_token_add(w, s[i].id, at, stop));
        if (end - begin > CACHE_BYTES) SN_TRY(sn_tok_settle_many(w));
        at = stop;
    }
    return SN_OK;
}

/* A word by the cache. */
static sn_status word(const sn_tokenizer *t, sn_tok_work *w, uint32_t begin, uint32_t end) {
    uint32_t size = end - begin;
    if (size > CACHE_BYTES) return merge_word(t, w, begin, end);
    const char *text = w->text.data + begin;
    struct sn_tok_cached *c = &w->cache[(size_t)sn_tok_hash(text, size) & (CACHE_SLOTS - 1)];
    if (c->bytes == size && !memcmp(c->word, text, size)) {
        uint32_t at = begin;
        for (int i = 0; i < c->count; i++) {
            SN_TRY(sn_tok_token_add(w, c->ids[i], at, at + c->lengths[i]));
            at += c->lengths[i];
        }
        return SN_OK;
    }
    size_t first = w->token_count;
    SN_TRY(merge_word(t, w, begin, end));
    size_t count = w->token_count - first;
    if (count > CACHE_TOKENS) return SN_OK;
    c->bytes = (uint8_t)size;
    c->count = (uint8_t)count;
    memcpy(c->word, text, size);
    for (size_t i = 0; i < count; i++) {
        c->ids[i] = w->tokens[first + i].id;
        c->lengths[i] = (uint8_t)(w->tokens[first + i].end - w->tokens[first + i].begin);
    }
    return SN_OK;
}

static bool known(const sn_tokenizer *t, const char *s, int32_t c, unsigned n) {
    const bpe *m = t->model_state;
    return (c < 128 ? m->single[0][0][c] : sn_tok_vocab_find(&t->vocab, s, n)) >= 0;
}

static sn_status run(const sn_tokenizer *t, sn_tok_work *w, uint32_t begin, uint32_t end) {
    const bpe *m = t->model_state;
    if (!w->cache && !(w->cache = sn_alloc(CACHE_SLOTS, sizeof *w->cache))) return SN_ERR_MEMORY;
    if (!m->cuttable || end - begin <= CACHE_BYTES / 2) return word(t, w, begin, end);
    const char *s = w->text.data;
    unsigned n, left_n;
    int32_t left = sn_tok_code(s + begin, &left_n);
    uint32_t from = begin;
    for (uint32_t at = begin + left_n; at < end; at += n) {
        int32_t c = sn_tok_code(s + at, &n);
        /* Unknown characters side by side may become one token, and may be told behind byte tokens: never cut there. */
        if (!has_pair(m, left, c) && known(t, s + at - left_n, left, left_n) && known(t, s + at, c, n)) {
            SN_TRY(word(t, w, from, at));
            SN_TRY(sn_tok_settle_many(w));
            from = at;
        }
        left = c;
        left_n = n;
    }
    return word(t, w, from, end);
}
const sn_tok_model_row sn_tok_model_bpe = {parse, run, release};
