/* checkpoint.c: a run on disk, so that a killed process goes on to the same bytes.
 *
 *   <output>.training/trainer.json            config, progress, history, names of the three files below
 *                     weights-<step>.safetensors  moments-<step>.safetensors  best-<epoch>.safetensors
 *
 * The tensors are written first, under names of their own; trainer.json is replaced last, by rename; then the files
 * it no longer names are removed. Whatever instant the process dies in, trainer.json names whole files. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "models/tuning.h"
#include "params/weights.h"
#include "train/trainer.h"

char *sn_checkpoint_place(const char *output) {
    size_t n = strlen(output);
    while (n > 1 && output[n - 1] == '/') n--;
    char *place = sn_alloc(n + 16, 1);
    if (place) (void)snprintf(place, n + 16, "%.*s.training", (int)n, output);
    return place;
}

static sn_status in_work(const char *work, const char *file, char **out) {
    *out = sn_path_join(work, file);
    return *out ? SN_OK : SN_ERR_MEMORY;
}

/* What the run may change; the rest of a published encoder lies in its own directory. */
static bool moves(void *model, int i) { return !sn_model_given(model, i); }

/* Masters and best weights change places. */
static void exchange(sn_trainer *t) {
    sn_params *p = t->plan.model->params;
    for (int i = 0; i < sn_params_count(p); i++) {
        float *a = sn_params_data(p, i), *b = t->best + sn_params_offset(p, i);
        if (!moves(t->plan.model, i)) continue;
        for (int64_t k = 0; k < sn_shape_count(sn_params_shape(p, i)); k++) {
            float keep = a[k];
            a[k] = b[k];
            b[k] = keep;
        }
    }
}

/* The masters, or the best weights, which takes the masters' place for the time of writing. */
static sn_status save_weights(sn_trainer *t, const char *file, bool best) {
    char *path;
    sn_params *params = t->plan.model->params;
    SN_TRY(in_work(t->work, file, &path));
    if (best) exchange(t);
    sn_status status = sn_params_save_some(params, path, NULL, moves, t->plan.model);
    if (best) exchange(t);
    sn_free(path);
    return status;
}

static json_t *progress_json(const sn_progress *p) {
    json_t *j = json_pack("{s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:i, s:f}", "epoch", (json_int_t)p->epoch, "step_in_epoch",
                          (json_int_t)p->step_in_epoch, "step", (json_int_t)p->step, "loss_sum", p->loss_sum, "loss_weight",
                          p->loss_weight, "best_epoch", (json_int_t)p->best_epoch, "since_best", (json_int_t)p->since_best, "cuts",
                          p->cuts, "seconds", p->seconds);
    if (j && isfinite(p->best)) (void)json_object_set_new(j, "best", json_real(p->best));
    if (j && isfinite(p->lowest)) (void)json_object_set_new(j, "lowest", json_real(p->lowest));
    return j;
}

static void remove_others(const char *work, const char *const *keep, int n) {
    DIR *dir = opendir(work);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        bool named = e->d_name[0] == '.' || !strncmp(e->d_name, "frozen-", 7);
        for (int i = 0; i < n; i++) named |= !strcmp(keep[i], e->d_name);
        char *path = named ? NULL : sn_path_join(work, e->d_name);
        if (path) (void)unlink(path);
        sn_free(path);
    }
    (void)closedir(dir);
}

/* The config, with what was inferred from the machine: a resumed run keeps it on any other. */
static json_t *config_json(const sn_trainer *t) {
    json_t *config = json_copy(t->config);
    if (config && !json_object_get(config, "threads")) (void)json_object_set_new(config, "threads", json_integer(t->plan.model->threads));
    return config;
}

