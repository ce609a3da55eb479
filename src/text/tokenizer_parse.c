/* tokenizer_parse.c: tokenizer.json -> sn_tokenizer; what belongs to no single kind of part. */
#include "text/tokenizer_internal.h"

sn_status sn_tok_kind(const char *what, const char *name, const char *const *names, size_t n, size_t *index) {
    sn_names passed = {0};
    for (size_t i = 0; i < n; i++) {
        if (sn_names_match(&passed, names[i], name)) return *index = i, SN_OK;
    }
    SN_FAIL(SN_ERR_UNSUPPORTED, "unknown %s \"%.80s\"; known: %s", what, name, passed.list);
}

sn_status sn_tok_parts_add(sn_tokenizer *t, const json_t *json, const char *parts, sn_status (*add)(sn_tokenizer *t, const json_t *json)) {
    json_t *list, *one;
    size_t i;
    SN_TRY(sn_json_array(json, parts, &list));
    if (!list) SN_FAIL(SN_ERR_FORMAT, "a Sequence without \"%s\"", parts);
    json_array_foreach(list, i, one) SN_TRY(add(t, one));
    return SN_OK;
}

sn_status sn_tok_type(const char *what, const json_t *json, const char **type) {
    if (!json_is_object(json)) SN_FAIL(SN_ERR_FORMAT, "a %s: expected an object", what);
    SN_TRY(sn_json_string(json, "type", NULL, type));
    if (!*type) SN_FAIL(SN_ERR_FORMAT, "a %s without \"type\"", what);
    return SN_OK;
}

static const sn_tok_model_row *model_row(size_t i) {
#define SN_TOK_MODEL(id, name) extern const sn_tok_model_row sn_tok_model_##id;
#include "text/tokenizer_models.def"
    static const sn_tok_model_row *const rows[] = {
#define SN_TOK_MODEL(id, name) &sn_tok_model_##id,
#include "text/tokenizer_models.def"
    };
    return rows[i];
}

