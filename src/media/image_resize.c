/* image_resize.c: Pillow's resize, to the last level.
 *
 *   filter + sizes -> one window of weights per output column and row (double, normalised, then 22-bit fixed)
 *   in u8 [H,W,C] -> across: u8 [H,w,C] -> down: u8 [h,w,C]      rounded and clipped to 8 bits in between
 *   (or down first: see down_first)
 *
 * Shrinking stretches the filter over all input pixels that fall under an output pixel (antialiasing);
 * enlarging uses its own width. A pass whose size does not change is left out. Nearest takes the pixel under
 * the output pixel's centre, the centre found by adding the step again and again as Pillow does: for large
 * pictures that differs from multiplying.
 *
 * Sums are 32-bit integers, so any order and any vector width gives the same levels: the plain loops here and
 * the AVX2 ones of image_resize_avx2.c are interchangeable.
 */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "media/image_resize.h"

#define FIXED_ONE ((double)(1 << SN_FIXED_BITS))
#define PI 3.14159265358979323846

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x) {
    x = fabs(x);
    if (x == 0.0) return 1.0;
    if (x >= 1.0) return 0.0;
    x *= PI;
    return sin(x) / x * (0.54f + 0.46f * cos(x)); /* single-precision constants, as Pillow's */
}

/* Keys' cubic convolution with a = -1/2. */
static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= PI;
    return sin(x) / x;
}

static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0; }

static const struct filter {
    const char *name;
    double (*weight)(double x);
    double support; /* weight is 0 beyond */
} filters[] = {
    [SN_NEAREST] = {"nearest", NULL, 0},     [SN_BOX] = {"box", box, 0.5},
    [SN_BILINEAR] = {"bilinear", bilinear, 1}, [SN_HAMMING] = {"hamming", hamming, 1},
    [SN_BICUBIC] = {"bicubic", bicubic, 2},  [SN_LANCZOS] = {"lanczos", lanczos, 3},
};
enum { FILTERS = sizeof filters / sizeof *filters };

sn_status sn_filter_by_name(const char *name, sn_filter *out) {
    sn_names passed = {0};
    for (int i = 0; i < FILTERS; i++) {
        *out = (sn_filter)i;
        if (sn_names_match(&passed, filters[i].name, name)) return SN_OK;
    }
    SN_FAIL(SN_ERR_USAGE, "unknown resize filter \"%s\" (known: %s)", name, passed.list);
}

const char *sn_filter_name(sn_filter filter) { return (unsigned)filter < FILTERS ? filters[filter].name : "unknown"; }

static void windows_free(sn_windows *w) {
    sn_free(w->start);
    sn_free(w->count);
    sn_free(w->weights);
    sn_free(w->packed);
    *w = (sn_windows){0};
}

static void fill_window(const struct filter *f, sn_windows *w, int at, int in, double scale, double *exact) {
    double stretch = scale < 1.0 ? 1.0 : scale, support = f->support * stretch, step = 1.0 / stretch;
    double centre = (at + 0.5) * scale, sum = 0.0;
    int first = (int)(centre - support + 0.5), last = (int)(centre + support + 0.5);
    if (first < 0) first = 0;
    if (last > in) last = in;
    int count = last - first, *weights = w->weights + (size_t)at * (size_t)w->room;
    for (int i = 0; i < count; i++) {
        exact[i] = f->weight((i + first - centre + 0.5) * step);
        sum += exact[i];
    }
    for (int i = 0; i < count; i++) {
        double x = (sum != 0.0 ? exact[i] / sum : exact[i]) * FIXED_ONE;
        weights[i] = (int)(x < 0 ? x - 0.5 : x + 0.5);
    }
    w->start[at] = first;
    w->count[at] = count;
}

