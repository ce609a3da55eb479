/* ranking.c: scores sorted once, then walked from the best down, one tie group after another.
 *
 * A row is one word: the score's bits, turned so that a better score is a smaller number, then a bit that says
 * positive. Three passes of radix sort order them: scoring a thousand classes sorts every row a thousand times. */
#include "tasks/ranking.h"

#include <math.h>
#include <string.h>

enum { DIGIT = 11, BUCKETS = 1 << DIGIT, PASSES = 3 };

struct sn_ranking {
    uint64_t *rows, *spare;
    size_t count;
    int64_t positives;
    bool undefined;
};

sn_status sn_ranking_create(int64_t most, sn_ranking **out) {
    sn_ranking *r = *out = sn_alloc(1, sizeof *r);
    if (!r) return SN_ERR_MEMORY;
    r->rows = sn_alloc((size_t)most, sizeof *r->rows);
    r->spare = sn_alloc((size_t)most, sizeof *r->spare);
    if (r->rows && r->spare) return SN_OK;
    sn_ranking_free(r);
    *out = NULL;
    return SN_ERR_MEMORY;
}

void sn_ranking_free(sn_ranking *r) {
    if (!r) return;
    sn_free(r->rows);
    sn_free(r->spare);
    sn_free(r);
}

void sn_ranking_clear(sn_ranking *r) {
    r->count = 0;
    r->positives = 0;
    r->undefined = false;
}

void sn_ranking_add(sn_ranking *r, float score, bool positive) {
    float x = score + 0.0f; /* -0 becomes 0: they are equal */
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint32_t up = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    r->rows[r->count++] = (uint64_t)~up << 1 | (positive ? 1 : 0);
    r->positives += positive;
    if (isnan(score)) r->undefined = true;
}

void sn_ranking_sort(sn_ranking *r) {
    for (int pass = 0; pass < PASSES; pass++) {
        int shift = 1 + pass * DIGIT;
        size_t starts[BUCKETS] = {0}, sum = 0;
        for (size_t i = 0; i < r->count; i++) starts[r->rows[i] >> shift & (BUCKETS - 1)]++;
        for (size_t b = 0; b < BUCKETS; b++) {
            size_t here = starts[b];
            starts[b] = sum;
            sum += here;
        }
        for (size_t i = 0; i < r->count; i++) r->spare[starts[r->rows[i] >> shift & (BUCKETS - 1)]++] = r->rows[i];
        uint64_t *keep = r->rows;
        r->rows = r->spare;
        r->spare = keep;
    }
}

/* Reads the tie group that begins at *at: how many positives and negatives it holds. */
static void next_group(const sn_ranking *r, size_t *at, double *positives, double *negatives) {
    uint64_t score = r->rows[*at] >> 1;
    *positives = *negatives = 0;
    for (; *at < r->count && r->rows[*at] >> 1 == score; ++*at) {
        if (r->rows[*at] & 1) *positives += 1;
        else *negatives += 1;
    }
}

double sn_ranking_roc_auc(const sn_ranking *r) {
    double all = (double)r->positives, others = (double)r->count - all, above = 0, pairs = 0, p, n;
    if (r->undefined || all <= 0 || others <= 0) return NAN;
    for (size_t at = 0; at < r->count; above += p) {
        next_group(r, &at, &p, &n);
        pairs += n * (above + p / 2);
    }
    return pairs / (all * others);
}

double sn_ranking_average_precision(const sn_ranking *r) {
    double all = (double)r->positives, hits = 0, seen = 0, sum = 0, p, n;
    if (r->undefined || all <= 0) return NAN;
    for (size_t at = 0; at < r->count;) {
        next_group(r, &at, &p, &n);
        hits += p;
        seen += p + n;
        sum += p / all * (hits / seen);
    }
    return sum;
}
