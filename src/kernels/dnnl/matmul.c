/* matmul.c: a [..., M, K] times b [..., K, N] plus bias, activation after it.
 *
 * Transposed operands are the same bytes under other strides. In training the store packs no weight: it changes each
 * step and its plain bf16 copy is written by the optimiser. For inference it is, into the layout oneDNN asks for, which
 * does not depend on the rows (asked of 2.6: [16a 64b] in f32, [16a 64b 2a] in bf16, for 1 to 512 rows), so that reading
 * a prompt and decoding share one copy. A bf16 product of many rows moves b, weight or not, into that layout at each run,
 * in scratch: that takes 0.2 to 1.1 of 25 ms and makes the rest a tenth shorter. Which shapes are flattened:
 *
 *   b of rank 2, a not transposed:  [rows, K] x [K, N]            (rows = all leading dims times M)
 *   else:                           [B, M, K] x [B or 1, K, N]    (B = all leading dims)
 *
 * Up to four rows times a packed weight are simd/matvec.h's. */
#include "kernels/dnnl/prim.h"
#include "kernels/simd/matvec.h"

typedef struct state {
    sn_prim_state prim;
    sn_matvec few; /* rows */
} state;

typedef struct product {
    int rank;
    dnnl_dims_t a, b, c, bias, a_stride, b_stride, c_stride, bias_stride;
} product;

/* dims and strides of [batch, rows, cols]; from a matrix that lies transposed when `turned`. */
static void lay(int rank, int64_t batch, int64_t rows, int64_t cols, bool turned, int64_t *dims, int64_t *strides) {
    int64_t all_dims[3] = {batch, rows, cols};
    int64_t all_strides[3] = {rows * cols, turned ? 1 : cols, turned ? rows : 1};
    for (int i = 0; i < rank; i++) {
        dims[i] = all_dims[3 - rank + i];
        strides[i] = all_strides[3 - rank + i];
    }
}

static void describe(const sn_kernel_request *r, product *p) {
    sn_shape a = r->in[0].shape, b = r->in[1].shape;
    bool ta = r->attr->matmul.trans_a != 0, tb = r->attr->matmul.trans_b != 0;
    int64_t m = a.dim[a.rank - (ta ? 1 : 2)], k = a.dim[a.rank - (ta ? 2 : 1)];
    int64_t n = b.dim[b.rank - (tb ? 2 : 1)];
    int64_t batch = sn_shape_span(a, 0, a.rank - 2);
    if (b.rank == 2 && !ta) {
        m *= batch;
        batch = 1;
    }
    p->rank = batch == 1 ? 2 : 3;
    lay(p->rank, batch, m, k, ta, p->a, p->a_stride);
    lay(p->rank, b.rank == 2 ? 1 : batch, k, n, tb, p->b, p->b_stride);
    lay(p->rank, batch, m, n, false, p->c, p->c_stride);
    lay(p->rank, 1, 1, n, false, p->bias, p->bias_stride);
}

static bool accepts(const sn_kernel_request *r) {
    if (!sn_request_nonempty(r) || r->in[0].shape.rank < 2 || r->in[1].shape.rank < 2) return false;
    sn_dtype type = r->in[0].dtype, out = r->out[0].dtype;
    if (!sn_dnnl_float(r, type) || r->in[1].dtype != type) return false;
    if (out != SN_F32 && out != type) return false;
    return r->n_in < 3 || r->in[2].dtype == SN_F32 || r->in[2].dtype == type;
}

/* Moving b at each run pays from so many rows on, in bf16 (in f32 it does not), and where K fills the layout's blocks
 * (moving the rest is slow). Fixed numbers: the choice is the shape's alone. */
enum { MANY = 512, BLOCK_K = 16 };

/* b in the store's packed copy, or moved into scratch at each run? */
static bool is_packed(const sn_kernel_request *r) { return r->inference && (r->params >> 1 & 1u); }
static bool is_moved(const sn_kernel_request *r, const product *p) {
    return r->in[0].dtype == SN_BF16 && p->a[0] >= MANY && p->a[1] % BLOCK_K == 0;
}

