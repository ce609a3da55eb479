/* pickle.c: the stack machine. An opcode is a row of `ops`: what follows it in the bytes, and what it does.
 *
 * Left out on purpose: everything that would build instances of classes (INST, OBJ, NEWOBJ_EX, EXT), out-of-band
 * buffers, and the text opcodes of protocol 0, which no writer of checkpoints has used. */
#include "params/pickle.h"

#include <string.h>

enum { PICKLE_MOST = 256 << 20, NAME_MOST = 200 };

typedef sn_pickle_value value;

typedef struct machine {
    const unsigned char *bytes;
    size_t size, at;
    const sn_pickle_global *known;
    size_t known_count;
    value **stack;
    size_t depth, stack_room;
    size_t *marks, mark_count, mark_room;
    value **memo;
    size_t memo_room, memo_next;
    size_t copied; /* items that a call copied: at most as many as the pickle has bytes */
    sn_pickle *out;
    bool done;
} machine;

typedef struct operand {
    uint64_t number;
    const char *at;
    size_t bytes;
} operand;

/* ---- stack and values ---- */

static value *make(machine *m, sn_pickle_kind kind) {
    value *v = sn_arena_alloc(&m->out->arena, 1, sizeof *v);
    if (v) v->kind = kind;
    return v;
}

static sn_status push(machine *m, value *v) {
    if (!v) return SN_ERR_MEMORY;
    value **stack = sn_grow(m->stack, m->depth, &m->stack_room, sizeof(value *));
    if (!stack) return SN_ERR_MEMORY;
    m->stack = stack;
    stack[m->depth++] = v;
    return SN_OK;
}

/* What lies above the last mark can be taken, no more. */
static size_t floor_of(const machine *m) { return m->mark_count ? m->marks[m->mark_count - 1] : 0; }

static sn_status pop(machine *m, value **out) {
    *out = NULL;
    if (m->depth <= floor_of(m)) SN_FAIL(SN_ERR_FORMAT, "an operation without its operands");
    *out = m->stack[--m->depth];
    return SN_OK;
}

static sn_status top(const machine *m, value **out) {
    *out = NULL;
    if (m->depth <= floor_of(m)) SN_FAIL(SN_ERR_FORMAT, "an operation without its operands");
    *out = m->stack[m->depth - 1];
    return SN_OK;
}

/* Takes everything above the last mark: *items stays valid until the next push. */
static sn_status pop_mark(machine *m, value ***items, size_t *count) {
    *items = NULL;
    *count = 0;
    if (!m->mark_count) SN_FAIL(SN_ERR_FORMAT, "the end of a list that never began");
    size_t floor = m->marks[--m->mark_count];
    *items = m->stack ? m->stack + floor : NULL;
    *count = m->depth - floor;
    m->depth = floor;
    return SN_OK;
}

static sn_status append(machine *m, value *v, value *const *items, size_t count) {
    if (count > v->list.capacity - v->list.count) {
        size_t room = v->list.capacity * 2 > v->list.count + count ? v->list.capacity * 2 : v->list.count + count;
        value **wider = sn_arena_alloc(&m->out->arena, room, sizeof(value *));
        if (!wider) return SN_ERR_MEMORY;
        if (v->list.count) memcpy(wider, v->list.items, v->list.count * sizeof(value *));
        v->list.items = wider;
        v->list.capacity = room;
    }
    if (count) memcpy(v->list.items + v->list.count, items, count * sizeof(value *));
    v->list.count += count;
    return SN_OK;
}

static sn_status push_list(machine *m, sn_pickle_kind kind, value *const *items, size_t count) {
    value *v = make(m, kind);
    if (!v) return SN_ERR_MEMORY;
    SN_TRY(append(m, v, items, count));
    return push(m, v);
}

static sn_status push_integer(machine *m, sn_pickle_kind kind, int64_t x) {
    value *v = make(m, kind);
    if (v) v->integer = x;
    return push(m, v);
}

