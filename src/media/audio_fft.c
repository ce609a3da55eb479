/* audio_fft.c: mixed-radix Fourier transform (Stockham's self-sorting form, decimation in frequency).
 *
 *   n = r1 r2 ... rk;  stage i reads one array and writes the other, so no bit reversal is needed:
 *   y[q + s (r p + j)] = w^(j p) * sum over k of x[q + s (p + k m)] exp(-2 pi sqrt(-1) j k / r),
 *   with m = (what is left of n) / r and s = the product of the radices done.
 *
 * Radices 2, 3, 4 and 5 are written out (Whisper's 400 = 4 4 5 5); another prime p is summed directly, which
 * costs p operations per value. Double precision: a spectrum spans more decades than f32 keeps, and log-mel
 * looks at its smallest values. */
#include "media/audio_fft.h"

#include <math.h>

typedef struct stage {
    int radix, m, s;
    double *twiddles; /* [m][radix - 1][re, im] */
    double *roots;    /* [radix][re, im], for a prime without its own code */
    void (*pass)(const struct stage *stage, const sn_complex *x, sn_complex *y);
} stage;

struct sn_fft {
    int n, stages;
    stage stage[32];
    sn_arena memory;
};

static inline sn_complex add(sn_complex a, sn_complex b) { return (sn_complex){a.re + b.re, a.im + b.im}; }
static inline sn_complex sub(sn_complex a, sn_complex b) { return (sn_complex){a.re - b.re, a.im - b.im}; }
static inline sn_complex scale(double f, sn_complex a) { return (sn_complex){f * a.re, f * a.im}; }
static inline sn_complex times(const double *w, sn_complex a) {
    return (sn_complex){w[0] * a.re - w[1] * a.im, w[0] * a.im + w[1] * a.re};
}
/* -sqrt(-1) a */
static inline sn_complex turned(sn_complex a) { return (sn_complex){a.im, -a.re}; }

static void pass2(const stage *t, const sn_complex *x, sn_complex *y) {
    const int m = t->m, s = t->s;
    for (int p = 0; p < m; p++) {
        const double *w = t->twiddles + 2 * p;
        for (int q = 0; q < s; q++) {
            const sn_complex *in = x + q + s * p;
            sn_complex *out = y + q + s * 2 * p;
            const sn_complex a = in[0], b = in[s * m];
            out[0] = add(a, b);
            out[s] = times(w, sub(a, b));
        }
    }
}

static void pass3(const stage *t, const sn_complex *x, sn_complex *y) {
    const double sin60 = 0.86602540378443864676;
    const int m = t->m, s = t->s;
    for (int p = 0; p < m; p++) {
        const double *w = t->twiddles + 4 * p;
        for (int q = 0; q < s; q++) {
            const sn_complex *in = x + q + s * p;
            sn_complex *out = y + q + s * 3 * p;
            const sn_complex a = in[0], b = in[s * m], c = in[2 * s * m];
            const sn_complex sum = add(b, c), side = turned(scale(sin60, sub(b, c)));
            const sn_complex middle = sub(a, scale(0.5, sum));
            out[0] = add(a, sum);
            out[s] = times(w, add(middle, side));
            out[2 * s] = times(w + 2, sub(middle, side));
        }
    }
}

static void pass4(const stage *t, const sn_complex *x, sn_complex *y) {
    const int m = t->m, s = t->s;
    for (int p = 0; p < m; p++) {
        const double *w = t->twiddles + 6 * p;
        for (int q = 0; q < s; q++) {
            const sn_complex *in = x + q + s * p;
            sn_complex *out = y + q + s * 4 * p;
            const sn_complex a = in[0], b = in[s * m], c = in[2 * s * m], d = in[3 * s * m];
            const sn_complex ac = add(a, c), bd = add(b, d), a_c = sub(a, c), b_d = turned(sub(b, d));
            out[0] = add(ac, bd);
            out[s] = times(w, add(a_c, b_d));
            out[2 * s] = times(w + 2, sub(ac, bd));
            out[3 * s] = times(w + 4, sub(a_c, b_d));
        }
    }
}

