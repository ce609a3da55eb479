/* fuzz_bare_weights: any bytes as weights without a config.json: either nobody recognises them, or the configuration that
 * is made of them opens them, or there is a message.
 *
 * What must hold besides: no crash, no leak, no more parameters than the file has numbers. */
#include <stdlib.h>

#include "features/audio_processor.h"
#include "models/pretrained.h"
#include "params/params.h"
#include "params/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const sn_pretrained *m, size_t size) {
    const sn_params *p = sn_pretrained_params(m);
    size_t numbers = 0;
    for (int i = 0; i < sn_params_count(p); i++) numbers += (size_t)sn_shape_count(sn_params_shape(p, i));
    if (numbers > size) abort(); /* the smallest float has 2 bytes; several names may share them in a .bin */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const sn_pretrained_options options = {.threads = 1, .precision = "f32", .inference = true};
    json_t *config = NULL, *processor = NULL;
    sn_weights *weights = NULL;
    sn_pretrained *m = NULL;
    sn_audio_processor sound;
    sn_status status = sn_weights_parse("input", data, size, &weights);
    if (status == SN_OK) status = sn_page_recognise(weights, &config, &processor);
    bool safetensors = status == SN_OK && sn_weights_format(weights)[0] == 's';
    if (status == SN_OK && config && processor) status = sn_audio_processor_parse(processor, "input", &sound);
    if (status == SN_OK && config) {
        status = sn_pretrained_make(config, weights, &options, &m);
        weights = NULL; /* the model's, or gone */
    }
    if (status != SN_OK && !sn_error_message()[0]) abort();
    if (m && safetensors) check(m, size);
    sn_weights_free(weights);
    sn_pretrained_free(m);
    json_decref(config);
    json_decref(processor);
    return 0;
}
