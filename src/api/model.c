/* model.c: loading, saving and describing a model through the public interface.
 *
 *   save: beside/NAME.PID.k.tmp/ {model.safetensors, config.json} -> synced -> renamed to NAME
 *
 * With overwrite the new directory changes places with the old one in one system call where the system has it, so
 * that at every moment NAME is a whole model: the old one or the new one. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "models/model_io.h"

/* ---- load ---- */

sn_status sn_model_load(const char *path, const char *options, sn_model **out) {
    static const char *const keys[] = {"threads", "precision", NULL};
    *out = NULL;
    json_t *given;
    int64_t threads;
    const char *precision;
    SN_TRY(sn_options_parse(options, keys, &given));
    sn_status status = sn_options_int(given, "threads", 0, 0, 1024, &threads);
    if (status == SN_OK) status = sn_json_string(given, "precision", "", &precision);
    if (status == SN_OK) status = sn_model_read(path, (int)threads, precision, out);
    json_decref(given);
    return status;
}

/* ---- save ---- */

static sn_status fail_path(sn_status code, const char *path, const char *why) {
    (void)sn_fail(code, "%s: %s", path, why);
    return sn_fail_at(path, 0, NULL);
}

static sn_status fail_system(const char *path, const char *verb) {
    (void)sn_fail(SN_ERR_IO, "%s: cannot %s: %s", path, verb, strerror(errno));
    return sn_fail_at(path, 0, NULL);
}

static sn_status sync_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_system(path, "open the directory");
    bool done = fsync(fd) == 0 || errno == EINVAL; /* some file systems cannot sync a directory */
    if (!done) (void)fail_system(path, "sync");
    (void)close(fd);
    return done ? SN_OK : SN_ERR_IO;
}

/* A new directory beside `path`; *out from the heap. */
static sn_status make_sibling(const char *path, char **out) {
    size_t room = strlen(path) + 48;
    char *name = sn_alloc(room, 1);
    *out = NULL;
    if (!name) return SN_ERR_MEMORY;
    for (int k = 0; k < 1000; k++) {
        (void)snprintf(name, room, "%s.%ld.%d.tmp", path, (long)getpid(), k);
        if (mkdir(name, 0777) == 0) {
            *out = name;
            return SN_OK;
        }
        if (errno != EEXIST) break;
    }
    (void)fail_system(name, "create the directory");
    sn_free(name);
    return SN_ERR_IO;
}

static bool is_empty(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return false;
    int entries = 0;
    while (entries < 3 && readdir(dir)) entries++; /* "." and ".." */
    (void)closedir(dir);
    return entries < 3;
}

/* Only a model or an empty directory may be replaced: a mistyped -o must not delete somebody's files. */
static sn_status check_replaceable(const char *path, int overwrite) {
    if (!overwrite) return fail_path(SN_ERR_USAGE, path, "exists already; with overwrite it is replaced");
    if (!sn_is_directory(path)) return fail_path(SN_ERR_USAGE, path, "is a file, not a model; it is not overwritten");
    if (is_empty(path)) return SN_OK;
    char *config_path = sn_path_join(path, "config.json");
    json_t *config = NULL;
    if (!config_path) return SN_ERR_MEMORY;
    sn_status status = sn_file_exists(config_path) ? sn_json_read(config_path, &config) : SN_ERR_IO;
    bool model = status == SN_OK && json_object_get(config, "model_type");
    json_decref(config);
    sn_free(config_path);
    if (status == SN_ERR_MEMORY) return status;
    if (!model) return fail_path(SN_ERR_USAGE, path, "is a directory without a model; it is not overwritten");
    return SN_OK;
}

/* `fresh` takes the place of `path`; where something was, it ends up under the name `fresh`. */
static sn_status swap_in(const char *fresh, const char *path) {
    if (!sn_file_exists(path)) return rename(fresh, path) ? fail_system(path, "rename into place") : SN_OK;
#ifdef RENAME_EXCHANGE
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) == 0) return SN_OK;
    if (errno != EINVAL && errno != ENOSYS) return fail_system(path, "rename into place");
