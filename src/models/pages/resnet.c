/* ResNet (He et al. 2015): pixels [N,H,W,C] -> a 7x7 convolution and a pooling, stages of residual blocks
 * -> [N,H/32,W/32,D] -> mean. One network, two tables of names:
 *
 *   Transformers  {"model_type": "resnet"}            with its keys
 *   timm          {"architecture": "resnet50", ...}   the plain variants below; torchvision's weights, which come
 *                                                     alone, have the same names */
#include "models/page.h"
#include "nn/convnet.h"
#include "params/weights.h"

#include <stdio.h>

enum { STAGES = 8 };

typedef struct names { /* of a stage's block, its convolutions counted from `from`, and their norms */
    const char *stem, *stem_norm, *conv, *norm, *short_conv, *short_norm, *head;
    int from;
} names;
static const names published[] = {
    {"embedder.embedder.convolution", "embedder.embedder.normalization", "layer.%d.convolution",
     "layer.%d.normalization", "shortcut.convolution", "shortcut.normalization", "classifier.1", 0},
    {"conv1", "bn1", "conv%d", "bn%d", "downsample.0", "downsample.1", "fc", 1}};

static const struct variant { const char *name; bool bottleneck; int64_t depths[4], groups, base; } variants[] = {
    {"resnet18", false, {2, 2, 2, 2}, 1, 64},        {"resnet34", false, {3, 4, 6, 3}, 1, 64},
    {"resnet50", true, {3, 4, 6, 3}, 1, 64},         {"resnet101", true, {3, 4, 23, 3}, 1, 64},
    {"resnet152", true, {3, 8, 36, 3}, 1, 64},       {"resnext50_32x4d", true, {3, 4, 6, 3}, 32, 4},
    {"resnext101_32x8d", true, {3, 4, 23, 3}, 32, 8}, {"wide_resnet50_2", true, {3, 4, 6, 3}, 1, 128},
    {"wide_resnet101_2", true, {3, 4, 23, 3}, 1, 128}};

typedef struct net {
    const sn_page_build *b;
    const names *as;
    bool bottleneck, first_down, early; /* early: the stride is in the first convolution of a bottleneck */
    int stages;
    int64_t stem, widths[STAGES], depths[STAGES], groups, base, classes;
} net;

static const sn_key keys[] = {
    SN_KEY("num_channels", INT, channels, 3), SN_KEY("embedding_size", INT, size.hidden, 64),
    SN_KEY("hidden_act", ACT, size.act, SN_ACT_RELU), SN_KEY("image_size", INT, image, 224),
    SN_KEY("downsample_in_first_stage", BOOL, flag[0], 0), SN_KEY("downsample_in_bottleneck", BOOL, flag[1], 0), {0}};

static void of_transformers(net *n) {
    static const int64_t widths[] = {256, 512, 1024, 2048}, depths[] = {3, 4, 6, 3};
    const sn_page_config *c = n->b->c;
    sn_graph *g = n->b->g;
    const char *type = "bottleneck";
    if (sn_json_string(c->json, "layer_type", type, &type) != SN_OK || (strcmp(type, "basic") && strcmp(type, "bottleneck")))
        (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "\"layer_type\" is basic or bottleneck");
    n->bottleneck = !strcmp(type, "bottleneck");
    n->first_down = c->flag[0];
    n->early = c->flag[1];
    n->stem = c->size.hidden;
    n->stages = sn_page_ints(g, c->json, "hidden_sizes", widths, 4, n->widths, STAGES, SN_PAGE_WIDTH);
    if (sn_page_ints(g, c->json, "depths", depths, 4, n->depths, STAGES, SN_PAGE_LAYERS) != n->stages)
        (void)sn_graph_fail(g, SN_ERR_FORMAT, "\"depths\" and \"hidden_sizes\" differ in length");
    n->classes = sn_page_is(n->b, "ForImageClassification") ? c->classes : 0;
}

