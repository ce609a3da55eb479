/* image.c: picture columns.
 *
 *   file -> decode (RGB) -> resize to height x width -> grey or RGB u8 [H,W,C]   (sample)
 *        -> (pixel / 255 - mean) / std -> f32 [N,H,W,C]                          (array 0)
 *
 * fit looks at up to 256 training pictures: the common size if they share one of at most 128 pixels a side, else
 * a square of 64 to 128; grey if all are grey; mean and deviation per channel. */
#include <math.h>

#include "features/feature.h"

enum { LOOK = 256, LARGEST = 128 };

typedef struct image_state {
    int64_t height, width, channels;
    sn_filter filter;
    float mean[3], std[3];
} image_state;

typedef struct survey {
    int width, height, common, seen;
    int64_t sides;  /* sum of the shorter sides */
    bool grey;
    double sum[3], squares[3], pixels;
} survey;

static void look_at(survey *s, const sn_image *image) {
    if (!s->seen++) {
        s->width = image->width;
        s->height = image->height;
        s->grey = true;
    }
    s->common += s->width == image->width && s->height == image->height;
    s->sides += image->width < image->height ? image->width : image->height;
    int64_t n = (int64_t)image->width * image->height;
    for (int64_t i = 0; i < n; i++) {
        const unsigned char *p = image->pixels + i * 3;
        s->grey = s->grey && p[0] == p[1] && p[1] == p[2];
        for (int c = 0; c < 3; c++) {
            double x = p[c] / 255.0;
            s->sum[c] += x;
            s->squares[c] += x * x;
        }
    }
    s->pixels += (double)n;
}

static void choose_size(const survey *s, int64_t *height, int64_t *width) {
    bool shared = s->seen && s->common == s->seen && s->width <= LARGEST && s->height <= LARGEST;
    int64_t side = s->seen ? s->sides / s->seen : 64;
    side = side < 64 ? 64 : side > LARGEST ? LARGEST : side / 16 * 16;
    *height = shared ? s->height : side;
    *width = shared ? s->width : side;
}

static sn_status set_list(sn_feature *f, const char *key, const double *values, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; list && i < n; i++) (void)json_array_append_new(list, json_real(values[i]));
    return sn_feature_set(f, key, list);
}

static sn_status image_fit(sn_feature *f, const sn_fit_source *source) {
    survey s = {0};
    int64_t most = source->n < LOOK ? source->n : LOOK;
    for (int64_t i = 0; i < most; i++) {
        int64_t row = source->rows[sn_pick(i, source->n, most)];
        if (sn_cell_empty(sn_table_cell(source->table, row, source->column))) continue;
        char *path;
        sn_image image;
        SN_TRY(sn_table_media_path(source->table, row, source->column, &path));
        sn_status status = sn_image_read(path, SN_CELL_MOST_PIXELS, &image); /* a broken picture is reported by the check of all rows */
        sn_free(path);
        if (status != SN_OK) continue;
        look_at(&s, &image);
        sn_image_free(&image);
    }
    int64_t height, width, channels;
    choose_size(&s, &height, &width);
    SN_TRY(sn_json_int(f->options, "height", height, &height));
    SN_TRY(sn_json_int(f->options, "width", width, &width));
    SN_TRY(sn_json_int(f->options, "channels", s.grey ? 1 : 3, &channels));
    double mean[3], std[3];
    for (int c = 0; c < 3; c++) {
        mean[c] = s.pixels > 0 ? s.sum[c] / s.pixels : 0.5;
        double variance = s.pixels > 0 ? s.squares[c] / s.pixels - mean[c] * mean[c] : 0.25;
        std[c] = variance > 1e-4 ? sqrt(variance) : 1.0;
    }
    SN_TRY(sn_feature_set(f, "height", json_integer(height)));
    SN_TRY(sn_feature_set(f, "width", json_integer(width)));
    SN_TRY(sn_feature_set(f, "channels", json_integer(channels)));
    if (!json_object_get(f->options, "resample")) SN_TRY(sn_feature_set(f, "resample", json_string("bilinear")));
    if (!json_object_get(f->options, "mean")) SN_TRY(set_list(f, "mean", mean, channels));
    if (!json_object_get(f->options, "std")) SN_TRY(set_list(f, "std", std, channels));
    return SN_OK;
}