#endif
    char *old; /* a file system without exchange: two renames */
    SN_TRY(make_sibling(path, &old));
    sn_status status = rename(path, old) ? fail_system(path, "move aside") : SN_OK;
    if (status == SN_OK && rename(fresh, path)) {
        status = fail_system(path, "rename into place");
        (void)rename(old, path);
    } else if (status == SN_OK && rename(old, fresh)) status = fail_system(old, "rename");
    sn_free(old);
    return status;
}

static sn_status save_as(const sn_model *m, const char *path, int overwrite) {
    char *parent = sn_path_parent(path), *fresh = NULL;
    sn_status status = parent ? sn_make_directory(parent) : SN_ERR_MEMORY;
    if (status == SN_OK && sn_file_exists(path)) status = check_replaceable(path, overwrite);
    if (status == SN_OK) status = make_sibling(path, &fresh);
    if (status == SN_OK) {
        status = sn_model_write(m, fresh);
        if (status == SN_OK) status = sync_directory(fresh);
        if (status == SN_OK) status = swap_in(fresh, path);
        if (status == SN_OK) status = sync_directory(parent);
        if (status == SN_OK) status = sn_remove_tree(fresh); /* the old model, if there was one */
        else {
            char why[1024]; /* removing must not hide what went wrong */
            (void)snprintf(why, sizeof why, "%s", sn_error_message());
            if (sn_remove_tree(fresh) != SN_OK) (void)sn_fail(status, "%s", why);
        }
    }
    sn_free(fresh);
    sn_free(parent);
    return status;
}

sn_status sn_model_save(const sn_model *m, const char *path, int overwrite) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--; /* "model/" is "model" */
    if (!n) SN_FAIL(SN_ERR_USAGE, "the model needs a path to be saved at");
    char *clean = sn_strndup(path, n);
    if (!clean) return SN_ERR_MEMORY;
    sn_status status = save_as(m, clean, overwrite);
    sn_free(clean);
    return status;
}

/* ---- describe ---- */

static json_t *describe_inputs(const sn_model *m) {
    json_t *list = json_array();
    for (int p = 0; list && p < m->n_parts; p++)
        for (int k = 0; k < m->parts[p].n_features; k++) {
            const sn_feature *f = m->inputs[m->parts[p].features[k]];
            (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", f->name, "kind", sn_kind_name(f->row->kind),
                                                        "part", m->parts[p].name, "encoder", m->parts[p].encoder->name));
        }
    return list;
}

static json_t *describe_targets(const sn_model *m) {
    json_t *list = json_array();
    for (int t = 0; list && t < m->n_targets; t++) {
        const sn_feature *f = m->targets[t].feature;
        json_t *item = json_pack("{s:s, s:s, s:s}", "name", f->name, "kind", sn_kind_name(f->row->kind), "task", m->targets[t].task->name);
        json_t *classes = json_object_get(f->options, "classes");
        if (classes) (void)json_object_set(item, "classes", classes);
        (void)json_array_append_new(list, item);
    }
    return list;
}

sn_status sn_model_describe(const sn_model *m, char **json) {
    json_int_t parameters = 0;
    *json = NULL;
    for (int i = 0; i < sn_params_count(m->params); i++) parameters += sn_shape_count(sn_params_shape(m->params, i));
    json_t *root = json_pack("{s:i, s:I, s:I, s:i, s:s, s:s, s:b, s:o, s:s, s:o}", "schema", 1, "parameters", parameters, "bytes",
                             parameters * (json_int_t)sizeof(float), "threads", m->threads, "precision",
                             m->precision ? m->precision : "auto", "isa", sn_isa_name(m->isa), "bf16", (int)m->bf16, "inputs",
                             describe_inputs(m), "fusion", m->fusion->name, "targets", describe_targets(m));
    if (root && m->trained) (void)json_object_set(root, "trained", m->trained);
    return sn_json_text(root, json);
}