static sn_status push_text(machine *m, sn_pickle_kind kind, const operand *o) {
    value *v = make(m, kind);
    if (!v) return SN_ERR_MEMORY;
    v->text.at = o->at;
    v->text.bytes = o->bytes;
    return push(m, v);
}

/* ---- plain values ---- */

static sn_status op_none(machine *m, const operand *o) { (void)o; return push(m, make(m, SN_PICKLE_NONE)); }
static sn_status op_true(machine *m, const operand *o) { (void)o; return push_integer(m, SN_PICKLE_BOOL, 1); }
static sn_status op_false(machine *m, const operand *o) { (void)o; return push_integer(m, SN_PICKLE_BOOL, 0); }
static sn_status op_uint(machine *m, const operand *o) { return push_integer(m, SN_PICKLE_INT, (int64_t)o->number); }
static sn_status op_int(machine *m, const operand *o) {
    int64_t x = (int64_t)o->number;
    return push_integer(m, SN_PICKLE_INT, x >= INT64_C(1) << 31 ? x - (INT64_C(1) << 32) : x);
}

static sn_status op_float(machine *m, const operand *o) {
    value *v = make(m, SN_PICKLE_FLOAT);
    uint64_t bits = __builtin_bswap64(o->number); /* the one big-endian number */
    if (v) memcpy(&v->number, &bits, sizeof v->number);
    return push(m, v);
}

static sn_status op_long(machine *m, const operand *o) {
    if (o->bytes > 8) return push_text(m, SN_PICKLE_LONG, o);
    uint64_t x = o->bytes && (unsigned char)o->at[o->bytes - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = o->bytes; i-- > 0;) x = x << 8 | (unsigned char)o->at[i];
    return push_integer(m, SN_PICKLE_INT, (int64_t)x);
}

static sn_status op_text(machine *m, const operand *o) { return push_text(m, SN_PICKLE_TEXT, o); }
static sn_status op_bytes(machine *m, const operand *o) { return push_text(m, SN_PICKLE_BYTES, o); }

/* ---- containers ---- */

static sn_status op_mark(machine *m, const operand *o) {
    (void)o;
    size_t *marks = sn_grow(m->marks, m->mark_count, &m->mark_room, sizeof *marks);
    if (!marks) return SN_ERR_MEMORY;
    m->marks = marks;
    marks[m->mark_count++] = m->depth;
    return SN_OK;
}

static sn_status op_empty_tuple(machine *m, const operand *o) { (void)o; return push_list(m, SN_PICKLE_TUPLE, NULL, 0); }
static sn_status op_empty_list(machine *m, const operand *o) { (void)o; return push_list(m, SN_PICKLE_LIST, NULL, 0); }
static sn_status op_empty_dict(machine *m, const operand *o) { (void)o; return push_list(m, SN_PICKLE_DICT, NULL, 0); }
static sn_status op_empty_set(machine *m, const operand *o) { (void)o; return push_list(m, SN_PICKLE_SET, NULL, 0); }

static sn_status marked(machine *m, sn_pickle_kind kind) {
    value **items;
    size_t count;
    SN_TRY(pop_mark(m, &items, &count));
    if (kind == SN_PICKLE_DICT && count % 2) SN_FAIL(SN_ERR_FORMAT, "a dictionary with a key and no value");
    return push_list(m, kind, items, count);
}

static sn_status op_tuple(machine *m, const operand *o) { (void)o; return marked(m, SN_PICKLE_TUPLE); }
static sn_status op_list(machine *m, const operand *o) { (void)o; return marked(m, SN_PICKLE_LIST); }
static sn_status op_dict(machine *m, const operand *o) { (void)o; return marked(m, SN_PICKLE_DICT); }
static sn_status op_frozenset(machine *m, const operand *o) { (void)o; return marked(m, SN_PICKLE_SET); }

static sn_status tuple_of(machine *m, size_t n) {
    if (m->depth - floor_of(m) < n) SN_FAIL(SN_ERR_FORMAT, "an operation without its operands");
    m->depth -= n;
    return push_list(m, SN_PICKLE_TUPLE, m->stack + m->depth, n);
}

