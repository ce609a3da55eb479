/* tokenizer_legacy.c: vocab.txt, vocab.json + merges.txt, special_tokens_map.json, added_tokens.json -> tokenizer.json.
 *
 * Older files say only what the vocabulary is; how the text is treated was code. That code is written down here as the
 * tokenizer.json that Transformers makes of such a directory, and everything else is the one way all tokenizers go. */
#include <stdlib.h>

#include "text/tokenizer_legacy.h"

static sn_status no_memory(void) { SN_FAIL(SN_ERR_MEMORY, "out of memory while reading a tokenizer"); }

/* ---- lines ---- */

typedef sn_status line_fn(const char *name, const char *line, size_t bytes, int64_t number, json_t *out);

static sn_status each_line(const char *name, const char *text, size_t bytes, line_fn *take, json_t *out) {
    int64_t number = 0;
    if (!out) return no_memory();
    for (size_t at = 0; at < bytes; number++) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t n = end ? (size_t)(end - text) - at : bytes - at, next = at + n + 1;
        if (n && text[at + n - 1] == '\r') n--;
        if (memchr(text + at, '\0', n)) SN_FAIL(SN_ERR_FORMAT, "%s: line %lld holds a NUL byte", name, (long long)number + 1);
        SN_TRY(take(name, text + at, n, number, out));
        at = next;
    }
    return SN_OK;
}

static sn_status take_token(const char *name, const char *line, size_t bytes, int64_t number, json_t *out) {
    char *key = sn_strndup(line, bytes);
    if (!key) return SN_ERR_MEMORY;
    int failed = json_object_set_new(out, key, json_integer(number)); /* told twice: the last line holds */
    sn_free(key);
    if (failed) SN_FAIL(SN_ERR_FORMAT, "%s: line %lld is not UTF-8", name, (long long)number + 1);
    return SN_OK;
}

static sn_status take_merge(const char *name, const char *line, size_t bytes, int64_t number, json_t *out) {
    if (!bytes || (!number && bytes > 8 && !memcmp(line, "#version", 8))) return SN_OK;
    if (json_array_append_new(out, json_stringn(line, bytes))) SN_FAIL(SN_ERR_FORMAT, "%s: line %lld is not UTF-8", name, (long long)number + 1);
    return SN_OK;
}

static sn_status lines(const char *name, const char *text, size_t bytes, line_fn *take, json_t *list, json_t **out) {
    sn_status status = each_line(name, text, bytes, take, list);
    *out = list;
    if (status == SN_OK) return SN_OK;
    json_decref(list);
    *out = NULL;
    return status == SN_ERR_MEMORY ? status : sn_fail_at(name, 0, NULL);
}

sn_status sn_tok_vocab_lines(const char *name, const char *text, size_t bytes, json_t **out) {
    return lines(name, text, bytes, take_token, json_object(), out);
}

sn_status sn_tok_merge_lines(const char *name, const char *text, size_t bytes, json_t **out) {
    return lines(name, text, bytes, take_merge, json_array(), out);
}

/* ---- added tokens ---- */

