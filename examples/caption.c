/* caption.c: what pictures show, in the words of a published model (ViT-GPT2, BLIP).
 *
 *   caption MODEL IMAGE...     MODEL: a directory as Transformers writes it, or a hub name
 *
 * Pictures of one size go through the model together, so their texts grow in turns: each piece comes with the number of
 * its picture, and is written down there.
 *
 * Build:  cc caption.c $(pkg-config --cflags --libs sensorium) -o caption */
#include <sensorium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct caption {
    char *text;
    size_t bytes;
} caption;

/* A piece of the caption of picture `item`, whole characters; a non-zero answer stops all. */
static int add(void *context, size_t item, const char *utf8, size_t bytes) {
    caption *c = (caption *)context + item;
    char *text = realloc(c->text, c->bytes + bytes + 1);
    if (!text) return 1;
    memcpy(text + c->bytes, utf8, bytes);
    c->text = text;
    c->bytes += bytes;
    c->text[c->bytes] = '\0';
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: caption MODEL IMAGE...\n");
        return 2;
    }
    size_t n = (size_t)argc - 2;
    sn_pipeline *pipeline = NULL; /* immutable: any number of threads may share it */
    sn_item *items = calloc(n, sizeof *items);
    caption *captions = calloc(n, sizeof *captions);
    sn_listener listener = {.text = add, .context = captions};
    sn_status status = items && captions ? sn_pipeline_open(argv[1], NULL, &pipeline) : SN_ERR_MEMORY;
    for (size_t i = 0; i < n && !status; i++) items[i].file = argv[i + 2]; /* or pixels: .rgb, .width, .height, .stride */
    if (!status) status = sn_pipeline_run(pipeline, "caption", items, n, "{\"num_beams\": 4, \"max_length\": 16}", &listener);
    /* A picture that cannot be read does not stop the others; the first such failure is the status. */
    for (size_t i = 0; captions && i < n; i++) {
        if (captions[i].text) printf("%s: %s\n", argv[i + 2], captions[i].text);
        free(captions[i].text);
    }
    if (status) fprintf(stderr, "%s\n", sn_error_message());

    free(captions);
    free(items);
    sn_pipeline_free(pipeline);
    return status ? 1 : 0;
}
