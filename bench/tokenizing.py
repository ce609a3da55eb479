"""tokenizing.py: the rows of `make bench` that turn text into tokens, on one thread.

10 MB of text in pieces of some 4,000 characters, the same for all; what is counted is text to numbers of tokens, without
special ones. Real vocabularies lie beside the models that tools/full_models.py makes with --gpt2 and --bert. All
contestants must find the same number of tokens.
"""
import os
import random
import tempfile

#  name: (title, model, what it needs, peers)
ROWS = {
    'tokenize_bpe': ("GPT-2's byte-level BPE, 10 MB of mixed text, one thread", 'gpt2', ('vocab.json', 'merges.txt'), ('tiktoken', 'tokenizers')),
    'tokenize_wordpiece': ("BERT's WordPiece, 10 MB of mixed text, one thread", 'bert-base', ('vocab.txt',), ('tokenizers',)),
}
BYTES, PIECE = 10_000_000, 4000

# ---- text ----

COMMON = ('the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you '
          'were all her she there would their we him been has when who will no more if out so up said what its about than into them '
          'can only other time new some could these two may first then do any like my now over such our man me even most made after '
          'also well did many before must years back through much where your way down should because long each just state those').split()
#  share of the pieces: (beginnings, ends of syllables, spaces between words, what ends a sentence)
SCRIPTS = {
    'latin': (62, 'b bl br c ch cl cr d dr f fl g gr h j k l m n p pl pr qu r s sh sl st str t th tr v w y'.split(),
              'a e i o u ai ea ee ou an en in on er or ar al el ing ed tion ess ment ly ate ist ive'.split(), ' ', ['. ', ', ', ', ', '? ', '! ', '; ', ':\n', '.\n\n', ' - ']),
    'accents': (10, 'b d f g gl h k l m n p r s sch st t v w z ç'.split(), 'ä ö ü é è ê ñ ó í ão eux ier ung lich keit ción à ø å'.split(), ' ', ['. ', ', ', ' « ', ' », ', '.\n']),
    'cyrillic': (8, 'б в г д ж з к л м н п р с т ф х ц ч ш'.split(), 'а е и о у ы я ю ой ый ать ение ость ов ски'.split(), ' ', ['. ', ', ', ' — ', '.\n']),
    'chinese': (6, [chr(c) for c in range(0x4e00, 0x5800, 5)], [chr(c) for c in range(0x5800, 0x6e00, 9)], '', ['。', '，', '，', '、', '！\n']),
    'kana': (3, [chr(c) for c in range(0x3042, 0x3094)], [chr(c) for c in range(0x30a2, 0x30f4)], '', ['。', '、', '\n']),
    'arabic': (3, [chr(c) for c in range(0x628, 0x63b)], ['ا', 'و', 'ي', 'ة', 'ان', 'ات'], ' ', ['. ', '، ', '.\n']),
    'code': (8, 'get set make read x i n ptr buf key val node list'.split(), '_name _size Count Index [i] (x) ->next .data()'.split(), ' ',
             [' = ', ' == ', ';\n    ', ') {\n        ', '}\n\n', ' + ', '", "', ' // ', ' 0x1f, ', '&&']),
}
EMOJI = '😀 😂 👍🏽 ❤️ 🎉 👩‍👩‍👧 🇩🇪 🚀 ✨ 😭'.split()


def lexicon(chance, name, count=20000):
    """Words by rank, and their weights after Zipf's law: few are often, most are rare."""
    _, begins, ends, _, _ = SCRIPTS[name]
    words = list(COMMON) if name == 'latin' else []
    while len(words) < count:
        words.append(''.join(chance.choice(begins) + chance.choice(ends) for _ in range(chance.choice((1, 1, 2, 2, 2, 3, 4)))))
    total, weights = 0.0, []
    for rank in range(count):
        total += 1 / (rank + 2.7)
        weights.append(total)
    return words, weights


def piece(chance, words, weights, between, ends):
    """PIECE characters or a few more."""
    parts, size = [], 0
    while size < PIECE:
        sentence = chance.choices(words, cum_weights=weights, k=chance.randint(4, 20))
        if chance.random() < 0.25:
            sentence[chance.randrange(len(sentence))] = str(chance.randrange(10 ** chance.randint(1, 6)))
        if chance.random() < 0.05:
            sentence.append(chance.choice(EMOJI))
        if chance.random() < 0.03:
            sentence[0] = sentence[0].upper()
        parts.append(between.join(sentence).capitalize() if chance.random() < 0.5 else between.join(sentence))
        parts.append(chance.choice(ends))
        size += len(parts[-2]) + len(parts[-1])
    return ''.join(parts)


def mixed_text(seed=1):
    """Pieces of BYTES bytes of UTF-8 in all, or a few more."""
    chance = random.Random(seed)
    lexicons = {name: lexicon(chance, name) for name in SCRIPTS}
    names, shares = list(SCRIPTS), [script[0] for script in SCRIPTS.values()]
    pieces, size = [], 0
    while size < BYTES:
        name, = chance.choices(names, shares)
        pieces.append(piece(chance, *lexicons[name], *SCRIPTS[name][3:]))
        size += len(pieces[-1].encode())
    return pieces


# ---- rows ----

def row(bench, name, worker, measure, summary):
    title, model, needs, peers = ROWS[name]
    place = os.path.join(bench.options.models, model)
    missing = [file for file in needs if not os.path.exists(os.path.join(place, file))]
    if missing:
        print('%s: no %s in %s (tools/full_models.py --gpt2, --bert), left out' % (name, missing[0], place))
        return
    here = os.path.dirname(os.path.abspath(__file__))
    with tempfile.NamedTemporaryFile('wb', suffix='.txt') as file:
        file.write('\0'.join(mixed_text()).encode())
        file.flush()
        workers = {'ours': worker([os.path.join(bench.options.build, 'bench_tokenizer'), 'row', place, file.name])}
        for peer in peers if bench.python else ():
            workers[peer] = worker([bench.python, os.path.join(here, 'peer_tokenizers.py'), peer, place, file.name])
        found = {n: w.ask('run')['tokens'] for n, w in workers.items()}
        if len(set(found.values())) > 1:
            raise SystemExit('%s: the numbers of tokens differ: %s' % (name, found))

        def rate(w):
            answer = w.ask('run')
            return answer['bytes'] / answer['seconds'] / 1e6

        pids = [w.process.pid for w in workers.values()]
        values, foreign = measure({n: lambda w=w: rate(w) for n, w in workers.items()}, bench.options, pids)
        for w in workers.values():
            w.close()
    bench.add(name, title, {**summary(values, foreign, 'MB/s', True), 'tokens': found['ours']})
