/* schedule.c: the learning rate of a step, as a pure function of its number: nothing to save or resume.
 *
 *   constant    peak
 *   step        peak * decay^(epoch / every)                       torch's StepLR, by epochs
 *   cosine      peak * (1 + cos(pi * progress)) / 2                torch's CosineAnnealingLR, down to 0
 *   one_cycle   peak/25 up to peak, then down to peak/25/1e4       torch's OneCycleLR, cosine both ways
 *   plateau     peak * decay^cuts                                  the trainer counts the cuts
 *
 * Warm-up, for all but one_cycle, is linear from 0 at step 0 to the peak at step warmup_fraction * total;
 * cosine runs over the steps that remain. */
#include <float.h>
#include <math.h>

#include "train/optimiser.h"

enum uses { USES_DECAY = 1, USES_EVERY = 2, USES_RISE = 4 };

typedef struct moment {
    double step, total;   /* in steps */
    int64_t epoch;
    int cuts;
} moment;

static double constant(const sn_schedule_options *o, moment at) {
    (void)at;
    return o->learning_rate;
}

static double step(const sn_schedule_options *o, moment at) {
    return o->learning_rate * pow(o->decay, (double)(at.epoch / o->every));
}

static double plateau(const sn_schedule_options *o, moment at) {
    return o->learning_rate * pow(o->decay, (double)at.cuts);
}

/* From `a` at progress 0 to `b` at 1. */
static double anneal(double a, double b, double progress) { return b + (a - b) * (1.0 + cos(M_PI * progress)) / 2.0; }

static double warmup_steps(const sn_schedule_options *o, double total) { return round(o->warmup_fraction * total); }

static double cosine(const sn_schedule_options *o, moment at) {
    double start = warmup_steps(o, at.total);
    if (at.step <= start || at.total <= start) return o->learning_rate;
    return anneal(o->learning_rate, 0, (at.step - start) / (at.total - start));
}

static double one_cycle(const sn_schedule_options *o, moment at) {
    double top = o->rise * at.total - 1.0, last = at.total - 1.0, low = o->learning_rate / 25.0;
    if (at.step <= top && top > 0) return anneal(low, o->learning_rate, at.step / top);
    return anneal(o->learning_rate, low / 1e4, last > top ? (at.step - top) / (last - top) : 1.0);
}

static const struct schedule {
    const char *name;
    double (*rate)(const sn_schedule_options *, moment);
    unsigned uses;
} schedules[] = {
#define SN_SCHEDULE(id, uses) {#id, id, uses},
#include "train/schedules.def"
#undef SN_SCHEDULE
};

static const struct schedule *find_schedule(const char *kind, sn_names *passed) {
    for (size_t i = 0; i < sizeof schedules / sizeof schedules[0]; i++)
        if (sn_names_match(passed, schedules[i].name, kind)) return &schedules[i];
    return NULL;
}

sn_status sn_schedule_check(const sn_schedule_options *o) {
    sn_names passed = {0};
    const struct schedule *s = find_schedule(o->kind, &passed);
    if (!s) SN_FAIL(SN_ERR_USAGE, "unknown schedule \"%s\"; known are: %s", o->kind ? o->kind : "", passed.list);
    if (!(o->learning_rate > 0 && o->learning_rate <= (double)FLT_MAX))
        SN_FAIL(SN_ERR_USAGE, "learning rate is %g, it must be above 0 and a finite float", o->learning_rate);
    if (!(o->warmup_fraction >= 0 && o->warmup_fraction < 1))
        SN_FAIL(SN_ERR_USAGE, "warm-up is %g of all steps, it must be at least 0 and below 1", o->warmup_fraction);
    if (s->uses & USES_DECAY && !(o->decay > 0 && o->decay <= 1))
        SN_FAIL(SN_ERR_USAGE, "schedule %s: decay is %g, it must be above 0 and at most 1", s->name, o->decay);
    if (s->uses & USES_EVERY && o->every < 1)
        SN_FAIL(SN_ERR_USAGE, "schedule %s: every is %lld epochs, it must be at least 1", s->name, (long long)o->every);
    if (s->uses & USES_RISE && !(o->rise >= 0 && o->rise <= 1))
        SN_FAIL(SN_ERR_USAGE, "schedule %s: rise is %g of all steps, it must be 0 to 1", s->name, o->rise);
    return SN_OK;
}

double sn_schedule_rate(const sn_schedule_options *o, int64_t step_number, int64_t total, int64_t steps_per_epoch,
                        int cuts) {
    sn_names passed = {0};
    const struct schedule *s = find_schedule(o->kind, &passed);
    moment at = {(double)step_number, (double)total, steps_per_epoch > 0 ? step_number / steps_per_epoch : 0, cuts};
    double rate = s ? s->rate(o, at) : 0.0, warm = warmup_steps(o, at.total);
    bool own_rise = s && s->uses & USES_RISE;
    return !own_rise && at.step < warm ? rate * at.step / warm : rate;
}
