/* config.c: a config file as the JSON text that the trainer takes: YAML by its name (.yaml, .yml), else JSON. */
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"

sn_status sn_config_read(const char *path, char **json) {
    json_t *tree = NULL;
    *json = NULL;
    if (sn_ends_with(path, ".yaml") || sn_ends_with(path, ".yml")) SN_TRY(sn_yaml_read(path, &tree));
    else SN_TRY(sn_json_read(path, &tree));
    char *text = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(tree);
    if (!text) SN_FAIL(SN_ERR_MEMORY, "no memory for the config file %s", path);
    *json = sn_strdup(text);
    free(text);
    return *json ? SN_OK : sn_error_code();
}
