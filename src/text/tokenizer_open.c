/* tokenizer_open.c: a model directory: which of its files hold the tokenizer, and what its configuration adds.
 *
 *   tokenizer.json, else a family of tokenizer_families.def  ->  sn_tokenizer
 *   tokenizer_config.json, special_tokens_map.json           ->  roles of tokens, model_max_length */
#include "text/tokenizer_legacy.h"

enum { MOST_FILE = 512 << 20, MOST_LENGTH = 1 << 30 };

static sn_status read_bytes(const char *directory, const char *name, sn_bytes *out, char **path) {
    *out = (sn_bytes){0};
    *path = sn_path_join(directory, name);
    return *path ? sn_file_read(*path, MOST_FILE, out) : SN_ERR_MEMORY;
}

/* An object from a JSON file; empty where there is no such file. Numbers may be of any size: model_max_length often is. */
static sn_status read_object(const char *directory, const char *name, json_t **out) {
    sn_bytes bytes;
    char *path;
    *out = NULL;
    SN_TRY(sn_file_find(directory, name, &path));
    if (!path) {
        *out = json_object();
        if (!*out) SN_FAIL(SN_ERR_MEMORY, "out of memory while reading a tokenizer");
        return SN_OK;
    }
    sn_status status = sn_file_read(path, MOST_FILE, &bytes);
    if (status == SN_OK) {
        json_error_t error;
        *out = json_loadb((const char *)bytes.data, bytes.size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
        if (!json_is_object(*out)) {
            status = sn_fail(SN_ERR_FORMAT, "%s: line %d: %s", path, *out ? 1 : error.line, *out ? "expected an object" : error.text);
            (void)sn_fail_at(path, 0, NULL);
        }
        sn_bytes_free(&bytes);
    }
    sn_free(path);
    return status;
}

static sn_status has(const char *directory, const char *name, bool *there) {
    char *path;
    SN_TRY(sn_file_find(directory, name, &path));
    *there = path != NULL;
    sn_free(path);
    return SN_OK;
}

/* Is `word` (of n bytes) in a list of words with spaces between them? */
static bool listed(const char *list, const char *word, size_t n) {
    for (const char *at = list; n && *at;) {
        size_t m = strcspn(at, " ");
        if (m == n && !memcmp(at, word, n)) return true;
        at += m;
        at += strspn(at, " ");
    }
    return false;
}

/* ---- the older files ---- */

typedef struct family {
    const char *files, *classes, *types, *token;
    sn_status (*make)(const sn_tok_files *f, json_t **out);
} family;
static const family families[] = {
#define SN_TOK_FAMILY(id, files, classes, types, token) {files, classes, types, token, sn_tok_family_##id},
#include "text/tokenizer_families.def"
};
enum { FAMILIES = sizeof families / sizeof *families };

static sn_status read_vocab(sn_tok_files *f) {
    bool lines, vocab, merges;
    sn_bytes bytes;
    char *path;
    sn_status status;
    SN_TRY(has(f->directory, "vocab.txt", &lines));
    SN_TRY(has(f->directory, "vocab.json", &vocab));
    SN_TRY(has(f->directory, "merges.txt", &merges));
    if (vocab && merges) {
        status = read_bytes(f->directory, "vocab.json", &bytes, &path);
        if (status == SN_OK) status = sn_json_parse(path, (const char *)bytes.data, bytes.size, &f->vocab);
        sn_bytes_free(&bytes);
        if (status == SN_OK && !json_is_object(f->vocab)) status = sn_fail(SN_ERR_FORMAT, "%s: expected an object of tokens and ids", path);
        sn_free(path);
        SN_TRY(status);
        status = read_bytes(f->directory, "merges.txt", &bytes, &path);
        if (status == SN_OK) status = sn_tok_merge_lines(path, (const char *)bytes.data, bytes.size, &f->merges);
    } else if (lines) {
        status = read_bytes(f->directory, "vocab.txt", &bytes, &path);
        if (status == SN_OK) status = sn_tok_vocab_lines(path, (const char *)bytes.data, bytes.size, &f->vocab);
    } else {
        SN_FAIL(SN_ERR_IO, "%s: neither tokenizer.json nor vocab.txt nor vocab.json with merges.txt", f->directory);
    }
    sn_bytes_free(&bytes);
    sn_free(path);
    return status;
}

static const family *choose(const sn_tok_files *f) {
    const char *class = json_string_value(json_object_get(f->config, "tokenizer_class"));
    const char *type = json_string_value(json_object_get(f->model, "model_type"));
    size_t n = class ? strlen(class) : 0, m = type ? strlen(type) : 0;
    if (n > 4 && !strcmp(class + n - 4, "Fast")) n -= 4;
    const char *files = f->merges ? "vocab.json merges.txt" : "vocab.txt";
    for (int way = 0; way < 3; way++) {
        for (int i = 0; i < FAMILIES; i++) {
            const family *row = &families[i];
            if (strcmp(row->files, files)) continue;
            if (way == 0 && listed(row->classes, class, n)) return row;
            if (way == 1 && listed(row->types, type, m)) return row;
            if (way == 2 && (!*row->token || json_object_get(f->vocab, row->token) || json_object_get(f->added, row->token))) return row;
        }
    }
    return NULL;
}

static sn_status open_older(sn_tok_files *f, sn_tokenizer **out) {
    json_t *json = NULL;
    SN_TRY(read_object(f->directory, "added_tokens.json", &f->added));
    SN_TRY(read_object(f->directory, "config.json", &f->model));
    SN_TRY(read_vocab(f));
    const family *row = choose(f);
    if (!row) SN_FAIL(SN_ERR_UNSUPPORTED, "%s: no known family of tokenizers has these files", f->directory);
    sn_status status = row->make(f, &json);
    char *text = status == SN_OK ? json_dumps(json, JSON_COMPACT) : NULL;
    if (status == SN_OK && !text) status = sn_fail(SN_ERR_MEMORY, "out of memory while reading a tokenizer");
    if (status == SN_OK) status = sn_tok_from_json(f->directory, json, sn_tok_hash(text, strlen(text)), out);
    free(text);
    json_decref(json);
    return status;
}

/* ---- what the configuration adds ---- */

static void read_roles(const sn_tok_files *f, sn_tokenizer *t) {
    static const char *const keys[] = {
#define SN_SPECIAL(id, key) key,
#include "text/tokenizer_specials.def"
    };
    for (int i = 0; i < SN_SPECIALS; i++) {
        const char *token = sn_tok_role(f, keys[i], NULL);
        int32_t id = token ? sn_tokenizer_id(t, token) : -1;
        if (id >= 0) t->special[i] = id;
    }
    double length = json_number_value(json_object_get(f->config, "model_max_length"));
    if (length >= 1 && length < MOST_LENGTH) t->max_length = (int64_t)length;
}

static sn_status open_all(sn_tok_files *f, sn_tokenizer **out) {
    sn_bytes bytes = {0};
    char *path = NULL;
    SN_TRY(read_object(f->directory, "tokenizer_config.json", &f->config));
    SN_TRY(read_object(f->directory, "special_tokens_map.json", &f->specials));
    bool whole;
    SN_TRY(has(f->directory, "tokenizer.json", &whole));
    if (!whole) {
        SN_TRY(open_older(f, out));
    } else {
        sn_status status = read_bytes(f->directory, "tokenizer.json", &bytes, &path);
        if (status == SN_OK) status = sn_tokenizer_parse(path, (const char *)bytes.data, bytes.size, out);
        sn_bytes_free(&bytes);
        sn_free(path);
        SN_TRY(status);
    }
    read_roles(f, *out);
    return SN_OK;
}

sn_status sn_tokenizer_open(const char *directory, sn_tokenizer **out) {
    *out = NULL;
    if (!sn_is_directory(directory)) {
        (void)sn_fail(SN_ERR_IO, "%s: not a directory", directory);
        return sn_fail_at(directory, 0, NULL);
    }
    sn_tok_files f = {.directory = directory};
    sn_status status = open_all(&f, out);
    json_decref(f.config);
    json_decref(f.specials);
    json_decref(f.added);
    json_decref(f.model);
    json_decref(f.vocab);
    json_decref(f.merges);
    return status;
}
