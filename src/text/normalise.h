/* normalise.h: text as code points, in the one form that words are compared in. */
#ifndef SN_TEXT_NORMALISE_H
#define SN_TEXT_NORMALISE_H
#include "base/memory.h"

typedef struct sn_codes {
    int32_t *data;
    size_t count, room;
} sn_codes;
/* UTF-8 -> lower case, NFC. Malformed bytes become U+FFFD; invisible marks (soft hyphen, direction marks, byte
 * order mark, word joiner) are dropped. Appends to *out; linear in `bytes` whatever the text. */
sn_status sn_normalise(const char *utf8, size_t bytes, sn_codes *out);
void sn_codes_free(sn_codes *codes);
#endif
