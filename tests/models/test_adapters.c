/* Adapters in a directory of their own, as PEFT writes them: the model that they name, the weights that they change, the
 * head that they bring, and the names that modules have there. */
#include "folder.h"

#include <math.h>
#include <stdlib.h>

#include "base/hub.h"
#include "models/adapters.h"
#include "models/pretrained.h"
#include "params/safetensors.h"

enum { RANK = 2, SIDE = 16, CLASSES = 3, WORDS = 40 };
static const sn_pretrained_options plain = {.threads = 1, .precision = "f32"};
static float first[RANK * SIDE], second[SIDE * RANK], head[CLASSES * SIDE], shift[CLASSES], table[WORDS * SIDE];

static void fill_numbers(void) {
    for (int i = 0; i < RANK * SIDE; i++) first[i] = sinf((float)i), second[i] = cosf(3 * (float)i);
    for (int i = 0; i < CLASSES * SIDE; i++) head[i] = (float)i / 7;
    for (int i = 0; i < CLASSES; i++) shift[i] = -(float)i;
    for (int i = 0; i < WORDS * SIDE; i++) table[i] = (float)(i % 31) / 9;
}

static const char *page(const char *name) {
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/golden/pages/%s", SN_TEST_ROOT, name);
    return path;
}

typedef enum whole { ADAPTER, HEAD, TWO_LAYERS, TABLE } whole; /* what comes with it: a classifier, one more layer before it, or words */

/* An adapter of the module and what comes with it, into the folder "lora". */
static void write_adapter(const char *module, const char *config, whole with) {
    char a[200], b[200];
    (void)snprintf(a, sizeof a, "base_model.model.%s.lora_A.weight", module);
    (void)snprintf(b, sizeof b, "base_model.model.%s.lora_B.weight", module);
    const sn_tensor_view views[] = {{a, {SN_SHAPE(RANK, SIDE), SN_F32}, first, sizeof first}, {b, {SN_SHAPE(SIDE, RANK), SN_F32}, second, sizeof second},
                                    {"base_model.model.classifier.weight", {SN_SHAPE(CLASSES, SIDE), SN_F32}, head, sizeof head},
                                    {"base_model.model.classifier.bias", {SN_SHAPE(CLASSES), SN_F32}, shift, sizeof shift},
                                    {"base_model.model.pre_classifier.weight", {SN_SHAPE(SIDE, SIDE), SN_F32}, table, SIDE * SIDE * sizeof(float)},
                                    {"base_model.model.pre_classifier.bias", {SN_SHAPE(SIDE), SN_F32}, table, SIDE * sizeof(float)},
                                    {"base_model.model.transformer.wte.weight", {SN_SHAPE(WORDS, SIDE), SN_F32}, table, sizeof table}};
    sn_tensor_view words[] = {views[0], views[1], views[6]};
    static const int counts[] = {[ADAPTER] = 2, [HEAD] = 4, [TWO_LAYERS] = 6, [TABLE] = 3};
    fill_numbers();
    assert_ok(sn_make_directory(in_folder("lora")));
    assert_ok(sn_safetensors_write(in_folder("lora/adapter_model.safetensors"), with == TABLE ? words : views, counts[with], NULL));
    put_text("lora/adapter_config.json", config);
}

static sn_status open_adapted(const char *name, sn_pretrained **m) {
    sn_pretrained_options o = plain;
    o.adapters = in_folder("lora");
    sn_error_clear();
    return sn_pretrained_open(page(name), &o, m);
}

static const float *numbers(const sn_pretrained *m, const char *name) {
    sn_params *p = sn_pretrained_params(m);
    int i = sn_params_find(p, name);
    if (i < 0) fail_msg("there is no %s", name);
    return sn_params_data(p, i);
}

/* Is `weight` what it was and twice B A, and `other` what it was? */
static void is_merged(const char *name, const char *weight, const char *other) {
    sn_pretrained *before, *after;
    assert_ok(sn_pretrained_open(page(name), &plain, &before));
    if (open_adapted(name, &after) != SN_OK) fail_msg("%s: %s", name, sn_error_message());
    const float *w = numbers(before, weight), *now = numbers(after, weight);
    double most = 0, change = 0;
    for (int o = 0; o < SIDE; o++)
        for (int i = 0; i < SIDE; i++) {
            double sum = (double)w[o * SIDE + i];
            for (int r = 0; r < RANK; r++) sum += 2 * (double)second[o * RANK + r] * (double)first[r * SIDE + i];
            most = fmax(most, fabs(sum - (double)now[o * SIDE + i]));
            change = fmax(change, fabs(sum - (double)w[o * SIDE + i]));
        }
    assert_true(most < 1e-6 && change > 1);
    assert_memory_equal(numbers(before, other), numbers(after, other), SIDE * SIDE * sizeof(float));
    sn_pretrained_free(before);
    sn_pretrained_free(after);
}

#define CONFIG "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4"

