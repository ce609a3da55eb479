/* scores.c: passes over one row of scores (see scores.h). */
#include "generate/scores.h"

#include <math.h>

#include "base/wide.h"
#include "kernels/ref/vmath.h"

enum { LANES = 16, STRETCH = 4096, GROUP = 64 };

/* ---- sums and maxima ---- */

SN_WIDE static float largest(const float *x, int64_t n) {
    float lane[LANES], top = -INFINITY;
    int64_t i = 0;
    for (int k = 0; k < LANES; k++) lane[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] = x[i + k] > lane[k] ? x[i + k] : lane[k];
    for (int k = 0; k < LANES; k++) top = lane[k] > top ? lane[k] : top;
    for (; i < n; i++) top = x[i] > top ? x[i] : top;
    return top;
}

/* Sum of exp(x - shift) over at most STRETCH values; they are written to e where that is not NULL. */
SN_WIDE static double exp_stretch(const float *x, int64_t n, float shift, float *e) {
    float buffer[LANES], lane[LANES] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) buffer[k] = sn_vexp(x[i + k] - shift);
        for (int k = 0; k < LANES; k++) lane[k] += buffer[k];
        if (e)
            for (int k = 0; k < LANES; k++) e[i + k] = buffer[k];
    }
    for (; i < n; i++) {
        float y = sn_vexp(x[i] - shift);
        rest += y;
        if (e) e[i] = y;
    }
    double sum = (double)rest;
    for (int k = 0; k < LANES; k++) sum += (double)lane[k];
    return sum;
}

SN_WIDE static double sum_stretch(const float *x, int64_t n) {
    float lane[LANES] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] += x[i + k];
    for (; i < n; i++) rest += x[i];
    double sum = (double)rest;
    for (int k = 0; k < LANES; k++) sum += (double)lane[k];
    return sum;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

double sn_scores_log_sum(const float *x, int64_t n) {
    float top = largest(x, n);
    bool none = top <= -INFINITY;
    double sum = 0;
    for (int64_t i = 0; i < n; i += STRETCH) sum += exp_stretch(x + i, least(STRETCH, n - i), none ? 0 : top, NULL);
    return none && sum <= 0 ? -INFINITY : (double)top + log(sum);
}

SN_WIDE static void shift_by(float *x, int64_t n, float by) {
    for (int64_t i = 0; i < n; i++) x[i] -= by;
}

void sn_scores_shift(float *x, int64_t n, double log_sum) { shift_by(x, n, (float)log_sum); }

int64_t sn_scores_argmax(const float *x, int64_t n) {
    float top = largest(x, n);
    if (top <= -INFINITY) return -1;
    int64_t i = 0;
    while (x[i] < top || x[i] != x[i]) i++;
    return i;
}

float sn_scores_exp(const float *x, int64_t n, float *e) {
    float top = largest(x, n), shift = top <= -INFINITY ? 0 : top;
    for (int64_t i = 0; i < n; i += STRETCH) (void)exp_stretch(x + i, least(STRETCH, n - i), shift, e + i);
    return top;
}

double sn_scores_sum(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i += STRETCH) sum += sum_stretch(x + i, least(STRETCH, n - i));
    return sum;
}

int64_t sn_scores_draw(const float *e, int64_t n, double u) {
    double target = u * sn_scores_sum(e, n), before = 0;
    int64_t at = 0, last = -1;
    for (; at + STRETCH < n; at += STRETCH) { /* skip whole stretches */
        double sum = sum_stretch(e + at, STRETCH);
        if (before + sum > target) break;
        before += sum;
    }
    for (; at < n; at++) {
        if (!(e[at] > 0)) continue;
        last = at;
        before += (double)e[at];
        if (before > target) return at;
    }
    while (last < 0 && --n >= 0) /* rounding took the target beyond the sum */
        if (e[n] > 0) last = n;
    return last;
}

/* ---- selection ---- */

/* a comes after b: it is smaller, or equal and offered later. */
static bool after(sn_scored a, sn_scored b) { return a.score < b.score || (a.score <= b.score && a.index > b.index); }
static bool before_up(sn_scored a, sn_scored b) { return a.score > b.score || (a.score >= b.score && a.index > b.index); }

/* Puts `item` at place `at` of a heap of n or below it; less(a, b): a belongs nearer to the root. */
static void sift(sn_scored *items, int64_t n, int64_t at, sn_scored item, bool (*less)(sn_scored, sn_scored)) {
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && less(items[child + 1], items[child])) child++;
        if (!less(items[child], item)) break;
        items[at] = items[child];
    }
    items[at] = item;
}

static void drain(sn_scored *items, int64_t n, bool (*less)(sn_scored, sn_scored)) {
    for (; n > 1; n--) {
        sn_scored root = items[0];
        sift(items, n - 1, 0, items[n - 1], less);
        items[n - 1] = root;
    }
}

static void offer_one(sn_top *top, float score, int64_t index) {
    sn_scored item = {score, index};
    if (top->n < top->most) {
        top->items[top->n++] = item;
        if (top->n == top->most)
            for (int64_t i = top->n / 2; i-- > 0;) sift(top->items, top->n, i, top->items[i], after);
    } else if (score > top->items[0].score) {
        sift(top->items, top->n, 0, item, after);
    }
}

/* Whether one of GROUP scores is above the limit. */
SN_WIDE static bool any_above(const float *x, float add, float limit) {
    int found[LANES] = {0}, any = 0;
    for (int i = 0; i < GROUP; i += LANES)
        for (int k = 0; k < LANES; k++) found[k] |= x[i + k] + add > limit;
    for (int k = 0; k < LANES; k++) any |= found[k];
    return any != 0;
}

void sn_top_offer(sn_top *top, const float *x, int64_t n, float add, int64_t first) {
    if (top->most < 1) return;
    for (int64_t i = 0; i < n; i += GROUP) {
        bool whole = i + GROUP <= n;
        if (whole && top->n == top->most && !any_above(x + i, add, top->items[0].score)) continue;
        for (int64_t k = i; k < (whole ? i + GROUP : n); k++) offer_one(top, x[k] + add, first + k);
    }
}

void sn_top_sort(sn_top *top) {
    if (top->n < top->most)
        for (int64_t i = top->n / 2; i-- > 0;) sift(top->items, top->n, i, top->items[i], after);
    drain(top->items, top->n, after);
}

void sn_scored_sort_up(sn_scored *items, int64_t n) {
    for (int64_t i = n / 2; i-- > 0;) sift(items, n, i, items[i], before_up);
    drain(items, n, before_up);
}
