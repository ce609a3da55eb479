/* verify.c: `sensorium verify MODEL`: are the numbers on this machine those the model was saved with? */
#include "cli.h"

static void print_answer(const json_t *answer) {
    bool same = json_is_true(json_object_get(answer, "same"));
    bool identical = json_is_true(json_object_get(answer, "bit_identical"));
    printf("%s: %lld rows, largest difference %.3g%s\n", same ? "the same numbers" : "DIFFERENT NUMBERS",
           (long long)json_integer_value(json_object_get(answer, "rows")),
           json_number_value(json_object_get(answer, "largest_difference")),
           identical ? " (identical to the last bit)" : "");
}

int cli_verify(const cli_args *args) {
    sn_model *model = NULL;
    char *text = NULL;
    int code = cli_open_model(args, args->items[0], &model);
    if (code) return code;
    sn_status status = sn_model_verify(model, &text);
    json_t *answer = status ? NULL : cli_take_json(text);
    if (status) code = cli_fail(status);
    else if (!answer) code = CLI_FAILED;
    else if (cli_given(args, OPT_JSON)) cli_print_json(answer);
    else print_answer(answer);
    if (!code && !json_is_true(json_object_get(answer, "same"))) code = CLI_FAILED;
    json_decref(answer);
    sn_model_free(model);
    return code;
}
