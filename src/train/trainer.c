/* trainer.c: the training loop.
 *
 *   for each epoch: rows in an order drawn from (seed, epoch)
 *     for each batch: forward and backward -> losses, gradients -> norm -> one commit
 *     validation -> best weights, learning-rate cuts, early stop -> checkpoint
 *
 * A step is a transaction: a loss or norm that is not finite commits nothing; the step is run again with a check
 * after every node, to name op and tensor. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/parallel.h"
#include "base/rng.h"
#include "models/goldens.h"
#include "models/tuning.h"
#include "train/trainer.h"

double sn_seconds(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int64_t sn_steps_per_epoch(const sn_trainer *t) { return (t->n_rows + t->plan.recipe.batch - 1) / t->plan.recipe.batch; }

/* ---- events ---- */

typedef struct listener {
    sn_event_fn *event;
    void *context;
    double last_progress;
} listener;

static void tell(sn_trainer *t, const listener *l, json_t *event) {
    char *text = event && l->event ? json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (text && l->event(l->context, text)) sn_trainer_stop(t);
    free(text);
    json_decref(event);
}

static void tell_progress(sn_trainer *t, listener *l, double rate, double started, int64_t steps_before) {
    double now = sn_seconds();
    if (now - l->last_progress < 0.2) return;
    l->last_progress = now;
    int64_t per_epoch = sn_steps_per_epoch(t), done = t->at.step - steps_before;
    int64_t left = t->plan.recipe.epochs * per_epoch - t->at.step;
    double loss = t->at.loss_weight > 0 ? t->at.loss_sum / t->at.loss_weight : 0;
    tell(t, l, json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "event", "progress", "epoch", (json_int_t)t->at.epoch + 1,
                         "epochs", (json_int_t)t->plan.recipe.epochs, "step", (json_int_t)t->at.step_in_epoch, "steps",
                         (json_int_t)per_epoch, "loss", loss, "learning_rate", rate, "seconds_left",
                         done > 0 ? (now - started) / (double)done * (double)left : 0.0));
}

/* ---- one step ---- */

static double scales_of(const sn_trainer *t, const sn_batch *b, double *scales) {
    double weight = 0;
    for (int k = 0; k < b->n_targets; k++) {
        scales[k] = b->divisors[k] > 0 ? t->plan.model->targets[k].weight / b->divisors[k] : 0;
        weight += b->divisors[k] > 0;
    }
    return weight;
}

/* Runs the step again with a check after every node; its error names op and tensor. */
static sn_status explain_failure(sn_trainer *t, const sn_batch *b, const double *scales, const sn_run_info *info, double loss, double norm, int bad) {
    double losses[SN_MAX_TARGETS];
    sn_status status = sn_exec_train(t->exec, b, scales, info, true, losses);
    if (status == SN_OK) {
        const char *name = bad >= 0 ? sn_params_name(t->plan.model->params, bad) : "?";
        (void)sn_fail(SN_ERR_NUMERIC, "the gradient of \"%s\" is not finite", name);
    }
    (void)sn_fail_in("epoch %lld, step %lld: loss %g, gradient norm %g; the last good weights are kept; a lower --learning-rate may help",
                     (long long)t->at.epoch + 1, (long long)t->at.step_in_epoch + 1, loss, norm);
    return SN_ERR_NUMERIC;
}

static sn_status one_step(sn_trainer *t, const sn_batch *b, double rate) {
    double scales[SN_MAX_TARGETS], losses[SN_MAX_TARGETS], loss = 0;
    sn_run_info info = {t->plan.recipe.seed, (uint64_t)t->at.step};
    double weight = scales_of(t, b, scales);
    SN_TRY(sn_exec_train(t->exec, b, scales, &info, false, losses));
    for (int k = 0; k < b->n_targets; k++) loss += losses[k] * scales[k];
    int bad = -1;
    double norm = sn_optimiser_norm(t->optimiser, 1.0, &bad);
    if (!isfinite(loss) || !isfinite(norm)) return explain_failure(t, b, scales, &info, loss, norm, bad);
    double clip = t->plan.recipe.clip > 0 && norm > t->plan.recipe.clip ? t->plan.recipe.clip / norm : 1.0;
    if (weight > 0) {
        sn_optimiser_commit(t->optimiser, rate, clip);
        sn_exec_commit_state(t->exec);
    }
    t->at.loss_sum += loss * (double)b->n;
    t->at.loss_weight += (double)b->n;
    t->at.step++;
    t->at.step_in_epoch++;
    return SN_OK;
}

