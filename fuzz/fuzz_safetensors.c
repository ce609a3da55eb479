/* fuzz_safetensors: any bytes as a safetensors file: either a message, or a table of views that may all be read. */
#include <stdlib.h>

#include "params/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const sn_safetensors *file) {
    for (int i = 0; i < sn_safetensors_count(file); i++) {
        const sn_tensor_view *view = sn_safetensors_at(file, i);
        unsigned sum = 0;
        for (size_t k = 0; k < view->bytes; k++) sum += ((const unsigned char *)view->data)[k];
        float *values = sn_alloc(view->bytes / 2 + sum % 2, sizeof *values);
        if (values) (void)sn_tensor_to_f32(view, values);
        sn_free(values);
        if (sn_safetensors_find(file, view->name) != view) abort();
    }
    (void)sn_safetensors_metadata(file, "format");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sn_safetensors *file;
    if (sn_safetensors_parse("input", data, size, &file) != SN_OK) {
        if (!sn_error_message()[0]) abort();
        return 0;
    }
    read_all(file);
    sn_safetensors_free(file);
    return 0;
}
