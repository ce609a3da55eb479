/* page.c: the table of pages, reading their configs, and the pieces that several of them use. */
#include "models/page.h"

#include <stdio.h>
#include <stdlib.h>

#include "params/weights.h"

#define SN_PAGE(symbol) extern const sn_page sn_page_##symbol;
#include "models/pages.def"
#undef SN_PAGE

static const sn_page *const pages[] = {
#define SN_PAGE(symbol) &sn_page_##symbol,
#include "models/pages.def"
#undef SN_PAGE
};
enum { PAGES = sizeof pages / sizeof *pages };

sn_status sn_page_find(const char *model_type, const sn_page **out) {
    sn_names passed = {0};
    for (int i = 0; i < PAGES; i++)
        if (sn_names_match(&passed, pages[i]->model_type, model_type)) {
            *out = pages[i];
            return SN_OK;
        }
    SN_FAIL(SN_ERR_UNSUPPORTED, "model_type \"%s\" is not known; known are %s", model_type, passed.list);
}

static bool is_timm(const sn_page *page, const char *architecture) {
    for (const char *const *p = page->timm; p && *p; p++)
        if (!strncmp(*p, architecture, strlen(*p))) return true;
    return false;
}

static bool ends_so(const char *architecture, const char *const *endings) {
    for (; *endings; endings++)
        if (sn_ends_with(architecture, *endings)) return true;
    return false;
}

const char *sn_page_architecture(const json_t *config) {
    const json_t *first = json_array_get(json_object_get(config, "architectures"), 0);
    return json_is_string(first) ? json_string_value(first) : "";
}

bool sn_page_writes(const sn_page *page, const char *architecture) {
    return page->decode && (!page->writers || ends_so(architecture, page->writers));
}

bool sn_page_answers(const sn_page *page, const char *architecture) { return page->questions && ends_so(architecture, page->questions); }

sn_status sn_page_find_for(const json_t *json, const sn_page **out) {
    const char *type, *architecture;
    SN_TRY(sn_json_string(json, "model_type", NULL, &type));
    if (type) return sn_page_find(type, out);
    SN_TRY(sn_json_string(json, "architecture", NULL, &architecture));
    if (!architecture) SN_FAIL(SN_ERR_FORMAT, "config.json has no \"model_type\"");
    for (int i = 0; i < PAGES; i++)
        if (is_timm(pages[i], architecture)) {
            *out = pages[i];
            return SN_OK;
        }
    SN_FAIL(SN_ERR_UNSUPPORTED, "\"architecture\": \"%s\" of timm is not known", architecture);
}

sn_status sn_page_recognise(const sn_weights *w, json_t **config, json_t **processor) {
    *config = *processor = NULL;
    for (int i = 0; i < PAGES && !*config; i++)
        if (pages[i]->recognise) SN_TRY(pages[i]->recognise(w, config, processor));
    return SN_OK;
}

/* ---- config ---- */

static const struct {
    const char *name;
    sn_act act;
} acts[] = {{"gelu", SN_ACT_GELU},         {"gelu_new", SN_ACT_GELU_TANH}, {"gelu_pytorch_tanh", SN_ACT_GELU_TANH},
            {"gelu_fast", SN_ACT_GELU_TANH}, {"relu", SN_ACT_RELU},          {"silu", SN_ACT_SILU},
            {"swish", SN_ACT_SILU},        {"tanh", SN_ACT_TANH},          {"quick_gelu", SN_ACT_QUICK_GELU}};

static sn_status read_act(const json_t *json, const char *key, sn_act *act) {
    const char *text = NULL;
    sn_names passed = {0};
    SN_TRY(sn_json_string(json, key, NULL, &text));
    if (!text) return SN_OK;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (sn_names_match(&passed, acts[i].name, text)) {
            *act = acts[i].act;
            return SN_OK;
        }
    SN_FAIL(SN_ERR_UNSUPPORTED, "\"%s\": the activation \"%s\" is not known; known are %s", key, text, passed.list);
}

static sn_status read_only(const json_t *value, const sn_key *key) {
    json_t *only = json_loads(key->only, JSON_DECODE_ANY, NULL);
    if (!only) return SN_ERR_MEMORY;
    bool same = json_equal(only, value);
    json_decref(only);
    if (same) return SN_OK;
    char *found = json_dumps(value, JSON_ENCODE_ANY);
    sn_status status = sn_fail(SN_ERR_UNSUPPORTED, "\"%s\": only %s is possible, found %.80s", key->name, key->only,
                               found ? found : "something else");
    free(found);
    return status;
}

