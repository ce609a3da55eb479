/* tokenizer_legacy.h: a model directory's older tokenizer files, read. */
#ifndef SN_TEXT_TOKENIZER_LEGACY_H
#define SN_TEXT_TOKENIZER_LEGACY_H
#include "text/tokenizer_internal.h"

typedef struct sn_tok_files {
    const char *directory;
    json_t *config;   /* tokenizer_config.json, or an empty object */
    json_t *specials; /* special_tokens_map.json, or an empty object */
    json_t *added;    /* added_tokens.json, or an empty object */
    json_t *model;    /* config.json, or an empty object */
    json_t *vocab;    /* {"token": id}: of vocab.txt or vocab.json */
    json_t *merges;   /* list of strings; NULL: none */
} sn_tok_files;

/* Lines of vocab.txt -> {"line": number}; of merges.txt -> ["a b", ...]. `name` appears in errors. */
sn_status sn_tok_vocab_lines(const char *name, const char *text, size_t bytes, json_t **out);
sn_status sn_tok_merge_lines(const char *name, const char *text, size_t bytes, json_t **out);
/* The content of a token with a role: special_tokens_map.json, tokenizer_config.json, else `fallback` (may be NULL). */
const char *sn_tok_role(const sn_tok_files *f, const char *key, const char *fallback);
/* What tokenizer.json would say. */
#define SN_TOK_FAMILY(id, files, classes, types, token) sn_status sn_tok_family_##id(const sn_tok_files *f, json_t **out);
#include "text/tokenizer_families.def"
#endif
