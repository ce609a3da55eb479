/* tokenizer_added.c: tokens that are cut out of the text before the model sees it.
 *
 * Those with normalized = false are looked for in the source, the others in the normalised text (where they are
 * themselves normalised first). Leftmost-longest by a trie; a table of first bytes passes over what cannot begin one. */
#include "text/tokenizer_internal.h"

enum { MOST_CONTENT = 4096 };

static sn_status grow_ids(sn_tokenizer *t, size_t size) {
    if (size <= t->added_ids) return SN_OK;
    int32_t *by_id = sn_realloc(t->added_by_id, size, sizeof *by_id);
    if (!by_id) return SN_ERR_MEMORY;
    for (size_t i = t->added_ids; i < size; i++) by_id[i] = -1;
    t->added_by_id = by_id;
    t->added_ids = size;
    return SN_OK;
}

sn_status sn_tok_added_put(sn_tokenizer *t, const sn_tok_added *token, int64_t *next) {
    size_t bytes = strlen(token->content);
    if (!bytes) return SN_OK;
    if (bytes > MOST_CONTENT) SN_FAIL(SN_ERR_UNSUPPORTED, "added token \"%.40s...\" has %zu bytes; at most %d", token->content, bytes, MOST_CONTENT);
    int64_t id = sn_tokenizer_id(t, token->content);
    if (id < 0) id = (*next)++;
    if (id > SN_TOK_MOST_ID) SN_FAIL(SN_ERR_FORMAT, "added token \"%.80s\": id %lld is too large", token->content, (long long)id);
    int32_t index = sn_tok_vocab_find(&t->added_names, token->content, bytes);
    if (index < 0) {
        sn_tok_added *added = sn_grow(t->added, t->added_count, &t->added_room, sizeof *added);
        if (!added) return SN_ERR_MEMORY;
        t->added = added;
        added[t->added_count] = (sn_tok_added){.content = sn_strdup(token->content)};
        if (!added[t->added_count].content) return SN_ERR_MEMORY;
        index = (int32_t)t->added_count++;
        SN_TRY(sn_tok_vocab_add(&t->added_names, token->content, bytes, index));
    }
    SN_TRY(grow_ids(t, (size_t)id + 1));
    sn_tok_added *a = &t->added[index];
    *a = (sn_tok_added){a->content, (uint32_t)bytes, (int32_t)id, token->single_word, token->lstrip, token->rstrip,
                        token->normalized, token->special};
    t->added_by_id[id] = index;
    return SN_OK;
}

sn_status sn_tok_added_read(sn_tokenizer *t, const json_t *list) {
    size_t i;
    json_t *one;
    /* As the reference: a token the model does not know gets the next free id, whatever the file says. */
    int64_t next = (int64_t)t->vocab.count;
    json_array_foreach((json_t *)(uintptr_t)list, i, one) {
        const char *content;
        sn_tok_added a = {0};
        if (!json_is_object(one)) SN_FAIL(SN_ERR_FORMAT, "\"added_tokens\": entry %zu is not an object", i + 1);
        SN_TRY(sn_json_string(one, "content", NULL, &content));
        if (!content) SN_FAIL(SN_ERR_FORMAT, "\"added_tokens\": entry %zu has no \"content\"", i + 1);
        SN_TRY(sn_json_bool(one, "single_word", false, &a.single_word));
        SN_TRY(sn_json_bool(one, "lstrip", false, &a.lstrip));
        SN_TRY(sn_json_bool(one, "rstrip", false, &a.rstrip));
        SN_TRY(sn_json_bool(one, "special", false, &a.special));
        SN_TRY(sn_json_bool(one, "normalized", !a.special, &a.normalized));
        const json_t *id = json_object_get(one, "id");
        if (id && (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > UINT32_MAX))
            SN_FAIL(SN_ERR_FORMAT, "\"added_tokens\": the id of \"%.80s\" is %lld; expected 0 to %u", content,
                    json_is_integer(id) ? (long long)json_integer_value(id) : -1LL, (unsigned)UINT32_MAX);
        a.content = (char *)(uintptr_t)content;
        SN_TRY(sn_tok_added_put(t, &a, &next));
    }
    return SN_OK;
}

/* What the normalizers make of a token's content, from the heap; NULL where that is the content itself. */
static sn_status normalised(const sn_tokenizer *t, sn_tok_work *w, const sn_tok_added *a, char **out) {
    *out = NULL;
    if (!a->normalized || !t->normalizer_count) return SN_OK;
    w->source.data = a->content;
    w->source.size = a->bytes;
    w->text.size = 0;
    SN_TRY(sn_tok_normalise(t, w, 0, a->bytes));
    if (w->text.size == a->bytes && !memcmp(w->text.data, a->content, a->bytes)) return SN_OK;
    *out = sn_strndup(w->text.size ? w->text.data : "", w->text.size);
    return *out ? SN_OK : SN_ERR_MEMORY;
}

