/* pipeline.c: opening a model's directory, and what every task does around its own part. */
#include "pipelines/pipeline.h"

#include <stdio.h>

#include "api/api.h"
#include "pipelines/work.h"
#include "text/utf8.h"

#define SN_PIPELINE(symbol) extern const sn_pipeline_task sn_pipeline_task_##symbol;
#include "pipelines/pipelines.def"
#undef SN_PIPELINE

const sn_pipeline_task *const sn_pipeline_tasks[] = {
#define SN_PIPELINE(symbol) &sn_pipeline_task_##symbol,
#include "pipelines/pipelines.def"
#undef SN_PIPELINE
    NULL};

sn_status sn_pipeline_task_find(const char *name, const sn_pipeline_task **out) {
    sn_names passed = {0};
    for (int i = 0; sn_pipeline_tasks[i]; i++) {
        *out = sn_pipeline_tasks[i];
        if (sn_names_match(&passed, (*out)->name, name)) return SN_OK;
    }
    SN_FAIL(SN_ERR_USAGE, "the task \"%s\" is not known; known are %s", name, passed.list);
}

bool sn_pipeline_accepts(const sn_pipeline *p, unsigned kinds) {
    return p->model && (sn_pretrained_page(p->model)->accepts & kinds) == kinds;
}

/* ---- one call ---- */

sn_status sn_item_text(const sn_item *item, const char **text, size_t *bytes) {
    if (!item->text) SN_FAIL(SN_ERR_USAGE, "a text is expected");
    *text = item->text;
    *bytes = item->bytes;
    size_t bad = sn_utf8_check(item->text, item->bytes);
    if (bad < item->bytes) SN_FAIL(SN_ERR_FORMAT, "the text is not UTF-8 at byte %zu", bad);
    return SN_OK;
}

sn_status sn_item_json(size_t i, json_t *object, char **text) {
    json_t *all = object ? json_pack("{s:I}", "item", (json_int_t)(i + 1)) : NULL;
    bool failed = !all || json_object_update(all, object);
    json_decref(object);
    if (!failed) return sn_json_text(all, text);
    json_decref(all);
    SN_FAIL(SN_ERR_MEMORY, "out of memory");
}

sn_status sn_call_give(sn_call *call, size_t i, json_t *result) {
    const sn_listener *l = call->listener;
    if (!result) SN_FAIL(SN_ERR_MEMORY, "out of memory");
    if (!l || !l->result) {
        json_decref(result);
        return SN_OK;
    }
    char *text;
    SN_TRY(sn_item_json(i, result, &text));
    int stop = l->result(l->context, text);
    sn_string_free(text);
    if (stop) SN_FAIL(SN_ERR_CANCELLED, "stopped by the caller at item %zu", i + 1);
    return SN_OK;
}

bool sn_call_batch_asked(const sn_call *call) { return json_object_get(call->options, "batch_size") != NULL; }

sn_status sn_call_item_failed(sn_call *call, size_t i, sn_status status) {
    if (status == SN_ERR_MEMORY || status == SN_ERR_CANCELLED || status == SN_ERR_BACKEND) return status;
    char message[1024], file[1024];
    (void)snprintf(message, sizeof message, "%s", sn_error_message());
    (void)snprintf(file, sizeof file, "%s", sn_error_file());
    if (call->first == SN_OK) {
        call->first = status;
        if (call->n > 1) (void)snprintf(call->why, sizeof call->why, "item %zu: %.990s", i + 1, message);
        else (void)snprintf(call->why, sizeof call->why, "%s", message);
        (void)snprintf(call->file, sizeof call->file, "%s", file);
    }
    json_t *text = json_string(message), *place = *file ? json_string(file) : json_null();
    if (!text) text = json_string("(a message that is not UTF-8)");
    if (!place) place = json_null();
    return sn_call_give(call, i, json_pack("{s:{s:s, s:o, s:o}}", "error", "code", sn_status_name(status), "message", text, "file", place));
}

sn_status sn_call_each(sn_call *call, sn_status (*one)(void *context, size_t i), void *context) {
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && i < call->n; i++) {
        status = one(context, i);
        if (status != SN_OK) status = sn_call_item_failed(call, i, status);
    }
    return status;
}

sn_status sn_pipeline_fits(const sn_pipeline *p, const sn_pipeline_task *task, bool *fits) {
    sn_error_clear();
    *fits = task->fits(p);
    return !*fits && sn_error_code() == SN_ERR_MEMORY ? SN_ERR_MEMORY : SN_OK;
}

sn_status sn_call_run(sn_call *call, const sn_pipeline_task *task) {
    const sn_pipeline *p = call->p;
    unsigned lacking = task->needs & ~p->has;
    if (lacking & SN_NEED_MODEL) SN_FAIL(SN_ERR_STATE, "%s was opened without its weights, for another task than %s", p->path, task->name);
    if (task->needs & SN_NEED_TOKENIZER && !p->tokenizer)
        SN_FAIL(SN_ERR_UNSUPPORTED, "%s has no tokenizer: tokenizer.json, vocab.txt or vocab.json with merges.txt", p->path);
    if (task->needs & SN_NEED_PICTURES && sn_pipeline_accepts(p, SN_IN_IMAGE) && !p->has_pictures)
        SN_FAIL(SN_ERR_UNSUPPORTED, "%s has no picture processor: preprocessor_config.json or processor_config.json", p->path);
    if (task->needs & SN_NEED_SOUND && !p->mel)
        SN_FAIL(SN_ERR_UNSUPPORTED, "%s has no sound processor: a model that takes sound, with preprocessor_config.json", p->path);
    bool fits;
    SN_TRY(sn_pipeline_fits(p, task, &fits));
    if (!fits)
        SN_FAIL(SN_ERR_UNSUPPORTED, "%s: a model of type %s cannot do %s", p->path, sn_pretrained_page(p->model)->model_type, task->name);
    if (call->n && !call->items) SN_FAIL(SN_ERR_USAGE, "no items");
    if (task->needs & SN_NEED_MODEL) SN_TRY(sn_work_take(p, &call->work));
    sn_status status = task->run(call);
    sn_work_give(p, call->work);
    call->work = NULL;
    if (status != SN_OK || call->first == SN_OK) return status;
    (void)sn_fail(call->first, "%s", call->why);
    return sn_fail_at(*call->file ? call->file : NULL, 0, NULL);
}
