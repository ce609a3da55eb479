/* test_gradients.c: the gradient of every differentiable op against finite differences.
 *
 * A case becomes a graph: inputs -> op -> y; sn_grad with a random cotangent gives dx. Both are computed through
 * sn_program with the reference kernels. f(x) = sum(cotangent * y) is differenced with four points (error h^4)
 * in double over f32 values of y. */
#include <math.h>

#include "base/parallel.h"
#include "base/rng.h"
#include "graph/program.h"
#include "ops/cases.h"
#include "test.h"

typedef struct net {
    sn_params *params;
    sn_program *program;
    sn_runner *runner;
    void *arena;
    sn_buffer in[SN_MAX_IN], cotangent;
    int n, wrt[SN_MAX_IN], n_wrt;
} net;

static sn_status build(const sn_case *c, net *t, unsigned backends) {
    sn_graph *g;
    sn_node in[SN_MAX_IN + 1], wrt[SN_MAX_IN], outputs[SN_MAX_IN + 1], dx[SN_MAX_IN];
    SN_TRY(sn_params_create(&t->params));
    SN_TRY(sn_params_seal(t->params));
    SN_TRY(sn_graph_create(t->params, true, &g));
    for (int k = 0; k < t->n; k++) {
        in[k] = sn_input(g, t->in[k].type.dtype, t->in[k].type.shape);
        if (!sn_fill_differentiable(c->in[k].fill)) continue;
        t->wrt[t->n_wrt] = k;
        wrt[t->n_wrt++] = in[k];
    }
    outputs[0] = sn_emit(g, c->op, in, t->n, &c->attr);
    sn_type y = sn_type_of(g, outputs[0]);
    sn_node cotangent = sn_input(g, SN_F32, y.shape);
    sn_status status = sn_grad(g, 1, outputs, &cotangent, t->n_wrt, wrt, dx);
    if (status != SN_OK) {
        sn_graph_free(g);
        return status;
    }
    for (int k = 0; k < t->n_wrt; k++) outputs[1 + k] = dx[k];
    sn_compile_options options = {.threads = 2, .isa = sn_isa_detect(), .backends = backends};
    SN_TRY(sn_program_compile(g, &options, 1 + t->n_wrt, outputs, 1, &t->program));
    SN_TRY(sn_runner_create(t->program, t->params, &t->runner));
    t->arena = sn_pages(sn_program_bytes(t->program));
    if (!t->arena) return SN_ERR_MEMORY;
    sn_runner_lend(t->runner, t->arena);
    sn_buffer_make(&t->cotangent, (sn_type){y.shape, SN_F32}, 0);
    sn_buffer_fill(&t->cotangent, 'n', 0, 31 + (uint64_t)c->op);
    for (int k = 0; k < t->n; k++) sn_runner_bind_input(t->runner, k, t->in[k].data);
    sn_runner_bind_input(t->runner, t->n, t->cotangent.data);
    return SN_OK;
}

static void end(net *t) {
    size_t bytes = t->program ? sn_program_bytes(t->program) : 0;
    sn_runner_free(t->runner);
    sn_program_free(t->program);
    if (t->arena) sn_pages_free(t->arena, bytes);
    sn_params_free(t->params);
    for (int k = 0; k < SN_MAX_IN; k++) sn_buffer_free(&t->in[k]);
    sn_buffer_free(&t->cotangent);
}

static const sn_run_info info = {3, 4};

/* sum(cotangent * y) */
static sn_status value(net *t, double *sum) {
    SN_TRY(sn_runner_run(t->runner, SN_RUN_FIRST, &info));
    const float *y = sn_runner_output(t->runner, 0), *c = t->cotangent.data;
    *sum = 0;
    for (int64_t i = 0; i < sn_shape_count(t->cotangent.type.shape); i++) *sum += (double)y[i] * (double)c[i];
    return SN_OK;
}

static sn_status slope(net *t, float *x, double *out) {
    static const double h = 1.0 / 64, weights[4] = {1, -8, 8, -1};
    static const int at[4] = {-2, -1, 1, 2};
    float old = *x;
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        double f;
        *x = (float)((double)old + at[k] * h);
        SN_TRY(value(t, &f));
        sum += weights[k] * f;
    }
    *x = old;
    *out = sum / (12 * h);
    return SN_OK;
}

/* Compares dx of input wrt[k] at up to 40 places spread over it. */
static sn_status check_input(const sn_case *c, net *t, int k, const float *dx, int *failures) {
    enum { PLACES = 40 };
    sn_buffer *in = &t->in[t->wrt[k]];
    int64_t count = sn_shape_count(in->type.shape), step = count > PLACES ? count / PLACES : 1;
    double scale = 0.3, most = 0;
    for (int64_t i = 0; i < count; i++) scale = fmax(scale, fabs((double)dx[i]));
    for (int64_t i = 0; i < count; i += step) {
        double numeric;
        SN_TRY(slope(t, (float *)in->data + i, &numeric));
        double error = fabs(numeric - (double)dx[i]) / scale;
        if (!(error <= most)) most = isnan(error) ? INFINITY : error;
    }
    if (most <= 1e-3) return SN_OK;
    print_error("%s (%s): gradient of input %d is wrong by %g of %g\n", sn_ops[c->op].name, c->what, t->wrt[k], most, scale);
    ++*failures;
    return SN_OK;
}

