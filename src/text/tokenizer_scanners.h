/* tokenizer_scanners.h: patterns matched by hand. */
#ifndef SN_TEXT_TOKENIZER_SCANNERS_H
#define SN_TEXT_TOKENIZER_SCANNERS_H
#include "text/tokenizer_internal.h"

/* The first match in s[0..size) that begins at `at` or behind it; false when there is none. */
typedef bool sn_tok_scan(const sn_tok_unicode *u, const char *s, size_t at, size_t size, size_t *begin, size_t *end);
#define SN_TOK_SCANNER(id, pattern) sn_tok_scan sn_tok_scan_##id;
#include "text/tokenizer_scanners.def"
/* The scanner for this pattern; NULL when there is none. */
sn_tok_scan *sn_tok_scanner_for(const char *pattern);
#endif
