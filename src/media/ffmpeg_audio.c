/* ffmpeg_audio.c: every sound that is not plain WAV, decoded with the FFmpeg libraries.
 *
 *   bytes in memory -> AVIOContext (read and seek only) -> demuxer -> packets of the first sound stream
 *                   -> decoder -> frames of some sample format -> f32 [frames][channels]
 *
 * Hostile input: only the demuxers and decoders named below may run, nothing is opened beside the given bytes
 * (no protocols, no playlists, no references to other files), and length is checked while decoding, so a
 * small file cannot grow without bound. Stream probing (avformat_find_stream_info) is left out: rate and
 * channels come from the first decoded frame, and no decoder but ours is ever opened.
 *
 * A sound that ends before the length its header states, or in which a packet does not decode between others
 * that do, is an error rather than a shorter sound. Junk after the last good packet is not: MP3 files end in
 * tags of many kinds. Raw AAC, and MP3 without a count of frames, cannot be seen to be cut, nor can an Ogg file
 * that was cut between two pages.
 *
 * FFmpeg logs to stderr through one global level, which is not ours to change. Both contexts we own carry a
 * log offset instead that lifts their messages above any level (see `quiet`). What is left is a line now and
 * then for a damaged file, from a parser or a reader of tags inside the file, which log on behalf of neither; a
 * program that wants none at all calls av_log_set_level itself. */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/version.h>
#include <string.h>

#include "media/audio_decode.h"

#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 24, 100) /* FFmpeg 5.1 */
#define CHANNELS(frame) ((frame)->ch_layout.nb_channels)
#else
#define CHANNELS(frame) ((frame)->channels)
#endif

static const char demuxers[] = "flac,mp3,ogg,mov,mp4,m4a,3gp,3g2,mj2,wav,w64,aac,matroska,webm,aiff,caf";
static const char decoders[] =
    "flac,alac,wavpack,vorbis,libvorbis,opus,libopus,mp1,mp1float,mp2,mp2float,mp3,mp3float,aac,aac_fixed,ac3,"
    "eac3,"
    "pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_f64be,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,adpcm_g722,gsm,gsm_ms,libgsm_ms,amrnb,"
    "amrwb,"
    "speex,libspeex";

/* Added to a message's level (at most 56): above all that print, below 256 where the levels wrap. */
enum { BUFFER = 32768, SILENT = 128 };

typedef struct memory_file {
    const unsigned char *bytes;
    int64_t size, at;
    bool sized; /* the size may be asked for */
} memory_file;

/* A copy of libavformat's class that names an int of the context, set to a large number, as its log offset.
 * Room for the members a newer library may have appended. */
typedef union quiet {
    AVClass as;
    unsigned char room[512];
} quiet;

typedef struct decoder {
    memory_file file;
    quiet class;
    AVIOContext *io;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVStream *stream;
    AVPacket *packet;
    AVFrame *frame;
    sn_audio sound;
    int64_t capacity; /* frames */
    double most_seconds;
    bool broken; /* the last packet did not decode */
} decoder;

/* ---- bytes ---- */

static int read_memory(void *opaque, uint8_t *to, int count) {
    memory_file *file = opaque;
    const int64_t left = file->size - file->at;
    if (left <= 0) return AVERROR_EOF;
    if (count > left) count = (int)left;
    memcpy(to, file->bytes + file->at, (size_t)count);
    file->at += count;
    return count;
}

/* The size is kept secret but from the MP3 header: knowing it, FFmpeg logs packets that reach beyond it,
 * without a context and so past our log offset. It reads up to the end and marks such a packet either way. MP3
 * needs it to believe the count of frames in its header, and with that to drop the encoder's padding. */
static int64_t seek_memory(void *opaque, int64_t offset, int whence) {
    memory_file *file = opaque;
    if (whence == AVSEEK_SIZE) return file->sized ? file->size : AVERROR(ENOSYS);
    whence &= ~AVSEEK_FORCE;
    if (whence == SEEK_END && !file->sized) return AVERROR(ENOSYS);
    const int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file->at : file->size;
    if (offset < -from || offset > INT64_MAX - from) return AVERROR(EINVAL);
    return file->at = from + offset;
}

static int refuse_open(AVFormatContext *format, AVIOContext **io, const char *url, int flags,
                       AVDictionary **options) {
    (void)format, (void)url, (void)flags, (void)options;
    *io = NULL;
    return AVERROR(EPERM);
}

/* ---- failures ---- */

