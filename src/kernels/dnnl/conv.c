/* conv.c: convolution, forward and the two backward forms.
 *
 *   x [N, H, W, C]   weight [O, C/groups, kh, kw]   y [N, H', W', O]
 *
 * Activations stay plain NHWC. The weight's layout is the primitive's choice ("any"): a parameter is packed into
 * it once per change, anything else in scratch each run. The gradient of the weight comes out in the primitive's
 * layout and is reordered to plain f32. Backward forms make their own hint, so they need no forward plan. */
#include "kernels/dnnl/prim.h"

typedef struct geometry {
    dnnl_dims_t x, w, y, stride, dilate, left, right;
    int64_t bias[1];
    int w_rank;
    dnnl_format_tag_t w_plain;
} geometry;

static int64_t or_one(int32_t v) { return v > 0 ? v : 1; }

static void measure(const sn_attr *attr, sn_shape x, sn_shape w, sn_shape y, geometry *g) {
    int64_t groups = or_one(attr->conv.groups);
    *g = (geometry){.x = {x.dim[0], x.dim[3], x.dim[1], x.dim[2]},
                    .y = {y.dim[0], y.dim[3], y.dim[1], y.dim[2]},
                    .w = {w.dim[0], w.dim[1], w.dim[2], w.dim[3]},
                    .stride = {or_one(attr->conv.stride[0]), or_one(attr->conv.stride[1])},
                    .dilate = {or_one(attr->conv.dilation[0]) - 1, or_one(attr->conv.dilation[1]) - 1},
                    .left = {attr->conv.pad[0], attr->conv.pad[1]},
                    .right = {attr->conv.pad[2], attr->conv.pad[3]},
                    .bias = {w.dim[0]},
                    .w_rank = 4,
                    .w_plain = dnnl_oihw};
    if (groups == 1) return;
    int64_t grouped[5] = {groups, w.dim[0] / groups, w.dim[1], w.dim[2], w.dim[3]};
    memcpy(g->w, grouped, sizeof grouped);
    g->w_rank = 5;
    g->w_plain = dnnl_goihw;
}

typedef struct mds {
    sn_const_md x, w_any, w, bias, y;
} mds;

static void describe(sn_descs *d, const geometry *g, sn_dtype x, sn_dtype w, sn_dtype y, mds *m) {
    m->x = sn_desc_tag(d, x, 4, g->x, dnnl_nhwc);
    m->y = sn_desc_tag(d, y, 4, g->y, dnnl_nhwc);
    m->w = sn_desc_tag(d, w, g->w_rank, g->w, g->w_plain);
    m->w_any = sn_desc_tag(d, w, g->w_rank, g->w, dnnl_format_tag_any);
}

static dnnl_status_t forward_pd(sn_descs *d, const geometry *g, const mds *m, dnnl_prop_kind_t prop,
                                dnnl_primitive_desc_t *pd) {
    if (d->status) return d->status;
    return dnnl_convolution_forward_primitive_desc_create(pd, sn_dnnl_engine(), prop, dnnl_convolution_direct, m->x,
                                                          m->w_any, m->bias, m->y, g->stride, g->dilate, g->left,
                                                          g->right, d->attr);
}

/* The hint that backward forms want: the same convolution forward, all in one dtype. */
static dnnl_status_t hint_pd(sn_descs *d, const geometry *g, sn_dtype type, dnnl_primitive_desc_t *pd) {
    mds m = {0};
    describe(d, g, type, type, type, &m);
    return forward_pd(d, g, &m, dnnl_forward_training, pd);
}

/* ---- forward ---- */
static bool accepts(const sn_kernel_request *r) {
    sn_dtype type = r->in[0].dtype, out = r->out[0].dtype;
    return sn_request_nonempty(r) && sn_dnnl_float(r, type) && r->in[1].dtype == type
           && (out == type || out == SN_F32) && (r->n_in < 3 || r->in[2].dtype == SN_F32 || r->in[2].dtype == type);
}

static sn_status build(const sn_kernel_request *r, sn_prim_state *s, sn_kernel_plan *plan, sn_descs *d) {
    geometry g;
    mds m = {0};
    measure(r->attr, r->in[0].shape, r->in[1].shape, r->out[0].shape, &g);
    describe(d, &g, r->in[0].dtype, r->in[1].dtype, r->out[0].dtype, &m);
    if (r->n_in > 2) m.bias = sn_desc_tag(d, r->in[2].dtype, 1, g.bias, dnnl_a);
    SN_TRY(sn_prim_built(s, forward_pd(d, &g, &m, dnnl_forward_training, &s->main.pd)));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_SRC, 0, m.x));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_WEIGHTS, 1, m.w));
    sn_port_parts(s, plan, 1, 0, g.w[0]);
    if (m.bias) SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_BIAS, 2, m.bias));
    return sn_port_out(s, r, plan, DNNL_ARG_DST, 0, m.y);
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(sn_prim_state), (sn_act)r->attr->conv.act, build);
}
const sn_kernel sn_dnnl_conv = {"dnnl:conv", accepts, prepare};

