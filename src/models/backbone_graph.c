/* backbone_graph.c: the network of a published model as an encoder, and which of its parameters belong to which layer.
 *
 *   ids [N,T], lengths [N]  |  pixels [N,H,W,C]  |  sound [N,F,M], lengths [N]
 *     -> the page's outputs -> "text_embeds", "image_embeds", "pooler_output", or pooled over positions -> [N,D]
 *
 * Layers are told by the hidden states that a page gives, not by names: what state i needs and state i-1 did not is
 * layer i, so it holds for every family. */
#include "models/backbone_internal.h"

#include <stdio.h>

const char *const sn_backbone_keys[] = {"type", "directory", "pooling", SN_TUNING_KEYS, NULL};

/* ---- one vector ---- */

static sn_node mean_of(sn_graph *g, sn_node x) {
    int rank = sn_shape_at(g, x).rank;
    return x.id < 0 || rank < 3 ? x : sn_reduce_mean(g, x, rank == 4 ? 1 << 1 | 1 << 2 : 1 << 1, false);
}

static sn_node sequence(const sn_backbone *b, sn_graph *g, const char *how, sn_node x, const sn_encoder_input *in) {
    unsigned modes = b->pooling;
    if (strcmp(how, "auto") && sn_pool_mode_find(how, &modes) != SN_OK)
        return sn_graph_fail(g, SN_ERR_USAGE, "\"pooling\": %s, auto; pooler where the model of type %s has one", sn_error_message(), b->page->model_type);
    return sn_pool_modes_build(g, modes, x, in->lengths[0]);
}

static sn_node picture(const sn_backbone *b, sn_graph *g, const char *how, sn_node x) {
    int rank = sn_shape_at(g, x).rank;
    if (x.id < 0) return x;
    if (!strcmp(how, "mean") || (!strcmp(how, "auto") && rank == 4)) return mean_of(g, x);
    if (rank == 3 && (!strcmp(how, "cls") || !strcmp(how, "auto"))) return sn_page_first(g, x);
    return sn_graph_fail(g, SN_ERR_USAGE, "\"pooling\": \"%s\" of a model of type %s is none of auto, mean, cls, pooler", how,
                         b->page->model_type);
}

static sn_node pool(const sn_backbone *b, sn_graph *g, const char *how, const sn_page_out *out, const sn_encoder_input *in) {
    static const char *const embeds[] = {"text_embeds", "image_embeds"};
    bool automatic = !strcmp(how, "auto"), text = in->modality == SN_MOD_TEXT;
    sn_node pooled = sn_page_get(out, "pooler_output"), x = sn_page_get(out, "encoded");
    for (int i = 0; automatic && i < 2; i++)
        if (sn_page_get(out, embeds[i]).id >= 0) return sn_page_get(out, embeds[i]);
    if (pooled.id >= 0 && (!strcmp(how, "pooler") || (automatic && (!text || sn_page_side(&b->c, SN_IN_TEXT)->page->pools)))) return pooled;
    if (x.id < 0) x = sn_page_get(out, "last_hidden_state");
    if (x.id < 0) return sn_graph_fail(g, SN_ERR_UNSUPPORTED, "a model of type %s gives nothing that \"pooling\": \"%s\" could take",
                                       b->page->model_type, how);
    if (in->modality == SN_MOD_IMAGE) return picture(b, g, how, x);
    return sequence(b, g, how, x, in);
}

/* ---- layers ---- */

static void assign(sn_backbone *b, const sn_graph *g, const bool *seen, int first, int layer) {
    for (size_t i = 0; i < g->n_instrs; i++) {
        int p = g->instrs[i].op == SN_PARAM ? g->instrs[i].attr.leaf.index - first : -1;
        if (p >= 0 && seen[i] && b->layer[p] < 0) b->layer[p] = (int16_t)layer;
    }
}

/* Hidden state i of this kind of input; SN_NO_NODE behind the last. A writer's are its encoder's, then its decoder's. */
static sn_node hidden_state(const sn_page_out *out, enum sn_modality modality, int i) {
    static const struct { const char *name; unsigned of; } lists[] = {
        {"hidden_states", ~0u}, {"encoder_hidden_states", ~0u}, {"text_hidden_states", SN_MOD_TEXT},
        {"vision_hidden_states", SN_MOD_IMAGE}, {"decoder_hidden_states", SN_MOD_WRITER}};
    char name[48];
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        int n = 0;
        if (!(lists[k].of & modality)) continue;
        for (;; n++) {
            (void)snprintf(name, sizeof name, "%s.%d", lists[k].name, n);
            sn_node node = sn_page_get(out, name);
            if (node.id < 0) break;
            if (n == i) return node;
        }
        i -= n;
    }
    return SN_NO_NODE;
}

