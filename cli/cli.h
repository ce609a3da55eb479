/* cli.h: what the files of the command share. The command uses the library's public header and nothing else
 * of it, so everything it can do a C program can do too.
 *
 *   argv -> cli_parse (options.def) -> cli_args -> a command's run() (commands.def) -> exit code
 *
 * Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 the data, model or machine
 * failed, 2 wrong usage, 130 stopped by Ctrl-C or SIGTERM. */
#ifndef CLI_H
#define CLI_H
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "sensorium.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_STOPPED = 130 };

/* ---- options: one row each in options.def -------------------------------------------------- */

typedef enum cli_option_id {
#define OPTION(id, name, letter, kind, value, key, help) OPT_##id,
#include "options.def"
#undef OPTION
    OPT_COUNT
} cli_option_id;

typedef enum cli_option_kind {
    CLI_FLAG,   /* true */
    CLI_TEXT,   /* a string */
    CLI_LIST,   /* "a,b" -> ["a", "b"]; "\," is a comma inside a name; repeating adds */
    CLI_PAIR,   /* "COL=NAME,COL=NAME" -> {"COL": "NAME"}; repeating adds */
    CLI_WHOLE,  /* a whole number >= 0 */
    CLI_NUMBER, /* a finite number >= 0 */
    CLI_CHOICE  /* one word of `value`, which is "a|b" */
} cli_option_kind;

typedef struct cli_option {
    const char *name;
    char letter; /* 0: none */
    cli_option_kind kind;
    const char *value; /* what the help calls it */
    const char *key;   /* its place in cli_args.values, and in the library's options */
    const char *help;
} cli_option;
extern const cli_option cli_options[OPT_COUNT];

/* A bit of each option. */
__extension__ typedef unsigned __int128 cli_bits;
_Static_assert(OPT_COUNT <= 128, "an option has no bit");

/* ---- commands: one row each in commands.def ------------------------------------------------ */

typedef struct cli_args cli_args;
typedef struct cli_command {
    const char *name, *usage, *summary;
    const char *text;   /* paragraphs for help and the manual page */
    int least, most;    /* positional arguments; most < 0: any number */
    cli_bits options;   /* bit of every option it takes */
    int (*run)(const cli_args *args);
} cli_command;
extern const cli_command cli_commands[];
extern const int cli_command_count;
const cli_command *cli_command_find(const char *name);
const char *cli_command_nearest(const char *name); /* NULL when none is near */

struct cli_args {
    const char *program; /* as it was called */
    char **argv;         /* the whole call */
    const cli_command *command;
    int count;
    const char **items; /* positional arguments */
    cli_bits given;     /* bit of every option given */
    json_t *values;     /* option key -> value */
};

/* Reads what follows the command's name; on failure prints the error and returns CLI_USAGE. */
int cli_parse(int argc, char **argv, cli_args *args);
void cli_args_free(cli_args *args);
bool cli_given(const cli_args *args, cli_option_id id);
const char *cli_text(const cli_args *args, cli_option_id id); /* NULL when not given */
int64_t cli_whole(const cli_args *args, cli_option_id id, int64_t fallback);
/* The given ones among `ids` as a JSON object (a new reference). */
json_t *cli_pick(const cli_args *args, cli_bits ids);
/* The same as text for the library; freed by the caller. */
char *cli_pick_text(const cli_args *args, cli_bits ids);
/* Nearest of `count` words, `stride` bytes apart, each starting with a char pointer; NULL when none is near. */
const char *cli_nearest(const char *word, const void *words, int count, size_t stride);

#define BIT(id) ((cli_bits)1 << OPT_##id)
#define CLI_TABLE_OPTIONS (BIT(ENCODING) | BIT(MEDIA_ROOT) | BIT(LIMIT))
#define CLI_MODEL_OPTIONS (BIT(THREADS) | BIT(PRECISION))
#define CLI_GENERATION_OPTIONS                                                                                   \
    (BIT(NUM_BEAMS) | BIT(BEAMS) | BIT(MAX_LENGTH) | BIT(MAX_NEW_TOKENS) | BIT(LENGTH_PENALTY) | BIT(SAMPLE) |    \
     BIT(TEMPERATURE) | BIT(TOP_K) | BIT(TOP_P) | BIT(SEED))
#define CLI_COMMON_OPTIONS (BIT(JSON) | BIT(QUIET) | BIT(HELP))

/* ---- errors -------------------------------------------------------------------------------- */

/* From now on errors are JSON objects (--json) and name the program so. */
void cli_error_style(const char *program, bool json);
/* Prints the library's last failure; returns the exit code of `status`. */
int cli_fail(sn_status status);
/* Prints a failure of the command's own; returns CLI_USAGE or CLI_FAILED. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_failed(sn_status code, const char *file, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Prints one data row's failure ({"code","message","row","line","column","file"}) and goes on. */
void cli_row_error(const json_t *row, const json_t *error);

