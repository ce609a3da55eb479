/* embed.c: `sensorium embed MODEL INPUT... [-o FILE]`: vectors of texts or pictures.
 *
 *   inputs -> blocks -> vectors [n, width] -> JSON lines, or one matrix in a file
 *
 * With -o a single input that fails leaves no file: a matrix with a row missing would be taken for whole. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { BLOCK = 4096, SHOWN = 4 };

typedef struct form {
    const cli_args *args;
    const char *kind, *output;
    cli_items items;
    size_t width, at, failed; /* at: first item of the block */
    float *vectors;           /* of all items with -o of a matrix, else of one block */
    bool lines;               /* -o FILE.jsonl */
    cli_file file;
} form;

static int take_error(void *context, const char *text) {
    form *f = context;
    json_t *answer = json_loads(text, 0, NULL);
    json_int_t item = json_integer_value(json_object_get(answer, "item")) + (json_int_t)f->at;
    f->failed++;
    json_object_set_new(answer, "item", json_integer(item));
    if (cli_given(f->args, OPT_JSON) && !f->output) cli_print_json(answer);
    else cli_item_error(answer);
    json_decref(answer);
    return 0;
}

static json_t *line_of(const form *f, size_t i, const float *x) {
    const sn_item *item = &f->items.list[i];
    json_t *list = json_array();
    for (size_t k = 0; k < f->width; k++) json_array_append_new(list, json_real((double)x[k]));
    return json_pack("{s:I, s:s, s:o}", "item", (json_int_t)(i + 1), f->kind, item->text ? item->text : item->file, "vector", list);
}

static void print_short(const form *f, size_t i, const float *x) {
    const sn_item *item = &f->items.list[i];
    cli_put(stdout, item->text ? item->text : item->file, 48);
    fputs(": [", stdout);
    for (size_t k = 0; k < f->width && k < SHOWN; k++) printf("%s%.6g", k ? ", " : "", (double)x[k]);
    printf("%s] %zu numbers\n", f->width > SHOWN ? ", ..." : "", f->width);
}

static void put_line(FILE *to, json_t *line) {
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text) fprintf(to, "%s\n", text);
    free(text);
}

static void give_block(form *f, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float *x = f->vectors + i * f->width;
        if (isnan(x[0])) continue;
        if (!f->output && !cli_given(f->args, OPT_JSON)) {
            print_short(f, f->at + i, x);
            continue;
        }
        json_t *line = line_of(f, f->at + i, x);
        if (f->lines) put_line(f->file.stream, line);
        else cli_print_json(line);
        json_decref(line);
    }
}

static void progress(const form *f) {
    if (f->items.count > BLOCK && !cli_given(f->args, OPT_QUIET))
        fprintf(stderr, "%zu of %zu embedded\n", f->at, f->items.count);
}

static int embed_all(form *f, const sn_pipeline *p) {
    bool matrix = f->output && !f->lines;
    size_t all = f->items.count, room = matrix || all < BLOCK ? all : BLOCK;
    float *vectors = calloc(room ? room : 1, f->width * sizeof *vectors);
    char *options = cli_pick_text(f->args, BIT(BATCH_SIZE) | BIT(PROMPT) | BIT(POOLING) | BIT(NORMALISE));
    int code = vectors && options ? CLI_DONE : cli_failed(SN_ERR_MEMORY, NULL, "out of memory");
    while (!code && f->at < all && !ferror(stdout)) {
        size_t n = all - f->at < BLOCK ? all - f->at : BLOCK, failed = f->failed;
        sn_listener listener = {.result = take_error, .context = f};
        f->vectors = vectors + (matrix ? f->at * f->width : 0);
        sn_status status = sn_pipeline_embed(p, f->items.list + f->at, n, options, &listener, f->vectors);
        if (status && f->failed == failed) code = cli_fail(status);
        if (!code && !matrix) give_block(f, n);
        f->at += n;
        progress(f);
    }
    if (!code && f->failed) {
        code = CLI_FAILED;
        if (f->output) fprintf(stderr, "%zu of %zu inputs failed; nothing was written\n", f->failed, all);
    }
    if (!code && matrix) {
        sn_status status = sn_vectors_write(f->output, vectors, all, f->width);
        if (status) code = cli_fail(status);
    }
    free(options);
    free(vectors);
    return code;
}

static bool ends(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What the inputs are: --kind, or the only kind that the model takes. */
static int find_kind(form *f, const sn_pipeline *p) {
    char *text;
    sn_status status = sn_pipeline_describe(p, &text);
    if (status) return cli_fail(status);
    json_t *about = cli_take_json(text), *kinds = json_object_get(about, "accepts");
    static const char *const known[] = {"text", "image", "audio"};
    const char *wanted = cli_text(f->args, OPT_KIND);
    size_t found = 0, i;
    json_t *kind;
    json_array_foreach(kinds, i, kind) {
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
            if (strcmp(known[k], json_string_value(kind)) != 0 || (wanted && strcmp(known[k], wanted) != 0)) continue;
            f->kind = known[k];
            found++;
        }
    }
    json_decref(about);
    if (found == 1) return CLI_DONE;
    return found ? cli_usage("the model takes several kinds of input; say which with --kind")
                 : cli_usage("the model does not take %s", wanted ? wanted : "such inputs");
}

static int check_output(const form *f) {
    if (!f->output) return CLI_DONE;
    if (!f->lines && !ends(f->output, ".safetensors") && !ends(f->output, ".npy"))
        return cli_usage("-o needs a name that ends in .safetensors, .npy or .jsonl, not '%s'", f->output);
    return cli_check_output(f->args, f->output);
}

static void report(const form *f) {
    if (cli_given(f->args, OPT_JSON)) {
        json_t *line = json_pack("{s:I, s:I, s:s}", "vectors", (json_int_t)f->items.count, "width", (json_int_t)f->width, "output", f->output);
        cli_print_json(line);
        json_decref(line);
    } else if (!cli_given(f->args, OPT_QUIET))
        fprintf(stderr, "%zu vectors of %zu numbers written to %s\n", f->items.count, f->width, f->output);
}

int cli_embed(const cli_args *args) {
    form f = {.args = args, .output = cli_text(args, OPT_OUTPUT)};
    f.lines = f.output && ends(f.output, ".jsonl");
    sn_pipeline *p = NULL;
    int code = check_output(&f);
    if (!code) code = cli_open_pipeline(args, NULL, &p);
    if (!code) code = find_kind(&f, p);
    if (!code) code = cli_items_read(args, 1, strcmp(f.kind, "text") == 0, &f.items);
    if (!code) {
        sn_status status = sn_pipeline_width(p, &f.width);
        if (status) code = cli_fail(status);
    }
    if (!code && f.lines) code = cli_file_open(f.output, &f.file);
    if (!code) code = embed_all(&f, p);
    if (!code && f.lines) code = cli_file_commit(&f.file);
    if (!code && f.output) report(&f);
    cli_file_abandon(&f.file);
    cli_items_free(&f.items);
    sn_pipeline_free(p);
    return code;
}
