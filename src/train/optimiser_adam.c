/* optimiser_adam.c: Adam (Kingma and Ba 2015) as torch.optim.Adam, and AdamW (Loshchilov and Hutter 2019) as
 * torch.optim.AdamW. They differ in where the weight decay goes:
 *
 *   Adam: g += decay p     AdamW: p -= rate decay p
 *   m += (1 - beta1)(g - m);   v = beta2 v + (1 - beta2) g^2
 *   p -= rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps) */
#include "train/optimiser_kind.h"

enum { SCALE, DECAY /* AdamW: what is left of the weight */, KEEP1, BETA2, KEEP2, ROOT, EPS, RATE };

static int needs(const sn_optimiser_options *o) {
    (void)o;
    return 2;
}

static void scalars(const sn_optimiser_options *o, int64_t step, double rate, double decay, float k[SN_SCALARS]) {
    double t = (double)step;
    k[DECAY] = (float)decay;
    k[KEEP1] = (float)(1.0 - o->beta1);
    k[BETA2] = (float)o->beta2;
    k[KEEP2] = (float)(1.0 - o->beta2);
    k[ROOT] = (float)(1.0 / sqrt(1.0 - pow(o->beta2, t)));
    k[EPS] = (float)o->eps;
    k[RATE] = (float)(rate / (1.0 - pow(o->beta1, t)));
}

static void scalars_w(const sn_optimiser_options *o, int64_t step, double rate, double decay, float k[SN_SCALARS]) {
    scalars(o, step, rate, decay, k);
    k[DECAY] = (float)(1.0 - rate * decay);
}

SN_INLINE void update(const sn_span *s, bool weight, bool shadow) {
    float *restrict p = s->p, *restrict m = s->m[0], *restrict v = s->m[1];
    const float *restrict g = s->g;
    uint16_t *restrict h = s->shadow;
    const float *k = s->k, scale = k[SCALE], decay = k[DECAY], keep1 = k[KEEP1], beta2 = k[BETA2], keep2 = k[KEEP2],
                root = k[ROOT], eps = k[EPS], rate = k[RATE];
#pragma omp simd
    for (size_t i = 0; i < s->n; i++) {
        float x = weight ? p[i] * decay : p[i], d = weight ? g[i] * scale : g[i] * scale + decay * x;
        float a = m[i] + keep1 * (d - m[i]), b = beta2 * v[i] + keep2 * d * d;
        x -= rate * (a / (sqrtf(b) * root + eps));
        m[i] = a;
        v[i] = b;
        p[i] = x;
        if (shadow) h[i] = sn_to_bf16(x);
    }
}

SN_INLINE void adam(const sn_span *s) {
    if (s->shadow) update(s, false, true);
    else update(s, false, false);
}
SN_INLINE void adamw(const sn_span *s) {
    if (s->shadow) update(s, true, true);
    else update(s, true, false);
}
SN_OPTIMISER_PASSES(adam)
SN_OPTIMISER_PASSES(adamw)

const sn_optimiser_kind sn_optimiser_adam = {
    .name = "adam",
    .defaults = {.kind = "adam", .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
    .moments = {"exp_avg", "exp_avg_sq"},
    .needs = needs,
    .scalars = scalars,
    .pass = SN_OPTIMISER_PASS_TABLE(adam),
};

const sn_optimiser_kind sn_optimiser_adamw = {
    .name = "adamw",
    .defaults = {.kind = "adamw", .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01},
    .moments = {"exp_avg", "exp_avg_sq"},
    .needs = needs,
    .scalars = scalars_w,
    .pass = SN_OPTIMISER_PASS_TABLE(adamw),
};