static sn_status build(sn_tokenizer *t, sn_tok_key *keys, bool normal) {
    size_t n = 0;
    for (size_t i = 0; i < t->added_count; i++) {
        const char *text = t->added_shown[i] ? t->added_shown[i] : t->added[i].content;
        /* A content that lost its id to another one is no longer looked for. */
        if (t->added[i].normalized != normal || !*text || t->added_by_id[t->added[i].id] != (int32_t)i) continue;
        (normal ? t->normal_first : t->plain_first)[(unsigned char)*text] = 1;
        keys[n++] = (sn_tok_key){text, (uint32_t)strlen(text), (int32_t)i};
    }
    return n ? sn_tok_trie_build(normal ? &t->normal : &t->plain, keys, n) : SN_OK;
}

sn_status sn_tok_added_ready(sn_tokenizer *t) {
    if (!t->added_count) return SN_OK;
    t->added_shown = sn_alloc(t->added_count, sizeof *t->added_shown);
    sn_tok_work *w = sn_alloc(1, sizeof *w);
    sn_tok_key *keys = sn_alloc(t->added_count, sizeof *keys);
    sn_status status = t->added_shown && w && keys ? SN_OK : SN_ERR_MEMORY;
    for (size_t i = 0; status == SN_OK && i < t->added_count; i++) status = normalised(t, w, &t->added[i], &t->added_shown[i]);
    if (status == SN_OK) status = build(t, keys, false);
    if (status == SN_OK) status = build(t, keys, true);
    if (w) w->source.data = NULL;
    sn_tok_work_free(w);
    sn_free(keys);
    return status;
}

/* ---- in a text ---- */

static bool word_before(const sn_tokenizer *t, const char *text, uint32_t begin, uint32_t at) {
    unsigned n;
    if (at == begin) return false;
    do at--;
    while (at > begin && (text[at] & 0xC0) == 0x80);
    return sn_tok_bits(&t->unicode, sn_tok_code(text + at, &n)) & SN_IS_WORD;
}

static uint32_t space_before(const sn_tokenizer *t, const char *text, uint32_t least, uint32_t at) {
    while (at > least) {
        unsigned n;
        uint32_t one = at - 1;
        while (one > least && (text[one] & 0xC0) == 0x80) one--;
        if (!(sn_tok_bits(&t->unicode, sn_tok_code(text + one, &n)) & SN_IS_SPACE)) break;
        at = one;
    }
    return at;
}

static uint32_t space_after(const sn_tokenizer *t, const char *text, uint32_t at, uint32_t end) {
    unsigned n;
    while (at < end && sn_tok_bits(&t->unicode, sn_tok_code(text + at, &n)) & SN_IS_SPACE) at += n;
    return at;
}

/* The longest token at `at`; its end in *stop, -1 when there is none. */
static int32_t longest(const sn_tok_trie *trie, const char *text, uint32_t at, uint32_t end, uint32_t *stop) {
    int32_t found = -1;
    uint32_t node = 0;
    for (uint32_t i = at; i < end; i++) {
        node = sn_tok_trie_step(trie, node, (unsigned char)text[i]);
        if (!node) break;
        if (trie->nodes[node].value >= 0) found = trie->nodes[node].value, *stop = i + 1;
    }
    return found;
}

sn_status sn_tok_added_cut(const sn_tokenizer *t, const sn_tok_trie *trie, const uint8_t first[256], const char *text, uint32_t begin,
                           uint32_t end, sn_tok_pieces *out) {
    uint32_t from = begin; /* what is not in a piece yet */
    for (uint32_t i = begin; trie->count && i < end;) {
        uint32_t stop = 0;
        if (!first[(unsigned char)text[i]]) {
            i++;
            continue;
        }
        int32_t index = longest(trie, text, i, end, &stop);
        if (index < 0) {
            i++;
            continue;
        }
        const sn_tok_added *a = &t->added[index];
        unsigned n;
        uint32_t at = i;
        i = stop;
        if (a->single_word && (word_before(t, text, begin, at) ||
                               (stop < end && sn_tok_bits(&t->unicode, sn_tok_code(text + stop, &n)) & SN_IS_WORD)))
            continue;
        /* White space that went with the token before is taken. (The matching itself went on behind the bare token.) */
        if (a->lstrip) at = space_before(t, text, from < at ? from : at, at);
        if (at < from) at = from;
        if (a->rstrip) stop = space_after(t, text, stop, end);
        if (from < at) SN_TRY(sn_tok_piece_add(out, from, at, -1));
        SN_TRY(sn_tok_piece_add(out, at, stop, a->id));
        from = stop;
        if (i < stop) i = stop;
    }
    return from < end ? sn_tok_piece_add(out, from, end, -1) : SN_OK;
}
