/* hub names: found in the cache by their reference, or the download command is given. */
#include "folder.h"

#include "base/hub.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void put(const char *path, const char *text) {
    char *parent = sn_path_parent(path);
    assert_ok(sn_make_directory(parent));
    assert_ok(sn_file_write(path, text, strlen(text)));
    sn_free(parent);
}

static int set_up(void **state) {
    if (enter_folder(state)) return -1;
    put("home/hub/models--org--some-model_1.0/refs/main", COMMIT "\n");
    put("home/hub/models--org--some-model_1.0/refs/v2", "fedc");
    put("home/hub/models--org--some-model_1.0/snapshots/" COMMIT "/config.json", "{}");
    put("home/hub/models--org--some-model_1.0/snapshots/fedc/config.json", "{}");
    put("home/hub/models--plain/refs/main", COMMIT);
    put("home/hub/models--plain/snapshots/" COMMIT "/config.json", "{}");
    put("home/hub/models--org--gone/refs/main", COMMIT);
    put("home/hub/models--org--evil/refs/main", "../../x");
    put("other/models--a--b/refs/main", "c1");
    put("other/models--a--b/snapshots/c1/config.json", "{}");
    put("real/dir/config.json", "{}");
    (void)setenv("HF_HOME", "home", 1);
    (void)unsetenv("HF_HUB_CACHE");
    (void)unsetenv("HUGGINGFACE_HUB_CACHE");
    return 0;
}

static void finds(const char *name, const char *expected) {
    char *path;
    assert_ok(sn_hub_find(name, &path));
    assert_string_equal(path, expected);
    sn_free(path);
}

static void refuses(const char *name, sn_status code, const char *part) {
    char *path;
    assert_fails(sn_hub_find(name, &path), code, part);
    assert_null(path);
}

static void names_are_found(void **state) {
    (void)state;
    finds("real/dir", "real/dir");
    finds("org/some-model_1.0", "home/hub/models--org--some-model_1.0/snapshots/" COMMIT);
    finds("org/some-model_1.0@v2", "home/hub/models--org--some-model_1.0/snapshots/fedc");
    finds("org/some-model_1.0@" COMMIT, "home/hub/models--org--some-model_1.0/snapshots/" COMMIT);
    finds("plain", "home/hub/models--plain/snapshots/" COMMIT);
    (void)setenv("HF_HUB_CACHE", "other", 1);
    finds("a/b", "other/models--a--b/snapshots/c1");
    refuses("plain", SN_ERR_IO, "none in the Hugging Face cache other; download it with \"hf download plain\"");
    (void)unsetenv("HF_HUB_CACHE");
    (void)unsetenv("HF_HOME");
    (void)setenv("XDG_CACHE_HOME", "xdg", 1);
    refuses("plain", SN_ERR_IO, "cache xdg/huggingface/hub;");
    (void)unsetenv("XDG_CACHE_HOME");
    (void)setenv("HOME", "me", 1);
    refuses("plain", SN_ERR_IO, "cache me/.cache/huggingface/hub;");
}

static void what_is_not_there_is_said(void **state) {
    (void)state;
    refuses("nlpconnect/vit-gpt2", SN_ERR_IO, "nlpconnect/vit-gpt2: no such model or file here, and none in the Hugging Face cache home/hub; "
            "download it with \"hf download nlpconnect/vit-gpt2\"");
    refuses("org/some-model_1.0@v3", SN_ERR_IO, "\"hf download org/some-model_1.0 --revision v3\"");
    refuses("org/gone", SN_ERR_IO, "hf download org/gone");
    refuses("org/evil", SN_ERR_FORMAT, "names no commit");
    const char *const paths[] = {"a/b/c", "./model", "/model", "../model", "model/", "a//b", "a b", "", "org/..", "-rf", "org/x@../y", "a;b"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) refuses(paths[i], SN_ERR_IO, "there is no such model or file");
}

static void allocations_may_fail(void **state) {
    (void)state;
    sn_status status = SN_ERR_MEMORY;
    long n = 0;
    while (status != SN_OK && n++ < 100) {
        char *path;
        sn_alloc_fail_after(n);
        status = sn_hub_find("org/some-model_1.0", &path);
        sn_alloc_fail_after(0);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
        sn_free(path);
    }
    assert_true(status == SN_OK && n > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_found, set_up, leave_folder),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_said, set_up, leave_folder),
        cmocka_unit_test_setup_teardown(allocations_may_fail, set_up, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
