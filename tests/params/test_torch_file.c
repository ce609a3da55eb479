/* torch files: both layouts against what torch itself flattened; hostile ones are refused by name; nothing runs. */
#include "folder.h"

#include "params/safetensors.h"
#include "params/torch_file.h"
#include "params/weights.h"

#define GOLDEN SN_TEST_ROOT "/golden/torch/"
#define SEEDS SN_TEST_ROOT "/../fuzz/corpus/torch_file/"

static sn_bytes bytes_of(const char *place, const char *name, const char *end) {
    char path[512];
    sn_bytes bytes;
    (void)snprintf(path, sizeof path, "%s%s%s", place, name, end);
    assert_ok(sn_file_read(path, 1 << 20, &bytes));
    return bytes;
}

/* ---- against torch ---- */

static void compare(const char *name, int least) {
    char path[512];
    sn_weights *found;
    sn_safetensors *expected;
    (void)snprintf(path, sizeof path, GOLDEN "%s.safetensors", name);
    assert_ok(sn_safetensors_open(path, &expected));
    (void)snprintf(path, sizeof path, GOLDEN "%s.bin", name);
    assert_ok(sn_weights_open(path, &found));
    assert_string_equal(sn_weights_format(found), "torch");
    assert_int_equal(sn_weights_count(found), sn_safetensors_count(expected));
    assert_true(sn_weights_count(found) >= least);
    for (int i = 0; i < sn_weights_count(found); i++) {
        const sn_tensor_view *a = sn_weights_at(found, i), *b = sn_safetensors_at(expected, i);
        assert_string_equal(a->name, b->name);
        if (a->type.dtype != b->type.dtype || !sn_shape_equal(a->type.shape, b->type.shape)) fail_msg("%s: type of %s", name, a->name);
        assert_int_equal(a->bytes, b->bytes);
        if (a->bytes && memcmp(a->data, b->data, a->bytes) != 0) fail_msg("%s: values of %s", name, a->name);
    }
    sn_weights_free(found);
    sn_safetensors_free(expected);
}

static void checkpoints_are_read(void **state) {
    (void)state;
    compare("model", 7);
    compare("kinds", 25);
    compare("kinds4", 25);
    compare("legacy", 25);
    compare("legacy_model", 7);
    compare("new", 4);
}

static void tied_weights_are_one(void **state) {
    (void)state;
    const char *const names[] = {"model", "legacy_model"};
    for (int i = 0; i < 2; i++) {
        sn_torch_file *file;
        sn_bytes bytes = bytes_of(GOLDEN, names[i], ".bin");
        assert_ok(sn_torch_parse("m.bin", bytes.data, bytes.size, &file));
        const sn_tensor_view *a = sn_views_find(sn_torch_views(file), "0.weight"), *b = sn_views_find(sn_torch_views(file), "2.weight");
        assert_true(a && b && a->data == b->data);
        assert_true((const unsigned char *)a->data > bytes.data && (const unsigned char *)a->data < bytes.data + bytes.size);
        sn_torch_free(file);
        sn_bytes_free(&bytes);
    }
    sn_torch_free(NULL);
}

/* ---- what is refused ---- */

