/* tokenize.c: text -> ids and tokens, as the model's own tokenizer cuts it; or ids -> text. */
#include "pipelines/pipeline.h"

static const char *const keys[] = {"special", "pair", "decode", NULL};

enum { STRETCH = 4096, PIECE = 1 << 16 };

/* Members of tokens [begin, end) as a list. A token may be a piece of a character: its bytes then are no UTF-8 and it has
 * no name of its own. */
typedef json_t *element(const sn_tokenizer *t, const sn_encoding *e, int64_t i);
static json_t *id(const sn_tokenizer *t, const sn_encoding *e, int64_t i) { return (void)t, json_integer(e->ids[i]); }
static json_t *type(const sn_tokenizer *t, const sn_encoding *e, int64_t i) { return (void)t, json_integer(e->type_ids[i]); }
static json_t *name(const sn_tokenizer *t, const sn_encoding *e, int64_t i) {
    const char *token = sn_tokenizer_token(t, e->ids[i]);
    json_t *text = token ? json_string(token) : NULL;
    return text ? text : json_null();
}
static json_t *offset(const sn_tokenizer *t, const sn_encoding *e, int64_t i) {
    (void)t;
    return json_pack("[I,I]", (json_int_t)e->bytes[i].begin, (json_int_t)e->bytes[i].end);
}

