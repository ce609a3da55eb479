/* tokenizer_vocab.c: the tokens and their ids, both ways, and tries over tokens.
 *
 * Strings lie in one arena; the hash table holds ids and part of the hash, so that a look-up touches a string only when
 * it is very likely the right one. */
#include <stdlib.h>

#include "text/tokenizer_internal.h"

struct sn_tok_slot {
    uint32_t tag; /* upper half of the hash */
    int32_t id;   /* -1: free */
};

uint64_t sn_tok_hash(const char *text, size_t bytes) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ bytes, word;
    size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        memcpy(&word, text + i, 8);
        h = (h ^ word) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, text + i, bytes - i);
    h = (h ^ word) * 0xD6E8FEB86659FD93u;
    h ^= h >> 29;
    return h * 0x9E3779B97F4A7C15u ^ h >> 32;
}

static sn_status widen(sn_tok_vocab *v) {
    size_t size = v->slots ? (v->mask + 1) * 2 : 64;
    struct sn_tok_slot *slots = sn_alloc(size, sizeof *slots);
    if (!slots) return SN_ERR_MEMORY;
    for (size_t i = 0; i < size; i++) slots[i].id = -1;
    for (size_t i = 0; v->slots && i <= v->mask; i++) {
        if (v->slots[i].id < 0) continue;
        const sn_tok_entry *e = &v->entries[v->slots[i].id];
        size_t at = (size_t)sn_tok_hash(e->text, e->bytes) & (size - 1);
        while (slots[at].id >= 0) at = (at + 1) & (size - 1);
        slots[at] = v->slots[i];
    }
    sn_free(v->slots);
    v->slots = slots;
    v->mask = size - 1;
    return SN_OK;
}

/* The slot of this token, or the free one where it belongs. */
static struct sn_tok_slot *slot_of(const sn_tok_vocab *v, const char *text, size_t bytes, uint64_t hash) {
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t at = (size_t)hash & v->mask;; at = (at + 1) & v->mask) {
        struct sn_tok_slot *s = &v->slots[at];
        if (s->id < 0) return s;
        const sn_tok_entry *e = &v->entries[s->id];
        if (s->tag == tag && e->bytes == bytes && !memcmp(e->text, text, bytes)) return s;
    }
}

int32_t sn_tok_vocab_find(const sn_tok_vocab *v, const char *text, size_t bytes) {
    return v->slots ? slot_of(v, text, bytes, sn_tok_hash(text, bytes))->id : SN_TOK_NONE;
}

static sn_status make_room(sn_tok_vocab *v, size_t size) {
    sn_tok_entry *entries = sn_grow_to(v->entries, size, &v->room, sizeof *entries);
    if (!entries) return SN_ERR_MEMORY;
    v->entries = entries;
    for (; v->size < size; v->size++) v->entries[v->size] = (sn_tok_entry){0};
    return SN_OK;
}

sn_status sn_tok_vocab_add(sn_tok_vocab *v, const char *text, size_t bytes, int64_t id) {
    if (id < 0 || id > SN_TOK_MOST_ID)
        SN_FAIL(SN_ERR_FORMAT, "token \"%.*s\": id %lld; expected 0 to %d", (int)(bytes < 80 ? bytes : 80), text, (long long)id, SN_TOK_MOST_ID);
    if (bytes > (1u << 20)) SN_FAIL(SN_ERR_FORMAT, "token %lld is %zu bytes long; at most 1 MiB", (long long)id, bytes);
    SN_TRY(make_room(v, (size_t)id + 1));
    if (!v->slots || v->count * 2 >= v->mask) SN_TRY(widen(v));
    uint64_t hash = sn_tok_hash(text, bytes);
    struct sn_tok_slot *s = slot_of(v, text, bytes, hash);
    sn_tok_entry *e = &v->entries[id];
    if (s->id == id) return SN_OK;
    if (e->text)
        SN_FAIL(SN_ERR_FORMAT, "id %lld belongs to two tokens, \"%.80s\" and \"%.*s\"", (long long)id, e->text, (int)(bytes < 80 ? bytes : 80), text);
    if (s->id >= 0) { /* the same token under another id */
        *e = v->entries[s->id];
        v->entries[s->id] = (sn_tok_entry){0};
    } else {
        char *copy = sn_arena_alloc(&v->strings, bytes + 1, 1);
        if (!copy) return SN_ERR_MEMORY;
        memcpy(copy, text, bytes);
        *e = (sn_tok_entry){copy, (uint32_t)bytes};
        v->count++;
    }
    *s = (struct sn_tok_slot){(uint32_t)(hash >> 32), (int32_t)id};
    return SN_OK;
}