static void modules_are_found_by_any_name(void **state) {
    (void)state;
    static const struct { const char *page, *module, *weight, *other; } all[] = {
        {"bert", "encoder.layer.1.attention.self.query", "encoder.layer.1.attention.self.query.weight", "encoder.layer.0.attention.self.query.weight"},
        {"bert", "bert.encoder.layer.1.attention.self.query", "encoder.layer.1.attention.self.query.weight", "encoder.layer.0.attention.self.query.weight"},
        {"bert_mlm", "encoder.layer.0.attention.self.key", "bert.encoder.layer.0.attention.self.key.weight", "bert.encoder.layer.0.attention.self.query.weight"},
        {"vit_classes", "vit.encoder.layer.1.attention.attention.value", "vit.encoder.layer.1.attention.attention.value.weight",
         "vit.encoder.layer.0.attention.attention.value.weight"},
        {"vit_classes", "vit.layers.1.attention.v_proj", "vit.encoder.layer.1.attention.attention.value.weight", "vit.encoder.layer.0.attention.attention.value.weight"},
        {"vit", "vit.layers.0.attention.o_proj", "encoder.layer.0.attention.output.dense.weight", "encoder.layer.1.attention.output.dense.weight"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_ok(sn_remove_tree(in_folder("lora")));
        write_adapter(all[i].module, CONFIG "}", ADAPTER);
        is_merged(all[i].page, all[i].weight, all[i].other);
    }
    sn_pretrained *m;
    assert_ok(sn_remove_tree(in_folder("lora")));
    write_adapter("bert.encoder.layer.7.attention.self.query", CONFIG "}", ADAPTER);
    assert_fails(open_adapted("bert", &m), SN_ERR_SHAPE, "the model has no \"bert.encoder.layer.7.attention.self.query.weight\"");
}

static void a_task_brings_its_head(void **state) {
    (void)state;
    static const char *const listed[] = {CONFIG ", \"task_type\": \"SEQ_CLS\", \"modules_to_save\": [\"classifier\", \"score\"]}",
                                         CONFIG ", \"task_type\": \"SEQ_CLS\"}", CONFIG ", \"modules_to_save\": [\"classifier\"]}"};
    static const char *const pages[] = {"bert", "bert", "bert_classes"};
    for (size_t i = 0; i < 3; i++) {
        sn_pretrained *m;
        assert_ok(sn_remove_tree(in_folder("lora")));
        write_adapter("bert.encoder.layer.1.attention.self.query", listed[i], HEAD);
        if (open_adapted(pages[i], &m) != SN_OK) fail_msg("%s: %s", listed[i], sn_error_message());
        assert_string_equal(sn_pretrained_architecture(m), "BertForSequenceClassification");
        assert_int_equal(sn_pretrained_config(m)->classes, CLASSES);
        assert_memory_equal(numbers(m, "classifier.weight"), head, sizeof head);
        assert_memory_equal(numbers(m, "classifier.bias"), shift, sizeof shift);
        sn_pretrained_free(m);
    }
    sn_pretrained *m;
    assert_ok(sn_remove_tree(in_folder("lora")));
    write_adapter("bert.encoder.layer.1.attention.self.query", CONFIG "}", HEAD); /* nobody says that it was learned */
    assert_fails(open_adapted("bert_classes", &m), SN_ERR_UNSUPPORTED, "classifier.bias\" belongs to no adapter");
    write_adapter("bert.encoder.layer.1.attention.self.query", CONFIG ", \"task_type\": \"SEQ_CLS\"}", ADAPTER);
    assert_fails(open_adapted("bert", &m), SN_ERR_SHAPE, "\"classifier.weight\" is missing");
    assert_ok(sn_remove_tree(in_folder("lora/adapter_model.safetensors")));
    assert_fails(open_adapted("bert", &m), SN_ERR_IO, "holds neither adapter_model.safetensors nor adapter_model.bin");
}

/* In place of the head that the model's file has, or of none. */
static void heads_are_exchanged(void **state) {
    (void)state;
    static const struct { const char *page, *module, *config, *architecture; whole with; } all[] = {
        {"distilbert_mlm", "distilbert.transformer.layer.0.attention.q_lin", CONFIG ", \"task_type\": \"SEQ_CLS\", \"modules_to_save\": [\"pre_classifier\", \"classifier\"]}",
         "DistilBertForSequenceClassification", TWO_LAYERS},
        {"vit", "vit.layers.0.attention.q_proj", CONFIG ", \"modules_to_save\": [\"classifier\"]}", "ViTForImageClassification", HEAD},
        {"vit_classes", "vit.layers.0.attention.q_proj", CONFIG ", \"modules_to_save\": [\"classifier\"]}", "ViTForImageClassification", HEAD},
        {"bert_tokens", "bert.encoder.layer.0.attention.self.query", CONFIG ", \"task_type\": \"TOKEN_CLS\"}", "BertForTokenClassification", HEAD}};
    sn_pretrained *m;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_ok(sn_remove_tree(in_folder("lora")));
        write_adapter(all[i].module, all[i].config, all[i].with);
        if (open_adapted(all[i].page, &m) != SN_OK) fail_msg("%s: %s", all[i].page, sn_error_message());
        assert_string_equal(sn_pretrained_architecture(m), all[i].architecture);
        assert_memory_equal(numbers(m, "classifier.weight"), head, sizeof head);
        if (all[i].with == TWO_LAYERS) assert_memory_equal(numbers(m, "pre_classifier.weight"), table, SIDE * SIDE * sizeof(float));
        sn_pretrained_free(m);
    }
    assert_ok(sn_remove_tree(in_folder("lora")));
    write_adapter("transformer.h.0.attn.c_proj", CONFIG ", \"modules_to_save\": [\"wte\"]}", TABLE);
    assert_fails(open_adapted("gpt2_lm", &m), SN_ERR_UNSUPPORTED, "wte.weight\": a word table that was learned as a whole");
    put_text("lora/adapter_config.json", CONFIG ", \"modules_to_save\": [\"wte\"], \"ensure_weight_tying\": true}");
    assert_ok(open_adapted("gpt2_lm", &m));
    assert_memory_equal(numbers(m, "transformer.wte.weight"), table, sizeof table);
    sn_pretrained_free(m);
}

