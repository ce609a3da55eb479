/* prim.h: what all kernels of this folder share: descriptors, primitives, and a state that runs one primitive
 * between reorders of its arguments.
 *
 *   in[k] --(reorder into scratch, or packed once by the store)--> primitive --(reorder out of scratch)--> out[k]
 *
 * What is shared and what is made anew. The engine is one immutable object of the process (pthread_once, never
 * freed). Primitives are made at prepare, with the scratchpad given by the caller, and oneDNN promises that such
 * a primitive may be executed by several threads at once. Memory objects hold data pointers, so they cannot lie
 * in a shared state: they and the stream are made for each run (measured: 0.19 and 0.06 microseconds each).
 *
 * The thread count is baked into a primitive at creation; prepare enters sn_threads_enter, and whoever runs a
 * program does it before the first run on a thread. */
#ifndef SN_DNNL_PRIM_H
#define SN_DNNL_PRIM_H
#include "kernels/dnnl/compat.h"
#include "kernels/kernel.h"

/* ---- errors ---- */
enum { SN_WHAT = 320 };
/* "CONV [32, 8, 8, 3] [16, 3, 3, 3] -> [32, 8, 8, 16]" */
void sn_request_text(const sn_kernel_request *r, char text[SN_WHAT]);
sn_status sn_dnnl_fail(dnnl_status_t status, const char *what, const char *doing);

/* ---- descriptors: freed together; the first failure sticks and makes later calls return NULL ---- */
typedef struct sn_descs {
    sn_md all[16];
    int n;
    dnnl_primitive_attr_t attr;
    dnnl_status_t status;
} sn_descs;
/* The attribute has the user's scratchpad and, if asked, an activation after the operation. */
void sn_descs_init(sn_descs *d, sn_act act);
void sn_descs_free(sn_descs *d);
sn_const_md sn_desc_tag(sn_descs *d, sn_dtype dtype, int rank, const int64_t *dims, dnnl_format_tag_t tag);
sn_const_md sn_desc_strided(sn_descs *d, sn_dtype dtype, int rank, const int64_t *dims, const int64_t *strides);
dnnl_data_type_t sn_dnnl_dtype(sn_dtype dtype);

/* ---- primitives ---- */
typedef struct sn_prim {
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    size_t scratch;
} sn_prim;
typedef struct sn_prim_arg {
    int arg;
    void *data;
} sn_prim_arg;
/* NULL after recording why. */
dnnl_engine_t sn_dnnl_engine(void);
/* p->pd is set (it is taken over also on failure): makes the primitive. */
sn_status sn_prim_create(sn_prim *p, const char *what);
void sn_prim_free(sn_prim *p);
sn_const_md sn_prim_md(const sn_prim *p, int arg);
size_t sn_prim_bytes(const sn_prim *p, int arg); /* 0 where there is no such argument */
const char *sn_prim_impl(const sn_prim *p);
/* Runs with at most 15 arguments. */
sn_status sn_prim_run(const sn_prim *p, const sn_prim_arg *args, int n, void *scratch, const char *what);
sn_status sn_reorder_create(sn_prim *p, sn_const_md from, sn_const_md to, const char *what);
sn_status sn_reorder_run(const sn_prim *p, const void *from, void *to, void *scratch, const char *what);

/* Takes `bytes` at the end of a scratch of *total bytes; returns the offset (64-byte aligned). */
size_t sn_scratch_take(size_t *total, size_t bytes);

/* ---- one primitive between reorders ---- */
typedef struct sn_port {
    int arg, slot;   /* DNNL_ARG_*; index in args->in or args->out */
    bool output;
    bool packed;     /* in[slot] comes in the primitive's layout */
    bool moved;      /* else the primitive works on the caller's bytes */
    sn_prim move;
    size_t at;       /* in scratch: the primitive's own copy */
} sn_port;
enum { SN_PORTS = 6 };
/* First member of every state of this folder, so that sn_dnnl_impl can read it. */
typedef struct sn_prim_state {
    sn_prim main;
    char what[SN_WHAT];
    int n;
    sn_port port[SN_PORTS];
    size_t main_at, move_at; /* in scratch: the scratchpads of the primitive and of the reorders */
    size_t move_bytes;
    const sn_port *pack;     /* the packed one */
    struct { int axis; size_t each; } parts; /* of it (parts.c) */
} sn_prim_state;

/* The frame of every prepare: makes a state of `bytes`, calls build with descriptors whose attribute is ready,
 * gives scratch its last parts; on failure nothing is left. */
typedef sn_status sn_prim_build(const sn_kernel_request *r, sn_prim_state *s, sn_kernel_plan *plan, sn_descs *d);
sn_status sn_prim_prepare(const sn_kernel_request *r, sn_kernel_plan *plan, size_t bytes, sn_act act,
                          sn_prim_build *build);
/* What build does after filling s->main.pd with a call that gave `status`. */
sn_status sn_prim_built(sn_prim_state *s, dnnl_status_t status);

/* Ties input or output `slot`, whose bytes lie as `md` says, to argument `arg`. An input that is a parameter and
 * lies otherwise in the primitive is declared as a pack; one input of a state at most. An output that is unused
 * goes to scratch and stays there. */
sn_status sn_port_in(sn_prim_state *s, const sn_kernel_request *r, sn_kernel_plan *plan, int arg, int slot,
                     sn_const_md md);
sn_status sn_port_out(sn_prim_state *s, const sn_kernel_request *r, sn_kernel_plan *plan, int arg, int slot,
                      sn_const_md md);
/* After sn_port_in: a large packed input, whose outermost axis in memory is `axis` of `extent`, may be
 * packed in parts (parts.c). */
void sn_port_parts(sn_prim_state *s, sn_kernel_plan *plan, int slot, int axis, int64_t extent);
sn_status sn_prim_state_run(const sn_kernel_plan *plan, const sn_kernel_args *args);
void sn_prim_state_free(void *state);

/* No dimension of any input or output is zero (workspaces aside). */
bool sn_request_nonempty(const sn_kernel_request *r);
/* f32 anywhere; bf16 only where the processor multiplies it. */
bool sn_dnnl_float(const sn_kernel_request *r, sn_dtype dtype);
#endif
