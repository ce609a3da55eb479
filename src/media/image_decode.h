/* image_decode.h: what the picture decoders share; private to src/media.
 *
 *   sn_image_decode -> magic finds the row of image_decoders.def -> sn_image_decode_<id>(job):
 *       reads the header        -> sn_image_job_size(job, w, h)   refuses bombs, allocates nothing
 *       sets job->orientation, and returns here if job->header_only
 *       sn_image_job_pixels     -> job->pixels, RGB [h][w][3], zeroed
 *       fills them
 *   -> transposed by orientation -> sn_image
 *
 * A decoder's message need not name the file ("truncated: ..."): sn_image_decode puts the name before it. What
 * a decoder allocated itself it frees itself; job->pixels belongs to the job, on success and on failure. */
#ifndef SN_MEDIA_IMAGE_DECODE_H
#define SN_MEDIA_IMAGE_DECODE_H
#include "media/image.h"

typedef struct sn_image_job {
    const unsigned char *bytes; /* the whole file */
    size_t size;
    int64_t most_pixels;
    bool header_only;
    int orientation; /* EXIF's 1..8; 1 when not told */
    int width, height;
    unsigned char *pixels;
} sn_image_job;

/* Takes the size from the header: fails unless 0 < w, h and w * h <= most_pixels. */
sn_status sn_image_job_size(sn_image_job *job, int64_t width, int64_t height);
sn_status sn_image_job_pixels(sn_image_job *job);
static inline unsigned char *sn_image_job_row(const sn_image_job *job, int y) {
    return job->pixels + (size_t)y * (size_t)job->width * 3;
}

/* image_exif.c. Orientation in an EXIF block (with or without its "Exif\0\0"), 0 where it says nothing. */
int sn_exif_orientation(const unsigned char *exif, size_t size);
/* tiff:Orientation in an XMP packet, 0 where it says nothing. */
int sn_xmp_orientation(const void *xmp, size_t size);
/* Both sources in Pillow's order: EXIF, then XMP, then 1; values outside 1..8 are 1. */
int sn_orientation(int exif, int xmp);
/* Turns the job's picture by its orientation (a new buffer, or in place where the shape stays). */
sn_status sn_image_job_transpose(sn_image_job *job);

/* Pillow's ink to light: one pixel of C M Y K (0 = no ink) to R G B. */
static inline void sn_cmyk_to_rgb(unsigned c, unsigned m, unsigned y, unsigned k, unsigned char *rgb) {
    unsigned light = 255 - k, ink[3] = {c, m, y};
    for (int i = 0; i < 3; i++) {
        unsigned t = ink[i] * light + 128;
        rgb[i] = (unsigned char)(light - (((t >> 8) + t) >> 8)); /* light * (1 - ink / 255), rounded */
    }
}

static inline unsigned sn_le16(const unsigned char *p) { return (unsigned)p[0] | (unsigned)p[1] << 8; }
static inline unsigned sn_be16(const unsigned char *p) { return (unsigned)p[1] | (unsigned)p[0] << 8; }
static inline uint32_t sn_le32(const unsigned char *p) { return sn_le16(p) | (uint32_t)sn_le16(p + 2) << 16; }
static inline uint32_t sn_be32(const unsigned char *p) { return sn_be16(p + 2) | (uint32_t)sn_be16(p) << 16; }

#endif
