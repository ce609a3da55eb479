/* tokenizer_merge.c: see tokenizer_merge.h. Short words are merged by scanning an array of ranks, long ones with a heap
 * over symbols that know how far they reach: n log n at worst. */
#include "text/tokenizer_merge.h"

enum { SHORT = 32 };

typedef struct entry { /* of the heap */
    uint32_t rank, at;
} entry;

/* ---- the table ---- */

static inline uint64_t pair_of(int32_t left, int32_t right) { return (uint64_t)(uint32_t)left << 32 | (uint32_t)right; }

sn_status sn_tok_merges_make(sn_tok_merges *m, size_t n) {
    size_t size = 16;
    while (size < n * 2 + 2) size *= 2;
    m->slots = sn_alloc(size, sizeof *m->slots);
    m->into = sn_alloc(n, sizeof *m->into);
    if (!m->slots || !m->into) return SN_ERR_MEMORY;
    m->mask = size - 1;
    for (size_t i = 0; i < size; i++) m->slots[i].pair = UINT64_MAX;
    return SN_OK;
}

void sn_tok_merges_put(sn_tok_merges *m, int32_t left, int32_t right, uint32_t rank, int32_t into) {
    uint64_t pair = pair_of(left, right);
    size_t i = sn_tok_mix(pair) & m->mask;
    while (m->slots[i].pair != UINT64_MAX && m->slots[i].pair != pair) i = (i + 1) & m->mask;
    m->slots[i] = (sn_tok_merge_slot){pair, rank, into}; /* told twice: the last one holds */
    m->into[rank] = into;
}

static inline const sn_tok_merge_slot *merge_of(const sn_tok_merges *m, int32_t left, int32_t right) {
    uint64_t pair = pair_of(left, right);
    for (size_t i = sn_tok_mix(pair) & m->mask;; i = (i + 1) & m->mask) {
        const sn_tok_merge_slot *s = &m->slots[i];
        if (s->pair == pair) return s;
        if (s->pair == UINT64_MAX) return NULL;
    }
}

/* ---- few symbols ---- */

/* symbols[0..n), n <= SHORT; returns how many are left. */
static size_t merge_short(const sn_tok_merges *m, sn_tok_symbol *s, size_t n) {
    uint32_t rank[SHORT];
    int32_t into[SHORT];
    for (size_t i = 0; i + 1 < n; i++) {
        const sn_tok_merge_slot *slot = merge_of(m, s[i].id, s[i + 1].id);
        rank[i] = slot ? slot->rank : UINT32_MAX;
        into[i] = slot ? slot->into : 0;
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++) best = rank[i] < rank[best] ? i : best;
        if (rank[best] == UINT32_MAX) break;
        s[best].id = into[best];
        s[best].bytes += s[best + 1].bytes;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            s[i] = s[i + 1];
            rank[i] = rank[i + 1];
            into[i] = into[i + 1];
        }
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < n; i++) {
            const sn_tok_merge_slot *slot = merge_of(m, s[i].id, s[i + 1].id);
            rank[i] = slot ? slot->rank : UINT32_MAX;
            into[i] = slot ? slot->into : 0;
        }
    }
    return n;
}

/* ---- many ---- */

static bool before(entry a, entry b) { return a.rank < b.rank || (a.rank == b.rank && a.at < b.at); }

static void sift_down(entry *heap, size_t n, size_t i) {
    entry moving = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(heap[child + 1], heap[child])) child++;
        if (!before(heap[child], moving)) break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

static sn_status push(sn_tok_work *w, size_t *n, entry e) {
    entry *heap = sn_grow(w->heap, *n, &w->heap_room, sizeof e);
    if (!heap) return SN_ERR_MEMORY;
    w->heap = heap;
    size_t i = (*n)++;
    for (; i && before(e, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = e;
    return SN_OK;
}

static sn_status push_pair(const sn_tok_merges *m, sn_tok_work *w, size_t *count, size_t at, size_t next) {
    const sn_tok_symbol *s = w->symbols;
    const sn_tok_merge_slot *slot = merge_of(m, s[at].id, s[next].id);
    return slot ? push(w, count, (entry){slot->rank, (uint32_t)at}) : SN_OK;
}

/* The symbol at `at` and the next one, at `next`, become `into`. */
static void join(sn_tok_symbol *s, size_t at, size_t next, int32_t into) {
    uint32_t span = s[at].span + s[next].span;
    s[at].id = into;
    s[at].bytes += s[next].bytes;
    s[next].id = -1;
    s[at].span = s[at + span - 1].span = span;
}

/* Merges w->symbols[0..n); returns how many are left in *left, moved together. */
static sn_status merge_long(const sn_tok_merges *m, sn_tok_work *w, size_t n, size_t *left) {
    sn_tok_symbol *s = w->symbols;
    size_t count = 0;
    entry *heap = sn_grow_to(w->heap, n, &w->heap_room, sizeof *heap);
    if (!heap) return SN_ERR_MEMORY;
    w->heap = heap;
    for (size_t i = 0; i < n; i++) {
        s[i].span = 1;
        const sn_tok_merge_slot *slot = i + 1 < n ? merge_of(m, s[i].id, s[i + 1].id) : NULL;
        if (slot) heap[count++] = (entry){slot->rank, (uint32_t)i};
    }
    for (size_t i = count / 2; i-- > 0;) sift_down(heap, count, i);
    while (count) {
        entry top = ((entry *)w->heap)[0];
        ((entry *)w->heap)[0] = ((entry *)w->heap)[--count];
        if (count) sift_down(w->heap, count, 0);
        size_t at = top.at, next = at + s[at].span;
        if (s[at].id < 0 || next >= n) continue;
        const sn_tok_merge_slot *slot = merge_of(m, s[at].id, s[next].id);
        if (!slot || slot->into != m->into[top.rank]) continue; /* an entry whose pair is gone */
        join(s, at, next, slot->into);
        next = at + s[at].span;
        if (at) SN_TRY(push_pair(m, w, &count, at - s[at - 1].span, at));
        if (next < n) SN_TRY(push_pair(m, w, &count, at, next));
    }
    *left = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i].id >= 0) s[(*left)++] = s[i];
    }
    sn_tok_room_drop(&w->heap, &w->heap_room);
    if (w->symbol_room <= SN_TOK_MUCH) return SN_OK;
    if (!(s = sn_realloc(s, *left, sizeof *s))) return SN_ERR_MEMORY;
    w->symbols = s;
    w->symbol_room = *left;
    return SN_OK;
}

sn_status sn_tok_merge(const sn_tok_merges *m, sn_tok_work *w, size_t n, size_t *left) {
    if (n > SHORT) return merge_long(m, w, n, left);
    *left = merge_short(m, w->symbols, n);
    return SN_OK;
}
