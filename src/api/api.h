/* api.h: what the files of the public interface share: options and results as JSON text. Private to src/api and
 * src/pipelines. */
#ifndef SN_API_API_H
#define SN_API_API_H
#include "base/json.h"

/* The object of an options text (NULL or "": an empty one); keys that are not in `known` fail. */
sn_status sn_options_parse(const char *text, const char *const *known, json_t **out);
/* A whole number of `options` within [least, most]. */
sn_status sn_options_int(const json_t *options, const char *key, int64_t fallback, int64_t least, int64_t most, int64_t *out);
/* The tree as one line of text from the heap; takes the reference, also on failure. NULL counts as out of memory. */
sn_status sn_json_text(json_t *value, char **out);
#endif