static const char *content_of(const json_t *token) {
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

const char *sn_tok_role(const sn_tok_files *f, const char *key, const char *fallback) {
    const char *token = content_of(json_object_get(f->specials, key));
    if (!token) token = content_of(json_object_get(f->config, key));
    return token ? token : fallback;
}

/* Added tokens in order, and the set of their contents. */
typedef struct tokens {
    json_t *list, *seen;
} tokens;

/* Adds a token unless it is there. `how` may be an object with its flags. */
static sn_status add(tokens *to, const char *content, const json_t *how, bool special) {
    if (!content || json_object_get(to->seen, content)) return SN_OK;
    json_t *one = json_is_object(how) ? json_deep_copy(how) : json_pack("{s:s, s:b}", "content", content, "normalized", !special);
    if (!one || json_object_set_new(to->seen, content, json_true())) {
        json_decref(one);
        return no_memory();
    }
    if (special) (void)json_object_set_new(one, "special", json_true());
    return json_array_append_new(to->list, one) ? no_memory() : SN_OK;
}

static bool is_role(const sn_tok_files *f, const char *content) {
    static const char *const keys[] = {
#define SN_SPECIAL(id, key) key,
#include "text/tokenizer_specials.def"
    };
    for (size_t i = 0; i < SN_SPECIALS; i++) {
        const char *token = sn_tok_role(f, keys[i], NULL);
        if (token && !strcmp(token, content)) return true;
    }
    size_t k;
    json_t *one;
    json_array_foreach(json_object_get(f->specials, "additional_special_tokens"), k, one) {
        if (content_of(one) && !strcmp(content_of(one), content)) return true;
    }
    return false;
}

typedef struct numbered {
    int64_t id;
    const char *content;
    const json_t *how; /* its flags, or NULL */
} numbered;

static int by_id(const void *a, const void *b) {
    const numbered *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* added_tokens.json and the decoder table of tokenizer_config.json, by rising id. */
static sn_status add_numbered(const sn_tok_files *f, tokens *to) {
    const json_t *table = json_object_get(f->config, "added_tokens_decoder");
    const char *key;
    json_t *value;
    size_t n = 0;
    numbered *all = sn_alloc(json_object_size(table) + json_object_size(f->added), sizeof *all);
    if (!all) return SN_ERR_MEMORY;
    json_object_foreach((json_t *)(uintptr_t)table, key, value) {
        char *end;
        long long id = strtoll(key, &end, 10);
        if (!*end && content_of(value)) all[n++] = (numbered){id, content_of(value), value};
    }
    json_object_foreach(f->added, key, value) {
        double id = json_number_value(value);
        if (json_is_number(value) && id >= 0 && id <= SN_TOK_MOST_ID) all[n++] = (numbered){(int64_t)id, key, NULL};
    }
    if (n) qsort(all, n, sizeof *all, by_id);
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && i < n; i++) {
        const json_t *how = all[i].how;
        bool special = how ? json_is_true(json_object_get(how, "special")) : is_role(f, all[i].content);
        status = add(to, all[i].content, how, special);
    }
    sn_free(all);
    return status;
}

static sn_status add_roles(const sn_tok_files *f, const char *const *defaults, tokens *to) {
    static const char *const keys[] = {
#define SN_SPECIAL(id, key) key,
#include "text/tokenizer_specials.def"
    };
    size_t k;
    json_t *one;
    for (size_t i = 0; i < SN_SPECIALS; i++) {
        const char *fallback = NULL;
        for (const char *const *d = defaults; *d; d += 2) {
            if (!strcmp(d[0], keys[i])) fallback = d[1];
        }
        const json_t *how = json_object_get(f->specials, keys[i]);
        if (!content_of(how)) how = json_object_get(f->config, keys[i]);
        SN_TRY(add(to, sn_tok_role(f, keys[i], fallback), how, true));
    }
    json_array_foreach(json_object_get(f->specials, "additional_special_tokens"), k, one) SN_TRY(add(to, content_of(one), one, true));
    return SN_OK;
}

/* All added tokens; `defaults` are the roles' usual spellings: key, token, key, token, ..., NULL. NULL on failure. */
static sn_status added_tokens(const sn_tok_files *f, const char *const *defaults, json_t **out) {
    tokens to = {json_array(), json_object()};
    sn_status status = to.list && to.seen ? add_numbered(f, &to) : no_memory();
    if (status == SN_OK) status = add_roles(f, defaults, &to);
    json_decref(to.seen);
    *out = status == SN_OK ? to.list : NULL;
    if (status != SN_OK) json_decref(to.list);
    return status;
}

/* ---- the families ---- */

/* The id of a token: of the vocabulary, else what it gets as an added token. */
static int64_t id_of(const sn_tok_files *f, const json_t *added, const char *content) {
    const json_t *id = json_object_get(f->vocab, content), *one;
    size_t i;
    if (json_is_integer(id)) return json_integer_value(id);
    int64_t next = (int64_t)json_object_size(f->vocab);
    json_array_foreach((json_t *)(uintptr_t)added, i, one) {
        const char *other = json_string_value(json_object_get(one, "content"));
        if (other && !strcmp(other, content)) return next;
        next += other && !json_object_get(f->vocab, other);
    }
    return 0;
}

/* Takes all parts (NULL counts as a failed allocation of one). */
static sn_status together(json_t *model, json_t *normalizer, json_t *pre, json_t *post, json_t *decoder, json_t *added, json_t **out) {
    *out = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "model", model, "normalizer", normalizer, "pre_tokenizer", pre,
                     "post_processor", post, "decoder", decoder, "added_tokens", added);
    return *out ? SN_OK : no_memory();
}

