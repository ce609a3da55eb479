/* tokenizer_wordpiece.c: WordPiece: the longest piece that fits, again and again; a word with a rest is unknown as a whole.
 *
 * One trie holds the vocabulary; continuations are looked for from the node of their prefix ("##"). */
#include "text/tokenizer_internal.h"

typedef struct wordpiece {
    sn_tok_trie trie;
    uint32_t inside; /* node of the continuation prefix; 0 with an empty prefix */
    bool no_inside;  /* no token begins with the prefix */
    int32_t unknown;
    int64_t most; /* characters of a word */
} wordpiece;

static void release(void *state) {
    wordpiece *m = state;
    if (m) sn_tok_trie_free(&m->trie);
    sn_free(m);
}

/* A trie over the whole vocabulary. */
static sn_status index_vocab(const sn_tok_vocab *v, sn_tok_trie *trie) {
    sn_tok_key *keys = sn_alloc(v->count, sizeof *keys);
    size_t n = 0;
    if (!keys) return SN_ERR_MEMORY;
    for (size_t id = 0; id < v->size; id++) {
        if (v->entries[id].text) keys[n++] = (sn_tok_key){v->entries[id].text, v->entries[id].bytes, (int32_t)id};
    }
    sn_status status = sn_tok_trie_build(trie, keys, n);
    sn_free(keys);
    return status;
}

static sn_status parse(sn_tokenizer *t, const json_t *json) {
    const char *unknown, *prefix;
    wordpiece *m = t->model_state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    SN_TRY(sn_tok_vocab_read(&t->vocab, json_object_get(json, "vocab")));
    SN_TRY(sn_json_string(json, "unk_token", "[UNK]", &unknown));
    SN_TRY(sn_json_string(json, "continuing_subword_prefix", "##", &prefix));
    SN_TRY(sn_json_int(json, "max_input_chars_per_word", 100, &m->most));
    if (m->most < 0) SN_FAIL(SN_ERR_FORMAT, "WordPiece: \"max_input_chars_per_word\" is %lld", (long long)m->most);
    m->unknown = sn_tok_vocab_find(&t->vocab, unknown, strlen(unknown));
    if (m->unknown < 0) SN_FAIL(SN_ERR_FORMAT, "WordPiece: the unknown token \"%.80s\" is not in the vocabulary", unknown);
    t->special[SN_SPECIAL_UNK] = m->unknown;
    SN_TRY(index_vocab(&t->vocab, &m->trie));
    for (const char *p = prefix; *p && !m->no_inside; p++) {
        m->inside = sn_tok_trie_step(&m->trie, m->inside, (unsigned char)*p);
        m->no_inside = !m->inside;
    }
    return SN_OK;
}

static bool too_long(const wordpiece *m, const char *s, uint32_t begin, uint32_t end) {
    int64_t count = 0;
    if ((int64_t)(end - begin) <= m->most) return false;
    for (uint32_t i = begin; i < end && count <= m->most; i++) count += ((unsigned char)s[i] & 0xC0) != 0x80;
    return count > m->most;
}

static sn_status run(const sn_tokenizer *t, sn_tok_work *w, uint32_t begin, uint32_t end) {
    const wordpiece *m = t->model_state;
    const char *s = w->text.data;
    size_t count = w->token_count;
    uint32_t at = begin;
    if (too_long(m, s, begin, end)) at = end;
    while (at < end) {
        uint32_t node = at == begin ? 0 : m->inside, stop = 0;
        int32_t id = -1;
        for (uint32_t i = at; i < end && !(at > begin && m->no_inside); i++) {
            node = sn_tok_trie_step(&m->trie, node, (unsigned char)s[i]);
            if (!node) break;
            if (m->trie.nodes[node].value >= 0) id = m->trie.nodes[node].value, stop = i + 1;
        }
        if (id < 0) break;
        SN_TRY(sn_tok_token_add(w, id, at, stop));
        at = stop;
    }
    if (at == end && w->token_count > count) return SN_OK;
    w->token_count = count;
    return sn_tok_token_add(w, m->unknown, begin, end);
}
const sn_tok_model_row sn_tok_model_wordpiece = {parse, run, release};
