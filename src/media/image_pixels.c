/* image_pixels.c: the small operations between a decoded picture and an encoder's array.
 *
 *   crop (with fill outside) · RGB <-> grey · mirror · normalise: u8 [H,W,C] -> f32 [H,W,C] */
#include <string.h>

#include "media/image.h"

sn_status sn_image_crop(const sn_image *in, int left, int top, int width, int height, unsigned char fill, sn_image *out) {
    *out = (sn_image){0};
    if (width <= 0 || height <= 0) SN_FAIL(SN_ERR_USAGE, "cannot crop to %d x %d pixels", width, height);
    SN_TRY(sn_image_make(width, height, in->channels, out));
    size_t c = (size_t)in->channels, stride = (size_t)width * c;
    int64_t from = left > 0 ? left : 0, to = (int64_t)left + width; /* columns of `in` that are seen */
    if (to > in->width) to = in->width;
    for (int y = 0; y < height; y++) {
        unsigned char *row = out->pixels + (size_t)y * stride;
        int64_t sy = (int64_t)top + y;
        bool seen = sy >= 0 && sy < in->height && from < to;
        if (fill && (!seen || to - from < width)) memset(row, fill, stride);
        if (!seen) continue;
        const unsigned char *source = in->pixels + ((size_t)sy * (size_t)in->width + (size_t)from) * c;
        memcpy(row + (size_t)(from - left) * c, source, (size_t)(to - from) * c);
    }
    return SN_OK;
}

sn_status sn_image_to_channels(const sn_image *in, int channels, sn_image *out) {
    *out = (sn_image){0};
    if (channels != 1 && channels != 3) SN_FAIL(SN_ERR_USAGE, "a picture has 1 or 3 channels, not %d", channels);
    SN_TRY(sn_image_make(in->width, in->height, channels, out));
    size_t pixels = (size_t)in->width * (size_t)in->height;
    const unsigned char *p = in->pixels;
    if (channels == in->channels) {
        memcpy(out->pixels, p, pixels * (size_t)channels);
    } else if (channels == 3) {
        for (size_t i = 0; i < pixels; i++) memset(out->pixels + 3 * i, p[i], 3);
    } else {
        for (size_t i = 0; i < pixels; i++, p += 3) { /* ITU-R BT.601 luma in 16-bit fixed point */
            out->pixels[i] = (unsigned char)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
        }
    }
    return SN_OK;
}

void sn_image_flip(sn_image *image) {
    size_t c = (size_t)image->channels, stride = (size_t)image->width * c;
    for (int y = 0; y < image->height; y++) {
        unsigned char *a = image->pixels + (size_t)y * stride, *b = a + stride - c;
        for (; a < b; a += c, b -= c) {
            for (size_t i = 0; i < c; i++) {
                unsigned char t = a[i];
                a[i] = b[i];
                b[i] = t;
            }
        }
    }
}

/* A channel has 256 possible values, so each is computed once and the pixels look theirs up. */
void sn_image_normalise(const sn_image *in, float scale, const float *mean, const float *std, float *out) {
    float table[3][256];
    for (int c = 0; c < in->channels; c++) {
        for (int v = 0; v < 256; v++) table[c][v] = ((float)v * scale - mean[c]) / std[c];
    }
    size_t pixels = (size_t)in->width * (size_t)in->height;
    const unsigned char *p = in->pixels;
    if (in->channels == 1) {
        for (size_t i = 0; i < pixels; i++) out[i] = table[0][p[i]];
        return;
    }
    for (size_t i = 0; i < pixels; i++, p += 3, out += 3) {
        out[0] = table[0][p[0]];
        out[1] = table[1][p[1]];
        out[2] = table[2][p[2]];
    }
}
