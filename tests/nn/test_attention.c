/* test_attention.c: the builders of attention: what they refuse, what they make of precision and caches. */
#include "nn/attention.h"

#include <math.h>

#include "base/parallel.h"
#include "graph/program.h"
#include "test.h"

typedef struct world {
    sn_params *params;
    sn_graph *g;
} world;

static world begin(void) {
    world w;
    assert_ok(sn_params_create(&w.params));
    assert_ok(sn_params_seal(w.params));
    assert_ok(sn_graph_create(w.params, false, &w.g));
    return w;
}

static void end(world *w) {
    sn_graph_free(w->g);
    sn_params_free(w->params);
}

/* Attention over inputs of these shapes fails with a message that holds `words`. */
static void refused(sn_shape q, sn_shape k, sn_shape v, const sn_type *mask, sn_attention_options o, const char *words) {
    world w = begin();
    sn_node m = mask ? sn_input(w.g, mask->dtype, mask->shape) : SN_NO_NODE;
    sn_node y = sn_attention(w.g, sn_input(w.g, SN_F32, q), sn_input(w.g, SN_F32, k), sn_input(w.g, SN_F32, v), m, &o);
    assert_int_equal(y.id, -1);
    assert_fails(sn_graph_check(w.g), SN_ERR_SHAPE, words);
    end(&w);
}

static void shapes_are_checked(void **state) {
    (void)state;
    sn_shape q = SN_SHAPE(2, 3, 8), k = SN_SHAPE(2, 5, 8), half = SN_SHAPE(2, 5, 4);
    refused(q, k, k, NULL, (sn_attention_options){.heads = 3}, "[2, 3, 8]");
    refused(q, k, k, NULL, (sn_attention_options){.heads = 0}, "0 heads");
    refused(q, k, k, NULL, (sn_attention_options){.heads = 4, .kv_heads = 3}, "4 heads over 3");
    refused(q, k, k, NULL, (sn_attention_options){.heads = 4, .kv_heads = 2}, "[2, 5, 8]");
    refused(q, k, half, NULL, (sn_attention_options){.heads = 4}, "v [2, 5, 4]");
    refused(q, SN_SHAPE(3, 5, 8), SN_SHAPE(3, 5, 8), NULL, (sn_attention_options){.heads = 4}, "[3, 5, 8]");
    sn_type queries = {SN_SHAPE(2, 3), SN_I32}, wide = {SN_SHAPE(2), SN_I64};
    refused(q, k, k, &queries, (sn_attention_options){.heads = 4}, "[2, 5], not I32 [2, 3]");
    refused(q, k, k, &wide, (sn_attention_options){.heads = 4}, "not I64 [2]");
}

typedef struct decoding {
    float q[2 * 4], k[2 * 4], v[2 * 4], kc[3 * 5 * 4], vc[3 * 5 * 4];
    int32_t filled[2], ancestry[2 * 5];
} decoding;

static sn_status decode(const decoding *d, bool bf16, sn_dtype cache, float *y, sn_buf *text) {
    world w = begin();
    sn_shape one = SN_SHAPE(2, 1, 4), rows = SN_SHAPE(3, 5, 4);
    uint16_t narrow[2][60];
    for (int i = 0; i < 60; i++) {
        narrow[0][i] = sn_to_bf16(d->kc[i]);
        narrow[1][i] = sn_to_bf16(d->vc[i]);
    }
    sn_node in[3];
    for (int i = 0; i < 3; i++) in[i] = sn_input(w.g, SN_F32, one);
    sn_attention_cache c;
    c.keys = sn_input(w.g, cache, rows);
    c.values = sn_input(w.g, cache, rows);
    c.filled = sn_input(w.g, SN_I32, SN_SHAPE(2));
    c.ancestry = sn_input(w.g, SN_I32, SN_SHAPE(2, 5));
    sn_node out = sn_attention_cached(w.g, in[0], in[1], in[2], SN_NO_NODE, &c, &(sn_attention_options){.heads = 2, .causal = true});
    sn_compile_options options = {.threads = 1, .isa = sn_isa_detect(), .backends = SN_USE_ALL, .bf16 = bf16};
    sn_program *p;
    sn_runner *r;
    assert_ok(sn_program_compile(w.g, &options, 1, &out, 1, &p));
    w.g = NULL;
    if (text) sn_program_print(p, text);
    assert_ok(sn_runner_create(p, w.params, &r));
    size_t bytes = sn_program_bytes(p);
    void *arena = sn_pages(bytes);
    sn_runner_lend(r, arena);
    const void *bound[] = {d->q, d->k, d->v, d->kc, d->vc, d->filled, d->ancestry};
    for (int i = 0; i < 7; i++) sn_runner_bind_input(r, i, bound[i]);
    for (int i = 0; i < 2 && cache == SN_BF16; i++) sn_runner_bind_input(r, 3 + i, narrow[i]);
    sn_status status = sn_runner_run(r, SN_RUN_ALL | SN_RUN_CHECK, &(sn_run_info){0, 0});
    if (status == SN_OK) memcpy(y, sn_runner_output(r, 0), 8 * sizeof *y);
    sn_runner_free(r);
    sn_program_free(p);
    sn_pages_free(arena, bytes);
    end(&w);
    return status;
}

static decoding example(void) {
    decoding d = {.filled = {2, 5}, .ancestry = {0, 2, 0, 0, 0, 1, 1, 2, 0, 1}};
    float *all[] = {d.q, d.k, d.v, d.kc, d.vc};
    int sizes[] = {8, 8, 8, 60, 60};
    for (int a = 0; a < 5; a++)
        for (int i = 0; i < sizes[a]; i++) all[a][i] = (float)((i * 7 + a * 3) % 16 - 8) / 8.0f; /* exact in bf16 */
    return d;
}

/* A cache is read in the dtype it has: the precision pass puts no cast of it into the program. */
static void caches_are_not_cast(void **state) {
    (void)state;
    decoding d = example();
    float y[3][8];
    assert_ok(decode(&d, false, SN_F32, y[0], NULL));
    for (int i = 0; i < 2; i++) {
        sn_buf text = {0};
        assert_ok(decode(&d, true, i ? SN_BF16 : SN_F32, y[1 + i], &text));
        assert_null(strstr(text.data, "[3, 5, 4]"));
        for (int k = 0; k < 8; k++) assert_true(fabsf(y[1 + i][k] - y[0][k]) < 0.02f);
        sn_buf_free(&text);
    }
}

static void caches_are_checked(void **state) {
    (void)state;
    float y[8];
    decoding d = example();
    d.filled[1] = 6;
    assert_fails(decode(&d, false, SN_F32, y, NULL), SN_ERR_SHAPE, "row 1: 6 positions filled of a cache of 5");
    d.filled[1] = 5;
    d.ancestry[7] = 3;
    assert_fails(decode(&d, false, SN_F32, y, NULL), SN_ERR_SHAPE, "row 1: position 2 lies in row 3 of a cache of 3 rows");
    d.ancestry[7] = 0;
    d.ancestry[4] = 99; /* row 0 has only two positions filled */
    assert_ok(decode(&d, false, SN_F32, y, NULL));
}

static int enter(void **state) {
    (void)state;
    return sn_threads_enter(1) == SN_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes_are_checked), cmocka_unit_test(caches_are_not_cast),
                                       cmocka_unit_test(caches_are_checked)};
    return cmocka_run_group_tests(tests, enter, NULL);
}
