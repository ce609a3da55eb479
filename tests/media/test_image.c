/* Pictures against Pillow: every format and mode, every filter, and the small operations.
 * golden/image/expected.txt holds hashes of Pillow's pixels (tools/golden_image.py): one level off fails. */
#include "test.h"

#include <dirent.h>

#include "base/file.h"
#include "media/image.h"
#include "media/image_resize.h"

#define GOLDEN SN_TEST_ROOT "/golden/image/"

static void read_golden(const char *file, sn_image *out) {
    char path[512];
    (void)snprintf(path, sizeof path, GOLDEN "%s", file);
    assert_ok(sn_image_read(path, 0, out));
}

static void assert_pixels(const sn_image *image, const char *expected, const char *what) {
    char found[32];
    size_t bytes = (size_t)image->width * (size_t)image->height * (size_t)image->channels;
    (void)snprintf(found, sizeof found, "%016llx", (unsigned long long)sn_hash(image->pixels, bytes));
    if (strcmp(found, expected)) fail_msg("%s: other pixels than Pillow's (%s, expected %s)", what, found, expected);
}

/* Calls check on every line of expected.txt that begins with `kind` and counts them. */
static int each_line(const char *kind, void (*check)(const char *line)) {
    sn_bytes file;
    assert_ok(sn_file_read(GOLDEN "expected.txt", 1 << 20, &file));
    char *rest = (char *)(uintptr_t)file.data, *line;
    int count = 0;
    for (size_t n = strlen(kind); (line = strsep(&rest, "\n"));) {
        if (strncmp(line, kind, n)) continue;
        check(line + n);
        count++;
    }
    sn_bytes_free(&file);
    return count;
}

