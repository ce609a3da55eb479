/* convert.c: arrays of floats in other dtypes, and back. The loops are compiled for each instruction set, and gather
 * sixteen bits byte by byte, which compilers turn into plain unaligned loads: files need no copy first. */
#include <math.h>

#include "base/wide.h"
#include "tensor/tensor.h"

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

static inline uint16_t half_at(const unsigned char *bytes, int64_t i) {
    uint16_t h;
    memcpy(&h, bytes + 2 * i, 2);
    return h;
}

SN_WIDE const float *sn_floats_get(sn_dtype dtype, const void *from, int64_t at, int64_t n, float *room) {
    switch ((int)dtype) {
    case SN_F32: return (const float *)from + at;
    case SN_BF16: {
        const unsigned char *x = (const unsigned char *)from + 2 * at;
        for (int64_t i = 0; i < n; i++) room[i] = sn_from_bf16(half_at(x, i));
        break;
    }
    case SN_F16: {
        const unsigned char *x = (const unsigned char *)from + 2 * at;
        for (int64_t i = 0; i < n; i++) room[i] = sn_from_f16(half_at(x, i));
        break;
    }
    case SN_I32: {
        const int32_t *x = (const int32_t *)from + at;
        for (int64_t i = 0; i < n; i++) room[i] = (float)x[i];
        break;
    }
    case SN_I64: {
        const int64_t *x = (const int64_t *)from + at;
        for (int64_t i = 0; i < n; i++) room[i] = (float)x[i];
        break;
    }
    default: { /* bytes */
        const uint8_t *x = (const uint8_t *)from + at;
        for (int64_t i = 0; i < n; i++) room[i] = (float)x[i];
        break;
    }
    }
    return room;
}

SN_WIDE void sn_floats_put(sn_dtype dtype, const float *from, void *to, int64_t at, int64_t n) {
    if (dtype == SN_F32) {
        if (from != (float *)to + at) memcpy((float *)to + at, from, (size_t)n * sizeof(float));
    } else if (dtype == SN_BF16) {
        uint16_t *y = (uint16_t *)to + at;
        for (int64_t i = 0; i < n; i++) y[i] = sn_to_bf16(from[i]);
    } else if (dtype == SN_F16) {
        uint16_t *y = (uint16_t *)to + at;
        for (int64_t i = 0; i < n; i++) y[i] = sn_to_f16(from[i]);
    } else if (dtype == SN_I32) {
        int32_t *y = (int32_t *)to + at;
        for (int64_t i = 0; i < n; i++) y[i] = (int32_t)from[i];
    }
}
