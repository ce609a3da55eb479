/* image_gif.c: the first frame of a GIF through giflib.
 *
 *   bytes -> extensions (transparent index) -> first frame, interlaced or not -> its palette -> RGB
 *
 * The canvas is the logical screen, grown to hold the frame; what the frame leaves free has the transparent
 * index, else 0: Pillow's first frame. Without a palette an index is a grey level. */
#include <string.h>

#include <gif_lib.h>

#include "media/image_decode.h"

typedef struct reader {
    GifFileType *gif;
    sn_image_job *job;
    size_t at;
    int transparent; /* -1: none */
    unsigned char *row;
    unsigned char palette[256][3];
} reader;

static int on_read(GifFileType *gif, GifByteType *to, int bytes) {
    reader *r = gif->UserData;
    size_t left = r->job->size - r->at, n = bytes > 0 ? (size_t)bytes : 0;
    if (n > left) n = left;
    memcpy(to, r->job->bytes + r->at, n);
    r->at += n;
    return (int)n;
}

static sn_status failed(const reader *r, int code) {
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM) SN_FAIL(SN_ERR_MEMORY, "out of memory: giflib");
    if (r->at >= r->job->size) SN_FAIL(SN_ERR_FORMAT, "truncated: the GIF's data end after %zu bytes", r->job->size);
    const char *why = GifErrorString(code);
    SN_FAIL(SN_ERR_FORMAT, "broken GIF: %s", why ? why : "unreadable");
}

/* Reads one extension; remembers a graphic control's transparent index. */
static sn_status extension(reader *r) {
    int kind;
    GifByteType *block;
    if (DGifGetExtension(r->gif, &kind, &block) == GIF_ERROR) return failed(r, r->gif->Error);
    while (block) {
        if (kind == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4 && block[1] & 1) r->transparent = block[4];
        if (DGifGetExtensionNext(r->gif, &block) == GIF_ERROR) return failed(r, r->gif->Error);
    }
    return SN_OK;
}

static sn_status find_frame(reader *r) {
    for (;;) {
        GifRecordType kind;
        if (DGifGetRecordType(r->gif, &kind) == GIF_ERROR) return failed(r, r->gif->Error);
        if (kind == TERMINATE_RECORD_TYPE) SN_FAIL(SN_ERR_FORMAT, "broken GIF: it holds no picture");
        if (kind == EXTENSION_RECORD_TYPE) SN_TRY(extension(r));
        if (kind == IMAGE_DESC_RECORD_TYPE) break;
    }
    if (DGifGetImageDesc(r->gif) == GIF_ERROR) return failed(r, r->gif->Error);
    return SN_OK;
}

static void read_palette(reader *r) {
    const ColorMapObject *map = r->gif->Image.ColorMap ? r->gif->Image.ColorMap : r->gif->SColorMap;
    for (int i = 0; !map && i < 256; i++) memset(r->palette[i], i, 3);
    for (int i = 0; map && i < map->ColorCount && i < 256; i++) {
        r->palette[i][0] = map->Colors[i].Red;
        r->palette[i][1] = map->Colors[i].Green;
        r->palette[i][2] = map->Colors[i].Blue;
    }
}

static sn_status read_row(reader *r, int y) {
    const GifImageDesc *frame = &r->gif->Image;
    if (DGifGetLine(r->gif, r->row, frame->Width) == GIF_ERROR) return failed(r, r->gif->Error);
    unsigned char *rgb = sn_image_job_row(r->job, frame->Top + y) + (size_t)frame->Left * 3;
    for (int x = 0; x < frame->Width; x++, rgb += 3) memcpy(rgb, r->palette[r->row[x]], 3);
    return SN_OK;
}

static sn_status read_rows(reader *r) {
    static const int starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
    int height = r->gif->Image.Height;
    if (!r->gif->Image.Interlace) {
        for (int y = 0; y < height; y++) SN_TRY(read_row(r, y));
        return SN_OK;
    }
    for (int pass = 0; pass < 4; pass++) {
        for (int y = starts[pass]; y < height; y += steps[pass]) SN_TRY(read_row(r, y));
    }
    return SN_OK;
}

static sn_status body(reader *r) {
    SN_TRY(find_frame(r));
    const GifImageDesc *frame = &r->gif->Image;
    if (frame->Left < 0 || frame->Top < 0 || frame->Width <= 0 || frame->Height <= 0) {
        SN_FAIL(SN_ERR_FORMAT, "broken GIF: a frame of %d x %d pixels", frame->Width, frame->Height);
    }
    int64_t right = (int64_t)frame->Left + frame->Width, bottom = (int64_t)frame->Top + frame->Height;
    SN_TRY(sn_image_job_size(r->job, right > r->gif->SWidth ? right : r->gif->SWidth,
                             bottom > r->gif->SHeight ? bottom : r->gif->SHeight));
    if (r->job->header_only) return SN_OK;
    read_palette(r);
    SN_TRY(sn_image_job_pixels(r->job));
    const unsigned char *ground = r->palette[r->transparent < 0 ? 0 : r->transparent];
    bool whole = frame->Width == r->job->width && frame->Height == r->job->height;
    size_t pixels = whole ? 0 : (size_t)r->job->width * (size_t)r->job->height;
    for (size_t i = 0; i < pixels; i++) memcpy(r->job->pixels + 3 * i, ground, 3);
    if (!(r->row = sn_alloc((size_t)frame->Width, 1))) return SN_ERR_MEMORY;
    return read_rows(r);
}

sn_status sn_image_decode_gif(sn_image_job *job) {
    reader r = {.job = job, .transparent = -1};
    int code = 0;
    r.gif = DGifOpen(&r, on_read, &code);
    if (!r.gif) return failed(&r, code);
    sn_status status = body(&r);
    (void)DGifCloseFile(r.gif, NULL);
    sn_free(r.row);
    return status;
}
