/* pretrained.c: opening a directory: which page, which parameters, their weights. */
#include "models/pretrained.h"

#include <stdio.h>

#include "base/parallel.h"
#include "models/adapters.h"
#include "nn/convnet.h"
#include "params/weights.h"

struct sn_pretrained {
    char *path, *architecture;
    json_t *config;
    const sn_page *page;
    sn_page_config c;
    sn_params *params;
    int threads;
    bool bf16, fold, inference;
    bool headless;  /* a base model alone: every parameter lies under the page's prefix, and there are no logits */
    bool exchanged; /* the head is the adapters', not that of the model's file */
    sn_folds folds;
    sn_adapters *adapters; /* merged into the weights; NULL: none */
    sn_isa isa;
};

void sn_pretrained_free(sn_pretrained *m) {
    if (!m) return;
    sn_params_free(m->params);
    sn_folds_free(&m->folds);
    sn_adapters_free(m->adapters);
    sn_page_config_free(&m->c);
    json_decref(m->config);
    sn_free(m->architecture);
    sn_free(m->path);
    sn_free(m);
}

const char *sn_pretrained_architecture(const sn_pretrained *m) { return m->architecture; }

bool sn_pretrained_writes(const sn_pretrained *m) { return sn_page_writes(m->page, m->architecture); }
bool sn_pretrained_answers(const sn_pretrained *m) { return sn_page_answers(m->page, m->architecture); }

int sn_pretrained_threads(const sn_pretrained *m) { return m->threads; }
const sn_page *sn_pretrained_page(const sn_pretrained *m) { return m->page; }
const sn_page_config *sn_pretrained_config(const sn_pretrained *m) { return &m->c; }
sn_params *sn_pretrained_params(const sn_pretrained *m) { return m->params; }

/* ---- graphs ---- */

int64_t sn_pretrained_seen(const sn_pretrained *m, const sn_page_sizes *s) {
    const sn_page_config *c = &m->c;
    if (m->page->accepts & SN_IN_REGIONS) return s->regions;
    int64_t patch = c->patch > 0 ? c->patch : 1;
    return 1 + (s->height ? s->height : c->image) / patch * ((s->width ? s->width : c->image) / patch);
}

void sn_pretrained_inputs(const sn_pretrained *m, sn_graph *g, const sn_page_sizes *s, bool training, sn_page_in *in) {
    const sn_page_config *c = &m->c;
    unsigned accepts = m->page->accepts;
    *in = sn_page_in_none();
    if (accepts & SN_IN_TEXT && s->steps > 0) {
        int64_t texts = s->texts ? s->texts : s->rows;
        in->ids = sn_input(g, SN_I32, SN_SHAPE(texts, s->steps));
        in->types = sn_input(g, SN_I32, SN_SHAPE(texts, s->steps));
        in->mask = sn_input(g, SN_I32, accepts & SN_IN_JOINT ? SN_SHAPE(texts, s->steps + sn_pretrained_seen(m, s)) : SN_SHAPE(texts));
    }
    if (accepts & SN_IN_IMAGE && s->height >= 0)
        in->pixels = sn_input(g, SN_F32, SN_SHAPE(s->rows, s->height ? s->height : c->image, s->width ? s->width : c->image,
                                                  c->channels ? c->channels : 3));
    if (accepts & SN_IN_REGIONS && s->regions > 0) in->regions = sn_input(g, SN_F32, SN_SHAPE(s->rows, s->regions, c->region));
    if (accepts & SN_IN_SOUND && s->frames > 0) in->sound = sn_input(g, SN_F32, SN_SHAPE(s->rows, s->frames, c->mels));
    if (accepts & SN_IN_TARGET && s->target_steps > 0) in->target = sn_input(g, SN_I32, SN_SHAPE(s->rows, s->target_steps));
    if (training) in->rows = sn_input(g, SN_I64, SN_SHAPE(s->rows));
}

static sn_page_build build_of(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_page_out *out) {
    return (sn_page_build){.g = g, .c = &m->c, .in = in, .out = out, .architecture = m->architecture, .fold = m->fold};
}

static sn_status built(const sn_pretrained *m, const sn_graph *g) {
    return sn_graph_check(g) == SN_OK ? SN_OK : sn_fail_in("%s", m->page->model_type);
}

static sn_status build_all(const sn_page_build *b, const sn_pretrained *m) {
    b->out->n = 0;
    m->page->build(b);
    return built(m, b->g);
}

