/* predict.c: uses a trained model on one row.
 *
 *   predict MODEL TARGET COLUMN=FILE-OR-TEXT...
 *
 * Build:  cc predict.c $(pkg-config --cflags --libs sensorium) -o predict */
#include <sensorium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int failed(void) {
    fprintf(stderr, "%s\n", sn_error_message());
    return 1;
}

static bool is_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file) (void)fclose(file);
    return file != NULL;
}

/* "photo=cat.jpg" or "question=what is it?"; what is not given stays absent. Pictures and sounds can also come from
 * memory: sn_input_set_image, sn_input_set_audio. */
static sn_status set_input(sn_session *session, const char *word) {
    char name[256];
    const char *equals = strchr(word, '='), *value = equals ? equals + 1 : word;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    return is_file(value) ? sn_input_set_file(session, name, value)
                          : sn_input_set_text(session, name, value, strlen(value));
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: predict MODEL TARGET COLUMN=FILE-OR-TEXT...\n");
        return 2;
    }
    sn_model *model = NULL;     /* immutable: any number of threads may share it */
    sn_session *session = NULL; /* belongs to this thread */
    sn_status status = sn_model_load(argv[1], NULL, &model);
    if (!status) status = sn_session_create(model, &session);
    for (int i = 3; i < argc && !status; i++) status = set_input(session, argv[i]);
    if (!status) status = sn_session_run(session);

    const char *value = NULL;
    double probability = 0;
    if (!status) status = sn_output_category(session, argv[2], &value, &probability);
    if (!status) printf("%s %.4f\n", value, probability); /* `value` lives in the model */
    int code = status ? failed() : 0;

    sn_session_free(session);
    sn_model_free(model);
    return code;
}
