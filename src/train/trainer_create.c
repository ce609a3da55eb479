/* trainer_create.c: a trainer from a table and a config, or from the checkpoint of a run that was stopped: the plan, the
 * rows to learn from and to validate on, the optimiser, the place for results. */
#include <math.h>
#include <stdio.h>

#include "base/parallel.h"
#include "base/rng.h"
#include "models/backbone.h"
#include "train/trainer.h"


/* Rows of `from` that are whole and have a target. */
static sn_status usable_rows(sn_trainer *t, const sn_dataset *d, const int64_t *from, int64_t n, int64_t **out, int64_t *count) {
    int64_t *rows = sn_alloc((size_t)n, sizeof *rows);
    if (!rows) return SN_ERR_MEMORY;
    *out = rows;
    *count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (sn_dataset_row_broken(d, from[i])) t->skipped++;
        else if (!sn_dataset_row_labelled(d, from[i])) t->unlabelled++;
        else rows[(*count)++] = from[i];
    }
    return SN_OK;
}

static sn_status open_data(sn_trainer *t) {
    const sn_split *s = &t->plan.split;
    sn_dataset_options o = {.targets = true, .skip_broken = t->plan.recipe.skip_broken, .threads = t->plan.model->threads};
    SN_TRY(sn_dataset_create(t->plan.model, t->table, &o, &t->data));
    SN_TRY(usable_rows(t, t->data, s->train, s->trains, &t->rows, &t->n_rows));
    if (t->n_rows < 2) SN_FAIL(SN_ERR_FORMAT, "%s: only %lld rows can be learned from", sn_table_path(t->table), (long long)t->n_rows);
    if (!t->valid_table) {
        t->valid_data = t->data;
        return usable_rows(t, t->data, s->valid, s->valids, &t->valid_rows, &t->n_valid);
    }
    SN_TRY(sn_dataset_create(t->plan.model, t->valid_table, &o, &t->valid_data));
    int64_t n = sn_table_rows(t->valid_table), *all = sn_alloc((size_t)n, sizeof *all);
    for (int64_t i = 0; all && i < n; i++) all[i] = i;
    sn_status status = all ? usable_rows(t, t->valid_data, all, n, &t->valid_rows, &t->n_valid) : SN_ERR_MEMORY;
    sn_free(all);
    return status;
}

static uint64_t hash_table(const sn_table *table) {
    uint64_t hash = (uint64_t)sn_table_rows(table);
    for (int64_t r = 0; r < sn_table_rows(table); r++)
        for (int c = 0; c < sn_table_columns(table); c++) {
            const char *cell = sn_table_cell(table, r, c);
            hash = sn_hash_add(hash, cell, strlen(cell));
        }
    return hash;
}

static sn_status choose_output(sn_trainer *t) {
    const char *output;
    SN_TRY(sn_json_string(t->config, "output", "", &output));
    SN_TRY(sn_json_bool(t->config, "overwrite", false, &t->overwrite));
    if (!output[0]) return SN_OK;
    t->output = sn_strdup(output);
    t->work = sn_checkpoint_place(output);
    return t->output && t->work ? SN_OK : SN_ERR_MEMORY;
}

static sn_status create(const sn_table *table, const sn_table *valid, json_t *config, sn_trainer **out) {
    sn_trainer *t = sn_alloc(1, sizeof *t);
    *out = t;
    if (!t) {
        json_decref(config);
        return SN_ERR_MEMORY;
    }
    t->table = table;
    t->valid_table = valid;
    t->config = config;
    t->history = json_array();
    t->at.best = t->at.lowest = INFINITY;
    if (!t->history) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    SN_TRY(choose_output(t));
    SN_TRY(sn_plan_make(config, table, valid, &t->plan));
    if (t->plan.model->n_targets > SN_MAX_TARGETS) SN_FAIL(SN_ERR_UNSUPPORTED, "more than %d targets", SN_MAX_TARGETS);
    SN_TRY(open_data(t));
    t->data_hash = hash_table(table) ^ (valid ? 31 * hash_table(valid) : 0);
    for (int p = 0; p < t->plan.model->n_parts; p++)
        if (t->plan.model->parts[p].backbone) t->data_hash = t->data_hash * 31 ^ sn_backbone_hash(t->plan.model->parts[p].backbone);
    if (t->skipped) sn_note(t->plan.notes, "%lld rows with broken cells are left out", (long long)t->skipped);
    if (t->unlabelled) sn_note(t->plan.notes, "%lld rows have no target and teach nothing", (long long)t->unlabelled);
    SN_TRY(sn_trainer_note_frozen(t));
    SN_TRY(sn_optimiser_create(&t->plan.recipe.optimiser, t->plan.model->params, t->plan.model->threads, &t->optimiser));
    t->row_losses = sn_alloc((size_t)t->n_valid, sizeof *t->row_losses);
    t->anchor = sn_alloc((size_t)t->n_valid, sizeof *t->anchor);
    if (!t->row_losses || !t->anchor) return SN_ERR_MEMORY;
    return sn_exec_create(t->plan.model, &t->exec);
}

