"""models.py: the rows of `make bench` over published models of their full sizes (tools/full_models.py makes them).

A row is one kind of work; for each precision of ours the peers are those that one would take for it: PyTorch and ONNX
Runtime in f32 beside our f32; PyTorch in bf16 and under autocast, and ONNX Runtime again, beside `auto`; llama.cpp and
whisper.cpp in both (peer_processes.py).
"""
import os
import statistics
import struct
import subprocess
import tempfile
import time
import zlib

import peer_processes

#  name: (title, work, model, arguments, peers beside f32, peers beside auto, the answer's figures)
F32 = [('torch', 'f32'), ('onnx', 'f32')]
AUTO = [('torch', 'bf16'), ('torch', 'autocast'), ('onnx', 'f32')]
TORCH, TORCH_AUTO = F32[:1], AUTO[:2]
GPT2, GPT2_AUTO = TORCH + [('llama.cpp', 'f32')], AUTO[:1] + [('llama.cpp', 'bf16'), ('llama.cpp', 'f16')]
WHISPER, WHISPER_AUTO = TORCH + [('whisper.cpp', 'f32')], TORCH_AUTO + [('whisper.cpp', 'f16'), ('whisper.cpp', 'f32')]
HEARD = {'encode': 'encoder, 30 s', 'decode': '64 tokens after 96'}  # 96 + 32: as many tokens before one as in whisper.cpp's mean
TEXTS = '<texts>'  # 32 sentences of 4 to 31 words
ROWS = {
    'bert_mixed': ('BERT-base, 32 sentences of mixed length', 'embed', 'bert-base', TEXTS, F32, AUTO, 'seconds'),
    'vit_1': ('ViT-B/16, one picture', 'encode', 'vit-base', 'picture 1', F32, AUTO, 'seconds'),
    'vit_16': ('ViT-B/16, 16 pictures', 'encode', 'vit-base', 'picture 16', F32, AUTO, 'seconds'),
    'clip_1': ('CLIP B/32, one picture', 'encode', 'clip-vit-base-patch32', 'picture 1', F32, AUTO, 'seconds'),
    'clip_16': ('CLIP B/32, 16 pictures', 'encode', 'clip-vit-base-patch32', 'picture 16', F32, AUTO, 'seconds'),
    'bert_32': ('BERT-base, 32 texts of 32 tokens', 'encode', 'bert-base', 'text 32 32', F32, AUTO, 'seconds'),
    'bert_128': ('BERT-base, 32 texts of 128 tokens', 'encode', 'bert-base', 'text 32 128', F32, AUTO, 'seconds'),
    'whisper_tiny': ('Whisper tiny', 'write', 'whisper-tiny', '96 64 1', WHISPER, WHISPER_AUTO, HEARD),
    'whisper_base': ('Whisper base', 'write', 'whisper-base', '96 64 1', WHISPER, WHISPER_AUTO, HEARD),
    'gpt2_decode': ('GPT-2, 64 tokens after 128', 'write', 'gpt2', '128 64 1', GPT2, GPT2_AUTO, 'decode'),
    'gpt2_prompt': ('GPT-2, a prompt of 512', 'write', 'gpt2', '512 2 1', GPT2, GPT2_AUTO, 'prompt'),
    'caption': ('ViT-B + GPT-2, a caption, 4 beams, length 16', 'caption', 'vit-gpt2', '4 16', TORCH,
                TORCH_AUTO + [('torch', 'f32')], 'seconds'),
    'bert_step': ('BERT-base, training step of 16 texts of 128 tokens', 'train', 'bert-base', 'text 16 128', TORCH, TORCH_AUTO[1:], 'seconds'),
    'vit_step': ('ViT-B/16, training step of 8 pictures', 'train', 'vit-base', 'picture 8', TORCH, TORCH_AUTO[1:], 'seconds'),
}


def sentences():
    words = 'the people of this small town had never seen a river so wide and they said that it would rise again before winter'.split()
    return [' '.join(words[(3 * i + k) % len(words)] for k in range(4 + i * 7 % 28)) for i in range(32)]


def row(bench, name, measure, summary):
    model, arguments = ROWS[name][2:4]
    place = os.path.join(bench.options.models, model)
    if not os.path.exists(os.path.join(place, 'model.safetensors')):
        print('%s: no %s (tools/full_models.py makes it), left out' % (name, place))
        return
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
        file.write('\n'.join(sentences()) + '\n')
        file.flush()
        measure_row(bench, name, place, arguments.replace(TEXTS, file.name), measure, summary)


