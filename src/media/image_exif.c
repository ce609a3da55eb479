/* image_exif.c: how the camera was held, and turning the picture upright.
 *
 *   EXIF block -> TIFF header -> IFD0 -> tag 0x0112 -> 1..8      XMP packet -> tiff:Orientation -> 1..8
 *   orientation o: upright[y][x] = stored[sy(x,y)][sx(x,y)]
 *
 * Only this one tag is read, with every offset checked: EXIF blocks are among the most broken data there is,
 * and a broken one means "upright", not an error. */
#include <string.h>

#include "media/image_decode.h"

typedef struct exif {
    const unsigned char *data;
    size_t size;
    bool big;
} exif;

static unsigned get16(const exif *e, size_t at) { return e->big ? sn_be16(e->data + at) : sn_le16(e->data + at); }
static uint32_t get32(const exif *e, size_t at) { return e->big ? sn_be32(e->data + at) : sn_le32(e->data + at); }

int sn_exif_orientation(const unsigned char *data, size_t size) {
    while (size >= 6 && !memcmp(data, "Exif\0\0", 6)) {
        data += 6;
        size -= 6;
    }
    if (size < 8 || (memcmp(data, "II", 2) && memcmp(data, "MM", 2))) return 0;
    exif e = {data, size, data[0] == 'M'};
    if (get16(&e, 2) != 42) return 0;
    size_t at = get32(&e, 4);
    if (at > size - 2) return 0;
    unsigned entries = get16(&e, at);
    for (at += 2; entries && at + 12 <= size; entries--, at += 12) {
        if (get16(&e, at) != 0x0112) continue;
        unsigned type = get16(&e, at + 2);
        if (get32(&e, at + 4) != 1) return 0;
        uint32_t value = 0;
        if (type == 1 || type == 6) value = data[at + 8];
        if (type == 3 || type == 8) value = get16(&e, at + 8);
        if (type == 4 || type == 9) value = get32(&e, at + 8);
        return value <= 8 ? (int)value : 9; /* said, but nonsense: XMP is not asked then */
    }
    return 0;
}

int sn_xmp_orientation(const void *xmp, size_t size) {
    static const char key[] = "tiff:Orientation";
    const size_t n = sizeof key - 1;
    const char *p = xmp;
    for (size_t i = 0; i + n + 2 <= size; i++) {
        if (p[i] != 't' || memcmp(p + i, key, n)) continue;
        size_t at = i + n;
        if (p[at] == '>') at += 1;
        else if (p[at] == '=' && p[at + 1] == '"') at += 2;
        else continue;
        if (at < size && p[at] >= '0' && p[at] <= '9') return p[at] - '0';
    }
    return 0;
}

int sn_orientation(int exif_value, int xmp_value) {
    int value = exif_value ? exif_value : xmp_value;
    return value >= 1 && value <= 8 ? value : 1;
}

static void reverse_row(unsigned char *row, int width) {
    unsigned char *a = row, *b = row + (size_t)(width - 1) * 3, t[3];
    for (; a < b; a += 3, b -= 3) {
        memcpy(t, a, 3);
        memcpy(a, b, 3);
        memcpy(b, t, 3);
    }
}

/* Orientations 2, 3, 4: the shape stays, so it is done in place. */
static void turn_in_place(sn_image_job *job) {
    size_t stride = (size_t)job->width * 3;
    if (job->orientation == 2 || job->orientation == 3) {
        for (int y = 0; y < job->height; y++) reverse_row(job->pixels + (size_t)y * stride, job->width);
    }
    if (job->orientation == 2) return;
    for (int y = 0; y < job->height / 2; y++) {
        unsigned char *a = job->pixels + (size_t)y * stride, *b = job->pixels + (size_t)(job->height - 1 - y) * stride;
        for (size_t i = 0; i < stride; i++) {
            unsigned char t = a[i];
            a[i] = b[i];
            b[i] = t;
        }
    }
}

/* Orientations 5..8 exchange rows and columns. Upright pixel (x, y) is the stored pixel of column y (or
 * counted from the right: 7, 8) and row x (or from the bottom: 6, 7). */
static void turn_into(const sn_image_job *job, unsigned char *out) {
    int o = job->orientation, width = job->width, height = job->height;
    bool from_right = o == 7 || o == 8, from_bottom = o == 6 || o == 7;
    enum { TILE = 32 }; /* both sides stay in the cache */
    for (int y0 = 0; y0 < width; y0 += TILE) {
        for (int x0 = 0; x0 < height; x0 += TILE) {
            for (int y = y0; y < y0 + TILE && y < width; y++) {
                int sx = from_right ? width - 1 - y : y;
                for (int x = x0; x < x0 + TILE && x < height; x++) {
                    int sy = from_bottom ? height - 1 - x : x;
                    const unsigned char *from = job->pixels + ((size_t)sy * (size_t)width + (size_t)sx) * 3;
                    memcpy(out + ((size_t)y * (size_t)height + (size_t)x) * 3, from, 3);
                }
            }
        }
    }
}

sn_status sn_image_job_transpose(sn_image_job *job) {
    if (job->orientation <= 1) return SN_OK;
    if (job->orientation <= 4) {
        turn_in_place(job);
        return SN_OK;
    }
    unsigned char *out = sn_alloc((size_t)job->width * (size_t)job->height, 3);
    if (!out) return SN_ERR_MEMORY;
    turn_into(job, out);
    sn_free(job->pixels);
    job->pixels = out;
    int width = job->width;
    job->width = job->height;
    job->height = width;
    return SN_OK;
}
