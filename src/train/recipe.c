/* recipe.c: the "trainer" block. Ludwig's words: epochs, batch_size, learning_rate, optimizer {type, …},
 * learning_rate_scheduler {type, …}, early_stop, gradient_clipping, seed. */
#include "train/recipe.h"

#include <stdarg.h>
#include <stdio.h>

void sn_recipe_free(sn_recipe *r) {
    sn_free(r->optimiser_kind);
    sn_free(r->schedule_kind);
    *r = (sn_recipe){0};
}

void sn_note(json_t *notes, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (notes) (void)json_array_append_new(notes, json_string(text));
}

/* `key` of the trainer block, unless the same short key stands at the top of the config (a flag). */
static sn_status read_number(const json_t *config, const json_t *block, const char *key, double fallback, double *out) {
    SN_TRY(sn_json_number(block, key, fallback, out));
    return sn_json_number(config, key, *out, out);
}
static sn_status read_int(const json_t *config, const json_t *block, const char *key, int64_t fallback, int64_t *out) {
    SN_TRY(sn_json_int(block, key, fallback, out));
    return sn_json_int(config, key, *out, out);
}

static sn_status read_optimiser(const json_t *block, sn_recipe *r) {
    static const char *const known[] = {"type", "momentum", "nesterov", "beta1", "beta2", "eps", "alpha", "weight_decay", NULL};
    json_t *o;
    const char *kind;
    SN_TRY(sn_json_object(block, "optimizer", &o));
    if (o) SN_TRY(sn_json_known_keys(o, "trainer.optimizer", known));
    SN_TRY(sn_json_string(o, "type", "adamw", &kind));
    SN_TRY(sn_optimiser_defaults(kind, &r->optimiser));
    r->optimiser_kind = sn_strdup(kind);
    if (!r->optimiser_kind) return SN_ERR_MEMORY;
    sn_optimiser_options *p = &r->optimiser;
    p->kind = r->optimiser_kind;
    SN_TRY(sn_json_number(o, "momentum", p->momentum, &p->momentum));
    SN_TRY(sn_json_bool(o, "nesterov", p->nesterov, &p->nesterov));
    SN_TRY(sn_json_number(o, "beta1", p->beta1, &p->beta1));
    SN_TRY(sn_json_number(o, "beta2", p->beta2, &p->beta2));
    SN_TRY(sn_json_number(o, "eps", p->eps, &p->eps));
    SN_TRY(sn_json_number(o, "alpha", p->alpha, &p->alpha));
    return sn_json_number(o, "weight_decay", p->weight_decay, &p->weight_decay);
}

static sn_status read_schedule(const json_t *block, sn_recipe *r) {
    static const char *const known[] = {"type", "warmup_fraction", "decay", "every", "rise", NULL};
    json_t *o;
    const char *kind;
    SN_TRY(sn_json_object(block, "learning_rate_scheduler", &o));
    if (o) SN_TRY(sn_json_known_keys(o, "trainer.learning_rate_scheduler", known));
    SN_TRY(sn_json_string(o, "type", "one_cycle", &kind));
    r->schedule_kind = sn_strdup(kind);
    if (!r->schedule_kind) return SN_ERR_MEMORY;
    sn_schedule_options *s = &r->schedule;
    s->kind = r->schedule_kind;
    SN_TRY(sn_json_number(o, "warmup_fraction", 0, &s->warmup_fraction));
    SN_TRY(sn_json_number(o, "decay", 0.1, &s->decay));
    SN_TRY(sn_json_int(o, "every", 5, &s->every));
    return sn_json_number(o, "rise", 0.3, &s->rise);
}

static sn_status check(const sn_recipe *r) {
    if (r->epochs < 1) SN_FAIL(SN_ERR_USAGE, "epochs must be at least 1");
    if (r->batch < 1) SN_FAIL(SN_ERR_USAGE, "batch_size must be at least 1");
    SN_TRY(sn_schedule_check(&r->schedule));
    if (!(r->modality_dropout >= 0) || r->modality_dropout >= 1) SN_FAIL(SN_ERR_USAGE, "modality_dropout must be in [0, 1)");
    if (!(r->clip >= 0)) SN_FAIL(SN_ERR_USAGE, "gradient_clipping must be at least 0");
    return SN_OK;
}

