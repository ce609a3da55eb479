"""golden_tokenizers.py: makes tests/golden/tokenizers.json with the Python package `tokenizers`.

    golden_tokenizers.py [OUTPUT]

Tiny tokenizers are trained or put together here, one for every kind of normalizer, pre-tokenizer, model, post-processor
and decoder, and one in the manner of each family of models; the file holds them and what they make of a few texts.
A model used by several is stored once and referred to by name. Texts that JSON cannot hold stand there as hexadecimal bytes.
"""
import base64
import json
import os
import random
import struct
import sys

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers)

HERE = os.path.dirname(os.path.abspath(__file__))
GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

WORDS = ('the a of and to in is it you that he was for on are with as his they at be this from have or by one had not but what '
         'all were when we there can an your which their said if do will each about how up out them then she many some so these '
         'would other into has more her two like him see time could no make than first been its who now people my made over did '
         'down only way find use may water long little very after words called just where most know').split()
FOREIGN = ('straße über größe café naïve déjà élève señor niño привет мир это слово ελληνικά λόγος שלום עולם مرحبا عالم हिन्दी शब्द '
           '中文 测试 文字 日本語 テキスト かな 한국어 단어 ไทย คำ việt nam').split()

TEXTS = [
    '', ' ', 'Hello, world!', "I'm sure they'll say it's DON'T; we've 12345 reasons.", '  two  spaces\tand\ttabs \n\n lines\r\n end  ',
    'naïve café déjà vu Straße İstanbul ǅungla', 'e\u0301 a\u0323\u0307 a\u0307\u0323 \u1e9b\u0323 q\u0307\u0323 \u212b ﬁ ① Ａ ㍿ \ufdfa',
    '中文测试，テキスト。한국어', 'Привет, мир! שלום مرحبا', 'हिन्दी ไทยคำ Việt',
    '👍🏽 👩\u200d🚀 🇩🇪 ❤️ 1️⃣', 'a\u200bb\u00adc\ufeffd\u00a0e\u3000f\u2028g\u0085h\u180ei', '\x01\x02 control \x7f\x1b chars \x0b\x0c',
    '[CLS] a [MASK]b [SEP] <mask> <s>text</s> <|endoftext|>', 'price: $3.14 (50%) - x=y+z; #tag @user a_b',
    'underscore_word camelCase ALLCAPS the the theme thethe', '\u0301\u0301leading marks', 'x' * 101, '1234 56,789.10 ٣٤ ⅷ ² ½',
    "'S 'T 'ſ 'Re ''ll ...'ve\n\n\n  !!\r\n", '▁marks▁ ▁ of▁space', 'newtok NEWTOK newtoken anewtok newtok. new tok',
]
RAW = [b'bad \xff bytes \xe4\xbd here\xf0\x9f\x91', b'nul \x00 byte', b'\xed\xa0\x80 surrogate \xc0\xaf overlong \xf4\x90\x80\x80']
PAIRS = [('how are you', 'fine, thank you'), ('', 'only the second'), ('the first text is a longer one than the other', 'two words')]


def corpus():
    draw = random.Random(1)
    lines = []
    for _ in range(400):
        words = [draw.choice(WORDS) if draw.random() < 0.8 else draw.choice(FOREIGN) for _ in range(draw.randint(4, 12))]
        line = ' '.join(words) + draw.choice(['.', '!', '?', ', 123', " it's"])
        lines.append(line if draw.random() < 0.5 else line.capitalize())
    return lines


