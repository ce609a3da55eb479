/* json.c: typed access to jansson trees, and files of them. */
#include "base/json.h"

#include <string.h>

enum { MOST_BYTES = 512 << 20 };

sn_status sn_json_parse(const char *name, const char *text, size_t bytes, json_t **out) {
    json_error_t error;
    *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (*out) return SN_OK;
    (void)sn_fail(SN_ERR_FORMAT, "%s: line %d, column %d: %s", name, error.line, error.column, error.text);
    return sn_fail_at(name, 0, NULL);
}

sn_status sn_json_read(const char *path, json_t **out) {
    *out = NULL;
    sn_bytes bytes;
    SN_TRY(sn_file_read(path, MOST_BYTES, &bytes));
    sn_status status = sn_json_parse(path, (const char *)bytes.data, bytes.size, out);
    sn_bytes_free(&bytes);
    return status;
}

sn_status sn_json_write(const char *path, const json_t *value) {
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY);
    if (!text) SN_FAIL(SN_ERR_MEMORY, "%s: out of memory while writing JSON", path);
    sn_buf buf = {0};
    sn_buf_puts(&buf, text);
    sn_buf_puts(&buf, "\n");
    free(text);
    sn_status status = sn_buf_check(&buf);
    if (status == SN_OK) status = sn_file_write(path, buf.data, buf.size);
    sn_buf_free(&buf);
    return status;
}

static const char *type_name(const json_t *value) {
    static const char *const names[] = {"an object", "a list", "a string", "a whole number",
                                        "a number",  "true",   "false",    "null"};
    return names[json_typeof(value)];
}

static sn_status wrong(const char *key, const char *expected, const json_t *found) {
    SN_FAIL(SN_ERR_FORMAT, "\"%s\": expected %s, found %s", key, expected, type_name(found));
}

static json_t *member(const json_t *object, const char *key) {
    json_t *found = json_object_get(object, key);
    return found && !json_is_null(found) ? found : NULL;
}

sn_status sn_json_int(const json_t *object, const char *key, int64_t fallback, int64_t *out) {
    const json_t *found = member(object, key);
    *out = fallback;
    if (!found) return SN_OK;
    if (!json_is_integer(found)) return wrong(key, "a whole number", found);
    *out = json_integer_value(found);
    return SN_OK;
}

sn_status sn_json_number(const json_t *object, const char *key, double fallback, double *out) {
    const json_t *found = member(object, key);
    *out = fallback;
    if (!found) return SN_OK;
    if (!json_is_number(found)) return wrong(key, "a number", found);
    *out = json_number_value(found);
    return SN_OK;
}

sn_status sn_json_bool(const json_t *object, const char *key, bool fallback, bool *out) {
    const json_t *found = member(object, key);
    *out = fallback;
    if (!found) return SN_OK;
    if (!json_is_boolean(found)) return wrong(key, "true or false", found);
    *out = json_is_true(found);
    return SN_OK;
}

sn_status sn_json_string(const json_t *object, const char *key, const char *fallback, const char **out) {
    const json_t *found = member(object, key);
    *out = fallback;
    if (!found) return SN_OK;
    if (!json_is_string(found)) return wrong(key, "a string", found);
    *out = json_string_value(found);
    return SN_OK;
}

sn_status sn_json_object(const json_t *object, const char *key, json_t **out) {
    *out = member(object, key);
    return *out && !json_is_object(*out) ? wrong(key, "an object", *out) : SN_OK;
}

sn_status sn_json_array(const json_t *object, const char *key, json_t **out) {
    *out = member(object, key);
    return *out && !json_is_array(*out) ? wrong(key, "a list", *out) : SN_OK;
}

sn_status sn_json_known_keys(const json_t *object, const char *where, const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        const char *nearest = NULL;
        int best = 4;
        bool found = false;
        for (const char *const *k = known; *k && !found; k++) {
            found = !strcmp(*k, key);
            int d = sn_edit_distance(*k, key);
            if (d < best) {
                best = d;
                nearest = *k;
            }
        }
        if (!found && nearest) SN_FAIL(SN_ERR_USAGE, "%s: unknown key \"%s\"; did you mean \"%s\"?", where, key, nearest);
        if (!found) SN_FAIL(SN_ERR_USAGE, "%s: unknown key \"%s\"", where, key);
    }
    return SN_OK;
}
