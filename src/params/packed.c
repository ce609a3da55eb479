/* packed.c: packed copies of parameters, one slot per (parameter, key).
 *
 * A slot outlives the programs that use it and keeps its address, so a program looks it up once, when it is
 * planned, and at run time only compares two version numbers. */
#include "params/store.h"

void sn_slots_free(sn_slot *slots) {
    while (slots) {
        sn_slot *next = slots->next;
        sn_pages_free(slots->packed.data, slots->packed.bytes);
        sn_free(slots);
        slots = next;
    }
}

/* Another size under the same key: the old content is of no use to anyone. */
static sn_status resize(sn_packed *packed, size_t bytes) {
    void *data = sn_pages(bytes);
    if (!data) return SN_ERR_MEMORY;
    sn_pages_free(packed->data, packed->bytes);
    packed->data = data;
    packed->bytes = bytes;
    packed->version = 0;
    return SN_OK;
}

static sn_status find_or_make(sn_entry *e, int param, uint64_t key, size_t bytes, sn_packed **out) {
    sn_slot *slot = e->slots;
    while (slot && slot->packed.key != key) slot = slot->next;
    if (!slot) {
        slot = sn_alloc(1, sizeof *slot);
        if (!slot) return SN_ERR_MEMORY;
        slot->packed = (sn_packed){.param = param, .key = key};
        sn_status status = resize(&slot->packed, bytes);
        if (status != SN_OK) {
            sn_free(slot);
            return status;
        }
        slot->next = e->slots;
        e->slots = slot;
    } else if (slot->packed.bytes != bytes) {
        SN_TRY(resize(&slot->packed, bytes));
    }
    *out = &slot->packed;
    return SN_OK;
}

sn_status sn_slot_of(sn_params *p, int param, uint64_t key, size_t bytes, sn_packed **out) {
    return find_or_make(&p->entries[param], param, key, bytes, out);
}

sn_status sn_params_packed(sn_params *p, int param, uint64_t key, size_t bytes, sn_packed **out) {
    *out = NULL;
    if (!p->sealed) SN_FAIL(SN_ERR_STATE, "a packed copy asked for before the parameter store is sealed");
    if (param < 0 || (size_t)param >= p->count)
        SN_FAIL(SN_ERR_USAGE, "a packed copy of parameter %d, the store has %zu", param, p->count);
    sn_params_lock(p);
    sn_status status = find_or_make(&p->entries[param], param, key, bytes, out);
    sn_params_unlock(p);
    return status;
}
