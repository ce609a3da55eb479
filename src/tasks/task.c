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
    sn_buf known = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!(table[i]->kinds & 1u << kind)) continue;
        if (!name || !name[0] || !strcmp(table[i]->name, name)) {
            *out = table[i];
            sn_buf_free(&known);
            return SN_OK;
        }
        sn_buf_printf(&known, "%s%s", known.size ? ", " : "", table[i]->name);
    }
    if (known.size) (void)sn_fail(SN_ERR_USAGE, "a %s column cannot be predicted as \"%s\"; known: %s", sn_kind_name(kind), name, known.data);
    else (void)sn_fail(SN_ERR_UNSUPPORTED, "a column of kind %s cannot be predicted; targets are category, binary and number", sn_kind_name(kind));
    sn_buf_free(&known);
    return sn_error_code();
}
