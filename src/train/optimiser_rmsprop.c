/* optimiser_rmsprop.c: RMSprop as torch.optim.RMSprop, not centred; momentum as there.
 *
 *   g += decay p;   v = alpha v + (1 - alpha) g^2;   u = g / (sqrt(v) + eps)
 *   without momentum: p -= rate u;   with: b = momentum b + u, p -= rate b */
#include "train/optimiser_kind.h"

enum { SCALE, DECAY, ALPHA, KEEP, EPS, MOMENTUM, RATE };

static int needs(const sn_optimiser_options *o) { return o->momentum > 0 ? 2 : 1; }

static void scalars(const sn_optimiser_options *o, int64_t step, double rate, double decay, float k[SN_SCALARS]) {
    (void)step;
    k[DECAY] = (float)decay;
    k[ALPHA] = (float)o->alpha;
    k[KEEP] = (float)(1.0 - o->alpha);
    k[EPS] = (float)o->eps;
    k[MOMENTUM] = (float)o->momentum;
    k[RATE] = (float)rate;
}

SN_INLINE void update(const sn_span *s, bool momentum, bool shadow) {
    float *restrict p = s->p, *restrict v = s->m[0], *restrict b = s->m[1];
    const float *restrict g = s->g;
    uint16_t *restrict h = s->shadow;
    const float *k = s->k, scale = k[SCALE], decay = k[DECAY], alpha = k[ALPHA], keep = k[KEEP], eps = k[EPS],
                keep_b = k[MOMENTUM], rate = k[RATE];
#pragma omp simd
    for (size_t i = 0; i < s->n; i++) {
        float x = p[i], d = g[i] * scale + decay * x;
        float w = alpha * v[i] + keep * d * d;
        float u = d / (sqrtf(w) + eps);
        v[i] = w;
        if (momentum) b[i] = u = keep_b * b[i] + u;
        x -= rate * u;
        p[i] = x;
        if (shadow) h[i] = sn_to_bf16(x);
    }
}

SN_INLINE void rmsprop(const sn_span *s) {
    if (s->m[1]) {
        if (s->shadow) update(s, true, true);
        else update(s, true, false);
    } else {
        if (s->shadow) update(s, false, true);
        else update(s, false, false);
    }
}
SN_OPTIMISER_PASSES(rmsprop)

const sn_optimiser_kind sn_optimiser_rmsprop = {
    .name = "rmsprop",
    .defaults = {.kind = "rmsprop", .alpha = 0.99, .eps = 1e-8},
    .moments = {"square_avg", "momentum_buffer"},
    .needs = needs,
    .scalars = scalars,
    .pass = SN_OPTIMISER_PASS_TABLE(rmsprop),
};
