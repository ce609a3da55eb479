/* test_pool_modes.c: from a text's tokens to one vector: what a graph computes is what the numbers give, and every mode
 * is known by each of its names. */
#include "models/pool_modes.h"

#include <math.h>

#include "graph/program.h"
#include "test.h"

enum { N = 3, T = 5, D = 4 };

static void example(float *x, int32_t *lengths) {
    static const int32_t all[N] = {5, 1, 3};
    for (int i = 0; i < N * T * D; i++) x[i] = (float)(i * 37 % 23 - 11) / 8;
    memcpy(lengths, all, sizeof all);
}

/* The modes over the example in a graph: y [N][D * modes]. */
static sn_status in_graph(unsigned modes, float *y) {
    sn_params *params;
    sn_graph *g;
    float x[N * T * D];
    int32_t lengths[N];
    example(x, lengths);
    assert_ok(sn_params_create(&params));
    assert_ok(sn_params_seal(params));
    assert_ok(sn_graph_create(params, false, &g));
    sn_node in[2];
    in[0] = sn_input(g, SN_F32, SN_SHAPE(N, T, D));
    in[1] = sn_input(g, SN_I32, SN_SHAPE(N));
    sn_node out = sn_pool_modes_build(g, modes, in[0], in[1]);
    sn_status status = sn_graph_check(g);
    if (status == SN_OK) {
        sn_compile_options options = {.threads = 1, .isa = sn_isa_detect(), .backends = SN_USE_ALL};
        sn_program *p;
        sn_runner *r;
        assert_ok(sn_program_compile(g, &options, 1, &out, 1, &p));
        g = NULL;
        assert_ok(sn_runner_create(p, params, &r));
        size_t bytes = sn_program_bytes(p), n = 0;
        void *arena = sn_pages(bytes);
        sn_runner_lend(r, arena);
        sn_runner_bind_input(r, 0, x);
        sn_runner_bind_input(r, 1, lengths);
        assert_ok(sn_runner_run(r, SN_RUN_ALL | SN_RUN_CHECK, &(sn_run_info){0, 0}));
        for (int i = 0; i < SN_POOL_MODES; i++) n += modes >> i & 1;
        memcpy(y, sn_runner_output(r, 0), n * N * D * sizeof *y);
        sn_runner_free(r);
        sn_program_free(p);
        sn_pages_free(arena, bytes);
    }
    sn_graph_free(g);
    sn_params_free(params);
    return status;
}

static void graphs_give_the_numbers(void **state) {
    (void)state;
    float x[N * T * D], found[SN_POOL_MODES * N * D], expected[D];
    int32_t lengths[N];
    example(x, lengths);
    for (unsigned modes = 1; modes < 1u << SN_POOL_MODES; modes++) {
        unsigned impossible = 0, n = 0;
        for (int i = 0; i < SN_POOL_MODES; i++) {
            n += modes >> i & 1;
            if (!sn_pool_modes[i].build) impossible |= 1u << i;
        }
        if (modes & impossible) {
            assert_fails(in_graph(modes, found), SN_ERR_UNSUPPORTED, "\"weightedmean\" is not possible in training");
            continue;
        }
        assert_ok(in_graph(modes, found));
        for (unsigned row = 0; row < N; row++)
            for (unsigned i = 0, at = 0; i < SN_POOL_MODES; i++) {
                if (!(modes >> i & 1)) continue;
                sn_pool_modes[i].pool(x + row * T * D, lengths[row], D, expected);
                for (unsigned k = 0; k < D; k++)
                    if (!(fabsf(found[(row * n + at) * D + k] - expected[k]) <= 1e-6f))
                        fail_msg("modes %u, %s, row %u: %g, not %g", modes, sn_pool_modes[i].name, row, found[(row * n + at) * D + k], expected[k]);
                at++;
            }
    }
}

static unsigned read(const char *text, sn_status *status) {
    unsigned modes;
    json_t *config = json_loads(text, 0, NULL);
    assert_non_null(config);
    *status = sn_pool_modes_read(config, &modes);
    json_decref(config);
    return modes;
}

static void every_name_is_known(void **state) {
    (void)state;
    char text[160];
    sn_status status;
    for (int i = 0; i < SN_POOL_MODES; i++) {
        const sn_pool_mode *m = &sn_pool_modes[i];
        const char *const names[] = {m->name, m->other};
        for (int k = 0; k < 2; k++) {
            (void)snprintf(text, sizeof text, "{\"pooling_mode\": \"%s\"}", names[k]);
            assert_int_equal(read(text, &status), 1 << i);
            (void)snprintf(text, sizeof text, "{\"pooling_mode\": [\"cls\", \"%s\"]}", names[k]);
            assert_int_equal(read(text, &status), 1 | 1 << i);
        }
        (void)snprintf(text, sizeof text, "{\"pooling_mode_mean_tokens\": false, \"%s\": true}", m->key);
        if (1u << i != SN_POOL_MEAN) assert_int_equal(read(text, &status), 1 << i);
    }
    assert_int_equal(read("{}", &status), SN_POOL_MEAN);
    (void)read("{\"pooling_mode\": \"men\"}", &status);
    assert_fails(status, SN_ERR_USAGE, "pooling \"men\" is not known; known are cls, max, mean, mean_sqrt_len, weightedmean, last");
    (void)read("{\"pooling_mode\": 3}", &status);
    assert_fails(status, SN_ERR_FORMAT, "\"pooling_mode\" is neither");
    (void)read("{\"pooling_mode_mean_tokens\": false}", &status);
    assert_fails(status, SN_ERR_FORMAT, "no pooling mode is on");
    (void)read("{\"pooling_mode_max_tokens\": 1}", &status);
    assert_fails(status, SN_ERR_FORMAT, "pooling_mode_max_tokens");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(graphs_give_the_numbers), cmocka_unit_test(every_name_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
