/* resample.c: change of sampling rate by a windowed sinc, the same on every machine.
 *
 *   pcm [frames][channels] at `from` -> [ceil(frames * to / from)][channels] at `to`
 *
 * Output k lies at input time k * from / to = k * M / L with L, M coprime, so only L different sets of
 * coefficients ("phases") exist. The kernel is a low-pass of 96 zero crossings to either side under a Kaiser
 * window: flat to 0.914 and 120 dB down from 1.0 of the lower Nyquist frequency. That is the band of soxr's "HQ",
 * librosa's default, so that models trained on sound resampled there hear the same. Outside the sound is silence.
 *
 * Where rates share few factors (44100 and 16001 Hz) all phases would not fit; then the kernel is tabulated
 * finely once and each row is interpolated from it (error below -130 dB).
 *
 * Sine and window are computed here from sums and products alone: libm's may differ between machines in the
 * last bit. Products are summed in four fixed lanes, so the order does not depend on the compiler either. */
#include <string.h>

#include "media/audio.h"
#include "media/audio_decode.h"

#define CROSSINGS 96
#define FINE 4096      /* table entries per zero crossing, where interpolated */
#define CUTOFF 0.95687 /* middle of the transition, of the lower Nyquist frequency */
#define BETA 12.7      /* Kaiser window, 124 dB */
#define BESSEL_TERMS 32
#define PI 3.14159265358979323846
#define LOWEST_RATE 1000

typedef float quad __attribute__((vector_size(16)));

typedef struct kernel {
    double bessel[BESSEL_TERMS]; /* I0(beta sqrt(v)) / I0(beta) as a polynomial in v */
    double squeeze;              /* min(1, to / from): output zero crossings per input sample */
    int64_t up, down;            /* L, M */
    int64_t half;                /* input samples to either side */
    int64_t taps;                /* 2 * half, rounded up to a multiple of 16 */
    float *rows;                 /* [up][taps] or NULL */
    double *fine;                /* [CROSSINGS * FINE + 2] or NULL */
    float *row;                  /* [taps], beside `fine` */
} kernel;

/* sin(pi x) / (pi x). */
static double sinc(double x) {
    if (x < 1e-9) return 1;
    const int64_t turns = (int64_t)(x / 2 + 0.5);
    double r = x - 2 * (double)turns; /* [-1, 1) */
    r = r > 0.5 ? 1 - r : r < -0.5 ? -1 - r : r;
    const double a = PI * r, square = a * a;
    double sum = 0;
    for (int k = 12; k >= 1; k--) sum = (1 + sum) * -square / (double)(2 * k * (2 * k + 1));
    return a * (1 + sum) / (PI * x);
}

/* The low-pass at distance x >= 0, in zero crossings of the lower rate. */
static double low_pass(const kernel *k, double x) {
    const double u = x / CROSSINGS, v = 1 - u * u;
    if (!(v > 0)) return 0;
    double window = 0;
    for (int i = BESSEL_TERMS - 1; i >= 0; i--) window = window * v + k->bessel[i];
    return CUTOFF * sinc(CUTOFF * x) * window;
}

static void init_window(kernel *k) {
    double term = 1, sum = 0;
    for (int i = 0; i < BESSEL_TERMS; i++) {
        k->bessel[i] = term;
        sum += term;
        term *= BETA * BETA / 4 / ((double)(i + 1) * (i + 1));
    }
    for (int i = 0; i < BESSEL_TERMS; i++) k->bessel[i] /= sum;
}

/* Coefficients for the output that lies phase / up after input sample half - 1 of the row. */
static void make_row(const kernel *k, int64_t phase, float *row) {
    const double late = (double)phase / (double)k->up;
    for (int64_t j = 0; j < 2 * k->half; j++) {
        double x = (double)(j - (k->half - 1)) - late;
        x = (x < 0 ? -x : x) * k->squeeze;
        double h = 0;
        if (!k->fine) {
            h = low_pass(k, x);
        } else if (x < CROSSINGS) {
            const int64_t at = (int64_t)(x * FINE);
            const double part = x * FINE - (double)at;
            h = k->fine[at] + part * (k->fine[at + 1] - k->fine[at]);
        }
        row[j] = (float)(k->squeeze * h);
    }
}

