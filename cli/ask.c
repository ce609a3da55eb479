/* ask.c: `sensorium ask MODEL IMAGE QUESTION...`: answers to questions about a picture, with their scores where the model
 * chooses among answers that it knows. */
#include <stdlib.h>

#include "cli.h"

typedef struct form {
    bool json, several; /* several: each answer behind its question */
    size_t failed;
} form;

/* The answers that came nearest, best first. */
static void put_choices(const json_t *top) {
    cli_grid *grid = cli_grid_new(2);
    size_t i;
    json_t *pair;
    cli_grid_right(grid, 1);
    json_array_foreach(top, i, pair) {
        cli_grid_value(grid, json_array_get(pair, 0));
        cli_grid_value(grid, json_array_get(pair, 1));
    }
    cli_grid_print(grid, stdout, false);
}

static int take(void *context, const char *text) {
    form *f = context;
    json_t *answer = json_loads(text, JSON_ALLOW_NUL, NULL);
    const json_t *top = json_object_get(answer, "top");
    bool failed = json_object_get(answer, "error") != NULL;
    f->failed += failed;
    if (f->json) cli_print_json(answer);
    else if (failed) cli_item_error(answer);
    else {
        if (f->several) {
            cli_put(stdout, json_string_value(json_object_get(answer, "question")), 0);
            putchar(top ? '\n' : '\t');
        }
        if (top) put_choices(top);
        else {
            cli_put(stdout, json_string_value(json_object_get(answer, "answer")), 0);
            putchar('\n');
        }
    }
    json_decref(answer);
    return ferror(stdout);
}

int cli_ask(const cli_args *args) {
    cli_items items = {0};
    sn_pipeline *p = NULL;
    form f = {.json = cli_given(args, OPT_JSON)};
    int code = cli_items_read(args, 2, true, &items);
    for (size_t i = 0; !code && i < items.count; i++) items.list[i].file = args->items[1];
    if (!code) code = cli_open_pipeline(args, "ask", &p);
    if (!code) {
        char *options = cli_pick_text(args, CLI_GENERATION_OPTIONS | BIT(TOP) | BIT(REGIONS));
        f.several = items.count > 1;
        sn_listener listener = {.result = take, .context = &f};
        sn_status status = sn_pipeline_run(p, "ask", items.list, items.count, options, &listener);
        free(options);
        if (status) code = f.failed ? CLI_FAILED : cli_fail(status);
    }
    sn_pipeline_free(p);
    cli_items_free(&items);
    return code;
}
