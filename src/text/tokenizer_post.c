/* tokenizer_post.c: the post-processors: which tokens a model wants around its texts, and of which type everything is. */
#include "text/tokenizer_internal.h"

static const sn_tok_processor_row *row_of(size_t i) {
#define SN_TOK_PROCESSOR(id, name) extern const sn_tok_processor_row sn_tok_processor_##id;
#include "text/tokenizer_processors.def"
    static const sn_tok_processor_row *const rows[] = {
#define SN_TOK_PROCESSOR(id, name) &sn_tok_processor_##id,
#include "text/tokenizer_processors.def"
    };
    return rows[i];
}

sn_status sn_tok_processor_add(sn_tokenizer *t, const json_t *json) {
    static const char *const names[] = {
#define SN_TOK_PROCESSOR(id, name) name,
#include "text/tokenizer_processors.def"
    };
    const char *type;
    size_t i;
    SN_TRY(sn_tok_type("post-processor", json, &type));
    SN_TRY(sn_tok_kind("post-processor", type, names, sizeof names / sizeof *names, &i));
    const sn_tok_processor_row *row = row_of(i);
    if (!row->run) return sn_tok_parts_add(t, json, "processors", sn_tok_processor_add);
    if (t->processor_count == SN_TOK_MOST_PARTS) SN_FAIL(SN_ERR_UNSUPPORTED, "more than %d post-processors", SN_TOK_MOST_PARTS);
    sn_tok_processor *p = &t->processors[t->processor_count++];
    p->row = row;
    return row->parse ? row->parse(t, json, p) : SN_OK;
}
const sn_tok_processor_row sn_tok_processor_sequence = {0};

static void release_state(sn_tok_processor *p) { sn_free(p->state); }

/* w->joined becomes w->first; there is no second any more. */
static void joined(sn_tok_work *w) {
    sn_tok_sequence first = w->first;
    w->first = w->joined;
    w->joined = first;
    w->second.count = 0;
}

/* ---- ByteLevel: only offsets, which the encoder trims ---- */

static sn_status read_trim(const json_t *json, sn_tok_processor *p) {
    bool trim, prefix;
    SN_TRY(sn_json_bool(json, "trim_offsets", true, &trim));
    SN_TRY(sn_json_bool(json, "add_prefix_space", true, &prefix));
    p->flags = (trim ? SN_TOK_TRIM : 0) | (prefix ? SN_TOK_PREFIX : 0);
    return SN_OK;
}

static sn_status parse_byte_level(const sn_tokenizer *t, const json_t *json, sn_tok_processor *p) {
    (void)t;
    return read_trim(json, p);
}
static sn_status run_byte_level(const sn_tokenizer *t, const sn_tok_processor *p, sn_tok_work *w, bool pair, bool add_special) {
    (void)t, (void)p, (void)w, (void)pair, (void)add_special;
    return SN_OK;
}
const sn_tok_processor_row sn_tok_processor_byte_level = {parse_byte_level, run_byte_level, NULL};

/* ---- BertProcessing, RobertaProcessing ---- */

typedef struct ends {
    int32_t sep, cls;
} ends;

static sn_status read_token(const json_t *json, const char *key, int32_t *id) {
    const json_t *pair = json_object_get(json, key), *number = json_array_get(pair, 1);
    if (!json_is_integer(number)) SN_FAIL(SN_ERR_FORMAT, "\"%s\": expected [token, id]", key);
    if (json_integer_value(number) < 0 || json_integer_value(number) > SN_TOK_MOST_ID) {
        const char *token = json_string_value(json_array_get(pair, 0));
        SN_FAIL(SN_ERR_FORMAT, "\"%s\": the id of \"%.80s\" is %lld; expected 0 to %d", key, token ? token : "", (long long)json_integer_value(number), SN_TOK_MOST_ID);
    }
    *id = (int32_t)json_integer_value(number);
    return SN_OK;
}

static sn_status parse_ends(const json_t *json, sn_tok_processor *p, int single, int pair) {
    ends *e = p->state = sn_alloc(1, sizeof *e);
    if (!e) return SN_ERR_MEMORY;
    p->added[0] = single;
    p->added[1] = pair;
    SN_TRY(read_token(json, "sep", &e->sep));
    return read_token(json, "cls", &e->cls);
}

