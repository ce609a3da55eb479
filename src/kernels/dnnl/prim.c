/* prim.c: descriptors, primitives, and running one primitive between reorders. */
#include "kernels/dnnl/prim.h"

#include <pthread.h>
#include <stdio.h>

#include "base/parallel.h"
#include "base/text.h"
#include "kernels/dnnl/impl.h"
#include "ops/op.h"

/* ---- errors ---- */
void sn_request_text(const sn_kernel_request *r, char text[SN_WHAT]) {
    char shape[SN_SHAPE_TEXT];
    size_t used = (size_t)snprintf(text, SN_WHAT, "%s", sn_ops[r->op].name);
    for (int i = 0; i < r->n_in + 1 && used < SN_WHAT; i++) {
        const sn_type *t = i < r->n_in ? &r->in[i] : &r->out[0];
        used += (size_t)snprintf(text + used, SN_WHAT - used, "%s %s %s", i < r->n_in ? "" : " ->",
                                 sn_dtype_name(t->dtype), sn_shape_text(t->shape, shape));
    }
}

sn_status sn_dnnl_fail(dnnl_status_t status, const char *what, const char *doing) {
    static const char *const names[] = {"success", "out of memory", "invalid arguments", "unimplemented",
                                        "last implementation reached", "runtime error", "not required"};
    size_t n = (size_t)status;
    SN_FAIL(status == dnnl_out_of_memory ? SN_ERR_MEMORY : SN_ERR_BACKEND, "%s: oneDNN, %s: %s", what, doing,
            n < sizeof names / sizeof *names ? names[n] : "unknown error");
}

/* ---- descriptors ---- */
static const struct {
    dnnl_alg_kind_t alg;
    float alpha;
} activations[] = {
    [SN_ACT_RELU] = {dnnl_eltwise_relu, 0},           [SN_ACT_GELU] = {dnnl_eltwise_gelu_erf, 0},
    [SN_ACT_GELU_TANH] = {dnnl_eltwise_gelu_tanh, 0}, [SN_ACT_TANH] = {dnnl_eltwise_tanh, 0},
    [SN_ACT_SIGMOID] = {dnnl_eltwise_logistic, 0},    [SN_ACT_SILU] = {dnnl_eltwise_swish, 1},
    [SN_ACT_QUICK_GELU] = {dnnl_eltwise_swish, 1.702f},
};

static dnnl_status_t append(dnnl_primitive_attr_t attr, sn_act act) {
    dnnl_post_ops_t ops;
    dnnl_status_t status = dnnl_post_ops_create(&ops);
    if (status) return status;
    status = sn_post_eltwise(ops, activations[act].alg, activations[act].alpha, 0);
    if (!status) status = dnnl_primitive_attr_set_post_ops(attr, ops);
    (void)dnnl_post_ops_destroy(ops);
    return status;
}

void sn_descs_init(sn_descs *d, sn_act act) {
    *d = (sn_descs){0};
    d->status = dnnl_primitive_attr_create(&d->attr);
    if (!d->status) d->status = dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user);
    if (!d->status && act != SN_ACT_NONE) d->status = append(d->attr, act);
}

void sn_descs_free(sn_descs *d) {
    while (d->n > 0) (void)dnnl_memory_desc_destroy(d->all[--d->n]);
    if (d->attr) (void)dnnl_primitive_attr_destroy(d->attr);
    d->attr = NULL;
}

dnnl_data_type_t sn_dnnl_dtype(sn_dtype dtype) {
    return dtype == SN_F32    ? dnnl_f32
           : dtype == SN_BF16 ? dnnl_bf16
           : dtype == SN_F16  ? dnnl_f16
           : dtype == SN_I32  ? dnnl_s32
           : dtype == SN_U8   ? dnnl_u8
                              : dnnl_data_type_undef;
}

sn_const_md sn_desc_tag(sn_descs *d, sn_dtype dtype, int rank, const int64_t *dims, dnnl_format_tag_t tag) {
    if (d->status) return NULL;
    d->status = dnnl_memory_desc_create_with_tag(&d->all[d->n], rank, dims, sn_dnnl_dtype(dtype), tag);
    return d->status ? NULL : d->all[d->n++];
}

sn_const_md sn_desc_strided(sn_descs *d, sn_dtype dtype, int rank, const int64_t *dims, const int64_t *strides) {
    if (d->status) return NULL;
    d->status = dnnl_memory_desc_create_with_strides(&d->all[d->n], rank, dims, sn_dnnl_dtype(dtype), strides);
    return d->status ? NULL : d->all[d->n++];
}

/* ---- primitives ---- */
static dnnl_engine_t the_engine; /* written once, then only read */
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;
static void make_engine(void) {
    if (dnnl_engine_create(&the_engine, dnnl_cpu, 0)) the_engine = NULL;
}