static bool flag(const sn_tok_files *f, const char *key, bool fallback) {
    const json_t *value = json_object_get(f->config, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

static json_t *byte_level(bool prefix) {
    return json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "trim_offsets", 1);
}

static json_t *bpe(const sn_tok_files *f, const char *suffix, const char *unknown) {
    return json_pack("{s:s, s:O, s:O, s:s, s:s?}", "type", "BPE", "vocab", f->vocab, "merges", f->merges, "end_of_word_suffix", suffix, "unk_token", unknown);
}

static json_t *step(const char *kind, const char *id, int type) { return json_pack("{s:{s:s, s:i}}", kind, "id", id, "type_id", type); }

static json_t *special(const char *id, int64_t number) { return json_pack("{s:s, s:[I], s:[s]}", "id", id, "ids", (json_int_t)number, "tokens", id); }

static json_t *roberta_post(const sn_tok_files *f, const json_t *added, const char *cls, const char *sep, bool trim, bool prefix) {
    return json_pack("{s:s, s:[s, I], s:[s, I], s:b, s:b}", "type", "RobertaProcessing", "sep", sep, (json_int_t)id_of(f, added, sep), "cls", cls,
                     (json_int_t)id_of(f, added, cls), "trim_offsets", trim, "add_prefix_space", prefix);
}

sn_status sn_tok_family_bert(const sn_tok_files *f, json_t **out) {
    static const char *const defaults[] = {"pad_token", "[PAD]", "unk_token", "[UNK]", "cls_token", "[CLS]", "sep_token", "[SEP]", "mask_token", "[MASK]", NULL};
    json_t *added = NULL;
    const char *cls = sn_tok_role(f, "cls_token", "[CLS]"), *sep = sn_tok_role(f, "sep_token", "[SEP]");
    bool lower = flag(f, "do_lower_case", true);
    SN_TRY(added_tokens(f, defaults, &added));
    json_t *post = json_pack("{s:s, s:[o,o,o], s:[o,o,o,o,o], s:{s:o, s:o}}", "type", "TemplateProcessing", "single", step("SpecialToken", cls, 0),
                             step("Sequence", "A", 0), step("SpecialToken", sep, 0), "pair", step("SpecialToken", cls, 0), step("Sequence", "A", 0),
                             step("SpecialToken", sep, 0), step("Sequence", "B", 1), step("SpecialToken", sep, 1), "special_tokens", cls,
                             special(cls, id_of(f, added, cls)), sep, special(sep, id_of(f, added, sep)));
    json_t *normalizer = json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars",
                                   flag(f, "tokenize_chinese_chars", true), "strip_accents", flag(f, "strip_accents", lower), "lowercase", lower);
    json_t *model = json_pack("{s:s, s:s, s:s, s:O}", "type", "WordPiece", "unk_token", sn_tok_role(f, "unk_token", "[UNK]"), "continuing_subword_prefix",
                              "##", "vocab", f->vocab);
    return together(model, normalizer, json_pack("{s:s}", "type", "BertPreTokenizer"), post, json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##", "cleanup", 1),
                    added, out);
}

sn_status sn_tok_family_gpt2(const sn_tok_files *f, json_t **out) {
    static const char *const defaults[] = {"unk_token", "<|endoftext|>", "bos_token", "<|endoftext|>", "eos_token", "<|endoftext|>", NULL};
    json_t *added = NULL;
    bool prefix = flag(f, "add_prefix_space", false);
    SN_TRY(added_tokens(f, defaults, &added));
    return together(bpe(f, "", NULL), json_null(), byte_level(prefix), json_null(), byte_level(prefix), added, out);
}

