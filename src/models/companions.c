/* companions.c: see companions.h. */
#include "models/companions.h"

#include <dirent.h>
#include <stdlib.h>

#include "params/weights.h"

#define ADAPTER "adapter_model.safetensors"

static bool is_described(const char *name) {
    static const char *const ends[] = {".json", ".txt", ".model", ".jinja", ".md", ".tiktoken", ".spm", "LICENSE", "NOTICE"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sn_ends_with(name, ends[i])) return true;
    return false;
}

/* The model's own weights are whoever's who calls; those of its adapters and modules are companions. */
static bool travels(const char *name, bool module) {
    if (name[0] == '.') return false;
    if (sn_weights_is_name(name)) return module || !strcmp(name, ADAPTER);
    return is_described(name);
}

/* "1_Pooling" */
static bool is_module(const char *name) {
    size_t digits = strspn(name, "0123456789");
    return digits && name[digits] == '_';
}

static int by_text(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }
static int all(const struct dirent *e) { return e->d_name[0] != '.'; }

typedef struct walk {
    const char *directory;
    sn_companion_fn *tell;
    void *context;
} walk;

static sn_status visit(const walk *w, const char *inner);

/* `name` in the folder `inner` of the directory ("": itself). */
static sn_status visit_one(const walk *w, const char *inner, const char *name) {
    char *relative = sn_path_join(inner, name), *path = relative ? sn_path_join(w->directory, relative) : NULL;
    sn_status status = path ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK && sn_is_directory(path)) {
        if (!*inner && is_module(name)) status = visit(w, name);
    } else if (status == SN_OK && travels(name, *inner)) {
        status = w->tell(w->context, relative);
    }
    sn_free(path);
    sn_free(relative);
    return status;
}

static sn_status visit(const walk *w, const char *inner) {
    struct dirent **list;
    char *folder = sn_path_join(w->directory, inner);
    if (!folder) return SN_ERR_MEMORY;
    int n = scandir(folder, &list, all, by_text);
    sn_status status = n < 0 ? sn_fail(SN_ERR_IO, "%s: cannot list the directory", folder) : SN_OK;
    for (int i = 0; i < n; i++) {
        if (status == SN_OK) status = visit_one(w, inner, list[i]->d_name);
        free(list[i]);
    }
    if (n >= 0) free(list);
    sn_free(folder);
    return status;
}

sn_status sn_companions_each(const char *directory, sn_companion_fn *tell, void *context) {
    const walk w = {directory, tell, context};
    return sn_is_directory(directory) ? visit(&w, "") : SN_OK;
}
