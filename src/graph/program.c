/* program.c: compile: passes -> order of steps -> kernels -> places. */
#include "base/parallel.h"
#include "graph/program_internal.h"

/* What leaves a program has the dtype it had in the caller's graph. */
static sn_status in_bf16(sn_graph **g, int n_outputs, sn_node *outputs) {
    bool *narrow = sn_alloc((size_t)n_outputs, sizeof *narrow);
    if (!narrow) return SN_ERR_MEMORY;
    for (int i = 0; i < n_outputs; i++) narrow[i] = sn_type_of(*g, outputs[i]).dtype == SN_BF16;
    sn_status status = sn_rewrite_run(g, n_outputs, outputs, sn_pass_precision);
    for (int i = 0; status == SN_OK && i < n_outputs; i++)
        if (sn_type_of(*g, outputs[i]).dtype == SN_BF16 && !narrow[i]) outputs[i] = sn_cast(*g, outputs[i], SN_F32);
    sn_free(narrow);
    return status;
}

static sn_status run_passes(sn_graph **g, const sn_compile_options *options, int n_outputs, sn_node *outputs) {
    SN_TRY(sn_graph_check(*g));
    SN_TRY(sn_pass_own_outputs(*g, n_outputs, outputs));
    if (options->bf16) SN_TRY(in_bf16(g, n_outputs, outputs));
    SN_TRY(sn_pass_own_outputs(*g, n_outputs, outputs));
    return sn_rewrite_run(g, n_outputs, outputs, sn_pass_fuse);
}

static void place_leaf(sn_program *p, const sn_instr *instr) {
    sn_place *place = &p->places[instr->out[0]];
    place->index = instr->attr.leaf.index;
    if (instr->op == SN_INPUT) {
        place->where = SN_IN_INPUT;
        p->inputs[place->index] = instr->out[0];
        return;
    }
    bool bf16 = p->graph->values[instr->out[0]].type.dtype == SN_BF16;
    place->where = bf16 ? SN_IN_SHADOW : SN_IN_PARAM;
    p->shadow |= bf16 && !sn_params_borrows(p->graph->params);
}

static unsigned unread_outputs(const sn_instr *instr, const bool *read) {
    unsigned mask = 0;
    for (int k = 0; k < instr->n_out; k++)
        if (!read[instr->out[k]]) mask |= 1u << k;
    return mask;
}

/* A table is read a row at a time: as it is stored, where kernels know that dtype (but see share_table). */
static sn_dtype table_dtype(const sn_params *params, int index) {
    sn_dtype stored = sn_params_stored(params, index);
    return stored == SN_BF16 || stored == SN_F16 ? stored : SN_F32;
}

static sn_status prepare(sn_program *p, sn_step *step, size_t index, const sn_compile_options *options, const bool *read,
                         const int32_t *step_of) {
    const sn_graph *g = p->graph;
    const sn_instr *instr = &g->instrs[index];
    sn_type in[SN_MAX_IN], out[SN_MAX_OUT];
    sn_kernel_request request = {.op = instr->op, .attr = &instr->attr, .n_in = instr->n_in, .n_out = instr->n_out, .in = in,
                                 .out = out, .threads = options->threads, .isa = options->isa, .stream = instr->stream,
                                 .unused = unread_outputs(instr, read),
                                 .inference = options->inference || sn_params_borrows(g->params)};
    for (int k = 0; k < instr->n_in; k++) {
        in[k] = g->values[instr->in[k]].type;
        step->in[k] = p->root[instr->in[k]];
        step->packed[k] = -1;
        sn_where where = p->places[step->in[k]].where;
        bool parameter = where == SN_IN_PARAM || where == SN_IN_SHADOW;
        if (parameter && step->in[k] == instr->in[k]) request.params |= 1u << k;
        step->fixed[k] = parameter && sn_params_borrows(g->params) ? p->n_fixed++ : -1;
        if (!k && step->fixed[0] >= 0 && sn_ops[instr->op].flags & SN_OPF_TABLE_0)
            in[0].dtype = table_dtype(g->params, p->places[step->in[0]].index);
    }
    for (int k = 0; k < instr->n_out; k++) {
        out[k] = g->values[instr->out[k]].type;
        step->out[k] = instr->out[k];
    }
    if (instr->forward >= 0 && step_of[instr->forward] >= 0) request.forward = &p->steps[step_of[instr->forward]].plan;
    step->name = instr->name;
    step->cost = sn_ops[instr->op].cost(in, instr->n_in, &instr->attr, out);
    sn_status status = sn_kernel_select(&request, options->backends, &step->plan);
    if (status != SN_OK) return sn_fail_in("%s", instr->name[0] ? instr->name : "graph");
    for (int k = 0; k < instr->n_in; k++)
        if (step->plan.pack[k].bytes) step->packed[k] = p->n_packed++;
    for (int k = 0; k < instr->n_out; k++) {
        sn_place *place = &p->places[instr->out[k]];
        *place = (sn_place){.where = SN_IN_ARENA, .output = place->output, .first = (int32_t)(step - p->steps)};
        if (out[k].dtype == SN_OPAQUE) place->bytes = step->plan.opaque[k];
        else SN_TRY(sn_type_bytes(out[k], &place->bytes));
        if (!read[instr->out[k]]) place->where = SN_NOWHERE;
    }
    return SN_OK;
}

