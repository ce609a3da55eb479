/* yaml.c: YAML configuration files as jansson trees.
 *
 *   text -> libyaml events -> a stack of open lists and maps -> json_t
 *
 * Only what a configuration needs. Anchors are refused because an alias can multiply a small file without end,
 * and because a tree keeps no trace of them; plain yes and no stay text so that a class named "no" is not
 * turned into false (a key that wants true or false says so). The tree is built without recursion, so depth is
 * bounded by MOST_DEPTH and not by the stack. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/json.h"

enum { MOST_DEPTH = 64, MOST_BYTES = 16 << 20 };

typedef struct level {
    json_t *open; /* list or map, owned by its parent; the lowest by the reader */
    char *key;    /* of a map: the key whose value comes next, or NULL */
} level;

typedef struct reader {
    const char *name;
    yaml_parser_t parser;
    level levels[MOST_DEPTH];
    int depth;
    json_t *root;
    int documents;
} reader;

static sn_status fail_at_line(const reader *r, size_t line, const char *what, const char *detail) {
    (void)sn_fail(SN_ERR_FORMAT, "%s: line %zu: %s%s%s%s", r->name, line + 1, what, detail ? " \"" : "",
                  detail ? detail : "", detail ? "\"" : "");
    return sn_fail_at(r->name, 0, NULL);
}

static sn_status no_memory(const reader *r) {
    SN_FAIL(SN_ERR_MEMORY, "%s: out of memory while reading YAML", r->name);
}

/* ---- scalars ---- */

static bool is_one_of(const char *text, const char *const *words) {
    for (; *words; words++) {
        if (!strcmp(text, *words)) return true;
    }
    return false;
}

/* [-+]? digits without a leading zero. */
static bool is_whole(const char *text) {
    text += *text == '-' || *text == '+';
    size_t digits = strspn(text, "0123456789");
    return digits && !text[digits] && (digits == 1 || text[0] != '0');
}

/* [-+]? digits [. digits] [e [-+] digits], with a point or an exponent. */
static bool is_decimal(const char *text) {
    text += *text == '-' || *text == '+';
    size_t before = strspn(text, "0123456789");
    if (before > 1 && text[0] == '0') return false;
    text += before;
    bool point = *text == '.';
    size_t after = point ? strspn(text + 1, "0123456789") : 0;
    text += after + point;
    bool exponent = *text == 'e' || *text == 'E';
    if (exponent) {
        text++;
        text += *text == '-' || *text == '+';
        size_t digits = strspn(text, "0123456789");
        if (!digits) return false;
        text += digits;
    }
    return before + after > 0 && !*text && (point || exponent);
}

/* A decimal by way of jansson, which does not depend on the locale: rewritten to JSON's stricter form. */
static sn_status decimal(const reader *r, const char *text, size_t line, json_t **out) {
    sn_buf buf = {0};
    const char *number = text + (*text == '-' || *text == '+');
    if (*text == '-') sn_buf_puts(&buf, "-");
    if (*number == '.') sn_buf_puts(&buf, "0");
    size_t mantissa = strcspn(number, "eE");
    sn_buf_add(&buf, number, mantissa);
    if (number[mantissa - 1] == '.') sn_buf_puts(&buf, "0");
    if (!memchr(number, '.', mantissa)) sn_buf_puts(&buf, ".0");
    sn_buf_puts(&buf, number + mantissa);
    sn_status status = sn_buf_check(&buf);
    *out = status == SN_OK ? json_loadb(buf.data, buf.size, JSON_DECODE_ANY, NULL) : NULL;
    if (status == SN_OK && !*out) status = fail_at_line(r, line, "a number beyond the range of a double:", text);
    sn_buf_free(&buf);
    return status;
}

static sn_status plain_scalar(const reader *r, const char *text, size_t line, json_t **out) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const odd[] = {".inf", "-.inf", "+.inf", ".nan", ".Inf", "-.Inf", ".NaN", NULL};
    if (is_one_of(text, odd)) return fail_at_line(r, line, "expected a finite number, found", text);
    if (is_one_of(text, nulls)) *out = json_null();
    else if (is_one_of(text, trues)) *out = json_true();
    else if (is_one_of(text, falses)) *out = json_false();
    else if (is_whole(text)) {
        errno = 0;
        long long value = strtoll(text, NULL, 10);
        if (errno) return fail_at_line(r, line, "a whole number beyond 64 bits:", text);
        *out = json_integer(value);
    } else if (is_decimal(text)) {
        return decimal(r, text, line, out);
    } else {
        *out = json_string(text);
    }
    return *out ? SN_OK : no_memory(r);
}

static sn_status scalar(const reader *r, const yaml_event_t *event, json_t **out) {
    const char *text = (const char *)event->data.scalar.value, *tag = (const char *)event->data.scalar.tag;
    size_t line = event->start_mark.line;
    if (strlen(text) != event->data.scalar.length) return fail_at_line(r, line, "a NUL character in a text", NULL);
    bool string = tag && !strcmp(tag, YAML_STR_TAG);
    if (tag && !string && strcmp(tag, "!")) return fail_at_line(r, line, "tags are not used here:", tag);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !tag) return plain_scalar(r, text, line, out);
    *out = json_string(text);
    return *out ? SN_OK : no_memory(r);
}

