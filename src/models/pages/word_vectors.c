/* Word vectors (WordLlama; Model2Vec's idea): ids [N,T] -> their rows of one table [N,T,D]; the mean of these is the
 * text's vector, and no special tokens are put around it. */
#include "models/page.h"
#include "params/weights.h"

static const sn_key keys[] = {SN_KEY("vocab_size", INT, vocabulary, 32000), SN_KEY("hidden_size", INT, size.width, 256), {0}};

static void build(const sn_page_build *b) {
    sn_page_give(b->out, "last_hidden_state", sn_page_table(b->g, b->in->ids, "embedding", b->c->vocabulary, b->c->size.width, NULL));
}

/* The package has no configuration beside its table. */
static sn_status recognise(const sn_weights *w, json_t **config, json_t **processor) {
    const sn_tensor_view *table = sn_weights_find(w, "embedding.weight");
    (void)processor;
    if (!table || sn_weights_count(w) != 1 || table->type.shape.rank != 2) return SN_OK;
    *config = json_pack("{s:s, s:I, s:I}", "model_type", "word_vectors", "vocab_size", (json_int_t)table->type.shape.dim[0], "hidden_size",
                        (json_int_t)table->type.shape.dim[1]);
    return *config ? SN_OK : sn_fail(SN_ERR_MEMORY, "out of memory");
}

const sn_page sn_page_word_vectors = {.model_type = "word_vectors", .accepts = SN_IN_TEXT, .keys = keys, .build = build, .bare = true,
                                      .recognise = recognise};
