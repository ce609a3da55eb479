/* Weights that come without a config.json (a speaker encoder's checkpoint, a table of word vectors) are recognised by
 * `convert`, which writes one; the directory then gives the vectors of the reference. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "features/audio_processor.h"
#include "pipelines/sound.h"

#define ROOT SN_TEST_ROOT "/golden/pipelines/"
enum { RATE = 16000, WIDTH = 16 };

static void converted(const char *from, const char *to, sn_pipeline **p) {
    char *json;
    assert_ok(sn_weights_convert(from, to, "{\"overwrite\":true}", &json));
    assert_non_null(strstr(json, "config.json"));
    sn_string_free(json);
    assert_ok(sn_pipeline_open(to, "{\"precision\":\"f32\",\"threads\":2}", p));
}

static void compare(const json_t *want, const float *x, size_t n, size_t row) {
    assert_int_equal(json_array_size(want), n);
    for (size_t k = 0; k < n; k++) {
        double expected = json_number_value(json_array_get(want, k));
        if (!(fabs((double)x[k] - expected) <= 2e-5)) fail_msg("row %zu, number %zu: %g, not %g", row, k, (double)x[k], expected);
    }
}

static void speakers_equal_the_reference(void **state) {
    (void)state;
    char folder[64];
    sn_pipeline *p;
    json_t *root, *sound;
    size_t i, width;
    float x[WIDTH];
    (void)snprintf(folder, sizeof folder, "bare-speaker-%ld", (long)getpid());
    assert_ok(sn_json_read(ROOT "speaker.json", &root));
    converted(ROOT "speaker.pt", folder, &p);
    assert_ok(sn_pipeline_width(p, &width));
    assert_int_equal(width, WIDTH);
    json_array_foreach(json_object_get(root, "sounds"), i, sound) {
        size_t n = (size_t)json_integer_value(json_object_get(sound, "samples"));
        float *pcm = make_sound(n, json_integer_value(json_object_get(sound, "salt")), 64);
        sn_item item = {.pcm = pcm, .frames = n, .channels = 1, .rate_hz = RATE};
        assert_ok(sn_pipeline_embed(p, &item, 1, NULL, NULL, x));
        compare(json_object_get(sound, "vector"), x, width, i);
        free(pcm);
    }
    assert_int_equal(i, 4);
    char *text;
    sn_item words = {.text = "a", .bytes = 1};
    assert_fails(sn_pipeline_embed(p, &words, 1, NULL, NULL, x), SN_ERR_UNSUPPORTED, "texts cannot be embedded");
    assert_fails(sn_pipeline_answer(p, "transcribe", &words, NULL, &text), SN_ERR_UNSUPPORTED, "");
    sn_pipeline_free(p);
    json_decref(root);
    assert_ok(sn_remove_tree(folder));
}

static void word_vectors_equal_the_reference(void **state) {
    (void)state;
    char folder[64];
    sn_pipeline *p;
    json_t *root, *text;
    size_t i;
    float x[WIDTH];
    (void)snprintf(folder, sizeof folder, "bare-words-%ld", (long)getpid());
    assert_ok(sn_json_read(ROOT "word_vectors.json", &root));
    converted(ROOT "word_vectors", folder, &p);
    json_array_foreach(json_object_get(root, "texts"), i, text) {
        sn_item item = {.text = json_string_value(text), .bytes = json_string_length(text)};
        assert_ok(sn_pipeline_embed(p, &item, 1, NULL, NULL, x));
        compare(json_array_get(json_object_get(root, "vectors"), i), x, 8, i);
    }
    assert_true(i > 3);
    sn_pipeline_free(p);
    json_decref(root);
    assert_ok(sn_remove_tree(folder));
}

static void settings_of_speakers_are_checked(void **state) {
    (void)state;
    static const char *const wrong[] = {"{\"feature_extractor_type\":\"SpeakerFeatureExtractor\",\"step\":161}",
                                        "{\"feature_extractor_type\":\"SpeakerFeatureExtractor\",\"frames\":0}",
                                        "{\"feature_extractor_type\":\"SpeakerFeatureExtractor\",\"loudness\":3}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *config = json_loads(wrong[i], 0, NULL);
        sn_audio_processor p;
        assert_fails(sn_audio_processor_parse(config, "p.json", &p), SN_ERR_FORMAT, i ? "must be" : "\"step\"");
        json_decref(config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(speakers_equal_the_reference), cmocka_unit_test(word_vectors_equal_the_reference),
                                       cmocka_unit_test(settings_of_speakers_are_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
