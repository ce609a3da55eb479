/* transcribe.c: `sensorium transcribe MODEL SOUND...`: what is said, as text, subtitles (SRT, WebVTT) or JSON.
 *
 *   segments, told as they are found -> a form (a row of `forms`) -> stdout, or one file per sound
 *
 * A file is written beside its place and renamed when its sound is done, so a sound that fails leaves none. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

typedef struct form form;
typedef struct shape {
    const char *name;
    void (*begin)(form *f);
    void (*part)(form *f, const json_t *segment); /* a segment; NULL: none is told */
    void (*end)(form *f, const json_t *answer);
} shape;

struct form {
    const cli_args *args;
    const shape *shape;
    const char *output; /* NULL: stdout */
    bool folder;        /* -o is a directory */
    bool times;         /* of text */
    cli_items items;
    size_t at, failed, parts; /* the running sound; its segments so far */
    cli_file file;
    FILE *to;           /* NULL: the running sound's file is not open */
    int code;           /* of a file that could not be written */
};

/* ---- shapes ---- */

/* 3661.5 -> "01:01:01,500" */
static void put_time(FILE *to, double seconds, char point, bool hours) {
    long long ms = seconds > 0 ? llround(seconds * 1000) : 0;
    if (hours || ms >= 3600000) fprintf(to, "%02lld:", ms / 3600000);
    fprintf(to, "%02lld:%02lld%c%03lld", ms / 60000 % 60, ms / 1000 % 60, point, ms % 1000);
}

static double seconds_of(const json_t *segment, const char *key) { return json_number_value(json_object_get(segment, key)); }

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* A segment's words without the spaces around them; line breaks and controls become spaces. WebVTT has marks of its own
 * (`marked`), which are escaped. */
static void put_words(FILE *to, const json_t *segment, bool marked) {
    const json_t *words = json_object_get(segment, "text");
    const char *text = json_string_value(words) ? json_string_value(words) : "";
    size_t n = json_string_length(words);
    while (n && is_space(*text)) text++, n--;
    while (n && is_space(text[n - 1])) n--;
    for (size_t i = 0; i < n; i++) {
        if (marked && strchr("&<>", text[i]) && text[i]) fputs(text[i] == '&' ? "&amp;" : text[i] == '<' ? "&lt;" : "&gt;", to);
        else putc((unsigned char)text[i] < 32 || text[i] == 127 ? ' ' : text[i], to);
    }
}

static void text_begin(form *f) {
    if (f->output || f->items.count < 2) return;
    cli_put(f->to, f->items.list[f->at].file, 0);
    fputs(f->times ? ":\n" : ": ", f->to);
}
static void text_part(form *f, const json_t *segment) {
    if (f->times) {
        putc('[', f->to);
        put_time(f->to, seconds_of(segment, "start"), '.', false);
        fputs(" --> ", f->to);
        put_time(f->to, seconds_of(segment, "end"), '.', false);
        fputs("] ", f->to);
    } else if (f->parts && is_space(*json_string_value(json_object_get(segment, "text")))) putc(' ', f->to);
    put_words(f->to, segment, false);
    if (f->times) putc('\n', f->to);
}
static void text_end(form *f, const json_t *answer) {
    (void)answer;
    if (!f->times) putc('\n', f->to);
}

static void subtitle(FILE *to, const json_t *segment, char point, bool marked) {
    put_time(to, seconds_of(segment, "start"), point, true);
    fputs(" --> ", to);
    put_time(to, seconds_of(segment, "end"), point, true);
    putc('\n', to);
    put_words(to, segment, marked);
    fputs("\n\n", to);
}

static void srt_part(form *f, const json_t *segment) {
    fprintf(f->to, "%zu\n", f->parts + 1);
    subtitle(f->to, segment, ',', false);
}

static void vtt_begin(form *f) { fputs("WEBVTT\n\n", f->to); }
static void vtt_part(form *f, const json_t *segment) {
    subtitle(f->to, segment, '.', true);
}

static void json_end(form *f, const json_t *answer) {
    json_t *line = json_pack("{s:i}", "schema", 1);
    json_object_update(line, (json_t *)(uintptr_t)answer);
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text) fprintf(f->to, "%s\n", text);
    free(text);
    json_decref(line);
}

static const shape shapes[] = {{"text", text_begin, text_part, text_end}, {"srt", NULL, srt_part, NULL},
                               {"vtt", vtt_begin, vtt_part, NULL},        {"json", NULL, NULL, json_end}};

static const shape *shape_of(const char *name) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
    return NULL;
}

/* ---- where it goes ---- */

