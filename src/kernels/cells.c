/* cells.c: RNN, LSTM and GRU as PyTorch defines them. */
#include "kernels/cells.h"

#include "base/wide.h"
#include "kernels/ref/vmath.h"

#define FORWARD(name) SN_WIDE static void name##_forward(int64_t width, float *gx, const float *gh, float *h, float *c, float *extra)
#define BACKWARD(name)                                                                                              \
    SN_WIDE static void name##_backward(int64_t width, const float *before, const float *gates, const float *extra,  \
                                        const float *extra_before, float *dh, float *dc, float *dgx, float *dgh)

/* ---- RNN: h = tanh(gx + gh) ---- */

FORWARD(rnn) {
    (void)c;
    (void)extra;
    SN_INDEPENDENT for (int64_t k = 0; k < width; k++) h[k] = gx[k] = sn_vtanh(gx[k] + gh[k]);
}
BACKWARD(rnn) {
    (void)before;
    (void)extra;
    (void)extra_before;
    (void)dc;
    (void)dgh;
    SN_INDEPENDENT for (int64_t k = 0; k < width; k++) {
        dgx[k] = dh[k] * (1.0f - gates[k] * gates[k]);
        dh[k] = 0.0f;
    }
}

/* ---- LSTM: c = f c + i g, h = o tanh(c) ---- */

FORWARD(lstm) {
    float *gi = gx, *gf = gx + width, *gg = gf + width, *go = gg + width;
    const float *hi = gh, *hf = gh + width, *hg = hf + width, *ho = hg + width;
    SN_INDEPENDENT for (int64_t k = 0; k < width; k++) {
        float i = sn_vsigmoid(gi[k] + hi[k]), f = sn_vsigmoid(gf[k] + hf[k]);
        float g = sn_vtanh(gg[k] + hg[k]), o = sn_vsigmoid(go[k] + ho[k]), next = f * c[k] + i * g;
        c[k] = next;
        extra[k] = next;
        h[k] = o * sn_vtanh(next);
        gi[k] = i;
        gf[k] = f;
        gg[k] = g;
        go[k] = o;
    }
}
BACKWARD(lstm) {
    (void)before;
    (void)dgh;
    SN_INDEPENDENT for (int64_t k = 0; k < width; k++) {
        float i = gates[k], f = gates[width + k], g = gates[2 * width + k], o = gates[3 * width + k];
        float t = sn_vtanh(extra[k]);
        float d = dc[k] + dh[k] * o * (1.0f - t * t);
        dgx[k] = d * g * i * (1.0f - i);
        dgx[width + k] = d * extra_before[k] * f * (1.0f - f);
        dgx[2 * width + k] = d * i * (1.0f - g * g);
        dgx[3 * width + k] = dh[k] * t * o * (1.0f - o);
        dc[k] = d * f;
        dh[k] = 0.0f;
    }
}

/* ---- GRU: n = tanh(gx_n + r gh_n), h = (1-z) n + z h ---- */

FORWARD(gru) {
    (void)c;
    float *gr = gx, *gz = gx + width, *gn = gz + width;
    const float *hr = gh, *hz = gh + width, *hn = hz + width;
    SN_INDEPENDENT for (int64_t k = 0; k < width; k++) {
        float r = sn_vsigmoid(gr[k] + hr[k]), z = sn_vsigmoid(gz[k] + hz[k]), n = sn_vtanh(gn[k] + r * hn[k]);
        h[k] = (1.0f - z) * n + z * h[k];
        extra[k] = hn[k];
        gr[k] = r;
        gz[k] = z;
        gn[k] = n;
    }
}
BACKWARD(gru) {
    (void)extra_before;
    (void)dc;
    SN_INDEPENDENT for (int64_t k = 0; k < width; k++) {
        float r = gates[k], z = gates[width + k], n = gates[2 * width + k];
        float dn = dh[k] * (1.0f - z) * (1.0f - n * n);
        dgx[k] = dgh[k] = dn * extra[k] * r * (1.0f - r);
        dgx[width + k] = dgh[width + k] = dh[k] * (before[k] - n) * z * (1.0f - z);
        dgx[2 * width + k] = dn;
        dgh[2 * width + k] = dn * r;
        dh[k] *= z;
    }
}

static const sn_cell rnn = {1, true, rnn_forward, rnn_backward},
                     lstm = {4, true, lstm_forward, lstm_backward},
                     gru = {3, false, gru_forward, gru_backward};
static const sn_cell *const cell_of[SN_OP_COUNT] = {[SN_RNN] = &rnn,     [SN_LSTM] = &lstm,     [SN_GRU] = &gru,
                                                    [SN_RNN_BWD] = &rnn, [SN_LSTM_BWD] = &lstm, [SN_GRU_BWD] = &gru};
const sn_cell *sn_cell_of(sn_op op) { return cell_of[op]; }
