"""models.py: the rows of `make bench` over published models of their full sizes (tools/full_models.py makes them).

A row is one kind of work; for each precision of ours the peers are those that one would take for it: PyTorch and ONNX
Runtime in f32 beside our f32; PyTorch in bf16 and under autocast, and ONNX Runtime again, beside `auto`.
"""
import os
import tempfile

#  name: (title, work, model, arguments, peers beside f32, peers beside auto, what the answer's figure is)
F32 = [('torch', 'f32'), ('onnx', 'f32')]
AUTO = [('torch', 'bf16'), ('torch', 'autocast'), ('onnx', 'f32')]
TORCH, TORCH_AUTO = F32[:1], AUTO[:2]
TEXTS = '<texts>'  # 32 sentences of 4 to 31 words
ROWS = {
    'bert_mixed': ('BERT-base, 32 sentences of mixed length', 'embed', 'bert-base', TEXTS, F32, AUTO, 'seconds'),
    'vit_1': ('ViT-B/16, one picture', 'encode', 'vit-base', 'picture 1', F32, AUTO, 'seconds'),
    'vit_16': ('ViT-B/16, 16 pictures', 'encode', 'vit-base', 'picture 16', F32, AUTO, 'seconds'),
    'clip_1': ('CLIP B/32, one picture', 'encode', 'clip-vit-base-patch32', 'picture 1', F32, AUTO, 'seconds'),
    'clip_16': ('CLIP B/32, 16 pictures', 'encode', 'clip-vit-base-patch32', 'picture 16', F32, AUTO, 'seconds'),
    'bert_32': ('BERT-base, 32 texts of 32 tokens', 'encode', 'bert-base', 'text 32 32', F32, AUTO, 'seconds'),
    'bert_128': ('BERT-base, 32 texts of 128 tokens', 'encode', 'bert-base', 'text 32 128', F32, AUTO, 'seconds'),
    'whisper_tiny_encode': ('Whisper tiny, encoder, 30 s', 'encode', 'whisper-tiny', 'sound 1', TORCH, TORCH_AUTO, 'seconds'),
    'whisper_base_encode': ('Whisper base, encoder, 30 s', 'encode', 'whisper-base', 'sound 1', TORCH, TORCH_AUTO, 'seconds'),
    'whisper_tiny_decode': ('Whisper tiny, 64 tokens', 'write', 'whisper-tiny', '4 64 1', TORCH, TORCH_AUTO[:1], 'decode'),
    'whisper_base_decode': ('Whisper base, 64 tokens', 'write', 'whisper-base', '4 64 1', TORCH, TORCH_AUTO[:1], 'decode'),
    'gpt2_decode': ('GPT-2, 64 tokens after 128', 'write', 'gpt2', '128 64 1', TORCH, TORCH_AUTO[:1], 'decode'),
    'gpt2_prompt': ('GPT-2, a prompt of 512', 'write', 'gpt2', '512 2 1', TORCH, TORCH_AUTO[:1], 'prompt'),
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


def measure_row(bench, name, place, arguments, measure, summary):
    title, work, _, _, f32, auto, figure = ROWS[name]
    threads = bench.options.threads
    for precision in bench.options.precision.split(','):
        workers = {'ours': bench.ours_models(work, place, precision, threads, *arguments.split())}
        for peer, dtype in (auto if precision == 'auto' else f32) if bench.python else ():
            workers[peer + ' ' + dtype] = bench.peer_models(peer, work, place, dtype, threads, *arguments.split())
        means = {}
        for worker_name, worker in workers.items():  # primitives are created, weights packed
            means[worker_name] = [worker.ask('run') for _ in range(2)][-1].get('mean')
        apart = [m for m in means.values() if m is not None and abs(m - means['ours']) > (0.3 if work == 'train' else 0.02) * abs(means['ours'])]  # dropout is drawn
        if apart:
            raise SystemExit('%s: the numbers differ: %s' % (name, means))
        pids = [w.process.pid for w in workers.values()]
        values, foreign = measure({n: lambda w=w: w.ask('run')[figure] for n, w in workers.items()}, bench.options, pids)
        for worker in workers.values():
            worker.close()
        bench.add('%s_%s' % (name, precision), '%s, %s' % (title, precision), summary(values, foreign, 's'))
