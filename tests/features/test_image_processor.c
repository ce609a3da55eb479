/* image processors: bits equal to Transformers', over synthetic pictures; settings that cannot be are named. */
#include "folder.h"

#include "features/image_processor.h"

static sn_image noise(const json_t *picture) {
    int width, height, seed;
    sn_image image;
    assert_int_equal(json_unpack((json_t *)(uintptr_t)picture, "[i,i,i]", &width, &height, &seed), 0);
    assert_ok(sn_image_make(width, height, 3, &image));
    uint32_t state = (uint32_t)seed;
    for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++) {
        state = state * 1664525u + 1013904223u;
        image.pixels[i] = (unsigned char)(state >> 24);
    }
    return image;
}

static void same_hash(const json_t *expected, const void *bytes, size_t size, const char *what, const char *config) {
    char text[32];
    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)sn_hash(bytes, size));
    if (strcmp(text, json_string_value(expected)) != 0) fail_msg("%s differ: %s", what, config);
}

enum { MOST = 4 };

static void run_case(const json_t *c) {
    json_t *list = json_object_get(c, "pictures");
    char *config = json_dumps(json_object_get(c, "config"), JSON_COMPACT);
    int n = (int)json_array_size(list);
    sn_image_processor p;
    sn_image made[MOST];
    sn_array values = {0}, mask = {0};
    bool masked = json_object_get(c, "mask") != NULL;
    assert_ok(sn_image_processor_parse(json_object_get(c, "config"), "p.json", NULL, &p));
    for (int i = 0; i < n; i++) {
        sn_image image = noise(json_array_get(list, (size_t)i));
        int height, width, fixed_height, fixed_width;
        assert_ok(sn_image_processor_pixels(&p, &image, &made[i]));
        (void)json_unpack(json_array_get(json_object_get(c, "sizes"), (size_t)i), "[i,i]", &height, &width);
        if (made[i].height != height || made[i].width != width) fail_msg("%d x %d instead of %d x %d: %s", made[i].height, made[i].width, height, width, config);
        if (!p.pad && sn_image_processor_size(&p, &fixed_height, &fixed_width)) assert_true(fixed_height == height && fixed_width == width);
        same_hash(json_array_get(json_object_get(c, "levels"), (size_t)i), made[i].pixels, (size_t)height * (size_t)width * 3, "levels", config);
        sn_image_free(&image);
    }
    assert_ok(sn_image_processor_batch(&p, made, n, &values, masked ? &mask : NULL));
    for (int d = 0; d < 4; d++)
        assert_int_equal(values.type.shape.dim[d], json_integer_value(json_array_get(json_object_get(c, "shape"), (size_t)d)));
    same_hash(json_object_get(c, "values"), values.data, (size_t)sn_shape_count(values.type.shape) * sizeof(float), "values", config);
    if (masked) same_hash(json_object_get(c, "mask"), mask.data, (size_t)sn_shape_count(mask.type.shape) * sizeof(int32_t), "masks", config);
    if (n == 1 && !p.pad) {
        assert_ok(sn_array_make(&mask, SN_F32, values.type.shape));
        sn_image_processor_values(&p, &made[0], mask.data);
        assert_memory_equal(mask.data, values.data, (size_t)sn_shape_count(values.type.shape) * sizeof(float));
    }
    sn_array_free(&values);
    sn_array_free(&mask);
    for (int i = 0; i < n; i++) sn_image_free(&made[i]);
    free(config);
}

static void pictures_equal_transformers(void **state) {
    (void)state;
    json_t *cases;
    assert_ok(sn_json_read(SN_TEST_ROOT "/golden/image_processors.json", &cases));
    assert_true(json_array_size(cases) > 70);
    for (size_t i = 0; i < json_array_size(cases); i++) run_case(json_array_get(cases, i));
    json_decref(cases);
}

/* ---- settings ---- */

