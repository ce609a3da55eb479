/* fuzz_preprocessor: any bytes as preprocessor_config.json: either a message, or a processor that makes of a small picture
 * what it says it will. */
#include <stdlib.h>

#include "features/image_processor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_SIDE = 300 }; /* larger results only cost time */

static void prepare(const sn_image_processor *p) {
    sn_image in, out;
    sn_array values = {0}, mask = {0};
    int height, width;
    if (p->height > MOST_SIDE || p->width > MOST_SIDE || p->crop_height > MOST_SIDE || p->crop_width > MOST_SIDE || p->pad_height > MOST_SIDE
        || p->pad_width > MOST_SIDE || p->crop_pct < 0.2)
        return;
    if (sn_image_make(23, 17, 3, &in) != SN_OK) return;
    if (sn_image_processor_pixels(p, &in, &out) == SN_OK) {
        if (!p->pad && sn_image_processor_size(p, &height, &width) && (out.height != height || out.width != width)) abort();
        if (sn_image_processor_batch(p, &out, 1, &values, &mask) == SN_OK && values.type.shape.dim[1] < out.height) abort();
        sn_array_free(&values);
        sn_array_free(&mask);
        sn_image_free(&out);
    }
    sn_image_free(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *config;
    sn_image_processor p;
    if (sn_json_parse("input", (const char *)data, size, &config) != SN_OK) return 0;
    if (sn_image_processor_parse(config, "input", "vit", &p) == SN_OK) prepare(&p);
    else if (!sn_error_message()[0]) abort();
    json_decref(config);
    return 0;
}
