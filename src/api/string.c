/* string.c: JSON text in and out of the public interface.
 *
 * Numbers are written with 9 digits: every 32-bit float is told apart from its neighbours, and 0.1 stays 0.1. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"

enum { DIGITS = 9 };

void sn_string_free(char *text) { sn_free(text); }

sn_status sn_options_parse(const char *text, const char *const *known, json_t **out) {
    *out = NULL;
    if (!text || !text[0]) {
        *out = json_object();
        return *out ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
    }
    json_t *options;
    sn_status status = sn_json_parse("options", text, strlen(text), &options);
    if (status == SN_ERR_FORMAT) return sn_fail(SN_ERR_USAGE, "%s", sn_error_message());
    SN_TRY(status);
    if (!json_is_object(options)) status = sn_fail(SN_ERR_USAGE, "options: expected an object");
    else status = sn_json_known_keys(options, "options", known);
    if (status == SN_OK) *out = options;
    else json_decref(options);
    return status;
}

sn_status sn_options_int(const json_t *options, const char *key, int64_t fallback, int64_t least, int64_t most, int64_t *out) {
    SN_TRY(sn_json_int(options, key, fallback, out));
    if (*out < least || *out > most)
        SN_FAIL(SN_ERR_USAGE, "\"%s\" must be %lld to %lld, not %lld", key, (long long)least, (long long)most, (long long)*out);
    return SN_OK;
}

sn_status sn_json_text(json_t *value, char **out) {
    *out = NULL;
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(value);
    if (!text) SN_FAIL(SN_ERR_MEMORY, "out of memory while writing JSON");
    *out = sn_strdup(text); /* so that all memory of ours comes from one place */
    free(text);
    return *out ? SN_OK : SN_ERR_MEMORY;
}
