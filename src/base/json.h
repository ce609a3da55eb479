/* json.h: configuration trees. jansson holds them; these calls add typed access with defaults, errors that
 * name the key, and reading from JSON or YAML files. */
#ifndef SN_BASE_JSON_H
#define SN_BASE_JSON_H
#include <jansson.h>

#include "base/file.h"

/* Parses text; `name` (a path) appears in errors with line and column. The caller json_decref()s *out. */
sn_status sn_json_parse(const char *name, const char *text, size_t bytes, json_t **out);
sn_status sn_json_read(const char *path, json_t **out);
sn_status sn_json_write(const char *path, const json_t *value); /* indented, keys in insertion order */
/* YAML's scalars, lists and maps as a JSON tree. Plain true, false, null, ~, whole and decimal numbers (1e-3 too)
 * are values; every other scalar is text: yes, no, on and off, 007, and all that stands in quotation marks.
 * Refused, with the line: anchors and aliases, tags but !!str, keys that are repeated or no text, several documents,
 * more than 64 levels. */
sn_status sn_yaml_read(const char *path, json_t **out);
sn_status sn_yaml_parse(const char *name, const char *text, size_t bytes, json_t **out);

/* Typed member with default; a present member of another type is an error that names `key`. */
sn_status sn_json_int(const json_t *object, const char *key, int64_t fallback, int64_t *out);
sn_status sn_json_number(const json_t *object, const char *key, double fallback, double *out);
sn_status sn_json_bool(const json_t *object, const char *key, bool fallback, bool *out);
sn_status sn_json_string(const json_t *object, const char *key, const char *fallback, const char **out);
/* An object or array member; NULL when absent. */
sn_status sn_json_object(const json_t *object, const char *key, json_t **out);
sn_status sn_json_array(const json_t *object, const char *key, json_t **out);
/* Fails on a key of `object` that is not in `known` (NULL-terminated), and proposes the nearest. */
sn_status sn_json_known_keys(const json_t *object, const char *where, const char *const *known);
#endif