static sn_status no_memory(void) { SN_FAIL(SN_ERR_MEMORY, "out of memory in FFmpeg"); }

static double seconds(const decoder *d) { return d->sound.rate ? (double)d->sound.frames / d->sound.rate : 0; }

static sn_status failed(const decoder *d, int code, const char *what) {
    if (code == AVERROR(ENOMEM)) return no_memory();
    char why[AV_ERROR_MAX_STRING_SIZE] = "";
    (void)av_strerror(code, why, sizeof why);
    SN_FAIL(SN_ERR_FORMAT, "%s after %.3f s of sound: %s", what, seconds(d), why);
}

/* ---- opening ---- */

static int find_demuxer(decoder *d, const AVInputFormat **demuxer) {
    const int code = av_probe_input_buffer2(d->io, demuxer, NULL, d->format, 0, 0);
    if (code == AVERROR(ENOMEM)) return code;
    const bool known = code >= 0 && av_match_list((*demuxer)->name, demuxers, ',') > 0;
    d->file.sized = known && !strcmp((*demuxer)->name, "mp3");
    return known ? 0 : AVERROR_DEMUXER_NOT_FOUND;
}

static sn_status open_format(decoder *d) {
    const AVInputFormat *demuxer = NULL;
    d->format = avformat_alloc_context();
    unsigned char *buffer = av_malloc(BUFFER);
    d->io = buffer ? avio_alloc_context(buffer, BUFFER, 0, &d->file, read_memory, NULL, seek_memory) : NULL;
    if (!d->io) av_free(buffer);
    if (!d->format || !d->io) return no_memory();
    d->class.as = *d->format->av_class;
    d->class.as.log_level_offset_offset = (int)offsetof(AVFormatContext, max_probe_packets);
    d->format->av_class = &d->class.as;
    d->format->max_probe_packets = SILENT;
    d->format->pb = d->io;
    d->format->flags |= AVFMT_FLAG_CUSTOM_IO; /* closing the format leaves our io alone, opened or not */
    d->format->io_open = refuse_open;
    AVDictionary *options = NULL;
    int code = av_dict_set(&options, "format_whitelist", demuxers, 0);
    if (code >= 0) code = av_dict_set(&options, "codec_whitelist", decoders, 0);
    if (code >= 0) code = find_demuxer(d, &demuxer);
    if (code >= 0)
        code = avformat_open_input(&d->format, NULL, demuxer, &options); /* frees format on failure */
    av_dict_free(&options);
    if (code == AVERROR(ENOMEM)) return no_memory();
    if (code == AVERROR_DEMUXER_NOT_FOUND)
        SN_FAIL(SN_ERR_FORMAT,
                "not a sound file: neither WAV nor FLAC, MP3, Ogg, M4A, AAC, Matroska, WebM, AIFF or CAF");
    if (code < 0)
        SN_FAIL(SN_ERR_FORMAT, "broken or cut short: a %s file without a whole header", demuxer->name);
    return SN_OK;
}

static sn_status open_stream(decoder *d) {
    for (unsigned i = 0; i < d->format->nb_streams; i++) {
        AVStream *stream = d->format->streams[i];
        if (!d->stream && stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO)
            d->stream = stream;
        else
            stream->discard = AVDISCARD_ALL;
    }
    if (!d->stream) SN_FAIL(SN_ERR_FORMAT, "%s without a sound stream", d->format->iformat->name);
    const AVCodecParameters *par = d->stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(par->codec_id);
    if (!codec)
        SN_FAIL(SN_ERR_UNSUPPORTED, "no decoder for %s sound (codec 0x%04X) in a %s file",
                par->codec_id ? avcodec_get_name(par->codec_id) : "unknown", (unsigned)par->codec_tag,
                d->format->iformat->name);
    d->codec = avcodec_alloc_context3(codec);
    if (!d->codec) return no_memory();
    int code = avcodec_parameters_to_context(d->codec, par);
    if (code < 0) return failed(d, code, "broken header");
    d->codec->log_level_offset = SILENT;
    d->codec->pkt_timebase = d->stream->time_base;
    d->codec->thread_count = 1;
    AVDictionary *options = NULL;
    code = av_dict_set(&options, "codec_whitelist", decoders, 0);
    if (code >= 0) code = avcodec_open2(d->codec, codec, &options);
    av_dict_free(&options);
    if (code == AVERROR(EINVAL)) SN_FAIL(SN_ERR_UNSUPPORTED, "%s sound is not decoded here", codec->name);
    return code < 0 ? failed(d, code, "broken header") : SN_OK;
}

