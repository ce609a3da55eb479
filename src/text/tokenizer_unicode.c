/* tokenizer_unicode.c: properties of code points as the reference sees them, lower case, and repair of malformed UTF-8.
 *
 * tokenizer_unicode.def lists ranges; each tokenizer spreads them over a two-level table (rows of 128 code points, equal
 * rows shared) when it is read, so that a question costs two loads and nothing is global. */
#include <utf8proc.h>

#include "text/tokenizer_internal.h"

typedef struct range {
    int32_t first, last;
    uint16_t bits;
} range;
static const range ranges[] = {
#define SN_PROPERTY(name, bit)
#define SN_CODES(first, last, bits) {first, last, bits},
#define SN_LOWER(first, last, step, delta)
#include "text/tokenizer_unicode.def"
};
enum { RANGES = sizeof ranges / sizeof *ranges, ROW = 128 };

/* The bits of code points [ROW * block, ROW * (block + 1)); *r is the first range that may reach into them. */
static void fill(int32_t block, size_t *r, uint16_t row[ROW]) {
    int32_t begin = block * ROW, end = begin + ROW;
    memset(row, 0, ROW * sizeof *row);
    while (*r < RANGES && ranges[*r].last < begin) ++*r;
    for (size_t i = *r; i < RANGES && ranges[i].first < end; i++) {
        int32_t from = ranges[i].first > begin ? ranges[i].first : begin;
        int32_t to = ranges[i].last < end - 1 ? ranges[i].last : end - 1;
        for (int32_t c = from; c <= to; c++) row[c - begin] = ranges[i].bits;
    }
}

enum { SLOTS = 1 << 14 }; /* more than there are blocks */
_Static_assert((int)SN_CODE_BLOCKS < (int)SLOTS, "every block may have a row of its own");

/* The slot of this row's bits, or the empty one (0) where they belong; a slot holds a row's number + 1. */
static uint16_t *slot_of(const sn_tok_unicode *u, uint16_t *slots, const uint16_t row[ROW]) {
    size_t at = (size_t)sn_tok_hash((const char *)row, ROW * sizeof *row) % SLOTS;
    while (slots[at] && memcmp(u->bits + (size_t)(slots[at] - 1) * ROW, row, ROW * sizeof *row)) at = (at + 1) % SLOTS;
    return &slots[at];
}

static sn_status build(sn_tok_unicode *u, uint16_t *slots) {
    size_t r = 0, room = 0;
    uint16_t row[ROW];
    for (int32_t block = 0; block < SN_CODE_BLOCKS; block++) {
        fill(block, &r, row);
        if (!block) memcpy(u->ascii, row, sizeof u->ascii);
        uint16_t *slot = slot_of(u, slots, row);
        if (!*slot) {
            uint16_t *bits = sn_grow(u->bits, u->rows, &room, sizeof row);
            if (!bits) return SN_ERR_MEMORY;
            u->bits = bits;
            memcpy(u->bits + u->rows++ * ROW, row, sizeof row);
            *slot = (uint16_t)u->rows;
        }
        u->block[block] = (uint16_t)(*slot - 1);
    }
    return SN_OK;
}

sn_status sn_tok_unicode_build(sn_tok_unicode *u) {
    uint16_t *slots = sn_alloc(SLOTS, sizeof *slots);
    sn_status status = slots ? build(u, slots) : SN_ERR_MEMORY;
    sn_free(slots);
    return status;
}

int sn_tok_lower(int32_t c, int32_t out[2]) {
    static const struct { int32_t first, last, step, delta; } younger[] = {
#define SN_PROPERTY(name, bit)
#define SN_CODES(first, last, bits)
#define SN_LOWER(first, last, step, delta) {first, last, step, delta},
#include "text/tokenizer_unicode.def"
    };
    if (c < 128) return out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c, 1;
    if (c == 0x130) return out[0] = 'i', out[1] = 0x307, 2;
    for (size_t i = 0; c >= younger[0].first && i < sizeof younger / sizeof *younger; i++) {
        if (c >= younger[i].first && c <= younger[i].last && (c - younger[i].first) % younger[i].step == 0)
            return out[0] = c + younger[i].delta, 1;
    }
    return out[0] = utf8proc_tolower(c), 1;
}

unsigned sn_tok_put(char *s, int32_t c) {
    if (c < 0x80) return s[0] = (char)c, 1;
    if (c < 0x800) return s[0] = (char)(0xC0 | c >> 6), s[1] = (char)(0x80 | (c & 0x3F)), 2;
    if (c < 0x10000) {
        s[0] = (char)(0xE0 | c >> 12);
        s[1] = (char)(0x80 | (c >> 6 & 0x3F));
        return s[2] = (char)(0x80 | (c & 0x3F)), 3;
    }
    s[0] = (char)(0xF0 | c >> 18);
    s[1] = (char)(0x80 | (c >> 12 & 0x3F));
    s[2] = (char)(0x80 | (c >> 6 & 0x3F));
    return s[3] = (char)(0x80 | (c & 0x3F)), 4;
}

size_t sn_tok_part(const char *text, size_t left, bool *good) {
    const unsigned char *s = (const unsigned char *)text;
    unsigned char a = s[0], low = 0x80, high = 0xBF;
    *good = a < 0x80;
    if (a < 0xC2 || a > 0xF4) return 1;
    size_t n = a >= 0xF0 ? 4 : a >= 0xE0 ? 3 : 2, i = 1;
    if (a == 0xE0) low = 0xA0;
    if (a == 0xED) high = 0x9F;
    if (a == 0xF0) low = 0x90;
    if (a == 0xF4) high = 0x8F;
    for (; i < n && i < left && s[i] >= low && s[i] <= high; i++) low = 0x80, high = 0xBF;
    *good = i == n;
    return i;
}

void sn_tok_repair(const char *s, size_t bytes, sn_buf *out) {
    size_t sound = 0, i = 0;
    while (i < bytes) {
        bool good;
        size_t n = sn_tok_part(s + i, bytes - i, &good);
        if (!good) {
            sn_buf_add(out, s + sound, i - sound);
            sn_buf_add(out, "\xEF\xBF\xBD", 3);
            sound = i + n;
        }
        i += n;
    }
    sn_buf_add(out, s + sound, bytes - sound);
}
