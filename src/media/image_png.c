/* image_png.c: PNG through libpng, pixels as Pillow's reader gives them.
 *
 *   bytes -> chunks -> rows in the file's own layout (packed samples spread to bytes) -> RGB row
 *
 *   grey 1 2 4 8      scaled to 0..255            grey 16           min(value, 255): Pillow's "I;16" to RGB
 *   palette           colour; past its end black  RGB, alpha 16     the high byte
 *   alpha, tRNS       dropped: convert("RGB") composes nothing      gamma, profiles: not applied
 *
 * libpng only unpacks: its own colour transforms are not Pillow's. An interlaced picture is kept whole in the
 * file's layout before it is converted. */
#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "media/image_decode.h"

typedef struct reader {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    sn_image_job *job;
    size_t at;
    unsigned char *raw; /* one row, or all rows of an interlaced picture */
    size_t stride;
    int type, depth;
    unsigned char palette[256][3];
} reader;

static void on_error(png_structp png, png_const_charp text) {
    reader *r = png_get_error_ptr(png);
    (void)sn_fail(SN_ERR_FORMAT, "broken PNG: %s", text);
    longjmp(r->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t bytes) {
    reader *r = png_get_io_ptr(png);
    if (bytes > r->job->size - r->at) {
        (void)sn_fail(SN_ERR_FORMAT, "truncated: the PNG's data end after %zu bytes", r->job->size);
        longjmp(r->jump, 1);
    }
    memcpy(to, r->job->bytes + r->at, bytes);
    r->at += bytes;
}

static void grey_row(const reader *r, const unsigned char *raw, unsigned char *rgb, int step) {
    static const unsigned char scales[17] = {[1] = 255, [2] = 85, [4] = 17, [8] = 1};
    unsigned scale = r->depth == 16 ? 1 : scales[r->depth];
    for (int x = 0; x < r->job->width; x++, raw += step, rgb += 3) {
        memset(rgb, (int)(raw[0] * scale), 3);
    }
}

/* Big-endian words without alpha: Pillow clips them instead of scaling. */
static void grey16_row(const unsigned char *raw, unsigned char *rgb, int width) {
    for (int x = 0; x < width; x++, raw += 2, rgb += 3) memset(rgb, raw[0] ? 255 : raw[1], 3);
}

static void palette_row(const reader *r, const unsigned char *raw, unsigned char *rgb) {
    for (int x = 0; x < r->job->width; x++, rgb += 3) memcpy(rgb, r->palette[raw[x]], 3);
}

static void colour_row(const unsigned char *raw, unsigned char *rgb, int width, int sample, int step) {
    for (int x = 0; x < width; x++, raw += step, rgb += 3) {
        rgb[0] = raw[0];
        rgb[1] = raw[sample];
        rgb[2] = raw[2 * sample];
    }
}

static void convert_row(const reader *r, const unsigned char *raw, unsigned char *rgb) {
    int sample = r->depth == 16 ? 2 : 1, width = r->job->width;
    if (r->type == PNG_COLOR_TYPE_PALETTE) palette_row(r, raw, rgb);
    else if (r->type == PNG_COLOR_TYPE_GRAY && sample == 2) grey16_row(raw, rgb, width);
    else if (r->type == PNG_COLOR_TYPE_GRAY) grey_row(r, raw, rgb, 1);
    else if (r->type == PNG_COLOR_TYPE_GRAY_ALPHA) grey_row(r, raw, rgb, 2 * sample);
    else if (r->type == PNG_COLOR_TYPE_RGB && sample == 1) memcpy(rgb, raw, (size_t)width * 3);
    else if (r->type == PNG_COLOR_TYPE_RGB) colour_row(raw, rgb, width, 2, 6);
    else colour_row(raw, rgb, width, sample, 4 * sample);
}

static void read_palette(reader *r) {
    png_colorp colours = NULL;
    int count = 0;
    if (r->type == PNG_COLOR_TYPE_PALETTE) (void)png_get_PLTE(r->png, r->info, &colours, &count);
    for (int i = 0; i < count && i < 256; i++) {
        r->palette[i][0] = colours[i].red;
        r->palette[i][1] = colours[i].green;
        r->palette[i][2] = colours[i].blue;
    }
}

/* ImageMagick's EXIF before PNG had a chunk for it: "\nexif\n<bytes>\n<hexadecimal lines>". */
static int raw_profile_orientation(const char *text, size_t size) {
    unsigned char head[256];
    size_t lines = 0, at = 0, used = 0;
    while (at < size && lines < 3) lines += text[at++] == '\n';
    for (int half = 0, high = 0; at < size && used < sizeof head; at++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = text[at] ? strchr(digits, text[at] | 0x20) : NULL;
        if (!digit) continue;
        if (half) head[used++] = (unsigned char)(high * 16 + (digit - digits));
        high = (int)(digit - digits);
        half = !half;
    }
    return sn_exif_orientation(head, used);
}

static void read_orientation(const reader *r, png_infop info, int *exif, int *xmp) {
    png_bytep block;
    png_uint_32 size;
    if (png_get_eXIf_1(r->png, info, &size, &block)) *exif = sn_exif_orientation(block, size);
    png_textp texts = NULL;
    int count = 0;
    (void)png_get_text(r->png, info, &texts, &count);
    for (int i = 0; i < count; i++) {
        size_t bytes = texts[i].text_length ? texts[i].text_length : texts[i].itxt_length;
        if (!texts[i].text) continue;
        if (!strcmp(texts[i].key, "XML:com.adobe.xmp")) *xmp = sn_xmp_orientation(texts[i].text, bytes);
        if (!*exif && !strcmp(texts[i].key, "Raw profile type exif")) *exif = raw_profile_orientation(texts[i].text, bytes);
    }
}

static sn_status read_rows(reader *r, int passes) {
    int height = r->job->height;
    if (passes == 1) {
        for (int y = 0; y < height; y++) {
            unsigned char *rgb = sn_image_job_row(r->job, y);
            bool direct = r->type == PNG_COLOR_TYPE_RGB && r->depth == 8;
            png_read_row(r->png, direct ? rgb : r->raw, NULL);
            if (!direct) convert_row(r, r->raw, rgb);
        }
        return SN_OK;
    }
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < height; y++) png_read_row(r->png, r->raw + (size_t)y * r->stride, NULL);
    }
    for (int y = 0; y < height; y++) convert_row(r, r->raw + (size_t)y * r->stride, sn_image_job_row(r->job, y));
    return SN_OK;
}

