/* vectors.c: a matrix of vectors in a file that other programs open: safetensors, or NumPy's .npy (format 1.0). */
#include <stdio.h>

#include "base/file.h"
#include "params/safetensors.h"

static sn_status write_safetensors(const char *path, const float *x, size_t rows, size_t width, size_t bytes) {
    sn_tensor_view view = {"embeddings", {SN_SHAPE((int64_t)rows, (int64_t)width), SN_F32}, x, bytes};
    return sn_safetensors_write(path, &view, 1, NULL);
}

/* Magic, version, header size, a Python literal padded with spaces to a multiple of 64, the numbers. */
static sn_status write_npy(const char *path, const float *x, size_t rows, size_t width, size_t bytes) {
    char head[192];
    int n = snprintf(head + 10, sizeof head - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, width);
    size_t size = ((size_t)n + 10 + 1 + 63) / 64 * 64;
    memset(head + 10 + n, ' ', size - 11 - (size_t)n);
    head[size - 1] = '\n';
    memcpy(head, "\x93NUMPY\x01", 7);
    head[7] = 0;
    head[8] = (char)((size - 10) & 255);
    head[9] = (char)((size - 10) >> 8);
    sn_writer *w;
    SN_TRY(sn_writer_open(path, &w));
    sn_status status = sn_writer_add(w, head, size);
    if (status == SN_OK) status = sn_writer_add(w, x, bytes);
    if (status == SN_OK) return sn_writer_commit(w);
    sn_writer_abandon(w);
    return status;
}

static const struct {
    const char *end;
    sn_status (*write)(const char *path, const float *x, size_t rows, size_t width, size_t bytes);
} formats[] = {{".safetensors", write_safetensors}, {".npy", write_npy}};

sn_status sn_vectors_write(const char *path, const float *vectors, size_t rows, size_t width) {
    size_t bytes;
    if (sn_mul_overflow(rows, width, &bytes) || sn_mul_overflow(bytes, sizeof *vectors, &bytes))
        SN_FAIL(SN_ERR_USAGE, "%zu vectors of %zu numbers are too many", rows, width);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (sn_ends_with(path, formats[i].end)) return formats[i].write(path, vectors, rows, width, bytes);
    (void)sn_fail(SN_ERR_USAGE, "%s: the name of a file of vectors ends in .safetensors or .npy", path);
    return sn_fail_at(path, 0, NULL);
}