static sn_status parse_bert(const sn_tokenizer *t, const json_t *json, sn_tok_processor *p) {
    (void)t;
    return parse_ends(json, p, 2, 3);
}

static sn_status parse_roberta(const sn_tokenizer *t, const json_t *json, sn_tok_processor *p) {
    (void)t;
    SN_TRY(read_trim(json, p));
    return parse_ends(json, p, 2, 4);
}

/* cls A sep, and for a pair B sep (of `type`), with one more sep before B if `twice`. */
static sn_status surround(const ends *e, sn_tok_work *w, bool pair, int32_t type, bool twice) {
    sn_tok_sequence *j = &w->first;
    SN_TRY(sn_tok_sequence_shift(j, 1, w->offsets));
    j->ids[0] = e->cls;
    SN_TRY(sn_tok_sequence_add(j, e->sep, 0, w->offsets));
    if (pair && twice) SN_TRY(sn_tok_sequence_add(j, e->sep, type, w->offsets));
    if (pair) {
        SN_TRY(sn_tok_sequence_append(j, &w->second, -1, w->offsets));
        SN_TRY(sn_tok_sequence_add(j, e->sep, type, w->offsets));
        w->second.count = 0;
    }
    return SN_OK;
}

static sn_status run_bert(const sn_tokenizer *t, const sn_tok_processor *p, sn_tok_work *w, bool pair, bool add_special) {
    (void)t;
    return add_special ? surround(p->state, w, pair, 1, false) : SN_OK;
}
const sn_tok_processor_row sn_tok_processor_bert = {parse_bert, run_bert, release_state};

static sn_status run_roberta(const sn_tokenizer *t, const sn_tok_processor *p, sn_tok_work *w, bool pair, bool add_special) {
    (void)t;
    for (size_t i = 0; i < w->second.count; i++) w->second.type_ids[i] = 0;
    return add_special ? surround(p->state, w, pair, 0, true) : SN_OK;
}
const sn_tok_processor_row sn_tok_processor_roberta = {parse_roberta, run_roberta, release_state};

/* ---- TemplateProcessing ---- */

enum { TEXT_A = -1, TEXT_B = -2, MOST_TEMPLATE = 256 };
typedef struct step {
    int32_t what; /* an id, or a text */
    int32_t type;
} step;
typedef struct template {
    step steps[2][MOST_TEMPLATE]; /* for one text, for a pair */
    int count[2];
} template;

static sn_status add_step(template *m, int which, int32_t what, int64_t type) {
    if (m->count[which] == MOST_TEMPLATE) SN_FAIL(SN_ERR_UNSUPPORTED, "TemplateProcessing: more than %d tokens and texts", MOST_TEMPLATE);
    if (type < 0 || type > INT32_MAX) SN_FAIL(SN_ERR_FORMAT, "TemplateProcessing: type_id %lld", (long long)type);
    m->steps[which][m->count[which]++] = (step){what, (int32_t)type};
    return SN_OK;
}

static sn_status add_specials(template *m, sn_tok_processor *p, int which, const json_t *tokens, const char *id, int64_t type) {
    const json_t *ids = json_object_get(json_object_get(tokens, id), "ids"), *one;
    const json_t *shown = json_object_get(json_object_get(tokens, id), "tokens");
    size_t k;
    if (!json_is_array(ids)) SN_FAIL(SN_ERR_FORMAT, "TemplateProcessing: \"special_tokens\" has no \"%.80s\"", id);
    if (shown && json_array_size(shown) != json_array_size(ids))
        SN_FAIL(SN_ERR_FORMAT, "TemplateProcessing: \"%.80s\" has %zu ids and %zu tokens", id, json_array_size(ids), json_array_size(shown));
    json_array_foreach((json_t *)(uintptr_t)ids, k, one) {
        if (!json_is_integer(one) || json_integer_value(one) < 0 || json_integer_value(one) > SN_TOK_MOST_ID)
            SN_FAIL(SN_ERR_FORMAT, "TemplateProcessing: \"%.80s\" has the id %lld; expected a whole number from 0 to %d", id,
                    (long long)json_integer_value(one), SN_TOK_MOST_ID);
        SN_TRY(add_step(m, which, (int32_t)json_integer_value(one), type));
        p->added[which]++;
    }
    return SN_OK;
}

