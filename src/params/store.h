/* store.h: what params.c and packed.c share: the store's entries and its flat ranges. Private to src/params. */
#ifndef SN_PARAMS_STORE_H
#define SN_PARAMS_STORE_H
#include <pthread.h>

#include "params/params.h"

typedef struct sn_slot {
    sn_packed packed; /* first: sn_params_packed hands out its address, which never moves */
    struct sn_slot *next;
} sn_slot;

typedef struct sn_entry {
    char *name;
    sn_shape shape;
    sn_init init;
    size_t offset, count; /* elements; count without the padding to the next entry */
    float rate;
    bool trainable;
    sn_slot *slots;
    sn_tensor_view view; /* what is borrowed; data NULL: nothing */
    double *scale; /* of rows of the first axis, wherever the view is read; NULL: none */
    float *own;    /* what the view shows instead of a file's numbers */
} sn_entry;

struct sn_params {
    sn_map names;
    sn_entry *entries;
    size_t count, capacity, total;
    bool sealed, shadow_stale, borrows;
    void *owner; /* of what is borrowed; it does what `lender` says, NULL: there is none */
    const sn_lender *lender;
    float *flat, *gradients;
    uint16_t *shadow;
    uint64_t version;
    pthread_mutex_t lock; /* of the shadow and the packed copies */
};

/* Elements [from, to) of the flat range, cut at the borders of entries. A chunk is SN_CHUNK elements. */
enum { SN_ALIGN_ELEMENTS = 16, SN_CHUNK = 1 << 16 };
void sn_slots_free(sn_slot *slots);
/* The slot of (entry, key), made where there is none; under the lock. */
sn_status sn_slot_of(sn_params *p, int param, uint64_t key, size_t bytes, sn_packed **out);
#endif
