/* tokenize.c: `sensorium tokenize MODEL TEXT...`: how a published model cuts texts. */
#include <stdlib.h>

#include "cli.h"

/* "[CLS]/101 hello/7592" */
static void print_part(void *context, const json_t *part) {
    bool *begun = context;
    const json_t *tokens = json_object_get(part, "tokens"), *ids = json_object_get(part, "ids");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *token = json_string_value(json_array_get(tokens, i));
        if (*begun) putchar(' ');
        *begun = true;
        cli_put(stdout, token ? token : "?", 0);
        printf("/%lld", (long long)json_integer_value(json_array_get(ids, i)));
    }
}

/* After the parts, or the text of ids. */
static void print(void *context, const json_t *answer) {
    bool *begun = context;
    const char *text = json_string_value(json_object_get(answer, "text"));
    if (text) cli_put(stdout, text, 0);
    putchar('\n');
    *begun = false;
}

/* "--decode 1,2" came as words. */
static int decode_list(const cli_args *args, json_t *options) {
    json_t *ids = json_array(), *word;
    size_t i;
    json_array_foreach(json_object_get(args->values, "decode"), i, word) {
        char *end;
        long long id = strtoll(json_string_value(word), &end, 10);
        if (*end) {
            json_decref(ids);
            return cli_usage("--decode needs whole numbers, not '%s'", json_string_value(word));
        }
        json_array_append_new(ids, json_integer(id));
    }
    json_object_set_new(options, "decode", ids);
    return CLI_DONE;
}

int cli_tokenize(const cli_args *args) {
    bool begun = false; /* a line of tokens */
    const cli_answers answers = {.print = print, .part = print_part, .context = &begun};
    cli_items items = {0};
    json_t *options = cli_pick(args, BIT(PAIR));
    if (cli_given(args, OPT_PLAIN)) json_object_set_new(options, "special", json_false());
    int code = cli_given(args, OPT_DECODE) ? decode_list(args, options) : cli_items_read(args, 1, true, &items);
    if (!code) code = cli_answer(args, NULL, "tokenize", &items, json_dumps(options, JSON_COMPACT), &answers);
    cli_items_free(&items);
    json_decref(options);
    return code;
}
