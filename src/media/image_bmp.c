/* image_bmp.c: Windows and OS/2 bitmaps, read by hand: no library has them and the format is a header.
 *
 *   file header 14 -> info header 12 | 40..124 -> masks | palette -> rows (bottom up unless the height is
 *   negative), 1 4 8 bits through the palette, 16 24 32 bits by masks, RLE8 and RLE4
 *
 * 16-bit fields are widened as Pillow does it: value * 255 / most. */
#include <string.h>

#include "media/image_decode.h"

enum { RAW = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3 };

typedef struct field {
    uint32_t mask;
    unsigned shift, most; /* value = (pixel & mask) >> shift, 0..most */
} field;

typedef struct bmp {
    sn_image_job *job;
    uint32_t header, compression;
    unsigned bits;
    bool top_down;
    size_t data; /* where the pixels start */
    field fields[3];
    unsigned char palette[256][3];
} bmp;

static sn_status truncated(const bmp *b) { SN_FAIL(SN_ERR_FORMAT, "truncated: the BMP's data end after %zu bytes", b->job->size); }

static sn_status read_header(bmp *b) {
    const unsigned char *p = b->job->bytes;
    if (b->job->size < 26) return truncated(b);
    b->data = sn_le32(p + 10);
    b->header = sn_le32(p + 14);
    bool known = b->header == 12 || b->header == 40 || b->header == 52 || b->header == 56 || b->header == 64 ||
                 b->header == 108 || b->header == 124;
    if (!known) SN_FAIL(SN_ERR_FORMAT, "broken BMP: a header of %u bytes", (unsigned)b->header);
    if (b->job->size < 14 + (size_t)b->header) return truncated(b);
    if (b->header == 12) {
        b->bits = sn_le16(p + 24);
        return sn_image_job_size(b->job, sn_le16(p + 18), sn_le16(p + 20));
    }
    int64_t height = (int32_t)sn_le32(p + 22);
    b->top_down = height < 0;
    b->bits = sn_le16(p + 28);
    b->compression = sn_le32(p + 30);
    return sn_image_job_size(b->job, (int32_t)sn_le32(p + 18), height < 0 ? -height : height);
}

static sn_status set_field(field *f, uint32_t mask) {
    *f = (field){.mask = mask};
    if (!mask) SN_FAIL(SN_ERR_UNSUPPORTED, "BMP with an empty colour mask");
    while (!(mask >> f->shift & 1)) f->shift++;
    f->most = mask >> f->shift;
    if (f->most & (f->most + 1)) SN_FAIL(SN_ERR_UNSUPPORTED, "BMP with the colour mask %08x", (unsigned)mask);
    return SN_OK;
}

static sn_status read_masks(bmp *b) {
    static const uint32_t five[3] = {0x7C00, 0x3E0, 0x1F}, eight[3] = {0xFF0000, 0xFF00, 0xFF};
    uint32_t masks[3];
    memcpy(masks, b->bits == 16 ? five : eight, sizeof masks);
    if (b->compression == BITFIELDS) {
        if (b->job->size < 14 + 40 + 12) return truncated(b);
        for (int i = 0; i < 3; i++) masks[i] = sn_le32(b->job->bytes + 54 + 4 * i);
        if (!(masks[0] | masks[1] | masks[2])) memcpy(masks, eight, sizeof masks);
    }
    for (int i = 0; i < 3; i++) SN_TRY(set_field(&b->fields[i], masks[i]));
    return SN_OK;
}

static sn_status read_palette(bmp *b) {
    size_t at = 14 + (size_t)b->header, entry = b->header == 12 ? 3 : 4;
    uint32_t count = b->header == 12 ? 0 : sn_le32(b->job->bytes + 46);
    if (!count) count = 1u << b->bits;
    if (count > 65536) SN_FAIL(SN_ERR_FORMAT, "broken BMP: a palette of %u colours", (unsigned)count);
    if (b->job->size < at + count * entry) return truncated(b);
    for (uint32_t i = 0; i < count && i < 256; i++) {
        const unsigned char *p = b->job->bytes + at + i * entry;
        unsigned char *colour = b->palette[i];
        colour[0] = p[2];
        colour[1] = p[1];
        colour[2] = p[0];
    }
    return SN_OK;
}

static unsigned char *target_row(const bmp *b, int y) { return sn_image_job_row(b->job, b->top_down ? y : b->job->height - 1 - y); }

static void palette_row(const bmp *b, const unsigned char *row, unsigned char *rgb) {
    unsigned per_byte = 8 / b->bits, mask = (1u << b->bits) - 1;
    for (unsigned x = 0; x < (unsigned)b->job->width; x++, rgb += 3) {
        unsigned shift = 8 - b->bits * (x % per_byte + 1);
        memcpy(rgb, b->palette[(unsigned)row[x / per_byte] >> shift & mask], 3);
    }
}