static sn_status find_layers(sn_backbone *b, const sn_graph *g, const sn_page_out *out, sn_node y, int first) {
    int n = sn_params_count(g->params) - first;
    bool *seen = sn_alloc(g->n_instrs, sizeof *seen);
    sn_free(b->layer);
    b->layer = sn_alloc((size_t)n, sizeof *b->layer);
    if (!seen || !b->layer) {
        sn_free(seen);
        return SN_ERR_MEMORY;
    }
    for (int i = 0; i < n; i++) b->layer[i] = -1;
    int state = 0;
    for (sn_node h; (h = hidden_state(out, b->modality, state)).id >= 0; state++) {
        sn_graph_mark(g, 1, &h, seen);
        assign(b, g, seen, first, state);
    }
    b->layers = state ? state : 1;
    memset(seen, 0, g->n_instrs * sizeof *seen);
    sn_graph_mark(g, 1, &y, seen); /* what follows the last state; and what is not needed loses its layer */
    assign(b, g, seen, first, b->layers - 1);
    for (size_t i = 0; i < g->n_instrs; i++) {
        int p = g->instrs[i].op == SN_PARAM ? g->instrs[i].attr.leaf.index - first : -1;
        if (p >= 0 && !seen[i]) b->layer[p] = -1;
    }
    sn_free(seen);
    return SN_OK;
}

/* ---- the graph ---- */

bool sn_backbone_run(sn_backbone *b, sn_graph *g, const json_t *options, const char *architecture, const sn_page_in *in,
                     bool encoder_alone, sn_page_out *out) {
    sn_tuning t;
    if (sn_tuning_read(options, &t) != SN_OK) {
        (void)sn_graph_fail(g, SN_ERR_USAGE, "%s", sn_error_message());
        return false;
    }
    sn_page_build build = {.g = g, .c = &b->c, .in = in, .out = out, .architecture = architecture,
                           .weights = sn_params_sealed(g->params) ? NULL : b->weights, .skip = g->scope_size ? g->scope_size + 1 : 0};
    sn_lora lora = {t.lora_rank, (float)t.lora_alpha, (float)t.lora_dropout, t.lora_targets, build.skip, in->rows};
    g->lora = sn_tuning_adapts(&t) ? &lora : NULL;
    if (encoder_alone && b->page->encode) b->page->encode(&build);
    else b->page->build(&build);
    g->lora = NULL;
    return g->failed == SN_OK;
}

sn_node sn_backbone_layers_of(sn_backbone *b, sn_graph *g, const sn_page_out *out, sn_node y, int first) {
    if (y.id < 0 || sn_params_sealed(g->params) || find_layers(b, g, out, y, first) == SN_OK) return y;
    return sn_graph_fail(g, SN_ERR_MEMORY, "out of memory");
}

sn_node sn_backbone_build(sn_backbone *b, sn_graph *g, const json_t *options, const sn_encoder_input *e) {
    const char *how;
    int first = sn_params_count(g->params);
    if (sn_json_string(options, "pooling", "auto", &how) != SN_OK) return sn_graph_fail(g, SN_ERR_USAGE, "%s", sn_error_message());
    sn_page_out *out = sn_alloc(1, sizeof *out);
    if (!out) return sn_graph_fail(g, SN_ERR_MEMORY, "out of memory");
    sn_page_in in = sn_page_in_none();
    in.rows = e->rows;
    if (e->modality == SN_MOD_TEXT) in.ids = e->x, in.mask = e->lengths[0];
    if (e->modality == SN_MOD_IMAGE) in.pixels = e->x;
    if (e->modality == SN_MOD_AUDIO) in.sound = e->x;
    sn_node y = sn_backbone_run(b, g, options, "", &in, e->modality != SN_MOD_TEXT, out) ? pool(b, g, how, out, e) : SN_NO_NODE;
    if (y.id >= 0 && sn_shape_at(g, y).rank != 2) y = sn_graph_fail(g, SN_ERR_UNSUPPORTED, "a model of type %s gives no vector", b->page->model_type);
    y = sn_backbone_layers_of(b, g, out, y, first);
    sn_free(out);
    return y;
}

static sn_node build_row(sn_graph *g, const json_t *options, const sn_encoder_input *in) {
    if (!in->backbone) return sn_graph_fail(g, SN_ERR_USAGE, "a pretrained encoder is named by its directory");
    return sn_backbone_build(in->backbone, g, options, in);
}
const sn_encoder sn_encoder_pretrained = {"pretrained", SN_MOD_TEXT | SN_MOD_IMAGE | SN_MOD_AUDIO, sn_backbone_keys, build_row};