/* weights and folds: while loading; else NULL. */
static sn_status graph(const sn_pretrained *m, const sn_weights *weights, sn_folds *folds, const sn_page_sizes *sizes, bool training, sn_graph **g,
                       sn_page_in *in, sn_page_out *out) {
    SN_TRY(sn_graph_create(m->params, training, g));
    sn_pretrained_inputs(m, *g, sizes, training, in);
    sn_page_build b = build_of(m, *g, in, out);
    b.weights = weights;
    b.folds = folds;
    sn_status status = build_all(&b, m);
    if (status == SN_OK) return SN_OK;
    sn_graph_free(*g);
    *g = NULL;
    return status;
}

sn_status sn_pretrained_graph(const sn_pretrained *m, const sn_page_sizes *sizes, bool training, sn_graph **g,
                              sn_page_in *in, sn_page_out *out) {
    return graph(m, NULL, NULL, sizes, training, g, in, out);
}

sn_status sn_pretrained_build(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_page_out *out) {
    sn_page_build b = build_of(m, g, in, out);
    return build_all(&b, m);
}

bool sn_pretrained_bf16(const sn_pretrained *m) { return m->bf16; }

/* One part of the model into a graph of the caller's. */
static sn_status part(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, void (*build_part)(const sn_page_build *),
                      const char *name, sn_node *node) {
    sn_page_out *out = sn_alloc(1, sizeof *out);
    if (!out) return SN_ERR_MEMORY;
    sn_page_build b = build_of(m, g, in, out);
    build_part(&b);
    *node = sn_page_get(out, name);
    sn_free(out);
    SN_TRY(built(m, g));
    if (node->id < 0) SN_FAIL(SN_ERR_UNSUPPORTED, "%s: the model gives no \"%s\"", m->page->model_type, name);
    return SN_OK;
}

static sn_status lacks(const sn_pretrained *m, const char *what) {
    SN_FAIL(SN_ERR_UNSUPPORTED, "a model of type %s has no %s", m->page->model_type, what);
}

sn_status sn_pretrained_encode(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_node *encoded) {
    return m->page->encode ? part(m, g, in, m->page->encode, "encoded", encoded) : lacks(m, "encoder");
}

sn_status sn_pretrained_decode(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_node *logits) {
    return m->page->decode ? part(m, g, in, m->page->decode, "logits", logits) : lacks(m, "decoder");
}

sn_status sn_pretrained_cross(const sn_pretrained *m, sn_graph *g, const sn_page_in *in, sn_node *keys, sn_node *values) {
    if (!m->page->cross) return lacks(m, "cross-attention");
    sn_page_build b = build_of(m, g, in, NULL);
    m->page->cross(&b, keys, values);
    return built(m, g);
}

sn_status sn_pretrained_compile(const sn_pretrained *m, sn_graph *g, int n, const sn_node *outputs, int n_first,
                                sn_program **out) {
    sn_compile_options options = {.threads = m->threads, .isa = m->isa, .backends = SN_USE_ALL, .bf16 = m->bf16,
                                  .inference = m->inference};
    return sn_program_compile(g, &options, n, outputs, n_first, out);
}

/* ---- opening ---- */

static sn_status read_config(sn_pretrained *m) {
    if (!json_is_object(m->config)) SN_FAIL(SN_ERR_FORMAT, "config.json is not an object");
    SN_TRY(sn_page_find_for(m->config, &m->page));
    m->architecture = sn_strdup(sn_page_architecture(m->config));
    return m->architecture ? sn_page_read(m->page, m->config, &m->c) : SN_ERR_MEMORY;
}

static bool matches(const char *pattern, const char *name) {
    size_t n = strlen(pattern), m = strlen(name);
    if (*pattern == '*') return m + 1 >= n && !strcmp(name + m - (n - 1), pattern + 1);
    if (n && pattern[n - 1] == '*') return !strncmp(name, pattern, n - 1);
    return !strcmp(name, pattern);
}

/* A part's own patterns count below the scope that has its key's name. */
static bool ignores(const sn_page_config *c, const char *name) {
    for (const char *const *p = c->page->ignored; p && *p; p++)
        if (matches(*p, name)) return true;
    for (int i = 0; i < SN_PAGE_PARTS && c->part[i]; i++) {
        const char *key = c->page->parts[i].key;
        size_t n = strlen(key);
        if (!strncmp(name, key, n) && name[n] == '.' && ignores(c->part[i], name + n + 1)) return true;
    }
    return false;
}
static bool in_base(const sn_pretrained *m, const char *name) {
    size_t n = m->page->prefix ? strlen(m->page->prefix) : 0;
    return n && !strncmp(name, m->page->prefix, n) && name[n] == '.';
}
typedef struct loading { const sn_pretrained *m; const sn_weights *weights; } loading;