static void bgr_row(const bmp *b, const unsigned char *row, unsigned char *rgb) {
    for (int x = 0; x < b->job->width; x++, rgb += 3, row += 3) {
        rgb[0] = row[2];
        rgb[1] = row[1];
        rgb[2] = row[0];
    }
}

static void mask_row(const bmp *b, const unsigned char *row, unsigned char *rgb) {
    size_t bytes = b->bits / 8;
    for (int x = 0; x < b->job->width; x++, rgb += 3, row += bytes) {
        uint32_t pixel = bytes == 2 ? sn_le16(row) : sn_le32(row);
        for (int i = 0; i < 3; i++) {
            uint64_t value = (pixel & b->fields[i].mask) >> b->fields[i].shift;
            rgb[i] = (unsigned char)(value * 255 / b->fields[i].most);
        }
    }
}

static sn_status read_rows(bmp *b) {
    size_t stride = (((size_t)b->job->width * b->bits + 31) / 32) * 4, have = b->job->size - b->data;
    size_t last = ((size_t)b->job->width * b->bits + 7) / 8; /* the last row may lack its padding */
    if (have < last || (size_t)(b->job->height - 1) > (have - last) / stride) return truncated(b);
    for (int y = 0; y < b->job->height; y++) {
        const unsigned char *row = b->job->bytes + b->data + (size_t)y * stride;
        if (b->bits <= 8) palette_row(b, row, target_row(b, y));
        else if (b->bits == 24) bgr_row(b, row, target_row(b, y));
        else mask_row(b, row, target_row(b, y));
    }
    return SN_OK;
}

typedef struct pen {
    int x, y;
} pen;

static void put(const bmp *b, pen *at, unsigned index) {
    if (at->x < b->job->width && at->y < b->job->height) memcpy(target_row(b, at->y) + (size_t)at->x * 3, b->palette[index], 3);
    if (at->x < b->job->width) at->x++;
}

/* `n` pixels written out; 8 or 4 bits each, padded to 16 bits. */
static sn_status literal(const bmp *b, pen *at, size_t *next, unsigned n) {
    size_t bytes = b->compression == RLE8 ? n : (n + 1) / 2;
    const unsigned char *p = b->job->bytes + *next;
    if (b->job->size - *next < bytes) return truncated(b);
    for (unsigned i = 0; i < n; i++) {
        put(b, at, b->compression == RLE8 ? p[i] : i & 1 ? p[i / 2] & 15u : p[i / 2] >> 4);
    }
    *next += bytes;
    if (*next & 1 && *next < b->job->size) ++*next;
    return SN_OK;
}

/* Pairs (count, value); count 0 escapes: 0 end of row, 1 end of picture, 2 move, else literal. Skipped pixels
 * have index 0. */
static sn_status read_rle(bmp *b) {
    pen at = {0, 0};
    size_t next = b->data;
    for (int y = 0; y < b->job->height; y++) {
        for (pen p = {0, y}; p.x < b->job->width;) put(b, &p, 0);
    }
    while (at.y < b->job->height) {
        if (b->job->size - next < 2) return truncated(b);
        unsigned count = b->job->bytes[next], value = b->job->bytes[next + 1];
        next += 2;
        if (count) {
            for (unsigned i = 0; i < count; i++) put(b, &at, b->compression == RLE8 ? value : i & 1 ? value & 15 : value >> 4);
        } else if (value == 0) {
            at = (pen){0, at.y + 1};
        } else if (value == 1) {
            break;
        } else if (value == 2) {
            if (b->job->size - next < 2) return truncated(b);
            at.x += b->job->bytes[next];
            at.y += b->job->bytes[next + 1];
            if (at.x > b->job->width) at.x = b->job->width;
            next += 2;
        } else {
            SN_TRY(literal(b, &at, &next, value));
        }
    }
    return SN_OK;
}

sn_status sn_image_decode_bmp(sn_image_job *job) {
    bmp b = {.job = job};
    SN_TRY(read_header(&b));
    if (job->header_only) return SN_OK;
    bool packed = b.bits == 1 || b.bits == 4 || b.bits == 8;
    if (!packed && b.bits != 16 && b.bits != 24 && b.bits != 32) SN_FAIL(SN_ERR_FORMAT, "broken BMP: %u bits per pixel", b.bits);
    bool rle = (b.compression == RLE8 && b.bits == 8) || (b.compression == RLE4 && b.bits == 4);
    bool fields = b.compression == BITFIELDS && !packed;
    if (b.compression != RAW && !rle && !fields) {
        SN_FAIL(SN_ERR_UNSUPPORTED, "BMP with compression %u at %u bits", (unsigned)b.compression, b.bits);
    }
    if (packed) SN_TRY(read_palette(&b));
    else if (b.bits != 24) SN_TRY(read_masks(&b));
    if (b.data > job->size) return truncated(&b);
    SN_TRY(sn_image_job_pixels(job));
    return rle ? read_rle(&b) : read_rows(&b);
}