static sn_status windows_make(const struct filter *f, int in, int out, sn_windows *w) {
    double scale = (double)in / out, reach = ceil(f->support * (scale < 1.0 ? 1.0 : scale));
    *w = (sn_windows){.outputs = out, .room = (int)reach * 2 + 1};
    size_t all;
    if (sn_mul_overflow((size_t)out, (size_t)w->room, &all)) all = SIZE_MAX;
    double *exact = sn_alloc((size_t)w->room, sizeof *exact);
    w->start = exact ? sn_alloc((size_t)out, sizeof *w->start) : NULL;
    w->count = w->start ? sn_alloc((size_t)out, sizeof *w->count) : NULL;
    w->weights = w->count ? sn_alloc(all, sizeof *w->weights) : NULL;
    if (w->weights) {
        for (int i = 0; i < out; i++) fill_window(f, w, i, in, scale, exact);
    }
    sn_free(exact);
    if (w->weights) return SN_OK;
    windows_free(w);
    return SN_ERR_MEMORY;
}

/* One row of RGB across. */
static void across_rgb(const unsigned char *in, const sn_windows *w, unsigned char *out) {
    for (int x = 0; x < w->outputs; x++, out += 3) {
        const unsigned char *p = in + (size_t)w->start[x] * 3;
        const int *k = w->weights + (size_t)x * (size_t)w->room;
        int red = SN_FIXED_HALF, green = SN_FIXED_HALF, blue = SN_FIXED_HALF;
        for (int i = 0, n = w->count[x]; i < n; i++, p += 3) {
            red += p[0] * k[i];
            green += p[1] * k[i];
            blue += p[2] * k[i];
        }
        out[0] = sn_fixed_level(red);
        out[1] = sn_fixed_level(green);
        out[2] = sn_fixed_level(blue);
    }
}

static void across_grey(const unsigned char *in, const sn_windows *w, unsigned char *out) {
    for (int x = 0; x < w->outputs; x++) {
        const unsigned char *p = in + w->start[x];
        const int *k = w->weights + (size_t)x * (size_t)w->room;
        int sum = SN_FIXED_HALF;
        for (int i = 0, n = w->count[x]; i < n; i++) sum += p[i] * k[i];
        out[x] = sn_fixed_level(sum);
    }
}

/* One row of output, 64 columns at a time so that the sums stay in registers or nearby. */
static void down_row(const unsigned char *in, size_t bytes, const int *k, int n, unsigned char *out) {
    enum { BLOCK = 64 };
    int sums[BLOCK];
    for (size_t x = 0; x < bytes; x += BLOCK) {
        size_t columns = bytes - x < BLOCK ? bytes - x : BLOCK;
        for (size_t j = 0; j < BLOCK; j++) sums[j] = SN_FIXED_HALF;
        for (int i = 0; i < n; i++) {
            const unsigned char *p = in + (size_t)i * bytes + x;
            for (size_t j = 0; j < columns; j++) sums[j] += p[j] * k[i];
        }
        for (size_t j = 0; j < columns; j++) out[x + j] = sn_fixed_level(sums[j]);
    }
}

const sn_resize_kernels *sn_resize_plain(void) {
    static const sn_resize_kernels plain = {NULL, across_rgb, down_row};
    return &plain;
}

static const sn_resize_kernels *kernels(void) {
    const sn_resize_kernels *fast = sn_resize_avx2();
    return fast ? fast : sn_resize_plain();
}

/* in [height][width][C] -> out [height][w][C]. The last rows go through a copy with room behind it, because
 * vector loads may reach behind a row. */
static sn_status across(const sn_image *in, const sn_windows *w, sn_image *out) {
    size_t stride = (size_t)in->width * (size_t)in->channels, out_stride = (size_t)out->width * (size_t)out->channels;
    unsigned char *copy = sn_alloc(stride + SN_RESIZE_PADDING, 1);
    if (!copy) return SN_ERR_MEMORY;
    const sn_resize_kernels *run = kernels();
    for (int y = 0; y < in->height; y++) {
        const unsigned char *row = in->pixels + (size_t)y * stride;
        if ((size_t)(in->height - 1 - y) * stride < SN_RESIZE_PADDING) row = memcpy(copy, row, stride);
        if (in->channels == 3) run->across_rgb(row, w, out->pixels + (size_t)y * out_stride);
        else across_grey(row, w, out->pixels + (size_t)y * out_stride);
    }
    sn_free(copy);
    return SN_OK;
}