static sn_status check(const sn_case *c, net *t, int *failures) {
    sn_result before;
    SN_TRY(sn_case_prepare(c, SN_CASE_F32, SN_USE_REF, 2, t->in, &t->n, &before));
    SN_TRY(build(c, t, SN_USE_REF));
    SN_TRY(sn_runner_run(t->runner, SN_RUN_ALL, &info));
    float *dx[SN_MAX_IN];
    for (int k = 0; k < t->n_wrt; k++) { /* the arena is overwritten by the runs that follow */
        size_t bytes = t->in[t->wrt[k]].bytes;
        dx[k] = malloc(bytes);
        memcpy(dx[k], sn_runner_output(t->runner, 1 + k), bytes);
    }
    sn_status status = SN_OK;
    for (int k = 0; k < t->n_wrt && status == SN_OK; k++) status = check_input(c, t, k, dx[k], failures);
    for (int k = 0; k < t->n_wrt; k++) free(dx[k]);
    return status;
}

static bool has_gradient(const sn_case *c) {
    bool wanted = false;
    for (int k = 0; k < sn_case_inputs(c); k++) wanted |= sn_fill_differentiable(c->in[k].fill);
    bool saves = !(c->op == SN_RNN || c->op == SN_LSTM || c->op == SN_GRU) || c->attr.rnn.saves;
    return wanted && saves && !(sn_ops[c->op].flags & SN_OPF_NO_GRADIENT);
}

static bool small(const sn_case *c) {
    int64_t most = 0;
    for (int k = 0; k < sn_case_inputs(c); k++)
        if (sn_shape_count(c->in[k].type.shape) > most) most = sn_shape_count(c->in[k].type.shape);
    return most <= 4000;
}

static void gradients_are_slopes(void **state) {
    (void)state;
    int failures = 0;
    for (int i = 0; i < sn_case_count; i++) {
        const sn_case *c = &sn_cases[i];
        if (!has_gradient(c) || !small(c)) continue;
        net t = {.n = 0};
        if (check(c, &t, &failures) != SN_OK) {
            print_error("%s (%s): %s\n", sn_ops[c->op].name, c->what, sn_error_message());
            failures++;
        }
        end(&t);
    }
    assert_int_equal(failures, 0);
}

/* dx through whatever columns the product would use, against ref. */
static void columns_give_the_same_gradients(void **state) {
    (void)state;
    int failures = 0;
    for (int i = 0; i < sn_case_count; i++) {
        const sn_case *c = &sn_cases[i];
        if (!has_gradient(c)) continue;
        net t[2] = {{.n = 0}, {.n = 0}};
        for (int b = 0; b < 2; b++) {
            sn_result before;
            assert_ok(sn_case_prepare(c, SN_CASE_F32, SN_USE_REF, 2, t[b].in, &t[b].n, &before));
            assert_ok(build(c, &t[b], b ? SN_USE_ALL : SN_USE_REF));
            assert_ok(sn_runner_run(t[b].runner, SN_RUN_ALL, &info));
        }
        for (int k = 0; k < t[0].n_wrt; k++) {
            sn_type type = t[0].in[t[0].wrt[k]].type;
            sn_buffer ref = {type, sn_runner_output(t[0].runner, 1 + k), 0}, got = {type, sn_runner_output(t[1].runner, 1 + k), 0};
            double d = sn_buffer_distance(&got, &ref);
            if (d <= 1e-4) continue;
            print_error("%s (%s): gradient %d differs by %g between columns\n", sn_ops[c->op].name, c->what, k, d);
            failures++;
        }
        end(&t[0]);
        end(&t[1]);
    }
    assert_int_equal(failures, 0);
}

/* No op that has a gradient may lack a case that was differenced. */
static void every_gradient_is_checked(void **state) {
    (void)state;
    int missing = 0;
    for (int op = 0; op < SN_OP_COUNT; op++) {
        if (sn_ops[op].flags & (SN_OPF_NO_GRADIENT | SN_OPF_VIEW)) continue;
        bool found = false;
        for (int i = 0; i < sn_case_count; i++)
            found |= (int)sn_cases[i].op == op && has_gradient(&sn_cases[i]) && small(&sn_cases[i]);
        if (!found) print_error("the gradient of %s is not checked\n", sn_ops[op].name);
        missing += !found;
    }
    assert_int_equal(missing, 0);
}

/* RESHAPE has no kernel and so no case: its gradient moves the cotangent back. */
static void a_view_passes_its_gradient(void **state) {
    (void)state;
    net t = {.n = 0};
    sn_case c = {.op = SN_RESHAPE, .what = "view", .attr = {.reshape = {{{6, 2}, 2}}},
                 .in = {{{{{3, 4}, 2}, SN_F32}, 'n', 0}}};
    sn_result before;
    int failures = 0;
    assert_ok(sn_case_prepare(&c, SN_CASE_F32, SN_USE_REF, 1, t.in, &t.n, &before));
    assert_ok(build(&c, &t, SN_USE_REF));
    assert_ok(sn_runner_run(t.runner, SN_RUN_ALL, &info));
    assert_memory_equal(sn_runner_output(t.runner, 1), t.cotangent.data, t.cotangent.bytes);
    assert_ok(check_input(&c, &t, 0, t.cotangent.data, &failures));
    assert_int_equal(failures, 0);
    end(&t);
}

static int enter(void **state) {
    (void)state;
    return sn_threads_enter(2) == SN_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_gradient_is_checked), cmocka_unit_test(gradients_are_slopes),
                                       cmocka_unit_test(columns_give_the_same_gradients),
                                       cmocka_unit_test(a_view_passes_its_gradient)};
    return cmocka_run_group_tests(tests, enter, NULL);
}
