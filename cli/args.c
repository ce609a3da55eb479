/* args.c: options and positional arguments, read by the table in options.def.
 *
 *   argv after the command's name -> positional items + one JSON object keyed as the library's options are
 *
 * Because the values already carry the library's keys, a command hands on what was given by picking bits
 * (cli_pick) and never translates. "--name value", "--name=value", "-o value" and "-ovalue" are read; "--" ends the
 * options. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const cli_option cli_options[OPT_COUNT] = {
#define OPTION(id, name, letter, kind, value, key, help) {name, letter, kind, value, key, help},
#include "options.def"
#undef OPTION
};

/* Edit distance (insert, delete, replace) of words up to 63 bytes; longer ones are far from everything. */
static int distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > 63 || m > 63) return 64;
    int row[64];
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = replace < other ? replace : other;
        }
    }
    return row[m];
}

const char *cli_nearest(const char *word, const void *words, int count, size_t stride) {
    const char *nearest = NULL;
    int best = (int)strlen(word) / 3 + 2;
    for (int i = 0; i < count; i++) {
        const char *other;
        memcpy(&other, (const char *)words + (size_t)i * stride, sizeof other);
        int d = distance(word, other);
        if (d < best) best = d, nearest = other;
    }
    return nearest;
}

bool cli_given(const cli_args *args, cli_option_id id) { return (args->given >> id) & 1; }

const char *cli_text(const cli_args *args, cli_option_id id) {
    return json_string_value(json_object_get(args->values, cli_options[id].key));
}

int64_t cli_whole(const cli_args *args, cli_option_id id, int64_t fallback) {
    return cli_given(args, id) ? json_integer_value(json_object_get(args->values, cli_options[id].key)) : fallback;
}

json_t *cli_pick(const cli_args *args, cli_bits ids) {
    json_t *picked = json_object();
    for (int i = 0; i < OPT_COUNT; i++)
        if ((ids & args->given) >> i & 1)
            json_object_set(picked, cli_options[i].key, json_object_get(args->values, cli_options[i].key));
    return picked;
}

