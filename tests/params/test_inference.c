/* test_inference.c: a store that borrows its weights from a file gives what a store with masters gives, keeps no second
 * copy of anything, and shares packed copies between programs. */
#include <math.h>
#include <unistd.h>

#include "base/parallel.h"
#include "base/rng.h"
#include "graph/program.h"
#include "params/safetensors.h"
#include "params/weights.h"
#include "test.h"

enum { WORDS = 993, WIDTH = 64, HIDDEN = 128, ROWS = 1024 }; /* ROWS: WORDS padded to 64 */

/* ids [rows] -> table -> norm -> square, square turned -> hidden, GELU -> back -> logits by the table, turned */
static sn_node network(sn_graph *g, sn_node ids) {
    sn_init none = {.kind = SN_INIT_NORMAL, .scale = 0.1f};
    sn_node table = sn_param(g, "wte.weight", SN_SHAPE(WORDS, WIDTH), none);
    sn_node x = sn_emit(g, SN_EMBED, (sn_node[]){table, ids}, 2, NULL);
    sn_attr norm = {.norm = {1e-5f, 0}};
    x = sn_emit(g, SN_LAYERNORM,
                (sn_node[]){x, sn_param(g, "ln.weight", SN_SHAPE(WIDTH), none), sn_param(g, "ln.bias", SN_SHAPE(WIDTH), none)}, 3,
                &norm);
    sn_node square = sn_param(g, "square.weight", SN_SHAPE(WIDTH, WIDTH), none);
    x = sn_add(g, sn_matmul(g, x, square, false, false), sn_matmul(g, x, square, false, true));
    sn_node h = sn_linear_op(g, x, sn_param(g, "fc.weight", SN_SHAPE(HIDDEN, WIDTH), none),
                             sn_param(g, "fc.bias", SN_SHAPE(HIDDEN), none));
    h = sn_unary(g, SN_GELU, h);
    x = sn_add(g, x, sn_linear_op(g, h, sn_param(g, "back.weight", SN_SHAPE(WIDTH, HIDDEN), none), SN_NO_NODE));
    return sn_matmul(g, x, table, false, true);
}

static const sn_dtype dtypes[] = {SN_F32, SN_BF16, SN_F16};
static char path[3][64];

static void declare(sn_params *p) {
    sn_graph *g;
    assert_ok(sn_graph_create(p, false, &g));
    (void)network(g, sn_input(g, SN_I32, SN_SHAPE(1)));
    assert_ok(sn_graph_check(g));
    sn_graph_free(g);
}

/* One file of the same weights in each dtype. */
static int write_files(void **state) {
    (void)state;
    if (sn_threads_enter(2) != SN_OK) return -1;
    sn_params *p;
    assert_ok(sn_params_create(&p));
    declare(p);
    assert_ok(sn_params_seal(p));
    sn_params_initialise(p, 5);
    int n = sn_params_count(p);
    sn_tensor_view views[16];
    sn_dtype as[16];
    for (int f = 0; f < 3; f++) {
        (void)snprintf(path[f], sizeof path[f], "/tmp/sn_inference_%ld_%d.safetensors", (long)getpid(), f);
        for (int i = 0; i < n; i++) {
            sn_shape shape = sn_params_shape(p, i);
            views[i] = (sn_tensor_view){sn_params_name(p, i), {shape, SN_F32}, sn_params_data(p, i), 4 * (size_t)sn_shape_count(shape)};
            as[i] = dtypes[f];
        }
        assert_ok(sn_safetensors_write_as(path[f], views, as, n, NULL, NULL));
    }
    sn_params_free(p);
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    for (int f = 0; f < 3; f++) (void)unlink(path[f]);
    return 0;
}

static sn_params *store(int file, bool borrows) {
    sn_params *p;
    sn_weights *w;
    assert_ok(sn_params_create(&p));
    declare(p);
    assert_ok(sn_weights_open(path[file], &w));
    if (borrows) {
        assert_ok(sn_params_seal_for_inference(p));
        assert_ok(sn_params_borrow_all(p, w, "", NULL, NULL));
    } else {
        assert_ok(sn_params_seal(p));
        assert_ok(sn_params_load(p, w, ""));
        sn_weights_free(w);
    }
    return p;
}

static void run_ids(sn_params *p, const int32_t *ids, int rows, bool bf16, unsigned backends, float *logits) {
    sn_graph *g;
    sn_program *program;
    sn_runner *runner;
    assert_ok(sn_graph_create(p, false, &g));
    sn_node y = network(g, sn_input(g, SN_I32, SN_SHAPE(rows)));
    sn_compile_options o = {.threads = 2, .isa = sn_isa_detect(), .backends = backends, .bf16 = bf16, .inference = true};
    assert_ok(sn_program_compile(g, &o, 1, &y, 1, &program));
    assert_ok(sn_runner_create(program, p, &runner));
    size_t bytes = sn_program_bytes(program);
    void *arena = sn_pages(bytes);
    sn_runner_lend(runner, arena);
    sn_runner_bind_input(runner, 0, ids);
    for (int again = 0; again < 2; again++) assert_ok(sn_runner_run(runner, SN_RUN_ALL, &(sn_run_info){0, 0}));
    memcpy(logits, sn_runner_output(runner, 0), (size_t)rows * WORDS * sizeof *logits);
    sn_runner_free(runner);
    sn_program_free(program);
    sn_pages_free(arena, bytes);
}