dnnl_engine_t sn_dnnl_engine(void) {
    (void)pthread_once(&engine_once, make_engine);
    if (!the_engine) (void)sn_fail(SN_ERR_BACKEND, "oneDNN could not create its CPU engine");
    return the_engine;
}

sn_status sn_prim_create(sn_prim *p, const char *what) {
    p->scratch = sn_prim_bytes(p, DNNL_ARG_SCRATCHPAD);
    dnnl_status_t status = dnnl_primitive_create(&p->primitive, p->pd);
    if (!status) return SN_OK;
    p->primitive = NULL;
    sn_prim_free(p);
    return sn_dnnl_fail(status, what, "creating a primitive");
}

void sn_prim_free(sn_prim *p) {
    if (p->primitive) (void)dnnl_primitive_destroy(p->primitive);
    if (p->pd) (void)dnnl_primitive_desc_destroy(p->pd);
    p->primitive = NULL;
    p->pd = NULL;
}

sn_const_md sn_prim_md(const sn_prim *p, int arg) {
    return dnnl_primitive_desc_query_md(p->pd, dnnl_query_exec_arg_md, arg);
}

size_t sn_prim_bytes(const sn_prim *p, int arg) {
    sn_const_md md = sn_prim_md(p, arg);
    return md ? dnnl_memory_desc_get_size(md) : 0;
}

const char *sn_prim_impl(const sn_prim *p) {
    const char *name = NULL;
    if (!p->pd || dnnl_primitive_desc_query(p->pd, dnnl_query_impl_info_str, 0, &name) || !name) return "?";
    return name;
}

sn_status sn_prim_run(const sn_prim *p, const sn_prim_arg *args, int n, void *scratch, const char *what) {
    dnnl_exec_arg_t made[16];
    int count = 0;
    dnnl_engine_t engine = sn_dnnl_engine();
    dnnl_stream_t stream = NULL;
    if (!engine) return SN_ERR_BACKEND;
    dnnl_status_t status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    sn_prim_arg pad = {DNNL_ARG_SCRATCHPAD, scratch};
    for (int i = 0; !status && i < n + (p->scratch > 0); i++) {
        const sn_prim_arg *a = i < n ? &args[i] : &pad;
        made[count].arg = a->arg;
        status = dnnl_memory_create(&made[count].memory, sn_prim_md(p, a->arg), engine, a->data);
        if (!status) count++;
    }
    if (!status) status = dnnl_primitive_execute(p->primitive, stream, count, made);
    if (!status) status = dnnl_stream_wait(stream);
    while (count > 0) (void)dnnl_memory_destroy(made[--count].memory);
    if (stream) (void)dnnl_stream_destroy(stream);
    return status ? sn_dnnl_fail(status, what, "running") : SN_OK;
}

sn_status sn_reorder_create(sn_prim *p, sn_const_md from, sn_const_md to, const char *what) {
    dnnl_engine_t engine = sn_dnnl_engine();
    if (!engine) return SN_ERR_BACKEND;
    sn_descs d;
    sn_descs_init(&d, SN_ACT_NONE);
    dnnl_status_t status = d.status;
    if (!status) status = dnnl_reorder_primitive_desc_create(&p->pd, from, engine, to, engine, d.attr);
    sn_descs_free(&d);
    if (status) return p->pd = NULL, sn_dnnl_fail(status, what, "describing a reorder");
    return sn_prim_create(p, what);
}

sn_status sn_reorder_run(const sn_prim *p, const void *from, void *to, void *scratch, const char *what) {
    sn_prim_arg args[] = {{DNNL_ARG_FROM, (void *)(uintptr_t)from}, {DNNL_ARG_TO, to}};
    return sn_prim_run(p, args, 2, scratch, what);
}

size_t sn_scratch_take(size_t *total, size_t bytes) {
    size_t at = (*total + 63) & ~(size_t)63;
    *total = at + bytes;
    return at;
}

/* ---- one primitive between reorders ---- */
sn_status sn_prim_prepare(const sn_kernel_request *r, sn_kernel_plan *plan, size_t bytes, sn_act act,
                          sn_prim_build *build) {
    SN_TRY(sn_threads_enter(r->threads));
    if (!sn_dnnl_engine()) return SN_ERR_BACKEND;
    sn_prim_state *s = sn_alloc(1, bytes);
    if (!s) return SN_ERR_MEMORY;
    sn_request_text(r, s->what);
    plan->state = s;
    plan->run = sn_prim_state_run;
    plan->release = sn_prim_state_free;
    plan->scratch = 0;
    sn_descs d;
    sn_descs_init(&d, act);
    sn_status status = build(r, s, plan, &d);
    if (status == SN_OK && d.status == dnnl_out_of_memory) /* not a reason for another layout: that would change the result */
        status = sn_dnnl_fail(d.status, s->what, "describing the operation");
    sn_descs_free(&d);
    s->main_at = sn_scratch_take(&plan->scratch, s->main.scratch);
    s->move_at = sn_scratch_take(&plan->scratch, s->move_bytes);
    if (status != SN_OK) {
        plan->release(s);
        plan->state = NULL;
        plan->release = NULL;
    }
    return status;
}