/* ---- output -------------------------------------------------------------------------------- */

/* A table of text cells, aligned by display width. */
typedef struct cli_grid cli_grid;
cli_grid *cli_grid_new(int columns);
void cli_grid_right(cli_grid *grid, int column); /* numbers stand to the right */
void cli_grid_add(cli_grid *grid, const char *cell); /* next cell, row by row; NULL is "" */
void cli_grid_addf(cli_grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_grid_value(cli_grid *grid, const json_t *value); /* a number, text, bool or null, as people read it */
/* Prints (the first row as a heading when `heading`) and frees. */
void cli_grid_print(cli_grid *grid, FILE *to, bool heading);

int cli_width(const char *text, size_t bytes); /* columns on a terminal; controls count as one */
/* Prints UTF-8 with controls replaced, cut to `most` columns (0: whole). Returns the columns printed. */
int cli_put(FILE *to, const char *text, int most);
/* One compact line of JSON with "schema":1 in front. */
void cli_print_json(const json_t *value);
/* Quotes for a POSIX shell, to stdout. */
void cli_put_quoted(const char *text);
/* Flushes stdout; a failed write (full disk, closed pipe) is an error. */
int cli_flush(int exit_code);
/* Reads the library's JSON; frees `text`. NULL after printing an error. */
json_t *cli_take_json(char *text);

/* ---- training's progress ------------------------------------------------------------------- */

typedef struct cli_progress {
    bool quiet, terminal, shown; /* shown: a bar is on the last line */
    double last;                 /* when the bar was last drawn, seconds */
} cli_progress;
void cli_progress_start(cli_progress *progress, bool quiet);
void cli_progress_event(cli_progress *progress, const json_t *event);
void cli_progress_end(cli_progress *progress); /* takes the bar away */
double cli_seconds(void);

/* ---- files --------------------------------------------------------------------------------- */

/* Opens DATA with the given table options; prints the error. */
int cli_open_table(const cli_args *args, const char *path, sn_table **out);
int cli_open_model(const cli_args *args, const char *path, sn_model **out);
/* Fails when `path` exists and --overwrite is not given. */
int cli_check_output(const cli_args *args, const char *path);
/* A file written beside its place, then synced and renamed. */
typedef struct cli_file {
    FILE *stream;
    char *path, *part;
} cli_file;
int cli_file_open(const char *path, cli_file *out);
int cli_file_commit(cli_file *file); /* frees; prints the error */
void cli_file_abandon(cli_file *file);

/* ---- inputs of published models (items.c) --------------------------------------------------- */

/* The positional arguments from `first` on, then the lines of --items, as items of one kind: "text", "image" or
 * "audio". Strings stay valid until it is freed. */
typedef struct cli_items {
    sn_item *list;
    size_t count, room;
    char **lines; /* of --items, owned */
    size_t line_count, line_room;
} cli_items;
int cli_items_read(const cli_args *args, int first, bool text, cli_items *out); /* prints the error */
void cli_items_free(cli_items *items);
/* Opens MODEL for a task (NULL: all); prints the error. */
int cli_open_pipeline(const cli_args *args, const char *task, sn_pipeline **out);
/* Prints an {"item","error":{…}} on stderr. */
void cli_item_error(const json_t *answer);
/* "top" of an answer, [[name, score], …], as a table. */
void cli_print_choices(const json_t *top);
/* Runs the task (on `p`; NULL: MODEL, opened for it) and prints its answers: a line of JSON each with --json, else by
 * `print`, while `text` (or NULL) is given what is written as it comes; items that fail go to stderr. `options` are freed.
 * Returns the exit code. */
typedef struct cli_answers {
    void (*print)(void *context, const json_t *answer);
    void (*part)(void *context, const json_t *part); /* NULL, or `print` is told less: see sn_pipeline_run */
    int (*text)(void *context, size_t item, const char *utf8, size_t bytes);
    void *context;
} cli_answers;
int cli_answer(const cli_args *args, const sn_pipeline *p, const char *task, const cli_items *items, char *options, const cli_answers *answers);

/* ---- commands, one file each --------------------------------------------------------------- */
int cli_inspect(const cli_args *args);
int cli_train(const cli_args *args);
int cli_evaluate(const cli_args *args);
int cli_predict(const cli_args *args);
int cli_features(const cli_args *args);
int cli_info(const cli_args *args);
int cli_verify(const cli_args *args);
int cli_convert(const cli_args *args);
int cli_bench(const cli_args *args);
int cli_embed(const cli_args *args);
int cli_caption(const cli_args *args);
int cli_ask(const cli_args *args);
int cli_classify(const cli_args *args);
int cli_transcribe(const cli_args *args);
int cli_generate(const cli_args *args);
int cli_tokenize(const cli_args *args);
int cli_help(const cli_args *args);
/* Help of one command, or of all when NULL, on `to`. */
void cli_print_help(FILE *to, const cli_command *command);
#endif