/* Files written before models had a type are told by their keys. */
static const char *guess_model(const json_t *json) {
    if (json_object_get(json, "merges")) return "BPE";
    if (json_object_get(json, "unk_id") || json_is_array(json_object_get(json, "vocab"))) return "Unigram";
    return json_object_get(json, "continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

sn_status sn_tok_model_read(sn_tokenizer *t, const json_t *json) {
    static const char *const names[] = {
#define SN_TOK_MODEL(id, name) name,
#include "text/tokenizer_models.def"
    };
    const char *type;
    size_t i;
    SN_TRY(sn_json_string(json, "type", guess_model(json), &type));
    SN_TRY(sn_tok_kind("model", type, names, sizeof names / sizeof *names, &i));
    t->model = model_row(i);
    return t->model->parse(t, json);
}

static sn_status read_truncation(sn_tokenizer *t, const json_t *json) {
    static const char *const names[] = {"LongestFirst", "OnlyFirst", "OnlySecond"};
    const char *strategy, *direction;
    size_t i;
    SN_TRY(sn_json_int(json, "max_length", 512, &t->truncation_length));
    SN_TRY(sn_json_string(json, "strategy", "LongestFirst", &strategy));
    SN_TRY(sn_json_string(json, "direction", "Right", &direction));
    SN_TRY(sn_tok_kind("truncation strategy", strategy, names, 3, &i));
    if (t->truncation_length < 0) SN_FAIL(SN_ERR_FORMAT, "\"truncation\": max_length is %lld", (long long)t->truncation_length);
    t->truncation = (sn_truncation)(SN_TRUNCATE_LONGEST_FIRST + (int)i);
    t->truncate_left = !strcmp(direction, "Left");
    return SN_OK;
}

enum { MOST_PADDING = 1 << 24 };

static sn_status read_padding(sn_tokenizer *t, const json_t *json) {
    const char *direction;
    int64_t id, type;
    const json_t *strategy = json_object_get(json, "strategy");
    const char *name = json_string_value(strategy);
    if (json_is_object(strategy)) SN_TRY(sn_json_int(strategy, "Fixed", 0, &t->pad_length));
    else if (strategy && (!name || strcmp(name, "BatchLongest")))
        SN_FAIL(SN_ERR_UNSUPPORTED, "unknown padding strategy \"%.40s\"; known: BatchLongest, {\"Fixed\": n}", name ? name : "(not a name)");
    SN_TRY(sn_json_string(json, "direction", "Right", &direction));
    SN_TRY(sn_json_int(json, "pad_to_multiple_of", 0, &t->pad_multiple));
    SN_TRY(sn_json_int(json, "pad_id", 0, &id));
    SN_TRY(sn_json_int(json, "pad_type_id", 0, &type));
    if (t->pad_length < 0 || t->pad_length > MOST_PADDING || t->pad_multiple < 0 || t->pad_multiple > MOST_PADDING)
        SN_FAIL(SN_ERR_FORMAT, "\"padding\": lengths must be 0 to %d", MOST_PADDING);
    if (id < 0 || id > SN_TOK_MOST_ID || type < 0 || type > SN_TOK_MOST_ID)
        SN_FAIL(SN_ERR_FORMAT, "\"padding\": pad_id is %lld and pad_type_id %lld; expected 0 to %d", (long long)id, (long long)type, SN_TOK_MOST_ID);
    t->pad_left = !strcmp(direction, "Left");
    t->pad_id = (int32_t)id;
    t->pad_type = (int32_t)type;
    t->pad = true;
    return SN_OK;
}

/* The usual spellings of tokens with a role, for files that name none. */
static void usual_specials(sn_tokenizer *t) {
    static const struct { sn_special which; const char *token; } usual[] = {
        {SN_SPECIAL_PAD, "[PAD]"}, {SN_SPECIAL_PAD, "<pad>"}, {SN_SPECIAL_BOS, "<s>"},    {SN_SPECIAL_EOS, "</s>"},
        {SN_SPECIAL_CLS, "[CLS]"}, {SN_SPECIAL_SEP, "[SEP]"}, {SN_SPECIAL_MASK, "[MASK]"}, {SN_SPECIAL_MASK, "<mask>"},
        {SN_SPECIAL_UNK, "[UNK]"}, {SN_SPECIAL_UNK, "<unk>"}, {SN_SPECIAL_BOS, "<|startoftext|>"}, {SN_SPECIAL_BOS, "<|endoftext|>"},
        {SN_SPECIAL_EOS, "<|endoftext|>"}};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        int32_t id = sn_tokenizer_id(t, usual[i].token);
        if (t->special[usual[i].which] < 0 && id >= 0 && sn_tokenizer_is_special(t, id)) t->special[usual[i].which] = id;
    }
}

typedef struct section {
    const char *key;
    sn_status (*read)(sn_tokenizer *t, const json_t *json);
} section;
/* In the order they build upon each other. */
static const section sections[] = {{"model", sn_tok_model_read},           {"normalizer", sn_tok_normalizer_add},
                                   {"pre_tokenizer", sn_tok_pretokenizer_add}, {"post_processor", sn_tok_processor_add},
                                   {"decoder", sn_tok_decoder_add},        {"truncation", read_truncation},
                                   {"padding", read_padding}};

static sn_status read_all(sn_tokenizer *t, const json_t *json) {
    const char *version;
    json_t *added;
    if (!json_is_object(json)) SN_FAIL(SN_ERR_FORMAT, "expected an object");
    SN_TRY(sn_json_string(json, "version", "1.0", &version));
    if (strcmp(version, "1.0")) SN_FAIL(SN_ERR_UNSUPPORTED, "version \"%.40s\"; known: 1.0", version);
    if (!json_is_object(json_object_get(json, "model"))) SN_FAIL(SN_ERR_FORMAT, "\"model\" is missing");
    SN_TRY(sn_tok_unicode_build(&t->unicode));
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        json_t *part;
        SN_TRY(sn_json_object(json, sections[i].key, &part));
        if (part && sections[i].read(t, part) != SN_OK) return sn_fail_in("\"%s\"", sections[i].key);
    }
    SN_TRY(sn_tok_bpe_ready(t));
    SN_TRY(sn_tok_normalizers_ready(t));
    SN_TRY(sn_json_array(json, "added_tokens", &added));
    if (added) SN_TRY(sn_tok_added_read(t, added));
    SN_TRY(sn_tok_added_ready(t));
    return SN_OK;
}

