/* audio_fft.h: discrete Fourier transforms of any size in double precision, two complex signals side by side.
 *
 * A value holds the same sample of two signals in the two lanes of a vector register, so every step is plain
 * vector arithmetic without shuffles. Real signals travel as real and imaginary parts: four per run. */
#ifndef SN_MEDIA_AUDIO_FFT_H
#define SN_MEDIA_AUDIO_FFT_H
#include "base/memory.h"

typedef double sn_lanes __attribute__((vector_size(16)));
typedef struct sn_complex {
    sn_lanes re, im;
} sn_complex;

/* Factors and roots of unity for one size; immutable after creation. */
typedef struct sn_fft sn_fft;
sn_status sn_fft_create(int n, sn_fft **out);
void sn_fft_free(sn_fft *fft);
/* X[k] = sum over i of x[i] exp(-2 pi sqrt(-1) i k / n). Both arrays hold n values and are overwritten; the
 * result lies in the one that is returned. */
sn_complex *sn_fft_run(const sn_fft *fft, sn_complex *values, sn_complex *work);
#endif
