/* VGG (Simonyan and Zisserman 2014): pixels [N,H,W,C] -> five groups of 3x3 convolutions, each with a pooling behind it
 * -> [N,H/32,W/32,D] -> 7x7 -> two wide layers -> classes. Accepted are
 *
 *   {"model_type": "vgg", "depth": 11, 13, 16 or 19, "batch_norm": false, "num_classes": 1000}
 *   {"architecture": "vgg16" or "vgg16_bn" …, "num_classes": 1000}      as timm writes it
 *
 * with torchvision's weights (features.0.weight, classifier.0, .3, .6) or timm's (features.0.weight, pre_logits.fc1, .fc2,
 * head.fc); "widths" (of the groups), "hidden_size" and "num_channels" may differ. A file without the wide layers gives the
 * last_hidden_state alone. */
#include "models/page.h"
#include "nn/convnet.h"
#include "params/weights.h"

#include <stdio.h>

enum { GROUPS = 5, GRID = 7 };

static const sn_key keys[] = {
    SN_KEY("depth", INT, size.layers, 16), SN_KEY("batch_norm", BOOL, flag[0], 0), SN_KEY("hidden_size", INT, size.hidden, 4096),
    SN_KEY("num_channels", INT, channels, 3), SN_KEY("image_size", INT, image, 224), SN_KEY("dropout", FLOAT, size.dropout, 0.5),
    {0}};

typedef struct net { int64_t depth, widths[GROUPS], classes; bool norms; } net;

static void read(const sn_page_build *b, net *n) {
    static const int64_t widths[GROUPS] = {64, 128, 256, 512, 512};
    const json_t *json = b->c->json;
    const char *architecture = json_string_value(json_object_get(json, "architecture"));
    bool labels = json_is_object(json_object_get(json, "id2label"));
    char expected[16];
    *n = (net){.depth = b->c->size.layers, .norms = b->c->flag[0]};
    if (sn_page_ints(b->g, json, "widths", widths, GROUPS, n->widths, GROUPS, SN_PAGE_WIDTH) != GROUPS)
        (void)sn_graph_fail(b->g, SN_ERR_FORMAT, "\"widths\": expected %d of them", GROUPS);
    n->classes = sn_option_int(b->g, json, "num_classes", labels ? b->c->classes : 1000);
    if (!json_object_get(json, "model_type") && architecture) {
        n->depth = strtol(architecture + 3, NULL, 10);
        n->norms = strchr(architecture, '_') != NULL;
        (void)snprintf(expected, sizeof expected, "vgg%d%s", (int)n->depth, n->norms ? "_bn" : "");
        if (strcmp(architecture, expected))
            (void)sn_graph_fail(b->g, SN_ERR_UNSUPPORTED, "\"architecture\": %s is none of vgg11 … vgg19_bn", architecture);
    }
    sn_page_timm_args(b, (const char *const[]){NULL});
}

/* The convolutions; hidden: the output of each group. */
static sn_node features(const sn_page_build *b, const net *n, sn_node *hidden) {
    static const struct { int depth, convs[GROUPS]; } depths[] = {
        {11, {1, 1, 2, 2, 2}}, {13, {2, 2, 2, 2, 2}}, {16, {2, 2, 3, 3, 3}}, {19, {2, 2, 4, 4, 4}}};
    size_t d = 0, kinds = sizeof depths / sizeof *depths;
    while (d < kinds && depths[d].depth != n->depth) d++;
    if (d == kinds) return sn_graph_fail(b->g, SN_ERR_UNSUPPORTED, "\"depth\": %lld is none of 11, 13, 16, 19", (long long)n->depth);
    sn_node x = b->in->pixels;
    sn_scope_push(b->g, "features");
    for (int group = 0, at = 0; group < GROUPS; group++, at++) {
        for (int i = 0; i < depths[d].convs[group]; i++, at += n->norms ? 3 : 2) {
            char conv[12], norm[12];
            (void)snprintf(conv, sizeof conv, "%d", at);
            (void)snprintf(norm, sizeof norm, "%d", at + 1);
            sn_conv_norm o = {conv, n->norms ? norm : NULL, 3, 1, 1, true, 1e-5f, SN_ACT_RELU};
            x = sn_conv_normed(b->g, x, &o, n->widths[group], b->fold, b->folds);
        }
        hidden[group] = x = sn_maxpool(b->g, x, 2, 2, 2, 2);
    }
    sn_scope_pop(b->g);
    return x;
}

