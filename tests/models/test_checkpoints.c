/* What published checkpoints have that Transformers would not save today: LayerNorms with their first names, heads that no
 * page builds beside a base model that one does, and what timm says of its networks. */
#include "folder.h"

#include <stdlib.h>

#include "models/pretrained.h"
#include "params/safetensors.h"
#include "params/weights.h"

enum { MOST = 160 };
static const sn_pretrained_options options = {.threads = 1, .precision = "f32"};

/* The path of a file of the page's; valid until the next call. */
static const char *in_page(const char *page, const char *file) {
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/golden/pages/%s/%s", SN_TEST_ROOT, page, file);
    return path;
}

static json_t *config_of(const char *page) {
    json_t *config;
    assert_ok(sn_json_read(in_page(page, "config.json"), &config));
    return config;
}

static sn_weights *weights_of(const char *page) {
    sn_weights *w;
    assert_ok(sn_weights_open(in_page(page, "model.safetensors"), &w));
    return w;
}

/* The page's weights, each name through `rename`, and a tensor `extra` (NULL: none) beside them: one number, or the numbers
 * of the tensor `copy`. */
static sn_weights *changed_with(const char *page, void (*rename)(char *name), const char *extra, const char *copy) {
    static const float number = 1;
    static char names[MOST][128];
    sn_tensor_view views[MOST];
    sn_weights *from = weights_of(page), *to;
    int n = sn_weights_count(from);
    assert_true(n < MOST);
    for (int i = 0; i < n; i++) {
        views[i] = *sn_weights_at(from, i);
        (void)snprintf(names[i], sizeof names[i], "%s", views[i].name);
        if (rename) rename(names[i]);
        views[i].name = names[i];
    }
    if (extra) views[n] = copy ? *sn_weights_find(from, copy) : (sn_tensor_view){extra, {SN_SHAPE(1), SN_F32}, &number, sizeof number};
    if (extra) views[n++].name = extra;
    assert_ok(sn_safetensors_write(in_folder("changed.safetensors"), views, n, NULL));
    sn_weights_free(from);
    assert_ok(sn_weights_open(in_folder("changed.safetensors"), &to));
    return to;
}

static sn_weights *changed(const char *page, void (*rename)(char *name), const char *extra) { return changed_with(page, rename, extra, NULL); }

static void replace_end(char *name, const char *old, const char *now) {
    size_t n = strlen(name), end = strlen(old);
    if (n > end && !strcmp(name + n - end, old)) (void)snprintf(name + n - end, 128 - (n - end), "%s", now);
}
static void as_of_2018(char *name) {
    replace_end(name, "LayerNorm.weight", "LayerNorm.gamma");
    replace_end(name, "LayerNorm.bias", "LayerNorm.beta");
}

static void first_names_of_norms_are_read(void **state) {
    (void)state;
    static const char *const pages[] = {"bert_mlm", "bert_pretraining", "visual_bert_answers"};
    for (size_t p = 0; p < sizeof pages / sizeof *pages; p++) {
        sn_pretrained *today, *old;
        json_t *config = config_of(pages[p]);
        assert_ok(sn_pretrained_make(config, weights_of(pages[p]), &options, &today));
        sn_weights *renamed = changed(pages[p], as_of_2018, NULL);
        assert_ok(sn_pretrained_make(config, renamed, &options, &old));
        sn_params *a = sn_pretrained_params(today), *b = sn_pretrained_params(old);
        assert_int_equal(sn_params_count(a), sn_params_count(b));
        for (int i = 0; i < sn_params_count(a); i++) {
            assert_string_equal(sn_params_name(a, i), sn_params_name(b, i));
            assert_memory_equal(sn_params_data(a, i), sn_params_data(b, i), (size_t)sn_shape_count(sn_params_shape(a, i)) * sizeof(float));
        }
        sn_pretrained_free(today);
        sn_pretrained_free(old);
        json_decref(config);
    }
}

/* architecture NULL: config.json says none. */
static sn_status open_as(const char *page, const char *architecture, const char *extra, sn_pretrained **m) {
    json_t *config = config_of(page);
    if (architecture) (void)json_object_set_new(config, "architectures", json_pack("[s]", architecture));
    else (void)json_object_del(config, "architectures");
    sn_error_clear();
    sn_status status = sn_pretrained_make(config, changed(page, NULL, extra), &options, m);
    json_decref(config);
    return status;
}

