/* runner.c: runs a program: no allocation, no lookup, no shape logic. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/parallel.h"
#include "graph/program_internal.h"

struct sn_runner {
    const sn_program *program;
    sn_params *params;
    unsigned char *memory;
    const void **inputs;
    void **outputs;      /* bound from outside, or NULL */
    void **values;       /* resolved pointers, per value */
    sn_packed **packed;  /* by step->packed[k] */
    const void **fixed;  /* by step->fixed[k]: parameters of a store that borrows, or their rows */
    sn_row_source *rows; /* by step->fixed[k] */
    double *seconds;     /* per step, when profiled */
    int64_t runs;
};

static sn_status find_packed(sn_runner *r) {
    const sn_program *p = r->program;
    for (int32_t s = 0; s < p->n_steps; s++) {
        const sn_step *step = &p->steps[s];
        for (int k = 0; k < step->plan.n_in; k++) {
            const sn_pack *pack = &step->plan.pack[k];
            if (step->packed[k] < 0) continue;
            SN_TRY(sn_params_packed(r->params, p->places[step->in[k]].index, pack->key, pack->bytes,
                                    &r->packed[step->packed[k]]));
        }
    }
    return SN_OK;
}

/* Parameters of a store that borrows, where no kernel packs them. */
static sn_status find_fixed(sn_runner *r) {
    const sn_program *p = r->program;
    for (int32_t s = 0; s < p->n_steps; s++) {
        const sn_step *step = &p->steps[s];
        for (int k = 0; k < step->plan.n_in; k++) {
            int32_t at = step->fixed[k], param = p->places[step->in[k]].index;
            if (at < 0 || step->packed[k] >= 0) continue;
            sn_dtype dtype = step->plan.in[k].dtype;
            r->fixed[at] = &r->rows[at];
            SN_TRY(step->plan.pack[k].read ? sn_params_rows(r->params, param, dtype, &r->rows[at])
                                           : sn_params_plain(r->params, param, dtype, &r->fixed[at]));
        }
    }
    return SN_OK;
}

sn_status sn_runner_create(const sn_program *p, sn_params *params, sn_runner **out) {
    *out = NULL;
    sn_runner *r = sn_alloc(1, sizeof *r);
    if (!r) return SN_ERR_MEMORY;
    r->program = p;
    sn_program_retain(p);
    r->params = params;
    r->inputs = sn_alloc((size_t)p->n_inputs, sizeof *r->inputs);
    r->outputs = sn_alloc((size_t)p->n_outputs, sizeof *r->outputs);
    r->values = sn_alloc(p->graph->n_values, sizeof *r->values);
    r->packed = sn_alloc((size_t)p->n_packed, sizeof *r->packed);
    r->fixed = sn_alloc((size_t)p->n_fixed, sizeof *r->fixed);
    r->rows = sn_alloc((size_t)p->n_fixed, sizeof *r->rows);
    sn_status status = r->inputs && r->outputs && r->values && r->packed && r->fixed && r->rows ? SN_OK : SN_ERR_MEMORY;
    uint16_t *shadow;
    if (status == SN_OK && p->shadow) status = sn_params_shadow(params, &shadow);
    if (status == SN_OK) status = find_packed(r);
    if (status == SN_OK) status = find_fixed(r);
    if (status == SN_OK) *out = r;
    else sn_runner_free(r);
    return status;
}

void sn_runner_free(sn_runner *r) {
    if (!r) return;
    sn_program_free(r->program);
    sn_free(r->inputs);
    sn_free(r->outputs);
    sn_free(r->values);
    sn_free(r->packed);
    sn_free(r->fixed);
    sn_free(r->rows);
    sn_free(r->seconds);
    sn_free(r);
}

void sn_runner_lend(sn_runner *r, void *memory) { r->memory = memory; }
void sn_runner_bind_input(sn_runner *r, int i, const void *data) { r->inputs[i] = data; }
void sn_runner_bind_output(sn_runner *r, int i, void *data) { r->outputs[i] = data; }

static void *resolve(const sn_runner *r, int32_t value) {
    const sn_place *place = &r->program->places[value];
    switch (place->where) {
    case SN_IN_ARENA:
        if (place->output >= 0 && r->outputs[place->output]) return r->outputs[place->output];
        return r->memory + place->offset;
    case SN_IN_INPUT: return (void *)(uintptr_t)r->inputs[place->index];
    case SN_IN_PARAM: return sn_params_data(r->params, place->index);
    case SN_IN_SHADOW: {
        uint16_t *shadow = sn_params_shadow_if_any(r->params);
        return shadow ? shadow + sn_params_offset(r->params, place->index) : NULL;
    }
    case SN_NOWHERE: return NULL;
    }
    return NULL;
}

