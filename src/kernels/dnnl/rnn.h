/* rnn.h: what the forward and the backward recurrent kernels share: sizes, gate orders, turning weights.
 *
 *            PyTorch (ours)                      oneDNN
 *   weights  [gates * H, I], row = gate, unit    forward "ldigo" [I, gates, H], backward "ldgoi" [gates, H, I]
 *   GRU      r z n                               u r o: gates 0 and 1 change places
 *   LSTM     i f g o                             i f c o: the same
 *   bias     b_ih and b_hh                       one (their sum); LBR-GRU has a fourth: b_hh of n
 *
 * x, y and their gradients stay [N, T, ·]: oneDNN takes batch-first ("ntc") at no cost. */
#ifndef SN_DNNL_RNN_H
#define SN_DNNL_RNN_H
#include "kernels/dnnl/prim.h"

typedef struct sn_rnn_shape {
    sn_cell cell;
    int64_t n, t, i, h, gates, biases;
    const int *order; /* oneDNN's gate g is our gate order[g] */
} sn_rnn_shape;
void sn_rnn_measure(const sn_kernel_request *r, sn_rnn_shape *shape);
bool sn_rnn_accepts(const sn_kernel_request *r);

/* The forward descriptors; weights as "ldigo". */
void sn_rnn_describe(sn_descs *d, const sn_rnn_shape *s, sn_rnn_mds *m);
sn_const_md sn_rnn_weights(sn_descs *d, const sn_rnn_shape *s, int64_t inputs, dnnl_format_tag_t tag);

/* Weights between ours, [gates * H, inputs], and "ldigo": one gate is one transposing reorder. */
typedef struct sn_turn {
    sn_prim gate;
    int64_t inputs;
    bool back;
} sn_turn;
sn_status sn_turn_create(sn_turn *turn, const sn_rnn_shape *s, int64_t inputs, bool back, const char *what);
sn_status sn_turn_run(const sn_turn *turn, const sn_rnn_shape *s, const float *from, float *to, void *scratch,
                      const char *what);
/* oneDNN's biases from the two of ours. */
void sn_rnn_merge_bias(const sn_rnn_shape *s, const float *b_ih, const float *b_hh, float *merged);
/* Mixed into the key of a packed weight: the gate order. */
uint64_t sn_rnn_key(const sn_rnn_shape *s, sn_const_md md);
#endif