/* ---- (weight, dy) -> dx ---- */
static bool accepts_data(const sn_kernel_request *r) {
    sn_dtype type = r->in[0].dtype, out = r->out[0].dtype;
    return sn_request_nonempty(r) && sn_dnnl_float(r, type) && r->in[1].dtype == type
           && (out == type || out == SN_F32);
}

static sn_status build_data(const sn_kernel_request *r, sn_prim_state *s, sn_kernel_plan *plan, sn_descs *d) {
    geometry g;
    mds m = {0};
    measure(r->attr, r->out[0].shape, r->in[0].shape, r->in[1].shape, &g);
    describe(d, &g, r->out[0].dtype, r->in[0].dtype, r->in[1].dtype, &m);
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t status = hint_pd(d, &g, r->in[0].dtype, &hint);
    if (!status)
        status = dnnl_convolution_backward_data_primitive_desc_create(
            &s->main.pd, sn_dnnl_engine(), dnnl_convolution_direct, m.x, m.w_any, m.y, g.stride, g.dilate, g.left,
            g.right, hint, d->attr);
    if (hint) (void)dnnl_primitive_desc_destroy(hint);
    SN_TRY(sn_prim_built(s, status));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_WEIGHTS, 0, m.w));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_DIFF_DST, 1, m.y));
    return sn_port_out(s, r, plan, DNNL_ARG_DIFF_SRC, 0, m.x);
}

static sn_status prepare_data(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(sn_prim_state), SN_ACT_NONE, build_data);
}
const sn_kernel sn_dnnl_conv_bwd_data = {"dnnl:conv_bwd_data", accepts_data, prepare_data};

/* ---- (x, dy) -> dweight f32, dbias f32 ---- */
/* oneDNN 2.6.3 on AVX2, kernels of 1x1 with a stride: about one run in a hundred of a new process sums a part twice
 * (jit_1x1:avx2 with two threads, alone in a program of its own too). */
static bool sums_twice(const sn_kernel_request *r) {
    const int32_t *kernel = r->attr->conv.kernel, *stride = r->attr->conv.stride;
    return r->isa < SN_ISA_AVX512 && r->threads > 1 && kernel[0] == 1 && kernel[1] == 1 && (stride[0] > 1 || stride[1] > 1);
}

static bool accepts_weights(const sn_kernel_request *r) {
    sn_dtype type = r->in[0].dtype;
    return sn_request_nonempty(r) && !sums_twice(r) && sn_dnnl_float(r, type) && r->in[1].dtype == type && r->out[0].dtype == SN_F32
           && r->out[1].dtype == SN_F32;
}

static sn_status build_weights(const sn_kernel_request *r, sn_prim_state *s, sn_kernel_plan *plan, sn_descs *d) {
    geometry g;
    mds m = {0};
    measure(r->attr, r->in[0].shape, r->out[0].shape, r->in[1].shape, &g);
    describe(d, &g, r->in[0].dtype, SN_F32, r->in[1].dtype, &m);
    if (!(r->unused & 2u)) m.bias = sn_desc_tag(d, SN_F32, 1, g.bias, dnnl_a);
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t status = hint_pd(d, &g, r->in[0].dtype, &hint);
    if (!status)
        status = dnnl_convolution_backward_weights_primitive_desc_create(
            &s->main.pd, sn_dnnl_engine(), dnnl_convolution_direct, m.x, m.w_any, m.bias, m.y, g.stride, g.dilate,
            g.left, g.right, hint, d->attr);
    if (hint) (void)dnnl_primitive_desc_destroy(hint);
    SN_TRY(sn_prim_built(s, status));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_SRC, 0, m.x));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_DIFF_DST, 1, m.y));
    SN_TRY(sn_port_out(s, r, plan, DNNL_ARG_DIFF_WEIGHTS, 0, m.w));
    return m.bias ? sn_port_out(s, r, plan, DNNL_ARG_DIFF_BIAS, 1, m.bias) : SN_OK;
}

static sn_status prepare_weights(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(sn_prim_state), SN_ACT_NONE, build_weights);
}
const sn_kernel sn_dnnl_conv_bwd_weights = {"dnnl:conv_bwd_weights", accepts_weights, prepare_weights};