/* Enough steps to converge from scratch, few enough to wait for: about 2,000, but 6 to 30 epochs. */
static int64_t default_epochs(int64_t rows, int64_t batch) {
    int64_t steps = (rows + batch - 1) / batch, epochs = 2000 / (steps ? steps : 1);
    return epochs < 6 ? 6 : epochs > 30 ? 30 : epochs;
}

/* Of a published model that goes on learning to write: little, and its logits are large. */
enum { WRITER_BATCH = 8, WRITER_EPOCHS = 3 };

sn_status sn_recipe_read(const json_t *config, int64_t rows, const sn_model *m, sn_recipe *r, json_t *notes) {
    static const char *const known[] = {"epochs", "batch_size", "learning_rate", "optimizer", "learning_rate_scheduler",
                                        "early_stop", "gradient_clipping", "seed", "modality_dropout", "checkpoint_seconds", NULL};
    *r = (sn_recipe){0};
    json_t *block;
    int64_t seed;
    SN_TRY(sn_json_object(config, "trainer", &block));
    if (block) SN_TRY(sn_json_known_keys(block, "trainer", known));
    SN_TRY(read_optimiser(block, r));
    SN_TRY(read_schedule(block, r));
    SN_TRY(read_int(config, block, "batch_size", m->writes ? WRITER_BATCH : rows < 1500 ? 32 : rows < 200000 ? 64 : 128, &r->batch));
    SN_TRY(read_int(config, block, "epochs", m->writes ? WRITER_EPOCHS : default_epochs(rows, r->batch), &r->epochs));
    SN_TRY(read_number(config, block, "learning_rate", 3e-3, &r->schedule.learning_rate));
    SN_TRY(read_int(config, block, "seed", 1, &seed));
    r->seed = (uint64_t)seed;
    SN_TRY(sn_json_int(block, "early_stop", 0, &r->patience));
    SN_TRY(sn_json_number(block, "gradient_clipping", 5, &r->clip));
    SN_TRY(sn_json_number(block, "modality_dropout", m->n_parts > 1 ? 0.06 : 0, &r->modality_dropout));
    SN_TRY(sn_json_number(block, "checkpoint_seconds", 300, &r->checkpoint_seconds));
    SN_TRY(sn_json_bool(config, "skip_broken", false, &r->skip_broken));
    SN_TRY(check(r));
    sn_note(notes, "%lld epochs of %lld rows in batches of %lld; %s, learning rate %g (%s)", (long long)r->epochs,
            (long long)rows, (long long)r->batch, r->optimiser.kind, r->schedule.learning_rate, r->schedule.kind);
    return SN_OK;
}

json_t *sn_recipe_to_json(const sn_recipe *r) {
    return json_pack("{s:I, s:I, s:f, s:I, s:f, s:f, s:I, s:f, s:{s:s, s:f, s:b, s:f, s:f, s:f, s:f, s:f}, s:{s:s, s:f, s:f, s:I, s:f}}",
                     "epochs", (json_int_t)r->epochs, "batch_size", (json_int_t)r->batch, "learning_rate", r->schedule.learning_rate,
                     "early_stop", (json_int_t)r->patience, "gradient_clipping", r->clip, "modality_dropout", r->modality_dropout,
                     "seed", (json_int_t)r->seed, "checkpoint_seconds", r->checkpoint_seconds, "optimizer", "type",
                     r->optimiser.kind, "momentum", r->optimiser.momentum, "nesterov", (int)r->optimiser.nesterov, "beta1",
                     r->optimiser.beta1, "beta2", r->optimiser.beta2, "eps", r->optimiser.eps, "alpha", r->optimiser.alpha,
                     "weight_decay", r->optimiser.weight_decay, "learning_rate_scheduler", "type", r->schedule.kind,
                     "warmup_fraction", r->schedule.warmup_fraction, "decay", r->schedule.decay, "every",
                     (json_int_t)r->schedule.every, "rise", r->schedule.rise);
}
