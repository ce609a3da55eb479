/* mock.c: the hash model, and what the tests of generation read. */
#include "mock.h"

#include "base/memory.h"

enum { STATES = 65521 };

static uint32_t scramble(uint32_t x) {
    x *= 2654435761u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    x *= 3266489917u;
    return x ^ (x >> 16);
}

void mock_create(mock *m, const json_t *entry) {
    size_t i;
    json_t *pair;
    *m = (mock){.vocabulary = json_integer_value(json_object_get(entry, "vocabulary")),
                .salt = (uint32_t)json_integer_value(json_object_get(entry, "salt"))};
    json_array_foreach(json_object_get(entry, "lift"), i, pair) {
        assert_true(m->n_lifted < 16);
        m->lifted[m->n_lifted] = (int)json_integer_value(json_array_get(pair, 0));
        m->by[m->n_lifted++] = (float)json_number_value(json_array_get(pair, 1));
    }
}

void mock_logits(const mock *m, uint32_t state, float *logits) {
    uint32_t first = state * 40503u + m->salt * 7919u;
    for (int64_t i = 0; i < m->vocabulary; i++) logits[i] = (float)(scramble((uint32_t)i + first) >> 8) / 2097152.0f;
    float noise = m->stamps_by + m->stamps_noise * (float)(scramble(state + m->salt * 977u) >> 8) / 16777216.0f;
    for (int64_t i = m->stamps; m->stamps && i < m->vocabulary; i++) logits[i] += noise;
    for (int i = 0; i < m->n_lifted; i++) logits[m->lifted[i]] += m->by[i];
}

static sn_status step(void *context, int64_t rows, int64_t count, const int32_t *ids, const int32_t *parents, float *logits) {
    mock *m = context;
    uint32_t *next = malloc((size_t)rows * sizeof *next);
    assert_non_null(next);
    assert_true(rows <= 4096 && (m->calls > 0 || !parents));
    m->calls++;
    if (!parents) m->prompt_rows = rows;
    if (rows > m->most_rows) m->most_rows = rows;
    for (int64_t r = 0; r < rows; r++) {
        if (parents) assert_in_range(parents[r], 0, m->rows - 1);
        next[r] = parents ? m->state[parents[r]] : m->start;
        for (int64_t i = 0; i < count; i++) next[r] = (next[r] * 31 + (uint32_t)ids[r * count + i] + 7) % STATES;
        mock_logits(m, next[r], logits + r * m->vocabulary);
    }
    memcpy(m->state, next, (size_t)rows * sizeof *next);
    free(next);
    m->rows = rows;
    if (m->calls == m->bad_call) logits[m->vocabulary / 2] = m->bad;
    if (m->calls == m->fail_call) SN_FAIL(SN_ERR_BACKEND, "the mock gave up");
    return SN_OK;
}

sn_decoder mock_decoder(mock *m) { return (sn_decoder){.context = m, .vocabulary = m->vocabulary, .step = step}; }

json_t *golden_json(const char *name) {
    char path[512];
    json_t *out;
    (void)snprintf(path, sizeof path, "%s/golden/generate/%s", SN_TEST_ROOT, name);
    assert_ok(sn_json_read(path, &out));
    return out;
}

int32_t *ids_of(const json_t *lists, int64_t *rows, int64_t *length) {
    *rows = (int64_t)json_array_size(lists);
    *length = (int64_t)json_array_size(json_array_get(lists, 0));
    int32_t *ids = malloc((size_t)(*rows * *length) * sizeof *ids);
    assert_non_null(ids);
    for (int64_t r = 0; r < *rows; r++)
        for (int64_t i = 0; i < *length; i++)
            ids[r * *length + i] = (int32_t)json_integer_value(json_array_get(json_array_get(lists, (size_t)r), (size_t)i));
    return ids;
}

void free_texts(sn_generated *texts, int64_t n) {
    for (int64_t i = 0; i < n; i++) sn_free(texts[i].tokens);
}
