/* dropout.h: the numbers behind dropout's mask, for kernels that need many of them. sn_dropout_keep in
 * kernel.h is the definition; these give the same answers row by row. */
#ifndef SN_KERNELS_DROPOUT_H
#define SN_KERNELS_DROPOUT_H
#include <stdint.h>

/* Element j is kept where its word is at least this. */
uint32_t sn_dropout_threshold(float rate);
/* words[k] belongs to element j + k; j and n are multiples of 4. */
void sn_dropout_words(uint64_t seed, uint64_t stream, uint64_t step, int64_t row, int64_t j, int n, uint32_t *words);
#endif
