/* picture_processor.c: picture columns prepared by a published model's own processor (image_processor.h).
 *
 *   file -> decode (RGB) -> resized and cropped u8 [H,W,3]  (sample)  ->  normalised f32 [N,H,W,3] */
#include "features/image_processor.h"

static sn_status model_type(const char *directory, json_t **config, const char **type) {
    char *path = sn_path_join(directory, "config.json");
    sn_status status = path ? sn_json_read(path, config) : SN_ERR_MEMORY;
    sn_free(path);
    return status == SN_OK ? sn_json_string(*config, "model_type", NULL, type) : status;
}

static sn_status open(sn_feature *f) {
    json_t *config = NULL;
    const char *type;
    int height, width;
    sn_image_processor *p = sn_alloc(1, sizeof *p);
    if (!p) return SN_ERR_MEMORY;
    f->state = p;
    sn_status status = model_type(f->directory, &config, &type);
    if (status == SN_OK) status = sn_image_processor_read(f->directory, type, p);
    json_decref(config);
    SN_TRY(status);
    if (!sn_image_processor_size(p, &height, &width))
        SN_FAIL(SN_ERR_UNSUPPORTED, "%s: its processor gives pictures of different sizes", f->directory);
    return SN_OK;
}

static void close(sn_feature *f) { sn_free(f->state); }

static void size_of(const sn_image_processor *p, int64_t *height, int64_t *width) {
    int h = 1, w = 1;
    (void)sn_image_processor_size(p, &h, &w); /* it was asked at opening */
    *height = h;
    *width = w;
}

static sn_status encode(const sn_feature *f, const sn_cell *cell, sn_sample *out) {
    const sn_image_processor *p = f->state;
    sn_image read = {0}, final = {0};
    int64_t height, width;
    if (!cell->image) SN_TRY(sn_image_read(cell->path, SN_CELL_MOST_PIXELS, &read));
    sn_status status = sn_image_processor_pixels(p, cell->image ? cell->image : &read, &final);
    sn_image_free(&read);
    SN_TRY(status);
    size_of(p, &height, &width);
    if (final.height != height || final.width != width) {
        status = sn_fail(SN_ERR_SHAPE, "the processor made a picture of %d x %d, not %d x %d", final.width, final.height, (int)width, (int)height);
        sn_image_free(&final);
        return status;
    }
    out->bytes = (size_t)(height * width * 3);
    out->data = final.pixels; /* heap, handed over */
    return SN_OK;
}

static int types(const sn_feature *f, int64_t n, int64_t steps, sn_type *to) {
    int64_t height, width;
    (void)steps;
    size_of(f->state, &height, &width);
    to[0] = (sn_type){SN_SHAPE(n, height, width, 3), SN_F32};
    return 1;
}

static sn_status collate(const sn_feature *f, const sn_sample *const *samples, int64_t n, sn_array *arrays) {
    int64_t height, width;
    size_of(f->state, &height, &width);
    SN_TRY(sn_array_make(&arrays[0], SN_F32, SN_SHAPE(n, height, width, 3)));
    for (int64_t i = 0; i < n; i++) {
        sn_image image = {(int)width, (int)height, 3, samples[i]->data};
        sn_image_processor_values(f->state, &image, (float *)arrays[0].data + i * height * width * 3);
    }
    return SN_OK;
}

static const char *const keys[] = {"processor", NULL};
const sn_feature_kind sn_feature_image_processor = {.kind = SN_KIND_IMAGE, .media = true, .keys = keys, .open = open,
                                                    .close = close, .encode = encode, .types = types, .collate = collate};
