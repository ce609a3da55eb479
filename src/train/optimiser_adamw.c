/* optimiser_adamw.c: AdamW (Loshchilov and Hutter 2019) as torch.optim.AdamW: decay acts on the weight itself.
 *
 *   p -= rate decay p;   m += (1 - beta1)(g - m);   v = beta2 v + (1 - beta2) g^2
 *   p -= rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps) */
#include "train/optimiser_kind.h"

enum { SCALE, SHRINK, KEEP1, BETA2, KEEP2, ROOT, EPS, RATE };

static int needs(const sn_optimiser_options *o) {
    (void)o;
    return 2;
}

static void scalars(const sn_optimiser_options *o, int64_t step, double rate, double decay, float k[SN_SCALARS]) {
    double t = (double)step;
    k[SHRINK] = (float)(1.0 - rate * decay);
    k[KEEP1] = (float)(1.0 - o->beta1);
    k[BETA2] = (float)o->beta2;
    k[KEEP2] = (float)(1.0 - o->beta2);
    k[ROOT] = (float)(1.0 / sqrt(1.0 - pow(o->beta2, t)));
    k[EPS] = (float)o->eps;
    k[RATE] = (float)(rate / (1.0 - pow(o->beta1, t)));
}

SN_INLINE void update(const sn_span *s, bool shadow) {
    float *restrict p = s->p, *restrict m = s->m[0], *restrict v = s->m[1];
    const float *restrict g = s->g;
    uint16_t *restrict h = s->shadow;
    const float *k = s->k, scale = k[SCALE], shrink = k[SHRINK], keep1 = k[KEEP1], beta2 = k[BETA2], keep2 = k[KEEP2],
                root = k[ROOT], eps = k[EPS], rate = k[RATE];
#pragma omp simd
    for (size_t i = 0; i < s->n; i++) {
        float d = g[i] * scale, x = p[i] * shrink;
        float a = m[i] + keep1 * (d - m[i]), b = beta2 * v[i] + keep2 * d * d;
        x -= rate * (a / (sqrtf(b) * root + eps));
        m[i] = a;
        v[i] = b;
        p[i] = x;
        if (shadow) h[i] = sn_to_bf16(x);
    }
}

SN_INLINE void adamw(const sn_span *s) {
    if (s->shadow) update(s, true);
    else update(s, false);
}
SN_OPTIMISER_PASSES(adamw)

const sn_optimiser_kind sn_optimiser_adamw = {
    .name = "adamw",
    .defaults = {.kind = "adamw", .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01},
    .moments = {"exp_avg", "exp_avg_sq"},
    .needs = needs,
    .scalars = scalars,
    .pass = SN_OPTIMISER_PASS_TABLE(adamw),
};
