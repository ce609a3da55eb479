/* table.c: opening a table through the public interface. */
#include "data/table.h"

#include "api/api.h"

sn_status sn_table_open(const char *path, const char *options, sn_table **out) {
    static const char *const keys[] = {"encoding", "media_root", "limit", NULL};
    *out = NULL;
    json_t *given;
    sn_table_options o = {0};
    SN_TRY(sn_options_parse(options, keys, &given));
    sn_status status = sn_json_string(given, "encoding", NULL, &o.encoding);
    if (status == SN_OK) status = sn_json_string(given, "media_root", NULL, &o.media_root);
    if (status == SN_OK) status = sn_options_int(given, "limit", 0, 0, INT64_MAX, &o.limit);
    if (o.media_root && !o.media_root[0]) o.media_root = NULL;
    if (o.encoding && !o.encoding[0]) o.encoding = NULL;
    if (status == SN_OK) status = sn_table_read(path, &o, out);
    json_decref(given);
    return status;
}