sn_status sn_prim_built(sn_prim_state *s, dnnl_status_t status) {
    if (!status) return sn_prim_create(&s->main, s->what);
    s->main.pd = NULL;
    return sn_dnnl_fail(status, s->what, "describing the operation");
}

static sn_status pack_port(void *state, const void *from, void *to) {
    const sn_prim_state *s = state;
    return sn_reorder_run(&s->pack->move, from, to, NULL, s->what);
}

static sn_port *add_port(sn_prim_state *s, int arg, int slot, bool output) {
    sn_port *port = &s->port[s->n++];
    *port = (sn_port){.arg = arg, .slot = slot, .output = output};
    return port;
}

static void need_move_scratch(sn_prim_state *s, const sn_port *port) {
    if (port->move.scratch > s->move_bytes) s->move_bytes = port->move.scratch;
}

sn_status sn_port_in(sn_prim_state *s, const sn_kernel_request *r, sn_kernel_plan *plan, int arg, int slot,
                     sn_const_md md) {
    sn_port *port = add_port(s, arg, slot, false);
    sn_const_md wanted = sn_prim_md(&s->main, arg);
    if (dnnl_memory_desc_equal(md, wanted)) return SN_OK;
    SN_TRY(sn_reorder_create(&port->move, md, wanted, s->what));
    uint64_t key = sn_md_key(wanted);
    size_t bytes = sn_prim_bytes(&s->main, arg);
    port->moved = true;
    if ((r->params >> slot & 1u) && key && !port->move.scratch && !s->pack) {
        plan->pack[slot] = (sn_pack){.bytes = bytes, .key = key, .pack = pack_port};
        port->packed = true;
        s->pack = port;
    } else {
        port->at = sn_scratch_take(&plan->scratch, bytes);
        need_move_scratch(s, port);
    }
    return SN_OK;
}

sn_status sn_port_out(sn_prim_state *s, const sn_kernel_request *r, sn_kernel_plan *plan, int arg, int slot,
                      sn_const_md md) {
    sn_port *port = add_port(s, arg, slot, true);
    sn_const_md wanted = sn_prim_md(&s->main, arg);
    bool unused = r->unused >> slot & 1u, equal = dnnl_memory_desc_equal(md, wanted);
    if (equal && !unused) return SN_OK;
    port->moved = true;
    port->at = sn_scratch_take(&plan->scratch, sn_prim_bytes(&s->main, arg));
    if (unused) return SN_OK; /* written into scratch and left there */
    SN_TRY(sn_reorder_create(&port->move, wanted, md, s->what));
    need_move_scratch(s, port);
    return SN_OK;
}

sn_status sn_prim_state_run(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    const sn_prim_state *s = plan->state;
    char *scratch = args->scratch;
    sn_prim_arg bound[SN_PORTS];
    for (int i = 0; i < s->n; i++) {
        const sn_port *port = &s->port[i];
        void *given = port->output ? args->out[port->slot] : args->in[port->slot];
        bool copied = port->moved && !port->packed;
        bound[i] = (sn_prim_arg){port->arg, copied ? scratch + port->at : given};
        if (copied && !port->output)
            SN_TRY(sn_reorder_run(&port->move, given, bound[i].data, scratch + s->move_at, s->what));
    }
    SN_TRY(sn_prim_run(&s->main, bound, s->n, scratch + s->main_at, s->what));
    for (int i = 0; i < s->n; i++) {
        const sn_port *port = &s->port[i];
        if (port->output && port->move.primitive)
            SN_TRY(sn_reorder_run(&port->move, bound[i].data, args->out[port->slot], scratch + s->move_at, s->what));
    }
    return SN_OK;
}

void sn_prim_state_free(void *state) {
    sn_prim_state *s = state;
    if (!s) return;
    for (int i = 0; i < s->n; i++) sn_prim_free(&s->port[i].move);
    sn_prim_free(&s->main);
    sn_free(s);
}

static bool nonempty(const sn_type *types, int n) {
    for (int i = 0; i < n; i++)
        if (types[i].dtype != SN_OPAQUE && sn_shape_count(types[i].shape) == 0) return false;
    return true;
}

bool sn_request_nonempty(const sn_kernel_request *r) { return nonempty(r->in, r->n_in) && nonempty(r->out, r->n_out); }

bool sn_dnnl_float(const sn_kernel_request *r, sn_dtype dtype) {
    return dtype == SN_F32 || (dtype == SN_BF16 && sn_isa_bf16(r->isa));
}

const char *sn_dnnl_impl(const sn_kernel_plan *plan) {
    const sn_prim_state *s = plan->state;
    return sn_prim_impl(&s->main);
}
