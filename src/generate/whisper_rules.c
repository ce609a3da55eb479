/* whisper_rules.c: which timestamps may come next, and how repetitive a text is. */
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "generate/scores.h"
#include "generate/whisper.h"

static void remove_range(float *scores, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) scores[i] = -INFINITY;
}

/* Timestamps come in pairs (end, begin) and never go back: the first that may follow, or `first` itself. */
static int64_t least_timestamp(int64_t first, int64_t n, const int32_t *text, bool pair_open) {
    for (int64_t i = n; i-- > 0;)
        if (text[i] >= first) return text[i] + !pair_open;
    return first;
}

void sn_whisper_timestamps(const sn_whisper *w, int64_t vocabulary, int64_t begin, int64_t length, const int32_t *tokens, float *scores) {
    int64_t first = (int64_t)w->no_timestamps + 1, n = length - begin;
    const int32_t *text = tokens + begin;
    bool last = n >= 1 && text[n - 1] >= first, before = n < 2 || text[n - 2] >= first;
    if (first > vocabulary) return;
    scores[w->no_timestamps] = -INFINITY;
    if (last && before) remove_range(scores, first, vocabulary); /* a pair is complete: text follows */
    if (last && !before) remove_range(scores, 0, w->eos < vocabulary ? w->eos : vocabulary); /* no text inside a pair */
    int64_t least = least_timestamp(first, n, text, last && !before);
    remove_range(scores, first, least < vocabulary ? least : vocabulary);
    if (n == 0) {
        remove_range(scores, 0, first); /* a window begins with a timestamp, and soon */
        if (w->most_first >= 0) remove_range(scores, first + w->most_first + 1, vocabulary);
    }
    /* any timestamp likelier than the likeliest text: a timestamp */
    int64_t best = sn_scores_argmax(scores, first);
    double stamps = sn_scores_log_sum(scores + first, vocabulary - first);
    if (best < 0 || stamps > (double)scores[best]) remove_range(scores, 0, first);
}

/* ---- compression ---- */

static void *take(void *context, unsigned count, unsigned size) {
    (void)context;
    return sn_alloc(count, size);
}

static void give(void *context, void *block) {
    (void)context;
    sn_free(block);
}

static sn_status deflate_all(const unsigned char *bytes, size_t size, size_t *out) {
    unsigned char sink[1024];
    z_stream z = {.zalloc = take, .zfree = give, .next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)size};
    if (deflateInit(&z, Z_DEFAULT_COMPRESSION) != Z_OK) SN_FAIL(SN_ERR_MEMORY, "out of memory while compressing tokens");
    int code = Z_OK;
    while (code == Z_OK) {
        z.next_out = sink;
        z.avail_out = sizeof sink;
        code = deflate(&z, Z_FINISH);
    }
    *out = z.total_out;
    (void)deflateEnd(&z);
    if (code != Z_STREAM_END) SN_FAIL(SN_ERR_STATE, "tokens could not be compressed");
    return SN_OK;
}

sn_status sn_whisper_compression(const int32_t *tokens, int64_t n, int64_t vocabulary, double *out) {
    int width = vocabulary < 256 ? 1 : vocabulary < 65536 ? 2 : vocabulary < 16777216 ? 3 : 4;
    size_t size, packed;
    *out = 0;
    if (n < 1) return SN_OK;
    if (sn_mul_overflow((size_t)n, (size_t)width, &size) || size > INT32_MAX) SN_FAIL(SN_ERR_MEMORY, "a text of %lld tokens is too long", (long long)n);
    unsigned char *bytes = sn_alloc(size, 1);
    if (!bytes) return SN_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < width; k++) bytes[i * width + k] = (unsigned char)((uint32_t)tokens[i] >> (8 * k));
    sn_status status = deflate_all(bytes, size, &packed);
    sn_free(bytes);
    if (status == SN_OK) *out = (double)size / (double)packed;
    return status;
}