void *sn_runner_output(const sn_runner *r, int i) { return resolve(r, r->program->root[r->program->outputs[i]]); }

/* Is it this step that makes the copy of its input k, and is there none of this version yet? */
static bool must_pack(const sn_runner *r, const sn_step *step, int k, uint64_t version) {
    return step->packed[k] >= 0 && step->plan.pack[k].pack && r->packed[step->packed[k]]->version != version;
}

/* The largest copy that is still to be made: first, while the room for its source is not yet taken by others. */
static bool next_to_pack(const sn_runner *r, uint64_t version, int32_t *step_out, int *k_out) {
    const sn_program *p = r->program;
    size_t most = 0;
    for (int32_t s = 0; s < p->n_steps; s++)
        for (int k = 0; k < p->steps[s].plan.n_in; k++) {
            size_t bytes = p->steps[s].plan.pack[k].bytes;
            if (bytes <= most || !must_pack(r, &p->steps[s], k, version)) continue;
            most = bytes;
            *step_out = s;
            *k_out = k;
        }
    return most > 0;
}

/* room: for sources in another dtype, one after the other. A large one goes at once: there is only so much memory. */
enum { ROOM_KEPT = 16 << 20 };
static sn_status pack_stretch(sn_runner *r, const sn_step *step, int k, sn_stretch s, void **room, size_t *bytes) {
    const sn_pack *pack = &step->plan.pack[k];
    sn_packed *packed = r->packed[step->packed[k]];
    const void *from;
    SN_TRY(sn_params_source(r->params, packed->param, s, step->plan.in[k].dtype, step->plan.threads, &from, room, bytes));
    sn_status status = pack->pack_part ? pack->pack_part(step->plan.state, from, s.first, s.count, packed->data)
                                       : pack->pack(step->plan.state, from, packed->data);
    sn_params_give_back(r->params, packed->param, s);
    return status;
}

static sn_status pack_next(sn_runner *r, const sn_step *step, int k, void **room, size_t *bytes) {
    sn_packed *packed = r->packed[step->packed[k]];
    const sn_pack *pack = &step->plan.pack[k];
    size_t all = sn_params_all(r->params, packed->param).count, part = pack->pack_part ? pack->part : all;
    sn_status status = SN_OK;
    for (size_t at = 0; status == SN_OK && at < all; at += part)
        status = pack_stretch(r, step, k, (sn_stretch){at, all - at < part ? all - at : part}, room, bytes);
    if (status == SN_OK) packed->version = sn_params_version(r->params);
    if (*bytes <= ROOM_KEPT) return status;
    sn_pages_free(*room, *bytes);
    *room = NULL;
    *bytes = 0;
    return status;
}

static sn_status pack_borrowed(sn_runner *r) {
    uint64_t version = sn_params_version(r->params);
    int32_t s;
    int k;
    void *room = NULL;
    size_t bytes = 0;
    sn_status status = SN_OK;
    while (status == SN_OK && next_to_pack(r, version, &s, &k)) status = pack_next(r, &r->program->steps[s], k, &room, &bytes);
    sn_pages_free(room, bytes);
    return status;
}

static sn_status pack_all(sn_runner *r) {
    const sn_program *p = r->program;
    if (sn_params_borrows(r->params)) return pack_borrowed(r);
    if (p->shadow && p->n_steps) SN_TRY(sn_params_fresh(r->params, p->steps[0].plan.threads));
    uint64_t version = sn_params_version(r->params);
    for (int32_t s = 0; s < p->n_steps; s++) {
        const sn_step *step = &p->steps[s];
        for (int k = 0; k < step->plan.n_in; k++) {
            if (!must_pack(r, step, k, version)) continue;
            sn_packed *packed = r->packed[step->packed[k]];
            SN_TRY(step->plan.pack[k].pack(step->plan.state, resolve(r, step->in[k]), packed->data));
            packed->version = version;
        }
    }
    return SN_OK;
}