static sn_status op_tuple1(machine *m, const operand *o) { (void)o; return tuple_of(m, 1); }
static sn_status op_tuple2(machine *m, const operand *o) { (void)o; return tuple_of(m, 2); }
static sn_status op_tuple3(machine *m, const operand *o) { (void)o; return tuple_of(m, 3); }

/* Adds to the container below the operands. */
static sn_status extend(machine *m, sn_pickle_kind kind, value *const *items, size_t count) {
    value *container;
    SN_TRY(top(m, &container));
    if (container->kind != kind) SN_FAIL(SN_ERR_FORMAT, "items for something that takes none");
    return append(m, container, items, count);
}

static sn_status op_append(machine *m, const operand *o) {
    (void)o;
    value *item;
    SN_TRY(pop(m, &item));
    return extend(m, SN_PICKLE_LIST, &item, 1);
}

static sn_status op_setitem(machine *m, const operand *o) {
    (void)o;
    value *pair[2];
    SN_TRY(pop(m, &pair[1]));
    SN_TRY(pop(m, &pair[0]));
    return extend(m, SN_PICKLE_DICT, pair, 2);
}

static sn_status marked_items(machine *m, sn_pickle_kind kind) {
    value **items;
    size_t count;
    SN_TRY(pop_mark(m, &items, &count));
    if (kind == SN_PICKLE_DICT && count % 2) SN_FAIL(SN_ERR_FORMAT, "a dictionary with a key and no value");
    return extend(m, kind, items, count);
}

static sn_status op_appends(machine *m, const operand *o) { (void)o; return marked_items(m, SN_PICKLE_LIST); }
static sn_status op_setitems(machine *m, const operand *o) { (void)o; return marked_items(m, SN_PICKLE_DICT); }
static sn_status op_additems(machine *m, const operand *o) { (void)o; return marked_items(m, SN_PICKLE_SET); }

/* ---- stack and memo ---- */

static sn_status op_pop(machine *m, const operand *o) {
    (void)o;
    value *gone, **items;
    size_t count;
    return m->depth > floor_of(m) ? pop(m, &gone) : pop_mark(m, &items, &count);
}

static sn_status op_pop_mark(machine *m, const operand *o) {
    (void)o;
    value **items;
    size_t count;
    return pop_mark(m, &items, &count);
}

static sn_status op_dup(machine *m, const operand *o) {
    (void)o;
    value *v;
    SN_TRY(top(m, &v));
    return push(m, v);
}

/* Writers number their values in order, so a number beyond the bytes read so far is no writer's. */
static sn_status op_put(machine *m, const operand *o) {
    value *v;
    SN_TRY(top(m, &v));
    if (o->number > m->at) SN_FAIL(SN_ERR_FORMAT, "memo number %llu is too large", (unsigned long long)o->number);
    size_t index = (size_t)o->number;
    size_t old = m->memo_room;
    value **memo = sn_grow_to(m->memo, index + 1, &m->memo_room, sizeof *memo);
    if (!memo) return SN_ERR_MEMORY;
    for (size_t i = old; i < m->memo_room; i++) memo[i] = NULL;
    m->memo = memo;
    m->memo[index] = v;
    m->memo_next++;
    return SN_OK;
}

static sn_status op_memoize(machine *m, const operand *o) {
    (void)o;
    const operand next = {.number = m->memo_next};
    return op_put(m, &next);
}

static sn_status op_get(machine *m, const operand *o) {
    if (o->number >= m->memo_room || !m->memo[o->number])
        SN_FAIL(SN_ERR_FORMAT, "memo number %llu was never set", (unsigned long long)o->number);
    return push(m, m->memo[o->number]);
}

/* ---- names and calls ---- */

static bool same(const char *name, const char *at, size_t bytes) { return strlen(name) == bytes && !memcmp(name, at, bytes); }

static int shown(size_t bytes) { return bytes < NAME_MOST ? (int)bytes : NAME_MOST; }