static sn_status refuse_existing(const sn_trainer *t) {
    if (!t->output || t->overwrite) return SN_OK;
    if (sn_file_exists(t->output))
        SN_FAIL(SN_ERR_USAGE, "%s exists; --overwrite replaces it, --resume goes on where it stopped", t->output);
    if (!sn_file_exists(t->work)) return SN_OK;
    bool run;
    SN_TRY(sn_checkpoint_exists(t->work, &run));
    if (run) SN_FAIL(SN_ERR_USAGE, "%s holds an unfinished run; --resume goes on with it, --overwrite starts anew", t->work);
    SN_FAIL(SN_ERR_USAGE, "%s, where the checkpoints of this run belong, exists and holds no run; --overwrite replaces it", t->work);
}

sn_status sn_trainer_create(const sn_table *table, const sn_table *valid, const char *config, sn_trainer **out) {
    *out = NULL;
    json_t *tree;
    sn_trainer *t;
    const char *text = config && config[0] ? config : "{}";
    SN_TRY(sn_json_parse("config", text, strlen(text), &tree));
    sn_status status = create(table, valid, tree, &t);
    if (status == SN_OK) status = refuse_existing(t);
    if (status == SN_OK) *out = t;
    else sn_trainer_free(t);
    return status;
}

sn_status sn_trainer_resume(const sn_table *table, const sn_table *valid, const char *path, sn_trainer **out) {
    *out = NULL;
    json_t *config = NULL;
    sn_trainer *t = NULL;
    uint64_t hash = 0;
    char *work = sn_checkpoint_place(path);
    sn_status status = work ? sn_checkpoint_config(work, &config, &hash) : SN_ERR_MEMORY;
    sn_free(work);
    if (status == SN_OK && json_object_set_new(config, "output", json_string(path))) status = SN_ERR_MEMORY;
    if (status == SN_OK) status = create(table, valid, config, &t);
    if (status == SN_OK && t->data_hash != hash)
        status = sn_fail(SN_ERR_USAGE, "%s: the data, or the published encoders, are not those that the run in %s started with", sn_table_path(table), t->work);
    if (status == SN_OK) {
        t->overwrite = t->begun = true;
        status = sn_checkpoint_read(t);
    }
    if (status == SN_OK) *out = t;
    else sn_trainer_free(t);
    return status;
}

void sn_trainer_free(sn_trainer *t) {
    if (!t) return;
    sn_exec_free(t->exec);
    sn_optimiser_free(t->optimiser);
    if (t->valid_data != t->data) sn_dataset_free(t->valid_data);
    sn_dataset_free(t->data);
    sn_free(t->rows);
    sn_free(t->valid_rows);
    sn_free(t->row_losses);
    sn_free(t->anchor);
    if (t->best) sn_pages_free(t->best, sn_params_total(t->plan.model->params) * sizeof(float));
    sn_plan_free(&t->plan);
    json_decref(t->config);
    json_decref(t->history);
    sn_free(t->output);
    sn_free(t->work);
    sn_free(t);
}

void sn_trainer_stop(sn_trainer *t) { atomic_store(&t->stop, true); }
const sn_model *sn_trainer_model(const sn_trainer *t) { return t->plan.model; }