/* ---- samples ---- */

static float one_sample(enum AVSampleFormat packed, const uint8_t *p) {
    switch (packed) { /* FFmpeg's own list; S24 does not exist, it comes as S32 */
    case AV_SAMPLE_FMT_U8:
        return (float)(*p - 128) / 128;
    case AV_SAMPLE_FMT_S16:
        return (float)*(const int16_t *)(const void *)p / 32768;
    case AV_SAMPLE_FMT_S32:
        return (float)*(const int32_t *)(const void *)p / 2147483648.0f;
    case AV_SAMPLE_FMT_S64:
        return (float)*(const int64_t *)(const void *)p / 9223372036854775808.0f;
    case AV_SAMPLE_FMT_FLT:
        return *(const float *)(const void *)p;
    case AV_SAMPLE_FMT_DBL:
        return (float)*(const double *)(const void *)p;
    default:
        return 0;
    }
}

static sn_status make_room(decoder *d, int64_t more) {
    const int64_t need = d->sound.frames + more;
    if (need <= d->capacity) return SN_OK;
    const int64_t capacity = need > 2 * d->capacity ? need : 2 * d->capacity;
    float *moved = sn_realloc(d->sound.pcm, (size_t)capacity, (size_t)d->sound.channels * sizeof *moved);
    if (!moved) return SN_ERR_MEMORY;
    d->sound.pcm = moved;
    d->capacity = capacity;
    return SN_OK;
}

static sn_status append(decoder *d) {
    const AVFrame *frame = d->frame;
    sn_audio *sound = &d->sound;
    const int rate = frame->sample_rate, channels = CHANNELS(frame);
    if (!sound->rate) SN_TRY(sn_audio_check(rate, channels, 0, d->most_seconds));
    if (sound->rate && (rate != sound->rate || channels != sound->channels))
        SN_FAIL(SN_ERR_UNSUPPORTED, "changes from %d Hz, %d channels to %d Hz, %d channels after %.3f s",
                sound->rate, sound->channels, rate, channels, seconds(d));
    sound->rate = rate;
    sound->channels = channels;
    SN_TRY(sn_audio_check(rate, channels, sound->frames + frame->nb_samples, d->most_seconds));
    SN_TRY(make_room(d, frame->nb_samples));
    const enum AVSampleFormat format = (enum AVSampleFormat)frame->format,
                              packed = av_get_packed_sample_fmt(format);
    const int bytes = av_get_bytes_per_sample(format);
    const bool planar = av_sample_fmt_is_planar(format);
    float *to = sound->pcm + sound->frames * channels;
    for (int c = 0; c < channels; c++) {
        const uint8_t *from = planar ? frame->extended_data[c] : frame->extended_data[0] + c * bytes;
        const int step = planar ? bytes : channels * bytes;
        for (int i = 0; i < frame->nb_samples; i++)
            to[(int64_t)i * channels + c] = one_sample(packed, from + (int64_t)i * step);
    }
    sound->frames += frame->nb_samples;
    return SN_OK;
}

/* Takes the frames that are ready; *code is why there are no more. */
static sn_status drain(decoder *d, int *code) {
    while ((*code = avcodec_receive_frame(d->codec, d->frame)) >= 0) {
        sn_status status = append(d);
        av_frame_unref(d->frame);
        if (status != SN_OK) return status;
        if (d->broken) SN_FAIL(SN_ERR_FORMAT, "broken data after %.3f s of sound", seconds(d));
    }
    return *code == AVERROR(ENOMEM) ? no_memory() : SN_OK;
}

static sn_status decode_packet(decoder *d) {
    if (d->packet->flags & AV_PKT_FLAG_CORRUPT)
        SN_FAIL(SN_ERR_FORMAT, "cut short after %.3f s of sound", seconds(d));
    int code = avcodec_send_packet(d->codec, d->packet);
    if (code == AVERROR(ENOMEM)) return no_memory();
    const bool sent = code >= 0;
    SN_TRY(drain(d, &code));
    /* junk before the first good packet is as harmless as after the last */
    if (d->sound.frames && (!sent || (code != AVERROR(EAGAIN) && code != AVERROR_EOF))) d->broken = true;
    return SN_OK;
}