/* ---- one epoch ---- */

static sn_status maybe_checkpoint(sn_trainer *t, bool now) {
    double clock = sn_seconds();
    if (!t->work || (!now && clock - t->checkpoint_at < t->plan.recipe.checkpoint_seconds)) return SN_OK;
    SN_TRY(sn_checkpoint_write(t));
    t->checkpoint_at = clock;
    return SN_OK;
}

static sn_status train_epoch(sn_trainer *t, listener *l, int64_t *order, double started, int64_t steps_before) {
    const sn_recipe *r = &t->plan.recipe;
    int64_t per_epoch = sn_steps_per_epoch(t), from = t->at.step_in_epoch * r->batch;
    memcpy(order, t->rows, (size_t)t->n_rows * sizeof *order);
    sn_rng_shuffle((sn_rng_key){r->seed, sn_hash("order", 5)}, (uint64_t)t->at.epoch, order, t->n_rows);
    sn_batch_spec spec = {.labels = true, .drop = r->modality_dropout, .seed = r->seed, .step = (uint64_t)t->at.step};
    sn_loader *loader;
    SN_TRY(sn_loader_create(t->data, order + from, t->n_rows - from, r->batch, &spec, &loader));
    sn_status status = SN_OK;
    sn_batch *b;
    while (status == SN_OK && !atomic_load(&t->stop) && (status = sn_loader_next(loader, &b)) == SN_OK && b) {
        double rate = sn_schedule_rate(&r->schedule, t->at.step, r->epochs * per_epoch, per_epoch, t->at.cuts);
        status = one_step(t, b, rate);
        sn_batch_free(b);
        if (status == SN_OK) tell_progress(t, l, rate, started, steps_before);
        if (status == SN_OK) status = maybe_checkpoint(t, false);
    }
    sn_loader_free(loader);
    return status;
}

/* The best weights are the latest whose loss is not above the lowest by more than one standard error of the paired
 * difference (the one-standard-error rule of Breiman et al. 1984): with few held-out rows the lowest is an accident,
 * and a schedule that anneals ends better than it was halfway. */
static bool better_enough(sn_trainer *t, double valid) {
    double sum = 0, squares = 0, n = (double)t->n_valid;
    if (valid < t->at.lowest) {
        t->at.lowest = valid;
        for (int64_t i = 0; i < t->n_valid; i++) t->anchor[i] = t->row_losses[i];
        return true;
    }
    if (t->n_valid < 2) return false;
    for (int64_t i = 0; i < t->n_valid; i++) {
        double d = t->row_losses[i] - t->anchor[i];
        sum += d;
        squares += d * d;
    }
    double variance = (squares - sum * sum / n) / (n - 1);
    return variance > 0 && sum / n <= sqrt(variance / n);
}

void sn_trainer_copy(const sn_trainer *t, float *to, const float *from) {
    const sn_params *p = t->plan.model->params;
    for (int i = 0; i < sn_params_count(p); i++) {
        size_t at = sn_params_offset(p, i);
        if (!sn_model_given(t->plan.model, i)) memcpy(to + at, from + at, (size_t)sn_shape_count(sn_params_shape(p, i)) * sizeof *to);
    }
}

sn_status sn_trainer_keep_best(sn_trainer *t) {
    if (!t->best) t->best = sn_pages(sn_params_total(t->plan.model->params) * sizeof(float));
    if (!t->best) return SN_ERR_MEMORY;
    sn_trainer_copy(t, t->best, sn_params_flat(t->plan.model->params));
    return SN_OK;
}

void sn_trainer_use_best(sn_trainer *t) {
    if (!t->best) return;
    sn_trainer_copy(t, sn_params_flat(t->plan.model->params), t->best);
    sn_params_changed(t->plan.model->params, false);
}