static sn_status read_template(template *m, sn_tok_processor *p, int which, const json_t *list, const json_t *tokens) {
    static const char *const names[] = {"single", "pair"};
    const json_t *one;
    size_t k;
    if (!json_is_array(list)) SN_FAIL(SN_ERR_FORMAT, "TemplateProcessing: \"%s\" is not a list", names[which]);
    json_array_foreach((json_t *)(uintptr_t)list, k, one) {
        const json_t *text = json_object_get(one, "Sequence"), *special = json_object_get(one, "SpecialToken");
        const json_t *piece = text ? text : special;
        const char *id = json_string_value(json_object_get(piece, "id"));
        int64_t type;
        if (!id) SN_FAIL(SN_ERR_FORMAT, "TemplateProcessing: entry %zu of \"%s\" is neither Sequence nor SpecialToken", k + 1, names[which]);
        SN_TRY(sn_json_int(piece, "type_id", 0, &type));
        if (!text) {
            SN_TRY(add_specials(m, p, which, tokens, id, type));
            continue;
        }
        bool second = !strcmp(id, "B");
        if ((second && !which) || (!second && strcmp(id, "A"))) SN_FAIL(SN_ERR_FORMAT, "TemplateProcessing: \"%s\" uses text \"%.20s\"", names[which], id);
        SN_TRY(add_step(m, which, second ? TEXT_B : TEXT_A, type));
    }
    return SN_OK;
}

static sn_status parse_template(const sn_tokenizer *t, const json_t *json, sn_tok_processor *p) {
    (void)t;
    template *m = p->state = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    const json_t *tokens = json_object_get(json, "special_tokens");
    SN_TRY(read_template(m, p, 0, json_object_get(json, "single"), tokens));
    return read_template(m, p, 1, json_object_get(json, "pair"), tokens);
}

/* The step that is the first text, where that comes once and nothing but single tokens before it; else -1. */
static int around_first(const template *m, int which) {
    int at = -1;
    for (int i = 0; i < m->count[which]; i++) {
        int32_t what = m->steps[which][i].what;
        if ((what == TEXT_A && at >= 0) || (what == TEXT_B && at < 0)) return -1;
        if (what == TEXT_A) at = i;
    }
    return at;
}

/* What is before the first text moves in front of it, the rest behind it, and it needs no second room. */
static sn_status template_around(const template *m, sn_tok_work *w, bool pair, int middle, bool add_special) {
    const step *s = m->steps[pair];
    sn_tok_sequence *all = &w->first;
    size_t before = add_special ? (size_t)middle : 0;
    for (size_t i = 0; i < all->count; i++) all->type_ids[i] = s[middle].type;
    if (before) SN_TRY(sn_tok_sequence_shift(all, before, w->offsets));
    for (size_t i = 0; i < before; i++) {
        all->ids[i] = s[i].what;
        all->type_ids[i] = s[i].type;
    }
    for (int i = middle + 1; i < m->count[pair]; i++) {
        if (s[i].what >= 0 && add_special) SN_TRY(sn_tok_sequence_add(all, s[i].what, s[i].type, w->offsets));
        if (s[i].what < 0) SN_TRY(sn_tok_sequence_append(all, &w->second, s[i].type, w->offsets));
    }
    w->second.count = 0;
    return SN_OK;
}

static sn_status run_template(const sn_tokenizer *t, const sn_tok_processor *p, sn_tok_work *w, bool pair, bool add_special) {
    const template *m = p->state;
    int middle = around_first(m, pair);
    (void)t;
    if (middle >= 0) return template_around(m, w, pair, middle, add_special);
    w->joined.count = 0;
    for (int i = 0; i < m->count[pair]; i++) {
        step s = m->steps[pair][i];
        if (s.what >= 0 && add_special) SN_TRY(sn_tok_sequence_add(&w->joined, s.what, s.type, w->offsets));
        if (s.what < 0) SN_TRY(sn_tok_sequence_append(&w->joined, s.what == TEXT_A ? &w->first : &w->second, s.type, w->offsets));
    }
    joined(w);
    return SN_OK;
}
const sn_tok_processor_row sn_tok_processor_template = {parse_template, run_template, release_state};
