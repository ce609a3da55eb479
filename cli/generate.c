/* generate.c: `sensorium generate MODEL PROMPT...` and `sensorium caption MODEL IMAGE...`: text that goes on from a prompt
 * or says what a picture shows; shown while it comes, but for captions of several pictures, which come together. */
#include <stdlib.h>

#include "cli.h"

typedef struct form {
    bool json, names; /* names: several pictures, each caption behind its file */
    size_t failed;
} form;

static int show(void *context, size_t item, const char *utf8, size_t bytes) {
    (void)context;
    (void)item;
    fwrite(utf8, 1, bytes, stdout);
    fflush(stdout);
    return ferror(stdout);
}

static int take(void *context, const char *text) {
    form *f = context;
    json_t *answer = json_loads(text, JSON_ALLOW_NUL, NULL);
    bool failed = json_object_get(answer, "error") != NULL;
    f->failed += failed;
    if (f->json) cli_print_json(answer);
    else if (failed) cli_item_error(answer);
    else if (f->names) {
        cli_put(stdout, json_string_value(json_object_get(answer, "image")), 0);
        fputs(": ", stdout);
        (void)show(NULL, 0, json_string_value(json_object_get(answer, "text")), json_string_length(json_object_get(answer, "text")));
    }
    if (!f->json && !failed) putchar('\n');
    json_decref(answer);
    return ferror(stdout);
}

static int write_all(const cli_args *args, const char *task, bool prompts) {
    cli_items items = {0};
    sn_pipeline *p = NULL;
    form f = {.json = cli_given(args, OPT_JSON)};
    int code = cli_items_read(args, 1, prompts, &items);
    if (!code) code = cli_open_pipeline(args, task, &p);
    if (!code) {
        char *options = cli_pick_text(args, CLI_GENERATION_OPTIONS | BIT(BATCH_SIZE));
        f.names = !prompts && items.count > 1;
        sn_listener listener = {.result = take, .text = f.json || f.names ? NULL : show, .context = &f};
        sn_status status = sn_pipeline_run(p, task, items.list, items.count, options, &listener);
        free(options);
        if (status) code = f.failed ? CLI_FAILED : cli_fail(status);
    }
    sn_pipeline_free(p);
    cli_items_free(&items);
    return code;
}

int cli_generate(const cli_args *args) { return write_all(args, "generate", true); }
int cli_caption(const cli_args *args) { return write_all(args, "caption", false); }
