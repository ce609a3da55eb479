/* pool.c: max pooling of NHWC, forward and backward. Output 1 of the forward op is oneDNN's workspace (where each
 * maximum was); when nobody reads it the primitive is an inference one and keeps none. */
#include "kernels/dnnl/prim.h"

typedef struct geometry {
    dnnl_dims_t x, y, kernel, stride, dilate, left, right;
} geometry;

static void measure(const sn_attr *attr, sn_shape x, sn_shape y, geometry *g) {
    *g = (geometry){.x = {x.dim[0], x.dim[3], x.dim[1], x.dim[2]},
                    .y = {y.dim[0], y.dim[3], y.dim[1], y.dim[2]},
                    .kernel = {attr->pool.kernel[0], attr->pool.kernel[1]},
                    .stride = {attr->pool.stride[0], attr->pool.stride[1]},
                    .left = {attr->pool.pad[0], attr->pool.pad[1]},
                    .right = {attr->pool.pad[2], attr->pool.pad[3]}};
}

static dnnl_status_t forward_pd(sn_descs *d, const geometry *g, sn_const_md x, sn_const_md y, dnnl_prop_kind_t prop,
                                dnnl_primitive_desc_t *pd) {
    if (d->status) return d->status;
    return dnnl_pooling_forward_primitive_desc_create(pd, sn_dnnl_engine(), prop, dnnl_pooling_max, x, y, g->stride,
                                                      g->kernel, g->dilate, g->left, g->right, d->attr);
}

/* What simd/maxpool.c does faster is left to it. */
static bool accepts(const sn_kernel_request *r) {
    const sn_kernel *ours = sn_simd_kernels[r->op];
    if (ours->accepts && ours->accepts(r)) return false;
    return sn_request_nonempty(r) && sn_dnnl_float(r, r->in[0].dtype) && r->out[0].dtype == r->in[0].dtype;
}

static sn_status build(const sn_kernel_request *r, sn_prim_state *s, sn_kernel_plan *plan, sn_descs *d) {
    geometry g;
    measure(r->attr, r->in[0].shape, r->out[0].shape, &g);
    bool keeps = !(r->unused & 2u);
    sn_const_md x = sn_desc_tag(d, r->in[0].dtype, 4, g.x, dnnl_nhwc);
    sn_const_md y = sn_desc_tag(d, r->out[0].dtype, 4, g.y, dnnl_nhwc);
    dnnl_prop_kind_t prop = keeps ? dnnl_forward_training : dnnl_forward_inference;
    SN_TRY(sn_prim_built(s, forward_pd(d, &g, x, y, prop, &s->main.pd)));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_SRC, 0, x));
    SN_TRY(sn_port_out(s, r, plan, DNNL_ARG_DST, 0, y));
    plan->opaque[1] = keeps ? sn_prim_bytes(&s->main, DNNL_ARG_WORKSPACE) : 0;
    return keeps ? sn_port_out(s, r, plan, DNNL_ARG_WORKSPACE, 1, sn_prim_md(&s->main, DNNL_ARG_WORKSPACE)) : SN_OK;
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(sn_prim_state), SN_ACT_NONE, build);
}
const sn_kernel sn_dnnl_maxpool = {"dnnl:maxpool", accepts, prepare};

/* ---- (dy, workspace) -> dx ---- */
static sn_status build_bwd(const sn_kernel_request *r, sn_prim_state *s, sn_kernel_plan *plan, sn_descs *d) {
    geometry g;
    measure(r->attr, r->out[0].shape, r->in[0].shape, &g);
    sn_const_md x = sn_desc_tag(d, r->out[0].dtype, 4, g.x, dnnl_nhwc);
    sn_const_md y = sn_desc_tag(d, r->in[0].dtype, 4, g.y, dnnl_nhwc);
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t status = forward_pd(d, &g, x, y, dnnl_forward_training, &hint);
    if (!status)
        status = dnnl_pooling_backward_primitive_desc_create(&s->main.pd, sn_dnnl_engine(), dnnl_pooling_max, x, y,
                                                             g.stride, g.kernel, g.dilate, g.left, g.right, hint,
                                                             d->attr);
    if (hint) (void)dnnl_primitive_desc_destroy(hint);
    SN_TRY(sn_prim_built(s, status));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_DIFF_DST, 0, y));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_WORKSPACE, 1, sn_prim_md(&s->main, DNNL_ARG_WORKSPACE)));
    return sn_port_out(s, r, plan, DNNL_ARG_DIFF_SRC, 0, x);
}

static sn_status prepare_bwd(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(sn_prim_state), SN_ACT_NONE, build_bwd);
}
const sn_kernel sn_dnnl_maxpool_bwd = {"dnnl:maxpool_bwd", accepts, prepare_bwd};
