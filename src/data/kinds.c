/* kinds.c: names of column kinds. */
#include <stdio.h>
#include <string.h>

#include "data/table.h"

static const char *const names[SN_KIND_COUNT] = {
#define SN_KIND_ROW(id, name) [SN_KIND_##id] = name,
#include "data/kinds.def"
#undef SN_KIND_ROW
};

const char *sn_kind_name(sn_kind kind) { return (unsigned)kind < SN_KIND_COUNT ? names[kind] : "unknown"; }

sn_status sn_kind_by_name(const char *name, sn_kind *out) {
    char list[160] = "";
    size_t used = 0;
    for (int k = 0; k < SN_KIND_COUNT; k++) {
        if (!strcmp(names[k], name)) {
            *out = (sn_kind)k;
            return SN_OK;
        }
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", k ? ", " : "", names[k]);
    }
    SN_FAIL(SN_ERR_USAGE, "unknown kind of column \"%s\"; there are: %s", name, list);
}
