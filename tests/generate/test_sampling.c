/* test_sampling.c: the warpers against those of Transformers (golden/generate/warpers.json, with ties), and what is
 * drawn against the probabilities it should have: chi-square over 20 000 draws of a fixed seed. */
#include <math.h>

#include "base/memory.h"
#include "generate/processors.h"
#include "mock.h"

enum { DRAWS = 20000, CHUNK = 4000 };

/* ---- warpers ---- */

static float *scores_of(const json_t *list, int64_t *n) {
    *n = (int64_t)json_array_size(list);
    float *out = malloc((size_t)*n * sizeof *out);
    assert_non_null(out);
    for (int64_t i = 0; i < *n; i++) {
        const json_t *x = json_array_get(list, (size_t)i);
        out[i] = json_is_null(x) ? -INFINITY : (float)json_integer_value(x) / 4096;
    }
    return out;
}

static sn_generation options_of(const json_t *config, int64_t *least) {
    sn_generation g;
    json_t *copy = json_copy((json_t *)(uintptr_t)config);
    *least = json_integer_value(json_object_get(copy, "least"));
    *least = *least ? *least : 1;
    (void)json_object_del(copy, "least");
    if (!json_object_get(copy, "top_k")) (void)json_object_set_new(copy, "top_k", json_integer(0));
    (void)json_object_set_new(copy, "do_sample", json_true());
    assert_ok(sn_generation_read(NULL, NULL, copy, &g));
    json_decref(copy);
    return g;
}

static void check_option(const json_t *option, const float *scores, int64_t n) {
    const json_t *config = json_object_get(option, "config"), *kept = json_object_get(option, "kept");
    sn_rules r = {.vocabulary = n, .prompt = 1, .max_length = 2};
    sn_generation g = options_of(config, &r.least_kept);
    sn_decoder d = {.vocabulary = n};
    float *work = malloc((size_t)n * sizeof *work);
    assert_non_null(work);
    memcpy(work, scores, (size_t)n * sizeof *work);
    r.g = &g;
    r.decoder = &d;
    assert_ok(sn_rules_prepare(&r));
    sn_rules_apply(&r, SN_PROCESSOR_WARP, 1, (const int32_t[]){0}, work);
    size_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        bool stays = at < json_array_size(kept) && json_integer_value(json_array_get(kept, at)) == i;
        char *text = stays == (work[i] > -INFINITY) ? NULL : json_dumps(config, JSON_COMPACT);
        if (text) fail_msg("%s, %lld scores: token %lld %s", text, (long long)n, (long long)i, stays ? "went" : "stayed");
        if (stays && !at++) assert_true(fabsf(work[i] - (float)json_number_value(json_object_get(option, "first"))) <= 1e-6f);
    }
    assert_int_equal(at, json_array_size(kept));
    sn_rules_free(&r);
    sn_generation_free(&g);
    free(work);
}

static void test_warpers(void **state) {
    (void)state;
    json_t *groups = golden_json("warpers.json"), *group, *option;
    size_t i, k, checked = 0;
    json_array_foreach(groups, i, group) {
        int64_t n;
        float *scores = scores_of(json_object_get(group, "scores"), &n);
        json_array_foreach(json_object_get(group, "options"), k, option) {
            check_option(option, scores, n);
            checked++;
        }
        free(scores);
    }
    assert_int_equal(checked, 80);
    json_decref(groups);
}

/* ---- draws ---- */

/* counts[token] of the first new token of DRAWS texts of one prompt, or of the pairs of the first two. */
static void draw_many(const char *options, mock *m, int64_t *counts, bool pairs) {
    json_t *config = json_loads(options, 0, NULL);
    sn_generated *texts = malloc(CHUNK * sizeof *texts);
    assert_true(config && texts);
    for (int part = 0; part < DRAWS / CHUNK; part++) {
        sn_generation g;
        const int32_t ids[] = {1, 2};
        (void)json_object_set_new(config, "seed", json_integer(100 + part));
        (void)json_object_set_new(config, "do_sample", json_true());
        assert_ok(sn_generation_read(NULL, NULL, config, &g));
        g.num_return_sequences = CHUNK;
        m->calls = 0;
        sn_decoder d = mock_decoder(m);
        assert_ok(sn_generate(&d, &g, 1, 2, ids, NULL, NULL, texts));
        for (int64_t t = 0; t < CHUNK; t++) counts[pairs ? texts[t].tokens[0] * m->vocabulary + texts[t].tokens[1] : texts[t].tokens[0]]++;
        free_texts(texts, CHUNK);
        sn_generation_free(&g);
    }
    free(texts);
    json_decref(config);
}

