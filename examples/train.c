/* train.c: learns one column of a table and writes the model.
 *
 *   train TABLE.csv TARGET MODEL
 *
 * Build:  cc train.c $(pkg-config --cflags --libs sensorium) -o train */
#include <sensorium.h>
#include <stdio.h>
#include <string.h>

/* Events are JSON objects; the return value 0 goes on, another one stops and saves. */
static int on_event(void *context, const char *json) {
    int *epochs = context;
    if (strstr(json, "\"event\":\"epoch\"")) printf("epoch %d is done\n", ++*epochs);
    return 0;
}

static int failed(void) {
    fprintf(stderr, "%s\n", sn_error_message());
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: train TABLE.csv TARGET MODEL\n");
        return 2;
    }
    char config[512]; /* what the config does not say is inferred from the table */
    (void)snprintf(config, sizeof config, "{\"targets\": [\"%s\"], \"epochs\": 3, \"seed\": 1}", argv[2]);

    sn_table *table = NULL;
    sn_trainer *trainer = NULL;
    char *verdict = NULL;
    int epochs = 0;
    sn_status status = sn_table_open(argv[1], NULL, &table);
    if (!status) status = sn_trainer_create(table, NULL, config, &trainer);
    if (!status) status = sn_trainer_run(trainer, on_event, &epochs);
    if (!status) status = sn_trainer_verdict(trainer, &verdict);
    if (!status) printf("%s\n", verdict);
    if (!status) status = sn_model_save(sn_trainer_model(trainer), argv[3], 1);
    int code = status ? failed() : 0;

    sn_string_free(verdict);
    sn_trainer_free(trainer); /* its model goes with it */
    sn_table_free(table);     /* only now: the trainer reads from it */
    return code;
}