static json_t *stretch(const sn_tokenizer *t, const sn_encoding *e, element *make, int64_t begin, int64_t end) {
    json_t *list = json_array();
    for (int64_t i = begin; i < end; i++) {
        if (!json_array_append_new(list, make(t, e, i))) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

/* ---- a result as JSON text, which is many times as long as the text: told in pieces to who can take them ---- */

typedef struct writer {
    sn_call *call;
    size_t item;
    sn_buf buf;
} writer;

static sn_status stopped(size_t item) { SN_FAIL(SN_ERR_CANCELLED, "stopped by the caller at item %zu", item + 1); }

static sn_status pass_on(writer *w, bool last) {
    const sn_listener *l = w->call->listener;
    SN_TRY(sn_buf_check(&w->buf));
    if (!l->piece) return last && l->result(l->context, w->buf.data) ? stopped(w->item) : SN_OK;
    if (l->piece(l->context, w->item, w->buf.data, w->buf.size, last)) return stopped(w->item);
    w->buf.size = 0;
    return SN_OK;
}

static int gather(const char *bytes, size_t n, void *to) {
    sn_buf_add(to, bytes, n);
    return 0;
}

/* Writes a value that may be NULL (no memory), without its brackets if it is `bare`, and drops it. */
static sn_status put(writer *w, json_t *value, bool bare) {
    size_t at = w->buf.size;
    int failed = value ? json_dump_callback(value, gather, &w->buf, JSON_COMPACT | JSON_ENCODE_ANY) : -1;
    json_decref(value);
    if (failed) SN_FAIL(SN_ERR_MEMORY, "out of memory while writing JSON");
    SN_TRY(sn_buf_check(&w->buf));
    if (bare) {
        memmove(w->buf.data + at, w->buf.data + at + 1, w->buf.size - at - 2);
        w->buf.size -= 2;
        w->buf.data[w->buf.size] = '\0';
    }
    return w->call->listener->piece && w->buf.size >= PIECE ? pass_on(w, false) : SN_OK;
}

static sn_status put_list(writer *w, const char *key, element *make, const sn_encoding *e) {
    sn_buf_printf(&w->buf, ",\"%s\":[", key);
    for (int64_t at = 0, end; at < e->count; at = end) {
        end = e->count - at > STRETCH ? at + STRETCH : e->count;
        if (at) sn_buf_puts(&w->buf, ",");
        SN_TRY(put(w, stretch(w->call->p->tokenizer, e, make, at, end), true));
    }
    sn_buf_puts(&w->buf, "]");
    return SN_OK;
}

static sn_status write_result(writer *w, const char *text, size_t bytes, const sn_encoding *e) {
    sn_buf_printf(&w->buf, "{\"item\":%zu,\"text\":", w->item + 1);
    SN_TRY(put(w, json_stringn_nocheck(text, bytes), false));
    SN_TRY(put_list(w, "ids", id, e));
    SN_TRY(put_list(w, "tokens", name, e));
    SN_TRY(put_list(w, "types", type, e));
    SN_TRY(put_list(w, "offsets", offset, e));
    sn_buf_puts(&w->buf, "}");
    return pass_on(w, true);
}

static sn_status tell_parts(sn_call *call, size_t i, const sn_encoding *e) {
    const sn_listener *l = call->listener;
    const sn_tokenizer *t = call->p->tokenizer;
    for (int64_t at = 0, end; at < e->count; at = end) {
        char *text;
        end = e->count - at > STRETCH ? at + STRETCH : e->count;
        SN_TRY(sn_item_json(i, json_pack("{s:o, s:o}", "ids", stretch(t, e, id, at, end), "tokens", stretch(t, e, name, at, end)), &text));
        int stop = l->part(l->context, text);
        sn_string_free(text);
        if (stop) return stopped(i);
    }
    return sn_call_give(call, i, json_pack("{s:I}", "count", (json_int_t)e->count));
}

typedef struct cutting {
    sn_call *call;
    bool special;
    const char *pair; /* NULL: none */
    sn_encoding e;
} cutting;

static sn_status one(void *context, size_t i) {
    cutting *c = context;
    const sn_listener *l = c->call->listener;
    const char *text;
    size_t bytes;
    bool parts = l && l->part, whole = l && !parts && (l->result || l->piece);
    sn_encode_options o = {.add_special = c->special, .offsets = whole, .no_codes = true, .truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    SN_TRY(sn_item_text(&c->call->items[i], &text, &bytes));
    SN_TRY(sn_tokenizer_encode(c->call->p->tokenizer, text, bytes, c->pair, c->pair ? strlen(c->pair) : 0, o, &c->e));
    if (parts) return tell_parts(c->call, i, &c->e);
    if (!whole) return SN_OK;
    writer w = {.call = c->call, .item = i};
    sn_status status = write_result(&w, text, bytes, &c->e);
    sn_buf_free(&w.buf);
    return status;
}

static sn_status decode(sn_call *call, const json_t *list, bool special) {
    size_t n = json_array_size(list);
    int32_t *ids = sn_alloc(n ? n : 1, sizeof *ids);
    sn_buf text = {0};
    sn_status status = ids ? SN_OK : SN_ERR_MEMORY;
    for (size_t i = 0; status == SN_OK && i < n; i++) {
        const json_t *id = json_array_get(list, i);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > INT32_MAX || !sn_tokenizer_token(call->p->tokenizer, (int32_t)value))
            status = sn_fail(SN_ERR_USAGE, "\"decode\": number %zu of the list is not the id of a token; ids go from 0 to %lld", i + 1,
                             (long long)sn_tokenizer_size(call->p->tokenizer) - 1);
        else ids[i] = (int32_t)value;
    }
    if (status == SN_OK) status = sn_tokenizer_decode(call->p->tokenizer, ids, n, !special, &text);
    if (status == SN_OK) status = sn_buf_check(&text);
    if (status == SN_OK) status = sn_call_give(call, 0, json_pack("{s:o}", "text", json_stringn(text.data ? text.data : "", text.size)));
    sn_buf_free(&text);
    sn_free(ids);
    return status;
}

static sn_status run(sn_call *call) {
    json_t *list = NULL;
    cutting c = {.call = call};
    SN_TRY(sn_json_bool(call->options, "special", true, &c.special));
    SN_TRY(sn_json_string(call->options, "pair", NULL, &c.pair));
    SN_TRY(sn_json_array(call->options, "decode", &list));
    if (list) return decode(call, list, c.special);
    sn_status status = sn_call_each(call, one, &c);
    sn_encoding_free(&c.e);
    return status;
}

static bool fits(const sn_pipeline *p) { return p->tokenizer != NULL; }
const sn_pipeline_task sn_pipeline_task_tokenize = {"tokenize", SN_NEED_TOKENIZER, keys, fits, run};
