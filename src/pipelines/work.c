/* work.c: see work.h. */
#include "pipelines/work.h"

enum { KEPT = 24 }; /* programs */

typedef struct slot {
    unsigned kinds;
    sn_page_sizes sizes;
    const char *const *names; /* NULL: the encoder */
    sn_result result;
    const sn_program *program;
    sn_runner *runner;
    uint64_t used;
} slot;

struct sn_work {
    const sn_pipeline *p;
    struct sn_work *next;
    slot slots[KEPT];
    int n;
    uint64_t clock;
    void *memory;
    size_t bytes, last; /* of the memory; of the last run's program */
    sn_decoding *decoding;
    int64_t rows, positions; /* of the decoding session */
};

static void slot_free(slot *s) {
    sn_runner_free(s->runner);
    sn_program_free(s->program);
    *s = (slot){0};
}

void sn_work_free_all(sn_work *list) {
    while (list) {
        sn_work *next = list->next;
        for (int i = 0; i < list->n; i++) slot_free(&list->slots[i]);
        sn_pages_free(list->memory, list->bytes);
        sn_decoding_free(list->decoding);
        sn_free(list);
        list = next;
    }
}

sn_status sn_work_take(const sn_pipeline *p, sn_work **out) {
    sn_pipeline *own = (sn_pipeline *)(uintptr_t)p; /* the idle list is the one thing in a pipeline that changes */
    (void)pthread_mutex_lock(&own->lock);
    *out = own->idle;
    if (own->idle) own->idle = own->idle->next;
    (void)pthread_mutex_unlock(&own->lock);
    if (!*out) *out = sn_alloc(1, sizeof **out);
    if (!*out) return SN_ERR_MEMORY;
    (*out)->p = p;
    (*out)->next = NULL;
    return SN_OK;
}

void sn_work_give(const sn_pipeline *p, sn_work *work) {
    if (!work) return;
    sn_pipeline *own = (sn_pipeline *)(uintptr_t)p;
    (void)pthread_mutex_lock(&own->lock);
    work->next = own->idle;
    own->idle = work;
    (void)pthread_mutex_unlock(&own->lock);
}

/* ---- graphs ---- */

/* The feed's sizes with what it does not give left out. */
static sn_page_sizes sizes_of(const sn_feed *f) {
    sn_page_sizes s = f->sizes;
    if (!(f->kinds & SN_IN_TEXT)) s.steps = s.texts = 0;
    if (!(f->kinds & SN_IN_IMAGE)) s.height = -1;
    if (!(f->kinds & SN_IN_REGIONS)) s.regions = 0;
    if (!(f->kinds & SN_IN_SOUND)) s.frames = 0;
    if (!(f->kinds & SN_IN_TARGET)) s.target_steps = 0;
    return s;
}

static sn_status make_inputs(const sn_pipeline *p, sn_graph *g, const sn_feed *f, sn_page_in *in) {
    sn_page_sizes sizes = sizes_of(f);
    sn_pretrained_inputs(p->model, g, &sizes, false, in);
    if (f->kinds & SN_FEED_ENCODED) in->encoded = sn_input(g, SN_F32, f->encoded_shape);
    int64_t channels = in->pixels.id < 0 ? 3 : sn_dim(g, in->pixels, 3);
    if (channels != 3) SN_FAIL(SN_ERR_UNSUPPORTED, "%s: the model takes pictures of %lld channels, not of 3", p->path, (long long)channels);
    return SN_OK;
}

static void bind_inputs(sn_runner *r, const sn_feed *f) {
    int at = 0;
    if (f->kinds & SN_IN_TEXT) {
        sn_runner_bind_input(r, at++, f->ids);
        sn_runner_bind_input(r, at++, f->types);
        sn_runner_bind_input(r, at++, f->lengths);
    }
    if (f->kinds & SN_IN_IMAGE) sn_runner_bind_input(r, at++, f->pixels);
    if (f->kinds & SN_IN_REGIONS) sn_runner_bind_input(r, at++, f->regions);
    if (f->kinds & SN_IN_SOUND) sn_runner_bind_input(r, at++, f->sound);
    if (f->kinds & SN_IN_TARGET) sn_runner_bind_input(r, at++, f->target);
    if (f->kinds & SN_FEED_ENCODED) sn_runner_bind_input(r, at++, f->encoded);
}

static sn_status missing(const sn_pipeline *p, const char *const *names) {
    sn_buf list = {0};
    for (int i = 0; names[i]; i++) sn_buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    sn_status status = sn_buf_check(&list);
    if (status == SN_OK)
        status = sn_fail(SN_ERR_UNSUPPORTED, "%s: a model of type %s gives no %s", p->path, sn_pretrained_page(p->model)->model_type, list.data);
    sn_buf_free(&list);
    return status;
}

/* The graph of the whole model with its wanted output; the caller frees it. */
static sn_status whole(const sn_pipeline *p, const sn_feed *f, const char *const *names, sn_graph *g, sn_node *node, const char **name) {
    sn_page_in in;
    SN_TRY(make_inputs(p, g, f, &in));
    sn_page_out *out = sn_alloc(1, sizeof *out);
    if (!out) return SN_ERR_MEMORY;
    sn_status status = sn_pretrained_build(p->model, g, &in, out);
    *node = SN_NO_NODE;
    for (int i = 0; status == SN_OK && node->id < 0 && names[i]; i++) {
        *node = sn_page_get(out, names[i]);
        *name = names[i];
    }
    sn_free(out);
    if (status != SN_OK) return status;
    return node->id < 0 ? missing(p, names) : SN_OK;
}

