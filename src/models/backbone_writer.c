/* backbone_writer.c: a published model that learns to write: with the text before it, the picture, sound or question in
 * view, what does each next token of the right text cost? (Teacher forcing; Williams and Zipser 1989.)
 *
 *   pixels [N,H,W,C]  |  sound [N,F,M]  |  question ids [N,Q], lengths [N]   } the page's network -> logits [N,T,V]
 *   target [N,T]: the text's tokens but the last                            }
 *   labels [N,T]: its tokens but the first, -1 behind its end  -> cross-entropy of each, summed over a text: [N,1]
 *
 * A prompt is the beginning of target, and its labels are -1 (features/text_written.c). */
#include "models/backbone_internal.h"

/* Cross-entropy of logits [N,T,V], summed over the steps that have a label. */
static sn_node cost(sn_graph *g, sn_node logits, sn_node labels) {
    if (logits.id < 0 || labels.id < 0) return SN_NO_NODE;
    int64_t rows = sn_dim(g, logits, 0), steps = sn_dim(g, logits, 1), words = sn_dim(g, logits, 2);
    sn_node flat = sn_reshape(g, logits, SN_SHAPE(rows * steps, words)), weights = sn_fill(g, SN_SHAPE(words), 1);
    sn_node each = sn_emit(g, SN_SOFTMAX_XENT, (sn_node[]){flat, sn_reshape(g, labels, SN_SHAPE(-1)), weights}, 3, &(sn_attr){.loss = {0}});
    return sn_reduce_sum(g, sn_reshape(g, each, SN_SHAPE(rows, steps)), 1 << 1, true);
}

/* A decoder alone reads the text itself. */
static void inputs(const sn_backbone *b, const sn_encoder_input *e, sn_page_in *in) {
    in->rows = e->rows;
    in->pixels = e->pixels;
    in->sound = e->sound;
    in->ids = e->x;
    in->mask = e->lengths[0];
    if (b->page->accepts & SN_IN_TARGET) in->target = e->target;
    else in->ids = e->target;
}

static sn_node build(sn_graph *g, const json_t *options, const sn_encoder_input *e) {
    sn_backbone *b = e->backbone;
    int first = sn_params_count(g->params);
    if (!b) return sn_graph_fail(g, SN_ERR_USAGE, "a writer is named by its directory");
    sn_page_out *out = sn_alloc(1, sizeof *out);
    if (!out) return sn_graph_fail(g, SN_ERR_MEMORY, "out of memory");
    sn_page_in in = sn_page_in_none();
    inputs(b, e, &in);
    sn_node y = SN_NO_NODE;
    if (sn_backbone_run(b, g, options, sn_backbone_architecture(b), &in, false, out)) {
        sn_node logits = sn_page_get(out, "logits");
        y = logits.id >= 0 ? cost(g, logits, e->labels)
                           : sn_graph_fail(g, SN_ERR_UNSUPPORTED, "a model of type %s writes nothing from these columns", b->page->model_type);
    }
    y = sn_backbone_layers_of(b, g, out, y, first);
    sn_free(out);
    return y;
}

static const char *const keys[] = {"type", "directory", SN_TUNING_KEYS, NULL};
const sn_encoder sn_encoder_writer = {"writer", SN_MOD_WRITER, keys, build};
