/* Pictures that are not: every file cut short everywhere and with bytes changed, other content under a picture's
 * name, sizes that cannot be meant, and the n-th allocation failing. Meant for the sanitizers too. */
#include "test.h"

#include <dirent.h>

#include "base/file.h"
#include "base/rng.h"
#include "media/image.h"

#define GOLDEN SN_TEST_ROOT "/golden/image/"

static void each_golden(void (*check)(const char *name, const sn_bytes *file)) {
    DIR *d = opendir(GOLDEN);
    assert_non_null(d);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        char path[512];
        if (entry->d_name[0] == '.' || sn_ends_with(entry->d_name, ".txt")) continue;
        (void)snprintf(path, sizeof path, GOLDEN "%s", entry->d_name);
        sn_bytes file;
        assert_ok(sn_file_read(path, 1 << 20, &file));
        check(entry->d_name, &file);
        sn_bytes_free(&file);
        count++;
    }
    (void)closedir(d);
    assert_true(count > 100);
}

/* In a heap block of its own size, so that the address sanitizer sees one byte too far. */
static sn_status decode_copy(const char *name, const unsigned char *bytes, size_t size) {
    unsigned char *copy = malloc(size ? size : 1);
    sn_image image;
    memcpy(copy, bytes, size);
    sn_status status = sn_image_decode(name, copy, size, 1 << 20, &image);
    if (status != SN_OK) {
        assert_null(image.pixels);
        if (strncmp(sn_error_message(), name, strlen(name))) fail_msg("\"%s\" does not name %s", sn_error_message(), name);
        assert_string_equal(sn_error_file(), name);
    }
    sn_image_free(&image);
    free(copy);
    return status;
}

static void check_cut(const char *name, const sn_bytes *file) {
    size_t step = file->size < 600 ? 1 : file->size / 300;
    for (size_t size = 0; size < file->size; size += step) {
        sn_status status = decode_copy(name, file->data, size);
        /* the end of these may lie behind the pixels: a directory, a second frame, a trailer */
        bool late = sn_ends_with(name, ".gif") || sn_ends_with(name, ".tif") || sn_ends_with(name, ".bmp");
        if (status == SN_OK && (!late || size < file->size / 2)) fail_msg("%s cut to %zu of %zu bytes decodes", name, size, file->size);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_FORMAT);
    }
}

static void cut_files_are_errors(void **state) {
    (void)state;
    each_golden(check_cut);
    static const char *const files[] = {"ycc420.jpg", "ycc420_prog.jpg", "rgb8.png", "rgb8_i.png", "lossy.webp", "palette.gif", "rgb24.bmp"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, GOLDEN "%s", files[i]);
        sn_bytes file;
        sn_image image;
        assert_ok(sn_file_read(path, 1 << 20, &file));
        assert_fails(sn_image_decode("cut.jpg", file.data, file.size * 2 / 3, 0, &image), SN_ERR_FORMAT, "cut.jpg: truncated: ");
        sn_bytes_free(&file);
    }
}

static void check_changed(const char *name, const sn_bytes *file) {
    unsigned char *copy = malloc(file->size);
    const sn_rng_key key = {7, sn_hash(name, strlen(name))};
    for (uint64_t round = 0; round < 60; round++) {
        memcpy(copy, file->data, file->size);
        for (uint64_t i = 0; i < 1 + round % 4; i++) {
            uint64_t span = round % 2 ? file->size : file->size < 80 ? file->size : 80; /* headers more often */
            copy[sn_rng_below(key, round, 2 * i, span)] = (unsigned char)sn_rng_below(key, round, 2 * i + 1, 256);
        }
        (void)decode_copy(name, copy, file->size);
        int width, height;
        const char *format;
        (void)sn_image_probe(name, copy, file->size, &format, &width, &height);
    }
    free(copy);
}

static void changed_files_do_no_harm(void **state) {
    (void)state;
    each_golden(check_changed);
}

static void other_content_is_named(void **state) {
    (void)state;
    sn_image image;
    static const char page[] = "<!DOCTYPE html>\n<html><body>404";
    assert_fails(sn_image_decode("x.jpg", page, sizeof page - 1, 0, &image), SN_ERR_FORMAT,
                 "x.jpg: not a picture: the content starts with \"<!DOCTYPE html>…\" (known formats: JPEG, PNG, WebP, TIFF, BMP, GIF)");
    assert_fails(sn_image_decode("x.jpg", "\x00\x01\xfe\xff", 4, 0, &image), SN_ERR_FORMAT, "starts with \"00 01 fe ff\"");
    assert_fails(sn_image_decode("x.jpg", "hello", 5, 0, &image), SN_ERR_FORMAT, "starts with \"hello\"");
    assert_fails(sn_image_decode("x.jpg", "", 0, 0, &image), SN_ERR_FORMAT, "x.jpg: the file is empty");
    assert_fails(sn_image_decode("x.wav", "RIFF\x24\0\0\0WAVEfmt ", 16, 0, &image), SN_ERR_FORMAT, "not a picture");
    assert_fails(sn_image_read("/nowhere/x.jpg", 0, &image), SN_ERR_IO, "/nowhere/x.jpg: cannot open");
    assert_string_equal(sn_error_file(), "/nowhere/x.jpg");
}

