/* Whisper as it transcribes: the encoder once, its keys once, then the decoder in pieces through its cache, two sounds with
 * two beams each; the logits are those of the whole that Transformers computed. */
#include "test.h"

#include <math.h>

#include "models/decode.h"
#include "params/weights.h"

enum { N = 2, BEAMS = 2, STEPS = 7, VOCAB = 40 };

static const sn_tensor_view *find(const sn_weights *golden, const char *name) {
    const sn_tensor_view *v = sn_weights_find(golden, name);
    assert_non_null(v);
    return v;
}

/* -> [N,S,D], to be freed */
static float *encode(const sn_pretrained *m, const sn_tensor_view *sound, int64_t *steps, int64_t *width) {
    sn_graph *g;
    sn_node encoded;
    sn_program *program;
    sn_runner *runner;
    sn_page_in in = sn_page_in_none();
    assert_ok(sn_graph_create(sn_pretrained_params(m), false, &g));
    in.sound = sn_input(g, SN_F32, sound->type.shape);
    assert_ok(sn_pretrained_encode(m, g, &in, &encoded));
    sn_shape shape = sn_shape_at(g, encoded);
    assert_int_equal(shape.dim[0], N);
    *steps = shape.dim[1];
    *width = shape.dim[2];
    assert_ok(sn_pretrained_compile(m, g, 1, &encoded, 1, &program));
    assert_ok(sn_runner_create(program, sn_pretrained_params(m), &runner));
    void *memory = sn_pages(sn_program_bytes(program));
    assert_non_null(memory);
    sn_runner_lend(runner, memory);
    sn_runner_bind_input(runner, 0, sound->data);
    assert_ok(sn_runner_run(runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
    size_t bytes = (size_t)sn_shape_count(shape) * sizeof(float);
    float *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, sn_runner_output(runner, 0), bytes);
    sn_pages_free(memory, sn_program_bytes(program));
    sn_runner_free(runner);
    sn_program_free(program);
    return copy;
}

static void in_pieces(const char *precision, double tolerance) {
    static const int64_t ways[][STEPS] = {{1, 1, 1, 1, 1, 1, 1}, {7}, {3, 1, 1, 2}};
    sn_pretrained_options options = {.threads = 2, .precision = precision};
    sn_pretrained *m;
    sn_weights *golden;
    sn_decoding *d;
    int64_t steps, width;
    assert_ok(sn_pretrained_open(SN_TEST_ROOT "/golden/pages/whisper_lm", &options, &m));
    assert_ok(sn_weights_open(SN_TEST_ROOT "/golden/pages/whisper_lm/golden.safetensors", &golden));
    const int32_t *ids = find(golden, "in.target")->data;
    const float *want = find(golden, "out.logits")->data;
    float *encoded = encode(m, find(golden, "in.sound"), &steps, &width);
    assert_ok(sn_decoding_create(m, N * BEAMS, 12, &d));
    sn_decoder decoder = sn_decoding_decoder(d);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        float logits[N * BEAMS * VOCAB];
        assert_ok(sn_decoding_start(d, encoded, N, steps, width));
        for (int64_t i = 0, at = 0; at < STEPS; at += ways[w][i++]) {
            int64_t count = ways[w][i];
            int32_t fed[N * BEAMS * STEPS];
            for (int64_t r = 0; r < N * BEAMS; r++)
                for (int64_t k = 0; k < count; k++) fed[r * count + k] = ids[r / BEAMS * STEPS + at + k];
            assert_ok(decoder.step(decoder.context, N * BEAMS, count, fed, NULL, logits));
            for (int64_t r = 0; r < N * BEAMS; r++)
                for (int64_t v = 0; v < VOCAB; v++) {
                    double expected = (double)want[(r / BEAMS * STEPS + at + count - 1) * VOCAB + v];
                    if (!(fabs((double)logits[r * VOCAB + v] - expected) <= tolerance))
                        fail_msg("row %d, logit %d: %g, not %g", (int)r, (int)v, (double)logits[r * VOCAB + v], expected);
                }
        }
    }
    sn_decoding_free(d);
    free(encoded);
    sn_weights_free(golden);
    sn_pretrained_free(m);
}

static void transcribing_in_pieces_is_the_whole(void **state) {
    (void)state;
    in_pieces("f32", 1e-4);
}

/* Where the processor multiplies bf16, keys and values are kept in bf16 too. */
static void so_it_is_in_bf16(void **state) {
    (void)state;
    in_pieces("auto", 0.1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(transcribing_in_pieces_is_the_whole), cmocka_unit_test(so_it_is_in_bf16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