char *cli_pick_text(const cli_args *args, cli_bits ids) {
    json_t *picked = cli_pick(args, ids);
    char *text = json_dumps(picked, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(picked);
    return text;
}

/* The part of `text` up to an unescaped comma, "\," and "\\" unescaped, from the heap; moves *text behind it. */
static char *next_name(const char **text) {
    char *name = malloc(strlen(*text) + 1);
    if (!name) return NULL;
    size_t size = 0;
    const char *at = *text;
    while (*at && *at != ',') {
        if (at[0] == '\\' && (at[1] == ',' || at[1] == '\\')) at++;
        name[size++] = *at++;
    }
    name[size] = '\0';
    *text = *at ? at + 1 : at;
    return name;
}

static int add_pair(const cli_option *option, json_t *pairs, char *pair) {
    char *equals = strrchr(pair, '='); /* a column's name may have one, the value does not */
    if (!equals || equals == pair || !equals[1])
        return cli_usage("--%s needs %s, not '%s'", option->name, option->value, pair);
    *equals = '\0';
    if (json_object_set_new(pairs, pair, json_string(equals + 1)) != 0)
        return cli_usage("--%s: '%s' is not UTF-8", option->name, pair);
    return CLI_DONE;
}

/* Adds every comma-separated part of `text` to the option's list or object. */
static int add_parts(const cli_option *option, json_t *values, const char *text) {
    json_t *all = json_object_get(values, option->key);
    if (!all) {
        all = option->kind == CLI_LIST ? json_array() : json_object();
        json_object_set_new(values, option->key, all);
    }
    do {
        char *part = next_name(&text);
        if (!part) return cli_failed(SN_ERR_MEMORY, NULL, "out of memory");
        int failed = CLI_DONE;
        if (!*part) failed = cli_usage("--%s: a name is empty", option->name);
        else if (option->kind == CLI_PAIR) failed = add_pair(option, all, part);
        else if (json_array_append_new(all, json_string(part)) != 0)
            failed = cli_usage("--%s: '%s' is not UTF-8", option->name, part);
        free(part);
        if (failed) return failed;
    } while (*text);
    return CLI_DONE;
}

static int set_number(const cli_option *option, json_t *values, const char *text) {
    char *end = NULL;
    errno = 0;
    json_t *value = NULL;
    if (option->kind == CLI_WHOLE) {
        long long number = strtoll(text, &end, 10);
        if (end != text && !*end && !errno && number >= 0) value = json_integer(number);
    } else {
        double number = strtod(text, &end);
        if (end != text && !*end && !errno && isfinite(number) && number >= 0) value = json_real(number);
    }
    if (!value)
        return cli_usage("--%s needs a %s that is not negative, not '%s'", option->name,
                         option->kind == CLI_WHOLE ? "whole number" : "number", text);
    json_object_set_new(values, option->key, value);
    return CLI_DONE;
}

/* Is `word` one of "a|b|c"? */
static bool is_choice(const char *choices, const char *word) {
    size_t size = strlen(word);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (size && strncmp(at, word, size) == 0 && (at[size] == '|' || !at[size])) return true;
    return false;
}

static int set_value(const cli_option *option, json_t *values, const char *text) {
    switch (option->kind) {
    case CLI_LIST:
    case CLI_PAIR: return add_parts(option, values, text);
    case CLI_WHOLE:
    case CLI_NUMBER: return set_number(option, values, text);
    case CLI_CHOICE:
        if (!is_choice(option->value, text))
            return cli_usage("--%s needs %s, not '%s'", option->name, option->value, text);
        break;
    case CLI_FLAG:
    case CLI_TEXT: break;
    }
    if (!*text) return cli_usage("--%s: the value is empty", option->name);
    if (json_object_set_new(values, option->key, json_string(text)) != 0)
        return cli_usage("--%s: the value is not UTF-8", option->name);
    return CLI_DONE;
}

/* The option that `word` names for this command, or OPT_COUNT after printing what is wrong. */
static cli_option_id find_option(const cli_command *command, const char *word, size_t size) {
    const char *near[OPT_COUNT];
    int count = 0;
    for (int i = 0; i < OPT_COUNT; i++) {
        const cli_option *o = &cli_options[i];
        if (!((command->options | CLI_COMMON_OPTIONS) >> i & 1)) continue;
        bool is = word[1] == '-' ? strlen(o->name) == size - 2 && strncmp(word + 2, o->name, size - 2) == 0
                                 : o->letter && word[1] == o->letter;
        if (is) return (cli_option_id)i;
        near[count++] = o->name;
    }
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)(size < 60 ? size : 60), word);
    const char *nearest = word[1] == '-' ? cli_nearest(name + 2, near, count, sizeof *near) : NULL;
    if (nearest)
        (void)cli_usage("%s has no option %s; did you mean --%s?", command->name, name, nearest);
    else
        (void)cli_usage("%s has no option %s; see: sensorium help %s", command->name, name, command->name);
    return OPT_COUNT;
}

/* Reads the option at argv[*i]; moves *i to its last word. */
static int read_option(int argc, char **argv, int *i, cli_args *args) {
    const char *word = argv[*i];
    bool is_long = word[1] == '-';
    const char *value = is_long ? strchr(word, '=') : word[2] ? word + 2 : NULL;
    size_t size = is_long ? (value ? (size_t)(value - word) : strlen(word)) : 2;
    cli_option_id id = find_option(args->command, word, size);
    if (id == OPT_COUNT) return CLI_USAGE;
    const cli_option *option = &cli_options[id];
    args->given |= (cli_bits)1 << id;
    if (option->kind == CLI_FLAG) {
        if (value) return cli_usage("%.*s takes no value", (int)size, word);
        json_object_set_new(args->values, option->key, json_true());
        return CLI_DONE;
    }
    if (value && is_long) value++;
    if (!value) {
        if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
            return cli_usage("%.*s needs a value: %s", (int)size, word, option->value);
        value = argv[++*i];
    }
    return set_value(option, args->values, value);
}

int cli_parse(int argc, char **argv, cli_args *args) {
    args->values = json_object();
    args->items = calloc((size_t)argc + 1, sizeof *args->items);
    if (!args->values || !args->items) return cli_failed(SN_ERR_MEMORY, NULL, "out of memory");
    bool options = true;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            int failed = read_option(argc, argv, &i, args);
            if (failed) return failed;
        } else {
            args->items[args->count++] = argv[i];
        }
    }
    const cli_command *command = args->command;
    if (cli_given(args, OPT_HELP)) return CLI_DONE;
    if (args->count < command->least)
        return cli_usage("%s needs more: sensorium %s %s", command->name, command->name, command->usage);
    if (command->most >= 0 && args->count > command->most)
        return cli_usage("%s does not know what to do with '%s': sensorium %s %s", command->name,
                         args->items[command->most], command->name, command->usage);
    return CLI_DONE;
}

void cli_args_free(cli_args *args) {
    json_decref(args->values);
    free(args->items);
}