/* "DIR/NAME.srt" for a sound NAME.wav; from the heap. */
static char *path_of(const form *f) {
    const char *name = f->items.list[f->at].file, *slash = strrchr(name, '/'), *ending = f->shape->name;
    if (slash) name = slash + 1;
    if (strcmp(ending, "text") == 0) ending = "txt";
    const char *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name), size = strlen(f->output) + stem + strlen(ending) + 3;
    char *path = malloc(size);
    if (path) (void)snprintf(path, size, "%s/%.*s.%s", f->output, (int)stem, name, ending);
    return path;
}

static int open_file(form *f) {
    if (!f->output) {
        f->to = stdout;
        return CLI_DONE;
    }
    char *path = f->folder ? path_of(f) : NULL;
    if (f->folder && !path) return cli_failed(SN_ERR_MEMORY, NULL, "out of memory");
    int code = f->folder ? cli_check_output(f->args, path) : CLI_DONE;
    if (!code) code = cli_file_open(path ? path : f->output, &f->file);
    f->to = f->file.stream;
    free(path);
    return code;
}

/* The running sound's place is open from its first segment on. */
static bool begin(form *f) {
    if (f->to) return true;
    f->parts = 0;
    f->code = open_file(f);
    if (!f->code && f->shape->begin) f->shape->begin(f);
    return !f->code;
}

static int take_part(void *context, const char *text) {
    form *f = context;
    if (!f->shape->part) return 0;
    json_t *segment = json_loads(text, JSON_ALLOW_NUL, NULL);
    if (begin(f)) {
        f->shape->part(f, segment);
        f->parts++;
        if (!f->output) (void)fflush(f->to);
    }
    json_decref(segment);
    return f->code || ferror(stdout);
}

static int take(void *context, const char *text) {
    form *f = context;
    json_t *answer = json_loads(text, JSON_ALLOW_NUL, NULL);
    bool failed = json_object_get(answer, "error") != NULL, json = !f->output && f->shape->end == json_end;
    f->failed += failed;
    if (failed && !json) {
        if (f->to && !f->output) putc('\n', f->to);
        cli_item_error(answer);
        cli_file_abandon(&f->file);
    } else if (begin(f)) {
        if (f->shape->end) f->shape->end(f, answer);
        if (f->output) f->code = cli_file_commit(&f->file);
    }
    f->to = NULL;
    f->at++;
    json_decref(answer);
    return f->code || ferror(stdout);
}

/* ---- the command ---- */

/* --format, --json, or how -o ends. */
static int find_shape(form *f) {
    const char *name = cli_text(f->args, OPT_FORMAT), *dot = f->output && !f->folder ? strrchr(f->output, '.') : NULL;
    if (!name && dot && shape_of(dot + 1)) name = dot + 1;
    if (!name && cli_given(f->args, OPT_JSON)) name = "json";
    f->shape = shape_of(name ? name : "text");
    if (cli_given(f->args, OPT_JSON) && !f->output && f->shape->end != json_end)
        return cli_usage("--json and --format %s are two answers; choose one", f->shape->name);
    if (f->items.count > 1 && f->output && !f->folder) return cli_usage("-o needs a directory that exists for several sounds, not '%s'", f->output);
    if (f->items.count > 1 && !f->output && (f->shape->part == srt_part || f->shape->part == vtt_part))
        return cli_usage("subtitles of several sounds need -o with a directory");
    return f->output && !f->folder ? cli_check_output(f->args, f->output) : CLI_DONE;
}

static char *options_of(const form *f) {
    json_t *options = cli_pick(f->args, BIT(LANGUAGE) | BIT(SPEECH) | BIT(NUM_BEAMS) | BIT(BEAMS) | BIT(MAX_NEW_TOKENS) | BIT(PROMPT) | BIT(SEED) |
                                              BIT(TEMPERATURE));
    bool subtitles = f->shape->part == srt_part || f->shape->part == vtt_part;
    if (f->times || subtitles) json_object_set_new(options, "return_timestamps", json_true());
    char *text = json_dumps(options, JSON_COMPACT);
    json_decref(options);
    return text;
}

int cli_transcribe(const cli_args *args) {
    form f = {.args = args, .output = cli_text(args, OPT_OUTPUT), .times = cli_given(args, OPT_TIMESTAMPS)};
    struct stat about;
    sn_pipeline *p = NULL;
    f.folder = f.output && stat(f.output, &about) == 0 && S_ISDIR(about.st_mode);
    int code = cli_items_read(args, 1, false, &f.items);
    if (!code) code = find_shape(&f);
    if (!code) code = cli_open_pipeline(args, "transcribe", &p);
    if (!code) {
        char *options = options_of(&f);
        sn_listener listener = {.result = take, .part = take_part, .context = &f};
        sn_status status = sn_pipeline_run(p, "transcribe", f.items.list, f.items.count, options, &listener);
        free(options);
        if (status) code = f.code ? f.code : f.failed ? CLI_FAILED : cli_fail(status);
    }
    cli_file_abandon(&f.file);
    sn_pipeline_free(p);
    cli_items_free(&f.items);
    return code;
}
