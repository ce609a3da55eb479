/* image.c: a picture's way in: which format, which decoder, whose error.
 *
 *   bytes -> first bytes against image_decoders.def -> decoder -> RGB u8 [H,W,3] -> EXIF transposition
 *
 * The content decides about the format, never the name: pictures named .jpg that are PNG are common and fine,
 * web pages named .jpg are common and not, so the message shows what the file starts with. */
#include "media/image.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "media/image_decode.h"

#define PILLOW_MOST_PIXELS ((int64_t)178956970)

#define SN_IMAGE_DECODER(id, name, magic, bytes) sn_status sn_image_decode_##id(sn_image_job *job);
#include "media/image_decoders.def"
#undef SN_IMAGE_DECODER

typedef struct decoder {
    const char *name, *magic;
    size_t bytes;
    sn_status (*decode)(sn_image_job *job);
} decoder;

static const decoder decoders[] = {
#define SN_IMAGE_DECODER(id, name, magic, bytes) {name, magic, bytes, sn_image_decode_##id},
#include "media/image_decoders.def"
#undef SN_IMAGE_DECODER
};
enum { DECODERS = sizeof decoders / sizeof *decoders };

static bool opens_with(const unsigned char *bytes, size_t size, const decoder *d) {
    if (size < d->bytes) return false;
    for (size_t i = 0; i < d->bytes; i++) {
        if (d->magic[i] != '.' && bytes[i] != (unsigned char)d->magic[i]) return false;
    }
    return true;
}

/* "JPEG, PNG, WebP": every name once. */
static void list_formats(char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < DECODERS && used < size; i++) {
        if (i && !strcmp(decoders[i].name, decoders[i - 1].name)) continue;
        int n = snprintf(out + used, size - used, "%s%s", i ? ", " : "", decoders[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* The first bytes for a message: as text if they are, else in hexadecimal. */
static void show_start(const unsigned char *bytes, size_t size, char *out, size_t room) {
    size_t n = size < 24 ? size : 24, used = 0;
    bool text = true;
    for (size_t i = 0; i < n; i++) text = text && ((bytes[i] >= 32 && bytes[i] < 127) || (i && strchr("\r\n\t", bytes[i])));
    for (size_t i = 0; i < n && bytes[i] && text; i++) {
        if (bytes[i] == '\r' || bytes[i] == '\n') break;
        out[used++] = (char)bytes[i];
    }
    if (text) {
        (void)snprintf(out + used, room - used, "%s", used < size ? "…" : "");
        return;
    }
    n = n < 8 ? n : 8;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(out + used, room - used, "%s%02x", i ? " " : "", bytes[i]);
        used += i ? 3 : 2;
    }
}

static sn_status find_decoder(const unsigned char *bytes, size_t size, const decoder **out) {
    *out = NULL;
    if (!size) SN_FAIL(SN_ERR_FORMAT, "the file is empty (0 bytes)");
    for (int i = 0; i < DECODERS && !*out; i++) {
        if (opens_with(bytes, size, &decoders[i])) *out = &decoders[i];
    }
    if (*out) return SN_OK;
    char start[80], known[80];
    show_start(bytes, size, start, sizeof start);
    list_formats(known, sizeof known);
    SN_FAIL(SN_ERR_FORMAT, "not a picture: the content starts with \"%s\" (known formats: %s)", start, known);
}

sn_status sn_image_job_size(sn_image_job *job, int64_t width, int64_t height) {
    if (width <= 0 || height <= 0 || width > INT32_MAX || height > INT32_MAX) {
        SN_FAIL(SN_ERR_FORMAT, "broken: the header gives %lld x %lld pixels", (long long)width, (long long)height);
    }
    if (width > job->most_pixels / height) {
        SN_FAIL(SN_ERR_FORMAT, "too large: %lld x %lld pixels, at most %lld are allowed", (long long)width,
                (long long)height, (long long)job->most_pixels);
    }
    job->width = (int)width;
    job->height = (int)height;
    return SN_OK;
}

sn_status sn_image_job_pixels(sn_image_job *job) {
    size_t pixels;
    if (sn_mul_overflow((size_t)job->width, (size_t)job->height, &pixels)) pixels = SIZE_MAX;
    job->pixels = sn_alloc(pixels, 3);
    return job->pixels ? SN_OK : SN_ERR_MEMORY;
}

static sn_status run(sn_image_job *job, const char **format) {
    const decoder *d;
    SN_TRY(find_decoder(job->bytes, job->size, &d));
    if (format) *format = d->name;
    SN_TRY(d->decode(job));
    return job->header_only ? SN_OK : sn_image_job_transpose(job);
}

static sn_status name_failure(const char *name) {
    if (name && *name) (void)sn_fail_in("%s", name);
    return sn_fail_at(name, 0, NULL);
}

sn_status sn_image_decode(const char *name, const void *bytes, size_t size, int64_t most_pixels, sn_image *out) {
    *out = (sn_image){0};
    sn_image_job job = {.bytes = bytes, .size = size, .orientation = 1};
    job.most_pixels = most_pixels > 0 ? most_pixels : PILLOW_MOST_PIXELS;
    if (run(&job, NULL) != SN_OK) {
        sn_free(job.pixels);
        return name_failure(name);
    }
    *out = (sn_image){job.width, job.height, 3, job.pixels};
    return SN_OK;
}

sn_status sn_image_probe(const char *name, const void *bytes, size_t size, const char **format, int *width, int *height) {
    sn_image_job job = {.bytes = bytes, .size = size, .orientation = 1, .header_only = true};
    job.most_pixels = INT64_MAX;
    *width = *height = 0;
    if (run(&job, format) != SN_OK) return name_failure(name);
    bool turned = job.orientation >= 5;
    *width = turned ? job.height : job.width;
    *height = turned ? job.width : job.height;
    return SN_OK;
}

sn_status sn_image_read(const char *path, int64_t most_pixels, sn_image *out) {
    *out = (sn_image){0};
    sn_bytes file;
    SN_TRY(sn_file_read(path, SIZE_MAX / 2, &file));
    sn_status status = sn_image_decode(path, file.data, file.size, most_pixels, out);
    sn_bytes_free(&file);
    return status;
}

sn_status sn_image_make(int width, int height, int channels, sn_image *out) {
    *out = (sn_image){0};
    if (width <= 0 || height <= 0 || (channels != 1 && channels != 3)) {
        SN_FAIL(SN_ERR_USAGE, "no picture has %d x %d pixels of %d channels", width, height, channels);
    }
    size_t pixels;
    if (sn_mul_overflow((size_t)width, (size_t)height, &pixels)) pixels = SIZE_MAX;
    unsigned char *data = sn_alloc(pixels, (size_t)channels);
    if (!data) return SN_ERR_MEMORY;
    *out = (sn_image){width, height, channels, data};
    return SN_OK;
}

void sn_image_free(sn_image *image) {
    if (!image) return;
    sn_free(image->pixels);
    *image = (sn_image){0};
}
