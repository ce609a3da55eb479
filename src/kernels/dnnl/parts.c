/* parts.c: a large parameter goes into its layout in parts along its outermost axis, so that it never lies there twice as
 * a whole: each part is a primitive's reorder into a window of the layout. */
#include "kernels/dnnl/prim.h"

enum {
    LARGE = 32 << 20, /* bytes of the layout */
    PART = 8 << 20,   /* bytes of a part, if one of STEP is not larger */
    STEP = 192        /* a part's extent is a multiple: no block of 16, 32, 48 or 64 is cut */
};

static sn_status pack_part(void *state, const void *from, size_t at, size_t n, void *to) {
    const sn_prim_state *s = state;
    const sn_prim *whole = &s->pack->move;
    int64_t first = (int64_t)(at / s->parts.each), extent = (int64_t)(n / s->parts.each);
    sn_md source = NULL, window = NULL;
    sn_prim move = {0};
    void *pad = NULL;
    dnnl_status_t made = sn_md_part(&source, sn_prim_md(whole, DNNL_ARG_FROM), s->parts.axis, 0, extent);
    if (!made) made = sn_md_part(&window, sn_prim_md(whole, DNNL_ARG_TO), s->parts.axis, first, extent);
    sn_status status = made ? sn_dnnl_fail(made, s->what, "describing a part of a parameter") : sn_reorder_create(&move, source, window, s->what);
    if (status == SN_OK && move.scratch && !(pad = sn_alloc(move.scratch, 1))) status = SN_ERR_MEMORY;
    if (status == SN_OK) status = sn_reorder_run(&move, from, to, pad, s->what);
    sn_free(pad);
    sn_prim_free(&move);
    if (source) (void)dnnl_memory_desc_destroy(source);
    if (window) (void)dnnl_memory_desc_destroy(window);
    return status;
}

void sn_port_parts(sn_prim_state *s, sn_kernel_plan *plan, int slot, int axis, int64_t extent) {
    sn_pack *pack = &plan->pack[slot];
    sn_md window;
    if (pack->bytes < LARGE || extent <= STEP) return;
    if (sn_md_part(&window, sn_prim_md(&s->pack->move, DNNL_ARG_TO), axis, STEP, STEP)) return; /* another layout: as a whole */
    (void)dnnl_memory_desc_destroy(window);
    s->parts.axis = axis;
    s->parts.each = (size_t)(sn_shape_count(plan->in[slot].shape) / extent);
    size_t step = STEP * s->parts.each * sn_dtype_size(plan->in[slot].dtype);
    pack->part = (step < PART ? PART / step : 1) * STEP * s->parts.each;
    pack->pack_part = pack_part;
}