static sn_status push_global(machine *m, const char *module, size_t module_bytes, const char *name, size_t name_bytes) {
    for (size_t i = 0; i < m->known_count; i++) {
        if (!same(m->known[i].module, module, module_bytes) || !same(m->known[i].name, name, name_bytes)) continue;
        value *v = make(m, SN_PICKLE_GLOBAL);
        if (v) v->global = &m->known[i];
        return push(m, v);
    }
    SN_FAIL(SN_ERR_UNSUPPORTED, "it asks Python for \"%.*s.%.*s\", which is no part of a tensor; only weights are read, nothing is run",
            shown(module_bytes), module, shown(name_bytes), name);
}

static sn_status op_global(machine *m, const operand *o) {
    const char *end = memchr(o->at, '\n', o->bytes); /* two lines: module, name */
    if (!end) SN_FAIL(SN_ERR_FORMAT, "a name without its module");
    return push_global(m, o->at, (size_t)(end - o->at), end + 1, o->bytes - (size_t)(end - o->at) - 1);
}

static sn_status op_stack_global(machine *m, const operand *o) {
    (void)o;
    value *module, *name;
    SN_TRY(pop(m, &name));
    SN_TRY(pop(m, &module));
    if (name->kind != SN_PICKLE_TEXT || module->kind != SN_PICKLE_TEXT) SN_FAIL(SN_ERR_FORMAT, "a name that is no text");
    return push_global(m, module->text.at, module->text.bytes, name->text.at, name->text.bytes);
}

/* All other items were once pushed by an opcode of their own; these are copies of a list that may be named again. */
static sn_status copies(machine *m, size_t count) {
    m->copied += count;
    if (m->copied > m->size) SN_FAIL(SN_ERR_FORMAT, "one list is copied again and again");
    return SN_OK;
}

/* OrderedDict() or OrderedDict([[key, value], ...]) */
static sn_status call_dict(machine *m, const value *arguments) {
    value *dict = make(m, SN_PICKLE_DICT);
    if (!dict) return SN_ERR_MEMORY;
    if (arguments->list.count > 1 || (arguments->list.count && arguments->list.items[0]->kind != SN_PICKLE_LIST))
        SN_FAIL(SN_ERR_FORMAT, "a dictionary made of something unknown");
    const value *pairs = arguments->list.count ? arguments->list.items[0] : NULL;
    for (size_t i = 0; pairs && i < pairs->list.count; i++) {
        const value *pair = pairs->list.items[i];
        if ((pair->kind != SN_PICKLE_LIST && pair->kind != SN_PICKLE_TUPLE) || pair->list.count != 2)
            SN_FAIL(SN_ERR_FORMAT, "a dictionary made of something unknown");
        SN_TRY(copies(m, 2));
        SN_TRY(append(m, dict, pair->list.items, 2));
    }
    return push(m, dict);
}

static sn_status call_set(machine *m, const value *arguments) {
    const value *list = arguments->list.count == 1 ? arguments->list.items[0] : NULL;
    if (list && list->kind != SN_PICKLE_LIST) SN_FAIL(SN_ERR_FORMAT, "a set made of something unknown");
    SN_TRY(copies(m, list ? list->list.count : 0));
    return push_list(m, SN_PICKLE_SET, list ? list->list.items : NULL, list ? list->list.count : 0);
}

static sn_status call_tree(machine *m, const value *function, const value *arguments) {
    value *call = make(m, SN_PICKLE_CALL);
    if (!call) return SN_ERR_MEMORY;
    call->global = function->global;
    call->list = arguments->list; /* a tuple does not change any more */
    return push(m, call);
}

static sn_status op_reduce(machine *m, const operand *o) {
    (void)o;
    value *arguments, *function;
    SN_TRY(pop(m, &arguments));
    SN_TRY(pop(m, &function));
    if (arguments->kind != SN_PICKLE_TUPLE || function->kind != SN_PICKLE_GLOBAL)
        SN_FAIL(SN_ERR_FORMAT, "a call of something that is not a function");
    switch (function->global->call) {
    case SN_CALL_DICT: return call_dict(m, arguments);
    case SN_CALL_SET: return call_set(m, arguments);
    case SN_CALL_TREE: return call_tree(m, function, arguments);
    case SN_CALL_NOTHING: break;
    }
    SN_FAIL(SN_ERR_UNSUPPORTED, "a call of \"%s.%s\"", function->global->module, function->global->name);
}