def repeated(worker, figures):
    """As the programs of peer_processes.py measure: once to warm up after the others, then the median of a few."""
    answers = [worker.ask('run') for _ in range(1 + peer_processes.REPETITIONS)][1:]
    return {figure: statistics.median(answer[figure] for answer in answers) for figure in figures}


def measure_row(bench, name, place, arguments, measure, summary):
    title, work, model, _, f32, auto, figures = ROWS[name]
    figures = figures if isinstance(figures, dict) else {figures: None}
    threads, arguments = bench.options.threads, arguments.split()
    for precision in bench.options.precision.split(','):
        workers = {'ours': bench.ours_models(work, place, precision, threads, *arguments)}
        started = {}
        for peer, dtype in auto if precision == 'auto' else f32:
            if peer in peer_processes.PEERS:
                started[peer + ' ' + dtype] = peer_processes.contestant(peer, bench.options, model, dtype, figures, arguments)
            elif bench.python:
                workers[peer + ' ' + dtype] = bench.peer_models(peer, work, place, dtype, threads, *arguments)
        means = {}
        for worker_name, worker in workers.items():  # primitives are created, weights packed
            means[worker_name] = [worker.ask('run') for _ in range(2)][-1].get('mean')
        apart = [m for m in means.values() if m is not None and abs(m - means['ours']) > (0.3 if work == 'train' else 0.02) * abs(means['ours'])]  # dropout is drawn
        if apart:
            raise SystemExit('%s: the numbers differ: %s' % (name, means))
        pids = [w.process.pid for w in workers.values()]
        contestants = {n: lambda w=w: repeated(w, figures) if any(started.values()) else w.ask('run') for n, w in workers.items()}
        contestants.update((n, run) for n, run in started.items() if run)
        answers, foreign = measure(contestants, bench.options, pids)
        for worker in workers.values():
            worker.close()
        for figure, what in figures.items():
            values = {n: [answer[figure] for answer in rounds] for n, rounds in answers.items()}
            bench.add('_'.join((name, *([figure] if what else []), precision)), ', '.join((title, *([what] if what else []), precision)),
                      summary(values, foreign, 's'))


# ---- the whole command ----

def picture(file, width=640, height=480):
    """A PNG of smooth colours with some noise."""
    lines = b''.join(b'\0' + bytes(value for x in range(width) for value in (x * 255 // width, y * 255 // height, (x * 7 + y * 13 ^ x * y >> 6) & 255))
                     for y in range(height))
    chunks = ((b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)), (b'IDAT', zlib.compress(lines)), (b'IEND', b''))
    file.write(b'\x89PNG\r\n\x1a\n')
    for kind, data in chunks:
        file.write(struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data)))
    file.flush()


def caption_start(bench, measure, summary):
    """From the start of a process to a picture's caption and the process's end; the files are in the page cache."""
    place, threads = os.path.join(bench.options.models, 'vit-gpt2'), str(bench.options.threads)
    if not os.path.exists(os.path.join(place, 'vocab.json')):
        print('caption_start: no %s with a vocabulary (tools/full_models.py --gpt2), left out' % place)
        return

    def run(command):
        start = time.perf_counter()
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        return time.perf_counter() - start, text.strip()

    with tempfile.NamedTemporaryFile(suffix='.png') as file:
        picture(file)
        for precision in bench.options.precision.split(','):
            commands = {'ours': [os.path.join(bench.options.build, 'sensorium'), 'caption', place, file.name, '--num-beams', '4', '--max-length',
                                 '16', '--precision', precision, '--threads', threads]}
            if bench.python:
                commands['Transformers'] = bench.peer_models_command('torch', 'start', place, 'f32', threads, file.name, '4', '16')
            texts = {name: run(command)[1] for name, command in commands.items()}
            if precision == 'f32' and len(set(texts.values())) > 1:
                raise SystemExit('caption_start: the captions differ: %s' % texts)
            values, foreign = measure({n: lambda c=c: run(c)[0] for n, c in commands.items()}, bench.options, [])
            bench.add('caption_start_' + precision, 'start of the command to a caption, and its end, ' + precision, summary(values, foreign, 's'))
