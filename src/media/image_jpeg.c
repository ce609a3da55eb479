/* image_jpeg.c: JPEG through libjpeg-turbo's classic interface.
 *
 *   bytes -> markers (APP1: EXIF, XMP) -> size -> rows: grey and YCbCr as RGB straight into the picture,
 *   CMYK and YCCK through one row buffer
 *
 * Settings are the library's defaults (accurate integer DCT, smooth chroma upsampling), which are Pillow's:
 * the same pixels to the last level. No DCT scaling for the same reason. The library's errors end in a longjmp
 * back to guarded(); running out of bytes is one of them, where the library itself would fill up with grey. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "media/image_decode.h"

enum { MOST_SCANS = 500 }; /* a progressive file of a few kB can ask for an hour's work otherwise */

typedef struct reader {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    sn_image_job *job;
    unsigned char *row; /* one row of CMYK */
} reader;

static void on_error(j_common_ptr c) {
    reader *r = c->client_data;
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    sn_status code = c->err->msg_code == JERR_OUT_OF_MEMORY ? SN_ERR_MEMORY : SN_ERR_FORMAT;
    (void)sn_fail(code, "broken JPEG: %s", text);
    longjmp(r->jump, 1);
}

static void on_message(j_common_ptr c) { (void)c; }

static boolean on_empty(j_decompress_ptr c) {
    reader *r = c->client_data;
    (void)sn_fail(SN_ERR_FORMAT, "truncated: the JPEG's data end after %zu bytes", r->job->size);
    longjmp(r->jump, 1);
}

static void on_skip(j_decompress_ptr c, long bytes) {
    if (bytes <= 0) return;
    if ((size_t)bytes > c->src->bytes_in_buffer) (void)on_empty(c);
    c->src->next_input_byte += bytes;
    c->src->bytes_in_buffer -= (size_t)bytes;
}

static void on_nothing(j_decompress_ptr c) { (void)c; }

static void on_progress(j_common_ptr c) {
    reader *r = c->client_data;
    if (r->c.input_scan_number <= MOST_SCANS) return;
    (void)sn_fail(SN_ERR_FORMAT, "broken JPEG: more than %d scans", MOST_SCANS);
    longjmp(r->jump, 1);
}

static int orientation(const reader *r) {
    static const char xmp_head[] = "http://ns.adobe.com/xap/1.0/";
    int exif = 0, xmp = 0;
    for (jpeg_saved_marker_ptr m = r->c.marker_list; m; m = m->next) {
        if (m->marker != JPEG_APP0 + 1) continue;
        if (!exif && m->data_length >= 6 && !memcmp(m->data, "Exif\0\0", 6)) exif = sn_exif_orientation(m->data, m->data_length);
        if (m->data_length >= sizeof xmp_head && !memcmp(m->data, xmp_head, sizeof xmp_head)) xmp = sn_xmp_orientation(m->data, m->data_length);
    }
    return sn_orientation(exif, xmp);
}

/* Adobe's files hold inverted ink, and Pillow takes every CMYK JPEG to be Adobe's. */
static void ink_row(const unsigned char *cmyk, unsigned char *rgb, int width) {
    for (int x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        sn_cmyk_to_rgb(255u - cmyk[0], 255u - cmyk[1], 255u - cmyk[2], 255u - cmyk[3], rgb);
    }
}

static sn_status read_rows(reader *r) {
    struct jpeg_decompress_struct *c = &r->c;
    bool ink = c->out_color_space == JCS_CMYK;
    while (c->output_scanline < c->output_height) {
        int y = (int)c->output_scanline;
        unsigned char *row = sn_image_job_row(r->job, y);
        JSAMPROW to = ink ? r->row : row;
        (void)jpeg_read_scanlines(c, &to, 1);
        if (ink) ink_row(r->row, row, r->job->width);
    }
    (void)jpeg_finish_decompress(c);
    return SN_OK;
}

static sn_status body(reader *r) {
    struct jpeg_decompress_struct *c = &r->c;
    jpeg_create_decompress(c);
    c->src = &r->source;
    c->progress = &r->progress;
    jpeg_save_markers(c, JPEG_APP0 + 1, 0xFFFF);
    (void)jpeg_read_header(c, TRUE);
    SN_TRY(sn_image_job_size(r->job, c->image_width, c->image_height));
    r->job->orientation = orientation(r);
    if (c->num_components != 1 && c->num_components != 3 && c->num_components != 4) {
        SN_FAIL(SN_ERR_UNSUPPORTED, "JPEG of %d channels", c->num_components);
    }
    if (r->job->header_only) return SN_OK;
    c->out_color_space = c->num_components == 4 ? JCS_CMYK : JCS_RGB;
    SN_TRY(sn_image_job_pixels(r->job));
    if (c->num_components == 4 && !(r->row = sn_alloc(c->image_width, 4))) return SN_ERR_MEMORY;
    (void)jpeg_start_decompress(c);
    return read_rows(r);
}

/* Nothing of this frame changes after setjmp, so nothing is lost by the jump. */
static sn_status guarded(reader *r) {
    if (setjmp(r->jump)) return sn_error_code();
    return body(r);
}

sn_status sn_image_decode_jpeg(sn_image_job *job) {
    reader r = {.job = job};
    r.c.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = on_error;
    r.errors.output_message = on_message;
    r.c.client_data = &r;
    r.source = (struct jpeg_source_mgr){.next_input_byte = job->bytes,
                                        .bytes_in_buffer = job->size,
                                        .init_source = on_nothing,
                                        .fill_input_buffer = on_empty,
                                        .skip_input_data = on_skip,
                                        .resync_to_restart = jpeg_resync_to_restart,
                                        .term_source = on_nothing};
    r.progress.progress_monitor = on_progress;
    sn_status status = guarded(&r);
    jpeg_destroy_decompress(&r.c);
    sn_free(r.row);
    return status;
}
