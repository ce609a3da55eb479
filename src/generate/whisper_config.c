/* whisper_config.c: generation_config.json and options -> sn_whisper. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "generate/whisper.h"

/* Keys that are Whisper's own; the others of the overrides are sn_generation's. */
static const char *const own_keys[] = {"language",  "task", "return_timestamps", "condition_on_prev_tokens", "temperature", "logprob_threshold",
                                       "compression_ratio_threshold", "no_speech_threshold"};

static const json_t *member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return value && !json_is_null(value) ? value : NULL;
}

/* The value of a key: the overrides', else the file's, else NULL. */
static const json_t *either(const json_t *overrides, const json_t *file, const char *name) {
    const json_t *value = member(overrides, name);
    return value ? value : member(file, name);
}

static sn_status read_token(const json_t *object, const char *name, int32_t *out) {
    int64_t id;
    SN_TRY(sn_json_int(object, name, -1, &id));
    if (id < -1 || id > INT32_MAX) SN_FAIL(SN_ERR_FORMAT, "\"%s\": expected a token id, found %lld", name, (long long)id);
    *out = (int32_t)id;
    return SN_OK;
}

/* ---- language and task ---- */

static sn_status read_languages(const json_t *file, sn_whisper *w) {
    json_t *map, *value;
    const char *key;
    SN_TRY(sn_json_object(file, "lang_to_id", &map));
    json_object_foreach(map, key, value) {
        size_t n = strlen(key);
        sn_language *l = &w->languages[w->n_languages];
        if (w->n_languages == SN_MOST_LANGUAGES) SN_FAIL(SN_ERR_UNSUPPORTED, "\"lang_to_id\": more than %d languages", SN_MOST_LANGUAGES);
        if (n < 5 || n - 4 >= sizeof l->code || strncmp(key, "<|", 2) || strcmp(key + n - 2, "|>"))
            SN_FAIL(SN_ERR_FORMAT, "\"lang_to_id\": expected keys such as \"<|en|>\", found \"%s\"", key);
        SN_TRY(read_token(map, key, &l->token));
        if (l->token < 0) SN_FAIL(SN_ERR_FORMAT, "\"lang_to_id\": \"%s\" has no token", key);
        memcpy(l->code, key + 2, n - 4);
        w->n_languages++;
    }
    return SN_OK;
}

/* The code of an English name; any other name itself. */
static const char *language_code(const char *name) {
    static const struct { const char *code, *name; } known[] = {
#define SN_LANGUAGE(code, name) {code, name},
#include "generate/whisper_languages.def"
#undef SN_LANGUAGE
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) return known[i].code;
    return name;
}

static sn_status unknown_language(const char *name, const sn_whisper *w) {
    sn_buf codes = {0};
    if (!w->n_languages) SN_FAIL(SN_ERR_USAGE, "\"language\": this model knows one language and is told none");
    for (int i = 0; i < w->n_languages; i++) sn_buf_printf(&codes, "%s%s", i ? ", " : "", w->languages[i].code);
    SN_TRY(sn_buf_check(&codes));
    sn_status status = sn_fail(SN_ERR_USAGE, "\"language\": the model has no language \"%.40s\"; it has %s, by these codes or their English names",
                               name, codes.data);
    sn_buf_free(&codes);
    return status;
}

/* "de", "<|de|>" or "German", as Transformers takes them. */
static sn_status find_language(const char *name, sn_whisper *w) {
    size_t n = strlen(name), skip = n > 4 && !strncmp(name, "<|", 2) && !strcmp(name + n - 2, "|>") ? 2 : 0;
    char folded[32] = "";
    n -= 2 * skip;
    if (n < sizeof folded)
        for (size_t i = 0; i < n; i++) folded[i] = (char)(name[skip + i] >= 'A' && name[skip + i] <= 'Z' ? name[skip + i] + 32 : name[skip + i]);
    const char *code = skip ? folded : language_code(folded);
    for (int i = 0; i < w->n_languages; i++)
        if (!strcmp(w->languages[i].code, code)) w->language = w->languages[i].token;
    return w->language < 0 ? unknown_language(name, w) : SN_OK;
}

static sn_status read_task(const json_t *file, const char *name, sn_whisper *w) {
    json_t *map;
    SN_TRY(sn_json_object(file, "task_to_id", &map));
    if (!map && name) SN_FAIL(SN_ERR_USAGE, "\"task\": this model has one task and is told none");
    if (!map) return SN_OK;
    if (!name && w->language < 0 && !w->n_languages) return SN_OK;
    SN_TRY(read_token(map, name ? name : "transcribe", &w->task));
    if (w->task < 0) SN_FAIL(SN_ERR_USAGE, "\"task\": the model has no task \"%s\"; there are transcribe and translate", name ? name : "transcribe");
    return SN_OK;
}

/* Old files say language and task as the prompt's second and third token; null: to be detected. */
static sn_status read_forced(const json_t *file, sn_whisper *w) {
    json_t *list;
    SN_TRY(sn_json_array(file, "forced_decoder_ids", &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i), *at = json_array_get(pair, 0), *id = json_array_get(pair, 1);
        if (!json_is_integer(at) || !(json_is_integer(id) || json_is_null(id)))
            SN_FAIL(SN_ERR_FORMAT, "\"forced_decoder_ids\": expected pairs of position and token");
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX) continue;
        int32_t token = (int32_t)json_integer_value(id);
        if (json_integer_value(at) == 1 && token != w->no_timestamps) w->language = token;
        if (json_integer_value(at) == 2 && token != w->no_timestamps) w->task = token;
    }
    return SN_OK;
}