static const struct refused {
    const char *seed;
    sn_status code;
    const char *part;
} refused[] = {
    {"evil", SN_ERR_UNSUPPORTED, "\"posix.system\""},
    {"legacy_evil", SN_ERR_UNSUPPORTED, "\"posix.system\""},
    {"module", SN_ERR_UNSUPPORTED, "\"torch.nn.modules.linear.Linear\""},
    {"wrong_type", SN_ERR_UNSUPPORTED, "\"torch.OtherStorage\""},
    {"not_called", SN_ERR_UNSUPPORTED, "a call of \"torch.FloatStorage\""},
    {"cut_short", SN_ERR_FORMAT, "without its end"},
    {"no_table", SN_ERR_FORMAT, "cut short"},
    {"legacy_cut", SN_ERR_FORMAT, "cut short"},
    {"legacy_cut_early", SN_ERR_FORMAT, "cut short"},
    {"magic", SN_ERR_FORMAT, "cut short"},
    {"empty", SN_ERR_FORMAT, "not a file that torch.save wrote"},
    {"no_pickle", SN_ERR_FORMAT, "without data.pkl"},
    {"script", SN_ERR_UNSUPPORTED, "TorchScript"},
    {"big_endian", SN_ERR_UNSUPPORTED, "big-endian"},
    {"compressed", SN_ERR_UNSUPPORTED, "zip member \"a/data.pkl\": it is compressed"},
    {"overlap", SN_ERR_FORMAT, "overlaps \"a/data/0\""},
    {"beyond", SN_ERR_FORMAT, "tensor \"w\": shape [5] from element 0 reaches beyond its storage of 4"},
    {"beyond_offset", SN_ERR_FORMAT, "tensor \"w\": shape [4] from element 1"},
    {"beyond_stride", SN_ERR_FORMAT, "tensor \"w\": shape [2, 2]"},
    {"negative_stride", SN_ERR_FORMAT, "tensor \"w\": a stride is not"},
    {"negative_size", SN_ERR_FORMAT, "tensor \"w\": a dimension is not"},
    {"negative_offset", SN_ERR_FORMAT, "tensor \"w\": its offset is not"},
    {"huge", SN_ERR_SHAPE, "tensor \"w\": a tensor of shape"},
    {"expanded", SN_ERR_UNSUPPORTED, "tensor \"w\": written out"},
    {"rank", SN_ERR_UNSUPPORTED, "tensor \"w\": rank 9"},
    {"short_storage", SN_ERR_FORMAT, "4 elements of F32 has 12 bytes"},
    {"no_storage", SN_ERR_FORMAT, "storage \"7\" is not in the file"},
    {"up", SN_ERR_FORMAT, "storage \"../data.pkl\" is not in the file"},
    {"twice", SN_ERR_FORMAT, "tensor \"w\" is there twice"},
    {"deep", SN_ERR_FORMAT, "nested deeper"},
    {"cycle", SN_ERR_FORMAT, "again and again"},
    {"bomb", SN_ERR_FORMAT, "names of tensors are longer"},
    {"copies", SN_ERR_FORMAT, "copied again and again"},
    {"memo", SN_ERR_FORMAT, "memo number 2147483647 is too large"},
    {"no_memo", SN_ERR_FORMAT, "memo number 7 was never set"},
    {"stack", SN_ERR_FORMAT, "a list that never began"},
    {"mark", SN_ERR_FORMAT, "a list that never began"},
    {"odd", SN_ERR_FORMAT, "a key and no value"},
    {"long", SN_ERR_FORMAT, "cut short"},
    {"text", SN_ERR_FORMAT, "cut short"},
    {"protocol0", SN_ERR_UNSUPPORTED, "not one that weights need"},
    {"proto9", SN_ERR_UNSUPPORTED, "pickle protocol 9"},
};

static void hostile_files_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        sn_torch_file *file;
        sn_bytes bytes = bytes_of(SEEDS, refused[i].seed, "");
        sn_status status = sn_torch_parse("m.bin", bytes.data, bytes.size, &file);
        if (status != refused[i].code || !strstr(sn_error_message(), refused[i].part) || strncmp(sn_error_message(), "m.bin: ", 7) != 0)
            fail_msg("%s: status %d, %s", refused[i].seed, (int)status, sn_error_message());
        assert_string_equal(sn_error_file(), "m.bin");
        assert_null(file);
        sn_bytes_free(&bytes);
    }
}

/* Every prefix of a good file is broken; a copy of exactly its size shows reads behind the end. */
static void prefixes_are_refused(void **state) {
    (void)state;
    const char *const names[] = {"good", "legacy"};
    for (int i = 0; i < 2; i++) {
        sn_bytes bytes = bytes_of(SEEDS, names[i], "");
        for (size_t size = 0; size < bytes.size; size += 1 + size / 64) {
            sn_torch_file *file;
            void *copy = malloc(size ? size : 1);
            memcpy(copy, bytes.data, size);
            assert_int_equal(sn_torch_parse("m.bin", copy, size, &file), SN_ERR_FORMAT);
            free(copy);
        }
        sn_bytes_free(&bytes);
    }
}

/* ---- directories ---- */

static void put(const char *name, const char *golden) {
    sn_bytes bytes = bytes_of(GOLDEN, golden, ".bin");
    assert_ok(sn_file_write(in_folder(name), bytes.data, bytes.size));
    sn_bytes_free(&bytes);
}

static void directories_are_opened(void **state) {
    (void)state;
    sn_weights *w;
    assert_fails(sn_weights_open(folder, &w), SN_ERR_IO, "holds no weights");
    put("pytorch_model.bin", "model");
    assert_ok(sn_weights_open(folder, &w));
    assert_string_equal(sn_weights_format(w), "torch");
    assert_string_equal(sn_weights_path(w), in_folder("pytorch_model.bin"));
    assert_int_equal(sn_weights_count(w), 8);
    assert_null(sn_weights_metadata(w, "format"));
    assert_null(sn_weights_find(w, "3.weight"));
    sn_weights_free(w);
    static const float x[2] = {1, 2};
    const sn_tensor_view t = {"a", {SN_SHAPE(2), SN_F32}, x, sizeof x};
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    assert_ok(sn_safetensors_write(in_folder("model.safetensors"), &t, 1, metadata)); /* comes first */
    json_decref(metadata);
    assert_ok(sn_weights_open(folder, &w));
    assert_string_equal(sn_weights_format(w), "safetensors");
    assert_string_equal(sn_weights_metadata(w, "format"), "pt");
    sn_weights_free(w);
}

