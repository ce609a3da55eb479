/* arena_plan.c: gives every buffer a place by liveness.
 *
 * Each arena value lives from the step that writes it to the last that reads it (an output: to the end, so that
 * it can be read after the run); a scratch lives for one step. Largest first, each at the lowest offset where it
 * meets no other that lives at the same time; but small ones before all, at the beginning: among large ones that are
 * bound from outside and never touched they would bring a page each. An op that may work in place takes over the
 * buffer of an input that dies there. */
#include <stdlib.h>

#include "graph/program_internal.h"

typedef struct block {
    size_t bytes, offset;
    int32_t first, last;
    int32_t value; /* or -1 - step for a scratch */
} block;

static void find_lives(sn_program *p) {
    for (int32_t s = 0; s < p->n_steps; s++) {
        const sn_step *step = &p->steps[s];
        for (int k = 0; k < step->plan.n_out; k++) p->places[step->out[k]].last = s;
        for (int k = 0; k < step->plan.n_in; k++)
            if (p->places[step->in[k]].last < s) p->places[step->in[k]].last = s;
    }
    for (int i = 0; i < p->n_outputs; i++) p->places[p->root[p->outputs[i]]].last = p->n_steps;
}

/* Lets outputs take over dying inputs: root[] of the output becomes the input's. */
static void share_in_place(sn_program *p) {
    for (int32_t s = 0; s < p->n_steps; s++) {
        sn_step *step = &p->steps[s];
        if (!(sn_ops[step->plan.op].flags & SN_OPF_INPLACE) || step->plan.n_in == 0) continue;
        int32_t from = step->in[0], to = step->out[0];
        sn_place *a = &p->places[from], *b = &p->places[to];
        bool free_input = a->where == SN_IN_ARENA && a->last == s && a->output < 0;
        for (int k = 1; k < step->plan.n_in; k++) free_input &= step->in[k] != from;
        if (!free_input || b->where != SN_IN_ARENA || b->output >= 0 || a->bytes != b->bytes) continue;
        a->last = b->last;
        for (size_t v = 0; v < p->graph->n_values; v++)
            if (p->root[v] == to) p->root[v] = from;
        for (int32_t t = s; t < p->n_steps; t++) { /* later readers name the shared buffer */
            for (int k = 0; k < p->steps[t].plan.n_in; k++)
                if (p->steps[t].in[k] == to) p->steps[t].in[k] = from;
        }
        step->out[0] = from;
        b->where = SN_NOWHERE;
    }
}

enum { SMALL = 1 << 14 }; /* bytes: scratch of a primitive, a few rows */

static int by_size(const void *x, const void *y) {
    const block *a = x, *b = y;
    if ((a->bytes <= SMALL) != (b->bytes <= SMALL)) return a->bytes <= SMALL ? -1 : 1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return a->value < b->value ? -1 : 1;
}

static int by_offset(const void *x, const void *y) {
    const block *a = *(const block *const *)x, *b = *(const block *const *)y;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static size_t lowest(const block *all, size_t done, const block *one, const block **near) {
    size_t n = 0, offset = 0;
    for (size_t i = 0; i < done; i++)
        if (all[i].bytes && all[i].first <= one->last && one->first <= all[i].last) near[n++] = &all[i];
    qsort(near, n, sizeof *near, by_offset);
    for (size_t i = 0; i < n; i++) {
        if (near[i]->offset >= offset + one->bytes) break;
        size_t end = near[i]->offset + near[i]->bytes;
        if (end > offset) offset = end;
    }
    return offset;
}

static size_t collect(const sn_program *p, block *blocks) {
    size_t n = 0;
    for (size_t v = 0; v < p->graph->n_values; v++) {
        const sn_place *place = &p->places[v];
        if (place->where == SN_IN_ARENA && p->root[v] == (int32_t)v)
            blocks[n++] = (block){(place->bytes + 63) & ~(size_t)63, 0, place->first, place->last, (int32_t)v};
    }
    for (int32_t s = 0; s < p->n_steps; s++)
        if (p->steps[s].plan.scratch)
            blocks[n++] = (block){(p->steps[s].plan.scratch + 63) & ~(size_t)63, 0, s, s, -1 - s};
    return n;
}

sn_status sn_arena_plan(sn_program *p) {
    find_lives(p);
    share_in_place(p);
    size_t room = p->graph->n_values + (size_t)p->n_steps;
    block *blocks = sn_alloc(room, sizeof *blocks);
    const block **near = sn_alloc(room, sizeof *near);
    if (!blocks || !near) {
        sn_free(blocks);
        sn_free(near);
        return SN_ERR_MEMORY;
    }
    size_t n = collect(p, blocks);
    qsort(blocks, n, sizeof *blocks, by_size);
    for (size_t i = 0; i < n; i++) {
        blocks[i].offset = lowest(blocks, i, &blocks[i], near);
        size_t end = blocks[i].offset + blocks[i].bytes;
        if (end > p->bytes) p->bytes = end;
        if (blocks[i].value >= 0) p->places[blocks[i].value].offset = blocks[i].offset;
        else p->steps[-1 - blocks[i].value].scratch = blocks[i].offset;
    }
    sn_free(blocks);
    sn_free(near);
    return SN_OK;
}
