/* config.c: generation_config.json -> sn_generation, by a table of keys.
 *
 *   overrides, then the file, then the default; without a file the same keys of config.json, then of the text part
 *   inside it (as Transformers makes a generation config of an old model config) */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "generate/generate.h"

typedef enum kind { COUNT, REAL, FLAG, TOKEN, EOS, LIST, WORDS, EARLY, SEED } kind;

typedef struct key {
    const char *name;
    kind kind;
    size_t at;               /* offset of the field */
    double fallback, least, most; /* bounds of COUNT and REAL; an open lower bound is written as the smallest double above */
    size_t at_n;             /* of LIST and WORDS: where their number goes */
} key;

#define AT(field) offsetof(sn_generation, field)
#define ABOVE_0 1e-30
static const key keys[] = {
    {"max_length", COUNT, AT(max_length), -1, 1, INT32_MAX, 0},
    {"max_new_tokens", COUNT, AT(max_new_tokens), -1, 1, INT32_MAX, 0},
    {"min_length", COUNT, AT(min_length), 0, 0, INT32_MAX, 0},
    {"min_new_tokens", COUNT, AT(min_new_tokens), -1, 0, INT32_MAX, 0},
    {"num_beams", COUNT, AT(num_beams), 1, 1, SN_MOST_BEAMS, 0},
    {"num_return_sequences", COUNT, AT(num_return_sequences), 1, 1, SN_MOST_BEAMS, 0},
    {"no_repeat_ngram_size", COUNT, AT(no_repeat_ngram_size), 0, 0, INT32_MAX, 0},
    {"top_k", COUNT, AT(top_k), 50, 0, INT32_MAX, 0},
    {"length_penalty", REAL, AT(length_penalty), 1, -100, 100, 0},
    {"repetition_penalty", REAL, AT(repetition_penalty), 1, ABOVE_0, 1e30, 0},
    {"temperature", REAL, AT(temperature), 1, ABOVE_0, 1e30, 0},
    {"top_p", REAL, AT(top_p), 1, 0, 1, 0},
    {"min_p", REAL, AT(min_p), 0, 0, 1, 0},
    {"early_stopping", EARLY, AT(early_stopping), 0, 0, 0, 0},
    {"do_sample", FLAG, AT(do_sample), 0, 0, 0, 0},
    {"renormalize_logits", FLAG, AT(renormalize_logits), 0, 0, 0, 0},
    {"bos_token_id", TOKEN, AT(bos), 0, 0, 0, 0},
    {"pad_token_id", TOKEN, AT(pad), 0, 0, 0, 0},
    {"decoder_start_token_id", TOKEN, AT(decoder_start), 0, 0, 0, 0},
    {"forced_bos_token_id", TOKEN, AT(forced_bos), 0, 0, 0, 0},
    {"forced_eos_token_id", TOKEN, AT(forced_eos), 0, 0, 0, 0},
    {"eos_token_id", EOS, AT(eos), 0, 0, 0, 0},
    {"suppress_tokens", LIST, AT(suppress), 0, 0, 0, AT(n_suppress)},
    {"begin_suppress_tokens", LIST, AT(begin_suppress), 0, 0, 0, AT(n_begin_suppress)},
    {"bad_words_ids", WORDS, AT(bad_words), 0, 0, 0, AT(n_bad_words)},
    {"seed", SEED, AT(seed), 0, 0, 0, 0},
};
enum { KEYS = sizeof keys / sizeof *keys };

/* Keys of Transformers that change the result and that no row of processors.def implements: refused unless they say
 * `off` (null always does). */
static const struct {
    const char *name;
    double off;
} missing[] = {
    {"num_beam_groups", 1},      {"diversity_penalty", 0},       {"penalty_alpha", 0},     {"guidance_scale", 1},
    {"encoder_repetition_penalty", 1}, {"encoder_no_repeat_ngram_size", 0}, {"typical_p", 1}, {"epsilon_cutoff", 0},
    {"eta_cutoff", 0},           {"top_h", NAN},                 {"sequence_bias", NAN},   {"force_words_ids", NAN},
    {"constraints", NAN},        {"exponential_decay_length_penalty", NAN}, {"dola_layers", NAN}, {"watermarking_config", NAN},
    {"stop_strings", NAN},       {"max_time", NAN},
};

/* ---- values ---- */

static sn_status wrong(const char *name, const char *expected, const json_t *found) {
    char *text = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT);
    (void)sn_fail(SN_ERR_FORMAT, "\"%s\": expected %s, found %.80s", name, expected, text ? text : "another value");
    free(text);
    return SN_ERR_FORMAT;
}

