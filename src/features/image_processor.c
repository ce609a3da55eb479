/* image_processor.c: the steps. Sizes are computed as Python does, in doubles and cut off, and the value of a level in
 * double times float, because a size that is one off or a value in the last bit would be another picture. */
#include "features/image_processor_kind.h"

#include <math.h>

enum { MOST_PIXELS = 178956970 };

/* ---- sizes ---- */

typedef struct extent {
    int64_t height, width;
} extent;

static int64_t longer_of(int64_t shorter, int64_t a, int64_t b) { return (int64_t)((double)(shorter * b) / (double)a); }

/* The shorter side becomes `shortest`. */
static extent by_shortest(const sn_image *in, int64_t shortest) {
    if (in->width <= in->height) return (extent){longer_of(shortest, in->width, in->height), shortest};
    return (extent){shortest, longer_of(shortest, in->height, in->width)};
}

/* The same, unless the longer side would then exceed `longest`: it gets (about) that instead. */
static extent by_both(const sn_image *in, int64_t shortest, int64_t longest) {
    double h = in->height, w = in->width, least = h < w ? h : w, most = h < w ? w : h, exact = (double)shortest;
    if (most / least * (double)shortest > (double)longest) {
        exact = (double)longest * least / most;
        shortest = (int64_t)rint(exact);
    }
    if ((h <= w && in->height == shortest) || (w <= h && in->width == shortest)) return (extent){in->height, in->width};
    if (w < h) return (extent){(int64_t)(exact * h / w), shortest};
    return (extent){shortest, (int64_t)(exact * w / h)};
}

static extent by_inside(const sn_image *in, int64_t height, int64_t width) {
    double down = (double)height / in->height, across = (double)width / in->width, scale = down < across ? down : across;
    return (extent){(int64_t)(in->height * scale), (int64_t)(in->width * scale)};
}

/* ---- resize, by kind ---- */

static sn_status to_extent(const sn_image_processor *p, const sn_image *in, extent e, sn_image *out) {
    if (e.height < 1 || e.width < 1 || e.height > INT32_MAX || e.width > INT32_MAX || e.height > MOST_PIXELS / e.width)
        SN_FAIL(SN_ERR_SHAPE, "a picture of %d x %d pixels would be resized to %lld x %lld", in->width, in->height, (long long)e.width,
                (long long)e.height);
    return sn_image_resize(in, (int)e.width, (int)e.height, p->filter, out);
}

static sn_status plain(const sn_image_processor *p, const sn_image *in, sn_image *out) {
    extent e = {p->height, p->width};
    if (p->rule == SN_SIZE_SHORTEST) e = p->width ? by_both(in, p->height, p->width) : by_shortest(in, p->height);
    else if (p->rule == SN_SIZE_INSIDE) e = by_inside(in, p->height, p->width);
    return to_extent(p, in, e, out);
}

static int half_down(int x) { return x < 0 ? (x - 1) / 2 : x / 2; }
/* Python's round(): 0.5 to 0, 1.5 to 2; but a picture that is too small gets the odd row below. */
static int half_even(int x) { return x < 0 ? x / 2 : x / 2 + (x % 2 && x / 2 % 2); }

/* What lies outside the picture is black. */
static sn_status centre(const sn_image_processor *p, const sn_image *in, int height, int width, sn_image *out) {
    return sn_image_crop(in, p->kind->start(in->width - width), p->kind->start(in->height - height), width, height, 0, out);
}

/* ConvNeXT: from 384 on the picture is warped; below, it is resized a little larger and cropped. */
static sn_status convnext(const sn_image_processor *p, const sn_image *in, sn_image *out) {
    if (p->rule != SN_SIZE_SHORTEST) SN_FAIL(SN_ERR_FORMAT, "\"size\": this processor needs \"shortest_edge\"");
    if (p->height >= 384) return to_extent(p, in, (extent){p->height, p->height}, out);
    sn_image larger;
    SN_TRY(to_extent(p, in, by_shortest(in, (int64_t)(p->height / p->crop_pct)), &larger));
    sn_status status = centre(p, &larger, p->height, p->height, out);
    sn_image_free(&larger);
    return status;
}

/* ViLT: shorter side, longer side at most 1333/800 of it, both cut to a multiple of the divisor. */
static sn_status vilt(const sn_image_processor *p, const sn_image *in, sn_image *out) {
    if (p->rule != SN_SIZE_SHORTEST) SN_FAIL(SN_ERR_FORMAT, "\"size\": this processor needs \"shortest_edge\"");
    double most = (double)(int64_t)(1333.0 / 800.0 * p->height), h = in->height, w = in->width, least = p->height;
    double scale = least / (h < w ? h : w), height = h < w ? least : scale * h, width = h < w ? scale * w : least;
    double longer = height > width ? height : width;
    if (longer > most) {
        scale = most / longer;
        height *= scale;
        width *= scale;
    }
    int64_t rows = (int64_t)(height + 0.5), columns = (int64_t)(width + 0.5);
    return to_extent(p, in, (extent){rows / p->divisor * p->divisor, columns / p->divisor * p->divisor}, out);
}

/* ---- the table ---- */

#define EXACT SN_SIZE_EXACT
#define SHORTEST SN_SIZE_SHORTEST
static const float HALF[2][3] = {{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}};
static const float CLIP[2][3] = {{0.48145466f, 0.4578275f, 0.40821073f}, {0.26862954f, 0.26130258f, 0.27577711f}};
static const float IMAGENET[2][3] = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};

