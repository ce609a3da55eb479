/* tensor.h: what an array is: dtype, shape, bytes. Always row-major and dense.
 *
 * Images are [N, H, W, C] everywhere (channels last: what oneDNN and the decoders both like), sequences are
 * [N, T, D] with lengths int32 [N]. */
#ifndef SN_TENSOR_H
#define SN_TENSOR_H
#include <string.h>

#include "base/memory.h"

typedef enum sn_dtype {
    SN_F32, SN_BF16, SN_F16, SN_I32, SN_I64, SN_U8,
    SN_OPAQUE, /* bytes private to a pair of kernels (a workspace); size is chosen by the kernel */
    SN_F64, SN_I16, SN_I8, SN_BOOL, SN_U16, SN_U32, SN_U64, SN_F8_E4M3, SN_F8_E5M2, SN_C64, /* in files only */
    SN_DTYPE_COUNT
} sn_dtype;
size_t sn_dtype_size(sn_dtype dtype); /* bytes an element; 1 for SN_OPAQUE */
const char *sn_dtype_name(sn_dtype dtype); /* as safetensors files call it */
sn_status sn_dtype_by_name(const char *name, sn_dtype *out);

enum { SN_MAX_RANK = 6 };
typedef struct sn_shape {
    int64_t dim[SN_MAX_RANK];
    int32_t rank;
} sn_shape;

typedef struct sn_type {
    sn_shape shape;
    sn_dtype dtype;
} sn_type;

#define SN_SHAPE(...)                                                                                       \
    sn_shape_of((const int64_t[]){__VA_ARGS__}, (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
sn_shape sn_shape_of(const int64_t *dims, int rank);
int64_t sn_shape_count(sn_shape shape); /* number of elements; 1 for rank 0 */
bool sn_shape_equal(sn_shape a, sn_shape b);
/* Product of dims [from, to). */
int64_t sn_shape_span(sn_shape shape, int from, int to);
/* Bytes, checked: fails on overflow or a negative size. */
sn_status sn_type_bytes(sn_type type, size_t *bytes);
/* "[32, 224, 224, 3]" into text; returns text. */
enum { SN_SHAPE_TEXT = 160 };
const char *sn_shape_text(sn_shape shape, char text[SN_SHAPE_TEXT]);

/* bf16 <-> f32, round to nearest even; NaN stays NaN. */
static inline uint16_t sn_to_bf16(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
static inline float sn_from_bf16(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}
/* All but infinity and NaN is the half's bits moved into place and scaled by 2^112, exactly. */
static inline float sn_from_f16(uint16_t h) {
    uint32_t u = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    float x;
    if ((h & 0x7c00) == 0x7c00) {
        u |= 0x7f800000u;
    } else {
        memcpy(&x, &u, 4);
        x *= 0x1p112f;
        memcpy(&u, &x, 4);
    }
    u |= sign;
    memcpy(&x, &u, 4);
    return x;
}
uint16_t sn_to_f16(float x);

/* Elements [at, at + n) of an array as floats: the array itself if it is f32, else `room`. F32, BF16 and F16 (these
 * also unaligned), I32, I64; any other dtype is taken for bytes. */
const float *sn_floats_get(sn_dtype dtype, const void *from, int64_t at, int64_t n, float *room);
/* n floats become elements [at, at + n) of an array: F32, BF16, F16 or I32. They may lie in their place already. */
void sn_floats_put(sn_dtype dtype, const float *from, void *to, int64_t at, int64_t n);
#endif