static void of_timm(net *n, const char *architecture) {
    static const int64_t widths[] = {64, 128, 256, 512};
    sn_graph *g = n->b->g;
    const struct variant *v = variants;
    const json_t *args = json_object_get(n->b->c->json, "model_args");
    while (v < variants + sizeof variants / sizeof *variants && strcmp(v->name, architecture)) v++;
    if (v == variants + sizeof variants / sizeof *variants) {
        (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "\"architecture\": %s is none of the plain ResNets (resnet18 … wide_resnet101_2)",
                            architecture);
        return;
    }
    sn_page_timm_args(n->b, (const char *const[]){"layers", "channels", NULL});
    n->bottleneck = v->bottleneck;
    n->groups = v->groups;
    n->base = v->base;
    n->stem = 64;
    n->stages = sn_page_ints(g, args, "channels", widths, 4, n->widths, STAGES, SN_PAGE_WIDTH / 4);
    if (sn_page_ints(g, args, "layers", v->depths, 4, n->depths, STAGES, SN_PAGE_LAYERS) != n->stages)
        (void)sn_graph_fail(g, SN_ERR_FORMAT, "\"model_args\": \"layers\" and \"channels\" differ in length");
    if (n->bottleneck)
        for (int i = 0; i < n->stages; i++) n->widths[i] *= 4;
    n->classes = sn_option_int(g, args, "num_classes", sn_option_int(g, n->b->c->json, "num_classes", 1000));
}

static sn_node conv(const net *n, sn_node x, const char *conv, const char *norm, int kernel, int64_t stride, int64_t groups,
                    int64_t out, sn_act act) {
    sn_conv_norm o = {conv, norm, kernel, (int)stride, (int)groups, false, 1e-5f, act};
    return sn_conv_normed(n->b->g, x, &o, out, n->b->fold, n->b->folds);
}

/* `pattern` with the number in place of its %d */
static void numbered(char to[40], const char *pattern, int number) {
    const char *at = strchr(pattern, '%');
    (void)snprintf(to, 40, "%.*s%d%s", (int)(at - pattern), pattern, number, at + 2);
}

static sn_node inner(const net *n, sn_node x, int index, int kernel, int64_t stride, int64_t groups, int64_t out, sn_act act) {
    char name[40], norm[40];
    numbered(name, n->as->conv, n->as->from + index);
    numbered(norm, n->as->norm, n->as->from + index);
    return conv(n, x, name, norm, kernel, stride, groups, out, act);
}

static sn_node block(const net *n, sn_node x, int64_t width, int64_t stride) {
    sn_act act = n->b->c->size.act;
    sn_node y = x, side = x;
    if (x.id < 0) return x;
    if (stride != 1 || sn_dim(n->b->g, x, 3) != width)
        side = conv(n, x, n->as->short_conv, n->as->short_norm, 1, stride, 1, width, SN_ACT_NONE);
    if (n->bottleneck) {
        int64_t within = width / 4 * n->base / 64 * n->groups;
        y = inner(n, y, 0, 1, n->early ? stride : 1, 1, within, act);
        y = inner(n, y, 1, 3, n->early ? 1 : stride, n->groups, within, act);
        y = inner(n, y, 2, 1, 1, 1, width, SN_ACT_NONE);
    } else {
        y = inner(n, y, 0, 3, stride, 1, width, act);
        y = inner(n, y, 1, 3, 1, 1, width, SN_ACT_NONE);
    }
    return sn_activation(n->b->g, act, sn_add(n->b->g, y, side));
}

