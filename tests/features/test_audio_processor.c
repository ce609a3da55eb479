/* audio processors: chunks equal Transformers' Whisper to 1e-4; settings that cannot be are named. */
#include "folder.h"

#include <math.h>

#include "features/audio_processor.h"
#include "params/safetensors.h"

static sn_status parse(const char *text, sn_audio_processor *p) {
    json_t *config;
    assert_ok(sn_json_parse("test", text, strlen(text), &config));
    sn_status status = sn_audio_processor_parse(config, "p.json", p);
    json_decref(config);
    return status;
}

static const sn_tensor_view *tensor(const sn_safetensors *file, const char *name, const char *end) {
    char full[64];
    (void)snprintf(full, sizeof full, "%s%s", name, end);
    const sn_tensor_view *t = sn_safetensors_find(file, full);
    assert_non_null(t);
    return t;
}

static void compare(const sn_safetensors *file, const char *name, const char *config) {
    sn_audio_processor p;
    sn_mel *mel;
    assert_ok(parse(config, &p));
    const sn_tensor_view *pcm = tensor(file, name, ".pcm"), *expected = tensor(file, name, ".mel");
    assert_int_equal(p.frames, expected->type.shape.dim[0]);
    assert_int_equal(p.mel.mels, expected->type.shape.dim[1]);
    size_t n = expected->bytes / sizeof(float);
    int64_t heard = pcm->type.shape.dim[0];
    float *samples = malloc((size_t)heard * sizeof(float)), *found = malloc(expected->bytes), *wanted = malloc(expected->bytes);
    assert_ok(sn_tensor_to_f32(pcm, samples));
    assert_ok(sn_tensor_to_f32(expected, wanted));
    assert_ok(sn_mel_create(&p.mel, &mel));
    assert_int_equal(sn_mel_frames(mel, p.samples), p.frames);
    assert_ok(sn_audio_processor_compute(&p, mel, samples, heard, found));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(found[i] - wanted[i]) <= 1e-4f)) fail_msg("%s, value %zu: %g instead of %g", name, i, (double)found[i], (double)wanted[i]);
    sn_mel_free(mel);
    free(samples);
    free(found);
    free(wanted);
}

static void chunks_equal_transformers(void **state) {
    (void)state;
    sn_safetensors *file;
    assert_ok(sn_safetensors_open(SN_TEST_ROOT "/golden/audio_processor.safetensors", &file));
    compare(file, "short", "{\"feature_extractor_type\":\"WhisperFeatureExtractor\",\"feature_size\":20,\"chunk_length\":1}");
    compare(file, "long", "{\"feature_size\":12,\"chunk_length\":1,\"hop_length\":320}");
    compare(file, "rate", "{\"feature_size\":10,\"chunk_length\":1,\"sampling_rate\":20000,\"n_fft\":512,\"hop_length\":400}");
    sn_safetensors_free(file);
}

static void settings_are_read(void **state) {
    (void)state;
    sn_audio_processor p;
    assert_ok(parse("{}", &p));
    assert_true(p.mel.rate == 16000 && p.mel.mels == 80 && p.mel.hop == 160 && p.mel.n_fft == 400 && p.samples == 480000 && p.frames == 3000);
    assert_fails(parse("[]", &p), SN_ERR_FORMAT, "p.json: expected an object");
    assert_fails(parse("{\"feature_size\":0}", &p), SN_ERR_FORMAT, "\"feature_size\" must be 1 to 1024, not 0");
    assert_fails(parse("{\"chunk_length\":1e3}", &p), SN_ERR_FORMAT, "\"chunk_length\"");
    assert_fails(parse("{\"hop_length\":500000}", &p), SN_ERR_FORMAT, "longer than a chunk");
    assert_fails(parse("{\"dither\":0.1}", &p), SN_ERR_UNSUPPORTED, "\"dither\"");
    assert_fails(parse("{\"feature_extractor_type\":\"ASTFeatureExtractor\"}", &p), SN_ERR_UNSUPPORTED, "\"ASTFeatureExtractor\"");
}

static void files_are_found(void **state) {
    (void)state;
    sn_audio_processor p;
    assert_fails(sn_audio_processor_read(folder, &p), SN_ERR_IO, "holds no preprocessor_config.json");
    put_text("preprocessor_config.json", "{\"feature_size\":128}");
    assert_ok(sn_audio_processor_read(folder, &p));
    assert_int_equal(p.mel.mels, 128);
    put_text("processor_config.json", "{\"feature_extractor\":{\"feature_size\":64}}");
    assert_ok(sn_audio_processor_read(folder, &p));
    assert_int_equal(p.mel.mels, 64);
    sn_status status = SN_ERR_MEMORY;
    for (long n = 1; status != SN_OK && n < 100; n++) {
        sn_alloc_fail_after(n);
        status = sn_audio_processor_read(folder, &p);
        sn_alloc_fail_after(0);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
    }
    assert_ok(status);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_equal_transformers),
        cmocka_unit_test(settings_are_read),
        cmocka_unit_test_setup_teardown(files_are_found, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
