/* generate.c: `sensorium generate MODEL PROMPT...` and `sensorium caption MODEL IMAGE...`: text that goes on from a prompt
 * or says what a picture shows; shown while it comes, but for captions of several pictures, which come together. */
#include "cli.h"

static int show(void *context, size_t item, const char *utf8, size_t bytes) {
    (void)context;
    (void)item;
    fwrite(utf8, 1, bytes, stdout);
    fflush(stdout);
    return ferror(stdout);
}

/* The text is out already. */
static void end_line(void *context, const json_t *answer) {
    (void)context;
    (void)answer;
    putchar('\n');
}

/* Behind its file. */
static void print_caption(void *context, const json_t *answer) {
    const json_t *text = json_object_get(answer, "text");
    cli_put(stdout, json_string_value(json_object_get(answer, "image")), 0);
    fputs(": ", stdout);
    (void)show(context, 0, json_string_value(text), json_string_length(text));
    putchar('\n');
}

static int write_all(const cli_args *args, const char *task, bool prompts) {
    static const cli_answers as_it_comes = {.print = end_line, .text = show}, together = {.print = print_caption};
    cli_items items = {0};
    int code = cli_items_read(args, 1, prompts, &items);
    if (!code)
        code = cli_answer(args, NULL, task, &items, cli_pick_text(args, CLI_GENERATION_OPTIONS | BIT(BATCH_SIZE) | BIT(PROMPT)),
                          !prompts && items.count > 1 ? &together : &as_it_comes);
    cli_items_free(&items);
    return code;
}

int cli_generate(const cli_args *args) { return write_all(args, "generate", true); }
int cli_caption(const cli_args *args) { return write_all(args, "caption", false); }