sn_status sn_tok_family_roberta(const sn_tok_files *f, json_t **out) {
    static const char *const defaults[] = {"bos_token", "<s>", "eos_token", "</s>", "sep_token", "</s>", "cls_token", "<s>",
                                           "unk_token", "<unk>", "pad_token", "<pad>", "mask_token", "<mask>", NULL};
    json_t *added = NULL;
    bool prefix = flag(f, "add_prefix_space", false);
    const char *cls = sn_tok_role(f, "cls_token", "<s>"), *sep = sn_tok_role(f, "sep_token", "</s>");
    SN_TRY(added_tokens(f, defaults, &added));
    return together(bpe(f, "", NULL), json_null(), byte_level(prefix), roberta_post(f, added, cls, sep, flag(f, "trim_offsets", true), prefix),
                    byte_level(prefix), added, out);
}

sn_status sn_tok_family_clip(const sn_tok_files *f, json_t **out) {
    static const char *const defaults[] = {"unk_token", "<|endoftext|>", "bos_token", "<|startoftext|>", "eos_token", "<|endoftext|>",
                                           "pad_token", "<|endoftext|>", NULL};
    static const char pattern[] = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
    json_t *added = NULL;
    const char *bos = sn_tok_role(f, "bos_token", "<|startoftext|>"), *eos = sn_tok_role(f, "eos_token", "<|endoftext|>");
    SN_TRY(added_tokens(f, defaults, &added));
    json_t *normalizer = json_pack("{s:s, s:[{s:s}, {s:s, s:{s:s}, s:s}, {s:s}]}", "type", "Sequence", "normalizers", "type", "NFC", "type", "Replace",
                                   "pattern", "Regex", "\\s+", "content", " ", "type", "Lowercase");
    json_t *pre = json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split", "pattern", "Regex", pattern,
                            "behavior", "Removed", "invert", 1, byte_level(false));
    /* Transformers turns the ends of words into spaces and strips the text. */
    json_t *decoder = json_pack("{s:s, s:[o, {s:s, s:{s:s}, s:s}, {s:s, s:s, s:i, s:i}]}", "type", "Sequence", "decoders", byte_level(false), "type", "Replace",
                                "pattern", "String", "</w>", "content", " ", "type", "Strip", "content", " ", "start", INT32_MAX, "stop", INT32_MAX);
    return together(bpe(f, "</w>", sn_tok_role(f, "unk_token", "<|endoftext|>")), normalizer, pre, roberta_post(f, added, bos, eos, false, false), decoder,
                    added, out);
}

/* Whisper's prompt: what the text begins with when no language and no task are chosen. */
sn_status sn_tok_family_whisper(const sn_tok_files *f, json_t **out) {
    static const char *const defaults[] = {"unk_token", "<|endoftext|>", "bos_token", "<|endoftext|>", "eos_token", "<|endoftext|>", NULL};
    static const char start[] = "<|startoftranscript|>", plain[] = "<|notimestamps|>";
    json_t *added = NULL;
    bool prefix = flag(f, "add_prefix_space", false);
    const char *eos = sn_tok_role(f, "eos_token", "<|endoftext|>");
    SN_TRY(added_tokens(f, defaults, &added));
    json_t *post = json_pack("{s:s, s:[o,o,o,o], s:[o,o,o,o,o], s:{s:o, s:o, s:o}}", "type", "TemplateProcessing", "single", step("SpecialToken", start, 0),
                             step("SpecialToken", plain, 0), step("Sequence", "A", 0), step("SpecialToken", eos, 0), "pair", step("SpecialToken", start, 0),
                             step("SpecialToken", plain, 0), step("Sequence", "A", 0), step("Sequence", "B", 1), step("SpecialToken", eos, 1),
                             "special_tokens", start, special(start, id_of(f, added, start)), plain, special(plain, id_of(f, added, plain)), eos,
                             special(eos, id_of(f, added, eos)));
    return together(bpe(f, "", NULL), json_null(), byte_level(prefix), post, byte_level(prefix), added, out);
}