static sn_node body(const net *n, sn_node *hidden) {
    sn_graph *g = n->b->g;
    char scope[64];
    sn_node x = conv(n, n->b->in->pixels, n->as->stem, n->as->stem_norm, 7, 2, 1, n->stem, n->b->c->size.act);
    x = sn_maxpool_padded(g, x, 3, 2, 1);
    for (int s = 0; s < n->stages; s++) {
        hidden[s] = x;
        for (int i = 0; i < n->depths[s] && x.id >= 0; i++) {
            (void)snprintf(scope, sizeof scope, n->as->from ? "layer%d.%d" : "encoder.stages.%d.layers.%d", s + n->as->from, i);
            sn_scope_push(g, scope);
            x = block(n, x, n->widths[s], i == 0 && (s > 0 || n->first_down) ? 2 : 1);
            sn_scope_pop(g);
        }
    }
    return hidden[n->stages] = x;
}

static void build(const sn_page_build *b) {
    const char *type = json_string_value(json_object_get(b->c->json, "model_type"));
    net n = {.b = b, .as = &published[type ? 0 : 1], .groups = 1, .base = 64};
    sn_node hidden[STAGES + 1];
    if (type) of_transformers(&n);
    else of_timm(&n, json_string_value(json_object_get(b->c->json, "architecture")));
    bool inside = type && sn_page_enter(b, "resnet", "embedder.embedder.convolution.weight");
    sn_node x = body(&n, hidden);
    if (inside) sn_scope_pop(b->g);
    sn_page_give_all(b->out, "hidden_states", hidden, n.stages + 1);
    sn_page_give(b->out, "last_hidden_state", x);
    x = sn_reduce_mean(b->g, x, 1 << 1 | 1 << 2, false);
    sn_page_give(b->out, "pooler_output", x);
    if (n.classes > 0) sn_page_give(b->out, "logits", sn_linear(b->g, x, n.as->head, n.classes, true, SN_ACT_NONE));
}

/* ---- torchvision's weights alone ---- */

/* The shape of "layer<stage>.<block>.conv<i>.weight"; rank 0: there is none. */
static sn_shape conv_of(const sn_weights *w, int stage, int block, int i) {
    char name[48];
    (void)snprintf(name, sizeof name, "layer%d.%d.conv%d.weight", stage + 1, block, i);
    const sn_tensor_view *v = sn_weights_find(w, name);
    return v ? v->type.shape : (sn_shape){.rank = 0};
}

static bool is_variant(const sn_weights *w, const struct variant *v) {
    sn_shape inner = conv_of(w, 0, 0, 2);
    bool bottleneck = conv_of(w, 0, 0, 3).rank == 4;
    if (inner.rank != 4 || bottleneck != v->bottleneck || inner.dim[1] != v->base || inner.dim[0] != v->base * v->groups) return false;
    for (int s = 0; s < 4; s++)
        if (conv_of(w, s, (int)v->depths[s] - 1, 1).rank != 4 || conv_of(w, s, (int)v->depths[s], 1).rank) return false;
    return true;
}

static sn_status recognise(const sn_weights *w, json_t **config, json_t **processor) {
    const sn_tensor_view *stem = sn_weights_find(w, "conv1.weight"), *head = sn_weights_find(w, "fc.weight");
    const struct variant *v = variants, *end = variants + sizeof variants / sizeof *variants;
    if (!stem || !head || stem->type.shape.rank != 4 || head->type.shape.rank != 2) return SN_OK;
    while (v < end && !is_variant(w, v)) v++;
    if (v == end) return SN_OK;
    *config = json_pack("{s:s, s:I, s:I}", "architecture", v->name, "num_classes", (json_int_t)head->type.shape.dim[0], "num_channels",
                        (json_int_t)stem->type.shape.dim[1]);
    *processor = sn_page_torchvision_pictures();
    return *config && *processor ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
}

static const char *const ignored[] = {"*.num_batches_tracked", NULL};
static const char *const timm[] = {"resnet", "resnext", "wide_resnet", NULL};
const sn_page sn_page_resnet = {.model_type = "resnet", .accepts = SN_IN_IMAGE, .prefix = "resnet", .keys = keys, .build = build,
                                .ignored = ignored, .timm = timm, .recognise = recognise};
