/* embed.c: items -> vectors.
 *
 *   texts -> ids, sorted by length -> batches padded to their longest -> hidden [N,T,D] -> pooling -> vectors
 *         -> or, from a model that compares pictures with texts, its own projected vectors, normalised
 *   pictures -> pixels -> the model's own vectors
 *   sounds -> windows of log-mel -> the encoder's states -> their mean, as far as there is sound
 *          -> or, for a speaker encoder, windows that overlap -> a vector of each -> their mean, made one of length 1
 *
 * Batches hold texts of nearly one length, so little is computed for padding; each vector goes to its item's place. */
#include <math.h>
#include <stdlib.h>

#include "models/pool_modes.h"
#include "pipelines/media.h"
#include "pipelines/work.h"

static const char *const keys[] = {"batch_size", "prompt", "pooling", "normalise", NULL};
static const char *const text_names[] = {"text_embeds", "last_hidden_state", NULL};
static const char *const pooled_names[] = {"text_embeds", "pooler_output", NULL};
static const char *const image_names[] = {"image_embeds", "pooler_output", "last_hidden_state", NULL};
static const char *const audio_names[] = {"audio_embeds", NULL};
enum { BATCH = 32, MOST_BATCH = 4096 };

static const char *const *names_of_text(const sn_pipeline *p) { return sn_text_page(p)->pools ? pooled_names : text_names; }

typedef struct embedding {
    sn_call *call;
    sn_pooling pooling; /* a view of the pipeline's, with the call's own modes */
    int normalise;      /* -1: as the files say */
    const char *prompt;
    int64_t batch;
    sn_text_list texts;
    float *vectors;     /* [n][width] */
    size_t width;
} embedding;

static sn_status settings(sn_call *call, embedding *e) {
    const char *mode = NULL;
    bool on = false;
    *e = (embedding){.call = call, .pooling = call->p->pooling, .normalise = -1};
    SN_TRY(sn_options_int(call->options, "batch_size", BATCH, 1, MOST_BATCH, &e->batch));
    SN_TRY(sn_json_string(call->options, "prompt", e->pooling.prompt, &e->prompt));
    SN_TRY(sn_json_string(call->options, "pooling", NULL, &mode));
    if (mode) SN_TRY(sn_pool_mode_find(mode, &e->pooling.modes));
    if (json_object_get(call->options, "normalise")) {
        SN_TRY(sn_json_bool(call->options, "normalise", false, &on));
        e->normalise = on;
    }
    if (e->prompt && *e->prompt && e->pooling.exclude_prompt)
        SN_FAIL(SN_ERR_UNSUPPORTED, "a prompt that the pooling leaves out (include_prompt false in 1_Pooling/config.json)");
    return SN_OK;
}

/* One vector out of what the model gave for one row. */
static sn_status finish(embedding *e, const sn_result *r, int64_t row, int64_t valid, bool text, float *out) {
    int64_t width = r->shape.dim[r->shape.rank - 1];
    bool own = r->shape.rank == 2; /* [N,D]: the model pools itself */
    if (own) memcpy(out, r->data + row * width, (size_t)width * sizeof *out);
    else {
        const float *hidden = r->data + row * r->shape.dim[1] * width;
        if (text) SN_TRY(sn_pooling_apply(&e->pooling, hidden, valid, width, out));
        else memcpy(out, hidden, (size_t)width * sizeof *out); /* a picture's first token */
    }
    bool projected = own && strstr(r->name, "_embeds");
    if (e->normalise > 0 || (e->normalise < 0 && projected)) sn_unit_length(out, (int64_t)e->width);
    return SN_OK;
}

