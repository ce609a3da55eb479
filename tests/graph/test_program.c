/* What compiling makes of a graph: tables that a product packs too, and the arena. */
#include "base/parallel.h"
#include "graph/program_internal.h"
#include "params/params.h"
#include "test.h"

typedef struct made {
    sn_params *params;
    sn_program *program;
    sn_runner *runner;
    void *arena;
} made;

static sn_compile_options options(bool bf16) {
    return (sn_compile_options){.threads = 2, .isa = sn_isa_detect(), .backends = SN_USE_ALL, .bf16 = bf16, .inference = true};
}

static void make(made *m, sn_graph *g, bool bf16, int n, const sn_node *outputs) {
    sn_compile_options o = options(bf16);
    assert_ok(sn_program_compile(g, &o, n, outputs, n, &m->program));
    assert_ok(sn_runner_create(m->program, m->params, &m->runner));
    m->arena = sn_pages(sn_program_bytes(m->program));
    sn_runner_lend(m->runner, m->arena);
}

static void done(made *m) {
    sn_runner_free(m->runner);
    size_t bytes = sn_program_bytes(m->program);
    sn_program_free(m->program);
    sn_pages_free(m->arena, bytes);
    sn_params_free(m->params);
}

/* ---- tied tables ---- */

enum { WORDS = 131, IDS = 5 };

static bool shares(bool bf16) { return TEST_DNNL && sn_isa_detect() >= (bf16 ? SN_ISA_AVX512_BF16 : SN_ISA_AVX512); }

/* ids -> table's rows (output 0) -> logits by the table, turned (output 1) */
static void tied(made *m, int64_t width, bool bf16) {
    sn_graph *g;
    sn_init init = {.kind = SN_INIT_NORMAL, .scale = 1};
    assert_ok(sn_params_create(&m->params));
    for (int pass = 0; pass < 2; pass++) { /* the first declares */
        assert_ok(sn_graph_create(m->params, false, &g));
        sn_node ids = sn_input(g, SN_I32, SN_SHAPE(IDS)), table = sn_param(g, "table", SN_SHAPE(WORDS, width), init);
        sn_node rows = sn_emit(g, SN_EMBED, (sn_node[]){table, ids}, 2, NULL);
        sn_node outputs[] = {rows, sn_matmul(g, rows, table, false, true)};
        assert_ok(sn_graph_check(g));
        if (pass) {
            make(m, g, bf16, 2, outputs);
            continue;
        }
        assert_ok(sn_params_seal(m->params));
        sn_params_initialise(m->params, 3);
        sn_graph_free(g);
    }
}

static void check_rows(const made *m, const int32_t *ids, int64_t width, bool rounded) {
    const float *table = sn_params_data(m->params, 0), *rows = sn_runner_output(m->runner, 0);
    for (int i = 0; i < IDS; i++)
        for (int64_t k = 0; k < width; k++) {
            float want = table[ids[i] * width + k];
            assert_true(rows[i * width + k] == (rounded ? sn_from_bf16(sn_to_bf16(want)) : want));
        }
}

/* Also of more than one block of an embedding, of an odd width, and after the parameters have changed. */
static void rows_come_from_the_packed_copy(void **state) {
    (void)state;
    static const int64_t widths[] = {3, 64, 512, 1027};
    static const int32_t ids[IDS] = {0, 63, 64, 65, WORDS - 1};
    for (int w = 0; w < 4; w++)
        for (int bf16 = 0; bf16 <= sn_isa_bf16(sn_isa_detect()); bf16++) {
            made m;
            tied(&m, widths[w], bf16);
            const sn_step *embed = &m.program->steps[0];
            assert_int_equal(embed->plan.op, SN_EMBED);
            if (shares(bf16) && widths[w] >= 64) assert_true(embed->packed[0] >= 0);
            bool rounded = bf16 && embed->packed[0] >= 0;
            sn_runner_bind_input(m.runner, 0, ids);
            for (int again = 0; again < 2; again++) {
                assert_ok(sn_runner_run(m.runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
                check_rows(&m, ids, widths[w], rounded);
                float *table = sn_params_data(m.params, 0);
                for (int64_t i = 0; i < WORDS * widths[w]; i++) table[i] = 1 - 2 * table[i];
                sn_params_changed(m.params, false);
            }
            done(&m);
        }
}

/* ---- the arena ---- */

/* Small values lie together in front, not one behind each of the large ones, which the caller may bind elsewhere. */
static void small_values_lie_together(void **state) {
    (void)state;
    enum { LARGE = 1 << 16, N = 8 };
    made m = {0};
    sn_graph *g;
    sn_node outputs[N + 1];
    assert_ok(sn_params_create(&m.params));
    assert_ok(sn_graph_create(m.params, false, &g));
    sn_node large = sn_input(g, SN_F32, SN_SHAPE(LARGE)), small = sn_input(g, SN_F32, SN_SHAPE(4));
    for (int i = 0; i < N; i++) {
        small = sn_affine(g, sn_reduce_sum(g, small, 1, true), 2, 1);
        outputs[i] = large = sn_mul(g, large, small);
    }
    outputs[N] = small;
    assert_ok(sn_graph_check(g));
    assert_ok(sn_params_seal(m.params));
    make(&m, g, false, N + 1, outputs);
    const sn_program *p = m.program;
    for (int32_t s = 0; s < p->n_steps; s++) {
        const sn_place *place = &p->places[p->root[p->steps[s].out[0]]];
        if (place->where == SN_IN_ARENA && place->bytes <= 16) assert_true(place->offset < 4096);
        if (place->where == SN_IN_ARENA && place->bytes > 16) assert_true(place->offset > 0);
    }
    assert_true(sn_program_bytes(p) <= (size_t)N * LARGE * sizeof(float) + 4096);
    done(&m);
}

static int enter(void **state) {
    (void)state;
    return sn_threads_enter(2) == SN_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_come_from_the_packed_copy), cmocka_unit_test(small_values_lie_together)};
    return cmocka_run_group_tests(tests, enter, NULL);
}
