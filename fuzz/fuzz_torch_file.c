/* fuzz_torch_file: any bytes as a checkpoint of torch.save: either a message, or views that may all be read, whose
 * copies are together no larger than the file. */
#include <stdlib.h>

#include "params/torch_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const sn_views *views, const uint8_t *data, size_t size) {
    size_t copied = 0;
    for (size_t i = 0; i < views->count; i++) {
        const sn_tensor_view *view = &views->items[i];
        const unsigned char *bytes = view->data;
        unsigned sum = 0;
        for (size_t k = 0; k < view->bytes; k++) sum += bytes[k];
        if (bytes < data || bytes >= data + size) copied += view->bytes;
        float *values = sn_alloc(view->bytes / sn_dtype_size(view->type.dtype) + sum % 2, sizeof *values);
        if (values) (void)sn_tensor_to_f32(view, values);
        sn_free(values);
        if (sn_views_find(views, view->name) != view) abort();
    }
    if (copied > size) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sn_torch_file *file;
    if (sn_torch_parse("input", data, size, &file) != SN_OK) {
        if (!sn_error_message()[0]) abort();
        return 0;
    }
    read_all(sn_torch_views(file), data, size);
    sn_torch_free(file);
    return 0;
}
