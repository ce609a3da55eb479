/* graph.c: creation, sticky failure, scopes, and the one place where instructions are emitted. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>

#include "ops/op.h"

sn_status sn_graph_create(sn_params *params, bool training, sn_graph **out) {
    *out = NULL;
    sn_graph *g = sn_alloc(1, sizeof *g);
    if (!g) return SN_ERR_MEMORY;
    g->params = params;
    g->training = training;
    *out = g;
    return SN_OK;
}

void sn_graph_free(sn_graph *g) {
    if (!g) return;
    sn_free(g->instrs);
    sn_free(g->values);
    sn_arena_free(&g->arena);
    sn_free(g->param_nodes);
    sn_free(g);
}

sn_status sn_graph_check(const sn_graph *g) {
    if (g->failed != SN_OK) SN_FAIL(g->failed, "%s", g->message);
    return SN_OK;
}

static sn_node keep_failure(sn_graph *g) {
    if (g->failed == SN_OK) {
        g->failed = sn_error_code();
        (void)snprintf(g->message, sizeof g->message, "%s", sn_error_message());
    }
    return SN_NO_NODE;
}

sn_node sn_graph_fail(sn_graph *g, sn_status code, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)sn_fail(code, "%s%s%s", g->scope, g->scope_size ? ": " : "", text);
    return keep_failure(g);
}

void sn_scope_push(sn_graph *g, const char *name) {
    if (g->failed != SN_OK) return;
    size_t room = sizeof g->scope - g->scope_size;
    int n = snprintf(g->scope + g->scope_size, room, g->scope_size ? ".%s" : "%s", name);
    if (n < 0 || (size_t)n >= room || g->scope_depth == SN_MAX_SCOPES) {
        g->scope[g->scope_size] = '\0';
        (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "scope names are nested too deep at %s", name);
        return;
    }
    g->scope_starts[g->scope_depth++] = g->scope_size;
    g->scope_size += (size_t)n;
}

void sn_scope_pop(sn_graph *g) {
    if (g->failed != SN_OK || !g->scope_depth) return;
    g->scope_size = g->scope_starts[--g->scope_depth];
    g->scope[g->scope_size] = '\0';
}

/* The scoped name, in the graph's arena. */
static char *scoped(sn_graph *g, const char *name) {
    char text[sizeof g->scope + 128];
    int n = snprintf(text, sizeof text, "%s%s%s", g->scope, g->scope_size ? "." : "", name);
    if (n < 0 || (size_t)n >= sizeof text) {
        (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "name %s is too long", name);
        return NULL;
    }
    char *kept = sn_arena_strdup(&g->arena, text);
    if (!kept) (void)keep_failure(g);
    return kept;
}

/* No model comes near it; a number of layers read from a broken file does. */
enum { MOST_INSTRS = 1 << 20 };

static sn_node emit_typed(sn_graph *g, sn_op op, const sn_node *in, int n_in, const sn_attr *attr, const sn_type *out) {
    const sn_op_info *info = &sn_ops[op];
    if (g->n_instrs >= MOST_INSTRS) return sn_graph_fail(g, SN_ERR_UNSUPPORTED, "a graph of more than %d instructions", MOST_INSTRS);
    void *instrs = sn_grow(g->instrs, g->n_instrs, &g->instr_room, sizeof *g->instrs);
    if (!instrs) return keep_failure(g);
    g->instrs = instrs;
    char *name = g->n_instrs && !strcmp(g->instrs[g->n_instrs - 1].name, g->scope)
                     ? (char *)(uintptr_t)g->instrs[g->n_instrs - 1].name
                     : sn_arena_strdup(&g->arena, g->scope);
    if (!name) return keep_failure(g);
    sn_instr *instr = &g->instrs[g->n_instrs];
    *instr = (sn_instr){.op = op, .n_in = n_in, .n_out = info->n_out, .forward = -1, .name = name};
    if (attr) instr->attr = *attr;
    for (int i = 0; i < n_in; i++) instr->in[i] = in[i].id;
    for (int k = 0; k < info->n_out; k++) {
        void *values = sn_grow(g->values, g->n_values, &g->value_room, sizeof *g->values);
        if (!values) return keep_failure(g);
        g->values = values;
        g->values[g->n_values] = (sn_value){out[k], (int32_t)g->n_instrs, k};
        instr->out[k] = (int32_t)g->n_values++;
    }
    g->n_instrs++;
    return (sn_node){instr->out[0]};
}

