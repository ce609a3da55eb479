/* tokenizer_wordlevel.c: WordLevel: a word is in the vocabulary or unknown. */
#include "text/tokenizer_internal.h"

typedef struct wordlevel {
    int32_t unknown; /* -1: none */
} wordlevel;

static void release(void *state) { sn_free(state); }

static sn_status parse(sn_tokenizer *t, const json_t *json) {
    const char *unknown;
    wordlevel *m = t->model_state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    SN_TRY(sn_tok_vocab_read(&t->vocab, json_object_get(json, "vocab")));
    SN_TRY(sn_json_string(json, "unk_token", "<unk>", &unknown));
    m->unknown = sn_tok_vocab_find(&t->vocab, unknown, strlen(unknown));
    t->special[SN_SPECIAL_UNK] = m->unknown;
    return SN_OK;
}

static sn_status run(const sn_tokenizer *t, sn_tok_work *w, uint32_t begin, uint32_t end) {
    const wordlevel *m = t->model_state;
    int32_t id = sn_tok_vocab_find(&t->vocab, w->text.data + begin, end - begin);
    if (id < 0) id = m->unknown;
    if (id < 0)
        SN_FAIL(SN_ERR_FORMAT, "%s: the word \"%.*s\" is not in the vocabulary, and there is no unknown token", t->name,
                (int)(end - begin < 80 ? end - begin : 80), w->text.data + begin);
    return sn_tok_token_add(w, id, begin, end);
}
const sn_tok_model_row sn_tok_model_wordlevel = {parse, run, release};