static void pass5(const stage *t, const sn_complex *x, sn_complex *y) {
    const double c1 = 0.30901699437494742410, c2 = -0.80901699437494742410;
    const double s1 = 0.95105651629515357212, s2 = 0.58778525229247312917;
    const int m = t->m, s = t->s;
    for (int p = 0; p < m; p++) {
        const double *w = t->twiddles + 8 * p;
        for (int q = 0; q < s; q++) {
            const sn_complex *in = x + q + s * p;
            sn_complex *out = y + q + s * 5 * p;
            const sn_complex a = in[0], b = in[s * m], c = in[2 * s * m], d = in[3 * s * m], e = in[4 * s * m];
            const sn_complex be = add(b, e), cd = add(c, d), b_e = sub(b, e), c_d = sub(c, d);
            const sn_complex u = add(a, add(scale(c1, be), scale(c2, cd)));
            const sn_complex v = add(a, add(scale(c2, be), scale(c1, cd)));
            const sn_complex su = turned(add(scale(s1, b_e), scale(s2, c_d)));
            const sn_complex sv = turned(sub(scale(s2, b_e), scale(s1, c_d)));
            out[0] = add(a, add(be, cd));
            out[s] = times(w, add(u, su));
            out[2 * s] = times(w + 2, add(v, sv));
            out[3 * s] = times(w + 4, sub(v, sv));
            out[4 * s] = times(w + 6, sub(u, su));
        }
    }
}

static void pass_prime(const stage *t, const sn_complex *x, sn_complex *y) {
    const int m = t->m, s = t->s, r = t->radix;
    for (int p = 0; p < m; p++) {
        const double *w = t->twiddles + 2 * (r - 1) * p;
        for (int q = 0; q < s; q++) {
            const sn_complex *in = x + q + s * p;
            sn_complex *out = y + q + s * r * p;
            for (int j = 0; j < r; j++) {
                sn_complex sum = in[0];
                for (int k = 1, at = j; k < r; k++, at = at + j < r ? at + j : at + j - r)
                    sum = add(sum, times(t->roots + 2 * at, in[s * m * k]));
                out[s * j] = j ? times(w + 2 * (j - 1), sum) : sum;
            }
        }
    }
}

static void root(int k, int n, double out[2]) {
    const double angle = 6.28318530717958647693 * k / n;
    out[0] = cos(angle);
    out[1] = -sin(angle);
}

static sn_status add_stage(sn_fft *fft, int left, int radix, int s) {
    stage *t = &fft->stage[fft->stages++];
    *t = (stage){.radix = radix, .m = left / radix, .s = s};
    t->pass = radix == 2 ? pass2 : radix == 3 ? pass3 : radix == 4 ? pass4 : radix == 5 ? pass5 : pass_prime;
    t->twiddles = sn_arena_alloc(&fft->memory, (size_t)t->m * (size_t)(radix - 1), 2 * sizeof(double));
    if (!t->twiddles) return SN_ERR_MEMORY;
    for (int p = 0; p < t->m; p++)
        for (int j = 1; j < radix; j++) /* j * p < left, so the angle is exact to rounding */
            root(j * p, left, t->twiddles + 2 * ((radix - 1) * p + j - 1));
    if (t->pass != pass_prime) return SN_OK;
    t->roots = sn_arena_alloc(&fft->memory, (size_t)radix, 2 * sizeof(double));
    if (!t->roots) return SN_ERR_MEMORY;
    for (int k = 0; k < radix; k++) root(k, radix, t->roots + 2 * k);
    return SN_OK;
}

static int next_radix(int left) {
    static const int first[] = {4, 2, 5, 3};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (left % first[i] == 0) return first[i];
    for (int p = 7; p <= left / p; p += 2)
        if (left % p == 0) return p;
    return left;
}

sn_status sn_fft_create(int n, sn_fft **out) {
    *out = NULL;
    if (n < 1 || n > 1 << 20) SN_FAIL(SN_ERR_USAGE, "a Fourier transform of %d values (1 to %d)", n, 1 << 20);
    sn_fft *fft = sn_alloc(1, sizeof *fft);
    if (!fft) return SN_ERR_MEMORY;
    fft->n = n;
    for (int left = n, s = 1; left > 1;) {
        const int radix = next_radix(left);
        sn_status status = add_stage(fft, left, radix, s);
        if (status != SN_OK) {
            sn_fft_free(fft);
            return status;
        }
        left /= radix;
        s *= radix;
    }
    *out = fft;
    return SN_OK;
}

void sn_fft_free(sn_fft *fft) {
    if (!fft) return;
    sn_arena_free(&fft->memory);
    sn_free(fft);
}

sn_complex *sn_fft_run(const sn_fft *fft, sn_complex *values, sn_complex *work) {
    for (int i = 0; i < fft->stages; i++) {
        fft->stage[i].pass(&fft->stage[i], values, work);
        sn_complex *swap = values;
        values = work;
        work = swap;
    }
    return values;
}