/* Attributes of a value (an OrderedDict's _metadata, say) say nothing about tensors. */
static sn_status op_build(machine *m, const operand *o) {
    (void)o;
    value *state, *object;
    SN_TRY(pop(m, &state));
    SN_TRY(top(m, &object));
    if (object->kind != SN_PICKLE_DICT && object->kind != SN_PICKLE_CALL) SN_FAIL(SN_ERR_FORMAT, "attributes of something that has none");
    return SN_OK;
}

static sn_status op_persistent(machine *m, const operand *o) {
    (void)o;
    value *v = make(m, SN_PICKLE_PERSISTENT);
    if (!v) return SN_ERR_MEMORY;
    SN_TRY(pop(m, &v->inner));
    value **list = sn_grow(m->out->persistent, m->out->persistents, &m->out->capacity, sizeof(value *));
    if (!list) return SN_ERR_MEMORY;
    m->out->persistent = list;
    list[m->out->persistents++] = v;
    return push(m, v);
}

static sn_status op_proto(machine *m, const operand *o) {
    (void)m;
    if (o->number < 2 || o->number > 5) SN_FAIL(SN_ERR_UNSUPPORTED, "pickle protocol %llu", (unsigned long long)o->number);
    return SN_OK;
}

static sn_status op_frame(machine *m, const operand *o) { (void)m; (void)o; return SN_OK; }

static sn_status op_stop(machine *m, const operand *o) {
    (void)o;
    SN_TRY(pop(m, &m->out->root));
    m->done = true;
    return SN_OK;
}

/* ---- the table ---- */

typedef enum follows { NOTHING, NUMBER1, NUMBER2, NUMBER4, NUMBER8, COUNTED1, COUNTED4, COUNTED8, TWO_LINES } follows;

static const struct op {
    sn_status (*run)(machine *m, const operand *o);
    follows what;
} ops[256] = {
    [0x80] = {op_proto, NUMBER1},    [0x95] = {op_frame, NUMBER8},     ['.'] = {op_stop, NOTHING},
    ['N'] = {op_none, NOTHING},      [0x88] = {op_true, NOTHING},      [0x89] = {op_false, NOTHING},
    ['J'] = {op_int, NUMBER4},       ['K'] = {op_uint, NUMBER1},       ['M'] = {op_uint, NUMBER2},
    [0x8a] = {op_long, COUNTED1},    [0x8b] = {op_long, COUNTED4},     ['G'] = {op_float, NUMBER8},
    ['U'] = {op_text, COUNTED1},     ['T'] = {op_text, COUNTED4},      [0x8c] = {op_text, COUNTED1},
    ['X'] = {op_text, COUNTED4},     [0x8d] = {op_text, COUNTED8},     ['C'] = {op_bytes, COUNTED1},
    ['B'] = {op_bytes, COUNTED4},    [0x8e] = {op_bytes, COUNTED8},    [0x96] = {op_bytes, COUNTED8},
    ['('] = {op_mark, NOTHING},      [')'] = {op_empty_tuple, NOTHING}, ['t'] = {op_tuple, NOTHING},
    [0x85] = {op_tuple1, NOTHING},   [0x86] = {op_tuple2, NOTHING},    [0x87] = {op_tuple3, NOTHING},
    [']'] = {op_empty_list, NOTHING}, ['l'] = {op_list, NOTHING},      ['a'] = {op_append, NOTHING},
    ['e'] = {op_appends, NOTHING},   ['}'] = {op_empty_dict, NOTHING}, ['d'] = {op_dict, NOTHING},
    ['s'] = {op_setitem, NOTHING},   ['u'] = {op_setitems, NOTHING},   [0x8f] = {op_empty_set, NOTHING},
    [0x90] = {op_additems, NOTHING}, [0x91] = {op_frozenset, NOTHING}, ['0'] = {op_pop, NOTHING},
    ['1'] = {op_pop_mark, NOTHING},  ['2'] = {op_dup, NOTHING},        ['q'] = {op_put, NUMBER1},
    ['r'] = {op_put, NUMBER4},       [0x94] = {op_memoize, NOTHING},   ['h'] = {op_get, NUMBER1},
    ['j'] = {op_get, NUMBER4},       ['c'] = {op_global, TWO_LINES},   [0x93] = {op_stack_global, NOTHING},
    ['R'] = {op_reduce, NOTHING},    ['b'] = {op_build, NOTHING},      ['Q'] = {op_persistent, NOTHING},
};