static void shards_of_any_format_are_opened(void **state) {
    (void)state;
    sn_weights *w;
    static const float x[2] = {1, 2};
    const sn_tensor_view t = {"a", {SN_SHAPE(2), SN_F32}, x, sizeof x};
    put("one.bin", "new");
    assert_ok(sn_safetensors_write(in_folder("two.safetensors"), &t, 1, NULL));
    put_text("pytorch_model.bin.index.json", "{\"weight_map\":{\"f8\":\"one.bin\",\"u16\":\"one.bin\",\"buffer\":\"one.bin\",\"complex\":\"one.bin\",\"a\":\"two.safetensors\"}}");
    assert_ok(sn_weights_open(folder, &w));
    assert_int_equal(sn_weights_count(w), 5);
    assert_memory_equal(sn_weights_find(w, "a")->data, x, sizeof x);
    sn_weights_free(w);
    assert_int_equal(unlink(in_folder("one.bin")), 0);
    assert_fails(sn_weights_open(folder, &w), SN_ERR_IO, "one.bin: cannot open");
}

static void pointers_are_recognised(void **state) {
    (void)state;
    sn_weights *w;
    put_text("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
    assert_fails(sn_weights_open(folder, &w), SN_ERR_FORMAT, "model.safetensors: a Git LFS pointer");
    assert_true(sn_weights_is_name("model-00001-of-00002.safetensors") && sn_weights_is_name("pytorch_model.bin.index.json"));
    assert_false(sn_weights_is_name("config.json") || sn_weights_is_name("tokenizer.json"));
}

static void dtypes_are_converted(void **state) {
    (void)state;
    static const double wide[4] = {1.5, -1e6, 0.1, 3};
    static const int64_t ids[2] = {5, -6};
    const sn_tensor_view t[] = {{"w", {SN_SHAPE(2, 2), SN_F64}, wide, sizeof wide}, {"ids", {SN_SHAPE(2), SN_I64}, ids, sizeof ids}};
    const sn_dtype half[] = {SN_F16, SN_I64}, wrong[] = {SN_F16, SN_F16}, single[] = {SN_F32, SN_I64};
    int64_t overflows;
    sn_safetensors *file;
    assert_fails(sn_safetensors_write_as(in_folder("x"), t, wrong, 2, NULL, &overflows), SN_ERR_USAGE, "\"ids\": I64 cannot become F16");
    assert_ok(sn_safetensors_write_as(in_folder("x"), t, half, 2, NULL, &overflows));
    assert_int_equal(overflows, 1);
    assert_ok(sn_safetensors_open(in_folder("x"), &file));
    float got[4];
    assert_ok(sn_tensor_to_f32(sn_safetensors_find(file, "w"), got));
    assert_true(got[0] == 1.5f && got[1] < -1e30f && got[2] == sn_from_f16(sn_to_f16(0.1f)) && got[3] == 3.0f);
    assert_memory_equal(sn_safetensors_find(file, "ids")->data, ids, sizeof ids);
    sn_safetensors_free(file);
    assert_ok(sn_safetensors_write_as(in_folder("x"), t, single, 2, NULL, NULL));
    assert_ok(sn_safetensors_open(in_folder("x"), &file));
    const float expected[4] = {1.5f, -1e6f, 0.1f, 3};
    assert_memory_equal(sn_safetensors_find(file, "w")->data, expected, sizeof expected);
    sn_safetensors_free(file);
}

/* ---- memory ---- */

static void allocations_may_fail(void **state) {
    (void)state;
    const char *const names[] = {"kinds.bin", "legacy.bin"};
    put("kinds.bin", "kinds");
    put("legacy.bin", "legacy");
    for (int i = 0; i < 2; i++) {
        sn_status status = SN_ERR_MEMORY;
        long n = 0;
        while (status != SN_OK && n++ < 10000) {
            sn_weights *w;
            sn_alloc_fail_after(n);
            status = sn_weights_open(in_folder(names[i]), &w);
            sn_alloc_fail_after(0);
            if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
            sn_weights_free(w);
        }
        assert_true(status == SN_OK && n > 15);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_are_read),
        cmocka_unit_test(tied_weights_are_one),
        cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(prefixes_are_refused),
        cmocka_unit_test_setup_teardown(directories_are_opened, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(shards_of_any_format_are_opened, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(pointers_are_recognised, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(dtypes_are_converted, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(allocations_may_fail, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