/* Whether the last Ogg page is complete: FFmpeg leaves out a cut one without a word. */
static bool ogg_is_whole(const memory_file *file) {
    enum { HEADER = 27 };
    int64_t at = 0;
    while (file->size - at >= 4 && !memcmp(file->bytes + at, "OggS", 4)) {
        const unsigned char *page = file->bytes + at;
        if (file->size - at < HEADER || file->size - at < HEADER + page[26]) return false;
        at += HEADER + page[26];
        for (int i = 0; i < page[26]; i++) at += page[HEADER + i];
        if (at > file->size) return false;
    }
    return true;
}

/* What the header states must have come: the stream's own length, or the file's if nothing else is in it.
 * Lossy codecs pad at both ends, and some headers count that. */
static sn_status check_length(const decoder *d) {
    const AVCodecDescriptor *codec = avcodec_descriptor_get(d->codec->codec_id);
    double stated = 0;
    if (d->stream->duration > 0)
        stated = (double)d->stream->duration * av_q2d(d->stream->time_base);
    else if (d->format->nb_streams == 1 && d->format->duration > 0)
        stated = (double)d->format->duration / AV_TIME_BASE;
    const bool lossy = !codec || !(codec->props & AV_CODEC_PROP_LOSSLESS);
    const double slack = lossy ? 4096.0 / d->sound.rate + 0.005 * stated : 0.002;
    if (seconds(d) + slack < stated)
        SN_FAIL(SN_ERR_FORMAT, "cut short: %.3f s of sound expected, %.3f s found", stated, seconds(d));
    if (!ogg_is_whole(&d->file)) SN_FAIL(SN_ERR_FORMAT, "cut short: the last of its Ogg pages is not whole");
    return SN_OK;
}

static int read_packet(decoder *d) {
    /* Opus is decoded at 48 kHz whatever the original was, but Matroska converts the padding to drop with the
     * rate it finds here, and the parser puts the original one back. */
    AVCodecParameters *par = d->stream->codecpar;
    if (par->codec_id == AV_CODEC_ID_OPUS) par->sample_rate = 48000;
    return av_read_frame(d->format, d->packet);
}

static sn_status decode_all(decoder *d) {
    d->packet = av_packet_alloc();
    d->frame = av_frame_alloc();
    if (!d->packet || !d->frame) return no_memory();
    int code;
    while ((code = read_packet(d)) >= 0) {
        sn_status status = SN_OK;
        if (d->packet->stream_index == d->stream->index) status = decode_packet(d);
        av_packet_unref(d->packet);
        if (status != SN_OK) return status;
    }
    if (code != AVERROR_EOF) return failed(d, code, "broken data");
    if (avcodec_send_packet(d->codec, NULL) >= 0) SN_TRY(drain(d, &code));
    if (!d->sound.frames) SN_FAIL(SN_ERR_FORMAT, "%s without sound in it", d->format->iformat->name);
    return check_length(d);
}

static void close_all(decoder *d) {
    av_packet_free(&d->packet);
    av_frame_free(&d->frame);
    avcodec_free_context(&d->codec);
    avformat_close_input(&d->format);
    if (d->io) av_freep(&d->io->buffer);
    avio_context_free(&d->io);
}

/* ID3v2 tags before the sound (titles, pictures) are stepped over here: FFmpeg would unpack them all, and log.
 */
static size_t after_tags(const unsigned char *bytes, size_t size) {
    enum { HEADER = 10, FOOTER = 0x10 };
    size_t at = 0;
    while (size - at > HEADER && !memcmp(bytes + at, "ID3", 3)) {
        const unsigned char *p = bytes + at;
        if (p[3] == 0xFF || p[4] == 0xFF || (p[6] | p[7] | p[8] | p[9]) & 0x80) break;
        const size_t tag = (size_t)p[6] << 21 | (size_t)p[7] << 14 | (size_t)p[8] << 7 | p[9];
        const size_t whole = HEADER + tag + (p[5] & FOOTER ? HEADER : 0);
        if (whole >= size - at) break;
        at += whole;
    }
    return at;
}

sn_status sn_ffmpeg_audio_decode(const unsigned char *bytes, size_t size, double most_seconds, sn_audio *out) {
    const size_t tags = after_tags(bytes, size);
    bytes += tags;
    size -= tags;
    decoder d = {.file = {bytes, (int64_t)size, 0, false}, .most_seconds = most_seconds};
    sn_status status = open_format(&d);
    if (status == SN_OK) status = open_stream(&d);
    d.file.sized = false;
    if (status == SN_OK) status = decode_all(&d);
    close_all(&d);
    if (status != SN_OK) sn_audio_free(&d.sound);
    *out = d.sound;
    return status;
}
