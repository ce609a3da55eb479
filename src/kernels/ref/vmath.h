/* vmath.h: exp, tanh, logistic and erf as straight-line f32 code that compilers vectorise (libm's are calls).
 * Errors: exp 2e-7, tanh and sigmoid 3e-7 relative; erf 2e-7 absolute; exp below 3e-38 is 0. The polynomials for
 * erf are Chebyshev fits made for this file: erf(x)/x in x² on [0, 1], and log(erfc(x)) + x² on [1, 4]. */
#ifndef SN_KERNELS_REF_VMATH_H
#define SN_KERNELS_REF_VMATH_H
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float sn_vexp(float x) {
    /* x = k ln2 + r, |r| <= ln2 / 2; adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
    const float most = 88.7228f, least = -86.6f;
    float c = x > most ? most : x;
    c = c < least ? least : c;
    float shifted = c * 1.44269504f + 12582912.0f, k = shifted - 12582912.0f;
    float r = c - k * 0.693359375f;
    r = r + k * 2.12194440e-4f;
    float p = 1.98756915e-4f;
    p = p * r + 1.39819994e-3f;
    p = p * r + 8.33345205e-3f;
    p = p * r + 4.16657962e-2f;
    p = p * r + 1.66666654e-1f;
    p = p * r + 5.00000000e-1f;
    p = p * r * r + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    bits = (bits + 126u) << 23; /* 2^(k-1), as k = 128 has no exponent */
    float scale;
    memcpy(&scale, &bits, 4);
    float y = p * scale * 2.0f;
    y = x > most ? INFINITY : y;
    y = x < least ? 0.0f : y;
    return x != x ? x : y;
}

static inline float sn_vtanh(float x) {
    float a = fabsf(x), z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float near = p * z * x + x;
    float far = 1.0f - 2.0f / (sn_vexp(a + a) + 1.0f);
    far = copysignf(far, x);
    float y = a < 0.625f ? near : far;
    return x != x ? x : y;
}

static inline float sn_vsigmoid(float x) {
    float e = sn_vexp(-fabsf(x)); /* never overflows */
    float y = 1.0f / (1.0f + e);
    return x < 0.0f ? e * y : y;
}

static inline float sn_verf(float x) {
    float a = fabsf(x), z = x * x;
    float p = 7.88249712e-05f;
    p = p * z - 8.01885499e-04f;
    p = p * z + 5.18931194e-03f;
    p = p * z - 2.68543288e-02f;
    p = p * z + 1.12835975e-01f;
    p = p * z - 3.76126269e-01f;
    p = p * z + 1.12837917f;
    float near = p * x;
    float c = a > 4.0f ? 4.0f : a;
    float q = 1.61406161e-06f;
    q = q * c - 4.55906226e-05f;
    q = q * c + 5.92769539e-04f;
    q = q * c - 4.74022235e-03f;
    q = q * c + 2.63647174e-02f;
    q = q * c - 1.09978245e-01f;
    q = q * c + 3.68062906e-01f;
    q = q * c - 1.13016668f;
    q = q * c + 3.03212975e-04f;
    float far = copysignf(1.0f - sn_vexp(q - c * c), x);
    float y = a < 1.0f ? near : far;
    return x != x ? x : y;
}
#endif