/* b [K, N] as oneDNN likes it; false where that is no layout the store could keep, s->main is then unset. */
static bool build_laid(const sn_kernel_request *r, sn_prim_state *s, const product *p, sn_const_md a, sn_const_md bias,
                       sn_const_md c, sn_descs *d) {
    if (p->rank != 2 || (!is_packed(r) && !is_moved(r, p))) return false;
    sn_const_md any = sn_desc_tag(d, r->in[1].dtype, 2, p->b, dnnl_format_tag_any);
    if (d->status || dnnl_matmul_primitive_desc_create(&s->main.pd, sn_dnnl_engine(), a, any, bias, c, d->attr)) {
        s->main.pd = NULL;
        return false;
    }
    sn_const_md wanted = sn_prim_md(&s->main, DNNL_ARG_WEIGHTS);
    if (sn_md_key(wanted)) return true;
    sn_prim_free(&s->main);
    return false;
}

static sn_status run_few(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    const state *s = plan->state;
    sn_matvec_run(&s->few, args->in[0], args->in[1], plan->n_in > 2 ? args->in[2] : NULL, args->out[0]);
    return SN_OK;
}

/* Does the packed weight lie as matvec.h says? */
static bool lies_as_matvec(const sn_kernel_request *r, const sn_prim_state *s, const product *p, sn_descs *d) {
    sn_dtype dtype = r->in[0].dtype;
    if (p->rank != 2 || (dtype != SN_F32 && dtype != SN_BF16)) return false;
    sn_const_md laid = sn_desc_tag(d, dtype, 2, p->b, dtype == SN_F32 ? dnnl_BA16a64b : dnnl_BA16a64b2a);
    return !d->status && dnnl_memory_desc_equal(laid, sn_prim_md(&s->main, DNNL_ARG_WEIGHTS));
}

static sn_status build(const sn_kernel_request *r, sn_prim_state *s, sn_kernel_plan *plan, sn_descs *d) {
    product p;
    describe(r, &p);
    sn_const_md a = sn_desc_strided(d, r->in[0].dtype, p.rank, p.a, p.a_stride);
    sn_const_md b = sn_desc_strided(d, r->in[1].dtype, p.rank, p.b, p.b_stride);
    sn_const_md c = sn_desc_strided(d, r->out[0].dtype, p.rank, p.c, p.c_stride);
    sn_const_md bias = NULL;
    if (r->n_in > 2) bias = sn_desc_strided(d, r->in[2].dtype, p.rank, p.bias, p.bias_stride);
    dnnl_status_t status = d->status;
    bool laid = build_laid(r, s, &p, a, bias, c, d);
    if (!status && !laid)
        status = dnnl_matmul_primitive_desc_create(&s->main.pd, sn_dnnl_engine(), a, b, bias, c, d->attr);
    SN_TRY(sn_prim_built(s, status));
    SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_SRC, 0, a));
    sn_kernel_request changing = *r;
    changing.params = 0;
    SN_TRY(sn_port_in(s, r->inference ? r : &changing, plan, DNNL_ARG_WEIGHTS, 1, b));
    if (plan->pack[1].bytes && r->attr->matmul.trans_b) plan->pack[1].key ^= 0x5eed0f6a7e500001u; /* a square one looks alike */
    if (r->attr->matmul.trans_b && p.rank == 2) sn_port_parts(s, plan, 1, 1, p.b[1]);
    if (bias) SN_TRY(sn_port_in(s, r, plan, DNNL_ARG_BIAS, 2, bias));
    bool known = plan->pack[1].bytes && lies_as_matvec(r, s, &p, d);
    if (known && r->attr->matmul.trans_b) plan->pack[1].read = sn_matvec_read;
    if (known && !r->attr->matmul.trans_a && sn_matvec_fits(r->isa, r->in[0].dtype, p.a[0])) {
        ((state *)s)->few = (sn_matvec){p.a[0], p.a[1], p.c[1], r->in[0].dtype, r->out[0].dtype,
                                        r->n_in > 2 ? r->in[2].dtype : SN_F32, (sn_act)r->attr->matmul.act, r->threads};
        plan->run = run_few;
    }
    return sn_port_out(s, r, plan, DNNL_ARG_DST, 0, c);
}

static sn_status prepare(const sn_kernel_request *r, sn_kernel_plan *plan) {
    return sn_prim_prepare(r, plan, sizeof(state), (sn_act)r->attr->matmul.act, build);
}

const sn_kernel sn_dnnl_matmul = {"dnnl:matmul", accepts, prepare};
