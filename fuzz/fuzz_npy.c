/* fuzz_npy: any bytes as a .npy file: either a message, or one view that may all be read. */
#include <stdlib.h>

#include "base/memory.h"
#include "params/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sn_npy *file;
    if (sn_npy_parse("input", data, size, &file) != SN_OK) {
        if (!sn_error_message()[0]) abort();
        return 0;
    }
    const sn_tensor_view *view = sn_views_find(sn_npy_views(file), "array");
    if (!view) abort();
    unsigned sum = 0;
    for (size_t k = 0; k < view->bytes; k++) sum += ((const unsigned char *)view->data)[k];
    float *values = sn_alloc(view->bytes + 1 + sum % 2, sizeof *values);
    if (values) (void)sn_tensor_to_f32(view, values);
    sn_free(values);
    sn_npy_free(file);
    return 0;
}
