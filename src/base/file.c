/* file.c: reading, mapping, and write-sync-rename. */
#define _GNU_SOURCE
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static sn_status fail_path(const char *path, const char *verb) {
    int why = errno;
    (void)sn_fail(SN_ERR_IO, "%s: cannot %s: %s", path, verb, strerror(why));
    return sn_fail_at(path, 0, NULL);
}

static sn_status open_regular(const char *path, int *fd, size_t *size) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return fail_path(path, "open");
    struct stat st;
    if (fstat(*fd, &st) || !S_ISREG(st.st_mode)) {
        (void)close(*fd);
        *fd = -1;
        (void)sn_fail(SN_ERR_IO, "%s: not a regular file", path);
        return sn_fail_at(path, 0, NULL);
    }
    *size = (size_t)st.st_size;
    return SN_OK;
}

sn_status sn_file_read(const char *path, size_t most, sn_bytes *out) {
    *out = (sn_bytes){0};
    int fd;
    size_t size;
    SN_TRY(open_regular(path, &fd, &size));
    if (size > most) {
        (void)close(fd);
        (void)sn_fail(SN_ERR_FORMAT, "%s: %zu bytes, more than the %zu allowed here", path, size, most);
        return sn_fail_at(path, 0, NULL);
    }
    unsigned char *data = sn_alloc(size + 1, 1);
    if (!data) {
        (void)close(fd);
        return SN_ERR_MEMORY;
    }
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, data + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            sn_status status = fail_path(path, "read");
            (void)close(fd);
            sn_free(data);
            return status;
        }
        if (got == 0) break;
        done += (size_t)got;
    }
    (void)close(fd);
    *out = (sn_bytes){data, done, false};
    return SN_OK;
}

sn_status sn_file_map_open(const char *path, sn_bytes *out, int *fd) {
    *out = (sn_bytes){0};
    size_t size;
    SN_TRY(open_regular(path, fd, &size));
    void *data = NULL;
    if (size) data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, *fd, 0);
    if (data != MAP_FAILED) {
        *out = (sn_bytes){data, size, true};
        return SN_OK;
    }
    sn_status status = fail_path(path, "map");
    sn_file_close(*fd);
    *fd = -1;
    return status;
}

void sn_file_close(int fd) {
    if (fd >= 0) (void)close(fd);
}

sn_status sn_file_map(const char *path, sn_bytes *out) {
    int fd;
    SN_TRY(sn_file_map_open(path, out, &fd));
    sn_file_close(fd);
    return SN_OK;
}

sn_status sn_file_part_read(const sn_file_part *part, uint64_t from, size_t size, void *out) {
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(part->fd, (char *)out + done, size - done, (off_t)(part->at + from + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_path(part->path, "read");
        if (!got) {
            (void)sn_fail(SN_ERR_IO, "%s: the file ends before byte %llu, which was there when it was opened", part->path,
                          (unsigned long long)(part->at + from + size));
            return sn_fail_at(part->path, 0, NULL);
        }
        done += (size_t)got;
    }
    return SN_OK;
}

void sn_bytes_free(sn_bytes *bytes) {
    if (bytes->mapped && bytes->data) (void)munmap((void *)(uintptr_t)bytes->data, bytes->size);
    if (!bytes->mapped) sn_free((void *)(uintptr_t)bytes->data);
    *bytes = (sn_bytes){0};
}

/* One page that is read maps its neighbours in the page cache too, at most as much as one entry of the page table's next
 * level covers: measured, 64 KB or 2 MB at once. */
enum { AROUND = 2 << 20 };

void sn_bytes_forget(const sn_bytes *bytes, const void *from, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)bytes->data, end = start + bytes->size, at = (uintptr_t)from;
    if (!bytes->mapped || at < start || at >= end) return;
    if (size > end - at) size = end - at;
    uintptr_t first = at - start > AROUND ? (at - AROUND) / page * page : start;
    uintptr_t last = end - at - size > AROUND ? at + size + AROUND : end;
    (void)madvise((void *)first, last - first, MADV_DONTNEED);
}

struct sn_writer {
    int fd;
    char *path, *part;
};

static void writer_free(sn_writer *writer) {
    if (writer->fd >= 0) (void)close(writer->fd);
    sn_free(writer->path);
    sn_free(writer->part);
    sn_free(writer);
}

