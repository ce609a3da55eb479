/* pickle.h: a reader of Python pickles that executes nothing: it only builds a tree.
 *
 *   bytes -> stack machine -> tree of values        every class or function name must be in the caller's table;
 *                                                   a call of one becomes a CALL value, never a call
 *
 * Memory is bounded by the pickle's length: an opcode makes at most one value, text stays in the bytes, shared
 * values stay shared (so a tree may be a graph, and even have cycles: who walks it bounds depth and steps). */
#ifndef SN_PICKLE_H
#define SN_PICKLE_H
#include <stdint.h>

#include "base/memory.h"

typedef enum sn_pickle_kind {
    SN_PICKLE_NONE, SN_PICKLE_BOOL, SN_PICKLE_INT, SN_PICKLE_LONG, /* more than 64 bits: kept as bytes in text */
    SN_PICKLE_FLOAT, SN_PICKLE_TEXT, SN_PICKLE_BYTES, SN_PICKLE_TUPLE, SN_PICKLE_LIST, SN_PICKLE_SET, SN_PICKLE_DICT,
    SN_PICKLE_GLOBAL, SN_PICKLE_CALL, SN_PICKLE_PERSISTENT
} sn_pickle_kind;

/* What a name of the table gives when it is called. */
typedef enum sn_pickle_call { SN_CALL_NOTHING, SN_CALL_DICT, SN_CALL_SET, SN_CALL_TREE } sn_pickle_call;
typedef struct sn_pickle_global {
    const char *module, *name;
    sn_pickle_call call; /* NOTHING: it may be named but not called */
    int tag, value;      /* the caller's own */
} sn_pickle_global;

typedef struct sn_pickle_value {
    sn_pickle_kind kind;
    const sn_pickle_global *global; /* GLOBAL, CALL */
    union {
        int64_t integer; /* INT, BOOL */
        double number;
        struct {
            const char *at; /* in the pickle, not terminated */
            size_t bytes;
        } text;          /* TEXT, BYTES, LONG (little-endian two's complement) */
        struct {
            struct sn_pickle_value **items; /* DICT: key, value, key, value, ... */
            size_t count, capacity;
        } list;          /* TUPLE, LIST, SET, DICT; CALL: its arguments */
        struct sn_pickle_value *inner; /* PERSISTENT */
    };
} sn_pickle_value;

typedef struct sn_pickle {
    sn_pickle_value *root;
    size_t used;                   /* bytes to the end of this pickle; another may follow */
    sn_pickle_value **persistent;  /* every PERSISTENT value, in order of appearance */
    size_t persistents, capacity;
    sn_arena arena;
} sn_pickle;

/* Reads one pickle from the beginning of `bytes` (protocols 2 to 5), which must outlive the tree. A name that is
 * not in `known` is SN_ERR_UNSUPPORTED and named. Freed with sn_pickle_free, also after a failure. */
sn_status sn_pickle_parse(const void *bytes, size_t size, const sn_pickle_global *known, size_t known_count, sn_pickle *out);
void sn_pickle_free(sn_pickle *pickle);
/* Is it this text? */
bool sn_pickle_is(const sn_pickle_value *value, const char *text);
#endif