static sn_status end_epoch(sn_trainer *t, const listener *l, double seconds) {
    json_t *report = NULL;
    double train = t->at.loss_weight > 0 ? t->at.loss_sum / t->at.loss_weight : 0, valid = train;
    if (t->n_valid) {
        SN_TRY(sn_evaluate_rows(t->exec, t->valid_data, t->valid_rows, t->n_valid, t->plan.recipe.batch, 0, NULL,
                                t->row_losses, &report));
        valid = 0;
        for (int64_t i = 0; i < t->n_valid; i++) valid += t->row_losses[i] / (double)t->n_valid;
    }
    bool lower = valid < t->at.lowest, best = better_enough(t, valid);
    if (best) {
        t->at.best = valid;
        t->at.best_epoch = t->at.epoch + 1;
    }
    t->at.since_best = lower ? 0 : t->at.since_best + 1;
    if (!lower && t->plan.recipe.schedule.every > 0 && t->at.since_best % t->plan.recipe.schedule.every == 0) t->at.cuts++;
    json_t *event = json_pack("{s:s, s:I, s:f, s:{s:f}, s:f, s:b}", "event", "epoch", "epoch", (json_int_t)t->at.epoch + 1, "seconds",
                              seconds, "train", "loss", train, "learning_rate",
                              sn_schedule_rate(&t->plan.recipe.schedule, t->at.step - 1, t->plan.recipe.epochs * sn_steps_per_epoch(t),
                                               sn_steps_per_epoch(t), t->at.cuts), "best", (int)best);
    if (report) (void)json_object_set_new(event, "valid", json_pack("{s:f, s:O}", "loss", valid, "targets", json_object_get(report, "targets")));
    json_decref(report);
    (void)json_array_append(t->history, event);
    tell(t, l, event);
    if (best) tell(t, l, json_pack("{s:s, s:I, s:f}", "event", "best", "epoch", (json_int_t)t->at.epoch + 1, "loss", valid));
    t->at.epoch++;
    t->at.step_in_epoch = 0;
    t->at.loss_sum = t->at.loss_weight = 0;
    t->at.seconds += seconds;
    return best ? sn_trainer_keep_best(t) : SN_OK;
}

/* ---- the run ---- */

static json_t *start_event(const sn_trainer *t) {
    return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:i, s:s, s:O}", "event", "start", "schema", 1, "rows", (json_int_t)t->n_rows,
                     "valid_rows", (json_int_t)t->n_valid, "parameters", (json_int_t)sn_params_total(t->plan.model->params), "epoch",
                     (json_int_t)t->at.epoch + 1, "epochs", (json_int_t)t->plan.recipe.epochs, "threads", t->plan.model->threads, "precision",
                     t->plan.model->bf16 ? "bf16" : "f32", "notes", t->plan.notes);
}

/* A pure function of the progress, so that a run that goes on from its last checkpoint ends there too. */
static bool all_done(const sn_trainer *t, const char **reason) {
    if (t->at.step_in_epoch) return false;
    bool enough = t->plan.recipe.patience && t->at.since_best >= t->plan.recipe.patience;
    *reason = enough ? "no improvement" : "all epochs done";
    return enough || t->at.epoch >= t->plan.recipe.epochs;
}

typedef struct encode_listener {
    sn_trainer *t;
    listener *l;
} encode_listener;

static void tell_encoding(void *context, const char *column, int64_t done, int64_t all) {
    encode_listener *e = context;
    double now = sn_seconds();
    if (now - e->l->last_progress < 0.2) return;
    e->l->last_progress = now;
    tell(e->t, e->l, json_pack("{s:s, s:I, s:I, s:s, s:I, s:I}", "event", "progress", "epoch", (json_int_t)e->t->at.epoch + 1, "epochs",
                               (json_int_t)e->t->plan.recipe.epochs, "encoding", column, "step", (json_int_t)done, "steps", (json_int_t)all));
}

/* What is to be known before an epoch: which layers learn in it, and what frozen encoders say. */
static sn_status before_epoch(sn_trainer *t, listener *l) {
    encode_listener e = {t, l};
    SN_TRY(sn_model_tune(t->plan.model, t->at.epoch));
    return sn_trainer_encode(t, tell_encoding, &e);
}

static sn_status epochs(sn_trainer *t, listener *l, const char **reason) {
    int64_t *order = sn_alloc((size_t)t->n_rows, sizeof *order);
    double started = sn_seconds();
    int64_t steps_before = t->at.step;
    sn_status status = order ? SN_OK : SN_ERR_MEMORY;
    while (status == SN_OK && !all_done(t, reason) && !atomic_load(&t->stop)) {
        double begin = sn_seconds();
        status = before_epoch(t, l);
        if (status == SN_OK) status = train_epoch(t, l, order, started, steps_before);
        if (status != SN_OK || t->at.step_in_epoch < sn_steps_per_epoch(t)) break; /* failed or stopped */
        status = end_epoch(t, l, sn_seconds() - begin);
        if (status == SN_OK) status = maybe_checkpoint(t, true);
    }
    sn_free(order);
    return status;
}

