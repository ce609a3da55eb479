/* image.h: pictures from bytes to the array that enters an encoder.
 *
 *   bytes -> decode -> RGB u8 [H,W,3] (EXIF orientation applied) -> resize / crop / pad -> normalise -> f32
 *
 * Pixels equal Pillow's: decode equals ImageOps.exif_transpose(Image.open(f)).convert("RGB") (first frame),
 * resize equals Image.resize(size, filter) on the same pixels, to the last level. Decoders are one table
 * (image_decoders.def), one file each: jpeg png webp tiff bmp gif; other content is refused by name. */
#ifndef SN_MEDIA_IMAGE_H
#define SN_MEDIA_IMAGE_H
#include "base/memory.h"

typedef struct sn_image {
    int width, height, channels; /* channels is 3 (RGB) or 1 (grey, "L") */
    unsigned char *pixels;       /* [height][width][channels], heap */
} sn_image;

/* Decodes a picture held in memory. `name` appears in errors. Pictures of more than `most_pixels` pixels are
 * refused before anything of that size is allocated (0: 178,956,970, as Pillow's bomb limit). A truncated
 * file is an error, not a half-grey picture. */
sn_status sn_image_decode(const char *name, const void *bytes, size_t size, int64_t most_pixels, sn_image *out);
/* The same from a file; the error's file is the path. */
sn_status sn_image_read(const char *path, int64_t most_pixels, sn_image *out);
void sn_image_free(sn_image *image);
/* A black picture of width x height pixels of 1 or 3 channels. */
sn_status sn_image_make(int width, int height, int channels, sn_image *out);

/* Only what the header says (for inspect): format name, size after EXIF transposition. */
sn_status sn_image_probe(const char *name, const void *bytes, size_t size, const char **format, int *width, int *height);

typedef enum sn_filter { SN_NEAREST, SN_BOX, SN_BILINEAR, SN_HAMMING, SN_BICUBIC, SN_LANCZOS } sn_filter;
/* "nearest" "box" "bilinear" "hamming" "bicubic" "lanczos"; fails with the list of known names. */
sn_status sn_filter_by_name(const char *name, sn_filter *out);
const char *sn_filter_name(sn_filter filter);

/* Pillow's two-pass antialiased resize with its 8-bit fixed-point rounding. */
sn_status sn_image_resize(const sn_image *in, int width, int height, sn_filter filter, sn_image *out);
/* Cuts [left, left+width) x [top, top+height); what lies outside the picture is `fill` in every channel. */
sn_status sn_image_crop(const sn_image *in, int left, int top, int width, int height, unsigned char fill, sn_image *out);
/* RGB to grey with Pillow's "L" integer weights, or grey to RGB; a copy when already so. */
sn_status sn_image_to_channels(const sn_image *in, int channels, sn_image *out);
/* Mirror left-right (augmentation). */
void sn_image_flip(sn_image *image);
/* out[h][w][c] = (pixel * scale - mean[c]) / std[c], f32. */
void sn_image_normalise(const sn_image *in, float scale, const float *mean, const float *std, float *out);
#endif