/* torchvision: 7x7 positions, channels before rows and columns, through two layers */
static sn_node wide(const sn_page_build *b, sn_node x) {
    sn_graph *g = b->g;
    x = sn_adaptive_avgpool(g, x, GRID, GRID);
    x = sn_reshape(g, sn_transpose(g, x, (const int[]){0, 3, 1, 2}), SN_SHAPE(sn_dim(g, x, 0), -1));
    x = sn_dropout(g, sn_linear(g, x, "classifier.0", b->c->size.hidden, true, SN_ACT_RELU), b->in->rows, b->c->size.dropout, "dropout1");
    return sn_dropout(g, sn_linear(g, x, "classifier.3", b->c->size.hidden, true, SN_ACT_RELU), b->in->rows, b->c->size.dropout, "dropout2");
}

/* timm: the same layers as convolutions, which slide over a larger grid; then the mean */
static sn_node wide_as_convolutions(const sn_page_build *b, sn_node x) {
    sn_graph *g = b->g;
    if (x.id < 0) return x;
    int64_t h = sn_dim(g, x, 1), w = sn_dim(g, x, 2);
    x = sn_adaptive_avgpool(g, x, h < GRID ? GRID : h, w < GRID ? GRID : w);
    x = sn_conv2d(g, x, "pre_logits.fc1", b->c->size.hidden, GRID, GRID, &(sn_conv){.groups = 1}, SN_ACT_RELU);
    x = sn_conv2d(g, x, "pre_logits.fc2", b->c->size.hidden, 1, 1, &(sn_conv){.groups = 1}, SN_ACT_RELU);
    return sn_reduce_mean(g, x, 1 << 1 | 1 << 2, false);
}

static void build(const sn_page_build *b) {
    net n;
    sn_node hidden[GROUPS];
    read(b, &n);
    sn_node x = features(b, &n, hidden);
    bool convolutions = sn_page_has(b, "pre_logits.fc1.weight", false);
    sn_page_give(b->out, "last_hidden_state", x);
    if (x.id < 0) return;
    sn_page_give_all(b->out, "hidden_states", hidden, GROUPS);
    if (!convolutions && !sn_page_has(b, "classifier.0.weight", true)) return;
    x = convolutions ? wide_as_convolutions(b, x) : wide(b, x);
    sn_page_give(b->out, "pooler_output", x);
    if (n.classes > 0)
        sn_page_give(b->out, "logits", sn_linear(b->g, x, convolutions ? "head.fc" : "classifier.6", n.classes, true, SN_ACT_NONE));
}

/* ---- torchvision's file, which comes alone ---- */

/* The shape of tensor "features.<at>.weight"; rank 0: there is none. */
static sn_shape layer(const sn_weights *w, int at) {
    char name[32];
    (void)snprintf(name, sizeof name, "features.%d.weight", at);
    const sn_tensor_view *v = sn_weights_find(w, name);
    return v ? v->type.shape : (sn_shape){.rank = 0};
}

/* Convolutions that follow each other are a group; gives how many there are, -1 where they are none of VGG's. */
static int count_convs(const sn_weights *w, bool norms, int64_t *widths) {
    int convs = 0, step = norms ? 3 : 2;
    for (int group = 0, at = 0; group < GROUPS; group++, at++) { /* a pooling between groups */
        sn_shape s = layer(w, at);
        if (s.rank != 4 || s.dim[2] != 3 || s.dim[3] != 3) return -1;
        for (; layer(w, at).rank == 4; at += step, convs++) widths[group] = layer(w, at).dim[0];
    }
    return convs;
}

static sn_status recognise(const sn_weights *w, json_t **config, json_t **processor) {
    const sn_tensor_view *wide = sn_weights_find(w, "classifier.0.weight"), *last = sn_weights_find(w, "classifier.6.weight");
    bool norms = layer(w, 1).rank == 1;
    int64_t n[GROUPS];
    int convs = wide && last ? count_convs(w, norms, n) : -1;
    if (convs < 0) return SN_OK;
    *config = json_pack("{s:s, s:i, s:b, s:I, s:I, s:I, s:[I, I, I, I, I]}", "model_type", "vgg", "depth", convs + 3, "batch_norm", (int)norms, "num_channels",
                        (json_int_t)layer(w, 0).dim[1], "hidden_size", (json_int_t)wide->type.shape.dim[0], "num_classes",
                        (json_int_t)last->type.shape.dim[0], "widths", (json_int_t)n[0], (json_int_t)n[1], (json_int_t)n[2], (json_int_t)n[3], (json_int_t)n[4]);
    *processor = sn_page_torchvision_pictures();
    return *config && *processor ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
}

static const char *const ignored[] = {"*.num_batches_tracked", NULL};
static const char *const timm[] = {"vgg", NULL};
const sn_page sn_page_vgg = {.model_type = "vgg", .accepts = SN_IN_IMAGE, .keys = keys, .build = build, .ignored = ignored, .timm = timm,
                             .recognise = recognise};
