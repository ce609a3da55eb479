/* tokenizer_unigram.c: Unigram: of all ways to cut a text into tokens, the one with the largest sum of scores.
 *
 * Viterbi from left to right: best[i] is the best way to reach byte i; from each character all tokens that begin there are
 * tried (a walk down the trie). A character no token covers is unknown and costs 10 more than the worst token; unknown
 * characters side by side are one token, or bytes with byte_fallback. */
#include <math.h>

#include "text/tokenizer_internal.h"

typedef struct unigram {
    sn_tok_trie trie;
    double *score; /* by id */
    double unknown_score;
    int32_t unknown; /* -1: none */
    bool fallback;
    int32_t bytes[256]; /* ids of <0x00> ... <0xFF>, -1 */
} unigram;

typedef struct reached {
    double score;
    uint32_t from; /* where its last token begins; UINT32_MAX: not reached */
    int32_t id;
} reached;

static void release(void *state) {
    unigram *m = state;
    if (!m) return;
    sn_tok_trie_free(&m->trie);
    sn_free(m->score);
    sn_free(m);
}

static sn_status read_piece(sn_tokenizer *t, unigram *m, sn_tok_key *key, const json_t *one, size_t id) {
    const char *text = json_string_value(json_array_get(one, 0));
    const json_t *score = json_array_get(one, 1);
    if (!text || !json_is_number(score)) SN_FAIL(SN_ERR_FORMAT, "Unigram: entry %zu is not [token, score]", id);
    m->score[id] = json_number_value(score);
    if (!isfinite(m->score[id])) SN_FAIL(SN_ERR_FORMAT, "Unigram: the score of \"%.80s\" is not finite", text);
    SN_TRY(sn_tok_vocab_add(&t->vocab, text, strlen(text), (int64_t)id));
    *key = (sn_tok_key){t->vocab.entries[id].text, t->vocab.entries[id].bytes, (int32_t)id};
    return SN_OK;
}

static sn_status read_pieces(sn_tokenizer *t, unigram *m, const json_t *list) {
    size_t n = json_array_size(list), used = 0;
    double least = INFINITY;
    sn_tok_key *keys = sn_alloc(n, sizeof *keys);
    m->score = sn_alloc(n, sizeof *m->score);
    sn_status status = keys && m->score ? SN_OK : SN_ERR_MEMORY;
    for (size_t i = 0; status == SN_OK && i < n; i++) {
        status = read_piece(t, m, &keys[used], json_array_get(list, i), i);
        if (status != SN_OK) break;
        if (m->score[i] < least) least = m->score[i];
        used += keys[used].bytes > 0;
    }
    m->unknown_score = least - 10.0;
    if (status == SN_OK) status = sn_tok_trie_build(&m->trie, keys, used);
    sn_free(keys);
    return status;
}

static sn_status parse(sn_tokenizer *t, const json_t *json) {
    json_t *list;
    int64_t unknown;
    unigram *m = t->model_state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    SN_TRY(sn_json_array(json, "vocab", &list));
    if (!list || !json_array_size(list)) SN_FAIL(SN_ERR_FORMAT, "Unigram: \"vocab\" is missing or empty");
    SN_TRY(sn_json_int(json, "unk_id", -1, &unknown));
    SN_TRY(sn_json_bool(json, "byte_fallback", false, &m->fallback));
    if (unknown < -1 || unknown >= (int64_t)json_array_size(list))
        SN_FAIL(SN_ERR_FORMAT, "Unigram: unk_id is %lld, but there are %zu tokens", (long long)unknown, json_array_size(list));
    m->unknown = (int32_t)unknown;
    t->special[SN_SPECIAL_UNK] = m->unknown;
    SN_TRY(read_pieces(t, m, list));
    for (int b = 0; b < 256; b++) {
        static const char digits[] = "0123456789ABCDEF";
        char name[6] = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
        m->bytes[b] = sn_tok_vocab_find(&t->vocab, name, sizeof name);
    }
    return SN_OK;
}

static void reach(reached *at, double score, uint32_t from, int32_t id) {
    if (at->from == UINT32_MAX || score > at->score) *at = (reached){score, from, id};
}

static sn_status forward(const sn_tokenizer *t, reached *best, const char *s, uint32_t size) {
    const unigram *m = t->model_state;
    for (uint32_t i = 0; i <= size; i++) best[i] = (reached){0, UINT32_MAX, -1};
    unsigned n;
    for (uint32_t at = 0; at < size; at += n) {
        double score = best[at].score;
        uint32_t node = 0;
        bool alone = false; /* a token is just this character */
        (void)sn_tok_code(s + at, &n);
        for (uint32_t i = at; i < size; i++) {
            node = sn_tok_trie_step(&m->trie, node, (unsigned char)s[i]);
            if (!node) break;
            int32_t id = m->trie.nodes[node].value;
            if (id < 0) continue;
            reach(&best[i + 1], m->score[id] + score, at, id);
            alone |= i + 1 == at + n;
        }
        if (alone) continue;
        if (m->unknown < 0)
            SN_FAIL(SN_ERR_FORMAT, "%s: the character \"%.*s\" is in no token, and there is no unk_id", t->name, (int)n, s + at);
        reach(&best[at + n], m->unknown_score + score, at, m->unknown);
    }
    return SN_OK;
}

/* Unknown text: a token that happens to be just that, its bytes, or one unknown token. */
static sn_status unknown(const sn_tokenizer *t, sn_tok_work *w, uint32_t begin, uint32_t end) {
    const unigram *m = t->model_state;
    const char *s = w->text.data;
    int32_t id = sn_tok_vocab_find(&t->vocab, s + begin, end - begin);
    bool bytes = id < 0 && m->fallback;
    for (uint32_t i = begin; bytes && i < end; i++) bytes = m->bytes[(unsigned char)s[i]] >= 0;
    if (!bytes) return sn_tok_token_add(w, id < 0 ? m->unknown : id, begin, end);
    for (uint32_t i = begin; i < end; i++) SN_TRY(sn_tok_token_add(w, m->bytes[(unsigned char)s[i]], begin, end));
    return SN_OK;
}

static sn_status run(const sn_tokenizer *t, sn_tok_work *w, uint32_t begin, uint32_t end) {
    const unigram *m = t->model_state;
    uint32_t size = end - begin;
    reached *best = sn_grow_to(w->lattice, (size_t)size + 1, &w->lattice_room, sizeof *best);
    if (!best) return SN_ERR_MEMORY;
    w->lattice = best;
    SN_TRY(forward(t, best, w->text.data + begin, size));
    /* The way back, turned round in place: from[] of a place becomes where the token that begins there ends. */
    for (uint32_t at = size, next = UINT32_MAX; at;) {
        uint32_t from = best[at].from;
        best[at].from = next;
        next = at;
        at = from;
        if (!at) best[0].from = next;
    }
    for (uint32_t at = 0; at < size;) {
        uint32_t stop = best[at].from;
        int32_t id = best[stop].id;
        if (id != m->unknown) {
            SN_TRY(sn_tok_token_add(w, id, begin + at, begin + stop));
        } else {
            while (stop < size && best[best[stop].from].id == m->unknown) stop = best[stop].from;
            SN_TRY(unknown(t, w, begin + at, begin + stop));
        }
        SN_TRY(sn_tok_settle_many(w));
        at = stop;
    }
    return SN_OK;
}
const sn_tok_model_row sn_tok_model_unigram = {parse, run, release};
