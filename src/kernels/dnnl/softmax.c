/* softmax.c: softmax over the last axis, rows all valid. With lengths a fully masked row would come out NaN, so
 * those requests go to another column. */
#include "kernels/dnnl/prim.h"

static bool accepts(const sn_kernel_request *r) {
    return r->n_in == 1 && sn_request_nonempty(r) && r->in[0].dtype == SN_F32 && r->out[0].dtype == SN_F32;
}

static sn_status build(const sn_kernel_request *r, sn_prim_state *s, sn_kernel_plan *plan, sn_descs *d) {
    sn_shape shape = r->in[0].shape;
    dnnl_dims_t dims = {sn_shape_span(shape, 0, shape.rank - 1), shape.dim[shape.rank - 1]};
    sn_const_md md = sn_desc_tag(d, SN_F32, 2, dims, dnnl_ab);
    dnnl_status_t status = d->status;
    if (!status)
        status = dnnl_softmax_forward_primitive_desc_create(&s->main.pd, sn_dnnl_engine(), dnnl_forward_inference,
                                                            dnnl_softmax_accurate, md, md, 1, d->attr);
    SN_TRY(sn_prim_built(s, status));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_SRC, 0, md));
    return sn_port_out(s, r, plan, DNNL_ARG_DST, 0, md);
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(sn_prim_state), SN_ACT_NONE, build);
}
const sn_kernel sn_dnnl_softmax = {"dnnl:softmax", accepts, prepare};
