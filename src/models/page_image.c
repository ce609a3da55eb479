/* page_image.c: what pages share that read pictures: patches, tokens before them, positions of a grid of any size. */
#include <math.h>

#include "models/page.h"

sn_node sn_page_pixels(const sn_page_build *b) {
    sn_node x = b->in->pixels;
    if (x.id < 0) return x;
    int64_t height = sn_dim(b->g, x, 1), width = sn_dim(b->g, x, 2), side = b->c->image;
    if (height == side && width == side) return x;
    return sn_graph_fail(b->g, SN_ERR_USAGE, "a picture of %lld x %lld; the model takes %lld x %lld", (long long)height,
                         (long long)width, (long long)side, (long long)side);
}

sn_node sn_page_patches(sn_graph *g, sn_node pixels, const char *name, int64_t patch, int64_t width, bool bias) {
    if (pixels.id < 0) return pixels;
    int64_t channels = sn_dim(g, pixels, 3);
    sn_conv conv = {.stride = {(int)patch, (int)patch}};
    sn_scope_push(g, name);
    sn_node w = sn_param(g, "weight", SN_SHAPE(width, channels, patch, patch), (sn_init){SN_INIT_NORMAL, 0.02f, 0});
    sn_node b = bias ? sn_param(g, "bias", SN_SHAPE(width), (sn_init){SN_INIT_ZEROS, 0, SN_PARAM_NO_DECAY}) : SN_NO_NODE;
    sn_node y = sn_conv_op(g, pixels, w, b, &conv);
    sn_scope_pop(g);
    if (y.id < 0) return y;
    return sn_reshape(g, y, SN_SHAPE(sn_dim(g, y, 0), sn_dim(g, y, 1) * sn_dim(g, y, 2), width));
}

