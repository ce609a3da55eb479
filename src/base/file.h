/* file.h: whole-file reading, read-only mapping, and writing that never leaves a half-written file.
 * Every error names the path and is recorded as the error's file. */
#ifndef SN_BASE_FILE_H
#define SN_BASE_FILE_H
#include "base/text.h"

typedef struct sn_bytes {
    const unsigned char *data;
    size_t size;
    bool mapped; /* else heap */
} sn_bytes;
/* Reads a whole regular file (heap copy, NUL after its end). `most` bounds the size in bytes. */
sn_status sn_file_read(const char *path, size_t most, sn_bytes *out);
/* Maps a regular file read-only. A zero-byte file gives size 0. */
sn_status sn_file_map(const char *path, sn_bytes *out);
/* The same, and the file stays open as *fd, which the caller closes (sn_file_close); -1 after a failure. */
sn_status sn_file_map_open(const char *path, sn_bytes *out, int *fd);
void sn_file_close(int fd); /* fine for -1 */
void sn_bytes_free(sn_bytes *bytes);
/* Of a mapped file: the pages of [from, from + size) go from memory, and those that the system may have mapped around them;
 * they come back where they are read. Nothing where `from` lies elsewhere. */
void sn_bytes_forget(const sn_bytes *bytes, const void *from, size_t size);

/* An open file from byte `at` on, to be read a little at a time without mapping it. Owns nothing. */
typedef struct sn_file_part {
    int fd;
    uint64_t at;
    const char *path; /* for messages */
} sn_file_part;
/* Bytes [from, from + size) of that; any thread. A file that ends before them is an error. */
sn_status sn_file_part_read(const sn_file_part *part, uint64_t from, size_t size, void *out);

/* A file under construction: written beside its place, synced and renamed by commit; abandon (or free after
 * a failure) removes it, so the old file stays whole until the new one is. */
typedef struct sn_writer sn_writer;
sn_status sn_writer_open(const char *path, sn_writer **out);
sn_status sn_writer_add(sn_writer *writer, const void *bytes, size_t size);
sn_status sn_writer_commit(sn_writer *writer); /* frees the writer, also on failure */
void sn_writer_abandon(sn_writer *writer);
/* Open, add, commit. */
sn_status sn_file_write(const char *path, const void *bytes, size_t size);

bool sn_file_exists(const char *path);
/* directory/name, heap; *path NULL where there is no such file. */
sn_status sn_file_find(const char *directory, const char *name, char **path);
bool sn_is_directory(const char *path);
sn_status sn_make_directory(const char *path); /* parents too; fine if it exists */
sn_status sn_remove_tree(const char *path);    /* fine if it does not exist */
/* "a/b": joined path from the heap; an absolute `b` is returned alone. NULL after recording the failure. */
char *sn_path_join(const char *a, const char *b);
char *sn_path_parent(const char *path); /* "." where there is none */
#endif