void sn_tok_vocab_free(sn_tok_vocab *v) {
    sn_arena_free(&v->strings);
    sn_free(v->entries);
    sn_free(v->slots);
    *v = (sn_tok_vocab){0};
}

sn_status sn_tok_vocab_read(sn_tok_vocab *v, const json_t *object) {
    if (!json_is_object(object)) SN_FAIL(SN_ERR_FORMAT, "\"vocab\": expected an object of tokens and ids");
    const char *token;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)object, token, id) {
        if (!json_is_integer(id)) SN_FAIL(SN_ERR_FORMAT, "token \"%.80s\": its id is not a whole number", token);
        SN_TRY(sn_tok_vocab_add(v, token, strlen(token), json_integer_value(id)));
    }
    return SN_OK;
}

/* ---- tries ---- */

static int by_text(const void *a, const void *b) {
    const sn_tok_key *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->bytes < y->bytes ? x->bytes : y->bytes);
    if (order) return order;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

/* A node still to be given children: the keys [begin, end) share its first `depth` bytes. */
typedef struct todo {
    size_t begin, end;
    uint32_t depth;
} todo;

/* Gives node `at` its children; todo[] runs beside nodes[]. */
static void branch(sn_tok_trie *trie, todo *open, size_t at, const sn_tok_key *keys) {
    sn_tok_node *node = &trie->nodes[at];
    size_t i = open[at].begin, end = open[at].end;
    uint32_t depth = open[at].depth;
    for (; i < end && keys[i].bytes == depth; i++) node->value = keys[i].value;
    node->children = (uint32_t)trie->count;
    while (i < end) {
        unsigned char byte = (unsigned char)keys[i].text[depth];
        size_t j = i;
        while (j < end && (unsigned char)keys[j].text[depth] == byte) j++;
        trie->nodes[trie->count] = (sn_tok_node){.value = -1, .byte = byte};
        if (!at) trie->root[byte] = (uint32_t)trie->count;
        open[trie->count++] = (todo){i, j, depth + 1};
        node->n++;
        i = j;
    }
}

sn_status sn_tok_trie_build(sn_tok_trie *trie, sn_tok_key *keys, size_t n) {
    size_t most = 1;
    for (size_t i = 0; i < n; i++) most += keys[i].bytes;
    if (most > (1u << 28)) SN_FAIL(SN_ERR_FORMAT, "the tokens are %zu bytes in all; at most 256 MiB", most);
    if (n) qsort(keys, n, sizeof *keys, by_text);
    todo *open = sn_alloc(most, sizeof *open);
    trie->nodes = sn_alloc(most, sizeof *trie->nodes);
    trie->root = sn_alloc(256, sizeof *trie->root);
    if (!open || !trie->nodes || !trie->root) {
        sn_free(open);
        return SN_ERR_MEMORY;
    }
    trie->nodes[0].value = -1;
    trie->count = 1;
    open[0] = (todo){0, n, 0};
    for (size_t at = 0; at < trie->count; at++) branch(trie, open, at, keys);
    sn_free(open);
    sn_tok_node *fit = sn_realloc(trie->nodes, trie->count, sizeof *fit);
    if (!fit) return SN_ERR_MEMORY;
    trie->nodes = fit;
    return SN_OK;
}

void sn_tok_trie_free(sn_tok_trie *trie) {
    sn_free(trie->nodes);
    sn_free(trie->root);
    *trie = (sn_tok_trie){0};
}