/* ---- the tree ---- */

/* Puts a value (its reference is taken) where the innermost open level wants one. */
static sn_status place(reader *r, json_t *value) {
    int failed;
    if (!r->depth) {
        r->root = value;
        return SN_OK;
    }
    level *top = &r->levels[r->depth - 1];
    if (json_is_array(top->open)) {
        failed = json_array_append_new(top->open, value);
    } else {
        failed = json_object_set_new(top->open, top->key, value);
        sn_free(top->key);
        top->key = NULL;
    }
    return failed ? no_memory(r) : SN_OK;
}

static bool wants_key(const reader *r) {
    return r->depth && json_is_object(r->levels[r->depth - 1].open) && !r->levels[r->depth - 1].key;
}

static sn_status take_key(reader *r, const yaml_event_t *event) {
    level *top = &r->levels[r->depth - 1];
    const char *key = (const char *)event->data.scalar.value;
    size_t line = event->start_mark.line;
    if (!*key || strlen(key) != event->data.scalar.length) return fail_at_line(r, line, "a key without a name", NULL);
    if (json_object_get(top->open, key)) return fail_at_line(r, line, "this key is there twice:", key);
    top->key = sn_strdup(key);
    return top->key ? SN_OK : SN_ERR_MEMORY;
}

static sn_status open_level(reader *r, const yaml_event_t *event, json_t *value, const char *tag) {
    if (!value) return no_memory(r);
    sn_status status = SN_OK;
    if (tag && strcmp(tag, "!")) status = fail_at_line(r, event->start_mark.line, "tags are not used here:", tag);
    else if (wants_key(r)) status = fail_at_line(r, event->start_mark.line, "a key must be a text", NULL);
    else if (r->depth == MOST_DEPTH) status = fail_at_line(r, event->start_mark.line, "more than 64 levels", NULL);
    if (status != SN_OK) {
        json_decref(value);
        return status;
    }
    SN_TRY(place(r, value));
    r->levels[r->depth++] = (level){value, NULL};
    return SN_OK;
}

static const char *anchor_of(const yaml_event_t *e) {
    if (e->type == YAML_ALIAS_EVENT) return (const char *)e->data.alias.anchor;
    if (e->type == YAML_SCALAR_EVENT) return (const char *)e->data.scalar.anchor;
    if (e->type == YAML_SEQUENCE_START_EVENT) return (const char *)e->data.sequence_start.anchor;
    if (e->type == YAML_MAPPING_START_EVENT) return (const char *)e->data.mapping_start.anchor;
    return NULL;
}

static sn_status take(reader *r, const yaml_event_t *e) {
    json_t *value;
    const char *anchor = anchor_of(e);
    if (anchor) return fail_at_line(r, e->start_mark.line, "anchors and aliases are not used here:", anchor);
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->documents++ ? fail_at_line(r, e->start_mark.line, "a second document begins", NULL) : SN_OK;
    case YAML_SCALAR_EVENT:
        if (wants_key(r)) return take_key(r, e);
        SN_TRY(scalar(r, e, &value));
        return place(r, value);
    case YAML_SEQUENCE_START_EVENT: return open_level(r, e, json_array(), (const char *)e->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT: return open_level(r, e, json_object(), (const char *)e->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: r->depth--; return SN_OK;
    default: return SN_OK;
    }
}

static sn_status fail_parse(reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return no_memory(r);
    size_t line = p->error == YAML_READER_ERROR ? p->mark.line : p->problem_mark.line;
    (void)sn_fail(SN_ERR_FORMAT, "%s: line %zu, column %zu: %s%s%s", r->name, line + 1, p->problem_mark.column + 1,
                  p->problem ? p->problem : "not YAML", p->context ? " " : "", p->context ? p->context : "");
    return sn_fail_at(r->name, 0, NULL);
}

static sn_status read_events(reader *r) {
    for (bool done = false; !done;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) return fail_parse(r);
        sn_status status = take(r, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        SN_TRY(status);
    }
    return r->root ? SN_OK : fail_at_line(r, 0, "the file is empty", NULL);
}

sn_status sn_yaml_parse(const char *name, const char *text, size_t bytes, json_t **out) {
    *out = NULL;
    reader r = {.name = name};
    if (bytes > MOST_BYTES) SN_FAIL(SN_ERR_FORMAT, "%s: more than 16 MiB of YAML", name);
    if (!yaml_parser_initialize(&r.parser)) return no_memory(&r);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, bytes);
    sn_status status = read_events(&r);
    yaml_parser_delete(&r.parser);
    for (int i = 0; i < r.depth; i++) sn_free(r.levels[i].key);
    if (status == SN_OK) *out = r.root;
    else json_decref(r.root);
    return status;
}

sn_status sn_yaml_read(const char *path, json_t **out) {
    *out = NULL;
    sn_bytes bytes;
    SN_TRY(sn_file_read(path, MOST_BYTES, &bytes));
    sn_status status = sn_yaml_parse(path, (const char *)bytes.data, bytes.size, out);
    sn_bytes_free(&bytes);
    return status;
}
