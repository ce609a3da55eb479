/* optimiser_sgd.c: stochastic gradient descent as torch.optim.SGD, without dampening.
 *
 *   g += decay p;   with momentum: b = momentum b + g (b starts at 0, so the first b is g)
 *   p -= rate g   |   rate b   |   nesterov: rate (g + momentum b) */
#include "train/optimiser_kind.h"

enum { SCALE, DECAY, MOMENTUM, NESTEROV, RATE };

static int needs(const sn_optimiser_options *o) { return o->momentum > 0 ? 1 : 0; }

static void scalars(const sn_optimiser_options *o, int64_t step, double rate, double decay, float k[SN_SCALARS]) {
    (void)step;
    k[DECAY] = (float)decay;
    k[MOMENTUM] = (float)o->momentum;
    k[NESTEROV] = o->nesterov ? 1.0f : 0.0f;
    k[RATE] = (float)rate;
}

enum { PLAIN, HEAVY_BALL, NESTEROV_STEP };

SN_INLINE void update(const sn_span *s, int way, bool shadow) {
    float *restrict p = s->p, *restrict b = s->m[0];
    const float *restrict g = s->g;
    uint16_t *restrict h = s->shadow;
    const float *k = s->k, scale = k[SCALE], decay = k[DECAY], momentum = k[MOMENTUM], rate = k[RATE];
#pragma omp simd
    for (size_t i = 0; i < s->n; i++) {
        float x = p[i], d = g[i] * scale + decay * x, u = d;
        if (way != PLAIN) b[i] = u = momentum * b[i] + d;
        if (way == NESTEROV_STEP) u = d + momentum * u;
        x -= rate * u;
        p[i] = x;
        if (shadow) h[i] = sn_to_bf16(x);
    }
}

SN_INLINE void with_shadow(const sn_span *s, bool shadow) {
    if (!s->m[0]) update(s, PLAIN, shadow);
    else if (s->k[NESTEROV] != 0.0f) update(s, NESTEROV_STEP, shadow);
    else update(s, HEAVY_BALL, shadow);
}

SN_INLINE void sgd(const sn_span *s) {
    if (s->shadow) with_shadow(s, true);
    else with_shadow(s, false);
}
SN_OPTIMISER_PASSES(sgd)

const sn_optimiser_kind sn_optimiser_sgd = {
    .name = "sgd",
    .defaults = {.kind = "sgd"},
    .moments = {"momentum_buffer", NULL},
    .needs = needs,
    .scalars = scalars,
    .pass = SN_OPTIMISER_PASS_TABLE(sgd),
};
