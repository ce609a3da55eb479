/* recurrent.c: stacked, optionally bidirectional RNN, LSTM, GRU. The reverse direction reverses each row by its
 * length, runs forward, and reverses back. */
#include <math.h>
#include <stdio.h>

#include "nn/layers.h"

static sn_node direction(sn_graph *g, sn_node x, sn_node lengths, const sn_recurrent_options *o, int layer, const char *end) {
    static const char *const names[] = {"weight_ih_l%d%s", "weight_hh_l%d%s", "bias_ih_l%d%s", "bias_hh_l%d%s"};
    int64_t gates = o->kind == SN_LSTM ? 4 : o->kind == SN_GRU ? 3 : 1, h = o->width;
    sn_shape shapes[] = {SN_SHAPE(gates * h, sn_dim(g, x, 2)), SN_SHAPE(gates * h, h), SN_SHAPE(gates * h), SN_SHAPE(gates * h)};
    sn_node p[4];
    for (int k = 0; k < 4; k++) {
        char name[48];
        (void)snprintf(name, sizeof name, names[k], layer, end);
        sn_init init = {SN_INIT_UNIFORM, (float)(1.0 / sqrt((double)h)), k < 2 ? 0 : SN_PARAM_NO_DECAY};
        p[k] = sn_param(g, name, shapes[k], init);
    }
    return sn_recurrent(g, o->kind, x, lengths, p[0], p[1], p[2], p[3]);
}

static sn_node reversed(sn_graph *g, sn_node x, sn_node lengths) {
    return sn_emit(g, SN_SEQ_REVERSE, (sn_node[]){x, lengths}, 2, NULL);
}

sn_node sn_recurrent_stack(sn_graph *g, sn_node x, sn_node lengths, sn_node rows, const char *name,
                           const sn_recurrent_options *o) {
    sn_scope_push(g, name);
    for (int layer = 0; layer < o->layers && x.id >= 0; layer++) {
        char drop[32];
        (void)snprintf(drop, sizeof drop, "dropout_l%d", layer);
        sn_node there = direction(g, x, lengths, o, layer, "");
        if (o->bidirectional) {
            sn_node back = reversed(g, direction(g, reversed(g, x, lengths), lengths, o, layer, "_reverse"), lengths);
            there = sn_concat(g, (sn_node[]){there, back}, 2, 2);
        }
        x = layer + 1 < o->layers ? sn_dropout(g, there, rows, o->dropout, drop) : there;
    }
    sn_scope_pop(g);
    return x;
}
