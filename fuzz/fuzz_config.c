/* fuzz_config: any bytes as config.json: either a message, or a model whose graphs can be built, for the sizes it was made
 * for and for others, without more memory than its layers deserve (there are no weights; nothing is run). */
#include <stdlib.h>

#include "generate/generate.h"
#include "models/pretrained.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A graph of some size: it fits or it is refused with a message. */
static void build(const sn_pretrained *m, const sn_page_sizes *sizes) {
    sn_graph *g;
    sn_page_in in;
    sn_page_out *out = malloc(sizeof *out);
    if (!out) abort();
    if (sn_pretrained_graph(m, sizes, true, &g, &in, out) == SN_OK) {
        for (int i = 0; i < out->n; i++)
            if (out->list[i].node.id >= 0 && sn_shape_count(sn_shape_at(g, out->list[i].node)) < 0) abort();
        sn_graph_free(g);
    } else if (!sn_error_message()[0]) abort();
    free(out);
}

static void encode(const sn_pretrained *m) {
    sn_graph *g;
    sn_page_in in;
    sn_node node;
    sn_page_sizes sizes = {.rows = 1, .steps = 2, .regions = 1, .frames = 2 * sn_pretrained_config(m)->positions};
    if (sn_graph_create(sn_pretrained_params(m), false, &g) != SN_OK) abort();
    sn_pretrained_inputs(m, g, &sizes, false, &in);
    if (sn_pretrained_encode(m, g, &in, &node) != SN_OK && !sn_error_message()[0]) abort();
    sn_graph_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const sn_pretrained_options options = {.threads = 1, .precision = "f32", .inference = true, .fold = true};
    json_t *config;
    sn_pretrained *m;
    sn_generation generation;
    if (sn_json_parse("config.json", (const char *)data, size, &config) != SN_OK) return 0;
    if (sn_pretrained_make(config, NULL, &options, &m) == SN_OK) {
        build(m, &(sn_page_sizes){.rows = 2, .steps = 3, .regions = 4, .frames = 6, .target_steps = 5});
        build(m, &(sn_page_sizes){.rows = 1, .steps = 4, .height = 48, .width = 32, .frames = 0, .target_steps = 1, .texts = 3});
        encode(m);
        sn_pretrained_free(m);
    } else if (!sn_error_message()[0]) abort();
    if (sn_generation_read(NULL, config, NULL, &generation) == SN_OK) sn_generation_free(&generation);
    else if (!sn_error_message()[0]) abort();
    json_decref(config);
    return 0;
}
