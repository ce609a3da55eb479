/* hub.c: see hub.h. */
#include "base/hub.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 200, REVISION_MOST = 4096 };

/* Letters, digits, "-", "_", "." and one "/": anything else is a path that does not exist. */
static bool is_hub_name(const char *name, size_t bytes) {
    int slashes = 0;
    if (!bytes || bytes > NAME_MOST) return false;
    for (size_t i = 0; i < bytes; i++) {
        bool first = !i || name[i - 1] == '/';
        if (name[i] == '/') slashes++;
        if (first && (name[i] == '.' || name[i] == '-' || name[i] == '/')) return false;
        if (name[i] == '.' && i + 1 < bytes && name[i + 1] == '.') return false;
        if (!strchr("-_./0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", name[i])) return false;
    }
    return slashes <= 1 && name[bytes - 1] != '/';
}

static sn_status cache_folder(char **out) {
    static const struct {
        const char *variable, *below;
    } places[] = {{"HF_HUB_CACHE", ""}, {"HUGGINGFACE_HUB_CACHE", ""}, {"HF_HOME", "hub"},
                  {"XDG_CACHE_HOME", "huggingface/hub"}, {"HOME", ".cache/huggingface/hub"}};
    *out = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *value = getenv(places[i].variable);
        if (!value || !value[0]) continue;
        *out = places[i].below[0] ? sn_path_join(value, places[i].below) : sn_strdup(value);
        return *out ? SN_OK : SN_ERR_MEMORY;
    }
    SN_FAIL(SN_ERR_IO, "HOME is not set, so there is no Hugging Face cache");
}

/* CACHE/models--ORG--NAME */
static sn_status model_folder(const char *cache, const char *name, size_t bytes, char **out) {
    sn_buf buf = {0};
    sn_buf_puts(&buf, cache);
    sn_buf_puts(&buf, "/models--");
    for (size_t i = 0; i < bytes; i++) sn_buf_add(&buf, name[i] == '/' ? "--" : &name[i], name[i] == '/' ? 2 : 1);
    *out = buf.data;
    sn_status status = sn_buf_check(&buf);
    if (status != SN_OK) sn_buf_free(&buf);
    return status;
}

/* The commit that refs/REVISION names; NULL where there is no such file. */
static sn_status read_ref(const char *folder, const char *revision, char **commit) {
    sn_buf path = {0};
    sn_bytes bytes = {0};
    sn_buf_printf(&path, "%s/refs/%s", folder, revision);
    sn_status status = sn_buf_check(&path);
    *commit = NULL;
    if (status == SN_OK && sn_file_exists(path.data)) {
        status = sn_file_read(path.data, REVISION_MOST, &bytes);
        size_t n = 0;
        while (n < bytes.size && bytes.data[n] > ' ') n++;
        if (status == SN_OK && !is_hub_name((const char *)bytes.data, n)) status = sn_fail(SN_ERR_FORMAT, "%s: names no commit", path.data);
        if (status == SN_OK && !(*commit = sn_strndup((const char *)bytes.data, n))) status = SN_ERR_MEMORY;
    }
    sn_bytes_free(&bytes);
    sn_buf_free(&path);
    return status;
}

/* SNAPSHOTS/<commit>, where the commit is what the revision refers to, or the revision itself. */
static sn_status snapshot_folder(const char *folder, const char *revision, char **out) {
    char *commit;
    sn_buf path = {0};
    SN_TRY(read_ref(folder, revision, &commit));
    sn_buf_printf(&path, "%s/snapshots/%s", folder, commit ? commit : revision);
    sn_free(commit);
    sn_status status = sn_buf_check(&path);
    *out = NULL;
    if (status == SN_OK && sn_is_directory(path.data)) *out = path.data;
    else sn_buf_free(&path);
    return status;
}

static sn_status not_there(const char *name, const char *cache, size_t bytes, const char *revision) {
    bool other = revision[0] && strcmp(revision, "main") != 0;
    (void)sn_fail(SN_ERR_IO, "%s: no such model or file here, and none in the Hugging Face cache %s; download it with \"hf download %.*s%s%s\"", name,
                  cache, (int)bytes, name, other ? " --revision " : "", other ? revision : "");
    return sn_fail_at(name, 0, NULL);
}

sn_status sn_hub_find(const char *name, char **path) {
    const char *at = strchr(name, '@'), *revision = at ? at + 1 : "main";
    size_t bytes = at ? (size_t)(at - name) : strlen(name);
    char *cache = NULL, *folder = NULL;
    *path = NULL;
    if (sn_file_exists(name)) {
        *path = sn_strdup(name);
        return *path ? SN_OK : SN_ERR_MEMORY;
    }
    if (!is_hub_name(name, bytes) || !is_hub_name(revision, strlen(revision))) {
        (void)sn_fail(SN_ERR_IO, "%s: there is no such model or file", name);
        return sn_fail_at(name, 0, NULL);
    }
    sn_status status = cache_folder(&cache);
    if (status == SN_OK) status = model_folder(cache, name, bytes, &folder);
    if (status == SN_OK) status = snapshot_folder(folder, revision, path);
    if (status == SN_OK && !*path) status = not_there(name, cache, bytes, revision);
    sn_free(folder);
    sn_free(cache);
    return status;
}
