/* decode.h: a decoder at work: tokens in, logits of the next token out, the past kept in a cache.
 *
 *   ids [rows, count] -> program (rows, count) -> logits [rows, V]; fresh keys and values -> the cache
 *
 * Row r writes its keys and values into row r of the cache, once for each position; which cache row holds a past
 * position is in the ancestry table, so beams that fork or die copy a line of numbers and no keys. Keys and values of
 * an encoder's output are computed once for each input and shared by its beams. Belongs to one thread. */
#ifndef SN_DECODE_H
#define SN_DECODE_H
#include "generate/generate.h"
#include "models/pretrained.h"

typedef struct sn_decoding sn_decoding;
/* For at most `rows` rows of at most `positions` tokens. */
sn_status sn_decoding_create(const sn_pretrained *m, int64_t rows, int64_t positions, sn_decoding **out);
void sn_decoding_free(sn_decoding *d);
/* Forgets everything. encoded: the encoder's output [inputs, steps, width], or NULL for a decoder alone; row r of the
 * steps that follow belongs to input r / (rows / inputs). */
sn_status sn_decoding_start(sn_decoding *d, const float *encoded, int64_t inputs, int64_t steps, int64_t width);
/* The decoder as sn_generate takes it. */
sn_decoder sn_decoding_decoder(sn_decoding *d);
/* Bytes of cache and working memory. */
size_t sn_decoding_bytes(const sn_decoding *d);
#endif
