/* encoding.c: the one door by which foreign bytes become UTF-8.
 *
 *   bytes --(named encoding: iconv)--> UTF-8 --(NUL bytes?)--> text for the table readers
 *   bytes --(none: check in place)---^
 *
 * Nothing is repaired and nothing is guessed silently: a file in another encoding is refused with a proposal,
 * because a wrong guess would train on noise. The proposal looks at the whole file: GB18030 when all of it
 * decodes and most characters are pairs of high bytes (Chinese text; in Latin-1 a high byte mostly stands
 * between ASCII letters). */
#include "data/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "text/utf8.h"

/* Line of the byte at `at`, from 1; \n, \r\n and \r each end one. */
static int64_t line_of(const unsigned char *bytes, size_t at) {
    int64_t line = 1;
    for (size_t i = 0; i < at; i++) {
        if (bytes[i] == '\n' || (bytes[i] == '\r' && bytes[i + 1] != '\n')) line++;
    }
    return line;
}

/* Converts everything into `out` (NULL: only tries); false at bytes that do not decode. */
static bool convert(iconv_t from, const char *bytes, size_t size, sn_buf *out) {
    char piece[16384];
    char *in = (char *)(uintptr_t)bytes;
    bool flushing = false;
    for (;;) {
        char *to = piece;
        size_t room = sizeof piece;
        size_t got = flushing ? iconv(from, NULL, NULL, &to, &room) : iconv(from, &in, &size, &to, &room);
        int why = got == (size_t)-1 ? errno : 0;
        if (out) sn_buf_add(out, piece, (size_t)(to - piece));
        if (out && out->failed) return false;
        if (why == E2BIG) continue;
        if (why) return false;
        if (flushing) return true;
        flushing = true;
    }
}

static bool looks_like_gb18030(const unsigned char *bytes, size_t size) {
    size_t pairs = 0, single = 0;
    for (size_t i = 0; i + 1 < size; i++) {
        if (bytes[i] < 0x80) continue;
        if (bytes[i + 1] >= 0x80) {
            pairs++;
            i++;
        } else {
            single++;
        }
    }
    if (pairs < single) return false;
    iconv_t from = iconv_open("UTF-8", "GB18030");
    if (from == (iconv_t)-1) return false;
    bool whole = convert(from, (const char *)bytes, size, NULL);
    (void)iconv_close(from);
    return whole;
}

static sn_status fail_undecoded(const char *name, const unsigned char *bytes, size_t size, size_t at) {
    long long line = (long long)line_of(bytes, at);
    if (looks_like_gb18030(bytes, size))
        (void)sn_fail(SN_ERR_FORMAT, "%s: line %lld is not UTF-8; it looks like GB18030; use --encoding gb18030",
                      name, line);
    else
        (void)sn_fail(SN_ERR_FORMAT,
                      "%s: line %lld is not UTF-8 (byte 0x%02x); name its encoding, such as --encoding latin1",
                      name, line, bytes[at]);
    return sn_fail_at(name, 0, NULL);
}

static sn_status fail_nul(const char *name, const char *text, size_t at) {
    long long line = (long long)line_of((const unsigned char *)text, at);
    (void)sn_fail(SN_ERR_FORMAT,
                  "%s: line %lld has a NUL byte; a text file has none (if it is UTF-16, use --encoding utf-16le)",
                  name, line);
    return sn_fail_at(name, 0, NULL);
}

static sn_status decode_with(const char *name, const char *encoding, const char *bytes, size_t size,
                             sn_decoded *out) {
    /* a suffix such as //IGNORE would drop characters silently */
    iconv_t from = strchr(encoding, '/') ? (iconv_t)-1 : iconv_open("UTF-8", encoding);
    if (from == (iconv_t)-1)
        SN_FAIL(SN_ERR_USAGE, "unknown encoding \"%s\"; try utf-8, gb18030, latin1, utf-16 or shift_jis", encoding);
    sn_buf text = {0};
    bool whole = convert(from, bytes, size, &text);
    (void)iconv_close(from);
    sn_status status = sn_buf_check(&text);
    if (status == SN_OK && !whole) {
        long long line = text.size ? (long long)line_of((unsigned char *)text.data, text.size) : 1;
        (void)sn_fail(SN_ERR_FORMAT, "%s: line %lld is not %s", name, line, encoding);
        status = sn_fail_at(name, 0, NULL);
    }
    if (status == SN_OK) *out = (sn_decoded){text.data ? text.data : "", text.size, text.data};
    else sn_buf_free(&text);
    return status;
}

static sn_status decode_utf8(const char *name, const unsigned char *bytes, size_t size, sn_decoded *out) {
    if (size >= 2 && ((bytes[0] == 0xFF && bytes[1] == 0xFE) || (bytes[0] == 0xFE && bytes[1] == 0xFF))) {
        (void)sn_fail(SN_ERR_FORMAT, "%s: line 1 begins with the mark of UTF-16; use --encoding utf-16", name);
        return sn_fail_at(name, 0, NULL);
    }
    size_t good = sn_utf8_check((const char *)bytes, size);
    const void *nul = size ? memchr(bytes, 0, size) : NULL;
    if (good < size && !nul) return fail_undecoded(name, bytes, size, good);
    *out = (sn_decoded){size ? (const char *)bytes : "", size, NULL};
    return SN_OK;
}

sn_status sn_decode(const char *name, const char *encoding, const void *bytes, size_t size, sn_decoded *out) {
    *out = (sn_decoded){0};
    bool plain = !encoding || !strcasecmp(encoding, "utf-8") || !strcasecmp(encoding, "utf8");
    if (plain) SN_TRY(decode_utf8(name, bytes, size, out));
    else SN_TRY(decode_with(name, encoding, bytes, size, out));
    const char *nul = out->bytes ? memchr(out->text, 0, out->bytes) : NULL;
    if (nul) {
        sn_status status = fail_nul(name, out->text, (size_t)(nul - out->text));
        sn_decoded_free(out);
        return status;
    }
    if (out->bytes >= 3 && !memcmp(out->text, "\xEF\xBB\xBF", 3)) {
        out->text += 3;
        out->bytes -= 3;
    }
    return SN_OK;
}

void sn_decoded_free(sn_decoded *decoded) {
    sn_free(decoded->own);
    *decoded = (sn_decoded){0};
}
