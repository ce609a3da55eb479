/* Published encoders that do not fit: every one is refused with a sentence that names what is wrong; and the n-th
 * allocation of a training with one fails. */
#include "base/file.h"
#include "base/memory.h"
#include "params/safetensors.h"
#include "params/weights.h"
#include "transfer_world.h"

static void refused(const place *p, const setup *s, sn_status code, const char *part) {
    sn_trainer *t = NULL;
    assert_fails(place_trainer(p, s, &t), code, part);
    assert_null(t);
}

static void write_text(const char *directory, const char *file, const char *text) {
    char *path = sn_path_join(directory, file);
    assert_ok(sn_file_write(path, text, strlen(text)));
    sn_free(path);
}

/* config.json of a copy with a member set to JSON `value` (NULL: removed). */
static void set_member(const char *directory, const char *file, const char *key, const char *value) {
    char *path = sn_path_join(directory, file);
    json_t *config;
    assert_ok(sn_json_read(path, &config));
    if (value) assert_int_equal(json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    else assert_int_equal(json_object_del(config, key), 0);
    assert_ok(sn_json_write(path, config));
    json_decref(config);
    sn_free(path);
}

static void test_names(void **state) {
    const place *p = *state;
    refused(p, &(setup){.encoder = "/no/such/place", .column = "text"}, SN_ERR_IO, "there is no such model");
    const setup wrong = {.encoder = "bert", .column = "image"};
    refused(p, &wrong, SN_ERR_USAGE, "a model of type bert does not take pictures");
    refused(p, &(setup){.encoder = "vit", .column = "text"}, SN_ERR_USAGE, "a model of type vit does not take texts");
    refused(p, &(setup){.encoder = "whisper", .column = "image"}, SN_ERR_USAGE, "a model of type whisper does not take pictures");
    sn_trainer *t;
    const char *config = "{\"targets\": [\"label\"], \"inputs\": [\"text\"], \"types\": {\"text\": \"text\"}, \"text_encoder\": \"grus\"}";
    assert_fails(sn_trainer_create(p->table, NULL, config, &t), SN_ERR_USAGE, "unknown text encoder \"grus\"");
    config = "{\"targets\": [\"label\"], \"inputs\": [\"text\"], \"types\": {\"text\": \"text\"}, \"text_encoder\": \"nobody/nothing\"}";
    assert_fails(sn_trainer_create(p->table, NULL, config, &t), SN_ERR_IO, "hf download nobody/nothing");
}

static void test_settings(void **state) {
    static const struct { const char *more; sn_status code; const char *says; } all[] = {
        {"\"tune\": \"some\"", SN_ERR_USAGE, "none of frozen, full, lora"},
        {"\"tune\": \"lora\", \"lora_rank\": 0", SN_ERR_USAGE, "\"lora_rank\" must be 1 to"},
        {"\"tune\": \"lora\", \"lora_targets\": [\"nothing\"]", SN_ERR_USAGE, "no layer of the encoder has a name of \"lora_targets\""},
        {"\"tune\": \"lora\", \"lora_targets\": [1]", SN_ERR_USAGE, "entry 1 is not a name"},
        {"\"layer_decay\": 1.5", SN_ERR_USAGE, "\"layer_decay\" must be"},
        {"\"unfreeze\": -1", SN_ERR_USAGE, "\"unfreeze\" must be"},
        {"\"pooling\": \"best\"", SN_ERR_USAGE, "pooling \"best\" is not known; known are cls"},
        {"\"pooling\": \"weightedmean\"", SN_ERR_UNSUPPORTED, "\"weightedmean\" is not possible in training"},
        {"\"widht\": 3", SN_ERR_USAGE, "widht"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        refused(*state, &(setup){.encoder = "bert", .column = "text", .more = all[i].more}, all[i].code, all[i].says);
    const setup resnet = {.encoder = "resnet", .column = "image", .more = "\"tune\": \"lora\""};
    refused(*state, &resnet, SN_ERR_USAGE, "no layer of the encoder");
    const setup length = {.encoder = "bert", .column = "text",
                          .top = "\"input_features\": [{\"name\": \"text\", \"preprocessing\": {\"max_length\": 65}}]"};
    refused(*state, &length, SN_ERR_USAGE, "reads up to 64 tokens");
}

static void test_broken_directories(void **state) {
    const place *p = *state;
    static const struct { const char *file, *key, *value; sn_status code; const char *says; } all[] = {
        {"config.json", "model_type", "\"bard\"", SN_ERR_UNSUPPORTED, "\"bard\""},
        {"config.json", "model_type", NULL, SN_ERR_FORMAT, "no \"model_type\""},
        {"config.json", "num_hidden_layers", "3", SN_ERR_SHAPE, "encoder.layer.2.attention"},
        {"config.json", "num_hidden_layers", "1", SN_ERR_SHAPE, "is not used by this model"},
        {"config.json", "hidden_size", "32", SN_ERR_SHAPE, "expected shape"},
        {"config.json", "hidden_act", "\"bent\"", SN_ERR_UNSUPPORTED, "\"bent\""},
        {"tokenizer.json", "model", "{\"type\": \"Magic\"}", SN_ERR_UNSUPPORTED, "Magic"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *copy = fixture_copy(p, "bert");
        set_member(copy, all[i].file, all[i].key, all[i].value);
        sn_trainer *t = NULL;
        sn_status status = place_trainer(p, &(setup){.encoder = copy, .column = "text"}, &t);
        if (status == SN_OK || !strstr(sn_error_message(), all[i].says))
            fail_msg("%s %s: %s: %s", all[i].key, all[i].value ? all[i].value : "(gone)", sn_status_name(status), sn_error_message());
        free(copy);
    }
    static const struct { const char *model, *column, *file, *says; } gone[] = {
        {"bert", "text", "tokenizer.json", "tokenizer.json"}, {"bert", "text", "config.json", "holds no config.json"},
        {"bert", "text", "model.safetensors", "model.safetensors"}, {"vit", "image", "preprocessor_config.json", "preprocessor_config.json"},
        {"whisper", "audio", "preprocessor_config.json", "preprocessor_config.json"}};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        char *copy = fixture_copy(p, gone[i].model), *file = sn_path_join(copy, gone[i].file);
        assert_ok(sn_remove_tree(file));
        sn_trainer *t = NULL;
        if (place_trainer(p, &(setup){.encoder = copy, .column = gone[i].column}, &t) == SN_OK || !strstr(sn_error_message(), gone[i].says))
            fail_msg("%s without %s: %s", gone[i].model, gone[i].file, sn_error_message());
        sn_free(file);
        free(copy);
    }
    char *copy = fixture_copy(p, "vit");
    set_member(copy, "preprocessor_config.json", "size", "{\"height\": 20, \"width\": 20}"); /* the network wants 16 */
    refused(p, &(setup){.encoder = copy, .column = "image"}, SN_ERR_USAGE, "16");
    free(copy);
}

static void test_broken_adapters(void **state) {
    const place *p = *state;
    static float numbers[3 * 16 + 16 * 3];
    static const char *const config = "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 3, \"target_modules\": [\"query\"]}";
    static const struct { const char *config, *a, *b; int64_t rank_b; const char *says; } all[] = {
        {"{\"peft_type\": \"LOHA\"}", "query.lora_A.weight", "query.lora_B.weight", 3, "LOHA"},
        {"{\"use_dora\": true}", "query.lora_A.weight", "query.lora_B.weight", 3, "use_dora"},
        {"{\"bias\": \"all\"}", "query.lora_A.weight", "query.lora_B.weight", 3, "\"bias\""},
        {"{\"r\": 3, \"lora_alpha\": 3, \"modules_to_save\": [\"pooler\"]}", "query.lora_A.weight", "query.lora_B.weight", 3, "(\"modules_to_save\") are not supported in training"},
        {"[1]", "query.lora_A.weight", "query.lora_B.weight", 3, "expected an object"},
        {NULL, "query.lora_A.weight", "query.lora_C.weight", 3, "query.lora_B.weight\" is missing"},
        {NULL, "query.lora_A.weight", "key.lora_B.weight", 3, "key.lora_A.weight\" is missing"},
        {"{\"r\": 2, \"target_modules\": [\"query\"]}", "query.lora_A.weight", "query.lora_B.weight", 3, "expected 2 rows, as \"r\" says; found 3"},
        {"{\"r\": 3, \"lora_alpha\": 1e300}", "query.lora_A.weight", "query.lora_B.weight", 3, "\"lora_alpha\": 1e+300 is out of range"},
        {NULL, "quarry.lora_A.weight", "quarry.lora_B.weight", 3, "the model has no"},
        {NULL, "query.lora_A.weight", "query.lora_B.weight", 2, "do not make its shape"},
        {NULL, "query.lora_embedding_A", "query.lora_embedding_B", 3, "belongs to no adapter"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *copy = fixture_copy(p, "bert"), *file = sn_path_join(copy, "adapter_model.safetensors"), a[160], b[160];
        (void)snprintf(a, sizeof a, "base_model.model.encoder.layer.0.attention.self.%s", all[i].a);
        (void)snprintf(b, sizeof b, "base_model.model.encoder.layer.0.attention.self.%s", all[i].b);
        const sn_tensor_view views[] = {{a, {SN_SHAPE(3, 16), SN_F32}, numbers, 3 * 16 * sizeof(float)},
                                        {b, {SN_SHAPE(16, all[i].rank_b), SN_F32}, numbers, (size_t)all[i].rank_b * 16 * sizeof(float)}};
        assert_ok(sn_safetensors_write(file, views, 2, NULL));
        write_text(copy, "adapter_config.json", all[i].config ? all[i].config : config);
        sn_trainer *t = NULL;
        if (place_trainer(p, &(setup){.encoder = copy, .column = "text"}, &t) == SN_OK || !strstr(sn_error_message(), all[i].says))
            fail_msg("%s %s: %s", a, b, sn_error_message());
        sn_free(file);
        free(copy);
    }
}

/* A saved model whose own config lies about its encoder. */
static void test_broken_models(void **state) {
    const place *p = *state;
    const setup s = {.encoder = "bert", .column = "text", .output = "good"};
    static const char *const places[] = {"\"../good/encoders/text\"", "\"/etc\"", "\"encoders/../..\"", "\"encoders/..\"", "\"\"", "\"encoders/none\"", "7"};
    char *good = place_path(p, "good", NULL), *config = place_path(p, "good", "config.json");
    sn_trainer *t;
    sn_model *m;
    sn_bytes kept;
    assert_ok(place_trainer(p, &s, &t));
    assert_ok(sn_trainer_run(t, NULL, NULL));
    sn_trainer_free(t);
    assert_ok(sn_model_load(good, NULL, &m));
    sn_model_free(m);
    assert_ok(sn_file_read(config, 1 << 20, &kept));
    for (int k = 0; k < 4; k++)
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            json_t *tree;
            assert_ok(sn_json_read(config, &tree));
            json_t *item = json_array_get(json_object_get(tree, "input_features"), 0);
            if (k != 1) (void)json_object_set_new(json_object_get(item, "encoder"), "directory", json_loads(places[i], JSON_DECODE_ANY, NULL));
            if (k != 0) (void)json_object_set_new(json_object_get(item, "preprocessing"), "processor", json_loads(places[i], JSON_DECODE_ANY, NULL));
            if (k == 3) (void)json_object_set_new(item, "encoder", json_pack("{s:s}", "type", "gru"));
            assert_ok(sn_json_write(config, tree));
            json_decref(tree);
            assert_int_not_equal(sn_model_load(good, NULL, &m), SN_OK);
            assert_null(m);
            assert_ok(sn_file_write(config, kept.data, kept.size));
        }
    char *encoders = place_path(p, "good", "encoders");
    assert_ok(sn_remove_tree(encoders));
    assert_fails(sn_model_load(good, NULL, &m), SN_ERR_IO, "encoders/text");
    sn_bytes_free(&kept);
    free(encoders);
    free(config);
    free(good);
}

/* ---- memory ---- */

static sn_status whole_run(const place *p, const setup *s) {
    sn_trainer *t;
    SN_TRY(place_trainer(p, s, &t));
    sn_status status = sn_trainer_run(t, NULL, NULL);
    sn_trainer_free(t);
    return status;
}

static void test_allocations(void **state) {
    const place *p = *state;
    static const setup all[] = {{.encoder = "bert", .column = "text", .output = "memory", .epochs = 1, .more = "\"tune\": \"lora\""},
                                {.encoder = "vit", .column = "image", .output = "memory", .epochs = 1},
                                {.encoder = "whisper", .column = "audio", .output = "memory", .epochs = 1, .more = "\"tune\": \"full\""}};
    enum { SAMPLE = 150 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sn_alloc_fail_after(0);
        assert_ok(whole_run(p, &all[i]));
        long total = sn_alloc_count(), stride = total / SAMPLE + 1;
        for (long n = 1 + (long)i; n <= total; n += stride) {
            sn_alloc_fail_after(n);
            sn_status status = whole_run(p, &all[i]);
            sn_alloc_fail_after(0);
            if (status != SN_ERR_MEMORY && status != SN_OK) fail_msg("allocation %ld: %s: %s", n, sn_status_name(status), sn_error_message());
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),           cmocka_unit_test(test_settings),
                                       cmocka_unit_test(test_broken_directories), cmocka_unit_test(test_broken_adapters),
                                       cmocka_unit_test(test_broken_models),   cmocka_unit_test(test_allocations)};
    return cmocka_run_group_tests(tests, place_begin, place_end);
}