static void run(sn_params *p, int rows, bool bf16, unsigned backends, float *logits) {
    int32_t ids[64];
    for (int i = 0; i < rows; i++) ids[i] = (i * 37 + 11) % WORDS;
    run_ids(p, ids, rows, bf16, backends, logits);
}

static void borrowed_is_the_same(void **state) {
    (void)state;
    static float want[64 * WORDS], got[64 * WORDS];
    for (int f = 0; f < 3; f++)
        for (int bf16 = 0; bf16 < 2; bf16++)
            for (int rows = 1; rows <= 64; rows *= 8)
                for (int b = 0; b < 2; b++) {
                    sn_params *masters = store(f, false), *lent = store(f, true);
                    run(masters, rows, bf16, b ? SN_USE_ALL : SN_USE_REF, want);
                    run(lent, rows, bf16, b ? SN_USE_ALL : SN_USE_REF, got);
                    assert_memory_equal(got, want, (size_t)rows * WORDS * sizeof *got);
                    assert_true(fabsf(want[5]) > 1e-4f);
                    sn_params_free(masters);
                    sn_params_free(lent);
                }
}

/* Rows that count times something and numbers that stand in others' place: as if the masters had been changed so. */
static void changed_as_masters_would_be(void **state) {
    (void)state;
    static float want[8 * WORDS], got[8 * WORDS], before[8 * WORDS];
    for (int f = 0; f < 3; f++)
        for (int bf16 = 0; bf16 < 2; bf16++)
            for (int b = 0; b < 2; b++) {
                unsigned backends = b ? SN_USE_ALL : SN_USE_REF;
                sn_params *masters = store(f, false), *lent = store(f, true);
                int weight = sn_params_find(lent, "fc.weight"), bias = sn_params_find(lent, "fc.bias");
                double *scale = sn_alloc(HIDDEN, sizeof *scale);
                float *numbers = sn_alloc(HIDDEN, sizeof *numbers), *w = sn_params_data(masters, weight);
                run(masters, 8, bf16, backends, before);
                for (int i = 0; i < HIDDEN; i++) {
                    scale[i] = 0.25 + i / 32.0;
                    numbers[i] = (float)i / HIDDEN - 0.5f;
                    for (int k = 0; k < WIDTH; k++) w[i * WIDTH + k] = (float)((double)w[i * WIDTH + k] * scale[i]);
                    sn_params_data(masters, bias)[i] = numbers[i];
                }
                sn_params_changed(masters, false);
                sn_params_scale_rows(lent, weight, scale);
                sn_params_replace(lent, bias, numbers);
                run(masters, 8, bf16, backends, want);
                run(lent, 8, bf16, backends, got);
                assert_memory_equal(got, want, sizeof got);
                assert_memory_not_equal(before, want, sizeof got);
                sn_params_free(masters);
                sn_params_free(lent);
            }
}

/* Packing changes no more than the order of a sum. */
static void packed_is_close_to_plain(void **state) {
    (void)state;
    static float ref[8 * WORDS], all[8 * WORDS];
    sn_params *p = store(0, true);
    run(p, 8, false, SN_USE_REF, ref);
    run(p, 8, false, SN_USE_ALL, all);
    for (int i = 0; i < 8 * WORDS; i++) assert_true(fabsf(ref[i] - all[i]) < 1e-4f);
    sn_params_free(p);
}

static void nothing_is_kept_twice(void **state) {
    (void)state;
    static float y[64 * WORDS];
    /* The products' weights, rows of N padded to 64: table, square both ways, fc, back; then the norm and the bias. */
    const size_t weights = ROWS * WIDTH + 2 * WIDTH * WIDTH + 2 * HIDDEN * WIDTH, vectors = 2 * WIDTH + HIDDEN;
    sn_params *p = store(0, true);
    assert_int_equal(sn_params_bytes(p), 0);
    run(p, 64, false, SN_USE_ALL, y);
    size_t once = sn_params_bytes(p);
    assert_true(once <= 4 * (weights + vectors));
    for (int rows = 1; rows <= 4; rows++) run(p, rows, false, SN_USE_ALL, y);
    assert_int_equal(sn_params_bytes(p), once);
    sn_params_free(p);
    p = store(0, true); /* reference kernels pack nothing: the table is read where it lies, what is small is copied */
    run(p, 64, false, SN_USE_REF, y);
    assert_int_equal(sn_params_bytes(p), 4 * (WIDTH * WIDTH + 2 * HIDDEN * WIDTH + vectors));
    sn_params_free(p);
    p = store(1, true); /* a bf16 file in bf16: the bias and the norm alone are f32 */
    run(p, 64, true, SN_USE_ALL, y);
    assert_true(sn_params_bytes(p) <= 2 * weights + 4 * vectors);
    sn_params_free(p);
}

