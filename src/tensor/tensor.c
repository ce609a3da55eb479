/* tensor.c: sizes and names of shapes and dtypes. */
#include "tensor/tensor.h"

#include <stdio.h>

static const struct dtype_row {
    const char *name;
    size_t bytes;
} rows[SN_DTYPE_COUNT] = {
    [SN_F32] = {"F32", 4},         [SN_BF16] = {"BF16", 2},       [SN_F16] = {"F16", 2},   [SN_I32] = {"I32", 4},
    [SN_I64] = {"I64", 8},         [SN_U8] = {"U8", 1},           [SN_OPAQUE] = {"opaque", 1}, [SN_F64] = {"F64", 8},
    [SN_I16] = {"I16", 2},         [SN_I8] = {"I8", 1},           [SN_BOOL] = {"BOOL", 1}, [SN_U16] = {"U16", 2},
    [SN_U32] = {"U32", 4},         [SN_U64] = {"U64", 8},         [SN_C64] = {"C64", 8},
    [SN_F8_E4M3] = {"F8_E4M3", 1}, [SN_F8_E5M2] = {"F8_E5M2", 1},
};

size_t sn_dtype_size(sn_dtype dtype) { return rows[dtype].bytes; }
const char *sn_dtype_name(sn_dtype dtype) { return rows[dtype].name; }

sn_status sn_dtype_by_name(const char *name, sn_dtype *out) {
    for (int i = 0; i < SN_DTYPE_COUNT; i++) {
        if (i == SN_OPAQUE || strcmp(name, rows[i].name)) continue;
        *out = (sn_dtype)i;
        return SN_OK;
    }
    SN_FAIL(SN_ERR_UNSUPPORTED, "unknown dtype \"%.40s\"", name);
}

sn_shape sn_shape_of(const int64_t *dims, int rank) {
    sn_shape shape = {.rank = rank};
    for (int i = 0; i < rank && i < SN_MAX_RANK; i++) shape.dim[i] = dims[i];
    return shape;
}

int64_t sn_shape_span(sn_shape shape, int from, int to) {
    int64_t n = 1;
    for (int i = from; i < to; i++) n *= shape.dim[i];
    return n;
}

int64_t sn_shape_count(sn_shape shape) { return sn_shape_span(shape, 0, shape.rank); }

bool sn_shape_equal(sn_shape a, sn_shape b) {
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i]) return false;
    return true;
}

sn_status sn_type_bytes(sn_type type, size_t *bytes) {
    size_t n = sn_dtype_size(type.dtype);
    for (int i = 0; i < type.shape.rank; i++) {
        if (type.shape.dim[i] < 0 || sn_mul_overflow(n, (size_t)type.shape.dim[i], &n) || n > SIZE_MAX / 4) {
            char text[SN_SHAPE_TEXT];
            SN_FAIL(SN_ERR_SHAPE, "a tensor of shape %s is too large", sn_shape_text(type.shape, text));
        }
    }
    *bytes = n;
    return SN_OK;
}

const char *sn_shape_text(sn_shape shape, char text[SN_SHAPE_TEXT]) {
    size_t used = 1;
    text[0] = '[';
    for (int i = 0; i < shape.rank; i++)
        used += (size_t)snprintf(text + used, SN_SHAPE_TEXT - used, i ? ", %lld" : "%lld", (long long)shape.dim[i]);
    (void)snprintf(text + used, SN_SHAPE_TEXT - used, "]");
    return text;
}
