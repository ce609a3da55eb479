/* fuzz_generation: any bytes as generation_config.json, for texts and for Whisper: either a message, or settings with which
 * a model of 12 words writes a few. What must hold: no crash, no leak; tokens within the vocabulary, lengths within the
 * model's. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "generate/whisper.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS = 12, POSITIONS = 16, PROMPT = 2, MOST_BEAMS = 16 };

/* Scores that depend on the row's last token alone, so that beams cross. */
static sn_status step(void *context, int64_t rows, int64_t count, const int32_t *ids, const int32_t *parents, float *logits) {
    (void)context, (void)parents;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < WORDS; i++) {
            int32_t last = ids[r * count + count - 1];
            if (last < 0 || last >= WORDS) abort();
            logits[r * WORDS + i] = (float)((last * 7 + i * 5) % 11) / 2;
        }
    return SN_OK;
}

static void write(const sn_generation *g) {
    static const int32_t prompt[PROMPT] = {1, 2};
    sn_generated out[MOST_BEAMS] = {0};
    sn_decoder decoder = {.vocabulary = WORDS, .most_positions = POSITIONS, .step = step};
    if (g->num_beams > MOST_BEAMS || g->num_return_sequences > MOST_BEAMS) return;
    if (sn_generate(&decoder, g, 1, PROMPT, prompt, NULL, NULL, out) != SN_OK && !sn_error_message()[0]) abort();
    for (int i = 0; i < MOST_BEAMS; i++) {
        if (out[i].n > POSITIONS) abort();
        for (int64_t k = 0; k < out[i].n; k++)
            if (out[i].tokens[k] < 0 || out[i].tokens[k] >= WORDS) abort();
        sn_free(out[i].tokens);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *config;
    sn_generation g;
    sn_whisper w;
    if (sn_json_parse("generation_config.json", (const char *)data, size, &config) != SN_OK) return 0;
    if (sn_generation_read(config, NULL, NULL, &g) == SN_OK) {
        write(&g);
        sn_generation_free(&g);
    } else if (!sn_error_message()[0]) abort();
    if (sn_whisper_read(config, NULL, NULL, &w) == SN_OK) sn_whisper_free(&w);
    else if (!sn_error_message()[0]) abort();
    json_decref(config);
    return 0;
}
