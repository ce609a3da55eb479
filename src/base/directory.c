/* directory.c: see directory.h.
 *
 *   beside/NAME.PID.k.tmp/ -> filled -> synced -> renamed to NAME
 *
 * With overwrite the new directory changes places with the old one in one system call where the system has it, so
 * that at every moment NAME is whole: the old one or the new one. */
#define _GNU_SOURCE
#include "base/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

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
static sn_status check_replaceable(const char *path, bool overwrite) {
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

static sn_status write_at(const char *path, bool overwrite, sn_directory_fill *fill, void *context) {
    char *parent = sn_path_parent(path), *fresh = NULL;
    sn_status status = parent ? sn_make_directory(parent) : SN_ERR_MEMORY;
    if (status == SN_OK && sn_file_exists(path)) status = check_replaceable(path, overwrite);
    if (status == SN_OK) status = make_sibling(path, &fresh);
    if (status == SN_OK) {
        status = fill(context, fresh);
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

sn_status sn_directory_write(const char *path, bool overwrite, sn_directory_fill *fill, void *context) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--; /* "model/" is "model" */
    if (!n) SN_FAIL(SN_ERR_USAGE, "the model needs a path to be saved at");
    char *clean = sn_strndup(path, n);
    if (!clean) return SN_ERR_MEMORY;
    sn_status status = write_at(clean, overwrite, fill, context);
    sn_free(clean);
    return status;
}
