/* main.c: finds the command in commands.def and runs it. */
#include <locale.h>
#include <signal.h>
#include <string.h>

#include "cli.h"

const cli_command cli_commands[] = {
#define COMMAND(name, usage, summary, text, least, most, options) \
    {#name, usage, summary, text, least, most, options, cli_##name},
#include "commands.def"
#undef COMMAND
};
const int cli_command_count = (int)(sizeof cli_commands / sizeof *cli_commands);

const cli_command *cli_command_find(const char *name) {
    for (int i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, name) == 0) return &cli_commands[i];
    return NULL;
}

const char *cli_command_nearest(const char *name) {
    return cli_nearest(name, cli_commands, cli_command_count, sizeof *cli_commands);
}

/* Errors of reading the options must already be in the form that the options ask for. */
static bool asks_for_json(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0) return true;
    return false;
}

static int run(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0) {
        printf("sensorium %s\n", sn_version());
        return CLI_DONE;
    }
    if (!*name) {
        cli_print_help(stderr, NULL);
        return CLI_USAGE;
    }
    const cli_command *command = cli_command_find(name);
    if (!command) {
        const char *nearest = cli_command_nearest(name);
        return nearest ? cli_usage("there is no command '%s'; did you mean %s?", name, nearest)
                       : cli_usage("there is no command '%s'; see: sensorium help", name);
    }
    cli_args args = {.program = argv[0], .argv = argv, .command = command};
    int code = cli_parse(argc - 2, argv + 2, &args);
    if (!code && cli_given(&args, OPT_HELP)) cli_print_help(stdout, command);
    else if (!code) code = command->run(&args);
    cli_args_free(&args);
    return code;
}

int main(int argc, char **argv) {
    if (!setlocale(LC_CTYPE, "C.UTF-8")) (void)setlocale(LC_CTYPE, ""); /* widths of characters */
    (void)signal(SIGPIPE, SIG_IGN);                                     /* a closed pipe is a failed write */
    cli_error_style("sensorium", asks_for_json(argc, argv));
    return cli_flush(run(argc, argv));
}