static sn_status record(sn_trainer *t) {
    sn_model *m = t->plan.model;
    json_t *trained = json_pack("{s:I, s:I, s:I, s:f, s:I, s:o, s:O, s:O}", "rows", (json_int_t)t->n_rows, "valid_rows",
                                (json_int_t)t->n_valid, "steps", (json_int_t)t->at.step, "seconds", t->at.seconds, "best_epoch",
                                (json_int_t)t->at.best_epoch, "trainer", sn_recipe_to_json(&t->plan.recipe), "notes", t->plan.notes,
                                "history", t->history);
    if (!trained) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    json_decref(m->trained);
    m->trained = trained;
    int64_t n = t->n_valid ? t->n_valid : t->n_rows;
    return sn_goldens_make(m, t->n_valid ? t->valid_data : t->data, t->n_valid ? t->valid_rows : t->rows, n < 4 ? n : 4);
}

sn_status sn_trainer_write_model(sn_trainer *t) {
    SN_TRY(sn_model_merge(t->plan.model));
    SN_TRY(record(t));
    if (!t->output) return SN_OK;
    SN_TRY(sn_model_save(t->plan.model, t->output, 1));
    return sn_history_write(t->history, t->output);
}

static sn_status finish(sn_trainer *t, const listener *l, const char *reason) {
    t->finished = true;
    sn_trainer_use_best(t);
    SN_TRY(sn_trainer_write_model(t));
    if (t->work) SN_TRY(sn_checkpoint_remove(t->work));
    tell(t, l, json_pack("{s:s, s:s}", "event", "stop", "reason", reason));
    tell(t, l, json_pack("{s:s, s:I, s:I, s:f, s:f}", "event", "end", "epochs", (json_int_t)t->at.epoch, "best_epoch",
                         (json_int_t)t->at.best_epoch, "seconds", t->at.seconds, "loss", t->at.best));
    return SN_OK;
}

/* Stopped by the user: everything needed to go on is saved; the best weights so far become the model. */
static sn_status stopped(sn_trainer *t, const listener *l) {
    SN_TRY(maybe_checkpoint(t, true));
    if (t->best && t->output) {
        sn_trainer_use_best(t);
        SN_TRY(sn_trainer_write_model(t));
    }
    t->finished = true; /* its masters are the best weights now */
    tell(t, l, json_pack("{s:s, s:s}", "event", "stop", "reason", "stopped"));
    SN_FAIL(SN_ERR_CANCELLED, "stopped after %lld steps%s", (long long)t->at.step, t->work ? "; --resume goes on" : "");
}

/* A loss or gradient was not finite: keeps what was good, then reports the failure. */
static sn_status failed(sn_trainer *t) {
    char message[1024];
    (void)snprintf(message, sizeof message, "%s", sn_error_message());
    t->finished = true;
    SN_TRY(maybe_checkpoint(t, true));
    if (t->best) {
        sn_trainer_use_best(t);
        SN_TRY(sn_trainer_write_model(t));
    }
    SN_FAIL(SN_ERR_NUMERIC, "%s", message);
}

/* The checkpoint's place, and a first checkpoint, so that a run can be resumed whenever it is killed. */
static sn_status begin(sn_trainer *t) {
    t->checkpoint_at = sn_seconds();
    if (!t->work || t->begun) return SN_OK;
    SN_TRY(sn_checkpoint_remove(t->work));
    SN_TRY(sn_make_directory(t->work));
    sn_status status = maybe_checkpoint(t, true);
    if (status != SN_OK) (void)sn_checkpoint_remove(t->work); /* there is nothing to resume */
    t->begun = status == SN_OK;
    return status;
}

sn_status sn_trainer_run(sn_trainer *t, sn_event_fn *event, void *context) {
    if (t->finished) SN_FAIL(SN_ERR_STATE, "this training has ended");
    listener l = {event, context, 0};
    const char *reason = "";
    SN_TRY(begin(t));
    tell(t, &l, start_event(t));
    sn_status status = epochs(t, &l, &reason);
    if (status == SN_OK) return all_done(t, &reason) ? finish(t, &l, reason) : stopped(t, &l);
    return status == SN_ERR_NUMERIC ? failed(t) : status;
}

sn_status sn_trainer_config(const sn_trainer *t, char **json) {
    json_t *recipe = sn_recipe_to_json(&t->plan.recipe);
    json_t *tree = json_pack("{s:O, s:o, s:O}", "config", t->config, "trainer", recipe, "notes", t->plan.notes);
    char *text = tree ? json_dumps(tree, JSON_INDENT(2)) : NULL;
    json_decref(tree);
    if (!text) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    *json = sn_strdup(text);
    free(text);
    return *json ? SN_OK : SN_ERR_MEMORY;
}