static bool all_finite(const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

/* ---- texts ---- */

static sn_status text_batch(embedding *e, int64_t first, int64_t n) {
    sn_call *call = e->call;
    sn_text_batch b = {0};
    sn_result r;
    sn_status status = sn_text_batch_make(&e->texts, call->p, first, n, &b);
    sn_feed feed = sn_feed_texts(&b, n);
    if (status == SN_OK) status = sn_work_run(call->work, &feed, names_of_text(call->p), &r);
    for (int64_t k = 0; status == SN_OK && k < n; k++) {
        size_t item = e->texts.list[first + k].item;
        float *out = e->vectors + item * e->width;
        status = finish(e, &r, k, b.lengths[k], true, out);
        if (status == SN_OK && !all_finite(out, e->width)) status = sn_fail(SN_ERR_NUMERIC, "item %zu: the vector is not finite", item + 1);
    }
    sn_text_batch_free(&b);
    return status;
}

/* How many texts from `at` on go together. They come the longest first and are padded to it: a batch ends where an eighth
 * of its positions would be padding, if it has enough of them to keep the processor busy (another shape costs 5 to 15 ms
 * to compile, a position of BERT-base 0.5 ms); or where it has so many that more would only take memory. */
static int64_t batch_at(const embedding *e, int64_t at, int64_t all) {
    enum { ENOUGH = 192, MANY = 2048 };
    const sn_text_ids *list = e->texts.list;
    int64_t longest = list[at].count, most = all - at < e->batch ? all - at : e->batch, n = 1, tokens = longest;
    bool asked = sn_call_batch_asked(e->call);
    for (; n < most; n++) {
        int64_t whole = (n + 1) * longest, more = tokens + list[at + n].count;
        if (n * longest >= ENOUGH && whole - more > whole / 8) break;
        if (!asked && whole > MANY) break;
        tokens = more;
    }
    return n;
}

static sn_status texts(embedding *e) {
    sn_call *call = e->call;
    sn_status status = SN_OK;
    int64_t most = sn_text_limit(call->p);
    for (size_t i = 0; status == SN_OK && i < call->n; i++) {
        status = sn_text_list_add(&e->texts, call->p, &call->items[i], i, e->prompt, most);
        if (status == SN_OK) continue;
        for (size_t k = 0; k < e->width; k++) e->vectors[i * e->width + k] = NAN;
        status = sn_call_item_failed(call, i, status);
    }
    sn_text_list_sort(&e->texts);
    int64_t all = (int64_t)e->texts.n;
    for (int64_t at = 0, n; status == SN_OK && at < all; at += n) {
        n = batch_at(e, at, all);
        status = text_batch(e, at, n);
    }
    sn_text_list_free(&e->texts);
    return status;
}

/* ---- pictures ---- */

static sn_status picture_batch(void *context, const sn_pictures *pictures, const size_t *items, int64_t n) {
    embedding *e = context;
    sn_result r;
    sn_feed feed = sn_feed_pictures(pictures, n);
    SN_TRY(sn_work_run(e->call->work, &feed, image_names, &r));
    for (int64_t k = 0; k < n; k++) {
        float *out = e->vectors + items[k] * e->width;
        if (r.shape.dim[r.shape.rank - 1] != (int64_t)e->width) SN_FAIL(SN_ERR_SHAPE, "vectors of pictures and texts differ in size");
        SN_TRY(finish(e, &r, k, 0, false, out));
        if (!all_finite(out, e->width)) SN_FAIL(SN_ERR_NUMERIC, "item %zu: the vector is not finite", items[k] + 1);
    }
    return SN_OK;
}

static sn_status item_failed(void *context, size_t i, sn_status status) {
    embedding *e = context;
    for (size_t k = 0; k < e->width; k++) e->vectors[i * e->width + k] = NAN;
    return sn_call_item_failed(e->call, i, status);
}

static sn_status pictures(embedding *e) {
    return sn_pictures_all(e->call, &(sn_picture_batches){e->batch, picture_batch, item_failed, e});
}

/* ---- sounds ---- */

static void add_rows(double *sum, const float *rows, int64_t n, int64_t width) {
    for (int64_t t = 0; t < n; t++)
        for (int64_t k = 0; k < width; k++) sum[k] += (double)rows[t * width + k];
}

/* The sums over the vectors of all windows, and their number. */
static sn_status sum_chunks(embedding *e, const sn_sound *s, float *chunk, double *sum, int64_t *count) {
    const sn_audio_processor *q = &e->call->p->sound;
    sn_result r;
    for (*count = 0; *count < s->chunks; ++*count) {
        sn_sound_chunk(e->call->p, s, *count * q->step, chunk);
        sn_feed feed = sn_feed_chunk(e->call->p, chunk);
        SN_TRY(sn_work_run(e->call->work, &feed, audio_names, &r));
        add_rows(sum, r.data, 1, (int64_t)e->width);
    }
    return SN_OK;
}

/* The sums over the states of all windows; a state stands for two frames, and those behind the sound's end do not count. */
static sn_status sum_states(embedding *e, const sn_sound *s, float *chunk, double *sum, int64_t *count) {
    const int64_t window = e->call->p->sound.frames;
    sn_result r;
    *count = 0;
    for (int64_t first = 0; first < s->content; first += window) {
        int64_t frames = s->content - first < window ? s->content - first : window, states = (frames + 1) / 2;
        sn_sound_chunk(e->call->p, s, first, chunk);
        sn_feed feed = sn_feed_chunk(e->call->p, chunk);
        SN_TRY(sn_work_encode(e->call->work, &feed, &r));
        add_rows(sum, r.data, states, (int64_t)e->width);
        *count += states;
    }
    return SN_OK;
}

static sn_status sound(embedding *e, size_t i, float *chunk, double *sum) {
    const sn_pipeline *p = e->call->p;
    sn_sound s;
    int64_t count;
    bool speaker = p->sound.step > 0;
    float *out = e->vectors + i * e->width;
    SN_TRY(sn_sound_make(p, &e->call->items[i], &s));
    memset(sum, 0, e->width * sizeof *sum);
    sn_status status = speaker ? sum_chunks(e, &s, chunk, sum, &count) : sum_states(e, &s, chunk, sum, &count);
    for (size_t k = 0; status == SN_OK && k < e->width; k++) out[k] = (float)(sum[k] / (double)count);
    if (status == SN_OK && !all_finite(out, e->width)) status = sn_fail(SN_ERR_NUMERIC, "item %zu: the vector is not finite", i + 1);
    if (status == SN_OK && (e->normalise > 0 || (e->normalise < 0 && speaker))) sn_unit_length(out, (int64_t)e->width);
    sn_sound_free(&s);
    return status;
}

static sn_status sounds(embedding *e) {
    sn_call *call = e->call;
    float *chunk = sn_alloc((size_t)call->p->sound.frames, (size_t)call->p->sound.mel.mels * sizeof *chunk);
    double *sum = sn_alloc(e->width, sizeof *sum);
    sn_status status = chunk && sum ? SN_OK : SN_ERR_MEMORY;
    for (size_t i = 0; status == SN_OK && i < call->n; i++) {
        status = sound(e, i, chunk, sum);
        if (status != SN_OK) status = item_failed(e, i, status);
    }
    sn_free(chunk);
    sn_free(sum);
    return status;
}

/* ---- the task ---- */

static const struct kind {
    unsigned bit;
    const char *many;
    sn_status (*run)(embedding *e);
} kinds[] = {{SN_IN_TEXT, "texts", texts}, {SN_IN_IMAGE, "pictures", pictures}, {SN_IN_SOUND, "sounds", sounds}};

/* A file is what the model can see or hear. */
static const struct kind *kind_of(const sn_pipeline *p, const sn_item *item) {
    bool sound = item->pcm || (item->file && sn_pipeline_accepts(p, SN_IN_SOUND));
    return &kinds[item->text ? 0 : sound ? 2 : 1];
}

/* All items are of one kind: the first one's. */
static sn_status check_kind(const sn_call *call, const struct kind **out) {
    const sn_pipeline *p = call->p;
    *out = kind_of(p, &call->items[0]);
    for (size_t i = 0; i < call->n; i++)
        if (kind_of(p, &call->items[i]) != *out) SN_FAIL(SN_ERR_USAGE, "item %zu is of another kind than the first", i + 1);
    unsigned bit = (*out)->bit;
    bool ready = bit == SN_IN_TEXT ? p->tokenizer != NULL : bit == SN_IN_IMAGE ? p->has_pictures : p->mel != NULL;
    if (!sn_pipeline_accepts(p, bit) || !ready)
        SN_FAIL(SN_ERR_UNSUPPORTED, "%s: %s cannot be embedded by this model of type %s", p->path, (*out)->many,
                sn_pretrained_page(p->model)->model_type);
    return SN_OK;
}

static sn_status width_of(const sn_pipeline *p, const sn_pooling *pooling, size_t *out) {
    sn_result r;
    const sn_page_config *c = sn_pretrained_config(p->model);
    int64_t width = 0;
    if (sn_pipeline_accepts(p, SN_IN_TEXT)) {
        sn_feed feed = {.kinds = SN_IN_TEXT, .sizes = {.rows = 1, .steps = 2}};
        SN_TRY(sn_work_shape(p, &feed, names_of_text(p), &r));
        width = r.shape.dim[r.shape.rank - 1];
        if (r.shape.rank > 2) SN_TRY(sn_pooling_width(pooling, width, &width));
    } else if (sn_pipeline_accepts(p, SN_IN_SOUND)) width = c->projection ? c->projection : c->size.width;
    else {
        sn_feed feed = {.kinds = SN_IN_IMAGE, .sizes = {.rows = 1, .height = c->image, .width = c->image}};
        SN_TRY(sn_work_shape(p, &feed, image_names, &r));
        width = r.shape.dim[r.shape.rank - 1];
    }
    *out = (size_t)width;
    return SN_OK;
}

sn_status sn_embed_width(const sn_pipeline *p, size_t *out) { return width_of(p, &p->pooling, out); }

/* Without a place for vectors each item's goes to the listener. */
static sn_status tell(embedding *e) {
    sn_call *call = e->call;
    for (size_t i = 0; i < call->n; i++) {
        const float *x = e->vectors + i * e->width;
        if (isnan(x[0])) continue; /* its failure was told */
        json_t *list = json_array();
        for (size_t k = 0; list && k < e->width; k++) (void)json_array_append_new(list, json_real((double)x[k]));
        SN_TRY(sn_call_give(call, i, json_pack("{s:o}", "vector", list)));
    }
    return SN_OK;
}

static sn_status run(sn_call *call) {
    embedding e;
    SN_TRY(settings(call, &e));
    if (!call->n) return SN_OK;
    const struct kind *kind;
    SN_TRY(check_kind(call, &kind));
    SN_TRY(width_of(call->p, &e.pooling, &e.width));
    e.vectors = call->vectors ? call->vectors : sn_alloc(call->n, e.width * sizeof *e.vectors);
    if (!e.vectors) return SN_ERR_MEMORY;
    sn_status status = kind->run(&e);
    if (status == SN_OK && !call->vectors) status = tell(&e);
    if (!call->vectors) sn_free(e.vectors);
    return status;
}

/* Not where the inputs are one sequence or a decoder must run too; of a model that writes what it hears, the encoder. */
static bool fits(const sn_pipeline *p) {
    const sn_page *page = p->model ? sn_pretrained_page(p->model) : NULL;
    if (page && page->accepts & SN_IN_SOUND) return p->mel && (page->encode || p->sound.step > 0);
    if (!page || page->accepts & SN_IN_JOINT || (page->encode && sn_pretrained_writes(p->model))) return false;
    if (!(page->accepts & SN_IN_TEXT)) return (page->accepts & SN_IN_IMAGE) != 0;
    return p->tokenizer || (page->accepts & SN_IN_IMAGE && p->has_pictures);
}
const sn_pipeline_task sn_pipeline_task_embed = {"embed", SN_NEED_MODEL | SN_NEED_POOLING, keys, fits, run};
