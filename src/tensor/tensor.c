/* tensor.c: sizes and names of shapes and dtypes; half precision by bits. */
#include "tensor/tensor.h"

#include <math.h>
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

float sn_from_f16(uint16_t h) {
    int exponent = (h >> 10) & 31, mantissa = h & 1023;
    float x;
    if (exponent == 31) x = mantissa ? NAN : INFINITY;
    else if (exponent == 0) x = ldexpf((float)mantissa, -24);
    else x = ldexpf((float)(mantissa | 1024), exponent - 25);
    return h & 0x8000 ? -x : x;
}

/* Round to nearest even, by bits. Below 2^-14 a half has a fixed step of 2^-24: so has a float in [0.5, 1). */
uint16_t sn_to_f16(float x) {
    uint32_t u, sign;
    memcpy(&u, &x, 4);
    sign = u >> 16 & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above */
    if (u < 0x38800000u) {
        float shifted = fabsf(x) + 0.5f;
        memcpy(&u, &shifted, 4);
        return (uint16_t)(sign | (u - 0x3f000000u));
    }
    return (uint16_t)(sign | ((u + 0xfffu + (u >> 13 & 1u) - 0x38000000u) >> 13));
}
