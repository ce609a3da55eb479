/* text.h: growing strings and a string -> integer map. */
#ifndef SN_BASE_TEXT_H
#define SN_BASE_TEXT_H
#include "base/memory.h"

/* A growing byte string, always NUL-terminated once anything was added. All-zero is empty.
 * Adding is sticky: after a failed allocation `failed` is set and later additions do nothing, so a writer
 * checks once at its end (sn_buf_check). */
typedef struct sn_buf {
    char *data;
    size_t size, capacity;
    bool failed;
} sn_buf;
void sn_buf_add(sn_buf *buf, const void *bytes, size_t size);
void sn_buf_puts(sn_buf *buf, const char *text);
void sn_buf_printf(sn_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
sn_status sn_buf_check(const sn_buf *buf);
void sn_buf_free(sn_buf *buf);

/* A search among names that keeps those it passed, for the error when none of them is meant. All-zero begins one. */
typedef struct sn_names {
    char list[768]; /* "a, b, c", as many as fit */
    size_t used;
} sn_names;
/* Is `offered` the name that is wanted (NULL: none is)? If not, it joins the list. */
bool sn_names_match(sn_names *passed, const char *offered, const char *wanted);

/* Strings to int64 values >= 0; keys are copied. All-zero is an empty map. */
typedef struct sn_map {
    struct sn_map_entry *slots;
    size_t count, size;
} sn_map;
sn_status sn_map_put(sn_map *map, const char *key, size_t bytes, int64_t value);
int64_t sn_map_get(const sn_map *map, const char *key, size_t bytes); /* -1 when not there */
void sn_map_free(sn_map *map);

/* FNV-1a, 64 bit: stable across machines and runs; keys random streams by scoped name. */
uint64_t sn_hash(const void *bytes, size_t size);
/* The hash of a list whose hash so far is `hash` and that goes on with these bytes. */
uint64_t sn_hash_add(uint64_t hash, const void *bytes, size_t size);
/* Edit distance between two short words, for "did you mean". */
int sn_edit_distance(const char *a, const char *b);
bool sn_ends_with(const char *text, const char *end); /* ASCII case is ignored */
#endif
