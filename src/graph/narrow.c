/* narrow.c: a few positions of a sequence are taken before they are computed, not after.
 *
 *   slice(norm(x + mlp(x)))   becomes   norm(s + mlp(s)),  s = slice(x)
 *
 * A model that is asked for its first (or last) position alone, as pooled BERT, CLIP's and ViT's pictures and a prompt's
 * next word are, then computes the last block for that position only: ten of its twelve parts in the usual sizes, forward
 * and backward. What other outputs still read in full stays, and dead code goes in the passes.
 *
 * Going back from the slice: an op that computes each position from the same one of its inputs is computed again for
 * the narrow ones; attention needs only those queries, but every key and value, so that whatever leads to these is there
 * in full anyway and is sliced. */
#include "graph/narrow.h"

#include "ops/op.h"

typedef struct walk {
    sn_graph *g;
    int64_t start, size, steps;
    size_t n;      /* instructions before the slice */
    bool *wanted;  /* by value: a few positions of it are needed */
    bool *whole;   /* by instruction: needed in full */
    bool *narrow;  /* by instruction: computed again */
    sn_node *map;  /* by value: the narrow one */
    bool pays;     /* more than element-wise work becomes less */
} walk;

/* ---- ops of which a few rows of input 0 are taken, and the other inputs as they are ---- */

typedef bool may_fn(const walk *w, const sn_instr *instr);

static bool always(const walk *w, const sn_instr *instr) {
    (void)w, (void)instr;
    return true;
}
static bool weights_serve_all(const walk *w, const sn_instr *instr) {
    return !instr->attr.matmul.trans_a && w->g->values[instr->in[1]].type.shape.rank == 2;
}
/* Which keys a causal query sees is counted from the end. */
static bool queries(const walk *w, const sn_instr *instr) {
    return !instr->attr.attention.causal || w->start + w->size == w->steps;
}
/* The mask is drawn by the place within the row. */
static bool from_the_first(const walk *w, const sn_instr *instr) {
    (void)instr;
    return w->start == 0;
}

static const struct first {
    sn_op op;
    may_fn *may;
    bool keys; /* inputs 1 and 2 have positions too, all of which are needed */
} firsts[] = {{SN_MATMUL, weights_serve_all, false}, {SN_LAYERNORM, always, false},
              {SN_ATTENTION, queries, true},         {SN_ATTENTION_CACHED, queries, true},
              {SN_DROPOUT, from_the_first, false}};

static const struct first *first_of(sn_op op) {
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++)
        if (firsts[i].op == op) return &firsts[i];
    return NULL;
}

/* ---- which ---- */

static bool has_positions(const walk *w, int32_t value) {
    sn_shape s = w->g->values[value].type.shape;
    return s.rank == 3 && s.dim[1] == w->steps;
}

/* Does every operand have the positions, or none at all? */
static bool element_wise(const walk *w, const sn_instr *instr) {
    if (!(sn_ops[instr->op].flags & SN_OPF_ELEMENTS)) return false;
    for (int k = 0; k < instr->n_in; k++) {
        sn_shape s = w->g->values[instr->in[k]].type.shape;
        if (!has_positions(w, instr->in[k]) && s.rank > 1 && !(s.rank == 3 && s.dim[1] == 1)) return false;
    }
    return true;
}

static void look_at(walk *w, size_t index) {
    const sn_graph *g = w->g;
    const sn_instr *instr = &g->instrs[index];
    for (int k = 0; w->whole[index] && k < instr->n_in; k++) w->whole[g->values[instr->in[k]].maker] = true;
    if (w->whole[index] || !instr->n_out || !w->wanted[instr->out[0]]) return;
    const struct first *first = first_of(instr->op);
    if (first ? !has_positions(w, instr->in[0]) || !first->may(w, instr) : !element_wise(w, instr)) return;
    w->narrow[index] = true;
    w->pays |= first != NULL;
    for (int k = 0; k < (first ? 1 : instr->n_in); k++)
        if (has_positions(w, instr->in[k])) w->wanted[instr->in[k]] = true;
    for (int k = 1; first && first->keys && k < instr->n_in; k++) w->whole[g->values[instr->in[k]].maker] = true;
}

/* ---- computed again ---- */

static sn_node few(walk *w, int32_t value) {
    if (w->map[value].id < 0) w->map[value] = sn_slice_after(w->g, (sn_node){value}, 1, w->start, w->size);
    return w->map[value];
}

static void again(walk *w, size_t index) {
    sn_instr instr = w->g->instrs[index]; /* a copy: emission moves the array */
    bool first = first_of(instr.op) != NULL;
    sn_node in[SN_MAX_IN];
    for (int k = 0; k < instr.n_in; k++) {
        bool narrows = has_positions(w, instr.in[k]) && (!first || k == 0);
        in[k] = narrows ? few(w, instr.in[k]) : (sn_node){instr.in[k]};
    }
    sn_node y = sn_emit(w->g, instr.op, in, instr.n_in, &instr.attr);
    if (y.id < 0) return;
    sn_instr *made = &w->g->instrs[w->g->values[y.id].maker];
    made->name = instr.name;
    made->stream = instr.stream;
    w->map[instr.out[0]] = y;
}

static sn_node run(walk *w, sn_node x) {
    w->wanted[x.id] = true;
    for (size_t i = w->n; i-- > 0;) look_at(w, i);
    for (size_t i = 0; w->pays && i < w->n; i++)
        if (w->narrow[i]) again(w, i);
    return few(w, x.id);
}

sn_node sn_slice_early(sn_graph *g, sn_node x, int64_t start, int64_t size) {
    walk w = {.g = g, .start = start, .size = size, .steps = sn_dim(g, x, 1), .n = (size_t)g->values[x.id].maker + 1};
    size_t values = g->n_values;
    w.wanted = sn_alloc(values, sizeof *w.wanted);
    w.whole = sn_alloc(w.n, sizeof *w.whole);
    w.narrow = sn_alloc(w.n, sizeof *w.narrow);
    w.map = sn_alloc(values, sizeof *w.map);
    sn_node y = SN_NO_NODE;
    if (w.wanted && w.whole && w.narrow && w.map) {
        for (size_t i = 0; i < values; i++) w.map[i] = SN_NO_NODE;
        y = run(&w, x);
    } else {
        y = sn_graph_fail(g, SN_ERR_MEMORY, "%s", sn_error_message());
    }
    sn_free(w.wanted);
    sn_free(w.whole);
    sn_free(w.narrow);
    sn_free(w.map);
    return y;
}