static sn_status encoder(const sn_pipeline *p, const sn_feed *f, sn_graph *g, sn_node *node) {
    sn_page_in in;
    SN_TRY(make_inputs(p, g, f, &in));
    return sn_pretrained_encode(p->model, g, &in, node);
}

static sn_status graph_of(const sn_pipeline *p, const sn_feed *f, const char *const *names, sn_graph **g, sn_node *node, sn_result *out) {
    *out = (sn_result){.name = "encoded"};
    SN_TRY(sn_graph_create(sn_pretrained_params(p->model), false, g));
    sn_status status = names ? whole(p, f, names, *g, node, &out->name) : encoder(p, f, *g, node);
    if (status == SN_OK) {
        *node = sn_cast(*g, *node, SN_F32);
        out->shape = sn_shape_at(*g, *node);
        status = sn_graph_check(*g);
    }
    if (status != SN_OK) sn_graph_free(*g);
    return status;
}

sn_status sn_work_shape(const sn_pipeline *p, const sn_feed *f, const char *const *names, sn_result *out) {
    sn_graph *g;
    sn_node node;
    SN_TRY(graph_of(p, f, names, &g, &node, out));
    sn_graph_free(g);
    return SN_OK;
}

/* ---- programs ---- */

static bool same_sizes(const sn_page_sizes *a, const sn_page_sizes *b) {
    return a->rows == b->rows && a->steps == b->steps && a->height == b->height && a->width == b->width && a->frames == b->frames
        && a->target_steps == b->target_steps && a->texts == b->texts && a->regions == b->regions;
}

static sn_status make(sn_work *w, const sn_feed *f, const char *const *names, slot *s) {
    sn_graph *g;
    sn_node node;
    sn_program *program;
    *s = (slot){.kinds = f->kinds, .sizes = f->sizes, .names = names};
    SN_TRY(graph_of(w->p, f, names, &g, &node, &s->result));
    SN_TRY(sn_pretrained_compile(w->p->model, g, 1, &node, 1, &program));
    s->program = program;
    sn_status status = sn_runner_create(program, sn_pretrained_params(w->p->model), &s->runner);
    if (status != SN_OK) slot_free(s);
    return status;
}

static sn_status find(sn_work *w, const sn_feed *f, const char *const *names, slot **out) {
    int oldest = 0;
    for (int i = 0; i < w->n; i++) {
        slot *s = &w->slots[i];
        if (s->kinds == f->kinds && s->names == names && same_sizes(&s->sizes, &f->sizes)) {
            *out = s;
            return SN_OK;
        }
        if (s->used < w->slots[oldest].used) oldest = i;
    }
    slot fresh;
    SN_TRY(make(w, f, names, &fresh));
    int at = w->n < KEPT ? w->n++ : oldest;
    if (w->slots[at].program) slot_free(&w->slots[at]);
    w->slots[at] = fresh;
    *out = &w->slots[at];
    return SN_OK;
}

static sn_status run(sn_work *w, const sn_feed *f, const char *const *names, sn_result *out) {
    slot *s;
    SN_TRY(find(w, f, names, &s));
    s->used = ++w->clock;
    w->last = sn_program_bytes(s->program);
    SN_TRY(sn_pages_reserve(&w->memory, &w->bytes, w->last));
    sn_runner_lend(s->runner, w->memory);
    bind_inputs(s->runner, f);
    SN_TRY(sn_runner_run(s->runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
    *out = s->result;
    out->data = sn_runner_output(s->runner, 0);
    return SN_OK;
}

sn_status sn_work_run(sn_work *w, const sn_feed *f, const char *const *names, sn_result *out) { return run(w, f, names, out); }

int64_t sn_work_rows(const sn_work *w, int64_t rows, int64_t most) {
    enum { PROGRAM_MOST = 24 << 20, WRITING_MOST = 64 << 20 };
    int64_t each = (int64_t)w->last / rows + 1, n = PROGRAM_MOST / each;
    if (n > most) n = most;
    if (w->decoding) each += (int64_t)sn_decoding_bytes(w->decoding) / rows;
    if (n > WRITING_MOST / each) n = WRITING_MOST / each;
    return n < 1 ? 1 : n;
}

sn_status sn_work_encode(sn_work *w, const sn_feed *f, sn_result *out) { return run(w, f, NULL, out); }

sn_status sn_work_begin(sn_work *w, const sn_feed *f, sn_decoding *decoding) {
    sn_result encoded;
    SN_TRY(sn_work_encode(w, f, &encoded));
    const int64_t *dim = encoded.shape.dim;
    sn_status status = sn_decoding_start(decoding, encoded.data, dim[0], dim[1], dim[2]);
    sn_pages_rest(w->memory, w->bytes);
    return status;
}

sn_status sn_work_decoding(sn_work *w, int64_t rows, int64_t positions, sn_decoding **out) {
    if (!w->decoding || w->rows < rows || w->positions < positions) {
        sn_decoding_free(w->decoding);
        w->decoding = NULL;
        SN_TRY(sn_decoding_create(w->p->model, rows, positions, &w->decoding));
        w->rows = rows;
        w->positions = positions;
    }
    *out = w->decoding;
    return SN_OK;
}
