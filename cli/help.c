/* help.c: `sensorium help`, the manual page and the shell completion, all from the two tables (commands.def,
 * options.def), so that none can tell another story than the parser. */
#include <string.h>

#include "cli.h"

static const char about[] = "a multimodal model system: learns from tables of pictures, sounds, words and numbers";

static const struct {
    int code;
    const char *meaning;
} exits[] = {{CLI_DONE, "done"},
             {CLI_FAILED, "the data, the model or the machine failed"},
             {CLI_USAGE, "wrong usage"},
             {CLI_STOPPED, "stopped by Ctrl-C or SIGTERM, everything saved"}};

static bool takes(const cli_command *command, int option) {
    return (command->options | CLI_COMMON_OPTIONS) >> option & 1;
}

/* "-o, --output PATH" */
static void option_words(const cli_option *option, char *text, size_t size) {
    char letter[8] = "";
    if (option->letter) (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    (void)snprintf(text, size, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
                   option->value ? option->value : "");
}

/* Text broken into lines of at most 78 columns (ASCII). */
static void put_wrapped(FILE *to, const char *text) {
    while (*text) {
        size_t size = strlen(text), end = size;
        if (size > 78)
            for (end = 78; end > 0 && text[end] != ' ';) end--;
        fprintf(to, "%.*s\n", (int)end, text);
        text += end;
        while (*text == ' ') text++;
    }
}

static void print_exits(FILE *to) {
    fprintf(to, "\nExit codes:");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        fprintf(to, "%s %d %s", i ? ";" : "", exits[i].code, exits[i].meaning);
    fprintf(to, ".\n");
}

static void print_one(FILE *to, const cli_command *command) {
    fprintf(to, "sensorium %s %s\n\n", command->name, command->usage);
    put_wrapped(to, command->text);
    fprintf(to, "\nOptions:\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        if (!takes(command, i)) continue;
        char words[80];
        option_words(&cli_options[i], words, sizeof words);
        fprintf(to, "  %-26s %s\n", words, cli_options[i].help);
    }
    print_exits(to);
}

void cli_print_help(FILE *to, const cli_command *command) {
    if (command) {
        print_one(to, command);
        return;
    }
    fprintf(to, "sensorium %s: %s\n\n", sn_version(), about);
    for (int i = 0; i < cli_command_count; i++)
        fprintf(to, "  %-10s %s\n", cli_commands[i].name, cli_commands[i].summary);
    fprintf(to, "\nFirst steps:\n"
                "  sensorium inspect  mydata.csv\n"
                "  sensorium train    mydata.csv --target COLUMN -o mymodel\n"
                "  sensorium evaluate mymodel other.csv\n"
                "  sensorium predict  mymodel new.csv -o answers.csv\n"
                "\nA command's options: sensorium help COMMAND\n");
    print_exits(to);
}

/* ---- manual page ---------------------------------------------------------------------------- */

static void put_roff(const char *text) {
    for (; *text; text++) {
        if (*text == '\\') fputs("\\e", stdout);
        else if (*text == '-') fputs("\\-", stdout);
        else putchar(*text);
    }
}

static void man_command(const cli_command *command) {
    printf(".SS \"sensorium %s ", command->name);
    put_roff(command->usage);
    printf("\"\n");
    put_roff(command->text);
    printf("\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        if (!(command->options >> i & 1)) continue;
        char words[80];
        option_words(&cli_options[i], words, sizeof words);
        printf(".TP\n.B ");
        put_roff(words);
        printf("\n");
        put_roff(cli_options[i].help);
        printf("\n");
    }
}

static int print_man(void) {
    printf(".TH SENSORIUM 1 \"\" \"sensorium %s\" \"User Commands\"\n", sn_version());
    printf(".SH NAME\nsensorium \\- %s\n", about);
    printf(".SH SYNOPSIS\n.B sensorium\n.I COMMAND\n[\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]\n");
    printf(".SH DESCRIPTION\nResults go to standard output, progress and errors to standard error. Every command "
           "takes \\-\\-json, \\-\\-quiet and \\-\\-help.\n");
    printf(".SH COMMANDS\n");
    for (int i = 0; i < cli_command_count; i++) man_command(&cli_commands[i]);
    printf(".SH \"EXIT STATUS\"\n");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        printf(".TP\n.B %d\n%s\n", exits[i].code, exits[i].meaning);
    return CLI_DONE;
}

/* ---- completion ----------------------------------------------------------------------------- */

static int print_bash(void) {
    printf("# bash completion for sensorium; files everywhere, options and commands by name\n"
           "_sensorium() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n        words=\"");
    for (int i = 0; i < cli_command_count; i++) printf("%s%s", i ? " " : "", cli_commands[i].name);
    printf("\"\n    else\n        case $before in\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        if (cli_options[i].kind != CLI_CHOICE) continue;
        printf("        --%s) words=\"", cli_options[i].name);
        for (const char *c = cli_options[i].value; *c; c++) putchar(*c == '|' ? ' ' : *c);
        printf("\" ;;\n");
    }
    printf("        *) case ${COMP_WORDS[1]} in\n");
    for (int i = 0; i < cli_command_count; i++) {
        printf("            %s) words=\"", cli_commands[i].name);
        for (int o = 0; o < OPT_COUNT; o++)
            if (takes(&cli_commands[i], o)) printf("--%s ", cli_options[o].name);
        printf("\" ;;\n");
    }
    printf("            esac\n            case $word in -*) ;; *) words= ;; esac ;;\n        esac\n    fi\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "}\n"
           "complete -o default -F _sensorium sensorium\n");
    return CLI_DONE;
}

int cli_help(const cli_args *args) {
    if (cli_given(args, OPT_MAN)) return print_man();
    if (cli_given(args, OPT_COMPLETION)) return print_bash();
    const cli_command *command = args->count ? cli_command_find(args->items[0]) : NULL;
    if (args->count && !command) {
        const char *nearest = cli_command_nearest(args->items[0]);
        return nearest ? cli_usage("there is no command '%s'; did you mean %s?", args->items[0], nearest)
                       : cli_usage("there is no command '%s'", args->items[0]);
    }
    cli_print_help(stdout, command);
    return CLI_DONE;
}
