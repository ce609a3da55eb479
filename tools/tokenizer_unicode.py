"""tokenizer_unicode.py: asks the Python package `tokenizers` what it takes every code point for, and writes the answer
as src/text/tokenizer_unicode.def.

    tokenizer_unicode.py > src/text/tokenizer_unicode.def

Its parts were built against different versions of Unicode (normalisation 9, categories 8, regular expressions and case
newer ones), so neither utf8proc's tables nor PCRE2's give the same answers; these do, whatever version of those libraries
is installed. Normalisation itself is utf8proc's, restricted to the code points that this table does not call inert.
"""
import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def pieces(pre, text):
    return [p for p, _ in pre.pre_tokenize_str(text)]


def regex_class(pattern):
    split = pre_tokenizers.Split(Regex(pattern), 'removed')
    return lambda ch: not pieces(split, ch)


WHITE = pre_tokenizers.WhitespaceSplit()
WORDS = pre_tokenizers.Whitespace()
DIGITS = pre_tokenizers.Digits(individual_digits=True)
PUNCT = pre_tokenizers.Punctuation('removed')
CLEAN = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
MARKS = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
HAN = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)
STRIP = normalizers.StripAccents()
LOWER = normalizers.Lowercase()
NFD, NFKD, NFC = normalizers.NFD(), normalizers.NFKD(), normalizers.NFC()


def inert(ch):
    """Younger than the reference's normalisation: it does not decompose, reorder or compose there."""
    if unicodedata.category(ch) == 'Cn':
        return True
    if NFD.normalize_str(ch) != unicodedata.normalize('NFD', ch):
        return True
    if NFKD.normalize_str(ch) != unicodedata.normalize('NFKD', ch):
        return True
    if unicodedata.combining(ch) > 1 and NFD.normalize_str('a' + ch + '\u0334') == 'a' + ch + '\u0334':
        return True
    if unicodedata.combining(ch) == 1 and NFD.normalize_str('a\u0301' + ch) == 'a\u0301' + ch:
        return True
    parts = unicodedata.normalize('NFD', ch)
    return len(parts) > 1 and NFC.normalize_str(parts) != unicodedata.normalize('NFC', parts)


PROPERTIES = [
    ('SPACE', lambda ch: not pieces(WHITE, ch)),
    ('LETTER', regex_class(r'\p{L}')),
    ('NUMBER', regex_class(r'\p{N}')),
    ('WORD', lambda ch: pieces(WORDS, 'a' + ch) == ['a' + ch]),
    ('NUMERIC', lambda ch: len(pieces(DIGITS, 'a' + ch)) == 2),
    ('PUNCTUATION', lambda ch: pieces(PUNCT, 'a' + ch) == ['a']),
    ('OTHER', lambda ch: CLEAN.normalize_str('a' + ch) == 'a'),
    ('NONSPACING', lambda ch: MARKS.normalize_str('a' + ch) == 'a'),
    ('COMBINING', lambda ch: STRIP.normalize_str('a' + ch) == 'a'),
    ('INERT', inert),
    ('HAN', lambda ch: HAN.normalize_str(ch) == ' ' + ch + ' '),
]


def main():
    same = regex_class(r'\s')
    for c in CODES:
        if same(chr(c)) != bool(PROPERTIES[0][1](chr(c))):
            print('\\s and white space differ at U+%04X' % c, file=sys.stderr)
    print('/* tokenizer_unicode.def: what the reference takes each code point for; written by tools/tokenizer_unicode.py.')
    print(' *')
    print(' * SN_PROPERTY(name, bit) once for each property; SN_CODES(first, last, bits) for every range with any;')
    print(' * SN_LOWER(first, last, step, delta) where lower case is not what Unicode 14 says. */')
    for i, (name, _) in enumerate(PROPERTIES):
        print('SN_PROPERTY(%s, %d)' % (name, i))
    rows, start, before, previous = [], 0, 0, -1
    for c in CODES + [None]:
        bits = 0
        if c is not None:
            for i, (_, ask) in enumerate(PROPERTIES):
                bits |= bool(ask(chr(c))) << i
        if c is None or bits != before or c != previous + 1:
            if before:
                rows.append('SN_CODES(0x%04X, 0x%04X, 0x%03X)' % (start, previous, before))
            start, before = c, bits
        previous = c
    for i in range(0, len(rows), 3):
        print(' '.join(rows[i:i + 3]))
    changed = [(c, ord(low)) for c in CODES for low in [LOWER.normalize_str(chr(c))]
               if len(low) == 1 and low != (chr(c).lower() if len(chr(c).lower()) == 1 else None)]
    runs = []
    for c, low in changed:
        if runs and runs[-1][3] == low - c and (runs[-1][2] is None or c - runs[-1][1] == runs[-1][2]) and c - runs[-1][1] < 3:
            runs[-1][2] = c - runs[-1][1]
            runs[-1][1] = c
        else:
            runs.append([c, c, None, low - c])
    for first, last, step, delta in runs:
        print('SN_LOWER(0x%04X, 0x%04X, %d, %d)' % (first, last, step or 1, delta))
    for c in CODES:
        low = LOWER.normalize_str(chr(c))
        if len(low) != 1:
            print('lower case of U+%04X is %r' % (c, low), file=sys.stderr)
    print('#undef SN_PROPERTY\n#undef SN_CODES\n#undef SN_LOWER')


main()