static sn_status parse(const char *text, const char *model_type, sn_image_processor *p) {
    json_t *config;
    assert_ok(sn_json_parse("test", text, strlen(text), &config));
    sn_status status = sn_image_processor_parse(config, "p.json", model_type, p);
    json_decref(config);
    return status;
}

static void impossible_settings_are_named(void **state) {
    (void)state;
#define VIT "{\"image_processor_type\":\"ViTImageProcessor\","
    static const struct {
        const char *config;
        sn_status code;
        const char *part;
    } cases[] = {
        {"[]", SN_ERR_FORMAT, "p.json: expected an object"},
        {"{}", SN_ERR_FORMAT, "\"image_processor_type\" is missing"},
        {"{\"image_processor_type\":\"OtherImageProcessor\"}", SN_ERR_UNSUPPORTED, "\"OtherImageProcessor\""},
        {"{\"image_processor_type\":\"ImageProcessor\"}", SN_ERR_UNSUPPORTED, "\"ImageProcessor\""},
        {"{\"feature_extractor_type\":\"WhisperFeatureExtractor\"}", SN_ERR_UNSUPPORTED, "\"WhisperFeatureExtractor\""},
        {"{\"image_processor_type\":7}", SN_ERR_FORMAT, "expected a string"},
        {VIT "\"size\":0}", SN_ERR_FORMAT, "\"size\" must be a whole number from 1"},
        {VIT "\"size\":-5}", SN_ERR_FORMAT, "\"size\""},
        {VIT "\"size\":100000}", SN_ERR_FORMAT, "\"size\""},
        {VIT "\"size\":\"big\"}", SN_ERR_FORMAT, "\"size\""},
        {VIT "\"size\":[1,2,3]}", SN_ERR_FORMAT, "\"size\" must be a whole number, a pair"},
        {VIT "\"size\":{\"height\":3}}", SN_ERR_FORMAT, "\"size\" must be a whole number, a pair"},
        {VIT "\"size\":{\"longest_edge\":3}}", SN_ERR_FORMAT, "\"size\" must be a whole number, a pair"},
        {VIT "\"size\":{\"height\":3,\"width\":1e9}}", SN_ERR_FORMAT, "\"width\""},
        {VIT "\"do_center_crop\":true}", SN_ERR_FORMAT, "\"crop_size\" must have height and width"},
        {VIT "\"resample\":9}", SN_ERR_FORMAT, "\"resample\" must be 0 to 5, not 9"},
        {VIT "\"do_resize\":1}", SN_ERR_FORMAT, "\"do_resize\""},
        {VIT "\"image_mean\":[1,2]}", SN_ERR_FORMAT, "\"image_mean\" must be three numbers"},
        {VIT "\"image_std\":[1,0,1]}", SN_ERR_FORMAT, "\"image_std\" must not be 0"},
        {"{\"image_processor_type\":\"ConvNextImageProcessor\",\"crop_pct\":0}", SN_ERR_FORMAT, "\"crop_pct\""},
        {"{\"image_processor_type\":\"ViltImageProcessor\",\"size_divisor\":0}", SN_ERR_FORMAT, "\"size_divisor\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sn_image_processor p;
        assert_fails(parse(cases[i].config, NULL, &p), cases[i].code, cases[i].part);
        assert_string_equal(sn_error_file(), "p.json");
    }
    sn_image_processor p;
    assert_fails(parse("{}", "gpt2", &p), SN_ERR_UNSUPPORTED, "\"gpt2\"");
    assert_ok(parse("{}", "resnet", &p));
    assert_string_equal(sn_image_processor_type(&p), "ConvNext");
}

static void impossible_pictures_are_refused(void **state) {
    (void)state;
    sn_image_processor p;
    sn_image grey, out, wide, two[2];
    sn_array values = {0};
    assert_ok(parse("{\"image_processor_type\":\"CLIPImageProcessor\"}", NULL, &p));
    assert_ok(sn_image_make(4, 4, 1, &grey));
    assert_fails(sn_image_processor_pixels(&p, &grey, &out), SN_ERR_SHAPE, "expected an RGB picture");
    assert_ok(sn_image_make(60000, 1, 3, &wide)); /* 224 times as high, and as wide */
    assert_ok(parse("{\"image_processor_type\":\"CLIPImageProcessor\",\"size\":8000}", NULL, &p));
    assert_fails(sn_image_processor_pixels(&p, &wide, &out), SN_ERR_SHAPE, "would be resized to 480000000 x 8000");
    assert_ok(parse("{\"image_processor_type\":\"ViltImageProcessor\",\"size\":20}", NULL, &p));
    assert_fails(sn_image_processor_pixels(&p, &wide, &out), SN_ERR_SHAPE, "x 0");
    assert_ok(parse("{\"image_processor_type\":\"ConvNextImageProcessor\",\"size\":{\"height\":5,\"width\":5}}", NULL, &p));
    assert_fails(sn_image_processor_pixels(&p, &wide, &out), SN_ERR_FORMAT, "shortest_edge");
    assert_ok(parse("{\"image_processor_type\":\"ViTImageProcessor\",\"do_resize\":false}", NULL, &p));
    assert_ok(sn_image_make(4, 5, 3, &two[0]));
    assert_ok(sn_image_make(5, 4, 3, &two[1]));
    assert_fails(sn_image_processor_batch(&p, two, 2, &values, NULL), SN_ERR_SHAPE, "picture 2 is 5 x 4, the one before 4 x 5");
    assert_ok(parse("{\"image_processor_type\":\"ViTImageProcessor\",\"do_pad\":true,\"pad_size\":4}", NULL, &p));
    assert_fails(sn_image_processor_batch(&p, two, 2, &values, NULL), SN_ERR_SHAPE, "picture 1 of 4 x 5 does not fit into \"pad_size\" 4 x 4");
    sn_image_free(&grey);
    sn_image_free(&wide);
    sn_image_free(&two[0]);
    sn_image_free(&two[1]);
}

/* Where torchvision's crop begins, by how much larger the picture is (its padding where it is smaller). */
static void odd_margins_are_torchvisions(void **state) {
    (void)state;
    static const int starts[][2] = {{-3, -1}, {-2, -1}, {-1, 0}, {0, 0}, {1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 2}, {6, 3}, {7, 4}, {8, 4}, {9, 4}, {11, 6}};
    sn_image_processor p;
    assert_ok(parse("{\"image_processor_type\":\"TorchvisionImageProcessor\",\"do_resize\":false,\"crop_size\":6}", NULL, &p));
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        sn_image in, out;
        assert_ok(sn_image_make(6 + starts[i][0], 6, 3, &in));
        for (int y = 0; y < 6; y++)
            for (int x = 0; x < in.width; x++) memset(in.pixels + 3 * (y * in.width + x), 1 + x, 3);
        assert_ok(sn_image_processor_pixels(&p, &in, &out));
        for (int x = 0; x < 6; x++) {
            int from = x + starts[i][1];
            assert_int_equal(out.pixels[3 * x], from >= 0 && from < in.width ? 1 + from : 0);
        }
        sn_image_free(&in);
        sn_image_free(&out);
    }
}