static void a_model_has_adapters_once(void **state) {
    (void)state;
    sn_pretrained_options o = plain;
    sn_pretrained *m;
    json_t *config;
    char path[600];
    write_adapter("encoder.layer.0.attention.self.query", CONFIG "}", ADAPTER);
    (void)snprintf(path, sizeof path, "%s/config.json", page("bert"));
    assert_ok(sn_json_read(path, &config));
    assert_ok(sn_make_directory(in_folder("model")));
    assert_ok(sn_json_write(in_folder("model/config.json"), config));
    put_text("model/adapter_config.json", CONFIG "}");
    o.adapters = in_folder("lora");
    assert_fails(sn_pretrained_open(in_folder("model"), &o, &m), SN_ERR_UNSUPPORTED, "has adapters of its own");
    json_decref(config);
}

static void their_model_is_found(void **state) {
    (void)state;
    char *base, text[700];
    assert_ok(sn_make_directory(in_folder("model")));
    assert_ok(sn_make_directory(in_folder("lora")));
    assert_ok(sn_adapters_base(in_folder("lora"), &base)); /* nothing in it */
    assert_null(base);
    put_text("lora/adapter_config.json", "{\"base_model_name_or_path\": \"../model\"}"); /* beside the adapters */
    assert_fails(sn_adapters_base(in_folder("lora"), &base), SN_ERR_FORMAT, "model, holds no config.json");
    put_text("model/config.json", "{}");
    assert_ok(sn_adapters_base(in_folder("lora"), &base));
    assert_non_null(base);
    assert_true(sn_is_directory(base) && strstr(base, "lora/../model"));
    sn_free(base);
    (void)snprintf(text, sizeof text, "{\"base_model_name_or_path\": \"%s\"}", page("bert"));
    put_text("lora/adapter_config.json", text);
    assert_ok(sn_adapters_base(in_folder("lora"), &base));
    assert_string_equal(base, page("bert"));
    sn_free(base);
    put_text("lora/adapter_config.json", "{\"base_model_name_or_path\": \"nobody/no-such-model\"}");
    assert_fails(sn_adapters_base(in_folder("lora"), &base), SN_ERR_IO, "lora/adapter_config.json: the model of these adapters: nobody/no-such-model: no such model");
    put_text("lora/adapter_config.json", "{\"base_model_name_or_path\": null}");
    assert_fails(sn_adapters_base(in_folder("lora"), &base), SN_ERR_FORMAT, "\"base_model_name_or_path\" does not say");
    put_text("lora/adapter_config.json", "[");
    assert_int_equal(sn_adapters_base(in_folder("lora"), &base), SN_ERR_FORMAT);
    put_text("lora/config.json", "{}"); /* a model of its own */
    assert_ok(sn_adapters_base(in_folder("lora"), &base));
    assert_null(base);
}

static sn_status open_and_close(void) {
    sn_pretrained *m;
    SN_TRY(open_adapted("bert", &m));
    sn_pretrained_free(m);
    return SN_OK;
}

static void allocations_may_fail(void **state) {
    (void)state;
    write_adapter("bert.encoder.layer.1.attention.self.query", CONFIG ", \"task_type\": \"SEQ_CLS\"}", HEAD);
    sn_status status = SN_ERR_MEMORY;
    long n = 0;
    while (status == SN_ERR_MEMORY && n < 100000) {
        sn_alloc_fail_after(++n);
        status = open_and_close();
        sn_alloc_fail_after(0);
        assert_true(status == SN_OK || status == SN_ERR_MEMORY);
    }
    assert_true(status == SN_OK && n > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(modules_are_found_by_any_name, make_folder, remove_folder),
                                       cmocka_unit_test_setup_teardown(a_task_brings_its_head, make_folder, remove_folder),
                                       cmocka_unit_test_setup_teardown(heads_are_exchanged, make_folder, remove_folder),
                                       cmocka_unit_test_setup_teardown(a_model_has_adapters_once, make_folder, remove_folder),
                                       cmocka_unit_test_setup_teardown(their_model_is_found, make_folder, remove_folder),
                                       cmocka_unit_test_setup_teardown(allocations_may_fail, make_folder, remove_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
