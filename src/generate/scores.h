/* scores.h: arithmetic over the scores of one row of the vocabulary (up to some 250 000 floats): every pass is one
 * loop that compilers vectorise, and selections keep a small heap instead of sorting. -infinity marks a token that
 * cannot be chosen. Sums run over fixed lanes, so a result does not depend on the machine. */
#ifndef SN_GENERATE_SCORES_H
#define SN_GENERATE_SCORES_H
#include <stdbool.h>
#include <stdint.h>

/* log(sum(exp(x))): -infinity when all are; NaN when one is NaN or +infinity. */
double sn_scores_log_sum(const float *x, int64_t n);
/* x - log_sum, in place. */
void sn_scores_shift(float *x, int64_t n, double log_sum);
int64_t sn_scores_argmax(const float *x, int64_t n); /* the first of the largest; -1 when all are -infinity or n is 0 */
/* e = exp(x - largest); gives the largest (-infinity: e is all 0). */
float sn_scores_exp(const float *x, int64_t n, float *e);
double sn_scores_sum(const float *x, int64_t n);
/* The index at which the running sum of e (none negative) passes u * sum, 0 <= u < 1; never one with e = 0. */
int64_t sn_scores_draw(const float *e, int64_t n, double u);

typedef struct sn_scored {
    float score;
    int64_t index;
} sn_scored;
/* Keeps the `most` largest of all that is offered; of equal ones those offered first. */
typedef struct sn_top {
    sn_scored *items; /* the caller's, [most]: a heap with the smallest at [0] */
    int64_t most, n;
} sn_top;
/* Offers x[i] + add as index first + i; first must grow from call to call. */
void sn_top_offer(sn_top *top, const float *x, int64_t n, float add, int64_t first);
/* Orders items: largest first, of equal ones the lower index first. */
void sn_top_sort(sn_top *top);
/* Largest last, of equal ones the higher index last. */
void sn_scored_sort_up(sn_scored *items, int64_t n);
#endif
