/* embed.c: how alike texts are, by a published sentence encoder.
 *
 *   embed MODEL TEXT TEXT...     MODEL: a directory as Transformers or sentence-transformers writes it, or a hub name
 *
 * Build:  cc embed.c $(pkg-config --cflags --libs sensorium) -o embed */
#include <sensorium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double product(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: embed MODEL TEXT TEXT...\n");
        return 2;
    }
    size_t n = (size_t)argc - 2, width = 0;
    sn_pipeline *pipeline = NULL; /* immutable: any number of threads may share it */
    sn_item *items = calloc(n, sizeof *items);
    float *vectors = NULL;
    sn_status status = items ? sn_pipeline_open(argv[1], NULL, &pipeline) : SN_ERR_MEMORY;
    if (!status) status = sn_pipeline_width(pipeline, &width);
    if (!status && !(vectors = malloc(n * width * sizeof *vectors))) status = SN_ERR_MEMORY;
    for (size_t i = 0; i < n && !status; i++) {
        items[i].text = argv[i + 2]; /* not copied */
        items[i].bytes = strlen(argv[i + 2]);
    }
    /* Vectors of length 1: their product is the cosine between them. */
    if (!status) status = sn_pipeline_embed(pipeline, items, n, "{\"normalise\": true}", NULL, vectors);
    for (size_t i = 1; i < n && !status; i++)
        printf("%.4f  %s\n", product(vectors, vectors + i * width, width), argv[i + 2]);
    if (status) fprintf(stderr, "%s\n", sn_error_message());

    free(vectors);
    free(items);
    sn_pipeline_free(pipeline);
    return status ? 1 : 0;
}
