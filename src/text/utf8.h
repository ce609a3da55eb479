/* utf8.h: the few questions about UTF-8 that readers of foreign bytes ask. */
#ifndef SN_TEXT_UTF8_H
#define SN_TEXT_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offset of the first byte that does not belong to well-formed UTF-8 (Unicode 15, table 3-7: no overlong
 * forms, no surrogates, nothing above U+10FFFF); `bytes` when all is well. */
size_t sn_utf8_check(const char *text, size_t bytes);
/* One code point; a malformed byte gives U+FFFD and 1. Returns how many bytes were used; bytes must be > 0. */
size_t sn_utf8_next(const char *text, size_t bytes, int32_t *code);
/* Cuts a NUL-terminated string so that it does not end inside a character (after a truncating snprintf). */
void sn_utf8_trim(char *text);
/* Is it of a script written without spaces between words: Han, Kana, Bopomofo, Thai, Lao, Khmer, Myanmar? */
bool sn_is_unspaced(int32_t code);
#endif
