/* select.c: which kernel computes an instruction: the first column, in the order dnnl, simd, ref, that accepts
 * it. An op that reads a workspace stays in the column that wrote it: workspaces are private. */
#include <stdio.h>

#include "kernels/kernel.h"
#include "ops/op.h"

typedef struct column {
    unsigned backend;
    const sn_kernel *const *kernels;
} column;

static const column columns[] = {
#ifdef SN_DNNL
    {SN_USE_DNNL, sn_dnnl_kernels},
#endif
    {SN_USE_SIMD, sn_simd_kernels},
    {SN_USE_REF, sn_ref_kernels}};
enum { COLUMNS = sizeof columns / sizeof *columns };

static void fill(const sn_kernel_request *r, sn_kernel_plan *plan) {
    *plan = (sn_kernel_plan){.attr = *r->attr, .n_in = r->n_in, .n_out = r->n_out, .threads = r->threads, .op = r->op,
                             .unused = r->unused, .stream = r->stream};
    for (int i = 0; i < r->n_in; i++) plan->in[i] = r->in[i];
    for (int i = 0; i < r->n_out; i++) plan->out[i] = r->out[i];
}

/* The columns that may compute this: for an op that reads a workspace, the one that wrote it. */
static unsigned allowed(const sn_kernel_request *r, unsigned backends) {
    const sn_kernel_plan *forward = r->forward;
    bool reads = false;
    for (int i = 0; i < r->n_in; i++) reads |= r->in[i].dtype == SN_OPAQUE;
    if (!reads || !forward || !forward->kernel) return backends;
    for (int i = 0; i < COLUMNS; i++)
        if (columns[i].kernels[forward->op] == forward->kernel) return columns[i].backend;
    return backends;
}

static void add_types(char *text, size_t size, const sn_type *types, int n) {
    size_t used = strlen(text);
    for (int i = 0; i < n && used + 1 < size; i++) {
        char shape[SN_SHAPE_TEXT];
        int wrote = snprintf(text + used, size - used, "%s%s%s", i ? ", " : "", sn_dtype_name(types[i].dtype),
                             sn_shape_text(types[i].shape, shape));
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

static sn_status refuse(const sn_kernel_request *r, unsigned backends) {
    char in[400] = "", out[200] = "";
    add_types(in, sizeof in, r->in, r->n_in);
    add_types(out, sizeof out, r->out, r->n_out);
    SN_FAIL(SN_ERR_UNSUPPORTED, "no kernel (backends %u) computes %s (%s) -> (%s)", backends, sn_ops[r->op].name, in, out);
}

sn_status sn_kernel_select(const sn_kernel_request *request, unsigned backends, sn_kernel_plan *plan) {
    fill(request, plan);
    backends = allowed(request, backends);
    for (int i = 0; i < COLUMNS; i++) {
        const sn_kernel *kernel = columns[i].kernels[request->op];
        if (!(backends & columns[i].backend) || !kernel || !kernel->accepts || !kernel->accepts(request)) continue;
        plan->kernel = kernel;
        sn_status status = kernel->prepare(request, plan);
        if (status != SN_OK) sn_kernel_release(plan);
        return status;
    }
    return refuse(request, backends);
}

void sn_kernel_release(sn_kernel_plan *plan) {
    if (plan->release) plan->release(plan->state);
    *plan = (sn_kernel_plan){.kernel = NULL};
}
