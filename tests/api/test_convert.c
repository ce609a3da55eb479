/* convert: from a C program; every allocation may fail, and then nothing is left behind. */
#include "folder.h"

#include <dirent.h>

#include "base/json.h"
#include "params/safetensors.h"

#define GOLDEN SN_TEST_ROOT "/golden/torch/"

static int set_up(void **state) {
    if (enter_folder(state)) return -1;
    sn_bytes bytes;
    const char config[] = "{\"model_type\": \"x\", \"dtype\": \"float32\"}";
    if (sn_make_directory("in") != SN_OK || sn_file_read(GOLDEN "kinds.bin", 1 << 20, &bytes) != SN_OK) return -1;
    sn_status status = sn_file_write("in/pytorch_model.bin", bytes.data, bytes.size);
    sn_bytes_free(&bytes);
    return status == SN_OK && sn_file_write("in/config.json", config, sizeof config - 1) == SN_OK ? 0 : -1;
}

static void numbers_stay_or_are_rounded(void **state) {
    (void)state;
    sn_safetensors *made, *expected;
    assert_ok(sn_weights_convert("in", "same", NULL, NULL));
    assert_ok(sn_safetensors_open(GOLDEN "kinds.safetensors", &expected));
    assert_ok(sn_safetensors_open("same/model.safetensors", &made));
    assert_int_equal(sn_safetensors_count(made), sn_safetensors_count(expected));
    for (int i = 0; i < sn_safetensors_count(made); i++) {
        const sn_tensor_view *a = sn_safetensors_at(made, i), *b = sn_safetensors_at(expected, i);
        assert_string_equal(a->name, b->name);
        assert_true(a->type.dtype == b->type.dtype && a->bytes == b->bytes);
        if (a->bytes) assert_memory_equal(a->data, b->data, a->bytes);
    }
    sn_safetensors_free(made);
    assert_ok(sn_weights_convert("in/pytorch_model.bin", "half", "{\"dtype\":\"f16\"}", NULL));
    assert_ok(sn_safetensors_open("half/model.safetensors", &made));
    for (int i = 0; i < sn_safetensors_count(made); i++) {
        const sn_tensor_view *a = sn_safetensors_at(made, i), *b = sn_safetensors_at(expected, i);
        float x[64], y[64];
        assert_int_equal(a->type.dtype, sn_dtype_is_float(b->type.dtype) ? SN_F16 : b->type.dtype);
        if (!sn_dtype_is_float(b->type.dtype)) continue;
        assert_ok(sn_tensor_to_f32(a, x));
        assert_ok(sn_tensor_to_f32(b, y));
        for (size_t k = 0; k < a->bytes / 2; k++) assert_true(x[k] == sn_from_f16(sn_to_f16(y[k])));
    }
    sn_safetensors_free(made);
    sn_safetensors_free(expected);
    assert_fails(sn_weights_convert("in", "x", "{\"dtype\":\"f64\"}", NULL), SN_ERR_USAGE, "f32, f16 or bf16, not \"f64\"");
    assert_fails(sn_weights_convert("in", "x", "{\"dtypes\":1}", NULL), SN_ERR_USAGE, "did you mean \"dtype\"");
    assert_fails(sn_weights_convert("in", "same", NULL, NULL), SN_ERR_USAGE, "exists already");
    assert_ok(sn_weights_convert("in", "same", "{\"overwrite\":true}", NULL));
    assert_false(sn_file_exists("x"));
}

/* sentence-transformers' modules travel too, with the weights of their own; adapters keep both of their files. */
static void companions_travel(void **state) {
    (void)state;
    static const char *const with[] = {"1_Pooling/config.json", "2_Dense/model.safetensors", "LICENSE", "README.md", "adapter_config.json",
                                       "adapter_model.safetensors", "config.json", "tokenizer.json"};
    static const char *const without[] = {".hidden.json", "flax_model.msgpack", "model.safetensors.index.json", "onnx/config.json", "extra.bin"};
    enum { WITH = sizeof with / sizeof *with, WITHOUT = sizeof without / sizeof *without };
    char *json;
    for (int i = 0; i < WITH + WITHOUT; i++) {
        const char *name = i < WITH ? with[i] : without[i - WITH];
        char *path = sn_path_join("whole", name), *parent = sn_path_parent(path);
        assert_ok(sn_make_directory(parent));
        assert_ok(sn_file_write(path, "{}", 2));
        sn_free(parent);
        sn_free(path);
    }
    sn_bytes bytes;
    assert_ok(sn_file_read(GOLDEN "kinds.safetensors", 1 << 20, &bytes));
    assert_ok(sn_file_write("whole/model.safetensors", bytes.data, bytes.size));
    sn_bytes_free(&bytes);
    assert_ok(sn_weights_convert("whole", "copy", NULL, &json));
    json_t *root = json_loads(json, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "files")), WITH);
    for (int i = 0; i < WITH; i++) assert_string_equal(json_string_value(json_array_get(json_object_get(root, "files"), (size_t)i)), with[i]);
    for (int i = 0; i < WITH + WITHOUT; i++) {
        char *path;
        assert_ok(sn_file_find("copy", i < WITH ? with[i] : without[i - WITH], &path));
        assert_true((path != NULL) == (i < WITH));
        sn_free(path);
    }
    json_decref(root);
    sn_string_free(json);
}

static int entries(void) {
    DIR *dir = opendir(".");
    int n = 0;
    while (readdir(dir)) n++;
    (void)closedir(dir);
    return n;
}

static void allocations_may_fail(void **state) {
    (void)state;
    int before = entries();
    sn_status status = SN_ERR_MEMORY;
    bool done = false;
    long n = 0;
    while (!done && n++ < 10000) {
        char *json;
        sn_alloc_fail_after(n);
        status = sn_weights_convert("in", "out", "{\"dtype\":\"bf16\"}", &json);
        done = sn_alloc_count() < n;
        sn_alloc_fail_after(0);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
        assert_true((json != NULL) == (status == SN_OK));
        sn_string_free(json);
        assert_ok(sn_remove_tree("out"));
    }
    assert_ok(status);
    assert_true(n > 50);
    assert_int_equal(entries(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_stay_or_are_rounded, set_up, leave_folder),
        cmocka_unit_test_setup_teardown(companions_travel, set_up, leave_folder),
        cmocka_unit_test_setup_teardown(allocations_may_fail, set_up, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