sn_node sn_page_prepend(sn_graph *g, sn_node x, const char *name, sn_shape shape) {
    if (x.id < 0) return x;
    int64_t n = sn_dim(g, x, 0), width = sn_dim(g, x, 2);
    sn_node token = sn_param(g, name, shape, (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
    token = sn_broadcast(g, sn_reshape(g, token, SN_SHAPE(1, 1, width)), SN_SHAPE(n, 1, width));
    return sn_concat(g, (sn_node[]){token, x}, 2, 1);
}

/* ---- a grid of another size ---- */

static double cubic(double x, double a) {
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* Which rows of `in` make row i of `out`, by PyTorch's interpolate: first and how many; weights come from weight_of. */
typedef struct span { int64_t first, count; double centre, scale, total; } span;

static double weight_of(sn_page_resize kind, const span *s, int64_t at) {
    double x = (double)at - s->centre;
    switch (kind) {
    case SN_PAGE_BICUBIC: return cubic(x, -0.75);
    case SN_PAGE_BICUBIC_SMOOTH: return cubic(x / s->scale, -0.5);
    default: return fmax(0, 1 - fabs(x));
    }
}

static span span_of(sn_page_resize kind, int64_t in, int64_t out, int64_t i) {
    double ratio = (double)in / (double)out;
    span s = {.scale = 1, .total = 1, .centre = ratio * ((double)i + 0.5) - 0.5};
    if (kind == SN_PAGE_BILINEAR_CORNERS) {
        s.centre = out > 1 ? (double)(in - 1) / (double)(out - 1) * (double)i : 0;
        s.first = (int64_t)s.centre;
        s.count = 2;
    } else if (kind == SN_PAGE_BICUBIC) {
        s.first = (int64_t)floor(s.centre) - 1;
        s.count = 4;
    } else { /* wider where it shrinks; the weights of what lies inside sum to 1 */
        s.scale = fmax(ratio, 1);
        double low = s.centre + 0.5 - 2 * s.scale + 0.5, high = s.centre + 0.5 + 2 * s.scale + 0.5;
        s.first = low > 0 ? (int64_t)low : 0;
        s.count = ((int64_t)high < in ? (int64_t)high : in) - s.first;
        s.total = 0;
        for (int64_t k = 0; k < s.count; k++) s.total += weight_of(kind, &s, s.first + k);
    }
    return s;
}

/* Axis `axis` of x from its size to `out`: sums of weighted rows. */
static sn_node resize(sn_graph *g, sn_node x, int axis, int64_t out, sn_page_resize kind) {
    if (x.id < 0) return x;
    int64_t in = sn_dim(g, x, axis);
    sn_node *rows = out > 0 && in > 0 ? sn_alloc((size_t)out, sizeof *rows) : NULL;
    if (!rows) return sn_graph_fail(g, SN_ERR_MEMORY, "no memory for %lld positions", (long long)out);
    for (int64_t i = 0; i < out; i++) {
        span s = span_of(kind, in, out, i);
        rows[i] = SN_NO_NODE;
        for (int64_t k = 0; k < s.count; k++) {
            int64_t at = s.first + k, inside = at < 0 ? 0 : at >= in ? in - 1 : at; /* the border goes on */
            double weight = weight_of(kind, &s, at) / s.total;
            if (weight == 0) continue;
            sn_node row = sn_affine(g, sn_slice(g, x, axis, inside, 1), (float)weight, 0);
            rows[i] = rows[i].id < 0 ? row : sn_add(g, rows[i], row);
        }
    }
    sn_node y = sn_concat(g, rows, (int)out, axis);
    sn_free(rows);
    return y;
}

sn_node sn_page_grid_positions(const sn_page_build *b, sn_node x, const char *name, sn_page_resize kind) {
    if (x.id < 0) return x;
    sn_graph *g = b->g;
    int64_t d = sn_dim(g, x, 2), patch = b->c->patch, side = b->c->image / patch;
    int64_t height = sn_dim(g, b->in->pixels, 1) / patch, width = sn_dim(g, b->in->pixels, 2) / patch;
    sn_node t = sn_param(g, name, SN_SHAPE(1, 1 + side * side, d), (sn_init){SN_INIT_NORMAL, 0.02f, SN_PARAM_NO_DECAY});
    if (height == side && width == side) return sn_add(g, x, t);
    sn_node grid = sn_reshape(g, sn_slice(g, t, 1, 1, side * side), SN_SHAPE(side, side, d));
    grid = resize(g, resize(g, grid, 1, width, kind), 0, height, kind);
    grid = sn_reshape(g, grid, SN_SHAPE(1, height * width, d));
    return sn_add(g, x, sn_concat(g, (sn_node[]){sn_slice(g, t, 1, 0, 1), grid}, 2, 1));
}

/* ---- timm ---- */

static bool one_of(const char *key, const char *const *list) {
    while (*list && strcmp(*list, key)) list++;
    return *list != NULL;
}

static void mean_alone(const sn_page_build *b, const json_t *value) {
    const char *how = json_string_value(value);
    if (!value || (how && (!strcmp(how, "avg") || !*how))) return;
    (void)sn_graph_fail(b->g, SN_ERR_UNSUPPORTED, "\"global_pool\": only \"avg\" is possible, found \"%.40s\"", how ? how : "something else");
}

void sn_page_timm_args(const sn_page_build *b, const char *const *own) {
    static const char *const common[] = {"in_chans", "num_classes", "global_pool", "drop_rate", "drop_path_rate", NULL};
    json_t *args = json_object_get(b->c->json, "model_args"), *value;
    const char *key;
    mean_alone(b, json_object_get(b->c->json, "global_pool"));
    mean_alone(b, json_object_get(args, "global_pool"));
    json_object_foreach(args, key, value)
        if (!one_of(key, own) && !one_of(key, common))
            (void)sn_graph_fail(b->g, SN_ERR_UNSUPPORTED, "\"model_args\": \"%.80s\" is not supported", key);
}

json_t *sn_page_torchvision_pictures(void) {
    return json_pack("{s:s, s:i, s:{s:i}, s:{s:i, s:i}, s:[f, f, f], s:[f, f, f]}", "image_processor_type", "TorchvisionImageProcessor", "resample", 2,
                     "size", "shortest_edge", 256, "crop_size", "height", 224, "width", 224, "image_mean", 0.485, 0.456, 0.406, "image_std", 0.229,
                     0.224, 0.225);
}