/* Phases p and up - p hold the same numbers in opposite order. */
static void mirror_row(const kernel *k, const float *from, float *row) {
    for (int64_t j = 0; j < 2 * k->half; j++) row[j] = from[2 * k->half - 1 - j];
}

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static sn_status plan(kernel *k, int from, int to) {
    const int64_t shared = greatest_common_divisor(from, to);
    *k = (kernel){.up = to / shared, .down = from / shared};
    k->squeeze = to < from ? (double)to / from : 1;
    k->half = to < from ? ((int64_t)CROSSINGS * from + to - 1) / to : CROSSINGS;
    k->taps = (2 * k->half + 15) / 16 * 16;
    init_window(k);
    if (k->up * k->taps <= (int64_t)CROSSINGS * FINE) {
        k->rows = sn_alloc((size_t)(k->up * k->taps), sizeof *k->rows);
        if (!k->rows) return SN_ERR_MEMORY;
        for (int64_t phase = 0; phase < k->up; phase++) {
            float *row = k->rows + phase * k->taps;
            if (2 * phase <= k->up)
                make_row(k, phase, row);
            else
                mirror_row(k, row - (2 * phase - k->up) * k->taps, row);
        }
        return SN_OK;
    }
    k->row = sn_alloc((size_t)k->taps, sizeof *k->row);
    double *fine = k->row ? sn_alloc((size_t)CROSSINGS * FINE + 2, sizeof *fine) : NULL;
    if (!fine) return SN_ERR_MEMORY;
    for (int i = 0; i < CROSSINGS * FINE; i++) fine[i] = low_pass(k, (double)i / FINE);
    k->fine = fine;
    return SN_OK;
}

static void drop(kernel *k) {
    sn_free(k->rows);
    sn_free(k->fine);
    sn_free(k->row);
}

/* `taps` is a multiple of 16. */
static float dot(const float *a, const float *b, int64_t taps) {
    quad sum[4] = {{0}, {0}, {0}, {0}};
    for (int64_t i = 0; i < taps; i += 16)
        for (int j = 0; j < 4; j++) {
            quad x, y;
            memcpy(&x, a + i + 4 * j, sizeof x);
            memcpy(&y, b + i + 4 * j, sizeof y);
            sum[j] += x * y;
        }
    const quad all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    return (all[0] + all[1]) + (all[2] + all[3]);
}

/* One channel: padded holds half - 1 zeros, the sound, and zeros to the end of the last row. */
static void filter_channel(const kernel *k, const float *padded, int64_t frames, int channels, float *out) {
    int64_t at = 0, phase = 0;
    for (int64_t i = 0; i < frames; i++) {
        const float *row = k->row;
        if (k->rows)
            row = k->rows + phase * k->taps;
        else
            make_row(k, phase, k->row);
        out[i * channels] = dot(padded + at, row, k->taps);
        phase += k->down;
        at += phase / k->up;
        phase %= k->up;
    }
}

static sn_status convert(sn_audio *audio, int rate) {
    kernel k;
    float *padded = NULL, *out = NULL;
    sn_status status = plan(&k, audio->rate, rate);
    const int64_t frames = (audio->frames * k.up + k.down - 1) / k.down;
    if (status != SN_OK) goto done;
    status = SN_ERR_MEMORY;
    padded = sn_alloc((size_t)(audio->frames + 2 * k.taps), sizeof *padded);
    if (!padded) goto done;
    out = sn_alloc((size_t)(frames * audio->channels), sizeof *out);
    if (!out) goto done;
    for (int c = 0; c < audio->channels; c++) {
        for (int64_t i = 0; i < audio->frames; i++)
            padded[k.half - 1 + i] = audio->pcm[i * audio->channels + c];
        filter_channel(&k, padded, frames, audio->channels, out + c);
    }
    sn_free(audio->pcm);
    *audio = (sn_audio){rate, audio->channels, frames, out};
    status = SN_OK;
done:
    sn_free(padded);
    drop(&k);
    return status;
}

sn_status sn_audio_resample(sn_audio *audio, int rate) {
    if (rate < LOWEST_RATE || rate > SN_AUDIO_MOST_RATE)
        SN_FAIL(SN_ERR_USAGE, "cannot resample to %d Hz (%d to %d)", rate, LOWEST_RATE, SN_AUDIO_MOST_RATE);
    if (audio->rate < 1 || audio->rate > SN_AUDIO_MOST_RATE || audio->channels < 1 || audio->frames < 0)
        SN_FAIL(SN_ERR_USAGE, "cannot resample sound of %d Hz with %d channels", audio->rate, audio->channels);
    if (rate == audio->rate) return SN_OK;
    const double samples = (double)audio->frames * audio->channels * rate / audio->rate;
    if (samples > (double)SN_AUDIO_MOST_SAMPLES)
        SN_FAIL(SN_ERR_USAGE, "resampling from %d to %d Hz gives %.0f samples, more than the %lld allowed",
                audio->rate, rate, samples, (long long)SN_AUDIO_MOST_SAMPLES);
    return convert(audio, rate);
}