/* ---- directories ---- */

static void files_are_found(void **state) {
    (void)state;
    sn_image_processor p;
    bool there;
    assert_ok(sn_image_processor_find(folder, NULL, &there, &p));
    assert_false(there);
    assert_fails(sn_image_processor_read(folder, NULL, &p), SN_ERR_IO, "holds no preprocessor_config.json");
    static const struct { const char *block, *why; } timm[] = {
        {"{\"input_size\":[3,32,40]}", "config.json: \"pretrained_cfg\": \"input_size\""},
        {"{}", "\"input_size\" must be"},
        {"{\"input_size\":[3,32,32],\"crop_mode\":\"border\"}", "\"crop_mode\": \"border\" is none of"},
        {"{\"input_size\":[3,32,32],\"interpolation\":\"lanczos\"}", "\"interpolation\": \"lanczos\" is none of"},
        {"{\"input_size\":[3,32,32],\"crop_pct\":0}", "\"crop_pct\" must be"},
        {"{\"input_size\":[3,32,32],\"mean\":[1]}", "\"image_mean\""},
        {"[]", "config.json"}};
    char text[200];
    for (size_t i = 0; i < sizeof timm / sizeof *timm; i++) {
        (void)snprintf(text, sizeof text, "{\"architecture\":\"vgg16\",\"pretrained_cfg\":%s}", timm[i].block);
        put_text("config.json", text);
        sn_status status = sn_image_processor_read(folder, NULL, &p);
        if (status == SN_OK || !strstr(sn_error_message(), timm[i].why)) fail_msg("%s: %s", timm[i].block, status == SN_OK ? "no error" : sn_error_message());
    }
    put_text("config.json", "{\"pretrained_cfg\":{\"input_size\":[3,28,28],\"crop_mode\":\"squash\"}}");
    assert_ok(sn_image_processor_find(folder, NULL, &there, &p));
    assert_true(there);
    assert_ok(sn_image_processor_read(folder, NULL, &p));
    assert_true(p.height == 32 && p.width == 32 && p.crop_height == 28 && p.crop_width == 28 && p.filter == SN_BICUBIC && p.mean[0] == 0.485f);
    put_text("preprocessor_config.json", "{\"image_processor_type\":\"ViTImageProcessor\",\"size\":50}");
    put_text("processor_config.json", "{\"processor_class\":\"X\"}"); /* nothing of pictures in it */
    assert_ok(sn_image_processor_read(folder, NULL, &p));
    assert_int_equal(p.height, 50);
    put_text("processor_config.json", "{\"image_processor\":{\"image_processor_type\":\"CLIPImageProcessor\",\"size\":60}}");
    assert_ok(sn_image_processor_read(folder, NULL, &p));
    assert_int_equal(p.height, 60);
    assert_string_equal(sn_image_processor_type(&p), "CLIP");
    put_text("processor_config.json", "{\"image_processor\":{\"image_processor_type\":\"CLIPImageProcessor\",\"size\":[]}}");
    assert_fails(sn_image_processor_read(folder, NULL, &p), SN_ERR_FORMAT, "processor_config.json: \"size\"");
}