/* What a product packs of the table is what its rows are looked up in: the table's own pages are no longer needed. */
static void a_tied_table_is_read_where_it_is_packed(void **state) {
    (void)state;
    static float before[8 * WORDS], after[8 * WORDS];
    static const int32_t ids[8] = {0, 1, 63, 64, 65, 500, WORDS - 2, WORDS - 1};
    for (int f = 0; f < 3; f++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            sn_params *p = store(f, true);
            run_ids(p, ids, 8, bf16, SN_USE_ALL, before);
            sn_params_replace(p, sn_params_find(p, "wte.weight"), sn_alloc(WORDS * WIDTH, sizeof(float))); /* against its rule: nobody should look there now */
            run_ids(p, ids, 8, bf16, SN_USE_ALL, after);
            if (TEST_DNNL && sn_isa_detect() >= (bf16 ? SN_ISA_AVX512_BF16 : SN_ISA_AVX512)) assert_memory_equal(before, after, sizeof after);
            sn_params_free(p);
        }
}

static void a_borrowing_store_has_no_masters(void **state) {
    (void)state;
    sn_params *p = store(0, true);
    float *flat;
    uint16_t *shadow;
    assert_null(sn_params_data(p, 0));
    assert_fails(sn_params_gradients(p, &flat), SN_ERR_STATE, "borrows its weights for inference");
    assert_fails(sn_params_shadow(p, &shadow), SN_ERR_STATE, "borrows its weights for inference");
    assert_fails(sn_params_save(p, "/tmp/never", NULL), SN_ERR_STATE, "borrows");
    sn_params_free(p);

    sn_weights *w;
    assert_ok(sn_params_create(&p));
    declare(p);
    int i;
    assert_ok(sn_params_declare(p, "more.weight", SN_SHAPE(3), (sn_init){0}, &i));
    assert_ok(sn_params_seal_for_inference(p));
    assert_ok(sn_weights_open(path[0], &w));
    assert_fails(sn_params_borrow_all(p, w, "", NULL, NULL), SN_ERR_SHAPE, "\"more.weight\" is missing");
    sn_tensor_view view = {"x", {SN_SHAPE(4), SN_F32}, path, 16};
    assert_fails(sn_params_borrow(p, i, &view), SN_ERR_SHAPE, "expected shape [3], found [4]");
    view.type = (sn_type){SN_SHAPE(3), SN_I32};
    assert_fails(sn_params_borrow(p, i, &view), SN_ERR_SHAPE, "found I32");
    const void *data;
    assert_fails(sn_params_plain(p, i, SN_F32, &data), SN_ERR_STATE, "has no weights yet");
    sn_weights_free(w);
    sn_params_free(p);
}

/* Bytes that lie at an odd address are copied, not read in place. */
static void unaligned_bytes_are_copied(void **state) {
    (void)state;
    sn_params *p;
    int i;
    unsigned char bytes[13] = {0};
    float want[3] = {1.5f, -2, 0.25f};
    memcpy(bytes + 1, want, sizeof want);
    assert_ok(sn_params_create(&p));
    assert_ok(sn_params_declare(p, "x", SN_SHAPE(3), (sn_init){0}, &i));
    assert_ok(sn_params_seal_for_inference(p));
    sn_tensor_view view = {"x", {SN_SHAPE(3), SN_F32}, bytes + 1, 12};
    assert_ok(sn_params_borrow(p, i, &view));
    const void *data, *again;
    assert_ok(sn_params_plain(p, i, SN_F32, &data));
    assert_memory_equal(data, want, sizeof want);
    assert_int_equal((uintptr_t)data % 4, 0);
    assert_ok(sn_params_plain(p, i, SN_F32, &again));
    assert_ptr_equal(data, again);
    const void *half;
    assert_ok(sn_params_plain(p, i, SN_BF16, &half));
    for (int k = 0; k < 3; k++) assert_int_equal(((const uint16_t *)half)[k], sn_to_bf16(want[k]));
    sn_params_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borrowed_is_the_same), cmocka_unit_test(changed_as_masters_would_be),
        cmocka_unit_test(packed_is_close_to_plain), cmocka_unit_test(nothing_is_kept_twice), cmocka_unit_test(a_tied_table_is_read_where_it_is_packed), cmocka_unit_test(a_borrowing_store_has_no_masters),
        cmocka_unit_test(unaligned_bytes_are_copied)};
    return cmocka_run_group_tests(tests, write_files, remove_files);
}