/* What lies beside a base model that is built alone, or whose head was exchanged, is a head that it does not need. */
static bool is_ignored(void *context, const char *name) {
    const loading *l = context;
    const sn_pretrained *m = l->m;
    if (sn_folds_have(&m->folds, name) || ignores(&m->c, name)) return true;
    return (m->headless || m->exchanged) && !in_base(m, name) && !sn_weights_is_laid(l->weights, name);
}

/* Has an output with this in its name? */
static bool gives(const sn_page_out *out, const char *part) {
    for (int i = 0; i < out->n; i++)
        if (strstr(out->list[i].name, part)) return true;
    return false;
}

/* Builds the smallest graph once, which declares every parameter. */
static sn_status declare(sn_pretrained *m, const sn_weights *weights) {
    sn_graph *g;
    sn_page_in in;
    sn_page_out *out = sn_alloc(1, sizeof *out);
    if (!out) return SN_ERR_MEMORY;
    sn_page_sizes least = {.rows = 1, .steps = 2, .regions = 1, .frames = 2 * m->c.positions, .target_steps = 2};
    sn_status status = graph(m, weights, &m->folds, &least, false, &g, &in, out);
    int n = sn_params_count(m->params), inside = 0;
    for (int i = 0; i < n; i++) inside += in_base(m, sn_params_name(m->params, i));
    m->headless = n > 0 && inside == n && !gives(out, "logits");
    m->exchanged = m->exchanged && inside > 0; /* else the file is of a base model alone */
    sn_free(out);
    if (status == SN_OK) sn_graph_free(g);
    return status;
}

/* *taken: the store has the weights from then on. */
static sn_status borrow(sn_pretrained *m, sn_weights *weights, bool *taken) {
    SN_TRY(sn_params_seal_for_inference(m->params));
    SN_TRY(sn_params_borrow_all(m->params, weights, "", is_ignored, &(loading){m, weights}));
    *taken = true;
    return sn_folds_apply(&m->folds, m->params, weights);
}

static sn_status copy(sn_pretrained *m, const sn_weights *weights) {
    sn_module_range all = {0, sn_params_count(m->params), 0};
    SN_TRY(sn_params_seal(m->params));
    SN_TRY(sn_params_load_but(m->params, weights, "", is_ignored, &(loading){m, weights}));
    if (m->adapters) SN_TRY(sn_adapters_merge(m->adapters, m->params, all, m->headless || m->exchanged ? weights : NULL));
    return sn_folds_apply(&m->folds, m->params, weights);
}

/* "BertForMaskedLM", "BertModel" and `head` -> "BertForSequenceClassification" */
static sn_status change_head(sn_pretrained *m, const char *head) {
    static const char *const ends[] = {"For", "LMHeadModel", "Model"};
    const char *stop = NULL;
    for (size_t i = 0; !stop && i < sizeof ends / sizeof *ends; i++) stop = strstr(m->architecture, ends[i]);
    sn_buf name = {0};
    sn_buf_printf(&name, "%.*s%s", stop ? (int)(stop - m->architecture) : (int)strlen(m->architecture), m->architecture, head);
    SN_TRY(sn_buf_check(&name));
    sn_free(m->architecture);
    m->architecture = name.data;
    return SN_OK;
}

/* PEFT leaves the last matrix as it was where the word table was learned as a whole, unless it is told otherwise. */
static sn_status check_tables(const sn_pretrained *m) {
    if (!m->page->decode || json_is_true(json_object_get(m->adapters->config, "ensure_weight_tying"))) return SN_OK;
    for (int i = 0; i < sn_weights_count(m->adapters->weights); i++) {
        const sn_tensor_view *t = sn_weights_at(m->adapters->weights, i);
        if (t->type.shape.rank == 2 && t->type.shape.dim[0] == m->c.vocabulary && sn_adapters_whole_name(m->adapters, t))
            SN_FAIL(SN_ERR_UNSUPPORTED, "%s: tensor \"%s\": a word table that was learned as a whole is not supported", sn_weights_path(m->adapters->weights), t->name);
    }
    return SN_OK;
}