/* What a member may be, whatever its key is called: no model is larger, and the product of two fits 63 bits. Without a
 * row (ids of tokens): -1 to MOST. */
enum { MOST = 1 << 24 };
#define ROW(member, least, most) {offsetof(sn_page_config, member), least, most}
static const struct { size_t at; int64_t least, most; } limits[] = {
    ROW(size.layers, 0, SN_PAGE_LAYERS),  ROW(decoder_layers, 0, SN_PAGE_LAYERS), ROW(size.width, 1, SN_PAGE_WIDTH),
    ROW(size.hidden, 0, 1 << 20),         ROW(decoder_hidden, 0, 1 << 20),        ROW(size.heads, 1, 1 << 12),
    ROW(decoder_heads, 1, 1 << 12),       ROW(vocabulary, 1, MOST),               ROW(positions, 1, MOST),
    ROW(target_positions, 1, MOST),       ROW(types, 0, 1 << 16),                 ROW(image, 1, 1 << 14),
    ROW(patch, 1, 1 << 14),               ROW(channels, 1, 1 << 12),              ROW(mels, 1, 1 << 12),
    ROW(projection, 0, SN_PAGE_WIDTH),       ROW(space, 0, SN_PAGE_WIDTH),              ROW(ratio, 1, 1 << 8),
    ROW(registers, 0, 1 << 12),           ROW(region, 1, SN_PAGE_WIDTH)};
#undef ROW

static sn_status read_int(const json_t *json, const sn_key *key, int64_t *to) {
    int64_t least = -1, most = MOST;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].at == key->at) least = limits[i].least, most = limits[i].most;
    SN_TRY(sn_json_int(json, key->name, (int64_t)key->fallback, to));
    if (*to >= least && *to <= most) return SN_OK;
    SN_FAIL(SN_ERR_UNSUPPORTED, "\"%s\": %lld is out of range; %lld to %lld are possible", key->name, (long long)*to, (long long)least,
            (long long)most);
}

static sn_status read_key(const json_t *json, const sn_key *key, void *at) {
    const json_t *value = json_object_get(json, key->name);
    bool none = !value || json_is_null(value);
    switch (key->kind) {
    case SN_KEY_INT: {
        int64_t *to = at;
        *to = (int64_t)key->fallback;
        return none ? SN_OK : read_int(json, key, to);
    }
    case SN_KEY_FLOAT: {
        double number = key->fallback;
        if (!none) SN_TRY(sn_json_number(json, key->name, number, &number));
        *(float *)at = (float)number;
        return SN_OK;
    }
    case SN_KEY_BOOL: {
        bool *to = at;
        *to = key->fallback != 0;
        return none ? SN_OK : sn_json_bool(json, key->name, *to, to);
    }
    case SN_KEY_ACT: {
        sn_act *to = at;
        *to = (sn_act)key->fallback;
        return none ? SN_OK : read_act(json, key->name, to);
    }
    case SN_KEY_ONLY: return none ? SN_OK : read_only(value, key);
    }
    return SN_OK;
}

/* What the page calls the member. */
static const char *key_of(const sn_page *page, size_t at) {
    const sn_key *key = page->keys;
    while (key && key->name && key->at != at) key++;
    return key && key->name ? key->name : "a size";
}

/* The nested config `part` of `json`. CLIP's first configs have it as "<key>_dict" too, which then counts alone. */
static sn_status read_part(const json_t *json, const sn_page_part *part, sn_page_config **out) {
    char dict[64];
    const sn_page *page = part->page;
    (void)snprintf(dict, sizeof dict, "%s_dict", part->key);
    const json_t *object = json_object_get(json, dict);
    if (!json_is_object(object)) object = json_object_get(json, part->key);
    if (object && !json_is_object(object) && !json_is_null(object)) SN_FAIL(SN_ERR_FORMAT, "\"%s\" is not an object", part->key);
    if (json_is_null(object)) object = NULL;
    if (!page) {
        const char *type = NULL;
        if (object) SN_TRY(sn_json_string(object, "model_type", NULL, &type));
        if (!type) SN_FAIL(SN_ERR_FORMAT, "\"%s\" has no \"model_type\"", part->key);
        SN_TRY(sn_page_find(type, &page));
        if (page->parts[0].key) SN_FAIL(SN_ERR_UNSUPPORTED, "\"%s\" cannot be a %s", part->key, type);
    }
    *out = sn_alloc(1, sizeof **out);
    return *out ? sn_page_read(page, object, *out) : SN_ERR_MEMORY;
}

