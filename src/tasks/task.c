/* task.c: the task table. */
#include "tasks/task.h"

#define SN_TASK(name, symbol) extern const sn_task sn_task_##symbol;
#include "tasks/tasks.def"
#undef SN_TASK
static const sn_task *const table[] = {
#define SN_TASK(name, symbol) &sn_task_##symbol,
#include "tasks/tasks.def"
#undef SN_TASK
};

sn_status sn_task_find(const char *name, sn_kind kind, const sn_task **out) {
    sn_names passed = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!(table[i]->kinds & 1u << kind)) continue;
        if (!name || !name[0] || sn_names_match(&passed, table[i]->name, name)) {
            *out = table[i];
            return SN_OK;
        }
    }
    if (passed.used) SN_FAIL(SN_ERR_USAGE, "a %s column cannot be predicted as \"%s\"; known: %s", sn_kind_name(kind), name, passed.list);
    SN_FAIL(SN_ERR_UNSUPPORTED, "a column of kind %s cannot be predicted; targets are category, binary, number and, for a published model that writes, text", sn_kind_name(kind));
}
