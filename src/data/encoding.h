/* encoding.h: bytes of a data file as UTF-8. */
#ifndef SN_DATA_ENCODING_H
#define SN_DATA_ENCODING_H
#include "base/text.h"

typedef struct sn_decoded {
    const char *text; /* inside the given bytes, or inside `own` */
    size_t bytes;
    char *own;        /* converted copy, or NULL */
} sn_decoded;
/* Without an encoding (or with UTF-8) the bytes are checked and used where they lie; a UTF-8 mark is skipped.
 * Else iconv converts them. NUL bytes and bytes that do not decode are errors which name the line and, where
 * it can be told, the encoding to ask for. */
sn_status sn_decode(const char *name, const char *encoding, const void *bytes, size_t size, sn_decoded *out);
void sn_decoded_free(sn_decoded *decoded);
#endif