static const sn_processor_kind kinds[] = {
#define PROCESSOR(type, rule, size, square, crop, start, filter, norm, resize, pads) {type, rule, size, square, crop, start, filter, norm, resize, pads},
#define MODEL(model, type)
#include "features/image_processors.def"
#undef PROCESSOR
#undef MODEL
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const sn_processor_kind *sn_processor_by_type(const char *type, size_t bytes) {
    for (int i = 0; i < KINDS; i++)
        if (strlen(kinds[i].type) == bytes && !memcmp(kinds[i].type, type, bytes)) return &kinds[i];
    return NULL;
}

const sn_processor_kind *sn_processor_by_model(const char *model_type) {
    static const char *const models[][2] = {
#define PROCESSOR(type, rule, size, square, crop, start, filter, norm, resize, pads)
#define MODEL(model, type) {model, type},
#include "features/image_processors.def"
#undef PROCESSOR
#undef MODEL
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (!strcmp(models[i][0], model_type)) return sn_processor_by_type(models[i][1], strlen(models[i][1]));
    return NULL;
}

const char *sn_image_processor_type(const sn_image_processor *p) { return p->kind->type; }

/* ---- a picture ---- */

sn_status sn_image_processor_pixels(const sn_image_processor *p, const sn_image *in, sn_image *out) {
    *out = (sn_image){0};
    if (in->channels != 3 || in->width < 1 || in->height < 1)
        SN_FAIL(SN_ERR_SHAPE, "expected an RGB picture, found %d x %d with %d channels", in->width, in->height, in->channels);
    sn_image sized = {0};
    const sn_image *from = in;
    if (p->resize) {
        SN_TRY(p->kind->resize(p, in, p->crop ? &sized : out));
        from = &sized;
    }
    sn_status status = SN_OK;
    if (p->crop) status = centre(p, from, p->crop_height, p->crop_width, out);
    else if (!p->resize) status = sn_image_to_channels(in, 3, out); /* a copy */
    sn_image_free(&sized);
    return status;
}

static void put_row(const sn_image_processor *p, const unsigned char *from, int width, float *to) {
    for (int x = 0; x < width; x++, from += 3, to += 3) {
        to[0] = p->table[0][from[0]];
        to[1] = p->table[1][from[1]];
        to[2] = p->table[2][from[2]];
    }
}

void sn_image_processor_values(const sn_image_processor *p, const sn_image *pixels, float *out) {
    size_t stride = (size_t)pixels->width * 3;
    for (int y = 0; y < pixels->height; y++) put_row(p, pixels->pixels + (size_t)y * stride, pixels->width, out + (size_t)y * stride);
}

bool sn_image_processor_size(const sn_image_processor *p, int *height, int *width) {
    bool warped = p->resize && p->kind->resize == plain && p->rule == SN_SIZE_EXACT, square = p->resize && p->kind->resize == convnext;
    *height = p->crop ? p->crop_height : p->height;
    *width = p->crop ? p->crop_width : square ? p->height : p->width;
    if (p->pad && p->pad_height) {
        *height = p->pad_height;
        *width = p->pad_width;
        return true;
    }
    return p->crop || warped || square;
}

/* ---- a batch ---- */

static sn_status batch_size(const sn_image_processor *p, const sn_image *pixels, int n, int *height, int *width) {
    *height = p->pad ? p->pad_height : 0;
    *width = p->pad ? p->pad_width : 0;
    bool given = *height > 0;
    for (int i = 0; i < n; i++) {
        bool first = !i && !given, other = pixels[i].height != *height || pixels[i].width != *width;
        if (!first && other && !p->pad)
            SN_FAIL(SN_ERR_SHAPE, "picture %d is %d x %d, the one before %d x %d; this processor does not pad", i + 1, pixels[i].width,
                    pixels[i].height, *width, *height);
        if (given && (pixels[i].height > *height || pixels[i].width > *width))
            SN_FAIL(SN_ERR_SHAPE, "picture %d of %d x %d does not fit into \"pad_size\" %d x %d", i + 1, pixels[i].width, pixels[i].height,
                    *width, *height);
        if (pixels[i].height > *height) *height = pixels[i].height;
        if (pixels[i].width > *width) *width = pixels[i].width;
    }
    return SN_OK;
}

sn_status sn_image_processor_batch(const sn_image_processor *p, const sn_image *pixels, int n, sn_array *values, sn_array *mask) {
    int height, width;
    SN_TRY(batch_size(p, pixels, n, &height, &width));
    SN_TRY(sn_array_make(values, SN_F32, SN_SHAPE(n, height, width, 3)));
    if (mask) {
        sn_status status = sn_array_make(mask, SN_I32, SN_SHAPE(n, height, width));
        if (status != SN_OK) {
            sn_array_free(values);
            return status;
        }
    }
    for (int i = 0; i < n; i++) {
        for (int y = 0; y < pixels[i].height; y++) {
            size_t at = ((size_t)i * (size_t)height + (size_t)y) * (size_t)width;
            put_row(p, pixels[i].pixels + (size_t)y * (size_t)pixels[i].width * 3, pixels[i].width, (float *)values->data + at * 3);
            for (int x = 0; mask && x < pixels[i].width; x++) ((int32_t *)mask->data)[at + (size_t)x] = 1;
        }
    }
    return SN_OK;
}