static void a_base_model_needs_no_head(void **state) {
    (void)state;
    static const struct { const char *page, *architecture, *prefix; } alone[] = {
        {"bert_answers", NULL, "bert."},         {"bert_pretraining", NULL, "bert."},       {"bert_classes", "BertForSomethingNew", "bert."},
        {"bert_mlm", "BertModel", "bert."},      {"roberta_mlm", "RobertaModel", "roberta."}, {"vit_classes", "ViTForSomethingNew", "vit."},
        {"gpt2_classes", "GPT2Model", "transformer."}, {"vilt_retrieval", "ViltForTokenClassification", "vilt."}};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        sn_pretrained *m;
        if (open_as(alone[i].page, alone[i].architecture, "more.weight", &m) != SN_OK) fail_msg("%s: %s", alone[i].page, sn_error_message());
        const sn_params *params = sn_pretrained_params(m);
        for (int k = 0; k < sn_params_count(params); k++) assert_int_equal(strncmp(sn_params_name(params, k), alone[i].prefix, strlen(alone[i].prefix)), 0);
        sn_pretrained_free(m);
    }
}

static void what_is_built_is_checked(void **state) {
    (void)state;
    static const struct { const char *page, *architecture, *extra, *message; } refused[] = {
        {"bert_classes", NULL, "bert.more.weight", "tensor \"bert.more.weight\" of shape [1] is not used"},
        {"bert_classes", "BertForSequenceClassification", "more.weight", "tensor \"more.weight\" of shape [1] is not used"},
        {"bert_answers", "BertForQuestionAnswering", "classifier.bias", "tensor \"classifier.bias\" of shape [1] is not used"},
        {"bert", NULL, "more.weight", "tensor \"more.weight\" of shape [1] is not used"}, /* no prefix: is it the base model's? */
        {"bert_answers", "BertForMaskedLM", NULL, "tensor \"cls.predictions."},
        {"bert_mlm", "BertForPreTraining", NULL, "tensor \"bert.pooler.dense."},
        {"bert_answers", "BertForSequenceClassification", NULL, "tensor \"bert.pooler.dense."},
        {"gpt2_lm", "GPT2LMHeadModel", "more.weight", "tensor \"more.weight\" of shape [1] is not used"}, /* its head is tied */
        {"gpt2_classes", "GPT2ForTokenClassification", NULL, "tensor \"classifier."}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        sn_pretrained *m = NULL;
        assert_fails(open_as(refused[i].page, refused[i].architecture, refused[i].extra, &m), SN_ERR_SHAPE, refused[i].message);
        assert_null(m);
    }
}

static void classes_may_be_counted(void **state) {
    (void)state;
    sn_pretrained *m;
    json_t *config = config_of("bert_classes"); /* of three */
    (void)json_object_del(config, "id2label");
    assert_fails(sn_pretrained_make(config, weights_of("bert_classes"), &options, &m), SN_ERR_SHAPE, "\"classifier.");
    (void)json_object_set_new(config, "num_labels", json_integer(3));
    assert_ok(sn_pretrained_make(config, weights_of("bert_classes"), &options, &m));
    sn_pretrained_free(m);
    (void)json_object_set_new(config, "num_labels", json_integer(-3));
    assert_fails(sn_pretrained_make(config, weights_of("bert_classes"), &options, &m), SN_ERR_FORMAT, "\"num_labels\": -3");
    json_decref(config);
}

