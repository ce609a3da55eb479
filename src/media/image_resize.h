/* image_resize.h: what image_resize.c and its vector kernels share; private to src/media. */
#ifndef SN_MEDIA_IMAGE_RESIZE_H
#define SN_MEDIA_IMAGE_RESIZE_H
#include "media/image.h"

enum { SN_FIXED_BITS = 32 - 8 - 2 }; /* of a weight: a level times a weight, summed, fits 32 bits */
#define SN_FIXED_HALF (1 << (SN_FIXED_BITS - 1))

/* For each output position: input [start, start + count) with weights[position * room ...]. */
typedef struct sn_windows {
    int *start, *count, *weights;
    int outputs, room;
    int16_t *packed; /* the weights as the kernel wants them, if it does */
    int groups;      /* of packed weights per position */
} sn_windows;

enum { SN_RESIZE_PADDING = 32 }; /* bytes that across() may read behind a row */

typedef struct sn_resize_kernels {
    sn_status (*pack)(sn_windows *w);                                                /* NULL: not needed */
    void (*across_rgb)(const unsigned char *in, const sn_windows *w, unsigned char *out); /* one row */
    /* out[bytes] = sum over n rows of in[i * bytes ...] * weights[i] */
    void (*down)(const unsigned char *in, size_t bytes, const int *weights, int n, unsigned char *out);
} sn_resize_kernels;

const sn_resize_kernels *sn_resize_plain(void);
const sn_resize_kernels *sn_resize_avx2(void); /* NULL where this machine has no AVX2 */

static inline unsigned char sn_fixed_level(int sum) {
    sum >>= SN_FIXED_BITS;
    return (unsigned char)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}
#endif