sn_status sn_tok_from_json(const char *name, const json_t *json, uint64_t fingerprint, sn_tokenizer **out) {
    *out = NULL;
    sn_tokenizer *t = sn_alloc(1, sizeof *t);
    if (!t) return SN_ERR_MEMORY;
    t->fingerprint = fingerprint;
    t->truncation = SN_TRUNCATE_NONE;
    for (int i = 0; i < SN_SPECIALS; i++) t->special[i] = -1;
    sn_status status = (t->name = sn_strdup(name)) ? read_all(t, json) : SN_ERR_MEMORY;
    if (status != SN_OK) {
        if (status != SN_ERR_MEMORY) (void)sn_fail_in("%s", name);
        sn_tokenizer_free(t);
        return status == SN_ERR_MEMORY ? status : sn_fail_at(name, 0, NULL);
    }
    usual_specials(t);
    *out = t;
    return SN_OK;
}

sn_status sn_tokenizer_parse(const char *name, const char *json, size_t bytes, sn_tokenizer **out) {
    json_t *tree;
    *out = NULL;
    SN_TRY(sn_json_parse(name, json, bytes, &tree));
    sn_status status = sn_tok_from_json(name, tree, sn_tok_hash(json, bytes), out);
    json_decref(tree);
    return status;
}

#define RELEASE(list)                                                                                       \
    for (int i = 0; i < t->list##_count; i++) {                                                             \
        if (t->list##s[i].row->release) t->list##s[i].row->release(&t->list##s[i]);                         \
    }

void sn_tokenizer_free(sn_tokenizer *t) {
    if (!t) return;
    RELEASE(normalizer)
    RELEASE(pretokenizer)
    RELEASE(processor)
    RELEASE(decoder)
    if (t->model && t->model->release) t->model->release(t->model_state);
    for (size_t i = 0; i < t->added_count; i++) sn_free(t->added[i].content);
    for (size_t i = 0; t->added_shown && i < t->added_count; i++) sn_free(t->added_shown[i]);
    sn_free(t->added);
    sn_free(t->added_shown);
    sn_free(t->added_by_id);
    sn_tok_vocab_free(&t->added_names);
    sn_tok_trie_free(&t->plain);
    sn_tok_trie_free(&t->normal);
    sn_tok_vocab_free(&t->vocab);
    sn_free(t->unicode.bits);
    sn_free(t->name);
    sn_free(t);
}

/* ---- questions ---- */

int32_t sn_tokenizer_id(const sn_tokenizer *t, const char *token) {
    size_t bytes = strlen(token);
    int32_t added = sn_tok_vocab_find(&t->added_names, token, bytes);
    return added >= 0 ? t->added[added].id : sn_tok_vocab_find(&t->vocab, token, bytes);
}

static int32_t added_index(const sn_tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < t->added_ids ? t->added_by_id[id] : SN_TOK_NONE;
}

const char *sn_tokenizer_token(const sn_tokenizer *t, int32_t id) {
    int32_t added = added_index(t, id);
    if (added >= 0) return t->added[added].content;
    return id >= 0 && (size_t)id < t->vocab.size ? t->vocab.entries[id].text : NULL;
}

bool sn_tokenizer_is_special(const sn_tokenizer *t, int32_t id) {
    int32_t added = added_index(t, id);
    return added >= 0 && t->added[added].special;
}

int64_t sn_tokenizer_size(const sn_tokenizer *t) {
    return (int64_t)(t->added_ids > t->vocab.size ? t->added_ids : t->vocab.size);
}

int64_t sn_tokenizer_count(const sn_tokenizer *t) {
    int64_t n = (int64_t)t->vocab.count;
    for (size_t i = 0; i < t->added_count; i++)
        n += sn_tok_vocab_find(&t->vocab, t->added[i].content, t->added[i].bytes) < 0;
    return n;
}

int64_t sn_tokenizer_max_length(const sn_tokenizer *t) { return t->max_length; }
int32_t sn_tokenizer_special(const sn_tokenizer *t, sn_special which) { return t->special[which]; }
