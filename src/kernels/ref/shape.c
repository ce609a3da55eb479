/* shape.c: ops that move elements of any dtype: TRANSPOSE, SLICE, PAD, CONCAT.
 *
 * Slices, pads and joins are runs of bytes [outer][axis * inner]. A transpose merges axes that stay together;
 * where the last axis stays it copies runs, else it goes over 32x32 tiles of the two axes that matter. */
#include "kernels/ref/ref.h"
#include "kernels/ref/strides.h"

static int64_t run_bytes(sn_type type, int axis) {
    return sn_shape_span(type.shape, axis, type.shape.rank) * (int64_t)sn_dtype_size(type.dtype);
}

static sn_status run_slice(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    int axis = plan->attr.slice.axis;
    int64_t from = run_bytes(plan->in[0], axis), to = run_bytes(plan->out[0], axis);
    int64_t skip = plan->attr.slice.start * run_bytes(plan->in[0], axis + 1);
    sn_copy_runs(plan->threads, (const char *)args->in[0] + skip, from, args->out[0], to,
                 sn_shape_span(plan->in[0].shape, 0, axis), to);
    return SN_OK;
}
SN_REF(slice, sn_ref_accepts_alike, run_slice)

static sn_status run_pad(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    int axis = plan->attr.slice.axis;
    int64_t from = run_bytes(plan->in[0], axis), to = run_bytes(plan->out[0], axis);
    int64_t skip = plan->attr.slice.start * run_bytes(plan->in[0], axis + 1);
    sn_zero(plan->threads, args->out[0], run_bytes(plan->out[0], 0));
    sn_copy_runs(plan->threads, args->in[0], from, (char *)args->out[0] + skip, to,
                 sn_shape_span(plan->in[0].shape, 0, axis), from);
    return SN_OK;
}
SN_REF(pad, sn_ref_accepts_alike, run_pad)

static sn_status run_concat(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    int axis = plan->attr.concat.axis;
    int64_t to = run_bytes(plan->out[0], axis), outer = sn_shape_span(plan->out[0].shape, 0, axis), at = 0;
    for (int k = 0; k < plan->n_in; k++) {
        int64_t from = run_bytes(plan->in[k], axis);
        sn_copy_runs(plan->threads, args->in[k], from, (char *)args->out[0] + at, to, outer, from);
        at += from;
    }
    return SN_OK;
}
SN_REF(concat, sn_ref_accepts_alike, run_concat)

/* ---- transpose ---- */

enum { TILE = 32 };

typedef struct job {
    const char *from;
    char *to;
    int64_t size;       /* of an element */
    sn_walk walk;       /* the output's axes; step[0] in the input, step[1] in the output */
    int along;          /* the output axis that is the input's last */
    int64_t outer, tiles;
} job;

#define GATHER(type)                                                                                        \
    for (int64_t p = 0; p < rows; p++)                                                                      \
        for (int64_t q = 0; q < columns; q++)                                                               \
            ((type *)(void *)to)[p * to_step + q] = ((const type *)(const void *)from)[p + q * from_step];

/* to[p, q] = from[q, p] for one tile; p steps by 1 in the input, q by 1 in the output. */
static void turn_tile(const char *from, int64_t from_step, char *to, int64_t to_step, int64_t rows, int64_t columns,
                      int64_t size) {
    if (size == 4) {
        GATHER(uint32_t)
    } else if (size == 2) {
        GATHER(uint16_t)
    } else if (size == 8) {
        GATHER(uint64_t)
    } else {
        GATHER(uint8_t)
    }
}

/* Chunk: one position of the axes that are neither `along` nor the last, and one stripe of TILE along `along`. */
static void turn_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_walk *w = &j->walk;
    int last = w->rank - 1;
    int64_t p0 = chunk % j->tiles * TILE, rest = chunk / j->tiles, in = 0, out = 0;
    for (int i = last - 1; i >= 0; i--) {
        if (i == j->along) continue;
        in += rest % w->dim[i] * w->step[0][i];
        out += rest % w->dim[i] * w->step[1][i];
        rest /= w->dim[i];
    }
    int64_t rows = sn_min64(TILE, w->dim[j->along] - p0), step_in = w->step[0][last], step_out = w->step[1][j->along];
    for (int64_t q = 0; q < w->dim[last]; q += TILE)
        turn_tile(j->from + (in + p0 + q * step_in) * j->size, step_in, j->to + (out + p0 * step_out + q) * j->size,
                  step_out, rows, sn_min64(TILE, w->dim[last] - q), j->size);
}

/* Chunk: a bundle of runs along the last axis, which is contiguous on both sides. */
static void runs_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_walk *w = &j->walk;
    int64_t inner = w->dim[w->rank - 1], per = sn_max64(1, SN_CHUNK / inner);
    int64_t end = sn_min64((chunk + 1) * per, j->outer);
    for (int64_t row = chunk * per; row < end; row++)
        memcpy(j->to + row * inner * j->size, j->from + sn_walk_offset(w, 0, row, w->rank - 1) * j->size,
               (size_t)(inner * j->size));
}

static sn_status run_transpose(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    sn_shape in = plan->in[0].shape, out = plan->out[0].shape;
    job j = {.from = args->in[0], .to = args->out[0], .size = (int64_t)sn_dtype_size(plan->in[0].dtype)};
    if (!sn_shape_count(out)) return SN_OK;
    j.walk.rank = out.rank;
    for (int i = 0; i < out.rank; i++) {
        j.walk.dim[i] = out.dim[i];
        j.walk.step[0][i] = sn_shape_span(in, plan->attr.transpose.perm[i] + 1, in.rank);
        j.walk.step[1][i] = sn_shape_span(out, i + 1, out.rank);
    }
    sn_walk_merge(&j.walk, 2);
    int last = j.walk.rank - 1;
    if (j.walk.step[0][last] == 1) {
        j.outer = sn_shape_count(out) / j.walk.dim[last];
        sn_parallel(plan->threads, sn_pieces(j.outer, sn_max64(1, SN_CHUNK / j.walk.dim[last])), runs_chunk, &j);
        return SN_OK;
    }
    for (int i = 0; i < last; i++)
        if (j.walk.step[0][i] == 1) j.along = i;
    j.tiles = sn_pieces(j.walk.dim[j.along], TILE);
    j.outer = sn_shape_count(out) / (j.walk.dim[last] * j.walk.dim[j.along]);
    sn_parallel(plan->threads, j.outer * j.tiles, turn_chunk, &j);
    return SN_OK;
}
SN_REF(transpose, sn_ref_accepts_alike, run_transpose)
