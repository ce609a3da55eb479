/* mel.c: log-mel spectrograms as Whisper defines them (Radford et al. 2022; filters as in librosa).
 *
 *   pcm [samples] -> frames of n_fft every hop, centred, periodic Hann
 *                 -> |DFT|^2 [n_fft/2 + 1] -> slaney filters [mels] -> log -> out [frames][mels]
 *
 * Four frames go through one transform: a value of the FFT has two lanes, and of each lane the real part is
 * one frame and the imaginary part another, separated afterwards by symmetry. The power spectrum never
 * exists for more than four frames, so memory does not grow with the length. All is double until the
 * logarithm: the reference rounds its spectrum to f32 and we agree with it to about 1e-6.
 *
 * Before frame 0 and after the last sample the sound is mirrored without repeating its end sample. That
 * needs more than n_fft/2 samples: a shorter sound is first lengthened with zeros to n_fft/2 + 1. */
#include <math.h>

#include "media/audio.h"
#include "media/audio_fft.h"

enum { TOGETHER = 4, MOST_FFT = 1 << 16, MOST_MELS = 1024, MOST_RATE = 768000 };

typedef struct filter {
    int first, count; /* bins */
    const float *weights;
} filter;

struct sn_mel {
    sn_mel_options options;
    int bins;
    sn_fft *fft;
    double *window;  /* [n_fft] */
    filter *filters; /* [mels] */
    sn_arena memory;
};

/* Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, 15 mel there, then logarithmic. */
static double hertz_to_mel(double hertz) {
    return hertz < 1000 ? hertz * 3 / 200 : 15 + log(hertz / 1000) * (27 / log(6.4));
}
static double mel_to_hertz(double mel) {
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * (log(6.4) / 27));
}

static sn_status check_options(const sn_mel_options *o) {
    if (o->rate < 1 || o->rate > MOST_RATE)
        SN_FAIL(SN_ERR_USAGE, "log-mel: rate %d (1 to %d)", o->rate, MOST_RATE);
    if (o->n_fft < 2 || o->n_fft > MOST_FFT)
        SN_FAIL(SN_ERR_USAGE, "log-mel: n_fft %d (2 to %d)", o->n_fft, MOST_FFT);
    if (o->hop < 1 || o->hop > MOST_FFT) SN_FAIL(SN_ERR_USAGE, "log-mel: hop %d (1 to %d)", o->hop, MOST_FFT);
    if (o->mels < 1 || o->mels > MOST_MELS)
        SN_FAIL(SN_ERR_USAGE, "log-mel: %d mel bands (1 to %d)", o->mels, MOST_MELS);
    const double top = o->fmax > 0 ? o->fmax : o->rate / 2.0;
    if (!(o->fmin >= 0 && o->fmax >= 0 && o->fmin < top && top <= o->rate / 2.0))
        SN_FAIL(SN_ERR_USAGE, "log-mel: from %g to %g Hz does not lie in 0 to %g Hz", o->fmin, top,
                o->rate / 2.0);
    if (o->style != SN_MEL_WHISPER && o->style != SN_MEL_LOG && o->style != SN_MEL_POWER)
        SN_FAIL(SN_ERR_USAGE, "log-mel: unknown style %d", (int)o->style);
    return SN_OK;
}

/* One triangle of area 1 (slaney's norm) with corners low, centre, high in Hz. */
static sn_status make_filter(sn_mel *mel, double low, double centre, double high, filter *out) {
    const double width = (double)mel->options.rate / mel->options.n_fft;
    int first = (int)(low / width), end = (int)(high / width) + 2;
    if (end > mel->bins) end = mel->bins;
    if (first > end) first = end;
    float *weights = sn_arena_alloc(&mel->memory, (size_t)(end - first) + 1, sizeof *weights);
    if (!weights) return SN_ERR_MEMORY;
    int from = end, to = first;
    for (int k = first; k < end; k++) {
        const double up = (k * width - low) / (centre - low), down = (high - k * width) / (high - centre);
        const double weight = fmin(up, down) * 2 / (high - low);
        if (!(weight > 0)) continue;
        weights[k - first] = (float)weight;
        if (from == end) from = k;
        to = k + 1;
    }
    *out = (filter){from, to > from ? to - from : 0, weights + (from - first)};
    return SN_OK;
}

static sn_status fill(sn_mel *mel) {
    const sn_mel_options *o = &mel->options;
    SN_TRY(sn_fft_create(o->n_fft, &mel->fft));
    mel->window = sn_arena_alloc(&mel->memory, (size_t)o->n_fft, sizeof *mel->window);
    mel->filters = mel->window ? sn_arena_alloc(&mel->memory, (size_t)o->mels, sizeof *mel->filters) : NULL;
    if (!mel->filters) return SN_ERR_MEMORY;
    for (int i = 0; i < o->n_fft; i++) mel->window[i] = 0.5 - 0.5 * cos(6.28318530717958647693 * i / o->n_fft);
    const double low = hertz_to_mel(o->fmin), high = hertz_to_mel(o->fmax > 0 ? o->fmax : o->rate / 2.0);
    const double step = (high - low) / (o->mels + 1);
    for (int m = 0; m < o->mels; m++)
        SN_TRY(make_filter(mel, mel_to_hertz(low + m * step), mel_to_hertz(low + (m + 1) * step),
                           mel_to_hertz(low + (m + 2) * step), &mel->filters[m]));
    return SN_OK;
}

