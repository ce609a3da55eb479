/* features.c: `sensorium features MODEL DATA -o FILE.safetensors`: the arrays that the encoders get. */
#include "cli.h"

int cli_features(const cli_args *args) {
    const char *output = cli_text(args, OPT_OUTPUT);
    if (!output) return cli_usage("features needs -o FILE.safetensors");
    sn_model *model = NULL;
    sn_table *table = NULL;
    int code = cli_check_output(args, output);
    if (!code) code = cli_open_model(args, args->items[0], &model);
    if (!code) code = cli_open_table(args, args->items[1], &table);
    if (!code) {
        sn_status status = sn_model_features(model, table, NULL, output);
        if (status) code = cli_fail(status);
    }
    if (!code && !cli_given(args, OPT_QUIET) && !cli_given(args, OPT_JSON))
        fprintf(stderr, "%lld rows written to %s\n", (long long)sn_table_rows(table), output);
    sn_table_free(table);
    sn_model_free(model);
    return code;
}