def charsmap(table):
    """sentencepiece's character map: a Darts double array of the keys, and the replacements."""
    texts, offsets = b'', {}
    for value in sorted(set(table.values())):
        offsets[value] = len(texts)
        texts += value.encode() + b'\0'
    keys = sorted((key.encode(), offsets[value]) for key, value in table.items())
    units, used = {0: 0}, {0}

    def place(node, prefix):
        branch = sorted({key[len(prefix)] for key, _ in keys if key.startswith(prefix) and len(key) > len(prefix)})
        leaf = [value for key, value in keys if key == prefix]
        labels = ([0] if leaf else []) + branch
        base = 1
        while any((base ^ label) in used for label in labels) or (node ^ base) >= 1 << 21:
            base += 1
        used.update(base ^ label for label in labels)
        units[node] = units.get(node, 0) | (node ^ base) << 10 | (1 << 8 if leaf else 0)
        if leaf:
            units[base] = leaf[0] | 1 << 31
        for label in branch:
            units[base ^ label] = label
        for label in branch:
            place(base ^ label, prefix + bytes([label]))

    place(0, b'')
    size = (max(units) | 255) + 1
    array = struct.pack('<%dI' % size, *[units.get(i, 0) for i in range(size)])
    return struct.pack('<I', len(array)) + array + texts


MAP = {'ﬁ': 'fi', '①': '1', 'Ａ': 'A', 'e\u0301': 'é', '\u00a0': ' ', '\u3000': ' ', '\u200b': ' ', '\t': ' ', '\n': ' ', '㍿': '株式会社',
       '\u00ad': '', 'ǅ': 'Dž', '…': '...'}

# ---- models ----


def byte_bpe(size=380):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, special_tokens=['<|endoftext|>', '<s>', '</s>', '<pad>', '<mask>'],
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return json.loads(t.to_str())['model']


def word_end_bpe():
    t = Tokenizer(models.BPE(unk_token='<|endoftext|>', end_of_word_suffix='</w>'))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), 'removed', invert=True), pre_tokenizers.ByteLevel(False)])
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=420, special_tokens=['<|startoftext|>', '<|endoftext|>'], end_of_word_suffix='</w>',
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return json.loads(t.to_str())['model']


def fallback_bpe(merges=True):
    special = ['<unk>', '<s>', '</s>'] + ['<0x%02X>' % b for b in range(256)]
    if not merges:
        return json.loads(Tokenizer(models.BPE({s: i for i, s in enumerate(special)}, [], unk_token='<unk>', byte_fallback=True)).to_str())['model']
    t = Tokenizer(models.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=480, special_tokens=special, limit_alphabet=60, show_progress=False))
    return json.loads(t.to_str())['model']


def unknown_bpe(fuse):
    """Few characters, a prefix inside words: much is unknown."""
    t = Tokenizer(models.BPE(unk_token='<unk>', fuse_unk=fuse, continuing_subword_prefix='@@'))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.train_from_iterator([' '.join(WORDS)] * 3, trainers.BpeTrainer(vocab_size=120, special_tokens=['<unk>'], continuing_subword_prefix='@@',
                                                                     show_progress=False))
    return json.loads(t.to_str())['model']


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token='[UNK]'))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=420, special_tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'],
                                                              show_progress=False))
    return json.loads(t.to_str())['model']


def unigram(fallback):
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ['<unk>', '<s>', '</s>', '<pad>', '<mask>']
    t.train_from_iterator(corpus(), trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token='<unk>', show_progress=False))
    model = json.loads(t.to_str())['model']
    model['vocab'] = [[token, round(score, 4)] for token, score in model['vocab']]
    if fallback:
        model['vocab'] += [['<0x%02X>' % b, -20.0] for b in range(256)]
        model['byte_fallback'] = True
    return model


def wordlevel():
    vocab = {'<unk>': 0}
    for word in WORDS[:60] + ['.', ',', '!', '12', 'Hello', 'world', '中', 'café']:
        vocab.setdefault(word, len(vocab))
    return json.loads(Tokenizer(models.WordLevel(vocab, unk_token='<unk>')).to_str())['model']