static sn_status cut_short(void) { SN_FAIL(SN_ERR_FORMAT, "the pickle ends in the middle: the file was cut short"); }

static sn_status read_number(machine *m, size_t bytes, uint64_t *out) {
    *out = 0;
    if (m->size - m->at < bytes) return cut_short();
    for (size_t i = bytes; i-- > 0;) *out = *out << 8 | m->bytes[m->at + i];
    m->at += bytes;
    return SN_OK;
}

static sn_status read_lines(machine *m, operand *o) {
    o->at = (const char *)m->bytes + m->at;
    for (int line = 0; line < 2; line++) {
        const unsigned char *end = m->at < m->size ? memchr(m->bytes + m->at, '\n', m->size - m->at) : NULL;
        if (!end) return cut_short();
        m->at = (size_t)(end - m->bytes) + 1;
    }
    o->bytes = (size_t)((const char *)m->bytes + m->at - o->at) - 1;
    return SN_OK;
}

static sn_status read_operand(machine *m, follows what, operand *o) {
    static const struct {
        unsigned char number, counted;
    } widths[] = {[NOTHING] = {0, 0},  [NUMBER1] = {1, 0},  [NUMBER2] = {2, 0},  [NUMBER4] = {4, 0}, [NUMBER8] = {8, 0},
                  [COUNTED1] = {0, 1}, [COUNTED4] = {0, 4}, [COUNTED8] = {0, 8}, [TWO_LINES] = {0, 0}};
    uint64_t count;
    if (what == TWO_LINES) return read_lines(m, o);
    if (widths[what].number) return read_number(m, widths[what].number, &o->number);
    if (!widths[what].counted) return SN_OK;
    SN_TRY(read_number(m, widths[what].counted, &count));
    if (count > m->size - m->at) return cut_short();
    o->at = (const char *)m->bytes + m->at;
    o->bytes = (size_t)count;
    m->at += o->bytes;
    return SN_OK;
}

static sn_status step(machine *m) {
    operand o = {0};
    if (m->at >= m->size) return cut_short();
    const struct op *op = &ops[m->bytes[m->at]];
    if (!op->run) SN_FAIL(SN_ERR_UNSUPPORTED, "operation 0x%02x is not one that weights need", m->bytes[m->at]);
    m->at++;
    SN_TRY(read_operand(m, op->what, &o));
    return op->run(m, &o);
}

sn_status sn_pickle_parse(const void *bytes, size_t size, const sn_pickle_global *known, size_t known_count, sn_pickle *out) {
    *out = (sn_pickle){0};
    machine m = {.bytes = bytes, .size = size < PICKLE_MOST ? size : PICKLE_MOST, .known = known, .known_count = known_count, .out = out};
    sn_status status = SN_OK;
    while (status == SN_OK && !m.done) {
        size_t begin = m.at;
        status = step(&m);
        if (status != SN_OK && status != SN_ERR_MEMORY) (void)sn_fail_in("pickle, byte %zu", begin);
    }
    out->used = m.at;
    sn_free(m.stack);
    sn_free(m.marks);
    sn_free(m.memo);
    return status;
}

void sn_pickle_free(sn_pickle *pickle) {
    sn_free(pickle->persistent);
    sn_arena_free(&pickle->arena);
    *pickle = (sn_pickle){0};
}

bool sn_pickle_is(const sn_pickle_value *v, const char *text) {
    return v->kind == SN_PICKLE_TEXT && same(text, v->text.at, v->text.bytes);
}
