/* words.h: text without a pretrained tokenizer: normalise, cut into words, look up in a learned vocabulary.
 *
 *   UTF-8 -> NFC, lower case (utf8proc) -> words at Unicode word boundaries (UAX #29; single characters for
 *   scripts without spaces: Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar; each punctuation mark is a
 *   word; emoji sequences stay whole; space is dropped) -> ids
 *
 * Id 0 is padding, 1 is "unknown", the words follow by falling count (ties by bytes). */
#ifndef SN_TEXT_WORDS_H
#define SN_TEXT_WORDS_H
#include "base/json.h"

/* Calls `word(context, utf8, bytes)` for every word in order; stops at a failure and forwards it. */
typedef sn_status sn_word_fn(void *context, const char *word, size_t bytes);
sn_status sn_words(const char *utf8, size_t bytes, sn_word_fn *word, void *context);

typedef struct sn_vocabulary sn_vocabulary;
enum { SN_WORD_PAD = 0, SN_WORD_UNKNOWN = 1, SN_WORD_FIRST = 2 };

/* Learning: add texts, then fit keeps the `most` most frequent words seen at least `least` times.
 * `ngrams` n >= 1: runs of up to n words (joined by one space) are entries too. */
sn_status sn_vocabulary_create(int ngrams, sn_vocabulary **out);
sn_status sn_vocabulary_count(sn_vocabulary *v, const char *utf8, size_t bytes);
sn_status sn_vocabulary_fit(sn_vocabulary *v, int64_t most, int64_t least);
void sn_vocabulary_free(sn_vocabulary *v);

int64_t sn_vocabulary_size(const sn_vocabulary *v); /* padding and unknown included */
const char *sn_vocabulary_word(const sn_vocabulary *v, int64_t id);
/* Writes at most `room` ids (words first to last; with ngrams > 1 the n-grams follow the words); *count is how
 * many the text has in all, so a caller sees truncation. Thread-safe after fit. */
sn_status sn_vocabulary_encode(const sn_vocabulary *v, const char *utf8, size_t bytes, int32_t *ids, int64_t room,
                               int64_t *count);
/* {"ngrams": n, "words": [...]} and back; loading checks for duplicates. */
sn_status sn_vocabulary_to_json(const sn_vocabulary *v, json_t **out);
sn_status sn_vocabulary_from_json(const json_t *json, sn_vocabulary **out);
#endif