sn_status sn_checkpoint_write(sn_trainer *t) {
    char weights[64], moments[64], best[64] = "", *path, hash[32];
    (void)snprintf(weights, sizeof weights, "weights-%lld.safetensors", (long long)t->at.step);
    (void)snprintf(moments, sizeof moments, "moments-%lld.safetensors", (long long)t->at.step);
    (void)snprintf(hash, sizeof hash, "%016llx", (unsigned long long)t->data_hash);
    SN_TRY(save_weights(t, weights, false));
    SN_TRY(in_work(t->work, moments, &path));
    sn_status status = sn_optimiser_save(t->optimiser, path);
    sn_free(path);
    SN_TRY(status);
    if (t->best) {
        (void)snprintf(best, sizeof best, "best-%lld.safetensors", (long long)t->at.best_epoch);
        SN_TRY(in_work(t->work, best, &path));
        if (!sn_file_exists(path)) status = save_weights(t, best, true);
        sn_free(path);
        SN_TRY(status);
    }
    json_t *tree = json_pack("{s:i, s:s, s:o, s:o, s:O, s:s, s:s, s:s}", "schema", 1, "data", hash, "config", config_json(t), "progress",
                             progress_json(&t->at), "history", t->history, "weights", weights, "moments", moments, "best", best);
    json_t *anchor = json_array();
    for (int64_t i = 0; i < t->n_valid; i++) (void)json_array_append_new(anchor, json_real(t->anchor[i]));
    if (!tree || json_object_set_new(tree, "anchor", anchor)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    status = in_work(t->work, "trainer.json", &path);
    if (status == SN_OK) status = sn_json_write(path, tree);
    json_decref(tree);
    sn_free(path);
    const char *keep[] = {weights, moments, best, "trainer.json"};
    if (status == SN_OK) remove_others(t->work, keep, 4);
    return status;
}

/* trainer.json goes first, so that it never names files that are gone. */
sn_status sn_checkpoint_remove(const char *work) {
    char *path;
    SN_TRY(in_work(work, "trainer.json", &path));
    sn_status status = sn_remove_tree(path);
    sn_free(path);
    return status == SN_OK ? sn_remove_tree(work) : status;
}

sn_status sn_checkpoint_exists(const char *work, bool *out) {
    char *path;
    SN_TRY(in_work(work, "trainer.json", &path));
    *out = sn_file_exists(path);
    sn_free(path);
    return SN_OK;
}

static sn_status read_tree(const char *work, json_t **tree) {
    char *path;
    SN_TRY(in_work(work, "trainer.json", &path));
    sn_status status = sn_file_exists(path) ? sn_json_read(path, tree)
                                            : sn_fail(SN_ERR_USAGE, "%s: no unfinished run is there to resume", work);
    sn_free(path);
    return status;
}

sn_status sn_checkpoint_config(const char *work, json_t **config, uint64_t *data_hash) {
    json_t *tree, *inner;
    const char *hash;
    unsigned long long value = 0;
    SN_TRY(read_tree(work, &tree));
    sn_status status = sn_json_object(tree, "config", &inner);
    if (status == SN_OK) status = sn_json_string(tree, "data", "", &hash);
    if (status == SN_OK && (!inner || sscanf(hash, "%llx", &value) != 1)) status = sn_fail(SN_ERR_FORMAT, "%s/trainer.json: broken", work);
    if (status == SN_OK) *config = json_deep_copy(inner);
    *data_hash = value;
    json_decref(tree);
    return status == SN_OK && !*config ? SN_ERR_MEMORY : status;
}

static sn_status load_weights(sn_trainer *t, const char *file) {
    char *path;
    sn_weights *tensors = NULL;
    SN_TRY(in_work(t->work, file, &path));
    sn_status status = sn_weights_open(path, &tensors);
    if (status == SN_OK) status = sn_params_load_some(t->plan.model->params, tensors, moves, t->plan.model);
    sn_weights_free(tensors);
    sn_free(path);
    return status;
}

static sn_status read_progress(const json_t *j, sn_progress *p) {
    int64_t cuts;
    SN_TRY(sn_json_int(j, "epoch", 0, &p->epoch));
    SN_TRY(sn_json_int(j, "step_in_epoch", 0, &p->step_in_epoch));
    SN_TRY(sn_json_int(j, "step", 0, &p->step));
    SN_TRY(sn_json_number(j, "loss_sum", 0, &p->loss_sum));
    SN_TRY(sn_json_number(j, "loss_weight", 0, &p->loss_weight));
    SN_TRY(sn_json_number(j, "best", INFINITY, &p->best));
    SN_TRY(sn_json_number(j, "lowest", INFINITY, &p->lowest));
    SN_TRY(sn_json_int(j, "best_epoch", 0, &p->best_epoch));
    SN_TRY(sn_json_int(j, "since_best", 0, &p->since_best));
    SN_TRY(sn_json_int(j, "cuts", 0, &cuts));
    p->cuts = (int)cuts;
    return sn_json_number(j, "seconds", 0, &p->seconds);
}

static sn_status read_into(sn_trainer *t, const json_t *tree) {
    const char *weights, *moments, *best;
    json_t *progress, *history, *anchor;
    char *path;
    SN_TRY(sn_json_string(tree, "weights", "", &weights));
    SN_TRY(sn_json_string(tree, "moments", "", &moments));
    SN_TRY(sn_json_string(tree, "best", "", &best));
    SN_TRY(sn_json_object(tree, "progress", &progress));
    SN_TRY(sn_json_array(tree, "history", &history));
    SN_TRY(sn_json_array(tree, "anchor", &anchor));
    SN_TRY(read_progress(progress, &t->at));
    if ((int64_t)json_array_size(anchor) != t->n_valid) SN_FAIL(SN_ERR_FORMAT, "%s/trainer.json: broken", t->work);
    for (int64_t i = 0; i < t->n_valid; i++) t->anchor[i] = json_number_value(json_array_get(anchor, (size_t)i));
    if (history) {
        json_decref(t->history);
        t->history = json_deep_copy(history);
    }
    if (best[0]) {
        SN_TRY(load_weights(t, best));
        SN_TRY(sn_trainer_keep_best(t));
    }
    SN_TRY(load_weights(t, weights));
    SN_TRY(in_work(t->work, moments, &path));
    sn_status status = sn_optimiser_load(t->optimiser, path);
    sn_free(path);
    return status;
}

sn_status sn_checkpoint_read(sn_trainer *t) {
    json_t *tree;
    SN_TRY(read_tree(t->work, &tree));
    sn_status status = read_into(t, tree);
    json_decref(tree);
    return status;
}
