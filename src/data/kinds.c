/* kinds.c: names of column kinds. */
#include "base/text.h"
#include "data/table.h"

static const char *const names[SN_KIND_COUNT] = {
#define SN_KIND_ROW(id, name) [SN_KIND_##id] = name,
#include "data/kinds.def"
#undef SN_KIND_ROW
};

const char *sn_kind_name(sn_kind kind) { return (unsigned)kind < SN_KIND_COUNT ? names[kind] : "unknown"; }

sn_status sn_kind_by_name(const char *name, sn_kind *out) {
    sn_names passed = {0};
    for (int k = 0; k < SN_KIND_COUNT; k++) {
        *out = (sn_kind)k;
        if (sn_names_match(&passed, names[k], name)) return SN_OK;
    }
    SN_FAIL(SN_ERR_USAGE, "unknown kind of column \"%s\"; there are: %s", name, passed.list);
}
