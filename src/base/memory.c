/* memory.c: checked allocation, arenas, pages. */
#define _GNU_SOURCE
#include "base/memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef SN_TESTING
#include <stdatomic.h>
static atomic_long fail_after, asked;
void sn_alloc_fail_after(long n) {
    atomic_store(&asked, 0);
    atomic_store(&fail_after, n);
}
long sn_alloc_count(void) { return atomic_load(&asked); }
static bool refused(void) {
    long now = atomic_fetch_add(&asked, 1) + 1;
    return now == atomic_load(&fail_after);
}
#else
static bool refused(void) { return false; }
#endif

bool sn_mul_overflow(size_t a, size_t b, size_t *product) { return __builtin_mul_overflow(a, b, product); }

static void *no_memory(size_t count, size_t size) {
    (void)sn_fail(SN_ERR_MEMORY, "out of memory: %zu elements of %zu bytes", count, size);
    return NULL;
}

void *sn_alloc(size_t count, size_t size) {
    size_t bytes;
    if (sn_mul_overflow(count, size, &bytes) || refused()) return no_memory(count, size);
    void *block = calloc(bytes ? bytes : 1, 1);
    return block ? block : no_memory(count, size);
}

void *sn_realloc(void *block, size_t count, size_t size) {
    size_t bytes;
    if (sn_mul_overflow(count, size, &bytes) || refused()) return no_memory(count, size);
    void *moved = realloc(block, bytes ? bytes : 1);
    return moved ? moved : no_memory(count, size);
}

void *sn_grow_to(void *array, size_t count, size_t *capacity, size_t size) {
    if (array && count <= *capacity) return array;
    size_t more = *capacity ? *capacity * 2 : 16;
    if (more < count) more = count;
    void *moved = sn_realloc(array, more, size);
    if (moved) *capacity = more;
    return moved;
}

void *sn_grow(void *array, size_t count, size_t *capacity, size_t size) {
    return count < *capacity ? array : sn_grow_to(array, count + 1, capacity, size);
}

char *sn_strndup(const char *text, size_t bytes) {
    char *copy = sn_alloc(bytes + 1, 1);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

char *sn_strdup(const char *text) { return sn_strndup(text, strlen(text)); }
void sn_free(void *block) { free(block); }

struct sn_arena_block {
    struct sn_arena_block *older;
    alignas(16) unsigned char bytes[];
};

void *sn_arena_alloc(sn_arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (sn_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - 4096) return no_memory(count, size);
    bytes = (bytes + 15) & ~(size_t)15;
    if (!arena->blocks || bytes > arena->size - arena->used) {
        size_t room = bytes > 16384 ? bytes : 16384;
        struct sn_arena_block *block = sn_alloc(1, sizeof *block + room);
        if (!block) return NULL;
        block->older = arena->blocks;
        arena->blocks = block;
        arena->used = 0;
        arena->size = room;
    }
    void *result = arena->blocks->bytes + arena->used;
    arena->used += bytes;
    return result;
}

char *sn_arena_strdup(sn_arena *arena, const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = sn_arena_alloc(arena, bytes, 1);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

void sn_arena_free(sn_arena *arena) {
    while (arena->blocks) {
        struct sn_arena_block *older = arena->blocks->older;
        sn_free(arena->blocks);
        arena->blocks = older;
    }
    arena->used = arena->size = 0;
}

#define HUGE_PAGE ((size_t)2 << 20)

void *sn_pages(size_t bytes) {
    if (refused() || bytes > SIZE_MAX / 2) return no_memory(1, bytes);
    size_t size = bytes ? bytes : 1;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return no_memory(1, bytes);
    if (size >= HUGE_PAGE) (void)madvise(pages, size, MADV_HUGEPAGE);
    return pages;
}

void sn_pages_free(void *pages, size_t bytes) {
    if (pages) (void)munmap(pages, bytes ? bytes : 1);
}

void sn_pages_rest(void *pages, size_t bytes) {
    if (pages && bytes) (void)madvise(pages, bytes, MADV_DONTNEED);
}

sn_status sn_pages_reserve(void **pages, size_t *bytes, size_t need) {
    if (*pages && need <= *bytes) return SN_OK;
    sn_pages_free(*pages, *bytes);
    *pages = sn_pages(need);
    *bytes = *pages ? need : 0;
    return *pages ? SN_OK : SN_ERR_MEMORY;
}
