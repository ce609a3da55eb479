"""peer_models.py: the other sides of the rows over published models, with the protocol of bench_models.c.

    peer_models.py torch encode MODEL DTYPE THREADS picture|text|sound ROWS [STEPS]
    peer_models.py onnx  encode MODEL f32   THREADS picture|text ROWS [STEPS]    (exported beside the model, once)
    peer_models.py torch|onnx embed MODEL DTYPE THREADS TEXTS
    peer_models.py torch train  MODEL DTYPE THREADS picture|text ROWS [STEPS]
    peer_models.py torch write  MODEL DTYPE THREADS PROMPT NEW ROWS
    peer_models.py torch caption MODEL DTYPE THREADS BEAMS LENGTH
    peer_models.py torch start   MODEL f32   THREADS PICTURE BEAMS LENGTH    (no protocol: a file's caption, and the end)

DTYPE: f32, bf16 (the weights themselves) or autocast. Same inputs as ours; the answers say the mean of what came out.
"""
import json
import os
import sys
import time
import warnings

import numpy

warnings.filterwarnings('ignore')
os.environ.setdefault('TQDM_DISABLE', '1')  # no bars between the rows


def talk(answer):
    print('{"ready":true}', flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)


def numbers(*shape):
    i = numpy.arange(int(numpy.prod(shape)), dtype=numpy.uint64)
    return ((i * 2654435761 % 1000).astype(numpy.float32) / numpy.float32(500) - numpy.float32(1)).reshape(shape)


def tokens(rows, steps):
    return (numpy.arange(rows * steps, dtype=numpy.int64) * 7919 % 20000 + 1000).reshape(rows, steps)


def config_of(place):
    with open(os.path.join(place, 'config.json'), encoding='utf-8') as file:
        return json.load(file)


def inputs(place, kind, rows, steps):
    """What ours is fed, as numpy arrays; pictures and sounds with their channels first."""
    config = config_of(place)
    if kind == 'text':
        return {'input_ids': tokens(rows, steps)}
    if kind == 'picture':
        side = config.get('vision_config', config.get('encoder', config)).get('image_size', 224)
        return {'pixel_values': numpy.ascontiguousarray(numbers(rows, side, side, 3).transpose(0, 3, 1, 2))}
    return {'input_features': numpy.ascontiguousarray(numbers(rows, 2 * config['max_source_positions'], config['num_mel_bins']).transpose(0, 2, 1))}