/* The last matrix: the word table again, which is read as the table; or another one, whatever the config says. */
static void heads_are_tied_where_they_are_the_same(void **state) {
    (void)state;
    static const struct { const char *page, *matrix, *table; } same[] = {
        {"bert_mlm", "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"},
        {"roberta_mlm", "lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight"},
        {"distilbert_mlm", "vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"},
        {"gpt2_lm", "lm_head.weight", "transformer.wte.weight"},
        {"whisper_lm", "proj_out.weight", "model.decoder.embed_tokens.weight"},
        {"blip_captions", "text_decoder.cls.predictions.decoder.weight", "text_decoder.bert.embeddings.word_embeddings.weight"},
        {"vision_encoder_decoder", "decoder.lm_head.weight", "decoder.transformer.wte.weight"},
        {"visual_bert_pretraining", "cls.predictions.decoder.weight", "visual_bert.embeddings.word_embeddings.weight"},
        {"vilt_words", "mlm_score.decoder.weight", "vilt.embeddings.text_embeddings.word_embeddings.weight"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        for (int other = 0; other < 2; other++) { /* wpe and the like have other numbers, and may have another shape */
            sn_pretrained *m = NULL;
            json_t *config = config_of(same[i].page);
            sn_status status = sn_pretrained_make(config, changed_with(same[i].page, NULL, same[i].matrix, other ? NULL : same[i].table), &options, &m);
            if (other) assert_int_equal(status, SN_ERR_SHAPE);
            else if (status != SN_OK) fail_msg("%s: %s", same[i].page, sn_error_message());
            if (other && !strstr(sn_error_message(), same[i].matrix)) fail_msg("%s: %s", same[i].page, sn_error_message());
            if (!other) assert_int_equal(sn_params_find(sn_pretrained_params(m), same[i].matrix), -1);
            sn_pretrained_free(m);
            json_decref(config);
        }
    }
    static const char *const biases[][3] = {{"vilt_words", "mlm_score.bias", "mlm_score.decoder.bias"}, /* the second is there */
                                            {"bert_mlm", "cls.predictions.decoder.bias", "cls.predictions.bias"},
                                            {"roberta_mlm", "lm_head.decoder.bias", "lm_head.bias"}};
    for (size_t i = 0; i < sizeof biases / sizeof *biases; i++) {
        sn_pretrained *m;
        json_t *config = config_of(biases[i][0]);
        assert_ok(sn_pretrained_make(config, changed_with(biases[i][0], NULL, biases[i][1], biases[i][2]), &options, &m));
        sn_params *p = sn_pretrained_params(m);
        assert_int_equal((sn_params_find(p, biases[i][1]) >= 0) + (sn_params_find(p, biases[i][2]) >= 0), 1);
        sn_pretrained_free(m);
        json_decref(config);
    }
    static const char *const untied[][3] = {{"bert_untied", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"},
                                            {"distilbert_untied", "vocab_projector.weight", "vocab_projector.bias"},
                                            {"gpt2_untied", "lm_head.weight", "lm_head.weight"}};
    for (size_t i = 0; i < sizeof untied / sizeof *untied; i++) {
        sn_pretrained *m;
        json_t *config = config_of(untied[i][0]);
        assert_true(json_is_false(json_object_get(config, "tie_word_embeddings")));
        (void)json_object_set_new(config, "tie_word_embeddings", json_true());
        assert_ok(sn_pretrained_make(config, weights_of(untied[i][0]), &options, &m));
        for (int k = 1; k < 3; k++) assert_true(sn_params_find(sn_pretrained_params(m), untied[i][k]) >= 0);
        sn_pretrained_free(m);
        json_decref(config);
    }
}

/* What timm writes of how a network was built. */
static void timm_arguments_are_checked(void **state) {
    (void)state;
    static const char *const pages[] = {"resnet_timm", "vgg_timm"};
    static const struct { const char *key, *value, *message; } cases[] = {
        {"global_pool", "\"avg\"", NULL},           {"drop_rate", "0.1", NULL},
        {"global_pool", "\"catavgmax\"", "\"global_pool\": only \"avg\" is possible, found \"catavgmax\""},
        {"global_pool", "3", "\"global_pool\": only \"avg\""}, {"stem_width", "32", "\"model_args\": \"stem_width\" is not supported"}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const char *page = pages[i % 2];
        sn_pretrained *m = NULL;
        json_t *config = config_of(page), *args = json_object_get(config, "model_args");
        if (!args) (void)json_object_set_new(config, "model_args", args = json_object());
        (void)json_object_set_new(args, cases[i / 2].key, json_loads(cases[i / 2].value, JSON_DECODE_ANY, NULL));
        if (cases[i / 2].message) assert_fails(sn_pretrained_make(config, weights_of(page), &options, &m), SN_ERR_UNSUPPORTED, cases[i / 2].message);
        else assert_ok(sn_pretrained_make(config, weights_of(page), &options, &m));
        sn_pretrained_free(m);
        (void)json_object_del(args, cases[i / 2].key);
        (void)json_object_set_new(config, "global_pool", json_string("max"));
        assert_fails(sn_pretrained_make(config, weights_of(page), &options, &m), SN_ERR_UNSUPPORTED, "\"global_pool\": only \"avg\" is possible, found \"max\"");
        json_decref(config);
    }
}

/* A ResNet's tensors as far as they tell which it is: every first convolution, and what is wide in a block. */
static void write_resnet(const int *depths, bool bottleneck, int64_t groups, int64_t base) {
    static const float numbers[256 * 256];
    static char names[80][48];
    sn_tensor_view views[84];
    int n = 0;
    for (int s = 0; s < 4; s++)
        for (int k = 0; k < depths[s]; k++, n++) {
            (void)snprintf(names[n], sizeof names[n], "layer%d.%d.conv1.weight", s + 1, k);
            views[n] = (sn_tensor_view){names[n], {SN_SHAPE(1, 1, 1, 1), SN_F32}, numbers, 4};
        }
    views[n++] = (sn_tensor_view){"layer1.0.conv2.weight", {SN_SHAPE(base * groups, base, 1, 1), SN_F32}, numbers, (size_t)(base * groups * base) * 4};
    if (bottleneck) views[n++] = (sn_tensor_view){"layer1.0.conv3.weight", {SN_SHAPE(1, 1, 1, 1), SN_F32}, numbers, 4};
    views[n++] = (sn_tensor_view){"conv1.weight", {SN_SHAPE(64, 3, 1, 1), SN_F32}, numbers, 64 * 3 * 4};
    views[n++] = (sn_tensor_view){"fc.weight", {SN_SHAPE(7, 2), SN_F32}, numbers, 7 * 2 * 4};
    assert_ok(sn_safetensors_write(in_folder("resnet.safetensors"), views, n, NULL));
}

static void torchvisions_resnets_are_recognised(void **state) {
    (void)state;
    static const struct { const char *name; int depths[4]; bool bottleneck; int64_t groups, base; } all[] = {
        {"resnet18", {2, 2, 2, 2}, false, 1, 64},       {"resnet34", {3, 4, 6, 3}, false, 1, 64}, {"resnet50", {3, 4, 6, 3}, true, 1, 64},
        {"resnet152", {3, 8, 36, 3}, true, 1, 64},      {"resnext50_32x4d", {3, 4, 6, 3}, true, 32, 4},
        {"wide_resnet50_2", {3, 4, 6, 3}, true, 1, 128}, {NULL, {3, 4, 6, 4}, true, 1, 64},         {NULL, {3, 4, 6, 3}, true, 2, 64},
        {NULL, {2, 2, 2, 2}, true, 1, 64},               {NULL, {3, 4, 6, 2}, false, 1, 64}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sn_weights *w;
        json_t *config, *processor;
        write_resnet(all[i].depths, all[i].bottleneck, all[i].groups, all[i].base);
        assert_ok(sn_weights_open(in_folder("resnet.safetensors"), &w));
        assert_ok(sn_page_recognise(w, &config, &processor));
        if (!all[i].name) assert_null(config);
        else {
            assert_string_equal(json_string_value(json_object_get(config, "architecture")), all[i].name);
            assert_int_equal(json_integer_value(json_object_get(config, "num_classes")), 7);
            assert_string_equal(json_string_value(json_object_get(processor, "image_processor_type")), "TorchvisionImageProcessor");
        }
        json_decref(config);
        json_decref(processor);
        sn_weights_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_names_of_norms_are_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_base_model_needs_no_head, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(heads_are_tied_where_they_are_the_same, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_is_built_is_checked, make_folder, remove_folder), cmocka_unit_test(classes_may_be_counted),
        cmocka_unit_test(timm_arguments_are_checked),
        cmocka_unit_test_setup_teardown(torchvisions_resnets_are_recognised, make_folder, remove_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