static void check_decode(const char *line) {
    char name[64], hash[32], path[512];
    int width, height, probed_width, probed_height;
    assert_int_equal(sscanf(line, "%63s %d %d %31s", name, &width, &height, hash), 4);
    sn_image image;
    read_golden(name, &image);
    if (image.width != width || image.height != height || image.channels != 3) {
        fail_msg("%s: %d x %d x %d, expected %d x %d x 3", name, image.width, image.height, image.channels, width, height);
    }
    assert_pixels(&image, hash, name);
    sn_image_free(&image);
    (void)snprintf(path, sizeof path, GOLDEN "%s", name);
    sn_bytes file;
    const char *format;
    assert_ok(sn_file_read(path, 1 << 20, &file));
    assert_ok(sn_image_probe(name, file.data, file.size, &format, &probed_width, &probed_height));
    if (probed_width != width || probed_height != height) {
        if (strcmp(name, "exif5_late.png")) fail_msg("%s: probed %d x %d", name, probed_width, probed_height);
    }
    static const char *const pairs[][2] = {{".jpg", "JPEG"}, {".png", "PNG"}, {".webp", "WebP"}, {".gif", "GIF"}, {".bmp", "BMP"}, {".tif", "TIFF"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (sn_ends_with(name, pairs[i][0])) assert_string_equal(format, pairs[i][1]);
    }
    sn_bytes_free(&file);
}

static void decoding_equals_pillow(void **state) {
    (void)state;
    assert_int_equal(each_line("decode ", check_decode), 128);
}

static void golden_as(const char *file, int channels, sn_image *out) {
    sn_image rgb;
    read_golden(file, &rgb);
    assert_ok(sn_image_to_channels(&rgb, channels, out));
    sn_image_free(&rgb);
}

static void check_resize(const char *line) {
    char name[64], filter_name[16], hash[32];
    int channels, width, height;
    assert_int_equal(sscanf(line, "%63s %d %15s %d %d %31s", name, &channels, filter_name, &width, &height, hash), 6);
    sn_image in, out;
    golden_as(name, channels, &in);
    sn_filter filter;
    assert_ok(sn_filter_by_name(filter_name, &filter));
    assert_ok(sn_image_resize(&in, width, height, filter, &out));
    assert_pixels(&out, hash, line);
    sn_image_free(&in);
    sn_image_free(&out);
}

static void resizing_equals_pillow(void **state) {
    (void)state;
    assert_int_equal(each_line("resize ", check_resize), 2 * 2 * 6 * 9);
}

static void check_grey(const char *line) {
    char name[64], hash[32];
    assert_int_equal(sscanf(line, "%63s %31s", name, hash), 2);
    sn_image grey;
    golden_as(name, 1, &grey);
    assert_pixels(&grey, hash, name);
    sn_image_free(&grey);
}

static void grey_equals_pillow(void **state) {
    (void)state;
    assert_int_equal(each_line("grey ", check_grey), 2);
}

/* Both sets of kernels must give the same sums, also where a row ends within a vector. */
static void check_kernels(const sn_resize_kernels *run) {
    enum { BYTES = 197, ROWS = 5 };
    unsigned char in[BYTES * ROWS], out[BYTES];
    int weights[ROWS] = {-301234, 4194304, 1200000, -900000, 7};
    for (int i = 0; i < BYTES * ROWS; i++) in[i] = (unsigned char)((unsigned)i * 2654435761u >> 13);
    for (size_t bytes = 1; bytes <= BYTES; bytes++) {
        run->down(in, bytes, weights, ROWS, out);
        for (size_t x = 0; x < bytes; x++) {
            int sum = SN_FIXED_HALF;
            for (size_t i = 0; i < ROWS; i++) sum += in[i * bytes + x] * weights[i];
            assert_int_equal(out[x], sn_fixed_level(sum));
        }
    }
    int start[3] = {0, 1, 7}, count[3] = {5, 1, 4}, many[15];
    for (int i = 0; i < 15; i++) many[i] = weights[i % 5];
    sn_windows w = {.start = start, .count = count, .weights = many, .outputs = 3, .room = 5};
    if (run->pack) assert_ok(run->pack(&w));
    run->across_rgb(in, &w, out);
    for (int x = 0; x < 3; x++) {
        for (int c = 0; c < 3; c++) {
            int sum = SN_FIXED_HALF;
            for (int i = 0; i < count[x]; i++) sum += in[(start[x] + i) * 3 + c] * many[x * 5 + i];
            assert_int_equal(out[x * 3 + c], sn_fixed_level(sum));
        }
    }
    sn_free(w.packed);
}

static void kernels_equal_the_definition(void **state) {
    (void)state;
    check_kernels(sn_resize_plain());
    if (sn_resize_avx2()) check_kernels(sn_resize_avx2());
    else print_message("no AVX2 here: only the plain kernels were checked\n");
}

static void filters_have_names(void **state) {
    (void)state;
    for (int i = SN_NEAREST; i <= SN_LANCZOS; i++) {
        sn_filter back;
        assert_ok(sn_filter_by_name(sn_filter_name((sn_filter)i), &back));
        assert_int_equal(back, i);
    }
    sn_filter filter;
    assert_fails(sn_filter_by_name("cubic", &filter), SN_ERR_USAGE, "known: nearest, box, bilinear, hamming, bicubic, lanczos");
}

static void crop_fills_what_lies_outside(void **state) {
    (void)state;
    unsigned char pixels[] = {1, 2, 3, 4, 5, 6};
    sn_image in = {3, 2, 1, pixels}, out;
    assert_ok(sn_image_crop(&in, -1, 1, 5, 2, 9, &out));
    const unsigned char wide[] = {9, 4, 5, 6, 9, 9, 9, 9, 9, 9};
    assert_memory_equal(out.pixels, wide, sizeof wide);
    sn_image_free(&out);
    assert_ok(sn_image_crop(&in, 1, 0, 2, 2, 9, &out));
    const unsigned char inside[] = {2, 3, 5, 6};
    assert_memory_equal(out.pixels, inside, sizeof inside);
    sn_image_free(&out);
    assert_ok(sn_image_crop(&in, 2147483600, -2147483600, 2, 1, 7, &out));
    const unsigned char away[] = {7, 7};
    assert_memory_equal(out.pixels, away, sizeof away);
    sn_image_free(&out);
    assert_fails(sn_image_crop(&in, 0, 0, 0, 2, 9, &out), SN_ERR_USAGE, "0 x 2");
}

static void flip_mirrors_rows(void **state) {
    (void)state;
    unsigned char rgb[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19}, grey[] = {1, 2, 3, 4};
    const unsigned char turned[] = {7, 8, 9, 4, 5, 6, 1, 2, 3, 17, 18, 19, 14, 15, 16, 11, 12, 13}, backwards[] = {2, 1, 4, 3};
    sn_image a = {3, 2, 3, rgb}, b = {2, 2, 1, grey};
    sn_image_flip(&a);
    sn_image_flip(&b);
    assert_memory_equal(rgb, turned, sizeof rgb);
    assert_memory_equal(grey, backwards, sizeof grey);
}

static void channels_convert_both_ways(void **state) {
    (void)state;
    unsigned char pixels[] = {0, 128, 255};
    sn_image grey = {3, 1, 1, pixels}, rgb, back;
    assert_ok(sn_image_to_channels(&grey, 3, &rgb));
    const unsigned char wide[] = {0, 0, 0, 128, 128, 128, 255, 255, 255};
    assert_memory_equal(rgb.pixels, wide, sizeof wide);
    assert_ok(sn_image_to_channels(&rgb, 1, &back));
    assert_memory_equal(back.pixels, pixels, sizeof pixels);
    assert_fails(sn_image_to_channels(&grey, 4, &grey), SN_ERR_USAGE, "not 4");
    sn_image_free(&rgb);
    sn_image_free(&back);
}

static void normalise_is_the_formula(void **state) {
    (void)state;
    unsigned char pixels[256 * 3];
    for (int i = 0; i < 256 * 3; i++) pixels[i] = (unsigned char)(i * 7);
    const float mean[] = {0.485f, 0.456f, 0.406f}, std[] = {0.229f, 0.224f, 0.225f}, scale = 1.0f / 255.0f;
    float out[256 * 3];
    sn_image rgb = {256, 1, 3, pixels}, grey = {64, 12, 1, pixels};
    sn_image_normalise(&rgb, scale, mean, std, out);
    for (int i = 0; i < 256 * 3; i++) assert_true(out[i] == ((float)pixels[i] * scale - mean[i % 3]) / std[i % 3]);
    sn_image_normalise(&grey, scale, mean, std, out);
    for (int i = 0; i < 256 * 3; i++) assert_true(out[i] == ((float)pixels[i] * scale - mean[0]) / std[0]);
}

/* Every picture of the larger set decodes and shrinks, where the set is there. */
static void real_photographs_decode(void **state) {
    (void)state;
    const char *root = getenv("SN_TEST_DATA");
    char dir[512], path[1024];
    (void)snprintf(dir, sizeof dir, "%s/coco_open/images", root ? root : SN_TEST_DATA);
    DIR *d = opendir(dir);
    if (!d) {
        print_message("no %s: skipped\n", dir);
        skip();
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        if (!sn_ends_with(entry->d_name, ".jpg")) continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        sn_image image, small;
        assert_ok(sn_image_read(path, 0, &image));
        assert_ok(sn_image_resize(&image, 224, 224, SN_BICUBIC, &small));
        sn_image_free(&image);
        sn_image_free(&small);
        count++;
    }
    (void)closedir(d);
    assert_true(count > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_equals_pillow),
        cmocka_unit_test(resizing_equals_pillow),
        cmocka_unit_test(grey_equals_pillow),
        cmocka_unit_test(kernels_equal_the_definition),
        cmocka_unit_test(filters_have_names),
        cmocka_unit_test(crop_fills_what_lies_outside),
        cmocka_unit_test(flip_mirrors_rows),
        cmocka_unit_test(channels_convert_both_ways),
        cmocka_unit_test(normalise_is_the_formula),
        cmocka_unit_test(real_photographs_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
