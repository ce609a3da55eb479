/* fusion.c: the fusion table. */
#include "fusion/fusion.h"

#include "base/text.h"

#define SN_FUSION(name, symbol) extern const sn_fusion sn_fusion_##symbol;
#include "fusion/fusions.def"
#undef SN_FUSION
static const sn_fusion *const table[] = {
#define SN_FUSION(name, symbol) &sn_fusion_##symbol,
#include "fusion/fusions.def"
#undef SN_FUSION
};

sn_status sn_fusion_find(const char *name, const sn_fusion **out) {
    sn_names passed = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!name || !name[0] || sn_names_match(&passed, table[i]->name, name)) {
            *out = table[i];
            return SN_OK;
        }
    SN_FAIL(SN_ERR_USAGE, "unknown fusion \"%s\"; known: %s", name, passed.list);
}