MODELS = {'byte_bpe': byte_bpe(), 'word_end_bpe': word_end_bpe(), 'fallback_bpe': fallback_bpe(), 'bytes': fallback_bpe(False),
          'unknown_bpe': unknown_bpe(False), 'fused_bpe': unknown_bpe(True), 'wordpiece': wordpiece(), 'unigram': unigram(False),
          'unigram_bytes': unigram(True), 'wordlevel': wordlevel()}
WHOLE = dict(MODELS['byte_bpe'], ignore_merges=True)

# ---- tokenizers ----

BYTES = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])


def part(thing):
    """What a part looks like in tokenizer.json."""
    return json.loads(thing.__getstate__()) if thing is not None else None


def entry(i, content, special=True, **how):
    return dict({'id': i, 'content': content, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': not special, 'special': special}, **how)


def tokenizer(model, normalizer=None, pre=None, post=None, decoder=None, added=(), truncation=None, padding=None):
    return {'version': '1.0', 'truncation': truncation, 'padding': padding, 'added_tokens': list(added), 'normalizer': part(normalizer),
            'pre_tokenizer': part(pre), 'post_processor': part(post), 'decoder': part(decoder), 'model': model}


def families():
    P, N, D, B = processors, normalizers, decoders, pre_tokenizers
    marks = [entry(0, '<|endoftext|>'), entry(1, '<s>'), entry(2, '</s>'), entry(3, '<pad>'), entry(4, '<mask>', lstrip=True)]
    bert = [entry(i, s) for i, s in enumerate(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'])]
    around = P.TemplateProcessing(single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B:1 [SEP]:1', special_tokens=[('[CLS]', 2), ('[SEP]', 3)])
    yield 'gpt2', tokenizer('byte_bpe', None, B.ByteLevel(False), P.ByteLevel(True), D.ByteLevel(), marks[:1])
    yield 'roberta', tokenizer('byte_bpe', None, B.ByteLevel(True), P.RobertaProcessing(('</s>', 2), ('<s>', 1), True, True), D.ByteLevel(), marks)
    yield 'gpt4', tokenizer('whole_bpe', None, B.Sequence([B.Split(Regex(GPT4), 'isolated'), B.ByteLevel(False, use_regex=False)]),
                            P.Sequence([P.ByteLevel(False), P.TemplateProcessing(single='<s> $A', pair='<s> $A <s>:1 $B:1', special_tokens=[('<s>', 1)])]),
                            D.ByteLevel(), marks)
    yield 'clip', tokenizer('word_end_bpe', N.Sequence([N.NFC(), N.Replace(Regex(r'\s+'), ' '), N.Lowercase()]),
                            B.Sequence([B.Split(Regex(CLIP), 'removed', invert=True), B.ByteLevel(False)]),
                            P.RobertaProcessing(('<|endoftext|>', 1), ('<|startoftext|>', 0), False, False), D.ByteLevel(),
                            [entry(0, '<|startoftext|>', normalized=True), entry(1, '<|endoftext|>')])
    yield 'llama', tokenizer('fallback_bpe', N.Sequence([N.Prepend('▁'), N.Replace(' ', '▁')]), None,
                             P.TemplateProcessing(single='<s> $A', pair='<s> $A <s>:1 $B:1', special_tokens=[('<s>', 1)]),
                             D.Sequence([D.Replace('▁', ' '), D.ByteFallback(), D.Fuse(), D.Strip(' ', 1, 0)]), [entry(i, s) for i, s in enumerate(['<unk>', '<s>', '</s>'])])
    yield 'bert', tokenizer('wordpiece', N.BertNormalizer(), B.BertPreTokenizer(), around, D.WordPiece(), bert)
    yield 'bert cased', tokenizer('wordpiece', N.BertNormalizer(lowercase=False), B.BertPreTokenizer(), P.BertProcessing(('[SEP]', 3), ('[CLS]', 2)),
                                  D.WordPiece(cleanup=False), bert)
    for name, cut, fill in [('right', {'direction': 'Right', 'strategy': 'LongestFirst'}, {'strategy': {'Fixed': 12}, 'direction': 'Right'}),
                            ('left', {'direction': 'Left', 'strategy': 'OnlyFirst'}, {'strategy': 'BatchLongest', 'direction': 'Left', 'pad_to_multiple_of': 8})]:
        yield 'bert ' + name, tokenizer('wordpiece', N.BertNormalizer(), B.BertPreTokenizer(), around, D.WordPiece(), bert,
                                        dict(cut, max_length=9, stride=0), dict({'pad_to_multiple_of': None, 'pad_id': 0, 'pad_type_id': 0, 'pad_token': '[PAD]'}, **fill))
    yield 'xlmr', tokenizer('unigram', N.Sequence([N.Precompiled(charsmap(MAP)), N.Replace(Regex(' {2,}'), ' ')]), B.Metaspace(),
                            P.TemplateProcessing(single='<s> $A </s>', pair='<s> $A </s> </s> $B </s>', special_tokens=[('<s>', 1), ('</s>', 2)]), D.Metaspace(),
                            [entry(i, s) for i, s in enumerate(['<unk>', '<s>', '</s>', '<pad>'])] + [entry(4, '<mask>', lstrip=True)])
    yield 'unigram bytes', tokenizer('unigram_bytes', None, B.Metaspace(prepend_scheme='first', split=False), None, D.Sequence([D.ByteFallback(), D.Metaspace()]),
                                     [entry(1, '<s>'), entry(2, '</s>')])
    yield 'words', tokenizer('wordlevel', None, B.Whitespace())
    yield 'unknown', tokenizer('unknown_bpe', None, B.Whitespace(), None, D.BPEDecoder('@@'))
    yield 'fused', tokenizer('fused_bpe', None, B.WhitespaceSplit(), None, decoders.Fuse())
    yield 'added', tokenizer('bytes', N.Lowercase(), None, None, BYTES, [
        entry(300, 'newtok', False, single_word=True), entry(301, '[MASK]', False, lstrip=True, rstrip=True), entry(302, 'The', False),
        entry(303, '<s>', True, rstrip=True), entry(304, 'new', False, normalized=False), entry(1, '</s>', True, normalized=True)])


def normalizing():
    N = normalizers
    for n in [N.NFC(), N.NFD(), N.NFKC(), N.NFKD(), N.Lowercase(), N.StripAccents(), N.Nmt(), N.Strip(True, False), N.Strip(False, True), N.Strip(),
              N.Prepend('>>'), N.Replace('the', 'THE '), N.Replace(Regex('[aeiou]+'), ''), N.Precompiled(charsmap(MAP)), N.ByteLevel(),
              N.BertNormalizer(True, True, False, False), N.BertNormalizer(False, False, True, False), N.BertNormalizer(False, True, None, True),
              N.Sequence([N.NFD(), N.StripAccents(), N.NFC(), N.Lowercase()])]:
        yield tokenizer('bytes', n, None, None, BYTES)


def splitting():
    B = pre_tokenizers
    for how in ['removed', 'isolated', 'merged_with_previous', 'merged_with_next', 'contiguous']:
        yield tokenizer('bytes', None, B.Punctuation(how), None, BYTES)
        yield tokenizer('bytes', None, B.Split(Regex(r'\s|\d+'), how), None, BYTES)
        yield tokenizer('bytes', None, B.Split('e', how, invert=how == 'removed'), None, BYTES)
    for p in [B.Split(Regex(r'\w+|[^\w\s]+'), 'isolated'), B.Split(Regex(r'\W|\h+|[\s\d]+'), 'removed'), B.Digits(True), B.Digits(False), B.CharDelimiterSplit('a'), B.FixedLength(7), B.WhitespaceSplit(), B.Whitespace(), B.BertPreTokenizer(), B.ByteLevel(True),
              B.Metaspace(), B.Metaspace(prepend_scheme='first'), B.Metaspace('_', 'never', False),
              B.Sequence([B.WhitespaceSplit(), B.Metaspace('#'), B.Digits(True), B.Punctuation('merged_with_next')])]:
        yield tokenizer('bytes', None, p, None, BYTES)


def decoding():
    D = decoders
    for d in [None, D.CTC('<unk>', 'e', True), D.CTC('<0x20>', '|', False), D.BPEDecoder('>'), D.Fuse(), D.Strip('<', 1, 0), D.Strip('>', 0, 1),
              D.Replace(Regex('0x[0-9]'), '-'), D.ByteFallback(), D.WordPiece('<0x', True), D.Metaspace(), D.ByteLevel(), D.Sequence([D.ByteFallback(), D.Fuse(), D.CTC()])]:
        yield tokenizer('bytes', None, None, None, d)


def plain(text):
    return {'hex': text.encode().hex()} if '\0' in text else text


def steps(numbers):
    return [n - before for n, before in zip(numbers, [0] + numbers)]


def results(spec, inputs):
    full = dict(spec, model={**MODELS, 'whole_bpe': WHOLE}[spec['model']])
    t = Tokenizer.from_str(json.dumps(full))
    rows = []
    for text in inputs:
        try:
            e = t.encode(*text) if isinstance(text, tuple) else t.encode(text)
        except Exception as error:  # the reference refuses; so should we
            if 'too short' not in str(error) and 'Sequence' not in str(error):
                raise
            rows.append(None)
            continue
        words = [-1 if word is None else word for word in e.word_ids]
        begins = [o[0] for o in e.offsets]
        row = [e.ids, steps(begins), [o[1] - o[0] for o in e.offsets], steps(words), plain(t.decode(e.ids))]
        whole = plain(t.decode(e.ids, skip_special_tokens=False))
        extra = [e.type_ids if any(e.type_ids) else 0, e.special_tokens_mask if any(e.special_tokens_mask) else 0,
                 0 if all(e.attention_mask) else e.attention_mask, 0 if whole == row[-1] else whole]
        rows.append(row + extra if any(extra) else row)
    return rows


def main():
    inputs = TEXTS + [raw.decode('utf8', 'replace') for raw in RAW]
    out = {'texts': [plain(t) for t in TEXTS] + [{'hex': raw.hex()} for raw in RAW], 'pairs': PAIRS,
           'models': MODELS, 'tokenizers': []}
    out['models']['whole_bpe'] = WHOLE
    for name, spec in families():
        which = [i for i in range(len(inputs)) if i not in (1, 8, 14, 18) and name not in ('words', 'unknown', 'fused', 'added', 'unigram bytes') or i in (0, 3, 4, 5, 10, 16, 21, len(TEXTS))]
        out['tokenizers'].append({'name': name, 'json': spec, 'texts': which, 'rows': results(spec, [inputs[i] for i in which]), 'pairs': results(spec, PAIRS)})
    for kind, which, specs in [('normalizer', [5, 6, 7, 11, 12, 16, len(TEXTS)], normalizing()),
                               ('pre-tokenizer', [11, 14, 18], splitting()), ('decoder', [0, 2, 6, len(TEXTS)], decoding())]:
        for spec in specs:
            section = spec[{'normalizer': 'normalizer', 'pre-tokenizer': 'pre_tokenizer', 'decoder': 'decoder'}[kind]]
            out['tokenizers'].append({'name': '%s %s' % (kind, json.dumps(section, ensure_ascii=True)[:120]), 'json': spec, 'texts': which,
                                      'rows': results(spec, [inputs[i] for i in which]), 'pairs': []})
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', 'tests', 'golden', 'tokenizers.json')
    with open(path, 'w', encoding='utf8') as file:
        json.dump(out, file, ensure_ascii=False, separators=(',', ':'))
        file.write('\n')
    print(path, os.path.getsize(path), 'bytes,', len(out['tokenizers']), 'tokenizers')


main()
