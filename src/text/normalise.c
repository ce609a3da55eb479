/* normalise.c: lower case and NFC.
 *
 *   UTF-8 -> code points -> lower -> decomposed, marks in canonical order -> composed (utf8proc)
 *
 * ASCII, which cannot combine with what stands before it, passes directly and cuts the text into stretches;
 * only the others are normalised. utf8proc sorts combining marks by exchange, which is quadratic in a run of
 * them, so the sorting is done here and a run is cut after 30 marks (the limit of Unicode's stream-safe
 * format, UAX #15): no real word comes near it, and hostile text stays linear. */
#include "text/normalise.h"

#include <utf8proc.h>

#include "text/utf8.h"

enum { MOST_MARKS = 30 };

static sn_status push(sn_codes *codes, int32_t code) {
    int32_t *data = sn_grow(codes->data, codes->count, &codes->room, sizeof *data);
    if (!data) return SN_ERR_MEMORY;
    codes->data = data;
    data[codes->count++] = code;
    return SN_OK;
}

static bool is_invisible(int32_t c) {
    return c == 0x00AD || c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x2064) || (c >= 0x2066 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB);
}

static int combining_class(int32_t code) { return utf8proc_get_property(code)->combining_class; }

/* Composes data[from..count) in place. */
static void compose(sn_codes *codes, size_t from) {
    utf8proc_ssize_t left = utf8proc_normalize_utf32(codes->data + from, (utf8proc_ssize_t)(codes->count - from),
                                                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (left >= 0) codes->count = from + (size_t)left;
}

typedef struct stretch {
    size_t from; /* where the stretch that is not composed yet begins */
    int marks;   /* combining marks at its end */
} stretch;

/* Adds a decomposed code point in canonical order. */
static sn_status add_decomposed(sn_codes *out, stretch *s, int32_t code) {
    int class = combining_class(code);
    if (class && s->marks == MOST_MARKS) {
        compose(out, s->from);
        s->from = out->count;
        s->marks = 0;
    }
    SN_TRY(push(out, code));
    s->marks = class ? s->marks + 1 : 0;
    size_t at = out->count - 1;
    for (int i = 1; class && i < s->marks && combining_class(out->data[at - 1]) > class; i++, at--) {
        out->data[at] = out->data[at - 1];
        out->data[at - 1] = code;
    }
    return SN_OK;
}

/* A code point a byte is the most that most texts need; only a few characters decompose into more. */
static sn_status reserve(sn_codes *codes, size_t bytes) {
    if (codes->room - codes->count >= bytes) return SN_OK;
    int32_t *data = sn_realloc(codes->data, codes->count + bytes, sizeof *data);
    if (!data) return SN_ERR_MEMORY;
    codes->data = data;
    codes->room = codes->count + bytes;
    return SN_OK;
}

sn_status sn_normalise(const char *utf8, size_t bytes, sn_codes *out) {
    stretch s = {.from = out->count};
    SN_TRY(reserve(out, bytes));
    for (size_t i = 0; i < bytes;) {
        unsigned char byte = (unsigned char)utf8[i];
        if (byte < 0x80) {
            if (out->count > s.from + 1) compose(out, s.from);
            s = (stretch){.from = out->count}; /* the ASCII character may still take marks */
            SN_TRY(push(out, byte >= 'A' && byte <= 'Z' ? byte + 32 : byte));
            i++;
            continue;
        }
        int32_t code, parts[8];
        i += sn_utf8_next(utf8 + i, bytes - i, &code);
        if (is_invisible(code)) continue;
        int boundary = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char(utf8proc_tolower(code), parts, 8,
                                                     UTF8PROC_STABLE | UTF8PROC_COMPOSE, &boundary);
        if (n < 1 || n > 8) {
            parts[0] = 0xFFFD;
            n = 1;
        }
        for (utf8proc_ssize_t k = 0; k < n; k++) SN_TRY(add_decomposed(out, &s, parts[k]));
    }
    if (out->count > s.from + 1) compose(out, s.from);
    return SN_OK;
}

void sn_codes_free(sn_codes *codes) {
    sn_free(codes->data);
    *codes = (sn_codes){0};
}