/* A header of 60,000 x 60,000 pixels must be refused before 10 GB are asked for. */
static void bombs_are_refused(void **state) {
    (void)state;
    static const struct bomb {
        const char *file;
        size_t at;
        unsigned char size[8];
        size_t bytes;
    } bombs[] = {
        {"rgb24_down.bmp", 18, {0x60, 0xEA, 0, 0, 0x60, 0xEA, 0, 0}, 8},
        {"palette_offset.gif", 6, {0x60, 0xEA, 0x60, 0xEA}, 4},
    };
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, GOLDEN "%s", bombs[i].file);
        sn_bytes file;
        sn_image image;
        assert_ok(sn_file_read(path, 1 << 20, &file));
        unsigned char *bytes = (unsigned char *)(uintptr_t)file.data;
        memcpy(bytes + bombs[i].at, bombs[i].size, bombs[i].bytes);
        assert_fails(sn_image_decode("bomb", bytes, file.size, 0, &image), SN_ERR_FORMAT, "bomb: too large: 60000 x 60000 pixels, at most 178956970");
        sn_bytes_free(&file);
    }
    static const char *const files[] = {"ycc420.jpg", "rgb8.png", "lossy.webp", "palette.gif", "rgb24.bmp", "rgb8.tif"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, GOLDEN "%s", files[i]);
        sn_image image;
        sn_bytes file;
        assert_ok(sn_file_read(path, 1 << 20, &file));
        sn_alloc_fail_after(1); /* nothing of ours is allocated before the refusal */
        assert_fails(sn_image_decode("small", file.data, file.size, 37 * 29 - 1, &image), SN_ERR_FORMAT, "too large: 37 x 29 pixels");
        sn_alloc_fail_after(0);
        assert_ok(sn_image_decode("small", file.data, file.size, 37 * 29, &image));
        sn_image_free(&image);
        sn_bytes_free(&file);
    }
}

static sn_status pipeline(const sn_bytes *file, sn_filter filter) {
    sn_image image, small = {0}, grey = {0}, part = {0};
    sn_status status = sn_image_decode("x", file->data, file->size, 0, &image);
    if (status == SN_OK) status = sn_image_resize(&image, 16, 9, filter, &small);
    if (status == SN_OK) status = sn_image_to_channels(&small, 1, &grey);
    if (status == SN_OK) status = sn_image_crop(&grey, -2, -2, 20, 20, 0, &part);
    sn_image_free(&image);
    sn_image_free(&small);
    sn_image_free(&grey);
    sn_image_free(&part);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const files[] = {"rgb8.png",   "rgb8_i.png",  "exif6.jpg", "cmyk.jpg",    "lossy.webp",
                                        "palette.gif", "rgb24.bmp", "tiled.tif", "planar.tif"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, GOLDEN "%s", files[i]);
        sn_bytes file;
        assert_ok(sn_file_read(path, 1 << 20, &file));
        for (int filter = SN_NEAREST; filter <= SN_BILINEAR; filter += 2) {
            long n = 1;
            for (;; n++) {
                sn_alloc_fail_after(n);
                sn_status status = pipeline(&file, (sn_filter)filter);
                bool reached = sn_alloc_count() >= n;
                sn_alloc_fail_after(0);
                if (!reached) {
                    assert_ok(status);
                    break;
                }
                assert_int_equal(status, SN_ERR_MEMORY);
                assert_int_equal(sn_error_code(), SN_ERR_MEMORY);
            }
            assert_true(n > 4);
        }
        sn_bytes_free(&file);
    }
}

static void wrong_calls_are_refused(void **state) {
    (void)state;
    unsigned char pixels[3] = {0};
    sn_image in = {1, 1, 3, pixels}, out;
    assert_fails(sn_image_resize(&in, 0, 5, SN_BOX, &out), SN_ERR_USAGE, "0 x 5");
    assert_fails(sn_image_resize(&in, 5, 5, (sn_filter)17, &out), SN_ERR_USAGE, "filter 17");
    assert_fails(sn_image_make(3, -1, 3, &out), SN_ERR_USAGE, "3 x -1");
    sn_image_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_files_are_errors),      cmocka_unit_test(changed_files_do_no_harm),
        cmocka_unit_test(other_content_is_named),    cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(every_allocation_may_fail), cmocka_unit_test(wrong_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