void sn_page_config_free(sn_page_config *c) {
    for (int i = 0; i < SN_PAGE_PARTS; i++) {
        if (!c->part[i]) continue;
        sn_page_config_free(c->part[i]);
        sn_free(c->part[i]);
        c->part[i] = NULL;
    }
}

sn_status sn_page_read(const sn_page *page, const json_t *json, sn_page_config *c) {
    *c = (sn_page_config){.json = json, .page = page};
    for (const sn_key *key = page->keys; key && key->name; key++) SN_TRY(read_key(json, key, (char *)c + key->at));
    for (int i = 0; i < SN_PAGE_PARTS && page->parts[i].key; i++)
        if (read_part(json, &page->parts[i], &c->part[i]) != SN_OK) return sn_fail_in("\"%s\"", page->parts[i].key);
    const json_t *labels = json_object_get(json, "id2label");
    if (json_is_object(labels)) c->classes = (int64_t)json_object_size(labels);
    else SN_TRY(sn_json_int(json, "num_labels", 2, &c->classes));
    if (c->classes < 0 || c->classes > MOST)
        SN_FAIL(SN_ERR_FORMAT, "\"%s\": %lld is out of range", labels ? "id2label" : "num_labels", (long long)c->classes);
    if (c->size.heads && c->size.width % c->size.heads)
        SN_FAIL(SN_ERR_FORMAT, "\"%s\": %lld is not a multiple of \"%s\": %lld", key_of(page, offsetof(sn_page_config, size.width)), (long long)c->size.width,
                key_of(page, offsetof(sn_page_config, size.heads)), (long long)c->size.heads);
    return page->check ? page->check(c) : SN_OK;
}

const sn_page_config *sn_page_side(const sn_page_config *c, unsigned kind) {
    for (int i = 0; i < SN_PAGE_PARTS && c->part[i]; i++)
        if (c->part[i]->page->accepts & kind) return c->part[i];
    return c;
}

int64_t sn_page_longest(const sn_page_config *c) {
    const sn_page_config *side = sn_page_side(c, SN_IN_TEXT);
    return side->page->longest ? side->page->longest(side) : side->positions;
}

bool sn_page_is(const sn_page_build *b, const char *ending) { return sn_ends_with(b->architecture, ending); }

typedef struct scoped { char name[384]; } scoped;

/* Below the current scope; "" where that is too long. */
static scoped scope_of(const sn_page_build *b, const char *name) {
    scoped full;
    int n = snprintf(full.name, sizeof full.name, "%s%s%s", b->g->scope, b->g->scope_size ? "." : "", name);
    if (n < 0 || n >= (int)sizeof full.name) full.name[0] = '\0';
    return full;
}

const sn_tensor_view *sn_page_weight(const sn_page_build *b, const char *name) {
    scoped full = scope_of(b, name);
    return b->weights ? sn_weights_find(b->weights, full.name + (b->skip < strlen(full.name) ? b->skip : 0)) : NULL;
}

bool sn_page_has(const sn_page_build *b, const char *name, bool fallback) {
    if (sn_params_sealed(b->g->params)) return sn_params_find(b->g->params, scope_of(b, name).name) >= 0;
    return b->weights ? sn_page_weight(b, name) != NULL : fallback;
}

bool sn_page_enter(const sn_page_build *b, const char *prefix, const char *any) {
    sn_scope_push(b->g, prefix);
    bool headless = !*b->architecture || sn_page_is(b, "Model");
    if (sn_page_has(b, any, !headless)) return true;
    sn_scope_pop(b->g);
    return false;
}

sn_page_in sn_page_in_none(void) {
    sn_page_in in = {.cross_keys = NULL};
    sn_node *const nodes[] = {&in.ids, &in.types, &in.mask, &in.first, &in.pixels, &in.regions, &in.sound, &in.target, &in.encoded, &in.encoded_mask,
                              &in.rows};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) *nodes[i] = SN_NO_NODE;
    return in;
}

/* ---- outputs ---- */