static sn_status read_prompt(const json_t *file, const json_t *overrides, sn_whisper *w) {
    const char *language, *task;
    SN_TRY(sn_json_string(member(overrides, "language") ? overrides : file, "language", NULL, &language));
    SN_TRY(sn_json_string(member(overrides, "task") ? overrides : file, "task", NULL, &task));
    SN_TRY(read_languages(file, w));
    if (!language && !task) SN_TRY(read_forced(file, w));
    if (language) SN_TRY(find_language(language, w));
    return w->task < 0 ? read_task(file, task, w) : SN_OK;
}

/* ---- numbers ---- */

static sn_status read_temperatures(const json_t *value, sn_whisper *w) {
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    w->n_temperatures = 0;
    if (!value) {
        for (int i = 0; i < 6; i++) w->temperatures[w->n_temperatures++] = 0.2 * i;
        return SN_OK;
    }
    if (n < 1 || n > SN_MOST_TEMPERATURES) SN_FAIL(SN_ERR_FORMAT, "\"temperature\": expected 1 to %d numbers, found %zu", SN_MOST_TEMPERATURES, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        double t = json_number_value(one);
        if (!json_is_number(one) || t < 0 || t > 1e6) SN_FAIL(SN_ERR_FORMAT, "\"temperature\": expected numbers of 0 or more");
        w->temperatures[w->n_temperatures++] = t;
    }
    return SN_OK;
}

static sn_status read_numbers(const json_t *file, const json_t *overrides, sn_whisper *w) {
    SN_TRY(sn_json_number(member(overrides, own_keys[5]) ? overrides : file, own_keys[5], -1.0, &w->least_log_probability));
    SN_TRY(sn_json_number(member(overrides, own_keys[6]) ? overrides : file, own_keys[6], 1.35, &w->most_compression));
    SN_TRY(sn_json_number(member(overrides, own_keys[7]) ? overrides : file, own_keys[7], 0.6, &w->most_no_speech));
    SN_TRY(sn_json_bool(member(overrides, own_keys[2]) ? overrides : file, own_keys[2], false, &w->timestamps));
    SN_TRY(sn_json_bool(member(overrides, own_keys[3]) ? overrides : file, own_keys[3], false, &w->condition));
    if (json_is_array(member(file, "temperature")) || member(overrides, "temperature"))
        return read_temperatures(either(overrides, file, "temperature"), w);
    return read_temperatures(NULL, w);
}

static sn_status read_tokens(const json_t *file, sn_whisper *w) {
    SN_TRY(read_token(file, "no_timestamps_token_id", &w->no_timestamps));
    SN_TRY(read_token(file, "max_initial_timestamp_index", &w->most_first));
    SN_TRY(read_token(file, "prev_sot_token_id", &w->previous));
    const sn_generation *g = &w->generation;
    w->start = g->decoder_start;
    w->eos = g->n_eos ? g->eos[0] : -1;
    if (w->start < 0) SN_FAIL(SN_ERR_FORMAT, "\"decoder_start_token_id\": a transcription needs it");
    if (w->eos < 0) SN_FAIL(SN_ERR_FORMAT, "\"eos_token_id\": a transcription needs it");
    if (w->no_timestamps < 1) SN_FAIL(SN_ERR_FORMAT, "\"no_timestamps_token_id\": a transcription needs it");
    /* older files: the last but one of the suppressed tokens is "start of previous text" */
    if (w->previous < 0 && g->n_suppress >= 2) w->previous = g->suppress[g->n_suppress - 2];
    return SN_OK;
}

/* ---- all of it ---- */

static sn_status read_generation(const json_t *file, const json_t *config, const json_t *overrides, sn_whisper *w) {
    json_t *a = json_copy((json_t *)(uintptr_t)file), *b = json_copy((json_t *)(uintptr_t)overrides);
    sn_status status = SN_OK;
    if ((file && !a) || (overrides && !b)) status = sn_fail(SN_ERR_MEMORY, "out of memory while reading options");
    if (a) (void)json_object_del(a, "temperature"); /* each attempt sets its own */
    for (size_t i = 0; b && i < sizeof own_keys / sizeof *own_keys; i++) (void)json_object_del(b, own_keys[i]);
    if (status == SN_OK) status = sn_generation_read(a, config, b, &w->generation);
    json_decref(a);
    json_decref(b);
    return status;
}

sn_status sn_whisper_read(const json_t *generation, const json_t *config, const json_t *overrides, sn_whisper *out) {
    const json_t *file = generation ? generation : config;
    *out = (sn_whisper){.language = -1, .task = -1};
    SN_TRY(read_generation(generation, config, overrides, out));
    sn_status status = read_tokens(file, out);
    if (status == SN_OK) status = read_prompt(file, overrides, out);
    if (status == SN_OK) status = read_numbers(file, overrides, out);
    if (status == SN_OK && out->generation.num_return_sequences != 1)
        status = sn_fail(SN_ERR_USAGE, "\"num_return_sequences\": a transcription has one text");
    if (status != SN_OK) sn_whisper_free(out);
    return status;
}

void sn_whisper_free(sn_whisper *w) {
    if (!w) return;
    sn_generation_free(&w->generation);
    *w = (sn_whisper){0};
}