sn_node sn_emit(sn_graph *g, sn_op op, const sn_node *in, int n_in, const sn_attr *attr) {
    static const sn_attr none;
    if (g->failed != SN_OK) return SN_NO_NODE;
    const sn_op_info *info = &sn_ops[op];
    while (n_in > info->min_in && in[n_in - 1].id < 0) n_in--; /* optional inputs left out */
    if (n_in < info->min_in || n_in > info->n_in)
        return sn_graph_fail(g, SN_ERR_SHAPE, "%s takes %d to %d inputs, not %d", info->name, info->min_in, info->n_in, n_in);
    sn_type types[SN_MAX_IN], out[SN_MAX_OUT] = {0};
    for (int i = 0; i < n_in; i++) {
        if (in[i].id < 0) return sn_graph_fail(g, SN_ERR_SHAPE, "%s: input %d is missing", info->name, i);
        types[i] = g->values[in[i].id].type;
    }
    if (info->shape(types, n_in, attr ? attr : &none, out) != SN_OK) {
        (void)sn_fail_in("%s%s%s", g->scope, g->scope_size ? ": " : "", info->name);
        return keep_failure(g);
    }
    return emit_typed(g, op, in, n_in, attr, out);
}

sn_node sn_output(const sn_graph *g, sn_node first, int slot) {
    if (first.id < 0) return SN_NO_NODE;
    return (sn_node){g->instrs[g->values[first.id].maker].out[slot]};
}

sn_node sn_input(sn_graph *g, sn_dtype dtype, sn_shape shape) {
    if (g->failed != SN_OK) return SN_NO_NODE;
    sn_attr attr = {.leaf = {g->n_inputs++}};
    sn_type type = {shape, dtype};
    return emit_typed(g, SN_INPUT, NULL, 0, &attr, &type);
}

static int32_t *known_param(sn_graph *g, size_t index, sn_dtype dtype) {
    size_t old = g->param_room;
    void *nodes = sn_grow_to(g->param_nodes, index + 1, &g->param_room, sizeof *g->param_nodes);
    if (!nodes) return NULL;
    g->param_nodes = nodes;
    memset(g->param_nodes + old, 0, (g->param_room - old) * sizeof *g->param_nodes);
    return &g->param_nodes[index][dtype == SN_F32 ? 0 : 1];
}

/* A parameter is one node however often it is asked for: its gradient is then the sum over all uses. */
sn_node sn_param_as(sn_graph *g, const char *name, sn_shape shape, sn_init init, sn_dtype dtype) {
    if (g->failed != SN_OK) return SN_NO_NODE;
    char *full = scoped(g, name);
    sn_attr attr = {.leaf = {0}};
    sn_type type = {shape, dtype};
    if (!full) return SN_NO_NODE;
    if (sn_params_declare(g->params, full, shape, init, &attr.leaf.index) != SN_OK) return keep_failure(g);
    int32_t *known = known_param(g, (size_t)attr.leaf.index, dtype);
    if (!known) return keep_failure(g);
    if (*known && g->values[*known - 1].type.dtype == dtype) return (sn_node){*known - 1};
    sn_node node = emit_typed(g, SN_PARAM, NULL, 0, &attr, &type);
    if (node.id >= 0) *known = node.id + 1;
    return node;
}

sn_node sn_param(sn_graph *g, const char *name, sn_shape shape, sn_init init) {
    return sn_param_as(g, name, shape, init, SN_F32);
}

void sn_graph_mark(const sn_graph *g, int n, const sn_node *nodes, bool *live) {
    for (int i = 0; i < n; i++)
        if (nodes[i].id >= 0) live[g->values[nodes[i].id].maker] = true;
    for (size_t i = g->n_instrs; i-- > 0;)
        for (int k = 0; live[i] && k < g->instrs[i].n_in; k++)
            if (g->instrs[i].in[k] >= 0) live[g->values[g->instrs[i].in[k]].maker] = true;
}

sn_node sn_graph_param(const sn_graph *g, int index) {
    if (index < 0 || (size_t)index >= g->param_room) return SN_NO_NODE;
    return (sn_node){g->param_nodes[index][0] - 1};
}

sn_node sn_fill(sn_graph *g, sn_shape shape, float value) {
    if (g->failed != SN_OK) return SN_NO_NODE;
    sn_attr attr = {.fill = {value}};
    sn_type type = {shape, SN_F32};
    return emit_typed(g, SN_FILL, NULL, 0, &attr, &type);
}

sn_node sn_dropout(sn_graph *g, sn_node x, sn_node rows, float rate, const char *name) {
    if (!g->training || rate <= 0) return x;
    char *full = g->failed == SN_OK ? scoped(g, name) : NULL;
    if (!full) return SN_NO_NODE;
    sn_attr attr = {.dropout = {rate}};
    sn_node y = sn_emit(g, SN_DROPOUT, (sn_node[]){x, rows}, 2, &attr);
    if (y.id >= 0) g->instrs[g->values[y.id].maker].stream = sn_hash(full, strlen(full));
    return y;
}

void sn_graph_update(sn_graph *g, sn_node param, sn_node fresh) {
    if (g->failed != SN_OK) return;
    if (g->n_updates == (int)(sizeof g->updates / sizeof *g->updates)) {
        (void)sn_graph_fail(g, SN_ERR_UNSUPPORTED, "more than %d normalisation statistics", g->n_updates);
        return;
    }
    g->updates[g->n_updates].param = param;
    g->updates[g->n_updates++].fresh = fresh;
}