/* Pearson's statistic over cells that are expected at least five times, the others together; its bound is
 * degrees + 4.5 sqrt(2 degrees): beyond it by chance once in about 100 000. */
static void check_counts(const int64_t *counts, const double *p, int64_t n) {
    double chi = 0, rest = 0, rest_found = 0;
    int degrees = -1;
    for (int64_t i = 0; i < n; i++) {
        double expected = p[i] * DRAWS;
        if (p[i] <= 0) assert_int_equal(counts[i], 0);
        if (expected < 5) {
            rest += expected;
            rest_found += (double)counts[i];
            continue;
        }
        chi += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
        degrees++;
    }
    if (rest >= 5) {
        chi += (rest_found - rest) * (rest_found - rest) / rest;
        degrees++;
    }
    assert_true(degrees > 1);
    if (!(chi < degrees + 4.5 * sqrt(2.0 * degrees))) fail_msg("chi-square %.1f with %d degrees of freedom", chi, degrees);
}

static void softmax(const float *x, int64_t n, double temperature, double *p) {
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, (double)x[i] / temperature);
    for (int64_t i = 0; i < n; i++) sum += p[i] = exp((double)x[i] / temperature - top);
    for (int64_t i = 0; i < n; i++) p[i] /= sum;
}

enum { V = 25 };

static void mock_of(mock *m, uint32_t salt) { *m = (mock){.vocabulary = V, .salt = salt}; }

/* The k-th largest and all below it: off. */
static void keep_top(float *x, int64_t k) {
    for (int64_t i = 0; i < V; i++) {
        int64_t above = 0;
        for (int64_t j = 0; j < V; j++) above += x[j] > x[i] && x[j] < 1e30f;
        if (above >= k) x[i] = x[i] - 1e32f;
    }
}

static void test_distribution(void **state) {
    (void)state;
    mock m;
    float logits[V];
    double p[V];
    static const char *const options[] = {"{\"max_new_tokens\": 1, \"top_k\": 0}", "{\"max_new_tokens\": 1, \"top_k\": 0, \"temperature\": 2.5}",
                                          "{\"max_new_tokens\": 1, \"top_k\": 6, \"temperature\": 4}"};
    static const double temperatures[] = {1, 2.5, 4};
    for (int c = 0; c < 3; c++) {
        int64_t counts[V] = {0};
        mock_of(&m, 3);
        draw_many(options[c], &m, counts, false);
        mock_logits(&m, 257, logits); /* the state after tokens 1 and 2: (1 + 7) * 31 + 2 + 7 */
        if (c == 2) keep_top(logits, 6);
        softmax(logits, V, temperatures[c], p);
        check_counts(counts, p, V);
    }
}

/* The second token's chances depend on the first: P(a, b) = P(a) P(b | a), so steps and rows are independent. */
static void test_two_steps(void **state) {
    (void)state;
    mock m;
    float first[V], second[V];
    double p[V], q[V], both[V * V];
    int64_t counts[V * V] = {0};
    mock_of(&m, 4);
    draw_many("{\"max_new_tokens\": 2, \"top_k\": 0, \"temperature\": 3}", &m, counts, true);
    mock_logits(&m, 257, first);
    softmax(first, V, 3, p);
    for (uint32_t a = 0; a < V; a++) {
        mock_logits(&m, (257 * 31 + a + 7) % 65521, second);
        softmax(second, V, 3, q);
        for (int b = 0; b < V; b++) both[a * V + (uint32_t)b] = p[a] * q[b];
    }
    check_counts(counts, both, V * V);
}

/* Beam sampling with one new token: the beams are draws without replacement. The first of two drawn has the softmax's
 * chances; which it was is lost in the order of the scores, so the pair is what is compared. */
