/* tokenizer_world.h: the goldens of tools/golden_tokenizers.py, and a directory to put files in. */
#ifndef SN_TOKENIZER_WORLD_H
#define SN_TOKENIZER_WORLD_H
#include "test.h"

#include "text/tokenizer.h"
#include "text/tokenizer_internal.h"

extern json_t *tok_goldens;
int tok_read_goldens(void **state);
int tok_drop_goldens(void **state);
/* The golden of this name; and its tokenizer.json, whose model stands under a name of its own, whole. Heap. */
const json_t *tok_golden(const char *name);
char *tok_json_of(const json_t *golden);
sn_tokenizer *tok_build(const json_t *golden);
/* A text: a string, or bytes in hexadecimal. Heap. */
char *tok_text_of(const json_t *json, size_t *bytes);
/* A new directory; a file in it. */
char *tok_directory(void);
void tok_write(const char *directory, const char *name, const char *text, size_t bytes);
#endif
