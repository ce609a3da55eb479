/* progress.c: what training looks like while it runs, on stderr.
 *
 *   on a terminal   a bar, redrawn at most ten times a second, and one line per epoch above it
 *   otherwise       one plain line per epoch
 *
 * The library's events carry everything; nothing is timed or averaged here. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

double cli_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int terminal_width(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void cli_progress_start(cli_progress *progress, bool quiet) {
    const char *term = getenv("TERM");
    *progress = (cli_progress){.quiet = quiet,
                               .terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0)};
}

void cli_progress_end(cli_progress *progress) {
    if (progress->shown) fputs("\r\033[K", stderr);
    progress->shown = false;
    fflush(stderr);
}

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static void duration(char *text, size_t size, double seconds) {
    long s = seconds > 0 && seconds < 1e8 ? (long)(seconds + 0.5) : 0;
    if (s >= 3600) (void)snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else (void)snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

static void draw_bar(cli_progress *progress, const json_t *event) {
    double now = cli_seconds();
    if (!progress->terminal || now - progress->last < 0.1) return;
    progress->last = now;
    char left[32], text[160], bar[64];
    duration(left, sizeof left, number(event, "seconds_left"));
    int step = (int)number(event, "step"), steps = (int)number(event, "steps");
    const char *column = json_string_value(json_object_get(event, "encoding"));
    int used = column ? snprintf(text, sizeof text, " %d/%d  what its encoder says of \"%.40s\"", step, steps, column)
                      : snprintf(text, sizeof text, " %d/%d  loss %.4f  rate %.2e  %s left", step, steps,
                                 number(event, "loss"), number(event, "learning_rate"), left);
    int room = terminal_width() - used - 24;
    if (room > 40) room = 40;
    if (room < 4) room = 4;
    int full = steps > 0 ? (int)((double)room * step / steps) : 0;
    if (full > room) full = room;
    memset(bar, '.', (size_t)room);
    memset(bar, '#', (size_t)(full > 0 ? full : 0));
    bar[room] = '\0';
    fprintf(stderr, "\r\033[Kepoch %d/%d [%s]%s", (int)number(event, "epoch"), (int)number(event, "epochs"), bar,
            text);
    progress->shown = true;
    fflush(stderr);
}

/* The first metric of every target, the one that the library puts first for people. */
static void print_targets(const json_t *targets) {
    const char *name, *metric;
    json_t *metrics, *value;
    json_object_foreach((json_t *)(uintptr_t)targets, name, metrics) {
        json_object_foreach(metrics, metric, value) {
            if (!json_is_number(value) || strcmp(metric, "loss") == 0) continue;
            fputs("  ", stderr);
            cli_put(stderr, name, 24);
            fprintf(stderr, " %s %.4f", metric, json_number_value(value));
            break;
        }
    }
}

static void print_epoch(const json_t *event) {
    const json_t *valid = json_object_get(event, "valid");
    fprintf(stderr, "epoch %3d  %6.1f s  loss %.4f", (int)number(event, "epoch"), number(event, "seconds"),
            number(json_object_get(event, "train"), "loss"));
    if (json_is_number(json_object_get(valid, "loss"))) fprintf(stderr, "  held out %.4f", number(valid, "loss"));
    print_targets(json_object_get(valid, "targets"));
    fprintf(stderr, "  rate %.2e%s\n", number(event, "learning_rate"),
            json_is_true(json_object_get(event, "best")) ? "  best" : "");
}

static void print_start(const json_t *event) {
    size_t i;
    json_t *note;
    json_array_foreach(json_object_get(event, "notes"), i, note) {
        fputs("- ", stderr);
        cli_put(stderr, json_is_string(note) ? json_string_value(note) : "", 0);
        fputc('\n', stderr);
    }
}

void cli_progress_event(cli_progress *progress, const json_t *event) {
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (progress->quiet || !kind) return;
    if (strcmp(kind, "progress") == 0) {
        draw_bar(progress, event);
        return;
    }
    cli_progress_end(progress);
    if (strcmp(kind, "start") == 0) print_start(event);
    else if (strcmp(kind, "epoch") == 0) print_epoch(event);
    else if (strcmp(kind, "stop") == 0) {
        const char *reason = json_string_value(json_object_get(event, "reason"));
        if (reason && strcmp(reason, "stopped") != 0) { /* a person's own stop is answered by the command */
            fputs("finished: ", stderr);
            cli_put(stderr, reason, 0);
            fputc('\n', stderr);
        }
    }
    fflush(stderr);
}
