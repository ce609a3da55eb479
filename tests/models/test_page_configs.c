/* A config.json that lies about a size is refused with an error that names the key, before memory is asked for: every
 * page's tiny config (tests/golden/pages) with each of its sizes made huge, zero and negative. */
#include "test.h"

#include <dirent.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/json.h"
#include "models/pretrained.h"

static const char *const sizes[] = {
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "patch_size", "vocab_size", "max_position_embeddings",
    "type_vocab_size", "n_layer", "n_head", "n_embd", "n_inner", "n_positions", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim",
    "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim", "max_source_positions", "max_target_positions", "num_mel_bins", "num_channels",
    "mlp_ratio", "num_register_tokens", "visual_embedding_dim", "dim", "n_layers", "n_heads", "hidden_dim", "depth", "embedding_size"};
static const char *const lists[] = {"depths", "hidden_sizes", "widths"};
/* `place` is `config` or an object in it; its member `key` becomes `value` for a moment. */
static void lie(const char *page, const json_t *config, json_t *place, const char *key, int64_t value, bool list, int *refused) {
    static const sn_pretrained_options options = {.threads = 1, .precision = "f32", .inference = true, .fold = true};
    sn_pretrained *m = NULL;
    json_t *kept = json_deep_copy(json_object_get(place, key)), *wrong = json_integer(value);
    if (list) {
        json_t *one = json_array();
        for (size_t i = 0; i < json_array_size(kept); i++) (void)json_array_append(one, wrong);
        json_decref(wrong);
        wrong = one;
    }
    (void)json_object_set_new(place, key, wrong);
    sn_error_clear();
    sn_status status = sn_pretrained_make(config, NULL, &options, &m);
    bool named = status == SN_OK || strstr(sn_error_message(), key);
    if (value == 1000000000 && status == SN_OK) fail_msg("%s: \"%s\" of a thousand million is accepted", page, key);
    if (value == 1000000000 && !named) fail_msg("%s: \"%s\" of a thousand million: %s", page, key, sn_error_message());
    if (status != SN_OK && !sn_error_message()[0]) fail_msg("%s: \"%s\": %lld: no message", page, key, (long long)value);
    *refused += status != SN_OK;
    sn_pretrained_free(m);
    (void)json_object_set_new(place, key, kept);
}

static void lie_everywhere(const char *page, const json_t *config, json_t *place, int *tried, int *refused) {
    static const int64_t values[] = {1000000000, 0, -1, -7, INT64_MAX};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            if (!json_is_integer(json_object_get(place, sizes[i]))) continue;
            lie(page, config, place, sizes[i], values[v], false, refused);
            (*tried)++;
        }
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
            if (!json_is_array(json_object_get(place, lists[i]))) continue;
            lie(page, config, place, lists[i], values[v], true, refused);
            (*tried)++;
        }
    }
}

static void every_size_is_bounded(void **state) {
    (void)state;
    static const char folder[] = SN_TEST_ROOT "/golden/pages";
    struct rusage use;
    DIR *dir = opendir(folder);
    int tried = 0, refused = 0;
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char path[600];
        json_t *config, *inner;
        const char *key;
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s/config.json", folder, e->d_name);
        assert_ok(sn_json_read(path, &config));
        lie_everywhere(e->d_name, config, config, &tried, &refused);
        json_object_foreach(config, key, inner)
            if (json_is_object(inner)) lie_everywhere(e->d_name, config, inner, &tried, &refused);
        json_decref(config);
    }
    (void)closedir(dir);
    (void)getrusage(RUSAGE_SELF, &use);
    print_message("%d wrong sizes, %d refused, %ld MB at most\n", tried, refused, use.ru_maxrss >> 10);
    assert_true(tried > 1000 && refused > tried / 2);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    assert_true(use.ru_maxrss < 400 << 10);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_size_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
