/* The speaker encoder of Resemblyzer (Wan et al. 2018, "GE2E"): sound [N,160,40] (mel power, not its logarithm) -> three
 * LSTM layers -> the last state -> linear, ReLU, length 1: "audio_embeds" [N,256]. Its file is a training checkpoint:
 * the weights lie under model_state, beside the optimiser's. */
#include <stdio.h>

#include "models/page.h"
#include "nn/layers.h"
#include "params/weights.h"

static const sn_key keys[] = {SN_KEY("num_mel_bins", INT, mels, 40), SN_KEY("hidden_size", INT, size.width, 256),
                              SN_KEY("num_hidden_layers", INT, size.layers, 3), SN_KEY("embedding_size", INT, projection, 256),
                              SN_KEY("half_frames", INT, positions, 80), {0}};

static void build(const sn_page_build *b) {
    const sn_page_config *c = b->c;
    sn_graph *g = b->g;
    sn_recurrent_options o = {.kind = SN_LSTM, .width = c->size.width, .layers = (int)c->size.layers};
    bool inside = sn_page_enter(b, "model_state", "lstm.weight_ih_l0");
    sn_node x = sn_recurrent_stack(g, b->in->sound, SN_NO_NODE, b->in->rows, "lstm", &o);
    if (x.id >= 0) x = sn_reshape(g, sn_slice(g, x, 1, sn_dim(g, x, 1) - 1, 1), SN_SHAPE(-1, c->size.width));
    x = sn_linear(g, x, "linear", c->projection, true, SN_ACT_RELU);
    if (inside) sn_scope_pop(g);
    sn_node square = sn_reduce_sum(g, sn_unary(g, SN_SQUARE, x), 1 << 1, true);
    sn_page_give(b->out, "audio_embeds", sn_div(g, x, sn_unary(g, SN_SQRT, square)));
}

/* The package has no configuration beside its weights: the sizes are theirs, the rest is its program's. */
static sn_status recognise(const sn_weights *w, json_t **config, json_t **processor) {
    const sn_tensor_view *first = sn_weights_find(w, "model_state.lstm.weight_ih_l0"), *last = sn_weights_find(w, "model_state.linear.weight");
    int layers = 0;
    char name[64];
    if (!first || !last || first->type.shape.rank != 2 || last->type.shape.rank != 2) return SN_OK;
    do (void)snprintf(name, sizeof name, "model_state.lstm.weight_ih_l%d", layers);
    while (sn_weights_find(w, name) && ++layers < SN_PAGE_LAYERS);
    *config = json_pack("{s:s, s:I, s:I, s:i, s:I, s:i}", "model_type", "speaker", "num_mel_bins", (json_int_t)first->type.shape.dim[1], "hidden_size",
                        (json_int_t)last->type.shape.dim[1], "num_hidden_layers", layers, "embedding_size", (json_int_t)last->type.shape.dim[0],
                        "half_frames", 80);
    *processor = json_pack("{s:s, s:i, s:I, s:i, s:i, s:i, s:i, s:f, s:f}", "feature_extractor_type", "SpeakerFeatureExtractor", "sampling_rate", 16000,
                           "feature_size", (json_int_t)first->type.shape.dim[1], "hop_length", 160, "n_fft", 400, "frames", 160, "step", 77,
                           "least_coverage", 0.75, "loudness", -30.0);
    return *config && *processor ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
}

static const char *const ignored[] = {"optimizer_state.*", "model_state.similarity_*", "step", NULL};
const sn_page sn_page_speaker = {.model_type = "speaker", .accepts = SN_IN_SOUND, .prefix = "model_state", .keys = keys, .build = build,
                                 .ignored = ignored, .recognise = recognise};
