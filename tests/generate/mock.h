/* mock.h: the model without weights of tools/golden_generate.py: logits are a hash of all tokens of the row. */
#ifndef SN_TEST_MOCK_H
#define SN_TEST_MOCK_H
#include "generate/generate.h"
#include "test.h"

typedef struct mock {
    int64_t vocabulary, rows, calls, most_rows, prompt_rows; /* rows: of the last call */
    uint32_t salt, start, state[4096]; /* start: the state before the first token */
    int64_t stamps;                    /* tokens from here on are timestamps (0: none): lifted together, */
    float stamps_by, stamps_noise;     /* by this and up to that, by a hash of the state */
    int lifted[16];
    float by[16];
    int n_lifted;
    int64_t bad_call;  /* the call in which `bad` is written to the first row; 0: none */
    float bad;
    int64_t fail_call; /* the call that fails; 0: none */
} mock;
/* A case of texts.json, or one with "vocabulary" and "salt" alone. */
void mock_create(mock *m, const json_t *entry);
sn_decoder mock_decoder(mock *m);
void mock_logits(const mock *m, uint32_t state, float *logits);

json_t *golden_json(const char *name);
/* A list of lists of equal length, as rows; free() it. */
int32_t *ids_of(const json_t *lists, int64_t *rows, int64_t *length);
void free_texts(sn_generated *texts, int64_t n);
#endif
