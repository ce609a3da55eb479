/* A parameter asked for twice is one node, so that its gradient counts every use. */
#include "test.h"

#include "graph/program.h"

static void a_weight_used_twice_has_one_gradient(void **state) {
    (void)state;
    sn_params *params;
    sn_graph *g;
    assert_ok(sn_params_create(&params));
    assert_ok(sn_graph_create(params, false, &g));
    sn_init ones = {SN_INIT_ONES, 0, 0};
    sn_node a = sn_param(g, "w", SN_SHAPE(3), ones), b = sn_param(g, "w", SN_SHAPE(3), ones);
    assert_int_equal(a.id, b.id);
    sn_node y = sn_reduce_sum(g, sn_mul(g, a, sn_affine(g, b, 2, 1)), 1, true); /* sum of 2w² + w */
    sn_node dy = sn_input(g, SN_F32, SN_SHAPE(1)), dw;
    assert_ok(sn_grad(g, 1, &y, &dy, 1, &a, &dw));
    assert_ok(sn_params_seal(params));
    sn_params_initialise(params, 1);
    sn_program *program;
    sn_runner *runner;
    sn_compile_options options = {.threads = 1, .isa = sn_isa_detect(), .backends = SN_USE_ALL};
    assert_ok(sn_program_compile(g, &options, 1, &dw, 1, &program));
    assert_ok(sn_runner_create(program, params, &runner));
    void *memory = sn_pages(sn_program_bytes(program));
    sn_runner_lend(runner, memory);
    sn_runner_bind_input(runner, 0, &(float){1});
    assert_ok(sn_runner_run(runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
    const float *got = sn_runner_output(runner, 0);
    for (int i = 0; i < 3; i++) assert_float_equal(got[i], 5, 1e-6); /* 4w + 1 at w = 1 */
    sn_pages_free(memory, sn_program_bytes(program));
    sn_runner_free(runner);
    sn_program_free(program);
    sn_params_free(params);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_weight_used_twice_has_one_gradient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
