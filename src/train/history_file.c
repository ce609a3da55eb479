/* history_file.c: the recorded epoch events as history.csv in the model's directory: one row an epoch, and the single
 * numbers of every target's metrics as columns "<target>.<metric>". */
#include <math.h>
#include <stdio.h>

#include "train/history.h"
#include "train/trainer.h"

enum { MOST_METRICS = 256, NAME = 96 };

typedef struct row {
    char text[MOST_METRICS][NAME];
    const char *names[MOST_METRICS];
    double values[MOST_METRICS];
    int n;
} row;

static double number_at(const json_t *object, const char *key) {
    const json_t *found = json_object_get(object, key);
    return json_is_number(found) ? json_number_value(found) : NAN;
}

static void collect(const json_t *targets, row *r) {
    const char *target, *metric;
    json_t *metrics, *value;
    r->n = 0;
    json_object_foreach((json_t *)(uintptr_t)targets, target, metrics) {
        json_object_foreach(metrics, metric, value) {
            if (!json_is_number(value) || r->n == MOST_METRICS) continue;
            (void)snprintf(r->text[r->n], NAME, "%s.%s", target, metric);
            r->names[r->n] = r->text[r->n];
            r->values[r->n++] = json_number_value(value);
        }
    }
}

sn_status sn_history_write(const json_t *events, const char *directory) {
    char *path = sn_path_join(directory, "history.csv");
    row *r = sn_alloc(1, sizeof *r);
    sn_history *h = NULL;
    sn_status status = path && r ? sn_history_create(path, &h) : SN_ERR_MEMORY;
    for (size_t i = 0; status == SN_OK && i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i), *valid = json_object_get(event, "valid");
        sn_epoch epoch = {(int64_t)json_integer_value(json_object_get(event, "epoch")), number_at(event, "seconds"),
                          number_at(json_object_get(event, "train"), "loss"), number_at(valid, "loss"),
                          number_at(event, "learning_rate")};
        collect(json_object_get(valid, "targets"), r);
        status = sn_history_add(h, &epoch, r->names, r->values, r->n);
    }
    sn_history_free(h);
    sn_free(r);
    sn_free(path);
    return status;
}