sn_status sn_writer_open(const char *path, sn_writer **out) {
    *out = NULL;
    sn_writer *writer = sn_alloc(1, sizeof *writer);
    if (!writer) return SN_ERR_MEMORY;
    writer->fd = -1;
    size_t size = strlen(path) + 32;
    writer->path = sn_strdup(path);
    writer->part = sn_alloc(size, 1);
    if (!writer->path || !writer->part) {
        writer_free(writer);
        return SN_ERR_MEMORY;
    }
    (void)snprintf(writer->part, size, "%s.part-%ld", path, (long)getpid());
    writer->fd = open(writer->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->fd < 0) {
        sn_status status = fail_path(path, "write");
        writer_free(writer);
        return status;
    }
    *out = writer;
    return SN_OK;
}

sn_status sn_writer_add(sn_writer *writer, const void *bytes, size_t size) {
    const char *from = bytes;
    while (size) {
        ssize_t done = write(writer->fd, from, size < (1u << 30) ? size : (1u << 30));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail_path(writer->path, "write");
        from += done;
        size -= (size_t)done;
    }
    return SN_OK;
}

void sn_writer_abandon(sn_writer *writer) {
    if (!writer) return;
    (void)unlink(writer->part);
    writer_free(writer);
}

static void sync_parent(const char *path) {
    char *parent = sn_path_parent(path);
    int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    sn_free(parent);
}

sn_status sn_writer_commit(sn_writer *writer) {
    sn_status status = SN_OK;
    if (fsync(writer->fd)) status = fail_path(writer->path, "sync");
    int fd = writer->fd;
    writer->fd = -1;
    if (close(fd) && status == SN_OK) status = fail_path(writer->path, "close");
    if (status == SN_OK && rename(writer->part, writer->path)) status = fail_path(writer->path, "rename into place");
    if (status == SN_OK) sync_parent(writer->path);
    else (void)unlink(writer->part);
    writer_free(writer);
    return status;
}

sn_status sn_file_write(const char *path, const void *bytes, size_t size) {
    sn_writer *writer;
    SN_TRY(sn_writer_open(path, &writer));
    sn_status status = sn_writer_add(writer, bytes, size);
    if (status == SN_OK) return sn_writer_commit(writer);
    sn_writer_abandon(writer);
    return status;
}

bool sn_file_exists(const char *path) { return access(path, F_OK) == 0; }

sn_status sn_file_find(const char *directory, const char *name, char **path) {
    *path = sn_path_join(directory, name);
    if (!*path) return SN_ERR_MEMORY;
    if (sn_file_exists(*path)) return SN_OK;
    sn_free(*path);
    *path = NULL;
    return SN_OK;
}

bool sn_is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

sn_status sn_make_directory(const char *path) {
    char *copy = sn_strdup(path);
    if (!copy) return SN_ERR_MEMORY;
    sn_status status = SN_OK;
    for (char *p = copy + 1; status == SN_OK; p++) {
        if (*p != '/' && *p) continue;
        char keep = *p;
        *p = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST) status = fail_path(copy, "create directory");
        *p = keep;
        if (!keep) break;
    }
    if (status == SN_OK && !sn_is_directory(path)) {
        (void)sn_fail(SN_ERR_IO, "%s: exists and is not a directory", path);
        status = sn_fail_at(path, 0, NULL);
    }
    sn_free(copy);
    return status;
}

sn_status sn_remove_tree(const char *path) {
    struct stat st;
    if (lstat(path, &st)) return errno == ENOENT ? SN_OK : fail_path(path, "remove");
    if (!S_ISDIR(st.st_mode)) return unlink(path) ? fail_path(path, "remove") : SN_OK;
    DIR *dir = opendir(path);
    if (!dir) return fail_path(path, "remove");
    sn_status status = SN_OK;
    for (struct dirent *e; status == SN_OK && (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        char *inner = sn_path_join(path, e->d_name);
        status = inner ? sn_remove_tree(inner) : SN_ERR_MEMORY;
        sn_free(inner);
    }
    (void)closedir(dir);
    if (status == SN_OK && rmdir(path)) status = fail_path(path, "remove");
    return status;
}

char *sn_path_join(const char *a, const char *b) {
    if (b[0] == '/' || !a[0]) return sn_strdup(b);
    size_t n = strlen(a), m = strlen(b);
    char *joined = sn_alloc(n + m + 2, 1);
    if (!joined) return NULL;
    memcpy(joined, a, n);
    if (a[n - 1] != '/') joined[n++] = '/';
    memcpy(joined + n, b, m);
    return joined;
}

char *sn_path_parent(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    while (n && path[n - 1] != '/') n--;
    while (n > 1 && path[n - 1] == '/') n--;
    return n ? sn_strndup(path, n) : sn_strdup(".");
}
