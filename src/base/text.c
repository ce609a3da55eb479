/* text.c: growing strings, hash map, small string questions. */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void sn_buf_add(sn_buf *buf, const void *bytes, size_t size) {
    if (buf->failed) return;
    if (buf->capacity - buf->size <= size) {
        size_t more = buf->capacity ? buf->capacity : 64;
        while (more - buf->size <= size) more *= 2;
        char *moved = sn_realloc(buf->data, more, 1);
        if (!moved) {
            buf->failed = true;
            return;
        }
        buf->data = moved;
        buf->capacity = more;
    }
    if (size) memcpy(buf->data + buf->size, bytes, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void sn_buf_puts(sn_buf *buf, const char *text) { sn_buf_add(buf, text, strlen(text)); }

void sn_buf_printf(sn_buf *buf, const char *format, ...) {
    char small[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (size < 0) return;
    if ((size_t)size < sizeof small) {
        sn_buf_add(buf, small, (size_t)size);
        return;
    }
    char *large = sn_alloc((size_t)size + 1, 1);
    if (!large) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    (void)vsnprintf(large, (size_t)size + 1, format, args);
    va_end(args);
    sn_buf_add(buf, large, (size_t)size);
    sn_free(large);
}

sn_status sn_buf_check(const sn_buf *buf) { return buf->failed ? sn_error_code() : SN_OK; }

void sn_buf_free(sn_buf *buf) {
    sn_free(buf->data);
    *buf = (sn_buf){0};
}

bool sn_names_match(sn_names *passed, const char *offered, const char *wanted) {
    if (wanted && !strcmp(offered, wanted)) return true;
    size_t room = sizeof passed->list - passed->used;
    int n = snprintf(passed->list + passed->used, room, "%s%s", passed->used ? ", " : "", offered);
    if (n > 0 && (size_t)n < room) passed->used += (size_t)n;
    passed->list[passed->used] = '\0';
    return false;
}

struct sn_map_entry {
    char *key;
    size_t bytes;
    uint64_t hash;
    int64_t value;
};

static const uint64_t prime = 1099511628211u; /* FNV's */

uint64_t sn_hash(const void *bytes, size_t size) {
    const unsigned char *b = bytes;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ b[i]) * prime;
    return hash;
}

uint64_t sn_hash_add(uint64_t hash, const void *bytes, size_t size) { return hash * prime ^ sn_hash(bytes, size); }

static struct sn_map_entry *find(const sn_map *map, const char *key, size_t bytes, uint64_t hash) {
    size_t mask = map->size - 1;
    for (size_t i = (size_t)(hash ^ hash >> 32) & mask;; i = (i + 1) & mask) {
        struct sn_map_entry *e = &map->slots[i];
        if (!e->key || (e->hash == hash && e->bytes == bytes && !memcmp(e->key, key, bytes))) return e;
    }
}

static sn_status widen(sn_map *map) {
    sn_map wide = {.size = map->size ? map->size * 2 : 64, .count = map->count};
    wide.slots = sn_alloc(wide.size, sizeof *wide.slots);
    if (!wide.slots) return SN_ERR_MEMORY;
    for (size_t i = 0; i < map->size; i++) {
        const struct sn_map_entry *e = &map->slots[i];
        if (e->key) *find(&wide, e->key, e->bytes, e->hash) = *e;
    }
    sn_free(map->slots);
    *map = wide;
    return SN_OK;
}

sn_status sn_map_put(sn_map *map, const char *key, size_t bytes, int64_t value) {
    if (map->count * 2 >= map->size) SN_TRY(widen(map));
    uint64_t hash = sn_hash(key, bytes);
    struct sn_map_entry *e = find(map, key, bytes, hash);
    if (!e->key) {
        char *copy = sn_strndup(key, bytes);
        if (!copy) return SN_ERR_MEMORY;
        *e = (struct sn_map_entry){copy, bytes, hash, value};
        map->count++;
    }
    e->value = value;
    return SN_OK;
}

int64_t sn_map_get(const sn_map *map, const char *key, size_t bytes) {
    if (!map->size) return -1;
    const struct sn_map_entry *e = find(map, key, bytes, sn_hash(key, bytes));
    return e->key ? e->value : -1;
}

void sn_map_free(sn_map *map) {
    for (size_t i = 0; i < map->size; i++) sn_free(map->slots[i].key);
    sn_free(map->slots);
    *map = (sn_map){0};
}

int sn_edit_distance(const char *a, const char *b) {
    enum { MOST = 64 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= MOST || m >= MOST) return n == m && !strcmp(a, b) ? 0 : MOST;
    int row[MOST + 1];
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

bool sn_ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcasecmp(text + n - m, end);
}
