/* image_processor.h: pictures as published models were trained on them, to the last bit.
 *
 *   RGB u8 [h,w,3] -> resize -> centre crop -> u8 [H,W,3]  (sn_image_processor_pixels)
 *                  -> rescale -> normalise  -> f32 [H,W,3] (sn_image_processor_values)
 *                  -> pad to the batch      -> f32 [N,H,W,3], mask i32 [N,H,W]  (sn_image_processor_batch)
 *
 * Settings are a directory's processor_config.json ("image_processor" in it, Transformers 5), preprocessor_config.json or
 * config.json ("pretrained_cfg" in it, timm), over the defaults of the processor's type (image_processors.def). Results
 * equal Transformers 5 without torchvision (its Pillow backend) given the picture's file: EXIF orientation applied,
 * transparency dropped, as sn_image_decode does. */
#ifndef SN_IMAGE_PROCESSOR_H
#define SN_IMAGE_PROCESSOR_H
#include "features/feature.h"

typedef enum sn_size_rule {
    SN_SIZE_EXACT,    /* height x width */
    SN_SIZE_SHORTEST, /* the shorter side becomes `height`; the longer at most `width`, when that is not 0 */
    SN_SIZE_INSIDE    /* as large as fits into height x width */
} sn_size_rule;

/* Plain data: may be copied; nothing to free. */
typedef struct sn_image_processor {
    const struct sn_processor_kind *kind;
    bool resize, crop, rescale, normalise, pad;
    sn_size_rule rule;
    int height, width;
    sn_filter filter;
    int crop_height, crop_width;
    int pad_height, pad_width; /* 0: the largest of the batch */
    int divisor;               /* sides of ViLT's pictures are multiples of it */
    double crop_pct;           /* of ConvNeXT below 384 */
    double factor;
    float mean[3], std[3];
    float table[3][256];       /* level -> value, per channel */
} sn_image_processor;

/* From a model's directory. `model_type` (config.json's; may be NULL) says the processor where the files do not. */
sn_status sn_image_processor_read(const char *directory, const char *model_type, sn_image_processor *out);
/* The same, where nothing that says it is no error. */
sn_status sn_image_processor_find(const char *directory, const char *model_type, bool *there, sn_image_processor *out);
/* From the object itself; `name` (a path) begins the errors. */
sn_status sn_image_processor_parse(const json_t *config, const char *name, const char *model_type, sn_image_processor *out);
const char *sn_image_processor_type(const sn_image_processor *p); /* "ViT", "CLIP", ... */

/* A new picture: resized and cropped. `in` has 3 channels. */
sn_status sn_image_processor_pixels(const sn_image_processor *p, const sn_image *in, sn_image *out);
/* out[h][w][3] of such a picture. */
void sn_image_processor_values(const sn_image_processor *p, const sn_image *pixels, float *out);
/* The size every picture gets; false where it depends on the picture. */
bool sn_image_processor_size(const sn_image_processor *p, int *height, int *width);
/* Values of n prepared pictures, padded right and below with 0 where the processor pads; else they must be of one size.
 * `mask` may be NULL: 1 where there is picture. */
sn_status sn_image_processor_batch(const sn_image_processor *p, const sn_image *pixels, int n, sn_array *values, sn_array *mask);
#endif