static void down(const sn_image *in, const sn_windows *w, sn_image *out) {
    size_t bytes = (size_t)in->width * (size_t)in->channels;
    const sn_resize_kernels *run = kernels();
    for (int y = 0; y < out->height; y++) {
        const int *k = w->weights + (size_t)y * (size_t)w->room;
        run->down(in->pixels + (size_t)w->start[y] * bytes, bytes, k, w->count[y], out->pixels + (size_t)y * bytes);
    }
}

/* Positions under the centres of `out` pixels. */
static int *nearest_table(int in, int out) {
    int *table = sn_alloc((size_t)out, sizeof *table);
    double step = (double)in / out, at = step * 0.5;
    for (int i = 0; table && i < out; i++, at += step) table[i] = (int)at < in ? (int)at : in - 1;
    return table;
}

static sn_status nearest(const sn_image *in, sn_image *out) {
    size_t c = (size_t)in->channels, stride = (size_t)in->width * c;
    int *columns = nearest_table(in->width, out->width);
    int *rows = columns ? nearest_table(in->height, out->height) : NULL;
    for (int y = 0; rows && y < out->height; y++) {
        const unsigned char *from = in->pixels + (size_t)rows[y] * stride;
        unsigned char *to = out->pixels + (size_t)y * (size_t)out->width * c;
        if (c == 1) {
            for (int x = 0; x < out->width; x++) to[x] = from[columns[x]];
        } else {
            for (int x = 0; x < out->width; x++) memcpy(to + (size_t)x * 3, from + (size_t)columns[x] * 3, 3);
        }
    }
    sn_free(columns);
    sn_free(rows);
    return rows ? SN_OK : SN_ERR_MEMORY;
}

/* Pillow goes across first, except (since its version 13) where the height shrinks by more than twice the
 * pixels that the width does. The order shows in the last level, because the result between is rounded. */
static bool down_first(const sn_image *in, const sn_image *out) {
    int64_t less_height = (int64_t)in->height - out->height, less_width = (int64_t)in->width - out->width;
    return less_height > 0 && less_height > 2 * less_width;
}

static sn_status two_passes(const sn_image *in, const sn_windows *columns, const sn_windows *rows, sn_image *out) {
    bool first_down = down_first(in, out);
    sn_image between;
    SN_TRY(first_down ? sn_image_make(in->width, out->height, in->channels, &between)
                      : sn_image_make(out->width, in->height, in->channels, &between));
    sn_status status = SN_OK;
    if (first_down) {
        down(in, rows, &between);
        status = across(&between, columns, out);
    } else {
        status = across(in, columns, &between);
        if (status == SN_OK) down(&between, rows, out);
    }
    sn_image_free(&between);
    return status;
}

static sn_status filtered(const sn_image *in, const struct filter *f, sn_image *out) {
    sn_windows columns = {0}, rows = {0};
    bool need_across = in->width != out->width, need_down = in->height != out->height;
    sn_status status = SN_OK;
    if (need_across) SN_GO(windows_make(f, in->width, out->width, &columns), done);
    if (need_across && in->channels == 3 && kernels()->pack) SN_GO(kernels()->pack(&columns), done);
    if (need_down) SN_GO(windows_make(f, in->height, out->height, &rows), done);
    if (need_across && need_down) status = two_passes(in, &columns, &rows, out);
    else if (need_across) status = across(in, &columns, out);
    else down(in, &rows, out);
done:
    windows_free(&columns);
    windows_free(&rows);
    return status;
}

sn_status sn_image_resize(const sn_image *in, int width, int height, sn_filter filter, sn_image *out) {
    *out = (sn_image){0};
    if (width <= 0 || height <= 0) SN_FAIL(SN_ERR_USAGE, "cannot resize to %d x %d pixels", width, height);
    if ((unsigned)filter >= FILTERS) SN_FAIL(SN_ERR_USAGE, "unknown resize filter %d", (int)filter);
    SN_TRY(sn_image_make(width, height, in->channels, out));
    sn_status status = SN_OK;
    if (width == in->width && height == in->height) {
        memcpy(out->pixels, in->pixels, (size_t)width * (size_t)height * (size_t)in->channels);
    } else if (filter == SN_NEAREST) {
        status = nearest(in, out);
    } else {
        status = filtered(in, &filters[filter], out);
    }
    if (status != SN_OK) sn_image_free(out);
    return status;
}
