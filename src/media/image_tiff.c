/* image_tiff.c: TIFF (classic and Big) through libtiff, first directory.
 *
 *   bytes -> tags -> layout (photometric, bits, samples, planes) -> bands of decoded rows (a strip or a row of
 *   tiles, all planes) -> RGB rows
 *
 *   grey 1 2 4 8      scaled to 0..255, white-is-zero inverted        grey 12 16 32, float   clipped to 0..255
 *   palette           the high bytes of its colours                   RGB 8 16               the high byte
 *   CMYK 8 16         Pillow's integer formula                        YCbCr                  libtiff's RGB
 *   alpha             dropped; where colours were premultiplied with it they are divided again
 *
 * libtiff unpacks, Pillow's rules convert: its own RGBA interface would scale where Pillow clips. Only
 * subsampled YCbCr goes through it, as in Pillow. Errors come through a handler of this one open file. */
#include <stdio.h>
#include <string.h>

#include <tiffio.h>

#include "media/image_decode.h"

typedef struct reader {
    sn_image_job *job;
    TIFF *tiff;
    size_t at;
    char why[160]; /* libtiff's first complaint */
    bool short_read;
    uint16_t photometric, bits, samples, format, planar;
    bool alpha_multiplied, as_rgba;
    uint16_t *colours[3];
    unsigned char *band; /* [planes][rows][row_bytes] */
    size_t row_bytes;
    uint32_t rows;
} reader;

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list args) {
    reader *r = user;
    (void)tiff;
    (void)module;
    if (!r->why[0]) (void)vsnprintf(r->why, sizeof r->why, format, args);
    return 1;
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list args) {
    (void)tiff;
    (void)user;
    (void)module;
    (void)format;
    (void)args;
    return 1;
}

static tmsize_t on_read(thandle_t handle, void *to, tmsize_t bytes) {
    reader *r = handle;
    size_t left = r->at < r->job->size ? r->job->size - r->at : 0, n = bytes > 0 ? (size_t)bytes : 0;
    if (n > left) {
        r->short_read = true;
        n = left;
    }
    if (n) memcpy(to, r->job->bytes + r->at, n);
    r->at += n;
    return (tmsize_t)n;
}

static tmsize_t on_write(thandle_t handle, void *from, tmsize_t bytes) {
    (void)handle;
    (void)from;
    (void)bytes;
    return 0;
}

static toff_t on_seek(thandle_t handle, toff_t to, int whence) {
    reader *r = handle;
    size_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? r->at : r->job->size;
    r->at = base + (size_t)to;
    if (r->at > r->job->size) r->short_read = true;
    return r->at;
}

static int on_close(thandle_t handle) {
    (void)handle;
    return 0;
}

static toff_t on_size(thandle_t handle) { return ((reader *)handle)->job->size; }

static int on_map(thandle_t handle, void **base, toff_t *size) {
    (void)handle;
    (void)base;
    (void)size;
    return 0; /* everything through on_read, which sees the end */
}

static void on_unmap(thandle_t handle, void *base, toff_t size) {
    (void)handle;
    (void)base;
    (void)size;
}

static sn_status failed(const reader *r) {
    if (r->short_read) SN_FAIL(SN_ERR_FORMAT, "truncated: the TIFF's data end after %zu bytes", r->job->size);
    SN_FAIL(SN_ERR_FORMAT, "broken TIFF: %s", r->why[0] ? r->why : "unreadable");
}

static sn_status open_tiff(reader *r) {
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) SN_FAIL(SN_ERR_MEMORY, "out of memory: libtiff's options");
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, r);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, r);
    r->tiff = TIFFClientOpenExt("picture", "rm", r, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap, options);
    TIFFOpenOptionsFree(options);
    return r->tiff ? SN_OK : failed(r);
}

static int orientation(const reader *r) {
    uint16_t tag = 0;
    uint32_t bytes = 0;
    void *packet = NULL;
    if (TIFFGetField(r->tiff, TIFFTAG_ORIENTATION, &tag)) return sn_orientation(tag, 0);
    if (TIFFGetField(r->tiff, TIFFTAG_XMLPACKET, &bytes, &packet)) return sn_orientation(0, sn_xmp_orientation(packet, bytes));
    return 1;
}

static unsigned colour_samples(const reader *r) {
    if (r->photometric == PHOTOMETRIC_RGB || r->photometric == PHOTOMETRIC_YCBCR) return 3;
    return r->photometric == PHOTOMETRIC_SEPARATED ? 4 : 1;
}

static sn_status unsupported(const reader *r) {
    SN_FAIL(SN_ERR_UNSUPPORTED, "TIFF of photometric %u with %u samples of %u bits (format %u)", (unsigned)r->photometric,
            (unsigned)r->samples, (unsigned)r->bits, (unsigned)r->format);
}