def wrapped(place, kind):
    """The part of the model that ours runs, giving one tensor."""
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    name = config_of(place)['architectures'][0]
    model = getattr(transformers, name).from_pretrained(place).eval()

    class One(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            if kind == 'sound':
                return self.model.model.encoder(x).last_hidden_state
            if name == 'CLIPModel':
                y = self.model.visual_projection(self.model.vision_model(pixel_values=x).pooler_output)
                return y / y.norm(dim=-1, keepdim=True)
            if kind == 'text':
                return self.model(input_ids=x).pooler_output
            return self.model(pixel_values=x).logits

    return One()


def set_up(dtype, threads):
    import torch
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    return torch.autocast('cpu', torch.bfloat16, enabled=dtype == 'autocast')


def encode_torch(place, dtype, threads, kind, rows, steps=0):
    import torch
    context = set_up(dtype, threads)
    model = wrapped(place, kind)
    x, = (torch.from_numpy(a) for a in inputs(place, kind, int(rows), int(steps)).values())
    if dtype == 'bf16':
        model = model.bfloat16()
        x = x.bfloat16() if x.is_floating_point() else x

    def run(_):
        with torch.inference_mode(), context:
            start = time.perf_counter()
            y = model(x)
            seconds = time.perf_counter() - start
        return {'seconds': seconds, 'mean': y.float().abs().mean().item()}
    talk(run)


def encode_onnx(place, _, threads, kind, rows, steps=0):
    import onnxruntime
    file = os.path.join(place, 'bench_%s.onnx' % kind)
    given, = inputs(place, kind, int(rows), int(steps)).values()
    if not os.path.exists(file):
        import torch
        two, = (torch.from_numpy(a) for a in inputs(place, kind, 2, 16).values())
        b, t = torch.export.Dim('b'), torch.export.Dim('t')
        torch.onnx.export(wrapped(place, kind), (two,), file, dynamo=True, opset_version=18, verbose=False,
                          dynamic_shapes=({0: b, 1: t} if kind == 'text' else {0: b},))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = int(threads), 1
    session = onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name

    def run(_):
        start = time.perf_counter()
        y, = session.run(None, {name: given})
        return {'seconds': time.perf_counter() - start, 'mean': float(numpy.abs(y).mean())}
    talk(run)


def embed(place, threads, file, run_model):
    """Texts to their mean hidden states, padded to the longest, as sentence encoders are used."""
    import transformers
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    with open(file, encoding='utf-8') as lines:
        texts = lines.read().splitlines()

    def run(_):
        start = time.perf_counter()
        given = tokenizer(texts, padding=True, return_tensors='np')
        mask = given['attention_mask'].astype(numpy.float32)[..., None]
        hidden = run_model(given['input_ids'], given['attention_mask'])
        y = (hidden * mask).sum(1) / mask.sum(1)
        return {'seconds': time.perf_counter() - start, 'mean': float(numpy.abs(y).mean())}
    talk(run)


def embed_torch(place, dtype, threads, file):
    import torch
    context = set_up(dtype, threads)
    import transformers
    transformers.logging.set_verbosity_error()
    model = transformers.AutoModel.from_pretrained(place).eval()
    model = model.bfloat16() if dtype == 'bf16' else model

    def run_model(ids, mask):
        with torch.inference_mode(), context:
            return model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state.float().numpy()
    embed(place, threads, file, run_model)


def embed_onnx(place, _, threads, path):
    import onnxruntime
    file = os.path.join(place, 'bench_embed.onnx')
    if not os.path.exists(file):
        import torch
        import transformers
        model = transformers.AutoModel.from_pretrained(place).eval()

        class Hidden(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, ids, mask):
                return self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        b, t = torch.export.Dim('b'), torch.export.Dim('t')
        torch.onnx.export(Hidden().eval(), (torch.from_numpy(tokens(2, 16)), torch.ones(2, 16, dtype=torch.long)), file, dynamo=True,
                          opset_version=18, verbose=False, dynamic_shapes=({0: b, 1: t}, {0: b, 1: t}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = int(threads), 1
    session = onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])
    names = [i.name for i in session.get_inputs()]
    embed(place, threads, path, lambda ids, mask: session.run(None, {names[0]: ids, names[1]: mask})[0])


def train_torch(place, dtype, threads, kind, rows, steps=0):
    import torch
    context = set_up(dtype, threads)
    model = wrapped(place, kind).train()
    x, = (torch.from_numpy(a) for a in inputs(place, kind, int(rows), int(steps)).values())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def run(_):
        start = time.perf_counter()
        optimiser.zero_grad()
        with context:
            y = model(x)
        loss = y.float().square().mean()
        loss.backward()
        optimiser.step()
        return {'seconds': time.perf_counter() - start, 'mean': loss.item()}
    talk(run)


def write_torch(place, dtype, threads, prompt, new, rows):
    import torch
    import transformers
    context = set_up(dtype, threads)
    transformers.logging.set_verbosity_error()
    model = getattr(transformers, config_of(place)['architectures'][0]).from_pretrained(place).eval()
    if dtype == 'bf16':
        model = model.bfloat16()
    prompt, new, rows = int(prompt), int(new), int(rows)
    given = torch.from_numpy(numpy.tile(tokens(1, prompt), (rows, 1)))
    encoder = model.get_encoder() if model.config.is_encoder_decoder else None
    if encoder:
        kind = 'sound' if 'num_mel_bins' in config_of(place) else 'picture'
        x, = (torch.from_numpy(a).to(model.dtype) for a in inputs(place, kind, rows, 0).values())

    def encode():
        """The encoder, and what ours and whisper.cpp count with it: the decoder's keys and values of it."""
        out = encoder(x)
        for layer in model.get_decoder().layers if kind == 'sound' else ():
            layer.encoder_attn.k_proj(out.last_hidden_state), layer.encoder_attn.v_proj(out.last_hidden_state)
        return out

    def run(_):
        times = []
        with torch.inference_mode(), context:
            begin = time.perf_counter()
            encoded = encode() if encoder else None
            start = time.perf_counter()
            ids, past = given, None
            for _ in range(new):
                named = {'decoder_input_ids': ids, 'encoder_outputs': encoded} if encoder else {'input_ids': ids}
                out = model(**named, past_key_values=past, use_cache=True) if encoder else \
                    model(**named, past_key_values=past, use_cache=True, logits_to_keep=1)
                past, ids = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
                times.append(time.perf_counter())
        return {'seconds': times[-1] - begin, 'encode': start - begin, 'prompt': times[0] - start, 'decode': times[-1] - times[0]}
    talk(run)


def caption_torch(place, dtype, threads, beams, length):
    import torch
    context = set_up(dtype, threads)
    import transformers
    transformers.logging.set_verbosity_error()
    model = getattr(transformers, config_of(place)['architectures'][0]).from_pretrained(place).eval()
    x, = (torch.from_numpy(a) for a in inputs(place, 'picture', 1, 0).values())
    if dtype == 'bf16':
        model, x = model.bfloat16(), x.bfloat16()

    def run(_):
        with torch.inference_mode(), context:
            start = time.perf_counter()
            out = model.generate(x, num_beams=int(beams), max_length=int(length))
            return {'seconds': time.perf_counter() - start, 'tokens': out[0].tolist()}
    talk(run)


def start_torch(place, dtype, threads, file, beams, length):
    """As a user's script does it."""
    import torch
    torch.set_num_threads(int(threads))
    import transformers
    from PIL import Image
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.VisionEncoderDecoderModel.from_pretrained(place)
    processor = transformers.AutoImageProcessor.from_pretrained(place)
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    x = processor(images=Image.open(file).convert('RGB'), return_tensors='pt').pixel_values
    out = model.generate(x, num_beams=int(beams), max_length=int(length))
    print(tokenizer.decode(out[0], skip_special_tokens=True))


ROWS = {('torch', 'embed'): embed_torch, ('onnx', 'embed'): embed_onnx, ('torch', 'encode'): encode_torch, ('onnx', 'encode'): encode_onnx,
        ('torch', 'train'): train_torch, ('torch', 'write'): write_torch, ('torch', 'caption'): caption_torch, ('torch', 'start'): start_torch}
ROWS[tuple(sys.argv[1:3])](*sys.argv[3:])
