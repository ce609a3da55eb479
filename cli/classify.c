/* classify.c: `sensorium classify MODEL INPUT...`: the classes that pictures or texts belong to: those that the model has
 * learned, or, from a model that compares pictures with texts, those of --labels. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static void put_line(const json_t *answer) {
    const json_t *name = json_object_get(answer, "image");
    cli_put(stdout, json_string_value(name ? name : json_object_get(answer, "text")), 0);
    putchar('\t');
    cli_put(stdout, json_string_value(json_object_get(answer, "label")), 0);
    printf("\t%.4g\n", json_number_value(json_object_get(answer, "score")));
}

static void print(void *context, const json_t *answer) {
    const bool *lines = context; /* several inputs: the best class of each behind its name */
    if (*lines) put_line(answer);
    else cli_print_choices(json_object_get(answer, "top"));
}

/* The lines of --labels-file behind those of --labels. */
static int read_labels(const cli_args *args, json_t *options) {
    const char *path = cli_text(args, OPT_LABELS_FILE);
    if (!path) return CLI_DONE;
    FILE *file = fopen(path, "r");
    if (!file) return cli_failed(SN_ERR_IO, path, "%s: cannot be opened", path);
    json_t *labels = json_object_get(options, "labels");
    if (!labels) {
        labels = json_array();
        json_object_set_new(options, "labels", labels);
    }
    char *line = NULL;
    size_t room = 0, number = 0;
    ssize_t size;
    int code = CLI_DONE;
    while (!code && (size = getline(&line, &room, file)) >= 0) {
        number++;
        while (size > 0 && strchr(" \t\r\n", line[size - 1]) && line[size - 1]) size--;
        if (size && json_array_append_new(labels, json_stringn(line, (size_t)size)) != 0)
            code = cli_failed(SN_ERR_FORMAT, path, "%s: line %zu is not UTF-8", path, number);
    }
    if (!code && ferror(file)) code = cli_failed(SN_ERR_IO, path, "%s: cannot be read", path);
    if (!code && !json_array_size(labels)) code = cli_usage("%s holds no labels", path);
    free(line);
    (void)fclose(file);
    return code;
}

/* Words are texts for a model that sees nothing, else names of pictures. */
static int takes_texts(const sn_pipeline *p, bool *text) {
    char *about;
    sn_status status = sn_pipeline_describe(p, &about);
    if (status) return cli_fail(status);
    json_t *tree = cli_take_json(about), *kind;
    size_t i;
    *text = true;
    json_array_foreach(json_object_get(tree, "accepts"), i, kind)
        if (strcmp(json_string_value(kind), "image") == 0) *text = false;
    json_decref(tree);
    return CLI_DONE;
}

int cli_classify(const cli_args *args) {
    cli_items items = {0};
    sn_pipeline *p = NULL;
    json_t *options = cli_pick(args, BIT(LABELS) | BIT(TEMPLATE) | BIT(TOP) | BIT(BATCH_SIZE));
    bool text = true, lines;
    cli_answers answers = {.print = print, .context = &lines};
    int code = read_labels(args, options);
    if (!code) code = cli_open_pipeline(args, NULL, &p);
    if (!code) code = takes_texts(p, &text);
    if (!code) code = cli_items_read(args, 1, text, &items);
    lines = items.count > 1;
    if (!code) code = cli_answer(args, p, "classify", &items, json_dumps(options, JSON_COMPACT), &answers);
    json_decref(options);
    sn_pipeline_free(p);
    cli_items_free(&items);
    return code;
}
