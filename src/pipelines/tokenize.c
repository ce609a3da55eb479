/* tokenize.c: text -> ids and tokens, as the model's own tokenizer cuts it; or ids -> text. */
#include "pipelines/pipeline.h"

static const char *const keys[] = {"special", "pair", "decode", NULL};

static json_t *numbers(const int32_t *x, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; list && i < n; i++) (void)json_array_append_new(list, json_integer(x[i]));
    return list;
}

/* A token may be a piece of a character: its bytes then are no UTF-8 and it has no name of its own. */
static json_t *names(const sn_tokenizer *t, const sn_encoding *e) {
    json_t *list = json_array();
    for (int64_t i = 0; list && i < e->count; i++) {
        const char *token = sn_tokenizer_token(t, e->ids[i]);
        json_t *name = token ? json_string(token) : NULL;
        (void)json_array_append_new(list, name ? name : json_null());
    }
    return list;
}

static json_t *offsets(const sn_encoding *e) {
    json_t *list = json_array();
    for (int64_t i = 0; list && i < e->count; i++)
        (void)json_array_append_new(list, json_pack("[I,I]", (json_int_t)e->bytes[i].begin, (json_int_t)e->bytes[i].end));
    return list;
}

typedef struct cutting {
    sn_call *call;
    bool special;
    const char *pair; /* NULL: none */
    sn_encoding e;
} cutting;

static sn_status one(void *context, size_t i) {
    cutting *c = context;
    sn_call *call = c->call;
    sn_encoding *e = &c->e;
    const char *text;
    size_t bytes;
    sn_encode_options o = {.add_special = c->special, .offsets = true, .truncation = SN_TRUNCATE_NONE, .padding = SN_PAD_NONE};
    SN_TRY(sn_item_text(&call->items[i], &text, &bytes));
    SN_TRY(sn_tokenizer_encode(call->p->tokenizer, text, bytes, c->pair, c->pair ? strlen(c->pair) : 0, o, e));
    return sn_call_give(call, i, json_pack("{s:o, s:o, s:o, s:o, s:o}", "text", json_stringn_nocheck(text, bytes), "ids",
                                           numbers(e->ids, e->count), "tokens", names(call->p->tokenizer, e), "types",
                                           numbers(e->type_ids, e->count), "offsets", offsets(e)));
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
