/* image_resize_avx2.c: the two passes of resize with AVX2, three to eight times the plain loops.
 *
 * across: four pixels at a time. 16 bytes R0 G0 B0 R1 ... B3 become 16-bit pairs
 *             (R0 R1) (G0 G1) (B0 B1) . | (R2 R3) (G2 G3) (B2 B3) .
 *         which vpmaddwd multiplies by (k0 k1) ... (k2 k3) and adds in pairs. It wants 16-bit weights and ours
 *         have 23, so a weight is split: k = high * 2^15 + low, with one sum for each. Sums may wrap: the
 *         whole is exact modulo 2^32, and the whole fits.
 * down:   32 columns at a time, 32-bit products.
 *
 * Weights are packed once per picture as [position][group of 4][low 16 x i16, high 16 x i16], zero past a
 * window's end, so pixels read there do not count. */
#include "media/image_resize.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))
enum { GROUP = 4, SPLIT = 15, PACKED = 32 };

static sn_status pack(sn_windows *w) {
    w->groups = (w->room + GROUP - 1) / GROUP;
    size_t all;
    if (sn_mul_overflow((size_t)w->outputs, (size_t)w->groups * PACKED, &all)) all = SIZE_MAX;
    w->packed = sn_alloc(all, sizeof *w->packed);
    if (!w->packed) return SN_ERR_MEMORY;
    for (int x = 0; x < w->outputs; x++) {
        const int *k = w->weights + (size_t)x * (size_t)w->room;
        for (int i = 0; i < w->count[x]; i++) {
            int high = (k[i] + (1 << (SPLIT - 1))) >> SPLIT, low = k[i] - high * (1 << SPLIT);
            size_t group = (size_t)x * (size_t)w->groups + (size_t)(i / GROUP);
            int16_t *to = w->packed + group * PACKED + i % GROUP / 2 * 8 + i % 2;
            for (int c = 0; c < 3; c++) {
                to[2 * c] = (int16_t)low;
                to[2 * c + 16] = (int16_t)high;
            }
        }
    }
    return SN_OK;
}

AVX2 static void across_rgb(const unsigned char *in, const sn_windows *w, unsigned char *out) {
    const __m256i spread = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, /* R0 R1 ... */
                                            6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m128i half = _mm_set1_epi32(SN_FIXED_HALF);
    for (int x = 0; x < w->outputs; x++, out += 3) {
        const unsigned char *p = in + (size_t)w->start[x] * 3;
        const int16_t *k = w->packed + (size_t)x * (size_t)w->groups * PACKED;
        __m256i low = _mm256_setzero_si256(), high = low;
        for (int i = 0; i < w->count[x]; i += GROUP, p += 3 * GROUP, k += PACKED) {
            __m256i bytes = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
            __m256i pairs = _mm256_shuffle_epi8(bytes, spread);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(pairs, _mm256_loadu_si256((const __m256i *)(const void *)k)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(pairs, _mm256_loadu_si256((const __m256i *)(const void *)(k + 16))));
        }
        low = _mm256_add_epi32(low, _mm256_slli_epi32(high, SPLIT));
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
        sum = _mm_srai_epi32(_mm_add_epi32(sum, half), SN_FIXED_BITS);
        sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum); /* clips to 0..255 */
        uint32_t pixel = (uint32_t)_mm_cvtsi128_si32(sum);
        memcpy(out, &pixel, 2);
        out[2] = (unsigned char)(pixel >> 16);
    }
}

/* 32 columns of `n` rows. */
AVX2 static void down_block(const unsigned char *in, size_t bytes, const int *k, int n, unsigned char *out) {
    const __m256i half = _mm256_set1_epi32(SN_FIXED_HALF);
    __m256i a = half, b = half, c = half, d = half;
    for (int i = 0; i < n; i++, in += bytes) {
        const __m256i weight = _mm256_set1_epi32(k[i]);
        const __m128i *p = (const __m128i *)(const void *)in;
        __m128i first = _mm_loadu_si128(p), second = _mm_loadu_si128(p + 1);
        a = _mm256_add_epi32(a, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(first), weight));
        b = _mm256_add_epi32(b, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(first, 8)), weight));
        c = _mm256_add_epi32(c, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(second), weight));
        d = _mm256_add_epi32(d, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(second, 8)), weight));
    }
    a = _mm256_packs_epi32(_mm256_srai_epi32(a, SN_FIXED_BITS), _mm256_srai_epi32(b, SN_FIXED_BITS));
    c = _mm256_packs_epi32(_mm256_srai_epi32(c, SN_FIXED_BITS), _mm256_srai_epi32(d, SN_FIXED_BITS));
    /* packing works within 128-bit halves: put the groups of four bytes back in order */
    a = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, c), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)out, a);
}

AVX2 static void down(const unsigned char *in, size_t bytes, const int *k, int n, unsigned char *out) {
    size_t x = 0;
    for (; x + 32 <= bytes; x += 32) down_block(in + x, bytes, k, n, out + x);
    for (; x < bytes; x++) {
        int sum = SN_FIXED_HALF;
        for (int i = 0; i < n; i++) sum += in[x + (size_t)i * bytes] * k[i];
        out[x] = sn_fixed_level(sum);
    }
}

static const sn_resize_kernels kernels = {pack, across_rgb, down};
const sn_resize_kernels *sn_resize_avx2(void) { return __builtin_cpu_supports("avx2") ? &kernels : NULL; }
#else
const sn_resize_kernels *sn_resize_avx2(void) { return NULL; }
#endif
