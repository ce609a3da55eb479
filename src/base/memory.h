/* memory.h: all allocation of the library goes through here, so that sizes are checked for overflow and a
 * test can make the n-th one fail. Every call returns NULL after recording SN_ERR_MEMORY.
 *
 * Three kinds: small heap blocks (sn_alloc), arenas freed as a whole (sn_arena), and large zeroed pages for
 * tensors (sn_pages: 64-byte aligned, huge pages where the system has them). */
#ifndef SN_BASE_MEMORY_H
#define SN_BASE_MEMORY_H
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

void *sn_alloc(size_t count, size_t size);                /* zeroed; count * size is checked */
void *sn_realloc(void *block, size_t count, size_t size); /* new bytes are not zeroed; old block stays on failure */
char *sn_strdup(const char *text);
char *sn_strndup(const char *text, size_t bytes);
void sn_free(void *block);

/* Makes room for one more element in a growing array: doubles *capacity when count reaches it.
 * Returns the array, or NULL (the old one is then still valid and owned by the caller). */
void *sn_grow(void *array, size_t count, size_t *capacity, size_t size);
/* The same for `count` elements in all, any number more than before; never NULL but after a failure. */
void *sn_grow_to(void *array, size_t count, size_t *capacity, size_t size);

bool sn_mul_overflow(size_t a, size_t b, size_t *product);

/* Bump allocator; everything is freed at once. All-zero is a valid empty arena. */
typedef struct sn_arena {
    struct sn_arena_block *blocks;
    size_t used, size; /* of the newest block */
} sn_arena;
void *sn_arena_alloc(sn_arena *arena, size_t count, size_t size); /* zeroed, aligned to 16 */
char *sn_arena_strdup(sn_arena *arena, const char *text);
void sn_arena_free(sn_arena *arena);

/* Zeroed pages; returned to the system by sn_pages_free with the same size. bytes = 0 gives a valid pointer. */
void *sn_pages(size_t bytes);
void sn_pages_free(void *pages, size_t bytes);
/* They go from memory until they are written again, with zeros in them. */
void sn_pages_rest(void *pages, size_t bytes);
/* Makes *pages at least `need` large; what was in smaller ones is lost. After a failure there are none. */
sn_status sn_pages_reserve(void **pages, size_t *bytes, size_t need);

#ifdef SN_TESTING
/* From now on the n-th allocation of this process fails (1 = the next one); 0 turns it off. */
void sn_alloc_fail_after(long n);
/* Allocations asked for since the last call of sn_alloc_fail_after. */
long sn_alloc_count(void);
#endif
#endif