static sn_status body(reader *r) {
    int exif = 0, xmp = 0;
    png_set_user_limits(r->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_benign_errors(r->png, 1);
    png_set_check_for_invalid_index(r->png, 0);
    png_set_read_fn(r->png, r, on_read);
    png_read_info(r->png, r->info);
    SN_TRY(sn_image_job_size(r->job, png_get_image_width(r->png, r->info), png_get_image_height(r->png, r->info)));
    read_orientation(r, r->info, &exif, &xmp);
    r->job->orientation = sn_orientation(exif, xmp);
    if (r->job->header_only) return SN_OK;
    r->type = png_get_color_type(r->png, r->info);
    r->depth = png_get_bit_depth(r->png, r->info);
    read_palette(r);
    png_set_packing(r->png);
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    r->stride = png_get_rowbytes(r->png, r->info);
    SN_TRY(sn_image_job_pixels(r->job));
    if (!(r->raw = sn_alloc(passes > 1 ? (size_t)r->job->height : 1, r->stride))) return SN_ERR_MEMORY;
    SN_TRY(read_rows(r, passes));
    png_read_end(r->png, r->info); /* EXIF may also follow the pixels */
    read_orientation(r, r->info, &exif, &xmp);
    r->job->orientation = sn_orientation(exif, xmp);
    return SN_OK;
}

static sn_status guarded(reader *r) {
    if (setjmp(r->jump)) return sn_error_code();
    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->info) SN_FAIL(SN_ERR_MEMORY, "out of memory: libpng's structures");
    return body(r);
}

sn_status sn_image_decode_png(sn_image_job *job) {
    reader r = {.job = job};
    sn_status status = guarded(&r);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    sn_free(r.raw);
    return status;
}
