/* YAML configuration files: what becomes what, and what is refused. */
#include "test.h"

#include <unistd.h>

#include "base/json.h"

static sn_status parse(const char *text, json_t **out) { return sn_yaml_parse("c.yaml", text, strlen(text), out); }

static void assert_tree(const char *yaml, const char *expected) {
    json_t *j, *want;
    assert_ok(parse(yaml, &j));
    assert_ok(sn_json_parse("expected", expected, strlen(expected), &want));
    if (!json_equal(j, want)) {
        char *found = json_dumps(j, JSON_ENCODE_ANY);
        fail_msg("%s\ngives %s", yaml, found);
    }
    json_decref(j);
    json_decref(want);
}

#define assert_refused(yaml, part)                                                                          \
    do {                                                                                                    \
        json_t *refused_;                                                                                   \
        assert_fails(parse(yaml, &refused_), SN_ERR_FORMAT, part);                                          \
        assert_null(refused_);                                                                              \
    } while (0)

static void trees(void **state) {
    (void)state;
    assert_tree("input_features:\n  - name: image\n    type: image\n    encoder: {type: cnn, layers: [16, 32]}\n"
                "trainer:\n  epochs: 7\n  learning_rate: 1e-3\n  early_stop: ~\n",
                "{\"input_features\": [{\"name\": \"image\", \"type\": \"image\", \"encoder\": {\"type\": \"cnn\", \"layers\": [16, 32]}}],"
                " \"trainer\": {\"epochs\": 7, \"learning_rate\": 0.001, \"early_stop\": null}}");
    assert_tree("a: |\n  two\n  lines\nb: >\n  one\n  line\n", "{\"a\": \"two\\nlines\\n\", \"b\": \"one line\\n\"}");
    assert_tree("[]", "[]");
    assert_tree("- [a, [b]]\n- {}\n", "[[\"a\", [\"b\"]], {}]");
    assert_tree("{\"json\": [true, null, -1.5]}", "{\"json\": [true, null, -1.5]}");
    assert_tree("日本: 語\n", "{\"日本\": \"語\"}");
}

static void scalars(void **state) {
    (void)state;
    assert_tree("[true, False, TRUE, null, ~, 'true', \"1\", !!str 5]",
                "[true, false, true, null, null, \"true\", \"1\", \"5\"]");
    assert_tree("a:\nb: 1\n", "{\"a\": null, \"b\": 1}");
    assert_tree("[yes, no, on, OFF, y, n]", "[\"yes\", \"no\", \"on\", \"OFF\", \"y\", \"n\"]");
    assert_tree("[0, -5, +7, 9223372036854775807]", "[0, -5, 7, 9223372036854775807]");
    assert_tree("[1.5, -.5, 2., 1e-3, 3E5, +0.25, 1.5e+2]", "[1.5, -0.5, 2.0, 0.001, 300000.0, 0.25, 150.0]");
    assert_tree("[007, 0x10, 1_000, 1.2.3, 1e, ., -, a1, 12:30]",
                "[\"007\", \"0x10\", \"1_000\", \"1.2.3\", \"1e\", \".\", \"-\", \"a1\", \"12:30\"]");
}

static void refusals(void **state) {
    (void)state;
    assert_refused("a: 1\nb: &x 2\n", "c.yaml: line 2: anchors and aliases are not used here: \"x\"");
    assert_string_equal(sn_error_file(), "c.yaml");
    assert_refused("a: *x\n", "line 1: anchors and aliases are not used here: \"x\"");
    assert_refused("a: &l [1]\n", "anchors");
    assert_refused("a: &m {b: 1}\n", "anchors");
    assert_refused("a: 1\nb: 2\na: 3\n", "line 3: this key is there twice: \"a\"");
    assert_refused("a: {b: 1, b: 2}\n", "this key is there twice: \"b\"");
    assert_refused("? [a, b]\n: 1\n", "line 1: a key must be a text");
    assert_refused("? {a: b}\n: 1\n", "a key must be a text");
    assert_refused("{\"\": 1}\n", "a key without a name");
    assert_refused("a: !!int 5\n", "tags are not used here");
    assert_refused("a: !new:os.system [x]\n", "tags are not used here");
    assert_refused("a: \"x\\0y\"\n", "a NUL character");
    assert_refused("a: 1\n---\nb: 2\n", "line 2: a second document begins");
    assert_refused("", "the file is empty");
    assert_refused("# only a comment\n", "the file is empty");
    assert_refused("a: [1, 2\nb: 3\n", "c.yaml: line 2");
    assert_refused("a:\n\t- 1\n", "c.yaml: line 2");
    assert_refused("a: 'x\n", "c.yaml: line ");
    assert_refused("a: \xFF\n", "c.yaml: line 1");
    assert_refused("a: 99999999999999999999\n", "beyond 64 bits");
    assert_refused("a: 1e999\n", "beyond the range of a double");
    assert_refused("a: .inf\n", "expected a finite number");
}

static void depth_is_bounded(void **state) {
    (void)state;
    char deep[300] = "";
    json_t *j;
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    assert_ok(parse(deep, &j));
    json_decref(j);
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    assert_refused(deep, "more than 64 levels");
    memset(deep, '[', 299);
    assert_refused(deep, "more than 64 levels");
}

static sn_status read_some(void) {
    static const char text[] = "a: {b: [1.5, {c: x}]}\nd: 2\n";
    json_t *j;
    SN_TRY(sn_yaml_parse("c.yaml", text, sizeof text - 1, &j));
    json_decref(j);
    return SN_OK;
}

static void failing_allocations(void **state) {
    (void)state;
    for (long n = 1;; n++) {
        sn_alloc_fail_after(n);
        sn_status status = read_some();
        bool reached = sn_alloc_count() >= n;
        sn_alloc_fail_after(0);
        if (!reached) {
            assert_ok(status);
            assert_true(n > 4);
            return;
        }
        assert_int_equal(status, SN_ERR_MEMORY);
    }
}

static void files(void **state) {
    (void)state;
    char dir[] = "/tmp/sn-yaml-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = sn_path_join(dir, "c.yaml");
    json_t *j;
    assert_fails(sn_yaml_read(path, &j), SN_ERR_IO, "c.yaml: cannot open");
    assert_null(j);
    assert_ok(sn_file_write(path, "a: 1\n", 5));
    assert_ok(sn_yaml_read(path, &j));
    assert_int_equal(json_integer_value(json_object_get(j, "a")), 1);
    json_decref(j);
    sn_free(path);
    assert_ok(sn_remove_tree(dir));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees),            cmocka_unit_test(scalars), cmocka_unit_test(refusals),
        cmocka_unit_test(depth_is_bounded), cmocka_unit_test(files),   cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
