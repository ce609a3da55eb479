/* image_webp.c: WebP, lossy, lossless and the first frame of an animation, through libwebp and its demuxer.
 *
 *   bytes -> chunks (EXIF, XMP) -> canvas size -> first frame -> RGB at its place on a black canvas
 *
 * Alpha is dropped, not composed: what Pillow's convert("RGB") does. */
#include <webp/decode.h>
#include <webp/demux.h>

#include "media/image_decode.h"

static int chunk_orientation(const WebPDemuxer *demux, const char *id) {
    WebPChunkIterator chunk;
    int value = 0;
    if (WebPDemuxGetChunk(demux, id, 1, &chunk)) {
        value = id[0] == 'E' ? sn_exif_orientation(chunk.chunk.bytes, chunk.chunk.size)
                             : sn_xmp_orientation(chunk.chunk.bytes, chunk.chunk.size);
    }
    WebPDemuxReleaseChunkIterator(&chunk);
    return value;
}

static sn_status read_frame(sn_image_job *job, const WebPIterator *frame) {
    int64_t right = (int64_t)frame->x_offset + frame->width, bottom = (int64_t)frame->y_offset + frame->height;
    if (frame->x_offset < 0 || frame->y_offset < 0 || right > job->width || bottom > job->height) {
        SN_FAIL(SN_ERR_FORMAT, "broken WebP: the frame leaves its canvas");
    }
    SN_TRY(sn_image_job_pixels(job));
    size_t stride = (size_t)job->width * 3;
    unsigned char *to = sn_image_job_row(job, frame->y_offset) + (size_t)frame->x_offset * 3;
    size_t room = stride * (size_t)(job->height - frame->y_offset) - (size_t)frame->x_offset * 3;
    if (!WebPDecodeRGBInto(frame->fragment.bytes, frame->fragment.size, to, room, (int)stride)) {
        SN_FAIL(SN_ERR_FORMAT, "broken WebP: its pixels cannot be decoded");
    }
    return SN_OK;
}

static sn_status read_picture(sn_image_job *job, const WebPDemuxer *demux) {
    int64_t width = WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH), height = WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT);
    SN_TRY(sn_image_job_size(job, width, height));
    job->orientation = sn_orientation(chunk_orientation(demux, "EXIF"), chunk_orientation(demux, "XMP "));
    if (job->header_only) return SN_OK;
    WebPIterator frame;
    bool found = WebPDemuxGetFrame(demux, 1, &frame) != 0;
    sn_status status = found ? read_frame(job, &frame) : sn_fail(SN_ERR_FORMAT, "broken WebP: it holds no frame");
    WebPDemuxReleaseIterator(&frame);
    return status;
}

sn_status sn_image_decode_webp(sn_image_job *job) {
    WebPData data = {job->bytes, job->size};
    WebPDemuxState state;
    WebPDemuxer *demux = WebPDemuxPartial(&data, &state);
    sn_status status;
    if (state == WEBP_DEMUX_PARSING_HEADER || state == WEBP_DEMUX_PARSED_HEADER) {
        status = sn_fail(SN_ERR_FORMAT, "truncated: the WebP's data end after %zu bytes", job->size);
    } else if (!demux || state != WEBP_DEMUX_DONE) {
        status = sn_fail(SN_ERR_FORMAT, "broken WebP: its chunks cannot be parsed");
    } else {
        status = read_picture(job, demux);
    }
    WebPDemuxDelete(demux);
    return status;
}