static sn_status read_number(const key *k, const json_t *value, double *out) {
    char expected[96];
    if (k->kind == COUNT && !json_is_integer(value)) return wrong(k->name, "a whole number", value);
    if (!json_is_number(value)) return wrong(k->name, "a number", value);
    *out = json_number_value(value);
    if (*out >= k->least && *out <= k->most) return SN_OK;
    (void)snprintf(expected, sizeof expected, "%s %.10g to %.10g", k->kind == COUNT ? "a whole number from" : "a number from", k->least,
                   k->most);
    return wrong(k->name, k->least > 0 && k->least <= ABOVE_0 ? "a number above 0" : expected, value);
}

/* One id, or a list that holds one. */
static sn_status read_token(const char *name, const json_t *value, int32_t *out) {
    if (json_is_array(value) && json_array_size(value) == 1) value = json_array_get(value, 0);
    if (!json_is_integer(value)) return wrong(name, "a token id", value);
    json_int_t id = json_integer_value(value);
    if (id < 0 || id > INT32_MAX) return wrong(name, "a token id (0 or more)", value);
    *out = (int32_t)id;
    return SN_OK;
}

static sn_status read_eos(const key *k, const json_t *value, sn_generation *g) {
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (n > SN_MOST_EOS) SN_FAIL(SN_ERR_UNSUPPORTED, "\"%s\": %zu end tokens; at most %d are possible", k->name, n, SN_MOST_EOS);
    g->n_eos = 0;
    for (size_t i = 0; i < n; i++) {
        SN_TRY(read_token(k->name, json_is_array(value) ? json_array_get(value, i) : value, &g->eos[i]));
        g->n_eos++;
    }
    return SN_OK;
}

/* A list of ids; below 0 (OpenAI's -1) is kept and matches nothing. */
static sn_status read_list(const key *k, const json_t *value, int32_t **out, int64_t *n) {
    if (!json_is_array(value)) return wrong(k->name, "a list of token ids", value);
    size_t size = json_array_size(value);
    int32_t *list = sn_alloc(size ? size : 1, sizeof *list);
    if (!list) return SN_ERR_MEMORY;
    for (size_t i = 0; i < size; i++) {
        const json_t *one = json_array_get(value, i);
        json_int_t id = json_integer_value(one);
        if (!json_is_integer(one) || id < -1 || id > INT32_MAX) {
            sn_free(list);
            return wrong(k->name, "a list of token ids", value);
        }
        list[i] = (int32_t)id;
    }
    sn_free(*out);
    *out = list;
    *n = (int64_t)size;
    return SN_OK;
}

static sn_status read_words(const key *k, const json_t *value, int32_t **out, int64_t *n) {
    size_t total = 0, index, at = 0;
    json_t *word;
    if (!json_is_array(value)) return wrong(k->name, "a list of lists of token ids", value);
    json_array_foreach(value, index, word) {
        if (!json_is_array(word) || !json_array_size(word)) return wrong(k->name, "a list of lists of token ids", value);
        total += 1 + json_array_size(word);
    }
    int32_t *list = sn_alloc(total ? total : 1, sizeof *list);
    if (!list) return SN_ERR_MEMORY;
    json_array_foreach(value, index, word) {
        list[at++] = (int32_t)json_array_size(word);
        for (size_t i = 0; i < json_array_size(word); i++)
            if (read_token(k->name, json_array_get(word, i), &list[at++]) != SN_OK) {
                sn_free(list);
                return sn_error_code();
            }
    }
    sn_free(*out);
    *out = list;
    *n = (int64_t)total;
    return SN_OK;
}

static sn_status read_early(const key *k, const json_t *value, int *out) {
    if (json_is_string(value) && !strcmp(json_string_value(value), "never")) {
        *out = 2;
        return SN_OK;
    }
    if (!json_is_boolean(value)) return wrong(k->name, "true, false or \"never\"", value);
    *out = json_is_true(value);
    return SN_OK;
}

static sn_status read_key(const key *k, const json_t *value, sn_generation *g) {
    void *field = (char *)g + k->at;
    int64_t *number = (int64_t *)(void *)((char *)g + k->at_n);
    double x;
    switch (k->kind) {
    case COUNT: SN_TRY(read_number(k, value, &x)); *(int64_t *)field = (int64_t)x; return SN_OK;
    case REAL: SN_TRY(read_number(k, value, &x)); *(double *)field = x; return SN_OK;
    case TOKEN: return json_is_integer(value) && json_integer_value(value) == -1 ? SN_OK : read_token(k->name, value, field); /* -1: none */
    case EOS: return read_eos(k, value, g);
    case LIST: return read_list(k, value, field, number);
    case WORDS: return read_words(k, value, field, number);
    case EARLY: return read_early(k, value, field);
    case SEED:
        if (!json_is_integer(value) || json_integer_value(value) < 0) return wrong(k->name, "a whole number (0 or more)", value);
        *(uint64_t *)field = (uint64_t)json_integer_value(value);
        return SN_OK;
    default:
        if (!json_is_boolean(value)) return wrong(k->name, "true or false", value);
        *(bool *)field = json_is_true(value);
        return SN_OK;
    }
}

