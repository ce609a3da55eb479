/* plan_writer.c: "model": a published model that writes texts learns from the table itself.
 *
 *   the directory -> which columns it reads (a picture, a sound, a question; a decoder alone: a prompt, if one is named),
 *   which one it writes (the target)
 *   its processors and tokenizer prepare them; the text gets the tokens that the model's own generation begins and ends
 *   with, so that what is learned is what is asked for later; with a prompt before it only the token that ends it
 *
 * The model then has one part, the writer, and the task "text". */
#include "base/hub.h"
#include "generate/whisper.h"
#include "models/backbone.h"
#include "models/tuning.h"
#include "train/plan_internal.h"

#define PLACE "writer" /* in the model's directory, below encoders/ */

static const sn_page_config *config_of(const sn_planner *p) { return sn_backbone_config(p->writer); }

/* ---- opening ---- */

/* What chooses among encoders and fusions means nothing here. */
static sn_status refuse_others(const json_t *config) {
    static const char *const others[] = {"image_encoder", "text_encoder", "audio_encoder", "encoders", "fusion", "combiner", "preset", "compare_solo", NULL};
    for (int i = 0; others[i]; i++) {
        const json_t *value = json_object_get(config, others[i]);
        if (value && !json_is_false(value))
            SN_FAIL(SN_ERR_USAGE, "\"model\" is a whole model; \"%s\" cannot stand beside it", others[i]);
    }
    return SN_OK;
}

sn_status sn_plan_writer(sn_planner *p) {
    const char *name;
    char *path = NULL;
    SN_TRY(sn_json_string(p->config, "model", NULL, &name));
    if (!name) return SN_OK;
    SN_TRY(refuse_others(p->config));
    sn_status status = sn_hub_find(name, &path);
    if (status == SN_OK) status = sn_backbone_open(path, SN_MOD_WRITER, true, &p->writer);
    if (status == SN_OK) sn_note(p->plan->notes, "the %s model in %s learns to write", config_of(p)->page->model_type, path);
    sn_free(path);
    return status;
}

/* ---- columns ---- */

/* Kinds of columns that the model reads, besides what it writes. */
static int kinds_read(const sn_planner *p, sn_kind kinds[3]) {
    const sn_page *page = config_of(p)->page;
    int n = 0;
    if (page->accepts & SN_IN_IMAGE) kinds[n++] = SN_KIND_IMAGE;
    if (page->accepts & SN_IN_SOUND) kinds[n++] = SN_KIND_AUDIO;
    if (sn_page_answers(page, sn_backbone_architecture(p->writer))) kinds[n++] = SN_KIND_TEXT;
    return n;
}

/* A decoder alone reads nothing else, so that a text among the inputs can only be what its own goes on from. */
static bool is_prompt(const sn_planner *p, int column) {
    sn_kind kinds[3];
    return p->is_input[column] && !kinds_read(p, kinds);
}

static bool has_prompt(const sn_planner *p) {
    for (int c = 0; c < p->n_columns; c++)
        if (is_prompt(p, c)) return true;
    return false;
}

/* What stands in a cell is a text where a text is wanted, whatever the column looks like: "yes" and "no" are words too. */
static bool read_as_text(sn_planner *p, int column) {
    static const unsigned words = 1u << SN_KIND_TEXT | 1u << SN_KIND_CATEGORY | 1u << SN_KIND_BINARY | 1u << SN_KIND_NUMBER;
    if (words >> p->kinds[column] & 1) p->kinds[column] = SN_KIND_TEXT;
    return p->kinds[column] == SN_KIND_TEXT;
}

/* The one input of this kind; where none is named, the table's only column of it. */
static sn_status choose_one(sn_planner *p, sn_kind kind, bool named) {
    int found = 0, last = -1;
    for (int c = 0; c < p->n_columns; c++) {
        bool asked = named ? p->is_input[c] : !p->is_target[c] && c != p->split_column && c != p->group_column && !p->is_excluded[c];
        if (!asked || (named && kind == SN_KIND_TEXT ? !read_as_text(p, c) : p->kinds[c] != kind)) continue;
        found++;
        last = c;
    }
    if (found == 1) {
        p->is_input[last] = true;
        return SN_OK;
    }
    SN_FAIL(SN_ERR_USAGE, "a model of type %s reads one %s column besides what it writes; %s; --inputs names it", config_of(p)->page->model_type,
            sn_kind_name(kind), found ? "there are several" : "there is none");
}

static sn_status check_target(sn_planner *p) {
    int targets = 0;
    for (int c = 0; c < p->n_columns; c++) {
        if (!p->is_target[c]) continue;
        if (!read_as_text(p, c))
            SN_FAIL(SN_ERR_USAGE, "the target \"%s\" is of kind %s; a model that writes needs a text", sn_table_column_name(p->table, c),
                    sn_kind_name(p->kinds[c]));
        targets++;
    }
    if (targets != 1) SN_FAIL(SN_ERR_USAGE, "a model that writes learns one target, not %d", targets);
    return SN_OK;
}

sn_status sn_plan_writer_roles(sn_planner *p, bool named) {
    sn_kind kinds[3];
    int n = kinds_read(p, kinds), chosen = 0;
    SN_TRY(check_target(p));
    if (!n && named) kinds[n++] = SN_KIND_TEXT; /* a prompt, only where it is asked for */
    for (int k = 0; k < n; k++) SN_TRY(choose_one(p, kinds[k], named));
    for (int c = 0; c < p->n_columns; c++) chosen += p->is_input[c];
    if (chosen != n) SN_FAIL(SN_ERR_USAGE, "a model of type %s reads %d column%s besides what it writes, not %d", config_of(p)->page->model_type, n, n == 1 ? "" : "s", chosen);
    return SN_OK;
}

