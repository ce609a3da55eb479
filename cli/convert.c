/* convert.c: `sensorium convert IN -o OUT`: a checkpoint of any readable format as a directory with model.safetensors. */
#include <stdlib.h>

#include "cli.h"

static void print_report(const json_t *about, const char *output) {
    size_t i;
    json_t *name;
    printf("%s: %lld tensors, %.1f MB\n", output, (long long)json_integer_value(json_object_get(about, "tensors")),
           (double)json_integer_value(json_object_get(about, "bytes")) / 1e6);
    printf("from %s (%s)\n", json_string_value(json_object_get(about, "source")), json_string_value(json_object_get(about, "format")));
    json_array_foreach(json_object_get(about, "files"), i, name) printf("copied %s\n", json_string_value(name));
}

int cli_convert(const cli_args *args) {
    const char *output = cli_text(args, OPT_OUTPUT);
    if (!output) return cli_usage("convert needs -o MODEL");
    int code = cli_check_output(args, output);
    if (code) return code;
    char *text = NULL, *options = cli_pick_text(args, BIT(DTYPE) | BIT(OVERWRITE));
    sn_status status = sn_weights_convert(args->items[0], output, options, &text);
    free(options);
    if (status) return cli_fail(status);
    json_t *about = cli_take_json(text);
    if (!about) return CLI_FAILED;
    long long lost = json_integer_value(json_object_get(about, "overflows"));
    if (lost) fprintf(stderr, "%lld numbers are too large for f16 and became infinite; bf16 has room for them\n", lost);
    if (cli_given(args, OPT_JSON)) cli_print_json(about);
    else if (!cli_given(args, OPT_QUIET)) print_report(about, output);
    json_decref(about);
    return CLI_DONE;
}