sn_status sn_mel_create(const sn_mel_options *options, sn_mel **out) {
    *out = NULL;
    SN_TRY(check_options(options));
    sn_mel *mel = sn_alloc(1, sizeof *mel);
    if (!mel) return SN_ERR_MEMORY;
    mel->options = *options;
    mel->bins = options->n_fft / 2 + 1;
    sn_status status = fill(mel);
    if (status != SN_OK) {
        sn_mel_free(mel);
        return status;
    }
    *out = mel;
    return SN_OK;
}

void sn_mel_free(sn_mel *mel) {
    if (!mel) return;
    sn_fft_free(mel->fft);
    sn_arena_free(&mel->memory);
    sn_free(mel);
}

int64_t sn_mel_frames(const sn_mel *mel, int64_t samples) {
    const int64_t frames = samples / mel->options.hop;
    return frames > 1 ? frames : 1;
}

/* n_fft samples from `start` on, mirrored at both ends of the sound; `row` is room for a mirrored copy. */
static const float *frame_at(const sn_mel *mel, const float *pcm, int64_t samples, int64_t start, float *row) {
    const int n = mel->options.n_fft;
    if (start >= 0 && start + n <= samples) return pcm + start;
    const int64_t shortest = n / 2 + 1, length = samples > shortest ? samples : shortest;
    for (int k = 0; k < n; k++) {
        int64_t at = start + k < 0 ? -(start + k) : start + k;
        if (at >= length) at = 2 * (length - 1) - at;
        row[k] = at < samples ? pcm[at] : 0;
    }
    return row;
}

/* Windows `now` frames from `first` on into x; beyond them the last one again. */
static void load(const sn_mel *mel, const float *pcm, int64_t samples, int64_t first, int64_t now, float *rows,
                 sn_complex *x) {
    const int n = mel->options.n_fft;
    const float *frame[TOGETHER];
    for (int i = 0; i < TOGETHER; i++) {
        const int64_t t = first + (i < now ? i : now - 1);
        frame[i] = frame_at(mel, pcm, samples, t * mel->options.hop - n / 2, rows + (int64_t)i * n);
    }
    for (int k = 0; k < n; k++) {
        const double w = mel->window[k];
        x[k].re = w * (sn_lanes){(double)frame[0][k], (double)frame[1][k]};
        x[k].im = w * (sn_lanes){(double)frame[2][k], (double)frame[3][k]};
    }
}

/* Z = A + sqrt(-1) B with A, B the spectra of real frames: A[k] = (Z[k] + conj Z[n-k]) / 2, B likewise.
 * power[k] = |A|^2 in .re, |B|^2 in .im. */
static void separate(const sn_complex *z, int n, int bins, sn_complex *power) {
    for (int k = 0; k < bins; k++) {
        const sn_complex *a = &z[k], *b = &z[k ? n - k : 0];
        const sn_lanes are = a->re + b->re, aim = a->im - b->im, bre = a->im + b->im, bim = b->re - a->re;
        power[k].re = 0.25 * (are * are + aim * aim);
        power[k].im = 0.25 * (bre * bre + bim * bim);
    }
}

static float logarithm(sn_mel_style style, double x) {
    if (style == SN_MEL_POWER) return (float)x;
    if (style == SN_MEL_LOG) return logf((float)(x + 1e-6));
    return log10f((float)(x > 1e-10 ? x : 1e-10));
}

static void filtered(const sn_mel *mel, const sn_complex *power, int64_t frames, float *out) {
    const int mels = mel->options.mels;
    for (int m = 0; m < mels; m++) {
        const filter *f = &mel->filters[m];
        sn_complex sum = {{0, 0}, {0, 0}};
        for (int k = 0; k < f->count; k++) {
            const double weight = (double)f->weights[k];
            sum.re += weight * power[f->first + k].re;
            sum.im += weight * power[f->first + k].im;
        }
        const double four[TOGETHER] = {sum.re[0], sum.re[1], sum.im[0], sum.im[1]};
        for (int i = 0; i < frames; i++) out[(int64_t)i * mels + m] = logarithm(mel->options.style, four[i]);
    }
}

static void compress(float *out, int64_t count) {
    float top = out[0];
    for (int64_t i = 1; i < count; i++) top = out[i] > top ? out[i] : top;
    const float floor = top - 8;
    for (int64_t i = 0; i < count; i++) out[i] = ((out[i] > floor ? out[i] : floor) + 4) / 4;
}

sn_status sn_mel_compute(const sn_mel *mel, const float *pcm, int64_t samples, float *out) {
    if (samples < 0) SN_FAIL(SN_ERR_USAGE, "log-mel of %lld samples", (long long)samples);
    const int n = mel->options.n_fft, mels = mel->options.mels;
    const int64_t frames = sn_mel_frames(mel, samples);
    /* two arrays for the transform, the power, and four f32 rows */
    sn_complex *memory = sn_alloc(3 * (size_t)n + (size_t)mel->bins, sizeof *memory);
    if (!memory) return SN_ERR_MEMORY;
    sn_complex *power = memory + 2 * n;
    float *rows = (float *)(power + mel->bins);
    for (int64_t t = 0; t < frames; t += TOGETHER) {
        const int64_t now = frames - t < TOGETHER ? frames - t : TOGETHER;
        load(mel, pcm, samples, t, now, rows, memory);
        separate(sn_fft_run(mel->fft, memory, memory + n), n, mel->bins, power);
        filtered(mel, power, now, out + t * mels);
    }
    sn_free(memory);
    if (mel->options.style == SN_MEL_WHISPER) compress(out, frames * mels);
    return SN_OK;
}