/* Copies belong to the store, which several sessions may share: the first to come makes them, the others wait. */
static sn_status freshen(sn_runner *r) {
    if (!r->program->shadow && !r->program->n_packed) return SN_OK;
    sn_params_lock(r->params);
    sn_status status = pack_all(r);
    sn_params_unlock(r->params);
    return status;
}

static sn_status check_finite(const sn_runner *r, const sn_step *step) {
    for (int k = 0; k < step->plan.n_out; k++) {
        sn_type type = step->plan.out[k];
        const void *data = r->values[step->out[k]];
        if (!data || (type.dtype != SN_F32 && type.dtype != SN_BF16)) continue;
        for (int64_t i = 0; i < sn_shape_count(type.shape); i++) {
            float x = type.dtype == SN_F32 ? ((const float *)data)[i] : sn_from_bf16(((const uint16_t *)data)[i]);
            if (isfinite(x)) continue;
            char shape[SN_SHAPE_TEXT];
            SN_FAIL(SN_ERR_NUMERIC, "op %s in \"%s\" gave %f at element %lld of its output %s", sn_ops[step->plan.op].name,
                    step->name, (double)x, (long long)i, sn_shape_text(type.shape, shape));
        }
    }
    return SN_OK;
}

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static sn_status run_step(sn_runner *r, const sn_step *step, const sn_run_info *info) {
    void *in[SN_MAX_IN], *out[SN_MAX_OUT];
    for (int k = 0; k < step->plan.n_in; k++)
        in[k] = step->packed[k] >= 0  ? r->packed[step->packed[k]]->data
                : step->fixed[k] >= 0 ? (void *)(uintptr_t)r->fixed[step->fixed[k]]
                                      : r->values[step->in[k]];
    for (int k = 0; k < step->plan.n_out; k++) out[k] = r->values[step->out[k]];
    sn_kernel_args args = {in, out, r->memory + step->scratch, info};
    sn_status status = step->plan.run(&step->plan, &args);
    return status == SN_OK ? SN_OK : sn_fail_in("%s (%s)", step->name, sn_ops[step->plan.op].name);
}

sn_status sn_runner_run(sn_runner *r, unsigned flags, const sn_run_info *info) {
    const sn_program *p = r->program;
    if (!r->memory && p->bytes) SN_FAIL(SN_ERR_STATE, "the runner was lent no memory");
    for (int i = 0; i < p->n_inputs; i++)
        if (!r->inputs[i]) SN_FAIL(SN_ERR_STATE, "input %d is not bound", i);
    if (p->n_steps) SN_TRY(sn_threads_enter(p->steps[0].plan.threads));
    if (flags & SN_RUN_FIRST) SN_TRY(freshen(r));
    for (size_t v = 0; v < p->graph->n_values; v++) r->values[v] = resolve(r, p->root[v]);
    int32_t from = flags & SN_RUN_FIRST ? 0 : p->n_first_steps, to = flags & SN_RUN_SECOND ? p->n_steps : p->n_first_steps;
    for (int32_t s = from; s < to; s++) {
        double start = r->seconds ? now() : 0;
        SN_TRY(run_step(r, &p->steps[s], info));
        if (r->seconds) r->seconds[s] += now() - start;
        if (flags & SN_RUN_CHECK) SN_TRY(check_finite(r, &p->steps[s]));
    }
    r->runs += (flags & SN_RUN_FIRST) != 0;
    return SN_OK;
}

sn_status sn_runner_profile(sn_runner *r) {
    if (!r->seconds) r->seconds = sn_alloc((size_t)r->program->n_steps, sizeof *r->seconds);
    return r->seconds ? SN_OK : SN_ERR_MEMORY;
}

void sn_runner_print_profile(const sn_runner *r, sn_buf *text) {
    if (!r->seconds || !r->runs) return;
    char shape[SN_SHAPE_TEXT];
    for (int32_t s = 0; s < r->program->n_steps; s++) {
        const sn_step *step = &r->program->steps[s];
        double each = r->seconds[s] / (double)r->runs;
        sn_buf_printf(text, "%9.3f ms %7.1f GF/s  %-17s %-36s %-4s %-24s %s\n", each * 1e3,
                      step->cost / (each > 0 ? each : 1) * 1e-9, sn_ops[step->plan.op].name, step->name,
                      sn_dtype_name(step->plan.out[0].dtype), sn_shape_text(step->plan.out[0].shape, shape),
                      step->plan.kernel->name);
    }
}
