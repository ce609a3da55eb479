/* items.c: what is given to a published model on the command line: words or files, and lines of a file; and a task run over
 * them. */
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "cli.h"

static bool grow(void **list, size_t count, size_t *room, size_t size) {
    if (count < *room) return true;
    size_t wanted = *room ? 2 * *room : 64;
    void *bigger = realloc(*list, wanted * size);
    if (!bigger) return false;
    *list = bigger;
    *room = wanted;
    return true;
}

static bool add(cli_items *items, const char *word, size_t bytes, bool text) {
    if (!grow((void **)&items->list, items->count, &items->room, sizeof *items->list)) return false;
    sn_item *item = &items->list[items->count++];
    *item = (sn_item){0};
    if (text) item->text = word, item->bytes = bytes;
    else item->file = word;
    return true;
}

static int read_lines(cli_items *items, const char *path, bool text) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (!file) return cli_failed(SN_ERR_IO, path, "%s: cannot be opened", path);
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    bool fits = true;
    while (fits && (size = getline(&line, &room, file)) >= 0) {
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r')) size--;
        char *copy = malloc((size_t)size + 1);
        fits = copy && grow((void **)&items->lines, items->line_count, &items->line_room, sizeof *items->lines);
        if (!fits) {
            free(copy);
            break;
        }
        memcpy(copy, line, (size_t)size);
        copy[size] = '\0';
        items->lines[items->line_count++] = copy;
        fits = add(items, copy, (size_t)size, text);
    }
    bool broken = ferror(file) != 0;
    free(line);
    if (file != stdin) (void)fclose(file);
    if (!fits) return cli_failed(SN_ERR_MEMORY, path, "out of memory");
    return broken ? cli_failed(SN_ERR_IO, path, "%s: cannot be read", path) : CLI_DONE;
}

int cli_items_read(const cli_args *args, int first, bool text, cli_items *out) {
    *out = (cli_items){0};
    for (int i = first; i < args->count; i++)
        if (!add(out, args->items[i], strlen(args->items[i]), text)) return cli_failed(SN_ERR_MEMORY, NULL, "out of memory");
    const char *path = cli_text(args, OPT_ITEMS);
    int code = path ? read_lines(out, path, text) : CLI_DONE;
    if (!code && !path && !out->count)
        return cli_usage("%s needs more: sensorium %s %s", args->command->name, args->command->name, args->command->usage);
    return code;
}

void cli_items_free(cli_items *items) {
    for (size_t i = 0; i < items->line_count; i++) free(items->lines[i]);
    free(items->lines);
    free(items->list);
    *items = (cli_items){0};
}

int cli_open_pipeline(const cli_args *args, const char *task, sn_pipeline **out) {
    json_t *picked = cli_pick(args, CLI_MODEL_OPTIONS);
    if (task) json_object_set_new(picked, "task", json_string(task));
    char *options = json_dumps(picked, JSON_COMPACT);
    json_decref(picked);
    sn_status status = sn_pipeline_open(args->items[0], options, out);
    free(options);
#ifdef __GLIBC__
    (void)malloc_trim(0); /* opening has read much JSON and left a good part of the heap empty */
#endif
    return status ? cli_fail(status) : CLI_DONE;
}

void cli_item_error(const json_t *answer) { cli_row_error(NULL, json_object_get(answer, "error")); }

/* ---- a task over them ---- */

void cli_print_choices(const json_t *top) {
    cli_grid *grid = cli_grid_new(2);
    size_t i;
    json_t *pair;
    cli_grid_right(grid, 1);
    json_array_foreach(top, i, pair) {
        cli_grid_value(grid, json_array_get(pair, 0));
        cli_grid_value(grid, json_array_get(pair, 1));
    }
    cli_grid_print(grid, stdout, false);
}

typedef struct answering {
    const cli_answers *answers;
    bool json;
    bool begun; /* a line of JSON that comes in pieces */
    size_t failed;
} answering;

static int take_answer(void *context, const char *text) {
    answering *a = context;
    json_t *answer = json_loads(text, JSON_ALLOW_NUL, NULL);
    bool failed = json_object_get(answer, "error") != NULL;
    a->failed += failed;
    if (a->json) cli_print_json(answer);
    else if (failed) cli_item_error(answer);
    else a->answers->print(a->answers->context, answer);
    json_decref(answer);
    return ferror(stdout);
}

static int take_part(void *context, const char *text) {
    const answering *a = context;
    json_t *part = json_loads(text, JSON_ALLOW_NUL, NULL);
    a->answers->part(a->answers->context, part);
    json_decref(part);
    return ferror(stdout);
}

/* {"schema":1, and the rest of the object. */
static int take_piece(void *context, size_t item, const char *json, size_t bytes, int last) {
    answering *a = context;
    (void)item;
    if (!a->begun) {
        fputs("{\"schema\":1,", stdout);
        json++;
        bytes--;
    }
    a->begun = !last;
    fwrite(json, 1, bytes, stdout);
    if (last) putchar('\n');
    return ferror(stdout);
}

static int take_text(void *context, size_t item, const char *utf8, size_t bytes) {
    const answering *a = context;
    return a->answers->text(a->answers->context, item, utf8, bytes);
}

int cli_answer(const cli_args *args, const sn_pipeline *p, const char *task, const cli_items *items, char *options,
               const cli_answers *answers) {
    sn_pipeline *own = NULL;
    answering a = {.answers = answers, .json = cli_given(args, OPT_JSON)};
    sn_listener listener = {.result = take_answer, .context = &a};
    if (a.json) listener.piece = take_piece;
    else if (answers->part) listener.part = take_part;
    if (answers->text && !a.json) listener.text = take_text;
    int code = p ? CLI_DONE : cli_open_pipeline(args, task, &own);
    if (!code) {
        sn_status status = sn_pipeline_run(p ? p : own, task, items->list, items->count, options, &listener);
        if (status) code = a.failed ? CLI_FAILED : cli_fail(status);
    }
    free(options);
    sn_pipeline_free(own);
    return code;
}