static sn_status add_steps(sn_program *p, const sn_compile_options *options, const bool *live, const bool *skip,
                           const bool *read, int32_t *step_of) {
    for (size_t i = 0; i < p->graph->n_instrs; i++) {
        const sn_instr *instr = &p->graph->instrs[i];
        if (!live[i] || skip[i]) continue;
        unsigned flags = sn_ops[instr->op].flags;
        if (flags & SN_OPF_LEAF) place_leaf(p, instr);
        else if (flags & SN_OPF_VIEW) p->root[instr->out[0]] = p->root[instr->in[0]];
        else {
            step_of[i] = p->n_steps;
            SN_TRY(prepare(p, &p->steps[p->n_steps], i, options, read, step_of));
            p->n_steps++;
        }
    }
    return SN_OK;
}

static sn_status build_steps(sn_program *p, const sn_compile_options *options, const sn_node *outputs, int n_first) {
    const sn_graph *g = p->graph;
    size_t n = g->n_instrs;
    bool *first = sn_alloc(n, 1), *all = sn_alloc(n, 1), *read = sn_alloc(g->n_values, 1);
    int32_t *step_of = sn_alloc(n, sizeof *step_of);
    sn_status status = first && all && read && step_of ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK) {

        sn_graph_mark(g, n_first, outputs, first);
        sn_graph_mark(g, p->n_outputs, outputs, all);
        for (size_t i = 0; i < n; i++) {
            step_of[i] = -1;
            all[i] |= g->instrs[i].op == SN_INPUT;
            for (int k = 0; all[i] && k < g->instrs[i].n_in; k++) read[g->instrs[i].in[k]] = true;
        }
        for (int i = 0; i < p->n_outputs; i++) {
            read[outputs[i].id] = true;
            p->places[outputs[i].id].output = i;
        }
        bool *nothing = sn_alloc(n, 1);
        status = nothing ? add_steps(p, options, first, nothing, read, step_of) : SN_ERR_MEMORY;
        sn_free(nothing);
        p->n_first_steps = p->n_steps;
        if (status == SN_OK) status = add_steps(p, options, all, first, read, step_of);
    }
    sn_free(first);
    sn_free(all);
    sn_free(read);
    sn_free(step_of);
    return status;
}

/* A step with a packed copy of this matrix, where rows can be read out of that. */
static const sn_kernel_plan *packer_of(const sn_program *p, int32_t param, sn_shape shape, int *slot) {
    for (int32_t s = 0; s < p->n_steps; s++)
        for (int k = 0; k < p->steps[s].plan.n_in; k++) {
            const sn_step *step = &p->steps[s];
            const sn_pack *pack = &step->plan.pack[k];
            if (!pack->bytes || !pack->read || p->places[step->in[k]].index != param) continue;
            if (!sn_shape_equal(step->plan.in[k].shape, shape)) continue;
            *slot = k;
            return &step->plan;
        }
    return NULL;
}

/* A table that a product packs too (the words of a model that writes) lies in memory once: its rows are read from there,
 * rounded to bf16 where the product is in bf16. Stores with masters do the same, though they need not, so that a model gives
 * the same numbers wherever its parameters lie. */
static bool share_table(sn_program *p, sn_step *step) {
    int k;
    sn_kernel_plan *plan = &step->plan;
    const sn_kernel_plan *other = packer_of(p, p->places[step->in[0]].index, plan->in[0].shape, &k);
    if (!other) return false;
    plan->pack[0] = (sn_pack){.bytes = other->pack[k].bytes, .key = other->pack[k].key, .read = other->pack[k].read};
    plan->in[0].dtype = other->in[k].dtype;
    step->packed[0] = p->n_packed++;
    return true;
}

/* Where the rows of tables come from: a packed copy; or the file, of a store that borrows. Where nothing is packed (models that
 * are a table of words and little more), each weight is in memory once at most in any case, and reading in place is faster. */