static void test_beam_draws(void **state) {
    (void)state;
    mock m;
    float logits[V];
    double p[V], pairs[V * V] = {0};
    int64_t counts[V * V] = {0};
    mock_of(&m, 9);
    json_t *config = json_loads("{\"max_new_tokens\": 1, \"num_beams\": 2, \"num_return_sequences\": 2, \"do_sample\": true, \"top_k\": 0}", 0, NULL);
    int32_t *ids = malloc(CHUNK / 4 * sizeof *ids);
    sn_generated *texts = malloc(CHUNK / 2 * sizeof *texts);
    sn_generation g;
    assert_ok(sn_generation_read(NULL, NULL, config, &g));
    for (int i = 0; i < CHUNK / 4; i++) ids[i] = 250; /* state 257 */
    for (int part = 0; part < DRAWS / (CHUNK / 4); part++) {
        g.seed = 900 + (uint64_t)part;
        m.calls = 0;
        sn_decoder d = mock_decoder(&m);
        assert_ok(sn_generate(&d, &g, CHUNK / 4, 1, ids, NULL, NULL, texts));
        for (int t = 0; t < CHUNK / 4; t++) counts[texts[2 * t].tokens[0] * V + texts[2 * t + 1].tokens[0]]++;
        free_texts(texts, CHUNK / 2);
    }
    mock_logits(&m, 257, logits);
    softmax(logits, V, 1, p);
    for (int a = 0; a < V; a++)
        for (int b = 0; b < V; b++)
            if (logits[a] > logits[b]) pairs[a * V + b] = p[a] * p[b] / (1 - p[a]) + p[b] * p[a] / (1 - p[b]);
    check_counts(counts, pairs, V * V);
    sn_generation_free(&g);
    json_decref(config);
    free(ids);
    free(texts);
}

/* ---- seeds ---- */

static void sample(uint64_t seed, int64_t rows, sn_generated *texts) {
    mock m;
    sn_generation g;
    const int32_t ids[] = {3, 9, 14, 20};
    json_t *config = json_loads("{\"max_new_tokens\": 24, \"do_sample\": true, \"temperature\": 1.5}", 0, NULL);
    mock_of(&m, 6);
    sn_decoder d = mock_decoder(&m);
    assert_ok(sn_generation_read(config, NULL, NULL, &g));
    g.seed = seed;
    assert_ok(sn_generate(&d, &g, rows, 1, ids, NULL, NULL, texts));
    sn_generation_free(&g);
    json_decref(config);
}

static void test_seeds(void **state) {
    (void)state;
    sn_generated a[4], b[4], c[4], d[2];
    sample(7, 4, a);
    sample(7, 4, b);
    sample(8, 4, c);
    sample(7, 2, d); /* a row does not depend on how many others there are */
    for (int t = 0; t < 4; t++) {
        assert_memory_equal(a[t].tokens, b[t].tokens, 24 * sizeof(int32_t));
        assert_true(a[t].score >= b[t].score && a[t].score <= b[t].score && a[t].score < 0);
        assert_memory_not_equal(a[t].tokens, c[t].tokens, 24 * sizeof(int32_t));
        if (t < 2) assert_memory_equal(a[t].tokens, d[t].tokens, 24 * sizeof(int32_t));
    }
    free_texts(a, 4);
    free_texts(b, 4);
    free_texts(c, 4);
    free_texts(d, 2);
}

/* ---- scores.c against plain loops, at lengths around its blocks ---- */

static void test_scores(void **state) {
    (void)state;
    static const int64_t sizes[] = {1, 2, 15, 16, 17, 63, 64, 65, 1000, 4095, 4096, 4097, 9999};
    float *x = malloc(10000 * sizeof *x);
    sn_scored items[20];
    mock m = {.vocabulary = 10000, .salt = 77};
    assert_non_null(x);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t n = sizes[s], best = 0;
        double sum = 0;
        mock_logits(&m, (uint32_t)s, x);
        for (int64_t i = 0; i < n; i++) x[i] = roundf(x[i] * 16) / 16; /* ties */
        for (int64_t i = 0; i < n; i++) best = x[i] > x[best] ? i : best;
        for (int64_t i = 0; i < n; i++) sum += exp((double)x[i]);
        assert_int_equal(sn_scores_argmax(x, n), best);
        assert_true(fabs(sn_scores_log_sum(x, n) - log(sum)) < 1e-6);
        sn_top top = {items, 20, 0};
        sn_top_offer(&top, x, n, 1, 100);
        sn_top_sort(&top);
        assert_int_equal(top.n, n < 20 ? n : 20);
        for (int64_t k = 0; k < top.n; k++) {
            int64_t before = 0, at = items[k].index - 100;
            for (int64_t i = 0; i < n; i++) before += x[i] > x[at] || (x[i] >= x[at] && i < at);
            assert_int_equal(before, k);
            assert_true(fabsf(items[k].score - x[at] - 1) <= 0);
        }
    }
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_warpers), cmocka_unit_test(test_distribution), cmocka_unit_test(test_two_steps),
                                       cmocka_unit_test(test_beam_draws), cmocka_unit_test(test_seeds), cmocka_unit_test(test_scores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