/* ---- how the columns are prepared ---- */

/* The tokens that the model's own texts begin with, into a list, and the token that ends them. */
static sn_status add_speech_frame(const sn_planner *p, const json_t *generation, json_t *prefix, int32_t *end) {
    sn_whisper w;
    const json_t *language = json_object_get(p->config, "language");
    json_t *overrides = language ? json_pack("{s:O}", "language", language) : NULL;
    sn_status status = sn_whisper_read(generation, config_of(p)->json, overrides, &w);
    json_decref(overrides);
    SN_TRY(status);
    if (w.language < 0 && w.n_languages) {
        sn_whisper_free(&w);
        SN_FAIL(SN_ERR_USAGE, "which language is spoken? --language says it (the model knows several)");
    }
    const int32_t frame[] = {w.start, w.language, w.task, w.no_timestamps};
    for (int i = 0; i < 4; i++)
        if (frame[i] >= 0) (void)json_array_append_new(prefix, json_integer(frame[i]));
    *end = w.eos;
    sn_whisper_free(&w);
    return SN_OK;
}

static sn_status add_frame(const sn_planner *p, const json_t *generation, bool looks, json_t *prefix, int32_t *end) {
    sn_generation g;
    SN_TRY(sn_generation_read(generation, config_of(p)->json, NULL, &g));
    int32_t start = looks && g.decoder_start >= 0 ? g.decoder_start : g.bos;
    *end = g.n_eos ? g.eos[0] : -1;
    sn_generation_free(&g);
    if (start >= 0) (void)json_array_append_new(prefix, json_integer(start));
    else if (looks) SN_FAIL(SN_ERR_FORMAT, "%s: neither \"decoder_start_token_id\" nor \"bos_token_id\" is given", sn_backbone_directory(p->writer));
    return SN_OK;
}

static sn_status read_generation(const sn_planner *p, json_t **out) {
    const sn_page *page = config_of(p)->page;
    *out = NULL;
    if (page->generation) return page->generation(config_of(p), out);
    char *path;
    SN_TRY(sn_file_find(sn_backbone_directory(p->writer), "generation_config.json", &path));
    sn_status status = path ? sn_json_read(path, out) : SN_OK;
    sn_free(path);
    return status;
}

static sn_status describe_text(const sn_planner *p, int column, json_t *options) {
    enum { USUAL = 256 };
    sn_page_decoder shape;
    json_t *generation, *prefix = json_array();
    int32_t end = -1;
    int64_t longest;
    if (!prefix || json_object_set_new(options, "prefix", prefix)) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    bool prompted = has_prompt(p);
    SN_TRY(config_of(p)->page->decoder(config_of(p), &shape));
    SN_TRY(read_generation(p, &generation));
    sn_status status = config_of(p)->page->accepts & SN_IN_SOUND ? add_speech_frame(p, generation, prefix, &end)
                                                                 : add_frame(p, generation, shape.cross, prefix, &end);
    json_decref(generation);
    SN_TRY(status);
    if (prompted && (json_array_clear(prefix) || json_object_set_new(options, "prompted", json_true()))) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    int64_t most = shape.positions > 0 ? shape.positions : USUAL;
    SN_TRY(sn_json_int(p->config, "max_length", most < USUAL ? most : USUAL, &longest));
    SN_TRY(sn_json_int(options, "max_length", longest, &longest));
    if (shape.positions > 0 && longest > shape.positions)
        SN_FAIL(SN_ERR_USAGE, "\"max_length\" of \"%s\" is %lld; the model writes up to %lld tokens", sn_table_column_name(p->table, column),
                (long long)longest, (long long)shape.positions);
    if (json_object_set_new(options, "max_length", json_integer(longest)) || json_object_set_new(options, "end", json_integer(end)))
        SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

sn_status sn_plan_writer_processor(const sn_planner *p, int column, json_t *options) {
    char *place = sn_backbone_place_name(PLACE);
    bool failed = !place || json_object_set_new(options, "processor", json_string(place));
    sn_free(place);
    if (failed) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    if (p->is_target[column]) return describe_text(p, column, options);
    if (p->kinds[column] != SN_KIND_TEXT) return SN_OK;
    if (is_prompt(p, column)) return json_object_set_new(options, "prompt", json_true()) ? sn_fail(SN_ERR_MEMORY, "out of memory") : SN_OK;
    int64_t longest; /* a question */
    SN_TRY(sn_json_int(options, "max_length", sn_page_longest(config_of(p)), &longest));
    if (json_object_set_new(options, "max_length", json_integer(longest))) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    return SN_OK;
}

/* ---- the part ---- */

sn_status sn_plan_writer_part(sn_planner *p) {
    sn_part *part = &p->plan->model->parts[0];
    char *place = sn_backbone_place_name(PLACE);
    part->backbone = p->writer;
    p->writer = NULL;
    bool failed = !place || json_object_set_new(part->options, "directory", json_string(place));
    sn_free(place);
    if (failed) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    sn_tuning t;
    SN_TRY(sn_plan_tuning(p, part, part->options, "full", &t));
    if (sn_tuning_never(&t)) SN_FAIL(SN_ERR_USAGE, "\"tune\": a model that writes learns as a whole (full) or through adapters (lora)");
    return SN_OK;
}
