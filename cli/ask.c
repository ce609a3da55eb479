/* ask.c: `sensorium ask MODEL IMAGE QUESTION...`: answers to questions about a picture, with their scores where the model
 * chooses among answers that it knows. */
#include "cli.h"

static void print(void *context, const json_t *answer) {
    const bool *several = context; /* each answer behind its question */
    const json_t *top = json_object_get(answer, "top");
    if (*several) {
        cli_put(stdout, json_string_value(json_object_get(answer, "question")), 0);
        putchar(top ? '\n' : '\t');
    }
    if (top) {
        cli_print_choices(top);
        return;
    }
    cli_put(stdout, json_string_value(json_object_get(answer, "answer")), 0);
    putchar('\n');
}

int cli_ask(const cli_args *args) {
    cli_items items = {0};
    bool several;
    cli_answers answers = {.print = print, .context = &several};
    int code = cli_items_read(args, 2, true, &items);
    for (size_t i = 0; !code && i < items.count; i++) items.list[i].file = args->items[1];
    several = items.count > 1;
    if (!code)
        code = cli_answer(args, NULL, "ask", &items, cli_pick_text(args, CLI_GENERATION_OPTIONS | BIT(TOP) | BIT(REGIONS)), &answers);
    cli_items_free(&items);
    return code;
}
