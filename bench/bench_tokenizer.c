/* bench_tokenizer.c: the tokenizer at work, for timings and for tools/check_tokenizers.py.
 *
 *   bench_tokenizer time MODEL FILE [SECONDS]   encodes FILE again and again; JSON lines: bytes, tokens, MB/s, and MB for
 *                                               a second of processor time
 *   bench_tokenizer row MODEL FILE              a row of `make bench` (tokenizing.py): prints {"ready":true}, then a JSON
 *                                               line for each line on stdin; the pieces of FILE end with a zero byte
 *   bench_tokenizer talk MODEL                  answers on stdout what comes on stdin, until its end
 *
 * MODEL is a directory or a tokenizer.json. The talk is binary, native u32: asked is the length of a text and the text;
 * answered are n, then for each token id, type, begin and end in code points, begin and end in bytes, and then the length
 * of the decoded text and the text. A length of 0xFFFFFFFF ends the talk; with the highest bit set a pair follows: the
 * length of the second text and it. */
#define _GNU_SOURCE
#include "bench.h"

#include <string.h>

#include "base/file.h"
#include "text/tokenizer.h"

static sn_tokenizer *open_model(const char *path) {
    sn_tokenizer *t;
    sn_bytes bytes;
    if (sn_is_directory(path)) {
        need(sn_tokenizer_open(path, &t));
        return t;
    }
    need(sn_file_map(path, &bytes));
    need(sn_tokenizer_parse(path, (const char *)bytes.data, bytes.size, &t));
    sn_bytes_free(&bytes);
    return t;
}

/* How fast is one long text? And the same text line by line? */
static void measure(const sn_tokenizer *t, const sn_bytes *file, double seconds, bool lines, bool offsets) {
    sn_encoding e = {0};
    sn_encode_options o = {.offsets = offsets, .truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    const char *s = (const char *)file->data;
    double begin = 0, best = 1e9, least = 1e9, last = 0;
    int64_t tokens = 0;
    for (int round = 0; !round || last - begin < seconds; round++) {
        double from = now(), used = cpu();
        tokens = 0;
        for (size_t at = 0; at < file->size;) {
            const char *end = lines ? memchr(s + at, '\n', file->size - at) : NULL;
            size_t n = end ? (size_t)(end - s) + 1 - at : file->size - at;
            need(sn_tokenizer_encode(t, s + at, n, NULL, 0, o, &e));
            tokens += e.count;
            at += n;
        }
        last = now();
        if (!round) begin = last; /* the first round warms the caches */
        else {
            if (last - from < best) best = last - from;
            if (cpu() - used < least) least = cpu() - used;
        }
    }
    sn_encoding_free(&e);
    (void)printf("{\"lines\": %s, \"offsets\": %s, \"bytes\": %zu, \"tokens\": %lld, \"seconds\": %.4f, \"MB/s\": %.1f, \"MB/CPU s\": %.1f}\n", lines ? "true" : "false",
                 offsets ? "true" : "false", file->size, (long long)tokens, best, (double)file->size / best / 1e6,
                 (double)file->size / least / 1e6);
}

/* All pieces of the file once; the whole of it, with the memory for the numbers, is the time. */
static void answer_row(const sn_tokenizer *t, const sn_bytes *file) {
    sn_encoding e = {0};
    sn_encode_options o = {.truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    const char *at = (const char *)file->data, *last = at + file->size;
    int64_t tokens = 0;
    double from = now();
    while (at < last) {
        const char *end = memchr(at, '\0', (size_t)(last - at));
        if (!end) end = last;
        need(sn_tokenizer_encode(t, at, (size_t)(end - at), NULL, 0, o, &e));
        tokens += e.count;
        at = end + 1;
    }
    (void)printf("{\"seconds\":%.6f,\"bytes\":%zu,\"tokens\":%lld}\n", now() - from, file->size, (long long)tokens);
    sn_encoding_free(&e);
}

static bool hear(void *to, size_t n) { return fread(to, 1, n, stdin) == n; }
static void say(const void *from, size_t n) {
    if (fwrite(from, 1, n, stdout) != n) exit(1);
}

static char *hear_text(uint32_t *length) {
    char *text = sn_alloc((size_t)*length + 1, 1);
    if (!text) need(SN_ERR_MEMORY);
    if (!hear(text, *length)) exit(1);
    return text;
}

static void answer(const sn_tokenizer *t, sn_encoding *e, const char *s, uint32_t n, const char *pair, uint32_t m) {
    sn_encode_options o = {.add_special = true, .offsets = true};
    sn_buf text = {0};
    need(sn_tokenizer_encode(t, s, n, pair, m, o, e));
    uint32_t count = (uint32_t)e->count;
    say(&count, 4);
    for (uint32_t i = 0; i < count; i++) {
        say(&e->ids[i], 4);
        say(&e->type_ids[i], 4);
        say(&e->codes[i], 8);
        say(&e->bytes[i], 8);
    }
    need(sn_tokenizer_decode(t, e->ids, (size_t)e->count, true, &text));
    uint32_t size = (uint32_t)text.size;
    say(&size, 4);
    if (size) say(text.data, size);
    (void)fflush(stdout);
    sn_buf_free(&text);
}

static void talk(const sn_tokenizer *t) {
    sn_encoding e = {0};
    uint32_t n, m = 0;
    while (hear(&n, 4) && n != UINT32_MAX) {
        bool pair = n >> 31;
        n &= 0x7FFFFFFF;
        char *first = hear_text(&n), *second = NULL;
        if (pair) {
            if (!hear(&m, 4)) exit(1);
            second = hear_text(&m);
        }
        answer(t, &e, first, n, second, m);
        sn_free(first);
        sn_free(second);
    }
    sn_encoding_free(&e);
}

static int mode_time(const sn_tokenizer *t, int argc, char **argv) {
    sn_bytes file;
    double seconds = argc > 1 ? atof(argv[1]) : 1.0;
    if (argc < 1) return 2;
    need(sn_file_read(argv[0], (size_t)1 << 30, &file));
    measure(t, &file, seconds, false, false);
    measure(t, &file, seconds, true, false);
    measure(t, &file, seconds, true, true);
    sn_bytes_free(&file);
    return 0;
}

static int mode_row(const sn_tokenizer *t, int argc, char **argv) {
    char line[64];
    sn_bytes file;
    if (argc != 1) return 2;
    need(sn_file_read(argv[0], (size_t)1 << 30, &file));
    (void)printf("{\"ready\":true}\n");
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        answer_row(t, &file);
        (void)fflush(stdout);
    }
    sn_bytes_free(&file);
    return 0;
}

static int mode_talk(const sn_tokenizer *t, int argc, char **argv) {
    (void)argv;
    if (argc) return 2;
    talk(t);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const sn_tokenizer *t, int argc, char **argv);
} modes[] = {{"time", mode_time}, {"row", mode_row}, {"talk", mode_talk}};

int main(int argc, char **argv) {
    int status = 2;
    for (size_t i = 0; argc > 2 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name)) continue;
        double from = now();
        sn_tokenizer *t = open_model(argv[2]);
        if (modes[i].run == mode_time) (void)printf("{\"open_seconds\": %.4f, \"open_cpu_seconds\": %.4f}\n", now() - from, cpu());
        status = modes[i].run(t, argc - 3, argv + 3);
        sn_tokenizer_free(t);
    }
    if (status == 2) (void)fprintf(stderr, "usage: bench_tokenizer time MODEL FILE [SECONDS] | row MODEL FILE | talk MODEL\n");
    return status;
}
