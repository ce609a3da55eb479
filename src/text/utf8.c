/* utf8.c: checking and stepping through UTF-8.
 *
 * The check runs over whole data files before they are parsed, so runs of ASCII are passed eight bytes at a
 * time; everything behind it may then rely on well-formed text. */
#include "text/utf8.h"

#include <string.h>

/* Length of the well-formed character at `s`, 0 when it is none. */
static size_t character(const unsigned char *s, size_t left) {
    unsigned char a = s[0];
    if (a < 0x80) return 1;
    size_t n = a >= 0xF0 ? 4 : a >= 0xE0 ? 3 : 2;
    if (a < 0xC2 || a > 0xF4 || left < n) return 0;
    unsigned char low = 0x80, high = 0xBF;
    if (a == 0xE0) low = 0xA0;
    if (a == 0xED) high = 0x9F;
    if (a == 0xF0) low = 0x90;
    if (a == 0xF4) high = 0x8F;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
    }
    return n;
}

size_t sn_utf8_check(const char *text, size_t bytes) {
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0;
    while (i < bytes) {
        uint64_t eight;
        while (i + sizeof eight <= bytes) {
            memcpy(&eight, s + i, sizeof eight);
            if (eight & 0x8080808080808080u) break;
            i += sizeof eight;
        }
        if (i >= bytes) break;
        size_t n = character(s + i, bytes - i);
        if (!n) return i;
        i += n;
    }
    return bytes;
}

size_t sn_utf8_next(const char *text, size_t bytes, int32_t *code) {
    const unsigned char *s = (const unsigned char *)text;
    size_t n = character(s, bytes);
    if (n == 1) *code = s[0];
    else if (n == 2) *code = (s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    else if (n == 3) *code = (s[0] & 0x0F) << 12 | (s[1] & 0x3F) << 6 | (s[2] & 0x3F);
    else if (n == 4) *code = (s[0] & 0x07) << 18 | (s[1] & 0x3F) << 12 | (s[2] & 0x3F) << 6 | (s[3] & 0x3F);
    else *code = 0xFFFD;
    return n ? n : 1;
}

void sn_utf8_trim(char *text) {
    size_t bytes = strlen(text), back = 0;
    while (back < 4 && back < bytes && ((unsigned char)text[bytes - 1 - back] & 0xC0) == 0x80) back++;
    if (back < bytes && (unsigned char)text[bytes - 1 - back] >= 0xC0) {
        const char *last = text + bytes - 1 - back;
        if (character((const unsigned char *)last, back + 1) != back + 1) text[bytes - 1 - back] = '\0';
    }
}

bool sn_is_unspaced(int32_t code) {
    static const struct { int32_t first, last; } ranges[] = {
        {0x0E01, 0x0E3A}, {0x0E40, 0x0E4E}, /* Thai */
        {0x0E81, 0x0ECD}, {0x0EDC, 0x0EDF}, /* Lao */
        {0x1000, 0x103F}, {0x104C, 0x108F}, {0x109A, 0x109F}, {0xA9E0, 0xA9EF}, {0xA9FA, 0xA9FE},
        {0xAA60, 0xAA7F},                   /* Myanmar */
        {0x1780, 0x17D3}, {0x17DC, 0x17DD}, /* Khmer */
        {0x2E80, 0x2FDF}, {0x3005, 0x3007}, {0x3021, 0x3029}, {0x3031, 0x3035}, {0x3038, 0x303C}, /* Han */
        {0x3041, 0x309F}, {0x30A1, 0x30FA}, {0x30FC, 0x30FF}, {0x31F0, 0x31FF}, /* Kana */
        {0x3105, 0x312F}, {0x31A0, 0x31BF}, /* Bopomofo */
        {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xF900, 0xFAFF}, {0xFF66, 0xFF9F},
        {0x1AFF0, 0x1B16F}, {0x20000, 0x3FFFD},
    };
    if (code < ranges[0].first) return false;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) return true;
    }
    return false;
}
