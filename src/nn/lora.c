/* lora.c: see lora.h. */
#include "nn/lora.h"

#include <math.h>

#include "base/text.h"

/* What the families call the products that make queries and values (GPT-2: one with keys). */
static const char *const usual[] = {"query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "c_attn", "q_attn", NULL};

static bool ends(const char *module, const char *target) {
    size_t n = strlen(module), m = strlen(target);
    return n >= m && !strcmp(module + n - m, target) && (n == m || module[n - m - 1] == '.');
}

static bool wanted(const sn_lora *l, const char *module) {
    for (int i = 0; !l->targets && usual[i]; i++)
        if (ends(module, usual[i])) return true;
    for (size_t i = 0; i < json_array_size(l->targets); i++) {
        const char *target = json_string_value(json_array_get(l->targets, i));
        if (target && ends(module, target)) return true;
    }
    return false;
}

static sn_node side(sn_graph *g, const char *name, sn_node x, int64_t out, sn_init init) {
    if (x.id < 0) return x;
    sn_scope_push(g, name);
    sn_node w = sn_param(g, "weight", SN_SHAPE(out, sn_dim(g, x, -1)), init);
    sn_scope_pop(g);
    return sn_linear_op(g, x, w, SN_NO_NODE);
}

sn_node sn_lora_add(sn_graph *g, sn_node x, sn_node y) {
    const sn_lora *l = g->lora;
    if (!l || x.id < 0 || y.id < 0 || g->scope_size <= l->skip || !wanted(l, g->scope + l->skip)) return y;
    float spread = (float)(1.0 / sqrt((double)sn_dim(g, x, -1)));
    sn_node low = sn_dropout(g, x, l->rows, l->dropout, "lora_dropout");
    low = side(g, "lora_A", low, l->rank, (sn_init){SN_INIT_UNIFORM, spread, 0});
    sn_node more = side(g, "lora_B", low, sn_dim(g, y, -1), (sn_init){SN_INIT_ZEROS, 0, 0});
    return sn_add(g, y, sn_affine(g, more, l->alpha / (float)l->rank, 0));
}

bool sn_lora_is(const char *name) { return sn_ends_with(name, ".lora_A.weight") || sn_ends_with(name, ".lora_B.weight"); }