static sn_status use_all(void) {
    sn_image_processor p;
    sn_image in = {0}, out = {0};
    sn_array values = {0}, mask = {0};
    SN_TRY(sn_image_processor_read(folder, NULL, &p));
    sn_status status = sn_image_make(40, 30, 3, &in);
    if (status == SN_OK) status = sn_image_processor_pixels(&p, &in, &out);
    if (status == SN_OK) status = sn_image_processor_batch(&p, &out, 1, &values, &mask);
    sn_image_free(&in);
    sn_image_free(&out);
    sn_array_free(&values);
    sn_array_free(&mask);
    return status;
}

static void allocations_may_fail(void **state) {
    (void)state;
    put_text("preprocessor_config.json", "{\"image_processor_type\":\"CLIPImageProcessor\",\"size\":20,\"crop_size\":18}");
    sn_status status = SN_ERR_MEMORY;
    long n = 0;
    while (status != SN_OK && n++ < 1000) {
        sn_alloc_fail_after(n);
        status = use_all();
        sn_alloc_fail_after(0);
        if (status != SN_OK) assert_int_equal(status, SN_ERR_MEMORY);
    }
    assert_true(status == SN_OK && n > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_equal_transformers),
        cmocka_unit_test(impossible_settings_are_named),
        cmocka_unit_test(impossible_pictures_are_refused),
        cmocka_unit_test(odd_margins_are_torchvisions),
        cmocka_unit_test_setup_teardown(files_are_found, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(allocations_may_fail, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