static void place_tables(sn_program *p) {
    for (int32_t s = 0; s < p->n_steps; s++) {
        sn_step *step = &p->steps[s];
        if (!(step->plan.reads_rows & 1u)) continue;
        if (p->places[step->in[0]].where == SN_IN_PARAM && share_table(p, step)) continue;
        if (step->fixed[0] >= 0 && p->n_packed) step->plan.pack[0].read = sn_row_read;
    }
}

static sn_status allocate(sn_program *p, int n_outputs, const sn_node *outputs) {
    size_t values = p->graph->n_values;
    p->n_outputs = n_outputs;
    p->n_inputs = p->graph->n_inputs;
    p->steps = sn_alloc(p->graph->n_instrs, sizeof *p->steps);
    p->places = sn_alloc(values, sizeof *p->places);
    p->root = sn_alloc(values, sizeof *p->root);
    p->outputs = sn_alloc((size_t)n_outputs, sizeof *p->outputs);
    p->inputs = sn_alloc((size_t)p->n_inputs, sizeof *p->inputs);
    if (!p->steps || !p->places || !p->root || !p->outputs || !p->inputs) return SN_ERR_MEMORY;
    for (size_t i = 0; i < values; i++) {
        p->root[i] = (int32_t)i;
        p->places[i] = (sn_place){.where = SN_NOWHERE, .output = -1};
    }
    for (int i = 0; i < n_outputs; i++) p->outputs[i] = outputs[i].id;
    return SN_OK;
}

sn_status sn_program_compile(sn_graph *g, const sn_compile_options *options, int n_outputs, const sn_node *outputs,
                             int n_first, sn_program **out) {
    *out = NULL;
    sn_program *p = sn_alloc(1, sizeof *p);
    sn_node *kept = sn_alloc((size_t)n_outputs, sizeof *kept);
    sn_status status = p && kept ? sn_threads_enter(options->threads) : SN_ERR_MEMORY;
    if (p) {
        atomic_store(&p->references, 1);
        p->graph = g;
    }
    else sn_graph_free(g);
    for (int i = 0; kept && i < n_outputs; i++) kept[i] = outputs[i];
    if (status == SN_OK) status = run_passes(&p->graph, options, n_outputs, kept);
    if (status == SN_OK) status = allocate(p, n_outputs, kept);
    if (status == SN_OK) status = build_steps(p, options, kept, n_first);
    if (status == SN_OK) place_tables(p);
    if (status == SN_OK) status = sn_arena_plan(p);
    sn_free(kept);
    if (status == SN_OK) *out = p;
    else sn_program_free(p);
    return status;
}

/* The counts are the one thing in a program that changes. */
static sn_program *counted(const sn_program *p) { return (sn_program *)(uintptr_t)p; }

void sn_program_retain(const sn_program *p) { atomic_fetch_add(&counted(p)->references, 1); }
void sn_program_retire(const sn_program *p) { atomic_store(&counted(p)->retired, true); }
bool sn_program_retired(const sn_program *p) { return atomic_load(&counted(p)->retired); }

void sn_program_free(const sn_program *shared) {
    if (!shared || atomic_fetch_sub(&counted(shared)->references, 1) > 1) return;
    sn_program *p = counted(shared);
    for (int32_t i = 0; i < p->n_steps; i++) sn_kernel_release(&p->steps[i].plan);
    sn_graph_free(p->graph);
    sn_free(p->steps);
    sn_free(p->places);
    sn_free(p->root);
    sn_free(p->outputs);
    sn_free(p->inputs);
    sn_free(p);
}

size_t sn_program_bytes(const sn_program *p) { return p->bytes; }
int sn_program_inputs(const sn_program *p) { return p->n_inputs; }
sn_type sn_program_input_type(const sn_program *p, int i) { return p->graph->values[p->inputs[i]].type; }
sn_type sn_program_output_type(const sn_program *p, int i) { return p->graph->values[p->outputs[i]].type; }

double sn_program_flops(const sn_program *p) {
    double sum = 0;
    for (int32_t i = 0; i < p->n_steps; i++) sum += p->steps[i].cost;
    return sum;
}

void sn_program_print(const sn_program *p, sn_buf *text) {
    char shape[SN_SHAPE_TEXT];
    for (int32_t i = 0; i < p->n_steps; i++) {
        const sn_step *s = &p->steps[i];
        sn_buf_printf(text, "%4d %-17s %-36s %-4s %-28s %s\n", (int)i, sn_ops[s->plan.op].name, s->name,
                      sn_dtype_name(s->plan.out[0].dtype), sn_shape_text(s->plan.out[0].shape, shape), s->plan.kernel->name);
    }
}