static sn_status read_list(const sn_feature *f, const char *key, int64_t n, float *out) {
    json_t *list;
    SN_TRY(sn_json_array(f->options, key, &list));
    if (!list || (int64_t)json_array_size(list) != n) SN_FAIL(SN_ERR_FORMAT, "\"%s\" must list %lld numbers", key, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        if (!json_is_number(item)) SN_FAIL(SN_ERR_FORMAT, "\"%s\" must list %lld numbers", key, (long long)n);
        out[i] = (float)json_number_value(item);
    }
    return SN_OK;
}

static sn_status image_open(sn_feature *f) {
    image_state *s = sn_alloc(1, sizeof *s);
    if (!s) return SN_ERR_MEMORY;
    f->state = s;
    const char *filter;
    SN_TRY(sn_json_int(f->options, "height", 64, &s->height));
    SN_TRY(sn_json_int(f->options, "width", 64, &s->width));
    SN_TRY(sn_json_int(f->options, "channels", 3, &s->channels));
    SN_TRY(sn_json_string(f->options, "resample", "bilinear", &filter));
    SN_TRY(sn_filter_by_name(filter, &s->filter));
    if (s->height < 1 || s->width < 1 || s->height > 4096 || s->width > 4096 || (s->channels != 1 && s->channels != 3))
        SN_FAIL(SN_ERR_USAGE, "pictures of %lld x %lld with %lld channels are not possible", (long long)s->height,
                (long long)s->width, (long long)s->channels);
    SN_TRY(read_list(f, "mean", s->channels, s->mean));
    SN_TRY(read_list(f, "std", s->channels, s->std));
    for (int64_t c = 0; c < s->channels; c++)
        if (!(s->std[c] > 0)) SN_FAIL(SN_ERR_FORMAT, "\"std\" must be above 0");
    return SN_OK;
}

static void image_close(sn_feature *f) { sn_free(f->state); }

static sn_status image_encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    const image_state *s = f->state;
    sn_image read = {0}, sized = {0}, final = {0};
    sn_status status = SN_OK;
    if (!cell->image) SN_TRY(sn_image_read(cell->path, SN_CELL_MOST_PIXELS, &read));
    const sn_image *from = cell->image ? cell->image : &read;
    if (from->width != s->width || from->height != s->height) {
        SN_GO(sn_image_resize(from, (int)s->width, (int)s->height, s->filter, &sized), end);
        from = &sized;
    }
    SN_GO(sn_image_to_channels(from, (int)s->channels, &final), end);
    out->bytes = (size_t)(s->height * s->width * s->channels);
    out->data = final.pixels; /* heap, handed over */
    final.pixels = NULL;
end:
    sn_image_free(&read);
    sn_image_free(&sized);
    sn_image_free(&final);
    return status;
}

static int image_types(const sn_feature *f, int64_t n, int64_t steps, sn_type *types) {
    (void)steps;
    const image_state *s = f->state;
    types[0] = (sn_type){SN_SHAPE(n, s->height, s->width, s->channels), SN_F32};
    return 1;
}

static sn_status image_collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    const image_state *s = f->state;
    SN_TRY(sn_array_make(&arrays[0], SN_F32, SN_SHAPE(n, s->height, s->width, s->channels)));
    int64_t each = s->height * s->width * s->channels;
    for (int64_t i = 0; i < n; i++) {
        sn_image image = {(int)s->width, (int)s->height, (int)s->channels, samples[i]->data};
        sn_image_normalise(&image, 1.0f / 255.0f, s->mean, s->std, (float *)arrays[0].data + i * each);
    }
    return SN_OK;
}

static const char *const keys[] = {"height", "width", "channels", "resample", "mean", "std", NULL};
const sn_feature_kind sn_feature_image = {.kind = SN_KIND_IMAGE, .media = true, .keys = keys, .fit = image_fit,
                                          .open = image_open, .close = image_close, .encode = image_encode, .types = image_types,
                                          .collate = image_collate};