/* What the adapters bring besides adapters: modules, and the head that they are part of. */
static sn_status take_whole(sn_pretrained *m, sn_weights *weights) {
    int64_t classes = sn_adapters_classes(m->adapters);
    m->adapters->prefix = m->page->prefix;
    const char *head = sn_adapters_head(m->adapters);
    if (!head && classes && !strstr(m->architecture, "For"))
        head = m->page->accepts & SN_IN_IMAGE ? "ForImageClassification" : "ForSequenceClassification";
    if (head && !sn_ends_with(m->architecture, head)) {
        SN_TRY(change_head(m, head));
        m->exchanged = true;
    }
    if (classes) m->c.classes = classes;
    SN_TRY(check_tables(m));
    return sn_adapters_lay(m->adapters, weights);
}

/* What the file does not hold is found before memory is asked for. */
static sn_status load(sn_pretrained *m, sn_weights *weights, bool *taken) {
    if (m->adapters) SN_TRY(take_whole(m, weights));
    SN_TRY(declare(m, weights));
    SN_TRY(sn_params_check(m->params, weights, "", is_ignored, &(loading){m, weights}));
    bool borrows = m->inference && !m->adapters; /* merging writes */
    return borrows ? borrow(m, weights, taken) : copy(m, weights);
}

static sn_status set_machine(sn_pretrained *m, const sn_pretrained_options *o) {
    const char *precision = o && o->precision && *o->precision ? o->precision : "auto";
    if (strcmp(precision, "auto") && strcmp(precision, "f32"))
        SN_FAIL(SN_ERR_USAGE, "precision \"%s\": it is auto or f32", precision);
    m->threads = o && o->threads > 0 ? o->threads : sn_threads_available();
    m->fold = o && o->fold;
    m->inference = o && o->inference;
    m->isa = sn_isa_detect();
    m->bf16 = !strcmp(precision, "auto") && sn_isa_bf16(m->isa);
    return SN_OK;
}

static sn_status create(const char *path, const sn_pretrained_options *options, sn_pretrained **out) {
    sn_pretrained *m = *out = sn_alloc(1, sizeof *m);
    if (!m) return SN_ERR_MEMORY;
    m->path = sn_strdup(path);
    SN_TRY(m->path ? set_machine(m, options) : SN_ERR_MEMORY);
    return sn_params_create(&m->params);
}

static sn_status open_config(sn_pretrained *m) {
    char *path = sn_path_join(m->path, "config.json");
    sn_status status = path ? sn_json_read(path, &m->config) : SN_ERR_MEMORY;
    if (status == SN_OK) status = read_config(m);
    if (status != SN_OK && path) status = sn_fail_at(path, 0, NULL);
    sn_free(path);
    return status;
}

static sn_status open_weights(sn_pretrained *m, const char *adapters) {
    sn_weights *weights;
    char *own = NULL;
    if (adapters) SN_TRY(sn_file_find(m->path, "adapter_config.json", &own));
    if (own) {
        (void)sn_fail(SN_ERR_UNSUPPORTED, "%s: the model of the adapters in %s has adapters of its own", own, adapters);
        (void)sn_fail_at(own, 0, NULL);
        sn_free(own);
        return SN_ERR_UNSUPPORTED;
    }
    SN_TRY(sn_adapters_open(adapters ? adapters : m->path, &m->adapters));
    SN_TRY(sn_weights_open_to_lend(m->path, &weights));
    bool taken = false;
    sn_status status = load(m, weights, &taken);
    if (status != SN_OK) status = sn_fail_at(sn_weights_path(weights), 0, NULL);
    if (!taken) sn_weights_free(weights);
    return status;
}

sn_status sn_pretrained_open(const char *path, const sn_pretrained_options *options, sn_pretrained **out) {
    sn_pretrained *m;
    sn_status status = create(path, options, &m);
    if (status == SN_OK) status = open_config(m);
    if (status == SN_OK) status = open_weights(m, options ? options->adapters : NULL);
    if (status != SN_OK) sn_pretrained_free(m);
    *out = status == SN_OK ? m : NULL;
    return status;
}

sn_status sn_pretrained_make(const json_t *config, struct sn_weights *weights, const sn_pretrained_options *options, sn_pretrained **out) {
    sn_pretrained *m;
    sn_status status = create("", options, &m);
    if (status == SN_OK) m->config = json_incref((json_t *)(uintptr_t)config);
    if (status == SN_OK) status = read_config(m);
    bool taken = false;
    if (status == SN_OK) status = weights ? load(m, weights, &taken) : declare(m, NULL);
    if (!taken) sn_weights_free(weights);
    if (status != SN_OK) sn_pretrained_free(m);
    *out = status == SN_OK ? m : NULL;
    return status;
}
