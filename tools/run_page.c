/* run_page: `run_page MODEL PRECISION IN.safetensors OUT.safetensors NAME…`: a published model on given inputs, for
 * tools/check_full_models.py. IN has ids, types [N,T], mask [N] (int32), pixels [N,H,W,C], regions [N,R,V],
 * sound [N,F,M] (f32) and target [N,T] (int32), as far as the model takes them; OUT gets the first of the outputs NAME that it gives, f32. */
#include <stdio.h>

#include "models/pretrained.h"
#include "params/safetensors.h"
#include "params/weights.h"

static const char *const inputs[] = {"ids", "types", "mask", "pixels", "regions", "sound", "target"};
enum { INPUTS = sizeof inputs / sizeof *inputs };

static int64_t dim(const sn_weights *w, const char *name, int axis, int64_t otherwise) {
    const sn_tensor_view *v = sn_weights_find(w, name);
    return v && axis < v->type.shape.rank ? v->type.shape.dim[axis] : otherwise;
}

static sn_page_sizes sizes_of(const sn_weights *in) {
    sn_page_sizes s = {.steps = dim(in, "ids", 1, 0), .height = dim(in, "pixels", 1, -1), .width = dim(in, "pixels", 2, 0),
                       .regions = dim(in, "regions", 1, 0), .frames = dim(in, "sound", 1, 0), .target_steps = dim(in, "target", 1, 0)};
    for (int i = 0; i < INPUTS && !s.rows; i++) s.rows = dim(in, inputs[i], 0, 0);
    return s;
}

static sn_status bind(sn_runner *r, const sn_page_in *given, const sn_weights *in) {
    const sn_node nodes[INPUTS] = {given->ids, given->types, given->mask, given->pixels, given->regions, given->sound, given->target};
    for (int i = 0, at = 0; i < INPUTS; i++) {
        if (nodes[i].id < 0) continue;
        const sn_tensor_view *v = sn_weights_find(in, inputs[i]);
        if (!v) SN_FAIL(SN_ERR_USAGE, "the inputs have no \"%s\"", inputs[i]);
        sn_runner_bind_input(r, at++, v->data);
    }
    return SN_OK;
}

static sn_status run(const sn_pretrained *m, const sn_weights *in, char **names, int n, const char *path) {
    sn_graph *g;
    sn_page_in given;
    sn_page_out *out = sn_alloc(1, sizeof *out);
    sn_program *program;
    sn_runner *runner;
    sn_node node = SN_NO_NODE;
    if (!out) return SN_ERR_MEMORY;
    sn_page_sizes sizes = sizes_of(in);
    SN_TRY(sn_pretrained_graph(m, &sizes, false, &g, &given, out));
    int k = -1;
    while (node.id < 0 && ++k < n) node = sn_page_get(out, names[k]);
    if (node.id < 0) SN_FAIL(SN_ERR_UNSUPPORTED, "the model gives none of these outputs");
    node = sn_cast(g, node, SN_F32);
    sn_tensor_view result = {.name = names[k], .type = {sn_shape_at(g, node), SN_F32}};
    SN_TRY(sn_pretrained_compile(m, g, 1, &node, 1, &program));
    SN_TRY(sn_runner_create(program, sn_pretrained_params(m), &runner));
    void *memory = sn_pages(sn_program_bytes(program));
    if (!memory) return SN_ERR_MEMORY;
    sn_runner_lend(runner, memory);
    SN_TRY(bind(runner, &given, in));
    SN_TRY(sn_runner_run(runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
    result.data = sn_runner_output(runner, 0);
    result.bytes = (size_t)sn_shape_count(result.type.shape) * sizeof(float);
    return sn_safetensors_write(path, &result, 1, NULL);
}

int main(int argc, char **argv) {
    sn_pretrained *m;
    sn_weights *in;
    if (argc < 6) {
        (void)fprintf(stderr, "usage: run_page MODEL PRECISION IN.safetensors OUT.safetensors NAME...\n");
        return 2;
    }
    sn_pretrained_options o = {.precision = argv[2], .inference = true, .fold = true};
    sn_status status = sn_pretrained_open(argv[1], &o, &m);
    if (status == SN_OK) status = sn_weights_open(argv[3], &in);
    if (status == SN_OK) status = run(m, in, argv + 5, argc - 5, argv[4]);
    if (status != SN_OK) (void)fprintf(stderr, "run_page: %s\n", sn_error_message());
    return status != SN_OK;
}
