/* A decoder fed in pieces, through its cache, gives the logits of the whole text at once; rows that change their past
 * give what fresh rows would. */
#include "test.h"

#include <math.h>

#include "models/decode.h"
#include "params/weights.h"

enum { STEPS = 7, VOCAB = 40 };

typedef struct gpt2 {
    sn_pretrained *model;
    sn_weights *golden;
    const int32_t *ids;  /* [2][STEPS] */
    const float *logits; /* [2][STEPS][VOCAB] */
} gpt2;

static void open_gpt2(gpt2 *t) {
    sn_pretrained_options options = {.threads = 2, .precision = "f32"};
    assert_ok(sn_pretrained_open(SN_TEST_ROOT "/golden/pages/gpt2_lm", &options, &t->model));
    assert_ok(sn_weights_open(SN_TEST_ROOT "/golden/pages/gpt2_lm/golden.safetensors", &t->golden));
    t->ids = sn_weights_find(t->golden, "in.ids")->data;
    t->logits = sn_weights_find(t->golden, "out.logits")->data;
}
static void close_gpt2(gpt2 *t) {
    sn_weights_free(t->golden);
    sn_pretrained_free(t->model);
}

static void close_to(const float *got, const float *want) {
    for (int i = 0; i < VOCAB; i++)
        if (!(fabsf(got[i] - want[i]) <= 1e-4f * 10)) fail_msg("logit %d: %g, not %g", i, (double)got[i], (double)want[i]);
}

/* Row 0 of the golden has all its steps valid. */
static void pieces_are_the_whole(void **state) {
    (void)state;
    static const int64_t ways[][STEPS] = {{1, 1, 1, 1, 1, 1, 1}, {7}, {3, 1, 1, 2}, {2, 5}};
    gpt2 t;
    open_gpt2(&t);
    sn_decoding *d;
    assert_ok(sn_decoding_create(t.model, 3, 16, &d));
    sn_decoder decoder = sn_decoding_decoder(d);
    assert_int_equal(decoder.vocabulary, VOCAB);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        float logits[2 * VOCAB];
        assert_ok(sn_decoding_start(d, NULL, 0, 0, 0));
        for (int64_t i = 0, at = 0; at < STEPS; at += ways[w][i++]) {
            int32_t fed[2 * STEPS];
            for (int64_t k = 0; k < ways[w][i]; k++) fed[k] = fed[ways[w][i] + k] = t.ids[at + k];
            assert_ok(decoder.step(decoder.context, 2, ways[w][i], fed, NULL, logits));
            for (int r = 0; r < 2; r++) close_to(logits + r * VOCAB, t.logits + (at + ways[w][i] - 1) * VOCAB);
        }
    }
    sn_decoding_free(d);
    close_gpt2(&t);
}

/* Three rows fork, cross over and die; each must give the logits of its own story told from the start. */
static void rows_keep_their_own_past(void **state) {
    (void)state;
    gpt2 t;
    open_gpt2(&t);
    sn_decoding *d, *fresh;
    assert_ok(sn_decoding_create(t.model, 3, 12, &d));
    assert_ok(sn_decoding_create(t.model, 3, 12, &fresh));
    sn_decoder decoder = sn_decoding_decoder(d), plain = sn_decoding_decoder(fresh);
    int32_t told[3][8] = {{5, 6, 7}}, next[3][8];
    float logits[3 * VOCAB], want[VOCAB];
    static const int32_t parents[][3] = {{0, 0, 0}, {2, 0, 1}, {1, 1, 1}, {0, 2, 2}};
    assert_ok(sn_decoding_start(d, NULL, 0, 0, 0));
    assert_ok(decoder.step(decoder.context, 1, 3, told[0], NULL, logits));
    for (int i = 0; i < 4; i++) {
        int32_t fed[3];
        for (int r = 0; r < 3; r++) {
            memcpy(next[r], told[parents[i][r]], sizeof next[r]);
            fed[r] = next[r][3 + i] = 8 + (7 * i + 5 * r) % 30;
        }
        memcpy(told, next, sizeof told);
        assert_ok(decoder.step(decoder.context, 3, 1, fed, parents[i], logits));
        for (int r = 0; r < 3; r++) {
            assert_ok(sn_decoding_start(fresh, NULL, 0, 0, 0));
            assert_ok(plain.step(plain.context, 1, 4 + i, told[r], NULL, want));
            close_to(logits + r * VOCAB, want);
        }
    }
    sn_decoding_free(fresh);
    sn_decoding_free(d);
    close_gpt2(&t);
}

static void too_much_is_refused(void **state) {
    (void)state;
    gpt2 t;
    open_gpt2(&t);
    sn_decoding *d;
    assert_fails(sn_decoding_create(t.model, 1, 25, &d), SN_ERR_USAGE, "25 positions of text; the model has 24");
    assert_ok(sn_decoding_create(t.model, 1, 4, &d));
    sn_decoder decoder = sn_decoding_decoder(d);
    float logits[VOCAB];
    assert_ok(sn_decoding_start(d, NULL, 0, 0, 0));
    assert_ok(decoder.step(decoder.context, 1, 3, t.ids, NULL, logits));
    assert_fails(decoder.step(decoder.context, 1, 2, t.ids, NULL, logits), SN_ERR_USAGE, "1 rows of 2 more tokens do not fit");
    sn_decoding_free(d);
    sn_pretrained *bert;
    assert_ok(sn_pretrained_open(SN_TEST_ROOT "/golden/pages/bert", NULL, &bert));
    assert_fails(sn_decoding_create(bert, 1, 4, &d), SN_ERR_UNSUPPORTED, "a model of type bert does not generate text");
    sn_pretrained_free(bert);
    close_gpt2(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_are_the_whole), cmocka_unit_test(rows_keep_their_own_past),
                                       cmocka_unit_test(too_much_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