void sn_page_give(sn_page_out *out, const char *name, sn_node node) {
    int at = 0;
    while (at < out->n && strcmp(out->list[at].name, name)) at++;
    if (at == SN_PAGE_OUTPUTS || strlen(name) >= sizeof out->list[at].name) return;
    memcpy(out->list[at].name, name, strlen(name) + 1);
    out->list[at].node = node;
    if (at == out->n) out->n++;
}

void sn_page_give_all(sn_page_out *out, const char *name, const sn_node *nodes, int64_t n) {
    char numbered[40];
    for (int64_t i = 0; i < n; i++) {
        (void)snprintf(numbered, sizeof numbered, "%.24s.%d", name, (int)i);
        sn_page_give(out, numbered, nodes[i]);
    }
}

void sn_page_give_some(sn_page_out *out, const char *name, const sn_page_out *from, const char *as) {
    char numbered[64];
    size_t n = strlen(as);
    for (int i = 0; i < from->n; i++) {
        if (strncmp(from->list[i].name, as, n) || from->list[i].name[n] != '.') continue;
        (void)snprintf(numbered, sizeof numbered, "%.24s%s", name, from->list[i].name + n);
        sn_page_give(out, numbered, from->list[i].node);
    }
}

sn_node sn_page_get(const sn_page_out *out, const char *name) {
    for (int i = 0; i < out->n; i++)
        if (!strcmp(out->list[i].name, name)) return out->list[i].node;
    return SN_NO_NODE;
}

/* ---- pieces ---- */

int sn_page_ints(sn_graph *g, const json_t *options, const char *key, const int64_t *fallback, int n_fallback, int64_t *out, int most,
                 int64_t largest) {
    int n = sn_option_ints(g, options, key, fallback, n_fallback, out, most);
    for (int i = 0; i < n; i++) {
        if (out[i] <= largest) continue;
        (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "\"%s\": %lld is out of range; up to %lld are possible", key, (long long)out[i], (long long)largest);
        out[i] = 1;
    }
    return n;
}

sn_node sn_page_last_only(const sn_page_build *b, sn_node x) {
    if (x.id < 0 || !b->in->last_only) return x;
    return sn_slice(b->g, x, 1, sn_dim(b->g, x, 1) - 1, 1);
}

sn_blocks_io sn_page_blocks_io(const sn_page_build *b, sn_node *hidden) {
    const sn_page_in *in = b->in;
    return (sn_blocks_io){.mask = in->mask, .encoder = in->encoded, .encoder_mask = in->encoded_mask, .cross_keys = in->cross_keys,
                          .cross_values = in->cross_values, .cache = in->cache, .keys = in->keys, .values = in->values,
                          .hidden = hidden, .rows = in->rows};
}

sn_node sn_page_table(sn_graph *g, sn_node ids, const char *name, int64_t rows, int64_t width, sn_node *table) {
    sn_scope_push(g, name);
    sn_node t = sn_param(g, "weight", SN_SHAPE(rows, width), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
    sn_scope_pop(g);
    if (table) *table = t;
    return sn_emit(g, SN_EMBED, (sn_node[]){t, ids}, 2, NULL);
}

sn_node sn_page_positions(sn_graph *g, sn_node x, sn_node at, const char *name, int64_t rows, int64_t from) {
    if (x.id < 0) return x;
    int64_t steps = sn_dim(g, x, 1), width = sn_dim(g, x, 2);
    if (at.id < 0 && from + steps > rows)
        return sn_graph_fail(g, SN_ERR_USAGE, "%lld positions; the model has %lld", (long long)steps, (long long)(rows - from));
    sn_scope_push(g, name);
    sn_node t = sn_param(g, "weight", SN_SHAPE(rows, width), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
    sn_scope_pop(g);
    if (at.id >= 0) {
        if (from) t = sn_slice(g, t, 0, from, rows - from);
        return sn_add(g, x, sn_emit(g, SN_EMBED, (sn_node[]){t, at}, 2, NULL));
    }
    return sn_add(g, x, sn_reshape(g, sn_slice(g, t, 0, from, steps), SN_SHAPE(1, steps, width)));
}

sn_node sn_page_first(sn_graph *g, sn_node x) {
    if (x.id < 0) return x;
    return sn_reshape(g, sn_slice(g, x, 1, 0, 1), SN_SHAPE(sn_dim(g, x, 0), sn_dim(g, x, 2)));
}