/* ---- the objects ---- */

static void set_defaults(sn_generation *g) {
    *g = (sn_generation){.bos = -1, .pad = -1, .decoder_start = -1, .forced_bos = -1, .forced_eos = -1};
    for (int i = 0; i < KEYS; i++) {
        void *field = (char *)g + keys[i].at;
        if (keys[i].kind == COUNT) *(int64_t *)field = (int64_t)keys[i].fallback;
        if (keys[i].kind == REAL) *(double *)field = keys[i].fallback;
    }
}

static const json_t *member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return value && !json_is_null(value) ? value : NULL;
}

static sn_status refuse_missing(const json_t *object) {
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        const json_t *value = member(object, missing[i].name);
        bool off = !value || (json_is_number(value) && fabs(json_number_value(value) - missing[i].off) <= 0);
        if (!off) SN_FAIL(SN_ERR_UNSUPPORTED, "\"%s\": generation has no such rule yet", missing[i].name);
    }
    return SN_OK;
}

/* Keys of `object`, or of `inner` where they are absent in it. */
static sn_status read_file(const json_t *object, const json_t *inner, sn_generation *g) {
    SN_TRY(refuse_missing(object));
    for (int i = 0; i < KEYS; i++) {
        const json_t *value = member(object, keys[i].name);
        if (!value) value = member(inner, keys[i].name);
        if (value) SN_TRY(read_key(&keys[i], value, g));
    }
    return SN_OK;
}

static sn_status read_overrides(const json_t *overrides, sn_generation *g) {
    const char *known[KEYS + 1] = {0};
    for (int i = 0; i < KEYS; i++) known[i] = keys[i].name;
    SN_TRY(sn_json_known_keys(overrides, "generation", known));
    if (member(overrides, "max_length")) g->max_new_tokens = -1;
    if (member(overrides, "max_new_tokens")) g->max_length = -1;
    if (member(overrides, "min_length")) g->min_new_tokens = -1;
    if (member(overrides, "min_new_tokens")) g->min_length = 0;
    return read_file(overrides, NULL, g);
}

static sn_status check_object(const json_t *object, const char *what) {
    if (!object || json_is_object(object)) return SN_OK;
    SN_FAIL(SN_ERR_FORMAT, "%s: expected an object", what);
}

static const json_t *text_part(const json_t *config) {
    static const char *const names[] = {"decoder", "generator", "text_config"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *part = json_object_get(config, names[i]);
        if (json_is_object(part) && json_object_size(part)) return part;
    }
    return NULL;
}

static sn_status read_all(const json_t *generation, const json_t *config, const json_t *overrides, sn_generation *g) {
    SN_TRY(check_object(generation, "generation_config.json"));
    SN_TRY(check_object(config, "config.json"));
    SN_TRY(check_object(overrides, "generation options"));
    if (generation && read_file(generation, NULL, g) != SN_OK) return sn_fail_in("generation_config.json");
    if (!generation && config && read_file(config, text_part(config), g) != SN_OK) return sn_fail_in("config.json");
    if (overrides) SN_TRY(read_overrides(overrides, g));
    if (g->num_return_sequences > g->num_beams && !g->do_sample)
        SN_FAIL(SN_ERR_USAGE, "\"num_return_sequences\" %lld: without sampling at most \"num_beams\" %lld texts are possible",
                (long long)g->num_return_sequences, (long long)g->num_beams);
    if (g->num_return_sequences > g->num_beams && g->num_beams > 1)
        SN_FAIL(SN_ERR_USAGE, "\"num_return_sequences\" %lld is more than \"num_beams\" %lld", (long long)g->num_return_sequences,
                (long long)g->num_beams);
    return SN_OK;
}

sn_status sn_generation_read(const json_t *generation, const json_t *config, const json_t *overrides, sn_generation *out) {
    set_defaults(out);
    sn_status status = read_all(generation, config, overrides, out);
    if (status != SN_OK) sn_generation_free(out);
    return status;
}

void sn_generation_free(sn_generation *g) {
    if (!g) return;
    sn_free(g->suppress);
    sn_free(g->begin_suppress);
    sn_free(g->bad_words);
    *g = (sn_generation){0};
}
