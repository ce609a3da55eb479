/* prepare_images: `prepare_images CONFIG.json < paths`: what an image processor makes of picture files, for
 * tools/check_image_processors.py. For each path, on stdout: i32 height, i32 width, levels u8 [h,w,3], values f32 [h,w,3];
 * height 0 for a picture that failed (why is on stderr). */
#include <stdio.h>

#include "features/image_processor.h"

static sn_status prepare(const sn_image_processor *p, const char *path, sn_image *out) {
    sn_image in;
    *out = (sn_image){0};
    SN_TRY(sn_image_read(path, 0, &in));
    sn_status status = sn_image_processor_pixels(p, &in, out);
    sn_image_free(&in);
    return status;
}

static int put(const sn_image_processor *p, const sn_image *image) {
    int32_t head[2] = {image->height, image->width};
    size_t n = (size_t)image->height * (size_t)image->width * 3;
    float *values = sn_alloc(n, sizeof *values);
    if (!values) return 1;
    if (n) sn_image_processor_values(p, image, values);
    int wrong = fwrite(head, sizeof head, 1, stdout) != 1 || fwrite(image->pixels, 1, n, stdout) != n
                || fwrite(values, sizeof *values, n, stdout) != n;
    sn_free(values);
    return wrong;
}

int main(int argc, char **argv) {
    char path[4096];
    json_t *config = NULL;
    sn_image_processor p;
    if (argc != 2 || sn_json_read(argv[1], &config) != SN_OK || sn_image_processor_parse(config, argv[1], NULL, &p) != SN_OK) {
        (void)fprintf(stderr, "%s\n", argc == 2 ? sn_error_message() : "usage: prepare_images CONFIG.json < paths");
        return 2;
    }
    int wrong = 0;
    while (!wrong && fgets(path, sizeof path, stdin)) {
        sn_image image;
        path[strcspn(path, "\n")] = '\0';
        if (prepare(&p, path, &image) != SN_OK) (void)fprintf(stderr, "%s\n", sn_error_message());
        wrong = put(&p, &image);
        sn_image_free(&image);
    }
    json_decref(config);
    return wrong;
}