/* JPEG inside is turned to RGB by the codec; other YCbCr by libtiff's RGBA reader. */
static sn_status read_colour_model(reader *r) {
    uint16_t compression = COMPRESSION_NONE;
    (void)TIFFGetFieldDefaulted(r->tiff, TIFFTAG_COMPRESSION, &compression);
    if (compression == COMPRESSION_OJPEG) r->photometric = PHOTOMETRIC_YCBCR;
    if (r->photometric == PHOTOMETRIC_YCBCR && r->samples >= 3) {
        if (compression == COMPRESSION_JPEG && r->planar == PLANARCONFIG_CONTIG) {
            (void)TIFFSetField(r->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
            r->photometric = PHOTOMETRIC_RGB;
        } else {
            r->as_rgba = true;
        }
    } else if (r->photometric == PHOTOMETRIC_YCBCR) {
        r->photometric = PHOTOMETRIC_MINISBLACK;
    }
    if (r->photometric == PHOTOMETRIC_PALETTE &&
        !TIFFGetField(r->tiff, TIFFTAG_COLORMAP, &r->colours[0], &r->colours[1], &r->colours[2])) {
        SN_FAIL(SN_ERR_FORMAT, "broken TIFF: a palette picture without its palette");
    }
    return SN_OK;
}

static sn_status read_layout(reader *r) {
    uint16_t extras = 0, *kinds = NULL;
    if (!TIFFGetField(r->tiff, TIFFTAG_PHOTOMETRIC, &r->photometric)) r->photometric = PHOTOMETRIC_MINISWHITE;
    (void)TIFFGetFieldDefaulted(r->tiff, TIFFTAG_BITSPERSAMPLE, &r->bits);
    (void)TIFFGetFieldDefaulted(r->tiff, TIFFTAG_SAMPLESPERPIXEL, &r->samples);
    (void)TIFFGetFieldDefaulted(r->tiff, TIFFTAG_SAMPLEFORMAT, &r->format);
    (void)TIFFGetFieldDefaulted(r->tiff, TIFFTAG_PLANARCONFIG, &r->planar);
    (void)TIFFGetFieldDefaulted(r->tiff, TIFFTAG_EXTRASAMPLES, &extras, &kinds);
    SN_TRY(read_colour_model(r));
    unsigned colour = colour_samples(r);
    if (r->samples < colour || r->samples > colour + 3) return unsupported(r);
    r->alpha_multiplied = r->samples > colour && extras && kinds[0] == EXTRASAMPLE_ASSOCALPHA && r->bits >= 8;
    if (r->as_rgba) return SN_OK;
    bool known = r->bits == 8 || (r->bits == 16 && r->photometric != PHOTOMETRIC_PALETTE);
    if (r->photometric <= PHOTOMETRIC_MINISBLACK) known = known || r->bits == 12 || r->bits == 32;
    if (colour == 1) known = known || r->bits == 1 || r->bits == 2 || r->bits == 4;
    if (r->photometric > PHOTOMETRIC_PALETTE && r->photometric != PHOTOMETRIC_SEPARATED) known = false;
    if (r->format == SAMPLEFORMAT_IEEEFP) known = known && r->bits == 32;
    else if (r->format != SAMPLEFORMAT_UINT && r->format != SAMPLEFORMAT_INT) known = false;
    return known ? SN_OK : unsupported(r);
}

/* Sample `i` of a row: unsigned, in the machine's byte order where it is wider than a byte. */
static uint32_t sample(const unsigned char *row, size_t i, unsigned bits) {
    if (bits == 8) return row[i];
    if (bits == 16) {
        uint16_t v;
        memcpy(&v, row + 2 * i, 2);
        return v;
    }
    if (bits == 32) {
        uint32_t v;
        memcpy(&v, row + 4 * i, 4);
        return v;
    }
    if (bits == 12) {
        const unsigned char *p = row + i / 2 * 3;
        return i & 1 ? (p[1] & 15u) << 8 | p[2] : (uint32_t)p[0] << 4 | p[1] >> 4;
    }
    unsigned per_byte = 8 / bits;
    return (uint32_t)row[i / per_byte] >> (8 - bits * (i % per_byte + 1)) & ((1u << bits) - 1);
}

static unsigned char grey_level(const reader *r, uint32_t v) {
    if (r->format == SAMPLEFORMAT_IEEEFP) {
        float f;
        memcpy(&f, &v, sizeof f);
        return (unsigned char)(!(f > 0) ? 0 : f >= 255 ? 255 : (int)f);
    }
    if (r->bits <= 8) {
        v = v * 255 / ((1u << r->bits) - 1);
        return (unsigned char)(r->photometric == PHOTOMETRIC_MINISWHITE ? 255 - v : v);
    }
    int64_t wide = v;
    if (r->bits == 16 && r->format == SAMPLEFORMAT_INT) wide = (int16_t)v;
    if (r->bits == 32) wide = (int32_t)v;
    return (unsigned char)(wide < 0 ? 0 : wide > 255 ? 255 : wide);
}

static unsigned char divide(unsigned v, unsigned alpha) {
    unsigned full = alpha ? v * 255 / alpha : 0;
    return (unsigned char)(full > 255 ? 255 : full);
}

/* One pixel from its samples (8-bit, the high byte of wider ones; grey and palette as they are). */
static void convert_pixel(const reader *r, const uint32_t *s, unsigned char *rgb) {
    switch (r->photometric) {
    case PHOTOMETRIC_RGB:
        for (int c = 0; c < 3; c++) rgb[c] = r->alpha_multiplied ? divide(s[c], s[3]) : (unsigned char)s[c];
        return;
    case PHOTOMETRIC_SEPARATED: sn_cmyk_to_rgb(s[0], s[1], s[2], s[3], rgb); return;
    case PHOTOMETRIC_PALETTE:
        for (int c = 0; c < 3; c++) rgb[c] = (unsigned char)(r->colours[c][s[0]] >> 8);
        return;
    default: {
        unsigned char level = grey_level(r, s[0]);
        if (r->alpha_multiplied && r->bits == 8) level = divide(level, s[1]);
        memset(rgb, level, 3);
    }
    }
}

static void convert_row(const reader *r, uint32_t y, unsigned char *rgb) {
    const unsigned char *rows[8];
    bool apart = r->planar == PLANARCONFIG_SEPARATE, wide_colour = colour_samples(r) > 1 && r->bits == 16;
    unsigned used = colour_samples(r) + (r->samples > colour_samples(r));
    for (unsigned s = 0; s < used; s++) rows[s] = r->band + ((apart ? s * (size_t)r->rows : 0) + y) * r->row_bytes;
    if (!apart && r->samples == 3 && r->bits == 8 && r->photometric == PHOTOMETRIC_RGB) {
        memcpy(rgb, rows[0], (size_t)r->job->width * 3);
        return;
    }
    for (int x = 0; x < r->job->width; x++, rgb += 3) {
        uint32_t s[8] = {0};
        for (unsigned i = 0; i < used; i++) {
            size_t at = apart ? (size_t)x : (size_t)x * r->samples + i;
            s[i] = sample(rows[i], at, r->bits);
            if (wide_colour) s[i] >>= 8;
        }
        convert_pixel(r, s, rgb);
    }
}

/* Strips: the band is one strip of every plane. */
static sn_status read_strip(reader *r, uint32_t y, uint16_t planes) {
    for (uint16_t plane = 0; plane < planes; plane++) {
        uint32_t rows = (uint32_t)r->job->height - y < r->rows ? (uint32_t)r->job->height - y : r->rows;
        tmsize_t want = (tmsize_t)(rows * r->row_bytes);
        unsigned char *to = r->band + (size_t)plane * r->rows * r->row_bytes;
        if (TIFFReadEncodedStrip(r->tiff, TIFFComputeStrip(r->tiff, y, plane), to, want) != want) return failed(r);
    }
    return SN_OK;
}

/* Tiles: the band is a row of tiles, each copied to its columns; at most as many rows as the picture has. */
static sn_status read_tiles(reader *r, uint32_t y, uint16_t planes, unsigned char *tile) {
    uint32_t width = 0;
    (void)TIFFGetField(r->tiff, TIFFTAG_TILEWIDTH, &width);
    size_t bytes = (size_t)TIFFTileRowSize(r->tiff);
    for (uint16_t plane = 0; plane < planes; plane++) {
        size_t at = 0; /* in the row */
        for (uint32_t x = 0; x < (uint32_t)r->job->width; x += width, at += bytes) {
            if (TIFFReadTile(r->tiff, tile, x, y, 0, plane) < 0) return failed(r);
            size_t left = r->row_bytes - at, n = left < bytes ? left : bytes;
            for (uint32_t row = 0; row < r->rows; row++) {
                memcpy(r->band + ((size_t)plane * r->rows + row) * r->row_bytes + at, tile + row * bytes, n);
            }
        }
    }
    return SN_OK;
}

static sn_status read_bands(reader *r, unsigned char *tile) {
    uint16_t planes = r->planar == PLANARCONFIG_SEPARATE ? r->samples : 1;
    for (uint32_t y = 0; y < (uint32_t)r->job->height; y += r->rows) {
        SN_TRY(tile ? read_tiles(r, y, planes, tile) : read_strip(r, y, planes));
        for (uint32_t i = 0; i < r->rows && y + i < (uint32_t)r->job->height; i++) {
            convert_row(r, i, sn_image_job_row(r->job, (int)(y + i)));
        }
    }
    return SN_OK;
}

/* Rows of a band, and the bytes of a tile (0: strips). Tiles larger than any allowed picture are refused. */
static sn_status read_band_size(reader *r, size_t *tile_bytes) {
    uint32_t height = (uint32_t)r->job->height, width = 0;
    *tile_bytes = 0;
    if (TIFFIsTiled(r->tiff)) {
        (void)TIFFGetField(r->tiff, TIFFTAG_TILELENGTH, &r->rows);
        (void)TIFFGetField(r->tiff, TIFFTAG_TILEWIDTH, &width);
        int64_t most = r->job->most_pixels > 1 << 22 ? r->job->most_pixels : 1 << 22;
        tmsize_t bytes = TIFFTileSize(r->tiff);
        if (!r->rows || !width || width > most / r->rows || bytes <= 0) {
            SN_FAIL(SN_ERR_FORMAT, "broken TIFF: tiles of %u x %u pixels", (unsigned)width, (unsigned)r->rows);
        }
        *tile_bytes = (size_t)bytes;
    } else {
        (void)TIFFGetFieldDefaulted(r->tiff, TIFFTAG_ROWSPERSTRIP, &r->rows);
    }
    if (!r->rows || r->rows > height) r->rows = height;
    return SN_OK;
}

static sn_status read_samples(reader *r) {
    bool apart = r->planar == PLANARCONFIG_SEPARATE;
    size_t tile_bytes, all, planes = apart ? r->samples : 1, per_row = apart ? 1 : r->samples;
    SN_TRY(read_band_size(r, &tile_bytes));
    tmsize_t row_bytes = TIFFScanlineSize(r->tiff);
    if (row_bytes <= 0 || ((size_t)r->job->width * per_row * r->bits + 7) / 8 > (size_t)row_bytes) return failed(r);
    r->row_bytes = (size_t)row_bytes;
    if (sn_mul_overflow(r->rows * planes, r->row_bytes, &all)) all = SIZE_MAX;
    if (!(r->band = sn_alloc(all, 1))) return SN_ERR_MEMORY;
    unsigned char *tile = tile_bytes ? sn_alloc(tile_bytes, 1) : NULL;
    if (tile_bytes && !tile) return SN_ERR_MEMORY;
    sn_status status = read_bands(r, tile);
    sn_free(tile);
    return status;
}

/* libtiff's own conversion, in the stored orientation. */
static sn_status read_rgba(reader *r) {
    size_t width = (size_t)r->job->width, height = (size_t)r->job->height, pixels;
    if (sn_mul_overflow(width, height, &pixels)) pixels = SIZE_MAX;
    uint32_t *raster = sn_alloc(pixels, sizeof *raster);
    if (!raster) return SN_ERR_MEMORY;
    TIFFRGBAImage image;
    char text[1024] = "";
    bool ok = TIFFRGBAImageBegin(&image, r->tiff, 1, text) != 0;
    if (ok) {
        image.req_orientation = image.orientation; /* as stored: the job turns it */
        ok = TIFFRGBAImageGet(&image, raster, (uint32_t)width, (uint32_t)height) != 0;
        TIFFRGBAImageEnd(&image);
    }
    for (size_t i = 0; ok && i < pixels; i++) {
        unsigned char *rgb = r->job->pixels + 3 * i;
        rgb[0] = (unsigned char)TIFFGetR(raster[i]);
        rgb[1] = (unsigned char)TIFFGetG(raster[i]);
        rgb[2] = (unsigned char)TIFFGetB(raster[i]);
    }
    sn_free(raster);
    if (!ok && !r->why[0]) (void)snprintf(r->why, sizeof r->why, "%.150s", text);
    return ok ? SN_OK : failed(r);
}

static sn_status body(reader *r) {
    uint32_t width = 0, height = 0;
    SN_TRY(open_tiff(r));
    (void)TIFFGetField(r->tiff, TIFFTAG_IMAGEWIDTH, &width);
    (void)TIFFGetField(r->tiff, TIFFTAG_IMAGELENGTH, &height);
    SN_TRY(sn_image_job_size(r->job, width, height));
    r->job->orientation = orientation(r);
    if (r->job->header_only) return SN_OK;
    if (r->short_read) return failed(r); /* a tag's values are missing: libtiff would go on without them */
    r->why[0] = '\0';
    SN_TRY(read_layout(r));
    SN_TRY(sn_image_job_pixels(r->job));
    return r->as_rgba ? read_rgba(r) : read_samples(r);
}

sn_status sn_image_decode_tiff(sn_image_job *job) {
    reader r = {.job = job};
    sn_status status = body(&r);
    if (r.tiff) TIFFClose(r.tiff);
    sn_free(r.band);
    return status;
}
