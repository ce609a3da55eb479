/* fuzz_adapters: up to the first NUL byte adapter_config.json, behind it adapter_model.safetensors, merged into a store of
 * three layers: either a message, or adapters that were merged as often as the file has them.
 *
 * What must hold besides: no crash, no leak, and a layer that the file does not name keeps its numbers. */
#include <stdlib.h>
#include <string.h>

#include "models/adapters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct { const char *name; int64_t out, in; } layers[] = {{"a.query.weight", 4, 3}, {"a.value.weight", 3, 4}, {"c.weight", 2, 2}};
enum { LAYERS = sizeof layers / sizeof *layers };

static sn_params *make_store(void) {
    sn_params *p;
    int at;
    if (sn_params_create(&p) != SN_OK) abort();
    for (int i = 0; i < LAYERS; i++)
        if (sn_params_declare(p, layers[i].name, SN_SHAPE(layers[i].out, layers[i].in), (sn_init){SN_INIT_ONES, 0, 0}, &at) != SN_OK) abort();
    if (sn_params_seal(p) != SN_OK) abort();
    sn_params_initialise(p, 1);
    return p;
}

static bool is_named(const sn_weights *w, const char *layer) {
    size_t n = strlen(layer) - strlen(".weight");
    for (int i = 0; i < sn_weights_count(w); i++) {
        const char *at = strstr(sn_weights_at(w, i)->name, "base_model.model.");
        if (at && !strncmp(at + strlen("base_model.model."), layer, n)) return true;
    }
    return false;
}

static void merge(const sn_adapters *a) {
    sn_params *p = make_store();
    if (sn_adapters_merge(a, p, (sn_module_range){0, LAYERS, 0}, NULL) != SN_OK && !sn_error_message()[0]) abort();
    for (int i = 0; i < LAYERS; i++)
        for (int64_t k = 0; !is_named(a->weights, layers[i].name) && k < layers[i].out * layers[i].in; k++)
            if (!(sn_params_data(p, i)[k] == 1)) abort();
    sn_params_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    json_t *config;
    sn_weights *weights = NULL;
    sn_adapters *a = NULL;
    if (!end || sn_json_parse("adapter_config.json", (const char *)data, (size_t)(end - data), &config) != SN_OK) return 0;
    sn_status status = sn_weights_parse("adapter_model.safetensors", end + 1, size - (size_t)(end + 1 - data), &weights);
    if (status == SN_OK) status = sn_adapters_make(config, weights, &a);
    if (status == SN_OK) merge(a);
    else if (!sn_error_message()[0]) abort();
    if (!a) sn_weights_free(weights);
    sn_adapters_free(a);
    json_decref(config);
    return 0;
}
